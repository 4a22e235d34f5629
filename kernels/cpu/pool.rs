//! Pooling over planes, with Caffe's rules for windows at the border.
//!
//! Flows in: planes `(planes, h, w)`. Flows out: planes `(planes, out_h, out_w)`.
//!
//! MAX starts at −`f32::MAX` and takes the first maximum (strict `>`); padding is never a candidate.
//! AVE divides by the window's area clipped to the padded picture: padding counts, what hangs over
//! by rounding up does not. A window wholly outside gives −`f32::MAX` and NaN.

use super::simd::{Simd, SimdOp};
use super::table::Kernels;
use crate::ops::PoolDims;
use std::ops::Range;

/// Rows (or columns) that window `at` covers inside the picture, and its length for the average.
fn clip(d: &PoolDims, axis: usize, at: usize) -> (Range<usize>, usize) {
    let w = &d.window;
    let start = (at * w.stride[axis]) as isize - w.pad[axis] as isize;
    let padded_end = (start + w.kernel[axis] as isize).min((d.input[axis] + w.pad[axis]) as isize);
    let end = padded_end.min(d.input[axis] as isize).max(0) as usize;
    let length = (padded_end - start).max(0) as usize;
    ((start.max(0) as usize).min(end)..end, length)
}

/// Maximum of each window.
pub fn max(d: &PoolDims, x: &[f32], y: &mut [f32]) {
    planes(d, x, y, |plane, rows, columns, _| best(plane, d.input[1], rows, columns).0);
}

/// Index `h · width + w` of each window's first maximum inside its plane, as a float; −1 for none.
pub fn max_index(d: &PoolDims, x: &[f32], mask: &mut [f32]) {
    planes(d, x, mask, |plane, rows, columns, _| {
        best(plane, d.input[1], rows, columns).1.map_or(-1.0, |i| i as f32)
    });
}

/// Average of each window.
pub fn ave(d: &PoolDims, x: &[f32], y: &mut [f32]) {
    planes(d, x, y, |plane, rows, columns, area| {
        let mut sum = 0f32;
        for r in rows {
            for v in &plane[r * d.input[1]..][columns.clone()] {
                sum += v;
            }
        }
        sum / area as f32
    });
}

fn best(
    plane: &[f32],
    width: usize,
    rows: Range<usize>,
    columns: Range<usize>,
) -> (f32, Option<usize>) {
    let (mut top, mut index) = (-f32::MAX, None);
    for r in rows {
        for c in columns.clone() {
            let v = plane[r * width + c];
            if v > top {
                (top, index) = (v, Some(r * width + c));
            }
        }
    }
    (top, index)
}

fn planes(
    d: &PoolDims,
    x: &[f32],
    y: &mut [f32],
    window: impl Fn(&[f32], Range<usize>, Range<usize>, usize) -> f32,
) {
    let [out_h, out_w] = d.output;
    let inputs = x.chunks_exact(d.input[0] * d.input[1]);
    for (plane, out) in inputs.zip(y.chunks_exact_mut(out_h * out_w)) {
        for (oy, line) in out.chunks_exact_mut(out_w).enumerate() {
            let (rows, tall) = clip(d, 0, oy);
            for (ox, value) in line.iter_mut().enumerate() {
                let (columns, wide) = clip(d, 1, ox);
                *value = window(plane, rows.clone(), columns, tall * wide);
            }
        }
    }
}

/// The gradient of [`max`]: each window's first maximum takes its `dy`. A window that has none, wholly
/// outside or of NaN, gives nothing.
pub fn max_back(d: &PoolDims, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let [h, w] = d.input;
    planes_back(d, dy, dx, |plane, dx, rows, columns, dy, _| {
        if let (_, Some(at)) = best(&x[plane * h * w..][..h * w], w, rows, columns) {
            dx[at] += dy;
        }
    });
}

/// The gradient of [`ave`]: each value of a window takes `dy` / area.
pub fn ave_back(d: &PoolDims, dy: &[f32], dx: &mut [f32]) {
    planes_back(d, dy, dx, |_, dx, rows, columns, dy, area| {
        for r in rows {
            dx[r * d.input[1]..][columns.clone()].iter_mut().for_each(|dx| *dx += dy / area as f32);
        }
    });
}

/// Starts from zero and calls `window` for each output: the plane's number, its `dx`, the window's rows and
/// columns, its `dy`, its area for the average.
fn planes_back(
    d: &PoolDims,
    dy: &[f32],
    dx: &mut [f32],
    window: impl Fn(usize, &mut [f32], Range<usize>, Range<usize>, f32, usize),
) {
    let [out_h, out_w] = d.output;
    dx.fill(0.0);
    let outputs = dy.chunks_exact(out_h * out_w);
    let planes = dx.chunks_exact_mut(d.input[0] * d.input[1]).zip(outputs);
    for (plane, (dx, dy)) in planes.enumerate() {
        for (oy, line) in dy.chunks_exact(out_w).enumerate() {
            let (rows, tall) = clip(d, 0, oy);
            for (ox, dy) in line.iter().enumerate() {
                let (columns, wide) = clip(d, 1, ox);
                window(plane, dx, rows.clone(), columns, *dy, tall * wide);
            }
        }
    }
}

/// The same as [`max`] in SIMD registers: down the columns first, then along the row that remains.
pub fn max_fast(kernels: &Kernels, d: &PoolDims, x: &[f32], y: &mut [f32]) {
    kernels.run(Separable::<true> { d, x, y });
}

/// The same as [`ave`], up to the order of the sums, in SIMD registers.
pub fn ave_fast(kernels: &Kernels, d: &PoolDims, x: &[f32], y: &mut [f32]) {
    kernels.run(Separable::<false> { d, x, y });
}

/// The same as [`max_back`] in SIMD registers, with `y` as [`max`] left it.
pub fn max_back_fast(
    kernels: &Kernels,
    d: &PoolDims,
    x: &[f32],
    y: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    kernels.run(MaxBack { d, x, y, dy, dx });
}

/// Looks for each window's maximum, which is known, in a padded plane.
struct MaxBack<'a> {
    d: &'a PoolDims,
    x: &'a [f32],
    y: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
}

/// A place as a float from 1 to [`NOWHERE`], so that the first is the least: its bits count upwards.
fn place(at: usize) -> f32 {
    f32::from_bits(1f32.to_bits() + at as u32)
}

/// More than any place that is less than 2²³.
const NOWHERE: f32 = 2.0;
/// 2¹⁰⁰: its square times the smallest difference between two numbers is still more than [`NOWHERE`].
const HUGE: f32 = 1.267_650_6e30;

impl SimdOp for MaxBack<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { d, x, y, dy, dx } = self;
        let ([h, w], [out_h, out_w]) = (d.input, d.output);
        let ([_, kernel], [_, stride], [_, pad]) = (d.window.kernel, d.window.stride, d.window.pad);
        let pitch = ((out_w + S::LANES) * stride + kernel).max(pad + w);
        if h * pitch >= 1 << 23 {
            return max_back(d, x, dy, dx);
        }
        let (mut values, mut sums) = (vec![-f32::MAX; h * pitch], vec![0.0; h * pitch]);
        let outputs = y.chunks_exact(out_h * out_w).zip(dy.chunks_exact(out_h * out_w));
        let planes = x.chunks_exact(h * w).zip(dx.chunks_exact_mut(h * w)).zip(outputs);
        for ((x, dx), (y, dy)) in planes {
            for (row, x) in values.chunks_exact_mut(pitch).zip(x.chunks_exact(w)) {
                // SAFETY: the caller promises the instruction set.
                unsafe { copy::<S>(x, &mut row[pad..], |x| x.max(S::splat(-f32::MAX))) };
            }
            sums.fill(0.0);
            for (oy, (y, dy)) in y.chunks_exact(out_w).zip(dy.chunks_exact(out_w)).enumerate() {
                let rows = clip(d, 0, oy).0;
                for (block, (y, dy)) in y.chunks(S::LANES).zip(dy.chunks(S::LANES)).enumerate() {
                    let column = block * S::LANES * stride;
                    let mut places = [NOWHERE; 16];
                    // SAFETY: a vector of windows lies inside `values`, in whose rows there is room for one more;
                    // no vector has more than sixteen lanes; the caller promises the instruction set.
                    unsafe {
                        let y = S::load_first(y.as_ptr(), y.len());
                        let starts = rows.clone().map(|r| r * pitch + column);
                        first_equal(d, y, &values, starts).store(places.as_mut_ptr());
                    }
                    let places = places.map(|place| (place.to_bits() - 1f32.to_bits()) as usize);
                    for (lane, (place, (y, dy))) in places.iter().zip(y.iter().zip(dy)).enumerate()
                    {
                        if *y > -f32::MAX
                            && let Some(sum) = sums.get_mut(place + lane * stride)
                        {
                            *sum += dy;
                        }
                    }
                }
            }
            for (dx, sums) in dx.chunks_exact_mut(w).zip(sums.chunks_exact(pitch)) {
                // SAFETY: as above.
                unsafe { copy::<S>(&sums[pad..pad + w], dx, |sum| sum) };
            }
        }
    }
}

/// `to = f(from)` for as many values as `from` has.
///
/// # Safety
/// As for [`Simd`].
#[inline(always)]
unsafe fn copy<S: Simd>(from: &[f32], to: &mut [f32], f: impl Fn(S) -> S) {
    for (from, to) in from.chunks(S::LANES).zip(to[..from.len()].chunks_mut(S::LANES)) {
        // SAFETY: both are as long as `from`; the caller's promise.
        unsafe {
            if from.len() == S::LANES {
                f(S::load(from.as_ptr())).store(to.as_mut_ptr());
            } else {
                f(S::load_first(from.as_ptr(), from.len())).store_first(to.as_mut_ptr(), to.len());
            }
        }
    }
}

/// Where in `values` the first value of each window lies that equals its `y`; `starts` are those of the rows of
/// the first window.
///
/// # Safety
/// As for [`Simd`]; `values` must hold the windows, a vector of them.
#[inline(always)]
unsafe fn first_equal<S: Simd>(
    d: &PoolDims,
    y: S,
    values: &[f32],
    starts: impl Iterator<Item = usize>,
) -> S {
    // SAFETY: the caller's promise.
    unsafe {
        let mut least = S::splat(NOWHERE);
        for start in starts {
            for at in start..start + d.window.kernel[1] {
                let less = y.sub(every(values.as_ptr().add(at), d.window.stride[1]));
                // Zero where they are equal, else more than any place.
                let far = less.mul(S::splat(HUGE)).mul(S::splat(HUGE));
                least = far.max(S::splat(place(at))).min(least);
            }
        }
        least
    }
}

/// Maximum or mean of windows, one direction after the other.
struct Separable<'a, const MAX: bool> {
    d: &'a PoolDims,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl<const MAX: bool> SimdOp for Separable<'_, MAX> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { d, x, y } = self;
        let (width, [out_h, out_w]) = (d.input[1], d.output);
        let [_, stride] = d.window.stride;
        let [_, pad] = d.window.pad;
        let start = if MAX { -f32::MAX } else { 0.0 };
        // One row, with what padding counts as on both sides; reads go up to two vectors further.
        let reach = (out_w - 1) * stride + d.window.kernel[1];
        let mut row = vec![start; reach.max(pad + width) + 2 * S::LANES * stride];
        let wide: Vec<f32> = (0..out_w + S::LANES)
            .map(|ox| if ox < out_w { clip(d, 1, ox).1 as f32 } else { 1.0 })
            .collect();
        let planes = x.chunks_exact(d.input[0] * width).zip(y.chunks_exact_mut(out_h * out_w));
        for (plane, out) in planes {
            for (oy, line) in out.chunks_exact_mut(out_w).enumerate() {
                let (rows, tall) = clip(d, 0, oy);
                // SAFETY: rows and columns lie inside the plane, and inside `row`, which has room for the
                // vectors that hang over its end; the caller promises the instruction set.
                unsafe {
                    for at in (0..width).step_by(S::LANES) {
                        let lanes = S::LANES.min(width - at);
                        let mut v = S::splat(start);
                        for r in rows.clone() {
                            let from = plane.as_ptr().add(r * width + at);
                            let value = match lanes == S::LANES {
                                true => S::load(from),
                                false => S::load_first(from, lanes),
                            };
                            v = Self::join(value, v);
                        }
                        v.store_first(row.as_mut_ptr().add(pad + at), lanes);
                    }
                    for at in (0..out_w).step_by(S::LANES) {
                        let mut v = S::splat(start);
                        for tap in 0..d.window.kernel[1] {
                            v = Self::join(every(row.as_ptr().add(at * stride + tap), stride), v);
                        }
                        if !MAX {
                            let wide = S::load(wide.as_ptr().add(at));
                            v = v.div(wide.mul(S::splat(tall as f32)));
                        }
                        v.store_first(line.as_mut_ptr().add(at), S::LANES.min(out_w - at));
                    }
                }
            }
        }
    }
}

impl<const MAX: bool> Separable<'_, MAX> {
    #[inline(always)]
    unsafe fn join<S: Simd>(value: S, so_far: S) -> S {
        // SAFETY: the caller promises the instruction set.
        unsafe { if MAX { value.max(so_far) } else { so_far.add(value) } }
    }
}

/// `LANES` values that are `stride` apart.
///
/// # Safety
/// As for [`Simd`]; `from` must be valid for `LANES · stride` reads.
#[inline(always)]
unsafe fn every<S: Simd>(from: *const f32, stride: usize) -> S {
    // SAFETY: the caller's promise.
    unsafe {
        match stride {
            1 => S::load(from),
            2 => S::load(from).even(S::load(from.add(S::LANES))),
            _ => {
                let mut lanes = [0f32; 16];
                for (i, lane) in lanes[..S::LANES].iter_mut().enumerate() {
                    *lane = *from.add(i * stride);
                }
                S::load(lanes.as_ptr())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check, distant, numbers};
    use super::super::table::available;
    use super::*;
    use crate::ops::Window;

    fn dims(
        input: [usize; 2],
        output: [usize; 2],
        kernel: usize,
        stride: usize,
        pad: usize,
    ) -> PoolDims {
        PoolDims {
            input,
            output,
            window: Window {
                kernel: [kernel; 2],
                stride: [stride; 2],
                pad: [pad; 2],
                dilation: [1, 1],
            },
        }
    }

    #[test]
    fn averages_count_padding_but_not_the_overhang() {
        // 3×3 of ones, window 2, stride 2, pad 1: the corner window sees one value and three pads.
        let mut y = [0.0; 4];
        ave(&dims([3, 3], [2, 2], 2, 2, 1), &[1.0; 9], &mut y);
        assert_eq!(y, [0.25, 0.5, 0.5, 1.0]);
        // Window 3 stride 2 on 4 columns: the second window hangs over by one, 3 → 2 columns.
        let mut y = [0.0; 2];
        ave(&dims([3, 4], [1, 2], 3, 2, 0), &[2.0; 12], &mut y);
        assert_eq!(y, [2.0, 2.0]);
    }

    #[test]
    fn the_first_maximum_wins_and_padding_never_does() {
        let d = dims([2, 2], [2, 2], 2, 1, 1);
        let mut y = [0.0; 4];
        max(&d, &[-3.0, -3.0, -3.0, -3.0], &mut y);
        assert_eq!(y, [-3.0; 4]);
        max_index(&d, &[-3.0, -3.0, -3.0, -3.0], &mut y);
        assert_eq!(y, [0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn every_kernel_equals_plain_on_tails() {
        let cases = [
            ([13, 13], 3, 2, 0),
            ([55, 55], 3, 2, 0),
            ([28, 27], 3, 1, 1),
            ([7, 7], 7, 1, 0),
            ([17, 40], 5, 3, 2),
            ([4, 66], 2, 2, 1),
            ([1, 1], 3, 2, 1),
            ([6, 5], 2, 5, 0),
        ];
        for (input, kernel, stride, pad) in cases {
            // As Caffe rounds, up.
            let out = |n: usize| (n + 2 * pad - kernel).div_ceil(stride) + 1;
            let d = dims(input, input.map(out), kernel, stride, pad);
            let number = |i: usize| (i * 7919 % 1009) as f32 / 500.0 - 1.0;
            let mut x: Vec<f32> = (0..3 * input[0] * input[1]).map(number).collect();
            x[0] = f32::NAN;
            let len = 3 * d.output[0] * d.output[1];
            let (mut maxima, mut means) = (vec![0.0; len], vec![0.0; len]);
            max(&d, &x, &mut maxima);
            ave(&d, &x, &mut means);
            for kernels in available() {
                let mut got = vec![9.0; len];
                max_fast(kernels, &d, &x, &mut got);
                assert_eq!(maxima, got, "{} {d:?}", kernels.name());
                ave_fast(kernels, &d, &x, &mut got);
                for (w, g) in means.iter().zip(&got) {
                    let same = w.is_nan() && g.is_nan() || (w - g).abs() < 1e-6;
                    assert!(same, "{} {d:?}: {w} {g}", kernels.name());
                }
            }
        }
    }

    /// Sizes with tails, with padding, and with windows that lie wholly outside.
    fn each_size() -> impl Iterator<Item = PoolDims> {
        let cases = [
            ([13, 13], 3, 2, 0),
            ([14, 35], 3, 2, 1),
            ([9, 18], 3, 1, 1),
            ([7, 7], 7, 1, 0),
            ([11, 20], 5, 3, 2),
            ([4, 36], 2, 2, 1),
            ([1, 1], 3, 2, 1),
            ([6, 5], 2, 5, 0),
            ([6, 7], 1, 2, 0),
        ];
        cases.into_iter().map(|(input, kernel, stride, pad)| {
            let out = |n: usize| (n + 2 * pad - kernel).div_ceil(stride) + 1;
            dims(input, input.map(out), kernel, stride, pad)
        })
    }

    #[test]
    fn gradients_equal_differences() {
        for d in each_size() {
            // What lies wholly outside has no finite output to take differences of.
            let values = |y: Vec<f32>| {
                let finite = |y: f32| if y > -f32::MAX { y } else { 0.0 };
                y.into_iter().map(finite).collect::<Vec<f32>>()
            };
            let x = distant(2 * d.input[0] * d.input[1]);
            let f = |pool: fn(&PoolDims, &[f32], &mut [f32]), x: &[f32]| {
                let mut y = vec![0.0; 2 * d.output[0] * d.output[1]];
                pool(&d, x, &mut y);
                values(y)
            };
            check(
                &x,
                |x| f(max, x),
                |dy| {
                    let mut dx = vec![9.0; x.len()];
                    max_back(&d, &x, dy, &mut dx);
                    dx
                },
            );
            check(
                &x,
                |x| f(ave, x),
                |dy| {
                    let mut dx = vec![9.0; x.len()];
                    ave_back(&d, dy, &mut dx);
                    dx
                },
            );
        }
    }

    #[test]
    fn every_kernel_finds_the_same_maxima() {
        for d in each_size() {
            // Few different values, so that many windows have several maxima; and what is hard to compare.
            let mut x = numbers(3 * d.input[0] * d.input[1]);
            x.iter_mut().for_each(|x| *x = (*x * 3.0).round());
            let hard = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY, -f32::MAX];
            x.iter_mut().step_by(29).zip(hard).for_each(|(x, hard)| *x = hard);
            let len = 3 * d.output[0] * d.output[1];
            let (dy, mut y) = (numbers(len), vec![0.0; len]);
            let mut want = vec![9.0; x.len()];
            max(&d, &x, &mut y);
            max_back(&d, &x, &dy, &mut want);
            for kernels in available() {
                let mut got = vec![9.0; x.len()];
                max_back_fast(kernels, &d, &x, &y, &dy, &mut got);
                assert_eq!(want, got, "{} {d:?}", kernels.name());
            }
        }
    }

    #[test]
    fn the_first_maximum_takes_the_gradient() {
        let d = dims([2, 2], [1, 1], 2, 1, 0);
        let mut dx = [9.0; 4];
        max_back(&d, &[1.0, 5.0, 5.0, 5.0], &[3.0], &mut dx);
        assert_eq!(dx, [0.0, 3.0, 0.0, 0.0]);
    }
}
