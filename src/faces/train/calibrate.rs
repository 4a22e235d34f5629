//! From scores to probabilities. Flows in: a cascade, held-out pictures. Flows out: an [`Outcome`].
//!
//! The cascade searches as many held-out crops as held-out backgrounds: what "nine in ten" means is said for
//! photos that hold one object each on average, and as many without. Platt's sigmoid is fitted to whether
//! each hit was right.

use super::Options;
use super::backgrounds::turned;
use crate::error::{Error, Result};
use crate::faces::judge::{self, Detections, Judgement, Label, Photo, Truth, judge};
use crate::faces::rect::{Face, Rect};
use crate::faces::soft::{Cascade, Hit, LEVELS_PER_OCTAVE, Settings, UNIT};
use crate::image::{GrayPicture, Limits, Size, decode_gray_file};
use crate::learn::metrics::Platt;
use crate::rng::Rng;
use likenet_kernels::cpu::resample::{self, Plane};
use likenet_kernels::cpu::table::Kernels;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// What a cascade found in held-out pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// How good that is; confidences are calibrated.
    pub judgement: Judgement,
    /// Platt's (a, b).
    pub calibration: [f64; 2],
}

/// A searched picture: its name, where its object is, and what was found.
struct Picture {
    name: String,
    object: Option<Rect>,
    hits: Vec<Hit>,
}

impl Picture {
    fn right(&self, hit: &Hit) -> bool {
        self.object.is_some_and(|object| hit.rect().iou(&object) > 0.5)
    }
}

/// Views of each background.
const VIEWS: usize = 4;
/// Pixels along the smallest window that a crop is shrunk to.
const SMALLEST: f32 = 44.0;
/// Views of each crop come from its own random numbers.
const CROP_SEED: u64 = 0x0c0f_fee0;

/// Searches held-out crops and backgrounds, the same number of each.
pub fn outcomes(
    cascade: &Cascade,
    [crops, backgrounds]: [&[PathBuf]; 2],
    options: &Options,
    kernels: &'static Kernels,
) -> Result<Outcome> {
    let views = (backgrounds.len() * VIEWS).min(crops.len().max(1));
    let settings = Settings { min_size: 40.0, levels_per_octave: LEVELS_PER_OCTAVE, kernels };
    let mut order: Vec<&PathBuf> = crops.iter().collect();
    let mut rng = Rng::new(options.seed ^ CROP_SEED);
    rng.shuffle(&mut order);
    let crops = order.par_iter().take(views).map(|path| in_crop(cascade, path, options, &settings));
    let photos = (0..views).into_par_iter().map(|i| {
        let (path, turn) = (&backgrounds[i / VIEWS], i % VIEWS);
        let photo = turned(decode_gray_file(path, &Limits::default())?, turn);
        let name = format!("{}, turn {turn}", path.display());
        Ok(Picture { name, object: None, hits: cascade.detect(&photo, &settings) })
    });
    let pictures: Vec<Picture> = crops.chain(photos).collect::<Result<_>>()?;
    let last_exit = cascade.trees.last().map_or(0, |tree| tree.exit);
    let calibration = calibrate(&pictures, last_exit)?;
    Ok(Outcome { judgement: judged(&pictures, calibration)?, calibration })
}

fn calibrate(pictures: &[Picture], last_exit: i32) -> Result<[f64; 2]> {
    let hit = |p: &Picture, hit: &Hit| (f64::from(hit.score), p.right(hit));
    let hits = pictures.iter().flat_map(|p| p.hits.iter().map(move |h| hit(p, h)));
    let (mut scores, mut right): (Vec<f64>, Vec<bool>) = hits.unzip();
    if right.iter().all(|&right| right) {
        // No background fooled it: each counts as one window that just passed the last tree.
        let empty = pictures.iter().filter(|p| p.object.is_none()).count();
        scores.extend(vec![f64::from(last_exit) / f64::from(UNIT); empty]);
        right.extend(vec![false; empty]);
    }
    let fit = Platt::fit(&scores, &right).map_err(|e| {
        Error::Invalid(format!("the cascade cannot be calibrated on held-out pictures: {e}"))
    })?;
    Ok([fit.slope, fit.offset])
}

fn judged(pictures: &[Picture], [slope, offset]: [f64; 2]) -> Result<Judgement> {
    let platt = Platt { slope, offset };
    let face = |hit: &Hit| {
        let confidence = platt.probability(hit.score.into()) as f32;
        Face { rect: hit.rect(), confidence }
    };
    let found = pictures.iter().map(|p| (p.name.clone(), p.hits.iter().map(face).collect()));
    let photo = |p: &Picture| {
        let label = |&object: &Rect| Label { rect: object, ..Label::default() };
        Photo { image: p.name.clone(), source: None, faces: p.object.iter().map(label).collect() }
    };
    let truth = Truth { photos: pictures.iter().map(photo).collect() };
    judge(&truth, &Detections::of(found), &judge::Options { fit: false, ..Default::default() })
}

/// What is found in a crop, shrunk at random.
fn in_crop(
    cascade: &Cascade,
    path: &Path,
    options: &Options,
    settings: &Settings,
) -> Result<Picture> {
    let crop = decode_gray_file(path, &Limits::default())?;
    let seed = crop.data.iter().fold(0u64, |sum, &v| sum.wrapping_mul(31) + u64::from(v));
    let window = options.framing.side * crop.width as f32;
    let factor = Rng::new(seed).uniform(SMALLEST, window.max(SMALLEST + 1.0)) / window;
    let size = [crop.width, crop.height].map(|n| ((n as f32 * factor) as usize).max(1));
    let whole = Plane::from_pixels(crop.width, &crop.data);
    let from = resample::halve_while(settings.kernels, whole, |p| p.width > 2 * size[0]);
    let small = resample::linear(settings.kernels, &from, size, 0);
    let picture = GrayPicture::new(Size::new(size[1], size[0]), small.pixels().to_vec())?;
    let side = options.framing.side * size[0] as f32;
    let corner = [0, 1].map(|i| options.framing.centre[i] * size[i] as f32 - side / 2.0);
    let [left, top, width, height] = options.object;
    let rect = [corner[0] + left * side, corner[1] + top * side, width * side, height * side];
    let [x, y, w, h] = rect.map(f64::from);
    let object = Rect { x, y, w, h };
    let hits = cascade.detect(&picture, settings);
    Ok(Picture { name: path.display().to_string(), object: Some(object), hits })
}
