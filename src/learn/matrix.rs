//! Features of many samples: one row a sample.
//!
//! Flows in: rows of `f32`. Flows out: the same rows, to be multiplied and added up.
//!
//! Activations after a ReLU are mostly zero. A packed matrix leaves the zeros out: for each row there is
//! one bit a column, and the values whose bit is set, one after the other.

use crate::error::{Error, Result};

/// Columns that share a word of bits.
const WORD: usize = u16::BITS as usize;

/// How the rows of a matrix lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// (rows, columns), every value.
    Dense,
    /// A bit for every value, and the values that are not zero.
    Packed,
}

/// (rows, columns) of finite `f32`.
#[derive(Clone, Debug)]
pub struct Matrix {
    columns: usize,
    rows: usize,
    storage: Storage,
}

#[derive(Clone, Debug)]
enum Storage {
    Dense(Vec<f32>),
    Packed {
        /// (rows, ⌈columns / 16⌉): bit c % 16 of word c / 16 is set where column c is not zero.
        masks: Vec<u16>,
        /// The values that are not zero, row by row.
        values: Vec<f32>,
        /// Where each row begins in `values`, and the end.
        starts: Vec<usize>,
    },
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a> {
    /// Every value.
    Dense(&'a [f32]),
    /// Bits and the values whose bit is set.
    Packed(&'a [u16], &'a [f32]),
}

impl Matrix {
    /// An empty matrix to which rows are added.
    pub fn new(columns: usize, layout: Layout) -> Self {
        let storage = match layout {
            Layout::Dense => Storage::Dense(vec![]),
            Layout::Packed => Storage::Packed { masks: vec![], values: vec![], starts: vec![0] },
        };
        Self { columns, rows: 0, storage }
    }

    /// Adds a row.
    ///
    /// Fails when it has another width or a value that is not finite; the message counts rows and columns from 0.
    pub fn push(&mut self, row: &[f32]) -> Result<()> {
        let number = self.rows;
        if row.len() != self.columns {
            let (got, want) = (row.len(), self.columns);
            return Err(Error::Invalid(format!("row {number} has {got} values, others {want}")));
        }
        if let Some(column) = row.iter().position(|v| !v.is_finite()) {
            return Err(Error::Invalid(format!(
                "row {number}, column {column}: {} is not a number to learn from",
                row[column]
            )));
        }
        match &mut self.storage {
            Storage::Dense(data) => data.extend_from_slice(row),
            Storage::Packed { masks, values, starts } => {
                for columns in row.chunks(WORD) {
                    let bits = columns.iter().rev().fold(0, |m, &v| m << 1 | u16::from(v != 0.0));
                    masks.push(bits);
                }
                values.extend(row.iter().filter(|&&v| v != 0.0));
                starts.push(values.len());
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Samples.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Features of a sample.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// One row as it lies in memory.
    pub fn row(&self, row: usize) -> Row<'_> {
        match &self.storage {
            Storage::Dense(data) => Row::Dense(&data[row * self.columns..][..self.columns]),
            Storage::Packed { masks, values, starts } => {
                let words = self.columns.div_ceil(WORD);
                Row::Packed(&masks[row * words..][..words], &values[starts[row]..starts[row + 1]])
            }
        }
    }

    /// Copies one row, zeros and all, into `into`, which has as many elements as there are columns.
    pub fn read_row(&self, row: usize, into: &mut [f32]) {
        match self.row(row) {
            Row::Dense(values) => into.copy_from_slice(values),
            Row::Packed(masks, values) => {
                into.fill(0.0);
                let mut values = values.iter();
                for (word, &mask) in masks.iter().enumerate() {
                    let mut bits = mask;
                    while bits != 0 {
                        let column = word * WORD + bits.trailing_zeros() as usize;
                        into[column] = *values.next().expect("a value for each bit");
                        bits &= bits - 1;
                    }
                }
            }
        }
    }
}
