//! The record of a training run.
//!
//! Flows in: the loss and the rate of each iteration, the results of each test. Flows out: a log on
//! disk, a line on the terminal, a drawing of the curves. Sweeps of classifiers over C are drawn here too,
//! and face detectors are compared. What a whole study found becomes drawings, contact sheets and a page.
//!
//! ```text
//! solver → Writer → log.jsonl → read → draw (SVG, PNG)
//!        → Progress → terminal
//! ```

#[cfg(feature = "plots")]
mod axis;
#[cfg(feature = "plots")]
mod calibration;
#[cfg(feature = "plots")]
mod canvas;
#[cfg(feature = "plots")]
mod curves;
#[cfg(feature = "plots")]
mod face_curves;
pub mod faces;
#[cfg(feature = "plots")]
mod followers;
#[cfg(feature = "plots")]
mod histogram;
mod log;
#[cfg(feature = "study")]
pub mod page;
#[cfg(feature = "plots")]
mod precision_recall;
mod progress;
#[cfg(feature = "plots")]
mod sheet;
#[cfg(feature = "plots")]
mod sweep;
mod table;
mod thumbnail;

#[cfg(feature = "plots")]
pub use calibration::{CalibrationCurve, calibration_svg, draw_calibration};
#[cfg(feature = "plots")]
pub use canvas::check_ending;
#[cfg(feature = "plots")]
pub use curves::{SIZE, draw};
#[cfg(feature = "plots")]
pub use face_curves::{FaceCurve, draw_faces};
#[cfg(feature = "plots")]
pub use followers::{Followers, draw_followers, followers_svg};
pub use log::{Iteration, Outputs, Record, TestResult, Writer, read};
#[cfg(feature = "plots")]
pub use precision_recall::{Ranking, draw_precision_recall, precision_recall_svg};
pub use progress::Progress;
#[cfg(feature = "plots")]
pub use sheet::{Tile, contact_sheet};
#[cfg(feature = "plots")]
pub use sweep::{SweepCurve, draw_sweep};
pub use table::{Table, escape};
pub use thumbnail::{encode_jpeg, encode_png, square_thumbnail};
