//! Panels: the order in which a matrix product reads its operands.
//!
//! Flows in: a matrix, or something that can be seen as one. Flows out: its values in the order that
//! `micro` wants, in a buffer or, for weights, packed once and kept.
//!
//! A panel of A holds a few rows, by blocks of `LANES` summed indices; a panel of B holds `nr` columns,
//! by summed index. Values beyond a matrix's last row or index are never read, those beyond its last
//! column never kept.

use super::gemm::Matrix;
use super::table::Kernels;
use crate::memory::Buffer;
use std::ops::Range;

/// Panels that lie one after the other: panel q begins at `q · stride + offset`.
pub struct Panels<'a> {
    /// The values.
    pub(super) data: &'a [f32],
    /// From one panel to the next.
    pub(super) stride: usize,
    /// Where the first begins.
    pub(super) offset: usize,
}

impl<'a> Panels<'a> {
    /// Panels in a buffer that holds nothing else.
    pub fn new(data: &'a [f32], stride: usize) -> Self {
        Self { data, stride, offset: 0 }
    }

    /// The first `len` values of panel `q`.
    #[inline(always)]
    pub fn get(&self, q: usize, len: usize) -> &'a [f32] {
        &self.data[q * self.stride + self.offset..][..len]
    }
}

/// The right-hand side of a product, which knows how to lay itself out in panels.
pub trait Columns {
    /// Whether there are `rows` rows and `columns` columns.
    fn holds(&self, rows: usize, columns: usize) -> bool;

    /// How many columns to multiply with before going on to the next, if that matters.
    fn width(&self, _: &Kernels) -> Option<usize> {
        None
    }

    /// Rows `p` and columns `j` (which begin at a panel) as panels, in `buffer` unless they are
    /// somewhere already.
    fn panels<'a>(
        &'a self,
        kernels: &Kernels,
        p: Range<usize>,
        j: Range<usize>,
        buffer: &'a mut Buffer<f32>,
    ) -> Panels<'a>;
}

impl Columns for Matrix<'_> {
    fn holds(&self, rows: usize, columns: usize) -> bool {
        self.holds(rows, columns)
    }

    fn panels<'a>(
        &'a self,
        kernels: &Kernels,
        p: Range<usize>,
        j: Range<usize>,
        buffer: &'a mut Buffer<f32>,
    ) -> Panels<'a> {
        let [_, nr] = kernels.tile();
        let stride = nr * p.len();
        let buffer = buffer.at_least(j.len().div_ceil(nr) * stride);
        pack_columns(self, p, j, nr, buffer);
        Panels::new(buffer, stride)
    }
}

pub(super) fn pack_columns(
    b: &Matrix,
    p: Range<usize>,
    j: Range<usize>,
    nr: usize,
    to: &mut [f32],
) {
    if p.is_empty() {
        return;
    }
    for (first, panel) in j.clone().step_by(nr).zip(to.chunks_exact_mut(nr * p.len())) {
        let width = nr.min(j.end - first);
        if b.col == 1 {
            for (p, line) in p.clone().zip(panel.chunks_exact_mut(nr)) {
                line[..width].copy_from_slice(&b.data[b.at(p, first)..][..width]);
            }
        } else {
            for c in 0..width {
                let from = b.data[b.at(p.start, first + c)..].iter().step_by(b.row);
                let to = panel[c..].iter_mut().step_by(nr);
                to.zip(from).for_each(|(to, from)| *to = *from);
            }
        }
    }
}

/// Rows of each panel but the last when `m` rows are cut into as few panels as the tile allows.
pub fn panel_height(kernels: &Kernels, m: usize) -> usize {
    let [mr, _] = kernels.tile();
    m.div_ceil(m.div_ceil(mr).max(1)).max(1)
}

/// Rows `i` and summed indices `p` of A as panels of `height` rows in `buffer`.
pub fn pack_rows<'a>(
    kernels: &Kernels,
    a: &Matrix,
    i: Range<usize>,
    p: Range<usize>,
    height: usize,
    buffer: &'a mut Buffer<f32>,
) -> Panels<'a> {
    let lanes = kernels.lanes();
    let stride = p.len().next_multiple_of(lanes) * height;
    let buffer = buffer.at_least(i.len().div_ceil(height) * stride);
    for (r, i) in i.enumerate() {
        let panel = &mut buffer[r / height * stride..][..stride];
        for (block, p0) in panel.chunks_exact_mut(height * lanes).zip(p.clone().step_by(lanes)) {
            let line = &mut block[r % height * lanes..][..lanes.min(p.end - p0)];
            let from = a.data[a.at(i, p0)..].iter().step_by(a.col);
            line.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
    }
    Panels::new(buffer, stride)
}

/// A left-hand side packed once, for many products: the weights of a convolution.
pub struct PackedRows {
    values: Buffer<f32>,
    height: usize,
    lanes: usize,
    m: usize,
    k: usize,
}

impl PackedRows {
    /// Packs an m×k matrix for these kernels.
    ///
    /// # Panics
    /// When the slice is too short.
    pub fn new(kernels: &Kernels, m: usize, k: usize, a: Matrix) -> Self {
        assert!(a.holds(m, k));
        let (height, mut values) = (panel_height(kernels, m), Buffer::default());
        pack_rows(kernels, &a, 0..m, 0..k, height, &mut values);
        Self { values, height, lanes: kernels.lanes(), m, k }
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.values.bytes()
    }

    /// Rows of a panel.
    pub fn height(&self) -> usize {
        self.height
    }

    /// How many rows a share must have so that `parts` shares, each beginning at a panel, hold all.
    pub fn share(&self, parts: usize) -> usize {
        self.m.div_ceil(self.height).div_ceil(parts) * self.height
    }

    pub(super) fn holds(&self, kernels: &Kernels, first: usize, m: usize, k: usize) -> bool {
        let fits = self.lanes == kernels.lanes() && self.height <= kernels.tile()[0];
        fits && self.k == k && first.is_multiple_of(self.height) && first + m <= self.m
    }

    /// The panels from row `i` on, which begins one, and from summed index `p` on.
    pub(super) fn panels(&self, i: usize, p: usize) -> Panels<'_> {
        let stride = self.k.next_multiple_of(self.lanes) * self.height;
        let offset = i / self.height * stride + p * self.height;
        Panels { data: &self.values, stride, offset }
    }
}
