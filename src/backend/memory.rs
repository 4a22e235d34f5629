//! The slots of a backend that computes in the host's memory.

use super::{Slot, View};
use likenet_kernels::memory::Buffer;

/// Buffers by slot.
#[derive(Default)]
pub(super) struct Memory {
    buffers: Vec<Buffer<f32>>,
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
}
