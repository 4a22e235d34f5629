//! A tensor of a safetensors file as numbers row by row: what classifiers learn from. Path and key
//! in, f32 out.

use std::path::Path;

use prost::bytes::Bytes;

use crate::safetensors_file::{decode, key, to_f32};
use crate::{Dtype, Error, mapped};

/// A tensor of shape (n, …) of a safetensors file, mapped into memory and converted row by row.
/// Besides the types of weights it may hold I64, I32 or U8.
pub struct Rows {
    shape: Vec<usize>,
    dtype: Dtype,
    bytes: Bytes,
}

impl Rows {
    /// Finds the tensor `name`.
    ///
    /// Fails when the file is damaged, has no such tensor, or it has no rows or another type.
    pub fn open(path: &Path, name: &str) -> Result<Self, Error> {
        let file = path.display().to_string();
        let (layers, bytes) = decode(&file, &mapped::map(path)?)?;
        let entries = layers.iter().zip(bytes).flat_map(|(layer, bytes)| {
            let keys = layer.tensors.iter().map(|t| (key(&layer.name, &t.name), t));
            keys.zip(bytes).collect::<Vec<_>>()
        });
        let mut known = vec![];
        for ((key, tensor), bytes) in entries {
            if key == name {
                let rows = Rows { shape: tensor.shape.clone(), dtype: tensor.dtype, bytes };
                return rows.check(&file, name);
            }
            known.push(key);
        }
        let problem = format!("no tensor \"{name}\"; it has: {}", known.join(", "));
        Err(Error::damaged(&file, problem))
    }

    fn check(self, file: &str, name: &str) -> Result<Self, Error> {
        let count = crate::blob::count(&self.shape).filter(|&n| n > 0);
        let wrong = |problem: String| Error::damaged(file, format!("tensor \"{name}\" {problem}"));
        let Some(count) = count else {
            return Err(wrong(format!("has no rows: its shape is {:?}", self.shape)));
        };
        match size(self.dtype) {
            None => Err(wrong(format!("holds {}; save it as F32 or I64", self.dtype))),
            Some(size) if self.shape.is_empty() || count * size != self.bytes.len() => {
                Err(wrong(format!("of shape {:?} does not match its bytes", self.shape)))
            }
            Some(_) => Ok(self),
        }
    }

    /// The shape, rows first; no dimension is zero.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Row `index`, outermost dimension first; `None` beyond the last.
    pub fn row(&self, index: usize) -> Option<Vec<f32>> {
        let len = self.bytes.len() / self.shape[0];
        let start = index.checked_mul(len)?;
        let row = self.bytes.get(start..start.checked_add(len)?)?;
        match self.dtype {
            Dtype::Other("I64") => {
                Some(row.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b) as f32).collect())
            }
            Dtype::Other("I32") => {
                Some(row.as_chunks().0.iter().map(|&b| i32::from_le_bytes(b) as f32).collect())
            }
            Dtype::Other(_) => Some(row.iter().map(|&b| f32::from(b)).collect()),
            dtype => to_f32(row, dtype),
        }
    }
}

/// Bytes a value; `None` for a type that is not read.
fn size(dtype: Dtype) -> Option<usize> {
    match dtype {
        Dtype::Other("I64") => Some(8),
        Dtype::Other("I32") => Some(4),
        Dtype::Other("U8") => Some(1),
        other => other.size(),
    }
}
