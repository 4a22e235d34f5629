//! What a network makes of photos. Flows in: files. Flows out: activations in a file, and, where a classifier of people
//! is given, its verdict on each photo.

use super::filter::keeps;
use super::network::{self, BATCH};
use super::project::Project;
use super::sets::{Features, Photo, Set, paths, photos};
use crate::error::Result;
use crate::features::{Job, Report, extract as extract_features};
use crate::feed::{Preparation, Views};
use crate::image::{Limits, fingerprint};
use crate::learn::model::Model;
use crate::photos::watch::Watch;
use crate::score::{Network, Purpose};
use rusqlite::params;
use std::path::{Path, PathBuf};

/// The study's features.
pub(super) const FILE: &str = "features.safetensors";

/// Where an interrupted extraction is.
pub(super) const PART: &str = "features.safetensors.part";

/// Extracts some blobs of photos into a file; an interrupted extraction of the same goes on.
pub(super) fn of_photos(
    network: &Network,
    files: &[PathBuf],
    layers: &[String],
    views: Views,
    out: &Path,
    watch: &dyn Watch,
) -> Result<Report> {
    let mut loaded = network.load(layers.to_vec(), BATCH * views.count(), Purpose::Features)?;
    let (classifier, limits) = (loaded.classifier, Limits::default());
    let preparation = Preparation { classifier, views, limits, spent: Default::default() };
    let settings = format!(
        "{} {} {views:?} {:016x} of {}",
        network.name,
        network.weights.display(),
        fingerprint(files),
        files.len()
    );
    let job = Job {
        photos: files,
        input: &loaded.input,
        layers,
        preparation: &preparation,
        batch: BATCH,
        threads: 0,
        out,
        settings,
    };
    watch.begin("photos", Some(files.len() as u64));
    extract_features(&mut loaded.net, &job, |done, skipped| {
        watch.at(done as u64);
        skipped.iter().for_each(|s| watch.note(&format!("left out: {}", s.reason)));
    })
}

pub(super) fn extract(project: &mut Project, watch: &dyn Watch) -> Result<String> {
    let all = photos(project, Set::Everything)?;
    let files = paths(project, &all);
    let network = network::of(project)?;
    let config = &project.config.features;
    let views = if config.mirrored { Views::CentreAndMirrored } else { Views::Centre };
    let mut layers = config.layers.clone();
    let classifier = match project.config.filter.classifier.as_os_str().is_empty() {
        true => None,
        false => Some(Model::load(&project.given(&project.config.filter.classifier))?),
    };
    let blob = classifier.as_ref().and_then(|model| model.blob().map(String::from));
    layers.extend(blob.iter().filter(|blob| !config.layers.contains(blob)).cloned());
    let out = project.file(FILE);
    let report = of_photos(&network, &files, &layers, views, &out, watch)?;
    let verdict = match (classifier, blob) {
        (Some(model), Some(blob)) => people(project, &all, &model, &blob)?,
        _ => String::new(),
    };
    let left = report.skipped.len();
    let left = if left > 0 { format!("; {left} could not be read") } else { String::new() };
    Ok(format!("{} rows of {}{left}{verdict}", report.rows, layers.join(", ")))
}

/// What a classifier of people says of each photo.
fn people(project: &mut Project, all: &[Photo], model: &Model, blob: &str) -> Result<String> {
    let (table, of) = Features::read(project, blob)?.of(all, false)?;
    let rows: Vec<u32> = (0..of.len() as u32).collect();
    let scores = model.scores(&table.matrix, &rows)?;
    let mut kept = 0;
    project.store.change(|db| {
        db.execute("DELETE FROM filters WHERE filter = 'classifier'", [])?;
        let mut insert = db.prepare("INSERT INTO filters VALUES (?1, 'classifier', ?2, ?3)")?;
        for (score, &place) in scores.iter().zip(&of) {
            let probability = model.probability(*score);
            let keep = keeps(model, *score);
            kept += u64::from(keep);
            insert.execute(params![all[place].id, keep, probability])?;
        }
        Ok(())
    })?;
    Ok(format!("; the classifier keeps {kept} of {}", of.len()))
}
