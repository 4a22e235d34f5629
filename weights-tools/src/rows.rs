//! A tensor of a safetensors file, or an array of a `.npy` file, as numbers row by row: what
//! classifiers learn from. Path and key in, f32 out.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use prost::bytes::Bytes;

use crate::safetensors_file::{decode, key, metadata, to_f32};
use crate::{Dtype, Error, LayerEntry, mapped, npy};

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
        Self::find(&path.display().to_string(), &mapped::map(path)?, name)
    }

    fn find(file: &str, whole: &Bytes, name: &str) -> Result<Self, Error> {
        let (layers, bytes) = decode(file, whole)?;
        let entries = layers.iter().zip(bytes).flat_map(|(layer, bytes)| {
            let keys = layer.tensors.iter().map(|t| (key(&layer.name, &t.name), t));
            keys.zip(bytes).collect::<Vec<_>>()
        });
        let mut known = vec![];
        for ((key, tensor), bytes) in entries {
            if key == name {
                let rows = Rows { shape: tensor.shape.clone(), dtype: tensor.dtype, bytes };
                return rows.check(file, name);
            }
            known.push(key);
        }
        let problem = format!("no tensor \"{name}\"; it has: {}", known.join(", "));
        Err(Error::damaged(file, problem))
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
        numbers(row, self.dtype)
    }
}

/// Values as f32; `None` for a type that is not read.
fn numbers(bytes: &[u8], dtype: Dtype) -> Option<Vec<f32>> {
    match dtype {
        Dtype::Other("I64") => {
            Some(bytes.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b) as f32).collect())
        }
        Dtype::Other("I32") => {
            Some(bytes.as_chunks().0.iter().map(|&b| i32::from_le_bytes(b) as f32).collect())
        }
        Dtype::Other("U8") => Some(bytes.iter().map(|&b| f32::from(b)).collect()),
        dtype => to_f32(bytes, dtype),
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

trait Seekable: Read + Seek + Send {}
impl<T: Read + Seek + Send> Seekable for T {}

/// The same rows read from the file one at a time: nothing of it stays in memory.
pub struct StreamedRows {
    file: String,
    shape: Vec<usize>,
    dtype: Dtype,
    /// Where row 0 begins, and bytes a row.
    start: u64,
    len: usize,
    /// The row at which `source` stands; none to begin with.
    next: usize,
    source: BufReader<Box<dyn Seekable>>,
}

impl StreamedRows {
    /// Finds the tensor `name` of a safetensors file; fails where [`Rows::open`] does.
    pub fn safetensors(path: &Path, name: &str) -> Result<Self, Error> {
        let file = path.display().to_string();
        let (whole, handle) = mapped::map_file(path)?;
        let rows = Rows::find(&file, &whole, name)?;
        // The tensor's bytes are a part of the file's.
        let start = rows.bytes.as_ptr().addr() - whole.as_ptr().addr();
        Ok(Self::new(file, rows, start, Some(source(handle, whole))))
    }

    /// The array of a `.npy` file, which has at least one axis and no empty one. Little-endian f4, f8,
    /// i8 and u1 in C order are streamed; the others that [`npy::read_f32`] reads are read at once.
    ///
    /// Fails where that does, or when there are no rows.
    pub fn npy(path: &Path) -> Result<Self, Error> {
        let file = path.display().to_string();
        let (whole, handle) = mapped::map_file(path)?;
        let (rows, start, source) = match npy::place(&file, &whole)? {
            Some((shape, dtype, start)) => {
                let bytes = whole.slice(start..);
                (Rows { shape, dtype, bytes }, start, Some(source(handle, whole)))
            }
            None => {
                let blob = npy::read_f32_from_bytes(&file, &whole)?;
                let bytes: Vec<u8> = blob.data.iter().flat_map(|v| v.to_le_bytes()).collect();
                (Rows { shape: blob.shape, dtype: Dtype::F32, bytes: bytes.into() }, 0, None)
            }
        };
        Ok(Self::new(file.clone(), rows.check(&file, "array")?, start, source))
    }

    /// Rows that begin at byte `start` of `source`, or are all there is of themselves.
    fn new(file: String, rows: Rows, start: usize, source: Option<Box<dyn Seekable>>) -> Self {
        let len = rows.bytes.len() / rows.shape[0];
        let source = source.unwrap_or_else(|| Box::new(Cursor::new(rows.bytes)));
        let (shape, dtype, start) = (rows.shape, rows.dtype, start as u64);
        Self { file, shape, dtype, start, len, next: usize::MAX, source: BufReader::new(source) }
    }

    /// The shape, rows first; no dimension is zero.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Reads row `index`, outermost dimension first.
    ///
    /// Fails beyond the last row, or when the file cannot be read any more.
    pub fn row(&mut self, index: usize) -> Result<Vec<f32>, Error> {
        if index >= self.shape[0] {
            return Err(Error::damaged(&self.file, format!("has no row {index}")));
        }
        let mut bytes = vec![0; self.len];
        let mut read = || {
            if self.next != index {
                self.source.seek(SeekFrom::Start(self.start + (index * self.len) as u64))?;
            }
            self.source.read_exact(&mut bytes)
        };
        let done = read();
        self.next = if done.is_ok() { index + 1 } else { usize::MAX };
        done.map_err(Error::io(Path::new(&self.file), "read"))?;
        let wrong = || Error::damaged(&self.file, format!("holds {}", self.dtype));
        numbers(&bytes, self.dtype).ok_or_else(wrong)
    }
}

impl StreamedRows {
    /// All rows as they lie in the file, mapped into memory: pages come when they are looked at, and go when
    /// memory is short.
    ///
    /// Fails when the numbers would have to be converted or moved: they must be little-endian `f32`, in C order.
    pub fn map(&self) -> Result<MappedFloats, Error> {
        let whole = mapped::map(Path::new(&self.file))?;
        let (start, len) = (self.start as usize, self.len * self.shape[0]);
        let in_place = cfg!(target_endian = "little") && start.is_multiple_of(size_of::<f32>());
        match whole.get(start..start.saturating_add(len)) {
            Some(bytes)
                if in_place
                    && self.dtype == Dtype::F32
                    && bytemuck::try_cast_slice::<u8, f32>(bytes).is_ok() =>
            {
                Ok(MappedFloats { bytes: whole.slice(start..start + len) })
            }
            _ => Err(Error::damaged(
                &self.file,
                "its numbers can't be used where they lie: save them as f32 in C order",
            )),
        }
    }
}

/// Numbers of a file, mapped into memory.
#[derive(Clone)]
pub struct MappedFloats {
    bytes: Bytes,
}

impl Deref for MappedFloats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // That this can be done was seen when it was made.
        bytemuck::cast_slice(&self.bytes)
    }
}

/// The file itself, or, of a pipe, what came out of it.
fn source(handle: Option<Arc<File>>, whole: Bytes) -> Box<dyn Seekable> {
    match handle {
        Some(file) => Box::new(file),
        None => Box::new(Cursor::new(whole)),
    }
}

/// What a safetensors file says of itself.
pub struct Contents {
    /// Keys and shapes of the tensors, in the file's order.
    pub tensors: Vec<(String, Vec<usize>)>,
    /// The texts under `__metadata__`.
    pub metadata: HashMap<String, String>,
}

impl Contents {
    /// Reads the header.
    ///
    /// Fails when the file is damaged.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let file = path.display().to_string();
        let whole = mapped::map(path)?;
        let (layers, _) = decode(&file, &whole)?;
        let of_layer = |layer: &LayerEntry| {
            let tensors = layer.tensors.iter();
            tensors.map(|t| (key(&layer.name, &t.name), t.shape.clone())).collect::<Vec<_>>()
        };
        let tensors = layers.iter().flat_map(of_layer).collect();
        Ok(Self { tensors, metadata: metadata(&file, &whole)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn safetensors(dtype: &str, shape: &str, values: &[u8]) -> tempfile::NamedTempFile {
        let header = format!(
            "{{\"__metadata__\":{{\"settings\":\"centre\"}},\"a.b\":{{\"dtype\":\"{dtype}\",\
             \"shape\":{shape},\"data_offsets\":[0,{}]}}}}",
            values.len()
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), values].concat();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    fn in_turn(rows: &mut StreamedRows) -> Vec<Vec<f32>> {
        (0..rows.shape()[0]).map(|r| rows.row(r).unwrap()).collect()
    }

    #[test]
    fn tensors_are_streamed_in_any_order() {
        let values: Vec<u8> = (0..6).flat_map(|v| (v as f32 / 2.0).to_le_bytes()).collect();
        let file = safetensors("F32", "[3,2,1]", &values);
        let mut rows = StreamedRows::safetensors(file.path(), "a.b").unwrap();
        assert_eq!(rows.shape(), [3, 2, 1]);
        assert_eq!(in_turn(&mut rows), [[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]]);
        assert_eq!(rows.row(1).unwrap(), [1.0, 1.5]);
        assert_eq!(rows.row(0).unwrap(), [0.0, 0.5]);
        assert!(rows.row(3).is_err());
        let contents = Contents::of(file.path()).unwrap();
        assert_eq!(contents.tensors, [("a.b".to_owned(), vec![3, 2, 1])]);
        assert_eq!(contents.metadata["settings"], "centre");
        // 1.5 and -2 as bfloat16, and the low byte first.
        let file = safetensors("BF16", "[2,1]", &[0xc0, 0x3f, 0x00, 0xc0]);
        let mut rows = StreamedRows::safetensors(file.path(), "a.b").unwrap();
        assert_eq!(in_turn(&mut rows), [[1.5], [-2.0]]);
        let file = safetensors("F32", "[0,2]", &[]);
        assert!(StreamedRows::safetensors(file.path(), "a.b").is_err());
    }

    #[test]
    fn a_file_that_becomes_shorter_is_an_error() {
        let file = safetensors("F32", "[2,4096]", &[0; 2 * 4096 * 4]);
        let mut rows = StreamedRows::safetensors(file.path(), "a.b").unwrap();
        rows.row(0).unwrap();
        file.as_file().set_len(4096).unwrap();
        assert!(rows.row(1).is_err());
    }

    #[test]
    fn arrays_are_streamed_or_converted() {
        let npy = |descr: &str, fortran: &str, shape: &str, data: &[u8]| {
            let header =
                format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
            let length = (header.len() as u16).to_le_bytes();
            let file = tempfile::NamedTempFile::new().unwrap();
            let bytes = [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat();
            std::fs::write(file.path(), bytes).unwrap();
            let got = StreamedRows::npy(file.path());
            got.map(|mut rows| in_turn(&mut rows))
        };
        let f4: Vec<u8> = (0..6).flat_map(|v| (v as f32).to_le_bytes()).collect();
        let f8: Vec<u8> = (0..6).flat_map(|v| f64::from(v).to_le_bytes()).collect();
        let big: Vec<u8> = (0..6).flat_map(|v| (v as f32).to_be_bytes()).collect();
        let want = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]];
        assert_eq!(npy("<f4", "False", "(2, 3)", &f4).unwrap(), want);
        assert_eq!(npy("<f8", "False", "(2, 3)", &f8).unwrap(), want);
        assert_eq!(npy(">f4", "False", "(2, 3)", &big).unwrap(), want);
        assert_eq!(npy("|u1", "False", "(2, 3)", &[0, 1, 2, 3, 4, 5]).unwrap(), want);
        let columns = npy("<f4", "True", "(2, 3)", &f4).unwrap();
        assert_eq!(columns, [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]);
        for shape in ["()", "(0, 3)", "(2, 0)", "(2, 4)"] {
            assert!(npy("<f4", "False", shape, &f4).is_err(), "{shape}");
        }
    }
}
