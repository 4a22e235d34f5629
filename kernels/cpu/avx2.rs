//! Eight lanes: AVX2 and FMA (Intel since 2013, AMD since 2015).

use super::bytes::{self, stamp_bytes};
use super::simd::{EXPANSIONS, stamp_simd};
use std::arch::x86_64::*;

stamp_simd! {
    __m256 of 8 lanes, __m256d twice, bytes in __m256i, tiles of 6 rows:
    splat _mm256_set1_ps, load _mm256_loadu_ps, store _mm256_storeu_ps,
    mul_add _mm256_fmadd_ps,
    add _mm256_add_ps, sub _mm256_sub_ps, mul _mm256_mul_ps, div _mm256_div_ps,
    max _mm256_max_ps, min _mm256_min_ps;
    wide_zero _mm256_setzero_pd, halves halves, wide_load _mm256_loadu_pd, wide_store _mm256_storeu_pd,
    wide_fma _mm256_fmadd_pd, wide_splat _mm256_set1_pd;
    load_first load_first, store_first store_first, transpose transpose,
    rsqrt rsqrt, even even, expand expand, load_f16 load_f16, load_f24 load_f24, load_i8 load_i8
}

stamp_bytes! {
    __m256i of 16 words: load _mm256_loadu_si256, store _mm256_storeu_si256, pick pick,
    splat _mm256_set1_epi16,
    splat_bytes _mm256_set1_epi8, pairs _mm256_maddubs_epi16, min_signed _mm256_min_epi16,
    max_signed _mm256_max_epi16, shift shift, split split;
    sub_bytes _mm256_subs_epu8, min_bytes _mm256_min_epu8, or _mm256_or_si256,
    add _mm256_add_epi16, sub _mm256_sub_epi16, high _mm256_mulhi_epu16, high_signed _mm256_mulhi_epi16
}

#[inline(always)]
unsafe fn pick(table: &[u16], index: &[u16]) -> __m256i {
    let picked: [u16; 16] = bytes::pick(table, index);
    // SAFETY: the caller promises the set; the array is a whole vector.
    unsafe { _mm256_loadu_si256(picked.as_ptr().cast()) }
}

#[inline(always)]
unsafe fn shift(v: __m256i, by: u32) -> __m256i {
    // SAFETY: the caller promises the set.
    unsafe { _mm256_srl_epi16(v, _mm_cvtsi32_si128(by as i32)) }
}

/// Within each half the four even bytes, then the four odd ones; then the halves side by side.
#[inline(always)]
unsafe fn split(v: __m256i, even: *mut __m128i, odd: *mut __m128i) {
    const EVEN_ODD: [i8; 16] = [0, 4, 8, 12, 2, 6, 10, 14, -1, -1, -1, -1, -1, -1, -1, -1];
    // SAFETY: the caller promises the set, and room for eight bytes each.
    unsafe {
        let order = _mm256_broadcastsi128_si256(_mm_loadu_si128(EVEN_ODD.as_ptr().cast()));
        let halves = _mm256_shuffle_epi8(v, order);
        let whole = _mm256_permutevar8x32_epi32(halves, _mm256_setr_epi32(0, 4, 1, 5, 2, 3, 6, 7));
        _mm_storel_epi64(even, _mm256_castsi256_si128(whole));
        _mm_storel_epi64(odd, _mm_srli_si128::<8>(_mm256_castsi256_si128(whole)));
    }
}

/// All bits set in the first `n` lanes.
#[inline(always)]
unsafe fn first(n: usize) -> __m256i {
    // SAFETY: the caller promises the set.
    unsafe {
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), lanes)
    }
}

#[inline(always)]
unsafe fn load_first(from: *const f32, n: usize) -> __m256 {
    // SAFETY: lanes outside the mask are not read.
    unsafe { _mm256_maskload_ps(from, first(n)) }
}

#[inline(always)]
unsafe fn store_first(v: __m256, to: *mut f32, n: usize) {
    // SAFETY: lanes outside the mask are not written.
    unsafe { _mm256_maskstore_ps(to, first(n), v) }
}

/// Both halves as `f64`.
#[inline(always)]
unsafe fn halves(v: __m256) -> [__m256d; 2] {
    // SAFETY: the caller promises the set.
    unsafe {
        let (low, high) = (_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
        [_mm256_cvtps_pd(low), _mm256_cvtps_pd(high)]
    }
}

/// An estimate of 12 bits and one step of Newton's method: `r · (3 − x·r²) / 2`.
#[inline(always)]
unsafe fn rsqrt(x: __m256) -> __m256 {
    // SAFETY: the caller promises the set.
    unsafe {
        let r = _mm256_rsqrt_ps(x);
        let half = _mm256_mul_ps(_mm256_set1_ps(-0.5), _mm256_mul_ps(x, r));
        _mm256_fmadd_ps(_mm256_fmadd_ps(half, r, _mm256_set1_ps(0.5)), r, r)
    }
}

#[inline(always)]
unsafe fn load_f16(from: *const u16) -> __m256 {
    // SAFETY: the caller promises the set and eight readable values.
    unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
}

#[inline(always)]
unsafe fn load_f24(from: *const u8) -> __m256 {
    // SAFETY: the caller promises the set and 24 readable bytes.
    unsafe {
        let upper = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
        let lower = _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.add(16).cast()));
        let bits = _mm256_or_si256(_mm256_slli_epi32::<16>(upper), _mm256_slli_epi32::<8>(lower));
        _mm256_castsi256_ps(bits)
    }
}

#[inline(always)]
unsafe fn load_i8(from: *const i8) -> __m256 {
    // SAFETY: the caller promises the set and eight readable values.
    unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))) }
}

#[inline(always)]
unsafe fn expand(from: *const f32, mask: u32) -> __m256 {
    // SAFETY: the caller promises the set and eight readable values; the mask has eight bits.
    unsafe {
        let lanes = EXPANSIONS.get_unchecked(mask as usize);
        let lanes = _mm256_loadu_si256(lanes.as_ptr().cast());
        let values = _mm256_permutevar8x32_ps(_mm256_loadu_ps(from), lanes);
        _mm256_andnot_ps(_mm256_castsi256_ps(_mm256_srai_epi32::<31>(lanes)), values)
    }
}

#[inline(always)]
unsafe fn even(v: __m256, next: __m256) -> __m256 {
    // SAFETY: the caller promises the set.
    unsafe {
        let pairs = _mm256_castps_pd(_mm256_shuffle_ps::<0x88>(v, next));
        _mm256_castpd_ps(_mm256_permute4x64_pd::<0xd8>(pairs))
    }
}

/// 8×8 in three rounds: pairs of values, pairs of pairs, then halves.
#[inline(always)]
unsafe fn transpose(from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
    // SAFETY: the caller promises the set and eight rows on both sides.
    unsafe {
        let mut r = [_mm256_setzero_ps(); 8];
        for (i, r) in r.iter_mut().enumerate() {
            *r = _mm256_loadu_ps(from.add(i * from_row));
        }
        let mut t = r;
        for i in [0, 4] {
            let (a, b) = (_mm256_unpacklo_ps(r[i], r[i + 1]), _mm256_unpackhi_ps(r[i], r[i + 1]));
            let (c, d) =
                (_mm256_unpacklo_ps(r[i + 2], r[i + 3]), _mm256_unpackhi_ps(r[i + 2], r[i + 3]));
            t[i] = _mm256_shuffle_ps::<0x44>(a, c);
            t[i + 1] = _mm256_shuffle_ps::<0xee>(a, c);
            t[i + 2] = _mm256_shuffle_ps::<0x44>(b, d);
            t[i + 3] = _mm256_shuffle_ps::<0xee>(b, d);
        }
        for c in 0..4 {
            let (low, high) = (t[c], t[4 + c]);
            _mm256_storeu_ps(to.add(c * to_row), _mm256_permute2f128_ps::<0x20>(low, high));
            _mm256_storeu_ps(to.add((4 + c) * to_row), _mm256_permute2f128_ps::<0x31>(low, high));
        }
    }
}
