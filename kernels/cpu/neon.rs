//! Four lanes: NEON, which every 64-bit Arm processor has.

use super::bytes::Words;
use super::simd::{Simd, doubles};
use std::arch::aarch64::*;
use std::arch::asm;

/// For each mask the byte that comes into each byte; 255, which gives zero, where none does.
static EXPANSIONS: [[u8; 16]; 16] = {
    let mut table = [[255; 16]; 16];
    let mut mask = 0;
    while mask < 16 {
        let (mut byte, mut next) = (0, 0);
        while byte < 16 {
            if mask >> (byte / 4) & 1 == 1 {
                table[mask][byte] = next;
                next += 1;
            }
            byte += 1;
        }
        mask += 1;
    }
    table
};

// SAFETY: the trait's callers promise the pointers; the instruction set is part of the target.
unsafe impl Simd for float32x4_t {
    type Wide = [f64; 4];
    type Bytes = Words;
    const LANES: usize = 4;
    // Of 32 registers 24 hold sums, two B and one A.
    const TILE_ROWS: usize = 12;

    #[inline(always)]
    unsafe fn wide_zero() -> Self::Wide {
        [0.0; 4]
    }

    #[inline(always)]
    unsafe fn wide_mul_add(self, w: *const f64, sum: Self::Wide) -> Self::Wide {
        // SAFETY: the caller promises four readable values.
        unsafe { doubles::mul_add(std::mem::transmute::<Self, [f32; 4]>(self), w, sum) }
    }

    #[inline(always)]
    unsafe fn wide_sum(sums: Self::Wide) -> f64 {
        sums.iter().sum()
    }

    #[inline(always)]
    unsafe fn wide_add_to(self, a: f64, w: *mut f64) {
        // SAFETY: the caller promises four readable and writable values.
        unsafe { doubles::add_to(std::mem::transmute::<Self, [f32; 4]>(self), a, w) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: NEON is there.
        unsafe { vdupq_n_f32(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller promises four readable values.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> Self {
        // SAFETY: the caller promises four readable values; the instruction touches registers only.
        unsafe {
            let halves = vld1_u16(from);
            let v: float32x4_t;
            asm!(
                "fcvtl {v:v}.4s, {halves:v}.4h",
                v = out(vreg) v,
                halves = in(vreg) halves,
                options(pure, nomem, nostack)
            );
            v
        }
    }

    #[inline(always)]
    unsafe fn load_f24(from: *const u8) -> Self {
        // SAFETY: the caller promises twelve readable bytes.
        unsafe {
            let upper = vshll_n_u16::<16>(vld1_u16(from.cast()));
            let lower = vcreate_u8(from.add(8).cast::<u32>().read_unaligned().into());
            let lower = vshll_n_u16::<8>(vget_low_u16(vmovl_u8(lower)));
            vreinterpretq_f32_u32(vorrq_u32(upper, lower))
        }
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self {
        // SAFETY: the caller promises four readable values.
        unsafe {
            let bytes = vcreate_s8(from.cast::<u32>().read_unaligned().into());
            vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes))))
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promises four writable values.
        unsafe { vst1q_f32(to, self) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, n: usize) -> Self {
        let mut lanes = [0f32; 4];
        // SAFETY: the caller promises `n ≤ 4` readable values.
        unsafe {
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), n);
            vld1q_f32(lanes.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, n: usize) {
        let mut lanes = [0f32; 4];
        // SAFETY: the caller promises `n ≤ 4` writable values.
        unsafe {
            vst1q_f32(lanes.as_mut_ptr(), self);
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, n);
        }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        // SAFETY: NEON is there.
        unsafe { vfmaq_f32(sum, self, factor) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: NEON is there.
        unsafe { vaddq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: NEON is there.
        unsafe { vsubq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: NEON is there.
        unsafe { vmulq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        // SAFETY: NEON is there.
        unsafe { vdivq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: NEON is there. Its own maximum would be NaN where either is.
        unsafe { vbslq_f32(vcgtq_f32(self, other), self, other) }
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        // SAFETY: as for the maximum.
        unsafe { vbslq_f32(vcltq_f32(self, other), self, other) }
    }

    /// An estimate of 8 bits and two steps of Newton's method.
    #[inline(always)]
    unsafe fn rsqrt(self) -> Self {
        // SAFETY: NEON is there.
        unsafe {
            let step = |r| vmulq_f32(r, vrsqrtsq_f32(vmulq_f32(self, r), r));
            step(step(vrsqrteq_f32(self)))
        }
    }

    #[inline(always)]
    unsafe fn expand(from: *const f32, mask: u32) -> Self {
        // SAFETY: the caller promises four readable values; the mask has four bits.
        unsafe {
            let bytes = EXPANSIONS.get_unchecked(mask as usize);
            let values = vreinterpretq_u8_f32(vld1q_f32(from));
            vreinterpretq_f32_u8(vqtbl1q_u8(values, vld1q_u8(bytes.as_ptr())))
        }
    }

    #[inline(always)]
    unsafe fn even(self, next: Self) -> Self {
        // SAFETY: NEON is there.
        unsafe { vuzp1q_f32(self, next) }
    }

    /// 4×4 in two rounds: pairs of values, then pairs of pairs.
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
        // SAFETY: the caller promises four rows on both sides.
        unsafe {
            let row = |i: usize| vld1q_f32(from.add(i * from_row));
            let (a, b, c, d) = (row(0), row(1), row(2), row(3));
            let wide = |v| vreinterpretq_f64_f32(v);
            let (ab, ab_odd) = (wide(vtrn1q_f32(a, b)), wide(vtrn2q_f32(a, b)));
            let (cd, cd_odd) = (wide(vtrn1q_f32(c, d)), wide(vtrn2q_f32(c, d)));
            let columns = [
                vtrn1q_f64(ab, cd),
                vtrn1q_f64(ab_odd, cd_odd),
                vtrn2q_f64(ab, cd),
                vtrn2q_f64(ab_odd, cd_odd),
            ];
            for (i, column) in columns.into_iter().enumerate() {
                vst1q_f32(to.add(i * to_row), vreinterpretq_f32_f64(column));
            }
        }
    }

    #[inline(always)]
    unsafe fn prefetch(at: *const f32) {
        // SAFETY: a prefetch reads nothing, so that any address will do.
        unsafe {
            asm!("prfm pldl2keep, [{at}]", at = in(reg) at, options(nostack, readonly, preserves_flags))
        }
    }
}
