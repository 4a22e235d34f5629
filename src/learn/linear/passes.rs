//! What every solver does with all samples: margins, and sums of samples.
//!
//! Samples are taken in [`PARTS`] parts, side by side; sums of parts are added in order. So the results
//! have the same bits on any number of threads.

use super::{Linear, Samples};
use crate::error::{Error, Result};
use crate::learn::Matrix;
use likenet_kernels::cpu::rows::Row;
use likenet_kernels::cpu::table::{Kernels, best};
use rayon::prelude::*;
use std::ops::{AddAssign, Range};
use std::sync::LazyLock;

/// Parts that a pass is cut into.
const PARTS: usize = 8;

/// The instruction set that everything here runs on.
static KERNELS: LazyLock<std::result::Result<&'static Kernels, String>> = LazyLock::new(best);

/// Fails when `LIKENET_ISA` names an instruction set that this machine lacks: a forced set never falls back.
pub fn check_kernels() -> Result<()> {
    KERNELS.as_ref().map(drop).map_err(|reason| Error::Invalid(reason.clone()))
}

/// The kernels for rows. Whoever starts something that needs them calls [`check_kernels`] first.
///
/// # Panics
/// Where that fails.
pub(super) fn kernels() -> &'static Kernels {
    match &*KERNELS {
        Ok(kernels) => kernels,
        Err(reason) => panic!("{reason}"),
    }
}

/// ‖x‖² of each sample, the bias's 1 not among it.
pub(super) fn norms(samples: &Samples) -> Vec<f64> {
    let norm = |i| {
        let mut sum = 0.0;
        samples.row(i).each(|_, v| sum += f64::from(v) * f64::from(v));
        sum
    };
    (0..samples.len()).into_par_iter().with_min_len(64).map(norm).collect()
}

/// a·b.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The parts of `n` samples.
pub(super) fn parts(n: usize) -> Vec<Range<usize>> {
    (0..PARTS).map(|p| p * n / PARTS..(p + 1) * n / PARTS).collect()
}

/// w·x + b of each sample, in `f64`; `w` is as wide as the matrix says.
pub(super) fn scores(samples: &Samples, w: &[f64], b: f64) -> Vec<f64> {
    let score = |i| samples.row(i).dot_wide(kernels(), w) + b;
    let parts = parts(samples.len()).into_par_iter();
    parts.map(|part| part.map(score).collect::<Vec<f64>>()).collect::<Vec<_>>().concat()
}

/// Σ factor(i) · xᵢ and Σ factor(i), in `f64`; samples whose factor is 0 are not looked at.
pub(super) fn sum(samples: &Samples, factor: impl Fn(usize) -> f64 + Sync) -> (Vec<f64>, f64) {
    summed(samples, |i, row, w| {
        let factor = factor(i);
        if factor != 0.0 {
            row.add_to_wide(kernels(), factor, w);
        }
        factor
    })
}

/// `Σ each(i, xᵢ)`: what `each` adds to the vector it is given and what it returns, summed over samples, then
/// over parts.
pub(super) fn summed<T: Copy + Default + AddAssign + Send>(
    samples: &Samples,
    each: impl Fn(usize, Row, &mut [T]) -> T + Sync,
) -> (Vec<T>, T) {
    let part = |part: Range<usize>| {
        let (mut w, mut b) = (vec![T::default(); samples.matrix.width()], T::default());
        part.for_each(|i| b += each(i, samples.row(i), &mut w));
        (w, b)
    };
    let parts: Vec<_> = parts(samples.len()).into_par_iter().map(part).collect();
    let add = |(mut w, mut b): (Vec<T>, T), (part, c): (Vec<T>, T)| {
        w.iter_mut().zip(part).for_each(|(w, v)| *w += v);
        b += c;
        (w, b)
    };
    parts.into_iter().reduce(add).unwrap_or_default()
}

/// A solution from vectors as wide as the matrix says.
pub(super) fn linear(samples: &Samples, mut w: Vec<f64>, b: f64) -> Linear {
    w.truncate(samples.matrix.columns());
    Linear { weights: w, bias: b }
}

/// Scores of some rows of a matrix, w·x + b, in `f64`.
///
/// # Panics
/// When the matrix has other columns than there are weights, or no such row.
pub fn predict(linear: &Linear, matrix: &Matrix, rows: &[u32]) -> Vec<f64> {
    assert_eq!(matrix.columns(), linear.weights.len());
    let mut w = linear.weights.clone();
    w.resize(matrix.width(), 0.0);
    scores(&Samples { matrix, rows, labels: &[] }, &w, linear.bias)
}
