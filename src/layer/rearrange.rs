//! Layers that move, join, cut, repeat or sum elements without weights.

use super::{Inference, ShapeResult, same};
use crate::shape::{AxisView, Shape};
use likenet_kernels::ops::{Eltwise, Reduction};

/// Blobs joined along an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Concat {
    /// The axis.
    pub axis: i32,
}

impl Concat {
    pub(super) fn infer(&self, bottoms: &[&Shape]) -> ShapeResult<Inference> {
        let first = bottoms[0];
        let axis = first.axis(self.axis)?;
        let mut sum = 0;
        for b in bottoms {
            let fits = b.rank() == first.rank()
                && (0..b.rank()).all(|i| i == axis || b.dims()[i] == first.dims()[i]);
            if !fits {
                return Err(format!("{first} and {b} cannot be joined along axis {axis}"));
            }
            sum += b.dims()[axis];
        }
        Ok(Inference::tops(vec![first.with_axis(axis, sum)?]))
    }
}

/// A blob cut along an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// The axis.
    pub axis: i32,
    /// Where each further top begins; equal parts when empty.
    pub points: Vec<usize>,
}

impl Slice {
    /// Where each of `tops` parts begins along the axis, and the axis's end.
    fn bounds(&self, len: usize, tops: usize) -> ShapeResult<Vec<usize>> {
        if self.points.is_empty() {
            if !len.is_multiple_of(tops) {
                return Err(format!("an axis of {len} cannot be cut into {tops} equal parts"));
            }
            return Ok((0..=tops).map(|i| i * (len / tops)).collect());
        }
        if self.points.len() + 1 != tops {
            return Err(format!("{} slice points for {tops} tops", self.points.len()));
        }
        let mut bounds = vec![0];
        bounds.extend(&self.points);
        bounds.push(len);
        if !bounds.is_sorted_by(|a, b| a < b) {
            return Err(format!("slice points {:?} do not rise to {len}", self.points));
        }
        Ok(bounds)
    }

    pub(super) fn infer(&self, bottom: &Shape, tops: usize) -> ShapeResult<Inference> {
        let axis = bottom.axis(self.axis)?;
        let bounds = self.bounds(bottom.dims()[axis], tops)?;
        let tops = bounds
            .windows(2)
            .map(|w| bottom.with_axis(axis, w[1] - w[0]))
            .collect::<ShapeResult<_>>()?;
        Ok(Inference::tops(tops))
    }
}

pub(super) fn infer_eltwise(op: &Eltwise, bottoms: &[&Shape]) -> ShapeResult<Inference> {
    if let Some(b) = bottoms.iter().find(|b| **b != bottoms[0]) {
        return Err(format!("bottoms differ in shape: {} and {b}", bottoms[0]));
    }
    match op {
        Eltwise::Sum(c) if !c.is_empty() && c.len() != bottoms.len() => {
            Err(format!("{} coefficients for {} bottoms", c.len(), bottoms.len()))
        }
        _ => same(bottoms[0]),
    }
}

/// Axes `axis..=end` made one.
#[derive(Clone, Debug, PartialEq)]
pub struct Flatten {
    /// First axis.
    pub axis: i32,
    /// Last axis, included.
    pub end: i32,
}

impl Flatten {
    pub(super) fn infer(&self, bottom: &Shape) -> ShapeResult<Inference> {
        let (from, to) = (bottom.axis(self.axis)?, bottom.axis(self.end)? + 1);
        if from >= to {
            return Err(format!("end_axis {} comes before axis {}", self.end, self.axis));
        }
        let d = bottom.dims();
        let mut dims = d[..from].to_vec();
        dims.push(bottom.count_in(from..to));
        dims.extend(&d[to..]);
        Ok(Inference::tops(vec![Shape::new(dims)?]))
    }
}

/// The same elements under another shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Reshape {
    /// New dimensions; 0 copies the old one, −1 is inferred (once).
    pub dims: Vec<i64>,
    /// First axis that is replaced; negative counts from one past the last.
    pub axis: i32,
    /// How many axes are replaced; −1 means all from `axis` on.
    pub axes: i32,
}

impl Reshape {
    pub(super) fn infer(&self, bottom: &Shape) -> ShapeResult<Inference> {
        let rank = bottom.rank();
        let from = match self.axis {
            a if a < 0 => rank.checked_sub(a.unsigned_abs() as usize - 1),
            a => Some(a as usize),
        };
        let from = from
            .filter(|&f| f <= rank)
            .ok_or(format!("axis {} does not exist in {bottom}", self.axis))?;
        let to = match self.axes {
            -1 => rank,
            n if n >= 0 && from + n as usize <= rank => from + n as usize,
            n => return Err(format!("{n} axes from axis {from} go beyond {bottom}")),
        };
        let mut dims: Vec<usize> = bottom.dims()[..from].to_vec();
        let mut inferred = None;
        for (i, &d) in self.dims.iter().enumerate() {
            match d {
                0 if from + i < rank => dims.push(bottom.dims()[from + i]),
                0 => return Err(format!("dim 0 copies axis {}, which {bottom} lacks", from + i)),
                -1 if inferred.is_none() => {
                    inferred = Some(dims.len());
                    dims.push(1);
                }
                d if d > 0 => dims.push(d as usize),
                _ => return Err(format!("dims {:?} are not valid", self.dims)),
            }
        }
        dims.extend(&bottom.dims()[to..]);
        if let Some(i) = inferred {
            dims[i] = bottom.count() / Shape::new(dims.clone())?.count();
        }
        let top = Shape::new(dims)?;
        if top.count() != bottom.count() {
            return Err(format!("{bottom} cannot become {top}: other number of elements"));
        }
        Ok(Inference::tops(vec![top]))
    }
}

/// A window of the first bottom, as large as the second from `axis` on.
#[derive(Clone, Debug, PartialEq)]
pub struct Crop {
    /// First axis that is cropped.
    pub axis: i32,
    /// Offset along each cropped axis; one for all; zero when empty.
    pub offsets: Vec<usize>,
}

impl Crop {
    /// Where the window begins along every axis of the first bottom.
    pub fn origin(&self, bottoms: &[&Shape]) -> ShapeResult<Vec<usize>> {
        let (blob, like) = (bottoms[0], bottoms[1]);
        let axis = blob.axis(self.axis)?;
        let cropped = blob.rank() - axis;
        if self.offsets.len() > 1 && self.offsets.len() != cropped {
            return Err(format!("{} offsets for {cropped} axes", self.offsets.len()));
        }
        if like.rank() != blob.rank() {
            return Err(format!("{blob} and {like} differ in axes"));
        }
        let mut origin = vec![0; blob.rank()];
        for (i, begin) in origin.iter_mut().enumerate().skip(axis) {
            let offset = match self.offsets.len() {
                0 => 0,
                1 => self.offsets[0],
                _ => self.offsets[i - axis],
            };
            let fits = offset.checked_add(like.dims()[i]).is_some_and(|end| end <= blob.dims()[i]);
            if !fits {
                return Err(format!("offset {offset} on axis {i} leads outside {blob}"));
            }
            *begin = offset;
        }
        Ok(origin)
    }

    pub(super) fn infer(&self, bottoms: &[&Shape]) -> ShapeResult<Inference> {
        self.origin(bottoms)?;
        let axis = bottoms[0].axis(self.axis)?;
        let mut dims = bottoms[0].dims()[..axis].to_vec();
        dims.extend(&bottoms[1].dims()[axis..]);
        Ok(Inference::tops(vec![Shape::new(dims)?]))
    }
}

/// A blob repeated along an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Tile {
    /// The axis.
    pub axis: i32,
    /// How often.
    pub tiles: usize,
}

impl Tile {
    pub(super) fn infer(&self, bottom: &Shape) -> ShapeResult<Inference> {
        let axis = bottom.axis(self.axis)?;
        let len = bottom.dims()[axis]
            .checked_mul(self.tiles)
            .ok_or(format!("{} tiles are too many", self.tiles))?;
        Ok(Inference::tops(vec![bottom.with_axis(axis, len)?]))
    }
}

/// The axes from `axis` on reduced to one number.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduce {
    /// Sum, mean, …
    pub op: Reduction,
    /// First axis that is reduced.
    pub axis: i32,
    /// Factor of the result.
    pub coeff: f32,
}

impl Reduce {
    /// Rows that are reduced: `outer` of them, `len` long.
    pub fn view(&self, bottom: &Shape) -> ShapeResult<AxisView> {
        Ok(bottom.split(bottom.axis(self.axis)?, bottom.rank()))
    }

    pub(super) fn infer(&self, bottom: &Shape) -> ShapeResult<Inference> {
        let axis = bottom.axis(self.axis)?;
        Ok(Inference::tops(vec![Shape::new(&bottom.dims()[..axis])?]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(dims: &[usize]) -> Shape {
        Shape::new(dims).unwrap()
    }

    fn top(r: ShapeResult<Inference>) -> ShapeResult<String> {
        r.map(|i| i.tops[0].to_string())
    }

    #[test]
    fn reshape_copies_and_infers() {
        let r = |dims: &[i64], axis, axes| Reshape { dims: dims.to_vec(), axis, axes };
        let b = shape(&[2, 3, 4]);
        assert_eq!(top(r(&[0, -1], 0, -1).infer(&b)), Ok("2×12".into()));
        assert_eq!(top(r(&[2, 2], 2, 1).infer(&b)), Ok("2×3×2×2".into()));
        assert_eq!(top(r(&[1], -1, 0).infer(&b)), Ok("2×3×4×1".into()));
        assert!(r(&[5, -1], 0, -1).infer(&b).is_err());
        assert!(r(&[-1, 0], 2, 1).infer(&b).is_err());
        assert!(r(&[-1, -1], 0, -1).infer(&b).is_err());
    }

    #[test]
    fn slice_points_must_rise() {
        let s = |points: &[usize]| Slice { axis: 1, points: points.to_vec() };
        let b = shape(&[1, 6]);
        assert_eq!(s(&[1, 4]).infer(&b, 3).unwrap().tops[1], shape(&[1, 3]));
        assert!(s(&[4, 1]).infer(&b, 3).is_err());
        assert!(s(&[]).infer(&b, 4).is_err());
    }
}
