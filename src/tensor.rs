//! Storage: numbers that begin on a 64-byte boundary, and tensors made of them.
//!
//! 64 bytes are a cache line and the widest SIMD register, so a kernel's first load never splits.

use crate::shape::Shape;
use bytemuck::{Pod, Zeroable};
use std::ops::{Deref, DerefMut};

const LANES: usize = 16;

/// One cache line of numbers; its alignment is what makes [`Buffer`] aligned.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

/// A row of `f32` on a 64-byte boundary, zeroed when made.
#[derive(Clone, Default)]
pub struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        Self { lines: vec![Line::zeroed(); len.div_ceil(LANES)], len }
    }
}

impl From<&[f32]> for Buffer {
    fn from(values: &[f32]) -> Self {
        let mut buffer = Self::zeroed(values.len());
        buffer.copy_from_slice(values);
        buffer
    }
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

/// A blob on the host: a shape and its elements, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Shape,
    data: Vec<f32>,
}

impl Tensor {
    /// A tensor from its elements. Fails when their number is not the shape's.
    pub fn new(shape: Shape, data: Vec<f32>) -> Result<Self, String> {
        if shape.count() != data.len() {
            return Err(format!(
                "shape {shape} needs {} elements, got {}",
                shape.count(),
                data.len()
            ));
        }
        Ok(Self { shape, data })
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The elements, row-major.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The elements, row-major, to change.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The elements of index `i` of the outermost axis.
    pub fn row(&self, i: usize) -> &[f32] {
        let len = self.data.len() / self.shape.dims().first().copied().unwrap_or(1);
        &self.data[i * len..][..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_on_a_cache_line() {
        for len in [0, 1, 15, 16, 17, 1000] {
            let b = Buffer::zeroed(len);
            assert_eq!(b.len(), len);
            assert_eq!(b.as_ptr() as usize % 64, 0);
        }
        assert_eq!(*Buffer::from(&[1.0, 2.0][..]), [1.0, 2.0]);
    }
}
