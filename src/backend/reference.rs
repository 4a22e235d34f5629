//! The reference backend: every operation by the plain loop of its kernel file, on one thread.
//!
//! Slow on purpose. It is what a learner reads and what every other backend is compared with.

use super::memory::Memory;
use super::{
    Backend, Chain, Choice, Gradient, Judged, Learnt, Lend, LossBack, LossRule, PictureWork,
    Pictures, Prepare, Slot, View, Weighted,
};
use likenet_kernels::cpu::argmax::{self, TopK};
use likenet_kernels::cpu::gemm::{self, Matrix, Sizes};
use likenet_kernels::cpu::{conv, elementwise, lrn, norm, pool, reduce, softmax, update};
use likenet_kernels::ops::*;
use std::sync::Arc;

/// Plain loops in the host's memory.
#[derive(Default)]
pub struct Reference {
    memory: Memory,
}

impl Reference {
    /// A backend without slots.
    pub fn new() -> Self {
        Self::default()
    }

    fn unary_if(&mut self, relu: Option<f32>, y: View) {
        if let Some(slope) = relu {
            self.unary(&Unary::Relu { slope }, y);
        }
    }
}

impl Backend for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn describe(&self) -> String {
        "plain loops, 1 thread".into()
    }

    fn alloc(&mut self, len: usize) -> Slot {
        self.memory.alloc(len)
    }

    fn lend(&mut self, values: Arc<dyn Lend>) -> Slot {
        self.memory.lend(values)
    }

    fn free(&mut self, slot: Slot) {
        self.memory.free(slot);
    }

    fn write(&mut self, slot: Slot, at: usize, data: &[f32]) {
        self.memory.write(slot, at, data);
    }

    fn read(&self, slot: Slot, out: &mut [f32]) {
        self.memory.read(slot, out);
    }

    fn finish(&self) -> Result<(), String> {
        Ok(())
    }

    fn failure(&self) -> Option<String> {
        None
    }

    fn copy_blocks(&mut self, c: &BlockCopy, x: View, y: View) {
        self.memory.copy_blocks(c, x, y);
    }

    fn axpby(&mut self, a: f32, x: View, b: f32, y: View) {
        self.memory.axpby(a, x, b, y);
    }

    fn divide(&mut self, x: View, divisor: View, y: View) {
        self.memory.divide(x, divisor, y);
    }

    fn workers(&self) -> usize {
        0
    }

    fn by_pictures(&mut self, _: &Pictures, _: &PictureWork) -> Result<(), String> {
        Err("is computed for whole batches by this backend".into())
    }

    fn prepare(&mut self, _: &[Prepare]) {}

    fn packed_bytes(&self) -> usize {
        0
    }

    fn conv_algorithm(&self, _: &ConvDims, _: usize, _: Option<Algorithm>) -> Choice {
        Choice { how: Algorithm::Plain, bytes: 0 }
    }

    fn conv(&mut self, d: &ConvDims, _: Algorithm, io: Weighted, pitch: usize, relu: Option<f32>) {
        self.memory.write_with(io.y, |m, y| {
            let bias = io.bias.map(|b| m.get(b));
            let pictures = m.get(io.x).chunks_exact(d.input_len());
            for (x, y) in pictures.zip(y.chunks_mut(pitch)) {
                let y = &mut y[..d.output_len()];
                conv::plain(d, x, m.get(io.weight), bias, y);
                if let Some(slope) = relu {
                    elementwise::unary(&Unary::Relu { slope }, y);
                }
            }
        });
    }

    fn deconv(&mut self, d: &ConvDims, io: Weighted) {
        self.memory.write_with(io.y, |m, y| {
            let bias = io.bias.map(|b| m.get(b));
            let pictures = m.get(io.x).chunks_exact(d.output_len());
            for (x, y) in pictures.zip(y.chunks_exact_mut(d.input_len())) {
                conv::transposed_plain(d, x, m.get(io.weight), bias, y);
            }
        });
    }

    fn inner_algorithm(&self, _: usize, _: Option<Algorithm>) -> Algorithm {
        Algorithm::Plain
    }

    fn inner_product(&mut self, d: &InnerDims, _: Algorithm, io: Weighted, relu: Option<f32>) {
        self.memory.write_with(io.y, |m, y| {
            for row in y.chunks_exact_mut(d.outputs) {
                match io.bias {
                    Some(b) => row.copy_from_slice(m.get(b)),
                    None => row.fill(0.0),
                }
            }
            let weight = match d.transpose {
                false => Matrix::transposed(m.get(io.weight), d.inputs),
                true => Matrix::rows(m.get(io.weight), d.outputs),
            };
            let sizes = Sizes { m: d.rows, n: d.outputs, k: d.inputs };
            gemm::plain(sizes, Matrix::rows(m.get(io.x), d.inputs), weight, y);
        });
        self.unary_if(relu, io.y);
    }

    fn embed(&mut self, rows: usize, io: Weighted) {
        self.memory.embed(rows, io);
    }

    fn max_pool(&mut self, d: &PoolDims, x: View, y: View) {
        self.memory.write_with(y, |m, y| pool::max(d, m.get(x), y));
    }

    fn max_pool_index(&mut self, d: &PoolDims, x: View, y: View) {
        self.memory.write_with(y, |m, y| pool::max_index(d, m.get(x), y));
    }

    fn ave_pool(&mut self, d: &PoolDims, x: View, y: View) {
        self.memory.write_with(y, |m, y| pool::ave(d, m.get(x), y));
    }

    fn lrn_across(&mut self, p: &LrnParams, channels: usize, plane: usize, x: View, y: View) {
        self.memory.write_with(y, |m, y| {
            let pictures = m.get(x).chunks_exact(channels * plane);
            for (x, y) in pictures.zip(y.chunks_exact_mut(channels * plane)) {
                lrn::across(p, plane, x, y);
            }
        });
    }

    fn lrn_within(&mut self, p: &LrnParams, input: [usize; 2], x: View, y: View) {
        self.memory.write_with(y, |m, y| lrn::within(p, input, m.get(x), y));
    }

    fn unary(&mut self, op: &Unary, y: View) {
        self.memory.write_with(y, |_, y| elementwise::unary(op, y));
    }

    fn prelu(&mut self, v: AxisView, slope: View, y: View) {
        self.memory.write_with(y, |m, y| elementwise::prelu(v, m.get(slope), y));
    }

    fn scale_bias(&mut self, v: AxisView, scale: Option<View>, bias: Option<View>, y: View) {
        self.memory.write_with(y, |m, y| {
            elementwise::scale_bias(v, scale.map(|s| m.get(s)), bias.map(|b| m.get(b)), y);
        });
    }

    fn dropout(&mut self, ratio: f32, seed: u64, y: View) {
        self.memory.write_with(y, |_, y| elementwise::dropout(ratio, seed, 0, y));
    }

    fn eltwise(&mut self, op: &Eltwise, xs: &[View], y: View) {
        self.memory.write_with(y, |m, y| {
            let inputs: Vec<&[f32]> = xs.iter().map(|x| m.get(*x)).collect();
            elementwise::eltwise(op, &inputs, y);
        });
    }

    fn moments(&mut self, v: AxisView, x: View, mean: View, variance: View) {
        self.memory.moments(v, x, mean, variance);
    }

    fn standardise(&mut self, v: AxisView, [mean, variance]: [View; 2], eps: f32, y: View) {
        self.memory.write_with(y, |m, y| {
            norm::standardise(v, m.get(mean), m.get(variance), eps, y);
        });
    }

    fn mvn(&mut self, len: usize, deviation: Option<f32>, y: View) {
        self.memory.write_with(y, |_, y| norm::mvn(len, deviation, y));
    }

    fn softmax(&mut self, v: AxisView, x: View, y: View) {
        self.memory.write_with(y, |m, y| softmax::softmax(v, m.get(x), y));
    }

    fn reduce(&mut self, op: Reduction, len: usize, coeff: f32, x: View, y: View) {
        self.memory.write_with(y, |m, y| reduce::reduce(op, len, coeff, m.get(x), y));
    }

    fn top_k(&mut self, v: AxisView, top: usize, what: TopK, x: View, y: View) {
        self.memory.write_with(y, |m, y| argmax::top_k(v, top, what, m.get(x), y));
    }

    fn cross_entropy(&mut self, v: AxisView, rule: &LossRule, prob: View, labels: View, y: View) {
        self.memory.cross_entropy(v, rule, prob, labels, y);
    }

    fn sigmoid_cross_entropy(&mut self, rule: &LossRule, x: View, targets: View, y: View) {
        self.memory.sigmoid_cross_entropy(rule, x, targets, y);
    }

    fn hinge(&mut self, norm: HingeNorm, classes: usize, x: View, labels: View, y: View) {
        self.memory.hinge(norm, classes, x, labels, y);
    }

    fn squared_distance(&mut self, divisor: f32, a: View, b: View, y: View) {
        self.memory.squared_distance(divisor, a, b, y);
    }

    fn multinomial(&mut self, classes: usize, x: View, labels: View, y: View) {
        self.memory.multinomial(classes, x, labels, y);
    }

    fn contrastive(&mut self, margin: f32, legacy: bool, pair: [View; 2], similar: View, y: View) {
        self.memory.contrastive(margin, legacy, pair, similar, y);
    }

    fn accuracy(&mut self, v: AxisView, top: usize, ignore: Option<i32>, io: Judged) {
        self.memory.accuracy(v, top, ignore, io);
    }

    fn gradient_algorithm(&self, _: usize, _: Option<Algorithm>) -> Algorithm {
        Algorithm::Plain
    }

    fn conv_back(&mut self, d: &ConvDims, _: Algorithm, io: Weighted) {
        self.deconv(d, io);
    }

    fn conv_weights_back(&mut self, d: &ConvDims, _: Algorithm, [x, dy]: [View; 2], dw: Gradient) {
        self.memory.accumulate(dw, |m, dw| {
            let pictures = m.get(x).chunks_exact(d.input_len());
            for (x, dy) in pictures.zip(m.get(dy).chunks_exact(d.output_len())) {
                conv::weights_back_plain(d, x, dy, dw);
            }
        });
    }

    fn inner_back(&mut self, d: &InnerDims, _: Algorithm, io: Weighted) {
        self.memory.write_with(io.y, |m, dx| {
            let weight = match d.transpose {
                false => Matrix::rows(m.get(io.weight), d.inputs),
                true => Matrix::transposed(m.get(io.weight), d.outputs),
            };
            dx.fill(0.0);
            let sizes = Sizes { m: d.rows, n: d.inputs, k: d.outputs };
            gemm::plain(sizes, Matrix::rows(m.get(io.x), d.outputs), weight, dx);
        });
    }

    fn inner_weights_back(&mut self, d: &InnerDims, _: Algorithm, io: [View; 2], dw: Gradient) {
        self.memory.accumulate(dw, |m, dw| {
            let (s, left, right) = gemm::gradient(d, io.map(|v| m.get(v)));
            gemm::plain(s, left, right, dw);
        });
    }

    fn sum_of_squares(&self, x: View) -> f64 {
        update::sum_of_squares(self.memory.get(x))
    }

    fn embed_back(&mut self, outputs: usize, io: [View; 2], dw: Gradient) {
        self.memory.embed_back(outputs, io, dw);
    }

    fn fill(&mut self, value: f32, y: View) {
        self.memory.fill(value, y);
    }

    fn relu_back(&mut self, slope: f32, y: View, d: View) {
        self.memory.relu_back(slope, y, d);
    }

    fn sum_products(&mut self, v: AxisView, a: View, b: Option<View>, out: Gradient) {
        self.memory.sum_products(v, a, b, out);
    }

    fn max_pool_back(&mut self, d: &PoolDims, io: Chain) {
        self.memory.max_pool_back(d, io);
    }

    fn ave_pool_back(&mut self, d: &PoolDims, dy: View, dx: View) {
        self.memory.ave_pool_back(d, dy, dx);
    }

    fn lrn_across_back(&mut self, p: &LrnParams, channels: usize, plane: usize, io: Chain) {
        self.memory.lrn_across_back(p, channels, plane, io);
    }

    fn lrn_within_back(&mut self, p: &LrnParams, input: [usize; 2], io: Chain) {
        self.memory.lrn_within_back(p, input, io);
    }

    fn unary_back(&mut self, op: &Unary, io: Chain) {
        self.memory.unary_back(op, io);
    }

    fn prelu_back(&mut self, v: AxisView, slope: View, io: Chain) {
        self.memory.prelu_back(v, slope, io);
    }

    fn prelu_slope_back(&mut self, v: AxisView, io: [View; 2], dslope: Gradient) {
        self.memory.prelu_slope_back(v, io, dslope);
    }

    fn eltwise_back(&mut self, op: &Eltwise, which: usize, xs: &[View], dy: View, dx: View) {
        self.memory.eltwise_back(op, which, xs, dy, dx);
    }

    fn standardise_back(&mut self, v: AxisView, own: bool, variance: View, eps: f32, io: Chain) {
        self.memory.standardise_back(v, own, variance, eps, io);
    }

    fn mvn_back(&mut self, len: usize, deviation: Option<f32>, io: Chain) {
        self.memory.mvn_back(len, deviation, io);
    }

    fn softmax_back(&mut self, v: AxisView, io: Chain) {
        self.memory.softmax_back(v, io);
    }

    fn reduce_back(&mut self, op: Reduction, len: usize, coeff: f32, io: Chain) {
        self.memory.reduce_back(op, len, coeff, io);
    }

    fn cross_entropy_back(&mut self, v: AxisView, rule: &LossRule, io: LossBack) {
        self.memory.cross_entropy_back(v, rule, io);
    }

    fn sigmoid_cross_entropy_back(&mut self, rule: &LossRule, io: LossBack) {
        self.memory.sigmoid_cross_entropy_back(rule, io);
    }

    fn hinge_back(&mut self, norm: HingeNorm, classes: usize, io: LossBack) {
        self.memory.hinge_back(norm, classes, io);
    }

    fn multinomial_back(&mut self, classes: usize, io: LossBack) {
        self.memory.multinomial_back(classes, io);
    }

    fn contrastive_back(&mut self, margin: f32, legacy: bool, other: View, io: LossBack) {
        self.memory.contrastive_back(margin, legacy, other, io);
    }

    fn update(&mut self, u: &Update, p: Learnt) {
        self.memory.update(u, p);
    }
}
