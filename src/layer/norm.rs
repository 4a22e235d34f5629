//! Layers that normalise: LRN, batch normalisation, MVN.

use super::source::Filler;
use super::{Inference, ParamSpec, ShapeResult, same};
use crate::shape::{AxisView, Shape};
use likenet_kernels::ops::LrnParams;

/// Which neighbours a value is normalised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LrnRegion {
    /// The same place in the channels around it.
    AcrossChannels,
    /// A square around it in its own channel.
    WithinChannel,
}

/// Local response normalisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Lrn {
    /// Across or within channels.
    pub region: LrnRegion,
    /// Width and constants.
    pub params: LrnParams,
}

impl Lrn {
    pub(super) fn infer(&self, bottom: &Shape) -> ShapeResult<Inference> {
        bottom.nchw()?;
        same(bottom)
    }
}

/// Batch normalisation, without scale and bias. Parameters: sums of means and variances, and the
/// factor that both are divided by.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm {
    /// Normalise by the stored moments instead of the batch's own.
    pub stored: bool,
    /// Share of the old sums that a training step keeps.
    pub fraction: f32,
    /// Added to the variance.
    pub eps: f32,
}

impl BatchNorm {
    /// The bottom seen along its channels: axis 1, or one channel when there is no such axis.
    pub fn view(&self, bottom: &Shape) -> AxisView {
        match bottom.rank() {
            0 | 1 => AxisView { outer: 1, len: 1, inner: bottom.count() },
            _ => bottom.along(1),
        }
    }

    pub(super) fn infer(&self, bottom: &Shape) -> ShapeResult<Inference> {
        let channels = self.view(bottom).len;
        let zeros = Filler::constant(0.0);
        let mut out = same(bottom)?;
        out.params = vec![
            ParamSpec::new("mean", [channels], zeros)?,
            ParamSpec::new("variance", [channels], zeros)?,
            ParamSpec::new("scale_factor", [1], zeros)?,
        ];
        Ok(out)
    }
}

/// Mean and variance normalisation of each picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Mvn {
    /// Also divide by the standard deviation.
    pub variance: bool,
    /// All channels together instead of each alone.
    pub across_channels: bool,
    /// Added to the standard deviation.
    pub eps: f32,
}

impl Mvn {
    /// Length of the rows that are normalised.
    pub fn row(&self, bottom: &Shape) -> usize {
        let first = if self.across_channels { 1 } else { 2 };
        bottom.count_in(first.min(bottom.rank())..bottom.rank())
    }

    pub(super) fn infer(&self, bottom: &Shape) -> ShapeResult<Inference> {
        same(bottom)
    }
}
