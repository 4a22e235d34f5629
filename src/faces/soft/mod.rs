//! Our own detector: a soft cascade of boosted trees over gradient channels.
//!
//! Flows in: a gray picture. Flows out: [`Hit`]s. Four steps, a file each:
//!
//! ```text
//! GrayPicture → pyramid → levels → scan (channels, trees, early exit) → windows → group → Hit
//! ```
//!
//! The picture shrinks, the window stays: 20 x 20 cells of two pixels slide over each level. One soft cascade
//! instead of stages: every tree adds to a running sum, and every tree may reject (Bourdev and Brandt,
//! CVPR 2005). How a [`Cascade`] lies on disk says [`mod@format`].

pub mod format;
mod group;
mod pyramid;
mod scan;

pub use pyramid::{BORDER, Level, Pyramid};
pub use scan::{Maps, Window, passing};

use super::rect::Rect;
use crate::image::GrayPicture;
use likenet_kernels::cpu::table::Kernels;

/// Cells along the window.
pub const WINDOW: usize = 20;

/// A trained cascade.
#[derive(Clone, Debug, PartialEq)]
pub struct Cascade {
    /// The trees, in the order in which windows meet them.
    pub trees: Vec<Tree>,
    /// Where the object lies in the window, as parts of its side: left, top, width, height.
    pub object: [f32; 4],
    /// Platt's (a, b): probability = 1 / (1 + exp(a · score + b)).
    pub calibration: [f64; 2],
}

/// A tree of depth two: its root, then the node that small values come to, then the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    /// What each node asks.
    pub nodes: [Node; 3],
    /// What is added to the score, in 1/[`UNIT`].
    pub leaves: [i16; 4],
    /// A window whose score so far (this tree included) lies below it is rejected.
    pub exit: i32,
}

/// Whether a channel's value at a cell of the window lies above a threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The channel.
    pub channel: u8,
    /// Column and row of the cell.
    pub cell: [u8; 2],
    /// A value above it goes right.
    pub threshold: u8,
}

/// Levels of the pyramid from one size to its double.
pub const LEVELS_PER_OCTAVE: usize = 8;

/// What one unit of a boosted score is on the scale of [`Tree::leaves`].
pub const UNIT: f32 = 512.0;

/// How a picture is searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Pixels along the smallest window.
    pub min_size: f32,
    /// Pyramid levels from one size to its double.
    pub levels_per_octave: usize,
    /// Instruction set.
    pub kernels: &'static Kernels,
}

/// A found object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Left, top, width, height of the object, in pixels of the picture. May reach outside.
    pub rect: [f32; 4],
    /// The trees' sum.
    pub score: f32,
}

impl Hit {
    /// The rectangle by names.
    pub fn rect(&self) -> Rect {
        let [x, y, w, h] = self.rect.map(f64::from);
        Rect { x, y, w, h }
    }
}

impl Cascade {
    /// What the cascade finds, best first.
    pub fn detect(&self, picture: &GrayPicture, settings: &Settings) -> Vec<Hit> {
        let pyramid = Pyramid::new(picture, settings);
        let windows = scan::scan(self, &pyramid);
        group::group(windows).into_iter().map(|w| self.place(&w)).collect()
    }

    /// The probability that a hit of this score is right.
    pub fn probability(&self, score: f32) -> f32 {
        let [a, b] = self.calibration;
        (1.0 / (1.0 + (a * f64::from(score) + b).exp())) as f32
    }

    fn place(&self, window: &Window) -> Hit {
        let [x, y, w, h] = window.rect;
        let [left, top, width, height] = self.object;
        Hit { rect: [x + left * w, y + top * h, width * w, height * h], score: window.score }
    }
}
