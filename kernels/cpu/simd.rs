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
