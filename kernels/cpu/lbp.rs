//! Local binary patterns of blocks: which of a cell's eight neighbours have a sum as large as its own.
//!
//! Zhang, Chu, Xiang, Liao and Li (2007), "Face detection based on multi-block LBP representation".

use super::cascade::Feature;
use super::simd::Simd;
use super::windows::{AROUND, cell};
use std::array::from_fn;

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
        let sums: [i32; 9] = from_fn(|i| {
            let [a, b, c, d] = cell(&self.corners, i).map(|corner| window[corner as usize]);
            a.wrapping_sub(b).wrapping_sub(c).wrapping_add(d)
        });
        let pattern = AROUND.iter().fold(0, |bits, &i| bits << 1 | u32::from(sums[i] >= sums[4]));
        (!self.patterns[(pattern >> 5) as usize] >> (pattern & 31) & 1) as f32
    }

    #[inline(always)]
    unsafe fn values<S: Simd>(&self, windows: *const i32, _: S) -> S {
        // SAFETY: the caller promises the set, and `reach + LANES − 1` readable values.
        unsafe {
            let corners = self.corners.map(|corner| windows.add(corner as usize));
            S::local_patterns(corners, &self.patterns)
        }
    }

    fn reach(&self) -> usize {
        self.corners.iter().fold(0, |most, &corner| most.max(corner as usize + 1))
    }
}
