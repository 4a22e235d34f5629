//! Operations whose whole cost is that of reading their input once: losses, accuracy, moments, copies, tables.
//! Both backends in the host's memory compute them by the plain loop, on one thread.

use super::memory::Memory;
use super::{Judged, LossRule, View, Weighted};
use likenet_kernels::cpu::{elementwise, embed, loss, norm};
use likenet_kernels::ops::{AxisView, BlockCopy, HingeNorm};

impl Memory {
    pub fn copy_blocks(&mut self, c: &BlockCopy, x: View, y: View) {
        self.write_with(y, |m, y| elementwise::copy_blocks(c, m.get(x), y));
    }

    pub fn axpby(&mut self, a: f32, x: View, b: f32, y: View) {
        self.write_with(y, |m, y| elementwise::axpby(a, m.get(x), b, y));
    }

    pub fn divide(&mut self, x: View, divisor: View, y: View) {
        self.write_with(y, |m, y| {
            let d = m.get(divisor)[0];
            elementwise::axpby(if d == 0.0 { 0.0 } else { 1.0 / d }, m.get(x), 0.0, y);
        });
    }

    pub fn moments(&mut self, v: AxisView, x: View, mean: View, variance: View) {
        self.write_with(mean, |m, mean| norm::mean(v, m.get(x), mean));
        self.write_with(variance, |m, variance| {
            norm::variance(v, m.get(x), m.get(mean), variance);
        });
    }

    pub fn embed(&mut self, rows: usize, io: Weighted) {
        self.write_with(io.y, |m, y| {
            let (outputs, bias) = (io.weight.len / rows, io.bias.map(|b| m.get(b)));
            embed::embed(rows, outputs, m.get(io.x), m.get(io.weight), bias, y);
        });
    }

    pub fn hinge(&mut self, norm: HingeNorm, classes: usize, x: View, labels: View, y: View) {
        self.write_with(y, |m, y| {
            let rows = (x.len / classes) as f64;
            y[0] = (loss::hinge(norm, classes, m.get(x), m.get(labels)) / rows) as f32;
        });
    }

    pub fn squared_distance(&mut self, divisor: f32, a: View, b: View, y: View) {
        self.write_with(y, |m, y| {
            y[0] = (loss::squared_distance(m.get(a), m.get(b)) / divisor as f64) as f32;
        });
    }

    pub fn multinomial(&mut self, classes: usize, x: View, labels: View, y: View) {
        self.write_with(y, |m, y| {
            let rows = (x.len / classes) as f64;
            y[0] = (loss::multinomial(m.get(x), classes, m.get(labels)) / rows) as f32;
        });
    }

    pub fn contrastive(
        &mut self,
        margin: f32,
        legacy: bool,
        [a, b]: [View; 2],
        similar: View,
        y: View,
    ) {
        self.write_with(y, |m, y| {
            let sum = loss::contrastive(margin, legacy, m.get(a), m.get(b), m.get(similar));
            y[0] = (sum / similar.len as f64) as f32;
        });
    }

    pub fn cross_entropy(
        &mut self,
        v: AxisView,
        rule: &LossRule,
        prob: View,
        labels: View,
        y: View,
    ) {
        self.write_with(y, |m, y| {
            let (sum, counted) = loss::cross_entropy(v, m.get(prob), m.get(labels), rule.ignore);
            let predictions = v.outer * v.inner;
            y[0] = (sum / loss::normalizer(rule.normalization, rule.batch, predictions, counted))
                as f32;
        });
    }

    pub fn sigmoid_cross_entropy(&mut self, rule: &LossRule, x: View, targets: View, y: View) {
        self.write_with(y, |m, y| {
            let (sum, counted) = loss::sigmoid_cross_entropy(m.get(x), m.get(targets), rule.ignore);
            y[0] = (sum / loss::normalizer(rule.normalization, rule.batch, x.len, counted)) as f32;
        });
    }

    pub fn accuracy(&mut self, v: AxisView, top: usize, ignore: Option<i32>, io: Judged) {
        let mut share = 0.0;
        let mut judge = |m: &Self, per_class: Option<&mut [f32]>| {
            share = loss::accuracy(v, top, ignore, m.get(io.x), m.get(io.labels), per_class);
        };
        match io.per_class {
            Some(out) => self.write_with(out, |m, out| judge(m, Some(out))),
            None => judge(self, None),
        }
        self.write_with(io.y, |_, y| y[0] = share);
    }
}
