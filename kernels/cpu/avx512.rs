//! Sixteen lanes: AVX-512F (Intel servers since 2017, AMD since 2022).

use super::simd::stamp_simd;
use std::arch::x86_64::*;

stamp_simd! {
    __m512 of 16 lanes:
    splat _mm512_set1_ps, load _mm512_loadu_ps, store _mm512_storeu_ps,
    mul_add _mm512_fmadd_ps, add _mm512_add_ps
}
