//! What this machine could do at most: the roof that kernels are measured against (Williams, Waterman and
//! Patterson's roofline, 2009).
//!
//! Each function works for a moment on the calling thread and returns a rate; several threads at once give
//! what the machine can do together.

use super::simd::{Simd, SimdOp};
use super::table::Kernels;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long each figure is measured, at least.
const MOMENT: Duration = Duration::from_millis(60);

/// Floating-point operations a second of multiply-adds that wait for nothing: two for each lane.
pub fn multiply_adds(kernels: &Kernels) -> f64 {
    rate(|| kernels.run(Chains))
}

/// The same of the matrix unit, in products of `bf16`; nothing without one.
#[cfg(target_arch = "x86_64")]
pub fn tiles(kernels: &Kernels) -> Option<f64> {
    kernels.amx().map(|amx| rate(|| super::amx::chains(amx)))
}

/// The same of the matrix unit: there is none.
#[cfg(not(target_arch = "x86_64"))]
pub fn tiles(_: &Kernels) -> Option<f64> {
    None
}

/// Bytes a second that arrive from where `data` lies: memory if it is much larger than the caches. Two
/// streams, which deliver more than one.
pub fn read(kernels: &Kernels, data: &[f32]) -> f64 {
    rate(|| kernels.run(Read(data)))
}

/// What is done in a second, if `work` returns what it did.
fn rate(mut work: impl FnMut() -> f64) -> f64 {
    work();
    let (begun, mut done, mut best) = (Instant::now(), 0, 0f64);
    while done < 3 || begun.elapsed() < MOMENT {
        let begun = Instant::now();
        let work = work();
        best = best.max(work / begun.elapsed().as_secs_f64());
        done += 1;
    }
    best
}

/// Independent sums, enough that none has to wait for itself.
struct Chains;

impl SimdOp for Chains {
    type Output = f64;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> f64 {
        const SUMS: usize = 12;
        const ROUNDS: usize = 200_000;
        // SAFETY: the caller promises the instruction set.
        unsafe {
            let factor = S::splat(black_box(0.999));
            let mut sums = [S::splat(black_box(1.0)); SUMS];
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = sum.mul_add(factor, factor);
                }
            }
            let total = sums.into_iter().fold(S::splat(0.0), |a, b| a.add(b));
            let mut lanes = [0f32; 16];
            total.store(lanes.as_mut_ptr());
            black_box(lanes);
        }
        (2 * SUMS * ROUNDS * S::LANES) as f64
    }
}

/// All values, once.
struct Read<'a>(&'a [f32]);

impl SimdOp for Read<'_> {
    type Output = f64;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> f64 {
        const VECTORS: usize = 4;
        let step = VECTORS * S::LANES;
        let half = self.0.len() / 2 / step * step;
        let (first, second) = self.0.split_at(half);
        // SAFETY: both halves hold `half` values; the caller promises the instruction set.
        unsafe {
            let mut sums = [S::splat(0.0); 2 * VECTORS];
            for at in (0..half).step_by(step) {
                for (i, sums) in sums.chunks_exact_mut(2).enumerate() {
                    let at = at + i * S::LANES;
                    sums[0] = sums[0].max(S::load(first.as_ptr().add(at)));
                    sums[1] = sums[1].max(S::load(second.as_ptr().add(at)));
                }
            }
            let total = sums.into_iter().fold(S::splat(0.0), |a, b| a.add(b));
            let mut lanes = [0f32; 16];
            total.store(lanes.as_mut_ptr());
            black_box(lanes);
        }
        (2 * half * size_of::<f32>()) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::available;
    use super::*;

    #[test]
    fn every_instruction_set_has_a_roof() {
        let data = vec![1.0; 1 << 16];
        for kernels in available() {
            let figures = [multiply_adds(kernels), read(kernels, &data)];
            assert!(figures.iter().all(|f| f.is_finite() && *f > 1e7), "{figures:?}");
            assert_eq!(tiles(kernels).is_some(), kernels.has_tiles());
        }
    }
}
