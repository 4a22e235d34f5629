//! Losses, accuracy and the largest elements.

use super::{Inference, ShapeResult};
use crate::shape::{AxisView, Shape};
use likenet_kernels::ops::{HingeNorm, Normalization};

/// What several losses share: which label to leave out, and what to divide by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossShape {
    /// Predictions with this label do not count.
    pub ignore: Option<i32>,
    /// What the sum is divided by.
    pub normalization: Normalization,
}

/// The bottom along its class axis; checks that there is one label for each prediction.
fn predictions(axis: i32, bottoms: &[&Shape]) -> ShapeResult<AxisView> {
    let view = bottoms[0].along(bottoms[0].axis(axis)?);
    let labels = bottoms[1].count();
    if labels != view.outer * view.inner {
        return Err(format!(
            "{} predictions (shape {}, classes along axis {axis}) but {labels} labels",
            view.outer * view.inner,
            bottoms[0]
        ));
    }
    Ok(view)
}

/// Softmax and cross-entropy.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftmaxLoss {
    /// The class axis.
    pub axis: i32,
    /// Ignored label and normalisation.
    pub loss: LossShape,
}

impl SoftmaxLoss {
    /// The scores along their class axis.
    pub fn view(&self, bottoms: &[&Shape]) -> ShapeResult<AxisView> {
        predictions(self.axis, bottoms)
    }

    pub(super) fn infer(&self, bottoms: &[&Shape], tops: usize) -> ShapeResult<Inference> {
        self.view(bottoms)?;
        let mut shapes = vec![Shape::scalar(), bottoms[0].clone()];
        shapes.truncate(tops);
        Ok(Inference::tops(shapes))
    }
}

/// Sigmoid and cross-entropy, element by element.
#[derive(Clone, Debug, PartialEq)]
pub struct SigmoidCrossEntropyLoss(pub LossShape);

impl SigmoidCrossEntropyLoss {
    pub(super) fn infer(&self, bottoms: &[&Shape], tops: usize) -> ShapeResult<Inference> {
        same_count(bottoms)?;
        let mut shapes = vec![Shape::scalar(), bottoms[0].clone()];
        shapes.truncate(tops);
        Ok(Inference::tops(shapes))
    }
}

/// One-versus-all hinge, divided by the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct HingeLoss {
    /// Linear or squared.
    pub norm: HingeNorm,
}

impl HingeLoss {
    pub(super) fn infer(&self, bottoms: &[&Shape]) -> ShapeResult<Inference> {
        one_a_row(bottoms[0], bottoms[1])
    }
}

/// Cross-entropy of the probabilities that the first bottom holds, divided by the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct MultinomialLogisticLoss;

impl MultinomialLogisticLoss {
    pub(super) fn infer(&self, bottoms: &[&Shape]) -> ShapeResult<Inference> {
        one_a_row(bottoms[0], bottoms[1])
    }
}

/// Half the mean over pairs of rows at distance d (Hadsell et al., 2006): d² where the third bottom calls
/// the pair similar (not 0), else `max(0, margin − d)²`.
#[derive(Clone, Debug, PartialEq)]
pub struct ContrastiveLoss {
    /// The distance from which on rows of other pairs are far enough.
    pub margin: f32,
    /// `max(0, margin − d²)` instead.
    pub legacy: bool,
}

impl ContrastiveLoss {
    pub(super) fn infer(&self, bottoms: &[&Shape]) -> ShapeResult<Inference> {
        same_count(bottoms)?;
        one_a_row(bottoms[1], bottoms[2])?;
        one_a_row(bottoms[0], bottoms[2])
    }
}

/// A loss of rows, with one label for each.
fn one_a_row(rows: &Shape, labels: &Shape) -> ShapeResult<Inference> {
    if rows.dims().first() != Some(&labels.count()) {
        return Err(format!("needs one label a row: {rows} and {labels}"));
    }
    Ok(Inference::tops(vec![Shape::scalar()]))
}

/// `Σ (a − b)² / 2N`, N the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct EuclideanLoss;

impl EuclideanLoss {
    pub(super) fn infer(&self, bottoms: &[&Shape]) -> ShapeResult<Inference> {
        same_count(bottoms)?;
        if bottoms[0].rank() == 0 {
            return Err("needs a batch axis".into());
        }
        Ok(Inference::tops(vec![Shape::scalar()]))
    }
}

fn same_count(bottoms: &[&Shape]) -> ShapeResult<()> {
    if bottoms[0].count() != bottoms[1].count() {
        return Err(format!("bottoms differ in size: {} and {}", bottoms[0], bottoms[1]));
    }
    Ok(())
}

/// Share of predictions among whose best is the label.
#[derive(Clone, Debug, PartialEq)]
pub struct Accuracy {
    /// The class axis.
    pub axis: i32,
    /// How many guesses a prediction has.
    pub top_k: usize,
    /// Predictions with this label do not count.
    pub ignore: Option<i32>,
}

impl Accuracy {
    /// The scores along their class axis.
    pub fn view(&self, bottoms: &[&Shape]) -> ShapeResult<AxisView> {
        predictions(self.axis, bottoms)
    }

    pub(super) fn infer(&self, bottoms: &[&Shape], tops: usize) -> ShapeResult<Inference> {
        let view = self.view(bottoms)?;
        if self.top_k > view.len {
            return Err(format!("top_k {} of only {} classes", self.top_k, view.len));
        }
        let mut shapes = vec![Shape::scalar(), Shape::new([view.len])?];
        shapes.truncate(tops);
        Ok(Inference::tops(shapes))
    }
}

/// Indices (and values) of the largest elements.
#[derive(Clone, Debug, PartialEq)]
pub struct ArgMax {
    /// Along this axis; without one, over everything after the batch axis.
    pub axis: Option<i32>,
    /// How many.
    pub top_k: usize,
    /// With an axis: values instead of indices. Without: both.
    pub values: bool,
}

impl ArgMax {
    /// The bottom along the axis that is searched.
    pub fn view(&self, bottom: &Shape) -> ShapeResult<AxisView> {
        let view = match self.axis {
            Some(axis) => bottom.along(bottom.axis(axis)?),
            None if bottom.rank() == 0 => return Err("needs a batch axis".into()),
            None => bottom.split(1, bottom.rank()),
        };
        if self.top_k == 0 || self.top_k > view.len {
            return Err(format!("top_k {} of {} elements", self.top_k, view.len));
        }
        Ok(view)
    }

    pub(super) fn infer(&self, bottom: &Shape) -> ShapeResult<Inference> {
        self.view(bottom)?;
        let top = match self.axis {
            Some(axis) => bottom.with_axis(bottom.axis(axis)?, self.top_k)?,
            None => {
                let mut dims = vec![1; bottom.rank().max(3)];
                dims[0] = bottom.dims()[0];
                dims[1] = if self.values { 2 } else { 1 };
                dims[2] = self.top_k;
                Shape::new(dims)?
            }
        };
        Ok(Inference::tops(vec![top]))
    }
}
