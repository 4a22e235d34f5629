//! The transforms of all schemes, in one direction: sums of few numbers.
//!
//! Flows in: seven values of a picture, the taps of a filter, seven products. Flows out: seven transformed
//! values, or up to six outputs. All schemes share the points 0, 1, −1, 2, −2, ½ and ∞, so that one input
//! transform serves them all.

use super::super::simd::Simd;

/// Points of a transform in one direction.
pub(super) const POINTS: usize = 7;
/// The finite points, in the order of the transformed values; the last is infinity.
const FINITE: [f64; POINTS - 1] = [0.0, 1.0, -1.0, 2.0, -2.0, 0.5];

/// G: row i evaluates a filter, as a polynomial, at point i, over the product of the point's distances
/// to the others (Lagrange's denominators).
pub(super) fn filter_transform(r: usize) -> [[f64; 5]; POINTS] {
    let mut g = [[0.0; 5]; POINTS];
    for (row, p) in g.iter_mut().zip(FINITE) {
        let distances: f64 = FINITE.iter().filter(|q| **q != p).map(|q| p - q).product();
        for (power, value) in row[..r].iter_mut().enumerate() {
            *value = p.powi(power as i32) / distances;
        }
    }
    g[POINTS - 1][r - 1] = 1.0;
    g
}

/// Bᵀ·d: the coefficients of row i are those of Π (x − p) over the other finite points p.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn input_transform<S: Simd>(d: [S; POINTS]) -> [S; POINTS] {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let scaled = |factor: f32, v: S, sum: S| S::splat(factor).mul_add(v, sum);
        // x − ½ is a factor of every row but that of ½: u_k = d_{k+1} − ½ d_k.
        let u: [S; 6] = std::array::from_fn(|k| scaled(-0.5, d[k], d[k + 1]));
        // (x² − 1)(x² − 4) = x⁴ − 5x² + 4, and what two of the points ±1, ±2 leave of it.
        let quartic = |v: &[S]| scaled(4.0, v[0], scaled(-5.0, v[2], v[4]));
        let (one_even, one_odd) = (scaled(-4.0, u[2], u[4]), scaled(-4.0, u[1], u[3]));
        let (two_even, two_odd) = (u[4].sub(u[2]), u[3].sub(u[1]));
        [
            quartic(&u[0..5]),
            one_even.add(one_odd),
            one_even.sub(one_odd),
            scaled(2.0, two_odd, two_even),
            scaled(-2.0, two_odd, two_even),
            quartic(&d[1..6]),
            quartic(&u[1..6]),
        ]
    }
}

/// Aᵀ·v: output j is Σ pʲ·v over the finite points p, and v∞ for the last.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
pub(super) unsafe fn output_transform<S: Simd, const M: usize>(v: [S; POINTS]) -> [S; M] {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let ones = [v[1].add(v[2]), v[1].sub(v[2])];
        let twos = [v[3].add(v[4]), v[3].sub(v[4])];
        let mut y = [S::splat(0.0); M];
        for (j, y) in y.iter_mut().enumerate() {
            let power = (1u32 << j) as f32;
            let sum = S::splat(power).mul_add(twos[j % 2], ones[j % 2]);
            *y = S::splat(1.0 / power).mul_add(v[5], sum);
        }
        y[0] = y[0].add(v[0]);
        y[M - 1] = y[M - 1].add(v[6]);
        y
    }
}
