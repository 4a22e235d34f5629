//! `cv::resize` with `INTER_LINEAR` on 8-bit pictures: what Caffe's data layers resize with.
//!
//! Weights are rounded to 11 bits; a row pass keeps all bits, the column pass drops 4, multiplies,
//! drops 16, and rounds the last 2 away. Samples outside repeat the border. Halving both sides
//! exactly is done by a 2 × 2 mean instead. Follows `resize.cpp` of OpenCV 2.4 to 4.6, in the
//! paths without vendor libraries.

use super::super::{GrayPicture, ImageError, Picture, Size};
use super::RowPair;

/// 1.0 in the fixed point of the weights.
const ONE: f32 = 2048.0;

/// The two samples along one axis behind an output position, and their weights times [`ONE`].
struct Tap {
    at: [usize; 2],
    weight: [i32; 2],
}

/// The taps for shrinking or stretching `from` samples to `to`.
///
/// OpenCV treats a position beyond the border in two ways: along a row it moves onto the border
/// pixel; along a column it keeps the weights and repeats the border row. The repeated rows are
/// mixed with rounding, so the two differ in the last bit.
fn taps(from: usize, to: usize, along_row: bool) -> Vec<Tap> {
    // OpenCV computes the inverse first; the two roundings can differ from one division.
    let scale = 1.0 / (to as f64 / from as f64);
    let last = from as isize - 1;
    (0..to)
        .map(|i| {
            let position = ((i as f64 + 0.5) * scale - 0.5) as f32;
            let mut low = position.floor() as isize;
            let mut part = position - position.floor();
            if along_row && (low < 0 || low >= last) {
                low = low.clamp(0, last);
                part = 0.0;
            }
            Tap {
                at: [low.clamp(0, last) as usize, (low + 1).clamp(0, last) as usize],
                weight: [fixed(1.0 - part), fixed(part)],
            }
        })
        .collect()
}

/// A weight in fixed point, ties to even.
fn fixed(weight: f32) -> i32 {
    (weight * ONE).round_ties_even() as i32
}

/// An RGB picture resized to `to`. The channel order does not matter to the result.
///
/// Fails where a size is zero or the picture's fields contradict each other.
pub fn opencv(picture: &Picture, to: Size) -> Result<Picture, ImageError> {
    picture.check()?;
    to.check("the resized picture")?;
    Ok(Picture {
        width: to.width,
        height: to.height,
        data: resize::<3>(&picture.data, picture.size(), to),
    })
}

/// A gray picture resized to `to`.
///
/// Fails where a size is zero or the picture's fields contradict each other.
pub fn opencv_gray(picture: &GrayPicture, to: Size) -> Result<GrayPicture, ImageError> {
    picture.check()?;
    to.check("the resized picture")?;
    Ok(GrayPicture {
        width: to.width,
        height: to.height,
        data: resize::<1>(&picture.data, picture.size(), to),
    })
}

/// Chooses among copying, halving and interpolating, as `cv::resize` does.
fn resize<const C: usize>(pixels: &[u8], from: Size, to: Size) -> Vec<u8> {
    if from == to {
        pixels.to_vec()
    } else if from.width == 2 * to.width && from.height == 2 * to.height {
        halve::<C>(pixels, from)
    } else {
        interpolate::<C>(pixels, from, to)
    }
}

/// The rounded mean of each 2 × 2 block.
fn halve<const C: usize>(pixels: &[u8], from: Size) -> Vec<u8> {
    let row = from.width * C;
    let mut out = Vec::with_capacity(pixels.len() / 4);
    for two_rows in pixels.chunks_exact(2 * row) {
        let (top, bottom) = two_rows.split_at(row);
        for (t, b) in top.chunks_exact(2 * C).zip(bottom.chunks_exact(2 * C)) {
            for c in 0..C {
                let sum = [t[c], t[C + c], b[c], b[C + c]].map(u32::from).iter().sum::<u32>();
                out.push(((sum + 2) >> 2) as u8);
            }
        }
    }
    out
}

/// Bilinear interpolation in fixed point.
fn interpolate<const C: usize>(pixels: &[u8], from: Size, to: Size) -> Vec<u8> {
    let columns = taps(from.width, to.width, true);
    let rows = taps(from.height, to.height, false);
    let mut out = vec![0; to.height * to.width * C];
    let mut pair = RowPair::new(to.width * C);
    for (out_row, tap) in out.chunks_exact_mut(to.width * C).zip(&rows) {
        for y in tap.at {
            pair.load(y, |row| {
                let source = &pixels[y * from.width * C..(y + 1) * from.width * C];
                for (pixel, t) in row.chunks_exact_mut(C).zip(&columns) {
                    for (c, value) in pixel.iter_mut().enumerate() {
                        let left = i32::from(source[t.at[0] * C + c]);
                        let right = i32::from(source[t.at[1] * C + c]);
                        *value = t.weight[0] * left + t.weight[1] * right;
                    }
                }
            });
        }
        let (top, bottom) = (pair.row(tap.at[0]), pair.row(tap.at[1]));
        for ((value, &t), &b) in out_row.iter_mut().zip(top).zip(bottom) {
            let upper = (tap.weight[0] * (t >> 4)) >> 16;
            let lower = (tap.weight[1] * (b >> 4)) >> 16;
            *value = ((upper + lower + 2) >> 2) as u8;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::super::test_support::{golden, npy, photo};
    use super::*;

    /// Checks against an ImageData blob (n, 3, h, w) that holds BGR bytes without a mean.
    fn check_against(blob: &str) {
        let wanted = npy(&golden(blob));
        let [n, _, h, w] = wanted.shape[..] else { panic!("{blob} has shape {:?}", wanted.shape) };
        for i in 0..n {
            let got = opencv(&photo(&format!("p{i}.png")), Size::new(h, w)).unwrap();
            for c in 0..3 {
                for at in 0..h * w {
                    let bgr = wanted.data[(i * 3 + c) * h * w + at];
                    assert_eq!(f32::from(got.data[at * 3 + 2 - c]), bgr, "{blob} p{i} {c} {at}");
                }
            }
        }
    }

    #[test]
    fn agrees_bit_for_bit_with_image_data_layers() {
        check_against("imagedata_resize_up_data.npy");
        check_against("imagedata_resize_down_data.npy");
        check_against("lmdb_plain_data.npy");
    }

    #[test]
    fn exact_halving_is_a_mean_of_four() {
        let pixels = vec![0, 1, 10, 11, 2, 3, 12, 13];
        let four = GrayPicture::new(Size::new(2, 4), pixels).unwrap();
        let half = opencv_gray(&four, Size::new(1, 2)).unwrap();
        assert_eq!(half.data, [2, 12]); // (0+1+2+3+2)/4, (10+11+12+13+2)/4
    }

    #[test]
    fn the_same_size_is_a_copy() {
        let picture = photo("p2.png");
        assert_eq!(opencv(&picture, picture.size()).unwrap(), picture);
    }

    #[test]
    fn one_pixel_fills_any_size() {
        let one = Picture::new(Size::new(1, 1), vec![7, 130, 255]).unwrap();
        let large = opencv(&one, Size::new(3, 5)).unwrap();
        assert!(large.data.chunks_exact(3).all(|p| p == [7, 130, 255]));
    }
}
