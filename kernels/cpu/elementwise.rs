//! Functions applied to each element, sums and products of blobs, broadcasts along an axis.
//!
//! Flows in: slices of one length (or a vector to broadcast). Flows out: the changed slice.

use super::table::Kernels;
use crate::ops::{AxisView, BlockCopy, Eltwise, Unary};

/// [`unary`], compiled for the machine's instruction set.
pub fn unary_fast(kernels: &Kernels, op: &Unary, y: &mut [f32]) {
    kernels.compile(|| unary(op, y));
}

/// Applies `op` to each element in place.
#[inline(always)]
pub fn unary(op: &Unary, y: &mut [f32]) {
    #[inline(always)]
    fn each(y: &mut [f32], f: impl Fn(f32) -> f32) {
        y.iter_mut().for_each(|v| *v = f(*v));
    }
    match *op {
        Unary::Relu { slope: 0.0 } => each(y, |x| if x > 0.0 { x } else { 0.0 }),
        Unary::Relu { slope } => each(y, |x| if x > 0.0 { x } else { slope * x }),
        Unary::Elu { alpha } => each(y, |x| if x > 0.0 { x } else { alpha * x.exp_m1() }),
        Unary::Sigmoid => each(y, sigmoid),
        Unary::TanH => each(y, f32::tanh),
        Unary::AbsVal => each(y, f32::abs),
        Unary::Power { power, scale, shift } => {
            if power == 1.0 {
                each(y, |x| shift + scale * x);
            } else {
                each(y, |x| (shift + scale * x).powf(power));
            }
        }
        Unary::Exp { base, scale, shift } => {
            let ln = base.map_or(1.0, f32::ln);
            each(y, |x| (ln * (shift + scale * x)).exp());
        }
        Unary::Log { base, scale, shift } => {
            let per_ln = base.map_or(1.0, |b| 1.0 / b.ln());
            each(y, |x| (shift + scale * x).ln() * per_ln);
        }
        Unary::Bnll => each(y, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
        Unary::Clip { low, high } => each(y, |x| x.max(low).min(high)),
        Unary::Swish { beta } => each(y, |x| x * sigmoid(beta * x)),
        Unary::Threshold { threshold } => each(y, |x| if x > threshold { 1.0 } else { 0.0 }),
    }
}

/// The logistic function by way of tanh, which cannot overflow.
pub fn sigmoid(x: f32) -> f32 {
    0.5 * (0.5 * x).tanh() + 0.5
}

/// `y = x > 0 ? x : slopeᵢ · x` in place; one slope for each index of the axis.
pub fn prelu(v: AxisView, slope: &[f32], y: &mut [f32]) {
    for (row, i) in y.chunks_exact_mut(v.inner).zip((0..v.len).cycle()) {
        for x in row {
            *x = if *x > 0.0 { *x } else { slope[i] * *x };
        }
    }
}

/// `y = y · scaleᵢ + biasᵢ` in place, i along the axis.
pub fn scale_bias(v: AxisView, scale: Option<&[f32]>, bias: Option<&[f32]>, y: &mut [f32]) {
    if v.inner == 0 {
        return;
    }
    for (row, i) in y.chunks_exact_mut(v.inner).zip((0..v.len).cycle()) {
        let s = scale.map_or(1.0, |s| s[i]);
        let b = bias.map_or(0.0, |b| b[i]);
        row.iter_mut().for_each(|x| *x = *x * s + b);
    }
}

/// Several slices of one length become one.
pub fn eltwise(op: &Eltwise, inputs: &[&[f32]], y: &mut [f32]) {
    let (first, rest) = inputs.split_first().expect("eltwise has an input");
    y.copy_from_slice(first);
    match op {
        Eltwise::Sum(c) => {
            y.iter_mut().for_each(|v| *v *= c[0]);
            for (x, c) in rest.iter().zip(&c[1..]) {
                y.iter_mut().zip(*x).for_each(|(v, x)| *v += c * x);
            }
        }
        Eltwise::Prod => {
            for x in rest {
                y.iter_mut().zip(*x).for_each(|(v, x)| *v *= x);
            }
        }
        Eltwise::Max => {
            for x in rest {
                let pairs = y.iter_mut().zip(*x);
                pairs.for_each(|(v, x)| *v = if *v > *x { *v } else { *x });
            }
        }
    }
}

/// `y = a · x + b · y`.
pub fn axpby(a: f32, x: &[f32], b: f32, y: &mut [f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y = a * x + b * *y);
}

/// Dropout in place: element i is zeroed with probability `ratio`, else multiplied by 1/(1 − ratio).
///
/// Whether i is dropped follows from `seed` and `first + i` alone, so that the backward pass, another
/// thread or another backend finds the same mask without storing it.
pub fn dropout(ratio: f32, seed: u64, first: usize, y: &mut [f32]) {
    let scale = 1.0 / (1.0 - ratio);
    let bound = (ratio as f64 * u64::MAX as f64) as u64;
    for (i, v) in (first as u64..).zip(y) {
        *v = if mix(seed ^ mix(i)) < bound { 0.0 } else { *v * scale };
    }
}

/// SplitMix64's output function: a bijection that scatters neighbouring numbers.
fn mix(i: u64) -> u64 {
    let z = i.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Copies equally spaced blocks from `x` to `y`.
pub fn copy_blocks(c: &BlockCopy, x: &[f32], y: &mut [f32]) {
    for i in 0..c.count {
        let (from, to) = (c.from[0] + i * c.from[1], c.to[0] + i * c.to[1]);
        y[to..to + c.len].copy_from_slice(&x[from..from + c.len]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extreme_arguments_stay_finite() {
        for op in [Unary::Sigmoid, Unary::Bnll, Unary::TanH, Unary::Elu { alpha: 1.0 }] {
            let mut y = [-200.0, -0.0, 0.0, 88.0];
            unary(&op, &mut y);
            assert!(y.iter().all(|v| v.is_finite()), "{op:?} {y:?}");
        }
    }

    #[test]
    fn dropout_keeps_the_mean_and_follows_from_its_seed() {
        let mut whole = vec![1.0; 100_000];
        dropout(0.3, 5, 0, &mut whole);
        let mean = whole.iter().sum::<f32>() / 100_000.0;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        let mut part = vec![1.0; 500];
        dropout(0.3, 5, 700, &mut part);
        assert_eq!(part, whole[700..1200]);
    }

    #[test]
    fn a_tie_goes_to_the_later_input() {
        let mut y = [0.0];
        eltwise(&Eltwise::Max, &[&[0.0], &[-0.0]], &mut y);
        assert!(y[0].is_sign_negative());
    }
}
