//! Shapes of blobs: a list of dimensions, outermost first, `(n, c, h, w)` for pictures.
//!
//! Flows in: dimensions read from a network's description. Flows out: checked sizes and the
//! (outer, axis, inner) split that every operation along an axis works on.

pub use likenet_kernels::ops::AxisView;
use std::fmt;

/// The dimensions of a blob, outermost first. A scalar has none.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(Vec<usize>);

/// Largest number of elements that a blob may have: what a 32-bit signed count can say, as in Caffe.
pub const MAX_COUNT: usize = i32::MAX as usize;

impl Shape {
    /// A shape from its dimensions. Fails when one is zero or the count exceeds [`MAX_COUNT`].
    pub fn new(dims: impl Into<Vec<usize>>) -> Result<Self, String> {
        let dims = dims.into();
        if dims.contains(&0) {
            return Err(format!("shape {} has no elements", Shape(dims)));
        }
        let count = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        match count {
            Some(n) if n <= MAX_COUNT => Ok(Self(dims)),
            _ => Err(format!("shape {} has more than {MAX_COUNT} elements", Shape(dims))),
        }
    }

    /// The shape of a single number: no dimensions, one element.
    pub fn scalar() -> Self {
        Self(Vec::new())
    }

    /// The dimensions, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// How many axes there are.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// How many elements there are.
    pub fn count(&self) -> usize {
        self.0.iter().product()
    }

    /// Number of elements in the axes `range`.
    pub fn count_in(&self, range: std::ops::Range<usize>) -> usize {
        self.0[range].iter().product()
    }

    /// An axis as Caffe writes it (−1 is the last) as an index. Fails when there is no such axis.
    pub fn axis(&self, axis: i32) -> Result<usize, String> {
        let rank = self.rank() as i32;
        let index = if axis < 0 { axis + rank } else { axis };
        if (0..rank).contains(&index) {
            Ok(index as usize)
        } else {
            Err(format!("axis {axis} does not exist in shape {self}"))
        }
    }

    /// Splits around the axes `from..to` into (outer, len, inner).
    pub fn split(&self, from: usize, to: usize) -> AxisView {
        AxisView {
            outer: self.count_in(0..from),
            len: self.count_in(from..to),
            inner: self.count_in(to..self.rank()),
        }
    }

    /// Splits around one axis.
    pub fn along(&self, axis: usize) -> AxisView {
        self.split(axis, axis + 1)
    }

    /// The same shape with one axis set to `len`.
    pub fn with_axis(&self, axis: usize, len: usize) -> Result<Self, String> {
        let mut dims = self.0.clone();
        dims[axis] = len;
        Self::new(dims)
    }

    /// Batch, channels, height, width. Fails unless there are four axes.
    pub fn nchw(&self) -> Result<[usize; 4], String> {
        <[usize; 4]>::try_from(self.0.as_slice())
            .map_err(|_| format!("needs a shape (n, c, h, w), got {self}"))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("()");
        }
        for (i, d) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("×")?;
            }
            write!(f, "{d}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shape({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_count_from_both_ends() {
        let s = Shape::new([2, 3, 5, 7]).unwrap();
        assert_eq!(s.axis(-1), Ok(3));
        assert_eq!(s.axis(1), Ok(1));
        assert!(s.axis(4).is_err() && s.axis(-5).is_err());
        assert_eq!(s.along(1), AxisView { outer: 2, len: 3, inner: 35 });
        assert_eq!(s.to_string(), "2×3×5×7");
    }

    #[test]
    fn a_count_that_overflows_is_an_error() {
        assert!(Shape::new([usize::MAX, 2]).is_err());
        assert!(Shape::new([1 << 16, 1 << 15]).is_err());
        assert!(Shape::new([2, 0]).is_err());
        assert_eq!(Shape::scalar().count(), 1);
    }
}
