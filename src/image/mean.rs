//! The mean that is subtracted from a picture. Colours are in Caffe's order: blue, green, red.
//!
//! A mean image meets two customs. Caffe's data layers *crop* it where they crop the picture;
//! pycaffe *resizes* it to the network's input. The callers choose; this file can do both.

use std::str::FromStr;

use super::resize::pycaffe;
use super::{FloatPicture, ImageError, Size};

/// What is subtracted from each sample, in the samples' unit (0..255 for Caffe's networks).
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Mean {
    /// Nothing.
    #[default]
    None,
    /// One value per channel: blue, green, red. A gray picture takes three equal values as one.
    Channels([f32; 3]),
    /// One value per sample.
    Image(MeanImage),
}

/// A mean image: `data` is (channels, height, width), channels in the order blue, green, red.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanImage {
    channels: usize,
    height: usize,
    width: usize,
    data: Vec<f32>,
}

impl MeanImage {
    /// A mean image from its shape, (channels, height, width) or (1, channels, height, width), and
    /// its values in that order. Channels are 1 (gray) or 3 (blue, green, red).
    ///
    /// Fails when the shape is another or the number of values does not fit it.
    pub fn new(shape: &[usize], data: Vec<f32>) -> Result<Self, ImageError> {
        let (&[channels, height, width] | &[1, channels, height, width]) = shape else {
            return Err(ImageError::BadSetting {
                setting: "mean image",
                reason: format!("its shape {shape:?} is not (channels, height, width)"),
            });
        };
        if channels != 1 && channels != 3 {
            return Err(ImageError::BadSetting {
                setting: "mean image",
                reason: format!("it has {channels} channels, not 1 or 3"),
            });
        }
        let size = Size::new(height, width).check("mean image")?;
        if size.count(channels) != Some(data.len()) {
            return Err(ImageError::WrongLength {
                what: "mean image",
                height,
                width,
                channels,
                got: data.len(),
            });
        }
        Ok(Self { channels, height, width, data })
    }

    /// Rows and columns.
    pub fn size(&self) -> Size {
        Size::new(self.height, self.width)
    }

    /// 1 or 3.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The values, (channels, height, width).
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The mean of each channel, summed in double precision: what many use in the image's place.
    pub fn channel_means(&self) -> Vec<f32> {
        let area = self.height * self.width;
        let mean = |plane: &[f32]| {
            let sum: f64 = plane.iter().map(|&v| f64::from(v)).sum();
            (sum / area as f64) as f32
        };
        self.data.chunks_exact(area).map(mean).collect()
    }

    /// The mean image at another size, as pycaffe's `Transformer.set_mean` makes it: brought to
    /// 0..1, resized by `caffe.io.resize_image`, brought back. The same size is left alone.
    pub fn resized(&self, to: Size) -> Result<Self, ImageError> {
        if to == self.size() {
            return Ok(self.clone());
        }
        let (low, high) = self
            .data
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
        let span = match high > low {
            true => high - low,
            false => 1.0, // a constant mean stays constant
        };
        let (c, area) = (self.channels, self.height * self.width);
        let mut interleaved = FloatPicture {
            width: self.width,
            height: self.height,
            channels: c,
            data: vec![0.0; self.data.len()],
        };
        for (i, value) in interleaved.data.iter_mut().enumerate() {
            *value = (self.data[i % c * area + i / c] - low) / span;
        }
        let resized = pycaffe(&interleaved, to)?;
        let area = to.height * to.width;
        let data =
            (0..c * area).map(|i| resized.data[i % area * c + i / area] * span + low).collect();
        Self::new(&[c, to.height, to.width], data)
    }
}

impl Mean {
    /// Subtracts the mean from planes, (order.len(), size.height, size.width). Plane `p` holds
    /// colour `order[p]` of blue, green, red; (y, x) is where in the mean image the planes begin.
    ///
    /// The callers have checked a mean image's size by [`check`](Self::check).
    pub(super) fn subtract(
        &self,
        planes: &mut [f32],
        size: Size,
        order: &[usize],
        (y, x): (usize, usize),
    ) {
        let each_plane = planes.chunks_exact_mut(size.height * size.width);
        match self {
            Self::None => {}
            Self::Channels(values) => {
                for (plane, &colour) in each_plane.zip(order) {
                    plane.iter_mut().for_each(|v| *v -= values[colour]);
                }
            }
            Self::Image(mean) => {
                for (plane, &colour) in each_plane.zip(order) {
                    for (row, out) in plane.chunks_exact_mut(size.width).enumerate() {
                        let start = (colour * mean.height + y + row) * mean.width + x;
                        let means = &mean.data[start..start + size.width];
                        out.iter_mut().zip(means).for_each(|(v, m)| *v -= m);
                    }
                }
            }
        }
    }

    /// Fails unless the mean suits a picture of `channels` and `size`.
    pub(super) fn check(&self, channels: usize, size: Size) -> Result<(), ImageError> {
        match self {
            Self::Channels([b, g, r]) if channels == 1 && (b != g || g != r) => {
                Err(ImageError::BadMean {
                    text: format!("{b},{g},{r}"),
                    reason: "the picture is gray, the mean has three colours".into(),
                })
            }
            Self::Image(mean) if mean.channels != channels || mean.size() != size => {
                Err(ImageError::MeanMismatch {
                    channels: mean.channels,
                    mean: mean.size(),
                    wanted_channels: channels,
                    picture: size,
                })
            }
            _ => Ok(()),
        }
    }
}

/// Reads `104,117,123` (blue, green, red) or one number for all channels; `none` or an empty text
/// is no mean. Spaces around the numbers do not count.
impl FromStr for Mean {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let bad = |reason: String| ImageError::BadMean { text: text.to_owned(), reason };
        let trimmed = text.trim();
        if trimmed.is_empty() || trimmed.eq_ignore_ascii_case("none") {
            return Ok(Self::None);
        }
        let mut values = Vec::new();
        for part in trimmed.split(',') {
            match part.trim().parse::<f32>() {
                Ok(v) if v.is_finite() => values.push(v),
                _ => return Err(bad(format!("{:?} is not a number", part.trim()))),
            }
        }
        match values[..] {
            [all] => Ok(Self::Channels([all; 3])),
            [b, g, r] => Ok(Self::Channels([b, g, r])),
            _ => Err(bad(format!("it has {} numbers", values.len()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text() {
        let three: Mean = " 104, 117,123 ".parse().unwrap();
        assert_eq!(three, Mean::Channels([104.0, 117.0, 123.0]));
        assert_eq!("120".parse::<Mean>().unwrap(), Mean::Channels([120.0; 3]));
        assert_eq!("none".parse::<Mean>().unwrap(), Mean::None);
        for bad in ["1,2", "1,2,x", "1,,2", "nan", "1,2,3,4", "inf"] {
            assert!(bad.parse::<Mean>().is_err(), "{bad}");
        }
    }

    #[test]
    fn shapes_are_checked() {
        assert!(MeanImage::new(&[3, 2, 2], vec![0.0; 12]).is_ok());
        assert!(MeanImage::new(&[1, 3, 2, 2], vec![0.0; 12]).is_ok());
        assert!(MeanImage::new(&[1, 2, 2], vec![0.0; 4]).is_ok());
        for (shape, n) in [
            (&[3, 2, 2][..], 11),
            (&[2, 2, 2], 8),
            (&[2, 3, 2, 2], 24),
            (&[12], 12),
            (&[3, 0, 2], 0),
        ] {
            assert!(MeanImage::new(shape, vec![0.0; n]).is_err(), "{shape:?}");
        }
    }

    #[test]
    fn cropping_by_hand() {
        let mean = MeanImage::new(&[1, 2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert_eq!(mean.channel_means(), [2.5]);
        let mut planes = [10.0, 10.0];
        Mean::Image(mean).subtract(&mut planes, Size::new(1, 2), &[0], (1, 1));
        assert_eq!(planes, [6.0, 5.0]);
    }

    #[test]
    fn a_constant_mean_image_resizes_to_itself() {
        let mean = MeanImage::new(&[3, 2, 2], vec![7.0; 12]).unwrap();
        let large = mean.resized(Size::new(3, 5)).unwrap();
        assert!(large.data().iter().all(|&v| v == 7.0));
    }

    #[test]
    fn a_gray_picture_takes_one_value() {
        let size = Size::square(2);
        assert!(Mean::Channels([5.0; 3]).check(1, size).is_ok());
        assert!(Mean::Channels([5.0, 6.0, 5.0]).check(1, size).is_err());
    }
}
