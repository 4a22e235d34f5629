//! NumPy's `.npy` files: bytes in, an array of f32 out, and back.

use std::io;
use std::path::Path;

use npyz::{DType, Endianness, NpyFile, Order, TypeChar, WriterBuilder as _};

use crate::blob::count;
use crate::{Blob, Dtype, Error, atomic, mapped};

/// More dimensions than any file here has, and few enough to index without recursion limits.
const MAX_AXES: usize = 32;

/// Reads a `.npy` file of f4, f8, u1 or i8 values (either byte order, C or Fortran order) as f32.
pub fn read_f32(path: &Path) -> Result<Blob, Error> {
    read_f32_from_bytes(&path.display().to_string(), &mapped::map(path)?)
}

/// [`read_f32`] from memory; `name` is for messages.
pub fn read_f32_from_bytes(name: &str, bytes: &[u8]) -> Result<Blob, Error> {
    let Array { shape, kind, size, order, .. } = parse(name, bytes)?;
    let data: io::Result<Vec<f32>> = match (kind, size) {
        (TypeChar::Float, 4) => values::<f32>(bytes, |v| v),
        (TypeChar::Float, 8) => values::<f64>(bytes, |v| v as f32),
        (TypeChar::Uint, 1) => values::<u8>(bytes, f32::from),
        (TypeChar::Int, 8) => values::<i64>(bytes, |v| v as f32),
        _ => {
            return Err(wrong(
                name,
                format!("its type is {kind}{size}; f4, f8, u1 and i8 are read"),
            ));
        }
    };
    let data = data.map_err(|e| wrong(name, e.to_string()))?;
    let data = if order == Order::Fortran { to_c_order(&shape, &data) } else { data };
    Ok(Blob { shape, data })
}

/// Shape, type and first byte of an array that can be read as it lies there, row by row; `None` when it
/// must be converted first.
pub(crate) fn place(name: &str, bytes: &[u8]) -> Result<Option<(Vec<usize>, Dtype, usize)>, Error> {
    let array = parse(name, bytes)?;
    let dtype = match (array.kind, array.size) {
        (TypeChar::Float, 4) => Some(Dtype::F32),
        (TypeChar::Float, 8) => Some(Dtype::F64),
        (TypeChar::Int, 8) => Some(Dtype::Other("I64")),
        (TypeChar::Uint, 1) => Some(Dtype::Other("U8")),
        _ => None,
    };
    let in_place = array.order == Order::C && array.endianness != Endianness::Big;
    Ok(dtype.filter(|_| in_place).map(|dtype| (array.shape, dtype, array.start)))
}

/// What the header says, checked against the bytes that follow it.
struct Array {
    shape: Vec<usize>,
    kind: TypeChar,
    /// Bytes a value.
    size: usize,
    endianness: Endianness,
    order: Order,
    /// The first byte of the values.
    start: usize,
}

fn wrong(name: &str, problem: String) -> Error {
    Error::damaged(name, format!("not a .npy file to read: {problem}"))
}

fn parse(name: &str, bytes: &[u8]) -> Result<Array, Error> {
    let wrong = |problem: String| wrong(name, problem);
    check_header(bytes).map_err(wrong)?;
    let mut rest = bytes;
    let file = NpyFile::new(&mut rest).map_err(|e| wrong(e.to_string()))?;
    let shape = file.shape().iter().map(|&d| usize::try_from(d).ok()).collect::<Option<Vec<_>>>();
    let shape = shape.ok_or_else(|| wrong("too large".to_owned()))?;
    let count = count(&shape).ok_or_else(|| wrong(format!("shape {shape:?} is too large")))?;
    let order = file.order();
    let DType::Plain(dtype) = file.dtype() else {
        return Err(wrong("it holds records, not numbers".to_owned()));
    };
    let size = usize::try_from(dtype.size_field()).unwrap_or(usize::MAX);
    let stored = file.into_inner().len();
    // Checked before anything is reserved: a header can claim any size.
    if count.checked_mul(size) != Some(stored) {
        let problem = format!("{dtype} {shape:?} needs other than the {stored} bytes that follow");
        return Err(wrong(problem));
    }
    let (kind, endianness) = (dtype.type_char(), dtype.endianness());
    Ok(Array { shape, kind, size, endianness, order, start: bytes.len() - stored })
}

/// What must hold before the header is given to the parser: it lies within the file, is short, and
/// has no shape whose product would overflow.
fn check_header(bytes: &[u8]) -> Result<(), String> {
    const MAX_HEADER: usize = 1 << 16;
    let cut = || "cut short".to_owned();
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err("the magic number is missing".to_owned());
    }
    let (start, length) = match bytes.get(6).ok_or_else(cut)? {
        1 => (10, bytes.get(8..10).map(|b| usize::from(b[0]) | usize::from(b[1]) << 8)),
        _ => (12, bytes.get(8..12).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)),
    };
    let length = length.ok_or_else(cut)?;
    if length > MAX_HEADER {
        return Err("its header is too long".to_owned());
    }
    let header = bytes.get(start..start + length).ok_or_else(cut)?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is damaged".to_owned())?;
    let nesting = header.bytes().filter(|b| matches!(b, b'(' | b'[' | b'{')).count();
    let shape = header.split("'shape'").nth(1).and_then(|rest| {
        let rest = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('(')?;
        rest.split_once(')').map(|(shape, _)| shape)
    });
    let Some(shape) = shape else { return Err("its header has no shape".to_owned()) };
    let dims = shape.split(',').map(str::trim).filter(|d| !d.is_empty());
    let dims: Option<Vec<usize>> = dims.map(|d| d.trim_end_matches('L').parse().ok()).collect();
    let dims = dims.ok_or_else(|| format!("shape ({shape}) cannot be read"))?;
    if nesting > 2 || dims.len() > MAX_AXES {
        return Err("more dimensions or other things than a plain array has".to_owned());
    }
    // The parser multiplies the dimensions unchecked, in every order.
    let product = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1)));
    if product.is_none() {
        return Err(format!("shape ({shape}) is too large"));
    }
    Ok(())
}

fn values<T: npyz::Deserialize>(bytes: &[u8], to: impl Fn(T) -> f32) -> io::Result<Vec<f32>> {
    let file = NpyFile::new(bytes)?;
    let values = file.data::<T>().map_err(|e| io::Error::other(e.to_string()))?;
    values.map(|v| v.map(&to)).collect()
}

/// From first dimension fastest to last dimension fastest.
fn to_c_order(shape: &[usize], data: &[f32]) -> Vec<f32> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for &d in shape {
        strides.push(stride);
        stride *= d;
    }
    let mut index = vec![0usize; shape.len()];
    let mut at = 0;
    let mut out = Vec::with_capacity(data.len());
    for _ in 0..data.len() {
        out.push(data[at]);
        // Count up like an odometer, the last digit fastest.
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    out
}

/// Writes a `.npy` file of little-endian f4 values in C order, atomically.
pub fn write_f32(path: &Path, shape: &[usize], data: &[f32]) -> Result<(), Error> {
    if count(shape) != Some(data.len()) {
        return Err(Error::Unwritable {
            file: path.display().to_string(),
            problem: format!("shape {shape:?} does not match {} values", data.len()),
        });
    }
    let shape: Vec<u64> = shape.iter().map(|&d| d as u64).collect();
    atomic::write_atomically(path, |out| {
        let mut write = || {
            let builder = npyz::WriteOptions::<f32>::new().default_dtype().shape(&shape);
            let mut writer = builder.writer(&mut *out).begin_nd()?;
            writer.extend(data.iter().copied())?;
            writer.finish()
        };
        write().map_err(Error::io(path, "write"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn types_and_orders() {
        let read = |bytes: &[u8]| read_f32_from_bytes("t", bytes).unwrap();
        let f8: Vec<u8> = (0..6).flat_map(|i| f64::from(i).to_le_bytes()).collect();
        let blob = read(&npy("<f8", "False", "(2, 3)", &f8));
        assert_eq!(blob, Blob { shape: vec![2, 3], data: vec![0., 1., 2., 3., 4., 5.] });
        let blob = read(&npy("<f8", "True", "(2, 3)", &f8));
        assert_eq!(blob.data, [0., 2., 4., 1., 3., 5.]);
        let big: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|v| v.to_be_bytes()).collect();
        assert_eq!(read(&npy(">f4", "False", "(2,)", &big)).data, [1.5, -2.0]);
        assert_eq!(read(&npy("|u1", "False", "(3,)", &[0, 128, 255])).data, [0., 128., 255.]);
        let i8: Vec<u8> = [-7i64].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(read(&npy("<i8", "False", "()", &i8)), Blob { shape: vec![], data: vec![-7.] });
    }

    #[test]
    fn claims_beyond_the_file_are_errors() {
        for (descr, shape) in [
            ("<f4", "(1000000000000,)"),
            ("<f4", "(4294967296, 4294967296, 4294967296)"),
            ("<f4", "(0, 18446744073709551615, 2)"),
            ("<c8", "(1,)"),
            ("<f4", "(((((1,)"),
            ("<f99999999999", "(1,)"),
        ] {
            let bytes = npy(descr, "False", shape, &[0; 8]);
            assert!(read_f32_from_bytes("t", &bytes).is_err(), "{descr} {shape}");
        }
    }

    #[test]
    fn written_files_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        for shape in [vec![], vec![3], vec![2, 0, 4], vec![2, 3, 1, 2]] {
            let data: Vec<f32> = (0..count(&shape).unwrap()).map(|i| i as f32 - 1.5).collect();
            write_f32(&path, &shape, &data).unwrap();
            assert_eq!(read_f32(&path).unwrap(), Blob { shape, data });
        }
        assert!(write_f32(&path, &[2], &[1.0]).is_err());
    }
}
