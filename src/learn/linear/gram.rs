//! What all Newton's steps of one set of samples have in common, factored once.
//!
//! ```text
//! M = r + Σ x xᵀ over all samples, the bias's 1 behind x
//! ```
//!
//! H / 2C has the same sum over the samples within the margin, most of them where C is large: after M⁻¹ it
//! is near the identity, and conjugate gradients need ten products with it in place of hundreds. The
//! products with H stay exact, so M may be rough: it is summed in tiles of `bf16` where there are some.

use super::Samples;
use super::cholesky::Cholesky;
use super::passes::kernels;
use likenet_kernels::cpu::gemm::{self, Matrix, Sizes, Start, Target, Workspace};
use likenet_kernels::memory::Buffer;
use likenet_kernels::ops::Algorithm;
use rayon::prelude::*;

/// Samples that are summed at a time.
const BLOCK: usize = 512;

/// Rows of M that one thread takes at a time.
const ROWS: usize = 256;

/// The factor of M.
pub(super) struct Gram {
    factor: Cholesky,
    columns: usize,
}

impl Gram {
    /// Whether M would be no larger than the samples themselves.
    pub fn fits(samples: &Samples) -> bool {
        samples.matrix.columns() < samples.len()
    }

    /// Sums and factors; nothing where rounding leaves no positive definite matrix.
    pub fn new(samples: &Samples, ridge: f64) -> Option<Self> {
        let columns = samples.matrix.columns();
        let size = columns + 1;
        let mut sums = Buffer::<f32>::zeroed(size * size);
        let mut block = vec![0f32; BLOCK * size];
        for first in (0..samples.len()).step_by(BLOCK) {
            let count = BLOCK.min(samples.len() - first);
            let rows = block.par_chunks_mut(size).take(count).enumerate();
            rows.for_each(|(i, row)| {
                row.fill(0.0);
                row[columns] = 1.0;
                samples.row(first + i).each(|column, value| row[column] = value);
            });
            add_products(&block[..count * size], size, &mut sums);
        }
        (0..size).for_each(|i| sums[i * size + i] += ridge as f32);
        Some(Self { factor: Cholesky::new(size, sums)?, columns })
    }

    /// M⁻¹ · v, where the bias's element is the last of `v`, and those between are 0.
    pub fn solve(&self, v: &[f64]) -> Vec<f64> {
        let mut x: Vec<f32> = v[..self.columns].iter().map(|&v| v as f32).collect();
        x.push(v[v.len() - 1] as f32);
        self.factor.solve(&mut x);
        let mut out = vec![0.0; v.len()];
        out.iter_mut().zip(&x[..self.columns]).for_each(|(o, &x)| *o = x.into());
        out[v.len() - 1] = x[self.columns].into();
        out
    }
}

/// Adds `Bᵀ·B` of a block of rows to the lower triangle of `sums`.
fn add_products(block: &[f32], size: usize, sums: &mut [f32]) {
    let how = if kernels().has_tiles() { Algorithm::Tiles } else { Algorithm::Gemm };
    let parts = sums.par_chunks_mut(ROWS * size).enumerate();
    parts.for_each_init(
        || Workspace::new(kernels()),
        |work, (part, data)| {
            let (from, m) = (part * ROWS, data.len() / size);
            let s = Sizes { m, n: from + m, k: block.len() / size };
            let left = Matrix::transposed(&block[from..], size);
            let c = Target { data, row: size, start: Start::C, relu: None };
            gemm::once(work, how, s, left, Matrix::rows(block, size), c);
        },
    );
}
