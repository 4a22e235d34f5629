//! The largest elements along an axis.

use crate::ops::AxisView;
use std::cmp::Ordering;

/// Values by falling value; equal values by falling index, as Caffe sorts pairs.
fn falling(a: &(f32, usize), b: &(f32, usize)) -> Ordering {
    b.0.total_cmp(&a.0).then(b.1.cmp(&a.1))
}

/// What is written of the largest elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopK {
    /// Their indices along the axis: `(outer, top, inner)`.
    Indices,
    /// Their values: `(outer, top, inner)`.
    Values,
    /// Both: `(outer, 2, top, inner)`, indices first.
    Both,
}

/// The `top` largest of every row along the axis, largest first.
pub fn top_k(v: AxisView, top: usize, what: TopK, x: &[f32], y: &mut [f32]) {
    let planes = if what == TopK::Both { 2 } else { 1 };
    let mut row: Vec<(f32, usize)> = Vec::with_capacity(v.len);
    let blocks = x.chunks_exact(v.block());
    for (block, out) in blocks.zip(y.chunks_exact_mut(planes * top * v.inner)) {
        for i in 0..v.inner {
            row.clear();
            row.extend(block[i..].iter().step_by(v.inner).copied().zip(0..));
            row.sort_unstable_by(falling);
            for (rank, (value, index)) in row.iter().take(top).enumerate() {
                let at = rank * v.inner + i;
                match what {
                    TopK::Indices => out[at] = *index as f32,
                    TopK::Values => out[at] = *value,
                    TopK::Both => {
                        out[at] = *index as f32;
                        out[at + top * v.inner] = *value;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tie_goes_to_the_later_index() {
        let v = AxisView { outer: 1, len: 4, inner: 1 };
        let mut y = [0.0; 4];
        top_k(v, 2, TopK::Both, &[1.0, 7.0, 7.0, 0.0], &mut y);
        assert_eq!(y, [2.0, 1.0, 7.0, 7.0]);
    }
}
