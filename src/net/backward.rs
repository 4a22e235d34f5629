//! One step of the backward pass: which operations of the backend give the gradients of which layer.
//!
//! This `match` over the catalogue is written once, as that of `forward`; every backend shares it.

use super::forward::{Located, copy_whole, crop_blocks, inner_dims, loss_rule};
use crate::backend::{Backend, Chain, Gradient, LossBack, LossRule, View, Weighted};
use crate::layer::*;
use crate::shape::AxisView;
use likenet_kernels::ops::BlockCopy;

/// A step with everything located, and the gradients around it.
pub(super) struct LocatedBack<'a> {
    /// Values, as the forward pass left them.
    pub values: Located<'a>,
    /// Gradients of the tops.
    pub dtops: Vec<View>,
    /// Where the gradient of each bottom goes, if it is wanted.
    pub dbottoms: Vec<Option<View>>,
    /// Where the gradient of each parameter goes, if it is learnt.
    pub dparams: Vec<Option<Gradient>>,
}

impl LocatedBack<'_> {
    /// Bottom `i` and the first top with their gradients, if that of the bottom is wanted.
    fn chain(&self, i: usize) -> Option<Chain> {
        let dx = self.dbottoms[i]?;
        Some(Chain { x: self.values.bottoms[i], y: self.values.tops[0], dy: self.dtops[0], dx })
    }

    /// The gradient of a parameter, if it is learnt.
    fn dparam(&self, i: usize) -> Option<Gradient> {
        self.dparams.get(i).copied().flatten()
    }
}

/// Computes the gradients of one step. Gradients of bottoms are overwritten.
pub(super) fn run(be: &mut dyn Backend, s: &LocatedBack) -> ShapeResult<()> {
    let v = &s.values;
    if let Some((_, slope)) = v.step.relu {
        be.relu_back(slope, v.tops[0], s.dtops[0]);
    }
    match v.layer {
        Layer::Source(_) | Layer::Silence | Layer::Accuracy(_) | Layer::ArgMax(_) => {}
        Layer::Flatten(_) | Layer::Reshape(_) => {
            if let Some(io) = s.chain(0) {
                copy_whole(be, io.dy, io.dx);
            }
        }
        Layer::Split => {
            if let Some(io) = s.chain(0) {
                be.eltwise(&Eltwise::Sum(vec![1.0; s.dtops.len()]), &s.dtops, io.dx);
            }
        }
        Layer::Convolution(l) => convolution(be, s, l)?,
        Layer::Deconvolution(l) => deconvolution(be, s, l)?,
        Layer::InnerProduct(l) => inner_product(be, s, l)?,
        Layer::Embed(l) => embed(be, s, l),
        Layer::Pooling(l) => pooling(be, s, l)?,
        Layer::Lrn(l) => lrn(be, s, l)?,
        Layer::Scale(l) => scale(be, s, l)?,
        Layer::Bias(l) => bias(be, s, l)?,
        Layer::SoftmaxLoss(l) => softmax_loss(be, s, l)?,
        Layer::SigmoidCrossEntropyLoss(l) => {
            let rule = loss_rule(&l.0, v.shapes[0]);
            if let Some(io) = loss_back(be, s, v.bottoms[0]) {
                be.sigmoid_cross_entropy_back(&rule, io);
            }
        }
        Layer::HingeLoss(l) => {
            let classes = v.shapes[0].count_in(1..v.shapes[0].rank());
            if let Some(io) = loss_back(be, s, v.bottoms[0]) {
                be.hinge_back(l.norm, classes, io);
            }
        }
        Layer::EuclideanLoss(_) => {
            let scale = number(be, s.dtops[0]) / v.shapes[0].dims()[0] as f32;
            for (dx, sign) in s.dbottoms.iter().zip([1.0, -1.0]) {
                let Some(dx) = *dx else { continue };
                be.eltwise(&Eltwise::Sum(vec![sign * scale, -sign * scale]), &v.bottoms, dx);
            }
        }
        Layer::ContrastiveLoss(l) => {
            let (labels, weight) = (v.bottoms[2], number(be, s.dtops[0]));
            // The distance is the same from either side.
            for (i, other) in [1, 0].into_iter().enumerate() {
                let Some(dx) = s.dbottoms[i] else { continue };
                let io = LossBack { x: v.bottoms[i], labels, weight, dx };
                be.contrastive_back(l.margin, l.legacy, v.bottoms[other], io);
            }
        }
        Layer::MultinomialLogisticLoss(_) => {
            let classes = v.shapes[0].count_in(1..v.shapes[0].rank());
            if let Some(io) = loss_back(be, s, v.bottoms[0]) {
                be.multinomial_back(classes, io);
            }
        }
        Layer::Eltwise(op) => {
            let op = match op {
                Eltwise::Sum(c) if c.is_empty() => Eltwise::Sum(vec![1.0; v.bottoms.len()]),
                _ => op.clone(),
            };
            for (i, dx) in s.dbottoms.iter().enumerate() {
                let Some(dx) = *dx else { continue };
                be.eltwise_back(&op, i, &v.bottoms, s.dtops[0], dx);
            }
        }
        Layer::Concat(l) => split_along(be, s, v.shapes[0].axis(l.axis)?),
        Layer::Slice(l) => join_along(be, s, v.shapes[0].axis(l.axis)?),
        Layer::PRelu(l) => {
            let view = l.view(v.shapes[0]);
            if let Some(dslope) = s.dparam(0) {
                be.prelu_slope_back(view, [v.bottoms[0], s.dtops[0]], dslope);
            }
            if let Some(io) = s.chain(0) {
                be.prelu_back(view, v.params[0], io);
            }
        }
        _ => {
            if let Some(io) = s.chain(0) {
                alone(be, s, io)?;
            }
        }
    }
    Ok(())
}

/// Layers with one bottom, one top and no parameters.
fn alone(be: &mut dyn Backend, s: &LocatedBack, io: Chain) -> ShapeResult<()> {
    let v = &s.values;
    match v.layer {
        // From its output: its input may have been changed in place.
        Layer::Pointwise(Unary::Relu { slope }) if *slope >= 0.0 => {
            copy_whole(be, io.dy, io.dx);
            be.relu_back(*slope, io.y, io.dx);
        }
        Layer::Pointwise(op) => be.unary_back(op, io),
        Layer::Dropout(l) => {
            copy_whole(be, io.dy, io.dx);
            if l.active {
                be.dropout(l.ratio, v.seed, io.dx);
            }
        }
        Layer::BatchNorm(l) => {
            be.standardise_back(l.view(v.shapes[0]), !l.stored, v.scratch[1], l.eps, io);
        }
        Layer::Mvn(l) => be.mvn_back(l.row(v.shapes[0]), l.variance.then_some(l.eps), io),
        Layer::Softmax(l) => {
            let axis = v.shapes[0].axis(l.axis)?;
            be.softmax_back(v.shapes[0].along(axis), io);
        }
        Layer::Reduction(l) => be.reduce_back(l.op, l.view(v.shapes[0])?.len, l.coeff, io),
        Layer::Tile(l) => tile(be, s, io, v.shapes[0].axis(l.axis)?, l.tiles),
        Layer::Crop(l) => {
            be.fill(0.0, io.dx);
            for blocks in crop_blocks(&v.shapes, v.top_shapes[0], &l.origin(&v.shapes)?) {
                be.copy_blocks(&blocks.turned(), io.dy, io.dx);
            }
        }
        layer => return Err(format!("has no gradient: {layer:?}")),
    }
    Ok(())
}

/// The number that a blob of one element holds.
fn number(be: &dyn Backend, v: View) -> f32 {
    let mut value = [0.0];
    be.read(v.slot, &mut value);
    value[0]
}

fn convolution(be: &mut dyn Backend, s: &LocatedBack, l: &Conv) -> ShapeResult<()> {
    let v = &s.values;
    for (i, shape) in v.shapes.iter().enumerate() {
        let (d, dy) = (l.dims(shape)?, s.dtops[i]);
        // Several bottoms share the weights: what the first gives is there when the next adds to it.
        let more = |g: Gradient| Gradient { add: g.add || i > 0, ..g };
        if let Some(dw) = s.dparam(0) {
            be.conv_weights_back(&d, v.step.gradient, [v.bottoms[i], dy], more(dw));
        }
        if let Some(db) = s.dparam(1) {
            let outer = dy.len / d.output_len();
            let view = AxisView { outer, len: d.filters, inner: d.positions() };
            be.sum_products(view, dy, None, more(db));
        }
        if let Some(dx) = s.dbottoms[i] {
            let io = Weighted { x: dy, weight: v.params[0], bias: None, y: dx };
            be.conv_back(&d, v.step.back[i], io);
        }
    }
    Ok(())
}

/// The layer is the input gradient of a convolution, so its own is that convolution.
fn deconvolution(be: &mut dyn Backend, s: &LocatedBack, l: &Deconv) -> ShapeResult<()> {
    let v = &s.values;
    for (i, shape) in v.shapes.iter().enumerate() {
        let (d, dy) = (l.dims(shape)?, s.dtops[i]);
        let more = |g: Gradient| Gradient { add: g.add || i > 0, ..g };
        if let Some(dw) = s.dparam(0) {
            be.conv_weights_back(&d, v.step.gradient, [dy, v.bottoms[i]], more(dw));
        }
        if let Some(db) = s.dparam(1) {
            let (outer, inner) = (dy.len / d.input_len(), d.input[0] * d.input[1]);
            be.sum_products(AxisView { outer, len: d.channels, inner }, dy, None, more(db));
        }
        if let Some(dx) = s.dbottoms[i] {
            let io = Weighted { x: dy, weight: v.params[0], bias: None, y: dx };
            be.conv(&d, v.step.back[i], io, d.output_len(), None);
        }
    }
    Ok(())
}

fn inner_product(be: &mut dyn Backend, s: &LocatedBack, l: &InnerProduct) -> ShapeResult<()> {
    let v = &s.values;
    let (d, dy) = (inner_dims(l, v.shapes[0])?, s.dtops[0]);
    if let Some(dw) = s.dparam(0) {
        be.inner_weights_back(&d, v.step.gradient, [v.bottoms[0], dy], dw);
    }
    if let Some(db) = s.dparam(1) {
        be.sum_products(AxisView { outer: d.rows, len: d.outputs, inner: 1 }, dy, None, db);
    }
    if let Some(dx) = s.dbottoms[0] {
        let io = Weighted { x: dy, weight: v.params[0], bias: None, y: dx };
        be.inner_back(&d, v.step.gradient, io);
    }
    Ok(())
}

/// Indices have no gradient.
fn embed(be: &mut dyn Backend, s: &LocatedBack, l: &Embed) {
    let (indices, dy) = (s.values.bottoms[0], s.dtops[0]);
    if let Some(dw) = s.dparam(0) {
        be.embed_back(l.outputs, [indices, dy], dw);
    }
    if let Some(db) = s.dparam(1) {
        be.sum_products(AxisView { outer: indices.len, len: l.outputs, inner: 1 }, dy, None, db);
    }
}

fn pooling(be: &mut dyn Backend, s: &LocatedBack, l: &Pool) -> ShapeResult<()> {
    let Some(io) = s.chain(0) else { return Ok(()) };
    let d = l.dims(s.values.shapes[0])?;
    match l.method {
        PoolMethod::Max => be.max_pool_back(&d, io),
        PoolMethod::Ave => be.ave_pool_back(&d, io.dy, io.dx),
    }
    Ok(())
}

fn lrn(be: &mut dyn Backend, s: &LocatedBack, l: &Lrn) -> ShapeResult<()> {
    let Some(io) = s.chain(0) else { return Ok(()) };
    let [_, channels, h, w] = s.values.shapes[0].nchw()?;
    match l.region {
        LrnRegion::AcrossChannels => be.lrn_across_back(&l.params, channels, h * w, io),
        LrnRegion::WithinChannel => be.lrn_within_back(&l.params, [h, w], io),
    }
    Ok(())
}

fn scale(be: &mut dyn Backend, s: &LocatedBack, l: &Broadcast) -> ShapeResult<()> {
    let v = &s.values;
    let (view, x, dy) = (l.view(&v.shapes)?, v.bottoms[0], s.dtops[0]);
    let given = v.bottoms.get(1).copied();
    let dscale = match given {
        Some(_) => s.dbottoms[1].map(|to| Gradient { to, add: false }),
        None => s.dparam(0),
    };
    if let Some(dscale) = dscale {
        be.sum_products(view, dy, Some(x), dscale);
    }
    if let Some(db) = s.dparam(usize::from(given.is_none())) {
        be.sum_products(view, dy, None, db);
    }
    if let Some(dx) = s.dbottoms[0] {
        copy_whole(be, dy, dx);
        be.scale_bias(view, Some(given.unwrap_or_else(|| v.params[0])), None, dx);
    }
    Ok(())
}

fn bias(be: &mut dyn Backend, s: &LocatedBack, l: &Broadcast) -> ShapeResult<()> {
    let (view, dy) = (l.view(&s.values.shapes)?, s.dtops[0]);
    let given = s.dbottoms.get(1).copied().flatten().map(|to| Gradient { to, add: false });
    if let Some(db) = given.or_else(|| s.dparam(0)) {
        be.sum_products(view, dy, None, db);
    }
    if let Some(dx) = s.dbottoms[0] {
        copy_whole(be, dy, dx);
    }
    Ok(())
}

/// The operands of a loss's gradient, `x` being what it is computed from.
fn loss_back(be: &dyn Backend, s: &LocatedBack, x: View) -> Option<LossBack> {
    let weight = number(be, s.dtops[0]);
    Some(LossBack { x, labels: s.values.bottoms[1], weight, dx: s.dbottoms[0]? })
}

fn softmax_loss(be: &mut dyn Backend, s: &LocatedBack, l: &SoftmaxLoss) -> ShapeResult<()> {
    let v = &s.values;
    let view = l.view(&v.shapes)?;
    let probabilities = v.tops.get(1).or(v.scratch.first()).copied();
    let probabilities = probabilities.ok_or("kept no probabilities")?;
    let rule = LossRule { batch: view.outer, ..loss_rule(&l.loss, v.shapes[0]) };
    if let Some(io) = loss_back(be, s, probabilities) {
        be.cross_entropy_back(view, &rule, io);
    }
    Ok(())
}

/// The parts of the top's gradient along an axis, each to its bottom.
fn split_along(be: &mut dyn Backend, s: &LocatedBack, axis: usize) {
    let whole = s.values.top_shapes[0].along(axis).block();
    let mut at = 0;
    for (dx, shape) in s.dbottoms.iter().zip(&s.values.shapes) {
        let AxisView { outer, .. } = shape.along(axis);
        let len = shape.along(axis).block();
        if let Some(dx) = *dx {
            let blocks = BlockCopy { count: outer, len, from: [at, whole], to: [0, len] };
            be.copy_blocks(&blocks, s.dtops[0], dx);
        }
        at += len;
    }
}

/// The tops' gradients joined along an axis.
fn join_along(be: &mut dyn Backend, s: &LocatedBack, axis: usize) {
    let Some(dx) = s.dbottoms[0] else { return };
    let whole = s.values.shapes[0].along(axis);
    let mut at = 0;
    for (dy, shape) in s.dtops.iter().zip(&s.values.top_shapes) {
        let len = shape.along(axis).block();
        let to = [at, whole.block()];
        be.copy_blocks(&BlockCopy { count: whole.outer, len, from: [0, len], to }, *dy, dx);
        at += len;
    }
}

/// The sum of the tiles' gradients: of rows of `tiles` blocks, each block an outer index of a view.
fn tile(be: &mut dyn Backend, s: &LocatedBack, io: Chain, axis: usize, tiles: usize) {
    let v = s.values.shapes[0].along(axis);
    be.fill(0.0, io.dx);
    let len = v.block();
    for outer in 0..v.outer {
        for t in 0..tiles {
            let dy = View { at: io.dy.at + (outer * tiles + t) * len, len, ..io.dy };
            let dx = View { at: io.dx.at + outer * len, len, ..io.dx };
            be.axpby(1.0, dy, 1.0, dx);
        }
    }
}
