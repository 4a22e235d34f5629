//! How much a single picture may cost. The defaults suit photos from any camera on sale and stop
//! files that were made to fill the memory.

/// Bounds for decoding one picture. The decoder refuses a picture, by its header, before it
/// allocates anything of its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels (rows × columns). Default 100 million.
    pub max_pixels: u64,
    /// Most bytes that a file may have. Default 256 MiB.
    pub max_file_bytes: u64,
    /// Most bytes that the decoded samples and their 8-bit RGB copy may take together. Default
    /// 1 GiB. A decoder's own tables come on top; a progressive JPEG keeps up to 2 bytes per
    /// sample of coefficients.
    pub max_decoder_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_pixels: 100_000_000, max_file_bytes: 256 << 20, max_decoder_bytes: 1 << 30 }
    }
}
