//! Local binary patterns as a file describes them, and placed in integral images.

use super::scan::Place;
use likenet_kernels::cpu::cascade::Contrast;
use likenet_kernels::cpu::integral::Layout;
use likenet_kernels::cpu::lbp::Lbp;
use std::array::from_fn;

/// A grid of 3 × 3 cells of a window, and the patterns that lead to side 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::faces) struct Feature {
    /// The upper left cell: left column, top row, columns, rows.
    pub cell: [usize; 4],
    /// Bit p % 32 of word p / 32 is set for pattern p.
    pub patterns: [u32; 8],
}

impl Feature {
    /// Whether the grid lies in the window.
    pub fn fits([x, y, w, h]: [usize; 4], window: [usize; 2]) -> bool {
        w > 0 && h > 0 && x + 3 * w <= window[0] && y + 3 * h <= window[1]
    }
}

impl Place for Feature {
    type Placed = Lbp;

    fn place(&self, layout: &Layout) -> Lbp {
        let [x, y, w, h] = self.cell;
        let corners = from_fn(|i| layout.at(y + i / 4 * h, x + i % 4 * w) as u32);
        Lbp { corners, patterns: self.patterns }
    }

    fn is_tilted(&self) -> bool {
        false
    }

    fn contrast(_: [usize; 2], _: &Layout) -> Option<Contrast> {
        None
    }
}
