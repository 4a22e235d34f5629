//! Every way in which this crate fails, with the facts that help to mend it.

use std::path::{Path, PathBuf};

/// What went wrong: the file, and the line, layer or tensor in it where there is one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{path}: cannot {doing}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as a verb: "open", "write".
        doing: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A prototxt that is not what the schema allows.
    #[error("{file}:{line}: {}{problem}", in_field(field))]
    Text {
        /// The file, as the caller named it.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// The field's path (`layer.convolution_param.pad`); empty where no field had begun.
        field: String,
        /// What is wrong there.
        problem: String,
    },
    /// A net of an older generation that has no counterpart in the current one.
    #[error("layer \"{layer}\": {problem}")]
    Upgrade {
        /// The layer's name; empty for the net as a whole.
        layer: String,
        /// What stands in the way.
        problem: String,
    },
    /// A binary file that is cut short, damaged or of another kind.
    #[error("{file}: {problem}")]
    Damaged {
        /// The file.
        file: String,
        /// What was found.
        problem: String,
    },
    /// An array whose shape and data disagree.
    #[error("{file}: layer \"{layer}\", blob {index}: {problem}")]
    Blob {
        /// The file.
        file: String,
        /// The layer's name; for a solver state, the word "history".
        layer: String,
        /// Which of its blobs, from 0.
        index: usize,
        /// What disagrees.
        problem: String,
    },
    /// Neither the content nor the ending says what the file is.
    #[error(
        "{file}: neither Caffe's binary protobuf nor safetensors nor .npy; \
         give a .caffemodel, .safetensors, .binaryproto, .solverstate or .npy file"
    )]
    UnknownKind {
        /// The file.
        file: String,
    },
    /// A layer that the weights do not have.
    #[error("{file}: no layer \"{layer}\" in these weights")]
    NoSuchLayer {
        /// The file.
        file: String,
        /// The name asked for.
        layer: String,
    },
    /// A tensor that the layer does not have.
    #[error("{file}: layer \"{layer}\" has {count} tensors, number {index} does not exist")]
    NoSuchTensor {
        /// The file.
        file: String,
        /// The layer.
        layer: String,
        /// The index asked for, from 0.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// A number type that cannot be read as f32.
    #[error(
        "{file}: tensor \"{tensor}\" holds {dtype}; only F64, F32, F16 and BF16 are read as weights"
    )]
    Dtype {
        /// The file.
        file: String,
        /// The tensor's key.
        tensor: String,
        /// The number type.
        dtype: String,
    },
    /// Something that the output format cannot express.
    #[error("{file}: {problem}")]
    Unwritable {
        /// The file to be written.
        file: String,
        /// What stands in the way.
        problem: String,
    },
    /// A message that the compiled schema lacks: a fault of this program, not of the input.
    #[error("the schema has no message caffe.{message}")]
    Schema {
        /// The message's name.
        message: String,
    },
    /// A download that did not succeed.
    #[cfg(feature = "fetch")]
    #[error("{url}: {problem}")]
    Download {
        /// Where from.
        url: String,
        /// What happened, and after how many attempts.
        problem: String,
    },
    /// A complete download with the wrong content.
    #[cfg(feature = "fetch")]
    #[error(
        "{url}: expected {expected}, got {got}; the file was removed. Try again, or pass the sum \
         that you expect"
    )]
    Checksum {
        /// Where from.
        url: String,
        /// The published sum.
        expected: String,
        /// The sum of what came.
        got: String,
    },
}

impl Error {
    /// For `map_err`: an [`Error::Io`] at `path` while `doing`.
    pub fn io(path: &Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::Io { path, doing, source }
    }

    pub(crate) fn damaged(file: &str, problem: impl Into<String>) -> Error {
        Error::Damaged { file: file.to_owned(), problem: problem.into() }
    }
}

fn in_field(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("in {field}: ") }
}
