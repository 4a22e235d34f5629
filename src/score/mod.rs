//! How likable a photo is, and why.
//!
//! Flows in: what a study learned, in one file, and photos. Flows out: for each photo a probability, its faces,
//! which parts of it speak for and against, and the most alike photos that were learnt from.
//!
//! ```text
//! Likability (a file) ─ Judge ─┬ judge:   photos → network → features → classifier → Verdict
//!                              └ explain: a photo → reasons (maps), gallery (alike photos)
//! ```

mod built_in;
mod gallery;
mod judge;
mod likability;
mod network;
mod reasons;

pub use built_in::built_in;
pub use gallery::{Alike, Gallery, Specimen};
pub use judge::{Explanation, Judge, Verdict, scale};
pub use likability::{About, Likability};
pub use network::{Loaded, Network, Purpose};
pub use reasons::Map;
