//! Weights from any source in, a file out, one tensor (or one layer) in memory at a time.

use std::path::Path;

use prost::Message;
use prost::encoding::message;

use crate::schema::proto;
use crate::weights_file::{Dtype, LayerEntry, TensorEntry, WeightsSource};
use crate::{Blob, Error, atomic, names, safetensors_file};

/// The number of `NetParameter.layer`.
const LAYER_FIELD: u32 = 100;
/// Protobuf's limit on a message, and so on one layer's weights.
const MAX_MESSAGE: usize = i32::MAX as usize;

/// Writes a safetensors file with values of one type: F32, F16, BF16 or F64. Old four-dimensional
/// shapes become current ones.
pub fn write_safetensors(
    path: &Path,
    source: &dyn WeightsSource,
    dtype: Dtype,
) -> Result<(), Error> {
    let unwritable = |problem| Error::Unwritable { file: path.display().to_string(), problem };
    let layers: Vec<LayerEntry> = source.entries().iter().map(modern).collect();
    let header = safetensors_file::encode_header(&layers, dtype).map_err(unwritable)?;
    atomic::write_atomically(path, |out| {
        out.write_all(&header).map_err(Error::io(path, "write"))?;
        for (i, layer) in layers.iter().enumerate() {
            for t in 0..layer.tensors.len() {
                let blob = source.read_at(i, t)?;
                let bytes = safetensors_file::from_f32(&blob.data, dtype)
                    .ok_or_else(|| unwritable(format!("weights are not written as {dtype}")))?;
                out.write_all(&bytes).map_err(Error::io(path, "write"))?;
            }
        }
        Ok(())
    })
}

/// Writes a `.caffemodel` of the current generation: `layer` messages with name, type and blobs, each
/// blob with `shape` and packed f32 values. `net` is the net's name.
pub fn write_caffemodel(path: &Path, net: &str, source: &dyn WeightsSource) -> Result<(), Error> {
    let layers = source.entries().iter().enumerate().map(|(i, entry)| {
        Ok(proto::LayerParameter {
            name: Some(entry.name.clone()),
            r#type: (!entry.kind.is_empty()).then(|| entry.kind.clone()),
            blobs: blobs(source, i)?,
            ..Default::default()
        })
    });
    write_net(path, net, layers)
}

/// The weights of a source's layer as messages of the current generation.
pub(crate) fn blobs(
    source: &dyn WeightsSource,
    layer: usize,
) -> Result<Vec<proto::BlobProto>, Error> {
    let tensors = modern(&source.entries()[layer]).tensors;
    let blob = |(t, tensor): (usize, TensorEntry)| {
        let data = source.read_at(layer, t)?.data;
        Ok(Blob { shape: tensor.shape, data }.into_proto())
    };
    tensors.into_iter().enumerate().map(blob).collect()
}

/// Writes a net's name and its layers, one layer in memory at a time.
pub(crate) fn write_net(
    path: &Path,
    net: &str,
    layers: impl Iterator<Item = Result<proto::LayerParameter, Error>>,
) -> Result<(), Error> {
    atomic::write_atomically(path, |out| {
        let name = proto::NetParameter { name: Some(net.to_owned()), ..Default::default() };
        out.write_all(&name.encode_to_vec()).map_err(Error::io(path, "write"))?;
        for layer in layers {
            let layer = layer?;
            let length = layer.encoded_len();
            if length > MAX_MESSAGE {
                return Err(Error::Unwritable {
                    file: path.display().to_string(),
                    problem: format!("layer \"{}\" is too large for protobuf", layer.name()),
                });
            }
            let mut bytes = Vec::with_capacity(length + 16);
            message::encode(LAYER_FIELD, &layer, &mut bytes);
            out.write_all(&bytes).map_err(Error::io(path, "write"))?;
        }
        Ok(())
    })
}

/// The entry with its old shapes made current.
fn modern(layer: &LayerEntry) -> LayerEntry {
    let mut layer = layer.clone();
    for tensor in layer.tensors.iter_mut().filter(|t| t.legacy) {
        tensor.shape = names::modern_shape(&layer.kind, &tensor.name, &tensor.shape);
        tensor.legacy = false;
    }
    layer
}
