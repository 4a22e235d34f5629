//! A `.caffemodel` in, its layers with their stored blobs out. Only the fields that weights need are
//! decoded; the values stay in the file until they are read.

use prost::Message;
use prost::bytes::Bytes;

use crate::Error;
use crate::blob::StoredBlob;
use crate::upgrade::{v0_layer_type, v1_layer_type};

/// The deepest published nets have a few thousand layers. An empty layer takes two bytes in the file
/// but far more in memory, so a limit keeps a damaged file from growing.
const MAX_LAYERS: usize = 1 << 16;
/// As for layers; the largest count in Caffe itself is 5.
const MAX_BLOBS: usize = 1 << 10;

/// A layer as it was stored.
pub(crate) struct StoredLayer {
    pub name: String,
    /// The current name of its type; empty if the file has none.
    pub kind: String,
    pub blobs: Vec<StoredBlob>,
}

/// The three generations, with everything left out that weights do not need. A message is read as
/// bytes (the two look the same on the wire) and decoded one at a time.
#[derive(Clone, PartialEq, Message)]
struct Net {
    #[prost(bytes = "bytes", repeated, tag = "2")]
    layers: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "100")]
    layer: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
struct Layer {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    r#type: Option<String>,
    #[prost(bytes = "bytes", repeated, tag = "7")]
    blobs: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
struct V1Layer {
    #[prost(string, optional, tag = "4")]
    name: Option<String>,
    #[prost(int32, optional, tag = "5")]
    r#type: Option<i32>,
    #[prost(bytes = "bytes", repeated, tag = "6")]
    blobs: Vec<Bytes>,
    #[prost(message, optional, tag = "1")]
    layer: Option<V0Layer>,
}

#[derive(Clone, PartialEq, Message)]
struct V0Layer {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    r#type: Option<String>,
    #[prost(bytes = "bytes", repeated, tag = "50")]
    blobs: Vec<Bytes>,
}

/// Reads the layers of a net of any generation. `file` is for messages.
pub(crate) fn decode(file: &str, bytes: Bytes) -> Result<Vec<StoredLayer>, Error> {
    let cut = |e: prost::DecodeError| {
        let problem = format!("not a .caffemodel, or one that is cut short or damaged ({e})");
        Error::damaged(file, problem)
    };
    let net = Net::decode(bytes).map_err(cut)?;
    if !net.layer.is_empty() && !net.layers.is_empty() {
        return Err(Error::damaged(file, "the net mixes current and old layers"));
    }
    let count = net.layer.len() + net.layers.len();
    if count == 0 {
        return Err(Error::damaged(file, "no layers in it; is this a .caffemodel?"));
    }
    if count > MAX_LAYERS {
        return Err(Error::damaged(file, format!("{count} layers, at most {MAX_LAYERS} are read")));
    }
    let mut stored = Vec::with_capacity(count);
    for encoded in net.layer {
        let layer = Layer::decode(encoded).map_err(cut)?;
        let kind = layer.r#type.unwrap_or_default();
        stored.push(store(file, layer.name.unwrap_or_default(), kind, &layer.blobs)?);
    }
    for encoded in net.layers {
        let layer = V1Layer::decode(encoded).map_err(cut)?;
        if let Some(v0) = layer.layer {
            let word = v0.r#type.unwrap_or_default();
            if word == "padding" {
                continue;
            }
            let kind = v0_layer_type(&word).and_then(|t| v1_layer_type(t.into())).unwrap_or("");
            stored.push(store(file, v0.name.unwrap_or_default(), kind.to_owned(), &v0.blobs)?);
        } else {
            let kind = layer.r#type.and_then(v1_layer_type).unwrap_or("").to_owned();
            stored.push(store(file, layer.name.unwrap_or_default(), kind, &layer.blobs)?);
        }
    }
    Ok(stored)
}

fn store(file: &str, name: String, kind: String, blobs: &[Bytes]) -> Result<StoredLayer, Error> {
    if blobs.len() > MAX_BLOBS {
        let problem = format!("layer \"{name}\" has {} blobs, at most {MAX_BLOBS}", blobs.len());
        return Err(Error::damaged(file, problem));
    }
    let blobs = decode_blobs(file, &name, blobs)?;
    Ok(StoredLayer { name, kind, blobs })
}

/// Checks a row of encoded blobs. `layer` is for messages.
pub(crate) fn decode_blobs(
    file: &str,
    layer: &str,
    blobs: &[Bytes],
) -> Result<Vec<StoredBlob>, Error> {
    let decode = |(index, encoded)| {
        StoredBlob::decode(encoded).map_err(|problem| Error::Blob {
            file: file.to_owned(),
            layer: layer.to_owned(),
            index,
            problem,
        })
    };
    blobs.iter().enumerate().map(decode).collect()
}
