//! Row vector times matrix: `y += x·B`, B in the panels of [`PackedColumns`].
//!
//! Flows in: one vector, packed columns. Flows out: one sum a column. Each element of B is used once, so
//! this runs as fast as memory delivers B, which it reads from front to back.

use super::panels::{Columns, FromColumn};
use super::simd::{Simd, SimdOp, TILE_VECTORS};
use super::table::Kernels;

/// The plain loop: `y[j] += Σ_p x[p] · rows[j][p]`, each sum in `f64`; `rows` is B's transpose.
pub fn plain(rows: &[f32], x: &[f32], y: &mut [f32]) {
    for (row, out) in rows.chunks_exact(x.len()).zip(y) {
        let products = row.iter().zip(x).map(|(a, b)| *a as f64 * *b as f64);
        *out = (*out as f64 + products.sum::<f64>()) as f32;
    }
}

/// The same in SIMD registers, sums in `f32`, one thread: as many columns as `y` has.
///
/// # Panics
/// When the columns are fewer, or not of `x.len()` elements.
pub fn fast(kernels: &Kernels, x: &[f32], b: FromColumn, y: &mut [f32]) {
    assert!(b.holds(x.len(), y.len()));
    kernels.run(Product { x, b, y });
}

struct Product<'a> {
    x: &'a [f32],
    b: FromColumn<'a>,
    y: &'a mut [f32],
}

/// Summed indices that are added into registers of their own, so that additions need not wait for one
/// another.
const UNROLL: usize = 4;

/// How far ahead of their use weights are asked for, in values: what memory takes to answer.
const AHEAD: usize = 1024;

impl SimdOp for Product<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (x, nr) = (self.x, TILE_VECTORS * S::LANES);
        for (q, y) in self.y.chunks_mut(nr).enumerate() {
            let b = self.b.panel(q);
            assert_eq!(b.len(), x.len() * nr);
            let whole = x.len() / UNROLL * UNROLL;
            // SAFETY: `b` holds nr values for each of x; the instruction set is the caller's promise.
            unsafe {
                let mut sums = [[S::splat(0.0); TILE_VECTORS]; UNROLL];
                for p in (0..whole).step_by(UNROLL) {
                    for (u, sums) in sums.iter_mut().enumerate() {
                        let row = b.as_ptr().add((p + u) * nr);
                        S::prefetch(row.wrapping_add(AHEAD));
                        S::prefetch(row.wrapping_add(AHEAD + nr / 2));
                        add_row(x[p + u], row, sums);
                    }
                }
                for (p, x) in x.iter().enumerate().skip(whole) {
                    add_row(*x, b.as_ptr().add(p * nr), &mut sums[0]);
                }
                for v in 0..TILE_VECTORS {
                    let lanes = y.len().saturating_sub(v * S::LANES).min(S::LANES);
                    let sum = sums.iter().fold(S::splat(0.0), |sum, s| sum.add(s[v]));
                    let to = y.as_mut_ptr().add(v * S::LANES);
                    S::load_first(to, lanes).add(sum).store_first(to, lanes);
                }
            }
        }
    }
}

/// Adds one row of a panel times a number.
///
/// # Safety
/// As for [`Simd`]; `b` must hold [`TILE_VECTORS`] vectors.
#[inline(always)]
unsafe fn add_row<S: Simd>(x: f32, b: *const f32, sums: &mut [S; TILE_VECTORS]) {
    for (v, sum) in sums.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { *sum = S::splat(x).mul_add(S::load(b.add(v * S::LANES)), *sum) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::gemm::Matrix;
    use super::super::panels::PackedColumns;
    use super::super::table::available;
    use super::*;

    #[test]
    fn every_kernel_equals_plain_on_tails() {
        let number = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
        for kernels in available() {
            let [_, nr] = kernels.tile();
            for k in [1, 3, 4, 5, 16, 33, 200] {
                for n in [1, nr / 2, nr - 1, nr, nr + 1, 3 * nr + 2] {
                    let rows: Vec<f32> = (0..n * k).map(number).collect();
                    let x: Vec<f32> = (0..k).map(|i| number(i + 5)).collect();
                    let b = PackedColumns::new(kernels, k, n, Matrix::transposed(&rows, k));
                    let (mut want, mut got) = (vec![0.5; n], vec![0.5; n]);
                    plain(&rows, &x, &mut want);
                    let share = b.share(2);
                    for (i, got) in got.chunks_mut(share).enumerate() {
                        fast(kernels, &x, b.from(i * share), got);
                    }
                    for (w, g) in want.iter().zip(&got) {
                        let bound = 2e-7 * (k as f32 + 1.0);
                        assert!((w - g).abs() <= bound, "{} {n}×{k}: {w} {g}", kernels.name());
                    }
                }
            }
        }
    }
}
