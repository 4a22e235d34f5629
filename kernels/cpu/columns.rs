//! The weights of a fully connected layer: a right-hand side packed once, in panels, as `f32` or smaller.
//!
//! Flows in: a matrix, and how its values are to be kept. Flows out: panels of `f32` for a matrix product,
//! decoded on the way, or the values as they are for [`gemv`](super::gemv).

use super::gemm::Matrix;
use super::panels::{Columns, Panels, pack_columns};
use super::simd::{Simd, SimdOp};
use super::table::Kernels;
use crate::memory::{Buffer, Number};
use crate::ops::Precision;
use half::f16;
use std::ops::Range;

/// A k×n matrix in panels of nr columns, by row.
pub struct PackedColumns {
    values: Values,
    nr: usize,
    k: usize,
    n: usize,
}

/// The values of all panels.
pub(super) enum Values {
    F32(Buffer<f32>),
    F24(Buffer<[u8; 3]>),
    F16(Buffer<u16>),
    /// And what each column's are multiplied with.
    I8(Buffer<i8>, Vec<f32>),
}

impl PackedColumns {
    /// Packs a k×n matrix for these kernels.
    ///
    /// # Panics
    /// When the slice is too short.
    pub fn new(kernels: &Kernels, k: usize, n: usize, b: Matrix, precision: Precision) -> Self {
        assert!(b.holds(k, n));
        let [_, nr] = kernels.tile();
        let mut values = Buffer::zeroed(n.next_multiple_of(nr) * k);
        pack_columns(&b, 0..k, 0..n, nr, &mut values);
        let values = match precision {
            Precision::F32 => Values::F32(values),
            Precision::F24 => Values::F24(shortened(&values, kernels.lanes())),
            Precision::F16 => Values::F16(converted(&values, |v| f16::from_f32(v).to_bits())),
            Precision::I8 => quantized(&values, nr, k),
        };
        Self { values, nr, k, n }
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        match &self.values {
            Values::F32(values) => values.bytes(),
            Values::F24(values) => values.bytes(),
            Values::F16(values) => values.bytes(),
            Values::I8(values, scales) => values.bytes() + size_of_val(&scales[..]),
        }
    }

    /// Rows of the right-hand side: inputs of the layer.
    pub fn inputs(&self) -> usize {
        self.k
    }

    /// How many columns a share must have so that `parts` shares, each beginning at a panel, hold all.
    pub fn share(&self, parts: usize) -> usize {
        self.n.div_ceil(self.nr).div_ceil(parts) * self.nr
    }

    /// The columns from `j` on, which begins a panel.
    pub fn from(&self, j: usize) -> FromColumn<'_> {
        assert!(j.is_multiple_of(self.nr) && j <= self.n);
        FromColumn { whole: self, first: j }
    }
}

fn converted<T: Number>(values: &[f32], f: impl Fn(f32) -> T) -> Buffer<T> {
    let mut to = Buffer::zeroed(values.len());
    to.iter_mut().zip(values).for_each(|(to, v)| *to = f(*v));
    to
}

/// 24 bits a value, for each vector first the upper halves and then the third bytes.
fn shortened(values: &[f32], lanes: usize) -> Buffer<[u8; 3]> {
    let mut to = Buffer::zeroed(values.len());
    for (to, values) in to.chunks_exact_mut(lanes).zip(values.chunks_exact(lanes)) {
        let (upper, lower) = to.as_flattened_mut().split_at_mut(2 * lanes);
        for ((upper, lower), v) in upper.chunks_exact_mut(2).zip(lower).zip(values) {
            let [_, third, bytes @ ..] = short(*v).to_bits().to_le_bytes();
            upper.copy_from_slice(&bytes);
            *lower = third;
        }
    }
    to
}

/// The nearest number whose last eight bits are zero.
fn short(v: f32) -> f32 {
    let rounded = f32::from_bits(v.to_bits().wrapping_add(0x80) & !0xff);
    // What is not finite, or would not be, is cut instead; a NaN's first bit stays.
    if rounded.is_finite() { rounded } else { f32::from_bits(v.to_bits() & !0xff) }
}

/// Eight bits a value, and a factor for each column that maps its largest to 127.
fn quantized(values: &[f32], nr: usize, k: usize) -> Values {
    let (mut to, mut scales) = (Buffer::zeroed(values.len()), vec![]);
    for (panel, to) in values.chunks_exact(nr * k).zip(to.chunks_exact_mut(nr * k)) {
        for column in 0..nr {
            let scale = eight_bit_scale(panel[column..].iter().step_by(nr));
            let from = panel[column..].iter().step_by(nr);
            let to = to[column..].iter_mut().step_by(nr);
            to.zip(from).for_each(|(to, v)| *to = (v / scale).round() as i8);
            scales.push(scale);
        }
    }
    Values::I8(to, scales)
}

/// What the largest of some values must be divided by to become 127.
fn eight_bit_scale<'a>(values: impl Iterator<Item = &'a f32>) -> f32 {
    let largest = values.fold(0f32, |a, v| a.max(v.abs()));
    if largest > 0.0 { largest / 127.0 } else { 1.0 }
}

/// Rounds each row of weights as if it were kept so.
pub fn round_rows(precision: Precision, row_len: usize, weights: &mut [f32]) {
    for row in weights.chunks_mut(row_len) {
        match precision {
            Precision::F32 => {}
            Precision::F24 => row.iter_mut().for_each(|v| *v = short(*v)),
            Precision::F16 => row.iter_mut().for_each(|v| *v = f16::from_f32(*v).to_f32()),
            Precision::I8 => {
                let scale = eight_bit_scale(row.iter());
                row.iter_mut().for_each(|v| *v = (*v / scale).round() * scale);
            }
        }
    }
}

/// Some of the columns of a packed right-hand side.
#[derive(Clone, Copy)]
pub struct FromColumn<'a> {
    whole: &'a PackedColumns,
    first: usize,
}

impl<'a> FromColumn<'a> {
    /// All values, where those of the first column's panel begin, and how many a panel has.
    pub(super) fn values(&self) -> (&'a Values, usize, usize) {
        let PackedColumns { values, nr, k, .. } = self.whole;
        (values, self.first * k, nr * k)
    }

    /// The number of its first column.
    pub(super) fn first(&self) -> usize {
        self.first
    }
}

impl Columns for FromColumn<'_> {
    fn holds(&self, rows: usize, columns: usize) -> bool {
        self.whole.k == rows && self.first + columns <= self.whole.n
    }

    fn width(&self, kernels: &Kernels) -> Option<usize> {
        // One panel after the other: so memory is read from front to back.
        Some(kernels.tile()[1])
    }

    fn panels<'a>(
        &'a self,
        kernels: &Kernels,
        p: Range<usize>,
        j: Range<usize>,
        buffer: &'a mut Buffer<f32>,
    ) -> Panels<'a> {
        let PackedColumns { values, nr, k, .. } = self.whole;
        assert_eq!(*nr, kernels.tile()[1]);
        let first = self.first + j.start;
        let offset = first * k + p.start * nr;
        if let Values::F32(data) = values {
            return Panels { data, stride: k * nr, offset };
        }
        let len = p.len() * nr;
        let buffer = buffer.at_least(j.len().div_ceil(*nr) * len);
        for (q, to) in buffer.chunks_exact_mut(len.max(1)).enumerate() {
            let from = offset + q * k * nr;
            match values {
                Values::F32(_) => {}
                Values::F24(data) => {
                    kernels.run(Decode { from: &data[from..][..len], scales: None, to });
                }
                Values::F16(data) => {
                    kernels.run(Decode { from: &data[from..][..len], scales: None, to });
                }
                Values::I8(data, scales) => {
                    let scales = Some(&scales[first + q * nr..][..*nr]);
                    kernels.run(Decode { from: &data[from..][..len], scales, to });
                }
            }
        }
        Panels::new(buffer, len)
    }
}

/// A number as weights are kept.
pub(super) trait Element: Number {
    /// Reads a vector of them as `f32`.
    ///
    /// # Safety
    /// As for [`Simd::load`].
    unsafe fn load<S: Simd>(from: *const Self) -> S;
}

impl Element for f32 {
    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const Self) -> S {
        // SAFETY: the caller's promise.
        unsafe { S::load(from) }
    }
}

impl Element for [u8; 3] {
    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const Self) -> S {
        // SAFETY: the caller's promise; vectors begin at multiples of their length.
        unsafe { S::load_f24(from.cast()) }
    }
}

impl Element for u16 {
    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const Self) -> S {
        // SAFETY: the caller's promise.
        unsafe { S::load_f16(from) }
    }
}

impl Element for i8 {
    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const Self) -> S {
        // SAFETY: the caller's promise.
        unsafe { S::load_i8(from) }
    }
}

/// Rows of a panel as `f32`, times the columns' factors.
struct Decode<'a, E> {
    from: &'a [E],
    scales: Option<&'a [f32]>,
    to: &'a mut [f32],
}

impl<E: Element> SimdOp for Decode<'_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { from, scales, to } = self;
        assert_eq!(from.len(), to.len());
        for at in (0..to.len()).step_by(S::LANES) {
            // SAFETY: panels are whole vectors, and rows as long as `scales`; the caller promises the set.
            unsafe {
                let v: S = E::load(from.as_ptr().add(at));
                let v = match scales {
                    Some(scales) => v.mul(S::load(scales.as_ptr().add(at % scales.len()))),
                    None => v,
                };
                v.store(to.as_mut_ptr().add(at));
            }
        }
    }
}
