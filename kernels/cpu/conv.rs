//! Convolution (cross-correlation, as in Caffe) and its transpose.
//!
//! Flows in: one picture `(channels, h, w)` and weights `(filters, channels / group, kh, kw)`.
//! Flows out: one picture `(filters, out_h, out_w)`. [`plain`] is the definition; [`by_gemm`] turns
//! each group into one matrix product with the matrix of all patches (Chellapilla, Puri and Simard,
//! 2006), which exists only panel by panel ([`Patches`]).

use super::gemm::{self, Left, Matrix, Sizes, Start, Target, Workspace};
use super::panels::{Columns, Panels};
use super::planes::Planes;
use super::table::Kernels;
use crate::memory::Buffer;
use crate::ops::{Algorithm, ConvDims};
use std::ops::Range;

/// Input row or column that tap `tap` of output position `at` reads; `None` outside the picture.
#[inline]
fn source(d: &ConvDims, axis: usize, at: usize, tap: usize) -> Option<usize> {
    let w = &d.window;
    let padded = at * w.stride[axis] + tap * w.dilation[axis];
    padded.checked_sub(w.pad[axis]).filter(|&i| i < d.input[axis])
}

/// The plain loop over one picture; each output value is summed in `f64`.
///
/// `bias` has one value for each filter.
pub fn plain(d: &ConvDims, x: &[f32], weights: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let [height, width] = d.input;
    let [out_h, out_w] = d.output;
    let [kh, kw] = d.window.kernel;
    let (in_group, out_group) = (d.channels / d.group, d.filters / d.group);
    for f in 0..d.filters {
        let first = f / out_group * in_group;
        for oy in 0..out_h {
            for ox in 0..out_w {
                let mut sum = bias.map_or(0.0, |b| b[f]) as f64;
                for c in 0..in_group {
                    for ky in 0..kh {
                        let Some(iy) = source(d, 0, oy, ky) else {
                            continue;
                        };
                        for kx in 0..kw {
                            let Some(ix) = source(d, 1, ox, kx) else {
                                continue;
                            };
                            let weight = weights[((f * in_group + c) * kh + ky) * kw + kx];
                            let value = x[((first + c) * height + iy) * width + ix];
                            sum += weight as f64 * value as f64;
                        }
                    }
                }
                y[(f * out_h + oy) * out_w + ox] = sum as f32;
            }
        }
    }
}

/// The patches of one group of a picture as the right-hand side of a product: row (c, ky, kx), column
/// (oy, ox). They are laid out panel by panel where they are needed, never as a whole.
pub struct Patches<'a> {
    /// The convolution.
    pub dims: &'a ConvDims,
    /// The planes of one group.
    pub planes: &'a [f32],
}

impl Columns for Patches<'_> {
    fn holds(&self, rows: usize, columns: usize) -> bool {
        let d = self.dims;
        let planes = d.channels / d.group * d.input[0] * d.input[1];
        rows == d.patch_len() && columns == d.positions() && self.planes.len() >= planes
    }

    fn panels<'a>(
        &'a self,
        kernels: &Kernels,
        p: Range<usize>,
        j: Range<usize>,
        buffer: &'a mut Buffer<f32>,
    ) -> Panels<'a> {
        let [_, nr] = kernels.tile();
        let stride = nr * p.len();
        let buffer = buffer.at_least(j.len().div_ceil(nr) * stride);
        self.pack(p, j, nr, buffer);
        Panels::new(buffer, stride)
    }
}

impl Patches<'_> {
    fn pack(&self, p: Range<usize>, j: Range<usize>, nr: usize, panels: &mut [f32]) {
        let d = self.dims;
        let ([height, width], out_w) = (d.input, d.output[1]);
        let [kh, kw] = d.window.kernel;
        let depth = p.len();
        for (line, row) in p.enumerate() {
            let (c, ky, kx) = (row / (kh * kw), row % (kh * kw) / kw, row % kw);
            let plane = &self.planes[c * height * width..][..height * width];
            let range = inside(d, 1, kx);
            let mut at = j.start;
            while at < j.end {
                // The rest of this panel's line, or of this output row, whichever ends first.
                let (oy, ox) = (at / out_w, at % out_w);
                let (panel, lane) = ((at - j.start) / nr, (at - j.start) % nr);
                let len = (nr - lane).min(out_w - ox).min(j.end - at);
                let to = &mut panels[(panel * depth + line) * nr + lane..][..len];
                match source(d, 0, oy, ky) {
                    Some(iy) => copy_taps(d, &plane[iy * width..][..width], kx, &range, ox, to),
                    None => to.fill(0.0),
                }
                at += len;
            }
        }
    }
}

/// What tap `kx` meets in a row of the picture at the output positions from `ox` on; zeros outside
/// `range`, which is [`inside`] of that tap.
fn copy_taps(
    d: &ConvDims,
    row: &[f32],
    kx: usize,
    range: &Range<usize>,
    ox: usize,
    to: &mut [f32],
) {
    let from = range.start.clamp(ox, ox + to.len());
    let end = range.end.clamp(from, ox + to.len());
    to[..from - ox].fill(0.0);
    to[end - ox..].fill(0.0);
    if from == end {
        return;
    }
    let stride = d.window.stride[1];
    let taken = &row[from * stride + kx * d.window.dilation[1] - d.window.pad[1]..];
    let to = &mut to[from - ox..end - ox];
    if stride == 1 {
        to.copy_from_slice(&taken[..to.len()]);
    } else {
        to.iter_mut().zip(taken.iter().step_by(stride)).for_each(|(to, value)| *to = *value);
    }
}

/// Output positions `from..to` whose tap `tap` lies inside the picture, along `axis`.
fn inside(d: &ConvDims, axis: usize, tap: usize) -> Range<usize> {
    let w = &d.window;
    let offset = tap * w.dilation[axis];
    let from = w.pad[axis].saturating_sub(offset).div_ceil(w.stride[axis]);
    let to = (d.input[axis] + w.pad[axis])
        .saturating_sub(offset)
        .div_ceil(w.stride[axis])
        .min(d.output[axis]);
    from.min(to)..to
}

/// Where a convolution reads and writes: some filters of one group of some pictures.
///
/// The next picture is `d.input_len()` behind the last in `x`.
pub struct Pictures<'a> {
    /// How many.
    pub count: usize,
    /// The first of the group's planes of the first picture, and all that follows.
    pub x: &'a [f32],
    /// Which group.
    pub group: usize,
    /// Filters of the group to compute; where they were packed, the first begins a panel.
    pub filters: Range<usize>,
    /// One value for each of `filters`.
    pub bias: Option<&'a [f32]>,
    /// What negative results are multiplied with, if anything: 0 is ReLU.
    pub relu: Option<f32>,
    /// From the plane of the first of `filters` of the first picture on; with the positions to compute.
    pub y: Planes<'a>,
}

impl Pictures<'_> {
    /// # Panics
    /// When a slice is too short.
    pub(super) fn check(&self, d: &ConvDims) {
        if self.count == 0 {
            return;
        }
        let in_planes = d.input_len() / d.group;
        assert!(self.x.len() >= (self.count - 1) * d.input_len() + in_planes);
        assert!(self.y.holds(self.count, self.filters.len()));
        assert!(self.y.positions().end <= d.positions());
        assert!(self.bias.is_none_or(|b| b.len() >= self.filters.len()));
        assert!(self.group < d.group && self.filters.end <= d.filters / d.group);
    }

    /// The group's planes of picture `i`.
    pub(super) fn picture(&self, d: &ConvDims, i: usize) -> &[f32] {
        &self.x[i * d.input_len()..][..d.input_len() / d.group]
    }
}

/// Some filters of one group of one picture as a matrix product.
///
/// `planes` are the group's; `weights` (patch_len values a filter), `bias` and `y` begin at the first
/// wanted filter; as many filters are computed as `y` has planes. Negative results are multiplied with
/// `relu`, if that is given.
pub fn by_gemm(
    work: &mut Workspace,
    d: &ConvDims,
    planes: &[f32],
    weights: Left,
    bias: Option<&[f32]>,
    relu: Option<f32>,
    y: &mut [f32],
) {
    let n = d.positions();
    let s = Sizes { m: y.len() / n, n, k: d.patch_len() };
    let c = Target { data: y, row: n, start: bias.map_or(Start::Zero, Start::Bias), relu };
    if d.is_pointwise() {
        gemm::fast(work, s, weights, &Matrix::rows(planes, n), c);
    } else {
        gemm::fast(work, s, weights, &Patches { dims: d, planes }, c);
    }
}

/// Transposed convolution of one picture, plain: every input value adds its window to the output.
///
/// `d` describes the convolution that this undoes: its *input* is this operation's output. `x` is
/// `(d.filters, d.output)`, `weights` `(d.filters, d.channels / group, kh, kw)`, `y`
/// `(d.channels, d.input)`, `bias` one value for each of `d.channels`.
pub fn transposed_plain(
    d: &ConvDims,
    x: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let [height, width] = d.input;
    let [out_h, out_w] = d.output;
    let [kh, kw] = d.window.kernel;
    let (in_group, out_group) = (d.channels / d.group, d.filters / d.group);
    let mut sums: Vec<f64> = vec![0.0; y.len()];
    for f in 0..d.filters {
        let first = f / out_group * in_group;
        for c in 0..in_group {
            for (tap, weight) in
                weights[(f * in_group + c) * kh * kw..][..kh * kw].iter().enumerate()
            {
                for oy in 0..out_h {
                    let Some(iy) = source(d, 0, oy, tap / kw) else {
                        continue;
                    };
                    for ox in 0..out_w {
                        if let Some(ix) = source(d, 1, ox, tap % kw) {
                            let value = x[(f * out_h + oy) * out_w + ox];
                            sums[((first + c) * height + iy) * width + ix] +=
                                *weight as f64 * value as f64;
                        }
                    }
                }
            }
        }
    }
    for (c, (plane, sums)) in
        y.chunks_exact_mut(height * width).zip(sums.chunks_exact(height * width)).enumerate()
    {
        let b = bias.map_or(0.0, |b| b[c]) as f64;
        for (out, sum) in plane.iter_mut().zip(sums) {
            *out = (sum + b) as f32;
        }
    }
}

/// Transposed convolution of one picture by a matrix product into `patches`, then [`col2im`].
///
/// Arguments as in [`transposed_plain`].
pub fn transposed_by_gemm(
    work: &mut Workspace,
    d: &ConvDims,
    x: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let plane = d.input[0] * d.input[1];
    for (c, out) in y.chunks_exact_mut(plane).enumerate() {
        out.fill(bias.map_or(0.0, |b| b[c]));
    }
    let (k, n) = (d.filters / d.group, d.positions());
    let mut laid_out = std::mem::take(&mut work.picture);
    let patches = laid_out.at_least(d.patch_len() * n);
    let groups = y.chunks_exact_mut(d.channels / d.group * plane);
    for (g, out) in groups.enumerate() {
        let m = d.patch_len();
        let weights = Left::Matrix(Matrix::transposed(&weights[g * k * m..][..k * m], m));
        let x = Matrix::rows(&x[g * k * n..][..k * n], n);
        let target = Target { data: patches, row: n, start: Start::Zero, relu: None };
        gemm::fast(work, Sizes { m, n, k }, weights, &x, target);
        col2im(d, patches, out);
    }
    work.picture = laid_out;
}

/// Weight gradients of one picture, plain: `dw += Σ dy · x` over every position that a weight meets, each
/// sum in `f64`.
///
/// `x` is `(d.channels, d.input)`, `dy` `(d.filters, d.output)`, `dw` like the weights.
pub fn weights_back_plain(d: &ConvDims, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let [height, width] = d.input;
    let [out_h, out_w] = d.output;
    let [kh, kw] = d.window.kernel;
    let (in_group, out_group) = (d.channels / d.group, d.filters / d.group);
    for (at, dw) in dw.iter_mut().enumerate() {
        let (f, c, ky, kx) = (at / d.patch_len(), at / (kh * kw) % in_group, at / kw % kh, at % kw);
        let plane = &x[(f / out_group * in_group + c) * height * width..];
        let mut sum = 0.0;
        for oy in 0..out_h {
            let Some(iy) = source(d, 0, oy, ky) else { continue };
            for ox in 0..out_w {
                let Some(ix) = source(d, 1, ox, kx) else { continue };
                let dy = dy[(f * out_h + oy) * out_w + ox];
                sum += dy as f64 * plane[iy * width + ix] as f64;
            }
        }
        *dw = (*dw as f64 + sum) as f32;
    }
}

/// The same by a matrix product of each group's output gradients with its patches.
pub fn weights_back_by_gemm(
    work: &mut Workspace,
    d: &ConvDims,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
) {
    let (m, n, k) = (d.filters / d.group, d.patch_len(), d.positions());
    let planes = d.input_len() / d.group;
    let mut laid_out = std::mem::take(&mut work.picture);
    for (g, dw) in dw.chunks_exact_mut(m * n).enumerate() {
        let planes = &x[g * planes..][..planes];
        let patches = match d.is_pointwise() {
            true => planes,
            false => {
                let patches = laid_out.at_least(n * k);
                Patches { dims: d, planes }.pack(0..n, 0..k, k, patches);
                patches
            }
        };
        let dy = Left::Matrix(Matrix::rows(&dy[g * m * k..][..m * k], k));
        let c = Target { data: dw, row: n, start: Start::C, relu: None };
        gemm::fast(work, Sizes { m, n, k }, dy, &Matrix::transposed(patches, k), c);
    }
    work.picture = laid_out;
}

/// Adds the weight gradients of several pictures to `dw`: in tiles of `bf16` if `how` is
/// [`Algorithm::Tiles`], else by matrix products. One thread.
///
/// # Panics
/// When a slice is too short, or the kernels have no such tiles.
pub fn weights_back(
    work: &mut Workspace,
    how: Algorithm,
    d: &ConvDims,
    [x, dy]: [&[f32]; 2],
    dw: &mut [f32],
) {
    match how {
        #[cfg(target_arch = "x86_64")]
        Algorithm::Tiles => {
            let amx = work.kernels.amx().expect("tiles");
            super::amx::weights_back(amx, work.kernels, d, [x, dy], dw, &mut work.accumulators);
        }
        _ => {
            let pictures = x.chunks_exact(d.input_len()).zip(dy.chunks_exact(d.output_len()));
            pictures.for_each(|(x, dy)| weights_back_by_gemm(work, d, x, dy, dw));
        }
    }
}

/// Filters as [`ConvDims::transposed`] wants them: `(channels, filters / group, kh, kw)`, windows turned
/// by half a circle.
pub fn flipped(d: &ConvDims, weights: &[f32]) -> Vec<f32> {
    let [kh, kw] = d.window.kernel;
    let (taps, in_group, out_group) = (kh * kw, d.channels / d.group, d.filters / d.group);
    let mut turned = vec![0.0; weights.len()];
    for (at, window) in turned.chunks_exact_mut(taps).enumerate() {
        let (channel, f) = (at / out_group, at % out_group);
        let (group, c) = (channel / in_group, channel % in_group);
        let from = &weights[((group * out_group + f) * in_group + c) * taps..][..taps];
        window.iter_mut().zip(from.iter().rev()).for_each(|(to, from)| *to = *from);
    }
    turned
}

/// Adds a patch matrix back onto the planes it was taken from: what [`Patches`] takes out.
pub fn col2im(d: &ConvDims, patches: &[f32], planes: &mut [f32]) {
    let [height, width] = d.input;
    let out_w = d.output[1];
    let [kh, kw] = d.window.kernel;
    let taps = kh * kw;
    for (row, values) in patches.chunks_exact(d.positions()).enumerate() {
        let (c, ky, kx) = (row / taps, row % taps / kw, row % kw);
        let plane = &mut planes[c * height * width..][..height * width];
        let range = inside(d, 1, kx);
        for (oy, line) in values.chunks_exact(out_w).enumerate() {
            let Some(iy) = source(d, 0, oy, ky) else {
                continue;
            };
            if range.is_empty() {
                continue;
            }
            let first =
                range.start * d.window.stride[1] + kx * d.window.dilation[1] - d.window.pad[1];
            let target =
                plane[iy * width + first..(iy + 1) * width].iter_mut().step_by(d.window.stride[1]);
            for (out, value) in target.zip(&line[range.clone()]) {
                *out += value;
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::table::available;
    use super::*;
    use crate::ops::Window;

    pub fn dims(
        channels: usize,
        filters: usize,
        group: usize,
        input: [usize; 2],
        w: Window,
    ) -> ConvDims {
        let out = |a: usize| (input[a] + 2 * w.pad[a] - w.extent(a)) / w.stride[a] + 1;
        ConvDims { channels, input, filters, output: [out(0), out(1)], group, window: w }
    }

    fn numbers(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37 + 11) % 64) as f32 / 32.0 - 1.0).collect()
    }

    #[test]
    fn a_box_filter_counts_its_neighbours() {
        let w = Window { kernel: [3, 3], stride: [1, 1], pad: [1, 1], dilation: [1, 1] };
        let d = dims(1, 1, 1, [3, 3], w);
        let mut y = [0.0; 9];
        plain(&d, &[1.0; 9], &[1.0; 9], Some(&[0.5]), &mut y);
        assert_eq!(y, [4.5, 6.5, 4.5, 6.5, 9.5, 6.5, 4.5, 6.5, 4.5]);
    }

    #[test]
    fn gemm_and_its_transpose_equal_the_plain_loops() {
        let window = |kernel, stride, pad, dilation| Window { kernel, stride, pad, dilation };
        let cases = [
            dims(4, 6, 2, [7, 9], window([3, 2], [2, 1], [1, 0], [1, 1])),
            dims(3, 5, 1, [11, 8], window([3, 3], [1, 2], [2, 3], [2, 1])),
            dims(2, 4, 2, [5, 5], window([5, 5], [1, 1], [0, 0], [1, 1])),
            dims(3, 3, 3, [6, 1], window([3, 1], [3, 1], [4, 2], [1, 1])),
        ];
        for (d, kernels) in cases.iter().flat_map(|d| available().iter().map(move |k| (d, k))) {
            let (x, bias) = (numbers(d.input_len()), numbers(d.filters));
            let weights = numbers(d.filters * d.patch_len());
            let (in_group, out_group) = (d.channels / d.group, d.filters / d.group);
            let (mut want, mut got) = (vec![0.0; d.output_len()], vec![9.0; d.output_len()]);
            plain(d, &x, &weights, Some(&bias), &mut want);
            let planes = in_group * d.input[0] * d.input[1];
            let work = &mut Workspace::new(kernels);
            for g in 0..d.group {
                let out = g * out_group;
                by_gemm(
                    work,
                    d,
                    &x[g * planes..][..planes],
                    Left::Matrix(Matrix::rows(&weights[out * d.patch_len()..], d.patch_len())),
                    Some(&bias[out..]),
                    None,
                    &mut got[out * d.positions()..][..out_group * d.positions()],
                );
            }
            assert_close(&want, &got);

            let (mut want, mut got) = (vec![0.0; d.input_len()], vec![9.0; d.input_len()]);
            let (x, bias) = (numbers(d.output_len()), numbers(d.channels));
            transposed_plain(d, &x, &weights, Some(&bias), &mut want);
            transposed_by_gemm(work, d, &x, &weights, Some(&bias), &mut got);
            assert_close(&want, &got);
        }
    }

    #[test]
    fn gradients_are_the_adjoints_of_the_convolution() {
        let window = |kernel, stride, pad, dilation| Window { kernel, stride, pad, dilation };
        let cases = [
            dims(4, 6, 2, [7, 9], window([3, 2], [2, 1], [1, 0], [1, 1])),
            dims(3, 5, 1, [11, 8], window([3, 3], [1, 1], [2, 1], [2, 1])),
            dims(2, 4, 2, [5, 5], window([5, 5], [1, 1], [0, 3], [1, 1])),
            dims(3, 7, 1, [4, 6], window([1, 1], [1, 1], [0, 0], [1, 1])),
        ];
        let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        for (d, kernels) in cases.iter().flat_map(|d| available().iter().map(move |k| (d, k))) {
            let (x, dy) = (numbers(d.input_len()), numbers(d.output_len()));
            let weights = numbers(d.filters * d.patch_len());
            // Σ dy · conv(x, w) is linear in w: its gradient times w is its value.
            let mut y = vec![0.0; d.output_len()];
            plain(d, &x, &weights, None, &mut y);
            let mut dw = vec![0.5; weights.len()];
            weights_back_plain(d, &x, &dy, &mut dw);
            let want = product(&y, &dy) + 0.5 * weights.iter().sum::<f32>();
            assert!((product(&dw, &weights) - want).abs() < 1e-3, "{d:?}");
            let mut fast = vec![0.5; weights.len()];
            weights_back_by_gemm(&mut Workspace::new(kernels), d, &x, &dy, &mut fast);
            dw.iter().zip(&fast).for_each(|(w, g)| assert!((w - g).abs() < 1e-4, "{w} {g}"));

            let mut want = vec![0.0; d.input_len()];
            transposed_plain(d, &dy, &weights, None, &mut want);
            if let Some(back) = d.transposed() {
                let mut got = vec![0.0; d.input_len()];
                plain(&back, &dy, &flipped(d, &weights), None, &mut got);
                assert_close(&want, &got);
            }
        }
    }

    fn assert_close(want: &[f32], got: &[f32]) {
        for (w, g) in want.iter().zip(got) {
            assert!((w - g).abs() < 1e-5, "{w} {g}");
        }
    }
}
