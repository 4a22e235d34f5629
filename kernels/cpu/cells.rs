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

    /// Values, as [`offset`](Self::offset) finds them, and [`SLACK`] more.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Memory that [`cells`] works in: kept from picture to picture, it is not cleared again.
#[derive(Default)]
pub struct Workspace {
    sums: Sums,
    /// A padded map, and its sums along columns.
    padded: [Vec<u16>; 2],
    /// Sums over squares: of the energy near and far, of gray levels far.
    squares: [Vec<u16>; 3],
    /// Factors of a row.
    divisors: [Vec<u16>; 2],
}

/// The maps of a picture, whose outermost pixels serve as neighbours only: w x h pixels have
/// w / 2 − 2 by h / 2 − 2 cells, of which the first covers the pixels from (1, 1) on.
///
/// # Panics
/// Where the picture has fewer than six pixels along a side.
pub fn cells(kernels: &Kernels, gray: &Plane, workspace: &mut Workspace, out: &mut Cells) {
    assert!(gray.width >= 6 && gray.height >= 6, "{} x {} pixels", gray.width, gray.height);
    kernels.run(Maps { gray, workspace, out });
}

struct Maps<'a> {
    gray: &'a Plane,
    workspace: &'a mut Workspace,
    out: &'a mut Cells,
}

impl SimdOp for Maps<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Workspace { sums, padded, squares: [near, far, far_gray], divisors } = self.workspace;
        // SAFETY: the caller promises the instruction set.
        unsafe { sum_cells::<S::Bytes>(self.gray, sums) };
        let stride = pad(&sums.energy, sums, &mut padded[0]);
        squares::<3>(padded, stride, 1, near);
        padded[0].clone_from(near);
        squares::<2>(padded, stride, 3, near);
        padded[0].clone_from(near);
        squares::<2>(padded, stride, NEAR, far);
        pad(&sums.gray, sums, &mut padded[0]);
        squares::<3>(padded, stride, 1, far_gray);
        padded[0].clone_from(far_gray);
        squares::<2>(padded, stride, 3, far_gray);
        padded[0].clone_from(far_gray);
        squares::<2>(padded, stride, NEAR, far_gray);
        let squares = Squares { stride, near, far, far_gray };
        // SAFETY: the caller promises the instruction set.
        unsafe { normalise::<S::Bytes>(sums, &squares, divisors, self.out) }
    }
}

/// Sums over cells that don't overlap.
#[derive(Default)]
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

impl Sums {
    /// Makes room for a picture's sums.
    fn fit(&mut self, gray: &Plane) {
        (self.width, self.height) = (gray.width / CELL - 1, gray.height / CELL - 1);
        self.stride = self.width.next_multiple_of(BLOCK);
        let values = self.stride * self.height;
        // One value more: vectors are read one cell further on.
        self.maps.resize(values * SUMMED + 1, 0);
        self.energy.resize(values, 0);
        self.gray.resize(values, 0);
    }
}

#[inline(always)]
unsafe fn sum_cells<B: Bytes>(gray: &Plane, out: &mut Sums) {
    out.fit(gray);
    let stride = out.stride;
    for y in 0..out.height {
        let rows: [&[u8]; 4] = std::array::from_fn(|i| gray.rows_from(CELL * y + i));
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

/// Cells of the larger square before its middle: one less than after it, since values are pooled over two.
const BEFORE: usize = FAR / 2 - 1;

/// A map with [`BEFORE`] cells more on the left and above, [`FAR`] − 1 more in all, that repeat its border.
/// Gives the values of its rows.
#[inline(always)]
fn pad(map: &[u16], from: &Sums, out: &mut Vec<u16>) -> usize {
    let (width, height) = (from.width, from.height);
    let stride = (width + FAR - 1).next_multiple_of(BLOCK);
    // One row more: the last one may be read beyond its end.
    out.resize(stride * (height + FAR), 0);
    for (y, out) in out.chunks_exact_mut(stride).take(height + FAR - 1).enumerate() {
        let row = &map[y.saturating_sub(BEFORE).min(height - 1) * from.stride..][..width];
        out[..BEFORE].fill(row[0]);
        out[BEFORE..][..width].copy_from_slice(row);
        out[BEFORE + width..].fill(row[width - 1]);
    }
    stride
}

/// For each value of `from[0]` the sum over the square of `TIMES` x `TIMES` of them, `apart` from one another,
/// that starts at it. Sums are made of whole maps at a time: what was stored is not read again at once.
#[inline(always)]
fn squares<const TIMES: usize>(
    from: &mut [Vec<u16>; 2],
    stride: usize,
    apart: usize,
    out: &mut Vec<u16>,
) {
    let [from, columns] = from;
    columns.resize(from.len(), 0);
    out.resize(from.len(), 0);
    along::<TIMES>(from, apart * stride, columns);
    along::<TIMES>(columns, apart, out);
}

/// Sums of `TIMES` values, `step` apart, where as many follow.
#[inline(always)]
fn along<const TIMES: usize>(values: &[u16], step: usize, out: &mut [u16]) {
    let n = values.len() - (TIMES - 1) * step;
    let (a, b, c) = (&values[..n], &values[step..][..n], &values[(TIMES - 1) * step..][..n]);
    for (((out, a), b), c) in out[..n].iter_mut().zip(a).zip(b).zip(c) {
        // Beyond the map lie sums of an earlier picture: they may wrap, and are never read.
        let pair = a.wrapping_add(*b);
        *out = if TIMES == 3 { pair.wrapping_add(*c) } else { pair };
    }
}

/// Sums over squares, rows of `stride`, each where its square starts.
struct Squares<'a> {
    stride: usize,
    near: &'a [u16],
    far: &'a [u16],
    far_gray: &'a [u16],
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
unsafe fn normalise<B: Bytes>(
    sums: &Sums,
    squares: &Squares,
    [by_near, by_far]: &mut [Vec<u16>; 2],
    out: &mut Cells,
) {
    (out.width, out.height) = (sums.width - 1, sums.height - 1);
    let (row, half) = (out.row(), out.half());
    out.bytes.resize(out.height * row + SLACK, 0);
    by_near.resize(2 * half, 0);
    by_far.resize(2 * half, 0);
    for y in 0..out.height {
        // The smaller square starts three cells further inside.
        let near = &squares.near[(y + NEAR / 2) * squares.stride + NEAR / 2..];
        divisors(near, NEAR * NEAR, by_near);
        divisors(&squares.far[y * squares.stride..], FAR * FAR, by_far);
        let means = &squares.far_gray[y * squares.stride..];
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::table::available;

    fn maps(kernels: &Kernels, gray: &Plane) -> Cells {
        let mut out = Cells::default();
        cells(kernels, gray, &mut Workspace::default(), &mut out);
        out
    }

    fn noise(width: usize, height: usize) -> Plane {
        let pixels: Vec<u8> = (0..width * height)
            .map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0])
            .collect();
        Plane::from_pixels(width, &pixels)
    }

    /// The definition, cell by cell, in the same whole numbers.
    fn plain(gray: &Plane, channel: usize, x: usize, y: usize) -> u8 {
        let [width, height] = [gray.width / CELL - 1, gray.height / CELL - 1].map(|n| n as isize);
        let pixel = |x: isize, y: isize| i32::from(gray.row(y as usize)[x as usize]);
        let long = |v: i32| v + ((v * i32::from(DIAGONAL)) >> 16);
        // Sums of a cell: eight directions, gray levels.
        let cell = |x: isize, y: isize| {
            let mut sums = [0; 9];
            for (i, j) in [(1, 1), (2, 1), (1, 2), (2, 2)] {
                let (x, y) = (2 * x + i, 2 * y + j);
                let (dx, dy) =
                    (pixel(x + 1, y) - pixel(x - 1, y), pixel(x, y + 1) - pixel(x, y - 1));
                let [p, n, q, m] = [dx, -dx, dy, -dy].map(|v| v.max(0));
                let (ax, ay) = (dx.abs(), dy.abs());
                let axes = [p - ay, n - ay, q - ax, m - ax].map(|v| v.max(0));
                let diagonals = [p.min(q), n.min(q), p.min(m), n.min(m)];
                let all = [&axes[..], &diagonals[..], &[pixel(x, y)]].concat();
                sums.iter_mut().zip(all).for_each(|(s, v)| *s += v);
            }
            sums
        };
        let means = |x: isize, y: isize| {
            let sums = cell(x.clamp(0, width - 1), y.clamp(0, height - 1));
            let energy =
                sums[..4].iter().sum::<i32>() + sums[4..8].iter().map(|&v| long(v)).sum::<i32>();
            [(energy + 2) / 4, (sums[8] + 2) / 4]
        };
        let (x, y) = (x as isize, y as isize);
        let around = |side: isize, which: usize| -> i32 {
            let span = 1 - side / 2..=side / 2;
            span.clone()
                .flat_map(|j| span.clone().map(move |i| (i, j)))
                .map(|(i, j)| means(x + i, y + j)[which])
                .sum()
        };
        let divisor = |sum: i32, side: i32| {
            let count = (side * side) as f32;
            (65535.0 * QUIET * count / (sum as f32 + QUIET * count)).round_ties_even() as i32
        };
        let pooled = |k: usize| -> i32 {
            [(0, 0), (1, 0), (0, 1), (1, 1)].iter().map(|&(i, j)| cell(x + i, y + j)[k]).sum()
        };
        let direction = |k: usize| if k < 4 { pooled(k) } else { long(pooled(k)) };
        let far = divisor(around(12, 0), 12);
        let value = match channel {
            0..8 => {
                let v = direction(channel);
                ((3 * v + v / 8) * divisor(around(6, 0), 6)) >> 16
            }
            8 => ((0..8).map(direction).sum::<i32>() * far) >> 16,
            _ => {
                let mean = (around(12, 1) * i32::from(NINTH)) >> 16;
                128 + (((pooled(8) - mean) * (far / 4)) >> 16)
            }
        };
        value.clamp(0, 255) as u8
    }

    #[test]
    fn every_set_follows_the_definition() {
        for (width, height) in [(6, 6), (75, 34), (141, 20)] {
            let gray = noise(width, height);
            for kernels in available() {
                let found = maps(kernels, &gray);
                assert_eq!((found.width, found.height), (width / 2 - 2, height / 2 - 2));
                for (channel, y, x) in (0..CHANNELS).flat_map(|k| {
                    (0..found.height).flat_map(move |y| (0..width / 2 - 2).map(move |x| (k, y, x)))
                }) {
                    let (got, want) = (found.at(channel, x, y), plain(&gray, channel, x, y));
                    assert_eq!(got, want, "{}: channel {channel}, cell ({x}, {y})", kernels.name());
                }
            }
        }
    }

    #[test]
    fn an_edge_goes_into_its_direction() {
        // Brighter to the right: only dx is positive. By 16 levels across two pixels.
        let pixels: Vec<u8> = (0..24 * 24).map(|i| (i % 24 * 8) as u8).collect();
        let found = maps(&available()[0], &Plane::from_pixels(24, &pixels));
        // Every pixel has 16: mean 16, 200 · 16 / (16 + 4) = 160, less the rounding of two factors.
        assert!((158..=160).contains(&found.at(0, 4, 4)), "{}", found.at(0, 4, 4));
        assert!((1..8).all(|k| found.at(k, 4, 4) == 0));
        // 64 · 16 / 20 = 51.2, and no brighter than its surroundings but for the square's one more cell.
        assert_eq!(found.at(8, 4, 4), 51);
    }

    #[test]
    fn used_memory_changes_nothing() {
        let (mut workspace, mut out) = (Workspace::default(), Cells::default());
        cells(&available()[0], &noise(90, 70), &mut workspace, &mut out);
        let small = noise(40, 30);
        cells(&available()[0], &small, &mut workspace, &mut out);
        let fresh = maps(&available()[0], &small);
        let values = |c: &Cells| -> Vec<u8> {
            (0..CHANNELS * c.height * c.width)
                .map(|i| c.at(i / (c.height * c.width), i % c.width, i / c.width % c.height))
                .collect()
        };
        assert_eq!(values(&out), values(&fresh));
    }
}
