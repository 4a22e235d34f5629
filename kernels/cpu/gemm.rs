//! Matrix product: `C = A·B + C₀`, row-major.
//!
//! Flows in: two matrices with their strides. Flows out: C. [`plain`] is the definition, with its
//! sums in `f64`; [`fast`] hands the same problem to the `matrixmultiply` crate.

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
        rows == 0
            || columns == 0
            || (rows - 1) * self.row + (columns - 1) * self.col < self.data.len()
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
                sum += a.data[i * a.row + p * a.col] as f64 * b.data[p * b.row + j * b.col] as f64;
            }
            c[i * s.n + j] = (c[i * s.n + j] as f64 + sum) as f32;
        }
    }
}

/// The same by packed panels and SIMD registers, sums in `f32`, one thread.
///
/// # Panics
/// When a slice is too short for its sizes.
pub fn fast(s: Sizes, a: Matrix, b: Matrix, c: &mut [f32]) {
    assert!(a.holds(s.m, s.k) && b.holds(s.k, s.n) && c.len() == s.m * s.n);
    // SAFETY: the assertion above bounds every index that the strides can reach, and C is row-major
    // with exactly m·n elements, so none of its elements alias.
    unsafe {
        matrixmultiply::sgemm(
            s.m,
            s.k,
            s.n,
            1.0,
            a.data.as_ptr(),
            a.row as isize,
            a.col as isize,
            b.data.as_ptr(),
            b.row as isize,
            b.col as isize,
            1.0,
            c.as_mut_ptr(),
            s.n as isize,
            1,
        );
    }
}

/// `y[j] += Σ_p rows[j][p] · x[p]`: one row of C when B is stored transposed.
///
/// Sixteen partial sums keep the SIMD registers busy without changing what is added.
pub fn rows_times_vector(rows: &[f32], x: &[f32], y: &mut [f32]) {
    const LANES: usize = 16;
    for (row, out) in rows.chunks_exact(x.len()).zip(y) {
        let mut sums = [0f32; LANES];
        let (r, v) = (row.chunks_exact(LANES), x.chunks_exact(LANES));
        let tail = r.remainder().iter().zip(v.remainder());
        let tail: f32 = tail.map(|(a, b)| a * b).sum();
        for (r, v) in r.zip(v) {
            for (s, (a, b)) in sums.iter_mut().zip(r.iter().zip(v)) {
                *s += a * b;
            }
        }
        *out += sums.iter().sum::<f32>() + tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        std::iter::repeat_with(next).take(n).collect()
    }

    #[test]
    fn fast_equals_plain_on_tails_and_transposes() {
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (17, 33, 9), (64, 1, 130), (1, 129, 64)] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let s = Sizes { m, n, k };
            for (left, right) in [
                (Matrix::rows(&a, k), Matrix::rows(&b, n)),
                (Matrix::transposed(&a, m), Matrix::transposed(&b, k)),
            ] {
                let (mut want, mut got) = (vec![0.5; m * n], vec![0.5; m * n]);
                plain(s, left, right, &mut want);
                fast(s, left, right, &mut got);
                for (w, g) in want.iter().zip(&got) {
                    assert!((w - g).abs() <= 1e-6 * (k as f32 + 1.0), "{w} {g}");
                }
            }
        }
    }

    #[test]
    fn one_row_equals_the_plain_product() {
        for k in [1, 15, 16, 17, 200] {
            let (rows, x) = (numbers(3 * k, 1), numbers(k, 2));
            let (mut want, mut got) = (vec![1.0; 3], vec![1.0; 3]);
            let s = Sizes { m: 1, n: 3, k };
            plain(s, Matrix::rows(&x, k), Matrix::transposed(&rows, k), &mut want);
            rows_times_vector(&rows, &x, &mut got);
            for (w, g) in want.iter().zip(&got) {
                assert!((w - g).abs() < 1e-5, "{w} {g}");
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
