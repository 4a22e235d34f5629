//! Which kernels compute a layer on Hopper's tensor cores, launched how. Pictures are `(n, h, w, c)` in a [`Number`],
//! `c` filled up to [`row`] elements.
//!
//! Flows in: the device's numbers and an operation's sizes. Flows out: a [`Plan`], or nothing where a layer's sizes do
//! not suit tensor maps (channels of a group that are no multiple of 16): then the exact kernels compute it.

use super::plan::{
    After, Arg, Corners, Fields, Gpu, Launch, Number, Operand, Pack, Plan, TensorMap, each,
};
use crate::ops::{ConvDims, LrnParams, PoolDims, Window};

/// Elements of a pixel with so many channels.
pub fn row(channels: usize) -> usize {
    channels.next_multiple_of(8)
}

/// Which instructions multiply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A warp's, from Ampere (8.0) on.
    Mma,
    /// A warpgroup's, with bulk copies: Hopper (9.0) alone.
    Wgmma,
}

impl Unit {
    /// Whether a device has them.
    pub fn on(self, gpu: &Gpu) -> bool {
        match self {
            Self::Mma => gpu.capability >= (8, 0),
            Self::Wgmma => gpu.capability == (9, 0),
        }
    }
    fn name(self) -> &'static str {
        match self {
            Self::Mma => "mma",
            Self::Wgmma => "wgmma",
        }
    }
    fn tiles(self) -> &'static [Tile] {
        match self {
            Self::Mma => &MMA,
            Self::Wgmma => &WGMMA,
        }
    }
}

/// A block's tile: positions, filters, threads, and slabs of shared memory in flight.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tile {
    m: usize,
    n: usize,
    threads: usize,
    stages: usize,
    /// Blocks that share a multiprocessor.
    resident: usize,
}

const fn mma(m: usize, n: usize, threads: usize, resident: usize) -> Tile {
    Tile { m, n, threads, stages: 3, resident }
}

const MMA: [Tile; 3] = [mma(128, 128, 256, 2), mma(128, 64, 128, 3), mma(64, 64, 128, 4)];

const fn wgmma(m: usize, n: usize) -> Tile {
    let fit = (220 << 10) / ((m + n) * 128);
    Tile { m, n, threads: 384, stages: if fit > 6 { 6 } else { fit }, resident: 1 }
}

const WGMMA: [Tile; 5] =
    [wgmma(128, 256), wgmma(256, 128), wgmma(128, 128), wgmma(256, 64), wgmma(128, 64)];

fn shape(channels: usize, plane: usize, batch: usize, pitch: usize) -> Arg {
    Fields::default().ints(&[batch, channels, plane, row(channels)]).longs(&[pitch]).arg()
}

fn transposing(
    kernel: &str,
    number: Number,
    [batch, channels, plane]: [usize; 3],
    pitch: usize,
) -> Launch {
    let rows = if kernel == "layout_inside" { row(channels) } else { channels };
    Launch {
        file: "layout",
        kernel: format!("{kernel}_{}", number.name()),
        grid: [plane.div_ceil(32) as u32, rows.div_ceil(32) as u32, batch as u32],
        block: 256,
        shared: 0,
        args: vec![
            shape(channels, plane, batch, pitch),
            Arg::Ptr(Operand::X),
            Arg::Ptr(Operand::Y),
        ],
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
    let fits =
        |w: &Window| (0..2).all(|a| w.extent(a) <= 128 && w.pad[a] <= 127 && w.stride[a] <= 8);
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

/// A tile, and how the slabs are cut into ranges.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cut {
    tile: Tile,
    splits: usize,
    per_split: usize,
}

/// The cut whose estimated time is least.
fn cut(gpu: &Gpu, unit: Unit, d: &ConvDims, positions: usize, slabs: usize) -> Cut {
    let filters = d.filters / d.group;
    let tiles = |t: &Tile| positions.div_ceil(t.m) * filters.div_ceil(t.n) * d.group;
    // Products a cycle of a multiprocessor: a warp's instructions reach less than a warpgroup's.
    let rate = if unit == Unit::Mma { 1024.0 * 0.8 } else { 2048.0 * 0.75 };
    let time = |c: &Cut| {
        let Tile { m, n, resident, .. } = c.tile;
        let blocks = tiles(&c.tile) * c.splits;
        let together = blocks.div_ceil(gpu.multiprocessors).min(resident);
        // Cycles of a slab: the tensor cores' and the way from the L2 cache.
        let slab = ((m * n * 64) as f64 / rate).max((m + n) as f64 * 128.0 / 30.0);
        let turns = blocks.div_ceil(gpu.multiprocessors * together);
        let block = c.per_split as f64 * slab + (m * n) as f64 / 16.0;
        let partial = if c.splits > 1 {
            3500.0 + (positions * d.filters * 4 * (c.splits * 2 + 1)) as f64 / 2000.0
        } else {
            0.0
        };
        turns as f64 * together as f64 * block + 1500.0 + partial
    };
    let candidates = unit.tiles().iter().flat_map(|tile| {
        let most =
            (gpu.multiprocessors * tile.resident).div_ceil(tiles(tile)).min(slabs / 2).max(1);
        (1..=most).map(move |splits| {
            let per_split = slabs.div_ceil(splits);
            Cut { tile: *tile, splits: slabs.div_ceil(per_split), per_split }
        })
    });
    candidates.min_by(|a, b| time(a).total_cmp(&time(b))).expect("there are tiles")
}

/// A convolution whose input is `(n, h, w, c)`: X, weights packed by [`conv_pack`], Bias, Y `(n, h, w, filters)`, in
/// `number`, or in f32 if `to_f32`.
pub fn conv(
    gpu: &Gpu,
    unit: Unit,
    number: Number,
    d: &ConvDims,
    batch: usize,
    after: After,
    to_f32: bool,
) -> Plan {
    let positions = batch * d.positions();
    let (channels, filters) = (d.channels / d.group, d.filters / d.group);
    let w = &d.window;
    let taps = w.kernel[0] * w.kernel[1];
    let per_tap = slabs(number, channels);
    let c = cut(gpu, unit, d, positions, taps * per_tap);
    let Tile { m, n, stages, .. } = c.tile;
    let split = c.splits > 1;
    let tail = (channels - (per_tap - 1) * number.slab()).div_ceil(number.slab() / 4);
    let now = if split { After::default() } else { after };
    let slope = after.relu.unwrap_or(0.0);
    let (tiles_m, tiles_n) = (positions.div_ceil(m), filters.div_ceil(n));
    let fields = Fields::default()
        .ints(&[positions, d.output[0], d.output[1], d.group, filters, channels, w.kernel[1], taps])
        .ints(&[w.stride, w.pad, w.dilation].concat())
        .ints(&[per_tap, tail, tiles_m, tiles_n, c.splits, c.per_split, d.filters])
        .ints(&[row(d.channels), d.input[0], d.input[1]])
        .ints(&[now.bias as usize, now.relu.is_some() as usize])
        .float(slope)
        .ints(&[(split || to_f32) as usize])
        .longs(&[positions * d.filters]);
    let operands = match unit {
        Unit::Mma => [Arg::Ptr(Operand::X), Arg::Ptr(Operand::Packed(0))],
        Unit::Wgmma => maps(number, d, batch, [m, n], taps * per_tap * number.slab()),
    };
    let to = if split { Operand::Scratch(0) } else { Operand::Y };
    let works = tiles_m * tiles_n * d.group * c.splits;
    let mut args = vec![fields.arg()];
    args.extend(operands);
    args.extend([Arg::Ptr(Operand::Bias), Arg::Ptr(to)]);
    let (file, blocks, barriers) = match unit {
        Unit::Mma => ("tensor_mma", works, 0),
        Unit::Wgmma => ("tensor_wgmma", works.min(gpu.multiprocessors), 1024),
    };
    let mut plan = Plan::default();
    plan.launches.push(Launch {
        file,
        kernel: format!("tensor_{}_{}_{m}x{n}", unit.name(), number.name()),
        grid: [blocks as u32, 1, 1],
        block: c.tile.threads as u32,
        shared: (stages * (m + n) * 128 + barriers) as u32,
        args,
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
        plan.launches.push(each("tensor_mma", &kernel, positions * d.filters / 4, args));
    }
    plan
}

/// The maps of a convolution's patches and of its weights, whose rows have `k` elements.
fn maps(number: Number, d: &ConvDims, batch: usize, [m, n]: [usize; 2], k: usize) -> [Arg; 2] {
    let w = &d.window;
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
    let weights = TensorMap {
        of: Operand::Packed(0),
        number,
        dims: vec![k, d.filters],
        box_rows: n,
        patches: None,
    };
    [Arg::Map(patches), Arg::Map(weights)]
}

/// A fully connected layer over pictures of `[channels, height, width]` is a convolution with one position.
pub fn inner_dims([channels, height, width]: [usize; 3], outputs: usize) -> ConvDims {
    let window = Window { kernel: [height, width], stride: [1, 1], pad: [0, 0], dilation: [1, 1] };
    ConvDims {
        channels,
        input: [height, width],
        filters: outputs,
        output: [1, 1],
        group: 1,
        window,
    }
}

/// A fully connected layer, `d` from [`inner_dims`], weights packed by [`conv_pack`].
pub fn inner(
    gpu: &Gpu,
    unit: Unit,
    number: Number,
    d: &ConvDims,
    rows: usize,
    after: After,
    to_f32: bool,
) -> Plan {
    if rows > 8 || !d.channels.is_multiple_of(number.slab()) {
        return conv(gpu, unit, number, d, rows, after, to_f32);
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

#[cfg(test)]
mod tests {
    use super::*;

    const H200: Gpu = Gpu { multiprocessors: 132, capability: (9, 0) };

    fn square(
        channels: usize,
        filters: usize,
        group: usize,
        side: usize,
        w: [usize; 3],
    ) -> ConvDims {
        let [kernel, stride, pad] = w.map(|n| [n, n]);
        let window = Window { kernel, stride, pad, dilation: [1, 1] };
        let out = (side + 2 * pad[0] - kernel[0]) / stride[0] + 1;
        ConvDims { channels, input: [side, side], filters, output: [out, out], group, window }
    }

    #[test]
    fn first_layers_become_what_maps_can_walk() {
        // CaffeNet's: 11 × 11 windows every 4 pixels are 3 × 3 windows of pixels with 4 × 4 × 3 channels.
        let s = seen(&square(3, 96, 1, 227, [11, 4, 0])).unwrap();
        assert_eq!((s.fold, s.dims.channels, s.dims.window.kernel), (Fold::Stride, 48, [3, 3]));
        assert_eq!((s.dims.input, s.dims.output), ([57, 57], [55, 55]));
        // VGG's: patches of 27 values, filled up to 32.
        let s = seen(&square(3, 64, 1, 224, [3, 1, 1])).unwrap();
        assert_eq!((s.fold, s.dims.channels, s.dims.window.kernel), (Fold::Patches, 32, [1, 1]));
        // Inner layers stay as they are; groups whose channels would begin within a chunk do not suit.
        let d = square(96, 256, 2, 27, [5, 1, 2]);
        assert_eq!(seen(&d), Some(Seen { fold: Fold::None, dims: d }));
        assert_eq!(seen(&square(24, 256, 2, 27, [5, 1, 2])), None);
    }

    #[test]
    fn launches_cover_the_layer_and_fit_the_device() {
        let layers = [
            square(48, 96, 1, 57, [3, 1, 0]),
            square(96, 256, 2, 27, [5, 1, 2]),
            square(64, 64, 1, 224, [3, 1, 1]),
            square(512, 512, 1, 14, [3, 1, 1]),
            inner_dims([256, 6, 6], 4096),
        ];
        for (d, batch) in layers.iter().flat_map(|d| [1, 64, 1024].map(|b| (d, b))) {
            for (unit, number) in [Unit::Mma, Unit::Wgmma]
                .iter()
                .flat_map(|u| [Number::F16, Number::Tf32].map(|n| (*u, n)))
            {
                let slabs =
                    d.window.kernel.iter().product::<usize>() * slabs(number, d.channels / d.group);
                let positions = batch * d.positions();
                let c = cut(&H200, unit, d, positions, slabs);
                assert!((c.splits - 1) * c.per_split < slabs && slabs <= c.splits * c.per_split);
                let plan = conv(&H200, unit, number, d, batch, After::default(), false);
                let l = &plan.launches[0];
                // What a block of Hopper, or two of Ampere's smallest, can have.
                let most = if unit == Unit::Wgmma { 227 << 10 } else { 99 << 10 };
                assert!(l.shared as usize <= most, "{l:?}");
                assert_eq!(plan.launches.len(), 1 + (c.splits > 1) as usize);
                assert_eq!(
                    plan.scratch,
                    if c.splits > 1 { 4 * c.splits * positions * d.filters } else { 0 }
                );
                for map in
                    l.args.iter().filter_map(|a| if let Arg::Map(m) = a { Some(m) } else { None })
                {
                    assert!(
                        map.box_rows <= 256 && (map.dims[0] * number.bytes()) % 16 == 0,
                        "{map:?}"
                    );
                }
            }
        }
    }

    /// Windows' corners as `cuTensorMapEncodeIm2col` counts: as many steps fit as there are outputs.
    #[test]
    fn corners_leave_room_for_each_output() {
        for d in [
            square(96, 256, 2, 27, [5, 1, 2]),
            square(64, 8, 1, 11, [3, 2, 1]),
            inner_dims([64, 7, 5], 8),
        ] {
            let [Arg::Map(map), _] = maps(Number::F16, &d, 2, [128, 64], 64) else { panic!() };
            let c = map.patches.unwrap();
            for axis in 0..2 {
                let size = map.dims[1 + axis] as isize;
                let steps =
                    (size - 1 + c.upper[axis] - c.lower[axis]) / c.stride[axis] as isize + 1;
                assert_eq!(steps, d.output[1 - axis] as isize, "{d:?}");
            }
        }
    }
}
