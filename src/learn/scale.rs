//! Numbers of different size made comparable.
//!
//! Flows in: rows of features, or values such as likes. Flows out: the rows with each column or each row
//! brought to a common size ([`Standard`], [`Norm`]); the median and how far values lie from it.

use crate::error::{Error, Result};

/// What a normal distribution's median absolute deviation is, where its standard deviation is 1.
const NORMAL: f64 = 0.674_489_750_196_081_7;

/// Mean and variance of each column.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Number of rows.
    pub rows: usize,
    /// Means.
    pub mean: Vec<f64>,
    /// Variances, divided by the number of rows.
    pub variance: Vec<f64>,
}

impl Moments {
    /// Reads the rows twice: for the means, then for the squares of what lies around them, less what the
    /// means' own rounding adds (Chan, Golub and LeVeque, 1983). The bits are scikit-learn's.
    ///
    /// Fails without rows, on a row of another width and on values that are not finite.
    pub fn of<R: AsRef<[f32]>>(
        columns: usize,
        rows: impl Iterator<Item = R> + Clone,
    ) -> Result<Self> {
        let mut mean = vec![0.0; columns];
        let mut n = 0;
        for row in rows.clone() {
            let row = row.as_ref();
            check_row(row, columns, n)?;
            mean.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
            n += 1;
        }
        if n == 0 {
            return Err(Error::Invalid("no rows to scale by".into()));
        }
        mean.iter_mut().for_each(|sum| *sum /= n as f64);
        let mut squares = vec![0.0; columns];
        let mut drift = vec![0.0; columns];
        for row in rows {
            for (c, &x) in row.as_ref().iter().enumerate() {
                let away = f64::from(x) - mean[c];
                drift[c] += away;
                squares[c] += away * away;
            }
        }
        let corrected = |(s, d): (&f64, &f64)| (s - d * d / n as f64) / n as f64;
        let variance = squares.iter().zip(&drift).map(corrected).collect();
        Ok(Self { rows: n, mean, variance })
    }
}

fn check_row(row: &[f32], columns: usize, number: usize) -> Result<()> {
    if row.len() != columns {
        let got = row.len();
        return Err(Error::Invalid(format!("row {number} has {got} values, not {columns}")));
    }
    match row.iter().position(|x| !x.is_finite()) {
        Some(column) => {
            Err(Error::Invalid(format!("row {number}, column {column} is {}", row[column])))
        }
        None => Ok(()),
    }
}

/// Columns brought to mean 0 and variance 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Standard {
    /// What is taken off each column.
    pub mean: Vec<f64>,
    /// What each column is then divided by.
    pub scale: Vec<f64>,
}

impl Standard {
    /// Mean and standard deviation of each column, scikit-learn's `StandardScaler`. A constant column is
    /// divided by 1: one whose variance is no more than rounding makes of a constant, or whose deviation
    /// is 0 as `f32`. Fails as [`Moments::of`] does.
    pub fn fit<R: AsRef<[f32]>>(
        columns: usize,
        rows: impl Iterator<Item = R> + Clone,
    ) -> Result<Self> {
        let Moments { rows, mean, variance } = Moments::of(columns, rows)?;
        let rounding = rows as f64 * f64::EPSILON;
        let scale = |(&variance, &mean): (&f64, &f64)| {
            let constant = variance <= rounding * variance + (rounding * mean).powi(2);
            let deviation = variance.sqrt();
            if constant || deviation as f32 == 0.0 { 1.0 } else { deviation }
        };
        Ok(Self { scale: variance.iter().zip(&mean).map(scale).collect(), mean })
    }

    /// Scales a row of as many values as there are columns. As in scikit-learn, a
    /// row of `f32` is scaled by mean and deviation rounded to `f32`.
    pub fn apply(&self, row: &mut [f32]) {
        for ((x, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
            *x = (*x - *mean as f32) / *scale as f32;
        }
    }
}

/// The size of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// Sum of magnitudes.
    L1,
    /// Root of the sum of squares.
    L2,
    /// Largest magnitude.
    Max,
}

impl Norm {
    /// The row's size.
    pub fn of(self, row: &[f32]) -> f64 {
        let magnitudes = row.iter().map(|&x| f64::from(x).abs());
        match self {
            Self::L1 => magnitudes.sum(),
            Self::L2 => magnitudes.map(|x| x * x).sum::<f64>().sqrt(),
            Self::Max => magnitudes.fold(0.0, f64::max),
        }
    }

    /// Divides the row by its size. A row of zeros stays one.
    pub fn apply(self, row: &mut [f32]) {
        let size = self.of(row);
        if size > 0.0 {
            row.iter_mut().for_each(|x| *x = (f64::from(*x) / size) as f32);
        }
    }
}

/// The middle value, or the mean of the middle two. NaN without values, and when one is NaN.
pub fn median(values: &[f64]) -> f64 {
    if values.is_empty() || values.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    let mut values = values.to_vec();
    let half = values.len() / 2;
    let odd = values.len() % 2 == 1;
    let (below, &mut middle, _) = values.select_nth_unstable_by(half, f64::total_cmp);
    if odd {
        return middle;
    }
    (below.iter().copied().fold(f64::NEG_INFINITY, f64::max) + middle) / 2.0
}

/// Median absolute deviation: the median of how far values are from their median. NaN as [`median`].
pub fn mad(values: &[f64]) -> f64 {
    let middle = median(values);
    median(&values.iter().map(|v| (v - middle).abs()).collect::<Vec<_>>())
}

/// [`mad`] in units in which it is the standard deviation of normally distributed values.
pub fn mad_normal(values: &[f64]) -> f64 {
    mad(values) / NORMAL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_by_hand() {
        let rows: [[f32; 3]; 4] =
            [[1.0, 5.0, 0.1], [3.0, 5.0, 0.1], [5.0, 5.0, 0.1], [7.0, 5.0, 0.1]];
        let moments = Moments::of(3, rows.iter()).expect("moments");
        assert_eq!((moments.rows, moments.mean[0], moments.variance[0]), (4, 4.0, 5.0));
        let fit = Standard::fit(3, rows.iter()).expect("a scale");
        assert_eq!(fit.scale, [5f64.sqrt(), 1.0, 1.0]);
        let mut row = rows[3];
        fit.apply(&mut row);
        assert_eq!(row, [3.0 / 5f32.sqrt(), 0.0, 0.0]);
    }

    #[test]
    fn a_deviation_too_small_for_f32_divides_nothing_by_zero() {
        let mut rows = [[0f32]; 10_000];
        rows[7] = [f32::from_bits(1)];
        let fit = Standard::fit(1, rows.iter()).expect("a scale");
        fit.apply(&mut rows[7]);
        assert!(rows[7][0].is_finite(), "{fit:?}");
    }

    #[test]
    fn rows_by_hand() {
        for (norm, size) in [(Norm::L1, 7.0), (Norm::L2, 5.0), (Norm::Max, 4.0)] {
            let mut row = [3.0, 0.0, -4.0];
            norm.apply(&mut row);
            assert_eq!(row, [(3.0 / size) as f32, 0.0, (-4.0 / size) as f32]);
            let mut zeros = [0.0; 2];
            norm.apply(&mut zeros);
            assert_eq!(zeros, [0.0; 2]);
        }
    }

    #[test]
    fn medians_by_hand() {
        // Away from 2: 1, 1, 0, 0, 2, 4, 7.
        let values = [9.0, 1.0, 2.0, 6.0, 2.0, 4.0, 1.0];
        assert_eq!((median(&values), mad(&values)), (2.0, 1.0));
        assert_eq!(mad_normal(&values), 1.482602218505602);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!((median(&[7.0]), mad(&[7.0])), (7.0, 0.0));
        for values in [&[][..], &[1.0, f64::NAN]] {
            assert!(median(values).is_nan() && mad(values).is_nan() && mad_normal(values).is_nan());
        }
    }

    #[test]
    fn refusals() {
        let none: [[f32; 2]; 0] = [];
        assert!(Standard::fit(2, none.iter()).is_err());
        let refusal = |row: [f32; 2], columns| {
            Standard::fit(columns, [[1.0, 2.0], row].iter()).expect_err("no").to_string()
        };
        assert!(refusal([1.0, f32::NAN], 2).contains("row 1, column 1 is NaN"));
        assert!(refusal([1.0, 2.0], 3).contains("row 0 has 2 values, not 3"));
    }
}
