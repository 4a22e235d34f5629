//! One detector for every kind of cascade. Flows in: a cascade file, pictures. Flows out: [`Face`]s.

use super::rect::{Face, Rect};
use super::soft;
use crate::error::{Error, Result};
use crate::image::{GrayPicture, Picture};
use likenet_kernels::cpu::table::{self, Kernels};
use std::path::Path;

/// Our own cascade, as it was trained from public faces with the defaults of `likenet faces train`.
const OWN: &str = include_str!("own.cascade");

/// A cascade of any kind, ready to search.
pub enum Detector {
    /// Ours: confidences are probabilities.
    Soft(soft::Cascade),
}

/// How pictures are searched.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// The smallest face, in pixels along its longer side.
    pub min_size: f32,
    /// The least confidence, in the cascade's own measure ([`Detector::measure`]).
    pub confidence: f32,
    /// Instruction set.
    pub kernels: &'static Kernels,
}

/// What a cascade's confidences are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The probability that the box holds a face.
    Probability,
    /// How many windows found it (OpenCV).
    Windows,
    /// Passed stages, and how clearly the last one was (ccv).
    Stages,
}

impl Search {
    /// Faces from 40 pixels, whatever their confidence, with the fastest kernels.
    pub fn new() -> Result<Self> {
        let kernels = table::best().map_err(Error::Invalid)?;
        Ok(Self { min_size: 40.0, confidence: f32::NEG_INFINITY, kernels })
    }
}

impl Detector {
    /// The cascade that this program carries.
    pub fn own() -> Self {
        Self::Soft(soft::Cascade::parse(OWN).expect("the cascade that a test reads"))
    }

    /// Reads a cascade of any kind; its first bytes tell which.
    pub fn read(path: &Path) -> Result<Self> {
        soft::Cascade::read(path).map(Self::Soft)
    }

    /// What its confidences are.
    pub fn measure(&self) -> Measure {
        match self {
            Self::Soft(_) => Measure::Probability,
        }
    }

    /// The faces in a picture, surest first.
    pub fn detect(&self, picture: &Picture, search: &Search) -> Vec<Face> {
        self.detect_gray(&picture.to_gray(), search)
    }

    /// The faces in a gray picture, surest first.
    pub fn detect_gray(&self, picture: &GrayPicture, search: &Search) -> Vec<Face> {
        let mut faces = match self {
            Self::Soft(cascade) => soft_faces(cascade, picture, search),
        };
        faces.retain(|face| face.confidence >= search.confidence);
        faces.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        faces
    }
}

fn soft_faces(cascade: &soft::Cascade, picture: &GrayPicture, search: &Search) -> Vec<Face> {
    let longer = cascade.object[2].max(cascade.object[3]);
    let settings = soft::Settings {
        min_size: search.min_size / longer,
        levels_per_octave: soft::LEVELS_PER_OCTAVE,
        kernels: search.kernels,
    };
    let face = |hit: &soft::Hit| {
        let confidence = cascade.probability(hit.score);
        Face { rect: inside(hit.rect(), picture), confidence }
    };
    cascade.detect(picture, &settings).iter().map(face).collect()
}

/// The part of a rectangle that lies in the picture.
fn inside(rect: Rect, picture: &GrayPicture) -> Rect {
    let (right, bottom) = (picture.width as f32, picture.height as f32);
    let (x, y) = (rect.x.clamp(0.0, right), rect.y.clamp(0.0, bottom));
    let (w, h) = ((rect.x + rect.w).min(right) - x, (rect.y + rect.h).min(bottom) - y);
    Rect { x, y, w: w.max(0.0), h: h.max(0.0) }
}
