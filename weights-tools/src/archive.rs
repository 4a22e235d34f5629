//! Texts and arrays by name in a safetensors file, exact to the bit: what is no network's weights.
//!
//! Flows in: texts and numbers. Flows out: the bytes of a file; and back. Whatever the bytes are, reading ends,
//! and takes no more memory than a small multiple of them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::Dtype;
use crate::safetensors_file::{TensorNote, dtype, parts, safetensors_header};

/// What a file holds. Errors are sentences for the caller, who knows the file, to place.
#[derive(Debug, Default)]
pub struct Archive {
    /// The texts under `__metadata__`.
    pub texts: BTreeMap<String, String>,
    arrays: BTreeMap<String, Array>,
}

/// Numbers as the file has them.
#[derive(Debug)]
struct Array {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// A type of numbers.
pub trait Number: Copy {
    /// Its name in the header.
    const DTYPE: Dtype;
    /// Appends the number.
    fn write(self, into: &mut Vec<u8>);
    /// Numbers of whole bytes.
    fn read(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! numbers {
    ($($number:ty: $dtype:expr;)*) => {$(
        impl Number for $number {
            const DTYPE: Dtype = $dtype;

            fn write(self, into: &mut Vec<u8>) {
                into.extend(self.to_le_bytes());
            }

            fn read(bytes: &[u8]) -> Vec<Self> {
                bytes.as_chunks().0.iter().map(|&b| Self::from_le_bytes(b)).collect()
            }
        }
    )*};
}

numbers! {
    f64: Dtype::F64;
    f32: Dtype::F32;
    u32: Dtype::Other("U32");
    i32: Dtype::Other("I32");
    i8: Dtype::Other("I8");
    u8: Dtype::Other("U8");
}

impl Archive {
    /// Adds an array of rows of `width` numbers; of no row of its own if `width` is 1.
    pub fn put<T: Number>(&mut self, name: &str, width: usize, numbers: &[T]) {
        let mut bytes = Vec::with_capacity(size_of_val(numbers));
        numbers.iter().for_each(|number| number.write(&mut bytes));
        let shape = match width {
            1 => vec![numbers.len()],
            width => vec![numbers.len() / width, width],
        };
        self.arrays.insert(name.into(), Array { dtype: T::DTYPE, shape, bytes });
    }

    /// The numbers of an array, row by row. Fails when it is not there or of another type.
    pub fn get<T: Number>(&self, name: &str) -> Result<Vec<T>, String> {
        let array = self.arrays.get(name).ok_or_else(|| format!("it has no array {name:?}"))?;
        match array.dtype {
            dtype if dtype == T::DTYPE => Ok(T::read(&array.bytes)),
            dtype => Err(format!("its array {name:?} is {dtype}, not {}", T::DTYPE)),
        }
    }

    /// Whether there is such an array.
    pub fn has(&self, name: &str) -> bool {
        self.arrays.contains_key(name)
    }

    /// A text. Fails when it is not there.
    pub fn text(&self, name: &str) -> Result<&str, String> {
        let text = self.texts.get(name).map(String::as_str);
        text.ok_or_else(|| format!("it does not say its {name}"))
    }

    /// The file's bytes. Wide numbers come first: so every number lies at a multiple of its size.
    ///
    /// Fails when the header would be too long.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        let mut arrays: Vec<_> = self.arrays.iter().collect();
        arrays.sort_by_key(|(_, array)| Reverse(array.dtype == Dtype::F64));
        let texts = self.texts.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let note =
            |(name, array): &(&String, &Array)| ((*name).clone(), array.dtype, array.shape.clone());
        let mut bytes = safetensors_header(texts, arrays.iter().map(note))?;
        arrays.iter().for_each(|(_, array)| bytes.extend(&array.bytes));
        Ok(bytes)
    }

    /// Reads a file's bytes.
    ///
    /// Fails when they are cut short, go on, or are not what the header tells.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let (header, values) = parts(bytes)?;
        let array = |note: TensorNote| Array {
            dtype: dtype(&note.dtype),
            bytes: values[note.data_offsets.0..note.data_offsets.1].to_vec(),
            shape: note.shape,
        };
        let arrays = header.tensors.into_iter().map(|(name, note)| (name, array(note)));
        Ok(Self { texts: header.metadata.into_iter().collect(), arrays: arrays.collect() })
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
