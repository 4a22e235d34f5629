//! A file as bytes without reading it first: path in, reference-counted bytes out.

#![allow(unsafe_code)]

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;
use prost::bytes::Bytes;

use crate::Error;

/// Maps a file into memory. The bytes start wherever the caller slices them: nothing that reads them
/// may assume alignment.
///
/// As with every map, another program that shortens the file while it is in use ends this one with a
/// bus error. This crate's own writers never change a file in place; they replace it.
pub(crate) fn map(path: &Path) -> Result<Bytes, Error> {
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    let length = file.metadata().map_err(Error::io(path, "examine"))?;
    if !length.is_file() {
        // A pipe or a device has no length to map.
        return std::fs::read(path).map(Bytes::from).map_err(Error::io(path, "read"));
    }
    if length.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the map is read-only and private to this process, lives as long as the `Bytes` that
    // own it, and is only ever read as plain bytes, for which every value is valid. A change of the
    // file by another program meanwhile is the risk named above.
    let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path, "map into memory"))?;
    Ok(Bytes::from_owner(map))
}
