//! Eight lanes: AVX2 and FMA (Intel since 2013, AMD since 2015).

use super::simd::stamp_simd;
use std::arch::x86_64::*;

stamp_simd! {
    __m256 of 8 lanes:
    splat _mm256_set1_ps, load _mm256_loadu_ps, store _mm256_storeu_ps,
    mul_add _mm256_fmadd_ps, add _mm256_add_ps
}
