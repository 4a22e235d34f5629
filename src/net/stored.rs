//! A network's parameters as a source of weights, to be written to a file.

use super::model::Net;
use crate::backend::Slot;
use weights_tools::{Blob, Dtype, LayerEntry, TensorEntry, WeightsSource};

/// The parameters of a network, read from its backend one at a time.
pub struct Weights<'a> {
    net: &'a Net,
    entries: Vec<LayerEntry>,
    slots: Vec<Vec<Slot>>,
}

impl Net {
    /// Its parameters as files store them: by layer, shared ones with each layer that uses them.
    pub fn weights(&self) -> Weights<'_> {
        let nodes = self.graph().nodes.iter().filter(|n| !n.params.is_empty());
        let tensor = |p: &super::graph::ParamUse| TensorEntry {
            name: p.spec.name.to_string(),
            dtype: Dtype::F32,
            shape: p.spec.shape.dims().to_vec(),
            legacy: false,
        };
        let entries = nodes.clone().map(|n| LayerEntry {
            name: n.name.clone(),
            kind: n.kind.clone(),
            tensors: n.params.iter().map(tensor).collect(),
        });
        let slots = nodes.clone().map(|n| n.params.iter().map(|p| self.param_slot(p.id)).collect());
        Weights { net: self, entries: entries.collect(), slots: slots.collect() }
    }
}

impl WeightsSource for Weights<'_> {
    fn entries(&self) -> &[LayerEntry] {
        &self.entries
    }

    fn read_at(&self, layer: usize, tensor: usize) -> Result<Blob, weights_tools::Error> {
        let shape = self.entries[layer].tensors[tensor].shape.clone();
        let mut data = vec![0.0; shape.iter().product()];
        self.net.read_values(self.slots[layer][tensor], &mut data);
        Ok(Blob { shape, data })
    }
}
