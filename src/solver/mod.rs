//! What a solver is told and what it leaves behind: settings, learning rates.
//!
//! Flows in: a solver's prototxt; the state of a training. Flows out: typed [`Settings`], the rate of
//! each iteration.

mod policy;
mod settings;

pub use policy::Policy;
pub use settings::{NetSource, Settings, TestNet};
