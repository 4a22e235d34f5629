//! Local response normalisation (Krizhevsky, Sutskever and Hinton, 2012).
//!
//! Flows in: one picture `(c, h, w)`. Flows out: the same shape.

use super::simd::{Simd, SimdOp};
use super::table::Kernels;
use crate::ops::{LrnParams, PoolDims, Window};
use std::ops::Range;

/// Across channels: `y_c = x_c · (k + α/n · Σ x_j²)^−β`, j over the n channels around c.
///
/// `plane` is h·w. Channels beyond the first and the last count as zero.
pub fn across(p: &LrnParams, plane: usize, x: &[f32], y: &mut [f32]) {
    let per = p.alpha / p.size as f32;
    let channels = x.len() / plane;
    for c in 0..channels {
        for i in 0..plane {
            let squares = neighbours(p, c, channels).map(|j| x[j * plane + i].powi(2));
            let scale = p.k + per * squares.sum::<f32>();
            y[c * plane + i] = x[c * plane + i] * scale.powf(-p.beta);
        }
    }
}

/// The channels whose squares count for channel `c`.
fn neighbours(p: &LrnParams, c: usize, channels: usize) -> Range<usize> {
    let before = (p.size - 1) / 2;
    c.saturating_sub(before)..(c + p.size - before).min(channels)
}

/// The same in SIMD registers where β is ¾, as in every published network.
pub fn across_fast(kernels: &Kernels, p: &LrnParams, plane: usize, x: &[f32], y: &mut [f32]) {
    if p.beta == 0.75 && p.k > 0.0 && p.alpha >= 0.0 {
        assert_eq!(x.len(), y.len());
        kernels.run(Across { p, plane, x, y });
    } else {
        across(p, plane, x, y);
    }
}

struct Across<'a> {
    p: &'a LrnParams,
    plane: usize,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl SimdOp for Across<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { p, plane, x, y } = self;
        let channels = x.len() / plane;
        for c in 0..channels {
            let near = neighbours(p, c, channels);
            let (first, around) = (near.start * plane, near.len());
            for i in (0..plane).step_by(S::LANES) {
                let lanes = S::LANES.min(plane - i);
                // SAFETY: `lanes` values from `i` on lie in each of the planes; the caller promises the
                // instruction set.
                unsafe {
                    let load = |at: usize| match lanes == S::LANES {
                        true => S::load(x.as_ptr().add(at + i)),
                        false => S::load_first(x.as_ptr().add(at + i), lanes),
                    };
                    let mut squares = S::splat(0.0);
                    for j in 0..around {
                        let v = load(first + j * plane);
                        squares = v.mul_add(v, squares);
                    }
                    let per = S::splat(p.alpha / p.size as f32);
                    // s^−¾ = r · √r with r = s^−½, and √r = r · r^−½.
                    let r = per.mul_add(squares, S::splat(p.k)).rsqrt();
                    let scaled = load(c * plane).mul(r).mul(r.mul(r.rsqrt()));
                    scaled.store_first(y.as_mut_ptr().add(c * plane + i), lanes);
                }
            }
        }
    }
}

/// Within each channel: `y = x · (1 + α · mean(x²))^−β`, the mean over a size×size window whose
/// padding counts as zeros, as in Caffe (which ignores k here).
pub fn within(p: &LrnParams, input: [usize; 2], x: &[f32], y: &mut [f32]) {
    let squares: Vec<f32> = x.iter().map(|v| v * v).collect();
    let window = Window {
        kernel: [p.size; 2],
        stride: [1; 2],
        pad: [(p.size - 1) / 2; 2],
        dilation: [1; 2],
    };
    let dims = PoolDims { input, output: input, window };
    super::pool::ave(&dims, &squares, y);
    for (y, x) in y.iter_mut().zip(x) {
        *y = x * (1.0 + p.alpha * *y).powf(-p.beta);
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::available;
    use super::*;

    #[test]
    fn three_channels_by_hand() {
        let p = LrnParams { size: 3, alpha: 3.0, beta: 0.75, k: 1.0 };
        let mut y = [0.0; 3];
        across(&p, 1, &[1.0, 2.0, 3.0], &mut y);
        for (got, (x, sum)) in y.iter().zip([(1.0, 5.0), (2.0, 14.0), (3.0, 13.0)]) {
            let want = x / (1.0f32 + sum).powf(0.75);
            assert!((got - want).abs() < 1e-6);
        }
    }

    #[test]
    fn every_kernel_equals_plain_on_tails() {
        for (beta, k) in [(0.75, 1.0), (0.75, 2.0), (0.5, 1.0), (0.75, 0.0)] {
            let p = LrnParams { size: 5, alpha: 0.3, beta, k };
            for (channels, plane) in [(1, 1), (4, 7), (5, 8), (9, 33), (6, 16)] {
                let number = |i: usize| (i * 7919 % 1009) as f32 / 50.0 - 10.0;
                let x: Vec<f32> = (0..channels * plane).map(number).collect();
                let mut want = vec![0.0; x.len()];
                across(&p, plane, &x, &mut want);
                for kernels in available() {
                    let mut got = vec![9.0; x.len()];
                    across_fast(kernels, &p, plane, &x, &mut got);
                    for (w, g) in want.iter().zip(&got) {
                        assert!((w - g).abs() <= 2e-6 * w.abs(), "{}: {w} {g}", kernels.name());
                    }
                }
            }
        }
    }
}
