//! What a cascade needs from a SIMD instruction set beside [`super::simd`]: a lane for each of several
//! neighbouring windows, whose integral values lie side by side.
//!
//! All arithmetic is exact or rounded as the plain loop's, operation by operation: no sum is fused, none is
//! reordered.

/// One value for each of `LANES` neighbouring windows.
///
/// # Safety
/// As for [`super::simd::Simd`], whose lanes these are. Pointers are to the first window's integers and must be
/// valid for one read a lane.
pub unsafe trait Windows: Copy {
    /// A sum in `f64` for each window.
    type Sums: Copy;

    /// Sums of nothing.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn nothing() -> Self::Sums;

    /// The sums with one more summand.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn added(self, sums: Self::Sums) -> Self::Sums;

    /// A bit for each sum that is at least `bound`.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn reached(sums: Self::Sums, bound: f64) -> u32;

    /// Writes the sums.
    ///
    /// # Safety
    /// As for the trait; `to` must be valid for `LANES` writes.
    unsafe fn write(sums: Self::Sums, to: *mut f64);

    /// `a − b − c + d`: a rectangle's sum from its corners.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn rectangle(corners: [*const i32; 4]) -> Self;

    /// `low` where the lane is below `bound`, else `high`.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn side(self, bound: f32, low: f32, high: f32) -> Self;

    /// The lane of `here` where this one is `number`, else that of `there`.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn choose(self, number: f32, here: Self, there: Self) -> Self;

    /// `1 / √(area · Σp² − (Σp)²)` from the corners of both sums, and a bit where it is below `0.1 / area`.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn norms(sums: [*const i32; 4], squares: [*const i32; 4], area: f64) -> (Self, u32);

    /// 0 for each window whose pattern of 3 × 3 cells, from their 4 × 4 corners, is among `patterns`, else 1.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn local_patterns(corners: [*const i32; 16], patterns: &[u32; 8]) -> Self;
}

/// The eight cells around the centre in the order of their bits, the highest first: clockwise from the upper left.
pub(super) const AROUND: [usize; 8] = [0, 1, 2, 5, 8, 7, 6, 3];

/// A cell's corners among the grid's: upper left, upper right, lower left, lower right.
#[inline(always)]
pub(super) fn cell<T: Copy>(grid: &[T; 16], cell: usize) -> [T; 4] {
    let first = cell / 3 * 4 + cell % 3;
    [grid[first], grid[first + 1], grid[first + 4], grid[first + 5]]
}

/// `area · Σp² − (Σp)²`: the variance times the squared area. The sum of squares has 32 bits without a sign.
#[inline(always)]
pub(super) fn spread(area: f64, sum: i32, squares: i32) -> f64 {
    area * f64::from(squares as u32) - f64::from(sum) * f64::from(sum)
}

/// Implements [`Windows`] by plain loops over the lanes.
macro_rules! plain_windows {
    ($vector:ty, $lanes:literal) => {
        // SAFETY: plain code reads and writes one value a lane.
        unsafe impl $crate::cpu::windows::Windows for $vector {
            type Sums = [f64; $lanes];

            #[inline(always)]
            unsafe fn nothing() -> Self::Sums {
                [0.0; $lanes]
            }

            #[inline(always)]
            unsafe fn added(self, sums: Self::Sums) -> Self::Sums {
                let lanes = lanes(self);
                std::array::from_fn(|i| sums[i] + f64::from(lanes[i]))
            }

            #[inline(always)]
            unsafe fn reached(sums: Self::Sums, bound: f64) -> u32 {
                (0..$lanes).fold(0, |bits, i| bits | u32::from(sums[i] >= bound) << i)
            }

            #[inline(always)]
            unsafe fn write(sums: Self::Sums, to: *mut f64) {
                // SAFETY: the caller promises a writable value for each lane.
                unsafe { to.cast::<Self::Sums>().write_unaligned(sums) }
            }

            #[inline(always)]
            unsafe fn rectangle(corners: [*const i32; 4]) -> Self {
                // SAFETY: the caller's promise.
                vector(unsafe { rectangles(corners) }.map(|sum| sum as f32))
            }

            #[inline(always)]
            unsafe fn side(self, bound: f32, low: f32, high: f32) -> Self {
                vector(lanes(self).map(|lane| if lane < bound { low } else { high }))
            }

            #[inline(always)]
            unsafe fn choose(self, number: f32, here: Self, there: Self) -> Self {
                let (own, here, there) = (lanes(self), lanes(here), lanes(there));
                vector(std::array::from_fn(|i| if own[i] == number { here[i] } else { there[i] }))
            }

            #[inline(always)]
            unsafe fn norms(
                sums: [*const i32; 4],
                squares: [*const i32; 4],
                area: f64,
            ) -> (Self, u32) {
                // SAFETY: the caller's promise.
                let (sums, squares) = unsafe { (rectangles(sums), rectangles(squares)) };
                let spread: [f64; $lanes] = std::array::from_fn(|i| {
                    $crate::cpu::windows::spread(area, sums[i], squares[i])
                });
                let norms = spread.map(|spread| (1.0 / spread.sqrt()) as f32);
                let rough = |i: usize| spread[i] > 0.0 && area * f64::from(norms[i]) < 0.1;
                (vector(norms), (0..$lanes).fold(0, |bits, i| bits | u32::from(rough(i)) << i))
            }

            #[inline(always)]
            unsafe fn local_patterns(corners: [*const i32; 16], patterns: &[u32; 8]) -> Self {
                use $crate::cpu::windows::{AROUND, cell};
                // SAFETY: the caller's promise.
                let sums = |i| unsafe { rectangles(cell(&corners, i)) };
                let centre = sums(4);
                let mut found = [0u32; $lanes];
                for around in AROUND {
                    let sums = sums(around);
                    found =
                        std::array::from_fn(|i| found[i] << 1 | u32::from(sums[i] >= centre[i]));
                }
                let absent = |p: u32| !patterns[(p >> 5 & 7) as usize] >> (p & 31) & 1;
                vector(found.map(|pattern| absent(pattern) as f32))
            }
        }

        #[inline(always)]
        fn lanes(v: $vector) -> [f32; $lanes] {
            // SAFETY: a vector's lanes are as many floats, and any bits are floats.
            unsafe { std::mem::transmute(v) }
        }

        #[inline(always)]
        fn vector(lanes: [f32; $lanes]) -> $vector {
            // SAFETY: as above.
            unsafe { std::mem::transmute(lanes) }
        }

        /// # Safety
        /// Each corner must be valid for one read a lane.
        #[inline(always)]
        unsafe fn rectangles(corners: [*const i32; 4]) -> [i32; $lanes] {
            let [a, b, c, d] = corners.map(|corner| {
                // SAFETY: the caller's promise.
                unsafe { corner.cast::<[i32; $lanes]>().read_unaligned() }
            });
            std::array::from_fn(|i| a[i].wrapping_sub(b[i]).wrapping_sub(c[i]).wrapping_add(d[i]))
        }
    };
}

mod portable {
    plain_windows!(wide::f32x8, 8);
}

#[cfg(target_arch = "aarch64")]
mod neon {
    plain_windows!(std::arch::aarch64::float32x4_t, 4);
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{AROUND, Windows, cell};
    use std::arch::x86_64::*;

    // SAFETY: the trait's callers promise the set and the pointers.
    unsafe impl Windows for __m256 {
        type Sums = [__m256d; 2];

        #[inline(always)]
        unsafe fn nothing() -> Self::Sums {
            // SAFETY: the caller promises the set.
            unsafe { [_mm256_setzero_pd(); 2] }
        }

        #[inline(always)]
        unsafe fn added(self, [low, high]: Self::Sums) -> Self::Sums {
            // SAFETY: as above.
            unsafe {
                let halves = [_mm256_castps256_ps128(self), _mm256_extractf128_ps::<1>(self)];
                let [a, b] = halves.map(|half| _mm256_cvtps_pd(half));
                [_mm256_add_pd(low, a), _mm256_add_pd(high, b)]
            }
        }

        #[inline(always)]
        unsafe fn reached(sums: Self::Sums, bound: f64) -> u32 {
            // SAFETY: as above.
            unsafe {
                let bound = _mm256_set1_pd(bound);
                let [a, b] = sums.map(|s| _mm256_cmp_pd::<_CMP_GE_OQ>(s, bound));
                (_mm256_movemask_pd(a) | _mm256_movemask_pd(b) << 4) as u32
            }
        }

        #[inline(always)]
        unsafe fn write([low, high]: Self::Sums, to: *mut f64) {
            // SAFETY: as above; eight writable values.
            unsafe {
                _mm256_storeu_pd(to, low);
                _mm256_storeu_pd(to.add(4), high);
            }
        }

        #[inline(always)]
        unsafe fn rectangle(corners: [*const i32; 4]) -> Self {
            // SAFETY: the caller's promise.
            unsafe { _mm256_cvtepi32_ps(rectangles(corners)) }
        }

        #[inline(always)]
        unsafe fn side(self, bound: f32, low: f32, high: f32) -> Self {
            // SAFETY: the caller promises the set.
            unsafe {
                let below = _mm256_cmp_ps::<_CMP_LT_OQ>(self, _mm256_set1_ps(bound));
                _mm256_blendv_ps(_mm256_set1_ps(high), _mm256_set1_ps(low), below)
            }
        }

        #[inline(always)]
        unsafe fn choose(self, number: f32, here: Self, there: Self) -> Self {
            // SAFETY: as above.
            unsafe {
                let own = _mm256_cmp_ps::<_CMP_EQ_OQ>(self, _mm256_set1_ps(number));
                _mm256_blendv_ps(there, here, own)
            }
        }

        #[inline(always)]
        unsafe fn norms(sums: [*const i32; 4], squares: [*const i32; 4], area: f64) -> (Self, u32) {
            // SAFETY: the caller's promise.
            unsafe {
                let (sums, squares) = (rectangles(sums), rectangles(squares));
                let [s, q] = [sums, squares]
                    .map(|v| [_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v)]);
                let (low, high) = (half(s[0], q[0], area), half(s[1], q[1], area));
                (_mm256_set_m128(high.0, low.0), low.1 | high.1 << 4)
            }
        }

        #[inline(always)]
        unsafe fn local_patterns(corners: [*const i32; 16], patterns: &[u32; 8]) -> Self {
            // SAFETY: the caller's promise.
            unsafe {
                let centre = rectangles(cell(&corners, 4));
                let mut found = _mm256_setzero_si256();
                for (around, bit) in AROUND.into_iter().zip([128, 64, 32, 16, 8, 4, 2, 1]) {
                    // The bits of cells whose sum is less.
                    let less = _mm256_cmpgt_epi32(centre, rectangles(cell(&corners, around)));
                    found = _mm256_or_si256(found, _mm256_and_si256(less, _mm256_set1_epi32(bit)));
                }
                let found = _mm256_xor_si256(found, _mm256_set1_epi32(255));
                let words = _mm256_loadu_si256(patterns.as_ptr().cast());
                let words = _mm256_permutevar8x32_epi32(words, _mm256_srli_epi32::<5>(found));
                let bits = _mm256_and_si256(found, _mm256_set1_epi32(31));
                let absent =
                    _mm256_andnot_si256(_mm256_srlv_epi32(words, bits), _mm256_set1_epi32(1));
                _mm256_cvtepi32_ps(absent)
            }
        }
    }

    /// # Safety
    /// The machine has the set, and each corner is valid for eight reads.
    #[inline(always)]
    unsafe fn rectangles(corners: [*const i32; 4]) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe {
            let [a, b, c, d] = corners.map(|corner| _mm256_loadu_si256(corner.cast()));
            _mm256_add_epi32(_mm256_sub_epi32(a, b), _mm256_sub_epi32(d, c))
        }
    }

    /// The norms of half the windows, and their bits.
    ///
    /// # Safety
    /// The machine has the set.
    #[inline(always)]
    unsafe fn half(s: __m128i, q: __m128i, area: f64) -> (__m128, u32) {
        // SAFETY: the caller's promise.
        unsafe {
            let area = _mm256_set1_pd(area);
            // A number without a sign is 2³¹ more than what its bits are with the highest turned.
            let turned = _mm_xor_si128(q, _mm_set1_epi32(i32::MIN));
            let q = _mm256_add_pd(_mm256_cvtepi32_pd(turned), _mm256_set1_pd(2147483648.0));
            let s = _mm256_cvtepi32_pd(s);
            let spread = _mm256_sub_pd(_mm256_mul_pd(area, q), _mm256_mul_pd(s, s));
            let norm = _mm256_div_pd(_mm256_set1_pd(1.0), _mm256_sqrt_pd(spread));
            let norm = _mm256_cvtpd_ps(norm);
            let size = _mm256_mul_pd(area, _mm256_cvtps_pd(norm));
            // Neither a negative spread, whose norm is NaN, nor 0, whose norm is infinite, is below.
            let rough = _mm256_cmp_pd::<_CMP_LT_OQ>(size, _mm256_set1_pd(0.1));
            (norm, _mm256_movemask_pd(rough) as u32)
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::{AROUND, Windows, cell};
    use std::arch::x86_64::*;

    // SAFETY: the trait's callers promise the set and the pointers.
    unsafe impl Windows for __m512 {
        type Sums = [__m512d; 2];

        #[inline(always)]
        unsafe fn nothing() -> Self::Sums {
            // SAFETY: the caller promises the set.
            unsafe { [_mm512_setzero_pd(); 2] }
        }

        #[inline(always)]
        unsafe fn added(self, [low, high]: Self::Sums) -> Self::Sums {
            // SAFETY: as above.
            unsafe {
                let upper = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(self));
                let halves = [_mm512_castps512_ps256(self), _mm256_castpd_ps(upper)];
                let [a, b] = halves.map(|half| _mm512_cvtps_pd(half));
                [_mm512_add_pd(low, a), _mm512_add_pd(high, b)]
            }
        }

        #[inline(always)]
        unsafe fn reached(sums: Self::Sums, bound: f64) -> u32 {
            // SAFETY: as above.
            unsafe {
                let bound = _mm512_set1_pd(bound);
                let [a, b] = sums.map(|s| _mm512_cmp_pd_mask::<_CMP_GE_OQ>(s, bound));
                u32::from(a) | u32::from(b) << 8
            }
        }

        #[inline(always)]
        unsafe fn write([low, high]: Self::Sums, to: *mut f64) {
            // SAFETY: as above; sixteen writable values.
            unsafe {
                _mm512_storeu_pd(to, low);
                _mm512_storeu_pd(to.add(8), high);
            }
        }

        #[inline(always)]
        unsafe fn rectangle(corners: [*const i32; 4]) -> Self {
            // SAFETY: the caller's promise.
            unsafe { _mm512_cvtepi32_ps(rectangles(corners)) }
        }

        #[inline(always)]
        unsafe fn side(self, bound: f32, low: f32, high: f32) -> Self {
            // SAFETY: the caller promises the set.
            unsafe {
                let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self, _mm512_set1_ps(bound));
                _mm512_mask_blend_ps(below, _mm512_set1_ps(high), _mm512_set1_ps(low))
            }
        }

        #[inline(always)]
        unsafe fn choose(self, number: f32, here: Self, there: Self) -> Self {
            // SAFETY: as above.
            unsafe {
                let own = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self, _mm512_set1_ps(number));
                _mm512_mask_blend_ps(own, there, here)
            }
        }

        #[inline(always)]
        unsafe fn norms(sums: [*const i32; 4], squares: [*const i32; 4], area: f64) -> (Self, u32) {
            // SAFETY: the caller's promise.
            unsafe {
                let (sums, squares) = (rectangles(sums), rectangles(squares));
                let [s, q] = [sums, squares]
                    .map(|v| [_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64::<1>(v)]);
                let (low, high) = (half(s[0], q[0], area), half(s[1], q[1], area));
                let norms = _mm512_castpd256_pd512(_mm256_castps_pd(low.0));
                let norms = _mm512_insertf64x4::<1>(norms, _mm256_castps_pd(high.0));
                (_mm512_castpd_ps(norms), low.1 | high.1 << 8)
            }
        }

        #[inline(always)]
        unsafe fn local_patterns(corners: [*const i32; 16], patterns: &[u32; 8]) -> Self {
            // SAFETY: the caller's promise.
            unsafe {
                let centre = rectangles(cell(&corners, 4));
                let mut found = _mm512_setzero_si512();
                for (around, bit) in AROUND.into_iter().zip([128, 64, 32, 16, 8, 4, 2, 1]) {
                    let as_large =
                        _mm512_cmpge_epi32_mask(rectangles(cell(&corners, around)), centre);
                    let bit = _mm512_set1_epi32(bit);
                    found = _mm512_mask_or_epi32(found, as_large, found, bit);
                }
                let words = _mm256_loadu_si256(patterns.as_ptr().cast());
                let words = _mm512_castsi256_si512(words);
                let words = _mm512_permutexvar_epi32(_mm512_srli_epi32::<5>(found), words);
                let bits = _mm512_and_si512(found, _mm512_set1_epi32(31));
                let absent =
                    _mm512_andnot_si512(_mm512_srlv_epi32(words, bits), _mm512_set1_epi32(1));
                _mm512_cvtepi32_ps(absent)
            }
        }
    }

    /// # Safety
    /// The machine has the set, and each corner is valid for sixteen reads.
    #[inline(always)]
    unsafe fn rectangles(corners: [*const i32; 4]) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe {
            let [a, b, c, d] = corners.map(|corner| _mm512_loadu_si512(corner.cast()));
            _mm512_add_epi32(_mm512_sub_epi32(a, b), _mm512_sub_epi32(d, c))
        }
    }

    /// The norms of half the windows, and their bits.
    ///
    /// # Safety
    /// The machine has the set.
    #[inline(always)]
    unsafe fn half(s: __m256i, q: __m256i, area: f64) -> (__m256, u32) {
        // SAFETY: the caller's promise.
        unsafe {
            let area = _mm512_set1_pd(area);
            let (s, q) = (_mm512_cvtepi32_pd(s), _mm512_cvtepu32_pd(q));
            let spread = _mm512_sub_pd(_mm512_mul_pd(area, q), _mm512_mul_pd(s, s));
            let norm = _mm512_div_pd(_mm512_set1_pd(1.0), _mm512_sqrt_pd(spread));
            let norm = _mm512_cvtpd_ps(norm);
            let size = _mm512_mul_pd(area, _mm512_cvtps_pd(norm));
            // Neither a negative spread, whose norm is NaN, nor 0, whose norm is infinite, is below.
            let rough = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(size, _mm512_set1_pd(0.1));
            (norm, u32::from(rough))
        }
    }
}
