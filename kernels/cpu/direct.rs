//! Direct convolution: a matrix product that reads lines of the picture in place, instead of patches.
//!
//! Flows in: pictures `(channels, h, w)` and filters packed once ([`Filters`]). Flows out: pictures
//! `(filters, out_h, out_w)`. `geometry` says what lies where; the loop is that of every matrix product
//! (`micro`).

use super::conv::Pictures;
use super::gemm::{Matrix, Workspace};
use super::geometry::{Block, Geometry, Segment, Strip};
use super::micro::{self, Ahead, Tile};
use super::panels::{PackedRows, Panels};
use super::simd::{Simd, SimdOp, TILE_VECTORS};
use super::table::Kernels;
use crate::ops::ConvDims;
use std::ops::Range;

/// Filters, group by group, and how they meet a picture.
pub struct Filters {
    groups: Vec<PackedRows>,
    geometry: Geometry,
    dims: ConvDims,
}

impl Filters {
    /// Packs filters `(filters, channels / group, kh, kw)`.
    ///
    /// # Panics
    /// When there are not as many weights.
    pub fn new(kernels: &Kernels, d: &ConvDims, weights: &[f32]) -> Self {
        assert_eq!(weights.len(), d.filters * d.patch_len());
        let geometry = Geometry::new(d, 1, 1);
        let filters = d.filters / d.group;
        let k = geometry.rows;
        let groups = weights.chunks_exact(filters * d.patch_len()).map(|weights| {
            let filters_in_order = weights
                .chunks_exact(d.patch_len())
                .flat_map(|filter| geometry.taps.iter().map(|tap| tap.map_or(0.0, |t| filter[t])));
            let values: Vec<f32> = filters_in_order.collect();
            PackedRows::new(kernels, filters, k, Matrix::rows(&values, k))
        });
        Self { groups: groups.collect(), geometry, dims: *d }
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        self.groups.iter().map(PackedRows::bytes).sum()
    }

    /// Which values meet which weights.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// How many filters of a group a share must have so that `parts` shares, each beginning at a panel,
    /// hold all.
    pub fn share(&self, parts: usize) -> usize {
        self.groups[0].share(parts)
    }
}

/// Values of laid-out pictures that are multiplied with all filters before the next: a share of the
/// second-level cache.
pub(super) const BUDGET: usize = 128 << 10;

impl Filters {
    /// Some filters and lines of one group of some pictures, one thread.
    ///
    /// # Panics
    /// When a slice is too short, or the filters were packed for another instruction set.
    pub fn convolve(&self, work: &mut Workspace, mut io: Pictures) {
        let (d, g) = (&self.dims, &self.geometry);
        let weights = &self.groups[io.group];
        io.check(d);
        assert!(weights.holds(work.kernels, io.filters.start, io.filters.len(), g.rows));
        let Workspace { kernels, picture, columns: padded, .. } = work;
        let [_, nr] = kernels.tile();
        let block = g.block(io.count, BUDGET, nr);
        let words = picture.at_least(g.words(&block));
        // Padded lines of all planes of all pictures, with room for vectors that hang over.
        let pitch = g.width() + nr;
        let picture_len = g.groups() * pitch;
        let padded = padded.at_least(block.pictures * picture_len);
        let wanted = g.lines_of(io.y.positions());
        for first in (0..io.count).step_by(block.pictures) {
            let pictures = first..io.count.min(first + block.pictures);
            let strips = block.strips(pictures.len(), g.dims.output[1]);
            for line in wanted.clone().step_by(block.lines) {
                let lines = line..wanted.end.min(line + block.lines);
                for (i, line) in g.lines(&lines).enumerate() {
                    for (p, padded) in pictures.clone().zip(padded.chunks_exact_mut(picture_len)) {
                        for (plane, to) in padded.chunks_exact_mut(pitch).enumerate() {
                            g.padded_line(kernels, plane, line, io.picture(d, p), to);
                        }
                    }
                    for (s, strip) in strips.iter().enumerate() {
                        let words = &mut words[g.sum_at(&block, s, i)..];
                        kernels.run(LayOut { geometry: g, padded, pitch, strip, words });
                    }
                }
                kernels.run(Product {
                    geometry: g,
                    block: &block,
                    strips: &strips,
                    words,
                    weights: weights.panels(io.filters.start, 0),
                    height: weights.height(),
                    first,
                    lines,
                    io: &mut io,
                });
            }
        }
    }
}

/// One line of a strip, from padded lines of all planes of all pictures, `pitch` apart.
struct LayOut<'a> {
    geometry: &'a Geometry,
    padded: &'a [f32],
    pitch: usize,
    strip: &'a Strip,
    words: &'a mut [f32],
}

impl SimdOp for LayOut<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (g, nr) = (self.geometry, TILE_VECTORS * S::LANES);
        let mut rows = self.words.chunks_exact_mut(nr);
        for shift in &g.shifts {
            for (plane, to) in (0..g.groups()).zip(&mut rows) {
                for Segment { lane, count, picture, column } in self.strip {
                    let line = (picture * g.groups() + plane) * self.pitch;
                    let from = &self.padded[line + column + shift..][..nr];
                    assert!(lane + count <= nr);
                    for at in (0..*count).step_by(S::LANES) {
                        let lanes = S::LANES.min(count - at);
                        // SAFETY: `from` holds `nr ≥ at + LANES` values, `to` has room for `count` from `lane`
                        // on. The caller promises the instruction set.
                        unsafe {
                            let to = to.as_mut_ptr().add(lane + at);
                            S::load(from.as_ptr().add(at)).store_first(to, lanes);
                        }
                    }
                }
            }
        }
    }
}

/// Some filters over a block of laid-out pictures.
struct Product<'a, 'b> {
    geometry: &'a Geometry,
    block: &'a Block,
    strips: &'a [Strip],
    words: &'a [f32],
    weights: Panels<'a>,
    /// Filters of a panel.
    height: usize,
    /// The first picture.
    first: usize,
    /// Output lines.
    lines: Range<usize>,
    io: &'a mut Pictures<'b>,
}

impl SimdOp for Product<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (g, filters) = (self.geometry, self.io.filters.len());
        let (k, nr, d) = (g.rows, TILE_VECTORS * S::LANES, &g.dims);
        let mut sums = [0f32; 16 * 2 * 16];
        for first in (0..filters).step_by(self.height) {
            let rows = self.height.min(filters - first);
            let a_len = k.next_multiple_of(S::LANES) * self.height;
            let a = self.weights.get(first / self.height, a_len);
            let bias = self.io.bias.map_or(std::ptr::null(), |b| b[first..].as_ptr());
            for (s, strip) in self.strips.iter().enumerate() {
                for line in self.lines.clone() {
                    let at = g.sum_at(self.block, s, line - self.lines.start);
                    let b = &self.words[at..at + k * nr];
                    assert!(rows * nr <= sums.len());
                    let tile = Tile {
                        k,
                        a: a.as_ptr(),
                        a_block: self.height * S::LANES,
                        b: b.as_ptr(),
                        c: sums.as_mut_ptr(),
                        c_row: nr,
                        rows,
                        width: nr,
                        add: false,
                        bias,
                        slope: self.io.relu.unwrap_or(1.0),
                        ahead: Ahead::share(b.as_ptr_range().end, 0, 1, 0, S::LANES),
                    };
                    // SAFETY: the panel holds `rows` rows of k values, `b` k rows of `nr` values; `sums` has
                    // room for the tile, and there is a bias for each filter. The caller promises the
                    // instruction set.
                    unsafe { micro::tile::<S>(&tile) };
                    for Segment { lane, count, picture, column } in strip {
                        let (picture, position) =
                            (self.first + picture, line * d.output[1] + column);
                        let y = self.io.y.at(picture, first..first + rows, position, *count);
                        for (plane, sums) in sums.chunks(nr).take(rows).enumerate() {
                            let sums = &sums[*lane..lane + count];
                            // SAFETY: there are `count` values in each of `rows` planes.
                            unsafe {
                                let to = y.add(plane * d.positions());
                                std::ptr::copy_nonoverlapping(sums.as_ptr(), to, *count);
                            }
                        }
                    }
                }
            }
        }
    }
}
