//! Bilinear resizing with anti-aliasing by a library with SIMD kernels.

use super::super::{ImageError, Picture, Size};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

/// The same filter as [`antialias`](super::antialias()), with weights of fewer bits: samples may differ by
/// one, now and then by two.
///
/// Fails where a size is zero or the picture's fields contradict each other.
pub fn fast(picture: &Picture, to: Size) -> Result<Picture, ImageError> {
    picture.check()?;
    to.check("the resized picture")?;
    let side = |len: usize| {
        u32::try_from(len).map_err(|_| ImageError::BadSetting {
            setting: "size",
            reason: format!("{len} pixels are too many for the fast resizer"),
        })
    };
    let failed = |reason: String| ImageError::BadSetting { setting: "size", reason };
    let (width, height) = (side(picture.width)?, side(picture.height)?);
    let from = ImageRef::new(width, height, &picture.data, PixelType::U8x3)
        .map_err(|e| failed(e.to_string()))?;
    let mut resized = Image::new(side(to.width)?, side(to.height)?, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize(&from, &mut resized, &options).map_err(|e| failed(e.to_string()))?;
    Ok(Picture { width: to.width, height: to.height, data: resized.into_vec() })
}

#[cfg(test)]
mod tests {
    use super::super::super::test_support::photo;
    use super::super::antialias;
    use super::*;

    #[test]
    fn agrees_with_the_exact_filter_but_for_rounding() {
        for (name, (h, w)) in [("p0.png", (19, 17)), ("p1.png", (16, 24)), ("p3.png", (40, 37))] {
            let (from, to) = (photo(name), Size::new(h, w));
            let (want, got) = (antialias(&from, to).unwrap(), fast(&from, to).unwrap());
            assert_eq!(want.size(), got.size());
            let worst = want.data.iter().zip(&got.data).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst <= Some(2), "{name}: {worst:?}");
        }
        assert!(fast(&photo("p0.png"), Size::new(0, 3)).is_err());
    }
}
