//! Launches `loss.cu`.

use super::arguments::{as_it_is, flat, launch, parts};
use super::device::{Device, Launch, Span};
use crate::ops::{AxisView, HingeNorm, Normalization};

/// How a loss over labels is summed and divided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Divisor {
    /// Labels that do not count.
    pub ignore: Option<i32>,
    /// What the sum is divided by.
    pub normalization: Normalization,
    /// Pictures in the batch.
    pub batch: usize,
}

impl Divisor {
    fn ignored(&self) -> Ignored {
        ignored(self.ignore)
    }

    /// Whether it is what counts, else what it is; never less than one.
    fn number(&self, predictions: usize) -> (u32, f64) {
        let (by_counted, n) = match self.normalization {
            Normalization::Full => (0, predictions),
            Normalization::Valid => (1, 1),
            Normalization::BatchSize => (0, self.batch),
            Normalization::None => (0, 1),
        };
        (by_counted, n.max(1) as f64)
    }
}

/// Operands of a loss's gradient.
#[derive(Clone, Copy, Debug)]
pub struct Labelled {
    /// Scores, or what the loss made of them.
    pub x: Span,
    /// Labels or targets.
    pub labels: Span,
    /// The gradient of the loss itself.
    pub weight: f32,
    /// The gradient of the scores.
    pub dx: Span,
}

/// `struct Ignored` of the kernels.
#[derive(Clone, Copy)]
#[repr(C)]
struct Ignored {
    label: i32,
    any: u32,
}

as_it_is!(Ignored);

fn ignored(label: Option<i32>) -> Ignored {
    Ignored { label: label.unwrap_or(0), any: u32::from(label.is_some()) }
}

/// Blocks that sum, what they leave, and one number more.
struct Sum {
    blocks: usize,
    parts: Span,
    counted: Span,
}

impl Sum {
    fn launch(&self, kernel: &'static str) -> Launch<'static> {
        flat("loss", kernel, self.blocks)
    }
}

/// See the functions of the same names in [`crate::cpu::loss`].
impl Device {
    /// Room for the sum of `n` terms, after `before` words for something else.
    fn sum_of(&self, n: usize, before: usize) -> Sum {
        let blocks = parts(n);
        let scratch = self.scratch(before + 4 * blocks + 2);
        let parts = scratch.part(before, 4 * blocks);
        Sum { blocks, parts, counted: scratch.part(before + 4 * blocks, 2) }
    }

    /// The parts become `y = sum / divisor`; how many counted is kept.
    fn finish_loss(&self, sum: &Sum, (by_counted, divisor): (u32, f64), y: Option<Span>) {
        let l = flat("loss", "finish_loss", 1);
        launch!(self, l; sum.blocks as u32, by_counted, divisor, sum.parts, sum.counted, y);
    }

    /// Cross-entropy of probabilities with labels, one number.
    pub fn cross_entropy(&self, v: AxisView, rule: &Divisor, prob: Span, labels: Span, y: Span) {
        let n = v.outer * v.inner;
        assert!(prob.len >= v.outer * v.block() && labels.len >= n && y.len >= 1);
        let sum = self.sum_of(n, 0);
        let l = sum.launch("cross_entropy");
        launch!(self, l; v, rule.ignored(), prob, labels, sum.parts);
        self.finish_loss(&sum, rule.number(n), Some(y));
    }

    /// Gradient of softmax and [`Device::cross_entropy`] together, times `weight`.
    pub fn cross_entropy_back(&self, v: AxisView, rule: &Divisor, io: Labelled) {
        let (n, predictions) = (v.outer * v.block(), v.outer * v.inner);
        assert!(io.x.len >= n && io.dx.len >= n && io.labels.len >= predictions);
        let sum = self.sum_of(predictions, 0);
        let l = sum.launch("count_labels");
        launch!(self, l; v, rule.ignored(), io.labels, sum.parts);
        let (by_counted, divisor) = rule.number(predictions);
        self.finish_loss(&sum, (by_counted, divisor), None);
        let l = self.each("loss", "cross_entropy_back", n);
        launch!(self, l;
            v, rule.ignored(), io.weight, by_counted, divisor, sum.counted, n, io.x, io.labels, io.dx);
    }

    /// Cross-entropy of sigmoid(x) with targets, one number.
    pub fn sigmoid_cross_entropy(&self, rule: &Divisor, x: Span, targets: Span, y: Span) {
        assert!(targets.len >= x.len && y.len >= 1);
        let sum = self.sum_of(x.len, 0);
        let l = sum.launch("sigmoid_cross_entropy");
        launch!(self, l; rule.ignored(), x.len, x, targets, sum.parts);
        self.finish_loss(&sum, rule.number(x.len), Some(y));
    }

    /// Gradient of [`Device::sigmoid_cross_entropy`], times `weight`.
    pub fn sigmoid_cross_entropy_back(&self, rule: &Divisor, io: Labelled) {
        let n = io.dx.len;
        assert!(io.x.len == n && io.labels.len >= n);
        let sum = self.sum_of(n, 0);
        let l = sum.launch("count_targets");
        launch!(self, l; rule.ignored(), n, io.labels, sum.parts);
        let (by_counted, divisor) = rule.number(n);
        self.finish_loss(&sum, (by_counted, divisor), None);
        let l = self.each("loss", "sigmoid_cross_entropy_back", n);
        launch!(self, l;
            rule.ignored(), io.weight, by_counted, divisor, sum.counted, n, io.x, io.labels, io.dx);
    }

    /// Hinge loss divided by the number of rows, one number.
    pub fn hinge(&self, norm: HingeNorm, classes: usize, x: Span, labels: Span, y: Span) {
        let rows = x.len / classes;
        assert!(labels.len >= rows && y.len >= 1);
        let sum = self.sum_of(x.len, 0);
        let l = sum.launch("hinge");
        launch!(self, l; squared(norm), classes, rows * classes, x, labels, sum.parts);
        self.finish_loss(&sum, (0, rows as f64), Some(y));
    }

    /// Gradient of [`Device::hinge`], times `weight`.
    pub fn hinge_back(&self, norm: HingeNorm, classes: usize, io: Labelled) {
        let (n, rows) = (io.dx.len, io.x.len / classes);
        assert!(io.x.len == n && io.labels.len >= rows);
        let scale = io.weight / rows as f32;
        let l = self.each("loss", "hinge_back", n);
        launch!(self, l; squared(norm), scale, classes, n, io.x, io.labels, io.dx);
    }

    /// `Σ (a − b)² / divisor`, one number.
    pub fn squared_distance(&self, divisor: f32, a: Span, b: Span, y: Span) {
        assert!(a.len == b.len && y.len >= 1);
        let sum = self.sum_of(a.len, 0);
        launch!(self, sum.launch("squared_distance"); a.len, a, b, sum.parts);
        self.finish_loss(&sum, (0, divisor as f64), Some(y));
    }

    /// Cross-entropy of probabilities with labels divided by the number of rows, one number.
    pub fn multinomial(&self, classes: usize, x: Span, labels: Span, y: Span) {
        let rows = x.len / classes;
        assert!(labels.len >= rows && y.len >= 1);
        let sum = self.sum_of(rows, 0);
        launch!(self, sum.launch("multinomial"); classes, rows, x, labels, sum.parts);
        self.finish_loss(&sum, (0, rows as f64), Some(y));
    }

    /// Gradient of [`Device::multinomial`], times `weight`.
    pub fn multinomial_back(&self, classes: usize, io: Labelled) {
        let (n, rows) = (io.dx.len, io.x.len / classes);
        assert!(io.x.len == n && io.labels.len >= rows);
        let scale = io.weight / rows as f32;
        let l = self.each("loss", "multinomial_back", n);
        launch!(self, l; scale, classes, n, io.x, io.labels, io.dx);
    }

    /// Contrastive loss of a pair of blobs divided by the number of rows, one number.
    pub fn contrastive(
        &self,
        margin: f32,
        legacy: bool,
        [a, b]: [Span; 2],
        similar: Span,
        y: Span,
    ) {
        let rows = similar.len;
        assert!(a.len == b.len && y.len >= 1);
        let sum = self.sum_of(rows, 2 * rows);
        let squares = self.pair_distances(rows, a, b);
        let l = sum.launch("contrastive");
        launch!(self, l; margin, u32::from(legacy), rows, squares, similar, sum.parts);
        self.finish_loss(&sum, (0, 2.0 * rows as f64), Some(y));
    }

    /// Gradient of [`Device::contrastive`] for one blob of the pair, times `weight`; `other` is the other.
    pub fn contrastive_back(&self, margin: f32, legacy: bool, other: Span, io: Labelled) {
        let (n, rows) = (io.dx.len, io.labels.len);
        assert!(io.x.len == n && other.len == n);
        self.scratch(2 * rows);
        let squares = self.pair_distances(rows, io.x, other);
        let (width, scale) = (n / rows.max(1), io.weight / rows as f32);
        let l = self.each("loss", "contrastive_back", n);
        launch!(self, l;
            margin, u32::from(legacy), scale, width.max(1), n, squares, io.x, other, io.labels, io.dx);
    }

    /// The square of each pair's distance, at the beginning of the scratch memory, which is already large enough.
    fn pair_distances(&self, rows: usize, a: Span, b: Span) -> Span {
        let squares = self.scratch(2 * rows);
        let width = a.len / rows.max(1);
        let l = self.block_each("loss", "pair_distances", rows);
        launch!(self, l; rows, width, a, b, squares);
        squares
    }

    /// Share of predictions whose `top` best hold the label; and the same for each class.
    pub fn accuracy(
        &self,
        v: AxisView,
        top: usize,
        ignore: Option<i32>,
        [x, labels]: [Span; 2],
        (y, per_class): (Span, Option<Span>),
    ) {
        let n = v.outer * v.inner;
        assert!(x.len >= v.outer * v.block() && labels.len >= n && y.len >= 1);
        assert!(per_class.is_none_or(|out| out.len >= v.len));
        let verdicts = self.scratch(n);
        let l = self.each("loss", "judge", 32 * n);
        launch!(self, l; v, top as u32, ignored(ignore), x, labels, verdicts);
        launch!(self, flat("loss", "shares", 1); 0u32, n, verdicts, y);
        if let Some(out) = per_class {
            launch!(self, flat("loss", "shares", v.len); 1u32, n, verdicts, out);
        }
    }
}

fn squared(norm: HingeNorm) -> u32 {
    u32::from(norm == HingeNorm::L2)
}
