//! Two weights files in, what tells them apart out.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::{Blob, Error, TensorEntry, WeightsFile};

/// How two weights files differ.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Diff {
    /// The tensors that both have with one shape, in the first file's order.
    pub tensors: Vec<TensorDiff>,
    /// Tensors in the first file alone, as `layer.tensor`.
    pub only_in_first: Vec<String>,
    /// Tensors in the second file alone, as `layer.tensor`.
    pub only_in_second: Vec<String>,
    /// Tensors whose shapes differ.
    pub shapes: Vec<ShapeMismatch>,
}

/// How far two tensors are apart.
#[derive(Debug, Clone, Serialize)]
pub struct TensorDiff {
    /// The tensor, as `layer.tensor`.
    pub tensor: String,
    /// The largest |a − b|; infinite where one is not a finite number and the other differs.
    pub max_difference: f64,
    /// `max_difference` ÷ the largest |a|; 0 if both are 0.
    pub relative: f64,
}

/// Two tensors of one name that cannot be compared.
#[derive(Debug, Clone, Serialize)]
pub struct ShapeMismatch {
    /// The tensor, as `layer.tensor`.
    pub tensor: String,
    /// Its shape in the first file.
    pub first: Vec<usize>,
    /// Its shape in the second file.
    pub second: Vec<usize>,
}

impl Diff {
    /// Whether both files have the same tensors with the same shapes and values.
    pub fn identical(&self) -> bool {
        self.within(0.0)
    }

    /// Whether both files have the same tensors with the same shapes, and every tensor's values differ
    /// by at most this share of its largest one.
    pub fn within(&self, tolerance: f64) -> bool {
        self.only_in_first.is_empty()
            && self.only_in_second.is_empty()
            && self.shapes.is_empty()
            && self.tensors.iter().all(|t| t.relative <= tolerance)
    }

    /// The largest relative difference of any tensor.
    pub fn worst(&self) -> f64 {
        self.tensors.iter().map(|t| t.relative).fold(0.0, f64::max)
    }
}

/// Compares two weights files tensor by tensor, matched by the layer's name and the tensor's position.
/// Old four-dimensional shapes count as equal to the current ones that they stand for.
pub fn diff(first: &Path, second: &Path) -> Result<Diff, Error> {
    let (a, b) = (WeightsFile::open(first)?, WeightsFile::open(second)?);
    let mut result = Diff::default();
    let mut seen = HashSet::new();
    for layer in a.layers() {
        if !seen.insert(layer.name.as_str()) {
            continue;
        }
        let there = b.layer(&layer.name).map_or(&[][..], |l| &l.tensors);
        let here = a.layer(&layer.name).map_or(&[][..], |l| &l.tensors);
        let label = |tensor: &TensorEntry| format!("{}.{}", layer.name, tensor.name);
        for (i, tensor) in here.iter().enumerate() {
            let Some(other) = there.get(i) else {
                result.only_in_first.push(label(tensor));
                continue;
            };
            if !tensor.fits(&other.shape) && !other.fits(&tensor.shape) {
                result.shapes.push(ShapeMismatch {
                    tensor: label(tensor),
                    first: tensor.shape.clone(),
                    second: other.shape.clone(),
                });
                continue;
            }
            let (x, y) = (a.read(&layer.name, i)?, b.read(&layer.name, i)?);
            result.tensors.push(compare(label(tensor), &x, &y));
        }
        result.only_in_second.extend(there.iter().skip(here.len()).map(label));
    }
    for layer in b.layers().filter(|layer| a.layer(&layer.name).is_none()) {
        let labels = layer.tensors.iter().map(|t| format!("{}.{}", layer.name, t.name));
        result.only_in_second.extend(labels);
    }
    Ok(result)
}

fn compare(tensor: String, a: &Blob, b: &Blob) -> TensorDiff {
    let mut max_difference = 0f64;
    let mut largest = 0f64;
    for (&x, &y) in a.data.iter().zip(&b.data) {
        largest = largest.max(f64::from(x).abs());
        // Equal bits (NaN included) and equal values do not differ.
        if x.to_bits() != y.to_bits() && x != y {
            let apart = (f64::from(x) - f64::from(y)).abs();
            max_difference = max_difference.max(if apart.is_nan() { f64::INFINITY } else { apart });
        }
    }
    let relative = if max_difference == 0.0 { 0.0 } else { max_difference / largest };
    TensorDiff { tensor, max_difference, relative }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for t in &self.only_in_first {
            writeln!(f, "only in the first: {t}")?;
        }
        for t in &self.only_in_second {
            writeln!(f, "only in the second: {t}")?;
        }
        for s in &self.shapes {
            writeln!(f, "shapes differ: {} {:?} and {:?}", s.tensor, s.first, s.second)?;
        }
        let differ: Vec<_> = self.tensors.iter().filter(|t| t.max_difference != 0.0).collect();
        for t in &differ {
            writeln!(
                f,
                "{}: largest difference {:.3e}, {:.3e} of the largest value",
                t.tensor, t.max_difference, t.relative
            )?;
        }
        let same = self.tensors.len() - differ.len();
        write!(f, "{same} of {} tensors compared are equal", self.tensors.len())?;
        if self.identical() { write!(f, "; the files hold the same weights") } else { Ok(()) }
    }
}
