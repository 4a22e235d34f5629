//! Layers with a matrix of weights: the fully connected layer, and the table that rows are looked up in.

use super::source::Filler;
use super::{Inference, ParamSpec, ShapeResult};
use crate::shape::Shape;

/// `y = W·x + b`. Weights `(outputs, inputs)`, or `(inputs, outputs)` when transposed.
#[derive(Clone, Debug, PartialEq)]
pub struct InnerProduct {
    /// Outputs.
    pub outputs: usize,
    /// Axes from here on are the inputs; those before it are the batch.
    pub axis: i32,
    /// Whether the weights are stored transposed.
    pub transpose: bool,
    /// First weights.
    pub weight: Filler,
    /// First biases; none when the layer has no bias.
    pub bias: Option<Filler>,
}

impl InnerProduct {
    /// Rows of the batch and inputs of a row.
    pub fn rows_and_inputs(&self, bottom: &Shape) -> ShapeResult<(usize, usize)> {
        let axis = bottom.axis(self.axis)?;
        Ok((bottom.count_in(0..axis), bottom.count_in(axis..bottom.rank())))
    }

    pub(super) fn infer(&self, bottom: &Shape) -> ShapeResult<Inference> {
        let (rows, inputs) = self.rows_and_inputs(bottom)?;
        let axis = bottom.axis(self.axis)?;
        let mut top = bottom.dims()[..axis].to_vec();
        top.push(self.outputs);
        let weight = match self.transpose {
            false => [self.outputs, inputs],
            true => [inputs, self.outputs],
        };
        let mut params = vec![ParamSpec::new("weight", weight, self.weight)?];
        if let Some(bias) = self.bias {
            params.push(ParamSpec::new("bias", [self.outputs], bias)?);
        }
        Ok(Inference {
            tops: vec![Shape::new(top)?],
            params,
            macs: (rows * inputs) as u64 * self.outputs as u64,
        })
    }
}

/// The row of a table for each index: a fully connected layer whose inputs are all zero but one.
/// Weights `(rows, outputs)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Embed {
    /// Rows of the table; indices are below it.
    pub rows: usize,
    /// Elements of a row.
    pub outputs: usize,
    /// First weights.
    pub weight: Filler,
    /// First biases; none when the layer has no bias.
    pub bias: Option<Filler>,
}

impl Embed {
    pub(super) fn infer(&self, bottom: &Shape) -> ShapeResult<Inference> {
        let mut params = vec![ParamSpec::new("weight", [self.rows, self.outputs], self.weight)?];
        if let Some(bias) = self.bias {
            params.push(ParamSpec::new("bias", [self.outputs], bias)?);
        }
        let top = Shape::new([bottom.dims(), &[self.outputs]].concat())?;
        Ok(Inference { tops: vec![top], params, macs: 0 })
    }
}
