//! Small pictures for pages.
//!
//! Flows in: a picture of any size. Flows out: its middle as a small square, and files of it in memory.

use crate::error::{Error, Result};
use crate::image::{Picture, Size, centre_crop, resize};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageResult};

/// The largest square in the middle of a picture, `side` pixels wide.
///
/// Fails on a side of 0 and where the picture's fields contradict each other.
pub fn square_thumbnail(picture: &Picture, side: usize) -> Result<Picture> {
    let square = Size::square(picture.width.min(picture.height));
    let crop = centre_crop(picture.size(), square)?;
    let rows = picture.data.chunks_exact((picture.width * 3).max(1));
    let rows = rows.skip(crop.y).take(square.height);
    let middle = rows.flat_map(|row| row.iter().skip(crop.x * 3).take(square.width * 3));
    let cropped = Picture::new(square, middle.copied().collect())?;
    Ok(resize::fast(&cropped, Size::square(side))?)
}

/// A picture as a PNG file: exact.
///
/// Fails where the picture's fields contradict each other.
pub fn encode_png(picture: &Picture) -> Result<Vec<u8>> {
    encode(picture, |file, width, height| {
        let encoder = PngEncoder::new(file);
        encoder.write_image(&picture.data, width, height, ExtendedColorType::Rgb8)
    })
}

/// A picture as a JPEG file of a quality from 1 to 100; 80 suits photos.
///
/// Fails on another quality, on a side above 65535 and where the picture's fields contradict each other.
pub fn encode_jpeg(picture: &Picture, quality: u8) -> Result<Vec<u8>> {
    if !(1..=100).contains(&quality) {
        return Err(Error::Invalid(format!("a JPEG quality of {quality}: give 1 to 100")));
    }
    encode(picture, |file, width, height| {
        let encoder = JpegEncoder::new_with_quality(file, quality);
        encoder.write_image(&picture.data, width, height, ExtendedColorType::Rgb8)
    })
}

/// Lets `write` write a file of a picture whose fields fit each other.
fn encode(
    picture: &Picture,
    write: impl FnOnce(&mut Vec<u8>, u32, u32) -> ImageResult<()>,
) -> Result<Vec<u8>> {
    let Picture { width, height, data } = picture;
    let wrong =
        |reason: String| Error::Invalid(format!("a picture of {}: {reason}", picture.size()));
    let values = width.checked_mul(*height).and_then(|pixels| pixels.checked_mul(3));
    if values != Some(data.len()) || data.is_empty() {
        return Err(wrong(format!("{} values do not fill it", data.len())));
    }
    let side = |side: usize| u32::try_from(side).map_err(|_| wrong("too large to write".into()));
    let mut file = vec![];
    write(&mut file, side(*width)?, side(*height)?).map_err(|e| wrong(e.to_string()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three columns to the left are red, three to the right blue; between them a green square.
    fn striped() -> Picture {
        let colour = |x: usize| match x {
            0..3 => [200, 0, 0],
            3..7 => [0, 200, 0],
            _ => [0, 0, 200],
        };
        let row: Vec<u8> = (0..10).flat_map(colour).collect();
        Picture::new(Size::new(4, 10), row.repeat(4)).unwrap()
    }

    #[test]
    fn the_middle_is_kept() {
        for side in [1, 4, 9] {
            let square = square_thumbnail(&striped(), side).unwrap();
            assert_eq!(square.size(), Size::square(side));
            assert!(square.data.chunks_exact(3).all(|pixel| pixel == [0, 200, 0]), "{side}");
        }
        // Turned by a quarter: rows instead of columns.
        let tall: Vec<u8> =
            striped().data[..30].chunks_exact(3).flat_map(|p| p.repeat(4)).collect();
        let tall = Picture::new(Size::new(10, 4), tall).unwrap();
        let square = square_thumbnail(&tall, 2).unwrap();
        assert!(square.data.chunks_exact(3).all(|pixel| pixel == [0, 200, 0]));
    }

    #[test]
    fn a_png_holds_every_value_and_a_jpeg_nearly() {
        let picture = striped();
        let read = |file: &[u8]| image::load_from_memory(file).unwrap().to_rgb8();
        let png = encode_png(&picture).unwrap();
        assert!(png.starts_with(b"\x89PNG") && read(&png).into_raw() == picture.data);
        let grey = Picture::new(Size::new(16, 24), vec![120; 16 * 24 * 3]).unwrap();
        let jpeg = encode_jpeg(&grey, 80).unwrap();
        assert!(jpeg.starts_with(b"\xff\xd8"));
        let read = read(&jpeg);
        assert_eq!(read.dimensions(), (24, 16));
        assert!(read.into_raw().iter().all(|value| value.abs_diff(120) <= 2));
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let short = Picture { width: 4, height: 4, data: vec![0; 40] };
        let none = Picture { width: 0, height: 4, data: vec![] };
        for picture in [&short, &none] {
            assert!(square_thumbnail(picture, 2).is_err());
            assert!(encode_png(picture).is_err() && encode_jpeg(picture, 80).is_err());
        }
        assert!(square_thumbnail(&striped(), 0).is_err());
        for quality in [0, 101] {
            assert!(encode_jpeg(&striped(), quality).unwrap_err().to_string().contains("quality"));
        }
    }
}
