//! The slots of a backend that computes in the host's memory.

use super::{Slot, View};
use likenet_kernels::memory::Buffer;
use std::sync::Arc;

/// Buffers by slot.
#[derive(Default)]
pub(super) struct Memory {
    /// Slots of another memory, to read only. Those of this one are numbered from their end on.
    below: Option<Arc<Memory>>,
    buffers: Vec<Buffer<f32>>,
    /// How often each slot was written: what was derived from older contents is stale.
    versions: Vec<u64>,
    freed: Vec<usize>,
}

impl Memory {
    pub fn alloc(&mut self, len: usize) -> Slot {
        let buffer = Buffer::zeroed(len);
        let i = self.freed.pop().unwrap_or(self.buffers.len());
        if i == self.buffers.len() {
            self.buffers.push(buffer);
            self.versions.push(0);
        } else {
            self.buffers[i] = buffer;
            self.versions[i] += 1;
        }
        Slot(self.first() + i)
    }

    pub fn free(&mut self, slot: Slot) {
        let own = self.own(slot);
        self.buffers[own] = Buffer::default();
        self.freed.push(own);
    }

    /// Lends another memory's slots, to read only.
    pub fn borrow_from(&mut self, below: Arc<Memory>) {
        self.below = Some(below);
    }

    /// Gives them back.
    pub fn give_back(&mut self) {
        self.below = None;
    }

    /// Slots of its own that hold at least so many elements each, and nothing of value.
    pub fn private(&mut self, lens: &[usize]) -> Vec<Slot> {
        self.buffers.resize_with(lens.len().max(self.buffers.len()), Buffer::default);
        self.versions.resize(self.buffers.len(), 0);
        for (buffer, len) in self.buffers.iter_mut().zip(lens) {
            buffer.at_least(*len);
        }
        (0..lens.len()).map(|i| Slot(self.first() + i)).collect()
    }

    /// The number of its first slot.
    fn first(&self) -> usize {
        self.below.as_ref().map_or(0, |b| b.first() + b.buffers.len())
    }

    /// Where a slot of its own lies.
    fn own(&self, slot: Slot) -> usize {
        slot.0.checked_sub(self.first()).expect("borrowed slots are only read")
    }

    /// The memory that holds a slot, and where.
    fn find(&self, slot: Slot) -> (&Self, usize) {
        match slot.0.checked_sub(self.first()) {
            Some(own) => (self, own),
            None => self.below.as_ref().expect("slots below its own").find(slot),
        }
    }

    pub fn write(&mut self, slot: Slot, at: usize, data: &[f32]) {
        let own = self.own(slot);
        self.versions[own] += 1;
        self.buffers[own][at..at + data.len()].copy_from_slice(data);
    }

    /// A number that changes whenever the slot's contents may have.
    pub fn version(&self, slot: Slot) -> u64 {
        let (memory, i) = self.find(slot);
        memory.versions[i]
    }

    pub fn get(&self, v: View) -> &[f32] {
        let (memory, i) = self.find(v.slot);
        &memory.buffers[i][v.at..v.at + v.len]
    }

    pub fn read(&self, slot: Slot, out: &mut [f32]) {
        out.copy_from_slice(self.get(View::whole(slot, out.len())));
    }

    /// Lends `y` to be written while every other slot can be read.
    ///
    /// Reading `y` itself inside finds an empty buffer and panics: a plan never asks for that.
    pub fn write_with(&mut self, y: View, f: impl FnOnce(&Self, &mut [f32])) {
        let mut buffer = self.take(y.slot);
        f(self, &mut buffer[y.at..y.at + y.len]);
        self.put(y.slot, buffer);
    }

    /// Takes a slot's contents away, to be changed.
    pub fn take(&mut self, slot: Slot) -> Buffer<f32> {
        let own = self.own(slot);
        self.versions[own] += 1;
        std::mem::take(&mut self.buffers[own])
    }

    /// Puts them back.
    pub fn put(&mut self, slot: Slot, contents: Buffer<f32>) {
        let own = self.own(slot);
        self.buffers[own] = contents;
    }
}
