//! Normalisation by mean and variance: batch normalisation (Ioffe and Szegedy, 2015) and Caffe's MVN.

use super::elementwise::sum_products;
use crate::ops::AxisView;

/// Mean of each index of the axis, over all outer and inner positions.
pub fn mean(v: AxisView, x: &[f32], mean: &mut [f32]) {
    each_channel(v, x, mean, |_, x| x as f64);
}

/// Biased variance of each index of the axis around its given mean.
pub fn variance(v: AxisView, x: &[f32], mean: &[f32], variance: &mut [f32]) {
    each_channel(v, x, variance, |i, x| (x as f64 - mean[i] as f64).powi(2));
}

fn each_channel(v: AxisView, x: &[f32], out: &mut [f32], f: impl Fn(usize, f32) -> f64) {
    for (i, out) in out.iter_mut().enumerate() {
        let rows = x[i * v.inner..].chunks(v.inner).step_by(v.len);
        let sum: f64 = rows.flatten().map(|&x| f(i, x)).sum();
        *out = (sum / (v.outer * v.inner) as f64) as f32;
    }
}

/// `y = (y − meanᵢ) / √(varianceᵢ + eps)` in place, i along the axis.
pub fn standardise(v: AxisView, mean: &[f32], variance: &[f32], eps: f32, y: &mut [f32]) {
    for (row, i) in y.chunks_exact_mut(v.inner).zip((0..v.len).cycle()) {
        let deviation = (variance[i] + eps).sqrt();
        row.iter_mut().for_each(|y| *y = (*y - mean[i]) / deviation);
    }
}

/// The gradient of [`standardise`] where mean and variance are those of `x` itself, with `y` its output:
/// `dx = (dy − mean(dy) − y · mean(dy · y)) / √(varianceᵢ + eps)`, means over channel i.
pub fn standardise_back(
    v: AxisView,
    variance: &[f32],
    eps: f32,
    y: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let (mut sum, mut along) = (vec![0.0; v.len], vec![0.0; v.len]);
    sum_products(v, dy, None, &mut sum);
    sum_products(v, dy, Some(y), &mut along);
    let count = (v.outer * v.inner) as f32;
    for (r, dx) in dx.chunks_exact_mut(v.inner).enumerate() {
        let i = r % v.len;
        let (mean, along) = (sum[i] / count, along[i] / count);
        let deviation = (variance[i] + eps).sqrt();
        for (dx, at) in dx.iter_mut().zip(r * v.inner..) {
            *dx = (dy[at] - mean - y[at] * along) / deviation;
        }
    }
}

/// The gradient of [`standardise`] with stored mean and variance: `dx = dy / √(varianceᵢ + eps)`.
pub fn stored_standardise_back(
    v: AxisView,
    variance: &[f32],
    eps: f32,
    dy: &[f32],
    dx: &mut [f32],
) {
    let rows = dx.chunks_exact_mut(v.inner).zip(dy.chunks_exact(v.inner));
    for ((dx, dy), i) in rows.zip((0..v.len).cycle()) {
        let deviation = (variance[i] + eps).sqrt();
        dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = dy / deviation);
    }
}

/// Each row of `len` elements minus its mean and, if `deviation` is given, divided by
/// `√variance + deviation`, in place.
pub fn mvn(len: usize, deviation: Option<f32>, y: &mut [f32]) {
    for row in y.chunks_exact_mut(len) {
        let mean = row.iter().map(|&x| x as f64).sum::<f64>() / len as f64;
        row.iter_mut().for_each(|x| *x = (*x as f64 - mean) as f32);
        if let Some(eps) = deviation {
            let variance = row.iter().map(|&x| (x as f64).powi(2)).sum::<f64>() / len as f64;
            let divisor = variance.sqrt() as f32 + eps;
            row.iter_mut().for_each(|x| *x /= divisor);
        }
    }
}

/// The gradient of [`mvn`], with `y` its output: `dx = dy − mean(dy)` in each row and, if `deviation` is
/// given, `(dy − mean(dy) − y · mean(dy · y)) / (√variance + deviation)`.
pub fn mvn_back(
    len: usize,
    deviation: Option<f32>,
    x: &[f32],
    y: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / len as f64;
    for (r, dx) in dx.chunks_exact_mut(len).enumerate() {
        let row = r * len..(r + 1) * len;
        let (x, y, dy) = (&x[row.clone()], &y[row.clone()], &dy[row]);
        let (mut along, mut divisor) = (0.0, 1.0);
        if let Some(eps) = deviation {
            let center = mean(&mut x.iter().map(|&x| x as f64));
            let variance = mean(&mut x.iter().map(|&x| (x as f64 - center).powi(2)));
            along = mean(&mut dy.iter().zip(y).map(|(&dy, &y)| dy as f64 * y as f64));
            divisor = variance.sqrt() + eps as f64;
        }
        let level = mean(&mut dy.iter().map(|&dy| dy as f64));
        for ((dx, &dy), &y) in dx.iter_mut().zip(dy).zip(y) {
            *dx = ((dy as f64 - level - y as f64 * along) / divisor) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check, numbers};
    use super::*;

    #[test]
    fn moments_of_two_channels_by_hand() {
        let v = AxisView { outer: 2, len: 2, inner: 2 };
        let x = [1.0, 3.0, 10.0, 10.0, 5.0, 7.0, 10.0, 10.0];
        let (mut mu, mut var) = ([0.0; 2], [0.0; 2]);
        mean(v, &x, &mut mu);
        variance(v, &x, &mu, &mut var);
        assert_eq!((mu, var), ([4.0, 10.0], [5.0, 0.0]));
    }

    #[test]
    fn mvn_gives_mean_zero_and_variance_one() {
        let mut y = [1.0, 2.0, 3.0, 4.0];
        mvn(4, Some(0.0), &mut y);
        assert!((y.iter().map(|y| y * y).sum::<f32>() / 4.0 - 1.0).abs() < 1e-6);
        assert!(y.iter().sum::<f32>().abs() < 1e-6);
    }

    #[test]
    fn gradients_equal_differences() {
        let v = AxisView { outer: 3, len: 2, inner: 5 };
        let x = numbers(30);
        let moments = |x: &[f32]| {
            let (mut mu, mut var) = ([0.0; 2], [0.0; 2]);
            mean(v, x, &mut mu);
            variance(v, x, &mu, &mut var);
            (mu, var)
        };
        let f = |x: &[f32], (mu, var): ([f32; 2], [f32; 2])| {
            let mut y = x.to_vec();
            standardise(v, &mu, &var, 0.1, &mut y);
            y
        };
        let stored = moments(&x);
        check(
            &x,
            |x| f(x, moments(x)),
            |dy| {
                let mut dx = vec![9.0; x.len()];
                standardise_back(v, &stored.1, 0.1, &f(&x, stored), dy, &mut dx);
                dx
            },
        );
        check(
            &x,
            |x| f(x, stored),
            |dy| {
                let mut dx = vec![9.0; x.len()];
                stored_standardise_back(v, &stored.1, 0.1, dy, &mut dx);
                dx
            },
        );
    }

    #[test]
    fn gradients_of_rows_equal_differences() {
        let x = numbers(3 * 11);
        for deviation in [None, Some(1e-9)] {
            let f = |x: &[f32]| {
                let mut y = x.to_vec();
                mvn(11, deviation, &mut y);
                y
            };
            check(&x, f, |dy| {
                let mut dx = vec![9.0; x.len()];
                mvn_back(11, deviation, &x, &f(&x), dy, &mut dx);
                dx
            });
        }
    }
}
