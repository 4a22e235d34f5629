//! `caffe.io.resize_image`: what pycaffe's `Classifier` and `Transformer` resize with.
//!
//! The picture is brought to 0..1 by its own minimum and maximum (in single precision), resized by
//! scikit-image's `resize(order=1, mode='constant')` (in double precision), and brought back.
//! Half-pixel centres; no anti-aliasing; a sample outside the picture counts as 0 in that scale,
//! which is the picture's minimum: enlarging darkens the border.

use super::super::picture::unit;
use super::super::{FloatPicture, ImageError, Picture, Size};
use super::RowPair;

/// The two samples along one axis behind an output position, and their weights. A sample outside
/// the picture has weight 0, for it would count as 0.
struct Tap {
    at: [usize; 2],
    weight: [f64; 2],
}

/// The taps for shrinking or stretching `from` samples to `to`.
fn taps(from: usize, to: usize) -> Vec<Tap> {
    let scale = from as f64 / to as f64;
    let last = from as isize - 1;
    (0..to)
        .map(|i| {
            let position = (i as f64 + 0.5) * scale - 0.5;
            let low = position.floor() as isize;
            let part = position - position.floor();
            let inside = |at: isize, weight: f64| match (0..=last).contains(&at) {
                true => weight,
                false => 0.0,
            };
            Tap {
                at: [low.clamp(0, last) as usize, (low + 1).clamp(0, last) as usize],
                weight: [inside(low, 1.0 - part), inside(low + 1, part)],
            }
        })
        .collect()
}

/// A picture of 1 or 3 channels, (height, width, channels), resized to `to`.
///
/// Follows `caffe.io.resize_image` of Caffe 1.0 for the channel counts that it gives to
/// scikit-image. Fails where the size is zero or the channels are neither 1 nor 3.
pub fn pycaffe(picture: &FloatPicture, to: Size) -> Result<FloatPicture, ImageError> {
    picture.check()?;
    to.check("the resized picture")?;
    let (low, high) = range(picture.data.iter().copied());
    let span = high - low;
    let sample = |at: usize| (picture.data[at] - low) / span;
    match picture.channels {
        1 => Ok(resample::<1>(sample, picture.size(), to, (low, high))),
        3 => Ok(resample::<3>(sample, picture.size(), to, (low, high))),
        n => Err(ImageError::BadSetting {
            setting: "pycaffe resizing",
            reason: format!("{n} channels given, 1 or 3 expected"),
        }),
    }
}

/// An 8-bit RGB picture, resized to `to`, as `f32` RGB in 0..1: the same as [`pycaffe`] of
/// [`Picture::to_float`], without that copy.
///
/// Fails where a size is zero or the picture's fields contradict each other.
pub fn pycaffe_photo(picture: &Picture, to: Size) -> Result<FloatPicture, ImageError> {
    picture.check()?;
    to.check("the resized picture")?;
    let (low, high) =
        picture.data.iter().fold((u8::MAX, u8::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    let (low, high) = (unit(low), unit(high));
    let mut scaled = [0.0f32; 256];
    for (value, out) in (0..=255u8).zip(&mut scaled) {
        *out = (unit(value) - low) / (high - low);
    }
    let sample = |at: usize| scaled[usize::from(picture.data[at])];
    Ok(resample::<3>(sample, picture.size(), to, (low, high)))
}

/// Smallest and largest of the values.
fn range(values: impl Iterator<Item = f32>) -> (f32, f32) {
    values.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)))
}

/// Bilinear resampling of samples in 0..1 and the way back to `low..high`.
fn resample<const C: usize>(
    sample: impl Fn(usize) -> f32,
    from: Size,
    to: Size,
    (low, high): (f32, f32),
) -> FloatPicture {
    let mut out = FloatPicture {
        width: to.width,
        height: to.height,
        channels: C,
        data: vec![low; to.height * to.width * C],
    };
    // A picture of one single value has no range to scale by; NaN has none either.
    if low.partial_cmp(&high) != Some(std::cmp::Ordering::Less) {
        return out;
    }
    let (columns, rows) = (taps(from.width, to.width), taps(from.height, to.height));
    let (low, span) = (f64::from(low), f64::from(high - low));
    let mut pair = RowPair::new(to.width * C);
    for (out_row, tap) in out.data.chunks_exact_mut(to.width * C).zip(&rows) {
        for y in tap.at {
            pair.load(y, |row| {
                let start = y * from.width;
                for (pixel, t) in row.chunks_exact_mut(C).zip(&columns) {
                    for (c, value) in pixel.iter_mut().enumerate() {
                        let left = f64::from(sample((start + t.at[0]) * C + c));
                        let right = f64::from(sample((start + t.at[1]) * C + c));
                        *value = t.weight[0] * left + t.weight[1] * right;
                    }
                }
            });
        }
        let (top, bottom) = (pair.row(tap.at[0]), pair.row(tap.at[1]));
        for ((value, &t), &b) in out_row.iter_mut().zip(top).zip(bottom) {
            let mixed = tap.weight[0] * t + tap.weight[1] * b;
            *value = (mixed * span + low) as f32;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::super::test_support::{golden, largest_difference, npy, photo};
    use super::*;

    #[test]
    fn agrees_with_caffe_io_resize_image() {
        for picture in ["p0", "p1", "p2", "p3"] {
            for case in ["up", "down", "same_down2"] {
                let name = format!("pycaffe_resize_{picture}_{case}.npy");
                let wanted = npy(&golden(&name));
                let to = Size::new(wanted.shape[0], wanted.shape[1]);
                let photo = photo(&format!("{picture}.png"));
                let got = pycaffe_photo(&photo, to).unwrap();
                let error = largest_difference(&got.data, &wanted.data);
                assert!(error <= 1.2e-7, "{name}: {error:e}");
                assert_eq!(got, pycaffe(&photo.to_float(), to).unwrap(), "{name}");
            }
        }
    }

    #[test]
    fn a_constant_picture_stays_constant() {
        let flat = FloatPicture::new(Size::new(3, 2), 1, vec![0.5; 6]).unwrap();
        let large = pycaffe(&flat, Size::new(5, 7)).unwrap();
        assert!(large.data.iter().all(|&v| v == 0.5));
    }

    #[test]
    fn enlarging_darkens_the_border_by_hand() {
        // Two pixels 0 and 1 stretched to four: positions -0.25, 0.25, 0.75, 1.25.
        let two = FloatPicture::new(Size::new(1, 2), 1, vec![0.0, 1.0]).unwrap();
        let four = pycaffe(&two, Size::new(1, 4)).unwrap();
        assert_eq!(four.data, [0.0, 0.25, 0.75, 0.75]);
    }

    #[test]
    fn other_channel_counts_are_refused() {
        let two = FloatPicture::new(Size::new(1, 1), 2, vec![0.0, 1.0]).unwrap();
        assert!(pycaffe(&two, Size::new(2, 2)).is_err());
        let one = FloatPicture::new(Size::new(1, 1), 1, vec![1.0]).unwrap();
        assert!(pycaffe(&one, Size::new(0, 2)).is_err());
    }
}
