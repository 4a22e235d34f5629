//! OpenCV's cascade classifiers: `CascadeClassifier::detectMultiScale`, answer for answer.
//!
//! Flows in: an XML file of a cascade, and a gray photo. Flows out: rectangles, and how sure each is.
//!
//! ```text
//! XML → Cascade ┐
//! photo → levels (smaller and smaller copies) → integral images → windows of the cascade's size
//!                                     each through the stages → raw hits → grouped hits
//! ```
//!
//! Stages of boosted Haar features are Viola's and Jones's (2001), with Lienhart's tilted rectangles and trees
//! (2002); local binary patterns of blocks are those of Zhang et al. (2007). Where the papers leave something
//! open, this does as OpenCV 4 does, to the last bit.

mod group;
pub(super) mod haar;
pub(super) mod lbp;
pub(super) mod scan;
mod write;
pub(super) mod xml;

use crate::error::{Error, Result};
use crate::image::GrayPicture;
use likenet_kernels::cpu::cascade::Stage;
use likenet_kernels::cpu::table::{self, Kernels};
use std::path::Path;

/// A cascade of boosted trees, as a file holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Cascade {
    /// Columns and rows of its window.
    pub(super) window: [usize; 2],
    pub(super) stages: Stages,
}

/// The stages, by what their nodes look at.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stages {
    Haar(Vec<Stage<haar::Feature>>),
    Lbp(Vec<Stage<lbp::Feature>>),
}

/// How to look for faces.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How much larger each size of window is than the one before; at least [`Settings::LEAST_FACTOR`].
    pub scale_factor: f64,
    /// A group of hits counts when it has more members than this; 0: hits are not grouped.
    pub min_neighbours: u32,
    /// Windows of fewer pixels a side are left out.
    pub min_size: u32,
    /// Windows of more pixels a side are left out.
    pub max_size: Option<u32>,
    /// The instruction set, where it is not to be the fastest.
    pub kernels: Option<&'static Kernels>,
}

impl Settings {
    /// The least [`Settings::scale_factor`], which keeps the number of sizes within reason.
    pub const LEAST_FACTOR: f64 = 1.001;
}

impl Default for Settings {
    fn default() -> Self {
        let kernels = None;
        Self { scale_factor: 1.1, min_neighbours: 3, min_size: 40, max_size: None, kernels }
    }
}

/// A place where the cascade sees what it was trained for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Left column, top row, columns, rows, in the photo's pixels.
    pub rect: [i32; 4],
    /// Raw hits in the group.
    pub neighbours: u32,
    /// The last stage's sum, the largest among the group's.
    pub weight: f64,
}

impl Cascade {
    /// Reads a cascade from an XML file, in OpenCV's format or the one before ("opencv-haar-classifier").
    ///
    /// Fails when the file cannot be read or is no such cascade, and says which stage, tree and node is at fault.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        Self::parse(&text).map_err(|e| Error::Invalid(format!("{}: {e}", path.display())))
    }

    /// Reads a cascade from the text of such a file. Fails as [`Cascade::read`].
    pub fn parse(text: &str) -> Result<Self> {
        xml::parse(text).map_err(Error::Invalid)
    }

    /// Columns and rows of the window that the cascade was trained on.
    pub fn window(&self) -> [usize; 2] {
        self.window
    }

    /// Hits in a gray photo (OpenCV's gray is [`to_luma`](crate::image::Picture::to_luma)), in OpenCV's order, cut to
    /// the photo.
    ///
    /// Fails when the settings make no sense, or the forced instruction set is not to be had.
    pub fn detect(&self, photo: &GrayPicture, settings: &Settings) -> Result<Vec<Hit>> {
        let raw = self.scan(photo, settings)?;
        let hits = match settings.min_neighbours {
            0 => raw,
            least => group::group(&raw, least),
        };
        Ok(hits.into_iter().filter_map(|hit| clip(hit, photo)).collect())
    }

    /// Every window that passes, neither grouped nor cut: from the smallest size to the largest, each row by row.
    fn scan(&self, photo: &GrayPicture, settings: &Settings) -> Result<Vec<Hit>> {
        let factor = settings.scale_factor;
        if !factor.is_finite() || factor < Settings::LEAST_FACTOR {
            let least = Settings::LEAST_FACTOR;
            let reason = format!("scale_factor is {factor}: give at least {least}");
            return Err(Error::Invalid(reason));
        }
        let (width, height) = (photo.width, photo.height);
        if width.checked_mul(height) != Some(photo.data.len()) || photo.data.is_empty() {
            let values = photo.data.len();
            let reason = format!("a photo of {width} x {height} pixels with {values} values");
            return Err(Error::Invalid(reason));
        }
        let kernels = settings.kernels.map_or_else(table::best, Ok).map_err(Error::Invalid)?;
        let levels = scan::levels(self.window, photo, settings);
        Ok(match &self.stages {
            Stages::Haar(stages) => scan::scan(self.window, stages, photo, &levels, kernels),
            Stages::Lbp(stages) => scan::scan(self.window, stages, photo, &levels, kernels),
        })
    }
}

/// The part of a hit that lies in the photo.
fn clip(hit: Hit, photo: &GrayPicture) -> Option<Hit> {
    let [x, y, w, h] = hit.rect;
    let (left, top) = (x.max(0), y.max(0));
    let (right, bottom) = ((x + w).min(photo.width as i32), (y + h).min(photo.height as i32));
    let rect = [left, top, right - left, bottom - top];
    (rect[2] > 0 && rect[3] > 0).then_some(Hit { rect, ..hit })
}
