//! Faces: which photos are of people, and where.
//!
//! Flows in: pictures. Flows out: boxes with the probability that each holds a face.
//!
//! ```text
//! cascade file → detector ─┬→ soft     ours: one soft cascade over gradient channels
//!                          ├→ opencv   Haar and LBP cascades of OpenCV
//!                          └→ scd      SURF cascades of ccv
//! crops, backgrounds → train → soft      truth, detections → judge
//! ```

pub mod bulk;
pub mod detector;
pub mod judge;
pub mod opencv;
pub mod rect;
#[cfg(feature = "sqlite")]
pub mod scd;
pub mod soft;
pub mod train;

pub use detector::{Detector, Measure, Search};
pub use rect::{Face, Rect};
