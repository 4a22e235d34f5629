//! What a convolution is likely to take, so that a plan can choose its algorithm before anything ran.
//!
//! A sum over what each algorithm does: multiply-adds with their empty lanes, values that are laid out and
//! transformed, weights that are read again for every block of a picture, outputs that are written. The
//! factors are a least-squares fit to 760 layers timed by `likenet bench layers` (CaffeNet, SqueezeNet,
//! GoogLeNet and VGG-16, batches of 1 and 8) on one machine, where half of all estimates are within 7 % and
//! nine in ten within 20 %. Elsewhere only their ratios matter. The same convolution gives the same estimate
//! everywhere: a plan does not depend on how busy the machine was.

use super::direct;
use super::geometry::Geometry;
use super::table::Kernels;
use super::winograd::Scheme;
use crate::ops::{Algorithm, ConvDims};

/// Nanoseconds of one thread for each picture of a batch; nothing if the algorithm cannot compute this.
pub fn estimate(kernels: &Kernels, d: &ConvDims, batch: usize, how: Algorithm) -> Option<f64> {
    let [_, nr] = kernels.tile();
    // Multiply-adds of narrower vectors take longer than those of AVX-512, for which the factors are.
    let slower = match kernels.lanes() {
        16 => 1.0,
        _ if kernels.name() == "avx2" => 2.2,
        _ => 4.0,
    };
    let groups = d.group as f64;
    let outputs = d.output_len() as f64;
    let weights = (d.filters * d.patch_len()) as f64;
    let batch = batch.max(1);
    Some(match how {
        Algorithm::Plain | Algorithm::Short => return None,
        Algorithm::Gemm => {
            let positions = d.positions().next_multiple_of(nr);
            let macs = weights * positions as f64;
            let patches = groups * (d.patch_len() * d.positions()) as f64;
            let copied = patches * if d.is_pointwise() { 0.3 } else { 0.8 };
            0.0112 * slower * macs + copied + 0.43 / batch as f64 * weights + 0.2 * outputs
        }
        Algorithm::Direct => {
            let g = Geometry::new(d, 1, 1);
            let blocks = Blocks::new(&g, batch, direct::BUDGET, nr, d.filters / d.group);
            let [macs, laid, read, weights] = blocks.counts().map(|n| groups * n);
            0.011 * slower * macs + 0.4 * laid + 0.15 * read + 0.11 * weights + 0.3 * outputs
        }
        #[cfg(target_arch = "x86_64")]
        Algorithm::Tiles if kernels.has_tiles() => {
            use super::amx;
            let g = Geometry::new(d, 2, amx::SIDE);
            let filters = (d.filters / d.group).next_multiple_of(amx::SIDE);
            let blocks = Blocks::new(&g, batch, amx::BUDGET / amx::PARTS, amx::SIDE, filters);
            let [macs, laid, read, weights] = blocks.counts().map(|n| groups * n);
            0.0022 * macs + 0.7 * laid + 0.07 * read + 0.3 * weights + 0.23 * outputs
        }
        Algorithm::Tiles => return None,
        Algorithm::Winograd => {
            let scheme = Scheme::of(d)?;
            let lanes = kernels.lanes();
            let channels = scheme.channels(d).next_multiple_of(lanes);
            let filters = (d.filters / d.group).next_multiple_of(nr);
            let [rows, columns] = scheme.tiles(d);
            let tiles = groups * (49 * rows * columns) as f64;
            let macs = tiles * (channels * filters) as f64;
            let weights = groups * (49 * channels * filters) as f64 / batch as f64;
            let (inputs, outputs) = (tiles * channels as f64, tiles * filters as f64);
            0.0148 * slower * macs + 0.03 * inputs + 0.35 * outputs + 0.13 * weights
        }
    })
}

/// A convolution in a [`Geometry`], of one group.
struct Blocks<'a> {
    geometry: &'a Geometry,
    batch: usize,
    /// Values that may be laid out at a time.
    budget: usize,
    lanes: usize,
    /// With those that fill the last panel.
    filters: usize,
}

impl<'a> Blocks<'a> {
    fn new(
        geometry: &'a Geometry,
        batch: usize,
        budget: usize,
        lanes: usize,
        filters: usize,
    ) -> Self {
        Self { geometry, batch, budget, lanes, filters }
    }

    /// For each picture: multiply-adds, words laid out, values read, weights read.
    fn counts(&self) -> [f64; 4] {
        let g = self.geometry;
        let [lines, width] = g.dims.output;
        let block = g.block(self.batch, self.budget, self.lanes);
        let blocks = lines.div_ceil(block.lines);
        // Lanes by outputs that they have.
        let fill = (block.strips * self.lanes) as f64 / (block.pictures * width) as f64;
        let sum = g.rows * g.unit();
        let read_lines = lines + (g.reach - 1) * blocks;
        let calls = self.batch.div_ceil(block.pictures) as f64 / self.batch as f64;
        [
            fill * (self.filters * sum * lines * width) as f64,
            fill * (g.line_rows() * read_lines * width) as f64,
            (g.groups() * g.unit() * read_lines * width) as f64,
            (self.filters * sum * blocks) as f64 * calls,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::conv::tests::dims;
    use super::super::filters::{ALGORITHMS, Filters};
    use super::super::table::available;
    use super::*;
    use crate::ops::Window;

    #[test]
    fn there_is_an_estimate_for_what_can_be_computed() {
        let window =
            |k, s, p| Window { kernel: [k; 2], stride: [s; 2], pad: [p; 2], dilation: [1; 2] };
        for kernels in available() {
            for d in [
                dims(3, 96, 1, [227, 227], window(11, 4, 0)),
                dims(8, 8, 8, [14, 14], window(3, 1, 1)),
                dims(64, 16, 1, [7, 7], window(1, 1, 0)),
                dims(2, 1, 1, [1, 1], window(3, 1, 1)),
            ] {
                for how in ALGORITHMS {
                    let estimate = estimate(kernels, &d, 4, how);
                    assert_eq!(estimate.is_some(), Filters::can(kernels, &d, how), "{how:?} {d:?}");
                    assert!(estimate.is_none_or(|e| e.is_finite() && e > 0.0));
                }
            }
        }
    }

    #[test]
    fn estimates_order_what_was_measured() {
        let window =
            |k, p| Window { kernel: [k; 2], stride: [1; 2], pad: [p; 2], dilation: [1; 2] };
        let conv3 = dims(256, 384, 1, [13, 13], window(3, 1));
        let depthwise = dims(64, 64, 64, [56, 56], window(3, 1));
        for kernels in available() {
            let of = |d, how| estimate(kernels, d, 8, how).expect("an estimate");
            assert!(of(&conv3, Algorithm::Winograd) < of(&conv3, Algorithm::Gemm));
            assert!(of(&conv3, Algorithm::Winograd) < of(&conv3, Algorithm::Direct));
            assert!(of(&depthwise, Algorithm::Direct) < of(&depthwise, Algorithm::Winograd));
        }
    }
}
