//! The record of a training run.
//!
//! Flows in: the loss and the rate of each iteration, the results of each test. Flows out: a log on
//! disk, a line on the terminal, a drawing of the curves. Sweeps of classifiers over C are drawn here too,
//! and face detectors are compared.
//!
//! ```text
//! solver → Writer → log.jsonl → read → draw (SVG, PNG)
//!        → Progress → terminal
//! ```

#[cfg(feature = "plots")]
mod canvas;
#[cfg(feature = "plots")]
mod curves;
#[cfg(feature = "plots")]
mod face_curves;
pub mod faces;
mod log;
mod progress;
#[cfg(feature = "plots")]
mod sweep;
mod table;

#[cfg(feature = "plots")]
pub use canvas::check_ending;
#[cfg(feature = "plots")]
pub use curves::{SIZE, draw};
#[cfg(feature = "plots")]
pub use face_curves::{FaceCurve, draw_faces};
pub use log::{Iteration, Outputs, Record, TestResult, Writer, read};
pub use progress::Progress;
#[cfg(feature = "plots")]
pub use sweep::{SweepCurve, draw_sweep};
pub use table::{Table, escape};
