//! What can go wrong between a file and a prepared picture. Each message names the file or the
//! part, the reason, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::Size;

/// An error of the picture room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A file or folder could not be opened or read.
    #[error("{}: cannot be read: {source}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The path is neither a regular file nor (where one is accepted) a folder.
    #[error("{}: is not a regular file", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The bytes start like none of the known formats.
    #[error(
        "{name}: is not a JPEG, PNG, WebP, GIF, BMP or TIFF picture; convert it to one of them"
    )]
    UnknownFormat {
        /// The picture's name.
        name: String,
    },
    /// The file holds more bytes than [`Limits::max_file_bytes`](super::Limits::max_file_bytes).
    #[error(
        "{name}: has {bytes} bytes, more than the limit of {limit}; raise the limit or shrink the picture"
    )]
    TooManyBytes {
        /// The picture's name.
        name: String,
        /// Bytes in the file (at least).
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The picture is larger than [`Limits::max_pixels`](super::Limits::max_pixels).
    #[error(
        "{name}: is {width} x {height} pixels, more than the limit of {limit} pixels; raise the limit or shrink the picture"
    )]
    TooManyPixels {
        /// The picture's name.
        name: String,
        /// Columns, as the file's header says.
        width: u64,
        /// Rows, as the file's header says.
        height: u64,
        /// The limit in pixels.
        limit: u64,
    },
    /// Decoding would need more memory than
    /// [`Limits::max_decoder_bytes`](super::Limits::max_decoder_bytes).
    #[error(
        "{name}: decoding needs more than {limit} bytes of memory; raise the limit or shrink the picture"
    )]
    TooMuchMemory {
        /// The picture's name.
        name: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file ends before the picture does.
    #[error("{name}: the {format} file is cut off: {reason}; fetch or copy it again")]
    Truncated {
        /// The picture's name.
        name: String,
        /// The format, such as `JPEG`.
        format: &'static str,
        /// What is missing.
        reason: String,
    },
    /// The file contradicts its format.
    #[error("{name}: the {format} file is broken: {reason}; fetch or copy it again")]
    Broken {
        /// The picture's name.
        name: String,
        /// The format, such as `JPEG`.
        format: &'static str,
        /// The decoder's reason.
        reason: String,
    },
    /// The file is valid but uses a feature that the decoder lacks.
    #[error(
        "{name}: {format} feature not supported: {reason}; save it as a plain 8-bit RGB JPEG or PNG"
    )]
    Unsupported {
        /// The picture's name.
        name: String,
        /// The format, such as `TIFF`.
        format: &'static str,
        /// The feature.
        reason: String,
    },
    /// A picture's or mean's length does not fit its stated size.
    #[error("{what}: {height} x {width} x {channels} values expected, {got} given")]
    WrongLength {
        /// What was being made.
        what: &'static str,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Channels.
        channels: usize,
        /// Values given.
        got: usize,
    },
    /// A size of zero rows or columns, or one too large to address.
    #[error("{what}: a size of {size} is not possible")]
    BadSize {
        /// What has that size.
        what: &'static str,
        /// The size.
        size: Size,
    },
    /// A crop that reaches beyond the picture.
    #[error(
        "a crop of {crop} at row {y}, column {x} does not fit a picture of {picture}; make the crop smaller or resize the picture first"
    )]
    CropOutside {
        /// The crop's size.
        crop: Size,
        /// Its top row.
        y: usize,
        /// Its left column.
        x: usize,
        /// The picture's size.
        picture: Size,
    },
    /// A mean image that does not fit the picture it is subtracted from.
    #[error(
        "the mean image is {channels} x {mean}, the picture is {wanted_channels} x {picture}; give a mean made for this size, or a mean per channel"
    )]
    MeanMismatch {
        /// The mean's channels.
        channels: usize,
        /// The mean's size.
        mean: Size,
        /// The picture's channels.
        wanted_channels: usize,
        /// The picture's size.
        picture: Size,
    },
    /// A mean that cannot be read from text or used.
    #[error("mean {text:?}: {reason}; write one number, or three as blue,green,red (104,117,123)")]
    BadMean {
        /// The text.
        text: String,
        /// Why not.
        reason: String,
    },
    /// A setting that makes no sense.
    #[error("{setting}: {reason}")]
    BadSetting {
        /// The setting's name.
        setting: &'static str,
        /// Why not.
        reason: String,
    },
    /// An output buffer of the wrong length.
    #[error("the output buffer holds {got} values, the prepared picture needs {wanted}")]
    WrongBuffer {
        /// Values needed.
        wanted: usize,
        /// Values given.
        got: usize,
    },
    /// A list of pictures that is not text.
    #[error(
        "{}: is neither a picture, a folder nor a text list of pictures: {reason}", .path.display()
    )]
    NotAList {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}
