//! A convolutional network engine that runs Caffe's networks on photos, with hand-written kernels.
//!
//! One photo's way through the house:
//!
//! ```text
//! bytes → image::decode → image::preprocess → Tensor → net::forward → blobs
//! ```
//!
//! Rooms import only from floors below: `shape`, `error`, `rng`, `layer` (what things are), then
//! `tensor` and `image` (data), [`backend`] (where operations run), [`net`] (networks), [`features`]
//! (photos through networks), [`solver`] (training's settings and snapshots) and the program.

#![forbid(unsafe_code)]

pub mod backend;
pub mod bench;
pub mod classify;
pub mod data;
pub mod error;
pub mod features;
pub mod feed;
pub mod image;
pub mod layer;
pub mod net;
pub mod rng;
pub mod shape;
pub mod solver;
pub mod tensor;

pub use error::{Error, Result};
