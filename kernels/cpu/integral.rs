//! Integral images: tables whose corners give the sum over any rectangle of a picture.
//!
//! Flows in: a gray picture (height, width) of `u8`. Flows out: tables of (height + 1, width + 1) sums.
//!
//! ```text
//! sums     S(y, x) = Σ of the pixels above row y and left of column x        (Crow, 1984)
//! squares  Q(y, x) = Σ of their squares
//! tilted   T(y, x) = Σ of the pixels (j, i) with j < y and |i − x + 1| < y − j (Lienhart and Maydt, 2002)
//! ```
//!
//! Sums wrap around; differences of corners are right nevertheless wherever the rectangle's own sum has 32
//! bits.

use super::cascade::BLOCK;

/// Where the tables of a picture lie in a slice. A scan that goes by steps of `step` columns finds the values
/// of neighbouring windows side by side: columns are stored by their remainder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Columns from one window to the next.
    pub step: usize,
    /// Columns of each remainder that there is room for.
    pub pitch: usize,
    /// Rows that there is room for: the picture's and one.
    pub rows: usize,
    /// Whether there is a table of tilted sums.
    pub tilted: bool,
}

impl Layout {
    /// Tables for pictures of up to `height` rows and `width` columns.
    pub fn new(height: usize, width: usize, step: usize, tilted: bool) -> Self {
        Self { step, pitch: width / step + 1, rows: height + 1, tilted }
    }

    /// Index of row `y`, column `x` in the table of sums.
    pub fn at(&self, y: usize, x: usize) -> usize {
        y * self.row() + x % self.step * self.pitch + x / self.step
    }

    /// From a value in one table to its counterpart in the next: sums, squares, tilted.
    pub fn plane(&self) -> usize {
        self.rows * self.row()
    }

    /// Values of all tables, and as many behind them as a block of windows may read beyond a row's end.
    pub fn room(&self) -> usize {
        (2 + usize::from(self.tilted)) * self.plane() + BLOCK
    }

    fn row(&self) -> usize {
        self.step * self.pitch
    }
}

/// Fills the tables of a picture with `width` columns.
///
/// # Panics
/// When the picture or `tables` does not fit the layout.
pub fn integrals(layout: &Layout, width: usize, pixels: &[u8], tables: &mut [i32]) {
    let rows = pixels.len() / width;
    assert!(
        pixels.len() == rows * width && rows < layout.rows && width / layout.step < layout.pitch
    );
    assert!(tables.len() >= layout.room());
    match layout.step {
        1 => upright::<1>(layout, width, pixels, tables),
        2 => upright::<2>(layout, width, pixels, tables),
        step => panic!("windows lie 1 or 2 columns apart, not {step}"),
    }
    if layout.tilted {
        tilted(layout, width, pixels, &mut tables[2 * layout.plane()..]);
    }
}

/// Sums and squares: each row is the one above and its own running sums.
fn upright<const STEP: usize>(l: &Layout, width: usize, pixels: &[u8], tables: &mut [i32]) {
    let (sums, squares) = tables.split_at_mut(l.plane());
    sums[..l.row()].fill(0);
    squares[..l.row()].fill(0);
    let starts = (0..).step_by(l.row());
    for (start, pixels) in starts.zip(pixels.chunks_exact(width)) {
        let [s, q] =
            [&mut *sums, &mut *squares].map(|t| t[start..][..2 * l.row()].split_at_mut(l.row()));
        let (mut sum, mut square) = (0i32, 0i32);
        (s.1[0], q.1[0]) = (0, 0);
        for (x, &pixel) in (1..).zip(pixels) {
            let at = x % STEP * l.pitch + x / STEP;
            let pixel = i32::from(pixel);
            sum += pixel;
            square = square.wrapping_add(pixel * pixel);
            s.1[at] = s.0[at].wrapping_add(sum);
            q.1[at] = q.0[at].wrapping_add(square);
        }
    }
}

/// `T(y, x) = T(y−1, x−1) + T(y−1, x+1) − T(y−2, x) + I(y−1, x−1) + I(y−2, x−1)`. At the sides, where the
/// triangle is cut by the picture's edge, the terms beyond it cancel.
fn tilted(l: &Layout, width: usize, pixels: &[u8], table: &mut [i32]) {
    table[..l.row()].fill(0);
    let pixel = |y: usize, x: usize| i32::from(pixels[y * width + x]);
    for y in 1..=pixels.len() / width {
        table[l.at(y, 0)] = table[l.at(y - 1, 1)];
        for x in 1..=width {
            let mut sum = table[l.at(y - 1, x - 1)].wrapping_add(pixel(y - 1, x - 1));
            if y > 1 {
                sum = sum.wrapping_add(pixel(y - 2, x - 1));
            }
            if y > 1 && x < width {
                let beside = table[l.at(y - 1, x + 1)].wrapping_sub(table[l.at(y - 2, x)]);
                sum = sum.wrapping_add(beside);
            }
            table[l.at(y, x)] = sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sum_is_the_one_that_its_formula_says() {
        let (height, width) = (7usize, 6usize);
        let pixels: Vec<u8> = (0..42).map(|i| (i * 37 % 256) as u8).collect();
        for step in [1, 2] {
            // More room than the picture needs.
            let l = Layout::new(height + 1, width + 3, step, true);
            let mut tables = vec![-1; l.room()];
            integrals(&l, width, &pixels, &mut tables);
            for (y, x) in (0..=height).flat_map(|y| (0..=width).map(move |x| (y, x))) {
                let (mut sums, at) = ([0; 3], l.at(y, x));
                for (j, i) in (0..y).flat_map(|j| (0..width).map(move |i| (j, i))) {
                    let pixel = i32::from(pixels[j * width + i]);
                    if i < x {
                        sums[0] += pixel;
                        sums[1] += pixel * pixel;
                    }
                    if (i + 1).abs_diff(x) < y - j {
                        sums[2] += pixel;
                    }
                }
                let got = [0, 1, 2].map(|table| tables[at + table * l.plane()]);
                assert_eq!(got, sums, "step {step}, row {y}, column {x}");
            }
        }
    }
}
