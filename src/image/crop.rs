//! Crops: where they lie, and how pixels become planes.
//!
//! Flows in: an interleaved picture (height, width, channels). Flows out: planes
//! (channels, height, width) of `f32`, as a network reads them.

use super::{ImageError, Size};

/// Where a crop lies in a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Top row.
    pub y: usize,
    /// Left column.
    pub x: usize,
    /// Whether the crop is mirrored, left for right.
    pub mirrored: bool,
}

/// Fails unless `crop`, put at (y, x), lies within `picture`.
pub(super) fn check_inside(
    picture: Size,
    crop: Size,
    (y, x): (usize, usize),
) -> Result<(), ImageError> {
    let fits = |at: usize, length: usize, room: usize| {
        at.checked_add(length).is_some_and(|end| end <= room)
    };
    if fits(y, crop.height, picture.height) && fits(x, crop.width, picture.width) {
        return Ok(());
    }
    Err(ImageError::CropOutside { crop, y, x, picture })
}

/// The centre crop: at ((H − h) / 2, (W − w) / 2), rounded down.
///
/// Fails when the crop is larger than the picture.
pub fn centre_crop(picture: Size, crop: Size) -> Result<Crop, ImageError> {
    check_inside(picture, crop, (0, 0))?;
    Ok(Crop {
        y: (picture.height - crop.height) / 2,
        x: (picture.width - crop.width) / 2,
        mirrored: false,
    })
}

/// The ten crops of `caffe.io.oversample`, in its order: top left, top right, bottom left, bottom
/// right, centre, then the same five mirrored.
///
/// Fails when the crop is larger than the picture.
pub fn ten_crops(picture: Size, crop: Size) -> Result<[Crop; 10], ImageError> {
    let centre = centre_crop(picture, crop)?;
    let (bottom, right) = (picture.height - crop.height, picture.width - crop.width);
    let places = [(0, 0), (0, right), (bottom, 0), (bottom, right), (centre.y, centre.x)];
    Ok(std::array::from_fn(|i| {
        let (y, x) = places[i % 5];
        Crop { y, x, mirrored: i >= 5 }
    }))
}

/// Copies a crop's pixels into planes: `out`, (order.len(), height, width), gets
/// `value(pixel[order[plane]])`. The crop must lie within `pixels`, (.., row_length, channels).
pub(super) fn copy_planes<T: Copy>(
    (pixels, row_length, channels): (&[T], usize, usize),
    (at, size): (Crop, Size),
    order: &[usize],
    value: impl Fn(T) -> f32,
    out: &mut [f32],
) {
    let planes = out.chunks_exact_mut(size.height * size.width);
    for (plane, &channel) in planes.zip(order) {
        for (y, out_row) in plane.chunks_exact_mut(size.width).enumerate() {
            let start = ((at.y + y) * row_length + at.x) * channels;
            let row = pixels[start..start + size.width * channels].chunks_exact(channels);
            for (out_value, pixel) in out_row.iter_mut().zip(row) {
                *out_value = value(pixel[channel]);
            }
        }
    }
}

/// Mirrors planes left for right: reverses each row of `width` values.
pub(super) fn mirror_rows(planes: &mut [f32], width: usize) {
    for row in planes.chunks_exact_mut(width) {
        row.reverse();
    }
}

/// Fails unless `out` holds `wanted` values.
pub(super) fn check_buffer(out: &[f32], wanted: usize) -> Result<(), ImageError> {
    if out.len() == wanted {
        return Ok(());
    }
    Err(ImageError::WrongBuffer { wanted, got: out.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centre_rounds_down() {
        let crop = centre_crop(Size::square(256), Size::square(227)).unwrap();
        assert_eq!((crop.y, crop.x), (14, 14));
        let crop = centre_crop(Size::new(5, 4), Size::new(5, 1)).unwrap();
        assert_eq!((crop.y, crop.x), (0, 1));
        assert!(centre_crop(Size::new(5, 4), Size::new(6, 1)).is_err());
    }

    #[test]
    fn the_ten_crops_in_order() {
        let crops = ten_crops(Size::new(10, 8), Size::new(4, 4)).unwrap();
        let places = crops.map(|c| (c.y, c.x));
        assert_eq!(places[..5], [(0, 0), (0, 4), (6, 0), (6, 4), (3, 2)]);
        assert_eq!(places[5..], places[..5]);
        assert!(crops.iter().enumerate().all(|(i, c)| c.mirrored == (i >= 5)));
    }

    #[test]
    fn planes_by_hand() {
        // Two rows of two RGB pixels; the right column as BGR planes, mirrored on its own.
        let pixels: Vec<u8> = (0..12).collect();
        let mut out = [0.0; 6];
        let at = Crop { y: 0, x: 1, mirrored: false };
        let source = (&pixels[..], 2, 3);
        copy_planes(source, (at, Size::new(2, 1)), &[2, 1, 0], f32::from, &mut out);
        assert_eq!(out, [5.0, 11.0, 4.0, 10.0, 3.0, 9.0]);
        mirror_rows(&mut out, 3);
        assert_eq!(out, [4.0, 11.0, 5.0, 9.0, 3.0, 10.0]);
    }
}
