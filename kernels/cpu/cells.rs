//! Gradient channels over cells of 2 x 2 pixels: what our own cascade looks at.
//!
//! Flows in: gray pixels. Flows out: [`Cells`], ten maps of bytes over a grid of cells, each value
//! pooled over the 4 x 4 pixels that start at its cell.
//!
//! The central differences (dx, dy) of a pixel fall into eight directions. With saturating subtraction
//! (`a ∸ b` is a − b, or 0 where b is larger) and p = dx ∸ 0, n = −dx ∸ 0 and so on:
//!
//! ```text
//! along an axis    p_x ∸ |dy|   n_x ∸ |dy|   p_y ∸ |dx|   n_y ∸ |dx|
//! on a diagonal    √2 · min(p_x, p_y)   min(n_x, p_y)   min(p_x, n_y)   min(n_x, n_y)
//! ```
//!
//! An edge of any direction is shared by its two neighbours, and one pixel costs a dozen operations on
//! bytes, without a root or an arctangent. The eight are divided by the mean energy (their sum) of the 6 x 6
//! cells around, so that light and contrast cancel. Two more maps relate to the 12 x 12 cells around:
//! the energy itself, and how much brighter the cell is, in units of that energy. The idea of such maps
//! is Dollár's ("Integral channel features", BMVC 2009). Everything is whole numbers: each instruction
//! set gives the same bytes.
//!
//! Rows are rounded up to whole vectors; what is computed beyond a row's end is never read.

use super::bytes::Bytes;
use super::resample::{Plane, SLACK};
use super::simd::{Simd, SimdOp};
use super::table::Kernels;

/// Maps: eight directions, energy, brightness.
pub const CHANNELS: usize = 10;
/// Pixels along a cell.
pub const CELL: usize = 2;

/// Directions of a gradient.
const DIRECTIONS: usize = 8;
/// Cells along the square that light and contrast are taken from, and along the larger one.
const NEAR: usize = 6;
const FAR: usize = 12;
/// Added to the mean energy (gray levels per pixel) that maps are divided by: noise stays small.
const QUIET: f32 = 4.0;
/// √2 − 1 in 16 bits.
const DIAGONAL: u16 = 27146;
/// 1 / 9 in 16 bits.
const NINTH: u16 = 7282;
/// What rows are rounded up to: the cells of the longest vector.
const BLOCK: usize = 32;

/// The maps of one picture.
///
/// A row of cells holds its channels one after another, each as its even cells, then its odd ones: the
/// windows at every second cell read neighbouring bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cells {
    /// Cells along a row.
    pub width: usize,
    /// Rows of cells.
    pub height: usize,
    bytes: Vec<u8>,
}

impl Cells {
    /// Bytes between a channel's even and its odd cells.
    fn half(&self) -> usize {
        self.width.next_multiple_of(BLOCK) / 2
    }

    /// Bytes between two rows.
    pub fn row(&self) -> usize {
        CHANNELS * 2 * self.half()
    }

    /// How far from a window's first byte the channel's cell (x, y) lies, for windows at an even x.
    pub fn offset(&self, channel: usize, x: usize, y: usize) -> usize {
        y * self.row() + (2 * channel + x % 2) * self.half() + x / 2
    }

    /// The value of a channel at cell (x, y).
    pub fn at(&self, channel: usize, x: usize, y: usize) -> u8 {
        self.bytes[self.offset(channel, x, y)]
    }

    /// Values, as [`offset`](Self::offset) finds them, and [`SLACK`] zeros.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The maps of a picture, whose outermost pixels serve as neighbours only: w x h pixels have
/// w / 2 − 2 by h / 2 − 2 cells, of which the first covers the pixels from (1, 1) on.
///
/// # Panics
/// Where the picture has fewer than six pixels along a side.
pub fn cells(kernels: &Kernels, gray: &Plane) -> Cells {
    assert!(gray.width >= 6 && gray.height >= 6, "{} x {} pixels", gray.width, gray.height);
    kernels.run(Maps(gray))
}

struct Maps<'a>(&'a Plane);

impl SimdOp for Maps<'_> {
    type Output = Cells;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> Cells {
        // SAFETY: the caller promises the instruction set.
        unsafe { normalise::<S::Bytes>(&sums::<S::Bytes>(self.0)) }
    }
}

/// Sums over cells that don't overlap.
struct Sums {
    /// Cells along a row that count, and values of a row.
    width: usize,
    stride: usize,
    height: usize,
    /// (row, map, cell): eight directions, then gray levels. At most 4 · 255.
    maps: Vec<u16>,
    /// Mean of a cell's four pixels: the sum of its directions, √2 in.
    energy: Vec<u16>,
    /// Mean of a cell's four pixels: gray levels.
    gray: Vec<u16>,
}

/// Maps in a row of [`Sums`].
const SUMMED: usize = DIRECTIONS + 1;

#[inline(always)]
unsafe fn sums<B: Bytes>(gray: &Plane) -> Sums {
    let (width, height) = (gray.width / CELL - 1, gray.height / CELL - 1);
    let stride = width.next_multiple_of(BLOCK);
    let plane = || vec![0; stride * height];
    // One value more: blocks are read one cell further on.
    let maps = vec![0; stride * height * SUMMED + 1];
    let mut out = Sums { width, stride, height, maps, energy: plane(), gray: plane() };
    for y in 0..height {
        let rows: [&[u8]; 4] = std::array::from_fn(|i| gray.from_row(CELL * y + i));
        let maps = &mut out.maps[y * stride * SUMMED..][..stride * SUMMED];
        let energy = &mut out.energy[y * stride..][..stride];
        let gray = &mut out.gray[y * stride..][..stride];
        for at in (0..stride).step_by(B::WORDS) {
            // SAFETY: the caller promises the instruction set.
            unsafe {
                let (above, below) = (&rows[0][CELL * at + 1..], &rows[3][CELL * at + 1..]);
                let (upper, lower) = (&rows[1][CELL * at..], &rows[2][CELL * at..]);
                let (first, second) = (B::bytes(&upper[1..]), B::bytes(&lower[1..]));
                let [left, right] = [B::bytes(upper), B::bytes(&upper[2..])];
                let upper = directions([left, right, B::bytes(above), second]);
                let [left, right] = [B::bytes(lower), B::bytes(&lower[2..])];
                let lower = directions([left, right, first, B::bytes(below)]);
                let mut total = B::splat(2);
                for k in 0..DIRECTIONS {
                    let sum = upper[k].pairs().add(lower[k].pairs());
                    sum.store(&mut maps[k * stride + at..]);
                    total = total.add(if k < 4 { sum } else { lengthen(sum) });
                }
                total.shift::<2>().store(&mut energy[at..]);
                let sum = first.pairs().add(second.pairs());
                sum.store(&mut maps[DIRECTIONS * stride + at..]);
                sum.add(B::splat(2)).shift::<2>().store(&mut gray[at..]);
            }
        }
    }
    out
}

/// The eight directions of pixels, without √2, from their neighbours on the left, right, above and below.
#[inline(always)]
unsafe fn directions<B: Bytes>([left, right, above, below]: [B; 4]) -> [B; DIRECTIONS] {
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let (px, nx) = (right.sub_bytes(left), left.sub_bytes(right));
        let (py, ny) = (below.sub_bytes(above), above.sub_bytes(below));
        let (x, y) = (px.or(nx), py.or(ny));
        [
            px.sub_bytes(y),
            nx.sub_bytes(y),
            py.sub_bytes(x),
            ny.sub_bytes(x),
            px.min_bytes(py),
            nx.min_bytes(py),
            px.min_bytes(ny),
            nx.min_bytes(ny),
        ]
    }
}

/// √2 · v, rounded down.
#[inline(always)]
unsafe fn lengthen<B: Bytes>(v: B) -> B {
    // SAFETY: the caller promises the instruction set.
    unsafe { v.add(v.high(B::splat(DIAGONAL))) }
}

/// A map with [`BEFORE`] cells more on the left and above, [`FAR`] − 1 more in all, that repeat its border.
/// Sums over squares are made of whole maps at a time: what was stored is not read again at once.
struct Padded {
    stride: usize,
    sums: Vec<u16>,
}

/// Cells of the larger square before its middle: one less than after it, since values are pooled over two.
const BEFORE: usize = FAR / 2 - 1;

impl Padded {
    #[inline(always)]
    fn new(map: &[u16], from: &Sums) -> Self {
        let (width, height) = (from.width, from.height);
        // One block more: the last row may be read beyond its end.
        let stride = (width + FAR - 1).next_multiple_of(BLOCK);
        let mut sums = vec![0; stride * (height + FAR)];
        for (y, out) in sums.chunks_exact_mut(stride).take(height + FAR - 1).enumerate() {
            let row = &map[y.saturating_sub(BEFORE).min(height - 1) * from.stride..][..width];
            out[..BEFORE].fill(row[0]);
            out[BEFORE..][..width].copy_from_slice(row);
            out[BEFORE + width..].fill(row[width - 1]);
        }
        Self { stride, sums }
    }

    /// Each value becomes the sum over the square of `TIMES` x `TIMES` of them, `apart` from one another,
    /// that starts at it. What hangs over the end is left away.
    #[inline(always)]
    fn sum<const TIMES: usize>(&self, apart: usize) -> Self {
        let mut sums = self.sums.clone();
        let mut other = self.sums.clone();
        along::<TIMES>(&self.sums, apart * self.stride, &mut other);
        along::<TIMES>(&other, apart, &mut sums);
        Self { sums, ..*self }
    }

    /// The row whose sums start `inside` cells inside the padding.
    #[inline(always)]
    fn row(&self, y: usize, inside: usize) -> &[u16] {
        &self.sums[(y + inside) * self.stride + inside..]
    }
}

/// Sums of `TIMES` values, `step` apart.
#[inline(always)]
fn along<const TIMES: usize>(values: &[u16], step: usize, out: &mut [u16]) {
    let n = values.len() - (TIMES - 1) * step;
    let (a, b, c) = (&values[..n], &values[step..][..n], &values[(TIMES - 1) * step..][..n]);
    for (((out, a), b), c) in out[..n].iter_mut().zip(a).zip(b).zip(c) {
        *out = if TIMES == 3 { a + b + c } else { a + b };
    }
}

/// Factors in 16 bits: 2¹⁶ · QUIET / (QUIET + mean of `count` values).
#[inline(always)]
fn divisors(sums: &[u16], count: usize, out: &mut [u16]) {
    let (top, quiet) = (65535.0 * QUIET * count as f32, QUIET * count as f32);
    for (out, &sum) in out.iter_mut().zip(sums) {
        // Beside 2²³ a fraction has no room: the low bits are the rounded number.
        *out = (top / (f32::from(sum) + quiet) + 8_388_608.0).to_bits() as u16;
    }
}

#[inline(always)]
unsafe fn normalise<B: Bytes>(sums: &Sums) -> Cells {
    let mut out = Cells { width: sums.width - 1, height: sums.height - 1, bytes: Vec::new() };
    let (row, half) = (out.row(), out.half());
    out.bytes = vec![0; out.height * row + SLACK];
    let near = Padded::new(&sums.energy, sums).sum::<3>(1).sum::<2>(3);
    let far = near.sum::<2>(NEAR);
    let far_gray = Padded::new(&sums.gray, sums).sum::<3>(1).sum::<2>(3).sum::<2>(NEAR);
    let (mut by_near, mut by_far) = (vec![0; 2 * half], vec![0; 2 * half]);
    for y in 0..out.height {
        divisors(near.row(y, NEAR / 2), NEAR * NEAR, &mut by_near);
        divisors(far.row(y, 0), FAR * FAR, &mut by_far);
        let means = far_gray.row(y, 0);
        let channels = &mut out.bytes[y * row..][..row];
        for at in (0..2 * half).step_by(B::WORDS) {
            // SAFETY: the caller promises the instruction set.
            unsafe {
                let (by_near, by_far) = (B::words(&by_near[at..]), B::words(&by_far[at..]));
                let mut energy = B::splat(0);
                for k in 0..DIRECTIONS {
                    let mut v: B = pool(sums, y, k, at);
                    if k >= 4 {
                        v = lengthen(v);
                    }
                    energy = energy.add(v);
                    // v / 16 pixels · 200 / (mean + QUIET)
                    put(
                        channels,
                        k,
                        half,
                        at,
                        v.add(v).add(v).add(v.shift::<3>()).high(by_near).clamp(),
                    );
                }
                // energy / 16 pixels · 64 / (mean + QUIET)
                put(channels, DIRECTIONS, half, at, energy.high(by_far).clamp());
                // (gray − mean) / 16 pixels · 16 / (mean energy + QUIET); a mean is a sum of FAR² = 9 · 16.
                let gray: B = pool(sums, y, DIRECTIONS, at);
                let mean = B::words(&means[at..]).high(B::splat(NINTH));
                let difference = gray.sub(mean).high_signed(by_far.shift::<2>());
                put(channels, DIRECTIONS + 1, half, at, B::splat(128).add(difference).clamp());
            }
        }
    }
    out
}

/// Sums over 2 x 2 cells of map `k`.
#[inline(always)]
unsafe fn pool<B: Bytes>(sums: &Sums, y: usize, k: usize, at: usize) -> B {
    let start = (y * SUMMED + k) * sums.stride + at;
    let (upper, lower) = (&sums.maps[start..], &sums.maps[start + SUMMED * sums.stride..]);
    // SAFETY: the caller promises the instruction set.
    unsafe {
        let left = B::words(upper).add(B::words(lower));
        left.add(B::words(&upper[1..]).add(B::words(&lower[1..])))
    }
}

/// Writes a vector of a channel's values.
#[inline(always)]
unsafe fn put<B: Bytes>(row: &mut [u8], channel: usize, half: usize, at: usize, values: B) {
    let (even, odd) = row[2 * channel * half..][..2 * half].split_at_mut(half);
    // SAFETY: the caller promises the instruction set.
    unsafe { values.split(&mut even[at / 2..], &mut odd[at / 2..]) }
}
