//! Launches `update.cu`.

use super::arguments::{as_it_is, launch};
use super::device::{Device, Span};
use crate::ops::{Penalty, Update, UpdateRule};

/// `struct Update` of the kernels: the rule's number, rate, clip, average, L1, L2, μ (or ρ), ν, δ.
#[derive(Clone, Copy)]
#[repr(C)]
struct Numbers(u32, [f32; 8]);

as_it_is!(Numbers);

impl Numbers {
    fn new(u: &Update) -> Self {
        let [l1, l2] = match u.penalty {
            Penalty::None => [0.0, 0.0],
            Penalty::L1 => [u.decay, 0.0],
            Penalty::L2 => [0.0, u.decay],
        };
        let (rule, rate, [momentum, second, delta]) = match u.rule {
            UpdateRule::Sgd { momentum } => (0, u.rate, [momentum, 0.0, 0.0]),
            UpdateRule::Nesterov { momentum } => (1, u.rate, [momentum, 0.0, 0.0]),
            UpdateRule::AdaGrad { delta } => (2, u.rate, [0.0, 0.0, delta]),
            UpdateRule::RmsProp { decay, delta } => (3, u.rate, [decay, 0.0, delta]),
            UpdateRule::AdaDelta { momentum, delta } => (4, u.rate, [momentum, 0.0, delta]),
            UpdateRule::Adam { momentum, momentum2, delta, correction } => {
                (5, u.rate * correction, [momentum, momentum2, delta])
            }
        };
        Self(rule, [rate, u.clip, u.average, l1, l2, momentum, second, delta])
    }
}

/// See the functions of the same names in [`crate::cpu::update`] and [`crate::cpu::embed`].
impl Device {
    /// Changes weights and histories by the gradient.
    pub fn update(&self, u: &Update, [w, g, h]: [Span; 3], second: Span) {
        let k = (u.rule.histories() == 2).then_some(second);
        assert!([g, h].iter().chain(k.iter()).all(|s| s.len == w.len));
        let l = self.each("update", "update", w.len);
        launch!(self, l; Numbers::new(u), w.len, w, g, h, k);
    }

    /// The row of a table of `rows` for each index, zeros for an index outside it.
    pub fn embed(&self, rows: usize, [indices, weight]: [Span; 2], bias: Option<Span>, y: Span) {
        let outputs = weight.len / rows;
        assert!(y.len == indices.len * outputs && bias.is_none_or(|b| b.len >= outputs));
        let l = self.each("update", "embed", y.len);
        launch!(self, l; rows, outputs, y.len, indices, weight, bias, y);
    }

    /// Gradient of the table of [`Device::embed`] from the indices and the gradients of the output.
    pub fn embed_back(&self, outputs: usize, [indices, dy]: [Span; 2], add: bool, dw: Span) {
        assert!(dy.len >= indices.len * outputs);
        let rows = dw.len / outputs;
        let l = self.block_each("update", "embed_back", rows);
        launch!(self, l; rows, outputs, indices.len, u32::from(add), indices, dy, dw);
    }
}
