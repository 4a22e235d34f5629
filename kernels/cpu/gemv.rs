//! Row vector times matrix: `y += x·B`, B in the panels of [`PackedColumns`](super::columns::PackedColumns).
//!
//! Flows in: one vector, packed columns. Flows out: one sum a column. Each element of B is used once, so
//! this runs as fast as memory delivers B. Two panels at a time are read side by side, half of all apart:
//! one stream alone does not get all that memory can give.

use super::columns::{Element, FromColumn, Values};
use super::panels::Columns;
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
    let (values, from, panel) = b.values();
    match values {
        Values::F32(b) => kernels.run(Product { x, b: &b[from..], panel, scales: None, y }),
        Values::F24(b) => kernels.run(Product { x, b: &b[from..], panel, scales: None, y }),
        Values::F16(b) => kernels.run(Product { x, b: &b[from..], panel, scales: None, y }),
        Values::I8(values, scales) => {
            let scales = Some(&scales[b.first()..]);
            kernels.run(Product { x, b: &values[from..], panel, scales, y });
        }
    }
}

struct Product<'a, E> {
    x: &'a [f32],
    b: &'a [E],
    /// Values of a panel.
    panel: usize,
    /// What the sums of each column are multiplied with.
    scales: Option<&'a [f32]>,
    y: &'a mut [f32],
}

/// Summed indices that are added into registers of their own, so that additions need not wait for one
/// another.
const UNROLL: usize = 4;

/// Panels that are read side by side.
const STREAMS: usize = 2;

impl<E: Element> SimdOp for Product<'_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let nr = TILE_VECTORS * S::LANES;
        assert_eq!(self.panel, self.x.len() * nr);
        let panels = self.y.len().div_ceil(nr);
        let apart = panels.div_ceil(STREAMS);
        for q in 0..apart {
            // SAFETY: the caller promises the instruction set.
            unsafe {
                if q + apart < panels {
                    self.panels::<S, STREAMS>(q, apart);
                } else {
                    self.panels::<S, 1>(q, apart);
                }
            }
        }
    }
}

impl<E: Element> Product<'_, E> {
    /// The sums of some panels: `first`, and others `apart` from each other.
    #[inline(always)]
    unsafe fn panels<S: Simd, const N: usize>(&mut self, first: usize, apart: usize) {
        let (x, nr) = (self.x, TILE_VECTORS * S::LANES);
        let panel = |i: usize| &self.b[(first + i * apart) * self.panel..][..self.panel];
        let b: [&[E]; N] = std::array::from_fn(panel);
        let whole = x.len() / UNROLL * UNROLL;
        // SAFETY: a panel holds nr values for each of x; the instruction set is the caller's promise.
        let sums = unsafe {
            let mut sums = [[[S::splat(0.0); TILE_VECTORS]; UNROLL]; N];
            for p in (0..whole).step_by(UNROLL) {
                for (b, sums) in b.iter().zip(&mut sums) {
                    for (u, sums) in sums.iter_mut().enumerate() {
                        add_row(x[p + u], b.as_ptr().add((p + u) * nr), sums);
                    }
                }
            }
            for (p, x) in x.iter().enumerate().skip(whole) {
                for (b, sums) in b.iter().zip(&mut sums) {
                    add_row(*x, b.as_ptr().add(p * nr), &mut sums[0]);
                }
            }
            sums
        };
        for (i, sums) in sums.iter().enumerate() {
            for v in 0..TILE_VECTORS {
                let at = (first + i * apart) * nr + v * S::LANES;
                let lanes = self.y.len().saturating_sub(at).min(S::LANES);
                if lanes == 0 {
                    continue;
                }
                // SAFETY: `lanes` values from `at` on lie in y, and scales go on to the end of a panel.
                unsafe {
                    let mut sum = sums.iter().fold(S::splat(0.0), |sum, s| sum.add(s[v]));
                    if let Some(scales) = self.scales {
                        sum = sum.mul(S::load_first(scales[at..].as_ptr(), lanes));
                    }
                    let to = self.y.as_mut_ptr().add(at);
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
unsafe fn add_row<S: Simd, E: Element>(x: f32, b: *const E, sums: &mut [S; TILE_VECTORS]) {
    for (v, sum) in sums.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { *sum = S::splat(x).mul_add(E::load(b.add(v * S::LANES)), *sum) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::{PackedColumns, round_rows};
    use super::super::gemm::Matrix;
    use super::super::table::available;
    use super::*;
    use crate::ops::Precision;

    #[test]
    fn every_kernel_equals_plain_on_tails() {
        let number = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
        let precisions = [Precision::F32, Precision::F24, Precision::F16, Precision::I8];
        for (kernels, precision) in
            available().iter().flat_map(|k| precisions.map(|precision| (k, precision)))
        {
            let [_, nr] = kernels.tile();
            for k in [1, 3, 4, 5, 16, 33, 200] {
                for n in [1, nr / 2, nr - 1, nr, nr + 1, 3 * nr + 2] {
                    let mut rows: Vec<f32> = (0..n * k).map(number).collect();
                    let x: Vec<f32> = (0..k).map(|i| number(i + 5)).collect();
                    let matrix = Matrix::transposed(&rows, k);
                    let b = PackedColumns::new(kernels, k, n, matrix, precision);
                    round_rows(precision, k, &mut rows);
                    let (mut want, mut got) = (vec![0.5; n], vec![0.5; n]);
                    plain(&rows, &x, &mut want);
                    let share = b.share(2);
                    for (i, got) in got.chunks_mut(share).enumerate() {
                        fast(kernels, &x, b.from(i * share), got);
                    }
                    for (w, g) in want.iter().zip(&got) {
                        let bound = 3e-7 * (k as f32 + 1.0);
                        let near = (w - g).abs() <= bound;
                        assert!(near, "{} {precision:?} {n}×{k}: {w} {g}", kernels.name());
                    }
                }
            }
        }
    }

    #[test]
    fn smaller_weights_are_near_the_numbers() {
        let mut row = [1.0, -0.1, f32::MAX, f32::INFINITY, 1e-30];
        let exact = row;
        round_rows(Precision::F24, 5, &mut row);
        assert!(
            row.iter().zip(exact).all(|(a, b)| *a == b || (a / b - 1.0).abs() < 2e-5),
            "{row:?}"
        );
        let mut row = [1.0, -0.5, 0.1, 0.0, 1e-3];
        round_rows(Precision::F16, 5, &mut row);
        assert!((row[2] - 0.1).abs() < 5e-5 && row[1] == -0.5);
        round_rows(Precision::I8, 5, &mut row);
        // A step is 1/127.
        assert_eq!([row[0], row[3], row[4]], [1.0, 0.0, 0.0]);
        assert!((row[2] - 13.0 / 127.0).abs() < 1e-6);
    }
}
