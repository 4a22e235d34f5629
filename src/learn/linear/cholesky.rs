//! A symmetric matrix as a triangle times its transpose, and what is then easy.
//!
//! Flows in: the lower triangle of A, row-major. Flows out: L with L·Lᵀ = A, and solutions of A·x = b.
//!
//! Columns are taken in blocks: each is solved for, and its products are then subtracted from what is right of
//! it, which is nearly all the work and a matrix product (Golub and Van Loan, section 4.2). Parts of it run
//! side by side, each the same on any number of threads.

use super::passes::kernels;
use likenet_kernels::cpu::gemm::{self, Matrix, Sizes, Start, Target, Workspace};
use likenet_kernels::cpu::rows::Row;
use likenet_kernels::memory::Buffer;
use likenet_kernels::ops::Algorithm;
use rayon::prelude::*;

/// Columns of a block.
const COLUMNS: usize = 128;

/// Rows that one thread takes at a time.
const ROWS: usize = 256;

/// L, row-major; what is above the diagonal means nothing.
pub(super) struct Cholesky {
    size: usize,
    factor: Buffer<f32>,
}

impl Cholesky {
    /// Factors a matrix; nothing where it is not positive definite, as far as `f32` can tell.
    pub fn new(size: usize, mut a: Buffer<f32>) -> Option<Self> {
        for first in (0..size).step_by(COLUMNS) {
            let count = COLUMNS.min(size - first);
            let (above, below) = a.split_at_mut((first + count) * size);
            let corner = corner(&mut above[first * size..], size, first, count)?;
            below.par_chunks_mut(size).for_each(|row| solve(&corner, &mut row[first..][..count]));
            let panel: Vec<f32> =
                below.chunks(size).flat_map(|row| &row[first..][..count]).copied().collect();
            let minus: Vec<f32> = panel.iter().map(|v| -v).collect();
            let parts = below.par_chunks_mut(ROWS * size).enumerate();
            parts.for_each_init(
                || Workspace::new(kernels()),
                |work, (part, rows)| {
                    let (from, m) = (part * ROWS, rows.len() / size);
                    let s = Sizes { m, n: from + m, k: count };
                    let left = Matrix::rows(&minus[from * count..], count);
                    let right = Matrix::transposed(&panel, count);
                    let data = &mut rows[first + count..];
                    let c = Target { data, row: size, start: Start::C, relu: None };
                    gemm::once(work, Algorithm::Gemm, s, left, right, c);
                },
            );
        }
        Some(Self { size, factor: a })
    }

    /// The solution of A·x = b in place of `b`.
    pub fn solve(&self, b: &mut [f32]) {
        let row = |i: usize| &self.factor[i * self.size..][..=i];
        for i in 0..self.size {
            let sum = Row::Dense(&row(i)[..i]).dot(kernels(), b);
            b[i] = (b[i] - sum) / row(i)[i];
        }
        for i in (0..self.size).rev() {
            let (before, own) = b.split_at_mut(i);
            own[0] /= row(i)[i];
            Row::Dense(&row(i)[..i]).add_to(kernels(), -own[0], before);
        }
    }
}

/// Factors the square at the diagonal, in `f64`; gives it back by itself.
fn corner(rows: &mut [f32], size: usize, first: usize, count: usize) -> Option<Vec<Vec<f64>>> {
    let mut l: Vec<Vec<f64>> = Vec::with_capacity(count);
    for i in 0..count {
        let values = &mut rows[i * size + first..][..=i];
        let mut row: Vec<f64> = values.iter().map(|&v| v.into()).collect();
        for j in 0..=i {
            let sum: f64 = match l.get(j) {
                Some(above) => row[..j].iter().zip(above).map(|(a, b)| a * b).sum(),
                None => row[..j].iter().map(|a| a * a).sum(),
            };
            row[j] = match l.get(j) {
                Some(above) => (row[j] - sum) / above[j],
                None if row[j] - sum > 0.0 => (row[j] - sum).sqrt(),
                None => return None,
            };
        }
        values.iter_mut().zip(&row).for_each(|(v, &r)| *v = r as f32);
        l.push(row);
    }
    Some(l)
}

/// `row · L⁻ᵀ` of a corner.
fn solve(corner: &[Vec<f64>], row: &mut [f32]) {
    let mut known = [0f64; COLUMNS];
    for (j, l) in corner.iter().enumerate() {
        let sum: f64 = known[..j].iter().zip(l).map(|(a, b)| a * b).sum();
        known[j] = (f64::from(row[j]) - sum) / l[j];
        row[j] = known[j] as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn solutions_multiply_back() {
        for size in [1, 2, 127, 128, 129, 300, 700] {
            let mut rng = Rng::new(size as u64);
            let b: Vec<f32> = (0..size * size).map(|_| rng.gaussian(0.0, 1.0)).collect();
            let mut a = vec![0f64; size * size];
            for (i, j) in (0..size).flat_map(|i| (0..size).map(move |j| (i, j))) {
                let products =
                    (0..size).map(|k| f64::from(b[i * size + k]) * f64::from(b[j * size + k]));
                a[i * size + j] = products.sum::<f64>() + if i == j { size as f64 } else { 0.0 };
            }
            let narrow: Vec<f32> = a.iter().map(|&v| v as f32).collect();
            let factor = Cholesky::new(size, narrow[..].into()).expect("positive definite");
            let want: Vec<f32> = (0..size).map(|_| rng.gaussian(0.0, 1.0)).collect();
            let product =
                |i: usize| (0..size).map(|j| a[i * size + j] * f64::from(want[j])).sum::<f64>();
            let mut x: Vec<f32> = (0..size).map(|i| product(i) as f32).collect();
            factor.solve(&mut x);
            let far = x.iter().zip(&want).map(|(x, w)| (x - w).abs()).fold(0.0, f32::max);
            assert!(far < 1e-3, "{size}: {far}");
        }
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_is_refused() {
        assert!(Cholesky::new(2, [1.0, 0.0, 2.0, 1.0][..].into()).is_none());
        assert!(Cholesky::new(2, [0.0, 0.0, 0.0, 1.0][..].into()).is_none());
    }
}
