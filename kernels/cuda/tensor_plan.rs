//! Which kernels compute a layer on Hopper's tensor cores, launched how. Pictures are `(n, h, w, c)` in a [`Number`],
//! `c` filled up to [`row`] elements.
//!
//! Flows in: the device's numbers and an operation's sizes. Flows out: a [`Plan`], or nothing where a layer's sizes do
//! not suit tensor maps (channels of a group that are no multiple of 16): then the exact kernels compute it.

use super::plan::{After, Arg, Corners, Fields, Gpu, Launch, Number, Operand, Pack, Plan, TensorMap, each};
use crate::ops::{ConvDims, LrnParams, PoolDims, Window};

/// Elements of a pixel with so many channels.
pub fn row(channels: usize) -> usize {
    channels.next_multiple_of(8)
}

/// Whether the device has what the kernels use.
pub fn possible(gpu: &Gpu) -> bool {
    gpu.capability.0 == 9
}

fn shape(channels: usize, plane: usize, batch: usize, pitch: usize) -> Arg {
    Fields::default().ints(&[batch, channels, plane, row(channels)]).longs(&[pitch]).arg()
}

fn transposing(kernel: &str, number: Number, [batch, channels, plane]: [usize; 3], pitch: usize) -> Launch {
    let rows = if kernel == "layout_inside" { row(channels) } else { channels };
    Launch {
        file: "layout",
        kernel: format!("{kernel}_{}", number.name()),
        grid: [plane.div_ceil(32) as u32, rows.div_ceil(32) as u32, batch as u32],
        block: 256,
        shared: 0,
        args: vec![shape(channels, plane, batch, pitch), Arg::Ptr(Operand::X), Arg::Ptr(Operand::Y)],
    }
}

/// From the door inwards: X `(n, c, h, w)` in f32 with `pitch` elements a picture, Y `(n, h, w, c)`.
pub fn inside(number: Number, sizes: [usize; 3], pitch: usize) -> Launch {
    transposing("layout_inside", number, sizes, pitch)
}

/// From inside to the door.
pub fn door(number: Number, sizes: [usize; 3], pitch: usize) -> Launch {
    transposing("layout_door", number, sizes, pitch)
}

/// How a convolution's input becomes one that tensor maps can walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// It is one: `(n, h, w, c)`.
    None,
    /// From `(n, c, h, w)` at the door: a stride's rows and columns become channels.
    Stride,
    /// From `(n, c, h, w)` at the door: each position's patch becomes its channels.
    Patches,
}

/// A convolution as the tensor cores compute it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// What becomes of the input first: [`fold`] does it.
    pub fold: Fold,
    /// The convolution of what became of it.
    pub dims: ConvDims,
}

/// How tensor cores see a convolution; nothing if they cannot.
pub fn seen(d: &ConvDims) -> Option<Seen> {
    let (channels, filters) = (d.channels / d.group, d.filters / d.group);
    let w = &d.window;
    let fits = |w: &Window| (0..2).all(|a| w.extent(a) <= 128 && w.pad[a] <= 127 && w.stride[a] <= 8);
    if filters % 8 != 0 || !fits(w) {
        return None;
    }
    if channels % 16 == 0 || (d.group == 1 && channels % 8 == 0) {
        return Some(Seen { fold: Fold::None, dims: *d });
    }
    if d.group != 1 {
        return None;
    }
    let [sh, sw] = w.stride;
    if sh > 1 && sw > 1 && w.dilation == [1, 1] && channels * sh * sw % 8 == 0 {
        let kernel = [w.kernel[0].div_ceil(sh), w.kernel[1].div_ceil(sw)];
        let dims = ConvDims {
            channels: channels * sh * sw,
            input: [d.output[0] + kernel[0] - 1, d.output[1] + kernel[1] - 1],
            window: Window { kernel, stride: [1, 1], pad: [0, 0], dilation: [1, 1] },
            ..*d
        };
        return Some(Seen { fold: Fold::Stride, dims });
    }
    let window = Window { kernel: [1, 1], stride: [1, 1], pad: [0, 0], dilation: [1, 1] };
    let dims = ConvDims { channels: row(d.patch_len()), input: d.output, window, ..*d };
    Some(Seen { fold: Fold::Patches, dims })
}

/// X at the door becomes Y, the input of `s.dims`; nothing to do if `s.fold` is [`Fold::None`].
pub fn fold(number: Number, d: &ConvDims, s: &Seen, batch: usize, pitch: usize) -> Option<Launch> {
    let w = &d.window;
    let (area, step, pad) = match s.fold {
        Fold::None => return None,
        Fold::Stride => (w.stride, w.stride, w.pad),
        Fold::Patches => (w.kernel, w.stride, w.pad),
    };
    let pixels = s.dims.input[0] * s.dims.input[1];
    let fields = Fields::default()
        .ints(&[batch, d.channels, d.input[0], d.input[1], s.dims.input[0], s.dims.input[1]])
        .ints(&[area, step, pad, w.dilation].concat())
        .ints(&[s.dims.channels, (s.fold == Fold::Patches) as usize])
        .longs(&[pitch]);
    let args = vec![fields.arg(), Arg::Ptr(Operand::X), Arg::Ptr(Operand::Y)];
    let len = batch * pixels * s.dims.channels * number.bytes() / 16;
    Some(each("layout", &format!("layout_fold_{}", number.name()), len, args))
}

fn slabs(number: Number, channels: usize) -> usize {
    channels.div_ceil(number.slab())
}

/// Packs a convolution's weights (of `d`, seen as `s`) into Packed.
pub fn conv_pack(number: Number, d: &ConvDims, s: &Seen) -> Pack {
    let fold = if s.fold == Fold::Stride { d.window.stride } else { [1, 1] };
    let k = slabs(number, s.dims.channels / s.dims.group) * number.slab();
    let len = d.filters * s.dims.window.kernel[0] * s.dims.window.kernel[1] * k;
    pack(number, d, fold, [false, s.fold == Fold::Patches], k, len)
}

/// Packs a convolution's weights for its input gradients, which are [`conv`] of [`ConvDims::transposed`].
pub fn conv_back_pack(number: Number, d: &ConvDims) -> Pack {
    let k = slabs(number, d.filters / d.group) * number.slab();
    let len = d.channels * d.window.kernel[0] * d.window.kernel[1] * k;
    pack(number, d, [1, 1], [true, false], k, len)
}

fn pack(
    number: Number,
    d: &ConvDims,
    fold: [usize; 2],
    [back, patches]: [bool; 2],
    k: usize,
    len: usize,
) -> Pack {
    let fields = Fields::default()
        .ints(&[d.group, d.filters / d.group, d.channels / d.group])
        .ints(&[d.window.kernel, fold].concat())
        .ints(&[back as usize, patches as usize, k]);
    let args = vec![fields.arg(), Arg::Ptr(Operand::Weight), Arg::Ptr(Operand::Packed(0))];
    let launch = each("layout", &format!("tensor_pack_{}", number.name()), len, args);
    Pack { bytes: len * number.bytes(), launches: vec![launch] }
}

/// A block's tile: positions and filters.
const TILES: [[usize; 2]; 5] = [[128, 256], [256, 128], [128, 128], [256, 64], [128, 64]];

/// A tile, and how the slabs are cut into ranges.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cut {
    tile: [usize; 2],
    splits: usize,
    per_split: usize,
}

/// The cut whose estimated time is least.
fn cut(gpu: &Gpu, d: &ConvDims, positions: usize, slabs: usize) -> Cut {
    let filters = d.filters / d.group;
    let tiles = |[m, n]: [usize; 2]| positions.div_ceil(m) * filters.div_ceil(n) * d.group;
    let time = |c: &Cut| {
        let [m, n] = c.tile;
        // Cycles of a slab: the tensor cores' and the way from the L2 cache.
        let slab = ((m * n * 64) as f64 / 2048.0 / 0.75).max((m + n) as f64 * 128.0 / 30.0);
        let turns = (tiles(c.tile) * c.splits).div_ceil(gpu.multiprocessors);
        let partial = if c.splits > 1 {
            3500.0 + (positions * d.filters * 4 * (c.splits * 2 + 1)) as f64 / 2000.0
        } else {
            0.0
        };
        turns as f64 * (c.per_split as f64 * slab + (m * n) as f64 / 16.0) + 1500.0 + partial
    };
    let candidates = TILES.iter().flat_map(|tile| {
        let most = gpu.multiprocessors.div_ceil(tiles(*tile)).min(slabs / 2).max(1);
        (1..=most).map(move |splits| {
            let per_split = slabs.div_ceil(splits);
            Cut { tile: *tile, splits: slabs.div_ceil(per_split), per_split }
        })
    });
    candidates.min_by(|a, b| time(a).total_cmp(&time(b))).expect("there are tiles")
}

/// A convolution whose input is `(n, h, w, c)`: X, weights packed by [`conv_pack`], Bias, Y `(n, h, w, filters)`, in
/// `number`, or in f32 if `to_f32`.
pub fn conv(gpu: &Gpu, number: Number, d: &ConvDims, batch: usize, after: After, to_f32: bool) -> Plan {
    let positions = batch * d.positions();
    let (channels, filters) = (d.channels / d.group, d.filters / d.group);
    let w = &d.window;
    let taps = w.kernel[0] * w.kernel[1];
    let per_tap = slabs(number, channels);
    let c = cut(gpu, d, positions, taps * per_tap);
    let [m, n] = c.tile;
    let split = c.splits > 1;
    let tail = (channels - (per_tap - 1) * number.slab()).div_ceil(number.slab() / 4);
    let now = if split { After::default() } else { after };
    let slope = after.relu.unwrap_or(0.0);
    let (tiles_m, tiles_n) = (positions.div_ceil(m), filters.div_ceil(n));
    let fields = Fields::default()
        .ints(&[positions, d.output[0], d.output[1], d.group, filters, channels, w.kernel[1], taps])
        .ints(&[w.stride, w.pad, w.dilation].concat())
        .ints(&[per_tap, tail, tiles_m, tiles_n, c.splits, c.per_split, d.filters])
        .ints(&[now.bias as usize, now.relu.is_some() as usize])
        .float(slope)
        .ints(&[(split || to_f32) as usize])
        .longs(&[positions * d.filters]);
    let corner = |axis: usize| w.pad[axis] as isize - (w.extent(axis) as isize - 1);
    let patches = TensorMap {
        of: Operand::X,
        number,
        dims: vec![row(d.channels), d.input[1], d.input[0], batch],
        box_rows: m,
        patches: Some(Corners {
            lower: [-(w.pad[1] as isize), -(w.pad[0] as isize)],
            upper: [corner(1), corner(0)],
            stride: [w.stride[1], w.stride[0]],
        }),
    };
    let k = taps * per_tap * number.slab();
    let weights =
        TensorMap { of: Operand::Packed(0), number, dims: vec![k, d.filters], box_rows: n, patches: None };
    let to = if split { Operand::Scratch(0) } else { Operand::Y };
    let works = tiles_m * tiles_n * d.group * c.splits;
    let stages = ((220 << 10) / ((m + n) * 128)).min(6);
    let mut plan = Plan::default();
    plan.launches.push(Launch {
        file: "tensor",
        kernel: format!("tensor_conv_{}_{m}x{n}", number.name()),
        grid: [works.min(gpu.multiprocessors) as u32, 1, 1],
        block: 384,
        shared: (stages * (m + n) * 128 + 1024) as u32,
        args: vec![
            fields.arg(),
            Arg::Map(patches),
            Arg::Map(weights),
            Arg::Ptr(Operand::Bias),
            Arg::Ptr(to),
        ],
    });
    if split {
        plan.scratch = positions * d.filters * 4 * c.splits;
        let fields = Fields::default()
            .longs(&[positions, positions * d.filters])
            .ints(&[d.filters, c.splits, after.bias as usize, after.relu.is_some() as usize])
            .ints(&[to_f32 as usize])
            .float(slope);
        let operands = [Operand::Scratch(0), Operand::Bias, Operand::Y];
        let args = std::iter::once(fields.arg()).chain(operands.map(Arg::Ptr)).collect();
        let kernel = format!("tensor_sum_{}", number.name());
        plan.launches.push(each("tensor", &kernel, positions * d.filters / 4, args));
    }
    plan
}

/// A fully connected layer over pictures of `[channels, height, width]` is a convolution with one position.
pub fn inner_dims([channels, height, width]: [usize; 3], outputs: usize) -> ConvDims {
    let window = Window { kernel: [height, width], stride: [1, 1], pad: [0, 0], dilation: [1, 1] };
    ConvDims { channels, input: [height, width], filters: outputs, output: [1, 1], group: 1, window }
}

/// A fully connected layer, `d` from [`inner_dims`], weights packed by [`conv_pack`].
pub fn inner(gpu: &Gpu, number: Number, d: &ConvDims, rows: usize, after: After, to_f32: bool) -> Plan {
    if rows > 8 || d.channels % number.slab() != 0 {
        return conv(gpu, number, d, rows, after, to_f32);
    }
    let fields = Fields::default()
        .ints(&[rows, d.input_len(), d.filters, after.bias as usize, after.relu.is_some() as usize])
        .ints(&[to_f32 as usize])
        .float(after.relu.unwrap_or(0.0));
    let operands = [Operand::X, Operand::Packed(0), Operand::Bias, Operand::Y];
    let launch = Launch {
        file: "nhwc",
        kernel: format!("nhwc_gemv_{}_{}", if rows == 1 { 1 } else { 8 }, number.name()),
        grid: [d.filters.div_ceil(2 * 4) as u32, 1, 1],
        block: 128,
        shared: 0,
        args: std::iter::once(fields.arg()).chain(operands.map(Arg::Ptr)).collect(),
    };
    Plan { launches: vec![launch], scratch: 0 }
}

/// Pooling of `(n, h, w, c)`; with `average` the mean, else the maximum.
pub fn pool(number: Number, d: &PoolDims, channels: usize, batch: usize, average: bool) -> Launch {
    let w = &d.window;
    let fields = Fields::default()
        .ints(&[batch, row(channels)])
        .ints(&[d.input, d.output, w.kernel, w.stride, w.pad].concat())
        .ints(&[average as usize]);
    let args = vec![fields.arg(), Arg::Ptr(Operand::X), Arg::Ptr(Operand::Y)];
    let len = batch * d.output[0] * d.output[1] * row(channels) * number.bytes() / 16;
    each("nhwc", &format!("nhwc_pool_{}", number.name()), len, args)
}

/// Local response normalisation across the channels of `(n, h, w, c)`; the neighbourhood has nine channels at most.
pub fn lrn(number: Number, p: &LrnParams, channels: usize, pixels: usize) -> Option<Launch> {
    if p.size > 9 {
        return None;
    }
    let fields = Fields::default()
        .longs(&[pixels])
        .ints(&[row(channels), channels, p.size])
        .float(p.alpha / p.size as f32)
        .float(p.beta)
        .float(p.k);
    let args = vec![fields.arg(), Arg::Ptr(Operand::X), Arg::Ptr(Operand::Y)];
    let len = pixels * row(channels) * number.bytes() / 16;
    Some(each("nhwc", &format!("nhwc_lrn_{}", number.name()), len, args))
}
