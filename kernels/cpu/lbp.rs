//! Local binary patterns of blocks: which of a cell's eight neighbours have a sum as large as its own.
//!
//! Zhang, Chu, Xiang, Liao and Li (2007), "Face detection based on multi-block LBP representation".

use super::cascade::{BLOCK, Feature};
use std::array::from_fn;

/// The neighbours in the order of their bits, the highest first: clockwise from the upper left, as cells of 3 × 3.
const NEIGHBOURS: [usize; 8] = [0, 1, 2, 5, 8, 7, 6, 3];

/// A grid of 3 × 3 cells, and the patterns that count. The value is 0 for those and 1 for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lbp {
    /// The grid's 4 × 4 corners, row by row, from the window's.
    pub corners: [u32; 16],
    /// Bit p % 32 of word p / 32 is set where pattern p counts.
    pub patterns: [u32; 8],
}

// SAFETY: both read at the corners only, and `reach` is past the last.
unsafe impl Feature for Lbp {
    #[inline(always)]
    fn value(&self, window: &[i32], _: f32) -> f32 {
        let sums: [i32; 9] = from_fn(|cell| {
            let [a, b, c, d] =
                corners(cell).map(|corner| window[self.corners[corner] as usize]);
            a.wrapping_sub(b).wrapping_sub(c).wrapping_add(d)
        });
        let pattern =
            NEIGHBOURS.iter().fold(0, |bits, &cell| bits << 1 | u32::from(sums[cell] >= sums[4]));
        self.out(pattern)
    }

    #[inline(always)]
    unsafe fn values(&self, windows: *const i32, _: &[f32; BLOCK]) -> [f32; BLOCK] {
        let row = |corner: usize| {
            let corner = self.corners[corner] as usize;
            // SAFETY: the caller promises `reach + BLOCK − 1` readable values.
            unsafe { windows.add(corner).cast::<[i32; BLOCK]>().read_unaligned() }
        };
        let sums = |cell: usize| -> [i32; BLOCK] {
            let [a, b, c, d] = corners(cell).map(row);
            from_fn(|i| a[i].wrapping_sub(b[i]).wrapping_sub(c[i]).wrapping_add(d[i]))
        };
        let centre = sums(4);
        let mut patterns = [0u32; BLOCK];
        for cell in NEIGHBOURS {
            let sums = sums(cell);
            patterns = from_fn(|i| patterns[i] << 1 | u32::from(sums[i] >= centre[i]));
        }
        patterns.map(|pattern| self.out(pattern))
    }

    fn reach(&self) -> usize {
        self.corners.iter().fold(0, |most, &corner| most.max(corner as usize + 1))
    }
}

impl Lbp {
    #[inline(always)]
    fn out(&self, pattern: u32) -> f32 {
        ((!self.patterns[(pattern >> 5 & 7) as usize] >> (pattern & 31)) & 1) as f32
    }
}

/// A cell's corners among the grid's: upper left, upper right, lower left, lower right.
#[inline(always)]
fn corners(cell: usize) -> [usize; 4] {
    let first = cell / 3 * 4 + cell % 3;
    [first, first + 1, first + 4, first + 5]
}
