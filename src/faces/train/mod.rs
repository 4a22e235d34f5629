//! Training a cascade from crops of an object and from photos without it.
//!
//! Flows in: crops, backgrounds, [`Options`]. Flows out: a [`Cascade`], and what its report shows.
//!
//! ```text
//! crops → augmented windows ─┬→ boost → trees → exits from held-out crops → cascade ─→ calibration
//! backgrounds → windows that the cascade so far takes ↲  (each round)          ↲
//! ```
//!
//! Rounds are bootstrapped (Sung and Poggio, 1998): each trains anew, with more trees, on all windows that
//! fooled the cascade of the round before. A tenth of the crops and of the backgrounds is held out: it
//! sets where trees may reject, and calibrates the scores.

mod augment;
mod backgrounds;
mod boost;
mod calibrate;
mod exits;
mod samples;
pub mod stages;
mod state;

pub use augment::{Augment, Framing};
pub use boost::{Boosting, Learner};
pub use calibrate::Outcome;

use super::soft::{Cascade, UNIT};
use crate::error::{Error, Result};
use crate::image::{fingerprint, list_pictures};
use backgrounds::Backgrounds;
use likenet_kernels::cpu::table;
use likenet_kernels::cpu::trees::LARGEST_LEAF;
use samples::Samples;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What is trained, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Where the object lies in a crop.
    pub framing: Framing,
    /// Where the object lies in the window: left, top, width, height as parts of its side.
    pub object: [f32; 4],
    /// How crops are varied.
    pub augment: Augment,
    /// Variations of each crop.
    pub copies: usize,
    /// Trees of each round's cascade.
    pub rounds: Vec<usize>,
    /// Trees that later rounds keep from the first: found among random windows, they reject most.
    pub kept: usize,
    /// Most windows that a round adds.
    pub negatives_a_round: usize,
    /// Most windows that are kept; the oldest go first.
    pub negatives: usize,
    /// How trees are found.
    pub learner: Learner,
    /// Part of the held-out windows of objects that trees may reject.
    pub miss: f32,
    /// What a held-out window's score may lack at each tree beyond the lowest one seen.
    pub slack: f32,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            framing: Framing::default(),
            object: [0.0, 0.0, 1.0, 1.0],
            augment: Augment::default(),
            copies: 4,
            rounds: vec![32, 128, 512, 1024, 2048],
            kept: 32,
            negatives_a_round: 12_000,
            negatives: 40_000,
            learner: Learner::default(),
            miss: 0.003,
            slack: 0.2,
            seed: 1,
        }
    }
}

impl Options {
    /// Fails where the options make no cascade.
    fn check(&self) -> Result<()> {
        let most = f32::from(LARGEST_LEAF) / UNIT;
        let positive = |v: f32| v.is_finite() && v > 0.0;
        let reason = if self.rounds.is_empty() || self.rounds.contains(&0) {
            format!("rounds {:?}: give each round's number of trees", self.rounds)
        } else if self.copies == 0 || self.negatives == 0 || self.negatives_a_round == 0 {
            "copies and negatives begin at 1".into()
        } else if !(0.0..=most).contains(&(self.learner.clamp * self.learner.shrink)) {
            format!("the largest leaf, clamp x shrink, is at most {most:.2}")
        } else if !positive(self.framing.side) || !self.object[2..].iter().all(|&v| positive(v)) {
            "the window and the object in it must have a size".into()
        } else {
            return Ok(());
        };
        Err(Error::Invalid(reason))
    }
}

/// How far a training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Pictures were listed: crops, backgrounds.
    Listed(usize, usize),
    /// A round (from 0) begins with so many windows of the object, and so many others.
    Round(usize, usize, usize),
    /// Trees found in the round, and how many it will have.
    Trees(usize, usize),
    /// The round's cascade on held-out crops' windows: the part it finds; and on its own negatives: the part
    /// it takes.
    Rates(f32, f32),
    /// The cascade is complete and is being calibrated.
    Calibrating,
}

/// A trained cascade, and what its report shows.
pub struct Trained {
    /// The cascade.
    pub cascade: Cascade,
    /// What it found in held-out pictures.
    pub outcomes: Outcome,
    /// The mean of the crops' windows, rows of [`MEAN_SIDE`] gray levels.
    pub mean: Vec<u8>,
    /// For each round: trees, negatives, hit rate and false-positive rate.
    pub rounds: Vec<RoundReport>,
}

/// Pixels along the mean window.
pub const MEAN_SIDE: usize = samples::SIDE;

/// One round in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundReport {
    /// Trees of the cascade.
    pub trees: usize,
    /// Windows of the object.
    pub positives: usize,
    /// Other windows.
    pub negatives: usize,
    /// Part of held-out objects' windows that are found.
    pub hit_rate: f32,
    /// Part of the round's negatives that are taken.
    pub false_positive_rate: f32,
}

/// Trains a cascade. With a `state` file a training that was cut off goes on after its last whole round.
///
/// Fails where either folder has too few pictures, where pictures cannot be read, or where the state is
/// another training's.
pub fn train(
    faces: &Path,
    backgrounds: &Path,
    options: &Options,
    state: Option<&Path>,
    progress: &mut dyn FnMut(Step),
) -> Result<Trained> {
    options.check()?;
    let kernels = table::best().map_err(Error::Invalid)?;
    let crops = pictures(faces, 20, "pictures of the object")?;
    let photos = pictures(backgrounds, 10, "backgrounds")?;
    progress(Step::Listed(crops.len(), photos.len()));
    let lists = [fingerprint(&crops), fingerprint(&photos)];
    let (held_crops, crops) = hold_out(crops);
    let (held_photos, photos) = hold_out(photos);
    let positives = samples::positives(&crops, options, kernels)?;
    let held = samples::positives(&held_crops, options, kernels)?;
    let mean = samples::mean(&crops, options, kernels)?;
    let mut run = match state {
        Some(path) => state::Run::open(path, options, lists)?,
        None => state::Run::default(),
    };
    let backgrounds = Backgrounds { photos, options, kernels };
    for round in run.rounds.len()..options.rounds.len() {
        run.add(backgrounds.windows(round, &run.trees)?, options.negatives);
        progress(Step::Round(round, positives.len(), run.negatives.len()));
        one_round(round, [&positives, &held], &mut run, options, progress);
        if let Some(path) = state {
            run.save(path, options, lists)?;
        }
    }
    progress(Step::Calibrating);
    let mut cascade =
        Cascade { trees: run.trees, object: options.object, calibration: [-1.0, 0.0] };
    let outcomes =
        calibrate::outcomes(&cascade, [&held_crops[..], &held_photos[..]], options, kernels)?;
    cascade.calibration = outcomes.calibration;
    Ok(Trained { cascade, outcomes, mean, rounds: run.rounds })
}

fn one_round(
    round: usize,
    [positives, held]: [&Samples; 2],
    run: &mut state::Run,
    options: &Options,
    progress: &mut dyn FnMut(Step),
) {
    let count = options.rounds[round];
    let columns = boost::Columns::new(positives, &run.negatives);
    let seed = options.seed.wrapping_add(round as u64);
    let first = &run.trees[..run.trees.len().min(options.kept)];
    let found = boost::boost(&columns, first, count, &options.learner, seed, &mut |done| {
        progress(Step::Trees(done, count));
    });
    run.trees = exits::set(&found, held, options.miss, options.slack);
    let report = RoundReport {
        trees: count,
        positives: positives.len(),
        negatives: run.negatives.len(),
        hit_rate: exits::passing(&run.trees, held),
        false_positive_rate: exits::passing(&run.trees, &run.negatives),
    };
    progress(Step::Rates(report.hit_rate, report.false_positive_rate));
    run.rounds.push(report);
}

fn pictures(folder: &Path, least: usize, what: &str) -> Result<Vec<PathBuf>> {
    let listed = list_pictures(folder)?;
    if listed.len() < least {
        let found = format!("{}: {} {what}", folder.display(), listed.len());
        return Err(Error::Invalid(format!("{found}; training needs at least {least}")));
    }
    Ok(listed.into_iter().map(|p| p.path).collect())
}

/// A tenth, ten neighbours of each hundred (or one of ten, where there are few): neighbours by name are often
/// the same person.
fn hold_out(paths: Vec<PathBuf>) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let run = if paths.len() < 1000 { 1 } else { 10 };
    let (held, rest): (Vec<_>, Vec<_>) =
        paths.into_iter().enumerate().partition(|(i, _)| i / run % 10 == 9);
    let paths = |v: Vec<(usize, PathBuf)>| v.into_iter().map(|p| p.1).collect();
    (paths(held), paths(rest))
}
