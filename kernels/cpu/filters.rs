//! The filters of a convolution, packed as an algorithm wants them; and which algorithm to take.
//!
//! Flows in: weights `(filters, channels / group, kh, kw)`. Flows out: [`Filters`], which convolve.

#[cfg(target_arch = "x86_64")]
use super::amx;
use super::conv::{self, Pictures};
use super::cost;
use super::direct;
use super::gemm::{Left, Matrix, Workspace};
use super::panels::PackedRows;
use super::table::Kernels;
use super::winograd::{self, Scheme};
use crate::ops::{Algorithm, ConvDims};

/// Filters packed for one algorithm and one instruction set.
pub enum Filters {
    /// For lines read in place.
    Direct(Box<direct::Filters>),
    /// For a matrix product over patches, group by group.
    Gemm(Vec<PackedRows>),
    /// Transformed, group by group.
    Winograd(Vec<winograd::Weights>),
    /// For tiles of `bf16`.
    #[cfg(target_arch = "x86_64")]
    Tiles(Box<amx::Filters>),
}

/// Every algorithm but the plain loop; those that are fastest for most convolutions first.
pub const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::Tiles, Algorithm::Winograd, Algorithm::Gemm, Algorithm::Direct];

/// By so much an estimate must be less before it decides: estimates err by a fifth.
const CLEARLY: f64 = 0.8;

impl Filters {
    /// Packs filters for an algorithm.
    ///
    /// # Panics
    /// When there are not as many weights, or the algorithm [cannot](Self::can) do this.
    pub fn new(kernels: &Kernels, d: &ConvDims, algorithm: Algorithm, weights: &[f32]) -> Self {
        assert_eq!(weights.len(), d.filters * d.patch_len());
        assert!(Self::can(kernels, d, algorithm), "{} cannot compute {d:?}", algorithm.name());
        let (m, k) = (d.filters / d.group, d.patch_len());
        let groups = weights.chunks_exact(m * k);
        match (algorithm, Scheme::of(d)) {
            (Algorithm::Direct, _) => {
                Self::Direct(Box::new(direct::Filters::new(kernels, d, weights)))
            }
            (Algorithm::Winograd, Some(scheme)) => {
                let transform = |w| winograd::Weights::new(kernels, scheme, d, w);
                Self::Winograd(groups.map(transform).collect())
            }
            #[cfg(target_arch = "x86_64")]
            (Algorithm::Tiles, _) => Self::Tiles(Box::new(amx::Filters::new(d, weights))),
            _ => {
                let pack = |w| PackedRows::new(kernels, m, k, Matrix::rows(w, k));
                Self::Gemm(groups.map(pack).collect())
            }
        }
    }

    /// Whether an algorithm can compute this convolution with these kernels.
    pub fn can(kernels: &Kernels, d: &ConvDims, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::Plain | Algorithm::Short => false,
            Algorithm::Direct | Algorithm::Gemm => true,
            Algorithm::Winograd => Scheme::of(d).is_some(),
            Algorithm::Tiles => kernels.has_tiles(),
        }
    }

    /// The algorithm for a batch: as `wanted` where that can be, else [`Algorithm::Gemm`]; without a wish the
    /// first of [`ALGORITHMS`] that is possible, unless another is clearly faster by its [estimate](cost).
    pub fn choose(
        kernels: &Kernels,
        d: &ConvDims,
        batch: usize,
        wanted: Option<Algorithm>,
    ) -> Algorithm {
        if let Some(wanted) = wanted {
            return if Self::can(kernels, d, wanted) { wanted } else { Algorithm::Gemm };
        }
        let estimates = ALGORITHMS.map(|how| (how, cost::estimate(kernels, d, batch, how)));
        let possible = estimates.into_iter().filter_map(|(how, cost)| Some((how, cost?)));
        let faster =
            |a: (Algorithm, f64), b: (Algorithm, f64)| if b.1 < CLEARLY * a.1 { b } else { a };
        possible.reduce(faster).map_or(Algorithm::Gemm, |(how, _)| how)
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Direct(filters) => filters.bytes(),
            Self::Gemm(groups) => groups.iter().map(PackedRows::bytes).sum(),
            Self::Winograd(groups) => groups.iter().map(winograd::Weights::bytes).sum(),
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(filters) => filters.bytes(),
        }
    }

    /// Bytes that filters take for an algorithm, but for panels that are not full.
    pub fn expected_bytes(d: &ConvDims, algorithm: Algorithm) -> usize {
        let values = match (algorithm, Scheme::of(d)) {
            (Algorithm::Winograd, Some(scheme)) => scheme.weights_len(d),
            _ => d.filters * d.patch_len(),
        };
        values * size_of::<f32>()
    }

    /// How many filters of a group a share must have so that `parts` shares, each beginning at a panel,
    /// hold all.
    pub fn share(&self, parts: usize) -> usize {
        match self {
            Self::Direct(filters) => filters.share(parts),
            Self::Gemm(groups) => groups[0].share(parts),
            Self::Winograd(groups) => groups[0].share(parts),
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(filters) => filters.share(parts),
        }
    }

    /// How many positions of a plane a share must have so that `parts` shares hold all and do little twice;
    /// none if shares of filters are better.
    pub fn stretch(&self, d: &ConvDims, parts: usize) -> Option<usize> {
        match self {
            Self::Direct(filters) => filters.geometry().stretch(parts),
            Self::Gemm(_) => None,
            Self::Winograd(groups) => groups[0].stretch(d, parts),
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(filters) => filters.geometry().stretch(parts),
        }
    }

    /// Some filters and positions of one group of some pictures, one thread; `d` is what they were packed for.
    /// The positions are all or a share that [`Filters::stretch`] allows.
    ///
    /// # Panics
    /// When a slice is too short, or the filters were packed for other sizes or another instruction set.
    pub fn convolve(&self, work: &mut Workspace, d: &ConvDims, mut io: Pictures) {
        match self {
            Self::Direct(filters) => filters.convolve(work, io),
            Self::Gemm(groups) => {
                io.check(d);
                for i in 0..io.count {
                    let weights = Left::Packed(&groups[io.group], io.filters.start);
                    let x = &io.x[i * d.input_len()..][..d.input_len() / d.group];
                    let y = io.y.picture(i, io.filters.len());
                    conv::by_gemm(work, d, x, weights, io.bias, io.relu, y);
                }
            }
            Self::Winograd(groups) => winograd::fast(work, d, &groups[io.group], io),
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(filters) => filters.convolve(work.kernels, io, &mut work.tiles),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::conv::{plain, tests::dims};
    use super::super::planes::Planes;
    use super::super::table::available;
    use super::*;
    use crate::ops::Window;

    #[test]
    fn every_kernel_equals_the_plain_loop_on_tails() {
        let window = |kernel, stride, pad, dilation| Window { kernel, stride, pad, dilation };
        let square = |k, s, p| window([k; 2], [s; 2], [p; 2], [1; 2]);
        for (d, count) in [
            (dims(4, 6, 2, [7, 9], window([3, 2], [2, 1], [1, 0], [1, 1])), 1),
            (dims(3, 5, 1, [11, 8], window([3, 3], [1, 2], [2, 3], [2, 1])), 2),
            (dims(3, 40, 1, [9, 11], square(3, 1, 1)), 1),
            (dims(34, 66, 2, [13, 13], square(3, 1, 1)), 3),
            (dims(3, 16, 1, [35, 39], square(11, 4, 0)), 2),
            (dims(48, 33, 1, [27, 27], square(5, 1, 2)), 1),
            (dims(8, 8, 8, [14, 14], square(3, 1, 1)), 2),
            (dims(64, 16, 1, [7, 7], square(1, 1, 0)), 2),
            (dims(9, 17, 1, [9, 9], square(1, 2, 0)), 1),
            (dims(16, 16, 1, [3, 40], square(3, 1, 7)), 2),
            (dims(2, 1, 1, [1, 1], square(3, 1, 1)), 1),
        ] {
            let number = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
            let x: Vec<f32> = (0..count * d.input_len()).map(number).collect();
            let weights: Vec<f32> = (0..d.filters * d.patch_len()).map(|i| number(i + 7)).collect();
            let bias: Vec<f32> = (0..d.filters).map(number).collect();
            let size = |v: &Vec<f32>| v.iter().map(|v| v.abs()).collect::<Vec<f32>>();
            let mut sizes = vec![0.0; count * d.output_len()];
            for (x, y) in size(&x).chunks(d.input_len()).zip(sizes.chunks_mut(d.output_len())) {
                plain(&d, x, &size(&weights), Some(&size(&bias)), y);
            }
            let runs = available().iter().flat_map(|k| ALGORITHMS.map(|a| (k, a)));
            let runs = runs.filter(|(kernels, a)| Filters::can(kernels, &d, *a));
            let relus = [None, Some(0.0), Some(0.25)];
            for ((kernels, algorithm), relu) in runs.flat_map(|run| relus.map(|r| (run, r))) {
                let mut want = vec![0.0; count * d.output_len()];
                for (x, y) in x.chunks(d.input_len()).zip(want.chunks_mut(d.output_len())) {
                    plain(&d, x, &weights, Some(&bias), y);
                    y.iter_mut().for_each(|v| *v = v.max(0.0) + relu.unwrap_or(1.0) * v.min(0.0));
                }
                // Pictures may lie further apart than they are long.
                let pitch = d.output_len() + 3;
                let mut got = vec![9.0; count * pitch];
                let filters = Filters::new(kernels, &d, algorithm, &weights);
                let work = &mut Workspace::new(kernels);
                let out = d.filters / d.group;
                let share = filters.share(2);
                for group in 0..d.group {
                    for from in (0..out).step_by(share) {
                        let x = &x[group * d.input_len() / d.group..];
                        let y = &mut got[(group * out + from) * d.positions()..];
                        let y = Planes::new(y, d.positions(), pitch);
                        let bias = Some(&bias[group * out + from..]);
                        let range = from..out.min(from + share);
                        for y in y.cut(filters.stretch(&d, 2).unwrap_or(d.positions())) {
                            let range = range.clone();
                            let io = Pictures { count, x, group, filters: range, bias, relu, y };
                            filters.convolve(work, &d, io);
                        }
                    }
                }
                // In shares of Σ|a·b|: two parts of `bf16` leave 2⁻¹⁷ of each product; other sums are exact
                // but for `f32`'s rounding. Winograd's errors are those of a tile's largest values.
                let largest = sizes.iter().fold(0f32, |a, v| a.max(*v));
                let (bound, floor) = match algorithm {
                    Algorithm::Tiles => (2e-5, 0.0),
                    Algorithm::Winograd => (5e-6, largest),
                    _ => (2e-6, 0.0),
                };
                let got = got.chunks(pitch).flat_map(|picture| &picture[..d.output_len()]);
                for ((w, g), size) in want.iter().zip(got).zip(&sizes) {
                    assert!(
                        (w - g).abs() <= bound * size.max(floor),
                        "{} {algorithm:?} {d:?}: {w} {g}",
                        kernels.name()
                    );
                }
            }
        }
    }
}
