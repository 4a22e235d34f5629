//! Pictures in memory. Rows run from the top, columns from the left.

use std::fmt;

use super::ImageError;

/// Rows and columns. Caffe names heights first, and so does this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// An 8-bit RGB picture, interleaved: `data` is (height, width, 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green, blue of each pixel, row by row: `height * width * 3` values.
    pub data: Vec<u8>,
}

/// An 8-bit gray picture: `data` is (height, width).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrayPicture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// One value per pixel, row by row: `height * width` values.
    pub data: Vec<u8>,
}

/// A picture of `f32` samples, interleaved: `data` is (height, width, channels).
#[derive(Clone, Debug, PartialEq)]
pub struct FloatPicture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Samples per pixel.
    pub channels: usize,
    /// The samples, row by row: `height * width * channels` values.
    pub data: Vec<f32>,
}

impl Size {
    /// `height` rows of `width` columns.
    pub fn new(height: usize, width: usize) -> Self {
        Self { height, width }
    }

    /// As many rows as columns.
    pub fn square(side: usize) -> Self {
        Self::new(side, side)
    }

    /// Rows × columns, or `None` where that is zero or `channels` times it cannot be addressed.
    pub(super) fn count(self, channels: usize) -> Option<usize> {
        let pixels = self.height.checked_mul(self.width)?;
        let samples = pixels.checked_mul(channels)?;
        // Eight bytes per sample is the widest intermediate of the resizers.
        (samples > 0 && samples <= isize::MAX as usize / 8).then_some(samples)
    }

    /// Fails with [`ImageError::BadSize`] where a picture of this size cannot exist.
    pub(super) fn check(self, what: &'static str) -> Result<Self, ImageError> {
        match self.count(4) {
            Some(_) => Ok(self),
            None => Err(ImageError::BadSize { what, size: self }),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows x {} columns", self.height, self.width)
    }
}

/// Checks that `got` values fill `size` with `channels` samples per pixel.
fn check_length(
    what: &'static str,
    size: Size,
    channels: usize,
    got: usize,
) -> Result<(), ImageError> {
    size.check(what)?;
    if size.count(channels) == Some(got) {
        return Ok(());
    }
    Err(ImageError::WrongLength { what, height: size.height, width: size.width, channels, got })
}

impl Picture {
    /// A picture of `size` from its interleaved RGB values, (height, width, 3).
    ///
    /// Fails when the size is zero or the number of values is not height × width × 3.
    pub fn new(size: Size, data: Vec<u8>) -> Result<Self, ImageError> {
        let picture = Self { width: size.width, height: size.height, data };
        picture.check()?;
        Ok(picture)
    }

    /// Rows and columns.
    pub fn size(&self) -> Size {
        Size::new(self.height, self.width)
    }

    /// The red, green and blue of the pixel in row `y`, column `x`.
    ///
    /// # Panics
    /// Where the pixel lies outside the picture.
    pub fn pixel(&self, y: usize, x: usize) -> [u8; 3] {
        assert!(x < self.width, "column {x} of {}", self.width);
        let at = (y * self.width + x) * 3;
        [self.data[at], self.data[at + 1], self.data[at + 2]]
    }

    /// The gray picture that OpenCV reads from a PNG when Caffe asks for `is_color: false`:
    /// (9797 R + 19234 G + 3737 B) >> 15. The weights sum to 2¹⁵, so gray stays as it is.
    pub fn to_gray(&self) -> GrayPicture {
        let gray = |p: &[u8]| {
            ((9797 * u32::from(p[0]) + 19234 * u32::from(p[1]) + 3737 * u32::from(p[2])) >> 15)
                as u8
        };
        GrayPicture {
            width: self.width,
            height: self.height,
            data: self.data.chunks_exact(3).map(gray).collect(),
        }
    }

    /// The gray picture that OpenCV's `cvtColor` makes, and its cascades look at:
    /// (9798 R + 19235 G + 3735 B) / 2¹⁵, to the nearest.
    pub fn to_luma(&self) -> GrayPicture {
        let luma = |p: &[u8]| {
            let [r, g, b] = [p[0], p[1], p[2]].map(u32::from);
            ((9798 * r + 19235 * g + 3735 * b + (1 << 14)) >> 15) as u8
        };
        GrayPicture {
            width: self.width,
            height: self.height,
            data: self.data.chunks_exact(3).map(luma).collect(),
        }
    }

    /// The picture as `f32` in 0..1 (value / 255): what pycaffe's `load_image` returns.
    pub fn to_float(&self) -> FloatPicture {
        FloatPicture {
            width: self.width,
            height: self.height,
            channels: 3,
            data: self.data.iter().map(|&v| unit(v)).collect(),
        }
    }

    /// Fails where the public fields contradict each other.
    pub(super) fn check(&self) -> Result<(), ImageError> {
        check_length("picture", self.size(), 3, self.data.len())
    }
}

/// An 8-bit value as `f32` in 0..1. The division is done in double precision, as scikit-image does.
pub(super) fn unit(value: u8) -> f32 {
    (f64::from(value) / 255.0) as f32
}

impl GrayPicture {
    /// A gray picture of `size` from its values, (height, width).
    ///
    /// Fails when the size is zero or the number of values is not height × width.
    pub fn new(size: Size, data: Vec<u8>) -> Result<Self, ImageError> {
        let picture = Self { width: size.width, height: size.height, data };
        picture.check()?;
        Ok(picture)
    }

    /// Rows and columns.
    pub fn size(&self) -> Size {
        Size::new(self.height, self.width)
    }

    /// Fails where the public fields contradict each other.
    pub(super) fn check(&self) -> Result<(), ImageError> {
        check_length("gray picture", self.size(), 1, self.data.len())
    }
}

impl FloatPicture {
    /// A picture of `size` from its interleaved samples, (height, width, channels).
    ///
    /// Fails when the size is zero or the number of values does not fit it.
    pub fn new(size: Size, channels: usize, data: Vec<f32>) -> Result<Self, ImageError> {
        let picture = Self { width: size.width, height: size.height, channels, data };
        picture.check()?;
        Ok(picture)
    }

    /// Rows and columns.
    pub fn size(&self) -> Size {
        Size::new(self.height, self.width)
    }

    /// Fails where the public fields contradict each other.
    pub(super) fn check(&self) -> Result<(), ImageError> {
        check_length("float picture", self.size(), self.channels, self.data.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_checked() {
        assert!(Picture::new(Size::new(2, 3), vec![0; 18]).is_ok());
        assert!(Picture::new(Size::new(2, 3), vec![0; 17]).is_err());
        assert!(Picture::new(Size::new(0, 3), vec![]).is_err());
        assert!(GrayPicture::new(Size::new(usize::MAX, 2), vec![]).is_err());
        assert!(FloatPicture::new(Size::new(1, 2), 2, vec![0.0; 4]).is_ok());
    }

    #[test]
    fn gray_of_gray_is_itself() {
        let data = (0..=255u8).flat_map(|v| [v, v, v]).collect();
        let picture = Picture::new(Size::new(1, 256), data).unwrap();
        for gray in [picture.to_gray(), picture.to_luma()] {
            assert!(gray.data.iter().enumerate().all(|(i, &v)| i == v as usize));
        }
    }

    #[test]
    fn the_luma_of_colours_is_opencvs() {
        let data = vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 1, 200, 30, 0, 1, 4];
        let picture = Picture::new(Size::new(1, 5), data).unwrap();
        assert_eq!(picture.to_luma().data, [76, 150, 29, 121, 1]);
    }
}
