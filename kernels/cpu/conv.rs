//! Convolution (cross-correlation, as in Caffe) and its transpose.
//!
//! Flows in: one picture `(channels, h, w)` and weights `(filters, channels / group, kh, kw)`.
//! Flows out: one picture `(filters, out_h, out_w)`. [`plain`] is the definition; [`by_gemm`] turns
//! each group into one matrix product over the patch matrix that [`im2col`] lays out (Chellapilla,
//! Puri and Simard, 2006).

use super::gemm::{self, Matrix, Sizes};
use crate::ops::ConvDims;

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

/// Lays out the patches of `channels` planes as a matrix: `patches[(c, ky, kx)][(oy, ox)]`.
///
/// Taps outside the picture are zero. `x` holds the planes of one group; `patches` is filled with
/// rows of `out_h · out_w`, beginning at row `first` of the `channels · kh · kw` that there are.
pub fn im2col(d: &ConvDims, x: &[f32], first: usize, patches: &mut [f32]) {
    let [height, width] = d.input;
    let [_, out_w] = d.output;
    let [kh, kw] = d.window.kernel;
    let taps = kh * kw;
    for (row, out) in (first..).zip(patches.chunks_exact_mut(d.positions())) {
        let (c, ky, kx) = (row / taps, row % taps / kw, row % kw);
        let plane = &x[c * height * width..][..height * width];
        for (oy, line) in out.chunks_exact_mut(out_w).enumerate() {
            match source(d, 0, oy, ky) {
                None => line.fill(0.0),
                Some(iy) => copy_line(d, &plane[iy * width..][..width], kx, line),
            }
        }
    }
}

/// Output positions `from..to` whose tap `tap` lies inside the picture, along `axis`.
fn inside(d: &ConvDims, axis: usize, tap: usize) -> std::ops::Range<usize> {
    let w = &d.window;
    let offset = tap * w.dilation[axis];
    let from = w.pad[axis].saturating_sub(offset).div_ceil(w.stride[axis]);
    let to = (d.input[axis] + w.pad[axis])
        .saturating_sub(offset)
        .div_ceil(w.stride[axis])
        .min(d.output[axis]);
    from.min(to)..to
}

/// One row of a patch matrix: the elements of `source_row` that tap `kx` meets, zeros outside.
fn copy_line(d: &ConvDims, source_row: &[f32], kx: usize, line: &mut [f32]) {
    let range = inside(d, 1, kx);
    line[..range.start].fill(0.0);
    line[range.end..].fill(0.0);
    if range.is_empty() {
        return;
    }
    let stride = d.window.stride[1];
    let first = range.start * stride + kx * d.window.dilation[1] - d.window.pad[1];
    let taken = &source_row[first..];
    let line = &mut line[range];
    if stride == 1 {
        line.copy_from_slice(&taken[..line.len()]);
    } else {
        for (out, value) in line.iter_mut().zip(taken.iter().step_by(stride)) {
            *out = *value;
        }
    }
}

/// One group of one picture as a matrix product, filters `from..` of that group.
///
/// `patches` is the group's patch matrix (or, for a pointwise convolution, its planes), `weights`
/// and `y` begin at the first wanted filter; as many filters are computed as `y` has planes.
pub fn by_gemm(
    d: &ConvDims,
    patches: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let n = d.positions();
    for (f, plane) in y.chunks_exact_mut(n).enumerate() {
        plane.fill(bias.map_or(0.0, |b| b[f]));
    }
    let sizes = Sizes { m: y.len() / n, n, k: d.patch_len() };
    gemm::fast(sizes, Matrix::rows(weights, sizes.k), Matrix::rows(patches, n), y);
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
/// Arguments as in [`transposed_plain`]; `patches` is scratch of `patch_len · positions` elements.
pub fn transposed_by_gemm(
    d: &ConvDims,
    x: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    patches: &mut [f32],
    y: &mut [f32],
) {
    let plane = d.input[0] * d.input[1];
    for (c, out) in y.chunks_exact_mut(plane).enumerate() {
        out.fill(bias.map_or(0.0, |b| b[c]));
    }
    let (k, n) = (d.filters / d.group, d.positions());
    let groups = y.chunks_exact_mut(d.channels / d.group * plane);
    for (g, out) in groups.enumerate() {
        patches.fill(0.0);
        let m = d.patch_len();
        gemm::fast(
            Sizes { m, n, k },
            Matrix::transposed(&weights[g * k * m..][..k * m], m),
            Matrix::rows(&x[g * k * n..][..k * n], n),
            patches,
        );
        col2im(d, patches, out);
    }
}

/// Adds a patch matrix back onto the planes it was taken from: the transpose of [`im2col`].
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
mod tests {
    use super::*;
    use crate::ops::Window;

    fn dims(
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
        for d in &cases {
            let (x, bias) = (numbers(d.input_len()), numbers(d.filters));
            let weights = numbers(d.filters * d.patch_len());
            let (in_group, out_group) = (d.channels / d.group, d.filters / d.group);
            let (mut want, mut got) = (vec![0.0; d.output_len()], vec![9.0; d.output_len()]);
            plain(d, &x, &weights, Some(&bias), &mut want);
            let mut patches = vec![9.0; d.patch_len() * d.positions()];
            for g in 0..d.group {
                im2col(d, &x[g * in_group * d.input[0] * d.input[1]..], 0, &mut patches);
                let out = g * out_group;
                by_gemm(
                    d,
                    &patches,
                    &weights[out * d.patch_len()..][..out_group * d.patch_len()],
                    Some(&bias[out..]),
                    &mut got[out * d.positions()..][..out_group * d.positions()],
                );
            }
            assert_close(&want, &got);

            let (mut want, mut got) = (vec![0.0; d.input_len()], vec![9.0; d.input_len()]);
            let (x, bias) = (numbers(d.output_len()), numbers(d.channels));
            transposed_plain(d, &x, &weights, Some(&bias), &mut want);
            transposed_by_gemm(d, &x, &weights, Some(&bias), &mut patches, &mut got);
            assert_close(&want, &got);
        }
    }

    fn assert_close(want: &[f32], got: &[f32]) {
        for (w, g) in want.iter().zip(got) {
            assert!((w - g).abs() < 1e-5, "{w} {g}");
        }
    }
}
