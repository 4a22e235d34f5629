//! Weights in the form that kernels want, made once from what a slot holds.

use super::super::memory::Memory;
use super::super::{InnerDims, Slot, View};
use likenet_kernels::cpu::gemm::Matrix;
use likenet_kernels::cpu::panels::{PackedColumns, PackedRows};
use likenet_kernels::cpu::table::Kernels;
use likenet_kernels::cpu::winograd;
use likenet_kernels::ops::{ConvAlgorithm, ConvDims};
use rayon::prelude::*;
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
    Conv(ConvDims, ConvAlgorithm),
    Inner { inputs: usize, outputs: usize, transpose: bool },
}

enum Form {
    Filters(Filters),
    Columns(PackedColumns),
}

/// The filters of a convolution, group by group.
pub enum Filters {
    Rows(Vec<PackedRows>),
    Winograd(Vec<winograd::Weights>),
}

impl Filters {
    /// How many filters of a group a share must have so that `parts` shares hold all.
    pub fn share(&self, parts: usize) -> usize {
        match self {
            Self::Rows(groups) => groups[0].share(parts),
            Self::Winograd(groups) => groups[0].share(parts),
        }
    }
}

impl PackedWeights {
    /// Drops what was made from a slot.
    pub fn forget(&mut self, slot: Slot) {
        self.slots.remove(&slot);
    }

    /// Bytes of all packed weights.
    pub fn bytes(&self) -> usize {
        let form = |p: &Packed| match &p.form {
            Form::Columns(columns) => columns.bytes(),
            Form::Filters(Filters::Rows(groups)) => groups.iter().map(PackedRows::bytes).sum(),
            Form::Filters(Filters::Winograd(groups)) => {
                groups.iter().map(winograd::Weights::bytes).sum()
            }
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
        algorithm: ConvAlgorithm,
        weight: View,
    ) {
        let seen = Seen::Conv(*d, algorithm);
        self.ensure(memory, weight, seen, |values| {
            let (m, k) = (d.filters / d.group, d.patch_len());
            let groups = values.par_chunks_exact(m * k);
            let scheme = winograd::Scheme::of(d).filter(|_| algorithm == ConvAlgorithm::Winograd);
            Form::Filters(pool.install(|| match scheme {
                Some(scheme) => Filters::Winograd(
                    groups.map(|w| winograd::Weights::new(kernels, scheme, d, w)).collect(),
                ),
                None => Filters::Rows(
                    groups.map(|w| PackedRows::new(kernels, m, k, Matrix::rows(w, k))).collect(),
                ),
            }))
        });
    }

    /// Makes sure that the columns of this fully connected layer are there.
    pub fn inner(
        &mut self,
        pool: &rayon::ThreadPool,
        kernels: &'static Kernels,
        memory: &Memory,
        d: &InnerDims,
        weight: View,
    ) {
        let InnerDims { inputs, outputs, transpose, .. } = *d;
        self.ensure(memory, weight, Seen::Inner { inputs, outputs, transpose }, |values| {
            let matrix = match transpose {
                true => Matrix::rows(values, outputs),
                false => Matrix::transposed(values, inputs),
            };
            let pack = || PackedColumns::new(kernels, inputs, outputs, matrix);
            Form::Columns(pool.install(pack))
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
            Form::Columns(_) => unreachable!("the slot was packed for a fully connected layer"),
        }
    }

    /// The columns that [`Self::inner`] made.
    ///
    /// # Panics
    /// When it was not called for this slot last.
    pub fn columns(&self, slot: Slot) -> &PackedColumns {
        match &self.slots[&slot].form {
            Form::Columns(columns) => columns,
            Form::Filters(_) => unreachable!("the slot was packed for a convolution"),
        }
    }
}
