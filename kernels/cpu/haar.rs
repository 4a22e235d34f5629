//! Haar-like features: weighted sums over two or three rectangles, by the corners of integral images.
//!
//! Viola and Jones (2001); rectangles that stand on a corner: Lienhart and Maydt (2002).

use super::cascade::{BLOCK, Feature, rectangles};
use std::array::from_fn;

/// Two or three rectangles and their weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Haar {
    /// Each rectangle's corners, from the window's: its sum is `t[0] − t[1] − t[2] + t[3]`.
    pub corners: [[u32; 4]; 3],
    /// Weights; the third is 0 where there are two rectangles.
    pub weights: [f32; 3],
}

// SAFETY: both read at the corners only, and `reach` is past the last.
unsafe impl Feature for Haar {
    #[inline(always)]
    fn value(&self, window: &[i32], norm: f32) -> f32 {
        let sum = |rectangle: usize| {
            let [a, b, c, d] = self.corners[rectangle].map(|corner| window[corner as usize]);
            a.wrapping_sub(b).wrapping_sub(c).wrapping_add(d) as f32
        };
        let mut value = self.weights[0] * sum(0) + self.weights[1] * sum(1);
        if self.weights[2] != 0.0 {
            value += self.weights[2] * sum(2);
        }
        value * norm
    }

    #[inline(always)]
    unsafe fn values(&self, windows: *const i32, norms: &[f32; BLOCK]) -> [f32; BLOCK] {
        // SAFETY: the caller promises `reach + BLOCK − 1` readable values.
        let [a, b] = unsafe { [0, 1].map(|i| rectangles(windows, &self.corners[i])) };
        let [u, v, w] = self.weights;
        let mut values: [f32; BLOCK] = from_fn(|i| u * a[i] as f32 + v * b[i] as f32);
        if w != 0.0 {
            // SAFETY: as above.
            let c = unsafe { rectangles(windows, &self.corners[2]) };
            values = from_fn(|i| values[i] + w * c[i] as f32);
        }
        from_fn(|i| values[i] * norms[i])
    }

    fn reach(&self) -> usize {
        self.corners.iter().flatten().fold(0, |most, &corner| most.max(corner as usize + 1))
    }
}
