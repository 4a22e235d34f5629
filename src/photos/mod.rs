//! Photos and their likes, from a network to labelled files.
//!
//! Flows in: a network's pages, or files that somebody has. Flows out: photos on the disk, each with its label,
//! in a database that other programs can read.
//!
//! ```text
//! collect → store → prepare (followers, labels) → download (files, sums, likenesses)
//! simulate: a network of drawn pictures, for learners, tests and measurements
//! ```

pub mod collect;
pub mod download;
pub mod http;
pub mod prepare;
pub mod simulate;
pub mod store;
pub mod watch;

use crate::error::{Error, Result};
use tokio::runtime::{Builder, Runtime};

/// Threads that wait for the network; the work is done elsewhere.
fn runtime() -> Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    let built = builder.worker_threads(2).enable_all().build();
    built.map_err(|e| Error::Invalid(format!("no threads for the network: {e}")))
}
