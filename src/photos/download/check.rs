//! Whether a file is the picture that it claims to be. Flows in: a partial file that is whole. Flows out: its sum,
//! its size, its likeness, and the file under its final name.

use crate::error::{Error, Result};
use crate::image::{GrayPicture, Limits, decode_gray_file};
use crate::photos::store::hex;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of a likeness.
pub(super) const LIKENESS: usize = 32;

/// A picture on the disk.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Checked {
    pub file: PathBuf,
    pub bytes: u64,
    pub sha256: String,
    pub width: usize,
    pub height: usize,
    pub likeness: [u8; LIKENESS],
}

/// Checks `part` and renames it to `base` with the ending of its format. A file that is no picture goes, and the
/// reason is given.
///
/// Fails where the disk does.
pub(super) fn check(part: &Path, base: &Path) -> Result<std::result::Result<Checked, String>> {
    let bytes = fs::read(part).map_err(Error::io(part))?;
    let Some(ending) = ending(&bytes) else {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).to_lowercase();
        let kind = if start.contains("<html") || start.contains("<!doctype") {
            "a page of HTML and no picture"
        } else {
            "no picture of a known format"
        };
        return discard(part, kind.to_string());
    };
    let picture = match decode_gray_file(part, &Limits::default()) {
        Ok(picture) => picture,
        Err(e) => {
            let reason = e.to_string();
            let shown = part.display().to_string();
            return discard(
                part,
                reason.replace(&format!("{shown}: "), "").replace(&shown, "the file"),
            );
        }
    };
    let file = base.with_extension(ending);
    let checked = Checked {
        bytes: bytes.len() as u64,
        sha256: hex(&Sha256::digest(&bytes)),
        width: picture.width,
        height: picture.height,
        likeness: likeness(&picture),
        file,
    };
    fs::rename(part, &checked.file).map_err(Error::io(&checked.file))?;
    Ok(Ok(checked))
}

fn discard(part: &Path, reason: String) -> Result<std::result::Result<Checked, String>> {
    fs::remove_file(part).map_err(Error::io(part))?;
    Ok(Err(reason))
}

/// What the file's first bytes say it is.
fn ending(bytes: &[u8]) -> Option<&'static str> {
    use image::ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    match image::guess_format(bytes).ok()? {
        Jpeg => Some("jpg"),
        Png => Some("png"),
        WebP => Some("webp"),
        Gif => Some("gif"),
        Bmp => Some("bmp"),
        Tiff => Some("tiff"),
        _ => None,
    }
}

/// Differences below this are noise: flat parts of a picture say the same after another compression.
const NOISE: i32 = 2;

/// What a picture looks like, in 256 bits: whether each of 16 × 16 parts is darker than the one right of it. The same
/// picture, smaller or compressed again, differs in a few bits (Krawetz, 2013, there with 8 × 8).
pub(super) fn likeness(picture: &GrayPicture) -> [u8; LIKENESS] {
    const SIDE: usize = 16;
    let mut bits = [0u8; LIKENESS];
    for row in 0..SIDE {
        let part = |column: usize| mean(picture, [column, SIDE + 1], [row, SIDE]);
        let means: Vec<i32> = (0..=SIDE).map(part).collect();
        for (column, pair) in means.windows(2).enumerate() {
            let place = row * SIDE + column;
            bits[place / 8] |= u8::from(pair[1] > pair[0] + NOISE) << (place % 8);
        }
    }
    bits
}

/// The mean of the n-th of so many equal parts of columns and rows.
fn mean(picture: &GrayPicture, [column, columns]: [usize; 2], [row, rows]: [usize; 2]) -> i32 {
    let range = |n: usize, of: usize, length: usize| {
        let first = (n * length / of).min(length - 1);
        first..((n + 1) * length / of).max(first + 1)
    };
    let (xs, ys) = (range(column, columns, picture.width), range(row, rows, picture.height));
    let count = (xs.len() * ys.len()) as u64;
    let line = |y: usize| &picture.data[y * picture.width..][xs.clone()];
    let sum: u64 = ys.map(|y| line(y).iter().map(|&v| u64::from(v)).sum::<u64>()).sum();
    (sum / count) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(width: usize, height: usize, turned: bool) -> GrayPicture {
        let value = |x: usize| (x * 255 / width) as u8;
        let line = (0..width).map(|x| if turned { 255 - value(x) } else { value(x) });
        let line: Vec<u8> = line.collect();
        GrayPicture { width, height, data: line.repeat(height) }
    }

    #[test]
    fn likenesses_by_hand() {
        assert_eq!(likeness(&ramp(340, 200, false)), [0xff; LIKENESS]);
        assert_eq!(likeness(&ramp(340, 200, true)), [0; LIKENESS]);
        let flat = GrayPicture { width: 50, height: 40, data: vec![77; 2000] };
        assert_eq!(likeness(&flat), [0; LIKENESS]);
        // Smaller than the parts: no part is empty.
        likeness(&GrayPicture { width: 1, height: 3, data: vec![1, 2, 3] });
    }

    #[test]
    fn what_is_no_picture_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (part, base) = (folder.path().join("1.part"), folder.path().join("1"));
        let said = |bytes: &[u8]| {
            fs::write(&part, bytes).expect("room");
            let reason = check(&part, &base).expect("a disk").expect_err("no picture");
            assert!(!part.exists());
            reason
        };
        assert!(said(b"<!DOCTYPE html><html>").contains("HTML"));
        assert!(said(b"").contains("no picture"));
        let cut = said(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
        assert!(!cut.contains(".part"), "{cut}");
    }
}
