//! Weight gradients of a convolution in tiles.
//!
//! Flows in: pictures and output gradients. Flows out: `dw += Σ dy · x`, summed over positions and pictures.
//!
//! ```text
//! dw(filter | plane, shift) = Σ_k dy(filter, k) · x(k + shift, plane)
//! ```
//!
//! k runs over the positions of padded lines, one after the other, and output gradients are zero where the
//! padding is: a window's tap is nothing but a shift of k. The right-hand side has a line of memory for each
//! pair of positions of sixteen planes, so that an even shift is another line to begin with; odd shifts have a
//! copy whose pairs begin one position later. Strides are planes of their own, as in [`Geometry`].

use super::detect::Configured;
use super::micro::{self, Shape, Sliding, Sums};
use super::words::{self, Operand, Side, steps, within};
use super::{Amx, Line, PARTS, SIDE, STEP, TILE};
use crate::cpu::geometry::Geometry;
use crate::cpu::table::Kernels;
use crate::memory::Buffer;
use crate::ops::ConvDims;
use std::arch::x86_64::*;
use std::ops::Range;

/// Bytes of pictures and gradients that are laid out at a time, about.
const BUDGET: usize = 1 << 20;

/// Steps over which all taps go before the next: both sides stay near.
const CHUNK: usize = 6;

/// Memory that a thread keeps between gradients.
#[derive(Default)]
pub struct Accumulators {
    sums: Vec<Sums>,
    left: Buffer<Line>,
    right: Buffer<Line>,
    plain: Buffer<f32>,
    spare: Buffer<f32>,
}

/// Some lines of one picture.
struct Unit {
    picture: usize,
    /// Output lines.
    lines: Range<usize>,
}

/// How a group's lines are laid out.
struct Layout<'a> {
    kernels: &'a Kernels,
    g: &'a Geometry,
    /// Output lines of a unit.
    lines: usize,
    /// Filters of a group.
    filters: usize,
    /// Steps of a unit.
    steps: usize,
    /// Steps of a unit's padded planes: so far the last tap reaches.
    reach: usize,
}

/// Copies of the right-hand side: pairs that begin with even positions, and with odd ones.
const COPIES: usize = 2;

/// Adds the gradients of all pictures of `x` to `dw`; one thread.
///
/// # Panics
/// When a slice is too short.
pub fn weights_back(
    amx: Amx,
    kernels: &Kernels,
    d: &ConvDims,
    [x, dy]: [&[f32]; 2],
    dw: &mut [f32],
    memory: &mut Accumulators,
) {
    let count = x.len() / d.input_len();
    assert!(dy.len() >= count * d.output_len() && dw.len() == d.filters * d.patch_len());
    let g = Geometry::new(d, 1, 1);
    let layout = Layout::new(kernels, &g);
    let units: Vec<Unit> = (0..count).flat_map(|picture| layout.units(picture)).collect();
    let together = (BUDGET / layout.bytes()).max(1);
    let configured = Configured::new(amx);
    for group in 0..d.group {
        memory.sums.clear();
        memory.sums.resize(layout.sums(), Sums::ZERO);
        for units in units.chunks(together) {
            for (i, unit) in units.iter().enumerate() {
                let x = &x[unit.picture * d.input_len() + group * (d.input_len() / d.group)..];
                let dy = &dy[unit.picture * d.output_len() + group * (d.output_len() / d.group)..];
                // SAFETY: the machine has these sets if it has tiles.
                unsafe {
                    layout.lay_out_gradients(i, unit, dy, memory);
                    layout.lay_out_planes(i, unit, x, memory);
                }
            }
            layout.multiply(&configured, units.len(), memory);
        }
        let len = dw.len() / d.group;
        layout.scatter(&memory.sums, &mut dw[group * len..][..len]);
    }
}

impl<'a> Layout<'a> {
    fn new(kernels: &'a Kernels, g: &'a Geometry) -> Self {
        let d = &g.dims;
        let filters = d.filters / d.group;
        let rows = COPIES * g.groups().next_multiple_of(SIDE) + filters;
        let line = rows * g.width() * size_of::<f32>();
        let lines = (BUDGET / 2 / line.max(1)).clamp(1, d.output[0]);
        let steps = steps(lines * g.width());
        let last = (g.reach - 1) * g.width() + g.shifts.last().unwrap_or(&0);
        Self { kernels, g, lines, filters, steps, reach: steps + words::steps(last + 1) }
    }

    fn units(&self, picture: usize) -> impl Iterator<Item = Unit> {
        let (all, lines) = (self.g.dims.output[0], self.lines);
        (0..all)
            .step_by(lines)
            .map(move |from| Unit { picture, lines: from..all.min(from + lines) })
    }

    /// Tiles of filters, and of planes.
    fn tiles(&self) -> [usize; 2] {
        [self.filters.div_ceil(SIDE), self.g.groups().div_ceil(SIDE)]
    }

    /// Lines of memory from one filter to the next: an odd number keeps them in different sets of the cache.
    fn pitch(&self) -> usize {
        self.steps | 1
    }

    /// Lines of memory of one part of all filters.
    fn left_part(&self) -> usize {
        self.tiles()[0] * SIDE * self.pitch()
    }

    /// Lines of memory of one part of one copy of a tile of planes.
    fn right_part(&self) -> usize {
        self.reach * SIDE
    }

    /// Lines of memory of a unit, left and right.
    fn unit(&self) -> [usize; 2] {
        [PARTS * self.left_part(), self.tiles()[1] * COPIES * PARTS * self.right_part()]
    }

    /// Bytes of a unit.
    fn bytes(&self) -> usize {
        self.unit().iter().sum::<usize>() * size_of::<Line>()
    }

    /// Taps: shifts of every line of a window.
    fn taps(&self) -> usize {
        self.g.reach * self.g.shifts.len()
    }

    /// How many accumulators there are: for each pair of tiles of filters, of planes, and each tap.
    fn sums(&self) -> usize {
        self.tiles().map(|tiles| tiles.div_ceil(2)).iter().product::<usize>() * self.taps()
    }

    /// A unit's gradients, filter by filter, in lines as wide as padded ones; `dy` begins with the group.
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn lay_out_gradients(&self, at: usize, unit: &Unit, dy: &[f32], memory: &mut Accumulators) {
        let Accumulators { left, plain, .. } = memory;
        let [len, _] = self.unit();
        let left = &mut at_least(left, (at + 1) * len)[at * len..][..len];
        let (first, second) = left.split_at_mut(self.left_part());
        let (width, [_, out_w]) = (self.g.width(), self.g.dims.output);
        let positions = self.g.dims.positions();
        let plain = plain.at_least(self.steps * STEP);
        plain[unit.lines.len() * width..].fill(0.0);
        for f in 0..self.filters {
            let from = &dy[f * positions + unit.lines.start * out_w..];
            let from = from[..unit.lines.len() * out_w].chunks_exact(out_w);
            from.zip(plain.chunks_exact_mut(width)).for_each(|(from, to)| {
                to[..out_w].copy_from_slice(from);
                to[out_w..].fill(0.0);
            });
            let parts = [&mut *first, &mut *second].map(|part| &mut part[f * self.pitch()..]);
            split(plain, parts);
        }
    }

    /// A unit's padded planes, both copies; `x` begins with the group.
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn lay_out_planes(&self, at: usize, unit: &Unit, x: &[f32], memory: &mut Accumulators) {
        let Accumulators { right, plain, spare, .. } = memory;
        let (g, width) = (self.g, self.g.width());
        let [_, len] = self.unit();
        let right = &mut at_least(right, (at + 1) * len)[at * len..][..len];
        let lines = unit.lines.start..unit.lines.end + g.reach - 1;
        // One position more than all steps: the odd copy ends with it.
        let row = self.reach * STEP + 1;
        let plain = plain.at_least(SIDE * row);
        let tiles = right.chunks_exact_mut(COPIES * PARTS * self.right_part());
        for (tile, to) in tiles.enumerate() {
            let planes = tile * SIDE..g.groups().min((tile + 1) * SIDE);
            for (plane, to) in planes.clone().zip(plain.chunks_exact_mut(row)) {
                let (padded, rest) = to.split_at_mut(lines.len() * width);
                for (line, to) in lines.clone().zip(padded.chunks_exact_mut(width)) {
                    let from = g.line(self.kernels, plane, line, x, spare);
                    to.fill(0.0);
                    to[g.pad()..][..from.len()].copy_from_slice(from);
                }
                rest.fill(0.0);
            }
            let operand = Operand { data: plain, line: row, next: 1 };
            for (copy, to) in to.chunks_exact_mut(PARTS * self.right_part()).enumerate() {
                let (first, second) = to.split_at_mut(self.right_part());
                for step in 0..self.reach {
                    let p = step * STEP + copy..(step + 1) * STEP + copy;
                    let parts = [&mut first[step * SIDE..], &mut second[step * SIDE..]];
                    // SAFETY: `plain` holds sixteen rows of all positions.
                    unsafe { operand.pack(Side::Right, 0..planes.len(), p, parts) };
                }
            }
        }
    }

    /// Every pair of tiles of filters with every pair of tiles of planes, all units, all taps.
    fn multiply(&self, configured: &Configured, units: usize, memory: &mut Accumulators) {
        let Accumulators { sums, left, right, .. } = memory;
        let ([filters, planes], [left_len, right_len]) = (self.tiles(), self.unit());
        let (g, line) = (self.g, size_of::<Line>());
        let mut sums = sums.chunks_exact_mut(self.taps());
        let chunk = self.steps.div_ceil(self.steps.div_ceil(CHUNK));
        let chunks = (0..units)
            .flat_map(|unit| (0..self.steps).step_by(chunk).map(move |first| (unit, first)));
        for f in (0..filters).step_by(2) {
            for p in (0..planes).step_by(2) {
                let sums = sums.next().expect("accumulators of every pair");
                let shape = Shape { rows: 2.min(filters - f), columns: 2.min(planes - p) };
                for (unit, first) in chunks.clone() {
                    let a = |tile: usize| {
                        left[unit * left_len + tile * SIDE * self.pitch() + first..].as_ptr()
                    };
                    let a = [f, f + shape.rows - 1].map(|tile| a(tile).cast());
                    for (tap, sums) in sums.iter_mut().enumerate() {
                        let (row, shift) = (tap / g.shifts.len(), tap % g.shifts.len());
                        let shift = first * STEP + row * g.width() + g.shifts[shift];
                        let b = |tile: usize| {
                            let copy = tile * COPIES + shift % 2;
                            let at = copy * PARTS * self.right_part() + shift / 2;
                            right[unit * right_len + at..].as_ptr().cast()
                        };
                        let operands = Sliding {
                            steps: chunk.min(self.steps - first),
                            a,
                            a_row: self.pitch() * line,
                            a_second: self.left_part() * line,
                            b: [p, p + shape.columns - 1].map(b),
                            b_second: self.right_part() * line,
                        };
                        // SAFETY: rows and planes hold all steps from each tap's shift on, and both parts.
                        unsafe { micro::sliding_tile(configured, shape, &operands, sums) };
                    }
                }
            }
        }
    }

    /// Adds all sums to the gradients of one group.
    fn scatter(&self, sums: &[Sums], dw: &mut [f32]) {
        let g = self.g;
        let (patch, planes) = (g.dims.patch_len(), g.groups());
        let pairs = self.tiles()[1].div_ceil(2);
        for (pair, sums) in sums.chunks_exact(self.taps()).enumerate() {
            let (filter, plane) = (pair / pairs * 2 * SIDE, pair % pairs * 2 * SIDE);
            for f in filter..self.filters.min(filter + 2 * SIDE) {
                let dw = &mut dw[f * patch..][..patch];
                for (tap, Sums(tiles)) in sums.iter().enumerate() {
                    for p in plane..planes.min(plane + 2 * SIDE) {
                        // Rows of a line are its shifts, each of all planes.
                        let Some(weight) = g.taps[tap * planes + p] else { continue };
                        let (r, c) = (f - filter, p - plane);
                        dw[weight] += tiles[r / SIDE * 2 + c / SIDE][r % SIDE][c % SIDE];
                    }
                }
            }
        }
    }
}

/// Grows and keeps what is there.
fn at_least(buffer: &mut Buffer<Line>, len: usize) -> &mut Buffer<Line> {
    if buffer.len() < len {
        let mut larger = Buffer::zeroed(len);
        larger[..buffer.len()].copy_from_slice(buffer);
        *buffer = larger;
    }
    buffer
}

/// Both parts of neighbouring values, in plain order.
#[target_feature(enable = "avx512f,avx512bf16")]
fn split(from: &[f32], to: [&mut [Line]; PARTS]) {
    let [first, second] = to;
    assert!(first.len().min(second.len()) * STEP >= from.len());
    for (i, from) in from.chunks(STEP).enumerate() {
        let load = |at: usize| {
            let lanes = ((1u64 << from.len().saturating_sub(at).min(SIDE)) - 1) as __mmask16;
            // SAFETY: lanes beyond the end are not read.
            unsafe { _mm512_maskz_loadu_ps(lanes, from.as_ptr().wrapping_add(at)) }
        };
        let words = within(load(0), load(SIDE));
        for (words, to) in words.into_iter().zip([&mut *first, &mut *second]) {
            // SAFETY: a line is sixteen words on a 64-byte boundary.
            unsafe { _mm512_store_epi32(to[i].0.as_mut_ptr().cast(), words) };
        }
    }
}

const _: () = assert!(TILE == SIDE * size_of::<Line>());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::conv::{tests::dims, weights_back_plain};
    use crate::cpu::table::available;
    use crate::ops::Window;

    #[test]
    fn tiles_equal_the_plain_loop_on_tails() {
        let Some(kernels) = available().iter().find(|k| k.has_tiles()) else {
            return println!("skipped: no tiles here");
        };
        let window = |kernel, stride, pad, dilation| Window { kernel, stride, pad, dilation };
        let square = |k, s, p| window([k; 2], [s; 2], [p; 2], [1; 2]);
        let memory = &mut Accumulators::default();
        for (d, count) in [
            (dims(4, 6, 2, [7, 9], window([3, 2], [2, 1], [1, 0], [1, 1])), 1),
            (dims(3, 5, 1, [11, 8], window([3, 3], [1, 2], [2, 3], [2, 1])), 2),
            (dims(34, 66, 2, [13, 13], square(3, 1, 1)), 3),
            (dims(3, 16, 1, [35, 39], square(11, 4, 0)), 2),
            (dims(48, 33, 1, [27, 27], square(5, 1, 2)), 3),
            (dims(40, 70, 1, [9, 7], square(1, 1, 0)), 2),
            (dims(60, 60, 1, [70, 90], square(3, 1, 1)), 1),
            (dims(2, 1, 1, [1, 1], square(3, 1, 1)), 1),
        ] {
            let number = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
            let x: Vec<f32> = (0..count * d.input_len()).map(number).collect();
            let dy: Vec<f32> = (0..count * d.output_len()).map(|i| number(i + 5)).collect();
            let size = |v: &[f32]| v.iter().map(|v| v.abs()).collect::<Vec<f32>>();
            let (mut want, mut sizes) = (vec![0.5; d.filters * d.patch_len()], vec![]);
            sizes.resize(want.len(), 0.5);
            for (x, dy) in x.chunks(d.input_len()).zip(dy.chunks(d.output_len())) {
                weights_back_plain(&d, x, dy, &mut want);
                weights_back_plain(&d, &size(x), &size(dy), &mut sizes);
            }
            let mut got = vec![0.5; want.len()];
            weights_back(kernels.amx().expect("tiles"), kernels, &d, [&x, &dy], &mut got, memory);
            for ((w, g), size) in want.iter().zip(&got).zip(&sizes) {
                assert!((w - g).abs() <= 2e-5 * size, "{d:?}: {w} {g}");
            }
        }
    }
}
