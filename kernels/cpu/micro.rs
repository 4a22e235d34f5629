//! The innermost loop of every matrix product: one tile of C, its sums in registers.
//!
//! Flows in: a panel of A and a panel of B. Flows out: a tile of at most [`Simd::TILE_ROWS`] rows by
//! [`TILE_VECTORS`] vectors of C. `docs/kernels.md` builds it up from the plain loop.
//!
//! ```text
//! A, by blocks of LANES summed indices:   B, by summed index:
//!   block 0: row 0 [p0 p1 … pL]             p0 [ 2·LANES columns ]
//!            row 1 [p0 p1 … pL] …           p1 [ 2·LANES columns ] …
//!   block 1: …
//! ```
//!
//! Each step of the summed index loads two vectors of B, and for each row broadcasts one value of A.

use super::simd::{Simd, TILE_VECTORS};

/// One tile: where its operands lie, and what becomes of its sums.
pub struct Tile {
    /// Summed indices.
    pub k: usize,
    /// First value of the panel of A.
    pub a: *const f32,
    /// Distance from a block of A to the next.
    pub a_block: usize,
    /// First value of the panel of B.
    pub b: *const f32,
    /// First value of the tile of C.
    pub c: *mut f32,
    /// Distance between rows of C.
    pub c_row: usize,
    /// Rows of the tile.
    pub rows: usize,
    /// Columns of the tile that C has.
    pub width: usize,
    /// The sums are added to C, instead of replacing it.
    pub add: bool,
    /// One value for each row that is added too, or null.
    pub bias: *const f32,
    /// What negative results are multiplied with: 1 leaves them as they are, 0 is ReLU.
    pub slope: f32,
    /// What will be wanted next.
    pub ahead: Ahead,
}

/// Memory that is asked for while a tile is computed, so that it comes as evenly as it can: at each step
/// of the summed index the lines at both addresses, which then move on. They need not be valid.
#[derive(Clone, Copy)]
pub struct Ahead {
    /// Where to begin.
    pub from: [*const f32; 2],
    /// Bytes to move on by.
    pub step: usize,
}

impl Ahead {
    /// A share of a panel that is used next: number `pass` of `passes`, of `k` steps of `2 · lanes` values.
    pub fn share(panel: *const f32, pass: usize, passes: usize, k: usize, lanes: usize) -> Self {
        let half = k * lanes / passes;
        let from = panel.wrapping_add(2 * half * pass);
        Self { from: [from, from.wrapping_add(half)], step: lanes * size_of::<f32>() / passes }
    }
}

/// Computes a tile.
///
/// # Safety
/// As for [`Simd`]; 1 ≤ `rows` ≤ `TILE_ROWS`, 1 ≤ `width` ≤ `2 · LANES`; `a` must hold `rows` rows of
/// `LANES` in each of its blocks (the last as many as `k` still needs), `b` `k · 2 · LANES` values, `c`
/// `width` values in each row, `bias` `rows` values unless it is null.
#[inline(always)]
pub unsafe fn tile<S: Simd>(t: &Tile) {
    macro_rules! by_rows {
        ($($rows:literal)*) => {
            match t.rows {
                // SAFETY: the caller's promises; larger sets of registers do not exist, so that the
                // comparison removes tiles that would spill.
                $($rows if $rows <= S::TILE_ROWS => unsafe { tile_of::<S, $rows>(t) },)*
                _ => unreachable!("no tile has {} rows", t.rows),
            }
        };
    }
    by_rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14)
}

#[inline(always)]
unsafe fn tile_of<S: Simd, const ROWS: usize>(t: &Tile) {
    // SAFETY: `a` moves block by block, `b` row by row, over memory that the caller promises.
    unsafe {
        let mut sums = [[S::splat(0.0); TILE_VECTORS]; ROWS];
        let (mut a, mut b, mut ahead, mut left) = (t.a, t.b, t.ahead, t.k);
        while left >= S::LANES {
            steps::<S, ROWS>(S::LANES, a, b, ahead, &mut sums);
            a = a.add(t.a_block);
            b = b.add(TILE_VECTORS * S::LANES * S::LANES);
            ahead.from = ahead.from.map(|at| at.wrapping_byte_add(S::LANES * ahead.step));
            left -= S::LANES;
        }
        steps::<S, ROWS>(left, a, b, ahead, &mut sums);
        finish(t, &sums);
    }
}

/// `count` steps of the summed index.
#[inline(always)]
unsafe fn steps<S: Simd, const ROWS: usize>(
    count: usize,
    a: *const f32,
    mut b: *const f32,
    ahead: Ahead,
    sums: &mut [[S; TILE_VECTORS]; ROWS],
) {
    for p in 0..count {
        // SAFETY: `p < LANES` is inside the block, and `b` inside its panel.
        unsafe {
            let columns = [S::load(b), S::load(b.add(S::LANES))];
            S::prefetch(ahead.from[0].wrapping_byte_add(p * ahead.step));
            S::prefetch(ahead.from[1].wrapping_byte_add(p * ahead.step));
            for (i, sums) in sums.iter_mut().enumerate() {
                let value = S::splat(*a.add(i * S::LANES + p));
                sums[0] = value.mul_add(columns[0], sums[0]);
                sums[1] = value.mul_add(columns[1], sums[1]);
            }
            b = b.add(TILE_VECTORS * S::LANES);
        }
    }
}

/// Adds what is to be added, bends what is negative, and writes the tile.
#[inline(always)]
unsafe fn finish<S: Simd, const ROWS: usize>(t: &Tile, sums: &[[S; TILE_VECTORS]; ROWS]) {
    let whole = t.width == TILE_VECTORS * S::LANES;
    for (i, sums) in sums.iter().enumerate() {
        for (v, sum) in sums.iter().enumerate() {
            // SAFETY: row and column lie inside the tile that the caller promises; the width of a
            // vector that C has only a part of is what is left of it.
            unsafe {
                let lanes = t.width.saturating_sub(v * S::LANES).min(S::LANES);
                let at = t.c.add(i * t.c_row + v * S::LANES);
                let mut sum = *sum;
                if t.add {
                    sum = sum.add(if whole { S::load(at) } else { S::load_first(at, lanes) });
                }
                if !t.bias.is_null() {
                    sum = sum.add(S::splat(*t.bias.add(i)));
                }
                if t.slope != 1.0 {
                    sum = bend(sum, t.slope);
                }
                if whole { sum.store(at) } else { sum.store_first(at, lanes) }
            }
        }
    }
}

/// `max(v, 0) + slope · min(v, 0)`: ReLU, leaky or not. NaN stays NaN.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub unsafe fn bend<S: Simd>(v: S, slope: f32) -> S {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let zero = S::splat(0.0);
        if slope == 0.0 {
            return zero.max(v);
        }
        zero.min(v).mul_add(S::splat(slope), zero.max(v))
    }
}
