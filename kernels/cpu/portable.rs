//! Eight lanes on any machine: the `wide` crate, whose lanes the compiler maps to what the target's
//! baseline has (two SSE registers on x86-64, two NEON registers on AArch64).

use super::bytes::Words;
use super::simd::{EXPANSIONS, Simd, doubles};
use wide::f32x8;

// SAFETY: `wide` is safe code for the baseline; the pointers are the caller's promise.
unsafe impl Simd for f32x8 {
    type Wide = [f64; 8];
    type Bytes = Words;
    const LANES: usize = 8;
    const TILE_ROWS: usize = 2;

    #[inline(always)]
    unsafe fn wide_zero() -> Self::Wide {
        [0.0; 8]
    }

    #[inline(always)]
    unsafe fn wide_mul_add(self, w: *const f64, sum: Self::Wide) -> Self::Wide {
        // SAFETY: the caller promises eight readable values.
        unsafe { doubles::mul_add(self.to_array(), w, sum) }
    }

    #[inline(always)]
    unsafe fn wide_sum(sums: Self::Wide) -> f64 {
        sums.iter().sum()
    }

    #[inline(always)]
    unsafe fn wide_add_to(self, a: f64, w: *mut f64) {
        // SAFETY: the caller promises eight readable and writable values.
        unsafe { doubles::add_to(self.to_array(), a, w) }
    }

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
    unsafe fn load_first(from: *const f32, n: usize) -> Self {
        let mut lanes = [0f32; 8];
        // SAFETY: the caller promises `n ≤ 8` readable values.
        unsafe { from.copy_to_nonoverlapping(lanes.as_mut_ptr(), n) };
        Self::new(lanes)
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize) {
        // SAFETY: the caller promises `n ≤ 8` writable values.
        unsafe { to.copy_from_nonoverlapping(self.to_array().as_ptr(), n) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        self * factor + sum
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self - other
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self * other
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        self / other
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // `fast_max` leaves open what NaN gives; so the rule is written out.
        let (a, b) = (self.to_array(), other.to_array());
        Self::new(std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] }))
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        let (a, b) = (self.to_array(), other.to_array());
        Self::new(std::array::from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] }))
    }

    #[inline(always)]
    unsafe fn rsqrt(self) -> Self {
        Self::splat(1.0) / Self::sqrt(self)
    }

    #[inline(always)]
    unsafe fn expand(from: *const f32, mask: u32) -> Self {
        // Lanes without a value take one that stays zero: −1 is 15 in four bits.
        let mut values = [0f32; 16];
        // SAFETY: the caller promises eight readable values.
        unsafe { from.copy_to_nonoverlapping(values.as_mut_ptr(), 8) };
        Self::new(EXPANSIONS[mask as usize & 255].map(|i| values[i as usize & 15]))
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Self {
        // SAFETY: the caller promises eight readable values.
        let halves = unsafe { from.cast::<[u16; 8]>().read_unaligned() };
        Self::new(halves.map(|bits| half::f16::from_bits(bits).to_f32()))
    }

    #[inline(always)]
    unsafe fn load_f24(from: *const u8) -> Self {
        // SAFETY: the caller promises 24 readable bytes.
        let (upper, lower) = unsafe {
            let upper = from.cast::<[[u8; 2]; 8]>().read_unaligned();
            (upper, from.add(16).cast::<[u8; 8]>().read_unaligned())
        };
        let bits =
            |i: usize| u32::from(u16::from_le_bytes(upper[i])) << 16 | u32::from(lower[i]) << 8;
        Self::new(std::array::from_fn(|i| f32::from_bits(bits(i))))
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        // SAFETY: the caller promises eight readable values.
        Self::new(unsafe { from.cast::<[i8; 8]>().read_unaligned() }.map(f32::from))
    }

    #[inline(always)]
    unsafe fn even(self, next: Self) -> Self {
        let (a, b) = (self.to_array(), next.to_array());
        Self::new([a[0], a[2], a[4], a[6], b[0], b[2], b[4], b[6]])
    }

    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        for i in 0..8 {
            for j in 0..8 {
                // SAFETY: the caller promises eight rows of eight on both sides.
                unsafe { *to.add(j * to_row + i) = *from.add(i * from_row + j) };
            }
        }
    }

    #[inline(always)]
    unsafe fn prefetch(_: *const f32) {}
}
