//! The slots of a backend that computes in the host's memory.

use super::{Judged, LossRule, Slot, View};
use crate::tensor::Buffer;
use likenet_kernels::cpu::loss;
use likenet_kernels::ops::AxisView;

/// Buffers by slot.
#[derive(Default)]
pub(super) struct Memory {
    buffers: Vec<Buffer>,
    /// How often each slot was written: what was derived from older contents is stale.
    versions: Vec<u64>,
    freed: Vec<usize>,
}

impl Memory {
    pub fn alloc(&mut self, len: usize) -> Slot {
        let buffer = Buffer::zeroed(len);
        match self.freed.pop() {
            Some(i) => {
                self.buffers[i] = buffer;
                self.versions[i] += 1;
                Slot(i)
            }
            None => {
                self.buffers.push(buffer);
                self.versions.push(0);
                Slot(self.buffers.len() - 1)
            }
        }
    }

    pub fn free(&mut self, slot: Slot) {
        self.buffers[slot.0] = Buffer::default();
        self.freed.push(slot.0);
    }

    pub fn write(&mut self, slot: Slot, at: usize, data: &[f32]) {
        self.versions[slot.0] += 1;
        self.buffers[slot.0][at..at + data.len()].copy_from_slice(data);
    }

    /// A number that changes whenever the slot's contents may have.
    pub fn version(&self, slot: Slot) -> u64 {
        self.versions[slot.0]
    }

    pub fn get(&self, v: View) -> &[f32] {
        &self.buffers[v.slot.0][..v.len]
    }

    pub fn read(&self, slot: Slot, out: &mut [f32]) {
        out.copy_from_slice(&self.buffers[slot.0][..out.len()]);
    }

    /// Lends `y` to be written while every other slot can be read.
    ///
    /// Reading `y` itself inside finds an empty buffer and panics: a plan never asks for that.
    pub fn write_with(&mut self, y: View, f: impl FnOnce(&Self, &mut [f32])) {
        self.versions[y.slot.0] += 1;
        let mut buffer = std::mem::take(&mut self.buffers[y.slot.0]);
        f(self, &mut buffer[..y.len]);
        self.buffers[y.slot.0] = buffer;
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
