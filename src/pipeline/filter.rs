//! A classifier of people, learnt from photos that somebody sorted into two folders. Flows in: two folders. Flows out: a
//! model for `[filter] classifier`, and how it and the faces' filter do on these photos.

use super::compare::{Way, validation, ways};
use super::config::Compare;
use super::faces::searcher;
use super::features::of_photos;
use super::model::learn;
use super::network;
use super::project::Project;
use crate::error::{Error, Result};
use crate::feed::Views;
use crate::image::list_pictures;
use crate::learn::model::Model;
use crate::learn::validate::{Method, Sampled, validate};
use crate::learn::{Source, Table};
use crate::photos::watch::Watch;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

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
pub struct FilterResult {
    /// What it is.
    pub name: String,
    /// Photos to keep that it keeps, and drops.
    pub keep: [usize; 2],
    /// Photos to drop that it keeps, and drops.
    pub drop: [usize; 2],
}

impl FilterResult {
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
pub fn train(project: &Project, sorted: &Sorted, watch: &dyn Watch) -> Result<Vec<FilterResult>> {
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
    let network = network::of(project)?;
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
    let (model, classifier) = classify(&table, &project.config.compare)?;
    model.save(&sorted.out)?;
    let faces = with_face(project, &names)?;
    let both: Vec<bool> = classifier.iter().zip(&faces).map(|(a, b)| *a && *b).collect();
    Ok(vec![
        FilterResult::new("a face", &faces, &labels),
        FilterResult::new("the classifier, on photos that it has not seen", &classifier, &labels),
        FilterResult::new("both", &both, &labels),
    ])
}

/// A model, and its verdict on each row by a fold that has not seen it. Of the linear SVMs of the study's settings the
/// most accurate one is taken.
fn classify(table: &Table, config: &Compare) -> Result<(Model, Vec<bool>)> {
    let sampled = Sampled::of(table)?;
    let ways: Vec<Way> = ways(config).into_iter().filter(|way| way.c.is_some()).collect();
    let methods: Vec<Method> = ways.iter().map(|way| way.method.clone()).collect();
    let how = validation(config, false);
    let outcomes = validate(&sampled, &methods, &how, &|_| ())?;
    let mean = |m: usize| outcomes[m].spread(|s| s.accuracy).0;
    let best = (0..ways.len()).fold(0, |best, m| if mean(m) > mean(best) { m } else { best });
    let model = learn(table, &ways[best], &how)?;
    let mut verdicts = vec![false; sampled.labels.len()];
    for &(row, score) in &outcomes[best].scores {
        verdicts[row] = keeps(&model, score);
    }
    Ok((model, verdicts))
}

/// Whether a model of people keeps a photo with this score.
pub(super) fn keeps(model: &Model, score: f64) -> bool {
    model.probability(score).is_some_and(|probability| probability > 0.5)
}

/// Whether each photo has a face, by the study's settings.
fn with_face(project: &Project, photos: &[PathBuf]) -> Result<Vec<bool>> {
    let (detector, search) = searcher(project)?;
    photos.par_iter().map(|photo| Ok(!detector.detect_file(photo, &search)?.is_empty())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_by_hand() {
        let judged = FilterResult::new("x", &[true, true, false, true], &[true, true, true, false]);
        assert_eq!((judged.keep, judged.drop), ([2, 1], [1, 0]));
        assert_eq!((judged.precision(), judged.recall()), (2.0 / 3.0, 2.0 / 3.0));
        let nothing = FilterResult::new("x", &[false], &[false]);
        assert_eq!((nothing.precision(), nothing.recall()), (0.0, 0.0));
    }
}
