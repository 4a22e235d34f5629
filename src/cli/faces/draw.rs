//! Boxes on copies of photos; a cascade's first trees.

use super::super::write;
use image::{Rgb, RgbImage};
use likenet::faces::Face;
use likenet::faces::soft::{Cascade, Node};
use likenet::faces::train::MEAN_SIDE;
use likenet::image::{Limits, Picture, decode_file};
use likenet::{Error, Result};
use likenet_kernels::cpu::cells::{CELL, CHANNELS};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// The name of a photo's drawing, which is a JPEG: `a.png.jpg` is not the `a.jpg` beside it.
pub fn name(photo: &Path) -> PathBuf {
    let jpeg = photo.extension().is_some_and(|e| e == "jpg" || e == "jpeg");
    let end = if jpeg { "" } else { ".jpg" };
    let mut name = photo.as_os_str().to_os_string();
    name.push(end);
    name.into()
}

/// Writes a copy of a photo with its faces' boxes.
pub fn boxes(photo: &Path, faces: &[Face], out: &Path) -> Result<()> {
    let mut picture = decode_file(photo, &Limits::default())?;
    let width = (picture.width.max(picture.height) / 250).max(2);
    for face in faces {
        outline(&mut picture, face, width);
    }
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    let mut bytes = Cursor::new(Vec::new());
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90);
    let (w, h) = (picture.width as u32, picture.height as u32);
    image::ImageEncoder::write_image(encoder, &picture.data, w, h, image::ExtendedColorType::Rgb8)
        .map_err(|e| Error::Invalid(format!("{}: {e}", out.display())))?;
    write(out, bytes.get_ref())
}

/// A frame around a face: green where it is sure, red where it is not.
fn outline(picture: &mut Picture, face: &Face, width: usize) {
    let sure = face.confidence.clamp(0.0, 1.0);
    let colour = [(255.0 * (1.0 - sure)) as u8, (220.0 * sure) as u8, 40];
    let clamp = |v: f64, most: usize| (v.max(0.0) as usize).min(most);
    let (left, top) = (clamp(face.rect.x, picture.width), clamp(face.rect.y, picture.height));
    let right = clamp(face.rect.x + face.rect.w, picture.width);
    let bottom = clamp(face.rect.y + face.rect.h, picture.height);
    for y in top..bottom {
        for x in left..right {
            let inside = x >= left + width && x + width < right;
            if inside && y >= top + width && y + width < bottom {
                continue;
            }
            picture.data[3 * (y * picture.width + x)..][..3].copy_from_slice(&colour);
        }
    }
}

/// Trees that are shown, and in how many columns.
const SHOWN: usize = 16;
const COLUMNS: usize = 8;
/// Pixels of the drawing along a pixel of the mean window, and between two windows.
const ENLARGED: u32 = 4;
const GAP: u32 = 8;

/// A colour for each channel: eight directions, energy, brightness.
const COLOURS: [[u8; 3]; CHANNELS] = [
    [40, 90, 255],
    [70, 130, 255],
    [0, 170, 220],
    [60, 200, 230],
    [0, 190, 140],
    [60, 210, 120],
    [110, 220, 70],
    [170, 230, 60],
    [255, 170, 30],
    [255, 60, 60],
];

/// Writes a picture of the first trees: each one's cells over the mean window, its root with a thick frame.
pub fn trees(cascade: &Cascade, mean: &[u8], out: &Path) -> Result<()> {
    let side = MEAN_SIDE as u32 * ENLARGED;
    let shown = &cascade.trees[..cascade.trees.len().min(SHOWN)];
    let size = [shown.len().min(COLUMNS), shown.len().div_ceil(COLUMNS)];
    let [w, h] = size.map(|n| n as u32 * (side + GAP) - GAP);
    let mut page = RgbImage::from_pixel(w, h, Rgb([255; 3]));
    for (i, tree) in shown.iter().enumerate() {
        let [left, top] = [i % COLUMNS, i / COLUMNS].map(|n| n as u32 * (side + GAP));
        for (x, y) in (0..side * side).map(|p| (p % side, p / side)) {
            let v = mean[(y / ENLARGED) as usize * MEAN_SIDE + (x / ENLARGED) as usize];
            page.put_pixel(left + x, top + y, Rgb([v; 3]));
        }
        for (n, node) in tree.nodes.iter().enumerate() {
            frame(&mut page, [left, top], node, if n == 0 { 3 } else { 1 });
        }
    }
    let mut bytes = Cursor::new(Vec::new());
    page.write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|e| Error::Invalid(format!("{}: {e}", out.display())))?;
    write(out, bytes.get_ref())
}

/// A frame around the two cells each way that a node's value is pooled over.
fn frame(page: &mut RgbImage, [left, top]: [u32; 2], node: &Node, width: u32) {
    let (cell, side) = (CELL as u32 * ENLARGED, MEAN_SIDE as u32 * ENLARGED);
    let from = node.cell.map(|c| u32::from(c) * cell);
    let to = from.map(|v| (v + 2 * cell).min(side));
    let inner = |v: u32, k: usize| v >= from[k] + width && v + width < to[k];
    for (x, y) in (from[1]..to[1]).flat_map(|y| (from[0]..to[0]).map(move |x| (x, y))) {
        if !(inner(x, 0) && inner(y, 1)) {
            page.put_pixel(left + x, top + y, Rgb(COLOURS[usize::from(node.channel)]));
        }
    }
}
