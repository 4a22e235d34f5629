//! Gradients by the plain loops, on one thread: what the reference backend gives for all operations, and the
//! CPU backend for those whose whole cost is that of reading their input once.

use super::memory::Memory;
use super::{Chain, Gradient, Learnt, LossBack, LossRule, View};
use likenet_kernels::cpu::{elementwise, embed, loss, lrn, norm, pool, reduce, softmax, update};
use likenet_kernels::ops::*;

impl Memory {
    pub fn fill(&mut self, value: f32, y: View) {
        self.write_with(y, |_, y| y.fill(value));
    }

    /// Lends a parameter's gradient to `f`, which adds to it.
    pub fn accumulate(&mut self, out: Gradient, f: impl FnOnce(&Self, &mut [f32])) {
        self.write_with(out.to, |m, to| {
            if !out.add {
                to.fill(0.0);
            }
            f(m, to);
        });
    }

    pub fn embed_back(&mut self, outputs: usize, [indices, dy]: [View; 2], dw: Gradient) {
        self.accumulate(dw, |m, dw| embed::embed_back(outputs, m.get(indices), m.get(dy), dw));
    }

    pub fn sum_products(&mut self, v: AxisView, a: View, b: Option<View>, out: Gradient) {
        self.accumulate(out, |m, out| {
            elementwise::sum_products(v, m.get(a), b.map(|b| m.get(b)), out);
        });
    }

    pub fn max_pool_back(&mut self, d: &PoolDims, io: Chain) {
        self.write_with(io.dx, |m, dx| pool::max_back(d, m.get(io.x), m.get(io.dy), dx));
    }

    pub fn ave_pool_back(&mut self, d: &PoolDims, dy: View, dx: View) {
        self.write_with(dx, |m, dx| pool::ave_back(d, m.get(dy), dx));
    }

    pub fn lrn_across_back(&mut self, p: &LrnParams, channels: usize, plane: usize, io: Chain) {
        self.write_with(io.dx, |m, dx| {
            let picture = channels * plane;
            let [x, y, dy] = [io.x, io.y, io.dy].map(|v| m.get(v).chunks_exact(picture));
            for (((x, y), dy), dx) in x.zip(y).zip(dy).zip(dx.chunks_exact_mut(picture)) {
                lrn::across_back(p, plane, x, y, dy, dx);
            }
        });
    }

    pub fn lrn_within_back(&mut self, p: &LrnParams, input: [usize; 2], io: Chain) {
        self.write_with(io.dx, |m, dx| {
            lrn::within_back(p, input, m.get(io.x), m.get(io.y), m.get(io.dy), dx);
        });
    }

    pub fn relu_back(&mut self, slope: f32, y: View, d: View) {
        self.write_with(d, |m, d| elementwise::relu_back(slope, m.get(y), d));
    }

    pub fn unary_back(&mut self, op: &Unary, io: Chain) {
        self.write_with(io.dx, |m, dx| {
            elementwise::unary_back(op, m.get(io.x), m.get(io.y), m.get(io.dy), dx);
        });
    }

    pub fn prelu_back(&mut self, v: AxisView, slope: View, io: Chain) {
        self.write_with(io.dx, |m, dx| {
            elementwise::prelu_back(v, m.get(slope), m.get(io.x), m.get(io.dy), dx);
        });
    }

    pub fn prelu_slope_back(&mut self, v: AxisView, [x, dy]: [View; 2], dslope: Gradient) {
        self.accumulate(dslope, |m, dslope| {
            elementwise::prelu_slope_back(v, m.get(x), m.get(dy), dslope);
        });
    }

    pub fn eltwise_back(&mut self, op: &Eltwise, which: usize, xs: &[View], dy: View, dx: View) {
        self.write_with(dx, |m, dx| {
            let inputs: Vec<&[f32]> = xs.iter().map(|x| m.get(*x)).collect();
            elementwise::eltwise_back(op, which, &inputs, m.get(dy), dx);
        });
    }

    pub fn standardise_back(
        &mut self,
        v: AxisView,
        own: bool,
        variance: View,
        eps: f32,
        io: Chain,
    ) {
        self.write_with(io.dx, |m, dx| {
            let (variance, dy) = (m.get(variance), m.get(io.dy));
            match own {
                true => norm::standardise_back(v, variance, eps, m.get(io.y), dy, dx),
                false => norm::stored_standardise_back(v, variance, eps, dy, dx),
            }
        });
    }

    pub fn mvn_back(&mut self, len: usize, deviation: Option<f32>, io: Chain) {
        self.write_with(io.dx, |m, dx| {
            norm::mvn_back(len, deviation, m.get(io.x), m.get(io.y), m.get(io.dy), dx);
        });
    }

    pub fn softmax_back(&mut self, v: AxisView, io: Chain) {
        self.write_with(io.dx, |m, dx| softmax::softmax_back(v, m.get(io.y), m.get(io.dy), dx));
    }

    pub fn reduce_back(&mut self, op: Reduction, len: usize, coeff: f32, io: Chain) {
        self.write_with(io.dx, |m, dx| {
            reduce::reduce_back(op, len, coeff, m.get(io.x), m.get(io.dy), dx);
        });
    }

    pub fn cross_entropy_back(&mut self, v: AxisView, rule: &LossRule, io: LossBack) {
        self.write_with(io.dx, |m, dx| {
            let labels = m.get(io.labels);
            let counted = loss::counted(v, labels, rule.ignore);
            let predictions = v.outer * v.inner;
            let divisor = loss::normalizer(rule.normalization, rule.batch, predictions, counted);
            let scale = io.weight / divisor as f32;
            loss::cross_entropy_back(v, m.get(io.x), labels, rule.ignore, scale, dx);
        });
    }

    pub fn sigmoid_cross_entropy_back(&mut self, rule: &LossRule, io: LossBack) {
        self.write_with(io.dx, |m, dx| {
            let (x, targets) = (m.get(io.x), m.get(io.labels));
            let (_, counted) = loss::sigmoid_cross_entropy(x, targets, rule.ignore);
            let divisor = loss::normalizer(rule.normalization, rule.batch, io.x.len, counted);
            let scale = io.weight / divisor as f32;
            loss::sigmoid_cross_entropy_back(x, targets, rule.ignore, scale, dx);
        });
    }

    pub fn hinge_back(&mut self, norm: HingeNorm, classes: usize, io: LossBack) {
        self.write_with(io.dx, |m, dx| {
            let scale = io.weight / (io.x.len / classes) as f32;
            loss::hinge_back(norm, classes, m.get(io.x), m.get(io.labels), scale, dx);
        });
    }

    pub fn multinomial_back(&mut self, classes: usize, io: LossBack) {
        self.write_with(io.dx, |m, dx| {
            let scale = io.weight / (io.x.len / classes) as f32;
            loss::multinomial_back(m.get(io.x), classes, m.get(io.labels), scale, dx);
        });
    }

    pub fn contrastive_back(&mut self, margin: f32, legacy: bool, other: View, io: LossBack) {
        self.write_with(io.dx, |m, dx| {
            let (x, other, similar) = (m.get(io.x), m.get(other), m.get(io.labels));
            let scale = io.weight / similar.len() as f32;
            loss::contrastive_back(margin, legacy, x, other, similar, scale, dx);
        });
    }

    /// Lends a parameter's values, gradient and histories: `f` changes all but the gradient.
    pub fn learn(
        &mut self,
        histories: usize,
        p: Learnt,
        f: impl FnOnce(&mut [f32], &[f32], &mut [f32], &mut [f32]),
    ) {
        let [first, second] = p.histories;
        let (mut h, mut h2) = (self.take(first.slot), None);
        if histories > 1 {
            h2 = Some(self.take(second.slot));
        }
        self.write_with(p.weight, |m, w| {
            let h2 = h2.as_mut().map_or(&mut [][..], |h2| &mut h2[second.at..][..second.len]);
            f(w, m.get(p.gradient), &mut h[first.at..][..first.len], h2);
        });
        self.put(first.slot, h);
        if let Some(h2) = h2 {
            self.put(second.slot, h2);
        }
    }

    pub fn update(&mut self, u: &Update, p: Learnt) {
        self.learn(u.rule.histories(), p, |w, g, h, h2| update::update(u, w, g, h, h2));
    }
}
