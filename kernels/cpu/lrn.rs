//! Local response normalisation (Krizhevsky, Sutskever and Hinton, 2012).
//!
//! Flows in: one picture `(c, h, w)`. Flows out: the same shape.

use super::pool;
use super::simd::{Simd, SimdOp};
use super::table::Kernels;
use crate::ops::{LrnParams, PoolDims, Window};
use std::ops::Range;

/// Across channels: `y_c = x_c · (k + α/n · Σ x_j²)^−β`, j over the n channels around c.
///
/// `plane` is h·w. Channels beyond the first and the last count as zero.
pub fn across(p: &LrnParams, plane: usize, x: &[f32], y: &mut [f32]) {
    for c in 0..x.len() / plane {
        for i in 0..plane {
            let scale = scale(p, plane, x, c, i);
            y[c * plane + i] = x[c * plane + i] * scale.powf(-p.beta);
        }
    }
}

/// `s = k + α/n · Σ x_j²` at position i of channel c.
fn scale(p: &LrnParams, plane: usize, x: &[f32], c: usize, i: usize) -> f32 {
    let squares = neighbours(p, c, x.len() / plane).map(|j| x[j * plane + i].powi(2));
    p.k + p.alpha / p.size as f32 * squares.sum::<f32>()
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
        for c in 0..x.len() / plane {
            for i in (0..plane).step_by(S::LANES) {
                let (at, lanes) = (c * plane + i, S::LANES.min(plane - i));
                // SAFETY: `lanes` values from `i` on lie in each of the planes; the caller promises the
                // instruction set.
                unsafe {
                    let r = root::<S>(p, plane, x, c, i);
                    let scaled = load::<S>(x, at, lanes).mul(three_halves(r));
                    scaled.store_first(y.as_mut_ptr().add(at), lanes);
                }
            }
        }
    }
}

/// `s^−½` for a vector of positions of channel `c`, from `i` on.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
unsafe fn root<S: Simd>(p: &LrnParams, plane: usize, x: &[f32], c: usize, i: usize) -> S {
    // SAFETY: the caller's promise.
    unsafe {
        let mut squares = S::splat(0.0);
        for j in neighbours(p, c, x.len() / plane) {
            let v = load::<S>(x, j * plane + i, S::LANES.min(plane - i));
            squares = v.mul_add(v, squares);
        }
        S::splat(p.alpha / p.size as f32).mul_add(squares, S::splat(p.k)).rsqrt()
    }
}

/// `s^−¾ = r · √r` with `r = s^−½`, and `√r = r · r^−½`.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
unsafe fn three_halves<S: Simd>(r: S) -> S {
    // SAFETY: the caller's promise.
    unsafe { r.mul(r.mul(r.rsqrt())) }
}

/// `lanes` values from `at` on.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
unsafe fn load<S: Simd>(x: &[f32], at: usize, lanes: usize) -> S {
    let from = x[at..at + lanes].as_ptr();
    // SAFETY: the caller's promise, and the slice that was just cut.
    unsafe { if lanes == S::LANES { S::load(from) } else { S::load_first(from, lanes) } }
}

/// The gradient of [`across`], with `y` its output:
/// `dx_c = dy_c · s_c^−β − 2αβ/n · x_c · Σ dy_j · y_j / s_j`, j over the channels that have c near them.
pub fn across_back(p: &LrnParams, plane: usize, x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32]) {
    let channels = x.len() / plane;
    let mut ratio = vec![0.0; x.len()];
    for c in 0..channels {
        for i in 0..plane {
            let (s, at) = (scale(p, plane, x, c, i), c * plane + i);
            dx[at] = dy[at] * s.powf(-p.beta);
            ratio[at] = dy[at] * y[at] / s;
        }
    }
    let factor = 2.0 * p.alpha * p.beta / p.size as f32;
    for c in 0..channels {
        for i in 0..plane {
            let sum: f32 = concerned(p, c, channels).map(|j| ratio[j * plane + i]).sum();
            dx[c * plane + i] -= factor * x[c * plane + i] * sum;
        }
    }
}

/// The channels for which channel `c` counts: those whose [`neighbours`] contain it.
fn concerned(p: &LrnParams, c: usize, channels: usize) -> Range<usize> {
    let before = (p.size - 1) / 2;
    (c + 1 + before).saturating_sub(p.size)..(c + before + 1).min(channels)
}

/// The same in SIMD registers where β is ¾.
pub fn across_back_fast(
    kernels: &Kernels,
    p: &LrnParams,
    plane: usize,
    x: &[f32],
    y: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    if p.beta == 0.75 && p.k > 0.0 && p.alpha >= 0.0 {
        assert!([y.len(), dy.len(), dx.len()] == [x.len(); 3]);
        kernels.run(AcrossBack { p, plane, x, y, dy, dx });
    } else {
        across_back(p, plane, x, y, dy, dx);
    }
}

struct AcrossBack<'a> {
    p: &'a LrnParams,
    plane: usize,
    x: &'a [f32],
    y: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl SimdOp for AcrossBack<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { p, plane, x, y, dy, dx } = self;
        let channels = x.len() / plane;
        let mut ratio = vec![0.0; x.len()];
        for c in 0..channels {
            for i in (0..plane).step_by(S::LANES) {
                let (at, lanes) = (c * plane + i, S::LANES.min(plane - i));
                // SAFETY: as in `Across`, for slices of one length.
                unsafe {
                    let r = root::<S>(p, plane, x, c, i);
                    let dy = load::<S>(dy, at, lanes);
                    let along = dy.mul(load(y, at, lanes)).mul(r.mul(r));
                    dy.mul(three_halves(r)).store_first(dx.as_mut_ptr().add(at), lanes);
                    along.store_first(ratio.as_mut_ptr().add(at), lanes);
                }
            }
        }
        let factor = -2.0 * p.alpha * p.beta / p.size as f32;
        for c in 0..channels {
            for i in (0..plane).step_by(S::LANES) {
                let (at, lanes) = (c * plane + i, S::LANES.min(plane - i));
                // SAFETY: as above.
                unsafe {
                    let mut sum = S::splat(0.0);
                    for j in concerned(p, c, channels) {
                        sum = sum.add(load(&ratio, j * plane + i, lanes));
                    }
                    let x = load::<S>(x, at, lanes).mul(S::splat(factor));
                    let d = x.mul_add(sum, load(dx, at, lanes));
                    d.store_first(dx.as_mut_ptr().add(at), lanes);
                }
            }
        }
    }
}

/// Within each channel: `y = x · (1 + α · mean(x²))^−β`, the mean over a size×size window whose
/// padding counts as zeros, as in Caffe (which ignores k here).
pub fn within(p: &LrnParams, input: [usize; 2], x: &[f32], y: &mut [f32]) {
    let squares: Vec<f32> = x.iter().map(|v| v * v).collect();
    pool::ave(&square_windows(p, input), &squares, y);
    for (y, x) in y.iter_mut().zip(x) {
        *y = x * (1.0 + p.alpha * *y).powf(-p.beta);
    }
}

fn square_windows(p: &LrnParams, input: [usize; 2]) -> PoolDims {
    let window = Window {
        kernel: [p.size; 2],
        stride: [1; 2],
        pad: [(p.size - 1) / 2; 2],
        dilation: [1; 2],
    };
    PoolDims { input, output: input, window }
}

/// The gradient of [`within`], with `y` its output:
/// `dx = dy · s^−β − 2αβ · x · Σ dy_j · y_j / (s_j · area_j)`, j over the windows around each position.
pub fn within_back(
    p: &LrnParams,
    input: [usize; 2],
    x: &[f32],
    y: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let dims = square_windows(p, input);
    let squares: Vec<f32> = x.iter().map(|v| v * v).collect();
    let mut scale = vec![0.0; x.len()];
    pool::ave(&dims, &squares, &mut scale);
    scale.iter_mut().for_each(|s| *s = 1.0 + p.alpha * *s);
    let ratio: Vec<f32> = (0..x.len()).map(|i| dy[i] * y[i] / scale[i]).collect();
    pool::ave_back(&dims, &ratio, dx);
    let factor = 2.0 * p.alpha * p.beta;
    for (i, dx) in dx.iter_mut().enumerate() {
        *dx = dy[i] * scale[i].powf(-p.beta) - factor * x[i] * *dx;
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check, numbers};
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

    #[test]
    fn gradients_equal_differences_and_every_kernel_the_plain_one() {
        for (size, beta, k) in [(5, 0.75, 1.0), (3, 0.75, 2.0), (4, 0.75, 1.0), (5, 0.5, 1.0)] {
            let p = LrnParams { size, alpha: 3.0, beta, k };
            for (channels, plane) in [(1, 1), (4, 7), (9, 17), (6, 16)] {
                let x = numbers(channels * plane);
                let f = |x: &[f32]| {
                    let mut y = vec![0.0; x.len()];
                    across(&p, plane, x, &mut y);
                    y
                };
                check(&x, f, |dy| {
                    let (y, mut want) = (f(&x), vec![9.0; x.len()]);
                    across_back(&p, plane, &x, &y, dy, &mut want);
                    for kernels in available() {
                        let mut got = vec![9.0; x.len()];
                        across_back_fast(kernels, &p, plane, &x, &y, dy, &mut got);
                        for (w, g) in want.iter().zip(&got) {
                            assert!((w - g).abs() <= 5e-6, "{}: {w} {g}", kernels.name());
                        }
                    }
                    want
                });
            }
        }
    }

    #[test]
    fn gradients_within_a_channel_equal_differences() {
        for (size, input) in [(3, [5, 7]), (5, [6, 4]), (1, [2, 3])] {
            let p = LrnParams { size, alpha: 3.0, beta: 0.75, k: 2.0 };
            let x = numbers(2 * input[0] * input[1]);
            let f = |x: &[f32]| {
                let mut y = vec![0.0; x.len()];
                within(&p, input, x, &mut y);
                y
            };
            check(&x, f, |dy| {
                let (y, mut dx) = (f(&x), vec![9.0; x.len()]);
                within_back(&p, input, &x, &y, dy, &mut dx);
                dx
            });
        }
    }
}
