//! Weight gradients of a convolution in tiles.
//!
//! Flows in: pictures and output gradients. Flows out: `dw += Σ dy · x`, summed over positions and pictures.
//!
//! ```text
//! dw(plane, shift | filter) = Σ_k x(plane, k + shift) · dy(k, filter)
//! ```
//!
//! k runs over the positions of padded lines, one after the other: a window's tap is nothing but a shift of
//! k. So every picture is split into parts once, in plain order, and serves as the left-hand side of all
//! taps, read from another byte on; output gradients are the right-hand side, zero where padding is. Strides
//! are planes of their own, as in [`Geometry`].

use super::detect::Configured;
use super::micro::{self, Shape, Sliding, Sums};
use super::words::{Operand, Side, steps, within};
use super::{Amx, Line, PARTS, SIDE, STEP, TILE, ZEROS};
use crate::cpu::geometry::Geometry;
use crate::cpu::table::Kernels;
use crate::memory::Buffer;
use crate::ops::ConvDims;
use std::arch::x86_64::*;
use std::ops::Range;

/// Bytes of pictures and gradients that are laid out at a time, about.
const BUDGET: usize = 1 << 20;

/// Steps of both sides that stay in the first-level cache while all taps go over them.
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
    /// Lines of memory from one plane to the next.
    pitch: usize,
    /// Lines of memory of all planes of a part.
    part: usize,
    /// Steps of a unit.
    steps: usize,
}

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
                // SAFETY: the machine has AVX-512 if it has tiles.
                unsafe { layout.lay_out(i, unit, [x, dy], memory) };
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
        let line = (g.groups().next_multiple_of(SIDE) + d.filters / d.group) * g.width() * 4;
        let lines = (BUDGET / 2 / line.max(1)).clamp(1, d.output[0]);
        let steps = steps(lines * g.width());
        // The last tap's last step reads so far; an odd number of lines keeps rows in different sets of
        // the cache.
        let reach = (g.reach - 1) * g.width() + g.shifts.last().unwrap_or(&0) + steps * STEP;
        let pitch = reach.div_ceil(STEP) | 1;
        let part = pitch * g.groups().next_multiple_of(SIDE);
        Self { kernels, g, lines, filters: d.filters / d.group, pitch, part, steps }
    }

    fn units(&self, picture: usize) -> impl Iterator<Item = Unit> {
        let (all, lines) = (self.g.dims.output[0], self.lines);
        (0..all)
            .step_by(lines)
            .map(move |from| Unit { picture, lines: from..all.min(from + lines) })
    }

    /// Tiles of planes, and of filters.
    fn tiles(&self) -> [usize; 2] {
        [self.g.groups().div_ceil(SIDE), self.filters.div_ceil(SIDE)]
    }

    /// Lines of memory of a tile of filters over all steps.
    fn panel(&self) -> usize {
        self.steps * PARTS * SIDE
    }

    /// Bytes of a unit.
    fn bytes(&self) -> usize {
        (PARTS * self.part + self.tiles()[1] * self.panel()) * size_of::<Line>()
    }

    /// Taps: shifts of every line of a window.
    fn taps(&self) -> usize {
        self.g.reach * self.g.shifts.len()
    }

    /// How many accumulators there are: for each pair of tiles of filters, of planes, and each tap.
    fn sums(&self) -> usize {
        self.tiles().map(|tiles| tiles.div_ceil(2)).iter().product::<usize>() * self.taps()
    }

    /// A unit's planes and gradients; `x` and `dy` begin with the group.
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn lay_out(&self, at: usize, unit: &Unit, [x, dy]: [&[f32]; 2], memory: &mut Accumulators) {
        let (g, width) = (self.g, self.g.width());
        let Accumulators { left, right, plain, spare, .. } = memory;
        let left = at_least(left, (at + 1) * PARTS * self.part);
        let left = &mut left[at * PARTS * self.part..][..PARTS * self.part];
        left.fill(ZEROS);
        let (first, second) = left.split_at_mut(self.part);
        let lines = unit.lines.start..unit.lines.end + g.reach - 1;
        let plane_len = lines.len() * width;
        let plain = plain.at_least(plane_len.max(SIDE * self.steps * STEP));
        for plane in 0..g.groups() {
            for (line, to) in lines.clone().zip(plain[..plane_len].chunks_exact_mut(width)) {
                let row = g.line(self.kernels, plane, line, x, spare);
                to.fill(0.0);
                to[g.pad()..][..row.len()].copy_from_slice(row);
            }
            let parts = [&mut *first, &mut *second].map(|part| &mut part[plane * self.pitch..]);
            split(&plain[..plane_len], parts);
        }
        let panel = self.panel();
        let right = at_least(right, (at + 1) * self.tiles()[1] * panel);
        let right = right[at * self.tiles()[1] * panel..].chunks_exact_mut(panel);
        let ([_, out_w], positions) = (g.dims.output, g.dims.positions());
        let row = self.steps * STEP;
        for (first, to) in (0..self.filters).step_by(SIDE).zip(right) {
            let filters = first..self.filters.min(first + SIDE);
            for (f, to) in filters.clone().zip(plain.chunks_exact_mut(row)) {
                let from = &dy[f * positions + unit.lines.start * out_w..];
                let from = from[..unit.lines.len() * out_w].chunks_exact(out_w);
                let (lines, rest) = to.split_at_mut(unit.lines.len() * width);
                from.zip(lines.chunks_exact_mut(width)).for_each(|(from, to)| {
                    to[..out_w].copy_from_slice(from);
                    to[out_w..].fill(0.0);
                });
                rest.fill(0.0);
            }
            let operand = Operand { data: plain, line: row, next: 1 };
            for (step, to) in to.chunks_exact_mut(PARTS * SIDE).enumerate() {
                let (first, second) = to.split_at_mut(SIDE);
                let (i, p) = (0..filters.len(), step * STEP..(step + 1) * STEP);
                // SAFETY: `plain` holds sixteen rows of all steps.
                unsafe { operand.pack(Side::Right, i, p, [first, second]) };
            }
        }
    }

    /// Every pair of tiles of filters with every pair of tiles of planes, all units, all taps.
    fn multiply(&self, configured: &Configured, units: usize, memory: &mut Accumulators) {
        let Accumulators { sums, left, right, .. } = memory;
        let [planes, filters] = self.tiles();
        let (g, panel, row) = (self.g, self.panel(), self.pitch * size_of::<Line>());
        let mut sums = sums.chunks_exact_mut(self.taps());
        // All taps of a chunk meet the same values, which stay in the first-level cache.
        let chunk = self.steps.div_ceil(self.steps.div_ceil(CHUNK));
        let chunks = (0..units).flat_map(|unit| {
            (0..self.steps).step_by(chunk).map(move |first| (unit, first))
        });
        for f in (0..filters).step_by(2) {
            for p in (0..planes).step_by(2) {
                let sums = sums.next().expect("accumulators of every pair");
                let shape = Shape { rows: 2.min(planes - p), columns: 2.min(filters - f) };
                for (unit, first) in chunks.clone() {
                    let steps = chunk.min(self.steps - first);
                    let a = |tile: usize| {
                        left[unit * PARTS * self.part + tile * SIDE * self.pitch..].as_ptr()
                    };
                    let b = |tile: usize| {
                        let at = (unit * filters + tile) * panel + first * PARTS * SIDE;
                        right[at..].as_ptr().cast()
                    };
                    let (a, b) = ([a(p), a(p + shape.rows - 1)], [b(f), b(f + shape.columns - 1)]);
                    for (tap, sums) in sums.iter_mut().enumerate() {
                        let (line, shift) = (tap / g.shifts.len(), tap % g.shifts.len());
                        let shift = (first * STEP + line * g.width() + g.shifts[shift]) * 2;
                        let operands = Sliding {
                            steps,
                            a: a.map(|a| a.cast::<u8>().wrapping_add(shift)),
                            a_row: row,
                            a_second: self.part * size_of::<Line>(),
                            b,
                        };
                        // SAFETY: rows hold all steps from each tap's shift on, and so do both parts.
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
        let pairs = self.tiles()[0].div_ceil(2);
        for (pair, sums) in sums.chunks_exact(self.taps()).enumerate() {
            let (filter, plane) = (pair / pairs * 2 * SIDE, pair % pairs * 2 * SIDE);
            for (tap, Sums(tiles)) in sums.iter().enumerate() {
                for p in plane..planes.min(plane + 2 * SIDE) {
                    // Rows of a line are its shifts, each of all planes.
                    let Some(weight) = g.taps[tap * planes + p] else { continue };
                    for f in filter..self.filters.min(filter + 2 * SIDE) {
                        let (r, c) = (p - plane, f - filter);
                        dw[f * patch + weight] +=
                            tiles[r / SIDE * 2 + c / SIDE][r % SIDE][c % SIDE];
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
