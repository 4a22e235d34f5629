//! Features of many samples: one row a sample.
//!
//! Flows in: rows of `f32`. Flows out: the same rows, to be multiplied and added up.
//!
//! Activations after a ReLU are mostly zero. A packed matrix leaves the zeros out: for each row there is
//! one bit a column, and the values whose bit is set, one after the other.

use crate::error::{Error, Result};
use likenet_kernels::cpu::rows::{Packed, Row, WORD};

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
        /// The values that are not zero, row by row, and as many zeros as a row has columns, so that whole
        /// vectors can be read from anywhere.
        values: Vec<f32>,
        /// Where each row begins in `values`, and the end.
        starts: Vec<usize>,
    },
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
                values.truncate(starts[number]);
                values.extend(row.iter().filter(|&&v| v != 0.0));
                starts.push(values.len());
                values.resize(values.len() + self.columns.next_multiple_of(WORD), 0.0);
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

    /// Elements of a vector that rows are multiplied with: the columns, rounded up to whole words of bits.
    pub fn width(&self) -> usize {
        self.columns.next_multiple_of(WORD)
    }

    /// How the rows lie in memory.
    pub fn layout(&self) -> Layout {
        match self.storage {
            Storage::Dense(_) => Layout::Dense,
            Storage::Packed { .. } => Layout::Packed,
        }
    }

    /// Bytes that the rows take.
    pub fn bytes(&self) -> usize {
        match &self.storage {
            Storage::Dense(data) => size_of_val(&data[..]),
            Storage::Packed { masks, values, starts } => {
                size_of_val(&masks[..]) + size_of_val(&values[..]) + size_of_val(&starts[..])
            }
        }
    }

    /// One row as it lies in memory.
    pub fn row(&self, row: usize) -> Row<'_> {
        match &self.storage {
            Storage::Dense(data) => Row::Dense(&data[row * self.columns..][..self.columns]),
            Storage::Packed { masks, values, starts } => {
                let words = self.columns.div_ceil(WORD);
                let masks = &masks[row * words..][..words];
                Row::Packed(Packed::new(masks, &values[starts[row]..]))
            }
        }
    }

    /// Copies one row, zeros and all, into `into`, which has as many elements as there are columns.
    pub fn read_row(&self, row: usize, into: &mut [f32]) {
        match self.row(row) {
            Row::Dense(values) => into.copy_from_slice(values),
            row => {
                into.fill(0.0);
                row.each(|column, value| into[column] = value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_give_back_what_came_in() {
        for columns in [1, 16, 35] {
            let value = |i: usize| if i.is_multiple_of(3) { i as f32 - 7.5 } else { 0.0 };
            let rows: Vec<Vec<f32>> =
                (0..5).map(|r| (0..columns).map(|c| value(r * 7 + c)).collect()).collect();
            for layout in [Layout::Dense, Layout::Packed] {
                let mut matrix = Matrix::new(columns, layout);
                rows.iter().for_each(|row| matrix.push(row).unwrap());
                assert_eq!(
                    (matrix.rows(), matrix.columns(), matrix.layout()),
                    (5, columns, layout)
                );
                let mut back = vec![9.0; columns];
                for (r, row) in rows.iter().enumerate() {
                    matrix.read_row(r, &mut back);
                    assert_eq!(&back, row);
                }
            }
        }
    }

    #[test]
    fn other_widths_and_numbers_that_are_none_are_refused() {
        let mut matrix = Matrix::new(2, Layout::Packed);
        matrix.push(&[0.0, 1.0]).unwrap();
        assert!(matrix.push(&[1.0]).unwrap_err().to_string().contains("row 1 has 1 values"));
        let wrong = matrix.push(&[1.0, f32::NAN]).unwrap_err().to_string();
        assert!(wrong.contains("row 1, column 1") && wrong.contains("NaN"), "{wrong}");
        assert_eq!(matrix.rows(), 1);
    }
}
