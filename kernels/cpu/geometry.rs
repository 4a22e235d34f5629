//! How a direct convolution lays out its pictures, so that every sum is a matrix product over operands that
//! follow one another in memory.
//!
//! Flows in: the sizes of a convolution. Flows out: [`Geometry`], which values lie where and which weights
//! they meet; [`Block`], how many pictures and lines are laid out at a time; [`Strip`], where a strip's
//! values come from and its outputs go.
//!
//! ```text
//! strip          some outputs of a line that are computed together, lane by lane
//!   line y       of the padded picture, for every output line whose window reaches it
//!     row (kx, c)   what tap kx of channel c meets: one word for each lane
//! ```
//!
//! Output line y sums the rows of lines y to y + kh − 1, which follow one another: a panel of a matrix
//! product's right-hand side, laid out kw times as large as the picture instead of kw·kh times. Lines of
//! several pictures lie side by side, so that the last strip of a line is not left half empty.
//!
//! A convolution with stride s is one with stride 1 over the s² pictures that hold every s-th value: each
//! of them is a *plane* of its own. A word is one value, or a pair for processors that multiply pairs.

use super::simd::{Simd, SimdOp};
use super::table::Kernels;
use crate::memory::Buffer;
use crate::ops::ConvDims;
use std::ops::Range;

/// Which values meet which weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// The convolution; a pointwise one with lines of another length.
    pub dims: ConvDims,
    /// Values of a word, from neighbouring planes.
    unit: usize,
    planes: Vec<Plane>,
    /// How far apart the taps of a window lie horizontally.
    pub shifts: Vec<usize>,
    /// Lines that a window reaches.
    pub reach: usize,
    /// Rows of all steps of a sum.
    pub rows: usize,
    /// Which weight of a filter each value of each row of a sum meets.
    pub taps: Vec<Option<usize>>,
}

/// Every s-th value of a channel, from an offset on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plane {
    /// Channel within its group.
    channel: usize,
    /// First line and column, in the padded picture.
    phase: [usize; 2],
}

/// Lines into which so many positions are cut that know no neighbours, and positions of a line: not so long
/// that a line of all channels leaves the cache, and few of their lanes empty.
fn lines(positions: usize) -> [usize; 2] {
    let possible = (1..=positions).filter(|n| positions.is_multiple_of(*n));
    let lens = possible.map(|n| positions / n).filter(|len| *len <= LINE);
    let waste = |len: &usize| len.next_multiple_of(LANES) * 64 / len;
    let len = lens.min_by_key(waste).unwrap_or(1);
    [positions / len, len]
}

/// Positions of a line of a pointwise convolution, at most.
const LINE: usize = 512;

/// Lanes of a vector, as far as the length of a line needs to know.
const LANES: usize = 16;

impl Geometry {
    /// For words of `unit` values and sums of a multiple of `step` rows.
    pub fn new(d: &ConvDims, unit: usize, step: usize) -> Self {
        let mut dims = *d;
        if d.is_pointwise() {
            dims.input = lines(d.positions());
            dims.output = dims.input;
        }
        let w = &dims.window;
        let unique = |axis: usize, f: fn(usize, usize) -> usize| {
            let taps = (0..w.kernel[axis]).map(|k| f(k * w.dilation[axis], w.stride[axis]));
            let mut found: Vec<usize> = taps.collect();
            found.sort_unstable();
            found.dedup();
            found
        };
        let phases = [0, 1].map(|axis| unique(axis, |at, stride| at % stride));
        let mut planes = vec![];
        for channel in 0..dims.channels / dims.group {
            for &y in &phases[0] {
                planes.extend(phases[1].iter().map(|&x| Plane { channel, phase: [y, x] }));
            }
        }
        let shifts = unique(1, |at, stride| at / stride);
        let reach = (w.kernel[0] - 1) * w.dilation[0] / w.stride[0] + 1;
        let mut g = Self { dims, unit, planes, shifts, reach, rows: 0, taps: vec![] };
        g.rows = (reach * g.line_rows()).next_multiple_of(step);
        g.taps = (0..g.rows * unit).map(|i| g.weight_index(i / unit, i % unit)).collect();
        g
    }

    /// Which weight of a filter value `i` of a row of a sum meets, if any.
    fn weight_index(&self, row: usize, i: usize) -> Option<usize> {
        let w = &self.dims.window;
        let (line, row) = (row / self.line_rows(), row % self.line_rows());
        let (shift, group) = (row / self.groups(), row % self.groups());
        let plane = self.planes.get(group * self.unit + i).filter(|_| line < self.reach)?;
        let tap = |axis: usize, shift: usize| {
            let at = shift * w.stride[axis] + plane.phase[axis];
            let tap = at / w.dilation[axis];
            (at.is_multiple_of(w.dilation[axis]) && tap < w.kernel[axis]).then_some(tap)
        };
        let (y, x) = (tap(0, line)?, tap(1, self.shifts[shift])?);
        Some((plane.channel * w.kernel[0] + y) * w.kernel[1] + x)
    }

    /// Values of a word.
    pub fn unit(&self) -> usize {
        self.unit
    }

    /// Groups of planes that share words.
    pub fn groups(&self) -> usize {
        self.planes.len().div_ceil(self.unit)
    }

    /// Rows of a line: each group of planes under each shift.
    pub fn line_rows(&self) -> usize {
        self.shifts.len() * self.groups()
    }

    /// Values of a padded line of a plane.
    pub fn width(&self) -> usize {
        self.dims.output[1] + self.shifts.last().unwrap_or(&0)
    }

    /// How to go through `count` pictures so that what is laid out takes about `budget` words, in strips
    /// of `lanes` outputs.
    pub fn block(&self, count: usize, budget: usize, lanes: usize) -> Block {
        let [out_h, out_w] = self.dims.output;
        // As few as leave few lanes empty: every seam between pictures costs.
        let strips = |pictures: usize| (pictures * out_w).div_ceil(lanes);
        let waste =
            |pictures: &usize| (strips(*pictures) * lanes) as f64 / (pictures * out_w) as f64;
        let fits = |pictures: &usize| strips(*pictures) * lanes * self.rows <= budget;
        let possible = (1..=count.clamp(1, lanes)).take_while(fits);
        let full = possible.clone().find(|n| waste(n) <= FEW_EMPTY);
        let fullest = || possible.min_by(|a, b| waste(a).total_cmp(&waste(b)));
        let pictures = full.or_else(fullest).unwrap_or(1);
        let strips = strips(pictures);
        let lines = (budget / (strips * lanes)).saturating_sub(self.rows) / self.line_rows() + 1;
        Block { pictures, lines: lines.min(out_h), strips, lanes }
    }

    /// Rows of a strip: those of its lines, and those that the last sums read beyond them. These meet no
    /// weights, but must be numbers.
    pub fn strip_rows(&self, b: &Block) -> usize {
        (b.lines - 1) * self.line_rows() + self.rows
    }

    /// Words that a block takes.
    pub fn words(&self, b: &Block) -> usize {
        b.strips * self.strip_rows(b) * b.lanes
    }

    /// Where the words of a sum begin: of the outputs of a strip in a line of the block.
    pub fn sum_at(&self, b: &Block, strip: usize, line: usize) -> usize {
        (strip * self.strip_rows(b) + line * self.line_rows()) * b.lanes
    }

    /// Lines of padded pictures that some output lines need.
    pub fn lines(&self, outputs: &Range<usize>) -> Range<usize> {
        outputs.start..outputs.end + self.reach - 1
    }

    /// How many positions a share of a plane must have so that `parts` shares hold all and each has several
    /// times the lines that it shares with others.
    pub fn stretch(&self, parts: usize) -> Option<usize> {
        let [lines, len] = self.dims.output;
        let share = lines.div_ceil(parts);
        (share < lines && share >= 2 * self.reach).then_some(share * len)
    }

    /// Output lines that hold these positions, which begin and end with a line.
    pub fn lines_of(&self, positions: Range<usize>) -> Range<usize> {
        let len = self.dims.output[1];
        assert!(positions.start.is_multiple_of(len) && positions.end.is_multiple_of(len));
        positions.start / len..positions.end / len
    }

    /// Zeros before what [`Geometry::line`] gives; as many as the line needs follow it.
    pub fn pad(&self) -> usize {
        if self.strided() { 0 } else { self.dims.window.pad[1].min(self.width()) }
    }

    /// Values that are neighbours in a line of a plane are not in the picture.
    fn strided(&self) -> bool {
        self.dims.window.stride[1] > 1
    }

    /// A line of a plane of the picture `x`, without its padding: nothing if all of it is padding, or if
    /// there is no such plane. Values that are not neighbours in `x` are gathered in `spare`.
    #[inline]
    pub fn line<'a>(
        &self,
        kernels: &Kernels,
        plane: usize,
        line: usize,
        x: &'a [f32],
        spare: &'a mut Buffer<f32>,
    ) -> &'a [f32] {
        if self.strided() {
            let spare = spare.at_least(self.width());
            self.padded_line(kernels, plane, line, x, spare);
            return spare;
        }
        let count = self.dims.input[1].min(self.width() - self.pad());
        let row = self.planes.get(plane).and_then(|plane| self.row(plane, line));
        row.map_or(&[], |row| &x[row..row + count])
    }

    /// The same with its padding, and zeros as far as `to` goes on.
    pub fn padded_line(
        &self,
        kernels: &Kernels,
        plane: usize,
        line: usize,
        x: &[f32],
        to: &mut [f32],
    ) {
        let mut op =
            Spread { from: &[], stride: self.dims.window.stride[1], first: 0, count: 0, to };
        let plane = self.planes.get(plane);
        if let Some((plane, row)) = plane.and_then(|p| Some((p, self.row(p, line)?))) {
            let (pad, phase) = (self.dims.window.pad[1], plane.phase[1]);
            op.first = pad.saturating_sub(phase).div_ceil(op.stride).min(op.to.len());
            let column = op.first * op.stride + phase - pad;
            let inside = self.dims.input[1].saturating_sub(column).div_ceil(op.stride);
            op.count = inside.min(self.width().min(op.to.len()).saturating_sub(op.first));
            op.from = if op.count > 0 { &x[row + column..] } else { &[] };
        }
        kernels.run(op);
    }

    /// Where the row of the picture that a line of a plane comes from begins; nothing for padding.
    #[inline]
    fn row(&self, plane: &Plane, line: usize) -> Option<usize> {
        let ([height, width], w) = (self.dims.input, &self.dims.window);
        let row = (line * w.stride[0] + plane.phase[0]).checked_sub(w.pad[0])?;
        (row < height).then_some((plane.channel * height + row) * width)
    }
}

/// Writes `count` values, `stride` apart in `from`, from place `first` on, and zeros around them.
struct Spread<'a> {
    from: &'a [f32],
    stride: usize,
    first: usize,
    count: usize,
    to: &'a mut [f32],
}

impl SimdOp for Spread<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { from, stride, first, count, to } = self;
        let read = S::LANES * stride;
        for at in (0..to.len()).step_by(S::LANES) {
            // SAFETY: so many values from `at` on lie inside `to`; the caller promises the set.
            unsafe {
                S::splat(0.0).store_first(to.as_mut_ptr().add(at), S::LANES.min(to.len() - at));
            }
        }
        let to = &mut to[first..][..count];
        for at in (0..count).step_by(S::LANES) {
            let lanes = S::LANES.min(count - at);
            let from = &from[at * stride..];
            if !matches!(stride, 1 | 2 | 4) || from.len() < read {
                let values = from.iter().step_by(stride);
                to[at..at + lanes].iter_mut().zip(values).for_each(|(to, v)| *to = *v);
                continue;
            }
            // SAFETY: `from` holds `read` values, `to` has room for `lanes` from `at` on; the caller
            // promises the instruction set.
            unsafe {
                let load = |i: usize| S::load(from.as_ptr().add(i * S::LANES));
                let values = match stride {
                    1 => load(0),
                    2 => load(0).even(load(1)),
                    _ => load(0).even(load(1)).even(load(2).even(load(3))),
                };
                values.store_first(to.as_mut_ptr().add(at), lanes);
            }
        }
    }
}

/// Lanes of all strips by lanes that have an output: with less no more pictures are put side by side.
const FEW_EMPTY: f64 = 1.25;

/// What is laid out at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Pictures side by side.
    pub pictures: usize,
    /// Output lines.
    pub lines: usize,
    /// Strips of a line.
    pub strips: usize,
    /// Lanes of a strip.
    pub lanes: usize,
}

/// Neighbouring outputs of one line of one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The first's number within its strip.
    pub lane: usize,
    /// How many.
    pub count: usize,
    /// Picture within the block.
    pub picture: usize,
    /// The first's column.
    pub column: usize,
}

/// What the lanes of a strip are.
pub type Strip = Vec<Segment>;

impl Block {
    /// The strips of a line of `count` pictures, no more than the block's.
    pub fn strips(&self, count: usize, out_w: usize) -> Vec<Strip> {
        let outputs = count.min(self.pictures) * out_w;
        let segments = |from: usize| {
            let mut found = vec![];
            let mut at = from;
            while at < outputs.min(from + self.lanes) {
                let (picture, column) = (at / out_w, at % out_w);
                let count = (out_w - column).min(from + self.lanes - at);
                found.push(Segment { lane: at - from, count, picture, column });
                at += count;
            }
            found
        };
        (0..outputs).step_by(self.lanes).map(segments).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::conv::{self, tests::dims};
    use super::super::table::available;
    use super::*;
    use crate::ops::Window;

    fn padded_line(k: &Kernels, g: &Geometry, plane: usize, line: usize, x: &[f32]) -> Vec<f32> {
        let mut padded = vec![0.0; g.pad()];
        padded.extend(g.line(k, plane, line, x, &mut Buffer::default()));
        padded.resize(g.width(), 0.0);
        padded
    }

    /// A convolution by nothing but a geometry, word by word.
    fn by_words(
        kernels: &Kernels,
        g: &Geometry,
        b: &Block,
        count: usize,
        x: &[f32],
        filter: &[f32],
    ) -> Vec<f32> {
        let (out_h, out_w) = (g.dims.output[0], g.dims.output[1]);
        let picture = |p: usize| &x[p * g.dims.input_len()..][..g.dims.input_len()];
        let mut out = vec![f32::NAN; count * out_h * out_w];
        for first in (0..count).step_by(b.pictures) {
            let pictures = first..count.min(first + b.pictures);
            let strips = b.strips(pictures.len(), out_w);
            assert!(strips.len() <= b.strips);
            for line in (0..out_h).step_by(b.lines) {
                let lines = line..out_h.min(line + b.lines);
                let mut words = vec![[0f32; 2]; g.words(b)];
                for (i, line) in g.lines(&lines).enumerate() {
                    let segments = strips.iter().enumerate();
                    let segments =
                        segments.flat_map(|(s, strip)| strip.iter().map(move |g| (s, g)));
                    for (s, segment) in segments {
                        let x = picture(first + segment.picture);
                        for plane in 0..g.groups() * g.unit {
                            let padded = padded_line(kernels, g, plane, line, x);
                            for (shift, columns) in g.shifts.iter().enumerate() {
                                let row = shift * g.groups() + plane / g.unit;
                                let at = g.sum_at(b, s, i) + row * b.lanes + segment.lane;
                                for c in 0..segment.count {
                                    let value = padded[segment.column + c + columns];
                                    words[at + c][plane % g.unit] = value;
                                }
                            }
                        }
                    }
                }
                for line in lines.clone() {
                    for (s, segment) in strips
                        .iter()
                        .enumerate()
                        .flat_map(|(s, strip)| strip.iter().map(move |segment| (s, segment)))
                    {
                        for i in 0..segment.count {
                            let at = g.sum_at(b, s, line - lines.start) + segment.lane + i;
                            let mut sum = 0.0;
                            for (r, taps) in g.taps.chunks(g.unit).enumerate() {
                                for (tap, v) in taps.iter().zip(words[at + r * b.lanes]) {
                                    sum += tap.map_or(0.0, |t| filter[t] * v);
                                }
                            }
                            let p = first + segment.picture;
                            out[(p * out_h + line) * out_w + segment.column + i] = sum;
                        }
                    }
                }
            }
        }
        out
    }

    #[test]
    fn every_output_finds_its_operands() {
        let window = |kernel, stride, pad, dilation| Window { kernel, stride, pad, dilation };
        for d in [
            dims(3, 1, 1, [7, 9], window([3, 2], [2, 1], [1, 0], [1, 1])),
            dims(3, 1, 1, [35, 163], window([11, 11], [4, 4], [0, 0], [1, 1])),
            dims(5, 1, 1, [13, 13], window([3, 3], [1, 1], [1, 1], [1, 1])),
            dims(2, 1, 1, [11, 8], window([3, 3], [1, 2], [2, 3], [2, 1])),
            dims(4, 1, 1, [12, 14], window([3, 3], [2, 2], [2, 2], [1, 2])),
            dims(33, 1, 1, [7, 7], window([1, 1], [1, 1], [0, 0], [1, 1])),
            dims(3, 1, 1, [9, 9], window([1, 1], [2, 2], [0, 0], [1, 1])),
            dims(2, 1, 1, [5, 6], window([5, 5], [1, 1], [4, 6], [1, 1])),
            dims(1, 1, 1, [1, 1], window([3, 3], [1, 1], [1, 1], [1, 1])),
        ] {
            let count = 3;
            let number = |i: usize| (i * 37 % 64) as f32 - 31.0;
            let x: Vec<f32> = (0..count * d.input_len()).map(number).collect();
            let filter: Vec<f32> = (0..d.patch_len()).map(|i| (i * 11 % 16) as f32 - 7.0).collect();
            let mut want = vec![0.0; count * d.positions()];
            for (x, y) in x.chunks(d.input_len()).zip(want.chunks_mut(d.positions())) {
                conv::plain(&d, x, &filter, None, y);
            }
            for (unit, step) in [(1, 1), (2, 16)] {
                let g = Geometry::new(&d, unit, step);
                assert!(g.rows.is_multiple_of(step) && g.taps.len() == g.rows * unit);
                let [out_h, out_w] = g.dims.output;
                let odd = Block { pictures: 2, lines: 2.min(out_h), strips: out_w, lanes: 7 };
                let fitting = [0, 3000, usize::MAX / 2].map(|budget| g.block(count, budget, 8));
                for block in fitting.into_iter().chain([odd]) {
                    for kernels in available() {
                        let got = by_words(kernels, &g, &block, count, &x, &filter);
                        assert_eq!(want, got, "{} {d:?} {block:?}", kernels.name());
                    }
                }
            }
        }
    }

    #[test]
    fn blocks_avoid_waste_and_stay_in_their_budget() {
        let w = Window { kernel: [3, 3], stride: [1, 1], pad: [1, 1], dilation: [1, 1] };
        let g = Geometry::new(&dims(256, 384, 1, [13, 13], w), 2, 16);
        let b = g.block(32, 160 << 10, 16);
        assert_eq!(b, Block { pictures: 1, lines: 13, strips: 1, lanes: 16 });
        assert!(g.words(&b) <= 160 << 10);
        let small = Geometry::new(&dims(256, 384, 1, [7, 7], w), 2, 16);
        assert_eq!(small.block(8, 160 << 10, 16).pictures, 2);
        assert_eq!(small.block(1, 160 << 10, 16).pictures, 1);
        assert!(g.block(32, 40 << 10, 16).lines < 13);
    }
}
