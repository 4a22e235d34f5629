//! Weights in the form that kernels want, made once from what a slot holds.

use super::super::memory::Memory;
use super::super::{Slot, View};
use likenet_kernels::cpu::filters::Filters;
use likenet_kernels::cpu::inner;
use likenet_kernels::cpu::table::Kernels;
use likenet_kernels::ops::{Algorithm, ConvDims, InnerDims};
use std::collections::HashMap;

/// Packed weights by slot, each made when it was first used since the slot changed.
#[derive(Default)]
pub struct PackedWeights {
    slots: HashMap<Slot, Packed>,
}

struct Packed {
    origin: Origin,
    form: Form,
}

/// One version of a slot, and how it is seen. Layers that share a parameter may see it differently.
#[derive(PartialEq, Eq)]
struct Origin {
    version: u64,
    seen: Seen,
}

#[derive(PartialEq, Eq)]
enum Seen {
    Conv(ConvDims, Algorithm),
    Inner { inputs: usize, outputs: usize, transpose: bool, how: Algorithm },
}

enum Form {
    Filters(Box<Filters>),
    Inner(inner::Weights),
}

impl PackedWeights {
    /// Drops what was made from a slot.
    pub fn forget(&mut self, slot: Slot) {
        self.slots.remove(&slot);
    }

    /// Bytes of all packed weights.
    pub fn bytes(&self) -> usize {
        let form = |p: &Packed| match &p.form {
            Form::Inner(weights) => weights.bytes(),
            Form::Filters(filters) => filters.bytes(),
        };
        self.slots.values().map(form).sum()
    }

    /// Makes sure that the filters of this convolution are there.
    pub fn conv(
        &mut self,
        pool: &rayon::ThreadPool,
        kernels: &'static Kernels,
        memory: &Memory,
        d: &ConvDims,
        algorithm: Algorithm,
        weight: View,
    ) {
        let seen = Seen::Conv(*d, algorithm);
        self.ensure(memory, weight, seen, |values| {
            let pack = || Filters::new(kernels, d, algorithm, values);
            Form::Filters(Box::new(pool.install(pack)))
        });
    }

    /// Makes sure that the weights of this fully connected layer are there.
    pub fn inner(
        &mut self,
        pool: &rayon::ThreadPool,
        kernels: &'static Kernels,
        memory: &Memory,
        d: &InnerDims,
        how: Algorithm,
        weight: View,
    ) {
        let InnerDims { inputs, outputs, transpose, .. } = *d;
        self.ensure(memory, weight, Seen::Inner { inputs, outputs, transpose, how }, |values| {
            Form::Inner(pool.install(|| inner::Weights::new(kernels, d, how, values)))
        });
    }

    fn ensure(
        &mut self,
        memory: &Memory,
        weight: View,
        seen: Seen,
        make: impl FnOnce(&[f32]) -> Form,
    ) {
        let origin = Origin { version: memory.version(weight.slot), seen };
        if self.slots.get(&weight.slot).is_none_or(|p| p.origin != origin) {
            let form = make(memory.get(weight));
            self.slots.insert(weight.slot, Packed { origin, form });
        }
    }

    /// The filters that [`Self::conv`] made.
    ///
    /// # Panics
    /// When it was not called for this slot last.
    pub fn filters(&self, slot: Slot) -> &Filters {
        match &self.slots[&slot].form {
            Form::Filters(filters) => filters,
            Form::Inner(_) => unreachable!("the slot was packed for a fully connected layer"),
        }
    }

    /// The weights that [`Self::inner`] made.
    ///
    /// # Panics
    /// When it was not called for this slot last.
    pub fn inner_weights(&self, slot: Slot) -> &inner::Weights {
        match &self.slots[&slot].form {
            Form::Inner(weights) => weights,
            Form::Filters(_) => unreachable!("the slot was packed for a convolution"),
        }
    }
}
