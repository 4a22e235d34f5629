//! What can go wrong above the kernels: what, where (file, line, layer) and what to do.

use crate::shape::Shape;
use std::fmt;
use std::path::{Path, PathBuf};

/// Result with [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// A place in a network's description.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Place {
    /// The prototxt.
    pub file: String,
    /// Line, from 1, where it is known.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        match self.line {
            Some(line) => write!(f, ":{line}"),
            None => Ok(()),
        }
    }
}

/// Any error of the engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A layer's description or its shapes make no sense.
    #[error("{place}: layer '{layer}' ({kind}): {reason}")]
    Layer {
        /// Where the layer (or the field at fault) stands.
        place: Place,
        /// The layer's name.
        layer: String,
        /// Its type, as Caffe writes it.
        kind: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The network as a whole makes no sense.
    #[error("{place}: {reason}")]
    Net {
        /// The file.
        place: Place,
        /// What is wrong.
        reason: String,
    },
    /// A solver's settings make no sense.
    #[error("{place}: {field}: {reason}")]
    Solver {
        /// Where the field stands.
        place: Place,
        /// The field, as the prototxt spells it.
        field: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A weights file does not fit the network.
    #[error("{file}: weights of layer '{layer}': {reason}")]
    Weights {
        /// The weights file.
        file: String,
        /// The layer.
        layer: String,
        /// What does not fit.
        reason: String,
    },
    /// There is no blob of that name.
    #[error("the network has no blob '{name}'; it has: {known}")]
    NoBlob {
        /// The name asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// The blob exists, but its memory is reused during the forward pass.
    #[error(
        "blob '{name}' is not kept after the forward pass: name it in Options::keep (or keep all)"
    )]
    NotKept {
        /// The blob.
        name: String,
    },
    /// Data of the wrong size for an input.
    #[error("input '{name}' has shape {shape} ({} elements), got {got} elements", shape.count())]
    InputSize {
        /// The input blob.
        name: String,
        /// Its shape.
        shape: Shape,
        /// Elements given.
        got: usize,
    },
    /// A file of Caffe's, a safetensors or a npy file could not be read or written.
    #[error(transparent)]
    File(#[from] weights_tools::Error),
    /// A picture could not be read.
    #[error(transparent)]
    Image(#[from] crate::image::ImageError),
    /// The operating system refused something.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// Arguments that do not go together, or another plain refusal.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// An [`Error::Io`] about `path`.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::Io { path, source }
    }
}
