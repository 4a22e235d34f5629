//! The ordered list of steps over slots.
//!
//! Flows in: a [`Graph`], which blobs must outlive the forward pass, and the backend that will compute it.
//! Flows out: a [`Plan`]: steps with their fusions and algorithms, cut into sections, and for every blob the
//! memory that holds it.

mod fuse;
mod sections;
mod storage;

pub use sections::Section;
pub use storage::{Home, Storage};

use super::graph::{BlobId, Graph};
use crate::backend::Backend;
use crate::layer::Layer;
use likenet_kernels::ops::Algorithm;

/// Which blobs must still hold their values when the forward pass is over.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Keep {
    /// Sources and outputs only.
    #[default]
    Outputs,
    /// These names too.
    Named(Vec<String>),
    /// Every blob: for looking inside.
    All,
    /// What a backward pass needs: every blob but those that ReLU follows at once.
    Training,
}

/// One operation of the plan.
#[derive(Clone, Debug)]
pub struct Step {
    /// The node that it computes.
    pub node: usize,
    /// Blobs that it reads.
    pub bottoms: Vec<BlobId>,
    /// Blobs that it writes.
    pub tops: Vec<BlobId>,
    /// ReLU with this slope is applied to the result: the node of that ReLU, and the slope.
    pub relu: Option<(usize, f32)>,
    /// How a convolution (of each bottom) or a fully connected layer is computed.
    pub how: Vec<Algorithm>,
    /// How the input gradients of a convolution (of each bottom) are computed, in a plan for training.
    pub back: Vec<Algorithm>,
    /// How weight gradients are computed, in a plan for training.
    pub gradient: Algorithm,
    /// Bytes that its packed weights take, as far as they are known beforehand.
    pub weight_bytes: usize,
    /// Its first bottom must be copied into its first top before it works in place there.
    pub copy: bool,
    /// Slots for intermediate values, free again after the step, and the elements used of each.
    pub scratch: Vec<(usize, usize)>,
}

/// How a network is computed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Operations, in order.
    pub steps: Vec<Step>,
    /// All steps, cut into stretches that are computed for the whole batch or some pictures at a time.
    pub sections: Vec<Section>,
    /// Where blobs and intermediate values lie.
    pub storage: Storage,
    /// Whether a blob's values survive the forward pass.
    pub kept: Vec<bool>,
}

impl Plan {
    /// Plans a network for a backend. Convolutions and fully connected layers are computed as `wanted` where
    /// they can be, else as the backend holds for fastest for a batch of `batch`, whatever that of the graph.
    pub fn new(
        graph: &Graph,
        keep: &Keep,
        backend: &dyn Backend,
        wanted: Option<Algorithm>,
        batch: usize,
    ) -> Self {
        let (kept, training) = (kept(graph, keep), *keep == Keep::Training);
        let mut steps = fuse::fuse(graph, &kept);
        steps.iter_mut().for_each(|step| choose(graph, step, backend, wanted, batch));
        if training {
            steps.iter_mut().for_each(|step| choose_back(graph, step, backend, wanted, batch));
        }
        let workers = if *keep == Keep::All || training { 0 } else { backend.workers() };
        let sections = sections::cut(graph, &steps, workers);
        let storage = Storage::assign(graph, &kept, training, &mut steps, &sections);
        Self { steps, sections, storage, kept }
    }

    /// Elements of all slots together, private ones once.
    pub fn activation_count(&self) -> usize {
        let private = self.storage.private.iter().map(|p| p.iter().sum::<usize>());
        self.storage.slots.iter().sum::<usize>() + private.max().unwrap_or(0)
    }
}

fn kept(graph: &Graph, keep: &Keep) -> Vec<bool> {
    let all = matches!(keep, Keep::All | Keep::Training);
    let mut kept = vec![all; graph.blobs.len()];
    if *keep == Keep::Training {
        fuse::before_relu(graph).for_each(|b| kept[b] = false);
    }
    graph.sources().chain(graph.outputs()).for_each(|b| kept[b] = true);
    if let Keep::Named(names) = keep {
        names.iter().filter_map(|n| graph.blob(n).ok()).for_each(|b| kept[b] = true);
    }
    kept
}

/// How the gradients of a step with weights are computed.
fn choose_back(
    graph: &Graph,
    step: &mut Step,
    backend: &dyn Backend,
    wanted: Option<Algorithm>,
    batch: usize,
) {
    step.gradient = backend.gradient_algorithm(usize::MAX, wanted);
    for shape in step.bottoms.iter().map(|&b| &graph.blobs[b].shape) {
        // Shapes were checked when the graph was made.
        let back = match &graph.nodes[step.node].layer {
            Layer::InnerProduct(l) => {
                let inputs = l.rows_and_inputs(shape).map_or(0, |(_, inputs)| inputs);
                step.gradient = backend.gradient_algorithm(inputs.min(l.outputs), wanted);
                return;
            }
            Layer::Convolution(l) => l.dims(shape).ok().and_then(|d| d.transposed()),
            Layer::Deconvolution(l) => l.dims(shape).ok(),
            _ => return,
        };
        let choice = back.map(|d| backend.conv_algorithm(&d, batch, wanted).how);
        step.back.push(choice.unwrap_or(Algorithm::Gemm));
    }
}

/// How a step with weights is computed.
fn choose(
    graph: &Graph,
    step: &mut Step,
    backend: &dyn Backend,
    wanted: Option<Algorithm>,
    batch: usize,
) {
    for shape in step.bottoms.iter().map(|&b| &graph.blobs[b].shape) {
        match &graph.nodes[step.node].layer {
            Layer::Convolution(conv) => {
                // Shapes were checked when the graph was made.
                let Ok(d) = conv.dims(shape) else { continue };
                let choice = backend.conv_algorithm(&d, batch, wanted);
                step.how.push(choice.how);
                step.weight_bytes = choice.bytes;
            }
            Layer::InnerProduct(_) => step.how.push(backend.inner_algorithm(batch, wanted)),
            _ => {}
        }
    }
}
