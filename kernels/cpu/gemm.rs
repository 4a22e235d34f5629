//! Matrix product: `C += A·B`.
//!
//! Flows in: two matrices. Flows out: C. [`plain`] is the definition, with its sums in `f64`.
//! [`fast`] is the same in the five loops of BLIS (Van Zee and van de Geijn, 2015): blocks of A and B
//! are packed into panels that fit the caches, and `micro` multiplies one panel of A with one of B
//! into a tile of C that stays in registers.
//!
//! ```text
//! 5: columns of C, NC at a time      B's block: L3
//! 4:   summed index, KC at a time    B packed into panels of nr columns
//! 3:     rows of C, MC at a time     A packed into panels of mr rows: L2
//! 2:       panels of B               one panel: L1
//! 1:         panels of A             micro: mr × nr sums in registers
//! ```

use super::simd::Simd;
use super::table::Kernels;
use std::ops::Range;

/// A matrix inside a slice: element (i, j) is `data[i · row + j · col]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// The elements.
    pub data: &'a [f32],
    /// Distance between rows.
    pub row: usize,
    /// Distance between columns.
    pub col: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix with `columns` columns.
    pub fn rows(data: &'a [f32], columns: usize) -> Self {
        Self { data, row: columns, col: 1 }
    }

    /// The transpose of a row-major matrix with `columns` columns.
    pub fn transposed(data: &'a [f32], columns: usize) -> Self {
        Self { data, row: 1, col: columns }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        rows == 0 || columns == 0 || self.at(rows - 1, columns - 1) < self.data.len()
    }

    fn at(&self, i: usize, j: usize) -> usize {
        i * self.row + j * self.col
    }
}

/// Sizes of a product: A is m×k, B is k×n, C is m×n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Columns of A, rows of B: the summed index.
    pub k: usize,
}

/// The plain loop: `c[i][j] += Σ_p a[i][p] · b[p][j]`, C row-major, each sum in `f64`.
///
/// # Panics
/// When a slice is too short for its sizes.
pub fn plain(s: Sizes, a: Matrix, b: Matrix, c: &mut [f32]) {
    assert!(a.holds(s.m, s.k) && b.holds(s.k, s.n) && c.len() == s.m * s.n);
    for i in 0..s.m {
        for j in 0..s.n {
            let mut sum = 0f64;
            for p in 0..s.k {
                sum += a.data[a.at(i, p)] as f64 * b.data[b.at(p, j)] as f64;
            }
            c[i * s.n + j] = (c[i * s.n + j] as f64 + sum) as f32;
        }
    }
}

/// Multiplies panels: `c[i][j] += Σ_p a[p][i] · b[p][j]` for a tile of `mr × nr`.
///
/// # Safety
/// The instruction set must be the machine's; `a` must hold `k · mr` values, `b` `k · nr`, and `c`
/// `nr` values in each of `mr` rows that are `row` apart.
type Run = unsafe fn(k: usize, a: *const f32, b: *const f32, c: *mut f32, row: usize);

/// One instruction set's innermost loop and its tile.
#[derive(Debug)]
pub(super) struct MicroKernel {
    pub name: &'static str,
    pub mr: usize,
    pub nr: usize,
    pub run: Run,
}

/// The innermost loop for any instruction set: `MR` rows of `NV` vectors stay in registers.
///
/// # Safety
/// As for [`Run`], with `mr = MR` and `nr = NV · LANES`.
#[inline(always)]
pub(super) unsafe fn micro<S: Simd, const MR: usize, const NV: usize>(
    k: usize,
    mut a: *const f32,
    mut b: *const f32,
    c: *mut f32,
    row: usize,
) {
    // SAFETY: `a` advances k times by MR, `b` by NV vectors, over memory that the caller promises; so
    // are the MR rows of `c`. The instructions are those that the caller is compiled for.
    unsafe {
        let mut sums = [[S::splat(0.0); NV]; MR];
        for _ in 0..k {
            let mut columns = [S::splat(0.0); NV];
            for (v, column) in columns.iter_mut().enumerate() {
                *column = S::load(b.add(v * S::LANES));
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let left = S::splat(*a.add(i));
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = left.mul_add(column, *sum);
                }
            }
            a = a.add(MR);
            b = b.add(NV * S::LANES);
        }
        for (i, sums) in sums.iter().enumerate() {
            for (v, sum) in sums.iter().enumerate() {
                let at = c.add(i * row + v * S::LANES);
                S::load(at).add(*sum).store(at);
            }
        }
    }
}

/// The right-hand side of a product, which knows how to lay itself out in panels.
pub trait Columns {
    /// Whether there are `rows` rows and `columns` columns.
    fn holds(&self, rows: usize, columns: usize) -> bool;

    /// Writes rows `p` and columns `j` as panels of `nr` columns: panel after panel, in each row after
    /// row, `nr` values a row. Columns beyond the last are left as they are (zero).
    fn pack(&self, p: Range<usize>, j: Range<usize>, nr: usize, panels: &mut [f32]);
}

impl Columns for Matrix<'_> {
    fn holds(&self, rows: usize, columns: usize) -> bool {
        self.holds(rows, columns)
    }

    fn pack(&self, p: Range<usize>, j: Range<usize>, nr: usize, panels: &mut [f32]) {
        let panels = panels.chunks_exact_mut(nr * p.len());
        for (first, panel) in j.clone().step_by(nr).zip(panels) {
            let width = nr.min(j.end - first);
            for (p, line) in p.clone().zip(panel.chunks_exact_mut(nr)) {
                let from = &self.data[self.at(p, first)..];
                if self.col == 1 {
                    line[..width].copy_from_slice(&from[..width]);
                } else {
                    let values = from.iter().step_by(self.col);
                    line[..width].iter_mut().zip(values).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }
}

/// Rows `i` and summed indices `p` of A as panels of `mr` rows, rows beyond the last zero: panel after
/// panel, in each index after index, `mr` values an index.
fn pack_rows(a: &Matrix, i: Range<usize>, p: Range<usize>, mr: usize, panels: &mut [f32]) {
    let panels = panels.chunks_exact_mut(mr * p.len());
    for (first, panel) in i.clone().step_by(mr).zip(panels) {
        let height = mr.min(i.end - first);
        if height < mr {
            panel.fill(0.0);
        }
        for r in 0..height {
            let from = a.data[a.at(first + r, p.start)..].iter().step_by(a.col);
            let to = panel[r..].iter_mut().step_by(mr);
            to.zip(from).for_each(|(to, from)| *to = *from);
        }
    }
}

/// A left-hand side packed once, for many products: weights.
pub struct PackedRows {
    panels: Vec<f32>,
    mr: usize,
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
        let mr = kernels.gemm.mr;
        let mut panels = vec![0.0; m.next_multiple_of(mr) * k];
        if k > 0 {
            pack_rows(&a, 0..m, 0..k, mr, &mut panels);
        }
        Self { panels, mr, m, k }
    }

    /// Elements that it takes.
    pub fn len(&self) -> usize {
        self.panels.len()
    }

    /// Whether it is of an empty matrix.
    pub fn is_empty(&self) -> bool {
        self.panels.is_empty()
    }
}

/// How many rows a share of `m` must have so that `parts` shares begin at panels of these kernels.
pub fn share(kernels: &Kernels, m: usize, parts: usize) -> usize {
    m.div_ceil(parts).next_multiple_of(kernels.gemm.mr)
}

/// The left-hand side of a product.
#[derive(Clone, Copy)]
pub enum Left<'a> {
    /// To be packed on the way.
    Matrix(Matrix<'a>),
    /// Packed before; the product begins at this row, the first of a panel.
    Packed(&'a PackedRows, usize),
}

impl Left<'_> {
    fn holds(&self, kernels: &Kernels, m: usize, k: usize) -> bool {
        match self {
            Left::Matrix(a) => a.holds(m, k),
            Left::Packed(a, first) => {
                a.mr == kernels.gemm.mr && a.k == k && first % a.mr == 0 && first + m <= a.m
            }
        }
    }
}

/// Panels of `mr` rows by `k` summed indices: panel q begins at `q · stride + offset`.
struct Panels<'a> {
    data: &'a [f32],
    stride: usize,
    offset: usize,
    len: usize,
}

impl<'a> Panels<'a> {
    fn get(&self, q: usize) -> &'a [f32] {
        &self.data[q * self.stride + self.offset..][..self.len]
    }
}

/// Where C lies: element (i, j) at `i · row + j · col`.
pub struct Target<'a> {
    /// The elements.
    pub data: &'a mut [f32],
    /// Distance between rows.
    pub row: usize,
    /// Distance between columns.
    pub col: usize,
}

/// Block sizes in elements: a block of A (MC·KC·4 bytes) takes half of a 512 KiB L2, a panel of B
/// (KC·nr·4) 32 KiB of L1 and L2, a block of B a share of L3. KC of 160 and 384 were no faster.
const KC: usize = 256;
const MC: usize = 252;
const NC: usize = 4096;

/// What a thread multiplies with: the kernels, and memory for packed panels that is kept between
/// products.
pub struct Workspace {
    /// The instruction set.
    pub kernels: &'static Kernels,
    rows: Vec<f32>,
    columns: Vec<f32>,
}

impl Workspace {
    /// A workspace without memory yet.
    pub fn new(kernels: &'static Kernels) -> Self {
        Self { kernels, rows: vec![], columns: vec![] }
    }
}

/// The same as [`plain`] by packed panels and SIMD registers, sums in `f32`, one thread.
///
/// # Panics
/// When a slice is too short for its sizes.
pub fn fast(work: &mut Workspace, s: Sizes, a: Left, b: &impl Columns, c: Target) {
    let kernels = work.kernels;
    if s.m == 0 || s.n == 0 {
        return;
    }
    assert!(a.holds(kernels, s.m, s.k) && b.holds(s.k, s.n), "A or B does not fit {s:?}");
    assert!((s.m - 1) * c.row + (s.n - 1) * c.col < c.data.len(), "C is too short for {s:?}");
    let MicroKernel { mr, nr, .. } = kernels.gemm;
    let mut c = c;
    for j in blocks(s.n, NC) {
        for p in blocks(s.k, KC) {
            let columns = prepare(&mut work.columns, j.len().next_multiple_of(nr) * p.len());
            if j.len() % nr != 0 {
                let last = columns.len() - nr * p.len();
                columns[last..].fill(0.0);
            }
            b.pack(p.clone(), j.clone(), nr, columns);
            for i in blocks(s.m, MC / mr * mr) {
                let len = mr * p.len();
                let rows = match a {
                    Left::Packed(a, first) => {
                        let stride = mr * a.k;
                        let offset = (first + i.start) / mr * stride + p.start * mr;
                        Panels { data: &a.panels, stride, offset, len }
                    }
                    Left::Matrix(a) => {
                        let data = prepare(&mut work.rows, i.len().div_ceil(mr) * len);
                        pack_rows(&a, i.clone(), p.clone(), mr, data);
                        Panels { data, stride: len, offset: 0, len }
                    }
                };
                multiply_blocks(&kernels.gemm, p.len(), &rows, columns, [i, j.clone()], &mut c);
            }
        }
    }
}

fn blocks(len: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(size).map(move |from| from..len.min(from + size))
}

fn prepare(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// Loops 2 and 1: every panel of B with every panel of A.
fn multiply_blocks(
    kernel: &MicroKernel,
    k: usize,
    rows: &Panels,
    columns: &[f32],
    [i, j]: [Range<usize>; 2],
    c: &mut Target,
) {
    let (mr, nr) = (kernel.mr, kernel.nr);
    for (j0, b) in j.clone().step_by(nr).zip(columns.chunks_exact(nr * k)) {
        let width = nr.min(j.end - j0);
        for (q, i0) in i.clone().step_by(mr).enumerate() {
            let a = rows.get(q);
            let height = mr.min(i.end - i0);
            let at = i0 * c.row + j0 * c.col;
            if width == nr && height == mr && c.col == 1 {
                // SAFETY: a `Kernels` exists only where its instructions do; the panels hold k·mr and
                // k·nr values; the tile's last element lies inside C, which `fast` checked.
                unsafe {
                    (kernel.run)(k, a.as_ptr(), b.as_ptr(), c.data[at..].as_mut_ptr(), c.row);
                }
            } else {
                partial_tile(kernel, k, a, b, [height, width], &mut c.data[at..], [c.row, c.col]);
            }
        }
    }
}

/// A tile that C holds only a part of, or not row by row: computed aside, then added.
fn partial_tile(
    kernel: &MicroKernel,
    k: usize,
    a: &[f32],
    b: &[f32],
    [height, width]: [usize; 2],
    c: &mut [f32],
    [row, col]: [usize; 2],
) {
    let mut tile = [0f32; 16 * 32];
    assert!(kernel.mr * kernel.nr <= tile.len());
    // SAFETY: a `Kernels` exists only where its instructions do; the panels hold k·mr and k·nr values
    // and the tile mr·nr.
    unsafe { (kernel.run)(k, a.as_ptr(), b.as_ptr(), tile.as_mut_ptr(), kernel.nr) };
    for (r, line) in tile.chunks_exact(kernel.nr).take(height).enumerate() {
        for (j, value) in line[..width].iter().enumerate() {
            c[r * row + j * col] += value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::available;
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        std::iter::repeat_with(next).take(n).collect()
    }

    /// Both sides of the product, plain and transposed, C row-major and column-major.
    fn compare(kernels: &'static Kernels, s: Sizes) {
        let Sizes { m, n, k } = s;
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        for (left, right) in [
            (Matrix::rows(&a, k), Matrix::rows(&b, n)),
            (Matrix::transposed(&a, m), Matrix::transposed(&b, k)),
        ] {
            let mut want = vec![0.5; m * n];
            plain(s, left, right, &mut want);
            for (row, col) in [(n, 1), (1, m)] {
                let packed = PackedRows::new(kernels, m, k, left);
                for left in [Left::Matrix(left), Left::Packed(&packed, 0)] {
                    let mut got = vec![0.5; m * n];
                    let target = Target { data: &mut got, row, col };
                    fast(&mut Workspace::new(kernels), s, left, &right, target);
                    for (x, w) in want.iter().enumerate() {
                        let g = got[x / n * row + x % n * col];
                        let bound = 2e-7 * (k as f32 + 1.0);
                        assert!((w - g).abs() <= bound, "{} {s:?}: {w} {g}", kernels.name());
                    }
                }
            }
        }
    }

    #[test]
    fn every_kernel_equals_plain_on_tails_and_several_blocks() {
        for kernels in available() {
            let (mr, nr) = (kernels.gemm.mr, kernels.gemm.nr);
            for m in [1, mr - 1, mr, mr + 1, 3 * mr + 2] {
                for n in [1, nr - 1, nr, nr + 1, 2 * nr + 3] {
                    for k in [1, 2, 17] {
                        compare(kernels, Sizes { m, n, k });
                    }
                }
            }
            compare(kernels, Sizes { m: MC + 3, n: 5, k: 2 * KC + 1 });
            compare(kernels, Sizes { m: 2, n: NC + 1, k: KC + 1 });
            println!("{} tested", kernels.gemm_name());
        }
    }

    #[test]
    fn a_packed_matrix_can_be_entered_at_a_panel() {
        for kernels in available() {
            let mr = kernels.gemm.mr;
            let s = Sizes { m: mr + 3, n: 7, k: 5 };
            let (a, b) = (numbers(2 * mr * s.k + 3 * s.k, 1), numbers(s.k * s.n, 2));
            let packed = PackedRows::new(kernels, 2 * mr + 3, s.k, Matrix::rows(&a, s.k));
            let (mut want, mut got) = (vec![0.0; s.m * s.n], vec![0.0; s.m * s.n]);
            let b = Matrix::rows(&b, s.n);
            plain(s, Matrix::rows(&a[mr * s.k..], s.k), b, &mut want);
            let target = Target { data: &mut got, row: s.n, col: 1 };
            fast(&mut Workspace::new(kernels), s, Left::Packed(&packed, mr), &b, target);
            assert!(want.iter().zip(&got).all(|(w, g)| (w - g).abs() < 1e-5));
        }
    }

    #[test]
    fn times_the_identity_is_the_matrix_itself() {
        for kernels in available() {
            let n = 40;
            let a = numbers(n * n, 3);
            let identity: Vec<f32> = (0..n * n).map(|i| f32::from(i % (n + 1) == 0)).collect();
            for (left, right) in [(&a, &identity), (&identity, &a)] {
                let mut c = vec![0.0; n * n];
                let s = Sizes { m: n, n, k: n };
                let target = Target { data: &mut c, row: n, col: 1 };
                let (left, right) = (Matrix::rows(left, n), Matrix::rows(right, n));
                fast(&mut Workspace::new(kernels), s, Left::Matrix(left), &right, target);
                assert_eq!(c, a);
            }
        }
    }

    #[test]
    fn a_small_product_by_hand() {
        let mut c = [1.0, 0.0, 0.0, 0.0];
        let s = Sizes { m: 2, n: 2, k: 2 };
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
        plain(s, Matrix::rows(&a, 2), Matrix::rows(&b, 2), &mut c);
        assert_eq!(c, [20.0, 22.0, 43.0, 50.0]);
    }
}
