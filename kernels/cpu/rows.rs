//! Rows of features, dense or with their zeros left out, times a vector and added to one.
//!
//! Flows in: a [`Row`] of `f32` and a vector. Flows out: their product, or the vector changed. A linear
//! classifier learns with nothing else.
//!
//! A packed row is a bit for each column and the values whose bit is set. Vectors are spread out again in
//! registers: a row that is three quarters zeros comes from memory 3.5 times as fast as a dense one, and no
//! column number is looked at.

use super::simd::{Simd, SimdOp};
use super::table::Kernels;

/// Columns that share a word of bits.
pub const WORD: usize = u16::BITS as usize;

/// One row of features.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a> {
    /// Every value.
    Dense(&'a [f32]),
    /// The values that are not zero.
    Packed(Packed<'a>),
}

/// A row with its zeros left out.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    /// Bit c % 16 of word c / 16 is set where column c has a value.
    masks: &'a [u16],
    /// The values, and whatever follows them.
    values: &'a [f32],
}

impl<'a> Packed<'a> {
    /// A row from its bits and the values that belong to them. `values` may go on behind the row's own, and
    /// must have at least 16 elements for each word, so that whole vectors can be read from it.
    ///
    /// # Panics
    /// When it has fewer.
    pub fn new(masks: &'a [u16], values: &'a [f32]) -> Self {
        assert!(values.len() >= masks.len() * WORD);
        Self { masks, values }
    }
}

impl Row<'_> {
    /// Elements that a vector must have, at least, to be multiplied with the row.
    fn width(&self) -> usize {
        match self {
            Self::Dense(values) => values.len(),
            Self::Packed(row) => row.masks.len() * WORD,
        }
    }

    /// Columns `first..first + count` as a row of their own; `first` is a multiple of 16.
    ///
    /// # Panics
    /// When it is not, or the row ends before.
    pub fn part(&self, first: usize, count: usize) -> Self {
        assert!(first.is_multiple_of(WORD));
        match *self {
            Self::Dense(row) => Self::Dense(&row[first..first + count]),
            Self::Packed(Packed { masks, values }) => {
                let (before, masks) = masks.split_at(first / WORD);
                let skipped: u32 = before.iter().map(|mask| mask.count_ones()).sum();
                let masks = &masks[..count.div_ceil(WORD)];
                Self::Packed(Packed { masks, values: &values[skipped as usize..] })
            }
        }
    }

    /// The plain loop: calls `f` with each column and its value; zeros that are left out are left out.
    pub fn each(&self, mut f: impl FnMut(usize, f32)) {
        match self {
            Self::Dense(values) => values.iter().enumerate().for_each(|(c, &v)| f(c, v)),
            Self::Packed(row) => {
                let mut values = row.values.iter();
                for (word, &mask) in row.masks.iter().enumerate() {
                    let mut bits = mask;
                    let own = values.by_ref().take(mask.count_ones() as usize);
                    for &v in own {
                        f(word * WORD + bits.trailing_zeros() as usize, v);
                        bits &= bits - 1;
                    }
                }
            }
        }
    }

    /// `Σ row[c] · w[c]`, sums in `f32`, some for each lane.
    ///
    /// # Panics
    /// When `w` is shorter than the row, whose columns are rounded up to 16 where it is packed.
    pub fn dot(&self, kernels: &Kernels, w: &[f32]) -> f32 {
        assert!(w.len() >= self.width());
        kernels.run(Dot { row: *self, w })
    }

    /// `w[c] += a · row[c]`.
    ///
    /// # Panics
    /// As [`Row::dot`].
    pub fn add_to(&self, kernels: &Kernels, a: f32, w: &mut [f32]) {
        assert!(w.len() >= self.width());
        kernels.run(Add { row: *self, a, w });
    }

    /// `w[c] += step(Σ row[c] · w[c]) · row[c]`: [`Row::dot`], and [`Row::add_to`] with what `step` makes of it,
    /// where that is not 0. In between the row lies spread out in `scratch`.
    ///
    /// # Panics
    /// As [`Row::dot`], and when `scratch` is shorter than `w`.
    pub fn dot_and_add(
        &self,
        kernels: &Kernels,
        w: &mut [f32],
        scratch: &mut [f32],
        step: impl FnOnce(f32) -> f32,
    ) {
        assert!(w.len() >= self.width() && scratch.len() >= w.len());
        match *self {
            Self::Dense(_) => match step(self.dot(kernels, w)) {
                0.0 => {}
                step => self.add_to(kernels, step, w),
            },
            Self::Packed(row) => {
                let step = step(kernels.run(DotSpread { row, w, scratch }));
                if step != 0.0 {
                    Row::Dense(&scratch[..self.width()]).add_to(kernels, step, w);
                }
            }
        }
    }

    /// `Σ row[c] · w[c]` in `f64`.
    ///
    /// # Panics
    /// As [`Row::dot`].
    pub fn dot_wide(&self, kernels: &Kernels, w: &[f64]) -> f64 {
        assert!(w.len() >= self.width());
        kernels.run(DotWide { row: *self, w })
    }

    /// `w[c] += a · row[c]` in `f64`.
    ///
    /// # Panics
    /// As [`Row::dot`].
    pub fn add_to_wide(&self, kernels: &Kernels, a: f64, w: &mut [f64]) {
        assert!(w.len() >= self.width());
        kernels.run(AddWide { row: *self, a, w });
    }

    /// Asks for the row's memory, which is soon to be used: rows in random order come twice as fast when
    /// the next one is asked for before this one is multiplied.
    pub fn prefetch(&self, kernels: &Kernels) {
        kernels.run(Prefetch { row: *self });
    }
}

/// Sums side by side, so that one need not wait for the other.
const SUMS: usize = 4;

/// The vectors of a packed row, one after the other.
struct Vectors {
    values: *const f32,
}

impl Vectors {
    /// Calls `f` with the vectors of a word of bits, the number of their first column, and which of [`SUMS`]
    /// sums they go to.
    ///
    /// # Safety
    /// LANES values must follow; the caller promises the instruction set.
    #[inline(always)]
    unsafe fn word<S: Simd>(
        &mut self,
        number: usize,
        mask: u16,
        sum: usize,
        f: &mut impl FnMut(usize, usize, S),
    ) {
        for part in 0..WORD / S::LANES {
            let bits = u32::from(mask) >> (part * S::LANES) & ((1 << S::LANES) - 1);
            let sum = (sum * (WORD / S::LANES) + part) % SUMS;
            // SAFETY: the caller's promise.
            unsafe {
                f(number * WORD + part * S::LANES, sum, S::expand(self.values, bits));
                self.values = self.values.add(bits.count_ones() as usize);
            }
        }
    }
}

/// Calls `f` with each vector of a packed row, the number of its first column, and which of [`SUMS`] sums it
/// may go to: always the same at the same place of the code, so that sums stay in registers.
#[inline(always)]
unsafe fn vectors<S: Simd>(row: Packed, mut f: impl FnMut(usize, usize, S)) {
    let mut next = Vectors { values: row.values.as_ptr() };
    let (groups, rest) = row.masks.as_chunks::<SUMS>();
    // SAFETY: `Packed::new` checked that 16 values follow for each word, so that LANES follow the values of
    // all vectors before the last one. The caller promises the instruction set.
    unsafe {
        for (g, masks) in groups.iter().enumerate() {
            next.word::<S>(g * SUMS, masks[0], 0, &mut f);
            next.word::<S>(g * SUMS + 1, masks[1], 1, &mut f);
            next.word::<S>(g * SUMS + 2, masks[2], 2, &mut f);
            next.word::<S>(g * SUMS + 3, masks[3], 3, &mut f);
        }
        for (i, &mask) in rest.iter().enumerate() {
            next.word::<S>(groups.len() * SUMS + i, mask, 0, &mut f);
        }
    }
}

struct Dot<'a> {
    row: Row<'a>,
    w: &'a [f32],
}

impl SimdOp for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> f32 {
        let w = self.w.as_ptr();
        // SAFETY: `w` is as long as the row, rounded up to whole words where it is packed. The caller promises
        // the instruction set.
        unsafe {
            let mut sums = [S::splat(0.0); SUMS];
            match self.row {
                Row::Dense(row) => {
                    let from = row.as_ptr();
                    let whole = row.len() / (SUMS * S::LANES) * SUMS;
                    for v in (0..whole).step_by(SUMS) {
                        for (i, sum) in sums.iter_mut().enumerate() {
                            let at = (v + i) * S::LANES;
                            *sum = S::load(from.add(at)).mul_add(S::load(w.add(at)), *sum);
                        }
                    }
                    for at in (whole * S::LANES..row.len()).step_by(S::LANES) {
                        let n = S::LANES.min(row.len() - at);
                        let product =
                            S::load_first(from.add(at), n).mul(S::load_first(w.add(at), n));
                        sums[0] = sums[0].add(product);
                    }
                }
                Row::Packed(row) => vectors::<S>(row, |at, sum, x| {
                    sums[sum] = x.mul_add(S::load(w.add(at)), sums[sum]);
                }),
            }
            total(sums)
        }
    }
}

/// The sum of all lanes of all sums.
#[inline(always)]
unsafe fn total<S: Simd>(sums: [S; SUMS]) -> f32 {
    let mut lanes = [0f32; WORD];
    // SAFETY: a word has as many elements as a vector has lanes, at least; the caller promises the instruction
    // set.
    unsafe { sums[0].add(sums[1]).add(sums[2].add(sums[3])).store(lanes.as_mut_ptr()) };
    // Halves on halves: the compiler makes three or four additions of vectors of it.
    let mut n = S::LANES / 2;
    while n > 0 {
        (0..n).for_each(|i| lanes[i] += lanes[i + n]);
        n /= 2;
    }
    lanes[0]
}

struct DotSpread<'a> {
    row: Packed<'a>,
    w: &'a [f32],
    scratch: &'a mut [f32],
}

impl SimdOp for DotSpread<'_> {
    type Output = f32;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> f32 {
        let (w, scratch) = (self.w.as_ptr(), self.scratch.as_mut_ptr());
        // SAFETY: both are as long as the row, rounded up to whole words. The caller promises the instruction
        // set.
        unsafe {
            let mut sums = [S::splat(0.0); SUMS];
            vectors::<S>(self.row, |at, sum, x| {
                x.store(scratch.add(at));
                sums[sum] = x.mul_add(S::load(w.add(at)), sums[sum]);
            });
            total(sums)
        }
    }
}

struct Add<'a> {
    row: Row<'a>,
    a: f32,
    w: &'a mut [f32],
}

impl SimdOp for Add<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let w = self.w.as_mut_ptr();
        // SAFETY: as in `Dot`.
        unsafe {
            let a = S::splat(self.a);
            match self.row {
                Row::Dense(row) => {
                    let from = row.as_ptr();
                    let whole = row.len() / S::LANES * S::LANES;
                    for at in (0..whole).step_by(S::LANES) {
                        a.mul_add(S::load(from.add(at)), S::load(w.add(at))).store(w.add(at));
                    }
                    let n = row.len() - whole;
                    let (x, y) =
                        (S::load_first(from.add(whole), n), S::load_first(w.add(whole), n));
                    a.mul_add(x, y).store_first(w.add(whole), n);
                }
                Row::Packed(row) => vectors::<S>(row, |at, _, x| {
                    a.mul_add(x, S::load(w.add(at))).store(w.add(at));
                }),
            }
        }
    }
}

struct DotWide<'a> {
    row: Row<'a>,
    w: &'a [f64],
}

impl SimdOp for DotWide<'_> {
    type Output = f64;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> f64 {
        let w = self.w.as_ptr();
        // SAFETY: as in `Dot`; what is behind the last whole vector goes through memory that is long enough.
        unsafe {
            let mut sums = [S::wide_zero(); SUMS];
            match self.row {
                Row::Dense(row) => {
                    let (from, whole) = (row.as_ptr(), row.len() / S::LANES * S::LANES);
                    for (v, at) in (0..whole).step_by(S::LANES).enumerate() {
                        let sum = &mut sums[v % 2];
                        *sum = S::load(from.add(at)).wide_mul_add(w.add(at), *sum);
                    }
                    let n = row.len() - whole;
                    let mut rest = [0f64; WORD];
                    rest[..n].copy_from_slice(&self.w[whole..row.len()]);
                    let last = S::load_first(from.add(whole), n);
                    sums[0] = last.wide_mul_add(rest.as_ptr(), sums[0]);
                }
                Row::Packed(row) => vectors::<S>(row, |at, sum, x| {
                    sums[sum] = x.wide_mul_add(w.add(at), sums[sum]);
                }),
            }
            sums.map(|sum| S::wide_sum(sum)).iter().sum()
        }
    }
}

struct AddWide<'a> {
    row: Row<'a>,
    a: f64,
    w: &'a mut [f64],
}

impl SimdOp for AddWide<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (a, w) = (self.a, self.w.as_mut_ptr());
        // SAFETY: as in `DotWide`.
        unsafe {
            match self.row {
                Row::Dense(row) => {
                    let (from, whole) = (row.as_ptr(), row.len() / S::LANES * S::LANES);
                    for at in (0..whole).step_by(S::LANES) {
                        S::load(from.add(at)).wide_add_to(a, w.add(at));
                    }
                    let rest = self.w[whole..].iter_mut().zip(&row[whole..]);
                    rest.for_each(|(w, &x)| *w += a * f64::from(x));
                }
                Row::Packed(row) => vectors::<S>(row, |at, _, x| x.wide_add_to(a, w.add(at))),
            }
        }
    }
}

struct Prefetch<'a> {
    row: Row<'a>,
}

impl SimdOp for Prefetch<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // How many values a packed row has is not looked up: a quarter of its columns is usual.
        let (masks, values): (&[u16], &[f32]) = match self.row {
            Row::Dense(row) => (&[], row),
            Row::Packed(row) => (row.masks, &row.values[..row.masks.len() * WORD / 4]),
        };
        for line in masks.chunks(2 * WORD) {
            // SAFETY: the caller promises the instruction set.
            unsafe { S::prefetch(line.as_ptr().cast()) };
        }
        for line in values.chunks(WORD) {
            // SAFETY: as above.
            unsafe { S::prefetch(line.as_ptr()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::available;
    use super::*;

    /// A row of so many columns, one value in `sparse` not zero, and its packed form.
    fn row(columns: usize, sparse: usize) -> (Vec<f32>, Vec<u16>, Vec<f32>) {
        let value = |c: usize| {
            if c.is_multiple_of(sparse) { (c * 37 % 101) as f32 / 16.0 + 0.5 } else { 0.0 }
        };
        let row: Vec<f32> = (0..columns).map(value).collect();
        let bits = |w: &[f32]| w.iter().rev().fold(0, |m, &v| m << 1 | u16::from(v != 0.0));
        let masks: Vec<u16> = row.chunks(WORD).map(bits).collect();
        let mut values: Vec<f32> = row.iter().copied().filter(|&v| v != 0.0).collect();
        // What follows a row is not its own.
        values.resize(values.len() + masks.len() * WORD, 1e9);
        (row, masks, values)
    }

    #[test]
    fn every_set_multiplies_and_adds_both_layouts() {
        for kernels in available() {
            for columns in [1, 15, 16, 17, 63, 64, 65, 130, 4096] {
                for sparse in [1, 2, 5, 1000] {
                    let (dense, masks, values) = row(columns, sparse);
                    let width = columns.next_multiple_of(WORD);
                    let w: Vec<f32> =
                        (0..width).map(|i| (i * 29 % 64) as f32 / 32.0 - 1.0).collect();
                    let wide: Vec<f64> = w.iter().map(|&w| w.into()).collect();
                    let pairs = || dense.iter().zip(&w).map(|(&x, &w)| f64::from(x) * f64::from(w));
                    let (want, size): (f64, f64) = (pairs().sum(), pairs().map(f64::abs).sum());
                    for row in [Row::Dense(&dense), Row::Packed(Packed::new(&masks, &values))] {
                        let mut seen = vec![0.0; columns];
                        row.prefetch(kernels);
                        if columns > 40 {
                            let mut part = [0.0; 32];
                            row.part(16, 17).each(|c, v| part[c.min(31)] += v);
                            assert_eq!(part[..16], dense[16..32]);
                        }
                        row.each(|c, v| seen[c] += v);
                        assert_eq!(seen, dense);
                        let w = &w[..row.width()];
                        let wide = &wide[..row.width()];
                        let dot = f64::from(row.dot(kernels, w));
                        assert!((dot - want).abs() <= 1e-6 * size, "{} {columns}", kernels.name());
                        // Values and weights have few bits: sums in `f64` are exact.
                        assert_eq!(row.dot_wide(kernels, wide), want);
                        let mut sum = w.to_vec();
                        row.add_to(kernels, 0.5, &mut sum);
                        let (mut both, mut scratch) = (w.to_vec(), vec![7.0; w.len()]);
                        row.dot_and_add(kernels, &mut both, &mut scratch, |got| {
                            assert_eq!(f64::from(got), dot);
                            0.5
                        });
                        assert_eq!(both, sum);
                        row.dot_and_add(kernels, &mut both, &mut scratch, |_| 0.0);
                        assert_eq!(both, sum);
                        let mut sum_wide = wide.to_vec();
                        row.add_to_wide(kernels, 0.5, &mut sum_wide);
                        for c in 0..row.width() {
                            let x = dense.get(c).copied().unwrap_or(0.0);
                            assert_eq!(
                                (sum[c], sum_wide[c]),
                                (w[c] + 0.5 * x, wide[c] + 0.5 * f64::from(x))
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic]
    fn values_that_end_too_early_are_refused() {
        Packed::new(&[1, 1], &[0.0; 31]);
    }
}
