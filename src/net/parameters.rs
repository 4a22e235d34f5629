//! From weights files into a network's parameters.

use super::graph::Graph;
use crate::backend::Lend;
use crate::error::{Error, Result};
use std::collections::HashSet;
use weights_tools::{LayerEntry, StoredFloats, WeightsFile};

/// What to do about layers that the weights files do not mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Missing {
    /// Refuse: the network would compute with weights that nobody trained.
    #[default]
    Refuse,
    /// Leave their fillers' values, as Caffe does: for fine-tuning.
    Fill,
}

/// Values of a parameter.
pub(super) enum Values {
    /// Read.
    Here(Vec<f32>),
    /// To be read where they lie.
    Stored(StoredFloats),
}

/// [`StoredFloats`] for a backend.
pub(super) struct Stored(pub StoredFloats);

impl Lend for Stored {
    fn count(&self) -> usize {
        self.0.count()
    }

    fn with(&self, f: &mut dyn FnMut(&[f32])) {
        // The file was there a moment ago; what maps it in place could not go on without it either.
        self.0.with(f).unwrap_or_else(|e| panic!("{e}"));
    }
}

/// Values of every parameter found in `files`, by parameter; later files win.
///
/// Layers are matched by name. A layer of a file that the network lacks is ignored, as in Caffe; a
/// layer with another number of tensors or another shape is an error. Gives the names of layers that no
/// file has, if these may keep their fillers' values.
pub(super) fn read(
    graph: &Graph,
    files: &[&WeightsFile],
    missing: Missing,
    mut store: impl FnMut(usize, Values),
) -> Result<Vec<String>> {
    let mut found: HashSet<usize> = HashSet::new();
    for file in files {
        for node in &graph.nodes {
            let Some(entry) = file.layer(&node.name).filter(|_| !node.params.is_empty()) else {
                continue;
            };
            check(graph, file.file(), node, entry)?;
            for (i, param) in node.params.iter().enumerate() {
                let values = match file.stored(&node.name, i) {
                    Some(stored) => Values::Stored(stored),
                    None => Values::Here(file.read(&node.name, i)?.data),
                };
                store(param.id, values);
                found.insert(param.id);
            }
        }
    }
    let lacks = |n: &&super::graph::Node| n.params.iter().any(|p| !found.contains(&p.id));
    let lacking: Vec<String> = graph.nodes.iter().filter(lacks).map(|n| n.name.clone()).collect();
    match lacking.first() {
        Some(layer) if missing == Missing::Refuse => Err(Error::Weights {
            file: files.iter().map(|f| f.file()).collect::<Vec<_>>().join(", "),
            layer: layer.clone(),
            reason: "not in the file: these weights belong to another network".to_string(),
        }),
        _ => Ok(lacking),
    }
}

fn check(graph: &Graph, file: &str, node: &super::graph::Node, entry: &LayerEntry) -> Result<()> {
    let fail = |reason: String| {
        Err(Error::Weights { file: file.to_string(), layer: node.name.clone(), reason })
    };
    if entry.tensors.len() != node.params.len() {
        return fail(format!(
            "the file has {} tensors, {} wants {}",
            entry.tensors.len(),
            graph.file,
            node.params.len()
        ));
    }
    for (tensor, param) in entry.tensors.iter().zip(&node.params) {
        if !tensor.fits(param.spec.shape.dims()) {
            return fail(format!(
                "{} has shape {:?} in the file, {} wants {}",
                tensor.name, tensor.shape, graph.file, param.spec.shape
            ));
        }
    }
    Ok(())
}
