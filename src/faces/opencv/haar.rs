//! Haar-like features as a file describes them, and placed in integral images.

use super::scan::Place;
use likenet_kernels::cpu::cascade::Contrast;
use likenet_kernels::cpu::haar::Haar;
use likenet_kernels::cpu::integral::Layout;

/// Two or three weighted rectangles of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::faces) struct Feature {
    /// Left column, top row, columns, rows; of a tilted one, the top corner, and its lengths down the right and
    /// down the left.
    pub rects: [[usize; 4]; 3],
    /// Weights; the third is 0 where there are two rectangles.
    pub weights: [f32; 3],
    /// Whether the rectangles are turned by 45°.
    pub tilted: bool,
}

impl Feature {
    /// Whether a rectangle lies in the window.
    pub fn fits(rect: [usize; 4], tilted: bool, window: [usize; 2]) -> bool {
        let [x, y, w, h] = rect;
        let [right, bottom] = if tilted { [x + w, y + w + h] } else { [x + w, y + h] };
        let left = !tilted || h <= x;
        w > 0 && h > 0 && left && right <= window[0] && bottom <= window[1]
    }
}

impl Place for Feature {
    type Placed = Haar;

    fn place(&self, layout: &Layout) -> Haar {
        let plane = if self.tilted { 2 * layout.plane() } else { 0 };
        let at = |[x, y]: [usize; 2]| (plane + layout.at(y, x)) as u32;
        let corners = |[x, y, w, h]: [usize; 4]| {
            let upright = [[x, y], [x + w, y], [x, y + h], [x + w, y + h]];
            let tilted =
                |x: usize| [[x, y], [x - h, y + h], [x + w, y + w], [x + w - h, y + w + h]];
            if self.tilted { tilted(x).map(at) } else { upright.map(at) }
        };
        let count = if self.weights[2] == 0.0 { 2 } else { 3 };
        let mut placed = Haar { corners: [[0; 4]; 3], weights: self.weights };
        for (placed, rect) in placed.corners.iter_mut().zip(&self.rects[..count]) {
            *placed = corners(*rect);
        }
        placed
    }

    fn is_tilted(&self) -> bool {
        self.tilted
    }

    /// The window without its outermost pixels.
    fn contrast(window: [usize; 2], layout: &Layout) -> Option<Contrast> {
        let [right, bottom] = window.map(|side| side - 1);
        let corners = [[1, 1], [right, 1], [1, bottom], [right, bottom]];
        let corners = corners.map(|[x, y]| layout.at(y, x) as u32);
        let area = ((right - 1) * (bottom - 1)) as u32;
        Some(Contrast { corners, squares: layout.plane() as u32, area })
    }
}
