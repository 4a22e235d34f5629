//! One step of the forward pass: which operation of the backend computes which layer.
//!
//! This `match` over the catalogue is written once; every backend shares it.

use super::plan::Step;
use crate::backend::{Backend, InnerDims, Judged, LossRule, View, Weighted};
use crate::layer::*;
use crate::shape::{AxisView, Shape};
use likenet_kernels::cpu::argmax::TopK;
use likenet_kernels::ops::BlockCopy;

/// A step with its blobs and parameters located in a backend.
pub(super) struct Located<'a> {
    pub step: &'a Step,
    pub layer: &'a Layer,
    /// Shapes of the bottoms.
    pub shapes: Vec<&'a Shape>,
    pub bottoms: Vec<View>,
    pub tops: Vec<View>,
    /// From one picture of each top to the next.
    pub pitches: Vec<usize>,
    /// Shapes of the tops.
    pub top_shapes: Vec<&'a Shape>,
    pub params: Vec<View>,
    pub scratch: Vec<View>,
    /// Seed of this pass, for dropout.
    pub seed: u64,
}

impl Located<'_> {
    fn relu(&self) -> Option<f32> {
        self.step.relu.map(|(_, slope)| slope)
    }

    /// Input, weights and output number `i`.
    fn weighted(&self, i: usize) -> Weighted {
        Weighted {
            x: self.bottoms[i],
            weight: self.params[0],
            bias: self.params.get(1).copied(),
            y: self.tops[i],
        }
    }
}

/// Sizes of a fully connected layer for a bottom of this shape.
pub(super) fn inner_dims(l: &InnerProduct, bottom: &Shape) -> ShapeResult<InnerDims> {
    let (rows, inputs) = l.rows_and_inputs(bottom)?;
    Ok(InnerDims { rows, inputs, outputs: l.outputs, transpose: l.transpose })
}

/// Computes one step.
///
/// Shapes were checked when the graph was made, so an error here is a defect of the plan; it is
/// reported all the same.
pub(super) fn run(be: &mut dyn Backend, s: &Located) -> ShapeResult<()> {
    if s.step.copy {
        copy_whole(be, s.bottoms[0], s.tops[0]);
    }
    match s.layer {
        Layer::Source(_) | Layer::Silence => {}
        Layer::Flatten(_) | Layer::Reshape(_) | Layer::Split => {}
        Layer::Convolution(l) => {
            for (i, shape) in s.shapes.iter().enumerate() {
                let (d, how) = (l.dims(shape)?, s.step.how[i]);
                be.conv(&d, how, s.weighted(i), s.pitches[i], s.relu());
            }
        }
        Layer::Deconvolution(l) => {
            for (i, shape) in s.shapes.iter().enumerate() {
                be.deconv(&l.dims(shape)?, s.weighted(i));
            }
        }
        Layer::InnerProduct(l) => {
            let d = inner_dims(l, s.shapes[0])?;
            be.inner_product(&d, s.step.how[0], s.weighted(0), s.relu());
        }
        Layer::Embed(l) => be.embed(l.rows, s.weighted(0)),
        Layer::Pooling(l) => pooling(be, s, l)?,
        Layer::Lrn(l) => lrn(be, s, l)?,
        Layer::Pointwise(op) => be.unary(op, s.tops[0]),
        Layer::PRelu(l) => be.prelu(l.view(s.shapes[0]), s.params[0], s.tops[0]),
        Layer::Dropout(l) => {
            if l.active {
                be.dropout(l.ratio, s.seed, s.tops[0]);
            }
        }
        Layer::BatchNorm(l) => batch_norm(be, s, l),
        Layer::Scale(l) => {
            let given = s.bottoms.get(1).copied();
            let scale = given.unwrap_or_else(|| s.params[0]);
            let bias = s.params.get(usize::from(given.is_none())).copied();
            be.scale_bias(l.view(&s.shapes)?, Some(scale), bias, s.tops[0]);
        }
        Layer::Bias(l) => {
            let bias = s.bottoms.get(1).or(s.params.first()).copied();
            be.scale_bias(l.view(&s.shapes)?, None, bias, s.tops[0]);
        }
        Layer::Mvn(l) => {
            be.mvn(l.row(s.shapes[0]), l.variance.then_some(l.eps), s.tops[0]);
        }
        Layer::Softmax(l) => {
            let axis = s.shapes[0].axis(l.axis)?;
            be.softmax(s.shapes[0].along(axis), s.bottoms[0], s.tops[0]);
        }
        Layer::Concat(l) => join(be, s, s.shapes[0].axis(l.axis)?),
        Layer::Slice(l) => cut(be, s, s.shapes[0].axis(l.axis)?),
        Layer::Tile(l) => tile(be, s, s.shapes[0].axis(l.axis)?, l.tiles),
        Layer::Crop(l) => {
            for blocks in crop_blocks(&s.shapes, s.top_shapes[0], &l.origin(&s.shapes)?) {
                be.copy_blocks(&blocks, s.bottoms[0], s.tops[0]);
            }
        }
        Layer::Eltwise(op) => {
            let op = match op {
                Eltwise::Sum(c) if c.is_empty() => Eltwise::Sum(vec![1.0; s.bottoms.len()]),
                _ => op.clone(),
            };
            be.eltwise(&op, &s.bottoms, s.tops[0]);
        }
        Layer::Reduction(l) => {
            let v = l.view(s.shapes[0])?;
            be.reduce(l.op, v.len, l.coeff, s.bottoms[0], s.tops[0]);
        }
        Layer::ArgMax(l) => {
            let what = match (l.axis, l.values) {
                (_, false) => TopK::Indices,
                (Some(_), true) => TopK::Values,
                (None, true) => TopK::Both,
            };
            be.top_k(l.view(s.shapes[0])?, l.top_k, what, s.bottoms[0], s.tops[0]);
        }
        Layer::SoftmaxLoss(l) => softmax_loss(be, s, l)?,
        Layer::SigmoidCrossEntropyLoss(l) => {
            let rule = loss_rule(&l.0, s.shapes[0]);
            be.sigmoid_cross_entropy(&rule, s.bottoms[0], s.bottoms[1], s.tops[0]);
            if let Some(&probabilities) = s.tops.get(1) {
                copy_whole(be, s.bottoms[0], probabilities);
                be.unary(&Unary::Sigmoid, probabilities);
            }
        }
        Layer::HingeLoss(l) => {
            let classes = s.shapes[0].count_in(1..s.shapes[0].rank());
            be.hinge(l.norm, classes, s.bottoms[0], s.bottoms[1], s.tops[0]);
        }
        Layer::EuclideanLoss(_) => {
            let divisor = 2.0 * s.shapes[0].dims()[0] as f32;
            be.squared_distance(divisor, s.bottoms[0], s.bottoms[1], s.tops[0]);
        }
        Layer::ContrastiveLoss(l) => {
            let pair = [s.bottoms[0], s.bottoms[1]];
            be.contrastive(l.margin, l.legacy, pair, s.bottoms[2], s.tops[0]);
        }
        Layer::MultinomialLogisticLoss(_) => {
            let classes = s.shapes[0].count_in(1..s.shapes[0].rank());
            be.multinomial(classes, s.bottoms[0], s.bottoms[1], s.tops[0]);
        }
        Layer::Accuracy(l) => be.accuracy(
            l.view(&s.shapes)?,
            l.top_k,
            l.ignore,
            Judged {
                x: s.bottoms[0],
                labels: s.bottoms[1],
                y: s.tops[0],
                per_class: s.tops.get(1).copied(),
            },
        ),
    }
    Ok(())
}

pub(super) fn copy_whole(be: &mut dyn Backend, x: View, y: View) {
    be.copy_blocks(&BlockCopy { count: 1, len: x.len, from: [0, 0], to: [0, 0] }, x, y);
}

fn pooling(be: &mut dyn Backend, s: &Located, l: &Pool) -> ShapeResult<()> {
    let d = l.dims(s.shapes[0])?;
    match l.method {
        PoolMethod::Max => be.max_pool(&d, s.bottoms[0], s.tops[0]),
        PoolMethod::Ave => be.ave_pool(&d, s.bottoms[0], s.tops[0]),
    }
    if let Some(&mask) = s.tops.get(1) {
        be.max_pool_index(&d, s.bottoms[0], mask);
    }
    if let Some(slope) = s.relu() {
        be.unary(&Unary::Relu { slope }, s.tops[0]);
    }
    Ok(())
}

fn lrn(be: &mut dyn Backend, s: &Located, l: &Lrn) -> ShapeResult<()> {
    let [_, channels, h, w] = s.shapes[0].nchw()?;
    match l.region {
        LrnRegion::AcrossChannels => {
            be.lrn_across(&l.params, channels, h * w, s.bottoms[0], s.tops[0]);
        }
        LrnRegion::WithinChannel => {
            be.lrn_within(&l.params, [h, w], s.bottoms[0], s.tops[0]);
        }
    }
    Ok(())
}

/// Normalises the top in place by stored or by its own moments; the latter also move the stored sums.
fn batch_norm(be: &mut dyn Backend, s: &Located, l: &BatchNorm) {
    let v = l.view(s.shapes[0]);
    let (mean, variance, y) = (s.scratch[0], s.scratch[1], s.tops[0]);
    let [sum_mean, sum_variance, factor] = [s.params[0], s.params[1], s.params[2]];
    if l.stored {
        be.divide(sum_mean, factor, mean);
        be.divide(sum_variance, factor, variance);
    } else {
        be.moments(v, y, mean, variance);
        let m = (v.outer * v.inner) as f32;
        let unbiased = if m > 1.0 { m / (m - 1.0) } else { 1.0 };
        be.axpby(1.0, mean, l.fraction, sum_mean);
        be.axpby(unbiased, variance, l.fraction, sum_variance);
        // factor = fraction · factor + 1, written as an affine function of each element.
        let step = Unary::Power { power: 1.0, scale: l.fraction, shift: 1.0 };
        be.unary(&step, factor);
    }
    be.standardise(v, [mean, variance], l.eps, y);
}

pub(super) fn loss_rule(l: &LossShape, scores: &Shape) -> LossRule {
    let batch = scores.dims().first().copied().unwrap_or(1);
    LossRule { ignore: l.ignore, normalization: l.normalization, batch }
}

fn softmax_loss(be: &mut dyn Backend, s: &Located, l: &SoftmaxLoss) -> ShapeResult<()> {
    let v = l.view(&s.shapes)?;
    let probabilities = s.tops.get(1).or(s.scratch.first()).copied();
    let probabilities = probabilities.ok_or("has nowhere to put its probabilities")?;
    let rule = LossRule { batch: v.outer, ..loss_rule(&l.loss, s.shapes[0]) };
    be.softmax(v, s.bottoms[0], probabilities);
    be.cross_entropy(v, &rule, probabilities, s.bottoms[1], s.tops[0]);
    Ok(())
}

/// Copies every bottom to its place along the axis of the top, if it is not there already.
fn join(be: &mut dyn Backend, s: &Located, axis: usize) {
    let whole = s.top_shapes[0].along(axis).block();
    let mut at = 0;
    for (bottom, shape) in s.bottoms.iter().zip(&s.shapes) {
        let AxisView { outer, .. } = shape.along(axis);
        let len = shape.along(axis).block();
        let blocks = BlockCopy { count: outer, len, from: [0, len], to: [at, whole] };
        if bottom.slot != s.tops[0].slot {
            be.copy_blocks(&blocks, *bottom, s.tops[0]);
        }
        at += len;
    }
}

/// Copies every part of the bottom along the axis to its top.
fn cut(be: &mut dyn Backend, s: &Located, axis: usize) {
    let whole = s.shapes[0].along(axis);
    let mut at = 0;
    for (top, shape) in s.tops.iter().zip(&s.top_shapes) {
        let len = shape.along(axis).block();
        let from = [at, whole.block()];
        let blocks = BlockCopy { count: whole.outer, len, from, to: [0, len] };
        be.copy_blocks(&blocks, s.bottoms[0], *top);
        at += len;
    }
}

fn tile(be: &mut dyn Backend, s: &Located, axis: usize, tiles: usize) {
    let v = s.shapes[0].along(axis);
    let len = v.block();
    for t in 0..tiles {
        let to = [t * len, tiles * len];
        let blocks = BlockCopy { count: v.outer, len, from: [0, len], to };
        be.copy_blocks(&blocks, s.bottoms[0], s.tops[0]);
    }
}

/// The window as lines; those along the last axis are contiguous on both sides.
pub(super) fn crop_blocks<'a>(
    shapes: &[&'a Shape],
    top: &'a Shape,
    origin: &'a [usize],
) -> impl Iterator<Item = BlockCopy> + 'a {
    let (from, to) = (shapes[0].dims(), top.dims());
    let last = to.len() - 1;
    let rows = to[..last].last().copied().unwrap_or(1);
    let outer: usize = to[..last.saturating_sub(1)].iter().product();
    (0..outer).map(move |block| {
        // The index of this block of rows along each outer axis, and from it its offset in the bottom.
        let (mut rest, mut offset, mut stride) = (block, 0, from[last]);
        if last > 0 {
            offset += origin[last - 1] * stride;
            stride *= from[last - 1];
        }
        for axis in (0..last.saturating_sub(1)).rev() {
            offset += (rest % to[axis] + origin[axis]) * stride;
            rest /= to[axis];
            stride *= from[axis];
        }
        BlockCopy {
            count: rows,
            len: to[last],
            from: [offset + origin[last], from[last]],
            to: [block * rows * to[last], to[last]],
        }
    })
}
