//! Caffe's two other binary files: a solver's state and a single array (a mean picture).

use std::path::Path;

use prost::Message;
use prost::bytes::Bytes;
use prost::encoding::message;

use crate::blob::StoredBlob;
use crate::caffemodel::decode_blobs;
use crate::schema::proto;
use crate::{Blob, Error, atomic, mapped};

/// A solver's state: what it needs to go on besides the weights.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SolverState {
    /// Updates done.
    pub iter: i32,
    /// The weights' file, as it was written.
    pub learned_net: String,
    /// The current step of the learning-rate policy.
    pub current_step: i32,
    /// The solver's arrays: one for each parameter; two for AdaDelta and Adam.
    pub history: Vec<Blob>,
    /// What Caffe does not save and ignores: JSON in a field of our own.
    pub extra: Option<String>,
}

/// The number of `SolverState.history`.
const HISTORY_FIELD: u32 = 3;

/// `SolverState` with its arrays left as bytes.
#[derive(Clone, PartialEq, Message)]
struct StoredState {
    #[prost(int32, optional, tag = "1")]
    iter: Option<i32>,
    #[prost(string, optional, tag = "2")]
    learned_net: Option<String>,
    #[prost(bytes = "bytes", repeated, tag = "3")]
    history: Vec<Bytes>,
    #[prost(int32, optional, tag = "4")]
    current_step: Option<i32>,
    #[prost(string, optional, tag = "1000")]
    likenet: Option<String>,
}

/// Reads a `.solverstate`.
pub fn read_solverstate(path: &Path) -> Result<SolverState, Error> {
    decode_solverstate(&path.display().to_string(), mapped::map(path)?)
}

pub(crate) fn decode_solverstate(file: &str, bytes: Bytes) -> Result<SolverState, Error> {
    if bytes.starts_with(b"\x89HDF") {
        let problem = "an HDF5 file; only protobuf states are read (snapshot_format: BINARYPROTO)";
        return Err(Error::damaged(file, problem));
    }
    let state = StoredState::decode(bytes).map_err(|e| {
        Error::damaged(file, format!("not a .solverstate, or one that is damaged ({e})"))
    })?;
    if state.iter.is_none() {
        return Err(Error::damaged(file, "no iteration in it; is this a .solverstate?"));
    }
    let history = decode_blobs(file, "history", &state.history)?;
    Ok(SolverState {
        iter: state.iter.unwrap_or_default(),
        learned_net: state.learned_net.unwrap_or_default(),
        current_step: state.current_step.unwrap_or_default(),
        history: history.iter().map(StoredBlob::read).collect(),
        extra: state.likenet,
    })
}

/// Writes a `.solverstate`.
pub fn write_solverstate(path: &Path, state: &SolverState) -> Result<(), Error> {
    write_solverstate_from(path, state, &mut state.history.iter().cloned())
}

/// The same with `history` in place of the state's own: one array in memory at a time.
pub fn write_solverstate_from(
    path: &Path,
    state: &SolverState,
    history: &mut dyn Iterator<Item = Blob>,
) -> Result<(), Error> {
    // The message in three parts, in the order of its fields' numbers, as Caffe writes it.
    let head = proto::SolverState {
        iter: Some(state.iter),
        learned_net: Some(state.learned_net.clone()),
        ..Default::default()
    };
    let tail = proto::SolverState {
        current_step: Some(state.current_step),
        likenet: state.extra.clone(),
        ..Default::default()
    };
    atomic::write_atomically(path, |out| {
        out.write_all(&head.encode_to_vec()).map_err(Error::io(path, "write"))?;
        for blob in history {
            let mut bytes = vec![];
            message::encode(HISTORY_FIELD, &blob.into_proto(), &mut bytes);
            out.write_all(&bytes).map_err(Error::io(path, "write"))?;
        }
        out.write_all(&tail.encode_to_vec()).map_err(Error::io(path, "write"))
    })
}

/// Reads a `.binaryproto`: a mean picture, or any single array.
pub fn read_binaryproto(path: &Path) -> Result<Blob, Error> {
    decode_binaryproto(&path.display().to_string(), &mapped::map(path)?)
}

pub(crate) fn decode_binaryproto(file: &str, bytes: &Bytes) -> Result<Blob, Error> {
    let problem = |e| format!("not a .binaryproto, or one that is damaged ({e})");
    let blob = StoredBlob::decode(bytes).map_err(|e| Error::damaged(file, problem(e)))?;
    Ok(blob.read())
}

/// Writes a `.binaryproto`. An array of four dimensions is written with the old fields, which
/// every version of Caffe reads.
pub fn write_binaryproto(path: &Path, blob: &Blob) -> Result<(), Error> {
    let mut message = blob.clone().into_proto();
    if let [num, channels, height, width] = blob.shape[..] {
        let dim = |d: usize| {
            i32::try_from(d).map(Some).map_err(|_| Error::Unwritable {
                file: path.display().to_string(),
                problem: format!("a dimension of {d} does not fit"),
            })
        };
        message.num = dim(num)?;
        message.channels = dim(channels)?;
        message.height = dim(height)?;
        message.width = dim(width)?;
        message.shape = None;
    }
    write(path, &message)
}

fn write(path: &Path, message: &impl Message) -> Result<(), Error> {
    atomic::write_atomically(path, |out| {
        out.write_all(&message.encode_to_vec()).map_err(Error::io(path, "write"))
    })
}
