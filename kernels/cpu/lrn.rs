//! Local response normalisation (Krizhevsky, Sutskever and Hinton, 2012).
//!
//! Flows in: one picture `(c, h, w)`. Flows out: the same shape.

use crate::ops::{LrnParams, PoolDims, Window};

/// Across channels: `y_c = x_c · (k + α/n · Σ x_j²)^−β`, j over the n channels around c.
///
/// `plane` is h·w. Channels beyond the first and the last count as zero.
pub fn across(p: &LrnParams, plane: usize, x: &[f32], y: &mut [f32]) {
    let channels = x.len() / plane;
    let before = (p.size - 1) / 2;
    let per = p.alpha / p.size as f32;
    let mut scale = vec![0f32; plane];
    for c in 0..channels {
        scale.fill(0.0);
        let neighbours = c.saturating_sub(before)..(c + p.size - before).min(channels);
        for values in x[neighbours.start * plane..neighbours.end * plane].chunks_exact(plane) {
            scale.iter_mut().zip(values).for_each(|(s, v)| *s += v * v);
        }
        let (xs, ys) = (&x[c * plane..][..plane], &mut y[c * plane..][..plane]);
        let each = ys.iter_mut().zip(xs).zip(&scale);
        if p.beta == 0.75 {
            each.for_each(|((y, x), s)| *y = x * inverse_three_quarters(p.k + per * s));
        } else {
            each.for_each(|((y, x), s)| *y = x * (p.k + per * s).powf(-p.beta));
        }
    }
}

/// `s^−¾` from two square roots, which vectorise where `powf` does not.
#[inline]
fn inverse_three_quarters(s: f32) -> f32 {
    let root = s.sqrt();
    1.0 / (root * root.sqrt())
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
}
