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
    /// Where the pictures come from (Data, ImageData).
    pub data: Option<DataLayer>,
}

/// What a Data or ImageData layer says about its pictures, under Caffe's names.
#[derive(Clone, Debug, PartialEq)]
pub struct DataLayer {
    /// The list (ImageData) or the database (Data).
    pub source: String,
    /// The database's kind; without meaning for ImageData.
    pub backend: Database,
    /// Samples of a batch.
    pub batch_size: usize,
    /// Whether each epoch has an order of its own.
    pub shuffle: bool,
    /// Fewer than this many samples are skipped at the beginning; 0 for none.
    pub rand_skip: usize,
    /// What is put before each path of the list, character by character.
    pub root_folder: String,
    /// Rows and columns to resize to; 0 and 0 for no resizing.
    pub new_height: usize,
    /// See `new_height`.
    pub new_width: usize,
    /// Whether the list's pictures are read in colour or in gray.
    pub is_color: bool,
    /// Side of the square crop; 0 for none.
    pub crop_size: usize,
    /// Whether every other sample, by chance, is mirrored.
    pub mirror: bool,
    /// What is multiplied by after the mean is subtracted.
    pub scale: f32,
    /// A mean picture, `.binaryproto`; empty for none.
    pub mean_file: String,
    /// One mean for all channels, or one for each.
    pub mean_value: Vec<f32>,
    /// Whether a database's encoded pictures are all read in colour.
    pub force_color: bool,
    /// Whether a database's encoded pictures are all read in gray.
    pub force_gray: bool,
    /// Whether the layer belongs to training: its crop is then at a random place.
    pub train: bool,
}

/// The databases that Caffe's Data layer names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// Caffe's default; not read here.
    LevelDb,
    /// LMDB.
    Lmdb,
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
