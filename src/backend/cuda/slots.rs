//! The slots of a backend that computes on a device.

use super::super::{Gradient, Lend, Slot, View};
use likenet_kernels::cuda::{Device, Memory, Span};
use std::sync::Arc;

/// Memory of a device by slot.
#[derive(Default)]
pub(super) struct Slots {
    memory: Vec<Option<Memory>>,
    /// How often each slot was written: what was made of older contents is stale.
    versions: Vec<u64>,
    freed: Vec<usize>,
}

impl Slots {
    /// A new slot of `len` zeros.
    pub fn alloc(&mut self, device: &Device, len: usize) -> Slot {
        let memory = device.alloc(len * size_of::<f32>());
        device.fill(0.0, memory.span(0, len));
        let i = self.freed.pop().unwrap_or(self.memory.len());
        if i == self.memory.len() {
            self.memory.push(Some(memory));
            self.versions.push(0);
        } else {
            self.memory[i] = Some(memory);
            self.versions[i] += 1;
        }
        Slot(i)
    }

    /// A new slot with a copy of lent values: the device cannot see the host's.
    pub fn lend(&mut self, device: &Device, values: &Arc<dyn Lend>) -> Slot {
        let slot = self.alloc(device, values.count());
        let whole = View::whole(slot, values.count());
        values.with(&mut |values| device.write(self.read(whole), values));
        slot
    }

    /// Gives a slot's memory back.
    pub fn free(&mut self, device: &Device, slot: Slot) {
        if let Some(memory) = self.memory[slot.0].take() {
            device.free(memory);
            self.freed.push(slot.0);
        }
    }

    /// A number that changes whenever the slot's contents may have.
    pub fn version(&self, slot: Slot) -> u64 {
        self.versions[slot.0]
    }

    /// A view's numbers, to read only.
    pub fn read(&self, v: View) -> Span {
        let memory = self.memory[v.slot.0].as_ref();
        memory.expect("a slot that was not freed").span(v.at, v.len)
    }

    /// A view's numbers, to change.
    pub fn write(&mut self, v: View) -> Span {
        self.versions[v.slot.0] += 1;
        self.read(v)
    }

    /// Where a parameter's gradient goes, and whether it is added there.
    pub fn gradient(&mut self, g: Gradient) -> (Span, bool) {
        (self.write(g.to), g.add)
    }
}
