//! A classifier of people, learnt from photos that somebody sorted into two folders. Flows in: two folders. Flows out: a
//! model for `[filter] classifier`, and how it and the faces' filter do on these photos.

use super::compare::scaling;
use super::features::of_photos;
use super::network::Network;
use super::project::Project;
use crate::error::{Error, Result};
use crate::faces::{Detector, Search};
use crate::feed::Views;
use crate::image::list_pictures;
use crate::learn::linear::{Problem, Samples};
use crate::learn::metrics::Platt;
use crate::learn::model::Model;
use crate::learn::prepare::{Scaling, prepared};
use crate::learn::validate::{Learner, Method, Outcome, Sampled, Validation, validate};
use crate::learn::{Source, Table};
use crate::photos::watch::Watch;
use rayon::prelude::*;
use serde_json::{Map, json};
use std::path::{Path, PathBuf};

/// Values of C that are tried.
const C: [f64; 4] = [1e-4, 1e-3, 1e-2, 1e-1];

/// Photos that somebody sorted.
#[derive(Clone, Debug)]
pub struct Sorted {
    /// A folder of photos to keep.
    pub keep: PathBuf,
    /// A folder of photos to drop: memes, quotes, food, …
    pub drop: PathBuf,
    /// The file of the model.
    pub out: PathBuf,
}

/// How a filter does on the sorted photos.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// What it is.
    pub name: String,
    /// Photos to keep that it keeps, and drops.
    pub keep: [usize; 2],
    /// Photos to drop that it keeps, and drops.
    pub drop: [usize; 2],
}

impl Judged {
    fn new(name: &str, verdicts: &[bool], truth: &[bool]) -> Self {
        let count = |t: bool, v: bool| {
            truth.iter().zip(verdicts).filter(|(a, b)| **a == t && **b == v).count()
        };
        Self {
            name: name.into(),
            keep: [count(true, true), count(true, false)],
            drop: [count(false, true), count(false, false)],
        }
    }

    /// Of the photos that it keeps, the share that is to be kept.
    pub fn precision(&self) -> f64 {
        self.keep[0] as f64 / (self.keep[0] + self.drop[0]).max(1) as f64
    }

    /// Of the photos to keep, the share that it keeps.
    pub fn recall(&self) -> f64 {
        self.keep[0] as f64 / (self.keep[0] + self.keep[1]).max(1) as f64
    }
}

/// Learns from sorted photos with the network of a study's settings, and judges: the classifier by photos that its
/// folds have not seen, the faces' filter as the settings have it, and both together.
///
/// Fails where a folder has fewer than five photos.
pub fn train(project: &Project, sorted: &Sorted, watch: &dyn Watch) -> Result<Vec<Judged>> {
    let list = |folder: &Path| -> Result<Vec<PathBuf>> {
        let photos: Vec<PathBuf> = list_pictures(folder)?.into_iter().map(|p| p.path).collect();
        if photos.len() < 5 {
            let (folder, count) = (folder.display(), photos.len());
            return Err(Error::Invalid(format!("{folder}: {count} photos; give some tens")));
        }
        Ok(photos)
    };
    let (keep, drop) = (list(&sorted.keep)?, list(&sorted.drop)?);
    let truth = |path: &Path| keep.iter().any(|p| p == path);
    let all: Vec<PathBuf> = keep.iter().chain(&drop).cloned().collect();
    let network = Network::of(project)?;
    let blob = project.config.features.layers[0].clone();
    let folder = tempfile::tempdir().map_err(Error::io(Path::new("a temporary folder")))?;
    let out = folder.path().join("features.safetensors");
    of_photos(&network, &all, std::slice::from_ref(&blob), Views::Centre, &out, watch)?;
    let source = Source {
        features: &out,
        blob: Some(&blob),
        labels: None,
        group: None,
        positive: None,
        layout: None,
    };
    let read = Table { labels: None, ..source.read()? };
    let names: Vec<PathBuf> = read.names.iter().flatten().map(PathBuf::from).collect();
    let labels: Vec<bool> = names.iter().map(|name| truth(name)).collect();
    let class_names = ["drop".into(), "keep".into()];
    let table = Table { labels: Some(labels.clone()), groups: None, class_names, ..read };
    let scaling = scaling(&project.config.compare);
    let (model, classifier) = learn(&table, scaling)?;
    model.save(&sorted.out)?;
    let faces = with_face(project, &names)?;
    let both: Vec<bool> = classifier.iter().zip(&faces).map(|(a, b)| *a && *b).collect();
    Ok(vec![
        Judged::new("a face", &faces, &labels),
        Judged::new("the classifier, on photos that it has not seen", &classifier, &labels),
        Judged::new("both", &both, &labels),
    ])
}

/// A model, and its verdict on each row by a fold that has not seen it.
fn learn(table: &Table, scaling: Scaling) -> Result<(Model, Vec<bool>)> {
    let sampled = Sampled::of(table)?;
    let methods = C.map(|c| Method::Linear(Problem { c, ..Problem::default() }));
    let how = Validation { folds: 5, seed: 0, copies: false, scaling };
    let outcomes = validate(&sampled, &methods, &how, &|_| ())?;
    let mean = |o: &Outcome| o.spread(|s| s.accuracy).0;
    let better =
        |best: usize, m: usize| if mean(&outcomes[m]) > mean(&outcomes[best]) { m } else { best };
    let best = (0..C.len()).fold(0, better);
    let (rows, scores): (Vec<usize>, Vec<f64>) = outcomes[best].scores.iter().copied().unzip();
    let labels: Vec<bool> = rows.iter().map(|&row| sampled.labels[row]).collect();
    let platt = Platt::fit(&scores, &labels)?;
    let mut verdicts = vec![false; sampled.labels.len()];
    for (&row, &score) in rows.iter().zip(&scores) {
        verdicts[row] = platt.probability(score) > 0.5;
    }
    let rows = sampled.rows(false);
    let prepared = prepared(&table.matrix, &rows, scaling)?;
    let samples = Samples { matrix: prepared.matrix(), rows: &rows, labels: sampled.labels };
    let learnt = Learner::new(samples)?.learn(&methods[best], &|_| ())?;
    let trained = Map::from_iter([
        ("method".to_string(), json!(format!("linear SVM, C = {:e}", C[best]))),
        ("samples".to_string(), json!(rows.len())),
    ]);
    let model = Model {
        classifier: learnt.classifier,
        standard: prepared.standard().cloned(),
        norm: scaling.norm,
        platt: Some(platt),
        classes: table.class_names.clone(),
        features: table.about.clone(),
        trained,
    };
    Ok((model, verdicts))
}

/// Whether each photo has a face, by the study's settings.
fn with_face(project: &Project, photos: &[PathBuf]) -> Result<Vec<bool>> {
    let filter = &project.config.filter;
    let detector = match filter.cascade.as_os_str().is_empty() {
        true => Detector::own(),
        false => Detector::read(&project.given(&filter.cascade))?,
    };
    let search =
        Search { min_size: filter.min_size, confidence: filter.confidence, ..Search::new()? };
    photos.par_iter().map(|photo| Ok(!detector.detect_file(photo, &search)?.is_empty())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_by_hand() {
        let judged = Judged::new("x", &[true, true, false, true], &[true, true, true, false]);
        assert_eq!((judged.keep, judged.drop), ([2, 1], [1, 0]));
        assert_eq!((judged.precision(), judged.recall()), (2.0 / 3.0, 2.0 / 3.0));
        let nothing = Judged::new("x", &[false], &[false]);
        assert_eq!((nothing.precision(), nothing.recall()), (0.0, 0.0));
    }
}
