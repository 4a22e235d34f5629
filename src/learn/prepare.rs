//! Features made comparable before learning: rows to length one, columns to mean 0 and deviation 1.
//!
//! Flows in: a matrix, and the rows that are learnt from, which alone say what the columns' means are. Flows
//! out: a matrix of the same rows, or the same one where there is nothing to do.

use super::scale::{Norm, Standard};
use super::{Layout, Matrix};
use crate::error::Result;

/// What is done with features.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scaling {
    /// Each row is divided by its norm.
    pub norm: Option<Norm>,
    /// Then each column is standardised. Its zeros are zeros no more: the matrix becomes dense.
    pub standardise: bool,
}

/// A matrix that is ready to be learnt from.
pub enum Prepared<'a> {
    /// As it was.
    Same(&'a Matrix),
    /// A scaled copy, and what standardised its columns.
    Scaled(Matrix, Option<Standard>),
}

impl Prepared<'_> {
    /// The matrix.
    pub fn matrix(&self) -> &Matrix {
        match self {
            Self::Same(matrix) => matrix,
            Self::Scaled(matrix, _) => matrix,
        }
    }

    /// What standardised its columns.
    pub fn standard(&self) -> Option<&Standard> {
        match self {
            Self::Same(_) => None,
            Self::Scaled(_, standard) => standard.as_ref(),
        }
    }
}

/// Scales all rows by what the rows `learnt` are like.
pub fn prepared<'a>(matrix: &'a Matrix, learnt: &[u32], how: Scaling) -> Result<Prepared<'a>> {
    if how == Scaling::default() {
        return Ok(Prepared::Same(matrix));
    }
    let normed = |row: usize| {
        let mut values = vec![0.0; matrix.columns()];
        matrix.read_row(row, &mut values);
        if let Some(norm) = how.norm {
            norm.apply(&mut values);
        }
        values
    };
    let rows = learnt.iter().map(|&row| normed(row as usize));
    let standard = how.standardise.then(|| Standard::fit(matrix.columns(), rows)).transpose()?;
    let layout = if how.standardise { Layout::Dense } else { matrix.layout() };
    let mut scaled = Matrix::new(matrix.columns(), layout);
    for row in 0..matrix.rows() {
        let mut values = normed(row);
        if let Some(standard) = &standard {
            standard.apply(&mut values);
        }
        scaled.push(&values)?;
    }
    Ok(Prepared::Scaled(scaled, standard))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_scaled_by_the_rows_that_are_learnt_from() {
        let mut matrix = Matrix::new(2, Layout::Packed);
        for row in [[3.0, 4.0], [0.0, 2.0], [6.0, 8.0], [100.0, 0.0]] {
            matrix.push(&row).unwrap();
        }
        let read = |matrix: &Matrix, row| {
            let mut values = [9.0; 2];
            matrix.read_row(row, &mut values);
            values
        };
        let same = prepared(&matrix, &[0], Scaling::default()).unwrap();
        assert_eq!(read(same.matrix(), 3), [100.0, 0.0]);
        let how = Scaling { norm: Some(Norm::L2), standardise: false };
        let normed = prepared(&matrix, &[0], how).unwrap();
        assert_eq!((read(normed.matrix(), 0), read(normed.matrix(), 3)), ([0.6, 0.8], [1.0, 0.0]));
        let how = Scaling { norm: None, standardise: true };
        // Means 3, 5; deviations 3, 3 of rows 0, 1 and 2 would be others with row 3.
        let standard = prepared(&matrix, &[0, 2, 1], how).unwrap();
        let [a, b] = read(standard.matrix(), 3);
        let deviation = (((4.0f32 - 14.0 / 3.0).powi(2)
            + (2.0f32 - 14.0 / 3.0).powi(2)
            + (8.0f32 - 14.0 / 3.0).powi(2))
            / 3.0)
            .sqrt();
        assert!((a - 97.0 / 6f32.sqrt()).abs() < 1e-4, "{a}");
        assert!((b + 14.0 / 3.0 / deviation).abs() < 1e-5, "{b}");
    }
}
