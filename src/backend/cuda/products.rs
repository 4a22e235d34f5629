//! Products with weights: their plans and packed weights, each made once.

use super::super::{Slot, View};
use super::slots::Slots;
use likenet_kernels::cuda::products::{Finish, Product};
use likenet_kernels::cuda::{Device, Memory, Operands, Span, plan::Plan};
use likenet_kernels::ops::{Algorithm, ConvDims};
use std::collections::HashMap;

/// Weights as one kind of product wants them.
struct Packed {
    /// The slot's version that they were made of.
    version: u64,
    memory: Memory,
}

/// How packed weights are told apart: their slot, the convolution, its algorithm, and whether they are for its
/// gradients.
type Key = (Slot, ConvDims, Algorithm, bool);

/// What was made before.
#[derive(Default)]
pub(super) struct Products {
    plans: HashMap<(Product, Finish), Plan>,
    packed: HashMap<Key, Packed>,
}

impl Products {
    /// Plays a product's plan.
    pub fn compute(&mut self, device: &Device, p: Product, finish: Finish, operands: &Operands) {
        let plan = self.plans.entry((p, finish)).or_insert_with(|| p.plan(&device.gpu(), finish));
        device.product(&p, plan, operands);
    }

    /// Weights packed for a product, if it wants them packed: anew, if they changed.
    pub fn packed(
        &mut self,
        device: &Device,
        slots: &Slots,
        p: &Product,
        weight: View,
    ) -> Option<Span> {
        let (d, how, back) = match *p {
            Product::Conv { d, how, .. } => (d, how, false),
            Product::ConvBack { d, how, .. } => (d, how, true),
            _ => return None,
        };
        // Only of a convolution's two algorithms are there packed weights.
        if how == Algorithm::Plain {
            return None;
        }
        let (key, version) = ((weight.slot, d, how, back), slots.version(weight.slot));
        if self.packed.get(&key).is_none_or(|packed| packed.version != version) {
            if let Some(stale) = self.packed.remove(&key) {
                device.free(stale.memory);
            }
            let memory = device.pack(&p.packing()?, slots.read(weight));
            self.packed.insert(key, Packed { version, memory });
        }
        let memory = &self.packed.get(&key)?.memory;
        Some(memory.span(0, memory.bytes() / size_of::<f32>()))
    }

    /// Gives back what was packed of a slot.
    pub fn forget(&mut self, device: &Device, slot: Slot) {
        let gone: Vec<Key> = self.packed.keys().filter(|key| key.0 == slot).copied().collect();
        for packed in gone.iter().filter_map(|key| self.packed.remove(key)) {
            device.free(packed.memory);
        }
    }

    /// Bytes of packed weights.
    pub fn bytes(&self) -> usize {
        self.packed.values().map(|packed| packed.memory.bytes()).sum()
    }
}
