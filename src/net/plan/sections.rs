//! Which steps run for the whole batch, and which for some pictures at a time.
//!
//! A convolutional network's first blobs are large and its first weights small: computed layer by layer, a
//! batch's blobs go to memory and back between any two layers. Computed picture by picture, through
//! several layers, they stay in the cache, and each thread goes its own way without waiting for the
//! others. Later layers turn it round: their weights are what does not fit the cache, and several pictures
//! at a time share the reading of them.

use super::Step;
use crate::layer::Layer;
use crate::net::graph::{BlobId, Graph};
use std::ops::Range;

/// Neighbouring steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Which.
    pub steps: Range<usize>,
    /// How many pictures go through all of them at a time; none: the whole batch, step by step.
    pub pictures: Option<usize>,
}

/// Cuts the steps into sections for a backend with so many workers; 0 means that it wants whole batches.
pub(super) fn cut(graph: &Graph, steps: &[Step], workers: usize) -> Vec<Section> {
    let mut sections: Vec<Section> = vec![];
    let mut batch = None;
    for (i, step) in steps.iter().enumerate() {
        let pictures = by_picture(graph, step).filter(|n| pays(*n, workers));
        let want = pictures.map(|_| together(graph, step));
        let joins =
            sections.last().and_then(|s| s.pictures).zip(want).is_some_and(|(have, want)| {
                // Steps without weights go with what came before; others must not want many more pictures.
                pictures == batch && want.is_none_or(|w| w <= 2 * have)
            });
        match sections.last_mut().filter(|s| joins || s.pictures.is_none() && want.is_none()) {
            Some(section) => {
                section.steps.end = i + 1;
                let more = section.pictures.zip(want.flatten()).map(|(have, want)| have.max(want));
                section.pictures = more.or(section.pictures);
            }
            None => {
                let pictures = want.map(|w| w.unwrap_or(1));
                sections.push(Section { steps: i..i + 1, pictures });
            }
        }
        batch = pictures;
    }
    for section in &mut sections {
        let batch = by_picture(graph, &steps[section.steps.start]).unwrap_or(1);
        let share = batch.div_ceil(workers.max(1));
        section.pictures =
            section.pictures.map(|n| n.min(share)).filter(|_| section.steps.len() > 1);
    }
    sections
}

/// Whether so many pictures, one after the other, keep all workers busy.
fn pays(batch: usize, workers: usize) -> bool {
    let even = workers > 0 && batch.is_multiple_of(workers);
    workers > 0 && batch > 1 && (even || batch >= 4 * workers)
}

/// The batch, if a step computes each picture of it from that picture alone.
fn by_picture(graph: &Graph, step: &Step) -> Option<usize> {
    let node = &graph.nodes[step.node];
    let shape = |b: &BlobId| &graph.blobs[*b].shape;
    let axis = |axis: i32| shape(&step.bottoms[0]).axis(axis).is_ok_and(|a| a > 0);
    let alone = match &node.layer {
        Layer::Convolution(_) | Layer::Deconvolution(_) | Layer::Pooling(_) | Layer::Lrn(_) => true,
        Layer::Pointwise(_) | Layer::Split | Layer::Eltwise(_) | Layer::PRelu(_) => true,
        Layer::Dropout(d) => !d.active,
        Layer::BatchNorm(b) => b.stored,
        Layer::Scale(b) | Layer::Bias(b) => step.bottoms.len() == 1 && axis(b.axis),
        Layer::Softmax(s) => axis(s.axis),
        Layer::Concat(c) => axis(c.axis),
        Layer::Slice(s) => axis(s.axis),
        _ => false,
    };
    let mut batches = step.bottoms.iter().chain(&step.tops).map(|b| shape(b).dims().first());
    let batch = *batches.next()??;
    (alone && batches.all(|n| n == Some(&batch))).then_some(batch)
}

/// With how many pictures at a time the weights of a step cost no more to read than its blobs; none for
/// a step without weights.
fn together(graph: &Graph, step: &Step) -> Option<usize> {
    let blobs = step.bottoms.iter().chain(&step.tops).map(|&b| &graph.blobs[b].shape);
    let picture: usize = blobs.map(|s| s.count() / s.dims()[0] * size_of::<f32>()).sum();
    let weights = (step.weight_bytes > 0).then_some(step.weight_bytes);
    weights.map(|bytes| (bytes / picture.max(1)).max(1))
}
