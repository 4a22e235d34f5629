//! Sixteen lanes: AVX-512F (Intel servers since 2017, AMD since 2022).

use super::bytes::stamp_bytes;
use super::simd::stamp_simd;
use std::arch::x86_64::*;

stamp_simd! {
    __m512 of 16 lanes, __m512d twice, bytes in __m512i, tiles of 14 rows:
    splat _mm512_set1_ps, load _mm512_loadu_ps, store _mm512_storeu_ps,
    mul_add _mm512_fmadd_ps,
    add _mm512_add_ps, sub _mm512_sub_ps, mul _mm512_mul_ps, div _mm512_div_ps,
    max _mm512_max_ps, min _mm512_min_ps;
    wide_zero _mm512_setzero_pd, halves halves, wide_load _mm512_loadu_pd, wide_store _mm512_storeu_pd,
    wide_fma _mm512_fmadd_pd, wide_splat _mm512_set1_pd;
    load_first load_first, store_first store_first, transpose transpose,
    rsqrt rsqrt, even even, expand expand, load_f16 load_f16, load_f24 load_f24, load_i8 load_i8
}

stamp_bytes! {
    __m512i of 32 words: load _mm512_loadu_si512, store _mm512_storeu_si512, pick pick,
    splat _mm512_set1_epi16,
    splat_bytes _mm512_set1_epi8, pairs _mm512_maddubs_epi16, min_signed _mm512_min_epi16,
    max_signed _mm512_max_epi16, shift shift, split split;
    sub_bytes _mm512_subs_epu8, min_bytes _mm512_min_epu8, or _mm512_or_si512,
    add _mm512_add_epi16, sub _mm512_sub_epi16, high _mm512_mulhi_epu16, high_signed _mm512_mulhi_epi16
}

/// The table is two vectors.
#[inline(always)]
unsafe fn pick(table: &[u16], index: &[u16]) -> __m512i {
    let (low, high, index) = (&table[..32], &table[32..64], &index[..32]);
    // SAFETY: the caller promises the set; the slices are whole vectors.
    unsafe {
        let [low, high, index] = [
            _mm512_loadu_si512(low.as_ptr().cast()),
            _mm512_loadu_si512(high.as_ptr().cast()),
            _mm512_loadu_si512(index.as_ptr().cast()),
        ];
        _mm512_permutex2var_epi16(low, index, high)
    }
}

#[inline(always)]
unsafe fn shift(v: __m512i, by: u32) -> __m512i {
    // SAFETY: the caller promises the set.
    unsafe { _mm512_srl_epi16(v, _mm_cvtsi32_si128(by as i32)) }
}

/// Words lie two to a lane of 32 bits, the even one below.
#[inline(always)]
unsafe fn split(v: __m512i, even: *mut __m128i, odd: *mut __m128i) {
    // SAFETY: the caller promises the set, and room for sixteen bytes each.
    unsafe {
        _mm_storeu_si128(even, _mm512_cvtepi32_epi8(v));
        _mm_storeu_si128(odd, _mm512_cvtepi32_epi8(_mm512_srli_epi32::<16>(v)));
    }
}

/// A mask of the first `n` lanes.
#[inline(always)]
fn first(n: usize) -> __mmask16 {
    ((1u32 << n) - 1) as __mmask16
}

#[inline(always)]
unsafe fn load_first(from: *const f32, n: usize) -> __m512 {
    // SAFETY: lanes outside the mask are not read.
    unsafe { _mm512_maskz_loadu_ps(first(n), from) }
}

#[inline(always)]
unsafe fn store_first(v: __m512, to: *mut f32, n: usize) {
    // SAFETY: lanes outside the mask are not written.
    unsafe { _mm512_mask_storeu_ps(to, first(n), v) }
}

/// Both halves as `f64`.
#[inline(always)]
unsafe fn halves(v: __m512) -> [__m512d; 2] {
    // SAFETY: the caller promises the set.
    unsafe {
        let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(v));
        let (low, high) = (_mm512_castps512_ps256(v), _mm256_castpd_ps(high));
        [_mm512_cvtps_pd(low), _mm512_cvtps_pd(high)]
    }
}

/// An estimate of 14 bits and one step of Newton's method: `r · (3 − x·r²) / 2`.
#[inline(always)]
unsafe fn rsqrt(x: __m512) -> __m512 {
    // SAFETY: the caller promises the set.
    unsafe {
        let r = _mm512_rsqrt14_ps(x);
        let half = _mm512_mul_ps(_mm512_set1_ps(-0.5), _mm512_mul_ps(x, r));
        _mm512_fmadd_ps(_mm512_fmadd_ps(half, r, _mm512_set1_ps(0.5)), r, r)
    }
}

#[inline(always)]
unsafe fn load_f16(from: *const u16) -> __m512 {
    // SAFETY: the caller promises the set and sixteen readable values.
    unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
}

#[inline(always)]
unsafe fn load_f24(from: *const u8) -> __m512 {
    // SAFETY: the caller promises the set and 48 readable bytes.
    unsafe {
        let upper = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
        let lower = _mm512_cvtepu8_epi32(_mm_loadu_si128(from.add(32).cast()));
        let bits = _mm512_or_si512(_mm512_slli_epi32::<16>(upper), _mm512_slli_epi32::<8>(lower));
        _mm512_castsi512_ps(bits)
    }
}

#[inline(always)]
unsafe fn load_i8(from: *const i8) -> __m512 {
    // SAFETY: the caller promises the set and sixteen readable values.
    unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))) }
}

#[inline(always)]
unsafe fn even(v: __m512, next: __m512) -> __m512 {
    // SAFETY: the caller promises the set.
    unsafe {
        let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        _mm512_permutex2var_ps(v, even, next)
    }
}

#[inline(always)]
unsafe fn expand(from: *const f32, mask: u32) -> __m512 {
    // SAFETY: the caller promises the set and sixteen readable values.
    unsafe { _mm512_maskz_expand_ps(mask as __mmask16, _mm512_loadu_ps(from)) }
}

/// 16×16 in four rounds: pairs of values, pairs of pairs, then quarters twice.
#[inline(always)]
unsafe fn transpose(from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
    // SAFETY: the caller promises the set and sixteen rows on both sides.
    unsafe {
        let mut r = [_mm512_setzero_ps(); 16];
        for (i, r) in r.iter_mut().enumerate() {
            *r = _mm512_loadu_ps(from.add(i * from_row));
        }
        let mut t = r;
        for i in (0..16).step_by(4) {
            let (a, b) = (_mm512_unpacklo_ps(r[i], r[i + 1]), _mm512_unpackhi_ps(r[i], r[i + 1]));
            let (c, d) =
                (_mm512_unpacklo_ps(r[i + 2], r[i + 3]), _mm512_unpackhi_ps(r[i + 2], r[i + 3]));
            let [a, b, c, d] = [a, b, c, d].map(|v| _mm512_castps_pd(v));
            t[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
            t[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
            t[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
            t[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
        }
        // t[4q + c] holds, in its quarter h, column 4h + c of rows 4q to 4q + 3.
        for c in 0..4 {
            let (a, b) = (t[c], t[4 + c]);
            let (d, e) = (t[8 + c], t[12 + c]);
            let low = [_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0x88>(d, e)];
            let high = [_mm512_shuffle_f32x4::<0xdd>(a, b), _mm512_shuffle_f32x4::<0xdd>(d, e)];
            let columns = [
                _mm512_shuffle_f32x4::<0x88>(low[0], low[1]),
                _mm512_shuffle_f32x4::<0x88>(high[0], high[1]),
                _mm512_shuffle_f32x4::<0xdd>(low[0], low[1]),
                _mm512_shuffle_f32x4::<0xdd>(high[0], high[1]),
            ];
            for (h, column) in columns.into_iter().enumerate() {
                _mm512_storeu_ps(to.add((4 * h + c) * to_row), column);
            }
        }
    }
}
