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

/// [`unary_back`], compiled for the machine's instruction set.
pub fn unary_back_fast(
    kernels: &Kernels,
    op: &Unary,
    x: &[f32],
    y: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    kernels.compile(|| unary_back(op, x, y, dy, dx));
}

/// `dx = dy · op′(x)`, all of one length; `y` is `op(x)`. For a ReLU whose slope is not negative, `y` may stand
/// in for `x`: both are positive at once. A corner has the slope that it has in Caffe; a threshold has none.
#[inline(always)]
pub fn unary_back(op: &Unary, x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32]) {
    type Slices<'a> = (&'a [f32], &'a [f32], &'a [f32], &'a mut [f32]);
    #[inline(always)]
    fn each((x, y, dy, dx): Slices, slope: impl Fn(f32, f32) -> f32) {
        for (((dx, dy), x), y) in dx.iter_mut().zip(dy).zip(x).zip(y) {
            *dx = dy * slope(*x, *y);
        }
    }
    let all = (x, y, dy, dx);
    match *op {
        Unary::Relu { slope } => each(all, |x, _| if x > 0.0 { 1.0 } else { slope }),
        Unary::Elu { alpha } => each(all, |x, y| if x > 0.0 { 1.0 } else { alpha + y }),
        Unary::Sigmoid => each(all, |_, y| y * (1.0 - y)),
        Unary::TanH => each(all, |_, y| 1.0 - y * y),
        Unary::AbsVal => each(all, |x, _| sign(x)),
        Unary::Power { power, scale, shift } => {
            let factor = power * scale;
            if power == 0.0 || power == 1.0 {
                each(all, |_, _| factor);
            } else if power == 2.0 {
                each(all, |x, _| factor * (shift + scale * x));
            } else {
                each(all, |x, _| factor * (shift + scale * x).powf(power - 1.0));
            }
        }
        Unary::Exp { base, scale, .. } => {
            let factor = base.map_or(1.0, f32::ln) * scale;
            each(all, |_, y| factor * y);
        }
        Unary::Log { base, scale, shift } => {
            let factor = scale * base.map_or(1.0, |b| 1.0 / b.ln());
            each(all, |x, _| factor / (shift + scale * x));
        }
        Unary::Bnll => each(all, |x, _| sigmoid(x)),
        Unary::Clip { low, high } => {
            each(all, |x, _| if low <= x && x <= high { 1.0 } else { 0.0 });
        }
        Unary::Swish { beta } => {
            each(all, |x, y| beta * y + sigmoid(beta * x) * (1.0 - beta * y));
        }
        Unary::Threshold { .. } => each(all, |_, _| 0.0),
    }
}

/// −1, 0 or 1.
#[inline(always)]
pub(super) fn sign(x: f32) -> f32 {
    f32::from(i8::from(x > 0.0) - i8::from(x < 0.0))
}

/// [`relu_back`], compiled for the machine's instruction set.
pub fn relu_back_fast(kernels: &Kernels, slope: f32, y: &[f32], d: &mut [f32]) {
    kernels.compile(|| relu_back(slope, y, d));
}

/// ReLU's gradient in place, `d = y > 0 ? d : slope · d`; `y` is its output, or its input.
#[inline(always)]
pub fn relu_back(slope: f32, y: &[f32], d: &mut [f32]) {
    d.iter_mut().zip(y).for_each(|(d, y)| *d = if *y > 0.0 { *d } else { slope * *d });
}

/// `y = x > 0 ? x : slopeᵢ · x` in place; one slope for each index of the axis.
pub fn prelu(v: AxisView, slope: &[f32], y: &mut [f32]) {
    for (row, i) in y.chunks_exact_mut(v.inner).zip((0..v.len).cycle()) {
        for x in row {
            *x = if *x > 0.0 { *x } else { slope[i] * *x };
        }
    }
}

/// `dx = x > 0 ? dy : slopeᵢ · dy`, i along the axis.
pub fn prelu_back(v: AxisView, slope: &[f32], x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let rows = dx.chunks_exact_mut(v.inner).zip(dy.chunks_exact(v.inner));
    for (((dx, dy), x), i) in rows.zip(x.chunks_exact(v.inner)).zip((0..v.len).cycle()) {
        for ((dx, dy), x) in dx.iter_mut().zip(dy).zip(x) {
            *dx = if *x > 0.0 { *dy } else { slope[i] * dy };
        }
    }
}

/// `dslopeᵢ += Σ min(x, 0) · dy` over all outer and inner positions.
pub fn prelu_slope_back(v: AxisView, x: &[f32], dy: &[f32], dslope: &mut [f32]) {
    each_sum(v, dslope, |at| x[at].min(0.0) as f64 * dy[at] as f64);
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

/// `outᵢ += Σ a · b` over all outer and inner positions, i along the axis; no `b` means ones.
///
/// With `dy` for `a` it is the gradient of a bias, with the input for `b` that of a scale.
pub fn sum_products(v: AxisView, a: &[f32], b: Option<&[f32]>, out: &mut [f32]) {
    each_sum(v, out, |at| a[at] as f64 * b.map_or(1.0, |b| b[at] as f64));
}

fn each_sum(v: AxisView, out: &mut [f32], term: impl Fn(usize) -> f64) {
    for (i, out) in out.iter_mut().enumerate() {
        let starts = (0..v.outer).map(|o| (o * v.len + i) * v.inner);
        *out += starts.flat_map(|at| at..at + v.inner).map(&term).sum::<f64>() as f32;
    }
}

/// The same but for rounding: in `f32` within a row, in `f64` between rows.
pub fn sum_products_fast(
    kernels: &Kernels,
    v: AxisView,
    a: &[f32],
    b: Option<&[f32]>,
    out: &mut [f32],
) {
    let mut sums = vec![0f64; v.len];
    kernels.compile(|| {
        if v.inner == 1 {
            for (o, a) in a.chunks_exact(v.len).enumerate() {
                match b.map(|b| &b[o * v.len..][..v.len]) {
                    None => sums.iter_mut().zip(a).for_each(|(sum, a)| *sum += *a as f64),
                    Some(b) => sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| {
                        *sum += (a * b) as f64;
                    }),
                }
            }
            return;
        }
        for (r, a) in a.chunks_exact(v.inner.max(1)).enumerate() {
            sums[r % v.len] += match b.map(|b| &b[r * v.inner..][..v.inner]) {
                None => lanes_sum(a, a, |a, _| a),
                Some(b) => lanes_sum(a, b, |a, b| a * b),
            } as f64;
        }
    });
    out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum as f32);
}

/// Σ f(a, b), sixteen sums side by side.
#[inline(always)]
fn lanes_sum(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut sums = [0f32; 16];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += f(*a, *b);
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| f(*a, *b));
    sums.iter().copied().chain(rest).sum()
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
            let (second, later) = rest.split_at(rest.len().min(1));
            for x in second {
                y.iter_mut().zip(*x).for_each(|(v, x)| *v = if *v > *x { *v } else { *x });
            }
            for x in later {
                y.iter_mut().zip(*x).for_each(|(v, x)| *v = if *x > *v { *x } else { *v });
            }
        }
    }
}

/// The gradient of [`eltwise`] for its input number `which`.
///
/// Where inputs tie for the largest, it goes to the second of the first two, and to the earlier of all
/// others, as in Caffe.
pub fn eltwise_back(op: &Eltwise, which: usize, inputs: &[&[f32]], dy: &[f32], dx: &mut [f32]) {
    dx.copy_from_slice(dy);
    match op {
        Eltwise::Sum(c) => dx.iter_mut().for_each(|d| *d *= c[which]),
        Eltwise::Prod => {
            for (_, x) in inputs.iter().enumerate().filter(|(k, _)| *k != which) {
                dx.iter_mut().zip(*x).for_each(|(d, x)| *d *= x);
            }
        }
        Eltwise::Max => {
            for (at, d) in dx.iter_mut().enumerate() {
                let best = (1..inputs.len()).fold(0, |best, k| {
                    let (top, x) = (inputs[best][at], inputs[k][at]);
                    match k {
                        1 if top > x => 0,
                        1 => 1,
                        _ if x > top => k,
                        _ => best,
                    }
                });
                *d = if best == which { *d } else { 0.0 };
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
    use super::super::gradient_check::{check, distant, numbers};
    use super::super::table::available;
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
    fn a_tie_goes_to_the_second_of_the_first_two() {
        let largest = |inputs: &[&[f32]]| {
            let mut y = [9.0];
            eltwise(&Eltwise::Max, inputs, &mut y);
            y[0]
        };
        assert!(largest(&[&[0.0], &[-0.0]]).is_sign_negative());
        assert!(largest(&[&[0.0], &[-0.0], &[0.0]]).is_sign_negative());
        assert!(largest(&[&[f32::NAN], &[1.0], &[f32::NAN]]) == 1.0);
        assert!(largest(&[&[1.0], &[f32::NAN], &[2.0]]).is_nan());
    }

    fn each_unary() -> Vec<Unary> {
        let (scale, shift) = (0.7, 2.5);
        let mut all = vec![
            Unary::Relu { slope: 0.0 },
            Unary::Relu { slope: 0.25 },
            Unary::Elu { alpha: 0.6 },
            Unary::Sigmoid,
            Unary::TanH,
            Unary::AbsVal,
            Unary::Bnll,
            Unary::Clip { low: -0.5, high: 0.401 },
            Unary::Swish { beta: 1.5 },
            Unary::Threshold { threshold: 0.101 },
        ];
        all.extend([0.0, 1.0, 2.0, -1.5].map(|power| Unary::Power { power, scale, shift }));
        for base in [None, Some(2.0)] {
            all.extend([Unary::Exp { base, scale, shift }, Unary::Log { base, scale, shift }]);
        }
        all
    }

    #[test]
    fn unary_gradients_equal_differences_for_every_kernel() {
        // Numbers near the corners of some of these functions are left out.
        let corner = |x: f32| [-0.5, 0.0, 0.101, 0.401].iter().any(|c| (x - c).abs() < 0.005);
        let x: Vec<f32> = numbers(101).into_iter().filter(|x| !corner(*x)).collect();
        for op in each_unary() {
            let f = |x: &[f32]| {
                let mut y = x.to_vec();
                unary(&op, &mut y);
                y
            };
            check(&x, f, |dy| {
                let (y, mut want) = (f(&x), vec![9.0; x.len()]);
                unary_back(&op, &x, &y, dy, &mut want);
                for kernels in available() {
                    let mut got = vec![9.0; x.len()];
                    unary_back_fast(kernels, &op, &x, &y, dy, &mut got);
                    assert!(near(1e-6, &want, &got), "{} {op:?}", kernels.name());
                }
                want
            });
        }
    }

    fn near(bound: f32, want: &[f32], got: &[f32]) -> bool {
        want.iter().zip(got).all(|(w, g)| (w - g).abs() <= bound * w.abs().max(1.0))
    }

    #[test]
    fn at_the_corners_the_slope_is_caffes() {
        let slope = |op, x| {
            let (mut y, mut dx) = ([x], [9.0]);
            unary(&op, &mut y);
            unary_back(&op, &[x], &y, &[1.0], &mut dx);
            dx[0]
        };
        assert_eq!(slope(Unary::Relu { slope: 0.25 }, 0.0), 0.25);
        assert_eq!(slope(Unary::AbsVal, 0.0), 0.0);
        let clip = Unary::Clip { low: -1.0, high: 1.0 };
        assert_eq!([-1.1, -1.0, 1.0, 1.1].map(|x| slope(clip, x)), [0.0, 1.0, 1.0, 0.0]);
        for power in [0.0, 1.0, 2.0] {
            assert_eq!(
                slope(Unary::Power { power, scale: 3.0, shift: 0.0 }, 0.0),
                3.0 * f32::from(power == 1.0)
            );
        }
    }

    #[test]
    fn relus_gradient_in_place_needs_the_output_alone() {
        let (x, dy) = (numbers(77), numbers(78)[1..].to_vec());
        for slope in [0.0, 0.25] {
            let op = Unary::Relu { slope };
            let mut y = x.clone();
            unary(&op, &mut y);
            let mut want = vec![9.0; x.len()];
            unary_back(&op, &x, &y, &dy, &mut want);
            let mut by_output = vec![9.0; x.len()];
            unary_back(&op, &y, &y, &dy, &mut by_output);
            assert_eq!(want, by_output);
            for kernels in available() {
                let mut d = dy.clone();
                relu_back_fast(kernels, slope, &y, &mut d);
                assert_eq!(want, d, "{}", kernels.name());
            }
        }
    }

    #[test]
    fn prelus_gradients_equal_differences() {
        let v = AxisView { outer: 2, len: 3, inner: 5 };
        let (x, slope) = (distant(30), [0.3, -0.2, 0.7]);
        let f = |slope: &[f32], x: &[f32]| {
            let mut y = x.to_vec();
            prelu(v, slope, &mut y);
            y
        };
        check(
            &x,
            |x| f(&slope, x),
            |dy| {
                let mut dx = vec![9.0; 30];
                prelu_back(v, &slope, &x, dy, &mut dx);
                dx
            },
        );
        check(
            &slope,
            |slope| f(slope, &x),
            |dy| {
                let mut dslope = vec![1.0; 3];
                prelu_slope_back(v, &x, dy, &mut dslope);
                dslope.iter().map(|d| d - 1.0).collect()
            },
        );
    }

    #[test]
    fn gradients_of_scale_and_bias_equal_differences() {
        let v = AxisView { outer: 2, len: 3, inner: 19 };
        let (x, start) = (numbers(2 * 3 * 19), [0.5, -1.0, 2.0]);
        let f = |scale: Option<&[f32]>, bias: Option<&[f32]>| {
            let mut y = x.clone();
            scale_bias(v, scale, bias, &mut y);
            y
        };
        let back = |dy: &[f32], b: Option<&[f32]>| {
            let mut d = vec![0.0; 3];
            sum_products(v, dy, b, &mut d);
            d
        };
        check(&start, |s| f(Some(s), None), |dy| back(dy, Some(&x)));
        check(&start, |b| f(None, Some(b)), |dy| back(dy, None));
    }

    #[test]
    fn fast_sums_equal_the_plain_ones_and_add_to_what_is_there() {
        for (outer, len, inner) in
            [(1, 1, 1), (3, 5, 1), (2, 4, 15), (3, 2, 16), (2, 3, 77), (0, 2, 3)]
        {
            let v = AxisView { outer, len, inner };
            let count = outer * len * inner;
            let (a, b) = (numbers(count), numbers(count + 5)[5..].to_vec());
            for b in [None, Some(&b[..])] {
                let mut want = vec![2.0; len];
                sum_products(v, &a, b, &mut want);
                for kernels in available() {
                    let mut got = vec![2.0; len];
                    sum_products_fast(kernels, v, &a, b, &mut got);
                    assert!(near(1e-5, &want, &got), "{} {v:?} {want:?} {got:?}", kernels.name());
                }
            }
        }
    }

    #[test]
    fn eltwise_gradients_equal_differences() {
        let all = distant(3 * 20);
        let inputs: Vec<&[f32]> = all.chunks(20).collect();
        for op in [Eltwise::Sum(vec![0.5, -2.0, 1.0]), Eltwise::Prod, Eltwise::Max] {
            for which in 0..3 {
                let f = |x: &[f32]| {
                    let (mut inputs, mut y) = (inputs.clone(), vec![0.0; 20]);
                    inputs[which] = x;
                    eltwise(&op, &inputs, &mut y);
                    y
                };
                check(inputs[which], f, |dy| {
                    let mut dx = vec![9.0; 20];
                    eltwise_back(&op, which, &inputs, dy, &mut dx);
                    dx
                });
            }
        }
    }

    #[test]
    fn the_gradient_of_a_tie_goes_to_the_second_of_the_first_two() {
        let winner = |inputs: &[&[f32]]| {
            let gains = |which: &usize| {
                let mut dx = [9.0];
                eltwise_back(&Eltwise::Max, *which, inputs, &[1.0], &mut dx);
                dx[0] == 1.0
            };
            (0..inputs.len()).filter(gains).collect::<Vec<_>>()
        };
        assert_eq!(winner(&[&[2.0], &[2.0], &[2.0]]), [1]);
        assert_eq!(winner(&[&[3.0], &[2.0], &[3.0]]), [0]);
        assert_eq!(winner(&[&[1.0], &[2.0], &[3.0]]), [2]);
    }
}
