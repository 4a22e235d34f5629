//! Which inputs make one output value.
//!
//! Flows in: a layer, its shapes and the index of one value of a top. Flows out: the [`Tap`]s of that value:
//! for each input that counts, which bottom it lies in, where, and by which weight it is multiplied. All
//! indices are flat, row-major. The page's script has the same rules (script/taps.js).

use crate::layer::{Conv, Layer, LrnRegion};
use crate::shape::Shape;
use likenet_kernels::ops::Window;
use std::ops::Range;

/// One input of an output value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tap {
    /// Position among the layer's bottoms.
    pub bottom: usize,
    /// Index in that bottom.
    pub index: usize,
    /// Index in the layer's weights; 0 where it has none.
    pub weight: usize,
}

/// The inputs of the value at `index` of top number `top`; none for layers without bottoms.
pub(super) fn taps(
    layer: &Layer,
    bottoms: &[&Shape],
    tops: &[&Shape],
    top: usize,
    index: usize,
) -> Vec<Tap> {
    let plain = |bottom: usize, index: usize| Tap { bottom, index, weight: 0 };
    let along = |axis: usize, shape: &Shape| {
        let v = shape.along(axis);
        let (outer, inner) = (index / (v.len * v.inner), index % v.inner);
        (outer, index / v.inner % v.len, inner, v)
    };
    match layer {
        Layer::Source(_) | Layer::Silence => vec![],
        Layer::Convolution(l) => convolution(l, bottoms[top], tops[top], top, index),
        Layer::Deconvolution(l) => deconvolution(&l.0, bottoms[top], tops[top], top, index),
        Layer::InnerProduct(l) => {
            let (_, inputs) = l.rows_and_inputs(bottoms[0]).unwrap_or_default();
            let (row, output) = (index / l.outputs, index % l.outputs);
            let tap = |i: usize| Tap {
                bottom: 0,
                index: row * inputs + i,
                weight: if l.transpose { i * l.outputs + output } else { output * inputs + i },
            };
            (0..inputs).map(tap).collect()
        }
        Layer::Pooling(l) => match l.dims(bottoms[0]) {
            Ok(d) => window(&d.window, d.input, d.output, index).map(|i| plain(0, i)).collect(),
            Err(_) => vec![],
        },
        Layer::Lrn(l) => match (l.region, bottoms[0].nchw()) {
            (LrnRegion::AcrossChannels, Ok(_)) => {
                let (outer, at, inner, v) = along(1, bottoms[0]);
                let before = (l.params.size - 1) / 2;
                let near = at.saturating_sub(before)..(at + l.params.size - before).min(v.len);
                near.map(|c| plain(0, (outer * v.len + c) * v.inner + inner)).collect()
            }
            (LrnRegion::WithinChannel, Ok([_, _, h, w])) => {
                let pad = (l.params.size - 1) / 2;
                let square = Window {
                    kernel: [l.params.size; 2],
                    stride: [1; 2],
                    pad: [pad; 2],
                    dilation: [1; 2],
                };
                window(&square, [h, w], [h, w], index).map(|i| plain(0, i)).collect()
            }
            (_, Err(_)) => vec![],
        },
        Layer::Softmax(l) => match bottoms[0].axis(l.axis) {
            Ok(axis) => {
                let (outer, _, inner, v) = along(axis, bottoms[0]);
                (0..v.len).map(|c| plain(0, (outer * v.len + c) * v.inner + inner)).collect()
            }
            Err(_) => vec![],
        },
        Layer::Eltwise(_) => (0..bottoms.len()).map(|b| plain(b, index)).collect(),
        Layer::Concat(l) => match bottoms[0].axis(l.axis) {
            Ok(axis) => {
                let (outer, mut at, inner, _) = along(axis, tops[0]);
                let mut found = vec![];
                for (b, shape) in bottoms.iter().enumerate() {
                    let len = shape.dims()[axis];
                    if at < len {
                        let inner_len = shape.along(axis).inner;
                        found.push(plain(b, (outer * len + at) * inner_len + inner));
                        break;
                    }
                    at -= len;
                }
                found
            }
            Err(_) => vec![],
        },
        Layer::Slice(l) => match bottoms[0].axis(l.axis) {
            Ok(axis) => {
                let (outer, at, inner, v) = along(axis, tops[top]);
                let before: usize = tops[..top].iter().map(|s| s.dims()[axis]).sum();
                let whole = bottoms[0].dims()[axis];
                vec![plain(0, (outer * whole + before + at) * v.inner + inner)]
            }
            Err(_) => vec![],
        },
        Layer::Tile(l) => match bottoms[0].axis(l.axis) {
            Ok(axis) => {
                let (outer, at, inner, v) = along(axis, tops[0]);
                let len = bottoms[0].dims()[axis];
                vec![plain(0, (outer * len + at % len) * v.inner + inner)]
            }
            Err(_) => vec![],
        },
        Layer::Crop(l) => match l.origin(bottoms) {
            Ok(origin) => {
                let (mut rest, mut stride, mut at) = (index, 1, 0);
                for axis in (0..origin.len()).rev() {
                    let len = tops[0].dims()[axis];
                    at += (rest % len + origin[axis]) * stride;
                    rest /= len;
                    stride *= bottoms[0].dims()[axis];
                }
                vec![plain(0, at)]
            }
            Err(_) => vec![],
        },
        Layer::Reduction(l) => match l.view(bottoms[0]) {
            Ok(v) => (index * v.len..(index + 1) * v.len).map(|i| plain(0, i)).collect(),
            Err(_) => vec![],
        },
        Layer::Mvn(l) => {
            let row = l.row(bottoms[0]).max(1);
            let first = index / row * row;
            (first..first + row).map(|i| plain(0, i)).collect()
        }
        Layer::Pointwise(_)
        | Layer::PRelu(_)
        | Layer::Dropout(_)
        | Layer::BatchNorm(_)
        | Layer::Scale(_)
        | Layer::Bias(_)
        | Layer::Split
        | Layer::Flatten(_)
        | Layer::Reshape(_) => vec![plain(0, index)],
        Layer::Embed(l) => vec![plain(0, index / l.outputs)],
        Layer::SoftmaxLoss(_)
        | Layer::SigmoidCrossEntropyLoss(_)
        | Layer::HingeLoss(_)
        | Layer::EuclideanLoss(_)
        | Layer::ContrastiveLoss(_)
        | Layer::MultinomialLogisticLoss(_)
        | Layer::Accuracy(_)
        | Layer::ArgMax(_) => {
            let all = bottoms.iter().enumerate();
            all.flat_map(|(b, shape)| (0..shape.count()).map(move |i| plain(b, i))).collect()
        }
    }
}

/// Where tap number `k` of window number `at` lies along an axis, if inside.
fn place(w: &Window, axis: usize, at: usize, k: usize, len: usize) -> Option<usize> {
    (at * w.stride[axis] + k * w.dilation[axis]).checked_sub(w.pad[axis]).filter(|&i| i < len)
}

/// Where a deconvolution's input lies along an axis whose tap `k` falls on output `at`.
fn back(w: &Window, axis: usize, at: usize, k: usize, len: usize) -> Option<usize> {
    let ahead = (at + w.pad[axis]).checked_sub(k * w.dilation[axis])?;
    let i = ahead / w.stride[axis];
    (ahead.is_multiple_of(w.stride[axis]) && i < len).then_some(i)
}

/// The places of one plane's window that lie inside, for pooling.
fn window(
    w: &Window,
    input: [usize; 2],
    output: [usize; 2],
    index: usize,
) -> impl Iterator<Item = usize> {
    let (plane, y, x) =
        (index / (output[0] * output[1]), index / output[1] % output[0], index % output[1]);
    let inside = |axis: usize, at: usize| -> Range<usize> {
        let start = at * w.stride[axis];
        let end = (start + w.kernel[axis]).saturating_sub(w.pad[axis]).min(input[axis]);
        start.saturating_sub(w.pad[axis]).min(end)..end
    };
    let (rows, columns) = (inside(0, y), inside(1, x));
    rows.flat_map(move |r| columns.clone().map(move |c| (plane * input[0] + r) * input[1] + c))
}

fn convolution(l: &Conv, bottom: &Shape, top: &Shape, position: usize, index: usize) -> Vec<Tap> {
    let (Ok(d), Ok([_, _, oh, ow])) = (l.dims(bottom), top.nchw()) else { return vec![] };
    let (plane, y, x) = (index / (oh * ow), index / ow % oh, index % ow);
    let (picture, filter) = (plane / d.filters, plane % d.filters);
    let (depth, [kh, kw], [h, w]) = (d.channels / d.group, d.window.kernel, d.input);
    let first = picture * d.channels + filter / (d.filters / d.group) * depth;
    let mut taps = Vec::with_capacity(d.patch_len());
    for c in 0..depth {
        for ky in 0..kh {
            let Some(iy) = place(&d.window, 0, y, ky, h) else { continue };
            for kx in 0..kw {
                let Some(ix) = place(&d.window, 1, x, kx, w) else { continue };
                taps.push(Tap {
                    bottom: position,
                    index: ((first + c) * h + iy) * w + ix,
                    weight: ((filter * depth + c) * kh + ky) * kw + kx,
                });
            }
        }
    }
    taps
}

fn deconvolution(l: &Conv, bottom: &Shape, top: &Shape, position: usize, index: usize) -> Vec<Tap> {
    let (Ok([_, channels, h, w]), Ok([_, _, oh, ow])) = (bottom.nchw(), top.nchw()) else {
        return vec![];
    };
    let (plane, y, x) = (index / (oh * ow), index / ow % oh, index % ow);
    let (picture, filter) = (plane / l.filters, plane % l.filters);
    let (each, depth, [kh, kw]) = (l.filters / l.group, channels / l.group, l.window.kernel);
    let first = filter / each * depth;
    let mut taps = vec![];
    for c in first..first + depth {
        for ky in 0..kh {
            let Some(iy) = back(&l.window, 0, y, ky, h) else { continue };
            for kx in 0..kw {
                let Some(ix) = back(&l.window, 1, x, kx, w) else { continue };
                taps.push(Tap {
                    bottom: position,
                    index: ((picture * channels + c) * h + iy) * w + ix,
                    weight: ((c * each + filter % each) * kh + ky) * kw + kx,
                });
            }
        }
    }
    taps
}
