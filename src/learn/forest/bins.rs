//! Columns as small whole numbers, so that a split is found by counting.
//!
//! Flows in: the rows to learn from. Flows out: for each value the number of its bin, column by column (large
//! nodes read whole columns) and row by row (small nodes read few rows), and the smallest and largest
//! value of each bin.
//!
//! Bins are in the order of the values. A column with no more distinct values than there are codes gets a
//! bin for each: splits are exact then. Else zero, if it occurs, has its own and the others share out
//! the distinct values evenly.

use crate::error::{Error, Result};
use crate::learn::Matrix;
use rayon::prelude::*;

/// Columns that are read from the matrix at once: a multiple of those that share a word.
const BLOCK: usize = 128;

/// Side of the squares that are transposed at once: their lines stay in the first cache.
const TILE: usize = 64;

/// The number of a bin.
pub(super) trait Code: Copy + PartialEq + Default + Send + Sync + Into<u32> {
    /// How many there are.
    const COUNT: usize;
    /// Whether a column with more values than that is refused.
    const EXACT: bool;
    /// The bin of that number, which is below the count.
    fn new(number: usize) -> Self;
}

impl Code for u8 {
    const COUNT: usize = 1 << u8::BITS;
    const EXACT: bool = false;
    fn new(number: usize) -> Self {
        number as u8
    }
}

impl Code for u16 {
    const COUNT: usize = 1 << u16::BITS;
    const EXACT: bool = true;
    fn new(number: usize) -> Self {
        number as u16
    }
}

/// (rows, columns) of codes, both ways round.
pub(super) struct Bins<C> {
    rows: usize,
    by_column: Vec<C>,
    by_row: Vec<C>,
    columns: Vec<Column<C>>,
}

/// What the codes of a column mean.
struct Column<C> {
    /// The smallest and the largest value of each bin.
    ranges: Vec<[f32; 2]>,
    /// The code that most rows have.
    common: C,
}

impl<C: Code> Bins<C> {
    /// Bins of `rows` of the matrix.
    pub(super) fn new(matrix: &Matrix, rows: &[u32]) -> Result<Self> {
        let (height, width) = (rows.len(), matrix.columns());
        let mut by_column = vec![C::default(); height * width];
        let blocks = by_column.par_chunks_mut(BLOCK * height).enumerate();
        let columns: Result<Vec<Vec<_>>> = blocks
            .map(|(block, codes)| {
                let values = read_block(matrix, rows, block * BLOCK, codes.len() / height);
                let mut order = Vec::with_capacity(height);
                let columns = values.chunks(height).zip(codes.chunks_mut(height)).enumerate();
                columns.map(|(c, (v, into))| bin(block * BLOCK + c, v, &mut order, into)).collect()
            })
            .collect();
        let columns = columns?.into_iter().flatten().collect();
        let by_row = transpose(&by_column, height, width);
        Ok(Self { rows: height, by_column, by_row, columns })
    }

    /// How many columns there are.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// The codes of a column.
    pub(super) fn column(&self, column: usize) -> &[C] {
        &self.by_column[column * self.rows..][..self.rows]
    }

    /// The codes of a row.
    pub(super) fn row(&self, row: usize) -> &[C] {
        &self.by_row[row * self.width()..][..self.width()]
    }

    /// The code that most rows have in a column.
    pub(super) fn common(&self, column: usize) -> C {
        self.columns[column].common
    }

    /// The middle between the largest value of one bin and the smallest of a later one: not below the
    /// former and, whatever the rounding, below the latter.
    pub(super) fn threshold(&self, column: usize, below: u32, above: u32) -> f32 {
        let ranges = &self.columns[column].ranges;
        let (low, high) = (ranges[below as usize][1], ranges[above as usize][0]);
        let middle = (low as f64 / 2.0 + high as f64 / 2.0) as f32;
        if middle < high { middle } else { low }
    }
}

/// (`count` columns from `first`, a multiple of 16; rows) of the matrix.
fn read_block(matrix: &Matrix, rows: &[u32], first: usize, count: usize) -> Vec<f32> {
    let mut values = vec![0.0; count * rows.len()];
    for (i, &row) in rows.iter().enumerate() {
        let part = matrix.row(row as usize).part(first, count);
        part.each(|column, value| values[column * rows.len() + i] = value);
    }
    values
}

/// Writes the codes of one column of values; `order` is room to sort in.
fn bin<C: Code>(
    number: usize,
    values: &[f32],
    order: &mut Vec<u64>,
    codes: &mut [C],
) -> Result<Column<C>> {
    order.clear();
    let filled = values.iter().enumerate().filter(|(_, value)| **value != 0.0);
    order.extend(filled.map(|(row, &value)| u64::from(sortable(value)) << 32 | row as u64));
    order.sort_unstable();
    let zeros = values.len() - order.len();
    let negative = order.partition_point(|key| key >> 32 < u64::from(sortable(0.0)));
    let (below, above) = order.split_at(negative);
    // The distinct values in order, each with the keys of its rows; zero has none.
    let same = |a: &u64, b: &u64| a >> 32 == b >> 32;
    let groups = || {
        let zero = (zeros > 0).then_some(&[][..]);
        below.chunk_by(same).chain(zero).chain(above.chunk_by(same))
    };
    let distinct = groups().count();
    if C::EXACT && distinct > C::COUNT {
        return Err(Error::Invalid(format!(
            "column {number} has {distinct} different values, exact splits tell {} apart: use bins",
            C::COUNT
        )));
    }
    // Two bins are kept back: zero begins one, and the value after it another.
    let quantile = |i| if distinct <= C::COUNT { i } else { i * (C::COUNT - 2) / distinct };
    let mut ranges: Vec<[f32; 2]> = vec![];
    let (mut common, mut most, mut size, mut after_zero) = (C::default(), 0, 0, false);
    for (i, group) in groups().enumerate() {
        let value = group.first().map_or(0.0, |&key| values[key as u32 as usize]);
        if i == 0 || value == 0.0 || after_zero || quantile(i) != quantile(i - 1) {
            ranges.push([value; 2]);
            size = 0;
        }
        let last = ranges.len() - 1;
        ranges[last][1] = value;
        let code = C::new(last);
        group.iter().for_each(|&key| codes[key as u32 as usize] = code);
        after_zero = value == 0.0;
        if after_zero {
            let cells = values.iter().zip(&mut *codes).filter(|(value, _)| **value == 0.0);
            cells.for_each(|(_, cell)| *cell = code);
        }
        size += if after_zero { zeros } else { group.len() };
        (common, most) = if size > most { (code, size) } else { (common, most) };
    }
    Ok(Column { ranges, common })
}

/// Bits of a finite number that are in the order of the numbers.
fn sortable(value: f32) -> u32 {
    let bits = value.to_bits();
    bits ^ ((bits as i32 >> 31) as u32 | 1 << 31)
}

/// (height, width) from (width, height), both ways in parallel bands of rows.
fn transpose<C: Code>(columns: &[C], height: usize, width: usize) -> Vec<C> {
    let mut rows = vec![C::default(); height * width];
    rows.par_chunks_mut(TILE * width).enumerate().for_each(|(band, rows)| {
        for first in (0..width).step_by(TILE) {
            for (i, row) in rows.chunks_mut(width).enumerate() {
                let cells = row[first..].iter_mut().take(TILE).enumerate();
                cells.for_each(|(c, cell)| *cell = columns[(first + c) * height + band * TILE + i]);
            }
        }
    });
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::Layout;

    fn column<C: Code>(values: &[f32]) -> (Bins<C>, Vec<u32>) {
        let mut matrix = Matrix::new(1, Layout::Packed);
        values.iter().for_each(|&value| matrix.push(&[value]).expect("a row"));
        let rows: Vec<u32> = (0..values.len() as u32).collect();
        let bins = Bins::new(&matrix, &rows).expect("bins");
        let codes = bins.column(0).iter().map(|&code: &C| code.into()).collect();
        (bins, codes)
    }

    #[test]
    fn few_values_have_a_code_each_in_their_order() {
        let (bins, codes) = column::<u8>(&[0.5, 0.0, -2.0, 0.0, 7.0, -0.0, 0.5, -1.0]);
        assert_eq!(codes, [3, 2, 0, 2, 4, 2, 3, 1]);
        assert_eq!(bins.common(0), 2);
        assert_eq!(bins.threshold(0, 0, 1), -1.5);
        assert_eq!(bins.threshold(0, 1, 4), 3.0);
        let (next, tiny) = (1.0f32.next_up(), f32::from_bits(1));
        for (low, high) in [(1.0, next), (next, next.next_up()), (0.0, tiny), (-f32::MAX, f32::MAX)]
        {
            let middle = column::<u8>(&[high, low]).0.threshold(0, 0, 1);
            assert!(low <= middle && middle < high, "{low} <= {middle} < {high}");
        }
    }

    #[test]
    fn many_values_share_bins_evenly_and_zero_keeps_its_own() {
        let values: Vec<f32> = (0..3000).map(|i| ((i * 7) % 1000) as f32 - 300.0).collect();
        let (bins, codes) = column::<u8>(&values);
        let mut sizes = [0; 256];
        codes.iter().for_each(|&code| sizes[code as usize] += 1);
        let zero = codes[values.iter().position(|&v| v == 0.0).expect("a zero")];
        assert_eq!(sizes[zero as usize], 3, "three rows are zero");
        assert!(sizes.iter().all(|&n| n <= 12), "{sizes:?}");
        for (a, b) in values.iter().zip(&codes).zip(values[1..].iter().zip(&codes[1..])) {
            assert!((a.0 <= b.0 && a.1 <= b.1) || (a.0 >= b.0 && a.1 >= b.1), "{a:?} {b:?}");
        }
        for (value, &code) in values.iter().zip(&codes) {
            let [low, high] = bins.columns[0].ranges[code as usize];
            assert!(low <= *value && *value <= high);
        }
        let (_, exact) = column::<u16>(&values);
        assert!(values.iter().zip(exact).all(|(&value, code)| value + 300.0 == code as f32));
    }

    #[test]
    fn both_ways_round_and_both_layouts_hold_the_same_codes() {
        let (height, width) = (70, 150);
        let mut dense = Matrix::new(width, Layout::Dense);
        let mut packed = Matrix::new(width, Layout::Packed);
        for r in 0..height {
            let row: Vec<f32> = (0..width).map(|c| ((r * c + r) % 5) as f32 - 1.0).collect();
            dense.push(&row).expect("a row");
            packed.push(&row).expect("a row");
        }
        let rows: Vec<u32> = (0..height as u32).rev().step_by(2).collect();
        let (a, b) = (Bins::<u8>::new(&dense, &rows), Bins::<u8>::new(&packed, &rows));
        let (a, b) = (a.expect("bins"), b.expect("bins"));
        assert_eq!((&a.by_column, &a.by_row), (&b.by_column, &b.by_row));
        for (i, &row) in rows.iter().enumerate() {
            for c in 0..width {
                let value = ((row as usize * c + row as usize) % 5) as f32 - 1.0;
                let code = a.row(i)[c];
                assert_eq!(code, a.column(c)[i]);
                assert_eq!(a.columns[c].ranges[code as usize], [value; 2], "row {row}, column {c}");
            }
        }
    }

    #[test]
    fn exact_splits_refuse_what_they_cannot_tell_apart() {
        let mut matrix = Matrix::new(1, Layout::Dense);
        (0..65_537).for_each(|i| matrix.push(&[i as f32]).expect("a row"));
        let rows: Vec<u32> = (0..65_537).collect();
        let error = Bins::<u16>::new(&matrix, &rows).err().expect("an error").to_string();
        assert!(error.contains("column 0 has 65537 different values"), "{error}");
        assert!(Bins::<u16>::new(&matrix, &rows[1..]).is_ok());
        assert!(Bins::<u8>::new(&matrix, &rows).is_ok());
    }
}
