//! What a value can see of the picture: its receptive field.
//!
//! Flows in: a graph, a blob and the index of one of its values. Flows out: which rows and columns of the
//! picture the value depends on. Windows move rows and columns independently, so a field is a set of rows and
//! a set of columns: exact through any chain of strides, pads and dilations; where branches meet, the
//! rectangle around what each of them sees. The page's script follows the same [`Reach`]es (script/taps.js).

use super::taps::taps;
use crate::layer::{Layer, LrnRegion};
use crate::net::{BlobId, Graph, Node};
use crate::shape::Shape;
use likenet_kernels::ops::Window;
use serde_json::{Value, json};

/// How far one output of a layer sees into a bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The value of the same index, whatever the shape.
    Each,
    /// The same row and column, in some channels.
    Place,
    /// A window.
    Window(Window),
    /// Those whose window, laid over the output, covers the value (transposed convolution).
    Spread(Window),
    /// A row and column so much further.
    Shift([usize; 2]),
    /// Everything.
    All,
}

impl Reach {
    /// For the page's script.
    pub fn json(self) -> Value {
        let window = |is: &str, w: Window| json!({"is": is, "kernel": w.kernel, "stride": w.stride, "pad": w.pad, "dilation": w.dilation});
        match self {
            Self::Each => json!({"is": "each"}),
            Self::Place => json!({"is": "place"}),
            Self::Window(w) => window("window", w),
            Self::Spread(w) => window("spread", w),
            Self::Shift(by) => json!({"is": "shift", "by": by}),
            Self::All => json!({"is": "all"}),
        }
    }

    /// The rows (axis 0) or columns (axis 1) of a bottom `len` long that the set `seen` of the top's depends on.
    fn back(self, axis: usize, seen: &[bool], len: usize) -> Vec<bool> {
        let mut out = vec![false; len];
        let outputs = || seen.iter().enumerate().filter(|(_, seen)| **seen).map(|(o, _)| o);
        match self {
            Self::Each | Self::Place if seen.len() == len => out.copy_from_slice(seen),
            Self::Each | Self::Place | Self::All => out.fill(seen.contains(&true)),
            Self::Window(w) => {
                for o in outputs() {
                    for k in 0..w.kernel[axis] {
                        let i =
                            (o * w.stride[axis] + k * w.dilation[axis]).wrapping_sub(w.pad[axis]);
                        out.get_mut(i).into_iter().for_each(|seen| *seen = true);
                    }
                }
            }
            Self::Spread(w) => {
                for (i, out) in out.iter_mut().enumerate() {
                    let covers = |k: usize| {
                        let o =
                            (i * w.stride[axis] + k * w.dilation[axis]).wrapping_sub(w.pad[axis]);
                        seen.get(o) == Some(&true)
                    };
                    *out = (0..w.kernel[axis]).any(covers);
                }
            }
            Self::Shift(by) => {
                for o in outputs() {
                    out.get_mut(o + by[axis]).into_iter().for_each(|seen| *seen = true);
                }
            }
        }
        out
    }
}

/// How far the values of a node see into its bottom number `bottom`.
pub(super) fn reach(graph: &Graph, node: &Node, bottom: usize) -> Reach {
    let shape = &graph.blobs[node.bottoms[bottom]].shape;
    // Along which axis values are gathered: rows and columns stay where they are unless it is theirs.
    let along = |axis: i32| match shape.axis(axis) {
        Ok(axis) if axis < 2 || shape.rank() != 4 => Reach::Place,
        _ => Reach::All,
    };
    match &node.layer {
        Layer::Convolution(l) => Reach::Window(l.window),
        Layer::Deconvolution(l) => Reach::Spread(l.0.window),
        Layer::Pooling(l) => match (l.window, l.dims(shape)) {
            (Some(_), Ok(d)) => Reach::Window(d.window),
            _ => Reach::All,
        },
        Layer::Lrn(l) => match l.region {
            LrnRegion::AcrossChannels => Reach::Place,
            LrnRegion::WithinChannel => Reach::Window(Window {
                kernel: [l.params.size; 2],
                stride: [1; 2],
                pad: [(l.params.size - 1) / 2; 2],
                dilation: [1; 2],
            }),
        },
        Layer::Pointwise(_) | Layer::PRelu(_) | Layer::Dropout(_) | Layer::Split => Reach::Each,
        Layer::Flatten(_) | Layer::Reshape(_) | Layer::Eltwise(_) => Reach::Each,
        Layer::BatchNorm(l) if l.stored => Reach::Each,
        Layer::Scale(_) | Layer::Bias(_) if bottom == 0 => Reach::Each,
        Layer::Softmax(l) => along(l.axis),
        Layer::Concat(l) => along(l.axis),
        Layer::Slice(l) => along(l.axis),
        Layer::Tile(l) => along(l.axis),
        Layer::Crop(l) => {
            let shapes: Vec<&Shape> = node.bottoms.iter().map(|&b| &graph.blobs[b].shape).collect();
            match l.origin(&shapes) {
                Ok(origin) if bottom == 0 && origin.len() == 4 => {
                    Reach::Shift([origin[2], origin[3]])
                }
                _ => Reach::All,
            }
        }
        _ => Reach::All,
    }
}

/// Rows and columns, each a yes or no.
pub(super) type Field = [Vec<bool>; 2];

/// Rows and columns of a blob: of pictures (n, c, h, w); anything else has one of each.
fn size(shape: &Shape) -> [usize; 2] {
    shape.nchw().map_or([1, 1], |[_, _, h, w]| [h, w])
}

/// The rows and columns of the blob `picture` that the value at `index` of `blob` depends on; none where it
/// does not depend on it.
pub(super) fn field(
    graph: &Graph,
    mut blob: BlobId,
    mut index: usize,
    picture: BlobId,
) -> Option<Field> {
    // While one input alone makes the value, its index knows more than its row and column: the branch that a
    // joined channel came from, the place of an element in a flattened blob.
    while blob != picture {
        let node = &graph.nodes[graph.blobs[blob].producer];
        let shapes =
            |blobs: &[BlobId]| blobs.iter().map(|&b| &graph.blobs[b].shape).collect::<Vec<_>>();
        let top = node.tops.iter().position(|&t| t == blob).unwrap_or(0);
        let taps = taps(&node.layer, &shapes(&node.bottoms), &shapes(&node.tops), top, index);
        let alone = node.bottoms.len() == 1 || matches!(node.layer, Layer::Concat(_));
        match taps[..] {
            [tap] if alone => (blob, index) = (node.bottoms[tap.bottom], tap.index),
            _ => break,
        }
    }
    let [h, w] = size(&graph.blobs[blob].shape);
    let one = |len: usize, at: usize| (0..len).map(|i| i == at).collect();
    let mut fields: Vec<Option<Field>> = vec![None; graph.blobs.len()];
    fields[blob] = Some([one(h, index / w % h), one(w, index % w)]);
    for node in graph.nodes[..=graph.blobs[blob].producer].iter().rev() {
        for &top in &node.tops {
            if top == picture {
                break;
            }
            let Some(seen) = fields[top].take() else { continue };
            for (position, &b) in node.bottoms.iter().enumerate() {
                let (reach, len) = (reach(graph, node, position), size(&graph.blobs[b].shape));
                let more = [0, 1].map(|axis| reach.back(axis, &seen[axis], len[axis]));
                // No row or no column: the window lies on padding alone, and sees nothing.
                if more.iter().any(|seen| !seen.contains(&true)) {
                    continue;
                }
                match &mut fields[b] {
                    None => fields[b] = Some(more),
                    Some(field) => {
                        for (old, new) in field.iter_mut().flatten().zip(more.iter().flatten()) {
                            *old |= new;
                        }
                    }
                }
            }
        }
    }
    fields[picture].take()
}
