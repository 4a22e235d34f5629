//! What the room's tests share: where the reference outputs lie and how to read them.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Limits, Picture, decode_file};

/// A file among the reference outputs that travel with the repository.
pub(super) fn golden(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/data")).join(name)
}

/// A file among the larger reference outputs, which may be absent: then this says so.
pub(super) fn shared(name: &str) -> Option<PathBuf> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared"));
    if !root.exists() {
        println!("skipped: ../shared is absent");
        return None;
    }
    Some(root.join("golden/caffe").join(name))
}

/// A decoded picture from the reference outputs.
pub(super) fn photo(name: &str) -> Picture {
    decode_file(&golden(name), &Limits::default()).unwrap()
}

/// A numpy array of `f32`.
pub(super) struct Npy {
    pub(super) shape: Vec<usize>,
    pub(super) data: Vec<f32>,
}

/// Reads a `.npy` file of little-endian `f32` in C order.
pub(super) fn npy(path: &Path) -> Npy {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00", "{}", path.display());
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..start]).unwrap();
    assert!(header.contains("'<f4'"), "{header}");
    let inside = header.split(['(', ')']).nth(1).unwrap();
    let shape: Vec<usize> = inside.split(',').filter_map(|d| d.trim().parse().ok()).collect();
    assert!(header.contains("'fortran_order': False") || shape.len() == 1);
    let data: Vec<f32> = bytes[start..]
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    assert_eq!(data.len(), shape.iter().product::<usize>());
    Npy { shape, data }
}

/// The largest |a − b|.
pub(super) fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

/// A small generator of repeatable noise (xorshift64*).
pub(super) struct Noise(pub(super) u64);

impl Noise {
    /// The next number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}
