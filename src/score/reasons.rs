//! Which parts of a photo speak for it, and which against.
//!
//! Flows in: a prepared photo and what makes a score of it. Flows out: two maps.
//!
//! - Occlusion (Zeiler and Fergus, 2014): a patch of the mean colour hides a part; what the score loses is what the
//!   part spoke for. A pixel has the mean over the patches that hide it.
//! - Gradient × input (Shrikumar et al., 2016): each input times the score's slope there, to first order what the
//!   score would lose without the input.

use crate::error::Result;
use crate::image::{Crop, Size};

/// A value for each place of the photo, in units of the score; positive speaks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Values, (height, width), over the whole photo; 0 beyond the network's crop.
    pub values: Vec<f32>,
}

impl Map {
    /// A map of a crop on the picture that it is of.
    pub(super) fn framed(size: Size, crop: Crop, inner: Size, values: &[f32]) -> Self {
        let mut all = vec![0.0; size.height * size.width];
        let rows = all.chunks_exact_mut(size.width).skip(crop.y);
        for (row, values) in rows.zip(values.chunks_exact(inner.width)) {
            row[crop.x..][..inner.width].copy_from_slice(values);
        }
        Self { width: size.width, height: size.height, values: all }
    }
}

/// Patches cover a seventh of a side, and move by half of that.
const PATCHES: usize = 7;

/// Where patches lie: their side, and the upper left corner of each.
pub(super) fn patches(size: Size) -> (Size, Vec<[usize; 2]>) {
    let side = |length: usize| length.div_ceil(PATCHES);
    let patch = Size::new(side(size.height), side(size.width));
    let starts = |length: usize, side: usize| -> Vec<usize> {
        let last = length - side;
        let mut starts: Vec<usize> = (0..last).step_by(side.div_ceil(2)).collect();
        starts.push(last);
        starts
    };
    let (ys, xs) = (starts(size.height, patch.height), starts(size.width, patch.width));
    (patch, ys.iter().flat_map(|&y| xs.iter().map(move |&x| [y, x])).collect())
}

/// What the score loses where patches hide the photo: `scores` judges crops that lie one after the other, `batch` at
/// most at a time. `crop` is (3, height, width), less its mean: a patch of zeros has the mean colour.
pub(super) fn occlusion(
    crop: &[f32],
    size: Size,
    batch: usize,
    mut scores: impl FnMut(&[f32]) -> Result<Vec<f64>>,
) -> Result<Vec<f32>> {
    let whole = scores(crop)?[0];
    let (patch, places) = patches(size);
    let pixels = size.height * size.width;
    let (mut lost, mut hidden) = (vec![0f64; pixels], vec![0u32; pixels]);
    for places in places.chunks(batch) {
        let mut crops = crop.repeat(places.len());
        for (crop, &[y, x]) in crops.chunks_exact_mut(crop.len()).zip(places) {
            for plane in crop.chunks_exact_mut(pixels) {
                for row in plane.chunks_exact_mut(size.width).skip(y).take(patch.height) {
                    row[x..][..patch.width].fill(0.0);
                }
            }
        }
        for (score, &[y, x]) in scores(&crops)?.into_iter().zip(places) {
            for row in y..y + patch.height {
                let at = row * size.width + x;
                lost[at..][..patch.width].iter_mut().for_each(|l| *l += whole - score);
                hidden[at..][..patch.width].iter_mut().for_each(|h| *h += 1);
            }
        }
    }
    Ok(lost.iter().zip(hidden).map(|(l, h)| (l / f64::from(h)) as f32).collect())
}

/// Gradient × input, summed over the colours: both (3, height, width).
pub(super) fn products(gradient: &[f32], input: &[f32], pixels: usize) -> Vec<f32> {
    let product = |at: usize| gradient[at] * input[at];
    (0..pixels).map(|p| (0..3).map(|c| product(c * pixels + p)).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_reach_every_pixel() {
        for size in [Size::new(28, 28), Size::new(227, 224), Size::new(1, 5), Size::new(9, 16)] {
            let (patch, places) = patches(size);
            let mut seen = vec![false; size.height * size.width];
            for [y, x] in places {
                assert!(y + patch.height <= size.height && x + patch.width <= size.width);
                for row in y..y + patch.height {
                    seen[row * size.width + x..][..patch.width].fill(true);
                }
            }
            assert!(seen.iter().all(|&s| s), "{size}");
        }
    }

    /// Where the score is a sum over pixels, hiding a patch takes away what is in it.
    #[test]
    fn occlusion_of_a_sum_by_hand() {
        let size = Size::new(14, 14);
        let mut crop = vec![0.0; 3 * 196];
        crop[5 * 14 + 6] = 2.0;
        crop[196 + 12 * 14 + 1] = -3.0;
        let sum = |crops: &[f32]| -> Result<Vec<f64>> {
            Ok(crops.chunks_exact(3 * 196).map(|c| c.iter().map(|&x| f64::from(x)).sum()).collect())
        };
        let map = occlusion(&crop, size, 5, sum).expect("it is a sum");
        assert_eq!((map[5 * 14 + 6], map[12 * 14 + 1]), (2.0, -3.0));
        // A neighbour shares some of the patches.
        assert!(map[5 * 14 + 7] > 0.0 && map[5 * 14 + 7] <= 2.0);
        assert_eq!(map[0], 0.0);
        assert_eq!(products(&[1.0, 2.0, 3.0], &[4.0, 5.0, -6.0], 1), [-4.0]);
    }

    #[test]
    fn a_crop_lies_within_its_frame() {
        let crop = Crop { y: 1, x: 2, mirrored: false };
        let map = Map::framed(Size::new(3, 4), crop, Size::new(1, 2), &[5.0, 6.0]);
        assert_eq!(map.values, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 5.0, 6.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
