//! Smaller (and slightly larger) gray pictures, for a pyramid.
//!
//! Flows in: a [`Plane`]. Flows out: a plane of another size, with a border around.

use super::table::Kernels;

/// A gray picture, rows of `width` bytes, and [`SLACK`] zeros: whole vectors can be read at any pixel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plane {
    /// Pixels along a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    bytes: Vec<u8>,
}

/// Zeros after the last pixel.
pub const SLACK: usize = 64;

impl Plane {
    /// A black picture.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, bytes: vec![0; width * height + SLACK] }
    }

    /// A picture of those pixels, row by row.
    ///
    /// # Panics
    /// Where they don't make rows of `width`.
    pub fn from_pixels(width: usize, pixels: &[u8]) -> Self {
        assert!(width > 0 && pixels.len().is_multiple_of(width), "{} pixels", pixels.len());
        let mut bytes = Vec::with_capacity(pixels.len() + SLACK);
        bytes.extend_from_slice(pixels);
        bytes.resize(pixels.len() + SLACK, 0);
        Self { width, height: pixels.len() / width, bytes }
    }

    /// All pixels.
    pub fn pixels(&self) -> &[u8] {
        &self.bytes[..self.width * self.height]
    }

    /// All pixels, to be written.
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.width * self.height]
    }

    /// Row `y`.
    pub fn row(&self, y: usize) -> &[u8] {
        &self.bytes[y * self.width..][..self.width]
    }

    /// Everything from the first pixel of row `y` on.
    pub(super) fn from_row(&self, y: usize) -> &[u8] {
        &self.bytes[y * self.width..]
    }
}

/// Half as wide and high: means of 2 x 2 pixels, rounded. An odd last column or row is left out.
pub fn half(kernels: &Kernels, from: &Plane) -> Plane {
    let mut out = Plane::new(from.width / 2, from.height / 2);
    let width = out.width.max(1);
    kernels.compile(
        #[inline(always)]
        || {
            for (y, out) in out.pixels_mut().chunks_exact_mut(width).enumerate() {
                let (a, b) = (from.row(2 * y), from.row(2 * y + 1));
                for ((out, a), b) in out.iter_mut().zip(a.chunks_exact(2)).zip(b.chunks_exact(2)) {
                    let [a, b, c, d] = [a[0], a[1], b[0], b[1]].map(u16::from);
                    *out = ((a + b + c + d + 2) / 4) as u8;
                }
            }
        },
    );
    out
}

/// Another size by linear interpolation between pixel centres (OpenCV's rule), to 1/256 of a pixel, with
/// `border` pixels around it that repeat the outermost ones.
///
/// # Panics
/// Where `from` or `size` (width, height) is empty.
pub fn linear(kernels: &Kernels, from: &Plane, size: [usize; 2], border: usize) -> Plane {
    let [width, height] = size;
    assert!(from.width * from.height > 0 && width * height > 0, "an empty picture");
    let (across, down) = (weights(from.width, width), weights(from.height, height));
    let mut out = Plane::new(width + 2 * border, height + 2 * border);
    let padded = out.width;
    let mut blend = vec![0u16; from.width + 1];
    for (y, &(top, weight)) in down.iter().enumerate() {
        let below = from.row((top as usize + 1).min(from.height - 1));
        kernels.compile(
            #[inline(always)]
            || mix(from.row(top as usize), below, weight, &mut blend[..from.width]),
        );
        blend[from.width] = blend[from.width - 1];
        let row = &mut out.bytes[(border + y) * padded..][..padded];
        for (out, &(left, weight)) in row[border..].iter_mut().zip(&across) {
            let pair = &blend[left as usize..][..2];
            let (a, b) = (u32::from(pair[0]), u32::from(pair[1]));
            *out =
                ((a * (256 - u32::from(weight)) + b * u32::from(weight) + (1 << 15)) >> 16) as u8;
        }
        let (first, last) = (row[border], row[border + width - 1]);
        row[..border].fill(first);
        row[border + width..].fill(last);
    }
    let (top, bottom) = (border * padded, (border + height - 1) * padded);
    for y in 0..border {
        out.bytes.copy_within(top..top + padded, y * padded);
        out.bytes.copy_within(bottom..bottom + padded, (border + height + y) * padded);
    }
    out
}

/// For each new pixel the old one at or before its centre, and the weight (of 256) of the next.
fn weights(from: usize, to: usize) -> Vec<(u32, u16)> {
    let step = from as f64 / to as f64;
    let at = |i: usize| {
        let centre = ((i as f64 + 0.5) * step - 0.5).clamp(0.0, (from - 1) as f64);
        (centre as u32, ((centre - centre.floor()) * 256.0) as u16)
    };
    (0..to).map(at).collect()
}

/// 256 times the mean of two rows.
#[inline(always)]
fn mix(a: &[u8], b: &[u8], weight: u16, out: &mut [u16]) {
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = u16::from(a) * (256 - weight) + u16::from(b) * weight;
    }
}
