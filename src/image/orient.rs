//! Turning a picture upright. Cameras store the pixels as the sensor saw them and write into the
//! file (EXIF tag 274) how to turn them.

use super::Picture;
use ::image::metadata::Orientation;

/// Whether rows become columns.
pub(super) fn swaps(orientation: Orientation) -> bool {
    use Orientation::*;
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

/// The picture turned as `orientation` says. The four that swap rows and columns swap the size.
///
/// Each output pixel (y, x) comes from `start + y * down + x * right` in the input: the eight
/// orientations are eight choices of those three numbers.
pub(super) fn orient(picture: Picture, orientation: Orientation) -> Picture {
    use Orientation::*;
    if orientation == NoTransforms {
        return picture;
    }
    let (w, h) = (picture.width as isize, picture.height as isize);
    let (last_column, last_row) = (w - 1, (h - 1) * w);
    let (start, down, right) = match orientation {
        NoTransforms => (0, w, 1),
        FlipHorizontal => (last_column, w, -1),
        Rotate180 => (last_row + last_column, -w, -1),
        FlipVertical => (last_row, -w, 1),
        Rotate90FlipH => (0, 1, w),
        Rotate90 => (last_row, 1, -w),
        Rotate270FlipH => (last_row + last_column, -1, -w),
        Rotate270 => (last_column, -1, w),
    };
    let (width, height) = match swaps(orientation) {
        true => (picture.height, picture.width),
        false => (picture.width, picture.height),
    };
    let mut data = Vec::with_capacity(picture.data.len());
    for y in 0..height as isize {
        for x in 0..width as isize {
            let at = 3 * (start + y * down + x * right) as usize;
            data.extend_from_slice(&picture.data[at..at + 3]);
        }
    }
    Picture { width, height, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 2 x 3 picture whose red values number its pixels.
    fn numbered() -> Picture {
        Picture { width: 3, height: 2, data: (0..6).flat_map(|v| [v, 0, 0]).collect() }
    }

    #[test]
    fn the_eight_orientations_by_hand() {
        // 0 1 2
        // 3 4 5
        let expected: [(u8, [u8; 6]); 8] = [
            (1, [0, 1, 2, 3, 4, 5]),
            (2, [2, 1, 0, 5, 4, 3]),
            (3, [5, 4, 3, 2, 1, 0]),
            (4, [3, 4, 5, 0, 1, 2]),
            (5, [0, 3, 1, 4, 2, 5]),
            (6, [3, 0, 4, 1, 5, 2]),
            (7, [5, 2, 4, 1, 3, 0]),
            (8, [2, 5, 1, 4, 0, 3]),
        ];
        for (tag, values) in expected {
            let turned = orient(numbered(), Orientation::from_exif(tag).unwrap());
            let red: Vec<u8> = turned.data.iter().step_by(3).copied().collect();
            assert_eq!(red, values, "orientation {tag}");
            assert_eq!(turned.width, if tag < 5 { 3 } else { 2 });
            assert_eq!(turned.height, if tag < 5 { 2 } else { 3 });
        }
    }
}
