//! The ordered list of steps over slots.
//!
//! Flows in: a [`Graph`] and which blobs must outlive the forward pass. Flows out: a [`Plan`]: steps,
//! their fusions, and for every blob the slot that holds it. Slots whose blobs are dead are reused;
//! layers that only rename elements share their bottom's slot; elementwise layers work in place when
//! nobody else needs their bottom.

use super::graph::{BlobId, Graph};
use crate::backend::Backend;
use crate::layer::{Layer, PoolMethod, Unary};
use crate::shape::Shape;
use likenet_kernels::ops::Algorithm;

/// Which blobs must still hold their values when the forward pass is over.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Keep {
    /// Sources and outputs only.
    #[default]
    Outputs,
    /// These names too.
    Named(Vec<String>),
    /// Every blob: for training, and for looking inside.
    All,
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
    /// Slot of each blob; none for blobs that a fusion made disappear.
    pub slot_of: Vec<Option<usize>>,
    /// Elements of each slot.
    pub slots: Vec<usize>,
    /// Whether a blob's values survive the forward pass.
    pub kept: Vec<bool>,
}

/// How a layer treats the memory of its first bottom.
fn memory(layer: &Layer) -> Memory {
    match layer {
        Layer::Flatten(_) | Layer::Reshape(_) | Layer::Split => Memory::Alias,
        Layer::Dropout(d) if !d.active => Memory::Alias,
        Layer::Pointwise(_)
        | Layer::Dropout(_)
        | Layer::PRelu(_)
        | Layer::BatchNorm(_)
        | Layer::Scale(_)
        | Layer::Bias(_)
        | Layer::Mvn(_) => Memory::InPlace,
        _ => Memory::Fresh,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    /// The tops are the bottom, under other names or shapes.
    Alias,
    /// The top is made by changing the bottom, or a copy of it.
    InPlace,
    /// The tops have memory of their own.
    Fresh,
}

/// Elements of the intermediate values that a layer needs.
fn scratch(layer: &Layer, bottoms: &[&Shape], tops: usize) -> Vec<usize> {
    match layer {
        Layer::BatchNorm(l) => vec![l.view(bottoms[0]).len; 2],
        Layer::SoftmaxLoss(_) if tops == 1 => vec![bottoms[0].count()],
        _ => vec![],
    }
}

impl Plan {
    /// Plans a network for a backend. Convolutions and fully connected layers are computed as `wanted` where
    /// they can be, else as the backend holds for fastest.
    pub fn new(
        graph: &Graph,
        keep: &Keep,
        backend: &dyn Backend,
        wanted: Option<Algorithm>,
    ) -> Self {
        let kept = kept(graph, keep);
        let mut steps = fuse(graph, &kept);
        for step in &mut steps {
            let shapes = step.bottoms.iter().map(|&b| &graph.blobs[b].shape);
            step.how = match &graph.nodes[step.node].layer {
                Layer::Convolution(conv) => {
                    // Shapes were checked when the graph was made.
                    let dims = shapes.filter_map(|s| Some((conv.dims(s).ok()?, s.dims()[0])));
                    dims.map(|(d, batch)| backend.conv_algorithm(&d, batch, wanted)).collect()
                }
                Layer::InnerProduct(_) => shapes.map(|_| backend.inner_algorithm(wanted)).collect(),
                _ => vec![],
            };
        }
        let storage = Storage::assign(graph, &kept, steps);
        storage.into_plan(graph, kept)
    }

    /// Elements of all slots together.
    pub fn activation_count(&self) -> usize {
        self.slots.iter().sum()
    }
}

fn kept(graph: &Graph, keep: &Keep) -> Vec<bool> {
    let mut kept = vec![matches!(keep, Keep::All); graph.blobs.len()];
    graph.sources().chain(graph.outputs()).for_each(|b| kept[b] = true);
    if let Keep::Named(names) = keep {
        names.iter().filter_map(|n| graph.blob(n).ok()).for_each(|b| kept[b] = true);
    }
    kept
}

/// One step for each node, but for ReLUs that disappear into the step before or after them.
fn fuse(graph: &Graph, kept: &[bool]) -> Vec<Step> {
    let mut readers = vec![Vec::new(); graph.blobs.len()];
    for (n, node) in graph.nodes.iter().enumerate() {
        node.bottoms.iter().for_each(|&b| readers[b].push(n));
    }
    let mut steps: Vec<Step> = Vec::with_capacity(graph.nodes.len());
    let mut into_pool: Vec<Option<(usize, BlobId)>> = vec![None; graph.nodes.len()];
    for (n, node) in graph.nodes.iter().enumerate() {
        if let Layer::Pointwise(Unary::Relu { slope }) = node.layer {
            let (bottom, top) = (node.bottoms[0], node.tops[0]);
            let alone = readers[bottom].len() == 1 && !kept[bottom];
            if alone && let Some(step) = weighted_step(graph, &mut steps, bottom) {
                step.relu = Some((n, slope));
                step.tops = vec![top];
                continue;
            }
            if slope == 0.0 && !kept[top] && readers[top].len() == 1 {
                let pool = readers[top][0];
                if pools_after_relu(graph, pool) {
                    into_pool[pool] = Some((n, bottom));
                    continue;
                }
            }
        }
        let mut bottoms = node.bottoms.clone();
        if let Some((_, before_relu)) = into_pool[n] {
            bottoms[0] = before_relu;
        }
        steps.push(Step {
            node: n,
            bottoms,
            tops: node.tops.clone(),
            relu: into_pool[n].map(|(relu, _)| (relu, 0.0)),
            how: vec![],
            copy: false,
            scratch: vec![],
        });
    }
    steps
}

/// The convolution or fully connected step that writes `blob` and nothing else.
fn weighted_step<'a>(graph: &Graph, steps: &'a mut [Step], blob: BlobId) -> Option<&'a mut Step> {
    let step = steps.iter_mut().rfind(|s| s.tops == [blob])?;
    let weighted =
        matches!(graph.nodes[step.node].layer, Layer::Convolution(_) | Layer::InnerProduct(_));
    (weighted && step.relu.is_none()).then_some(step)
}

/// Whether node `n` is a MAX pooling for which max(relu(x)) = relu(max(x)): every window holds a pixel.
fn pools_after_relu(graph: &Graph, n: usize) -> bool {
    let node = &graph.nodes[n];
    let Layer::Pooling(pool) = &node.layer else { return false };
    let Ok(d) = pool.dims(&graph.blobs[node.bottoms[0]].shape) else { return false };
    let last_inside = [0, 1].into_iter().all(|a| {
        let start = (d.output[a] - 1) * d.window.stride[a];
        start.saturating_sub(d.window.pad[a]) < d.input[a]
    });
    pool.method == PoolMethod::Max && node.tops.len() == 1 && last_inside
}

/// A stretch of memory and the steps between which it must live.
struct Stretch {
    len: usize,
    first: usize,
    last: usize,
}

struct Storage {
    steps: Vec<Step>,
    stretches: Vec<Stretch>,
    /// Stretch of each blob.
    of: Vec<Option<usize>>,
}

impl Storage {
    /// Decides which blobs share memory because one is the other, and how long each stretch lives.
    fn assign(graph: &Graph, kept: &[bool], steps: Vec<Step>) -> Self {
        let end = steps.len();
        let mut last_read = vec![0; graph.blobs.len()];
        for (i, step) in steps.iter().enumerate() {
            step.bottoms.iter().for_each(|&b| last_read[b] = i);
        }
        (0..graph.blobs.len()).filter(|&b| kept[b]).for_each(|b| last_read[b] = end);
        let mut s = Self { steps, stretches: vec![], of: vec![None; graph.blobs.len()] };
        for i in 0..end {
            s.place(graph, i, &last_read);
        }
        s
    }

    fn place(&mut self, graph: &Graph, i: usize, last_read: &[usize]) {
        let (node, tops) = (self.steps[i].node, self.steps[i].tops.clone());
        let layer = &graph.nodes[node].layer;
        let first = self.steps[i].bottoms.first().and_then(|&b| self.of[b]);
        for (t, &top) in tops.iter().enumerate() {
            let last = last_read[top].max(i);
            let share = match (memory(layer), first) {
                (Memory::Alias, Some(stretch)) => Some(stretch),
                (Memory::InPlace, Some(stretch)) if t == 0 => {
                    let others = self.steps[i].bottoms[1..].iter();
                    let free = self.stretches[stretch].last <= i
                        && others.clone().all(|&b| self.of[b] != Some(stretch));
                    self.steps[i].copy = !free;
                    free.then_some(stretch)
                }
                _ => None,
            };
            let stretch = share.unwrap_or(self.stretches.len());
            if share.is_none() {
                let len = graph.blobs[top].shape.count();
                // What comes from outside is there before the first step.
                let first = if matches!(layer, Layer::Source(_)) { 0 } else { i };
                self.stretches.push(Stretch { len, first, last });
            }
            let life = &mut self.stretches[stretch].last;
            *life = (*life).max(last);
            self.of[top] = Some(stretch);
        }
        let bottoms = &self.steps[i].bottoms;
        let shapes: Vec<&Shape> = bottoms.iter().map(|&b| &graph.blobs[b].shape).collect();
        for len in scratch(layer, &shapes, tops.len()) {
            self.steps[i].scratch.push((self.stretches.len(), len));
            self.stretches.push(Stretch { len, first: i, last: i });
        }
    }

    /// Puts stretches whose lives do not overlap into the same slots: best fit, in order of birth.
    fn into_plan(self, graph: &Graph, kept: Vec<bool>) -> Plan {
        let Storage { mut steps, stretches, of } = self;
        let mut slots: Vec<usize> = vec![];
        let mut busy_until: Vec<usize> = vec![];
        let mut slot_of_stretch = vec![0; stretches.len()];
        for (s, stretch) in stretches.iter().enumerate() {
            let free = |slot: &usize| busy_until[*slot] < stretch.first;
            let fits = (0..slots.len())
                .filter(free)
                .min_by_key(|&slot| (slots[slot] < stretch.len, slots[slot].abs_diff(stretch.len)));
            let slot = fits.unwrap_or(slots.len());
            if slot == slots.len() {
                slots.push(0);
                busy_until.push(0);
            }
            slots[slot] = slots[slot].max(stretch.len);
            busy_until[slot] = stretch.last;
            slot_of_stretch[s] = slot;
        }
        for step in &mut steps {
            step.scratch.iter_mut().for_each(|(s, _)| *s = slot_of_stretch[*s]);
        }
        let slot_of: Vec<_> = of.iter().map(|s| s.map(|s| slot_of_stretch[s])).collect();
        debug_assert_eq!(slot_of.len(), graph.blobs.len());
        Plan { steps, slot_of, slots, kept }
    }
}
