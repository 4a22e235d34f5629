//! The slots of a backend that computes in the host's memory.

use super::{Lend, Slot, View};
use likenet_kernels::memory::Buffer;
use std::sync::{Arc, OnceLock};

/// What a slot holds.
enum Contents {
    /// Values of its own.
    Own(Buffer<f32>),
    /// Values that lie elsewhere, and a copy of them if somebody had to have them here.
    Lent(Arc<dyn Lend>, OnceLock<Buffer<f32>>),
}

impl Default for Contents {
    fn default() -> Self {
        Self::Own(Buffer::default())
    }
}

impl Contents {
    fn get(&self) -> &[f32] {
        match self {
            Self::Own(buffer) => buffer,
            Self::Lent(values, copy) => copy.get_or_init(|| copied(&**values)),
        }
    }

    /// The values, its own from now on.
    fn own(&mut self) -> &mut Buffer<f32> {
        if let Self::Lent(values, copy) = self {
            let copy = copy.take().unwrap_or_else(|| copied(&**values));
            *self = Self::Own(copy);
        }
        match self {
            Self::Own(buffer) => buffer,
            Self::Lent(..) => unreachable!("lent values were copied"),
        }
    }
}

fn copied(values: &dyn Lend) -> Buffer<f32> {
    let mut copy = Buffer::zeroed(values.count());
    values.with(&mut |values| copy.copy_from_slice(values));
    copy
}

/// Buffers by slot.
#[derive(Default)]
pub(super) struct Memory {
    /// Slots of another memory, to read only. Those of this one are numbered from their end on.
    below: Option<Arc<Memory>>,
    buffers: Vec<Contents>,
    /// How often each slot was written: what was derived from older contents is stale.
    versions: Vec<u64>,
    freed: Vec<usize>,
}

impl Memory {
    pub fn alloc(&mut self, len: usize) -> Slot {
        self.insert(Contents::Own(Buffer::zeroed(len)))
    }

    /// A slot that holds lent values until it is written to.
    pub fn lend(&mut self, values: Arc<dyn Lend>) -> Slot {
        self.insert(Contents::Lent(values, OnceLock::new()))
    }

    fn insert(&mut self, contents: Contents) -> Slot {
        let i = self.freed.pop().unwrap_or(self.buffers.len());
        if i == self.buffers.len() {
            self.buffers.push(contents);
            self.versions.push(0);
        } else {
            self.buffers[i] = contents;
            self.versions[i] += 1;
        }
        Slot(self.first() + i)
    }

    pub fn free(&mut self, slot: Slot) {
        let own = self.own(slot);
        self.buffers[own] = Contents::default();
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
        self.buffers.resize_with(lens.len().max(self.buffers.len()), Contents::default);
        self.versions.resize(self.buffers.len(), 0);
        for (buffer, len) in self.buffers.iter_mut().zip(lens) {
            buffer.own().at_least(*len);
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
        self.buffers[own].own()[at..at + data.len()].copy_from_slice(data);
    }

    /// A number that changes whenever the slot's contents may have.
    pub fn version(&self, slot: Slot) -> u64 {
        let (memory, i) = self.find(slot);
        memory.versions[i]
    }

    pub fn get(&self, v: View) -> &[f32] {
        let (memory, i) = self.find(v.slot);
        &memory.buffers[i].get()[v.at..v.at + v.len]
    }

    /// Shows a view's values where they lie: lent ones are not copied.
    pub fn with<R>(&self, v: View, f: impl FnOnce(&[f32]) -> R) -> R {
        let (memory, i) = self.find(v.slot);
        let Contents::Lent(values, copy) = &memory.buffers[i] else { return f(self.get(v)) };
        if copy.get().is_some() {
            return f(self.get(v));
        }
        let (mut f, mut result) = (Some(f), None);
        values.with(&mut |values| result = f.take().map(|f| f(&values[v.at..v.at + v.len])));
        result.expect("lent values are shown once")
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
        std::mem::take(self.buffers[own].own())
    }

    /// Puts them back.
    pub fn put(&mut self, slot: Slot, contents: Buffer<f32>) {
        let own = self.own(slot);
        self.buffers[own] = Contents::Own(contents);
    }
}
