//! Softmax along an axis: `yᵢ = e^(xᵢ − m) / Σ e^(xⱼ − m)` with m the largest x, so nothing overflows.

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

#[cfg(test)]
mod tests {
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
}
