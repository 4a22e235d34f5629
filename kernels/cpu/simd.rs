//! What a kernel needs from a SIMD instruction set: lanes, load, store, arithmetic.
//!
//! Kernels are written once over [`Simd`]; each instruction set implements it in a file of its own. A
//! kernel is a [`SimdOp`]: its operands, and a body for any set. `Kernels::run` in the table compiles
//! the body for each set and enters the one that was detected.

use super::bytes::Bytes;
use super::windows::Windows;

/// Vectors in a row of a matrix product's tile, in every set.
pub const TILE_VECTORS: usize = 2;

/// For each mask of eight bits the value that comes into each lane; −1 where none does.
pub(super) static EXPANSIONS: [[i32; 8]; 256] = {
    let mut table = [[-1; 8]; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut lane, mut next) = (0, 0);
        while lane < 8 {
            if mask >> lane & 1 == 1 {
                table[mask][lane] = next;
                next += 1;
            }
            lane += 1;
        }
        mask += 1;
    }
    table
};

/// One instruction set's vector of `f32`.
///
/// # Safety
/// Every method may execute instructions of the set: call them only from a function that is compiled
/// for it, on a machine that has it. All are `inline(always)`, so that they become those instructions.
pub unsafe trait Simd: Windows {
    /// Lanes of a vector.
    const LANES: usize;

    /// As many `f64`: sums.
    type Wide: Copy;

    /// The set's vector of whole numbers.
    type Bytes: Bytes;

    /// Most rows of a matrix product's tile whose sums stay in registers beside its operands.
    const TILE_ROWS: usize;

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

    /// Reads `LANES` half-precision values; any alignment.
    ///
    /// # Safety
    /// As for the trait; `from` must be valid for `LANES` reads.
    unsafe fn load_f16(from: *const u16) -> Self;

    /// Reads `LANES` numbers of 24 bits, the upper three bytes of an `f32`: first all upper halves, then all
    /// third bytes; any alignment.
    ///
    /// # Safety
    /// As for the trait; `from` must be valid for `3 · LANES` reads.
    unsafe fn load_f24(from: *const u8) -> Self;

    /// Reads `LANES` eight-bit integers; any alignment.
    ///
    /// # Safety
    /// As for the trait; `from` must be valid for `LANES` reads.
    unsafe fn load_i8(from: *const i8) -> Self;

    /// Writes `LANES` values; any alignment.
    ///
    /// # Safety
    /// As for the trait; `to` must be valid for `LANES` writes.
    unsafe fn store(self, to: *mut f32);

    /// Reads the first `n ≤ LANES` values; the other lanes are zero.
    ///
    /// # Safety
    /// As for the trait; `from` must be valid for `n` reads.
    unsafe fn load_first(from: *const f32, n: usize) -> Self;

    /// Writes the first `n ≤ LANES` lanes.
    ///
    /// # Safety
    /// As for the trait; `to` must be valid for `n` writes.
    unsafe fn store_first(self, to: *mut f32, n: usize);

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

    /// `self − other` in each lane.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn sub(self, other: Self) -> Self;

    /// `self · other` in each lane.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn mul(self, other: Self) -> Self;

    /// `self / other` in each lane.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn div(self, other: Self) -> Self;

    /// `self > other ? self : other` in each lane, so `other` where either is NaN.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn max(self, other: Self) -> Self;

    /// `self < other ? self : other` in each lane, so `other` where either is NaN.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn min(self, other: Self) -> Self;

    /// `1 / √x` of each lane, of positive normal numbers, within 2⁻²² of its value.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn rsqrt(self) -> Self;

    /// Lanes 0, 2, 4 … of this vector, then those of `next`.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn even(self, next: Self) -> Self;

    /// The next values at `from`, one for each bit of `mask` that is set, in that bit's lane; 0 in the others.
    ///
    /// # Safety
    /// As for the trait; `from` must be valid for `LANES` reads, and `mask` below `2^LANES`.
    unsafe fn expand(from: *const f32, mask: u32) -> Self;

    /// Zeros.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn wide_zero() -> Self::Wide;

    /// `self · w + sum` in each lane, in `f64`.
    ///
    /// # Safety
    /// As for the trait; `w` must be valid for `LANES` reads.
    unsafe fn wide_mul_add(self, w: *const f64, sum: Self::Wide) -> Self::Wide;

    /// The sum of all lanes.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn wide_sum(sums: Self::Wide) -> f64;

    /// `w += a · self` in each lane, in `f64`.
    ///
    /// # Safety
    /// As for the trait; `w` must be valid for `LANES` reads and writes.
    unsafe fn wide_add_to(self, a: f64, w: *mut f64);

    /// Reads `LANES` rows of `LANES` values, `from_row` apart, and writes their transpose in rows that
    /// are `to_row` apart.
    ///
    /// # Safety
    /// As for the trait; each row must be valid for `LANES` reads or writes, and `to` not overlap `from`.
    unsafe fn transpose(from: *const f32, from_row: usize, to: *mut f32, to_row: usize);

    /// Asks for the cache line at `at`, which need not be valid, into the second-level cache.
    ///
    /// # Safety
    /// As for the trait.
    unsafe fn prefetch(at: *const f32);
}

/// Sums in `f64` by plain loops, for sets whose compiler makes good code of them.
pub(super) mod doubles {
    /// `x · w + sum`.
    ///
    /// # Safety
    /// `w` must be valid for N reads.
    #[inline(always)]
    pub unsafe fn mul_add<const N: usize>(
        x: [f32; N],
        w: *const f64,
        mut sum: [f64; N],
    ) -> [f64; N] {
        // SAFETY: the caller's promise.
        let w = unsafe { w.cast::<[f64; N]>().read_unaligned() };
        for i in 0..N {
            sum[i] += f64::from(x[i]) * w[i];
        }
        sum
    }

    /// `w += a · x`.
    ///
    /// # Safety
    /// `w` must be valid for N reads and writes.
    #[inline(always)]
    pub unsafe fn add_to<const N: usize>(x: [f32; N], a: f64, w: *mut f64) {
        let w = w.cast::<[f64; N]>();
        // SAFETY: the caller's promise.
        unsafe {
            let mut sum = w.read_unaligned();
            for i in 0..N {
                sum[i] += a * f64::from(x[i]);
            }
            w.write_unaligned(sum);
        }
    }
}

/// A kernel that is written once for every instruction set.
pub trait SimdOp {
    /// What it returns.
    type Output;

    /// The body; `#[inline(always)]`, and everything that it calls with `S` too.
    ///
    /// # Safety
    /// As for [`Simd`]: the caller is compiled for the set of `S` and runs on a machine that has it.
    unsafe fn run<S: Simd>(self) -> Self::Output;
}

/// Implements [`Simd`] for an instruction set whose intrinsics have one signature each. `load_first`,
/// `store_first`, `transpose`, `rsqrt`, `even`, `expand` and the loads of smaller numbers name functions of the same
/// signature as the trait's.
#[cfg(target_arch = "x86_64")]
macro_rules! stamp_simd {
    ($vector:ident of $lanes:literal lanes, $wide:ident twice, bytes in $bytes:ident, tiles of $rows:literal rows:
     splat $splat:ident, load $load:ident, store $store:ident, mul_add $mul_add:ident,
     $($name:ident $binary:ident),*;
     wide_zero $wide_zero:ident, halves $halves:ident, wide_load $wide_load:ident,
     wide_store $wide_store:ident, wide_fma $wide_fma:ident, wide_splat $wide_splat:ident;
     load_first $load_first:ident, store_first $store_first:ident, transpose $transpose:ident,
     rsqrt $rsqrt:ident, even $even:ident, expand $expand:ident, load_f16 $load_f16:ident, load_f24 $load_f24:ident, load_i8 $load_i8:ident) => {
        // SAFETY: the trait's callers promise the instruction set, and the pointers.
        unsafe impl $crate::cpu::simd::Simd for $vector {
            type Wide = [$wide; 2];
            type Bytes = $bytes;
            const LANES: usize = $lanes;
            const TILE_ROWS: usize = $rows;

            #[inline(always)]
            unsafe fn wide_zero() -> Self::Wide {
                // SAFETY: the caller promises the instruction set.
                unsafe { [$wide_zero(); 2] }
            }

            #[inline(always)]
            unsafe fn wide_mul_add(self, w: *const f64, [low, high]: Self::Wide) -> Self::Wide {
                // SAFETY: the caller promises the instruction set and `LANES` readable values.
                unsafe {
                    let x = $halves(self);
                    let half = w.add($lanes / 2);
                    [$wide_fma(x[0], $wide_load(w), low), $wide_fma(x[1], $wide_load(half), high)]
                }
            }

            #[inline(always)]
            unsafe fn wide_sum([low, high]: Self::Wide) -> f64 {
                let mut lanes = [0f64; $lanes];
                // SAFETY: the caller promises the instruction set.
                unsafe {
                    $wide_store(lanes.as_mut_ptr(), low);
                    $wide_store(lanes.as_mut_ptr().add($lanes / 2), high);
                }
                lanes.iter().sum()
            }

            #[inline(always)]
            unsafe fn wide_add_to(self, a: f64, w: *mut f64) {
                // SAFETY: the caller promises the instruction set and `LANES` values.
                unsafe {
                    let (x, a, half) = ($halves(self), $wide_splat(a), w.add($lanes / 2));
                    $wide_store(w, $wide_fma(a, x[0], $wide_load(w)));
                    $wide_store(half, $wide_fma(a, x[1], $wide_load(half)));
                }
            }

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
            unsafe fn load_first(from: *const f32, n: usize) -> Self {
                // SAFETY: the caller promises the instruction set and `n` readable values.
                unsafe { $load_first(from, n) }
            }

            #[inline(always)]
            unsafe fn store_first(self, to: *mut f32, n: usize) {
                // SAFETY: the caller promises the instruction set and `n` writable values.
                unsafe { $store_first(self, to, n) }
            }

            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
                // SAFETY: the caller promises the instruction set.
                unsafe { $mul_add(self, factor, sum) }
            }

            #[inline(always)]
            unsafe fn rsqrt(self) -> Self {
                // SAFETY: the caller promises the instruction set.
                unsafe { $rsqrt(self) }
            }

            #[inline(always)]
            unsafe fn load_f16(from: *const u16) -> Self {
                // SAFETY: the caller promises the instruction set and `LANES` readable values.
                unsafe { $load_f16(from) }
            }

            #[inline(always)]
            unsafe fn load_f24(from: *const u8) -> Self {
                // SAFETY: the caller promises the instruction set and `3 · LANES` readable bytes.
                unsafe { $load_f24(from) }
            }

            #[inline(always)]
            unsafe fn load_i8(from: *const i8) -> Self {
                // SAFETY: the caller promises the instruction set and `LANES` readable values.
                unsafe { $load_i8(from) }
            }

            #[inline(always)]
            unsafe fn even(self, next: Self) -> Self {
                // SAFETY: the caller promises the instruction set.
                unsafe { $even(self, next) }
            }

            #[inline(always)]
            unsafe fn expand(from: *const f32, mask: u32) -> Self {
                // SAFETY: the caller promises the instruction set and `LANES` readable values.
                unsafe { $expand(from, mask) }
            }

            $(#[inline(always)]
            unsafe fn $name(self, other: Self) -> Self {
                // SAFETY: the caller promises the instruction set.
                unsafe { $binary(self, other) }
            })*

            #[inline(always)]
            unsafe fn transpose(from: *const f32, from_row: usize, to: *mut f32, to_row: usize) {
                // SAFETY: the caller promises the instruction set and the rows.
                unsafe { $transpose(from, from_row, to, to_row) }
            }

            #[inline(always)]
            unsafe fn prefetch(at: *const f32) {
                // SAFETY: a prefetch reads nothing, so that any address will do.
                unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
pub(super) use stamp_simd;

#[cfg(test)]
mod tests {
    use super::super::table::available;
    use super::*;

    struct Lanes;

    impl SimdOp for Lanes {
        type Output = ();

        #[inline(always)]
        unsafe fn run<S: Simd>(self) {
            let n = S::LANES;
            let x: Vec<f32> = (0..n * n).map(|i| i as f32).collect();
            // SAFETY: the table detected the set; each pointer has as many values behind it as are used.
            unsafe {
                let mut t = vec![0.0; n * n];
                S::transpose(x.as_ptr(), n, t.as_mut_ptr(), n);
                for i in 0..n * n {
                    assert_eq!(t[i], x[i % n * n + i / n]);
                }
                for first in 0..=n {
                    let mut y = vec![-1.0; n];
                    S::load_first(x[n * n - first..].as_ptr(), first).store(y.as_mut_ptr());
                    assert!(y[..first].iter().eq(&x[n * n - first..]));
                    assert!(y[first..].iter().all(|v| *v == 0.0));
                    let mut y = vec![-1.0; first];
                    S::load(x.as_ptr()).store_first(y.as_mut_ptr(), first);
                    assert_eq!(y, x[..first]);
                }
                let (a, b) = (S::load(x[1..].as_ptr()), S::splat(4.0));
                let near = |bound: f32, v: S, f: fn(f32) -> f32| {
                    let mut y = vec![0.0; n];
                    v.store(y.as_mut_ptr());
                    for (y, want) in y.iter().zip(x[1..].iter().map(|x| f(*x))) {
                        assert!((y - want).abs() <= bound * want.abs(), "{y} {want}");
                    }
                };
                let check = |v: S, f: fn(f32) -> f32| near(0.0, v, f);
                check(a.add(b), |x| x + 4.0);
                check(a.sub(b), |x| x - 4.0);
                check(a.mul(b), |x| x * 4.0);
                check(a.div(b), |x| x / 4.0);
                check(a.max(b), |x| x.max(4.0));
                check(a.min(b), |x| x.min(4.0));
                check(a.even(S::load(x[n + 1..].as_ptr())), |x| 2.0 * x - 1.0);
                near(2f32.powi(-22), a.rsqrt(), |x| x.sqrt().recip());
                let w: Vec<f64> = x.iter().map(|&v| 0.5 + f64::from(v)).collect();
                let dot: f64 = (0..n).map(|i| f64::from(x[i + 1]) * w[i]).sum();
                let sums = a.wide_mul_add(w.as_ptr(), S::wide_zero());
                assert_eq!(S::wide_sum(sums), dot);
                assert_eq!(S::wide_sum(a.wide_mul_add(w.as_ptr(), sums)), 2.0 * dot);
                let mut sum = w.clone();
                a.wide_add_to(0.25, sum.as_mut_ptr());
                let lane = |i: usize| w[i] + if i < n { 0.25 * f64::from(x[i + 1]) } else { 0.0 };
                assert!((0..w.len()).all(|i| sum[i] == lane(i)));
                for mask in 0..1u32 << n {
                    let mut y = vec![-1.0; n];
                    S::expand(x[1..].as_ptr(), mask).store(y.as_mut_ptr());
                    let mut next = x[1..].iter();
                    let lane = |i| if mask >> i & 1 == 1 { *next.next().unwrap() } else { 0.0 };
                    assert_eq!(y, (0..n).map(lane).collect::<Vec<f32>>());
                }
                let halves: Vec<u16> =
                    x.iter().map(|v| half::f16::from_f32(*v).to_bits()).collect();
                check(S::load_f16(halves[1..].as_ptr()), |x| x);
                let thirds: Vec<[u8; 4]> = x[1..n + 1].iter().map(|v| v.to_be_bytes()).collect();
                let mut numbers: Vec<u8> = thirds.iter().flat_map(|b| [b[1], b[0]]).collect();
                numbers.extend(thirds.iter().map(|b| b[2]));
                check(S::load_f24(numbers.as_ptr()), |x| x);
                let bytes: Vec<i8> = x[..n + 1].iter().map(|v| *v as i8).collect();
                check(S::load_i8(bytes[1..].as_ptr()), |x| x);
                let bytes: Vec<i8> = x[..n + 1].iter().map(|v| -*v as i8).collect();
                check(S::load_i8(bytes[1..].as_ptr()), |x| -x);
                check(a.mul_add(b, a), |x| x * 5.0);
                check(S::splat(f32::NAN).max(b), |_| 4.0);
                check(S::splat(f32::NAN).min(b), |_| 4.0);
            }
        }
    }

    #[test]
    fn every_set_does_the_same() {
        available().iter().for_each(|k| k.run(Lanes));
    }
}
