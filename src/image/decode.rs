//! From a file's bytes to an upright 8-bit RGB picture.
//!
//! The format is told by the content, never by the file's name. What is kept follows OpenCV's
//! `imread`, which Caffe uses: alpha is dropped (not blended), 16-bit samples keep their high byte,
//! gray is repeated three times, palettes are looked up, CMYK becomes RGB by `(1 − c)(1 − k)`,
//! colour profiles are ignored, the EXIF orientation is applied. Of an animation the first frame
//! counts; what a GIF's frame leaves of its canvas is black.
//!
//! A broken or hostile file gives an error in bounded memory and time: sizes are checked against
//! [`Limits`] from the header before anything of that size is allocated.

use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use super::orient::{orient, swaps};
use super::{GrayPicture, ImageError, Limits, Picture, Size, container};
use ::image::error::ImageError as DecoderError;
use ::image::metadata::Orientation;
use ::image::{ColorType, ImageDecoder, ImageFormat, ImageReader};

/// What the PNG decoder may allocate for itself: rows and ancillary chunks. The pixels do not
/// count, and a compressed colour profile must not unpack to more.
const PNG_WORKSPACE: u64 = 64 << 20;

/// Reads and decodes a picture file: JPEG, PNG, WebP, GIF (first frame), BMP or TIFF.
///
/// Fails when the file cannot be read, is none of these, exceeds the limits, is cut off or broken.
pub fn decode_file(path: &Path, limits: &Limits) -> Result<Picture, ImageError> {
    let bytes = read_file(path, limits.max_file_bytes)?;
    decode_bytes(&path.display().to_string(), &bytes, limits)
}

/// As [`decode_file`], but a JPEG may come out at a half, a quarter or an eighth of its size, as long as it is no
/// smaller than `least`: that is done in its frequencies, and takes less the smaller it gets.
pub fn decode_reduced(path: &Path, limits: &Limits, least: Size) -> Result<Picture, ImageError> {
    let bytes = read_file(path, limits.max_file_bytes)?;
    decode_bytes_reduced(&path.display().to_string(), &bytes, limits, least)
}

/// The same from memory. `name` stands for it in errors.
pub fn decode_bytes_reduced(
    name: &str,
    bytes: &[u8],
    limits: &Limits,
    least: Size,
) -> Result<Picture, ImageError> {
    decode(name, bytes, limits, Some(least))
}

/// As [`decode_file`], then gray as Caffe's data layers have it with `is_color: false`: a gray file
/// stays as it is, colour goes through [`Picture::to_gray`].
///
/// For PNG that is OpenCV's result; from a colour JPEG OpenCV takes the stored luma instead, which
/// differs by rounding.
pub fn decode_gray_file(path: &Path, limits: &Limits) -> Result<GrayPicture, ImageError> {
    Ok(decode_file(path, limits)?.to_gray())
}

/// Reads a regular file of at most `limit` bytes.
fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, ImageError> {
    let failed = |source| ImageError::Read { path: path.to_owned(), source };
    // Asked before opening: to open a pipe would wait for its other end.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(ImageError::NotAFile { path: path.to_owned() });
    }
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Decodes a picture from memory. `name` stands for it in errors.
///
/// Fails when the bytes are no known format, exceed the limits, are cut off or broken.
pub fn decode_bytes(name: &str, bytes: &[u8], limits: &Limits) -> Result<Picture, ImageError> {
    decode(name, bytes, limits, None)
}

fn decode(
    name: &str,
    bytes: &[u8],
    limits: &Limits,
    least: Option<Size>,
) -> Result<Picture, ImageError> {
    if bytes.len() as u64 > limits.max_file_bytes {
        return Err(ImageError::TooManyBytes {
            name: name.to_owned(),
            bytes: bytes.len() as u64,
            limit: limits.max_file_bytes,
        });
    }
    let format = ::image::guess_format(bytes).ok();
    let Some((format, label)) = format.and_then(|f| Some((f, label(f)?))) else {
        return Err(ImageError::UnknownFormat { name: name.to_owned() });
    };
    container::check(name, format, bytes, limits)?;
    let job = Job { name, label, limits, least };
    // Decoders written by others for formats written by anyone: a panic in one is a broken file,
    // not a reason to lose a run over thousands of photos. Nothing outlives the closure but its
    // result, so no broken state can be seen.
    panic::catch_unwind(AssertUnwindSafe(|| job.decode(format, bytes))).unwrap_or_else(|cause| {
        let said = cause
            .downcast_ref::<String>()
            .map(String::as_str)
            .or(cause.downcast_ref::<&str>().copied());
        Err(job.broken(format!("its decoder gave up: {}", said.unwrap_or("no reason"))))
    })
}

/// The name of a format that is read here.
fn label(format: ImageFormat) -> Option<&'static str> {
    Some(match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Tiff => "TIFF",
        _ => return None,
    })
}

/// One picture being decoded: what its errors name.
struct Job<'a> {
    name: &'a str,
    label: &'static str,
    limits: &'a Limits,
    /// The size that is enough, if not all of the picture is wanted.
    least: Option<Size>,
}

impl Job<'_> {
    /// Header, limits, pixels, RGB, upright.
    fn decode(&self, format: ImageFormat, bytes: &[u8]) -> Result<Picture, ImageError> {
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        let mut workspace = ::image::Limits::no_limits();
        workspace.max_alloc = Some(match format {
            ImageFormat::Png => PNG_WORKSPACE,
            _ => self.limits.max_decoder_bytes,
        });
        reader.limits(workspace);
        let mut decoder = reader.into_decoder().map_err(|e| self.explain(e))?;
        let (width, height) = decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 {
            return Err(self.broken(format!("it states a size of {width} x {height} pixels")));
        }
        if pixels > self.limits.max_pixels {
            return Err(ImageError::TooManyPixels {
                name: self.name.to_owned(),
                width: u64::from(width),
                height: u64::from(height),
                limit: self.limits.max_pixels,
            });
        }
        let samples = decoder.total_bytes();
        if samples.saturating_add(3 * pixels) > self.limits.max_decoder_bytes {
            return Err(self.too_much_memory());
        }
        // A garbled EXIF block does not make the picture unreadable: it is taken as upright.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let color = decoder.color_type();
        if let (ImageFormat::Jpeg, Some(least)) = (format, self.least) {
            let turned = Size::new(least.width, least.height);
            let least = if swaps(orientation) { turned } else { least };
            if let Some(picture) = self.reduced(bytes, least)? {
                return Ok(orient(picture, orientation));
            }
        }
        let mut raw = vec![0; samples as usize];
        decoder.read_image(&mut raw).map_err(|e| self.explain(e))?;
        let data = to_rgb(color, raw).ok_or_else(|| ImageError::Unsupported {
            name: self.name.to_owned(),
            format: self.label,
            reason: format!("samples of type {color:?}"),
        })?;
        let picture = Picture { width: width as usize, height: height as usize, data };
        picture.check()?;
        Ok(orient(picture, orientation))
    }

    /// A JPEG whose header was checked, at the smallest size that is no less than `least`; nothing for one
    /// that is neither gray nor RGB.
    fn reduced(&self, bytes: &[u8], least: Size) -> Result<Option<Picture>, ImageError> {
        let mut decoder = jpeg_decoder::Decoder::new(bytes);
        decoder.set_max_decoding_buffer_size(self.limits.max_decoder_bytes as usize);
        let side = |len: usize| u16::try_from(len).unwrap_or(u16::MAX);
        let scaled = decoder.scale(side(least.width), side(least.height));
        let (width, height) = scaled.map_err(|e| self.explain_jpeg(e))?;
        let color = match decoder.info().map(|info| info.pixel_format) {
            Some(jpeg_decoder::PixelFormat::L8) => ColorType::L8,
            Some(jpeg_decoder::PixelFormat::RGB24) => ColorType::Rgb8,
            _ => return Ok(None),
        };
        let raw = decoder.decode().map_err(|e| self.explain_jpeg(e))?;
        let Some(data) = to_rgb(color, raw) else { return Ok(None) };
        let picture = Picture { width: width.into(), height: height.into(), data };
        picture.check()?;
        Ok(Some(picture))
    }

    fn explain_jpeg(&self, error: jpeg_decoder::Error) -> ImageError {
        match error {
            jpeg_decoder::Error::Io(e) => ImageError::Truncated {
                name: self.name.to_owned(),
                format: self.label,
                reason: e.to_string(),
            },
            jpeg_decoder::Error::Unsupported(what) => ImageError::Unsupported {
                name: self.name.to_owned(),
                format: self.label,
                reason: format!("{what:?}"),
            },
            other => self.broken(other.to_string()),
        }
    }

    /// A decoder's error in this room's words.
    fn explain(&self, error: DecoderError) -> ImageError {
        match error {
            DecoderError::Limits(_) => self.too_much_memory(),
            DecoderError::Unsupported(e) => ImageError::Unsupported {
                name: self.name.to_owned(),
                format: self.label,
                reason: e.to_string(),
            },
            DecoderError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                ImageError::Truncated {
                    name: self.name.to_owned(),
                    format: self.label,
                    reason: e.to_string(),
                }
            }
            other => self.broken(other.to_string()),
        }
    }

    fn broken(&self, reason: String) -> ImageError {
        ImageError::Broken { name: self.name.to_owned(), format: self.label, reason }
    }

    fn too_much_memory(&self) -> ImageError {
        ImageError::TooMuchMemory {
            name: self.name.to_owned(),
            limit: self.limits.max_decoder_bytes,
        }
    }
}

/// Samples as the decoder left them (native byte order) to interleaved 8-bit RGB. `None` for a
/// sample type that no decoder here produces.
fn to_rgb(color: ColorType, raw: Vec<u8>) -> Option<Vec<u8>> {
    let byte = |b: &[u8]| b[0];
    let high = |b: &[u8]| (u16::from_ne_bytes([b[0], b[1]]) >> 8) as u8;
    // 0..1 to 0..255; NaN becomes 0.
    let real = |b: &[u8]| {
        let value = f32::from_ne_bytes([b[0], b[1], b[2], b[3]]);
        (value.clamp(0.0, 1.0) * 255.0).round() as u8
    };
    Some(match color {
        ColorType::Rgb8 => raw,
        ColorType::Rgba8 => gather(&raw, 4, 1, byte),
        ColorType::L8 => gather(&raw, 1, 1, byte),
        ColorType::La8 => gather(&raw, 2, 1, byte),
        ColorType::Rgb16 => gather(&raw, 3, 2, high),
        ColorType::Rgba16 => gather(&raw, 4, 2, high),
        ColorType::L16 => gather(&raw, 1, 2, high),
        ColorType::La16 => gather(&raw, 2, 2, high),
        ColorType::Rgb32F => gather(&raw, 3, 4, real),
        ColorType::Rgba32F => gather(&raw, 4, 4, real),
        _ => return None,
    })
}

/// RGB from pixels of `channels` samples of `width` bytes: one or two channels are gray (and
/// alpha), three or four are colour (and alpha).
fn gather(raw: &[u8], channels: usize, width: usize, sample: impl Fn(&[u8]) -> u8) -> Vec<u8> {
    let pixels = raw.chunks_exact(channels * width);
    let mut out = Vec::with_capacity(pixels.len() * 3);
    for pixel in pixels {
        if channels < 3 {
            out.extend_from_slice(&[sample(pixel); 3]);
        } else {
            let rgb = [0, 1, 2].map(|c| sample(&pixel[c * width..]));
            out.extend_from_slice(&rgb);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{golden, photo, shared};
    use super::*;

    fn formats(name: &str) -> Picture {
        photo(&format!("formats/{name}"))
    }

    /// The four corner pixels.
    fn corners(p: &Picture) -> [[u8; 3]; 4] {
        let (b, r) = (p.height - 1, p.width - 1);
        [p.pixel(0, 0), p.pixel(0, r), p.pixel(b, 0), p.pixel(b, r)]
    }

    const RED: [u8; 3] = [255, 0, 0];
    const GREEN: [u8; 3] = [0, 255, 0];
    const BLUE: [u8; 3] = [0, 0, 255];
    const WHITE: [u8; 3] = [255, 255, 255];

    fn near(a: [u8; 3], b: [u8; 3], by: u8) -> bool {
        a.iter().zip(&b).all(|(x, y)| x.abs_diff(*y) <= by)
    }

    #[test]
    fn lossless_colour_formats_keep_every_pixel() {
        for name in [
            "rgb.png",
            "rgb.bmp",
            "rgb.tiff",
            "rgb_lzw.tiff",
            "rgb.webp",
            "rgba.png",
            "rgba.webp",
            "rgb16.png",
            "palette.png",
            "palette.gif",
            "palette.bmp",
        ] {
            let picture = formats(name);
            assert_eq!((picture.width, picture.height), (24, 16), "{name}");
            assert_eq!(corners(&picture), [RED, GREEN, BLUE, WHITE], "{name}");
            assert_eq!(picture, formats("rgb.png"), "{name}");
        }
    }

    #[test]
    fn gray_formats_repeat_the_gray() {
        // Column x of the ramp is 10 x; 16-bit samples are 2570 x, whose high byte is 10 x.
        for name in
            ["gray.png", "gray_alpha.png", "gray16.png", "gray.tiff", "gray16.tiff", "gray.jpg"]
        {
            let picture = formats(name);
            for x in 0..24 {
                let wanted = [10 * x as u8; 3];
                assert!(
                    near(picture.pixel(7, x), wanted, u8::from(name == "gray.jpg") * 2),
                    "{name} {x}"
                );
            }
        }
        let bits = formats("one_bit.png");
        assert_eq!(bits.pixel(0, 0), WHITE);
        assert_eq!(bits.pixel(0, 1), [0; 3]);
    }

    #[test]
    fn lossy_formats_come_close() {
        for (name, by) in
            [("rgb.jpg", 3), ("rgb_progressive.jpg", 3), ("cmyk.jpg", 3), ("lossy.webp", 12)]
        {
            let found = corners(&formats(name));
            for (got, wanted) in found.into_iter().zip([RED, GREEN, BLUE, WHITE]) {
                assert!(near(got, wanted, by), "{name}: {got:?} {wanted:?}");
            }
        }
    }

    /// The JPEG with an EXIF block that says `tag` put behind its start marker.
    fn with_orientation(jpeg: &[u8], tag: u8) -> Vec<u8> {
        let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend_from_slice(&[tag, 0, 0, 0, 0, 0, 0]);
        let mut out = jpeg[..2].to_vec();
        out.extend_from_slice(&[0xFF, 0xE1, 0, exif.len() as u8 + 2]);
        out.extend_from_slice(&exif);
        out.extend_from_slice(&jpeg[2..]);
        out
    }

    #[test]
    fn exif_orientation_turns_the_picture_upright() {
        let jpeg = std::fs::read(golden("formats/rgb.jpg")).unwrap();
        let expected = [
            [RED, GREEN, BLUE, WHITE],
            [GREEN, RED, WHITE, BLUE],
            [WHITE, BLUE, GREEN, RED],
            [BLUE, WHITE, RED, GREEN],
            [RED, BLUE, GREEN, WHITE],
            [BLUE, RED, WHITE, GREEN],
            [WHITE, GREEN, BLUE, RED],
            [GREEN, WHITE, RED, BLUE],
        ];
        for (tag, wanted) in (1..).zip(expected) {
            let file = with_orientation(&jpeg, tag);
            let picture = decode_bytes("turned", &file, &Limits::default()).unwrap();
            let size = if tag < 5 { (24, 16) } else { (16, 24) };
            assert_eq!((picture.width, picture.height), size, "orientation {tag}");
            for (got, want) in corners(&picture).into_iter().zip(wanted) {
                assert!(near(got, want, 3), "orientation {tag}: {got:?} {want:?}");
            }
        }
        for nonsense in [0, 9, 255] {
            let file = with_orientation(&jpeg, nonsense);
            let picture = decode_bytes("turned", &file, &Limits::default()).unwrap();
            assert_eq!(picture, formats("rgb.jpg"));
        }
    }

    #[test]
    fn a_reduced_photo_is_the_photo_but_smaller() {
        let least = Size::new(8, 12);
        for (name, halves) in [("rgb.jpg", 2), ("rgb_progressive.jpg", 2), ("cmyk.jpg", 1)] {
            let path = golden(&format!("formats/{name}"));
            let reduced = decode_reduced(&path, &Limits::default(), least).unwrap();
            assert_eq!(reduced.size(), Size::new(16 / halves, 24 / halves), "{name}");
            for (got, wanted) in corners(&reduced).into_iter().zip([RED, GREEN, BLUE, WHITE]) {
                assert!(near(got, wanted, 24), "{name}: {got:?} {wanted:?}");
            }
        }
        let jpeg = std::fs::read(golden("formats/rgb.jpg")).unwrap();
        let limits = Limits::default();
        let turned = decode("turned", &with_orientation(&jpeg, 6), &limits, Some(Size::new(12, 8)));
        assert_eq!(turned.unwrap().size(), Size::new(12, 8));
        let cut = decode("cut", &jpeg[..jpeg.len() / 2], &limits, Some(least));
        assert!(matches!(cut, Err(ImageError::Truncated { .. })));
    }

    #[test]
    fn a_gray_file_stays_itself() {
        let gray = decode_gray_file(&golden("gray.png"), &Limits::default()).unwrap();
        let colour = photo("gray.png");
        assert!(gray.data.iter().eq(colour.data.iter().step_by(3)));
    }

    #[test]
    fn the_content_tells_the_format() {
        let png = std::fs::read(golden("formats/rgb.png")).unwrap();
        assert!(decode_bytes("named.jpg", &png, &Limits::default()).is_ok());
        for junk in [&b""[..], b"\xFF", b"\xFF\xD8", b"hello, world", b"RIFF", b"BM"] {
            assert!(decode_bytes("junk.png", junk, &Limits::default()).is_err());
        }
    }

    #[test]
    fn folders_and_missing_files_are_errors() {
        let limits = Limits::default();
        let folder = decode_file(&golden(""), &limits);
        assert!(matches!(folder, Err(ImageError::NotAFile { .. })));
        let missing = decode_file(&golden("missing.png"), &limits);
        assert!(matches!(missing, Err(ImageError::Read { .. })));
    }

    #[test]
    fn limits_hold() {
        let png = std::fs::read(golden("formats/rgb.png")).unwrap();
        let defaults = Limits::default();
        let few_bytes = Limits { max_file_bytes: 10, ..defaults };
        let few_pixels = Limits { max_pixels: 24 * 16 - 1, ..defaults };
        let little_memory = Limits { max_decoder_bytes: 24 * 16, ..defaults };
        let decode = |limits| decode_bytes("small", &png, limits);
        assert!(matches!(decode(&few_bytes), Err(ImageError::TooManyBytes { .. })));
        assert!(matches!(decode(&few_pixels), Err(ImageError::TooManyPixels { .. })));
        assert!(matches!(decode(&little_memory), Err(ImageError::TooMuchMemory { .. })));
        let enough = Limits { max_pixels: 24 * 16, ..defaults };
        assert!(decode(&enough).is_ok());
    }

    /// How far the JPEG decoder is from libjpeg-turbo's pixels: up-sampling of the chroma and the
    /// inverse transform round differently.
    #[test]
    fn a_photo_is_close_to_libjpeg() {
        let Some(folder) = shared("caffenet-slim") else {
            return;
        };
        let limits = Limits::default();
        let ours = decode_file(&folder.join("cat.jpg"), &limits).unwrap();
        let theirs = decode_file(&folder.join("cat_decoded.png"), &limits).unwrap();
        assert_eq!(ours.size(), theirs.size());
        let apart = ours.data.iter().zip(&theirs.data).map(|(a, b)| u64::from(a.abs_diff(*b)));
        let (most, sum) = apart.fold((0, 0), |(m, s), d| (m.max(d), s + d));
        let mean = sum as f64 / ours.data.len() as f64;
        println!("JPEG against libjpeg-turbo: at most {most}, {mean:.4} on average");
        assert!(most <= 4 && mean < 0.3, "{most} {mean}");
    }
}
