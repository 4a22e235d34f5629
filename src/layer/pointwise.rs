//! Layers that treat each element alone, or each with a value broadcast along some axes.

use super::source::Filler;
use super::{Inference, ParamSpec, ShapeResult, same};
use crate::shape::{AxisView, Shape};

/// ReLU with a learnt slope for each channel, or one for all.
#[derive(Clone, Debug, PartialEq)]
pub struct PRelu {
    /// One slope for all channels.
    pub shared: bool,
    /// First slopes.
    pub filler: Filler,
}

impl PRelu {
    /// The bottom seen along the axis of the slopes.
    pub fn view(&self, bottom: &Shape) -> AxisView {
        if self.shared { bottom.split(0, 0) } else { bottom.along(1) }
    }

    pub(super) fn infer(&self, bottom: &Shape) -> ShapeResult<Inference> {
        if bottom.rank() < 2 {
            return Err(format!("needs a shape (n, c, …), got {bottom}"));
        }
        let mut out = same(bottom)?;
        let dims = match self.shared {
            true => vec![],
            false => vec![bottom.dims()[1]],
        };
        out.params = vec![ParamSpec::new("weight", dims, self.filler)?];
        Ok(out)
    }
}

/// Dropout (Srivastava et al., 2014), scaled in training so that testing needs nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropout {
    /// Probability that an element is dropped.
    pub ratio: f32,
    /// Whether this is the training phase.
    pub active: bool,
}

/// Softmax along an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Softmax {
    /// The axis.
    pub axis: i32,
}

impl Softmax {
    pub(super) fn infer(&self, bottom: &Shape) -> ShapeResult<Inference> {
        bottom.axis(self.axis)?;
        same(bottom)
    }
}

/// A vector (or block) combined with a blob along neighbouring axes: Caffe's Scale and Bias.
#[derive(Clone, Debug, PartialEq)]
pub struct Broadcast {
    /// First axis of the blob that the vector lies along.
    pub axis: i32,
    /// How many axes; −1 means all from `axis` on. Ignored when there is a second bottom.
    pub axes: i32,
    /// First values of the factor (Scale) or the summand (Bias).
    pub filler: Filler,
    /// Scale only: first values of its own bias.
    pub bias: Option<Filler>,
}

impl Broadcast {
    /// The first bottom seen along the axes that the vector covers.
    pub fn view(&self, bottoms: &[&Shape]) -> ShapeResult<AxisView> {
        let blob = bottoms[0];
        let scalar = bottoms.get(1).is_some_and(|s| s.rank() == 0) || self.axes == 0;
        let from = if scalar && blob.rank() == 0 { 0 } else { blob.axis(self.axis)? };
        let to = match (bottoms.get(1), self.axes) {
            (Some(vector), _) => from + vector.rank(),
            (None, -1) => blob.rank(),
            (None, n) => {
                from + usize::try_from(n).map_err(|_| format!("num_axes {n} is negative"))?
            }
        };
        if to > blob.rank() {
            return Err(format!("axes {from} to {to} go beyond shape {blob}"));
        }
        if let Some(vector) = bottoms.get(1).filter(|v| v.dims() != &blob.dims()[from..to]) {
            return Err(format!("{vector} does not lie along {blob} from axis {from}"));
        }
        Ok(blob.split(from, to))
    }

    fn vector(&self, bottom: &Shape) -> ShapeResult<Vec<usize>> {
        self.view(&[bottom])?;
        let from = if self.axes == 0 { 0 } else { bottom.axis(self.axis)? };
        let to = match self.axes {
            -1 => bottom.rank(),
            n => from + n as usize,
        };
        Ok(bottom.dims()[from..to].to_vec())
    }

    pub(super) fn infer_scale(&self, bottoms: &[&Shape]) -> ShapeResult<Inference> {
        let mut out = self.infer_bias(bottoms)?;
        out.params.iter_mut().for_each(|p| p.name = "weight");
        if let Some(bias) = self.bias {
            let dims = match bottoms.get(1) {
                Some(vector) => vector.dims().to_vec(),
                None => self.vector(bottoms[0])?,
            };
            out.params.push(ParamSpec::new("bias", dims, bias)?);
        }
        Ok(out)
    }

    pub(super) fn infer_bias(&self, bottoms: &[&Shape]) -> ShapeResult<Inference> {
        self.view(bottoms)?;
        let mut out = same(bottoms[0])?;
        if bottoms.len() == 1 {
            let dims = self.vector(bottoms[0])?;
            out.params = vec![ParamSpec::new("bias", dims, self.filler)?];
        }
        Ok(out)
    }
}
