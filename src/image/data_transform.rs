//! The preparation of Caffe's data layers (`ImageData`, `Data`): resizing by OpenCV and
//! `transform_param`, after `data_transformer.cpp`.
//!
//! Picture (8-bit RGB) → gray on demand → resize → crop → planes in the order blue, green, red
//! (or one gray plane) → (pixel − mean) · scale, the mean cropped where the picture is → mirror.

use std::borrow::Cow;

use super::crop::{check_buffer, check_inside, copy_planes, mirror_rows};
use super::resize::{opencv, opencv_gray};
use super::{Crop, GrayPicture, ImageError, Mean, Picture, Size, centre_crop};

/// The settings of a data layer that shape its pictures; Caffe's names and defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct DataTransform {
    /// Rows to resize to; 0, together with `new_width`, for no resizing.
    pub new_height: usize,
    /// Columns to resize to; 0, together with `new_height`, for no resizing.
    pub new_width: usize,
    /// Whether the output has three planes (blue, green, red) or one (gray).
    pub is_color: bool,
    /// Side of the square crop; 0 for none.
    pub crop_size: usize,
    /// The mean. A mean image must have the size of the picture before the crop.
    pub mean: Mean,
    /// What is multiplied by after the mean is subtracted.
    pub scale: f32,
}

/// What Caffe draws at random for each picture, given by the caller. The default is what the TEST
/// phase does without `mirror`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Placement {
    /// The crop's top row and left column; `None` for the centre. Without a crop it is not used.
    pub offset: Option<(usize, usize)>,
    /// Whether the output is mirrored, left for right.
    pub mirror: bool,
}

impl Default for DataTransform {
    fn default() -> Self {
        Self {
            new_height: 0,
            new_width: 0,
            is_color: true,
            crop_size: 0,
            mean: Mean::None,
            scale: 1.0,
        }
    }
}

impl DataTransform {
    /// The size after resizing, before the crop, of a picture of size `picture`.
    ///
    /// Fails when only one of `new_height` and `new_width` is zero.
    pub fn resized(&self, picture: Size) -> Result<Size, ImageError> {
        match (self.new_height, self.new_width) {
            (0, 0) => Ok(picture),
            (h, w) if h > 0 && w > 0 => Ok(Size::new(h, w)),
            (h, w) => Err(ImageError::BadSetting {
                setting: "new_height and new_width",
                reason: format!("{h} and {w} given; set both, or neither"),
            }),
        }
    }

    /// The output's (channels, height, width) for a picture of size `picture`.
    ///
    /// Fails when the crop does not fit or [`resized`](Self::resized) fails.
    pub fn output_shape(&self, picture: Size) -> Result<[usize; 3], ImageError> {
        let resized = self.resized(picture)?;
        let crop = self.crop(resized);
        check_inside(resized, crop, (0, 0))?;
        let channels = if self.is_color { 3 } else { 1 };
        Ok([channels, crop.height, crop.width])
    }

    /// How many rows and columns the crop can start at: what Caffe draws the offsets of the TRAIN
    /// phase below.
    ///
    /// Fails as [`output_shape`](Self::output_shape) does.
    pub fn offsets(&self, picture: Size) -> Result<Size, ImageError> {
        let resized = self.resized(picture)?;
        let [_, h, w] = self.output_shape(picture)?;
        Ok(Size::new(resized.height - h + 1, resized.width - w + 1))
    }

    /// Writes the prepared picture, of [`output_shape`](Self::output_shape), into `out`.
    ///
    /// Fails when `out` has another length, the crop or the mean image does not fit.
    pub fn apply(
        &self,
        picture: &Picture,
        placement: Placement,
        out: &mut [f32],
    ) -> Result<(), ImageError> {
        if !self.is_color {
            return self.apply_gray(&picture.to_gray(), placement, out);
        }
        let to = self.resized(picture.size())?;
        let resized = match to == picture.size() {
            true => {
                picture.check()?;
                Cow::Borrowed(picture)
            }
            false => Cow::Owned(opencv(picture, to)?),
        };
        self.write((&resized.data, to), &[2, 1, 0], placement, out)
    }

    /// As [`apply`](Self::apply) for a gray picture; the output has one plane.
    ///
    /// Fails where `is_color` is set.
    pub fn apply_gray(
        &self,
        picture: &GrayPicture,
        placement: Placement,
        out: &mut [f32],
    ) -> Result<(), ImageError> {
        if self.is_color {
            return Err(ImageError::BadSetting {
                setting: "is_color",
                reason: "a gray picture was given for three planes".into(),
            });
        }
        let to = self.resized(picture.size())?;
        let resized = match to == picture.size() {
            true => {
                picture.check()?;
                Cow::Borrowed(picture)
            }
            false => Cow::Owned(opencv_gray(picture, to)?),
        };
        self.write((&resized.data, to), &[0], placement, out)
    }

    /// The crop's size in a picture of size `picture`.
    fn crop(&self, picture: Size) -> Size {
        match self.crop_size {
            0 => picture,
            side => Size::square(side),
        }
    }

    /// Crops, subtracts, scales and mirrors pixels of `order.len()` channels, (height, width,
    /// channels), at their final size.
    fn write(
        &self,
        (pixels, picture): (&[u8], Size),
        order: &[usize],
        placement: Placement,
        out: &mut [f32],
    ) -> Result<(), ImageError> {
        let size = self.crop(picture);
        let centre = centre_crop(picture, size)?;
        let (y, x) = match placement.offset {
            Some(offset) if self.crop_size > 0 => offset,
            _ => (centre.y, centre.x),
        };
        check_inside(picture, size, (y, x))?;
        self.mean.check(order.len(), picture)?;
        let channels = order.len();
        check_buffer(out, channels * size.height * size.width)?;
        let crop = Crop { y, x, mirrored: placement.mirror };
        let source = (pixels, picture.width, channels);
        copy_planes(source, (crop, size), order, f32::from, out);
        // The planes are blue, green, red, as the mean's colours are.
        self.mean.subtract(out, size, &[0, 1, 2][..channels], (y, x));
        if self.scale != 1.0 {
            out.iter_mut().for_each(|v| *v *= self.scale);
        }
        if crop.mirrored {
            mirror_rows(out, size.width);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{golden, npy, photo};
    use super::super::{MeanImage, list_pictures};
    use super::*;

    /// What `transform` makes of the listed pictures from number `first` on, `count` of them,
    /// wrapping around the list as the ImageData layer does.
    fn batch(transform: &DataTransform, first: usize, count: usize) -> Vec<f32> {
        let listed = list_pictures(&golden("list.txt")).unwrap();
        let mut all = Vec::new();
        for i in first..first + count {
            let name = listed[i % listed.len()].path.file_name().unwrap();
            let picture = photo(name.to_str().unwrap());
            let shape = transform.output_shape(picture.size()).unwrap();
            let mut out = vec![0.0; shape.iter().product()];
            transform.apply(&picture, Placement::default(), &mut out).unwrap();
            all.extend(out);
        }
        all
    }

    fn equals(got: &[f32], name: &str) {
        assert!(got == npy(&golden(name)).data, "{name}");
    }

    #[test]
    fn agrees_bit_for_bit_with_image_data_layers() {
        let resized = |h, w| DataTransform { new_height: h, new_width: w, ..Default::default() };
        equals(&batch(&resized(56, 48), 0, 4), "imagedata_resize_up_data.npy");
        equals(&batch(&resized(19, 17), 0, 4), "imagedata_resize_down_data.npy");
        equals(&batch(&DataTransform::default(), 0, 1), "imagedata_noresize_b1_data.npy");
        let gray =
            DataTransform { is_color: false, mean: Mean::Channels([100.0; 3]), ..resized(20, 20) };
        equals(&batch(&gray, 0, 4), "imagedata_gray_data.npy");
        let cropped = DataTransform {
            crop_size: 17,
            scale: 0.0078125,
            mean: Mean::Channels([104.0, 117.0, 123.0]),
            ..resized(28, 26)
        };
        equals(&batch(&cropped, 0, 4), "imagedata_crop_scale_meanvalue_data.npy");
        let wrapping = DataTransform { mean: Mean::Channels([120.0; 3]), ..resized(12, 12) };
        equals(&batch(&wrapping, 0, 12), "imagedata_wrap_data.npy");
    }

    /// mean24.npy as a mean image.
    fn mean24() -> Mean {
        let mean = npy(&golden("mean24.npy"));
        Mean::Image(MeanImage::new(&mean.shape, mean.data).unwrap())
    }

    #[test]
    fn a_mean_image_is_cropped_with_the_picture() {
        // The LMDB holds the listed pictures at 24 x 24.
        let transform = DataTransform {
            new_height: 24,
            new_width: 24,
            crop_size: 15,
            scale: 0.5,
            mean: mean24(),
            ..Default::default()
        };
        equals(&batch(&transform, 0, 8), "lmdb_mean_crop_data.npy");
    }

    #[test]
    fn the_mean_is_mirrored_with_the_picture() {
        let transform = DataTransform {
            new_height: 24,
            new_width: 24,
            crop_size: 10,
            mean: mean24(),
            ..Default::default()
        };
        let picture = photo("p1.png");
        let (mut plain, mut mirrored) = (vec![0.0; 300], vec![0.0; 300]);
        let at = |mirror| Placement { offset: Some((3, 14)), mirror };
        transform.apply(&picture, at(false), &mut plain).unwrap();
        transform.apply(&picture, at(true), &mut mirrored).unwrap();
        mirror_rows(&mut mirrored, 10);
        assert_eq!(plain, mirrored);
        assert_eq!(transform.offsets(picture.size()).unwrap(), Size::square(15));
        let beyond = Placement { offset: Some((3, 15)), mirror: false };
        assert!(transform.apply(&picture, beyond, &mut plain).is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let picture = photo("p2.png"); // 25 x 25
        let mut out = vec![0.0; 3 * 25 * 25];
        let mut refuse = |transform: DataTransform| {
            assert!(transform.apply(&picture, Placement::default(), &mut out).is_err());
        };
        let base = DataTransform::default;
        refuse(DataTransform { crop_size: 26, ..base() });
        refuse(DataTransform { new_height: 25, ..base() });
        refuse(DataTransform { mean: mean24(), ..base() });
        refuse(DataTransform { is_color: false, ..base() }); // too long a buffer
    }
}
