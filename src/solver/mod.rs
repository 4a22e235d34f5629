//! What a solver is told and what it leaves behind: settings, learning rates, snapshots.
//!
//! Flows in: a solver's prototxt; the state of a training. Flows out: typed [`Settings`], the rate of
//! each iteration, snapshot files that Caffe reads too.

mod policy;
mod settings;
pub mod snapshot;

pub use policy::Policy;
pub use settings::{NetSource, Settings, TestNet};
