//! Convolutions as products whose patches are never laid out: a table says where each tap lies.

use super::product::{Cut, STEP, Size, Sum, TILES, Tile, cut};
use super::{After, Arg, Fields, Gpu, Launch, Operand, Pack, Plan, each};
use crate::ops::ConvDims;

/// A convolution as the kernels see it, forward or back.
struct Shape<'a> {
    d: &'a ConvDims,
    batch: usize,
    after: After,
    pitch: usize,
    cut: (usize, usize, usize),
}

/// Elements of a row of packed weights.
pub(super) fn row(filters: usize) -> usize {
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
