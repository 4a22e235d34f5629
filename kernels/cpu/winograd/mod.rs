//! Convolution with fewer multiplications (Winograd, 1980; Lavin and Gray, 2015).
//!
//! Flows in: pictures `(channels, h, w)` and weights transformed once ([`Weights`]). Flows out: pictures
//! `(filters, out_h, out_w)`.
//!
//! Two polynomials of degree below r and m can be multiplied by evaluating both at r + m − 1 points,
//! multiplying the values, and interpolating; a filter of r taps that slides over r + m − 1 values is the
//! transpose of that product. So m outputs cost r + m − 1 multiplications instead of r·m, and m×m
//! outputs of an r×r filter (r + m − 1)² instead of (r·m)². Here r + m − 1 is always seven: the points
//! are 0, 1, −1, 2, −2, ½ and ∞, and one input transform serves F(6,2), F(5,3), F(4,4) and F(3,5).
//!
//! ```text
//! a tile of 7×7 values  ──Bᵀ·d·B──►  V: 49 numbers for each channel
//! a filter of r×r taps  ──G·g·Gᵀ──►  U: 49 numbers for each channel and filter (once, at load)
//!         49 matrix products, one a point: M = V·U, summed over channels
//! M: 49 numbers for each filter  ──Aᵀ·M·A──►  m×m outputs
//! ```
//!
//! A convolution with stride s is one with stride 1 over s² times the channels: channel (c, i, j) holds
//! every s-th value of channel c from (i, j) on. So AlexNet's 11×11 with stride 4 becomes 3×3.
//!
//! A strip is a row of tiles of one picture; some strips at a time go through the three stages, as many
//! as the caches hold.

mod transforms;

use super::conv::Pictures;
use super::gemm::Workspace;
use super::geometry::Geometry;
use super::micro::{self, Ahead, Tile, bend};
use super::simd::{Simd, SimdOp};
use super::table::Kernels;
use crate::memory::Buffer;
use crate::ops::ConvDims;
use std::ops::Range;
use transforms::{POINTS, filter_transform, input_transform, output_transform};

/// Values of a transformed tile.
const VALUES: usize = POINTS * POINTS;

/// The transform F(m, r) that a convolution takes, and the stride that it folds into channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// Outputs of a tile in each direction.
    pub m: usize,
    /// Taps of a filter in each direction, after folding.
    pub r: usize,
    /// Stride that was folded.
    pub stride: usize,
}

impl Scheme {
    /// The transform for a convolution: square windows and strides, no dilation, two to five taps after
    /// folding the stride.
    pub fn of(d: &ConvDims) -> Option<Self> {
        let w = &d.window;
        let square = w.kernel[0] == w.kernel[1] && w.stride[0] == w.stride[1];
        let stride = w.stride[0];
        let r = w.kernel[0].div_ceil(stride.max(1));
        let fits = square && w.dilation == [1, 1] && (2..=5).contains(&r);
        fits.then_some(Self { m: POINTS + 1 - r, r, stride })
    }

    /// Channels of a group after folding.
    pub(super) fn channels(&self, d: &ConvDims) -> usize {
        d.channels / d.group * self.stride * self.stride
    }

    /// Tiles of a picture, vertically and horizontally.
    pub fn tiles(&self, d: &ConvDims) -> [usize; 2] {
        d.output.map(|len| len.div_ceil(self.m))
    }

    /// Multiplications for one picture, transforms left out.
    pub fn multiplications(&self, d: &ConvDims) -> usize {
        let [rows, columns] = self.tiles(d);
        rows * columns * VALUES * self.channels(d) * d.filters
    }

    /// Values of the transformed weights of all groups.
    pub fn weights_len(&self, d: &ConvDims) -> usize {
        VALUES * self.channels(d) * d.filters
    }
}

/// Transformed filters of one group: for each of 49 points panels of nr filters, in each channel after
/// channel.
pub struct Weights {
    values: Buffer<f32>,
    scheme: Scheme,
    channels: usize,
    filters: usize,
    nr: usize,
    /// Where the values of a folded channel lie in the picture.
    geometry: Geometry,
}

impl Weights {
    /// Transforms the filters of one group, `(filters / group, channels / group, k, k)`, in `f64`.
    ///
    /// # Panics
    /// When there are not as many weights.
    pub fn new(kernels: &Kernels, scheme: Scheme, d: &ConvDims, weights: &[f32]) -> Self {
        let [_, nr] = kernels.tile();
        let (filters, channels) = (d.filters / d.group, scheme.channels(d));
        assert_eq!(weights.len(), filters * d.patch_len());
        let panels = filters.div_ceil(nr);
        let mut values = Buffer::zeroed(VALUES * panels * channels * nr);
        let g = filter_transform(scheme.r);
        let [kernel, _] = d.window.kernel;
        for (f, filter) in weights.chunks_exact(d.patch_len()).enumerate() {
            for c in 0..channels {
                let (plane, fold) = (c / scheme.stride.pow(2), c % scheme.stride.pow(2));
                let (dy, dx) = (fold / scheme.stride, fold % scheme.stride);
                let taps = &filter[plane * kernel * kernel..][..kernel * kernel];
                let tap = |y: usize, x: usize| {
                    let (y, x) = (y * scheme.stride + dy, x * scheme.stride + dx);
                    if y < kernel && x < kernel { taps[y * kernel + x] as f64 } else { 0.0 }
                };
                // Columns first: half[i][x] = Σ_y g[i][y] · tap(y, x).
                let mut half = [[0f64; 5]; POINTS];
                for (half, g) in half.iter_mut().zip(&g) {
                    for (x, half) in half[..scheme.r].iter_mut().enumerate() {
                        *half = (0..scheme.r).map(|y| g[y] * tap(y, x)).sum();
                    }
                }
                for (point, half) in half.iter().enumerate() {
                    for (other, g) in g.iter().enumerate() {
                        let value: f64 = (0..scheme.r).map(|x| half[x] * g[x]).sum();
                        let at = (point * POINTS + other) * panels + f / nr;
                        values[(at * channels + c) * nr + f % nr] = value as f32;
                    }
                }
            }
        }
        Self { values, scheme, channels, filters, nr, geometry: Geometry::new(d, 1, 1) }
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        self.values.bytes()
    }

    /// How many positions of a plane a share must have so that `parts` shares, each a few rows of tiles, hold
    /// all.
    pub fn stretch(&self, d: &ConvDims, parts: usize) -> Option<usize> {
        let [rows, columns] = self.scheme.tiles(d);
        let share = rows.div_ceil(parts);
        let enough = share < rows && share * columns >= LEAST_TILES;
        enough.then_some(share * self.scheme.m * d.output[1])
    }

    /// How many filters a share must have so that `parts` shares, each beginning at a panel, hold all.
    pub fn share(&self, parts: usize) -> usize {
        self.filters.div_ceil(self.nr).div_ceil(parts) * self.nr
    }
}

/// Memory that a thread keeps between convolutions.
#[derive(Default)]
pub(super) struct Buffers {
    /// One strip of the picture, or of the output, with channels innermost.
    strip: Buffer<f32>,
    /// V: 49 matrices, each by blocks of `LANES` channels, tile after tile.
    inputs: Buffer<f32>,
    /// M: 49 matrices, each by panels of nr filters, tile after tile.
    outputs: Buffer<f32>,
    /// A line of as many planes as a vector has lanes.
    planes: Buffer<f32>,
}

/// Some filters of one group of some pictures, one thread.
///
/// # Panics
/// When a slice is too short, or the weights are of another convolution.
pub fn fast(work: &mut Workspace, d: &ConvDims, weights: &Weights, io: Pictures) {
    let Workspace { kernels, winograd, .. } = work;
    let Scheme { m, r, .. } = weights.scheme;
    if io.count == 0 || io.filters.is_empty() {
        return;
    }
    io.check(d);
    assert_eq!(Scheme::of(d), Some(weights.scheme));
    assert_eq!((weights.channels, weights.nr), (weights.scheme.channels(d), kernels.tile()[1]));
    assert!(io.filters.start.is_multiple_of(weights.nr) && io.filters.end <= weights.filters);
    let op = Convolution { d, weights, io, kernels, buffers: winograd, m, r };
    kernels.run(op);
}

struct Convolution<'a> {
    d: &'a ConvDims,
    weights: &'a Weights,
    io: Pictures<'a>,
    kernels: &'a Kernels,
    buffers: &'a mut Buffers,
    m: usize,
    r: usize,
}

impl SimdOp for Convolution<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller promises the instruction set; `fast` checked the slices.
        unsafe {
            match self.m {
                3 => self.convolve::<S, 3>(),
                4 => self.convolve::<S, 4>(),
                5 => self.convolve::<S, 5>(),
                6 => self.convolve::<S, 6>(),
                _ => unreachable!("no scheme makes {} outputs", self.m),
            }
        }
    }
}

/// Sizes of the buffers of one block of strips, in values.
struct Layout {
    /// Tiles of a strip.
    columns: usize,
    /// Tiles of a block.
    tiles: usize,
    /// Distance between the 49 matrices of V, and of M.
    input_stride: usize,
    output_stride: usize,
    /// Positions of a strip's buffer in a row.
    strip_width: usize,
}

/// A multiple of a cache line, an odd one: so 49 writes at this distance meet different cache sets.
fn odd_lines(len: usize) -> usize {
    (len.div_ceil(16) | 1) * 16
}

/// Bytes of V and M that a block of strips may take: a share of the caches.
const BLOCK_BYTES: usize = 1 << 20;
/// A block has at least as many tiles, so that weights are not read for too few.
const LEAST_TILES: usize = 56;

impl Convolution<'_> {
    #[inline(always)]
    unsafe fn convolve<S: Simd, const M: usize>(mut self) {
        let [_, columns] = self.weights.scheme.tiles(self.d);
        let positions = self.io.y.positions();
        let top = positions.start / (M * self.d.output[1]);
        let rows = positions.end.div_ceil(M * self.d.output[1]) - top;
        let strips = self.io.count * rows;
        let channels = self.weights.channels.next_multiple_of(S::LANES);
        let filters = self.io.filters.len().next_multiple_of(self.weights.nr);
        let wanted = (BLOCK_BYTES / (VALUES * 4 * (channels + filters))).max(LEAST_TILES);
        let step = wanted.div_ceil(columns).min(strips);
        for first in (0..strips).step_by(step) {
            let block = first..strips.min(first + step);
            let tiles = block.len() * columns;
            let layout = Layout {
                columns,
                tiles,
                input_stride: odd_lines(channels * tiles),
                output_stride: odd_lines(filters * tiles),
                strip_width: M * columns + self.r - 1 + S::LANES,
            };
            let Buffers { strip, inputs, outputs, .. } = &mut *self.buffers;
            strip.at_least(POINTS * layout.strip_width * S::LANES + S::LANES * S::LANES);
            inputs.at_least(VALUES * layout.input_stride);
            outputs.at_least(VALUES * layout.output_stride);
            // SAFETY: the buffers hold what the layout says; the instruction set is the caller's promise.
            unsafe {
                for (i, s) in block.clone().enumerate() {
                    self.transform_inputs::<S, M>(&layout, s / rows, top + s % rows, i * columns);
                }
                self.multiply::<S>(&layout);
                for (i, s) in block.enumerate() {
                    self.transform_outputs::<S, M>(&layout, s / rows, top + s % rows, i * columns);
                }
            }
        }
    }

    /// V of one strip, whose first tile is number `tile` of the block.
    #[inline(always)]
    unsafe fn transform_inputs<S: Simd, const M: usize>(
        &mut self,
        l: &Layout,
        picture: usize,
        row: usize,
        tile: usize,
    ) {
        let width = M * l.columns + self.r - 1;
        for block in 0..self.weights.channels.div_ceil(S::LANES) {
            // SAFETY: positions stay inside the strip's buffer, whose rows are `strip_width` positions;
            // values stay inside V; the instruction set is the caller's promise.
            unsafe {
                self.gather::<S>(l, picture, row * M, block * S::LANES, width);
                let strip = self.buffers.strip.as_mut_ptr();
                let down = l.strip_width * S::LANES;
                for x in 0..width {
                    let at = strip.add(x * S::LANES);
                    let column = std::array::from_fn(|y| S::load(at.add(y * down)));
                    for (y, v) in input_transform(column).into_iter().enumerate() {
                        v.store(at.add(y * down));
                    }
                }
                let to = self.buffers.inputs.as_mut_ptr().add((block * l.tiles + tile) * S::LANES);
                for t in 0..l.columns {
                    for y in 0..POINTS {
                        let at = strip.add(y * down + t * M * S::LANES);
                        let line = std::array::from_fn(|x| S::load(at.add(x * S::LANES)));
                        let to = to.add(y * POINTS * l.input_stride + t * S::LANES);
                        for (x, v) in input_transform(line).into_iter().enumerate() {
                            v.store(to.add(x * l.input_stride));
                        }
                    }
                }
            }
        }
    }

    /// Channels `first..first + LANES` of seven rows from `top` on, all after folding, into the strip's
    /// buffer: position after position, zeros outside the picture.
    #[inline(always)]
    unsafe fn gather<S: Simd>(
        &mut self,
        l: &Layout,
        picture: usize,
        top: usize,
        first: usize,
        width: usize,
    ) {
        let d = self.d;
        let [height, in_width] = d.input;
        let [pad_y, pad_x] = d.window.pad;
        let stride = self.weights.scheme.stride;
        let channels = S::LANES.min(self.weights.channels - first);
        let x = &self.io.x[picture * d.input_len()..];
        let strip = self.buffers.strip.as_mut_ptr();
        for y in 0..POINTS {
            // SAFETY: see each branch.
            unsafe {
                let line = strip.add(y * l.strip_width * S::LANES);
                if stride == 1 && channels == S::LANES {
                    let Some(row) = (top + y).checked_sub(pad_y).filter(|row| *row < height) else {
                        zero::<S>(line, 0..width);
                        continue;
                    };
                    let end = (in_width + pad_x).min(width);
                    zero::<S>(line, 0..pad_x.min(width));
                    let plane = height * in_width;
                    for at in (pad_x..end).step_by(S::LANES) {
                        let from = first * plane + row * in_width + at - pad_x;
                        let to = line.add(at * S::LANES);
                        // Columns beyond the row belong to the next row and are overwritten below; the
                        // very last of x are not there.
                        if from + (S::LANES - 1) * plane + S::LANES <= x.len() {
                            S::transpose(x.as_ptr().add(from), plane, to, S::LANES);
                        } else {
                            for p in 0..S::LANES.min(end - at) {
                                for c in 0..S::LANES {
                                    *to.add(p * S::LANES + c) = x[from + c * plane + p];
                                }
                            }
                        }
                    }
                    zero::<S>(line, end..width);
                } else {
                    self.gather_folded::<S>(x, top + y, first, width, line);
                }
            }
        }
    }

    /// One line of the same from planes that are not the picture's: line by line, then transposed.
    #[inline(always)]
    unsafe fn gather_folded<S: Simd>(
        &mut self,
        x: &[f32],
        line: usize,
        first: usize,
        width: usize,
        to: *mut f32,
    ) {
        let Buffers { planes, .. } = &mut *self.buffers;
        let g = &self.weights.geometry;
        let pitch = width.next_multiple_of(S::LANES);
        let planes = planes.at_least(S::LANES * pitch);
        for (c, plane) in planes.chunks_exact_mut(pitch).enumerate() {
            g.padded_line(self.kernels, first + c, line, x, plane);
        }
        for at in (0..width).step_by(S::LANES) {
            // SAFETY: there are `LANES` planes of `pitch` values; the strip's line has room for `LANES`
            // positions more than `width`. The caller promises the instruction set.
            unsafe {
                S::transpose(planes.as_ptr().add(at), pitch, to.add(at * S::LANES), S::LANES)
            };
        }
    }

    /// M = V·U for each of the 49 points.
    #[inline(always)]
    unsafe fn multiply<S: Simd>(&mut self, l: &Layout) {
        let Weights { channels, filters, nr, .. } = *self.weights;
        let panels = filters.div_ceil(nr);
        let wanted = self.io.filters.start / nr..self.io.filters.end.div_ceil(nr);
        let height = l.tiles.div_ceil(l.tiles.div_ceil(S::TILE_ROWS));
        let passes = l.tiles.div_ceil(height);
        for point in 0..VALUES {
            for (q, panel) in wanted.clone().enumerate() {
                let b = &self.weights.values[(point * panels + panel) * channels * nr..];
                let b = &b[..channels * nr];
                let next = b.as_ptr_range().end;
                for t in (0..l.tiles).step_by(height) {
                    // SAFETY: V has `tiles` rows of `LANES` in each block of channels, M `tiles` rows of
                    // nr in each panel; the instruction set is the caller's promise.
                    unsafe {
                        let a = self.buffers.inputs.as_ptr();
                        let c = self.buffers.outputs.as_mut_ptr();
                        micro::tile::<S>(&Tile {
                            k: channels,
                            a: a.add(point * l.input_stride + t * S::LANES),
                            a_block: l.tiles * S::LANES,
                            b: b.as_ptr(),
                            c: c.add(point * l.output_stride + (q * l.tiles + t) * nr),
                            c_row: nr,
                            rows: height.min(l.tiles - t),
                            width: nr,
                            add: false,
                            bias: std::ptr::null(),
                            slope: 1.0,
                            ahead: Ahead::share(next, t / height, passes, channels, S::LANES),
                        });
                    }
                }
            }
        }
    }

    /// Outputs of one strip, whose first tile is number `tile` of the block.
    #[inline(always)]
    unsafe fn transform_outputs<S: Simd, const M: usize>(
        &mut self,
        l: &Layout,
        picture: usize,
        row: usize,
        tile: usize,
    ) {
        let filters = self.io.filters.len();
        let slope = self.io.relu.unwrap_or(1.0);
        for first in (0..filters).step_by(S::LANES) {
            let lanes = S::LANES.min(filters - first);
            let (panel, vector) = (first / self.weights.nr, first % self.weights.nr);
            // SAFETY: M has nr filters for each tile of each panel; the strip's buffer has room for M rows
            // of `strip_width` positions; the instruction set is the caller's promise.
            unsafe {
                let bias = match self.io.bias {
                    Some(bias) => S::load_first(bias[first..].as_ptr(), lanes),
                    None => S::splat(0.0),
                };
                let from = (panel * l.tiles + tile) * self.weights.nr + vector;
                let from = self.buffers.outputs.as_ptr().add(from);
                let strip = self.buffers.strip.as_mut_ptr();
                for t in 0..l.columns {
                    let from = from.add(t * self.weights.nr);
                    let mut half = [[S::splat(0.0); POINTS]; M];
                    for x in 0..POINTS {
                        let column = std::array::from_fn(|y| {
                            S::load(from.add((y * POINTS + x) * l.output_stride))
                        });
                        for (half, v) in half.iter_mut().zip(output_transform::<S, M>(column)) {
                            half[x] = v;
                        }
                    }
                    for (y, line) in half.into_iter().enumerate() {
                        let to = strip.add((y * l.strip_width + t * M) * S::LANES);
                        for (x, v) in output_transform::<S, M>(line).into_iter().enumerate() {
                            let v = v.add(bias);
                            let v = if slope == 1.0 { v } else { bend(v, slope) };
                            v.store(to.add(x * S::LANES));
                        }
                    }
                }
                self.scatter::<S, M>(l, picture, row * M, first, lanes);
            }
        }
    }

    /// The strip's buffer into rows from `top` on of filters `first..first + lanes`.
    #[inline(always)]
    unsafe fn scatter<S: Simd, const M: usize>(
        &mut self,
        l: &Layout,
        picture: usize,
        top: usize,
        first: usize,
        lanes: usize,
    ) {
        let d = self.d;
        let [height, width] = d.output;
        let plane = height * width;
        let strip = self.buffers.strip.as_mut_ptr();
        for (i, row) in (top..height.min(top + M)).enumerate() {
            for at in (0..width).step_by(S::LANES) {
                let count = S::LANES.min(width - at);
                let to = self.io.y.at(picture, first..first + lanes, row * width + at, count);
                // SAFETY: the buffer has `LANES` positions more than a row of tiles; `to` holds `count`
                // values in each of `lanes` planes; the square behind the strip is scratch.
                unsafe {
                    let from = strip.add((i * l.strip_width + at) * S::LANES);
                    if lanes == S::LANES && count == S::LANES {
                        S::transpose(from, S::LANES, to, plane);
                        continue;
                    }
                    let square = strip.add(POINTS * l.strip_width * S::LANES);
                    S::transpose(from, S::LANES, square, S::LANES);
                    for f in 0..lanes {
                        let to = to.add(f * plane);
                        S::load(square.add(f * S::LANES)).store_first(to, count);
                    }
                }
            }
        }
    }
}

/// Zeros at some positions of a line.
///
/// # Safety
/// As for [`Simd`]; the line must hold these positions.
#[inline(always)]
unsafe fn zero<S: Simd>(line: *mut f32, positions: Range<usize>) {
    for p in positions {
        // SAFETY: the caller's promise.
        unsafe { S::splat(0.0).store(line.add(p * S::LANES)) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::conv::{self, tests::dims};
    use super::super::planes::Planes;
    use super::super::table::available;
    use super::*;
    use crate::ops::Window;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        std::iter::repeat_with(next).take(n).collect()
    }

    /// The largest difference from the plain loop, over the largest output.
    fn error(kernels: &'static Kernels, d: &ConvDims, count: usize, relu: Option<f32>) -> f32 {
        let x = numbers(count * d.input_len(), 1);
        let (weights, bias) = (numbers(d.filters * d.patch_len(), 2), numbers(d.filters, 3));
        let mut want = vec![0.0; count * d.output_len()];
        for (x, y) in x.chunks(d.input_len()).zip(want.chunks_mut(d.output_len())) {
            conv::plain(d, x, &weights, Some(&bias), y);
            y.iter_mut().for_each(|v| *v = v.max(0.0) + relu.unwrap_or(1.0) * v.min(0.0));
        }
        let mut got = vec![9.0; want.len()];
        let work = &mut Workspace::new(kernels);
        let scheme = Scheme::of(d).unwrap();
        let out = d.filters / d.group;
        let group_len = out * d.patch_len();
        for g in 0..d.group {
            let weights = Weights::new(kernels, scheme, d, &weights[g * group_len..][..group_len]);
            let x = &x[g * d.input_len() / d.group..];
            let share = weights.share(2);
            for from in (0..out).step_by(share) {
                let filters = from..out.min(from + share);
                let bias = Some(&bias[g * out + from..]);
                let y = &mut got[(g * out + from) * d.positions()..];
                let y = Planes::new(y, d.positions(), d.output_len());
                fast(work, d, &weights, Pictures { count, x, group: g, filters, bias, relu, y });
            }
        }
        let largest = want.iter().fold(0f32, |a, v| a.max(v.abs()));
        want.iter().zip(&got).fold(0f32, |a, (w, g)| a.max((w - g).abs())) / largest
    }

    #[test]
    fn every_scheme_equals_the_plain_loop_on_tails() {
        let window = |k, s, p| Window { kernel: [k; 2], stride: [s; 2], pad: p, dilation: [1; 2] };
        for kernels in available() {
            for (d, count) in [
                (dims(3, 40, 1, [9, 11], window(3, 1, [1, 1])), 1),
                (dims(34, 66, 2, [13, 13], window(3, 1, [1, 1])), 3),
                (dims(32, 8, 1, [5, 19], window(5, 1, [2, 0])), 2),
                (dims(3, 16, 1, [35, 39], window(11, 4, [0, 0])), 2),
                (dims(4, 5, 1, [17, 16], window(7, 2, [3, 3])), 2),
                (dims(16, 33, 1, [8, 8], window(2, 1, [0, 1])), 1),
                (dims(16, 16, 1, [1, 1], window(3, 1, [1, 1])), 2),
                (dims(2, 3, 1, [4, 4], window(4, 1, [3, 3])), 2),
                (dims(16, 16, 1, [3, 40], window(3, 1, [7, 9])), 2),
            ] {
                for relu in [None, Some(0.0), Some(0.25)] {
                    let e = error(kernels, &d, count, relu);
                    assert!(e < 1e-5, "{} {d:?}: {e}", kernels.name());
                }
            }
        }
    }

    #[test]
    fn other_convolutions_have_no_scheme() {
        let w = Window { kernel: [3, 3], stride: [1, 1], pad: [0, 0], dilation: [1, 1] };
        let scheme = |w| Scheme::of(&dims(1, 1, 1, [16, 16], w));
        assert_eq!(scheme(w), Some(Scheme { m: 5, r: 3, stride: 1 }));
        assert_eq!(scheme(Window { kernel: [1, 1], ..w }), None);
        assert_eq!(scheme(Window { kernel: [6, 6], ..w }), None);
        assert_eq!(scheme(Window { kernel: [3, 1], ..w }), None);
        assert_eq!(scheme(Window { dilation: [2, 2], ..w }), None);
        assert_eq!(scheme(Window { stride: [2, 1], ..w }), None);
    }

    /// A product of integers comes out exact at small integers: 1·1 + 2·2 + 3·3 over three taps.
    #[test]
    fn a_tile_by_hand() {
        let w = Window { kernel: [3, 3], stride: [1, 1], pad: [0, 0], dilation: [1, 1] };
        let d = dims(1, 1, 1, [3, 3], w);
        let x: Vec<f32> = (1..=9).map(|v| v as f32).collect();
        let kernels = &available()[0];
        let weights = Weights::new(kernels, Scheme::of(&d).unwrap(), &d, &x);
        let mut y = [0.0];
        let io = Pictures {
            count: 1,
            x: &x,
            group: 0,
            filters: 0..1,
            bias: None,
            relu: None,
            y: Planes::new(&mut y, 1, 1),
        };
        fast(&mut Workspace::new(kernels), &d, &weights, io);
        assert!((y[0] - 285.0).abs() < 1e-3, "{}", y[0]);
    }
}
