//! Matrix times vector: `y += A·x`, rows of A contiguous.
//!
//! Flows in: rows, one vector. Flows out: one sum a row. Each element of A is used once, so this runs as
//! fast as memory delivers A: several rows are read side by side to keep more of it on its way.

use super::simd::Simd;
use super::table::Kernels;

/// The plain loop: `y[j] += Σ_p rows[j][p] · x[p]`, each sum in `f64`.
pub fn plain(rows: &[f32], x: &[f32], y: &mut [f32]) {
    for (row, out) in rows.chunks_exact(x.len()).zip(y) {
        let products = row.iter().zip(x).map(|(a, b)| *a as f64 * *b as f64);
        *out = (*out as f64 + products.sum::<f64>()) as f32;
    }
}

/// Rows that are read side by side.
const ROWS: usize = 4;

/// Adds the products of [`ROWS`] rows, `k` apart, with `x` to `y`.
///
/// # Safety
/// The instruction set must be the machine's; `rows` must hold `ROWS · k` values, `x` `k` and `y` `ROWS`.
pub(super) type Run = unsafe fn(k: usize, rows: *const f32, x: *const f32, y: *mut f32);

/// Four rows at a time, each in two vectors of partial sums.
///
/// # Safety
/// As for [`Run`].
#[inline(always)]
pub(super) unsafe fn four_rows<S: Simd>(k: usize, rows: *const f32, x: *const f32, y: *mut f32) {
    let step = 2 * S::LANES;
    let whole = k / step * step;
    // SAFETY: every index below is less than `k` in a row less than `ROWS`, which the caller promises;
    // `lanes` holds the widest vector; the instructions are those that the caller is compiled for.
    unsafe {
        let mut sums = [[S::splat(0.0); 2]; ROWS];
        for p in (0..whole).step_by(step) {
            for (half, at) in [p, p + S::LANES].into_iter().enumerate() {
                let values = S::load(x.add(at));
                for (r, sums) in sums.iter_mut().enumerate() {
                    sums[half] = S::load(rows.add(r * k + at)).mul_add(values, sums[half]);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            let mut lanes = [0f32; 16];
            sums[0].add(sums[1]).store(lanes.as_mut_ptr());
            let mut sum: f32 = lanes[..S::LANES].iter().sum();
            for p in whole..k {
                sum += *rows.add(r * k + p) * *x.add(p);
            }
            *y.add(r) += sum;
        }
    }
}

/// The same as [`plain`] in SIMD registers, sums in `f32`, one thread.
///
/// # Panics
/// When `rows` is not `x.len()` values for each of `y`.
pub fn fast(kernels: &Kernels, rows: &[f32], x: &[f32], y: &mut [f32]) {
    let k = x.len();
    assert_eq!(rows.len(), y.len() * k);
    let whole = y.len() / ROWS * ROWS;
    let (four, tail) = y.split_at_mut(whole);
    for (i, out) in four.chunks_exact_mut(ROWS).enumerate() {
        let rows = &rows[i * ROWS * k..][..ROWS * k];
        // SAFETY: a `Kernels` exists only where its instructions do; the slices have the lengths.
        unsafe { (kernels.gemv)(k, rows.as_ptr(), x.as_ptr(), out.as_mut_ptr()) };
    }
    if !tail.is_empty() {
        plain(&rows[whole * k..], x, tail);
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::available;
    use super::*;

    #[test]
    fn every_kernel_equals_plain_on_tails() {
        let number = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
        for kernels in available() {
            for k in [1, 15, 16, 17, 31, 32, 33, 200] {
                for n in [1, 3, 4, 5, 9] {
                    let rows: Vec<f32> = (0..n * k).map(number).collect();
                    let x: Vec<f32> = (0..k).map(|i| number(i + 5)).collect();
                    let (mut want, mut got) = (vec![0.5; n], vec![0.5; n]);
                    plain(&rows, &x, &mut want);
                    fast(kernels, &rows, &x, &mut got);
                    for (w, g) in want.iter().zip(&got) {
                        let bound = 2e-7 * (k as f32 + 1.0);
                        assert!((w - g).abs() <= bound, "{} {n}×{k}: {w} {g}", kernels.name());
                    }
                }
            }
        }
    }
}
