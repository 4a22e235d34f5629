//! Winograd's convolution: tiles are transformed, multiplied as 36 products, and transformed back.

use super::conv::row;
use super::product::{Layout, Matrices, Size, gemm_behind};
use super::{After, Arg, Fields, Gpu, Operand, Pack, Plan, each};
use crate::ops::ConvDims;

/// Whether [`winograd`] can compute a convolution: 3×3 windows one after the other, in one group.
pub fn winograd_fits(d: &ConvDims) -> bool {
    let w = &d.window;
    d.group == 1 && w.kernel == [3, 3] && w.stride == [1, 1] && w.dilation == [1, 1]
}

/// Whether it is estimated to be faster than [`super::conv`]: transforms cost memory traffic, products gain.
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

/// A convolution by Winograd's F(4×4, 3×3): as [`super::conv`], with weights packed by [`winograd_pack`].
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
