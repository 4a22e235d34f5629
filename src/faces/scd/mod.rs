//! SCD, a cascade of logistic regressions on SURF patches, as ccv trains and runs it.
//!
//! Flows in: a picture and a [`Cascade`], read from ccv's sqlite3 file. Flows out: [`Hit`]s.
//!
//! ```text
//! picture → pyramid (smaller and smaller) → gradient channels, integral images
//!         → scan (windows, stage by stage, until one rejects) → group (hits of one face) → hits
//! ```
//!
//! Li and Zhang, Learning SURF Cascade for Fast and Accurate Object Detection (CVPR 2013); where ccv's
//! `ccv_scd.c` differs from the paper, this follows ccv, so that its cascades give ccv's rectangles.

mod group;
mod pyramid;
mod scan;
mod sqlite;

use crate::error::{Error, Result};
use crate::image::{GrayPicture, Picture, Size};
use likenet_kernels::cpu::surf::NUMBERS;
use likenet_kernels::cpu::table;
use rayon::prelude::*;

/// Least and largest side of a window, in pixels.
const SIDES: std::ops::RangeInclusive<usize> = 4..=1024;

/// Most stages of a cascade.
const MAX_STAGES: usize = 256;

/// Most weak learners of a cascade, some 13 MB.
const MAX_WEAK: usize = 1 << 16;

/// Most pixels of a picture, enlarged where the smallest face asks for it.
const MAX_PIXELS: f64 = 400e6;

/// Most hits that are grouped, which takes each pair of them.
const MAX_HITS: usize = 1 << 16;

/// A detector of objects of one kind: stages that a window must pass one after another.
#[derive(Clone, Debug, PartialEq)]
pub struct Cascade {
    /// Rows and columns of the window.
    pub size: Size,
    /// Pixels of the window around the object: left, top, right, bottom.
    pub margins: [u32; 4],
    /// The stages, first to last.
    pub stages: Vec<Stage>,
}

/// Weak learners whose answers are added.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// A window passes with a sum above this.
    pub threshold: f32,
    /// The learners.
    pub weak: Vec<Weak>,
}

/// A logistic regression on the 32 numbers of a patch: `tanh((bias + Σ weightᵢ · numberᵢ) / 2)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Weak {
    /// The patch's four cells: left, top, right, bottom in the window; the last two are outside the cell.
    pub cells: [[u16; 4]; 4],
    /// What is added.
    pub bias: f32,
    /// Eight channels of the first cell, then of the second, third and fourth.
    pub weights: [f32; NUMBERS],
}

/// What is searched: colour finds a little more, gray takes half the time.
#[derive(Clone, Copy, Debug)]
pub enum Image<'a> {
    /// A colour picture, whose gradients are those of the channel where they are strongest.
    Colour(&'a Picture),
    /// A gray picture.
    Gray(&'a GrayPicture),
}

/// How a picture is searched; the defaults are ccv's for faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Side of the smallest face in pixels. Below the window's side the picture is enlarged.
    pub min_size: u32,
    /// Least hits of a group that counts as a face; 0 gives all hits, ungrouped.
    pub min_neighbours: u32,
    /// Sizes between a size and its double.
    pub interval: u32,
    /// Pixels between windows, of the scaled picture.
    pub step: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { min_size: 48, min_neighbours: 1, interval: 5, step: 4 }
    }
}

/// A face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Left, top, width, height in pixels.
    pub rect: [i32; 4],
    /// The last stage's mean answer, from −1 to 1, plus the number of stages before it.
    pub confidence: f32,
    /// Hits of this face, this one included.
    pub neighbours: u32,
}

impl Cascade {
    /// Finds faces: of each group of hits the most confident one, groups in the order of their first hits,
    /// which come from the smallest faces to the largest, then from the top.
    ///
    /// Fails when the cascade, the picture or the settings make no sense: see the message.
    pub fn detect(&self, image: Image, settings: &Settings) -> Result<Vec<Hit>> {
        self.check().map_err(Error::Invalid)?;
        let kernels = table::best().map_err(Error::Invalid)?;
        let mut octave = self.first_octave(image, settings)?;
        let mut hits = Vec::new();
        let ratio = pyramid::ratio(self.size, settings.min_size);
        for halvings in 0..pyramid::octaves(self.size, octave.size()) {
            if halvings > 0 {
                octave = pyramid::half(&octave);
            }
            let levels = pyramid::levels(&octave, self.size, settings.interval);
            let scan = |level: &pyramid::Level| {
                // One pixel of the level in pixels of the picture.
                let scale = level.scale / ratio * 2f64.powi(halvings as i32);
                scan::level(kernels, self, &level.planes, settings.step, scale)
            };
            hits.extend(levels.par_iter().map(scan).collect::<Vec<_>>().into_iter().flatten());
        }
        match settings.min_neighbours {
            0 => Ok(hits),
            _ if hits.len() > MAX_HITS => Err(Error::Invalid(format!(
                "{} windows of one picture pass, too many to group: the cascade's thresholds are too low",
                hits.len()
            ))),
            least => Ok(group::group(&hits, least)),
        }
    }

    /// The picture in planes, enlarged so that the window holds the smallest face.
    fn first_octave(&self, image: Image, settings: &Settings) -> Result<pyramid::Octave> {
        let refuse = |reason: String| Err(Error::Invalid(reason));
        if settings.min_size == 0 || settings.step == 0 || settings.interval > 64 {
            return refuse(format!(
                "{settings:?}: smallest face and step begin at 1, intervals end at 64"
            ));
        }
        if self.margins != [0; 4] {
            return refuse("cascades with margins can be read, but not run".into());
        }
        let octave = pyramid::Octave::new(image)?;
        let ratio = pyramid::ratio(self.size, settings.min_size);
        let Size { height, width } = octave.size();
        if height as f64 * width as f64 * ratio * ratio > MAX_PIXELS {
            return refuse(format!(
                "{}, enlarged {ratio} times for faces of {} pixels, is too large: search for larger faces",
                octave.size(),
                settings.min_size
            ));
        }
        Ok(pyramid::enlarge(octave, ratio))
    }

    /// What is wrong with the cascade, if anything is.
    fn check(&self) -> std::result::Result<(), String> {
        let Size { height, width } = self.size;
        if !SIDES.contains(&height) || !SIDES.contains(&width) {
            return Err(format!("a window of {} is none: sides go from 4 to 1024", self.size));
        }
        let [left, top, right, bottom] = self.margins.map(|m| m as usize);
        if left.saturating_add(right) >= width || top.saturating_add(bottom) >= height {
            return Err(format!(
                "margins {:?} leave nothing of a window of {}",
                self.margins, self.size
            ));
        }
        if self.stages.is_empty() || self.stages.len() > MAX_STAGES {
            return Err(format!("{} stages: there must be 1 to {MAX_STAGES}", self.stages.len()));
        }
        if self.stages.iter().map(|s| s.weak.len()).sum::<usize>() > MAX_WEAK {
            return Err(format!("more than {MAX_WEAK} features"));
        }
        for (s, stage) in self.stages.iter().enumerate() {
            if stage.weak.is_empty() || !stage.threshold.is_finite() {
                return Err(format!("stage {s}: it needs features and a finite threshold"));
            }
            for (f, weak) in stage.weak.iter().enumerate() {
                weak.check(self.size).map_err(|e| format!("stage {s}, feature {f}: {e}"))?;
            }
        }
        Ok(())
    }
}

impl Weak {
    fn check(&self, size: Size) -> std::result::Result<(), String> {
        for cell in self.cells {
            let [left, top, right, bottom] = cell.map(usize::from);
            if left >= right || top >= bottom || right > size.width || bottom > size.height {
                return Err(format!("cell {cell:?} is empty or leaves the window of {size}"));
            }
        }
        if !self.bias.is_finite() || !self.weights.iter().all(|w| w.is_finite()) {
            return Err("bias and weights must be finite".into());
        }
        Ok(())
    }
}
