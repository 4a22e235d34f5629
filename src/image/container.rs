//! What the decoders do not check about a file's outer structure, read from its headers.
//!
//! The JPEG decoder fills what is missing with gray and reports success, and the WebP decoder
//! trusts lengths in the file; a picture that is silently half gray would be scored as if it were
//! whole. So the markers of a JPEG and the chunks of a WebP are walked first. That costs one pass
//! over the bytes and no memory.

use super::{ImageError, Limits};
use ::image::ImageFormat;

/// Why a container is refused.
pub(super) enum Flaw {
    /// The file ends too early.
    Truncated(String),
    /// The file contradicts itself.
    Broken(String),
    /// A part claims more pixels (width, height) than allowed.
    TooManyPixels(u64, u64),
}

/// Checks the container of a JPEG or WebP file; the other decoders check theirs.
pub(super) fn check(
    name: &str,
    format: ImageFormat,
    bytes: &[u8],
    limits: &Limits,
) -> Result<(), ImageError> {
    let (label, checked) = match format {
        ImageFormat::Jpeg => ("JPEG", check_jpeg(bytes)),
        ImageFormat::WebP => ("WebP", check_webp(bytes, limits.max_pixels)),
        _ => return Ok(()),
    };
    let name = name.to_owned();
    checked.map_err(|flaw| match flaw {
        Flaw::Truncated(reason) => ImageError::Truncated { name, format: label, reason },
        Flaw::Broken(reason) => ImageError::Broken { name, format: label, reason },
        Flaw::TooManyPixels(width, height) => {
            ImageError::TooManyPixels { name, width, height, limit: limits.max_pixels }
        }
    })
}

/// Walks a JPEG from marker to marker (ITU-T T.81, annex B) to its end-of-image marker.
///
/// Every block of 8 × 8 samples takes at least two bits in a sequential scan (one for DC, one for
/// the end of the block) and one in a progressive file, so data that is too short for the stated
/// size is found here, too.
fn check_jpeg(bytes: &[u8]) -> Result<(), Flaw> {
    let mut at = 2; // after the start-of-image marker
    let mut least_bits = 0u64;
    let mut data_bytes = 0u64;
    loop {
        at = next_marker(bytes, at).ok_or_else(no_end)?;
        let marker = bytes[at - 1];
        match marker {
            0xD9 => break,
            0x01 | 0xD0..=0xD8 => continue,
            _ => {}
        }
        let length = be16(bytes, at).ok_or_else(no_end)?;
        if length < 2 {
            let reason = format!("marker {marker:#04x} states a length of {length}");
            return Err(Flaw::Broken(reason));
        }
        let segment = bytes.get(at..at + length).ok_or_else(no_end)?;
        at += length;
        match marker {
            0xC0 | 0xC1 => least_bits = 2 * frame_blocks(segment),
            0xC2 => least_bits = frame_blocks(segment),
            0xDA => {
                let end = scan_end(bytes, at).ok_or_else(no_end)?;
                data_bytes += (end - at) as u64;
                at = end;
            }
            _ => {}
        }
    }
    if data_bytes.saturating_mul(8) < least_bits {
        let reason = format!("{data_bytes} bytes of picture data are too few for its size");
        return Err(Flaw::Truncated(reason));
    }
    Ok(())
}

/// The JPEG ended before its end-of-image marker.
fn no_end() -> Flaw {
    Flaw::Truncated("its end marker is missing".into())
}

/// The position after the next marker's two bytes, from `at` on.
fn next_marker(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    loop {
        at += bytes.get(at..)?.iter().position(|&b| b == 0xFF)?;
        at += bytes[at..].iter().position(|&b| b != 0xFF)?;
        at += 1;
        if bytes[at - 1] != 0 {
            return Some(at);
        }
    }
}

/// Where a scan's data ends: at the first marker that is neither a stuffed zero nor a restart.
fn scan_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    loop {
        at += bytes.get(at..)?.iter().position(|&b| b == 0xFF)?;
        match *bytes.get(at + 1)? {
            0x00 | 0xD0..=0xD7 => at += 2,
            0xFF => at += 1,
            _ => return Some(at),
        }
    }
}

/// How many 8 × 8 blocks the components of a frame header have together; 0 where it is garbled,
/// which the decoder reports.
fn frame_blocks(segment: &[u8]) -> u64 {
    let (Some(height), Some(width)) = (be16(segment, 3), be16(segment, 5)) else {
        return 0;
    };
    let sampling: Vec<(usize, usize)> = segment
        .get(8..)
        .unwrap_or_default()
        .chunks_exact(3)
        .map(|c| (usize::from(c[1] >> 4), usize::from(c[1] & 15)))
        .collect();
    let most_h = sampling.iter().map(|s| s.0).max().unwrap_or(1).max(1);
    let most_v = sampling.iter().map(|s| s.1).max().unwrap_or(1).max(1);
    let blocks = |&(h, v): &(usize, usize)| {
        let across = (width * h).div_ceil(most_h).div_ceil(8);
        let down = (height * v).div_ceil(most_v).div_ceil(8);
        (across * down) as u64
    };
    sampling.iter().map(blocks).sum()
}

/// The big-endian 16-bit number at `at`.
fn be16(bytes: &[u8], at: usize) -> Option<usize> {
    let pair = bytes.get(at..at + 2)?;
    Some(usize::from(pair[0]) << 8 | usize::from(pair[1]))
}

/// Walks the chunks of a WebP (RFC 9649): each must lie within the file, and no lossy frame may
/// claim more pixels than allowed, whatever the canvas says.
fn check_webp(bytes: &[u8], max_pixels: u64) -> Result<(), Flaw> {
    let stated = le32(bytes, 4).ok_or_else(|| cut_chunk("RIFF"))?;
    // The padding byte of the last chunk is often left out.
    if (bytes.len() as u64) + 1 < u64::from(stated) + 8 {
        return Err(cut_chunk("RIFF"));
    }
    let end = bytes.len().min(stated as usize + 8);
    check_chunks(bytes.get(12..end).unwrap_or_default(), max_pixels)
}

/// Checks a run of chunks; an animation's frame (ANMF) holds chunks after 16 bytes of its own.
fn check_chunks(bytes: &[u8], max_pixels: u64) -> Result<(), Flaw> {
    let mut rest = bytes;
    while rest.len() >= 8 {
        let (header, body) = rest.split_at(8);
        let tag = &header[..4];
        let length = le32(header, 4).map_or(usize::MAX, |n| n as usize);
        let name = || String::from_utf8_lossy(tag).into_owned();
        let chunk = body.get(..length).ok_or_else(|| cut_chunk(&name()))?;
        match tag {
            b"VP8 " => {
                let side = |at| chunk.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
                if let (Some(w), Some(h)) = (side(6), side(8)) {
                    let (w, h) = (u64::from(w & 0x3FFF), u64::from(h & 0x3FFF));
                    if w * h > max_pixels {
                        return Err(Flaw::TooManyPixels(w, h));
                    }
                }
            }
            b"ANMF" => check_frame(chunk, max_pixels)?,
            _ => {}
        }
        rest = body.get(length + length % 2..).unwrap_or_default();
    }
    Ok(())
}

/// Checks the chunks inside an animation's frame. Frames do not nest.
fn check_frame(frame: &[u8], max_pixels: u64) -> Result<(), Flaw> {
    let inner = frame.get(16..).unwrap_or_default();
    match inner.get(..4) {
        Some(b"ANMF") => Err(Flaw::Broken("a frame within a frame".into())),
        _ => check_chunks(inner, max_pixels),
    }
}

/// A WebP chunk reaches beyond the file.
fn cut_chunk(name: &str) -> Flaw {
    Flaw::Truncated(format!("its {name:?} chunk reaches beyond the end"))
}

/// The little-endian 32-bit number at `at`.
fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}
