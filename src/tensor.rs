//! A blob on the host.

use crate::shape::Shape;

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
