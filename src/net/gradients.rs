//! Which gradients a backward pass computes, in which order, and where they lie.
//!
//! Flows in: a graph and the steps of its plan. Flows out: a [`BackPlan`]. A gradient lives from the last
//! reader of its blob, which is the first that adds to it, to the step that wrote the blob; after that its
//! slot serves another. What does not lead to a loss, or from nothing that is learnt, has no gradient.

use super::graph::{Blob, BlobId, Graph};
use super::plan::Step;
use crate::layer::Layer;

/// One step of a backward pass.
#[derive(Clone, Debug)]
pub struct BackStep {
    /// The step of the plan.
    pub step: usize,
    /// For each top the slot of its gradient.
    pub tops: Vec<usize>,
    /// For each bottom where its gradient goes, if it is wanted.
    pub bottoms: Vec<Option<Place>>,
}

/// Where a gradient goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The slot of the blob's gradient.
    pub slot: usize,
    /// Where it is computed if it is to be added to what other readers gave.
    pub apart: Option<usize>,
}

/// How gradients are computed.
#[derive(Clone, Debug, Default)]
pub struct BackPlan {
    /// In order: the plan's steps backwards.
    pub steps: Vec<BackStep>,
    /// Elements of each slot.
    pub slots: Vec<usize>,
    /// Gradients that begin as one number, in the order of the steps before which they do.
    pub begin: Vec<Begin>,
    /// For each blob the slot of its gradient.
    pub homes: Vec<Option<usize>>,
}

/// A gradient that begins as one number: the weight of a loss, or zero where nothing else is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Begin {
    /// Before this position of [`BackPlan::steps`].
    pub before: usize,
    /// The blob.
    pub blob: BlobId,
    /// The number.
    pub value: f32,
}

impl BackPlan {
    /// Plans the backward pass over `steps`; `inputs`: the gradients of source blobs are wanted too.
    /// `given` names blobs whose gradients come from outside; without any, the pass begins with the loss.
    pub fn new(graph: &Graph, steps: &[Step], inputs: bool, given: &[BlobId]) -> Self {
        let needed = needed(graph, steps, inputs);
        let own = given.is_empty();
        let weight = |blob: &Blob| if own { blob.loss_weight } else { 0.0 };
        let weights: Vec<f32> = graph.blobs.iter().map(weight).collect();
        let under = under_loss(graph, steps, &weights, given);
        let mut b = Builder {
            graph,
            weights,
            plan: Self { homes: vec![None; graph.blobs.len()], ..Self::default() },
            free: vec![],
            written: vec![false; graph.blobs.len()],
        };
        for &blob in given {
            b.home(blob);
            b.written[blob] = true;
        }
        for (i, step) in steps.iter().enumerate().rev() {
            let node = &graph.nodes[step.node];
            let learns = node.params.iter().any(|p| p.rule.lr_mult != 0.0);
            let passes = step.bottoms.iter().any(|&b| needed[b]);
            let counts = step.tops.iter().any(|&t| under[t]);
            if counts && (learns || passes) && !matches!(node.layer, Layer::Source(_)) {
                b.add(i, step, &needed);
            }
            // Nobody reads the gradients of this step's tops from here on; those of sources are kept.
            if !matches!(node.layer, Layer::Source(_)) {
                let done = step
                    .tops
                    .iter()
                    .filter_map(|&t| b.plan.homes[t].filter(|_| !given.contains(&t)));
                b.free.extend(done.collect::<Vec<_>>());
            }
        }
        b.plan
    }
}

/// Whether anything that is learnt, or a source if `inputs`, leads to a blob.
fn needed(graph: &Graph, steps: &[Step], inputs: bool) -> Vec<bool> {
    let mut needed = vec![false; graph.blobs.len()];
    for step in steps {
        let node = &graph.nodes[step.node];
        let own = match node.layer {
            Layer::Source(_) => inputs,
            _ => node.params.iter().any(|p| p.rule.lr_mult != 0.0),
        };
        let any = own || step.bottoms.iter().any(|&b| needed[b]);
        step.tops.iter().for_each(|&t| needed[t] = any);
    }
    needed
}

/// Whether a blob leads to one that has a weight or a given gradient.
fn under_loss(graph: &Graph, steps: &[Step], weights: &[f32], given: &[BlobId]) -> Vec<bool> {
    let mut under: Vec<bool> = weights.iter().map(|w| *w != 0.0).collect();
    given.iter().for_each(|&b| under[b] = true);
    for step in steps.iter().rev() {
        let layer = &graph.nodes[step.node].layer;
        if step.tops.iter().any(|&t| under[t]) {
            let passed = step.bottoms.iter().enumerate().filter(|(i, _)| layer.has_gradient(*i));
            passed.for_each(|(_, &b)| under[b] = true);
        }
    }
    under
}

struct Builder<'a> {
    graph: &'a Graph,
    /// Of each blob in the loss.
    weights: Vec<f32>,
    plan: BackPlan,
    free: Vec<usize>,
    /// Blobs whose gradient holds something.
    written: Vec<bool>,
}

impl Builder<'_> {
    fn add(&mut self, i: usize, step: &Step, needed: &[bool]) {
        let (layer, before) = (&self.graph.nodes[step.node].layer, self.plan.steps.len());
        let mut tops = vec![];
        for &top in &step.tops {
            let weight = self.weights[top];
            if !self.written[top] {
                self.plan.begin.push(Begin { before, blob: top, value: weight });
                self.written[top] = true;
            }
            tops.push(self.home(top));
        }
        let mut apart_slots = vec![];
        let mut bottoms = vec![];
        for (b, &bottom) in step.bottoms.iter().enumerate() {
            if !needed[bottom] || !layer.has_gradient(b) {
                bottoms.push(None);
                continue;
            }
            let weight = self.weights[bottom];
            if !self.written[bottom] && weight != 0.0 {
                self.plan.begin.push(Begin { before, blob: bottom, value: weight });
                self.written[bottom] = true;
            }
            let slot = self.home(bottom);
            let apart =
                self.written[bottom].then(|| self.take(self.graph.blobs[bottom].shape.count()));
            self.written[bottom] = true;
            apart_slots.extend(apart);
            bottoms.push(Some(Place { slot, apart }));
        }
        self.free.extend(apart_slots);
        self.plan.steps.push(BackStep { step: i, tops, bottoms });
    }

    /// The slot of a blob's gradient.
    fn home(&mut self, blob: BlobId) -> usize {
        if let Some(slot) = self.plan.homes[blob] {
            return slot;
        }
        let slot = self.take(self.graph.blobs[blob].shape.count());
        self.plan.homes[blob] = Some(slot);
        slot
    }

    /// A free slot, best fit, or a new one.
    fn take(&mut self, len: usize) -> usize {
        let slots = &mut self.plan.slots;
        let fit = |slot: &usize| (slots[*slot] < len, slots[*slot].abs_diff(len));
        let best = (0..self.free.len()).min_by_key(|&f| fit(&self.free[f]));
        let slot = match best {
            Some(f) => self.free.swap_remove(f),
            None => {
                slots.push(0);
                slots.len() - 1
            }
        };
        slots[slot] = slots[slot].max(len);
        slot
    }
}
