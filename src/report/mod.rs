//! The record of a training run.
//!
//! Flows in: the loss and the rate of each iteration, the results of each test. Flows out: a log on
//! disk, a line on the terminal, a drawing of the curves.
//!
//! ```text
//! solver → Writer → log.jsonl → read → draw (SVG, PNG)
//!        → Progress → terminal
//! ```

#[cfg(feature = "plots")]
mod curves;
mod log;
mod progress;
mod table;

#[cfg(feature = "plots")]
pub use curves::{SIZE, check_ending, draw};
pub use log::{Iteration, Outputs, Record, TestResult, Writer, read};
pub use progress::Progress;

pub use table::{Table, escape};
