//! Features of many samples: one row a sample.
//!
//! Flows in: rows of `f32`. Flows out: the same rows, to be multiplied and added up.
//!
//! Activations after a ReLU are mostly zero. A packed matrix leaves the zeros out: for each row there is
//! one bit a column, and the values whose bit is set, one after the other.

use crate::error::{Error, Result};
use likenet_kernels::cpu::rows::{Packed, Row, WORD};
use likenet_kernels::memory::Buffer;
use std::fmt;
use std::ops::Deref;
use weights_tools::MappedFloats;

/// Rows of a block.
const BLOCK: usize = 1024;

/// How the rows of a matrix lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// (rows, columns), every value.
    Dense,
    /// A bit for every value, and the values that are not zero.
    Packed,
    /// (rows, columns) in a file, of which memory holds what was looked at last.
    Mapped,
}

/// (rows, columns) of finite `f32`.
#[derive(Clone)]
pub struct Matrix {
    columns: usize,
    rows: usize,
    layout: Layout,
    /// Blocks of [`BLOCK`] rows, on large pages: rows are visited in random order.
    blocks: Vec<Block<Buffer<u16>, Buffer<f32>>>,
    /// The rows behind them.
    rest: Block<Vec<u16>, Vec<f32>>,
    /// The rows of a file, in place of all these.
    mapped: Option<MappedFloats>,
}

/// Some rows.
#[derive(Clone, Default)]
struct Block<M, V> {
    /// (rows, ⌈columns / 16⌉): bit c % 16 of word c / 16 is set where column c is not zero; empty for dense rows.
    masks: M,
    /// Row by row the values, of packed rows those that are not zero; then as many zeros as a row has columns,
    /// so that whole vectors can be read from anywhere.
    values: V,
    /// Where each row begins in `values`.
    starts: Vec<usize>,
}

impl<M: Deref<Target = [u16]>, V: Deref<Target = [f32]>> Block<M, V> {
    fn row(&self, row: usize, columns: usize, layout: Layout) -> Row<'_> {
        let values = &self.values[self.starts[row]..];
        match layout {
            Layout::Dense | Layout::Mapped => Row::Dense(&values[..columns]),
            Layout::Packed => {
                let words = columns.div_ceil(WORD);
                Row::Packed(Packed::new(&self.masks[row * words..][..words], values))
            }
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(&self.masks[..]) + size_of_val(&self.values[..]) + size_of_val(&self.starts[..])
    }
}

impl Matrix {
    /// An empty matrix to which rows are added.
    pub fn new(columns: usize, layout: Layout) -> Self {
        // Rows that are added are in memory.
        let layout = if layout == Layout::Mapped { Layout::Dense } else { layout };
        Self { columns, rows: 0, layout, blocks: vec![], rest: Block::default(), mapped: None }
    }

    /// The rows of a file, which stay there: for more of them than memory holds.
    ///
    /// Fails as [`Matrix::push`] does; reads the file once to know.
    pub fn mapped(columns: usize, floats: MappedFloats) -> Result<Self> {
        let rows = floats.len() / columns.max(1);
        for (number, row) in floats.chunks(columns.max(1)).enumerate() {
            check(number, columns, row)?;
        }
        let empty = Self::new(columns, Layout::Dense);
        Ok(Self { rows, layout: Layout::Mapped, mapped: Some(floats), ..empty })
    }

    /// Adds a row.
    ///
    /// Fails when it has another width or a value that is not finite; the message counts rows and columns from 0.
    pub fn push(&mut self, row: &[f32]) -> Result<()> {
        let number = self.rows;
        check(number, self.columns, row)?;
        let width = self.width();
        let Block { masks, values, starts } = &mut self.rest;
        values.truncate(values.len().saturating_sub(width));
        starts.push(values.len());
        match self.layout {
            Layout::Dense | Layout::Mapped => values.extend_from_slice(row),
            Layout::Packed => {
                for columns in row.chunks(WORD) {
                    let bits = columns.iter().rev().fold(0, |m, &v| m << 1 | u16::from(v != 0.0));
                    masks.push(bits);
                }
                values.extend(row.iter().filter(|&&v| v != 0.0));
            }
        }
        values.resize(values.len() + width, 0.0);
        self.rows += 1;
        if starts.len() == BLOCK {
            let starts = std::mem::take(starts);
            self.blocks.push(Block {
                masks: (&masks[..]).into(),
                values: (&values[..]).into(),
                starts,
            });
            masks.clear();
            values.clear();
        }
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
        self.layout
    }

    /// Bytes of memory that the rows take.
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(Block::bytes).sum::<usize>() + self.rest.bytes()
    }

    /// One row as it lies in memory.
    pub fn row(&self, row: usize) -> Row<'_> {
        if let Some(floats) = &self.mapped {
            return Row::Dense(&floats[row * self.columns..][..self.columns]);
        }
        match self.blocks.get(row / BLOCK) {
            Some(block) => block.row(row % BLOCK, self.columns, self.layout),
            None => self.rest.row(row % BLOCK, self.columns, self.layout),
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

/// Fails when a row has another width or a value that is not finite.
fn check(number: usize, columns: usize, row: &[f32]) -> Result<()> {
    if row.len() != columns {
        let got = row.len();
        return Err(Error::Invalid(format!("row {number} has {got} values, others {columns}")));
    }
    match row.iter().position(|v| !v.is_finite()) {
        Some(column) => Err(Error::Invalid(format!(
            "row {number}, column {column}: {} is not a number to learn from",
            row[column]
        ))),
        None => Ok(()),
    }
}

impl fmt::Debug for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows of {} columns, {:?}", self.rows, self.columns, self.layout)
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
                // Whole blocks, and some rows behind them.
                let many = 2 * BLOCK + 3;
                (5..many).for_each(|r| matrix.push(&rows[r % 5]).unwrap());
                for r in [0, BLOCK - 1, BLOCK, 2 * BLOCK, many - 1] {
                    matrix.read_row(r, &mut back);
                    assert_eq!(back, rows[r % 5]);
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
