//! Which kernels compute a layer on a GPU, launched how: pure arithmetic, no device needed.
//!
//! Flows in: the device's numbers and an operation's sizes. Flows out: a [`Plan`], launches in their order, whose
//! arguments name operands instead of addresses. Who has the addresses plays it.

use crate::ops::{ConvDims, InnerDims};

/// What a plan must know of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Multiprocessors.
    pub multiprocessors: usize,
    /// Compute capability, as in `(9, 0)`.
    pub capability: (u32, u32),
}

/// Where a pointer argument comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// Input; for gradients of an input the gradients of the output, for those of weights still the input.
    X,
    /// Gradients of the output, where X is also needed.
    Dy,
    /// Weights as they are.
    Weight,
    /// Packed weights, from this byte on.
    Packed(usize),
    /// Bias; null if there is none.
    Bias,
    /// Result.
    Y,
    /// Scratch memory, from this byte on.
    Scratch(usize),
}

/// An argument of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// An address.
    Ptr(Operand),
    /// A number or a structure, by value.
    Bytes(Vec<u8>),
    /// A tensor map by value: 128 bytes that the driver encodes.
    Map(TensorMap),
}

/// How a bulk copy finds its way through an operand whose innermost dimension are channels (or k), `box_rows` rows of
/// 128 bytes at a time, swizzled in 128 bytes, zeros outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorMap {
    /// The operand.
    pub of: Operand,
    /// Its numbers.
    pub number: Number,
    /// Elements along each dimension, innermost first: k and rows, or channels, width, height and pictures.
    pub dims: Vec<usize>,
    /// Rows that a copy brings.
    pub box_rows: usize,
    /// For pictures: how windows move.
    pub patches: Option<Corners>,
}

/// The box in which a window's first tap moves: offsets from a picture's first and last pixel, and the step, each
/// `[across, down]`, as `cuTensorMapEncodeIm2col` wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corners {
    /// From the first pixel.
    pub lower: [isize; 2],
    /// From the last pixel.
    pub upper: [isize; 2],
    /// From window to window.
    pub stride: [usize; 2],
}

/// Numbers that tensor cores multiply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Number {
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    Bf16,
    /// An f32 whose mantissa has ten bits.
    Tf32,
}

impl Number {
    /// As in the kernels' names.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Tf32 => "tf32",
        }
    }
    /// Bytes of one.
    pub fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::Tf32 => 4,
        }
    }
    /// How many make a slab: the 128 bytes of k that a step of the product takes.
    pub fn slab(self) -> usize {
        128 / self.bytes()
    }
}

/// One kernel's launch.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// Source file without its ending.
    pub file: &'static str,
    /// Kernel.
    pub kernel: String,
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: u32,
    /// Dynamic shared memory in bytes.
    pub shared: u32,
    /// Arguments, as the kernel takes them.
    pub args: Vec<Arg>,
}

/// Launches in their order, and the scratch memory that they need. Every operand begins at a multiple of 16 bytes,
/// or the kernels fall back on narrow accesses; scratch and packed weights must.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In this order.
    pub launches: Vec<Launch>,
    /// Bytes.
    pub scratch: usize,
}

/// What follows a product in the kernel that made it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct After {
    /// Whether a bias is added.
    pub bias: bool,
    /// Slope for negative results, if there is a ReLU.
    pub relu: Option<f32>,
    /// Whether the result is added to what is there.
    pub add: bool,
}

/// A structure's fields in C's layout.
#[derive(Default)]
pub(super) struct Fields(Vec<u8>);

impl Fields {
    pub(super) fn ints(mut self, values: &[usize]) -> Self {
        values.iter().for_each(|v| self.0.extend((*v as i32).to_ne_bytes()));
        self
    }
    pub(super) fn float(mut self, v: f32) -> Self {
        self.0.extend(v.to_ne_bytes());
        self
    }
    pub(super) fn longs(mut self, values: &[usize]) -> Self {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        values.iter().for_each(|v| self.0.extend((*v as u64).to_ne_bytes()));
        self
    }
    pub(super) fn arg(&self) -> Arg {
        Arg::Bytes(self.0.clone())
    }
}

/// A tile of a product, and what is known of its kernels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tile {
    m: usize,
    n: usize,
    /// Blocks that share a multiprocessor.
    resident: usize,
    /// Share of the peak that it reaches when there is enough to do, estimated.
    share: f64,
}

const TILES: [Tile; 3] = [
    Tile { m: 128, n: 128, resident: 2, share: 0.80 },
    Tile { m: 64, n: 128, resident: 4, share: 0.72 },
    Tile { m: 64, n: 64, resident: 7, share: 0.62 },
];
/// Values of k in a stage of shared memory.
const STEP: usize = 16;

impl Tile {
    fn name(&self) -> String {
        format!("{}x{}", self.m, self.n)
    }
    fn threads(&self) -> u32 {
        (self.m / 64 * (self.n / 32) * 32) as u32
    }
    fn shared(&self) -> u32 {
        (4 * STEP * (self.m + self.n) * 4) as u32
    }
    fn blocks(&self, s: &Size) -> usize {
        s.m.div_ceil(self.m) * s.n.div_ceil(self.n) * s.count
    }
}

/// Sizes of a product, `count` times.
#[derive(Clone, Copy, Debug)]
struct Size {
    m: usize,
    n: usize,
    k: usize,
    count: usize,
}

/// A tile, and how k is cut.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cut {
    tile: Tile,
    splits: usize,
    per_split: usize,
}

/// The tile and the cut whose estimated time is least.
fn cut(gpu: &Gpu, s: &Size) -> Cut {
    let steps = s.k.div_ceil(STEP);
    let candidates = TILES.iter().flat_map(|tile| {
        let most = (4 * gpu.multiprocessors * tile.resident)
            .div_ceil(tile.blocks(s))
            .min(steps / 4)
            .max(1);
        (1..=most.min(512)).map(move |splits| {
            let per_split = steps.div_ceil(splits) * STEP;
            Cut { tile: *tile, splits: s.k.div_ceil(per_split).max(1), per_split }
        })
    });
    let time = |c: &Cut| time(gpu, s, c);
    candidates.min_by(|a, b| time(a).total_cmp(&time(b))).expect("there are tiles")
}

/// Estimated cycles: waves of blocks at the tile's rate, filling and emptying them, and the partial results' way
/// through memory.
fn time(gpu: &Gpu, s: &Size, c: &Cut) -> f64 {
    let blocks = c.tile.blocks(s) * c.splits;
    let together = blocks.div_ceil(gpu.multiprocessors).min(c.tile.resident);
    let waves = blocks.div_ceil(gpu.multiprocessors * together);
    let warps = together * c.tile.threads() as usize / 32;
    let rate = 128.0 * c.tile.share * (warps as f64 / 8.0).min(1.0);
    let area = (c.tile.m * c.tile.n * together) as f64;
    let wave = area * c.per_split as f64 / rate + 2500.0;
    let partial = if c.splits > 1 { (s.m * s.n * s.count * (c.splits + 1)) as f64 } else { 0.0 };
    // About 2000 bytes a cycle reach memory; another kernel costs a launch.
    waves as f64 * wave + partial * 2.0 * 4.0 / 4000.0 + if c.splits > 1 { 4000.0 } else { 0.0 }
}

/// The operands' layouts of a product: see `gemm.cu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Kk,
    Kn,
    Mn,
}

/// Where a product's operands lie, how far apart their slow neighbours are, and how far apart the products.
#[derive(Clone, Copy)]
struct Matrices {
    a: (Operand, usize, usize),
    b: (Operand, usize, usize),
    c: (Operand, usize, usize),
}

fn gemm(gpu: &Gpu, layout: Layout, s: Size, m: Matrices, after: After) -> Plan {
    gemm_behind(gpu, layout, s, m, after, 0)
}

/// The same, with partial results from byte `at` of the scratch memory on.
fn gemm_behind(gpu: &Gpu, layout: Layout, s: Size, m: Matrices, after: After, at: usize) -> Plan {
    let c = cut(gpu, &s);
    let split = c.splits > 1;
    let last = if split { After::default() } else { after };
    // Partial results of one product lie behind one another, row by row.
    let (ldc, next_c, next_split) =
        if split { (s.n, s.m * s.n, s.m * s.n * s.count) } else { (m.c.1, m.c.2, 0) };
    let dims = Fields::default()
        .ints(&[
            s.m,
            s.n,
            s.k,
            c.splits,
            c.per_split,
            last.bias as usize,
            last.relu.is_some() as usize,
        ])
        .ints(&[last.add as usize])
        .float(last.relu.unwrap_or(0.0))
        .longs(&[m.a.1, m.b.1, ldc, m.a.2, m.b.2, next_c, next_split]);
    let name = match layout {
        Layout::Kk => "kk",
        Layout::Kn => "kn",
        Layout::Mn => "mn",
    };
    let to = if split { Operand::Scratch(at) } else { m.c.0 };
    let mut plan = Plan::default();
    plan.launches.push(Launch {
        file: "gemm",
        kernel: format!("gemm_{name}_{}", c.tile.name()),
        grid: [(c.tile.blocks(&s) / s.count) as u32, 1, (s.count * c.splits) as u32],
        block: c.tile.threads(),
        shared: c.tile.shared(),
        args: vec![
            dims.arg(),
            Arg::Ptr(m.a.0),
            Arg::Ptr(m.b.0),
            Arg::Ptr(Operand::Bias),
            Arg::Ptr(to),
        ],
    });
    if split {
        plan.scratch = at + 4 * next_split * c.splits;
        let sum = Sum {
            len: next_split,
            splits: c.splits,
            bias: (s.n, 1),
            picture: s.n,
            pitch: m.c.1,
            after,
        };
        plan.launches.push(sum.launch(Operand::Scratch(at), m.c.0));
    }
    plan
}

/// Adds partial results.
struct Sum {
    len: usize,
    splits: usize,
    /// How many there are, and how many neighbours share one.
    bias: (usize, usize),
    picture: usize,
    pitch: usize,
    after: After,
}

impl Sum {
    fn launch(&self, from: Operand, to: Operand) -> Launch {
        let bias = if self.after.bias { self.bias.0 } else { 0 };
        let dims = Fields::default()
            .longs(&[self.len, self.len])
            .ints(&[self.splits, self.after.relu.is_some() as usize, self.after.add as usize])
            .float(self.after.relu.unwrap_or(0.0))
            .longs(&[bias, self.bias.1, self.picture, self.pitch]);
        let args = vec![dims.arg(), Arg::Ptr(from), Arg::Ptr(Operand::Bias), Arg::Ptr(to)];
        each("gemm", "gemm_sum", self.len, args)
    }
}

/// A launch of a kernel that walks `len` elements.
pub(super) fn each(file: &'static str, kernel: &str, len: usize, args: Vec<Arg>) -> Launch {
    let grid = [len.div_ceil(256).clamp(1, 132 * 16) as u32, 1, 1];
    Launch { file, kernel: kernel.into(), grid, block: 256, shared: 0, args }
}

/// A fully connected layer: X (rows, inputs), Weight, Bias, Y (rows, outputs).
pub fn inner(gpu: &Gpu, d: &InnerDims, after: After) -> Plan {
    let InnerDims { rows, inputs, outputs, transpose } = *d;
    if rows <= 8 && !transpose && inputs % 4 == 0 && !after.add {
        return gemv(d, after);
    }
    let s = Size { m: rows, n: outputs, k: inputs, count: 1 };
    let (layout, ldb) = if transpose { (Layout::Kn, outputs) } else { (Layout::Kk, inputs) };
    let m = Matrices {
        a: (Operand::X, inputs, 0),
        b: (Operand::Weight, ldb, 0),
        c: (Operand::Y, outputs, 0),
    };
    gemm(gpu, layout, s, m, after)
}

fn gemv(d: &InnerDims, after: After) -> Plan {
    let dims = Fields::default()
        .ints(&[d.rows, d.inputs, d.outputs, after.relu.is_some() as usize, after.bias as usize])
        .float(after.relu.unwrap_or(0.0));
    let operands = [Operand::X, Operand::Weight, Operand::Bias, Operand::Y];
    let launch = Launch {
        file: "gemv",
        kernel: format!("gemv_rows_{}", d.rows.next_power_of_two()),
        // A warp makes two outputs.
        grid: [d.outputs.div_ceil(2 * 4) as u32, 1, 1],
        block: 128,
        shared: 0,
        args: std::iter::once(dims.arg()).chain(operands.map(Arg::Ptr)).collect(),
    };
    Plan { launches: vec![launch], scratch: 0 }
}

/// Input gradients of a fully connected layer: X are the gradients of its output, Y those of its input.
pub fn inner_back(gpu: &Gpu, d: &InnerDims) -> Plan {
    let InnerDims { rows, inputs, outputs, transpose } = *d;
    let s = Size { m: rows, n: inputs, k: outputs, count: 1 };
    let (layout, ldb) = if transpose { (Layout::Kk, outputs) } else { (Layout::Kn, inputs) };
    let m = Matrices {
        a: (Operand::X, outputs, 0),
        b: (Operand::Weight, ldb, 0),
        c: (Operand::Y, inputs, 0),
    };
    gemm(gpu, layout, s, m, After::default())
}

/// Weight gradients of a fully connected layer: X its input, Dy the gradients of its output, Y the weights'.
pub fn inner_weights_back(gpu: &Gpu, d: &InnerDims, add: bool) -> Plan {
    let InnerDims { rows, inputs, outputs, transpose } = *d;
    let (x, dy) = ((Operand::X, inputs, 0), (Operand::Dy, outputs, 0));
    let (a, b) = if transpose { (x, dy) } else { (dy, x) };
    let s = Size { m: a.1, n: b.1, k: rows, count: 1 };
    let m = Matrices { a, b, c: (Operand::Y, b.1, 0) };
    gemm(gpu, Layout::Mn, s, m, After { add, ..After::default() })
}

/// How weights must be packed: how many bytes, and the launches from Weight to Packed.
#[derive(Clone, Debug, PartialEq)]
pub struct Pack {
    /// Bytes of Packed.
    pub bytes: usize,
    /// In this order.
    pub launches: Vec<Launch>,
}

/// A convolution as the kernels see it, forward or back.
struct Shape<'a> {
    d: &'a ConvDims,
    batch: usize,
    after: After,
    pitch: usize,
    cut: (usize, usize, usize),
}

fn row(filters: usize) -> usize {
    filters.next_multiple_of(4)
}

impl Shape<'_> {
    fn arg(&self) -> Arg {
        let d = self.d;
        let w = &d.window;
        let (splits, per_split, next) = self.cut;
        Fields::default()
            .ints(&[self.batch, d.group, d.channels / d.group, d.filters / d.group])
            .ints(&[d.input, d.output, w.kernel, w.stride, w.pad, w.dilation].concat())
            .ints(&[d.patch_len(), row(d.filters / d.group), splits, per_split])
            .ints(&[self.after.relu.is_some() as usize])
            .float(self.after.relu.unwrap_or(0.0))
            .ints(&[self.after.add as usize, self.after.bias as usize])
            .longs(&[d.input_len(), self.pitch, next])
            .arg()
    }
}

/// Packs a convolution's weights for [`conv`].
pub fn conv_pack(d: &ConvDims) -> Pack {
    pack(d, [d.filters, d.channels], false, false)
}

/// Packs a convolution's weights for [`conv_back`].
pub fn conv_back_pack(d: &ConvDims) -> Pack {
    let (t, scattered) = turned(d);
    pack(&t, [d.filters, d.channels], true, !scattered)
}

/// The convolution that gives the input gradients, and whether its windows are scattered.
fn turned(d: &ConvDims) -> (ConvDims, bool) {
    match d.transposed() {
        Some(t) => (t, false),
        None => {
            let back = ConvDims {
                channels: d.filters,
                input: d.output,
                filters: d.channels,
                output: d.input,
                ..*d
            };
            (back, true)
        }
    }
}

fn pack(seen: &ConvDims, [filters, channels]: [usize; 2], back: bool, flip: bool) -> Pack {
    let g = seen.group;
    let [kh, kw] = seen.window.kernel;
    let row = row(seen.filters / g);
    let k = seen.patch_len().next_multiple_of(STEP);
    let weights = g * k * row;
    let dims = Fields::default().ints(&[
        g,
        filters / g,
        channels / g,
        kh,
        kw,
        row,
        back as usize,
        flip as usize,
    ]);
    let args = vec![dims.arg(), Arg::Ptr(Operand::Weight), Arg::Ptr(Operand::Packed(0))];
    let launches = vec![
        each("conv", "conv_pack", weights, args),
        table(seen, back && !flip, Operand::Packed(4 * weights)),
    ];
    Pack { bytes: 4 * weights + 16 * k, launches }
}

fn table(seen: &ConvDims, scattered: bool, to: Operand) -> Launch {
    let shape = Shape { d: seen, batch: 1, after: After::default(), pitch: 0, cut: (1, 0, 0) };
    let scattered = Fields::default().ints(&[scattered as usize]);
    each("conv", "conv_table", seen.patch_len(), vec![shape.arg(), scattered.arg(), Arg::Ptr(to)])
}

/// A convolution: X, weights packed by [`conv_pack`], Bias, Y whose pictures begin `pitch` elements apart.
pub fn conv(gpu: &Gpu, d: &ConvDims, batch: usize, pitch: usize, after: After) -> Plan {
    forward(gpu, d, batch, pitch, after, None)
}

/// Input gradients of a convolution (X are the gradients of its output) with weights packed by [`conv_back_pack`];
/// also the transposed convolution that `d` undoes, which may have a bias.
pub fn conv_back(gpu: &Gpu, d: &ConvDims, batch: usize, after: After) -> Plan {
    let (t, scattered) = turned(d);
    let tile = if scattered { Some(TILES[2]) } else { None };
    forward(gpu, &t, batch, t.output_len(), after, tile)
}

fn forward(
    gpu: &Gpu,
    d: &ConvDims,
    batch: usize,
    pitch: usize,
    after: After,
    only: Option<Tile>,
) -> Plan {
    let s =
        Size { m: d.filters / d.group, n: batch * d.positions(), k: d.patch_len(), count: d.group };
    let c = match only {
        Some(tile) => Cut { tile, splits: 1, per_split: s.k.next_multiple_of(STEP) },
        None => cut(gpu, &s),
    };
    let split = c.splits > 1;
    let len = batch * d.output_len();
    let shape = Shape {
        d,
        batch,
        after: if split { After::default() } else { after },
        pitch: if split { d.output_len() } else { pitch },
        cut: (c.splits, c.per_split, if split { len } else { 0 }),
    };
    let kernel = if only.is_some() { "conv_scattered" } else { "conv" };
    let to = if split { Operand::Scratch(0) } else { Operand::Y };
    let operands = [Operand::X, Operand::Packed(0), Operand::Bias, to];
    let mut plan = Plan::default();
    plan.launches.push(Launch {
        file: "conv",
        kernel: format!("{kernel}_{}", c.tile.name()),
        grid: [(c.tile.blocks(&s) / d.group) as u32, 1, (d.group * c.splits) as u32],
        block: c.tile.threads(),
        shared: c.tile.shared(),
        args: std::iter::once(shape.arg()).chain(operands.map(Arg::Ptr)).collect(),
    });
    if split {
        plan.scratch = 4 * len * c.splits;
        let bias = (d.filters, d.positions());
        let sum = Sum { len, splits: c.splits, bias, picture: d.output_len(), pitch, after };
        plan.launches.push(sum.launch(Operand::Scratch(0), Operand::Y));
    }
    plan
}

/// Weight gradients of a convolution: X its input, Dy the gradients of its output, Y the weights'.
pub fn conv_weights_back(gpu: &Gpu, d: &ConvDims, batch: usize, add: bool) -> Plan {
    let s =
        Size { m: d.filters / d.group, n: d.patch_len(), k: batch * d.positions(), count: d.group };
    let c = cut(gpu, &s);
    let split = c.splits > 1;
    let len = d.filters * d.patch_len();
    let after = After { add, ..After::default() };
    let last = if split { After::default() } else { after };
    let cut = (c.splits, c.per_split, if split { len } else { 0 });
    let shape = Shape { d, batch, after: last, pitch: d.output_len(), cut };
    let taps = (16 * d.patch_len().next_multiple_of(STEP)).next_multiple_of(256);
    let positions = 16 * s.k.next_multiple_of(STEP);
    let partial = (taps + positions).next_multiple_of(256);
    let to = if split { Operand::Scratch(partial) } else { Operand::Y };
    let operands = [Operand::X, Operand::Dy, Operand::Scratch(0), Operand::Scratch(taps), to];
    let args = vec![shape.arg(), Arg::Ptr(Operand::Scratch(taps))];
    let mut launches = vec![
        table(d, false, Operand::Scratch(0)),
        each("conv", "conv_positions", s.k.next_multiple_of(STEP), args),
        Launch {
            file: "conv",
            kernel: format!("conv_weights_back_{}", c.tile.name()),
            grid: [(c.tile.blocks(&s) / d.group) as u32, 1, (d.group * c.splits) as u32],
            block: c.tile.threads(),
            shared: c.tile.shared(),
            args: std::iter::once(shape.arg()).chain(operands.map(Arg::Ptr)).collect(),
        },
    ];
    if split {
        let sum = Sum { len, splits: c.splits, bias: (0, 1), picture: len, pitch: len, after };
        launches.push(sum.launch(Operand::Scratch(partial), Operand::Y));
    }
    Plan { launches, scratch: partial + if split { 4 * len * c.splits } else { 0 } }
}

/// Whether [`winograd`] can compute a convolution: 3×3 windows one after the other, in one group.
pub fn winograd_fits(d: &ConvDims) -> bool {
    let w = &d.window;
    d.group == 1 && w.kernel == [3, 3] && w.stride == [1, 1] && w.dilation == [1, 1]
}

/// Whether it is estimated to be faster than [`conv`]: transforms cost memory traffic, products gain.
pub fn winograd_wins(gpu: &Gpu, d: &ConvDims, batch: usize) -> bool {
    let tiles = batch * d.output[0].div_ceil(4) * d.output[1].div_ceil(4);
    winograd_fits(d)
        && d.channels.min(d.filters) >= 64
        && 36 * d.filters.div_ceil(128) * tiles.div_ceil(128) >= gpu.multiprocessors
}

/// Packs weights for [`winograd`]; with `back` for the input gradients of `d`, which are the convolution
/// [`ConvDims::transposed`].
pub fn winograd_pack(d: &ConvDims, back: bool) -> Pack {
    let (channels, filters) = if back { (d.filters, d.channels) } else { (d.channels, d.filters) };
    let numbers = [channels, filters, row(filters), back as usize];
    let args = numbers.iter().map(|n| Fields::default().ints(&[*n]).arg());
    let args = args.chain([Arg::Ptr(Operand::Weight), Arg::Ptr(Operand::Packed(0))]).collect();
    let len = channels * row(filters);
    Pack { bytes: 36 * 4 * len, launches: vec![each("winograd", "winograd_pack", len, args)] }
}

/// A convolution by Winograd's F(4×4, 3×3): as [`conv`], with weights packed by [`winograd_pack`].
pub fn winograd(gpu: &Gpu, d: &ConvDims, batch: usize, pitch: usize, after: After) -> Plan {
    /// What is in flight between the three kernels stays in the cache.
    const CACHE: usize = 40 << 20;
    let tiles_w = d.output[1].div_ceil(4);
    let tiles = d.output[0].div_ceil(4) * tiles_w;
    let picture = 36 * 4 * (d.channels + d.filters) * tiles;
    // At least enough that each multiprocessor has a tile of the products.
    let busy = (gpu.multiprocessors * 128 * 128).div_ceil(36 * d.filters * tiles);
    let together = (CACHE / picture).max(busy).clamp(1, batch);
    let mut plan = Plan::default();
    for first in (0..batch).step_by(together) {
        let pictures = together.min(batch - first);
        let row_tiles = (pictures * tiles).next_multiple_of(4);
        let shape = Fields::default()
            .ints(&[d.channels, d.filters])
            .ints(&[d.input, d.output, d.window.pad].concat())
            .ints(&[tiles_w, tiles, row_tiles, first, pictures])
            .ints(&[after.bias as usize, after.relu.is_some() as usize])
            .float(after.relu.unwrap_or(0.0))
            .longs(&[d.input_len(), pitch]);
        let sums = (36 * 4 * d.channels * row_tiles).next_multiple_of(256);
        let partial = sums + (36 * 4 * d.filters * row_tiles).next_multiple_of(256);
        let args = vec![shape.arg(), Arg::Ptr(Operand::X), Arg::Ptr(Operand::Scratch(0))];
        plan.launches.push(each("winograd", "winograd_input", d.channels * row_tiles, args));
        let s = Size { m: d.filters, n: row_tiles, k: d.channels, count: 36 };
        let m = Matrices {
            a: (Operand::Packed(0), row(d.filters), d.channels * row(d.filters)),
            b: (Operand::Scratch(0), row_tiles, d.channels * row_tiles),
            c: (Operand::Scratch(sums), row_tiles, d.filters * row_tiles),
        };
        let products = gemm_behind(gpu, Layout::Mn, s, m, After::default(), partial);
        plan.scratch = plan.scratch.max(products.scratch).max(partial);
        plan.launches.extend(products.launches);
        let operands = [Operand::Scratch(sums), Operand::Bias, Operand::Y];
        let args = std::iter::once(shape.arg()).chain(operands.map(Arg::Ptr)).collect();
        plan.launches.push(each("winograd", "winograd_output", d.filters * row_tiles, args));
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Window;

    const H200: Gpu = Gpu { multiprocessors: 132, capability: (9, 0) };
    const SMALL: Gpu = Gpu { multiprocessors: 2, capability: (7, 0) };

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

    fn layers() -> Vec<ConvDims> {
        vec![
            square(3, 96, 1, 227, [11, 4, 0]),
            square(96, 256, 2, 27, [5, 1, 2]),
            square(384, 384, 2, 13, [3, 1, 1]),
            square(3, 64, 1, 224, [3, 1, 1]),
            square(64, 64, 1, 224, [3, 1, 1]),
            square(512, 512, 1, 14, [3, 1, 1]),
            square(5, 7, 1, 9, [3, 2, 1]),
            square(1, 1, 1, 1, [1, 1, 0]),
        ]
    }

    /// What every device takes, and scratch memory that is announced.
    fn assert_sound(plan: &Plan) {
        assert!(!plan.launches.is_empty());
        for l in &plan.launches {
            assert!(
                l.grid.iter().all(|n| *n > 0) && l.grid[1] <= 65535 && l.grid[2] <= 65535,
                "{l:?}"
            );
            assert!(l.block.is_multiple_of(32) && l.block <= 1024, "{l:?}");
            assert!(l.shared <= 64 << 10, "the tiles' stages fit any device from 7.0 on: {l:?}");
            for arg in &l.args {
                if let Arg::Ptr(Operand::Scratch(at)) = arg {
                    assert!(*at < plan.scratch && at % 16 == 0, "{at} of {}: {l:?}", plan.scratch);
                }
            }
        }
    }

    #[test]
    fn plans_are_what_devices_take() {
        for gpu in [H200, SMALL] {
            for (d, batch) in layers().iter().flat_map(|d| [1, 3, 64].map(|b| (d, b))) {
                let after = After { bias: true, relu: Some(0.0), add: false };
                assert_sound(&conv(&gpu, d, batch, d.output_len(), after));
                assert_sound(&conv_back(&gpu, d, batch, After::default()));
                assert_sound(&conv_weights_back(&gpu, d, batch, true));
                if winograd_fits(d) {
                    assert_sound(&winograd(&gpu, d, batch, d.output_len(), after));
                }
            }
            for (rows, inputs, outputs) in
                [(1, 9216, 4096), (1, 5, 3), (64, 4096, 1000), (1024, 9216, 4096)]
            {
                for transpose in [false, true] {
                    let d = InnerDims { rows, inputs, outputs, transpose };
                    assert_sound(&inner(&gpu, &d, After::default()));
                    assert_sound(&inner_back(&gpu, &d));
                    assert_sound(&inner_weights_back(&gpu, &d, false));
                }
            }
        }
    }

    #[test]
    fn ranges_cover_k_once() {
        for gpu in [H200, SMALL] {
            for m in [1, 64, 65, 384, 4096] {
                for (n, k) in [(1, 1), (129, 15), (169, 3456), (50176, 576), (4096, 9216)] {
                    let s = Size { m, n, k, count: 2 };
                    let c = cut(&gpu, &s);
                    assert!(c.per_split.is_multiple_of(STEP));
                    assert!(
                        (c.splits - 1) * c.per_split < k && k <= c.splits * c.per_split,
                        "{s:?} {c:?}"
                    );
                    assert!(c.tile.blocks(&s) >= 2 * m.div_ceil(c.tile.m) * n.div_ceil(c.tile.n));
                }
            }
        }
    }

    /// The sizes of the structures in the sources, counted by hand: a field more or less moves all behind it.
    #[test]
    fn structures_are_as_long_as_the_kernels() {
        let bytes = |l: &Launch| match &l.args[0] {
            Arg::Bytes(b) => b.len(),
            other => panic!("{other:?}"),
        };
        let d = square(96, 256, 2, 27, [5, 1, 2]);
        let one = conv(&SMALL, &d, 1, d.output_len(), After::default());
        assert_eq!(bytes(&one.launches[0]), 24 * 4 + 3 * 8);
        assert_eq!(bytes(&conv_pack(&d).launches[0]), 8 * 4);
        let d = InnerDims { rows: 20, inputs: 4096, outputs: 10, transpose: false };
        let split = inner(&H200, &d, After::default());
        assert_eq!(split.launches.len(), 2, "one tile for 132 multiprocessors: k is cut");
        assert_eq!(bytes(&split.launches[0]), 10 * 4 + 7 * 8);
        assert_eq!(bytes(&split.launches[1]), 2 * 8 + 4 * 4 + 4 * 8);
        let d = square(64, 64, 1, 8, [3, 1, 1]);
        let w = winograd(&SMALL, &d, 1, d.output_len(), After::default());
        assert_eq!(bytes(&w.launches[0]), 16 * 4 + 2 * 8);
    }

    #[test]
    fn a_few_choices() {
        // A row: as fast as the weights can be read.
        let d = InnerDims { rows: 1, inputs: 9216, outputs: 4096, transpose: false };
        assert_eq!(inner(&H200, &d, After::default()).launches[0].kernel, "gemv_rows_1");
        // Many positions: tiles enough without cutting k. Few: k is cut until all multiprocessors have work.
        let d = square(384, 384, 2, 13, [3, 1, 1]);
        assert_eq!(conv(&H200, &d, 1024, d.output_len(), After::default()).launches.len(), 1);
        let one = &conv(&H200, &d, 1, d.output_len(), After::default()).launches[0];
        assert!(one.grid.iter().product::<u32>() >= 132, "{one:?}");
        assert!(winograd_wins(&H200, &square(512, 512, 1, 14, [3, 1, 1]), 64));
        assert!(!winograd_wins(&H200, &square(3, 64, 1, 224, [3, 1, 1]), 64), "three channels");
        assert!(!winograd_fits(&square(96, 256, 2, 27, [3, 1, 1])), "groups");
    }

    #[test]
    fn winograds_pictures_are_each_computed_once() {
        let d = square(64, 64, 1, 56, [3, 1, 1]);
        let plan = winograd(&H200, &d, 37, d.output_len(), After::default());
        let mut next = 0;
        for l in plan.launches.iter().filter(|l| l.kernel == "winograd_output") {
            let Arg::Bytes(b) = &l.args[0] else { panic!("{l:?}") };
            let int = |i: usize| i32::from_ne_bytes(b[4 * i..][..4].try_into().unwrap());
            assert_eq!(int(11), next, "first picture");
            next += int(12);
        }
        assert_eq!(next, 37);
    }
}
