//! Smaller (and slightly larger) gray pictures, for a pyramid.
//!
//! Flows in: a [`Plane`]. Flows out: a plane of another size, with a border around.

use super::bytes::{Bytes, TABLE};
use super::simd::{Simd, SimdOp};
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
    pub(super) fn rows_from(&self, y: usize) -> &[u8] {
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

/// Halves a picture as long as it is too large (and has a half): then no pixel is skipped by what reads between them.
pub fn halve_while(
    kernels: &Kernels,
    mut plane: Plane,
    too_large: impl Fn(&Plane) -> bool,
) -> Plane {
    while plane.width > 1 && plane.height > 1 && too_large(&plane) {
        plane = half(kernels, &plane);
    }
    plane
}

/// Another size by linear interpolation between pixel centres (OpenCV's rule), to 1/256 of a pixel, with
/// `border` pixels around it that repeat the outermost ones.
///
/// # Panics
/// Where `from` or `size` (width, height) is empty.
pub fn linear(kernels: &Kernels, from: &Plane, size: [usize; 2], border: usize) -> Plane {
    let [width, height] = size;
    assert!(from.width * from.height > 0 && width * height > 0, "an empty picture");
    let across = Across::new(from.width, width);
    let down = weights(from.height, height);
    let mut out = Plane::new(width + 2 * border, height + 2 * border);
    let padded = out.width;
    let mut blend = vec![0u16; from.width + 2 * TABLE];
    let mut line = vec![0u16; width.next_multiple_of(BLOCK)];
    for (y, &(top, weight)) in down.iter().enumerate() {
        let rows = [top, (top + 1).min(from.height - 1)].map(|y| from.row(y));
        let row = &mut out.bytes[(border + y) * padded..][..padded];
        kernels.run(Row { rows, weight, blend: &mut blend, across: &across, line: &mut line });
        for (out, &v) in row[border..].iter_mut().zip(&line[..width]) {
            *out = v as u8;
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
fn weights(from: usize, to: usize) -> Vec<(usize, u16)> {
    let step = from as f64 / to as f64;
    let at = |i: usize| {
        let centre = ((i as f64 + 0.5) * step - 0.5).clamp(0.0, (from - 1) as f64);
        (centre as usize, ((centre - centre.floor()) * 256.0) as u16)
    };
    (0..to).map(at).collect()
}

/// New pixels whose old ones lie in one table: they span at most as many as a picture twice as wide has.
const BLOCK: usize = TABLE / 2;

/// [`weights`] along rows, by blocks of new pixels.
struct Across {
    /// The first old pixel of each block.
    starts: Vec<usize>,
    /// Old pixels, counted from the block's first.
    index: Vec<u16>,
    /// Parts of 2¹⁶: of the old pixel (one less, to fit) and of the next.
    factors: [Vec<u16>; 2],
    /// Whether every index lies in its table.
    tables: bool,
}

impl Across {
    fn new(from: usize, to: usize) -> Self {
        let mut all = weights(from, to);
        all.resize(to.next_multiple_of(BLOCK), (from - 1, 0));
        let starts: Vec<usize> = all.chunks(BLOCK).map(|block| block[0].0).collect();
        let index: Vec<u16> =
            all.iter().enumerate().map(|(i, at)| (at.0 - starts[i / BLOCK]) as u16).collect();
        let tables = index.iter().all(|&i| usize::from(i) < TABLE);
        let next = all.iter().map(|at| at.1 << 8).collect();
        let here = all.iter().map(|at| u16::MAX - (at.1 << 8)).collect();
        Self { starts, index, factors: [here, next], tables }
    }
}

/// One new row: a mean of two old ones, then means of its neighbours.
struct Row<'a> {
    rows: [&'a [u8]; 2],
    weight: u16,
    blend: &'a mut [u16],
    across: &'a Across,
    line: &'a mut [u16],
}

impl SimdOp for Row<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = self.rows[0].len();
        mix(self.rows[0], self.rows[1], self.weight, &mut self.blend[..width]);
        self.blend[width] = self.blend[width - 1];
        if self.across.tables {
            // SAFETY: the caller promises the instruction set.
            unsafe { between::<S::Bytes>(self.blend, self.across, self.line) }
        } else {
            one_by_one(self.blend, self.across, self.line);
        }
    }
}

/// 256 times the mean of two rows.
#[inline(always)]
fn mix(a: &[u8], b: &[u8], weight: u16, out: &mut [u16]) {
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = u16::from(a) * (256 - weight) + u16::from(b) * weight;
    }
}

/// Means of neighbours, by their weights.
#[inline(always)]
fn one_by_one(blend: &[u16], across: &Across, out: &mut [u16]) {
    let high = |a: u16, b: u16| (u32::from(a) * u32::from(b)) >> 16;
    for (i, out) in out.iter_mut().enumerate() {
        let at = across.starts[i / BLOCK] + usize::from(across.index[i]);
        let (here, next) = (across.factors[0][i], across.factors[1][i]);
        *out = ((high(blend[at], here) + high(blend[at + 1], next) + 129) >> 8) as u16;
    }
}

/// [`one_by_one`], a vector at a time.
#[inline(always)]
unsafe fn between<B: Bytes>(blend: &[u16], across: &Across, out: &mut [u16]) {
    for (block, &start) in across.starts.iter().enumerate() {
        let table = &blend[start..][..TABLE + 1];
        for at in (block * BLOCK..(block + 1) * BLOCK).step_by(B::WORDS) {
            let index = &across.index[at..];
            // SAFETY: the caller promises the instruction set.
            unsafe {
                let here = B::pick(table, index).high(B::words(&across.factors[0][at..]));
                let next = B::pick(&table[1..], index).high(B::words(&across.factors[1][at..]));
                here.add(next).add(B::splat(129)).shift::<8>().store(&mut out[at..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::table::available;

    fn plane(width: usize, height: usize) -> Plane {
        let pixels: Vec<u8> = (0..width * height).map(|i| (i * i * 7 % 251) as u8).collect();
        Plane::from_pixels(width, &pixels)
    }

    #[test]
    fn an_edge_is_spread_by_hand() {
        // Two pixels become four: centres at −¼, ¼, ¾ and 1¼ of the old ones.
        let from = Plane::from_pixels(2, &[0, 200, 0, 200]);
        for kernels in available() {
            let out = linear(kernels, &from, [4, 2], 1);
            assert_eq!((out.width, out.height), (6, 4));
            assert_eq!(out.row(0), [0, 0, 50, 150, 200, 200], "{}", kernels.name());
            assert!((1..4).all(|y| out.row(y) == out.row(0)));
        }
    }

    #[test]
    fn every_set_gives_the_plain_loops_bytes() {
        let from = plane(157, 61);
        // Both ways of picking: three times as small does not fit the tables.
        for size in [[157, 61], [173, 50], [80, 31], [52, 20]] {
            let across = Across::new(from.width, size[0]);
            assert_eq!(across.tables, size[0] > 60, "{size:?}");
            let all: Vec<Plane> = available().iter().map(|k| linear(k, &from, size, 5)).collect();
            assert!(all.iter().all(|p| p == &all[0]), "{size:?}");
            let mut line = vec![0; size[0].next_multiple_of(BLOCK)];
            let mut blend = vec![0; from.width + 1];
            let (top, weight) = weights(from.height, size[1])[0];
            mix(from.row(top), from.row(top + 1), weight, &mut blend);
            blend[from.width] = blend[from.width - 1];
            one_by_one(&blend, &across, &mut line);
            let row: Vec<u16> = all[0].row(5)[5..][..size[0]].iter().map(|&v| v.into()).collect();
            assert_eq!(row, line[..size[0]], "{size:?}");
        }
    }

    #[test]
    fn halves_are_rounded_means() {
        let from = Plane::from_pixels(3, &[1, 2, 9, 3, 4, 9]);
        assert!(available().iter().all(|k| half(k, &from).pixels() == [3]));
    }
}
