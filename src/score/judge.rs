//! A likability at work. Flows in: decoded photos. Flows out: verdicts, and reasons for them.

use super::gallery::Alike;
use super::likability::{About, Likability, with_file};
use super::network::{Loaded, Purpose};
use super::reasons::{Map, occlusion, products};
use crate::error::{Error, Result};
use crate::faces::{Detector, Face, Search};
use crate::image::{self, Picture, Size, centre_crop, resize};
use crate::learn::model::{Classifier, Model};
use crate::learn::{Layout, Matrix};
use rayon::prelude::*;

/// Photos that go through the network at a time.
const BATCH: usize = 32;

/// Faces are searched on photos no larger than this; larger ones are made smaller first.
const FACES_SIDE: usize = 1024;

/// Alike photos that are shown.
const ALIKE: usize = 8;

/// What a photo was given.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The classifier's score.
    pub score: f64,
    /// How likely the photo is one of the liked ones, by photos that the classifier had not seen.
    pub probability: f64,
    /// The faces on it, surest first, in the photo's pixels.
    pub faces: Vec<Face>,
}

/// Why a photo was given its score.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation<'a> {
    /// What hiding a part costs.
    pub occlusion: Map,
    /// What each pixel adds, to first order; none where the classifier has no slope, as a forest.
    pub gradient: Option<Map>,
    /// The most alike photos of those that were learnt from.
    pub alike: Vec<Alike<'a>>,
}

/// A likability, ready for photos.
pub struct Judge {
    likability: Likability,
    detector: Detector,
    search: Search,
    blob: String,
    eye: Loaded,
    /// The same network with gradients, where the classifier has a slope; made when it is first asked for.
    slope: Option<Loaded>,
}

impl Judge {
    /// Fails where the network cannot be loaded, or does not give what the classifier learned from.
    pub fn new(likability: Likability) -> Result<Self> {
        let search = Search {
            min_size: likability.min_size,
            confidence: likability.confidence,
            ..Search::new()?
        };
        let detector = match &likability.cascade {
            None => Detector::own(),
            Some(file) => with_file(file, Detector::read)?,
        };
        let blob = likability.classifier.blob().map(String::from).ok_or_else(|| {
            Error::Invalid("the classifier does not say which blob it learned from".into())
        })?;
        if likability.classifier.probability(0.0).is_none() {
            let why = "the classifier has no calibrated probabilities: learn it with `likenet run`";
            return Err(Error::Invalid(why.into()));
        }
        let eye = likability.load_network(vec![blob.clone()], BATCH, Purpose::Features)?;
        let (got, want) =
            (eye.net.blob_shape(&blob)?.count() / BATCH, likability.classifier.columns());
        if got != want {
            return Err(Error::Invalid(format!(
                "blob '{blob}' has {got} values and the classifier learned from {want}"
            )));
        }
        Ok(Self { likability, detector, search, blob, eye, slope: None })
    }

    /// What a reader should know.
    pub fn about(&self) -> &About {
        &self.likability.about
    }

    /// What runs the network, for people.
    pub fn backend(&self) -> String {
        self.eye.net.backend()
    }

    /// Photos that were learnt from.
    pub fn gallery(&self) -> usize {
        self.likability.gallery.len()
    }

    /// Judges photos, in their order. The verdict on one does not depend on the others.
    pub fn judge(&mut self, photos: &[Picture]) -> Result<Vec<Verdict>> {
        let mut verdicts = Vec::with_capacity(photos.len());
        for photos in photos.chunks(BATCH) {
            let (eye, detector, search) = (&self.eye.classifier, &self.detector, &self.search);
            let seen: Vec<(Vec<f32>, Vec<Face>)> = photos
                .par_iter()
                .map(|photo| Ok((prepared(eye, photo)?, faces(detector, search, photo)?)))
                .collect::<Result<_>>()?;
            let crops: Vec<f32> = seen.iter().flat_map(|(crop, _)| crop).copied().collect();
            let scores = scores(&mut self.eye, &self.blob, &self.likability.classifier, &crops)?;
            verdicts.extend(scores.into_iter().zip(seen).map(|(score, (_, faces))| {
                let probability = self.likability.classifier.probability(score).unwrap_or(score);
                Verdict { score, probability, faces }
            }));
        }
        Ok(verdicts)
    }

    /// Why a photo has its score.
    pub fn explain(&mut self, photo: &Picture) -> Result<Explanation<'_>> {
        let options = self.eye.classifier.options();
        let (size, frame) = (options.crop, options.image_dims);
        let at = centre_crop(frame, size)?;
        let crop = prepared(&self.eye.classifier, photo)?;
        let framed = |values: &[f32]| Map::framed(frame, at, size, values);
        let gradient = self.gradient(&crop)?;
        let gradient = gradient.map(|g| framed(&products(&g, &crop, size.height * size.width)));
        let Self { eye, blob, likability, .. } = self;
        let lost = occlusion(&crop, size, BATCH, |crops| {
            scores(eye, blob, &likability.classifier, crops)
        })?;
        eye.forward(&crop)?;
        let mut features = eye.net.blob(blob)?.data().to_vec();
        scale(&likability.classifier, &mut features);
        let alike = likability.gallery.alike(&features, ALIKE);
        Ok(Explanation { occlusion: framed(&lost), gradient, alike })
    }

    /// The score's slope along each input of a crop; none where the classifier has none that a sum gives.
    fn gradient(&mut self, crop: &[f32]) -> Result<Option<Vec<f32>>> {
        let model = &self.likability.classifier;
        let (Classifier::Linear(linear), None) = (&model.classifier, model.norm) else {
            return Ok(None);
        };
        let mut slopes: Vec<f32> = linear.weights.iter().map(|&w| w as f32).collect();
        if let Some(standard) = &model.standard {
            slopes.iter_mut().zip(&standard.scale).for_each(|(w, scale)| *w /= *scale as f32);
        }
        if self.slope.is_none() {
            self.slope = Some(self.likability.load_network(vec![], 1, Purpose::Gradients)?);
        }
        let Some(loaded) = &mut self.slope else { return Ok(None) };
        loaded.forward(crop)?;
        loaded.net.clear_gradients();
        loaded.net.backward_from(&[(&self.blob, &slopes)])?;
        let gradient = loaded.net.input_gradient(&loaded.input)?;
        Ok(gradient.map(|g| g.data().to_vec()))
    }
}

/// Features as the classifier wants them.
pub fn scale(model: &Model, features: &mut [f32]) {
    if let Some(norm) = model.norm {
        norm.apply(features);
    }
    if let Some(standard) = &model.standard {
        standard.apply(features);
    }
}

fn prepared(eye: &image::Classifier, photo: &Picture) -> Result<Vec<f32>> {
    let mut crop = vec![0.0; eye.crop_len()];
    eye.prepare(photo, false, &mut crop)?;
    Ok(crop)
}

/// Faces in the photo's pixels.
fn faces(detector: &Detector, search: &Search, photo: &Picture) -> Result<Vec<Face>> {
    let longer = photo.width.max(photo.height);
    if longer <= FACES_SIDE {
        return detector.detect(photo, search);
    }
    let side = |length: usize| (length * FACES_SIDE / longer).max(1);
    let small = resize::fast(photo, Size::new(side(photo.height), side(photo.width)))?;
    let factor = longer as f64 / FACES_SIDE as f64;
    let mut faces = detector.detect(&small, search)?;
    for face in &mut faces {
        let r = &mut face.rect;
        [r.x, r.y, r.w, r.h] = [r.x, r.y, r.w, r.h].map(|v| v * factor);
    }
    Ok(faces)
}

/// Scores of crops that lie one after the other.
fn scores(eye: &mut Loaded, blob: &str, model: &Model, crops: &[f32]) -> Result<Vec<f64>> {
    eye.forward(crops)?;
    let blob = eye.net.blob(blob)?;
    let mut matrix = Matrix::new(model.columns(), Layout::Dense);
    for row in blob.data().chunks_exact(model.columns()) {
        matrix.push(row)?;
    }
    let rows: Vec<u32> = (0..matrix.rows() as u32).collect();
    model.scores(&matrix, &rows)
}
