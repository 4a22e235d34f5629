//! Haar-like features of a window. Flows out: all of them; in a window, their values.
//!
//! Two, three and four rectangles, upright (Viola and Jones, 2001) and tilted (Lienhart and Maydt, 2002), in the
//! shapes of OpenCV's own training. Values are divided by the window's contrast.

use super::trees::{Kind, SIDE, Tables};
use crate::faces::opencv::Stages;
use crate::faces::opencv::haar::Feature;
use crate::faces::opencv::scan::Place;
use likenet_kernels::cpu::cascade::Stage;

/// A shape: columns and rows of blocks, and in them rectangles (left, top, columns, rows) with weights. The
/// first is the whole.
struct Shape {
    blocks: [usize; 2],
    parts: &'static [([usize; 4], f32)],
}

/// Side by side, one below another: two, three, four; and a chessboard of four.
const SHAPES: [Shape; 7] = [
    Shape { blocks: [2, 1], parts: &[([1, 0, 1, 1], 2.0)] },
    Shape { blocks: [1, 2], parts: &[([0, 1, 1, 1], 2.0)] },
    Shape { blocks: [3, 1], parts: &[([1, 0, 1, 1], 3.0)] },
    Shape { blocks: [1, 3], parts: &[([0, 1, 1, 1], 3.0)] },
    Shape { blocks: [4, 1], parts: &[([1, 0, 2, 1], 2.0)] },
    Shape { blocks: [1, 4], parts: &[([0, 1, 1, 2], 2.0)] },
    Shape { blocks: [2, 2], parts: &[([0, 0, 1, 1], 2.0), ([1, 1, 1, 1], 2.0)] },
];

/// Shapes that are tilted too: OpenCV's have two or three rectangles.
const TILTED: usize = 4;

/// All features of a window, and with `tilted` those too.
pub fn pool(tilted: bool) -> Vec<Feature> {
    let sides = || 1..=SIDE;
    let mut pool = Vec::new();
    for (y, x) in (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (y, x))) {
        for (h, w) in sides().flat_map(|h| sides().map(move |w| (h, w))) {
            pool.extend(SHAPES.iter().filter_map(|s| feature(s, [x, y, w, h], false)));
            if tilted {
                pool.extend(SHAPES[..TILTED].iter().filter_map(|s| feature(s, [x, y, w, h], true)));
            }
        }
    }
    pool
}

/// A shape at a place, its blocks of a size; `None` where the window ends before.
fn feature(shape: &Shape, [x, y, w, h]: [usize; 4], tilted: bool) -> Option<Feature> {
    let part = |[column, row, columns, rows]: [usize; 4]| {
        let (right, down) = (column * w, row * h);
        // A tilted column runs down to the right, a row down to the left.
        let [left, top] = if tilted {
            [(x + right).checked_sub(down)?, y + right + down]
        } else {
            [x + right, y + down]
        };
        Some([left, top, columns * w, rows * h])
    };
    let whole = part([0, 0, shape.blocks[0], shape.blocks[1]])?;
    if !Feature::fits(whole, tilted, [SIDE; 2]) {
        return None;
    }
    let mut feature = Feature { rects: [whole, [0; 4], [0; 4]], weights: [-1.0, 0.0, 0.0], tilted };
    for (i, &(rect, weight)) in shape.parts.iter().enumerate() {
        feature.rects[i + 1] = part(rect)?;
        feature.weights[i + 1] = weight;
    }
    Some(feature)
}

/// Pixels of a window without its outermost ones, where contrast is measured.
const INNER: usize = (SIDE - 2) * (SIDE - 2);

impl Kind for Feature {
    /// Whether the standard deviation is above 10.
    fn usable(window: &[u8]) -> bool {
        let norm = Self::norm(window);
        norm > 0.0 && INNER as f64 * f64::from(norm) < 0.1
    }

    /// `1 / √(area · Σp² − (Σp)²)`; 0 for a flat window.
    fn norm(window: &[u8]) -> f32 {
        let rows = window.chunks_exact(SIDE).skip(1).take(SIDE - 2);
        let inner = rows.flat_map(|row| &row[1..SIDE - 1]).map(|&p| u64::from(p));
        let (sum, squares) = inner.fold((0, 0), |(sum, squares), p| (sum + p, squares + p * p));
        match INNER as u64 * squares - sum * sum {
            0 => 0.0,
            spread => (1.0 / (spread as f64).sqrt()) as f32,
        }
    }

    fn values(&self, tables: &Tables, windows: &[u32]) -> Vec<f32> {
        let corners = self.place(&tables.layout).corners;
        let rects = corners.map(|rect| rect.map(|corner| tables.column(corner)));
        let value = |i: usize| {
            let part = |r: usize| {
                let [a, b, c, d] = rects[r].map(|column| column[i]);
                self.weights[r] * a.wrapping_sub(b).wrapping_sub(c).wrapping_add(d) as f32
            };
            let two = part(0) + part(1);
            let sum = if self.weights[2] == 0.0 { two } else { two + part(2) };
            sum * tables.norms[i]
        };
        windows.iter().map(|&i| value(i as usize)).collect()
    }

    fn bins(values: &[f32]) -> [f32; 2] {
        let low = values.iter().copied().fold(f32::INFINITY, f32::min);
        let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        [low, ((high - low) / 256.0).max(f32::MIN_POSITIVE)]
    }

    fn order(_: &[[f32; 2]; 256]) -> Vec<u8> {
        (0..=255).collect()
    }

    fn split(self, left: &[u8], [low, width]: [f32; 2]) -> (Self, f32) {
        (self, low + width * left.len() as f32)
    }

    fn right(&self, value: f32, threshold: f32) -> bool {
        value >= threshold
    }

    fn stages(stages: Vec<Stage<Self>>) -> Stages {
        Stages::Haar(stages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_is_opencvs() {
        // Upright, OpenCV counts 162,336 of two, three and the chessboard (its "BASIC" of the first five
        // shapes), for a window of 24 x 24.
        let upright = pool(false);
        let of = |blocks: [usize; 2]| {
            let places = |n: usize| (1..=SIDE / n).map(|s| SIDE + 1 - n * s).sum::<usize>();
            places(blocks[0]) * places(blocks[1])
        };
        let viola_jones = [0, 1, 2, 3, 6].map(|i| of(SHAPES[i].blocks));
        assert_eq!(viola_jones.iter().sum::<usize>(), 162_336);
        assert_eq!(upright.len(), SHAPES.iter().map(|s| of(s.blocks)).sum::<usize>());
        // No shape answers to brightness.
        let all = pool(true);
        assert!(all.len() > upright.len());
        let area = |f: &Feature, i: usize| (f.rects[i][2] * f.rects[i][3]) as f32 * f.weights[i];
        assert!(all.iter().all(|f| (0..3).map(|i| area(f, i)).sum::<f32>() == 0.0));
    }
}
