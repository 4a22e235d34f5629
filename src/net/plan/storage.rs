//! Where blobs lie.
//!
//! Blobs that cross a section's border lie in *slots* for the whole batch; blobs inside a section that goes
//! picture by picture lie in *private* slots, for those pictures only. Slots whose blobs are dead are
//! reused; layers that only rename elements share their bottom's memory; elementwise layers work in place
//! when nobody else needs their bottom; convolutions write straight into the blob that joins them.

use super::{Section, Step};
use crate::layer::Layer;
use crate::net::graph::{BlobId, Graph};
use crate::shape::Shape;

/// The memory of all blobs.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    /// Elements of each slot.
    pub slots: Vec<usize>,
    /// For each section the elements of its private slots.
    pub private: Vec<Vec<usize>>,
    /// Where each blob lies as a whole, if it does.
    pub whole: Vec<Option<Home>>,
    /// For each blob the section that writes it and where it lies inside, if it does.
    pub inside: Vec<Option<(usize, Home)>>,
}

impl Storage {
    /// Where a section's steps find a blob.
    pub fn home(&self, blob: BlobId, section: usize) -> Option<Home> {
        home(self.inside[blob], self.whole[blob], section)
    }

    /// Whether they find it in a private slot.
    pub fn is_inside(&self, blob: BlobId, section: usize) -> bool {
        self.inside[blob].is_some_and(|(of, _)| of == section)
    }
}

/// A blob lies inside the section that wrote it, and whole for all others.
fn home(inside: Option<(usize, Home)>, whole: Option<Home>, section: usize) -> Option<Home> {
    inside.filter(|(of, _)| *of == section).map(|(_, home)| home).or(whole)
}

/// A blob's place in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// Slot, or private slot of the section.
    pub slot: usize,
    /// Where its first picture begins.
    pub at: usize,
    /// From one picture to the next.
    pub pitch: usize,
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

/// Memory and the steps between which it must live.
struct Span {
    len: usize,
    first: usize,
    last: usize,
    /// The section inside which it lies, if it does.
    inside: Option<usize>,
}

impl Storage {
    /// Finds memory for every blob, and fills in what the steps need to know of it. Intermediate values
    /// outlive their steps if a backward pass needs them: `keeps_scratch`.
    pub(super) fn assign(
        graph: &Graph,
        kept: &[bool],
        keeps_scratch: bool,
        steps: &mut [Step],
        sections: &[Section],
    ) -> Self {
        let mut b = Builder::new(graph, kept, steps, sections);
        b.scratch_ends = keeps_scratch.then_some(steps.len());
        for (index, section) in sections.iter().enumerate() {
            for i in section.steps.clone() {
                b.place(index, i, &mut steps[i]);
            }
        }
        b.pack(steps)
    }
}

struct Builder<'a> {
    graph: &'a Graph,
    sections: &'a [Section],
    /// The last step that reads each blob, whole or inside; one past the last step if it is kept.
    last_read: Vec<usize>,
    /// Whether a blob is needed outside the section that writes it.
    leaves: Vec<bool>,
    /// The joining blob that a convolution writes into, and where.
    joined: Vec<Option<(BlobId, usize)>>,
    spans: Vec<Span>,
    /// The step that intermediate values are kept for, if not their own.
    scratch_ends: Option<usize>,
    /// Spans until they are packed into slots.
    whole: Vec<Option<Home>>,
    inside: Vec<Option<(usize, Home)>>,
}

impl<'a> Builder<'a> {
    fn new(graph: &'a Graph, kept: &[bool], steps: &[Step], sections: &'a [Section]) -> Self {
        let blobs = graph.blobs.len();
        let (mut section_of, mut last_read) = (vec![0; steps.len()], vec![0; blobs]);
        for (s, section) in sections.iter().enumerate() {
            section.steps.clone().for_each(|i| section_of[i] = s);
        }
        let mut writer = vec![None; blobs];
        let mut leaves = kept.to_vec();
        for (i, step) in steps.iter().enumerate() {
            step.tops.iter().for_each(|&b| writer[b] = Some(section_of[i]));
            for &b in &step.bottoms {
                last_read[b] = i;
                leaves[b] |= writer[b] != Some(section_of[i]);
            }
        }
        (0..blobs).filter(|&b| kept[b]).for_each(|b| last_read[b] = steps.len());
        let joined = joined(graph, kept, steps, &section_of);
        let (whole, inside) = (vec![None; blobs], vec![None; blobs]);
        let (spans, scratch_ends) = (vec![], None);
        Self { graph, sections, last_read, leaves, joined, spans, scratch_ends, whole, inside }
    }

    /// Elements of a picture, and of a blob as a section's steps see it.
    fn lens(&self, blob: BlobId, section: usize) -> (usize, usize) {
        let shape = &self.graph.blobs[blob].shape;
        let picture = shape.count() / shape.dims().first().copied().unwrap_or(1);
        match self.sections[section].pictures {
            Some(pictures) => (picture, pictures * picture),
            None => (picture, shape.count()),
        }
    }

    /// Where a step of a section finds a blob.
    fn home(&self, blob: BlobId, section: usize) -> Option<Home> {
        home(self.inside[blob], self.whole[blob], section)
    }

    fn place(&mut self, section: usize, i: usize, step: &mut Step) {
        let layer = &self.graph.nodes[step.node].layer;
        let some = self.sections[section].pictures.is_some();
        // The whole batch's blobs are read by some pictures' work until the last of them is done.
        let last_step = self.sections[section].steps.end - 1;
        for &b in step.bottoms.iter().filter(|_| some) {
            let home = self.home(b, section).map(|home| &mut self.spans[home.slot]);
            if let Some(span) = home.filter(|span| span.inside.is_none()) {
                span.last = span.last.max(last_step);
            }
        }
        let first = step.bottoms.first().copied();
        for (t, &top) in step.tops.iter().enumerate() {
            let share = match (memory(layer), first) {
                (Memory::Alias, Some(bottom)) => {
                    // Another shape may cut the same elements into other pictures.
                    let pitch = self.lens(top, section).0;
                    self.home(bottom, section).map(|home| Home { pitch, ..home })
                }
                (Memory::InPlace, Some(bottom)) if t == 0 => {
                    let home = self.home(bottom, section).filter(|home| {
                        let own = !some || self.spans[home.slot].inside.is_some();
                        let others =
                            step.bottoms[1..].iter().filter_map(|&b| self.home(b, section));
                        own && self.spans[home.slot].last <= i
                            && others.into_iter().all(|other| other.slot != home.slot)
                    });
                    step.copy = home.is_none();
                    home
                }
                _ => None,
            };
            let home = match share {
                Some(home) => home,
                None => self.fresh(section, i, top, matches!(layer, Layer::Source(_))),
            };
            // Inside a section it must last until its last reader there, or until it is copied out.
            let inside = self.spans[home.slot].inside.is_some();
            let last =
                if inside && self.leaves[top] { last_step } else { self.last_read[top].max(i) };
            let span = &mut self.spans[home.slot];
            span.last = span.last.max(last);
            if inside {
                self.inside[top] = Some((section, home));
                if self.leaves[top] {
                    let (first, last) = (self.sections[section].steps.start, self.last_read[top]);
                    let (pitch, len) =
                        (self.lens(top, section).0, self.graph.blobs[top].shape.count());
                    self.whole[top] = Some(Home { slot: self.spans.len(), at: 0, pitch });
                    self.spans.push(Span { len, first, last: last.max(last_step), inside: None });
                }
            } else {
                self.whole[top] = Some(home);
            }
        }
        let shapes: Vec<&Shape> =
            step.bottoms.iter().map(|&b| &self.graph.blobs[b].shape).collect();
        let inside = some.then_some(section);
        for len in scratch(layer, &shapes, step.tops.len()) {
            step.scratch.push((self.spans.len(), len));
            self.spans.push(Span { len, first: i, last: self.scratch_ends.unwrap_or(i), inside });
        }
    }

    /// New memory for a blob, or its part of the blob that joins it with others.
    fn fresh(&mut self, section: usize, i: usize, top: BlobId, source: bool) -> Home {
        let (pitch, len) = self.lens(top, section);
        let inside = self.sections[section].pictures.map(|_| section);
        if let Some(home) = self.home(top, section) {
            return home; // joined by what was written before
        }
        let (blob, at) = self.joined[top].unwrap_or((top, 0));
        let home = match self.home(blob, section) {
            Some(whole) => whole,
            None => {
                let (pitch, len) =
                    if blob == top { (pitch, len) } else { self.lens(blob, section) };
                // What comes from outside is there before the first step.
                let first = if source { 0 } else { i };
                self.spans.push(Span { len, first, last: self.last_read[blob].max(i), inside });
                Home { slot: self.spans.len() - 1, at: 0, pitch }
            }
        };
        if blob != top {
            match inside {
                Some(section) => self.inside[blob] = Some((section, home)),
                None => self.whole[blob] = Some(home),
            }
        }
        Home { at, ..home }
    }

    /// Puts spans whose lives do not overlap into the same slots: best fit, in order of birth.
    fn pack(self, steps: &mut [Step]) -> Storage {
        let mut storage =
            Storage { private: vec![vec![]; self.sections.len()], ..Storage::default() };
        let mut order: Vec<usize> = (0..self.spans.len()).collect();
        order.sort_by_key(|&s| self.spans[s].first);
        let mut slot_of = vec![0; self.spans.len()];
        let mut busy: Vec<Vec<usize>> = vec![vec![]; self.sections.len() + 1];
        for s in order {
            let span = &self.spans[s];
            let busy = &mut busy[span.inside.map_or(0, |section| section + 1)];
            let slots = match span.inside {
                Some(section) => &mut storage.private[section],
                None => &mut storage.slots,
            };
            let free = |slot: &usize| busy[*slot] < span.first;
            let fits = (0..slots.len())
                .filter(free)
                .min_by_key(|&slot| (slots[slot] < span.len, slots[slot].abs_diff(span.len)));
            let slot = fits.unwrap_or(slots.len());
            if slot == slots.len() {
                slots.push(0);
                busy.push(0);
            }
            slots[slot] = slots[slot].max(span.len);
            busy[slot] = span.last;
            slot_of[s] = slot;
        }
        let located = |h: Home| Home { slot: slot_of[h.slot], ..h };
        storage.whole = self.whole.iter().map(|h| h.map(located)).collect();
        let inside = self.inside.iter();
        storage.inside = inside.map(|h| h.map(|(section, h)| (section, located(h)))).collect();
        for step in steps {
            step.scratch.iter_mut().for_each(|(s, _)| *s = slot_of[*s]);
        }
        storage
    }
}

/// Blobs that a convolution alone writes and that only a joining along the channels reads, in the same
/// section: the joining blob, and where in each of its pictures they begin.
fn joined(
    graph: &Graph,
    kept: &[bool],
    steps: &[Step],
    section_of: &[usize],
) -> Vec<Option<(BlobId, usize)>> {
    let mut joined = vec![None; graph.blobs.len()];
    let mut readers = vec![0; graph.blobs.len()];
    steps.iter().flat_map(|s| &s.bottoms).for_each(|&b| readers[b] += 1);
    for (i, step) in steps.iter().enumerate() {
        let Layer::Concat(concat) = &graph.nodes[step.node].layer else { continue };
        let top = step.tops[0];
        if graph.blobs[top].shape.axis(concat.axis) != Ok(1) {
            continue;
        }
        let mut at = 0;
        for &b in &step.bottoms {
            let shape = &graph.blobs[b].shape;
            let written = steps[..i].iter().position(|s| s.tops == [b]);
            let by_convolution = written.is_some_and(|w| {
                let layer = &graph.nodes[steps[w].node].layer;
                matches!(layer, Layer::Convolution(_)) && section_of[w] == section_of[i]
            });
            if by_convolution && readers[b] == 1 && !kept[b] {
                joined[b] = Some((top, at));
            }
            at += shape.count() / shape.dims()[0];
        }
    }
    joined
}
