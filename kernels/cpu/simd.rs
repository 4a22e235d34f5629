//! What a kernel needs from a SIMD instruction set: lanes, load, store, multiply-add.
//!
//! Kernels are written once over [`Simd`]; each instruction set implements it in a file of its own.

/// One instruction set's vector of `f32`.
///
/// # Safety
/// Every method may execute instructions of the set: call them only from a function that is compiled
/// for it, on a machine that has it. All are `inline(always)`, so that they become those instructions.
pub unsafe trait Simd: Copy {
    /// Lanes of a vector.
    const LANES: usize;

    /// `value` in every lane.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn splat(value: f32) -> Self;

    /// Reads `LANES` values; any alignment.
    ///
    /// # Safety
    /// As for the trait; `from` must be valid for `LANES` reads.
    unsafe fn load(from: *const f32) -> Self;

    /// Writes `LANES` values; any alignment.
    ///
    /// # Safety
    /// As for the trait; `to` must be valid for `LANES` writes.
    unsafe fn store(self, to: *mut f32);

    /// `self · factor + sum` in each lane, rounded once where the set can.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self;

    /// `self + other` in each lane.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn add(self, other: Self) -> Self;
}

/// Implements [`Simd`] for an instruction set whose intrinsics have one signature each.
#[cfg(target_arch = "x86_64")]
macro_rules! stamp_simd {
    ($vector:ident of $lanes:literal lanes:
     splat $splat:ident, load $load:ident, store $store:ident, mul_add $mul_add:ident, add $add:ident) => {
        // SAFETY: the trait's callers promise the instruction set, and the pointers.
        unsafe impl $crate::cpu::simd::Simd for $vector {
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                // SAFETY: the caller promises the instruction set.
                unsafe { $splat(value) }
            }

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller promises the instruction set and `LANES` readable values.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: the caller promises the instruction set and `LANES` writable values.
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
                // SAFETY: the caller promises the instruction set.
                unsafe { $mul_add(self, factor, sum) }
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: the caller promises the instruction set.
                unsafe { $add(self, other) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
pub(super) use stamp_simd;
