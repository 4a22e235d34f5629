//! An array as Caffe stores it: BlobProto in, checked shape and f32 values out, and back.

use prost::Message;
use prost::bytes::{Buf, Bytes};

use crate::schema::proto;

/// Caffe's own limit on the number of dimensions.
const MAX_AXES: usize = 32;

/// An array of f32 values, the last dimension fastest. `data.len()` is the product of `shape`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Blob {
    /// The dimensions, outermost first; empty for a single number.
    pub shape: Vec<usize>,
    /// The values.
    pub data: Vec<f32>,
}

impl Blob {
    /// Whether a blob with the four dimensions of old files (num, channels, height, width) stands for
    /// an array of shape `want`: the old dimensions are aligned to the right, so a bias of 10 values
    /// was stored as 1×1×1×10 and a 10×20 matrix as 1×1×10×20.
    pub fn matches_legacy(&self, want: &[usize]) -> bool {
        legacy_equal(&self.shape, want)
    }

    /// The array as a message in the current form: `shape` and f32 `data`.
    pub(crate) fn into_proto(self) -> proto::BlobProto {
        let dim = self.shape.iter().map(|&d| d as i64).collect();
        proto::BlobProto {
            shape: Some(proto::BlobShape { dim }),
            data: self.data,
            ..Default::default()
        }
    }
}

/// See [`Blob::matches_legacy`].
pub(crate) fn legacy_equal(legacy: &[usize], want: &[usize]) -> bool {
    let Some(ones) = 4usize.checked_sub(want.len()) else { return false };
    legacy.len() == 4 && legacy[..ones].iter().all(|&d| d == 1) && legacy[ones..] == *want
}

/// The number of values of a shape; `None` if it does not fit.
pub(crate) fn count(shape: &[usize]) -> Option<usize> {
    // A zero makes the product zero however large the rest is.
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

/// `BlobProto` with its values left as bytes: `data` and `double_data` are on the wire either packed
/// (one run of bytes, or several) or one by one. This reads the packed form without copying.
#[derive(Clone, PartialEq, Message)]
struct PackedBlob {
    #[prost(message, optional, tag = "7")]
    shape: Option<proto::BlobShape>,
    #[prost(bytes = "bytes", repeated, tag = "5")]
    data: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "8")]
    double_data: Vec<Bytes>,
    #[prost(int32, optional, tag = "1")]
    num: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    channels: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    height: Option<i32>,
    #[prost(int32, optional, tag = "4")]
    width: Option<i32>,
}

/// Where a stored blob's values are.
#[derive(Debug, Clone)]
enum Values {
    /// Little-endian f32 in runs of bytes.
    F32(Vec<Bytes>),
    /// Little-endian f64 in runs of bytes.
    F64(Vec<Bytes>),
    /// Written one by one: already decoded.
    Decoded(Vec<f32>),
}

impl Values {
    fn count(&self) -> Result<usize, String> {
        match self {
            Values::F32(runs) => whole_numbers(runs, 4),
            Values::F64(runs) => whole_numbers(runs, 8),
            Values::Decoded(values) => Ok(values.len()),
        }
    }
}

/// A stored blob: its shape is checked, its values are still in the file.
#[derive(Debug, Clone)]
pub(crate) struct StoredBlob {
    pub shape: Vec<usize>,
    /// Whether the shape came from num, channels, height and width.
    pub legacy: bool,
    pub is_double: bool,
    values: Values,
}

impl StoredBlob {
    /// Checks one encoded `BlobProto`. The error is a sentence for the caller to place.
    pub fn decode(encoded: &Bytes) -> Result<StoredBlob, String> {
        let (packed, values, is_double) = match PackedBlob::decode(encoded.clone()) {
            Ok(mut packed) => {
                let doubles = std::mem::take(&mut packed.double_data);
                // Caffe reads the doubles if there are any.
                let is_double = doubles.iter().any(|run| !run.is_empty());
                let values = if is_double {
                    Values::F64(doubles)
                } else {
                    Values::F32(std::mem::take(&mut packed.data))
                };
                (packed, values, is_double)
            }
            // Values one by one have another wire type: read them as the schema says.
            Err(_) => Self::decode_unpacked(encoded)?,
        };
        let (mut shape, legacy) = shape_of(&packed)?;
        let stored = values.count()?;
        if packed.shape.is_none() && !legacy && stored == 0 {
            // Nothing at all is an empty array; one value without a shape is a single number.
            shape = vec![0];
        }
        match count(&shape) {
            Some(wanted) if wanted == stored => {}
            Some(wanted) => {
                return Err(format!(
                    "shape {shape:?} has room for {wanted} values but {stored} are stored"
                ));
            }
            None => return Err(format!("shape {shape:?} is too large")),
        }
        Ok(StoredBlob { shape, legacy, is_double, values })
    }

    fn decode_unpacked(encoded: &Bytes) -> Result<(PackedBlob, Values, bool), String> {
        let blob = proto::BlobProto::decode(encoded.clone()).map_err(|e| e.to_string())?;
        let is_double = !blob.double_data.is_empty();
        let values = if is_double {
            blob.double_data.iter().map(|&v| v as f32).collect()
        } else {
            blob.data
        };
        let head = PackedBlob {
            shape: blob.shape,
            num: blob.num,
            channels: blob.channels,
            height: blob.height,
            width: blob.width,
            ..Default::default()
        };
        Ok((head, Values::Decoded(values), is_double))
    }

    /// Reads the values.
    pub fn read(&self) -> Blob {
        let data = match &self.values {
            Values::F32(runs) => {
                gather(runs, |run| run.chunks_exact(4).map(|mut b| b.get_f32_le()))
            }
            Values::F64(runs) => {
                gather(runs, |run| run.chunks_exact(8).map(|mut b| b.get_f64_le() as f32))
            }
            Values::Decoded(values) => values.clone(),
        };
        Blob { shape: self.shape.clone(), data }
    }
}

fn gather<'a, I: Iterator<Item = f32>>(
    runs: &'a [Bytes],
    read: impl Fn(&'a [u8]) -> I,
) -> Vec<f32> {
    let mut data = Vec::new();
    for run in runs {
        data.extend(read(run));
    }
    data
}

fn whole_numbers(runs: &[Bytes], size: usize) -> Result<usize, String> {
    if runs.iter().any(|run| run.len() % size != 0) {
        return Err(format!("the data is not a whole number of {size}-byte values"));
    }
    Ok(runs.iter().map(|run| run.len() / size).sum())
}

/// The dimensions, and whether they are of the old kind. The old fields win if any is there, as in
/// Caffe.
fn shape_of(blob: &PackedBlob) -> Result<(Vec<usize>, bool), String> {
    let old = [blob.num, blob.channels, blob.height, blob.width];
    let legacy = old.iter().any(Option::is_some);
    let dims: Vec<i64> = if legacy {
        old.iter().map(|d| d.unwrap_or(0).into()).collect()
    } else {
        blob.shape.as_ref().map(|s| s.dim.clone()).unwrap_or_default()
    };
    if dims.len() > MAX_AXES {
        return Err(format!("{} dimensions, at most {MAX_AXES} are allowed", dims.len()));
    }
    let shape = dims.iter().map(|&d| usize::try_from(d)).collect::<Result<Vec<_>, _>>();
    match shape {
        Ok(shape) => Ok((shape, legacy)),
        Err(_) => Err(format!("shape {dims:?} has a negative dimension")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(proto: &proto::BlobProto) -> Result<Blob, String> {
        StoredBlob::decode(&proto.encode_to_vec().into()).map(|b| b.read())
    }

    #[test]
    fn current_legacy_and_double() {
        let data: Vec<f32> = (0..6).map(|i| i as f32 - 2.5).collect();
        let current = Blob { shape: vec![2, 3], data: data.clone() };
        assert_eq!(decode(&current.clone().into_proto()), Ok(current));

        let legacy = proto::BlobProto {
            num: Some(1),
            channels: Some(1),
            height: Some(2),
            width: Some(3),
            double_data: data.iter().map(|&v| v.into()).collect(),
            ..Default::default()
        };
        let blob = decode(&legacy).unwrap();
        assert_eq!(blob, Blob { shape: vec![1, 1, 2, 3], data });
        assert!(blob.matches_legacy(&[2, 3]) && blob.matches_legacy(&[1, 1, 2, 3]));
        assert!(!blob.matches_legacy(&[3, 2]) && !blob.matches_legacy(&[6]));
        assert!(!blob.matches_legacy(&[1, 1, 1, 2, 3]));
    }

    #[test]
    fn unpacked_values_and_several_runs() {
        // Field 5, wire type 5 (one f32 each), then shape { dim: 2 } unpacked: field 7, field 1.
        let mut bytes = vec![];
        for v in [1.5f32, -2.0] {
            bytes.push(5 << 3 | 5);
            bytes.extend(v.to_le_bytes());
        }
        bytes.extend([7 << 3 | 2, 2, 1 << 3, 2]);
        let blob = StoredBlob::decode(&bytes.into()).unwrap().read();
        assert_eq!(blob, Blob { shape: vec![2], data: vec![1.5, -2.0] });

        let mut runs = vec![];
        for v in [1.5f32, -2.0] {
            runs.extend([5 << 3 | 2, 4]);
            runs.extend(v.to_le_bytes());
        }
        runs.extend([7 << 3 | 2, 3, 1 << 3 | 2, 1, 2]);
        let blob = StoredBlob::decode(&runs.into()).unwrap().read();
        assert_eq!(blob, Blob { shape: vec![2], data: vec![1.5, -2.0] });
    }

    #[test]
    fn what_disagrees_is_said() {
        let with = |dim: Vec<i64>| proto::BlobProto {
            shape: Some(proto::BlobShape { dim }),
            data: vec![0.0; 6],
            ..Default::default()
        };
        assert!(decode(&with(vec![7])).unwrap_err().contains("6 are stored"));
        assert!(decode(&with(vec![-6, -1])).unwrap_err().contains("negative"));
        assert!(decode(&with(vec![1 << 40, 1 << 40])).unwrap_err().contains("too large"));
        assert!(decode(&with(vec![1; 33])).unwrap_err().contains("33 dimensions"));
        assert!(decode(&with(vec![1 << 40, 1 << 40, 0])).unwrap_err().contains("room for 0"));
        assert_eq!(decode(&Default::default()).unwrap().shape, [0]);
        let single = proto::BlobProto { data: vec![3.0], ..Default::default() };
        assert_eq!(decode(&single).unwrap(), Blob { shape: vec![], data: vec![3.0] });
    }
}
