//! `C = A·B` in tiles, both operands packed on the way: for weights that change before they are used again.

use super::detect::Configured;
use super::micro::{self, Operands, Shape, Sums};
use super::pack::PANEL;
use super::words::{Operand, Side, steps};
use super::{Amx, Line, PARTS, SIDE, STEP, TILE};
use crate::cpu::gemm::{Matrix, Sizes, Start, Target};
use crate::cpu::micro::bend;
use crate::memory::Buffer;
use std::arch::x86_64::*;
use std::ops::Range;

/// Summed indices and columns of a block of B, which takes a mebibyte of the second-level cache.
const KC: usize = 512;
const NC: usize = 512;

/// Memory that a thread keeps between products.
#[derive(Default)]
pub struct Packed {
    left: Buffer<Line>,
    right: Buffer<Line>,
}

/// The same as [`crate::cpu::gemm::plain`], each number as the sum of two `bf16`; one thread.
///
/// # Panics
/// When a slice is too short for its sizes, or neither distance of an operand is 1.
pub fn product(amx: Amx, s: Sizes, a: Matrix, b: Matrix, mut c: Target, memory: &mut Packed) {
    if s.m == 0 || s.n == 0 {
        return;
    }
    assert!(a.holds(s.m, s.k) && b.holds(s.k, s.n), "A or B does not fit {s:?}");
    assert!((s.m - 1) * c.row + s.n <= c.data.len(), "C is too short for {s:?}");
    assert!([a.row, a.col].contains(&1) && [b.row, b.col].contains(&1), "no neighbours");
    let a = Operand { data: a.data, line: a.row, next: a.col };
    let b = Operand { data: b.data, line: b.col, next: b.row };
    let configured = Configured::new(amx);
    let Packed { left, right } = memory;
    for j in blocks(0..s.n, NC) {
        for p in blocks(0..s.k.max(1), KC) {
            let (first, last) = (p.start == 0, p.end >= s.k);
            let p = p.start..p.end.min(s.k);
            let step = steps(p.len());
            let panels = j.len().div_ceil(SIDE);
            let right = right.at_least(panels * step * PARTS * SIDE);
            pack(&b, Side::Right, &j, &p, 1, right);
            for i in blocks(0..s.m, PANEL) {
                let tiles = i.len().div_ceil(SIDE);
                let left = left.at_least(tiles * step * PARTS * SIDE);
                pack(&a, Side::Left, &i, &p, tiles, left);
                for pair in blocks(0..panels, 2) {
                    let panel = |q: usize| right[q * step * PARTS * SIDE..].as_ptr().cast::<u8>();
                    let operands = Operands {
                        steps: step,
                        a: left.as_ptr().cast(),
                        b: [panel(pair.start), panel(pair.end - 1)],
                        b_second: TILE,
                        b_step: PARTS * TILE,
                        stream: 0,
                    };
                    let shape = Shape { rows: tiles, columns: pair.len() };
                    let mut sums = Sums::ZERO;
                    // SAFETY: `left` and `right` hold `step` steps of tiles.
                    unsafe {
                        micro::tile(&configured, shape, &operands, std::ptr::null(), &mut sums);
                    }
                    let columns = j.start + pair.start * SIDE..j.end.min(j.start + pair.end * SIDE);
                    // SAFETY: the machine has AVX-512 if it has tiles.
                    unsafe { write(&sums, i.clone(), columns, [first, last], &mut c) };
                }
            }
        }
    }
}

fn blocks(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    range.clone().step_by(size).map(move |from| from..range.end.min(from + size))
}

/// Lines `i` and summed indices `p`, panel by panel of `together` tiles: each step the first parts of all
/// tiles, then the second parts. Memory is read along its rows, whichever these are.
fn pack(
    operand: &Operand,
    side: Side,
    i: &Range<usize>,
    p: &Range<usize>,
    together: usize,
    to: &mut [Line],
) {
    let (steps, tiles) = (steps(p.len()), i.len().div_ceil(SIDE));
    let mut tile = |t: usize, step: usize| {
        let lines = i.start + t * SIDE..i.end.min(i.start + (t + 1) * SIDE);
        let indices = p.start + step * STEP..p.end.min(p.start + (step + 1) * STEP);
        // The last panel may have fewer tiles than the others.
        let panel = t / together * together;
        let width = together.min(tiles - panel);
        let at = (panel * steps + step * width) * PARTS + t - panel;
        let (first, second) = to[at * SIDE..].split_at_mut(width * SIDE);
        // SAFETY: the machine has AVX-512 if it has tiles; the operand holds all lines.
        unsafe { operand.pack(side, lines, indices, [first, second]) };
    };
    if operand.next == 1 {
        (0..tiles).for_each(|t| (0..steps).for_each(|step| tile(t, step)));
    } else {
        (0..steps).for_each(|step| (0..tiles).for_each(|t| tile(t, step)));
    }
}

/// Sums of rows `i` and columns `j` into C: the first block of summed indices begins it, the last one
/// bends it.
#[target_feature(enable = "avx512f")]
fn write(sums: &Sums, i: Range<usize>, j: Range<usize>, [first, last]: [bool; 2], c: &mut Target) {
    let slope = c.relu.filter(|_| last);
    for (r, row) in i.enumerate() {
        let bias = match c.start {
            Start::Bias(bias) if first => bias[row],
            _ => 0.0,
        };
        let add = !first || matches!(c.start, Start::C);
        let line = &mut c.data[row * c.row + j.start..][..j.len()];
        for (column, to) in line.chunks_mut(SIDE).enumerate() {
            let lanes = ((1u32 << to.len()) - 1) as __mmask16;
            let from = &sums.0[r / SIDE * 2 + column][r % SIDE];
            // SAFETY: lanes beyond the end of `to` are neither read nor written.
            unsafe {
                let mut v = _mm512_add_ps(_mm512_load_ps(from.as_ptr()), _mm512_set1_ps(bias));
                if add {
                    v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(lanes, to.as_ptr()));
                }
                if let Some(slope) = slope {
                    v = bend(v, slope);
                }
                _mm512_mask_storeu_ps(to.as_mut_ptr(), lanes, v);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::gemm::plain;

    /// A matrix whose rows, or whose columns, lie in one piece.
    fn side(data: &[f32], by_rows: bool, [rows, columns]: [usize; 2]) -> Matrix<'_> {
        if by_rows { Matrix::rows(data, columns) } else { Matrix::transposed(data, rows) }
    }

    #[test]
    fn tiles_equal_the_plain_product_on_tails_and_several_blocks() {
        let Some(amx) = Amx::detect() else {
            return println!("skipped: no tiles here");
        };
        let number = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
        let memory = &mut Packed::default();
        for (m, n, k) in
            [(1, 1, 1), (33, 17, 31), (40, 70, 65), (5, 600, 40), (64, 33, 1100), (3, 3, 0)]
        {
            let s = Sizes { m, n, k };
            let a: Vec<f32> = (0..m * k).map(number).collect();
            let b: Vec<f32> = (0..n * k).map(|i| number(i + 5)).collect();
            let size = |v: &[f32]| v.iter().map(|v| v.abs()).collect::<Vec<f32>>();
            for (left, right) in [(true, true), (true, false), (false, true), (false, false)] {
                let (mut want, mut sizes) = (vec![0.5; m * n], vec![0.5; m * n]);
                plain(s, side(&a, left, [m, k]), side(&b, right, [k, n]), &mut want);
                let (large_a, large_b) = (size(&a), size(&b));
                plain(s, side(&large_a, left, [m, k]), side(&large_b, right, [k, n]), &mut sizes);
                let mut got = vec![0.5; m * n];
                let c = Target { data: &mut got, row: n, start: Start::C, relu: Some(0.5) };
                product(amx, s, side(&a, left, [m, k]), side(&b, right, [k, n]), c, memory);
                for ((w, g), size) in want.iter().zip(&got).zip(&sizes) {
                    let w = if *w > 0.0 { *w } else { 0.5 * w };
                    assert!((w - g).abs() <= 2e-5 * size, "{s:?} {left} {right}: {w} {g}");
                }
            }
        }
    }
}
