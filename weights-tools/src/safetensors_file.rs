//! A safetensors file: bytes in, layers and the bytes of their tensors out; and the header for the
//! way back.
//!
//! The format: eight bytes for the header's length, a JSON header, then the values without gaps.
//! Keys are `<layer>.<tensor>`. What Caffe knows beyond that (the layers' order and types) is JSON
//! under `layers` in the header's `__metadata__`; files of other programs do without.

use std::collections::{BTreeMap, HashMap};

use half::{bf16, f16};
use prost::bytes::{Buf, Bytes};
use serde::{Deserialize, Serialize};

use crate::blob::count;
use crate::weights_file::{Dtype, LayerEntry, TensorEntry};
use crate::{Error, names};

/// The format's own limit on the header.
const MAX_HEADER: usize = 100_000_000;

/// The key of the layers' list in `__metadata__`.
const LAYERS: &str = "layers";

/// A layer in `__metadata__`.
#[derive(Serialize, Deserialize)]
struct LayerNote {
    name: String,
    #[serde(rename = "type", default)]
    kind: String,
    /// Its tensors' names in Caffe's order.
    #[serde(default)]
    tensors: Vec<String>,
}

/// A tensor in the header.
#[derive(Serialize, Deserialize)]
pub(crate) struct TensorNote {
    pub dtype: String,
    pub shape: Vec<usize>,
    pub data_offsets: (usize, usize),
}

#[derive(Deserialize)]
pub(crate) struct Header {
    #[serde(rename = "__metadata__", default)]
    pub metadata: HashMap<String, String>,
    #[serde(flatten)]
    pub tensors: HashMap<String, TensorNote>,
}

/// Whether bytes begin like a safetensors file: a plausible length, then a JSON object.
pub(crate) fn looks_like(bytes: &[u8]) -> bool {
    header_length(bytes).is_some_and(|n| n >= 2 && bytes[8] == b'{')
}

/// The header's length, if the file is long enough for it.
fn header_length(bytes: &[u8]) -> Option<usize> {
    let n = usize::try_from(bytes.get(..8)?.get_u64_le()).ok()?;
    (n <= MAX_HEADER && n <= bytes.len() - 8).then_some(n)
}

/// Reads the header and checks it against the file's length. `file` is for messages.
pub(crate) fn decode(
    file: &str,
    bytes: &Bytes,
) -> Result<(Vec<LayerEntry>, Vec<Vec<Bytes>>), Error> {
    let (header, values) = parts(bytes).map_err(|problem| Error::damaged(file, problem))?;
    let values = bytes.slice_ref(values);
    let entries = match header.metadata.get(LAYERS) {
        Some(notes) => described(file, notes, &header.tensors)?,
        None => grouped(&header.tensors),
    };
    let layer_bytes = |layer: &LayerEntry| {
        let one = |tensor: &TensorEntry| {
            // The entries were made from these very keys.
            let note = header.tensors.get(&key(&layer.name, &tensor.name));
            note.map_or_else(Bytes::new, |note| {
                values.slice(note.data_offsets.0..note.data_offsets.1)
            })
        };
        layer.tensors.iter().map(one).collect()
    };
    let tensor_bytes = entries.iter().map(layer_bytes).collect();
    Ok((entries, tensor_bytes))
}

/// The header and the values behind it. The error is a sentence for the caller to place.
pub(crate) fn parts(bytes: &[u8]) -> Result<(Header, &[u8]), String> {
    let n = header_length(bytes)
        .ok_or("not a safetensors file, or cut short: its header does not fit")?;
    let header: Header = serde_json::from_slice(&bytes[8..8 + n])
        .map_err(|e| format!("the safetensors header is damaged: {e}"))?;
    check_offsets(&header.tensors, bytes.len() - 8 - n)?;
    Ok((header, &bytes[8 + n..]))
}

/// The texts that stand under `__metadata__`.
pub(crate) fn metadata(file: &str, bytes: &[u8]) -> Result<HashMap<String, String>, Error> {
    let (header, _) = parts(bytes).map_err(|problem| Error::damaged(file, problem))?;
    Ok(header.metadata)
}

/// Every tensor's bytes must follow the last one's and the file must end with the last; the bytes
/// must be as many as shape and type say.
fn check_offsets(tensors: &HashMap<String, TensorNote>, length: usize) -> Result<(), String> {
    let wrong =
        |key: &str, problem: &str| format!("tensor \"{key}\" {problem}; is the file cut short?");
    let mut in_order: Vec<_> = tensors.iter().collect();
    in_order.sort_by_key(|(_, note)| note.data_offsets);
    let mut expected = 0;
    for (key, note) in in_order {
        let (start, end) = note.data_offsets;
        if start != expected || end < start || end > length {
            return Err(wrong(key, "lies outside the file or not next to its neighbour"));
        }
        let size = width(dtype(&note.dtype));
        let wanted = size.and_then(|size| count(&note.shape)?.checked_mul(size));
        if size.is_some() && wanted != Some(end - start) {
            return Err(wrong(key, "has a shape that does not match its bytes"));
        }
        expected = end;
    }
    if expected != length {
        return Err(format!("{length} bytes of values where the header tells of {expected}"));
    }
    Ok(())
}

/// The layers as `__metadata__` lists them. Tensors that the list leaves out follow at the end.
fn described(
    file: &str,
    notes: &str,
    tensors: &HashMap<String, TensorNote>,
) -> Result<Vec<LayerEntry>, Error> {
    let notes: Vec<LayerNote> = serde_json::from_str(notes)
        .map_err(|e| Error::damaged(file, format!("the list of layers is damaged: {e}")))?;
    let mut rest: HashMap<&str, &TensorNote> =
        tensors.iter().map(|(key, note)| (key.as_str(), note)).collect();
    let mut entries = Vec::with_capacity(notes.len());
    for layer in notes {
        let mut found = vec![];
        for name in layer.tensors {
            let key = key(&layer.name, &name);
            let note = rest.remove(key.as_str()).ok_or_else(|| {
                Error::damaged(file, format!("tensor \"{key}\" is listed but missing"))
            })?;
            found.push(entry(name, note));
        }
        entries.push(LayerEntry { name: layer.name, kind: layer.kind, tensors: found });
    }
    entries.extend(group(rest));
    Ok(entries)
}

/// The layers of a file that has no list: a key up to its last dot is the layer.
fn grouped(tensors: &HashMap<String, TensorNote>) -> Vec<LayerEntry> {
    group(tensors.iter().map(|(key, note)| (key.as_str(), note)).collect())
}

fn group(tensors: HashMap<&str, &TensorNote>) -> Vec<LayerEntry> {
    // By layer; within it by rank, then by place in the file.
    type Members<'a> = Vec<(usize, usize, &'a str, &'a TensorNote)>;
    let mut layers: BTreeMap<&str, Members> = BTreeMap::new();
    for (key, note) in tensors {
        // With nothing behind the dot the key would not come back from its parts.
        let split = key.rsplit_once('.').filter(|(_, name)| !name.is_empty());
        let (layer, name) = split.unwrap_or((key, ""));
        let member = (names::rank(name), note.data_offsets.0, name, note);
        layers.entry(layer).or_default().push(member);
    }
    let mut entries = vec![];
    for (layer, mut members) in layers {
        members.sort_by_key(|&(rank, offset, name, _)| (rank, offset, name));
        let first = members.iter().map(|m| m.1).min().unwrap_or(0);
        let tensors = members.into_iter().map(|m| entry(m.2.to_owned(), m.3)).collect();
        entries.push((first, LayerEntry { name: layer.to_owned(), kind: String::new(), tensors }));
    }
    // The order in the file is the best guess at the order in the net.
    entries.sort_by_key(|&(first, _)| first);
    entries.into_iter().map(|(_, entry)| entry).collect()
}

fn entry(name: String, note: &TensorNote) -> TensorEntry {
    TensorEntry { name, dtype: dtype(&note.dtype), shape: note.shape.clone(), legacy: false }
}

/// The key of a tensor. A layer's only tensor may be without a name in files of other programs.
pub(crate) fn key(layer: &str, tensor: &str) -> String {
    if tensor.is_empty() { layer.to_owned() } else { format!("{layer}.{tensor}") }
}

/// Bytes a value; `None` for a type that is not known.
fn width(dtype: Dtype) -> Option<usize> {
    match dtype {
        Dtype::Other("BOOL" | "U8" | "I8") => Some(1),
        Dtype::Other("U16" | "I16") => Some(2),
        Dtype::Other("U32" | "I32") => Some(4),
        Dtype::Other("U64" | "I64" | "C64") => Some(8),
        other => other.size(),
    }
}

pub(crate) fn dtype(name: &str) -> Dtype {
    const OTHERS: [&str; 10] =
        ["BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64", "C64"];
    match name {
        "F64" => Dtype::F64,
        "F32" => Dtype::F32,
        "F16" => Dtype::F16,
        "BF16" => Dtype::Bf16,
        _ => Dtype::Other(OTHERS.iter().find(|&&o| o == name).copied().unwrap_or("a rare type")),
    }
}

/// Values as f32; `None` for a type that is not read. The bytes may be at any address.
pub(crate) fn to_f32(bytes: &[u8], dtype: Dtype) -> Option<Vec<f32>> {
    fn each<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        bytes.as_chunks::<N>().0.iter().map(|&b| read(b)).collect()
    }
    Some(match dtype {
        Dtype::F64 => each(bytes, |b| f64::from_le_bytes(b) as f32),
        Dtype::F32 => each(bytes, f32::from_le_bytes),
        Dtype::F16 => each(bytes, |b| f16::from_le_bytes(b).to_f32()),
        Dtype::Bf16 => each(bytes, |b| bf16::from_le_bytes(b).to_f32()),
        Dtype::Other(_) => return None,
    })
}

/// Values as bytes of a type; `None` for a type that is not written.
pub(crate) fn from_f32(values: &[f32], dtype: Dtype) -> Option<Vec<u8>> {
    Some(match dtype {
        Dtype::F64 => values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect(),
        Dtype::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Dtype::F16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
        Dtype::Bf16 => values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
        Dtype::Other(_) => return None,
    })
}

/// The first bytes of a safetensors file: the header's length and the header, padded so that values begin at a
/// multiple of eight. `texts` come under `__metadata__`; `tensors` are keys, types and shapes in the order in
/// which their values will follow.
///
/// # Errors
/// A sentence for the caller to place: two tensors of one key, one that is too large, or a header that is.
pub fn safetensors_header<'a>(
    texts: impl IntoIterator<Item = (&'a str, &'a str)>,
    tensors: impl IntoIterator<Item = (String, Dtype, Vec<usize>)>,
) -> Result<Vec<u8>, String> {
    let texts: BTreeMap<&str, &str> = texts.into_iter().collect();
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), serde_json::json!(texts));
    let mut end = 0usize;
    for (key, dtype, shape) in tensors {
        let size = width(dtype).ok_or_else(|| format!("numbers are not written as {dtype}"))?;
        let start = end;
        let bytes = count(&shape).and_then(|n| n.checked_mul(size));
        end = bytes
            .and_then(|bytes| start.checked_add(bytes))
            .ok_or_else(|| format!("tensor \"{key}\" is too large"))?;
        let dtype = dtype.name().to_owned();
        let note = TensorNote { dtype, shape, data_offsets: (start, end) };
        let note = serde_json::to_value(note).map_err(|e| e.to_string())?;
        if header.insert(key.clone(), note).is_some() {
            return Err(format!("two tensors would have the key \"{key}\""));
        }
    }
    let mut text = serde_json::to_vec(&header).map_err(|e| e.to_string())?;
    text.resize(text.len().next_multiple_of(8), b' ');
    if text.len() > MAX_HEADER {
        return Err("the header is too long for the format".to_owned());
    }
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    Ok(bytes)
}

/// The header of a file of weights, all of one type.
pub(crate) fn encode_header(layers: &[LayerEntry], dtype: Dtype) -> Result<Vec<u8>, String> {
    let note = |layer: &LayerEntry| LayerNote {
        name: layer.name.clone(),
        kind: layer.kind.clone(),
        tensors: layer.tensors.iter().map(|t| t.name.clone()).collect(),
    };
    let notes: Vec<LayerNote> = layers.iter().map(note).collect();
    let notes = serde_json::to_string(&notes).map_err(|e| e.to_string())?;
    let tensors = layers.iter().flat_map(|layer| {
        let tensor = |t: &TensorEntry| (key(&layer.name, &t.name), dtype, t.shape.clone());
        layer.tensors.iter().map(tensor)
    });
    safetensors_header([("format", "pt"), (LAYERS, &notes)], tensors)
}
