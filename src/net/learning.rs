//! Learning: losses, gradients and the updates that follow from them.
//!
//! Flows in: a network for training ([`Keep::Training`](super::Keep)), after a forward pass. Flows out:
//! gradients, and changed parameters. When and how far they change is a solver's to say.

use super::gradients::BackPlan;
use super::graph::{BlobId, Graph, ParamId};
use super::model::Net;
use super::plan::Step;
use super::run::Gradients;
use crate::backend::{Backend, Learnt, Slot, View};
use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::tensor::Tensor;
use likenet_kernels::ops::Update;
use std::sync::atomic::AtomicU64;

/// A parameter that is learnt.
#[derive(Clone, Debug, PartialEq)]
pub struct LearntParam {
    /// Which.
    pub id: ParamId,
    /// The layer that owns it.
    pub layer: String,
    /// Its position among that layer's parameters.
    pub index: usize,
    /// Its shape.
    pub shape: Shape,
    /// Factor of the learning rate.
    pub lr_mult: f32,
    /// Factor of the weight decay.
    pub decay_mult: f32,
}

/// Gradients and histories of a network's parameters.
#[derive(Default)]
pub(super) struct Learning {
    pub gradients: Gradients,
    /// For each parameter that is learnt what a solver remembers of it.
    histories: Vec<Vec<Slot>>,
}

impl Learning {
    /// Plans a backward pass and gives it memory.
    pub fn lay_out(
        &mut self,
        be: &mut dyn Backend,
        graph: &Graph,
        steps: &[Step],
        inputs: bool,
        given: &[BlobId],
    ) {
        let g = &mut self.gradients;
        g.slots.drain(..).for_each(|slot| be.free(slot));
        g.plan = BackPlan::new(graph, steps, inputs, given);
        g.slots = g.plan.slots.iter().map(|&len| be.alloc(len)).collect();
        if g.params.is_empty() {
            let mut learnt = vec![false; graph.params.len()];
            let uses = graph.nodes.iter().flat_map(|n| &n.params);
            uses.for_each(|p| learnt[p.id] |= p.rule.lr_mult != 0.0);
            let counts = graph.params.iter().map(|p| p.spec.shape.count());
            g.params = learnt.iter().zip(counts).map(|(l, n)| l.then(|| be.alloc(n))).collect();
            g.written = vec![false; graph.params.len()];
        }
    }
}

impl Net {
    /// The loss of the last forward pass: every blob with a weight in the loss, summed and weighted.
    pub fn loss(&self) -> Result<f32> {
        let mut loss = 0.0;
        for (id, blob) in self.graph().blobs.iter().enumerate() {
            if blob.loss_weight != 0.0 {
                let values = self.read_slot(self.view(id).slot, &blob.shape)?;
                loss += values.data().iter().map(|v| blob.loss_weight * v).sum::<f32>();
            }
        }
        Ok(loss)
    }

    /// Computes the gradients of the loss after a forward pass. Those of parameters are added to what
    /// passes since [`Net::clear_gradients`] gave.
    pub fn backward(&mut self) -> Result<()> {
        self.pass_back(None)
    }

    /// The same, and how long each step of the plan took, in seconds.
    pub fn backward_timed(&mut self) -> Result<Vec<f64>> {
        let times: Vec<AtomicU64> = self.plan().steps.iter().map(|_| AtomicU64::new(0)).collect();
        self.pass_back(Some(&times))?;
        Ok(times.into_iter().map(|t| t.into_inner() as f64 * 1e-9).collect())
    }

    /// The same, from given gradients of some blobs instead of those of the loss.
    ///
    /// Fails for blobs that are not kept, such as those that ReLU follows at once.
    pub fn backward_from(&mut self, given: &[(&str, &[f32])]) -> Result<()> {
        let blobs: Vec<BlobId> =
            given.iter().map(|(name, _)| self.graph().blob(name)).collect::<Result<_>>()?;
        let kept = &self.plan().kept;
        if let Some((_, (name, _))) = blobs.iter().zip(given).find(|(b, _)| !kept[**b]) {
            return Err(Error::NotKept { name: name.to_string() });
        }
        self.plan_gradients(&blobs);
        for (&blob, (name, values)) in blobs.iter().zip(given) {
            let shape = self.graph().blobs[blob].shape.clone();
            if shape.count() != values.len() {
                let (name, got) = (name.to_string(), values.len());
                return Err(Error::InputSize { name, shape, got });
            }
            let (be, _, learning) = self.learning();
            let g = &learning.gradients;
            let home = g.plan.homes[blob].ok_or("given").map_err(|e| Error::Invalid(e.into()))?;
            be.write(g.slots[home], 0, values);
        }
        self.pass_back(None)
    }

    /// What the next backward pass gives replaces the gradients of parameters.
    pub fn clear_gradients(&mut self) {
        self.learning.gradients.written.fill(false);
    }

    /// The gradient of a source blob, if [`Options::input_gradients`](super::Options) asked for it and the
    /// loss depends on it.
    pub fn input_gradient(&self, name: &str) -> Result<Option<Tensor>> {
        let blob = self.source(name)?;
        let g = &self.learning.gradients;
        let slot = g.plan.homes.get(blob).copied().flatten().map(|home| g.slots[home]);
        slot.map(|slot| self.read_slot(slot, &self.graph().blobs[blob].shape)).transpose()
    }

    /// The gradient of a layer's parameter by position, if it is learnt.
    pub fn param_gradient(&self, layer: &str, index: usize) -> Result<Option<Tensor>> {
        let (id, shape) = self.param_id(layer, index)?;
        let slot = self.learning.gradients.params.get(id).copied().flatten();
        slot.map(|slot| self.read_slot(slot, &shape)).transpose()
    }

    /// Parameters that are learnt, in the order of the layers that own them.
    pub fn learnt(&self) -> Vec<LearntParam> {
        let graph = self.graph();
        let learnt =
            |id: &ParamId| self.learning.gradients.params.get(*id).is_some_and(Option::is_some);
        let describe = |id: ParamId| {
            let param = &graph.params[id];
            let uses = graph.nodes.iter().flat_map(|n| &n.params);
            let rule = uses.filter(|p| p.id == id).map(|p| &p.rule).next();
            LearntParam {
                id,
                layer: param.layer.clone(),
                index: param.index,
                shape: param.spec.shape.clone(),
                lr_mult: rule.map_or(1.0, |r| r.lr_mult),
                decay_mult: rule.map_or(1.0, |r| r.decay_mult),
            }
        };
        (0..graph.params.len()).filter(learnt).map(describe).collect()
    }

    /// Σ of the squares of all gradients of parameters.
    pub fn sum_of_squared_gradients(&mut self) -> f64 {
        let counts: Vec<usize> = self.graph().params.iter().map(|p| p.spec.shape.count()).collect();
        let (be, _, learning) = self.learning();
        let learnt = learning.gradients.params.iter().zip(counts);
        learnt.filter_map(|(slot, n)| Some(be.sum_of_squares(View::whole((*slot)?, n)))).sum()
    }

    /// Changes a parameter by its gradient. Histories begin at zero with the first update.
    ///
    /// Fails when the parameter is not learnt.
    pub fn update(&mut self, id: ParamId, u: &Update) -> Result<()> {
        let histories = self.histories(id, u.rule.histories())?;
        let count = self.graph().params[id].spec.shape.count();
        let (be, params, learning) = self.learning();
        let gradient = learning.gradients.params[id].map(|slot| View::whole(slot, count));
        let gradient = gradient.ok_or_else(|| not_learnt(id))?;
        let view = |i: usize| View::whole(histories[i.min(histories.len() - 1)], count);
        let weight = View::whole(params[id], count);
        be.update(u, Learnt { weight, gradient, histories: [view(0), view(1)] });
        Ok(())
    }

    /// What a solver remembers of a parameter: the values of history `which`,
    /// zeros before the first update.
    pub fn history(&self, id: ParamId, which: usize) -> Vec<f32> {
        let mut values = vec![0.0; self.graph().params[id].spec.shape.count()];
        if let Some(&slot) = self.learning.histories.get(id).and_then(|own| own.get(which)) {
            self.read_values(slot, &mut values);
        }
        values
    }

    /// Sets it.
    pub fn set_history(&mut self, id: ParamId, which: usize, values: &[f32]) -> Result<()> {
        let slot = self.histories(id, which + 1)?[which];
        let shape = self.graph().params[id].spec.shape.clone();
        if shape.count() != values.len() {
            let name = format!("history {which} of layer '{}'", self.graph().params[id].layer);
            return Err(Error::InputSize { name, shape, got: values.len() });
        }
        self.learning().0.write(slot, 0, values);
        Ok(())
    }

    /// At least `count` histories of a parameter.
    fn histories(&mut self, id: ParamId, count: usize) -> Result<Vec<Slot>> {
        let elements =
            self.graph().params.get(id).ok_or_else(|| not_learnt(id))?.spec.shape.count();
        let params = self.graph().params.len();
        let (be, _, learning) = self.learning();
        learning.histories.resize_with(params, Vec::new);
        let own = &mut learning.histories[id];
        while own.len() < count {
            own.push(be.alloc(elements));
        }
        Ok(own.clone())
    }
}

fn not_learnt(id: ParamId) -> Error {
    Error::Invalid(format!("parameter {id} is not learnt"))
}
