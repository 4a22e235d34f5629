//! Matrix product: `C += A·B`.
//!
//! Flows in: two matrices. Flows out: C. [`plain`] is the definition, with its sums in `f64`.
//! [`fast`] is the same in the five loops of BLIS (Van Zee and van de Geijn, 2015): blocks of A and B
//! are laid out in [panels](super::panels) that fit the caches, and `micro` multiplies one panel of A
//! with one of B into a tile of C that stays in registers.
//!
//! ```text
//! 5: columns of C, NC at a time      B's block: L3
//! 4:   summed index, KC at a time    B in panels of nr columns
//! 3:     rows of C, MC at a time     A in panels of at most mr rows: L2
//! 2:       panels of B               one panel: L1
//! 1:         panels of A             micro: mr × nr sums in registers
//! ```

use super::micro::{self, Ahead, Tile};
use super::panels::{Columns, PackedRows, Panels, pack_rows, panel_height};
use super::simd::{Simd, SimdOp, TILE_VECTORS};
use super::table::Kernels;
use crate::memory::Buffer;
use crate::ops::{Algorithm, InnerDims};
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

    pub(super) fn holds(&self, rows: usize, columns: usize) -> bool {
        rows == 0 || columns == 0 || self.at(rows - 1, columns - 1) < self.data.len()
    }

    pub(super) fn at(&self, i: usize, j: usize) -> usize {
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
            Left::Packed(a, first) => a.holds(kernels, *first, m, k),
        }
    }

    /// Rows of its panels.
    fn height(&self, kernels: &Kernels, m: usize) -> usize {
        match self {
            Left::Matrix(_) => panel_height(kernels, m),
            Left::Packed(a, _) => a.height(),
        }
    }

    /// Rows `i`, summed indices `p`.
    fn panels<'b>(
        &'b self,
        kernels: &Kernels,
        i: Range<usize>,
        p: Range<usize>,
        height: usize,
        buffer: &'b mut Buffer<f32>,
    ) -> Panels<'b> {
        match self {
            Left::Packed(a, first) => a.panels(first + i.start, p.start),
            Left::Matrix(a) => pack_rows(kernels, a, i, p, height, buffer),
        }
    }
}

/// Where C lies, and what becomes of the sums.
pub struct Target<'a> {
    /// The elements: (i, j) is `data[i · row + j]`.
    pub data: &'a mut [f32],
    /// Distance between rows.
    pub row: usize,
    /// What the sums are added to.
    pub start: Start<'a>,
    /// What negative results are multiplied with, if anything: 0 is ReLU.
    pub relu: Option<f32>,
}

/// What the sums of a product are added to.
#[derive(Clone, Copy)]
pub enum Start<'a> {
    /// To C as it is.
    C,
    /// To nothing: C is overwritten.
    Zero,
    /// To one value for each row: C is overwritten.
    Bias(&'a [f32]),
}

/// Block sizes in elements: a block of A (MC·KC·4 bytes) takes half of a 512 KiB L2, a panel of B
/// (KC·nr·4) 32 KiB of L1 and L2, a block of B a share of L3.
const KC: usize = 256;
const MC: usize = 252;
const NC: usize = 4096;

/// What a thread multiplies with: the kernels, and memory that is kept between products.
pub struct Workspace {
    /// The instruction set.
    pub kernels: &'static Kernels,
    pub(super) rows: Buffer<f32>,
    pub(super) columns: Buffer<f32>,
    /// A laid-out picture.
    pub(super) picture: Buffer<f32>,
    pub(super) winograd: super::winograd::Buffers,
    #[cfg(target_arch = "x86_64")]
    pub(super) tiles: super::amx::Buffer,
    #[cfg(target_arch = "x86_64")]
    pub(super) packed: super::amx::Packed,
    #[cfg(target_arch = "x86_64")]
    pub(super) accumulators: super::amx::Accumulators,
}

impl Workspace {
    /// A workspace without memory yet.
    pub fn new(kernels: &'static Kernels) -> Self {
        Self {
            kernels,
            rows: Buffer::default(),
            columns: Buffer::default(),
            picture: Buffer::default(),
            winograd: Default::default(),
            #[cfg(target_arch = "x86_64")]
            tiles: Default::default(),
            #[cfg(target_arch = "x86_64")]
            packed: Default::default(),
            #[cfg(target_arch = "x86_64")]
            accumulators: Default::default(),
        }
    }
}

/// The same as [`plain`] by panels and SIMD registers, sums in `f32`, one thread. What C starts from
/// and the ReLU at the end are [`Target`]'s.
///
/// # Panics
/// When a slice is too short for its sizes.
pub fn fast(work: &mut Workspace, s: Sizes, a: Left, b: &impl Columns, c: Target) {
    let Workspace { kernels, rows, columns, .. } = work;
    if s.m == 0 || s.n == 0 {
        return;
    }
    assert!(a.holds(kernels, s.m, s.k) && b.holds(s.k, s.n), "A or B does not fit {s:?}");
    assert!((s.m - 1) * c.row + s.n <= c.data.len(), "C is too short for {s:?}");
    if let Start::Bias(bias) = c.start {
        assert!(bias.len() >= s.m, "{} biases for {s:?}", bias.len());
    }
    let height = a.height(kernels, s.m);
    for j in blocks(s.n, b.width(kernels).unwrap_or(NC)) {
        for p in blocks_or_one(s.k, KC) {
            let (first, last) = (p.start == 0, p.end == s.k);
            let b = b.panels(kernels, p.clone(), j.clone(), columns);
            for i in blocks(s.m, (MC / height).max(1) * height) {
                let a = a.panels(kernels, i.clone(), p.clone(), height, rows);
                kernels.run(Blocks {
                    k: p.len(),
                    a: &a,
                    b: &b,
                    height,
                    rows: i.len(),
                    columns: j.len(),
                    c: &mut c.data[i.start * c.row + j.start..],
                    c_row: c.row,
                    add: !first || matches!(c.start, Start::C),
                    bias: match c.start {
                        Start::Bias(bias) if first => Some(&bias[i]),
                        _ => None,
                    },
                    slope: c.relu.filter(|_| last).unwrap_or(1.0),
                });
            }
        }
    }
}

/// The weight gradient of a fully connected layer as a product, from its input `(rows, inputs)` and the
/// gradient of its output `(rows, outputs)`.
pub fn gradient<'a>(d: &InnerDims, [x, dy]: [&'a [f32]; 2]) -> (Sizes, Matrix<'a>, Matrix<'a>) {
    let [outputs, inputs] = [(dy, d.outputs), (x, d.inputs)];
    let (left, right) = if d.transpose { (inputs, outputs) } else { (outputs, inputs) };
    let s = Sizes { m: left.1, n: right.1, k: d.rows };
    (s, Matrix::transposed(left.0, left.1), Matrix::rows(right.0, right.1))
}

/// The same as [`fast`] with both sides laid out on the way, in tiles of `bf16` if `how` is [`Algorithm::Tiles`]: for
/// operands that change before they are used again.
///
/// # Panics
/// When a slice is too short for its sizes, or the kernels have no such tiles.
pub fn once(work: &mut Workspace, how: Algorithm, s: Sizes, a: Matrix, b: Matrix, c: Target) {
    match how {
        #[cfg(target_arch = "x86_64")]
        Algorithm::Tiles => {
            super::amx::product(work.kernels.amx().expect("tiles"), s, a, b, c, &mut work.packed);
        }
        _ => fast(work, s, Left::Matrix(a), &b, c),
    }
}

fn blocks(len: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(size).map(move |from| from..len.min(from + size))
}

/// At least one block, which is empty when there is nothing to sum: C gets its bias all the same.
fn blocks_or_one(len: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    blocks(len.max(1), size).map(move |block| block.start..block.end.min(len))
}

/// Loops 2 and 1: every panel of B with every panel of A.
struct Blocks<'a> {
    k: usize,
    a: &'a Panels<'a>,
    b: &'a Panels<'a>,
    /// Rows of a panel of A.
    height: usize,
    rows: usize,
    columns: usize,
    c: &'a mut [f32],
    c_row: usize,
    add: bool,
    bias: Option<&'a [f32]>,
    slope: f32,
}

impl SimdOp for Blocks<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let nr = TILE_VECTORS * S::LANES;
        let panels = self.rows.div_ceil(self.height);
        let a_len = self.k.next_multiple_of(S::LANES) * self.height;
        for (q, j) in (0..self.columns).step_by(nr).enumerate() {
            let b = self.b.get(q, self.k * nr);
            for (r, i) in (0..self.rows).step_by(self.height).enumerate() {
                let a = self.a.get(r, a_len);
                let tile = Tile {
                    k: self.k,
                    a: a.as_ptr(),
                    a_block: self.height * S::LANES,
                    b: b.as_ptr(),
                    c: self.c[i * self.c_row + j..].as_mut_ptr(),
                    c_row: self.c_row,
                    rows: self.height.min(self.rows - i),
                    width: nr.min(self.columns - j),
                    add: self.add,
                    bias: self.bias.map_or(std::ptr::null(), |bias| bias[i..].as_ptr()),
                    slope: self.slope,
                    // What lies behind the panel is used next.
                    ahead: Ahead::share(b.as_ptr_range().end, r, panels, self.k, S::LANES),
                };
                // SAFETY: the panels hold what a tile of this height reads; the tile's last element
                // lies inside C and its bias inside the biases, which `fast` checked; the instruction
                // set is the caller's promise.
                unsafe { micro::tile::<S>(&tile) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::PackedColumns;
    use super::super::table::available;
    use super::*;
    use crate::ops::Precision;

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
            let packed = PackedRows::new(kernels, m, k, left);
            let columns = PackedColumns::new(kernels, k, n, right, Precision::F32);
            for left in [Left::Matrix(left), Left::Packed(&packed, 0)] {
                for by_panels in [false, true] {
                    let mut got = vec![0.5; m * n];
                    let work = &mut Workspace::new(kernels);
                    let c = Target { data: &mut got, row: n, start: Start::C, relu: None };
                    match by_panels {
                        false => fast(work, s, left, &right, c),
                        true => fast(work, s, left, &columns.from(0), c),
                    }
                    for (w, g) in want.iter().zip(&got) {
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
            let [mr, nr] = kernels.tile();
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
    fn packed_operands_can_be_entered_at_a_panel() {
        for kernels in available() {
            let (m, n, k) = (31, 2 * kernels.tile()[1] + 3, 5);
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let rows = PackedRows::new(kernels, m, k, Matrix::rows(&a, k));
            let columns = PackedColumns::new(kernels, k, n, Matrix::rows(&b, n), Precision::F32);
            let (i, j) = (rows.share(2), columns.share(2));
            assert!(0 < i && i < m && 0 < j && j < n);
            let mut want = vec![0.0; m * n];
            plain(Sizes { m, n, k }, Matrix::rows(&a, k), Matrix::rows(&b, n), &mut want);
            let s = Sizes { m: m - i, n: n - j, k };
            let mut got = vec![0.0; s.m * s.n];
            let c = Target { data: &mut got, row: s.n, start: Start::Zero, relu: None };
            let work = &mut Workspace::new(kernels);
            fast(work, s, Left::Packed(&rows, i), &columns.from(j), c);
            for (at, g) in got.iter().enumerate() {
                let w = want[(i + at / s.n) * n + j + at % s.n];
                assert!((w - g).abs() < 1e-5, "{}: {w} {g}", kernels.name());
            }
        }
    }

    #[test]
    fn biases_come_before_relu_and_after_every_block() {
        for kernels in available() {
            for (k, slope) in [(0, None), (3, Some(0.0)), (2 * KC + 1, Some(0.5))] {
                let s = Sizes { m: 17, n: 37, k };
                let (a, b) = (numbers(s.m * k, 1), numbers(k * s.n, 2));
                let bias = numbers(s.m, 3);
                let mut want: Vec<f32> = (0..s.m * s.n).map(|i| bias[i / s.n]).collect();
                plain(s, Matrix::rows(&a, k), Matrix::rows(&b, s.n), &mut want);
                let relu = |v: &mut f32| *v = v.max(0.0) + slope.unwrap_or(1.0) * v.min(0.0);
                want.iter_mut().for_each(relu);
                let mut got = vec![f32::NAN; s.m * s.n];
                let start = Start::Bias(&bias);
                let c = Target { data: &mut got, row: s.n, start, relu: slope };
                let (a, b) = (Left::Matrix(Matrix::rows(&a, k)), Matrix::rows(&b, s.n));
                fast(&mut Workspace::new(kernels), s, a, &b, c);
                for (w, g) in want.iter().zip(&got) {
                    assert!((w - g).abs() <= 2e-7 * (k as f32 + 5.0), "{k} {slope:?}: {w} {g}");
                }
            }
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
                let target = Target { data: &mut c, row: n, start: Start::Zero, relu: None };
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
