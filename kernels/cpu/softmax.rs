//! Softmax along an axis: `yᵢ = e^(xᵢ − m) / Σ e^(xⱼ − m)` with m the largest x, so nothing overflows.

use super::table::Kernels;
use crate::ops::AxisView;

/// Softmax of every row along the axis; `x` and `y` hold any number of outer blocks.
pub fn softmax(v: AxisView, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.chunks_exact(v.block()).zip(y.chunks_exact_mut(v.block())) {
        for i in 0..v.inner {
            let row = || x[i..].iter().step_by(v.inner);
            let top = row().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0f32;
            for (out, x) in y[i..].iter_mut().step_by(v.inner).zip(row()) {
                *out = (x - top).exp();
                sum += *out;
            }
            let row = y[i..].iter_mut().step_by(v.inner);
            row.for_each(|out| *out /= sum);
        }
    }
}

/// The gradient of [`softmax`], with `y` its output: `dxᵢ = yᵢ · (dyᵢ − Σ dyⱼ · yⱼ)`.
pub fn softmax_back(v: AxisView, y: &[f32], dy: &[f32], dx: &mut [f32]) {
    for (block, dx) in dx.chunks_exact_mut(v.block()).enumerate() {
        for i in 0..v.inner {
            let first = block * v.block() + i;
            let row = || (0..v.len).map(|j| first + j * v.inner);
            let dot: f32 = row().map(|at| dy[at] * y[at]).sum();
            for (dx, at) in dx[i..].iter_mut().step_by(v.inner).zip(row()) {
                *dx = y[at] * (dy[at] - dot);
            }
        }
    }
}

/// The same, compiled for the machine's instruction set where rows lie in one piece.
pub fn fast(kernels: &Kernels, v: AxisView, x: &[f32], y: &mut [f32]) {
    if v.inner > 1 {
        return softmax(v, x, y);
    }
    kernels.compile(|| {
        for (x, y) in x.chunks_exact(v.len).zip(y.chunks_exact_mut(v.len)) {
            row(x, y);
        }
    });
}

/// Values that are added or compared side by side.
const WIDTH: usize = 16;

#[inline(always)]
fn row(x: &[f32], y: &mut [f32]) {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (chunks, rest) = x.as_chunks::<WIDTH>();
    let mut tops = [f32::NEG_INFINITY; WIDTH];
    for chunk in chunks {
        tops.iter_mut().zip(chunk).for_each(|(top, x)| *top = larger(*top, *x));
    }
    let top = tops.iter().chain(rest).fold(f32::NEG_INFINITY, |a, b| larger(a, *b));
    y.iter_mut().zip(x).for_each(|(y, x)| *y = exp(x - top));
    let (chunks, rest) = y.as_chunks::<WIDTH>();
    let mut sums = [0f32; WIDTH];
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, y)| *sum += y);
    }
    let sum: f32 = sums.iter().chain(rest).sum();
    y.iter_mut().for_each(|y| *y /= sum);
}

/// eˣ for x ≤ 0 within 2⁻²² of its value, without a call or a branch: 2ⁿ·eᶠ with |f| ≤ ½ ln 2, the latter by
/// Taylor's series. Zero where numbers of full precision end.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    /// Added to a small number, leaves its nearest integer in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    /// The logarithm of the smallest such number.
    const LEAST: f32 = -87.336_55;
    let small = x < LEAST;
    let x = if small { LEAST } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts: the first has so few bits that n times it is exact.
    let f = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut sum = 1.0 / 5040.0;
    for factorial in [720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0] {
        sum = sum * f + 1.0 / factorial;
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    if small { 0.0 } else { sum * f32::from_bits(exponent << 23) }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check, numbers};
    use super::super::table::available;
    use super::*;

    #[test]
    fn rows_sum_to_one_whatever_their_size() {
        let v = AxisView { outer: 1, len: 3, inner: 2 };
        let mut y = [0.0; 6];
        softmax(v, &[1000.0, -1000.0, 1001.0, -1000.0, 999.0, -1000.0], &mut y);
        assert!((y[0] + y[2] + y[4] - 1.0).abs() < 1e-6);
        assert!((y[1] - 1.0 / 3.0).abs() < 1e-6);
        assert!((y[2] / y[0] - std::f32::consts::E).abs() < 1e-5);
    }

    #[test]
    fn fast_rows_equal_the_plain_ones() {
        for kernels in available() {
            for len in [1, 5, 16, 37, 1000] {
                let number = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 8.0 - 60.0;
                let x: Vec<f32> = (0..2 * len).map(number).collect();
                let v = AxisView { outer: 2, len, inner: 1 };
                let (mut want, mut got) = (vec![0.0; 2 * len], vec![9.0; 2 * len]);
                softmax(v, &x, &mut want);
                fast(kernels, v, &x, &mut got);
                for (w, g) in want.iter().zip(&got) {
                    assert!((w - g).abs() <= 2e-6 * w + 1e-37, "{} {len}: {w} {g}", kernels.name());
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_stays_none() {
        let v = AxisView { outer: 1, len: 20, inner: 1 };
        let mut x = [0.0; 20];
        x[3] = f32::NAN;
        let mut y = [0.0; 20];
        fast(&available()[0], v, &x, &mut y);
        assert!(y.iter().all(|y| y.is_nan()));
    }

    #[test]
    fn the_gradient_equals_differences() {
        for (outer, len, inner) in [(1, 7, 1), (3, 17, 1), (2, 5, 3)] {
            let v = AxisView { outer, len, inner };
            let x = numbers(outer * len * inner);
            let f = |x: &[f32]| {
                let mut y = vec![0.0; x.len()];
                softmax(v, x, &mut y);
                y
            };
            check(&x, f, |dy| {
                let mut dx = vec![9.0; x.len()];
                softmax_back(v, &f(&x), dy, &mut dx);
                dx
            });
        }
    }
}
