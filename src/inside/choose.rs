//! What of a network goes onto a page.
//!
//! Flows in: a graph with all its values and parameters, and how many bytes there may be. Flows out: a
//! [`Choice`]: which blobs and weights go whole, and of the others which values, filters and products.
//!
//! Small things go whole first. What ReLU, MAX pooling, joining and renaming make is not written at all: the
//! page's script repeats it to the last bit. Where the room does not suffice for the sums before ReLU, only what
//! ReLU leaves goes onto the page; a sum is then found again from its products.
//! Of a blob that is too large go its channels' largest values, with every value in their windows, and so on
//! down along the strongest inputs, until the picture.

use super::codec::estimate;
use super::taps::{Tap, taps};
use crate::layer::{Layer, PoolMethod, Unary};
use crate::net::{BlobId, Graph, Node};
use crate::shape::Shape;
use std::collections::BTreeSet;

/// Bytes of compressed numbers that make a page of 24 MB, with its base64 and the page around them.
pub(super) const ROOM: usize = 17_000_000;
/// Shares of the room for values and for weights; the rest is for windows of what is not whole.
const VALUES: f64 = 0.55;
const WEIGHTS: f64 = 0.85;
/// How many channels of a blob that is not whole, or whose filters are not, can be looked into.
const PEAKS: usize = 12;

/// How a blob's values go onto the page.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values {
    /// All of them.
    Whole,
    /// Not at all: the script makes them from the layer's bottoms.
    Made,
    /// Not at all: they are sums that ReLU takes into this blob, which is.
    Before(BlobId),
    /// These.
    Some(BTreeSet<usize>),
}

/// How a layer's weights go onto the page.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Weights {
    /// All of them.
    Whole,
    /// Those of these filters.
    Filters(BTreeSet<usize>),
    /// The strongest products of each output, and the sum of the others.
    Strongest,
}

/// What goes onto a page.
pub(super) struct Choice {
    /// For each blob.
    pub values: Vec<Values>,
    /// For each node with weights.
    pub weights: Vec<Option<Weights>>,
    /// For each blob, values that can be followed down to the picture; empty where any can.
    pub followed: Vec<BTreeSet<usize>>,
}

/// A network's numbers: all blobs, all parameters.
pub(super) struct Numbers<'a> {
    pub graph: &'a Graph,
    pub blobs: &'a [Vec<f32>],
    pub params: &'a [Vec<f32>],
}

impl Numbers<'_> {
    /// The inputs of a value of a node's top.
    pub fn taps(&self, node: &Node, top: usize, index: usize) -> Vec<Tap> {
        let shapes = |blobs: &[BlobId]| blobs.iter().map(|&b| &self.graph.blobs[b].shape).collect();
        let (bottoms, tops): (Vec<&Shape>, Vec<&Shape>) =
            (shapes(&node.bottoms), shapes(&node.tops));
        taps(&node.layer, &bottoms, &tops, top, index)
    }

    /// What an input adds to a node's value: with weights a product, else itself.
    pub fn share(&self, node: &Node, tap: &Tap) -> f32 {
        let x = self.blobs[node.bottoms[tap.bottom]][tap.index];
        match weighted(&node.layer) {
            true => x * self.params[node.params[0].id][tap.weight],
            false => x,
        }
    }

    /// The input that says most about a value: the largest product, the winner of a pooling, the largest.
    fn strongest(&self, node: &Node, taps: &[Tap]) -> Option<Tap> {
        let rank = |tap: &Tap| match weighted(&node.layer) {
            true => self.share(node, tap).abs(),
            false => self.share(node, tap),
        };
        let better = |best: Tap, tap: &Tap| if rank(tap) > rank(&best) { *tap } else { best };
        Some(taps.iter().fold(*taps.first()?, better))
    }
}

/// Whether a layer multiplies windows by weights.
pub(super) fn weighted(layer: &Layer) -> bool {
    matches!(layer, Layer::Convolution(_) | Layer::Deconvolution(_) | Layer::InnerProduct(_))
}

/// Whether the script makes a layer's values to the last bit from its bottoms.
fn remade(layer: &Layer, top: usize) -> bool {
    match layer {
        Layer::Pointwise(Unary::Relu { .. }) | Layer::Concat(_) | Layer::Slice(_) => true,
        Layer::Flatten(_) | Layer::Reshape(_) | Layer::Split => true,
        Layer::Dropout(l) => !l.active,
        Layer::Pooling(l) => l.method == PoolMethod::Max && top == 0,
        _ => false,
    }
}

/// The blob that ReLU makes of each blob that only it reads and that weights made.
fn relus(graph: &Graph) -> Vec<Option<BlobId>> {
    let mut readers = vec![vec![]; graph.blobs.len()];
    for (n, node) in graph.nodes.iter().enumerate() {
        node.bottoms.iter().for_each(|&b| readers[b].push(n));
    }
    let after = |(b, readers): (usize, Vec<usize>)| {
        let [reader] = readers[..] else { return None };
        let (reader, producer) = (&graph.nodes[reader], &graph.nodes[graph.blobs[b].producer]);
        let relu = matches!(reader.layer, Layer::Pointwise(Unary::Relu { slope }) if slope >= 0.0);
        (relu && weighted(&producer.layer)).then(|| reader.tops[0])
    };
    readers.into_iter().enumerate().map(after).collect()
}

/// Chooses what goes into `room` bytes. `most` is the output to be followed down in any case.
pub(super) fn choose(n: &Numbers, most: Option<(BlobId, usize)>, room: usize) -> Choice {
    let graph = n.graph;
    let relus = relus(graph);
    let made = |b: BlobId| {
        let producer = &graph.nodes[graph.blobs[b].producer];
        remade(&producer.layer, producer.tops.iter().position(|&t| t == b).unwrap_or(0))
    };
    let mut sizes: Vec<usize> = n.blobs.iter().map(|v| estimate(v)).collect();
    let mut heavy: Vec<(usize, usize)> = vec![];
    for (i, node) in graph.nodes.iter().enumerate().filter(|(_, node)| weighted(&node.layer)) {
        heavy.push((estimate(&n.params[node.params[0].id]), i));
    }
    heavy.sort_unstable();
    let total = |sizes: &[usize], left_out: &dyn Fn(BlobId) -> bool| -> usize {
        (0..sizes.len()).filter(|&b| !left_out(b)).map(|b| sizes[b]).sum()
    };
    let weights: usize = heavy.iter().map(|(size, _)| size).sum();
    let sums_fit = total(&sizes, &made) + weights <= room;
    let mut values: Vec<Values> = (0..sizes.len())
        .map(|b| match (relus[b], made(b)) {
            (Some(after), _) if !sums_fit => Values::Before(after),
            // The script has no sums to make this one from.
            (_, true) if sums_fit || !relus.contains(&Some(b)) => Values::Made,
            _ => Values::Whole,
        })
        .collect();
    (0..sizes.len()).filter(|&b| values[b] != Values::Whole).for_each(|b| sizes[b] = 0);
    let mut order: Vec<BlobId> = (0..sizes.len()).collect();
    order.sort_by_key(|&b| (sizes[b], b));
    let values_room = if sums_fit { room } else { (room as f64 * VALUES) as usize };
    let mut used = 0;
    for b in order {
        // The picture goes whole in any case: everything ends there.
        let source = matches!(graph.nodes[graph.blobs[b].producer].layer, Layer::Source(_));
        match used + sizes[b] <= values_room || source {
            true => used += sizes[b],
            false => values[b] = Values::Some(BTreeSet::new()),
        }
    }
    let mut chosen = vec![None; graph.nodes.len()];
    let weights_room = if sums_fit { usize::MAX } else { (room as f64 * WEIGHTS) as usize };
    for (size, i) in heavy {
        chosen[i] = Some(match (used + size <= weights_room, &graph.nodes[i].layer) {
            (true, _) => Weights::Whole,
            (false, Layer::InnerProduct(_)) => Weights::Strongest,
            (false, _) => Weights::Filters(BTreeSet::new()),
        });
        used += if chosen[i] == Some(Weights::Whole) { size } else { 0 };
    }
    // What is made from a blob that is not whole is not whole either.
    for node in &graph.nodes {
        let partial = node.bottoms.iter().any(|&b| matches!(values[b], Values::Some(_)));
        for &top in node.tops.iter().filter(|_| partial) {
            if values[top] == Values::Made {
                values[top] = Values::Some(BTreeSet::new());
            }
        }
    }
    let followed = vec![BTreeSet::new(); graph.blobs.len()];
    let mut choice = Choice { values, weights: chosen, followed };
    choice.follow(n, most);
    choice
}

impl Choice {
    /// Takes in what is needed to look into chosen values, from the last layer to the first.
    fn follow(&mut self, n: &Numbers, most: Option<(BlobId, usize)>) {
        if let Some((blob, index)) = most {
            self.followed[blob].insert(index);
        }
        for (i, node) in n.graph.nodes.iter().enumerate().rev() {
            let partial = |b: &BlobId| matches!(self.values[*b], Values::Some(_));
            let filters = matches!(self.weights[i], Some(Weights::Filters(_)));
            let peaked = filters || node.tops.iter().chain(&node.bottoms).any(partial);
            for (t, &top) in node.tops.iter().enumerate() {
                if peaked {
                    // Where ReLU follows, the largest sums are the largest values too.
                    let peaks = peaks(&n.graph.blobs[top].shape, &n.blobs[top]);
                    self.followed[top].extend(peaks);
                }
                for index in self.followed[top].clone() {
                    let taps = n.taps(node, t, index);
                    match self.values[top] {
                        Values::Before(after) => self.need(after, [index]),
                        _ => self.need(top, [index]),
                    }
                    if let Some(Weights::Filters(filters)) = &mut self.weights[i] {
                        filters.insert(channel(&n.graph.blobs[top].shape, index));
                    }
                    for tap in &taps {
                        self.need(node.bottoms[tap.bottom], [tap.index]);
                    }
                    // Normalised, a value is followed to itself, not to a larger neighbour: as the script does.
                    let down = match node.layer {
                        Layer::Lrn(_) => taps.iter().find(|tap| tap.index == index).copied(),
                        _ => n.strongest(node, &taps),
                    };
                    if let Some(tap) = down {
                        self.followed[node.bottoms[tap.bottom]].insert(tap.index);
                    }
                }
            }
            if self.weights[i] == Some(Weights::Strongest) {
                // A fully connected layer of a blob that is not whole: its inputs are needed, all of them.
                let bottom = node.bottoms[0];
                self.need(bottom, 0..n.blobs[bottom].len());
            }
        }
    }

    fn need(&mut self, blob: BlobId, indices: impl IntoIterator<Item = usize>) {
        if let Values::Some(some) = &mut self.values[blob] {
            some.extend(indices);
        }
    }
}

/// Elements of one plane of a picture; of anything else one.
fn plane(shape: &Shape) -> usize {
    shape.nchw().map_or(1, |[_, _, h, w]| h * w)
}

/// The channel of a value.
pub(super) fn channel(shape: &Shape, index: usize) -> usize {
    let channels = shape.nchw().map_or(shape.count(), |[_, c, _, _]| c);
    index / plane(shape) % channels.max(1)
}

/// The largest value of each of the channels whose largest values are largest.
fn peaks(shape: &Shape, values: &[f32]) -> Vec<usize> {
    let mut best: Vec<usize> = values
        .chunks(plane(shape))
        .enumerate()
        .filter_map(|(p, plane)| {
            let largest = plane.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
            Some(p * plane.len() + largest.0)
        })
        .collect();
    best.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
    best.truncate(PEAKS);
    best
}
