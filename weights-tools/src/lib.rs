//! Caffe's protobuf files, read and written, and their conversion to and from safetensors.
//!
//! Flowing in: prototxt text, `.caffemodel`, `.solverstate`, `.binaryproto`, `.safetensors` and
//! `.npy` files, and LMDBs of samples. Flowing out: typed messages ([`proto`]) brought to the current
//! generation by [`upgrade`], arrays ([`Blob`]), a uniform view of stored weights ([`WeightsFile`]),
//! and the same files written again.
//!
//! No input makes this crate panic or reserve memory that the input's size does not justify:
//! every failure is an [`Error`] that names the file and, where there is one, the layer or the line.

#![deny(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

mod archive;
mod atomic;
mod blob;
mod caffemodel;
mod convert;
mod diff;
mod error;
#[cfg(feature = "fetch")]
pub mod fetch;
mod inspect;
mod lmdb;
mod mapped;
mod names;
pub mod npy;
mod print;
mod rows;
mod safetensors_file;
mod scan;
mod schema;
mod state;
mod text;
mod trained;
mod upgrade;
mod weights_file;
mod write;

pub use archive::{Archive, Number};
pub use atomic::{write_atomically, write_file};
pub use blob::Blob;
pub use convert::convert;
pub use diff::{Diff, ShapeMismatch, TensorDiff, diff};
pub use error::Error;
pub use inspect::{
    ChannelMean, Inspection, Kind, LayerReport, SolverReport, TensorReport, inspect,
};
pub use lmdb::Lmdb;
pub use mapped::StoredFloats;
pub use print::{print_net_text, print_solver_text};
pub use rows::{Contents, MappedFloats, Rows, StreamedRows};
pub use safetensors_file::safetensors_header;
pub use scan::{Block, TextIndex, line_of_field};
pub use schema::proto;
pub use state::{
    SolverState, read_binaryproto, read_solverstate, write_binaryproto, write_solverstate,
    write_solverstate_from,
};
pub use text::{parse_net_text, parse_solver_text, read_net_text, read_solver_text, read_text};
pub use trained::write_trained;
pub use upgrade::{upgrade, upgrade_solver, upgrade_with_warnings};
pub use weights_file::{
    Dtype, LayerEntry, LayerWeights, MemoryWeights, TensorEntry, WeightsFile, WeightsSource,
};
pub use write::{write_caffemodel, write_safetensors};
