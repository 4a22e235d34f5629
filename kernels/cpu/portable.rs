//! Eight lanes on any machine: the `wide` crate, whose lanes the compiler maps to what the target's
//! baseline has (two SSE registers on x86-64, two NEON registers on AArch64).

use super::simd::Simd;
use wide::f32x8;

// SAFETY: `wide` is safe code for the baseline; the pointers are the caller's promise.
unsafe impl Simd for f32x8 {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self::splat(value)
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller promises eight readable values.
        Self::new(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promises eight writable values.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.to_array()) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        self * factor + sum
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self + other
    }
}
