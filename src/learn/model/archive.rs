//! Texts and arrays by name in a safetensors file, exact to the bit.
//!
//! Flows in: texts and numbers. Flows out: the bytes of a file; and back.
//!
//! The format: eight bytes for the header's length, a JSON header, then the numbers without gaps. Texts are
//! the header's `__metadata__`. Whatever the bytes are, reading ends, and takes no more memory than a small
//! multiple of them.

use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What was read, or what is wrong with the file, whose name the caller knows.
pub(super) type Read<T> = Result<T, String>;

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Archive {
    pub(super) texts: BTreeMap<String, String>,
    arrays: BTreeMap<String, Array>,
}

/// Numbers as the file has them.
#[derive(Debug)]
struct Array {
    dtype: String,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// An array's entry in the header.
#[derive(Serialize, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    texts: BTreeMap<String, String>,
    #[serde(flatten)]
    entries: BTreeMap<String, Entry>,
}

/// A type of numbers.
pub(super) trait Number: Copy {
    /// Its name in the header.
    const DTYPE: &'static str;
    /// Appends the number.
    fn write(self, into: &mut Vec<u8>);
    /// Numbers of whole bytes.
    fn read(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! numbers {
    ($($number:ty: $dtype:literal)*) => {$(
        impl Number for $number {
            const DTYPE: &'static str = $dtype;

            fn write(self, into: &mut Vec<u8>) {
                into.extend(self.to_le_bytes());
            }

            fn read(bytes: &[u8]) -> Vec<Self> {
                bytes.as_chunks().0.iter().map(|&b| Self::from_le_bytes(b)).collect()
            }
        }
    )*};
}

numbers! { f64: "F64" f32: "F32" u32: "U32" i32: "I32" }

/// Bytes of a number; of types that no model of this version has, none.
fn size(dtype: &str) -> Option<usize> {
    match dtype {
        "F64" => Some(8),
        "F32" | "U32" | "I32" => Some(4),
        _ => None,
    }
}

impl Archive {
    /// Adds an array of rows of `width` numbers; of no row of its own if `width` is 1.
    pub(super) fn put<T: Number>(&mut self, name: &str, width: usize, numbers: &[T]) {
        let mut bytes = Vec::with_capacity(size_of_val(numbers));
        numbers.iter().for_each(|number| number.write(&mut bytes));
        let shape = match width {
            1 => vec![numbers.len()],
            width => vec![numbers.len() / width, width],
        };
        self.arrays.insert(name.into(), Array { dtype: T::DTYPE.into(), shape, bytes });
    }

    /// The numbers of an array, row by row. Fails when it is not there or of another type.
    pub(super) fn get<T: Number>(&self, name: &str) -> Read<Vec<T>> {
        let array = self.arrays.get(name).ok_or_else(|| format!("it has no array {name:?}"))?;
        match &array.dtype {
            dtype if dtype == T::DTYPE => Ok(T::read(&array.bytes)),
            dtype => Err(format!("its array {name:?} is {dtype}, not {}", T::DTYPE)),
        }
    }

    /// Whether there is such an array.
    pub(super) fn has(&self, name: &str) -> bool {
        self.arrays.contains_key(name)
    }

    /// A text. Fails when it is not there.
    pub(super) fn text(&self, name: &str) -> Read<&str> {
        self.texts
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| format!("it does not say its {name}"))
    }

    /// The file's bytes. Wide numbers come first: so every number lies at a multiple of its size.
    pub(super) fn encode(&self) -> Read<Vec<u8>> {
        let mut arrays: Vec<_> = self.arrays.iter().collect();
        arrays.sort_by_key(|(_, array)| Reverse(size(&array.dtype)));
        let mut end = 0;
        let mut entry = |array: &Array| {
            let start = end;
            end += array.bytes.len();
            let (dtype, shape) = (array.dtype.clone(), array.shape.clone());
            Entry { dtype, shape, data_offsets: (start, end) }
        };
        let entries = arrays.iter().map(|(name, array)| ((*name).clone(), entry(array))).collect();
        let header = Header { texts: self.texts.clone(), entries };
        let mut text = serde_json::to_vec(&header).map_err(|e| e.to_string())?;
        text.resize(text.len().next_multiple_of(8), b' ');
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.append(&mut text);
        arrays.iter().for_each(|(_, array)| bytes.extend(&array.bytes));
        Ok(bytes)
    }

    /// Reads a file's bytes.
    pub(super) fn decode(bytes: &[u8]) -> Read<Self> {
        let cut = "it is no safetensors file, or cut short: its header does not fit";
        let (length, rest) = bytes.split_first_chunk().ok_or(cut)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| cut)?;
        let (header, numbers) = rest.split_at_checked(length).ok_or(cut)?;
        let header: Header = serde_json::from_slice(header)
            .map_err(|e| format!("its safetensors header is damaged: {e}"))?;
        let mut entries: Vec<_> = header.entries.into_iter().collect();
        entries.sort_by_key(|(_, entry)| entry.data_offsets);
        let (mut at, mut arrays) = (0, BTreeMap::new());
        for (name, Entry { dtype, shape, data_offsets: (start, end) }) in entries {
            let fits = |own: &&[u8]| match size(&dtype) {
                Some(size) => {
                    shape.iter().try_fold(size, |n, &d| n.checked_mul(d)) == Some(own.len())
                }
                None => true,
            };
            let own = numbers.get(start..end).filter(|own| start == at && fits(own));
            let own = own.ok_or_else(|| {
                format!("its array {name:?} is not where it should be; is the file cut short?")
            })?;
            at = end;
            arrays.insert(name, Array { dtype, shape, bytes: own.to_vec() });
        }
        if at != numbers.len() {
            return Err(format!("it has {} bytes of numbers and tells of {at}", numbers.len()));
        }
        Ok(Self { texts: header.texts, arrays })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Archive {
        let mut archive = Archive::default();
        archive.texts.insert("kind".into(), "a \"test\"\n".into());
        archive.put("small", 2, &[1i32, -2, 3, i32::MIN]);
        archive.put("none", 1, &[0u32; 0]);
        archive.put("wide", 1, &[0.1, -0.0, 5e-324]);
        archive
    }

    #[test]
    fn what_was_put_comes_back() {
        let bytes = archive().encode().unwrap();
        let back = Archive::decode(&bytes).unwrap();
        assert_eq!(back.text("kind").unwrap(), "a \"test\"\n");
        assert_eq!(back.get::<i32>("small").unwrap(), [1, -2, 3, i32::MIN]);
        assert_eq!(back.arrays["small"].shape, [2, 2]);
        assert!(back.get::<u32>("none").unwrap().is_empty());
        let wide: Vec<f64> = back.get("wide").unwrap();
        assert_eq!(
            wide.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
            [0.1f64.to_bits(), 1 << 63, 1]
        );
        assert!(back.get::<f32>("wide").unwrap_err().contains("F64, not F32"));
        assert!(back.get::<f32>("more").unwrap_err().contains("no array \"more\""));
        assert!(back.text("more").is_err() && back.has("wide") && !back.has("more"));
        // Numbers of eight bytes begin at a multiple of eight, before those of four.
        let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        assert!(header.is_multiple_of(8));
        assert_eq!(bytes[8 + header..][..8], 0.1f64.to_le_bytes());
        assert_eq!(back.encode().unwrap(), bytes);
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let whole = archive().encode().unwrap();
        for length in 0..whole.len() {
            assert!(Archive::decode(&whole[..length]).is_err(), "{length} bytes");
        }
        assert!(Archive::decode(&[&whole[..], &[0]].concat()).is_err(), "a byte more");
        let file = |header: &str, numbers: usize| {
            let length = (header.len() as u64).to_le_bytes();
            [&length[..], header.as_bytes(), &vec![0; numbers]].concat()
        };
        let array = |dtype: &str, shape: &str, start: usize, end: usize| {
            format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#)
        };
        assert!(Archive::decode(&file("{}", 0)).is_ok());
        // Of a later version, perhaps: that is for others to say.
        let unknown = file(&format!("{{\"a\":{}}}", array("F16", "[2]", 0, 4)), 4);
        assert!(Archive::decode(&unknown).unwrap().get::<f32>("a").is_err());
        for (header, numbers) in [
            (format!("{{\"a\":{}}}", array("F32", "[2]", 0, 4)), 4),
            (format!("{{\"a\":{}}}", array("F32", "[1]", 4, 8)), 8),
            (format!("{{\"a\":{}}}", array("F32", "[1]", 8, 4)), 8),
            // 2⁶² numbers of four bytes are 2⁶⁴, that is 0 if nobody looks.
            (format!("{{\"a\":{}}}", array("F32", "[4611686018427387904]", 0, 0)), 0),
            (
                format!(
                    "{{\"a\":{},\"b\":{}}}",
                    array("F32", "[2]", 0, 8),
                    array("F32", "[2]", 4, 12)
                ),
                12,
            ),
            (r#"{"__metadata__":{"a":1}}"#.into(), 0),
            ("[".repeat(100_000), 0),
        ] {
            assert!(Archive::decode(&file(&header, numbers)).is_err(), "{header:.200}");
        }
        assert!(Archive::decode(&[255; 64]).is_err(), "a header of 2⁶⁴ bytes");
    }
}
