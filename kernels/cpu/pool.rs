//! Pooling over planes, with Caffe's rules for windows at the border.
//!
//! Flows in: planes `(planes, h, w)`. Flows out: planes `(planes, out_h, out_w)`.
//!
//! MAX starts at −`f32::MAX` and takes the first maximum (strict `>`); padding is never a candidate.
//! AVE divides by the window's area clipped to the padded picture: padding counts, what hangs over
//! by rounding up does not. A window wholly outside gives −`f32::MAX` and NaN.

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

#[cfg(test)]
mod tests {
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
}
