//! Photos: from a file's bytes to the numbers that a network reads.
//!
//! Flows in: files (JPEG, PNG, WebP, GIF, BMP, TIFF), folders and lists of files. Flows out:
//! [`Picture`]s (8-bit RGB), and `f32` planes prepared exactly as Caffe prepares them.
//!
//! ```text
//! path → list_pictures → decode_file → Picture ─┬→ Classifier      (pycaffe: resize, crop, mean)
//!                                               └→ DataTransform   (Caffe's data layers)
//! ```
//!
//! Everything below the decoders is written by hand. The ways to resize live in [`resize`].

mod classifier;
mod container;
mod crop;
mod data_transform;
mod decode;
mod error;
mod limits;
mod listing;
mod mean;
mod orient;
mod picture;
pub mod resize;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod test_support;

pub use classifier::{ChannelOrder, Classifier, ClassifierOptions};
pub use crop::{Crop, centre_crop, ten_crops};
pub use data_transform::{DataTransform, Placement};
pub use decode::{
    decode_bytes, decode_bytes_reduced, decode_file, decode_gray_file, decode_reduced,
};
pub use error::ImageError;
pub use limits::Limits;
pub use listing::{ListedPicture, fingerprint, list_pictures};
pub use mean::{Mean, MeanImage};
pub use picture::{FloatPicture, GrayPicture, Picture, Size};
pub use resize::Resize;
