//! One view of stored weights, whatever the format: a path in; layers, their tensors, and on demand
//! their values out.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use prost::bytes::Bytes;

use crate::blob::StoredBlob;
use crate::{Blob, Error, StoredFloats, caffemodel, mapped, names, safetensors_file};

/// A number type in which a tensor is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 64 bits, IEEE 754.
    F64,
    /// 32 bits, IEEE 754.
    F32,
    /// 16 bits, IEEE 754.
    F16,
    /// The upper 16 bits of an F32.
    Bf16,
    /// Another type of a safetensors file: listed, not read.
    Other(&'static str),
}

impl Dtype {
    /// Its name in safetensors files.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F64 => "F64",
            Dtype::F32 => "F32",
            Dtype::F16 => "F16",
            Dtype::Bf16 => "BF16",
            Dtype::Other(name) => name,
        }
    }

    /// Bytes a value; `None` for a type that is not read.
    pub fn size(self) -> Option<usize> {
        match self {
            Dtype::F64 => Some(8),
            Dtype::F32 => Some(4),
            Dtype::F16 | Dtype::Bf16 => Some(2),
            Dtype::Other(_) => None,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A layer of stored weights.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LayerEntry {
    /// Its name, by which weights are matched.
    pub name: String,
    /// Its Caffe type, such as "Convolution"; empty if the file does not say.
    pub kind: String,
    /// Its tensors in Caffe's order; empty for a layer without weights.
    pub tensors: Vec<TensorEntry>,
}

/// A tensor of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorEntry {
    /// "weight", "bias"; for BatchNorm "mean", "variance", "scale_factor"; beyond those "blob2", ….
    pub name: String,
    /// How its values are stored.
    pub dtype: Dtype,
    /// Its dimensions as stored, outermost first.
    pub shape: Vec<usize>,
    /// Whether the shape is of the old kind with four dimensions; see [`Blob::matches_legacy`].
    pub legacy: bool,
}

impl TensorEntry {
    /// Whether this tensor fits where an array of shape `want` is needed.
    pub fn fits(&self, want: &[usize]) -> bool {
        self.shape == want || (self.legacy && crate::blob::legacy_equal(&self.shape, want))
    }
}

/// Weights that can be listed and read one tensor at a time: a [`WeightsFile`], or
/// [`MemoryWeights`].
pub trait WeightsSource {
    /// All layers, in the net's order.
    fn entries(&self) -> &[LayerEntry];
    /// Reads a tensor by the position of its layer and its own position in it, as f32.
    fn read_at(&self, layer: usize, tensor: usize) -> Result<Blob, Error>;
}

/// Stored weights: a `.caffemodel` or a `.safetensors` file, mapped into memory. Values are converted
/// when they are read.
pub struct WeightsFile {
    file: String,
    entries: Vec<LayerEntry>,
    by_name: HashMap<String, usize>,
    values: Values,
    /// All of it, and the file itself if it is one.
    bytes: Bytes,
    handle: Option<Arc<File>>,
}

enum Values {
    /// By layer, then by tensor.
    Caffe(Vec<Vec<StoredBlob>>),
    /// By layer, then by tensor: the bytes of each.
    Safetensors(Vec<Vec<Bytes>>),
}

impl WeightsFile {
    /// Opens a weights file. Its content decides the format, its ending only where that is open.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = path.display().to_string();
        let (bytes, handle) = mapped::map_file(path)?;
        let whole = bytes.clone();
        let new = |entries, values| Self::new(&file, entries, values, whole, handle);
        let named_so = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors"));
        if named_so || safetensors_file::looks_like(&bytes) {
            let (entries, values) = safetensors_file::decode(&file, &bytes)?;
            return Ok(new(entries, Values::Safetensors(values)));
        }
        if bytes.starts_with(b"\x89HDF") {
            let problem =
                "an HDF5 file; only protobuf snapshots are read (snapshot_format: BINARYPROTO)";
            return Err(Error::damaged(&file, problem));
        }
        let layers = caffemodel::decode(&file, bytes)?;
        let mut entries = Vec::with_capacity(layers.len());
        let mut values = Vec::with_capacity(layers.len());
        for layer in layers {
            let tensors = layer.blobs.iter().enumerate().map(|(index, blob)| TensorEntry {
                name: names::tensor_name(&layer.kind, index),
                dtype: if blob.is_double { Dtype::F64 } else { Dtype::F32 },
                shape: blob.shape.clone(),
                legacy: blob.legacy,
            });
            let tensors = tensors.collect();
            entries.push(LayerEntry { name: layer.name, kind: layer.kind, tensors });
            values.push(layer.blobs);
        }
        Ok(new(entries, Values::Caffe(values)))
    }

    fn new(
        file: &str,
        entries: Vec<LayerEntry>,
        values: Values,
        bytes: Bytes,
        handle: Option<Arc<File>>,
    ) -> Self {
        let file = file.to_owned();
        // Of layers with one name the last counts: that is what copying them in order leaves.
        let by_name = entries.iter().enumerate().map(|(i, e)| (e.name.clone(), i)).collect();
        WeightsFile { file, entries, by_name, values, bytes, handle }
    }

    /// The path, as it was given.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// All layers, in the file's order.
    pub fn layers(&self) -> impl Iterator<Item = &LayerEntry> {
        self.entries.iter()
    }

    /// The layer of this name.
    pub fn layer(&self, name: &str) -> Option<&LayerEntry> {
        self.by_name.get(name).map(|&i| &self.entries[i])
    }

    /// The `index`-th tensor of a layer as it lies in the file, if that is how it is needed.
    pub fn stored(&self, layer: &str, index: usize) -> Option<StoredFloats> {
        let (position, file) = (*self.by_name.get(layer)?, self.handle.clone()?);
        let Values::Safetensors(values) = &self.values else { return None };
        let (entry, bytes) =
            (self.entries[position].tensors.get(index)?, values.get(position)?.get(index)?);
        let offset = bytes.as_ptr().addr().checked_sub(self.bytes.as_ptr().addr())?;
        let floats = entry.dtype == Dtype::F32 && offset + bytes.len() <= self.bytes.len();
        let count = bytes.len() / size_of::<f32>();
        StoredFloats::new(file, &self.file, offset, count).filter(|_| floats)
    }

    /// Reads the `index`-th tensor of a layer as f32.
    pub fn read(&self, layer: &str, index: usize) -> Result<Blob, Error> {
        match self.by_name.get(layer) {
            Some(&position) => self.read_at(position, index),
            None => Err(Error::NoSuchLayer { file: self.file.clone(), layer: layer.to_owned() }),
        }
    }
}

impl WeightsSource for WeightsFile {
    fn entries(&self) -> &[LayerEntry] {
        &self.entries
    }

    fn read_at(&self, layer: usize, tensor: usize) -> Result<Blob, Error> {
        let entry = find(&self.file, &self.entries, layer, tensor)?;
        match &self.values {
            Values::Caffe(blobs) => Ok(blobs[layer][tensor].read()),
            Values::Safetensors(bytes) => {
                let values = safetensors_file::to_f32(&bytes[layer][tensor], entry.dtype);
                values.map(|data| Blob { shape: entry.shape.clone(), data }).ok_or_else(|| {
                    Error::Dtype {
                        file: self.file.clone(),
                        tensor: format!("{}.{}", self.entries[layer].name, entry.name),
                        dtype: entry.dtype.to_string(),
                    }
                })
            }
        }
    }
}

fn find<'a>(
    file: &str,
    entries: &'a [LayerEntry],
    layer: usize,
    tensor: usize,
) -> Result<&'a TensorEntry, Error> {
    let entry = entries.get(layer).ok_or_else(|| Error::NoSuchLayer {
        file: file.to_owned(),
        layer: format!("number {layer}"),
    })?;
    entry.tensors.get(tensor).ok_or_else(|| Error::NoSuchTensor {
        file: file.to_owned(),
        layer: entry.name.clone(),
        index: tensor,
        count: entry.tensors.len(),
    })
}

/// A layer with its weights in memory.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LayerWeights {
    /// Its name.
    pub name: String,
    /// Its Caffe type.
    pub kind: String,
    /// Its arrays in Caffe's order; none for a layer without weights.
    pub blobs: Vec<Blob>,
}

/// Weights in memory, ready to be written.
#[derive(Debug, Clone, Default)]
pub struct MemoryWeights {
    entries: Vec<LayerEntry>,
    layers: Vec<LayerWeights>,
}

impl MemoryWeights {
    /// Takes layers in the net's order.
    pub fn new(layers: Vec<LayerWeights>) -> Self {
        let entry = |layer: &LayerWeights| LayerEntry {
            name: layer.name.clone(),
            kind: layer.kind.clone(),
            tensors: layer
                .blobs
                .iter()
                .enumerate()
                .map(|(index, blob)| TensorEntry {
                    name: names::tensor_name(&layer.kind, index),
                    dtype: Dtype::F32,
                    shape: blob.shape.clone(),
                    legacy: false,
                })
                .collect(),
        };
        MemoryWeights { entries: layers.iter().map(entry).collect(), layers }
    }

    /// Reads everything from another source.
    pub fn copy_of(source: &dyn WeightsSource) -> Result<Self, Error> {
        let mut layers = vec![];
        for (i, entry) in source.entries().iter().enumerate() {
            let blobs = (0..entry.tensors.len()).map(|t| source.read_at(i, t));
            let blobs = blobs.collect::<Result<_, _>>()?;
            layers.push(LayerWeights { name: entry.name.clone(), kind: entry.kind.clone(), blobs });
        }
        Ok(Self::new(layers))
    }

    /// The layers.
    pub fn layers(&self) -> &[LayerWeights] {
        &self.layers
    }
}

impl WeightsSource for MemoryWeights {
    fn entries(&self) -> &[LayerEntry] {
        &self.entries
    }

    fn read_at(&self, layer: usize, tensor: usize) -> Result<Blob, Error> {
        find("memory", &self.entries, layer, tensor)?;
        Ok(self.layers[layer].blobs[tensor].clone())
    }
}
