//! Rows reduced to one number each.

use super::elementwise::sign;
use crate::ops::Reduction;

/// `y[r] = coeff · op(row r)`, rows of `len` contiguous elements, sums in `f64`.
pub fn reduce(op: Reduction, len: usize, coeff: f32, x: &[f32], y: &mut [f32]) {
    for (row, out) in x.chunks_exact(len).zip(y) {
        let values = row.iter().map(|&v| v as f64);
        let sum: f64 = match op {
            Reduction::Sum | Reduction::Mean => values.sum(),
            Reduction::Asum => values.map(f64::abs).sum(),
            Reduction::SumSq => values.map(|v| v * v).sum(),
        };
        let divisor = if op == Reduction::Mean { len as f64 } else { 1.0 };
        *out = (coeff as f64 * sum / divisor) as f32;
    }
}

/// The gradient of [`reduce`]: `dx = coeff · op′(x) · dy[r]` in row r; the slope of |x| at 0 is 0.
pub fn reduce_back(op: Reduction, len: usize, coeff: f32, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    for ((dx, x), dy) in dx.chunks_exact_mut(len).zip(x.chunks_exact(len)).zip(dy) {
        for (dx, x) in dx.iter_mut().zip(x) {
            *dx = coeff
                * dy
                * match op {
                    Reduction::Sum => 1.0,
                    Reduction::Mean => 1.0 / len as f32,
                    Reduction::Asum => sign(*x),
                    Reduction::SumSq => 2.0 * x,
                };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check, distant};
    use super::*;

    #[test]
    fn each_reduction_by_hand() {
        let x = [1.0, -2.0, 3.0];
        let of = |op| {
            let mut y = [0.0];
            reduce(op, 3, 2.0, &x, &mut y);
            y[0]
        };
        assert_eq!(of(Reduction::Sum), 4.0);
        assert_eq!(of(Reduction::Asum), 12.0);
        assert_eq!(of(Reduction::SumSq), 28.0);
        assert!((of(Reduction::Mean) - 4.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn gradients_equal_differences() {
        let x = distant(3 * 7);
        for op in [Reduction::Sum, Reduction::Asum, Reduction::SumSq, Reduction::Mean] {
            let f = |x: &[f32]| {
                let mut y = vec![0.0; 3];
                reduce(op, 7, 1.5, x, &mut y);
                y
            };
            check(&x, f, |dy| {
                let mut dx = vec![9.0; x.len()];
                reduce_back(op, 7, 1.5, &x, dy, &mut dx);
                dx
            });
        }
        let mut dx = [9.0];
        reduce_back(Reduction::Asum, 1, 1.0, &[0.0], &[1.0], &mut dx);
        assert_eq!(dx, [0.0]);
    }
}
