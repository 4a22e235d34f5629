//! Ways to resize a picture: three after the program that each must agree with, and a fast one.
//!
//! | | after | on | shrinking |
//! | --- | --- | --- | --- |
//! | [`pycaffe`] | `caffe.io.resize_image` | `f32` | takes 2 × 2 samples, skips the rest |
//! | [`opencv`] | `cv::resize`, `INTER_LINEAR` | `u8` | takes 2 × 2 samples, skips the rest |
//! | [`antialias`] | Pillow's `BILINEAR` | `u8` | averages everything under the pixel |
//! | [`fast()`] | the same, nearly | `u8` | the same, in SIMD registers |
//!
//! All are separable: a row pass over the columns, then a column pass over the rows, with indices
//! and weights computed once per axis.

mod antialias;
mod fast;
mod opencv;
mod pycaffe;

pub use antialias::antialias;
pub use fast::fast;
pub use opencv::{opencv, opencv_gray};
pub use pycaffe::{pycaffe, pycaffe_photo};

/// How a picture is brought to the size that a network's preparation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Resize {
    /// As pycaffe: bilinear in double precision, no anti-aliasing, dark borders when enlarging.
    Pycaffe,
    /// As Caffe's data layers: OpenCV's bilinear in 11-bit fixed point, no anti-aliasing.
    OpenCv,
    /// As Pillow: bilinear with anti-aliasing. The best for photos much larger than the net.
    #[default]
    Antialias,
    /// Nearly as `Antialias`, much faster: a JPEG is decoded at a half, a quarter or an eighth of its size
    /// where that is still as large as wanted, and a library with SIMD kernels does the rest.
    Fast,
    /// Not at all: the crop is taken from the picture as it is.
    None,
}

/// The two input rows that one output row is mixed from, kept while the next output row needs
/// them. Neighbouring rows have different parity, so each has its own place.
struct RowPair<T> {
    rows: [Vec<T>; 2],
    held: [Option<usize>; 2],
}

impl<T: Copy + Default> RowPair<T> {
    /// Room for two rows of `length` values.
    fn new(length: usize) -> Self {
        Self { rows: [vec![T::default(); length], vec![T::default(); length]], held: [None; 2] }
    }

    /// Makes sure that row `y` is held, by `fill` where it is not.
    fn load(&mut self, y: usize, fill: impl FnOnce(&mut [T])) {
        if self.held[y % 2] != Some(y) {
            fill(&mut self.rows[y % 2]);
            self.held[y % 2] = Some(y);
        }
    }

    /// Row `y`, which must have been loaded.
    fn row(&self, y: usize) -> &[T] {
        debug_assert_eq!(self.held[y % 2], Some(y));
        &self.rows[y % 2]
    }
}
