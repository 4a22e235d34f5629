//! A file as bytes without reading it first: path in, reference-counted bytes out.

#![allow(unsafe_code)]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use memmap2::{Mmap, MmapOptions};
use prost::bytes::Bytes;

use crate::Error;

/// Maps a file into memory. The bytes start wherever the caller slices them: nothing that reads them
/// may assume alignment.
///
/// As with every map, another program that shortens the file while it is in use ends this one with a
/// bus error. This crate's own writers never change a file in place; they replace it.
pub(crate) fn map(path: &Path) -> Result<Bytes, Error> {
    map_file(path).map(|(bytes, _)| bytes)
}

/// The same, and the file if it is one.
pub(crate) fn map_file(path: &Path) -> Result<(Bytes, Option<Arc<File>>), Error> {
    let file = File::open(path).map_err(Error::io(path, "open"))?;
    let length = file.metadata().map_err(Error::io(path, "examine"))?;
    if !length.is_file() {
        // A pipe or a device has no length to map.
        let bytes = std::fs::read(path).map_err(Error::io(path, "read"))?;
        return Ok((bytes.into(), None));
    }
    if length.len() == 0 {
        return Ok((Bytes::new(), None));
    }
    // SAFETY: the map is read-only and private to this process, lives as long as the `Bytes` that
    // own it, and is only ever read as plain bytes, for which every value is valid. A change of the
    // file by another program meanwhile is the risk named above.
    let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path, "map into memory"))?;
    Ok((Bytes::from_owner(map), Some(Arc::new(file))))
}

/// Numbers of a file that need no conversion: they are mapped into memory while they are looked at, and
/// cost none otherwise.
#[derive(Clone, Debug)]
pub struct StoredFloats {
    file: Arc<File>,
    name: String,
    /// The first byte.
    offset: u64,
    count: usize,
}

impl StoredFloats {
    /// `count` little-endian `f32` from byte `offset` on; nothing where they would have to be converted or
    /// moved to be read in place.
    pub(crate) fn new(file: Arc<File>, name: &str, offset: usize, count: usize) -> Option<Self> {
        let in_place = cfg!(target_endian = "little") && offset.is_multiple_of(size_of::<f32>());
        let name = name.to_owned();
        (in_place && count > 0).then_some(Self { file, name, offset: offset as u64, count })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Shows them to `f`.
    ///
    /// Fails when the system does not map them, or when the file has become too short.
    pub fn with(&self, f: &mut dyn FnMut(&[f32])) -> Result<(), Error> {
        let path = Path::new(&self.name);
        let len = self.count * size_of::<f32>();
        let now = self.file.metadata().map_err(Error::io(path, "examine"))?.len();
        if now < self.offset + len as u64 {
            return Err(Error::damaged(
                &self.name,
                "the file has become shorter while it was in use",
            ));
        }
        let mut options = MmapOptions::new();
        // SAFETY: as in `map`.
        let map = unsafe { options.offset(self.offset).len(len).map(&*self.file) };
        let map = map.map_err(Error::io(path, "map into memory"))?;
        match bytemuck::try_cast_slice(&map) {
            Ok(floats) => f(floats),
            // Maps begin at pages, and the offset is a multiple of four.
            Err(_) => return Err(Error::damaged(&self.name, "its numbers are not aligned")),
        }
        Ok(())
    }
}
