//! Layers that blobs come from, and the fillers that give parameters their first values.

use super::{Inference, ShapeResult};
use crate::shape::Shape;

/// Which of Caffe's data layers a source was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// `Input`: the caller sets the blob.
    Input,
    /// `Data`: pictures from a database.
    Data,
    /// `ImageData`: pictures from a list of files.
    ImageData,
    /// `MemoryData`: the caller sets data and labels.
    MemoryData,
    /// `DummyData`: filled once.
    DummyData,
}

/// A layer without bottoms.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Which data layer.
    pub kind: SourceKind,
    /// Shape of each top, where the description says it.
    pub shapes: Vec<Option<Shape>>,
    /// First values of each top (DummyData); zeros otherwise.
    pub fillers: Vec<Filler>,
}

impl Source {
    pub(super) fn infer(&self, tops: usize) -> ShapeResult<Inference> {
        let shape = |top: usize| {
            let index = if self.shapes.len() == 1 { 0 } else { top };
            self.shapes.get(index).cloned().flatten().ok_or(format!(
                "does not say the shape of its top {top}: name it, as in --input data=1,3,227,227"
            ))
        };
        let tops: Vec<Shape> = (0..tops).map(shape).collect::<ShapeResult<_>>()?;
        Ok(Inference::tops(tops))
    }
}

/// What a variance-preserving filler divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum VarianceNorm {
    /// Inputs of a unit.
    #[default]
    FanIn,
    /// Outputs of a unit.
    FanOut,
    /// The mean of both.
    Average,
}

/// The law of a filler.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FillerKind {
    /// One value.
    Constant(f32),
    /// Uniform in [min, max).
    Uniform {
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
    },
    /// Normal.
    Gaussian {
        /// Mean.
        mean: f32,
        /// Standard deviation.
        std: f32,
    },
    /// Uniform ±√(3/n) (Glorot and Bengio, 2010).
    Xavier(VarianceNorm),
    /// Normal with standard deviation √(2/n) (He et al., 2015).
    Msra(VarianceNorm),
    /// Uniform in [0, 1), then each unit's weights divided by their sum.
    PositiveUnitball,
    /// The kernel of bilinear interpolation, for deconvolutions that enlarge.
    Bilinear,
}

/// How a parameter gets its first values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Filler {
    /// The law.
    pub kind: FillerKind,
    /// Gaussian only: on average this many inputs of a unit are not zero; −1 means all.
    pub sparse: i32,
}

impl Filler {
    /// A filler with one value.
    pub fn constant(value: f32) -> Self {
        Self { kind: FillerKind::Constant(value), sparse: -1 }
    }
}
