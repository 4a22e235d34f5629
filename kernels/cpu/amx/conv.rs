//! Direct convolution in tiles: weights on the left, laid-out pictures on the right.

use super::detect::Configured;
use super::micro::{self, Operands, Shape, Sums};
use super::pack::{PANEL, Rows, split16};
use super::{Line, PARTS, SIDE, STEP, TILE, ZEROS};
use crate::cpu::conv::Pictures;
use crate::cpu::geometry::{Block, Geometry, Segment, Strip};
use crate::cpu::micro::bend;
use crate::cpu::table::Kernels;
use crate::memory::Buffer as Memory;
use crate::ops::ConvDims;
use std::arch::x86_64::*;
use std::ops::Range;

/// The filters of a convolution, and how they meet a picture.
pub struct Filters {
    groups: Vec<Rows>,
    geometry: Geometry,
    dims: ConvDims,
}

impl Filters {
    /// Packs filters `(filters, channels / group, kh, kw)`.
    ///
    /// # Panics
    /// When there are not as many weights.
    pub fn new(d: &ConvDims, weights: &[f32]) -> Self {
        assert_eq!(weights.len(), d.filters * d.patch_len());
        let geometry = Geometry::new(d, 2, SIDE);
        let filters = d.filters / d.group;
        let pack = |weights: &[f32]| {
            Rows::new(filters, geometry.rows / SIDE, |row, step, values| {
                let filter = &weights[row * d.patch_len()..][..d.patch_len()];
                let taps = geometry.taps[step * STEP..].iter();
                for (value, tap) in values.iter_mut().zip(taps) {
                    *value = tap.map_or(0.0, |t| filter[t]);
                }
            })
        };
        let groups = weights.chunks_exact(filters * d.patch_len()).map(pack).collect();
        Self { groups, geometry, dims: *d }
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        self.groups.iter().map(Rows::bytes).sum()
    }

    /// Which values meet which weights.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// How many filters of a group a share must have so that `parts` shares, each beginning at a panel,
    /// hold all.
    pub fn share(&self, parts: usize) -> usize {
        self.groups[0].rows().div_ceil(PANEL).div_ceil(parts) * PANEL
    }

    /// Some filters and lines of one group of some pictures, one thread.
    ///
    /// # Panics
    /// When a slice is too short, or the kernels have no tiles.
    pub fn convolve(&self, kernels: &Kernels, mut io: Pictures, buffer: &mut Buffer) {
        let amx = kernels.amx().expect("tiles");
        let (d, g) = (&self.dims, &self.geometry);
        io.check(d);
        let weights = &self.groups[io.group];
        assert!(io.filters.start.is_multiple_of(PANEL));
        let block = g.block(io.count, BUDGET / PARTS, SIDE);
        // Lines of memory that the words of one part take.
        let part = g.words(&block) / SIDE;
        let Buffer { lines: memory, padded, spare } = buffer;
        let memory = memory.at_least(part * PARTS);
        padded.prepare(g, &block);
        let configured = Configured::new(amx);
        let wanted = g.lines_of(io.y.positions());
        for first in (0..io.count).step_by(block.pictures) {
            let pictures = first..io.count.min(first + block.pictures);
            let strips = block.strips(pictures.len(), g.dims.output[1]);
            for line in wanted.clone().step_by(block.lines) {
                let lines = line..wanted.end.min(line + block.lines);
                let count = g.lines(&lines).len();
                for (i, line) in g.lines(&lines).enumerate() {
                    let beyond = if i + 1 == count { g.rows - g.reach * g.line_rows() } else { 0 };
                    // SAFETY: the machine has AVX-512 if it has tiles.
                    unsafe {
                        for (i, p) in pictures.clone().enumerate() {
                            padded.read(kernels, g, line, i, io.picture(d, p), spare);
                        }
                        for (s, strip) in strips.iter().enumerate() {
                            let at = g.sum_at(&block, s, i) / SIDE;
                            for (n, part) in memory.chunks_exact_mut(part).enumerate() {
                                padded.lay_out(g, n, strip, &mut part[at..], beyond);
                            }
                        }
                    }
                }
                let product = Product {
                    geometry: g,
                    block: &block,
                    strips: &strips,
                    memory,
                    part,
                    weights,
                    first,
                    lines,
                };
                product.run(&configured, &mut io);
            }
        }
    }
}

/// Words of laid-out pictures that are multiplied with all filters before the next: a share of the
/// second-level cache, which is 2 MiB in every processor with tiles.
pub const BUDGET: usize = 320 << 10;

/// Values of a plane that are asked for ahead of their use.
const AHEAD: usize = 512;

/// Memory that a thread keeps between convolutions.
#[derive(Default)]
pub struct Buffer {
    lines: Memory<Line>,
    padded: Padded,
    spare: [Memory<f32>; 2],
}

/// One group's filters over a block of laid-out pictures.
struct Product<'a> {
    geometry: &'a Geometry,
    block: &'a Block,
    strips: &'a [Strip],
    memory: &'a [Line],
    /// Lines of memory of a part.
    part: usize,
    weights: &'a Rows,
    /// The first picture.
    first: usize,
    /// Output lines.
    lines: Range<usize>,
}

/// A strip's number, the strip, and its output line.
type Place<'a> = (usize, &'a Strip, usize);

impl Product<'_> {
    fn run(&self, configured: &Configured, io: &mut Pictures) {
        // Strips of all lines, two at a time. Neighbouring lines of a strip share what they read, if a window
        // reaches several lines; else neighbouring strips of a line share the cache lines that they write.
        let strips = self.strips.iter().enumerate();
        let places = |(s, strip)| self.lines.clone().map(move |line| (s, strip, line));
        let mut places: Vec<Place> = strips.flat_map(places).collect();
        if self.geometry.reach == 1 {
            places.sort_by_key(|(_, _, line)| *line);
        }
        // Sums are written while the next are computed, so that the tiles need not wait for it.
        let [mut next, mut last] = [&mut Sums::ZERO.clone(), &mut Sums::ZERO.clone()];
        let mut computed: Option<(&[Place], Range<usize>)> = None;
        for first in io.filters.clone().step_by(PANEL) {
            let filters = first..io.filters.end.min(first + PANEL);
            let from = first - io.filters.start;
            let start = io.bias.map(|b| Sums::of_rows(&b[from..][..filters.len()]));
            for pair in places.chunks(2) {
                self.multiply(configured, first / PANEL, pair, start.as_ref(), next);
                if let Some((pair, filters)) = computed.replace((pair, filters.clone())) {
                    self.write(last, pair, &filters, io);
                }
                std::mem::swap(&mut next, &mut last);
            }
        }
        if let Some((pair, filters)) = computed {
            self.write(last, pair, &filters, io);
        }
    }

    /// A panel of filters times one or two strips, added to `start`.
    fn multiply(
        &self,
        configured: &Configured,
        panel: usize,
        pair: &[Place],
        start: Option<&Sums>,
        sums: &mut Sums,
    ) {
        let words = |(s, _, line): &Place| {
            let at = self.geometry.sum_at(self.block, *s, line - self.lines.start);
            self.memory[at / SIDE..].as_ptr().cast::<u8>()
        };
        let operands = Operands {
            steps: self.weights.steps(),
            a: self.weights.panel(panel, 0),
            b: [words(&pair[0]), words(&pair[pair.len() - 1])],
            b_second: (PARTS - 1) * self.part * size_of::<Line>(),
            b_step: TILE,
            stream: 0,
        };
        let shape = Shape { rows: self.weights.tiles(panel), columns: pair.len() };
        let start = start.map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the panel holds all steps, and so does each strip from each of its lines on.
        unsafe { micro::tile(configured, shape, &operands, start, sums) };
    }

    /// Sums, bent by ReLU, into the outputs of one or two strips.
    fn write(&self, sums: &Sums, pair: &[Place], filters: &Range<usize>, io: &mut Pictures) {
        let (d, rows) = (&self.geometry.dims, filters.len());
        for (column, (_, strip, line)) in pair.iter().enumerate() {
            for Segment { lane, count, picture, column: x } in *strip {
                let planes = filters.start - io.filters.start..filters.end - io.filters.start;
                let position = line * d.output[1] + x;
                let mut y = io.y.at(self.first + picture, planes, position, *count);
                assert!(lane + count <= SIDE);
                let lanes = ((1u32 << count) - 1) as __mmask16;
                for tile in 0..rows.div_ceil(SIDE) {
                    let rows = SIDE.min(rows - tile * SIDE);
                    let sums = sums.0[2 * tile + column][..rows].as_ptr().cast::<f32>();
                    // SAFETY: the segment's lanes lie inside each row of sums, and inside y. The machine has
                    // AVX-512 if it has tiles.
                    unsafe {
                        let sums = sums.add(*lane);
                        match io.relu {
                            None => write(rows, sums, lanes, y, d.positions(), |v| v),
                            Some(slope) => {
                                write(rows, sums, lanes, y, d.positions(), |v| bend(v, slope));
                            }
                        }
                    }
                    y = y.wrapping_add(rows * d.positions());
                }
            }
        }
    }
}

/// Some lanes of rows of sums, bent, into rows that are `row` apart.
///
/// # Safety
/// These lanes must be readable in rows 16 apart from `sums` on, and writable in those of `y`.
#[target_feature(enable = "avx512f")]
unsafe fn write(
    rows: usize,
    sums: *const f32,
    lanes: __mmask16,
    y: *mut f32,
    row: usize,
    bend: impl Fn(__m512) -> __m512,
) {
    for i in 0..rows {
        // SAFETY: the caller's promise.
        unsafe {
            let v = _mm512_maskz_loadu_ps(lanes, sums.add(i * SIDE));
            _mm512_mask_storeu_ps(y.add(i * row), lanes, bend(v));
        }
    }
}

/// Words of one padded line of all groups of planes of all pictures of a block, part by part.
#[derive(Default)]
struct Padded {
    words: Memory<u32>,
    /// From one group to the next.
    pitch: usize,
    /// From one part to the next.
    part: usize,
}

impl Padded {
    /// Makes room; padding is zero from now on.
    fn prepare(&mut self, g: &Geometry, b: &Block) {
        // Vectors hang over on both sides.
        self.pitch = (g.width() + 2 * SIDE).next_multiple_of(SIDE);
        self.part = b.pictures * g.groups() * self.pitch;
        self.words.at_least(self.part * PARTS).fill(0);
    }

    /// Reads a line of the picture that is number `i` of the block.
    #[target_feature(enable = "avx512f")]
    fn read(
        &mut self,
        kernels: &Kernels,
        g: &Geometry,
        line: usize,
        i: usize,
        x: &[f32],
        spare: &mut [Memory<f32>; 2],
    ) {
        let d_plane = g.dims.input[0] * g.dims.input[1];
        let [even_spare, odd_spare] = spare;
        let groups_ahead = (AHEAD / g.width()).clamp(1, 8);
        let (first, second) = self.words.split_at_mut(self.part);
        for group in 0..g.groups() {
            let at = (i * g.groups() + group) * self.pitch + SIDE;
            let range = at + g.pad()..at + g.width();
            let even = g.line(kernels, 2 * group, line, x, even_spare);
            let odd = g.line(kernels, 2 * group + 1, line, x, odd_spare);
            // The planes lie too far apart for the processor to see that they follow one another.
            for ahead in [even, odd] {
                let from = ahead.as_ptr().wrapping_add(groups_ahead * 2 * d_plane);
                for at in (0..ahead.len() + SIDE).step_by(SIDE) {
                    _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(at).cast());
                }
            }
            interleave([even, odd], &mut first[range.clone()], &mut second[range]);
        }
    }

    /// One line of a strip: a row of words for each group of planes under each shift, then `beyond` rows of
    /// zeros.
    #[target_feature(enable = "avx512f")]
    fn lay_out(&self, g: &Geometry, part: usize, strip: &Strip, to: &mut [Line], beyond: usize) {
        let (rows, rest) = to.split_at_mut(g.line_rows());
        rest[..beyond].fill(ZEROS);
        let words = &self.words[part * self.part..][..self.part];
        // For each segment its lanes, and where lane 0 of the first row would be.
        let mut sources = [(0 as __mmask16, 0); SIDE];
        for (source, Segment { lane, count, picture, column }) in sources.iter_mut().zip(strip) {
            let lanes = (1u32 << (lane + count)) - (1 << lane);
            let line = picture * g.groups() * self.pitch + SIDE;
            let last = line + (g.groups() - 1) * self.pitch + g.width();
            assert!(column + count + g.shifts.last().unwrap_or(&0) <= g.width());
            assert!(lane + count <= SIDE && last <= words.len());
            *source = (lanes as __mmask16, line + column - lane);
        }
        let sources = &sources[..strip.len()];
        for (shift, rows) in g.shifts.iter().zip(rows.chunks_exact_mut(g.groups())) {
            for (group, row) in rows.iter_mut().enumerate() {
                let at = group * self.pitch + shift;
                let mut v = _mm512_setzero_si512();
                for (lanes, from) in sources {
                    // SAFETY: the lanes are columns of a padded line of this picture and group.
                    unsafe {
                        let from = words.as_ptr().add(at + from).cast();
                        v = _mm512_mask_loadu_epi32(v, *lanes, from);
                    }
                }
                // SAFETY: a line of memory is sixteen words.
                unsafe { _mm512_store_epi32(row.0.as_mut_ptr().cast(), v) };
            }
        }
    }
}

/// Words of two rows of values, zeros behind their ends; and their second parts.
#[target_feature(enable = "avx512f")]
fn interleave(rows: [&[f32]; 2], first: &mut [u32], second: &mut [u32]) {
    let count = first.len();
    assert_eq!(second.len(), count);
    for at in (0..count).step_by(SIDE) {
        let lanes = |len: usize| ((1u32 << len.saturating_sub(at).min(SIDE)) - 1) as __mmask16;
        // SAFETY: lanes beyond the end of a slice are neither read nor written.
        unsafe {
            let load = |row: &[f32]| {
                let from = row.as_ptr().wrapping_add(at);
                split16(_mm512_maskz_loadu_ps(lanes(row.len()), from))
            };
            let [even, odd] = rows.map(load);
            let word = |i: usize| _mm512_or_si512(_mm512_srli_epi32::<16>(even[i]), odd[i]);
            for (i, part) in [&mut *first, &mut *second].into_iter().enumerate() {
                let to = part.as_mut_ptr().add(at).cast();
                _mm512_mask_storeu_epi32(to, lanes(count), word(i));
            }
        }
    }
}
