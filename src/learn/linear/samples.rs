//! Which rows are learnt from.

use super::passes::check_kernels;
use crate::error::{Error, Result};
use crate::learn::Matrix;
use likenet_kernels::cpu::rows::Row;

/// Some rows of a matrix and the labels of all its rows.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    /// The features.
    pub matrix: &'a Matrix,
    /// The rows that are learnt from.
    pub rows: &'a [u32],
    /// The label of every row of the matrix.
    pub labels: &'a [bool],
}

impl<'a> Samples<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Features of sample `i`.
    pub fn row(&self, i: usize) -> Row<'a> {
        self.matrix.row(self.rows[i] as usize)
    }

    /// The label of sample `i` as ±1.
    pub fn sign(&self, i: usize) -> f64 {
        if self.label(i) { 1.0 } else { -1.0 }
    }

    /// The label of sample `i`.
    pub fn label(&self, i: usize) -> bool {
        self.labels[self.rows[i] as usize]
    }

    /// Samples whose label is true.
    pub fn positives(&self) -> usize {
        (0..self.len()).filter(|&i| self.label(i)).count()
    }

    /// Fails where nothing can be learnt: without samples, with one class only, with rows or labels missing, or
    /// where [`check_kernels`] does.
    pub fn check(&self) -> Result<()> {
        check_kernels()?;
        let (rows, labels) = (self.matrix.rows(), self.labels.len());
        if rows != labels {
            return Err(Error::Invalid(format!("{rows} rows of features have {labels} labels")));
        }
        if let Some(row) = self.rows.iter().find(|&&r| r as usize >= rows) {
            return Err(Error::Invalid(format!("there is no row {row}: there are {rows}")));
        }
        match (self.len(), self.positives()) {
            (0, _) => Err(Error::Invalid("there are no samples to learn from".into())),
            (n, 0) => Err(Error::Invalid(format!(
                "all of {n} samples are negative: a classifier needs some of both classes"
            ))),
            (n, p) if n == p => Err(Error::Invalid(format!(
                "all of {n} samples are positive: a classifier needs some of both classes"
            ))),
            _ => Ok(()),
        }
    }
}
