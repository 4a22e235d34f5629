//! Files that are broken, cut off or made to do harm: each must give an error, or the whole
//! picture, in little memory and time.

use std::fs;
use std::time::{Duration, Instant};

use super::test_support::{Noise, golden};
use super::{ImageError, Limits, Picture, Size, decode_bytes, decode_bytes_reduced};
use ::image::codecs::png::PngEncoder;
use ::image::{ExtendedColorType, ImageEncoder};

/// One small file of each kind.
const FILES: [&str; 20] = [
    "rgb.jpg",
    "rgb_progressive.jpg",
    "cmyk.jpg",
    "gray.jpg",
    "rgb.png",
    "rgba.png",
    "rgb16.png",
    "palette.png",
    "gray_alpha.png",
    "one_bit.png",
    "rgb.bmp",
    "palette.bmp",
    "rgb.tiff",
    "rgb_lzw.tiff",
    "gray16.tiff",
    "rgb.webp",
    "rgba.webp",
    "lossy.webp",
    "palette.gif",
    "gray.tiff",
];

fn file(name: &str) -> Vec<u8> {
    fs::read(golden("formats").join(name)).unwrap()
}

/// Decodes with the default limits and checks the time.
fn decode(name: &str, bytes: &[u8]) -> Result<Picture, ImageError> {
    let start = Instant::now();
    let result = decode_bytes(name, bytes, &Limits::default());
    // At a part of its size another decoder reads it, which must not panic or hang either. What it makes of
    // damage may differ.
    if let Ok(reduced) = decode_bytes_reduced(name, bytes, &Limits::default(), Size::square(4)) {
        assert_eq!(reduced.data.len(), 3 * reduced.width * reduced.height, "{name}");
    }
    let took = start.elapsed();
    assert!(took < Duration::from_secs(20), "{name} took {took:?}");
    result
}

/// The check sum of a PNG chunk (ISO 3309), bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b), |c, _| match c & 1 {
            1 => c >> 1 ^ 0xEDB8_8320,
            _ => c >> 1,
        })
    })
}

/// The PNG with another size in its header, whose check sum is put right.
fn resized_png(png: &[u8], width: u32, height: u32) -> Vec<u8> {
    let mut out = png.to_vec();
    out[16..20].copy_from_slice(&width.to_be_bytes());
    out[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc(&out[12..29]);
    out[29..33].copy_from_slice(&sum.to_be_bytes());
    out
}

/// A large black PNG, a thousand times smaller than its pixels.
fn black_png(side: u32) -> Vec<u8> {
    let mut png = Vec::new();
    let black = vec![0; (side * side) as usize];
    PngEncoder::new(&mut png).write_image(&black, side, side, ExtendedColorType::L8).unwrap();
    png
}

/// Whether the picture was refused for its size.
fn too_large(result: Result<Picture, ImageError>) -> bool {
    use ImageError::{TooManyPixels, TooMuchMemory};
    matches!(result, Err(TooManyPixels { .. } | TooMuchMemory { .. }))
}

#[test]
fn a_cut_file_is_an_error_or_complete() {
    for name in FILES {
        let whole = file(name);
        let picture = decode(name, &whole).unwrap();
        for length in 0..whole.len() {
            if let Ok(cut) = decode(name, &whole[..length]) {
                assert!(cut == picture, "{name} cut to {length} of {}", whole.len());
            }
        }
    }
}

#[test]
fn a_cut_jpeg_is_always_an_error() {
    for name in ["rgb.jpg", "rgb_progressive.jpg", "cmyk.jpg", "gray.jpg"] {
        let whole = file(name);
        for length in 3..whole.len() {
            let cut = decode(name, &whole[..length]);
            assert!(matches!(cut, Err(ImageError::Truncated { .. })), "{name} {length}");
            let least = Size::square(4);
            let reduced = decode_bytes_reduced(name, &whole[..length], &Limits::default(), least);
            assert!(reduced.is_err(), "{name} {length}");
        }
    }
}

#[test]
fn a_jpeg_with_too_little_data_is_an_error() {
    // The size in the frame header, at the marker FF C0 + 5, grows; the data stays.
    for name in ["rgb.jpg", "gray.jpg", "rgb_progressive.jpg"] {
        let mut bytes = file(name);
        let frame = bytes.windows(2).position(|w| w == [0xFF, 0xC0] || w == [0xFF, 0xC2]).unwrap();
        bytes[frame + 5..frame + 9].copy_from_slice(&[0x20, 0, 0x20, 0]);
        let result = decode(name, &bytes);
        assert!(matches!(result, Err(ImageError::Truncated { .. })), "{name}: {result:?}");
    }
}

#[test]
fn random_damage_never_panics() {
    let mut noise = Noise(20260101);
    let mut accepted = 0;
    for name in FILES {
        let whole = file(name);
        for round in 0..300 {
            let mut bytes = whole.clone();
            for _ in 0..1 + noise.below(4) {
                let at = noise.below(bytes.len());
                bytes[at] = match noise.below(4) {
                    0 => 0,
                    1 => 0xFF,
                    2 => bytes[at] ^ 1 << noise.below(8),
                    _ => noise.below(256) as u8,
                };
            }
            if round % 3 == 0 {
                bytes.truncate(noise.below(bytes.len() + 1));
            }
            // An uncaught panic would end the test; a caught one is an error.
            accepted += usize::from(decode(name, &bytes).is_ok());
        }
    }
    println!("{accepted} of {} damaged files still decode", 300 * FILES.len());
}

#[test]
fn huge_png_headers_are_refused() {
    let small = file("rgb.png");
    for (w, h) in [(60_000, 60_000), (u32::MAX, 1), (i32::MAX as u32, i32::MAX as u32)] {
        assert!(decode("huge.png", &resized_png(&small, w, h)).is_err(), "{w} x {h}");
    }
    assert!(too_large(decode("huge.png", &resized_png(&small, 60_000, 60_000))));
    assert!(decode("empty.png", &resized_png(&small, 0, 16)).is_err());
}

#[test]
fn png_bombs_are_harmless() {
    let bomb = black_png(4000);
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    // As it says: a legitimate picture.
    assert_eq!(decode("black.png", &bomb).unwrap().width, 4000);
    // More data than pixels: the rest is never unpacked into memory.
    if let Ok(picture) = decode("small.png", &resized_png(&bomb, 16, 16)) {
        assert!(picture.data.iter().all(|&v| v == 0));
    }
    // Fewer data than pixels.
    assert!(decode("large.png", &resized_png(&bomb, 9000, 9000)).is_err());
    assert!(too_large(decode("huge.png", &resized_png(&bomb, 30_000, 30_000))));
}

#[test]
fn a_packed_colour_profile_does_not_unpack_without_bounds() {
    // 256 MiB of zeros as deflate blocks from the same encoder would be slow to make; the data of
    // a black picture (121 MB unpacked) put into an iCCP chunk exceeds the 64 MiB workspace, too.
    let bomb = black_png(11_000);
    let mut profile = b"bomb\0\0".to_vec();
    let mut at = 33;
    while at + 12 <= bomb.len() {
        let length = u32::from_be_bytes(bomb[at..at + 4].try_into().unwrap()) as usize;
        if &bomb[at + 4..at + 8] == b"IDAT" {
            profile.extend_from_slice(&bomb[at + 8..at + 8 + length]);
        }
        at += 12 + length;
    }
    let small = file("rgb.png");
    let mut chunk = b"iCCP".to_vec();
    chunk.extend_from_slice(&profile);
    let mut png = small[..33].to_vec();
    png.extend_from_slice(&(profile.len() as u32).to_be_bytes());
    png.extend_from_slice(&chunk);
    png.extend_from_slice(&crc(&chunk).to_be_bytes());
    png.extend_from_slice(&small[33..]);
    // The profile is not needed: refusing the file or ignoring the profile are both right.
    if let Ok(picture) = decode("profile.png", &png) {
        assert_eq!(picture, decode("rgb.png", &small).unwrap());
    }
}

#[test]
fn huge_gifs_are_refused() {
    let huge = [0xFF, 0xFF, 0xFF, 0xFF];
    let mut canvas = file("palette.gif");
    canvas[6..10].copy_from_slice(&huge);
    assert!(too_large(decode("canvas.gif", &canvas)));
    // A small canvas with a huge frame on it.
    let mut frame = file("palette.gif");
    let descriptor = frame.iter().position(|&b| b == b',').unwrap();
    frame[descriptor + 5..descriptor + 9].copy_from_slice(&huge);
    assert!(decode("frame.gif", &frame).is_err());
    let mut empty = file("palette.gif");
    empty[6..10].copy_from_slice(&[0; 4]);
    assert!(decode("empty.gif", &empty).is_err());
}

#[test]
fn huge_jpeg_bmp_and_webp_headers_are_refused() {
    let mut jpeg = file("rgb.jpg");
    let frame = jpeg.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF; 4]);
    assert!(decode("huge.jpg", &jpeg).is_err());
    let mut bmp = file("rgb.bmp");
    for (w, h) in [(60_000i32, 60_000i32), (i32::MAX, i32::MAX), (-1, 5), (0, 0), (8, i32::MIN)] {
        bmp[18..22].copy_from_slice(&w.to_le_bytes());
        bmp[22..26].copy_from_slice(&h.to_le_bytes());
        assert!(decode("huge.bmp", &bmp).is_err(), "{w} x {h}");
    }
    // VP8 frames state 14 bits for each side: 16383 x 16383.
    let mut webp = file("lossy.webp");
    let start = webp.windows(3).position(|w| w == [0x9d, 0x01, 0x2a]).unwrap();
    webp[start + 3..start + 7].copy_from_slice(&[0xFF, 0x3F, 0xFF, 0x3F]);
    assert!(too_large(decode("huge.webp", &webp)));
    // A chunk that claims 4 GB.
    let mut chunk = file("rgba.webp");
    chunk[16..20].copy_from_slice(&[0xFF; 4]);
    assert!(matches!(decode("chunk.webp", &chunk), Err(ImageError::Truncated { .. })));
}

/// A little-endian TIFF of one directory with the given (tag, type, count, value) entries.
fn tiff(entries: &[(u16, u16, u32, u32)]) -> Vec<u8> {
    let mut out = b"II\x2a\0\x08\0\0\0".to_vec();
    out.extend_from_slice(&(entries.len() as u16).to_le_bytes());
    for &(tag, kind, count, value) in entries {
        out.extend_from_slice(&tag.to_le_bytes());
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&value.to_le_bytes());
    }
    out.extend_from_slice(&[0; 64]);
    out
}

#[test]
fn absurd_tiffs_are_refused() {
    let gray = |w, h, strips, rows_per_strip| {
        tiff(&[
            (256, 4, 1, w),
            (257, 4, 1, h),
            (258, 3, 1, 8),
            (259, 3, 1, 1),
            (262, 3, 1, 1),
            (273, 4, strips, 8),
            (277, 3, 1, 1),
            (278, 4, 1, rows_per_strip),
            (279, 4, strips, 1),
        ])
    };
    for (w, h, strips, rows) in [
        (4, 4, u32::MAX, 1),
        (4, 4, 1 << 28, 1),
        (60_000, 60_000, 1, 60_000),
        (u32::MAX, u32::MAX, 1, 1),
        (0, 4, 1, 4),
        (4, 0, 1, 4),
        (4, 4, 1, 0),
        (9000, 9000, 9000, 1),
        (9000, 9000, 1, 9000),
    ] {
        let result = decode("absurd.tiff", &gray(w, h, strips, rows));
        assert!(result.is_err(), "{w} x {h} in {strips} strips of {rows}");
    }
}
