//! Weights in the form that kernels want, made once from what a slot holds.

use super::super::memory::Memory;
use super::super::{Prepare, Slot};
use super::team::Team;
use likenet_kernels::cpu::columns::round_rows;
use likenet_kernels::cpu::conv::flipped;
use likenet_kernels::cpu::filters::Filters;
use likenet_kernels::cpu::inner;
use likenet_kernels::cpu::table::Kernels;
use likenet_kernels::ops::{Algorithm, ConvDims, Precision};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Packed weights by slot, each made once since the slot changed.
pub struct PackedWeights {
    /// How they are kept.
    precision: Precision,
    /// Those of another backend, which are looked for too.
    below: Option<Arc<PackedWeights>>,
    slots: HashMap<(Slot, Way), Packed>,
}

/// What weights are packed for: a parameter may be there once for each.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    Forward,
    Back,
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
    /// None yet.
    pub fn new(precision: Precision) -> Self {
        Self { precision, below: None, slots: HashMap::new() }
    }

    /// Drops what was made from a slot.
    pub fn forget(&mut self, slot: Slot) {
        self.slots.remove(&(slot, Way::Forward));
        self.slots.remove(&(slot, Way::Back));
    }

    /// Lends another backend's weights.
    pub fn borrow_from(&mut self, below: Arc<PackedWeights>) {
        self.below = Some(below);
    }

    /// Gives them back.
    pub fn give_back(&mut self) {
        self.below = None;
    }

    /// Bytes of all packed weights.
    pub fn bytes(&self) -> usize {
        let form = |p: &Packed| match &p.form {
            Form::Inner(weights) => weights.bytes(),
            Form::Filters(filters) => filters.bytes(),
        };
        self.slots.values().map(form).sum()
    }

    /// Makes sure that these weights are there.
    pub fn prepare(
        &mut self,
        team: &Team,
        kernels: &Kernels,
        memory: &Memory,
        weights: &[Prepare],
    ) {
        let missing = |p: &&Prepare| {
            let (key, origin) = origin(memory, p);
            self.get(key).is_none_or(|packed| packed.origin != origin)
        };
        let missing: Vec<&Prepare> = weights.iter().filter(missing).collect();
        if missing.is_empty() {
            return;
        }
        let precision = self.precision;
        let made = team.map(missing.into_iter(), |_, prepare| {
            let (key, origin) = origin(memory, prepare);
            let form = match prepare {
                Prepare::Conv(d, how, weight) => memory.with(*weight, |values| {
                    // Filters are small beside what they meet: only their values are those of the precision.
                    let mut values = Cow::Borrowed(values);
                    if precision != Precision::F32 {
                        round_rows(precision, d.patch_len(), values.to_mut());
                    }
                    Form::Filters(Box::new(Filters::new(kernels, d, *how, &values)))
                }),
                Prepare::ConvBack(d, how, weight) => memory.with(*weight, |values| {
                    let back = d.transposed().expect("there is such a convolution");
                    Form::Filters(Box::new(Filters::new(kernels, &back, *how, &flipped(d, values))))
                }),
                Prepare::Inner(d, how, weight) => memory.with(*weight, |values| {
                    Form::Inner(inner::Weights::new(kernels, d, *how, precision, values))
                }),
            };
            (key, Packed { origin, form })
        });
        self.slots.extend(made);
    }

    fn get(&self, key: (Slot, Way)) -> Option<&Packed> {
        let below = || self.below.as_ref().and_then(|b| b.get(key));
        self.slots.get(&key).or_else(below)
    }

    /// The filters that were prepared last from a slot.
    ///
    /// # Panics
    /// When there are none.
    pub fn filters(&self, slot: Slot, way: Way) -> &Filters {
        match self.get((slot, way)).map(|p| &p.form) {
            Some(Form::Filters(filters)) => filters,
            _ => unreachable!("filters are prepared before they are used"),
        }
    }

    /// The fully connected layer's weights that were prepared last from a slot.
    ///
    /// # Panics
    /// When there are none.
    pub fn inner_weights(&self, slot: Slot) -> &inner::Weights {
        match self.get((slot, Way::Forward)).map(|p| &p.form) {
            Some(Form::Inner(weights)) => weights,
            _ => unreachable!("weights are prepared before they are used"),
        }
    }
}

/// The slot that weights lie in, what for, and what they are made from.
fn origin(memory: &Memory, prepare: &Prepare) -> ((Slot, Way), Origin) {
    let (view, seen) = match *prepare {
        Prepare::Conv(d, how, view) | Prepare::ConvBack(d, how, view) => (view, Seen::Conv(d, how)),
        Prepare::Inner(d, how, view) => {
            let (inputs, outputs, transpose) = (d.inputs, d.outputs, d.transpose);
            (view, Seen::Inner { inputs, outputs, transpose, how })
        }
    };
    let way = match prepare {
        Prepare::ConvBack(..) => Way::Back,
        _ => Way::Forward,
    };
    ((view.slot, way), Origin { version: memory.version(view.slot), seen })
}
