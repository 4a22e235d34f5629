//! Numbers as a page carries them.
//!
//! Flows in: arrays of `f32`, of indices, of bytes. Flows out: text. An array's bytes are sorted by their
//! place in the number (all first bytes, then all second ones, …), where neighbours are alike, then
//! compressed (zlib, RFC 1950) and written in base64. Nothing is rounded: the page's script gets the same bits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::Write as _;

/// The arrays of one page; each is known by its number.
#[derive(Default)]
pub(super) struct Store {
    texts: Vec<String>,
}

impl Store {
    /// Takes floats; gives the array's number.
    pub fn floats(&mut self, values: &[f32]) -> usize {
        self.put(sorted(values.iter().map(|v| v.to_le_bytes())))
    }

    /// Takes indices.
    pub fn indices(&mut self, values: &[u32]) -> usize {
        self.put(sorted(values.iter().map(|v| v.to_le_bytes())))
    }

    /// Takes bytes.
    pub fn bytes(&mut self, values: &[u8]) -> usize {
        self.put(values.to_vec())
    }

    /// All arrays as text, in the order of their numbers.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    fn put(&mut self, bytes: Vec<u8>) -> usize {
        self.texts.push(STANDARD.encode(packed(&bytes)));
        self.texts.len() - 1
    }
}

/// The first bytes of all numbers, then the second ones, …
fn sorted(numbers: impl Iterator<Item = [u8; 4]> + Clone) -> Vec<u8> {
    (0..4).flat_map(|place| numbers.clone().map(move |bytes| bytes[place])).collect()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(5));
    // Writing to memory cannot fail.
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

/// About how many bytes an array of floats takes once compressed: where its zeros are, in each of the four sorted
/// parts, by their entropy; the others a little less than themselves, and less if the lower halves of their fractions
/// are empty, as of weights kept in 16 bits.
pub(super) fn estimate(values: &[f32]) -> usize {
    let zeros = values.iter().filter(|v| **v == 0.0).count();
    let short = values.iter().all(|v| v.to_bits() & 0xfff == 0);
    let (each, parts) = if short { (1.9, 2.0) } else { (3.7, 4.0) };
    let share = zeros as f64 / values.len().max(1) as f64;
    let bits: f64 = [share, 1.0 - share].iter().filter(|p| **p > 0.0).map(|p| -p * p.log2()).sum();
    let places = values.len() as f64 * parts * bits / 8.0;
    (places + (values.len() - zeros) as f64 * each) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::ZlibDecoder;
    use std::io::Read as _;

    #[test]
    fn floats_come_back_to_the_last_bit() {
        let values = [0.0, -0.0, 1.5, f32::MIN_POSITIVE, f32::INFINITY, -3.25e-7, f32::NAN];
        let mut store = Store::default();
        assert_eq!(store.floats(&[1.0]), 0);
        let number = store.floats(&values);
        let packed = STANDARD.decode(&store.texts()[number]).unwrap();
        let mut bytes = vec![];
        ZlibDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
        let n = values.len();
        let back = (0..n).map(|i| u32::from_le_bytes([0, 1, 2, 3].map(|p| bytes[p * n + i])));
        assert!(back.eq(values.iter().map(|v| v.to_bits())));
    }

    #[test]
    fn the_estimate_is_near() {
        let mut rng = crate::rng::Rng::new(3);
        let values: Vec<f32> = (0..50_000).map(|_| rng.gaussian(-0.2, 1.0).max(0.0)).collect();
        let mut store = Store::default();
        store.floats(&values);
        let real = store.texts()[0].len() as f64 * 0.75;
        let guess = estimate(&values) as f64;
        assert!((0.8..1.25).contains(&(guess / real)), "{guess} for {real}");
    }
}
