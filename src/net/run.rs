//! A forward pass: the plan's sections on a backend.
//!
//! Flows in: a network's parts. Flows out: changed slots, and how long each step took.

use super::backward::{self, LocatedBack};
use super::forward::{self, Located, inner_dims};
use super::gradients::{BackPlan, Begin};
use super::graph::{BlobId, Graph, ParamId, ParamUse};
use super::plan::{Home, Plan, Section};
use crate::backend::{Backend, Gradient, Pictures, Prepare, Slot, View};
use crate::error::{Error, Result};
use crate::layer::{Layer, ShapeResult};
use crate::shape::Shape;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

/// What a pass needs to know.
pub(super) struct Run<'a> {
    pub graph: &'a Graph,
    pub plan: &'a Plan,
    /// The plan's slots.
    pub slots: &'a [Slot],
    /// Slots of the parameters.
    pub params: &'a [Slot],
    /// Seed of this pass, for dropout.
    pub seed: u64,
    /// Nanoseconds of each step, all workers together; none if nobody asks.
    pub times: Option<&'a [AtomicU64]>,
}

/// Where a backward pass leaves what it computes.
#[derive(Default)]
pub(super) struct Gradients {
    pub plan: BackPlan,
    /// The plan's slots.
    pub slots: Vec<Slot>,
    /// Slots of the gradients of those parameters that are learnt.
    pub params: Vec<Option<Slot>>,
    /// Parameters whose gradients hold something to be added to.
    pub written: Vec<bool>,
}

/// What part of a batch a step computes.
#[derive(Clone)]
enum Part<'a> {
    /// All of it.
    Whole,
    /// Some pictures, and the private slots for them.
    Some(Range<usize>, &'a [Slot]),
}

impl Run<'_> {
    /// Computes every section.
    pub fn forward(&self, be: &mut dyn Backend) -> Result<()> {
        for (number, section) in self.plan.sections.iter().enumerate() {
            if let Some(together) = section.pictures {
                self.by_pictures(be, number, section, together)?;
                continue;
            }
            for i in section.steps.clone() {
                self.step(be, number, i, &Part::Whole).map_err(|reason| self.error(i, reason))?;
            }
        }
        sound(be)
    }

    /// The weights of some steps, and how these use them.
    pub fn weights(&self, steps: Range<usize>) -> Vec<Prepare> {
        let mut weights = vec![];
        for step in &self.plan.steps[steps] {
            let node = &self.graph.nodes[step.node];
            let Some(weight) = node.params.first().map(|p| self.param(p.id)) else { continue };
            for (&b, how) in step.bottoms.iter().zip(&step.how) {
                let shape = &self.graph.blobs[b].shape;
                // Shapes were checked when the graph was made.
                match &node.layer {
                    Layer::Convolution(l) => {
                        weights.extend(l.dims(shape).map(|d| Prepare::Conv(d, *how, weight)));
                    }
                    Layer::InnerProduct(l) => {
                        weights
                            .extend(inner_dims(l, shape).map(|d| Prepare::Inner(d, *how, weight)));
                    }
                    _ => {}
                }
            }
        }
        weights
    }

    fn by_pictures(
        &self,
        be: &mut dyn Backend,
        number: usize,
        section: &Section,
        together: usize,
    ) -> Result<()> {
        be.prepare(&self.weights(section.steps.clone()));
        let storage = &self.plan.storage;
        let tops = section.steps.clone().flat_map(|i| &self.plan.steps[i].tops);
        let kept = tops.filter_map(|&b| Some((storage.inside[b]?.1, storage.whole[b]?)));
        let output = |(from, to): (Home, Home)| (from.slot, to.pitch, self.slots[to.slot]);
        let outputs: Vec<(usize, usize, Slot)> = kept.map(output).collect();
        let first = self.plan.steps[section.steps.start].tops[0];
        let batch = self.graph.blobs[first].shape.dims()[0];
        let private = &storage.private[number];
        let failed = AtomicUsize::new(section.steps.start);
        let work = |be: &mut dyn Backend, private: &[Slot], pictures: Range<usize>| {
            let part = Part::Some(pictures, private);
            section.steps.clone().try_for_each(|i| {
                let failed = |_: &String| failed.store(i, Ordering::Relaxed);
                self.step(be, number, i, &part).inspect_err(failed)
            })
        };
        let p = Pictures { batch, together, private, outputs: &outputs };
        be.by_pictures(&p, &work)
            .map_err(|reason| self.error(failed.load(Ordering::Relaxed), reason))
    }

    fn step(&self, be: &mut dyn Backend, section: usize, i: usize, part: &Part) -> ShapeResult<()> {
        let begun = Instant::now();
        let shapes = self.shapes(i, part)?;
        forward::run(be, &self.located(section, i, part, &shapes))?;
        if let Some(times) = self.times {
            be.finish()?;
            times[i].fetch_add(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Shapes of a step's bottoms and tops in a part of the batch.
    fn shapes(&self, i: usize, part: &Part) -> ShapeResult<[Vec<Shape>; 2]> {
        let step = &self.plan.steps[i];
        let shape = |b: &usize| {
            let shape = &self.graph.blobs[*b].shape;
            match part {
                Part::Whole => Ok(shape.clone()),
                Part::Some(pictures, _) => shape.with_axis(0, pictures.len()),
            }
        };
        let bottoms = step.bottoms.iter().map(shape).collect::<ShapeResult<_>>()?;
        Ok([bottoms, step.tops.iter().map(shape).collect::<ShapeResult<_>>()?])
    }

    /// A step with its blobs and parameters located.
    fn located<'a>(
        &'a self,
        section: usize,
        i: usize,
        part: &Part,
        [shapes, top_shapes]: &'a [Vec<Shape>; 2],
    ) -> Located<'a> {
        let step = &self.plan.steps[i];
        let node = &self.graph.nodes[step.node];
        let scratch = step.scratch.iter().map(|&(slot, len)| match part {
            Part::Whole => View::whole(self.slots[slot], len),
            Part::Some(_, private) => View::whole(private[slot], len),
        });
        let view = |(&b, shape): (&BlobId, &Shape)| self.view(b, shape, section, part);
        Located {
            step,
            layer: &node.layer,
            bottoms: step.bottoms.iter().zip(shapes).map(view).collect(),
            tops: step.tops.iter().zip(top_shapes).map(view).collect(),
            pitches: step.tops.iter().map(|&b| self.home(b, section).pitch).collect(),
            shapes: shapes.iter().collect(),
            top_shapes: top_shapes.iter().collect(),
            params: node.params.iter().map(|p| self.param(p.id)).collect(),
            scratch: scratch.collect(),
            seed: self.seed.wrapping_add((step.node as u64) << 32),
        }
    }

    /// Computes every gradient of a plan for training; values are those of the last forward pass.
    pub fn backward(&self, be: &mut dyn Backend, g: &mut Gradients) -> Result<()> {
        let Gradients { plan, slots, params, written } = g;
        let blob = |slot: usize, blob: BlobId| {
            View::whole(slots[slot], self.graph.blobs[blob].shape.count())
        };
        let mut begin = plan.begin.iter().peekable();
        for (n, back) in plan.steps.iter().enumerate() {
            let begun = Instant::now();
            while let Some(Begin { blob: b, value, .. }) = begin.next_if(|b| b.before == n) {
                let slot = plan.homes[*b].expect("a blob that begins has a gradient");
                be.fill(*value, blob(slot, *b));
            }
            let i = back.step;
            let step = &self.plan.steps[i];
            let shapes = self.shapes(i, &Part::Whole).map_err(|reason| self.error(i, reason))?;
            let dbottoms = step.bottoms.iter().zip(&back.bottoms);
            let mut dparam = |p: &ParamUse| {
                let to = View::whole(params[p.id]?, p.spec.shape.count());
                Some(Gradient { to, add: std::mem::replace(&mut written[p.id], true) })
            };
            let located = LocatedBack {
                values: self.located(0, i, &Part::Whole, &shapes),
                dtops: step.tops.iter().zip(&back.tops).map(|(&t, &s)| blob(s, t)).collect(),
                dbottoms: dbottoms
                    .clone()
                    .map(|(&b, place)| place.map(|p| blob(p.apart.unwrap_or(p.slot), b)))
                    .collect(),
                dparams: self.graph.nodes[step.node].params.iter().map(&mut dparam).collect(),
            };
            backward::run(be, &located).map_err(|reason| self.error(i, reason))?;
            for (&b, place) in dbottoms {
                if let Some((slot, apart)) = place.and_then(|p| Some((p.slot, p.apart?))) {
                    be.axpby(1.0, blob(apart, b), 1.0, blob(slot, b));
                }
            }
            if let Some(times) = self.times {
                be.finish().map_err(|reason| self.error(i, reason))?;
                times[i].fetch_add(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
            }
        }
        // Parameters that nothing depends on: older gradients must not pass for theirs.
        for ((param, &slot), written) in self.graph.params.iter().zip(&*params).zip(written) {
            if let Some(slot) = slot.filter(|_| !std::mem::replace(written, true)) {
                be.fill(0.0, View::whole(slot, param.spec.shape.count()));
            }
        }
        sound(be)
    }

    /// Where a section's steps find a blob.
    fn home(&self, blob: BlobId, section: usize) -> Home {
        let home = self.plan.storage.home(blob, section);
        home.expect("a step mentions only blobs that lie somewhere")
    }

    /// A blob, whose shape in this part is given.
    fn view(&self, blob: BlobId, shape: &Shape, section: usize, part: &Part) -> View {
        let home = self.home(blob, section);
        let count = shape.dims().first().copied().unwrap_or(1);
        let len = (count - 1) * home.pitch + shape.count() / count;
        let inside = self.plan.storage.is_inside(blob, section);
        let (slot, at) = match part {
            Part::Some(_, private) if inside => (private[home.slot], home.at),
            Part::Some(pictures, _) => {
                (self.slots[home.slot], home.at + pictures.start * home.pitch)
            }
            Part::Whole => (self.slots[home.slot], home.at),
        };
        View { slot, at, len }
    }

    fn param(&self, id: ParamId) -> View {
        View::whole(self.params[id], self.graph.params[id].spec.shape.count())
    }

    fn error(&self, step: usize, reason: String) -> Error {
        let node = &self.graph.nodes[self.plan.steps[step].node];
        Error::Layer {
            place: node.place.clone(),
            layer: node.name.clone(),
            kind: node.kind.clone(),
            reason,
        }
    }
}

/// An error if anything went wrong on the backend, as far as it knows by now.
pub(super) fn sound(be: &dyn Backend) -> Result<()> {
    be.failure().map_or(Ok(()), |reason| Err(Error::Invalid(reason)))
}
