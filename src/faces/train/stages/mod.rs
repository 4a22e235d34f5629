//! Training a cascade of stages over classical features: SURF, Haar-like, local binary patterns.
//!
//! Flows in: crops, backgrounds, [`StageOptions`]. Flows out: a cascade in a format that other programs run too.
//!
//! ```text
//! crops → augmented windows that pass so far ─┬→ boost a stage → threshold from held-out crops ─→ cascade
//! backgrounds → windows that pass so far ─────┘        ↑ each stage                          ↲
//! ```
//!
//! Stages are Viola's and Jones's (2001): each finds nearly all faces that came so far, and half of the rest at
//! most. The next one learns what they could not tell apart. A tenth of the crops is held out for the
//! thresholds: those that a stage was fitted to score higher than new ones.

mod haar;
mod lbp;
mod stage;
#[cfg(feature = "sqlite")]
mod surf;
mod trees;
mod windows;

use super::augment::{Augment, Framing};
use super::boost::Boosting;
use super::{hold_out, pictures};
use crate::error::{Error, Result};
use crate::faces::opencv;
#[cfg(feature = "sqlite")]
use crate::faces::scd;
use crate::image::GrayPicture;
use crate::rng::Rng;
use likenet_kernels::cpu::table;
use serde::{Deserialize, Serialize};
use stage::{Family, Stage, one_stage};
use std::path::Path;
use windows::{Negatives, Windows, positives};

/// What a cascade looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Features {
    /// Gradients of patches, in a window of 40 x 40 pixels.
    #[cfg(feature = "sqlite")]
    Surf,
    /// Differences of rectangles, in a window of 24 x 24 pixels.
    Haar {
        /// Whether rectangles are turned by 45° too.
        tilted: bool,
    },
    /// Local binary patterns of blocks, in a window of 24 x 24 pixels.
    Lbp,
}

/// What is trained, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageOptions {
    /// What the cascade looks at.
    pub features: Features,
    /// Where the object lies in a crop.
    pub framing: Framing,
    /// How crops are varied.
    pub augment: Augment,
    /// Variations of each crop.
    pub copies: usize,
    /// Most stages.
    pub stages: usize,
    /// Most weak learners of a stage.
    pub weak: usize,
    /// Features that a weak learner, or each tree, is chosen from, drawn at random.
    pub candidates: usize,
    /// Part of the held-out windows of objects that a stage must pass.
    pub hit_rate: f32,
    /// Part of the other windows at which a stage is good enough.
    pub false_positive_rate: f32,
    /// Levels of a tree's nodes: 1 for stumps. SURF has none.
    pub depth: usize,
    /// What a leaf says. SURF's learners are Gentle.
    pub boosting: Boosting,
    /// A stage also ends where a weak learner adds less than this to the area under its ROC curve; −1: never.
    pub gain: f64,
    /// Windows without the object for each stage. Training ends when a tenth of them cannot be found.
    pub negatives: usize,
    /// Seed of everything random.
    pub seed: u64,
}

/// Most levels of a tree: more would fit noise.
const MAX_DEPTH: usize = 8;

impl StageOptions {
    /// What suits those features: windows are nearly upright, and not enlarged.
    pub fn new(features: Features) -> Self {
        // Trees are weak: many make a stage, and some help only later ones.
        let (candidates, gain) = match features {
            #[cfg(feature = "sqlite")]
            Features::Surf => (256, 1e-5),
            _ => (3000, -1.0),
        };
        let augment = Augment { roll: 12.0, scale: 0.1, small: 0.0, ..Augment::default() };
        Self {
            features,
            framing: Framing::default(),
            augment,
            copies: 1,
            stages: 20,
            weak: 200,
            candidates,
            hit_rate: 0.995,
            false_positive_rate: 0.5,
            depth: 1,
            boosting: Boosting::Gentle,
            gain,
            negatives: 5000,
            seed: 1,
        }
    }

    /// Fails where the options make no cascade.
    fn check(&self) -> Result<()> {
        let counts = [self.copies, self.stages, self.weak, self.candidates, self.negatives];
        let part = |v: f32| v > 0.0 && v <= 1.0;
        let reason = if counts.contains(&0) {
            "copies, stages, weak, candidates and negatives begin at 1"
        } else if !(1..=MAX_DEPTH).contains(&self.depth) {
            "trees have 1 to 8 levels"
        } else if !part(self.hit_rate) || !part(self.false_positive_rate) {
            "rates are parts: above 0, at most 1"
        } else if !(self.framing.side.is_finite() && self.framing.side > 0.0) {
            "the window must have a size"
        } else {
            return Ok(());
        };
        Err(Error::Invalid(reason.into()))
    }
}

/// How far a training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StageStep {
    /// Pictures were listed: crops, backgrounds.
    Listed(usize, usize),
    /// A stage (from 0) begins with so many windows of the object, and so many others.
    Stage(usize, usize, usize),
    /// Weak learners so far, the area under the stage's ROC curve, and the part of other windows that passes.
    Weak(usize, f64, f32),
    /// A stage is done: the part of all held-out windows of the object that passes the cascade so far.
    Hits(f32),
}

/// A trained cascade.
#[derive(Clone, Debug, PartialEq)]
pub enum Staged {
    /// Of SURF patches: ccv's format. It was trained on gray pictures, and is to search such.
    #[cfg(feature = "sqlite")]
    Scd(scd::Cascade),
    /// Of Haar-like features or local binary patterns: OpenCV's format.
    OpenCv(opencv::Cascade),
}

impl Staged {
    /// The upper left corners of a picture's windows that pass, among those that a search looks at.
    fn passing(&self, picture: &GrayPicture) -> Result<Vec<[usize; 2]>> {
        let rects: Vec<[i32; 4]> = match self {
            #[cfg(feature = "sqlite")]
            Self::Scd(cascade) => {
                let side = cascade.size.width as u32;
                let settings =
                    scd::Settings { min_size: side, min_neighbours: 0, interval: 0, step: 4 };
                let hits = cascade.detect(scd::Image::Gray(picture), &settings)?;
                // Windows of the picture's halves are larger.
                hits.iter().map(|h| h.rect).filter(|r| r[2] == side as i32).collect()
            }
            Self::OpenCv(cascade) => {
                let max_size = Some(cascade.window()[0] as u32);
                let settings = opencv::Settings {
                    min_neighbours: 0,
                    min_size: 0,
                    max_size,
                    ..opencv::Settings::default()
                };
                cascade.detect(picture, &settings)?.iter().map(|hit| hit.rect).collect()
            }
        };
        Ok(rects.iter().map(|r| [r[0] as usize, r[1] as usize]).collect())
    }
}

/// Trains a cascade stage by stage. Stages end when there are enough, or when the backgrounds have too few
/// windows left that pass.
///
/// Fails where either folder has too few pictures, or where pictures cannot be read.
pub fn train_stages(
    faces: &Path,
    backgrounds: &Path,
    options: &StageOptions,
    progress: &mut dyn FnMut(StageStep),
) -> Result<Staged> {
    options.check()?;
    let folders = [faces, backgrounds];
    match options.features {
        #[cfg(feature = "sqlite")]
        Features::Surf => run(&surf::Surf::new(options)?, folders, options, progress),
        Features::Haar { tilted } => {
            run(&trees::Trees::new(haar::pool(tilted), options), folders, options, progress)
        }
        Features::Lbp => run(&trees::Trees::new(lbp::pool(), options), folders, options, progress),
    }
}

fn run<F: Family>(
    family: &F,
    [faces, backgrounds]: [&Path; 2],
    options: &StageOptions,
    progress: &mut dyn FnMut(StageStep),
) -> Result<Staged> {
    let kernels = table::best().map_err(Error::Invalid)?;
    let crops = pictures(faces, 20, "pictures of the object")?;
    let photos = pictures(backgrounds, 10, "backgrounds")?;
    progress(StageStep::Listed(crops.len(), photos.len()));
    let (held_crops, crops) = hold_out(crops);
    let windows = |crops| positives::<F>(crops, options, kernels);
    let (mut objects, mut held) = (windows(&crops)?, windows(&held_crops)?);
    let all_held = held.len().max(1) as f32;
    let negatives = Negatives { photos: &photos, seed: options.seed, kernels };
    let (mut others, mut stages) = (Windows::new(F::FRAME), Vec::<Stage<F::Weak>>::new());
    while stages.len() < options.stages {
        let number = stages.len();
        let cascade = (number > 0).then(|| family.cascade(&stages));
        negatives.fill::<F>(number, cascade.as_ref(), options.negatives, &mut others)?;
        if objects.is_empty() || others.len() * 10 < options.negatives {
            break;
        }
        progress(StageStep::Stage(number, objects.len(), others.len()));
        let mut rng = Rng::new(options.seed ^ (number as u64) << 32);
        let stage = one_stage(family, [&objects, &others, &held], options, &mut rng, progress);
        for windows in [&mut objects, &mut others, &mut held] {
            windows.keep(&stage.passing(family, windows));
        }
        progress(StageStep::Hits(held.len() as f32 / all_held));
        stages.push(stage);
    }
    if stages.is_empty() {
        return Err(Error::Invalid(format!(
            "{} windows of objects, {} others: too few for a stage; give larger pictures, or ask for fewer \
             negatives",
            objects.len(),
            others.len()
        )));
    }
    Ok(family.cascade(&stages))
}
