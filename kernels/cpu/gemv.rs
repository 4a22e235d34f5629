//! A few rows times a matrix: `Y += X·B`, B in the panels of [`PackedColumns`](super::columns::PackedColumns).
//!
//! Flows in: up to eight rows, packed columns. Flows out: a sum for each row and column. Each element of B is
//! read once, so this runs as fast as memory delivers B. The processor itself asks for the next lines of a
//! stream, but not for enough of them and not beyond a page: so they are asked for here, some rows ahead.

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

/// Rows that are multiplied with each weight as it comes by.
pub const ROWS: usize = 8;

/// How far ahead of their use weights are asked for, in bytes.
const AHEAD: usize = 3072;

/// The same for up to [`ROWS`] rows in SIMD registers, sums in `f32`, one thread: `x` is `(k, rows)`, `y`
/// `(rows, columns)`.
///
/// # Panics
/// When there are more rows, or the columns are fewer, or not of k elements.
pub fn fast(kernels: &Kernels, rows: usize, x: &[f32], b: FromColumn, y: &mut [f32]) {
    assert!((1..=ROWS).contains(&rows) && x.len().is_multiple_of(rows));
    assert!(y.len().is_multiple_of(rows) && b.holds(x.len() / rows, y.len() / rows));
    let (values, from, panel) = b.values();
    match values {
        Values::F32(b) => kernels.run(Product { rows, x, b: &b[from..], panel, scales: None, y }),
        Values::F24(b) => kernels.run(Product { rows, x, b: &b[from..], panel, scales: None, y }),
        Values::F16(b) => kernels.run(Product { rows, x, b: &b[from..], panel, scales: None, y }),
        Values::I8(values, scales) => {
            let scales = Some(&scales[b.first()..]);
            kernels.run(Product { rows, x, b: &values[from..], panel, scales, y });
        }
    }
}

struct Product<'a, E> {
    rows: usize,
    x: &'a [f32],
    b: &'a [E],
    /// Values of a panel.
    panel: usize,
    /// What the sums of each column are multiplied with.
    scales: Option<&'a [f32]>,
    y: &'a mut [f32],
}

impl<E: Element> SimdOp for Product<'_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        // SAFETY: the caller promises the instruction set.
        unsafe {
            match self.rows {
                1 => self.all::<S, 1>(),
                2 => self.all::<S, 2>(),
                3 => self.all::<S, 3>(),
                4 => self.all::<S, 4>(),
                5 => self.all::<S, 5>(),
                6 => self.all::<S, 6>(),
                7 => self.all::<S, 7>(),
                _ => self.all::<S, ROWS>(),
            }
        }
    }
}

impl<E: Element> Product<'_, E> {
    /// The sums of R rows, panel after panel.
    #[inline(always)]
    unsafe fn all<S: Simd, const R: usize>(&mut self) {
        let Self { x, b, panel, scales, y, .. } = self;
        let (nr, columns) = (TILE_VECTORS * S::LANES, y.len() / R);
        assert_eq!(*panel, x.len() / R * nr);
        for (q, b) in b.chunks_exact(*panel).take(columns.div_ceil(nr)).enumerate() {
            // SAFETY: the caller promises the instruction set.
            let mut sums = unsafe { [[S::splat(0.0); TILE_VECTORS]; R] };
            for (x, b) in x.chunks_exact(R).zip(b.chunks_exact(nr)) {
                // SAFETY: a row of a panel is whole vectors; what is asked for need not be there. The caller
                // promises the instruction set.
                unsafe {
                    let ahead = b.as_ptr().wrapping_byte_add(AHEAD).cast::<f32>();
                    S::prefetch(ahead);
                    if nr * size_of::<E>() > 64 {
                        S::prefetch(ahead.wrapping_byte_add(64));
                    }
                    let b: [S; TILE_VECTORS] =
                        std::array::from_fn(|v| E::load(b.as_ptr().add(v * S::LANES)));
                    for (x, sums) in x.iter().zip(&mut sums) {
                        let x = S::splat(*x);
                        sums.iter_mut().zip(b).for_each(|(sum, b)| *sum = x.mul_add(b, *sum));
                    }
                }
            }
            for (row, sums) in sums.iter().enumerate() {
                for (v, sum) in sums.iter().enumerate() {
                    let at = q * nr + v * S::LANES;
                    let lanes = columns.saturating_sub(at).min(S::LANES);
                    if lanes == 0 {
                        continue;
                    }
                    // SAFETY: `lanes` values from `at` on lie in the row, and scales go on to the end of a panel.
                    unsafe {
                        let mut sum = *sum;
                        if let Some(scales) = scales {
                            sum = sum.mul(S::load_first(scales[at..].as_ptr(), lanes));
                        }
                        let to = y[row * columns + at..][..lanes].as_mut_ptr();
                        S::load_first(to, lanes).add(sum).store_first(to, lanes);
                    }
                }
            }
        }
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
                        fast(kernels, 1, &x, b.from(i * share), got);
                    }
                    // Three times the same row.
                    let thrice: Vec<f32> = x.iter().flat_map(|x| [*x; 3]).collect();
                    let mut rows_got = vec![0.5; 3 * n];
                    fast(kernels, 3, &thrice, b.from(0), &mut rows_got);
                    let want3 = want.iter().cycle();
                    for (w, g) in want3.zip(rows_got).chain(want.iter().zip(got)) {
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
