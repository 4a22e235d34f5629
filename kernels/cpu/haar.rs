//! Haar-like features: weighted sums over two or three rectangles, by the corners of integral images.
//!
//! Viola and Jones (2001); rectangles that stand on a corner: Lienhart and Maydt (2002).

use super::cascade::Feature;
use super::simd::Simd;

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
    unsafe fn values<S: Simd>(&self, windows: *const i32, norms: S) -> S {
        // SAFETY: the caller promises the set, and `reach + LANES − 1` readable values.
        unsafe {
            let part = |i: usize| {
                let corners = self.corners[i].map(|corner| windows.add(corner as usize));
                S::splat(self.weights[i]).mul(S::rectangle(corners))
            };
            let mut value = part(0).add(part(1));
            if self.weights[2] != 0.0 {
                value = value.add(part(2));
            }
            value.mul(norms)
        }
    }

    fn reach(&self) -> usize {
        self.corners.iter().flatten().fold(0, |most, &corner| most.max(corner as usize + 1))
    }
}
