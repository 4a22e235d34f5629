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
//! (photos through networks), [`learn`] (classifiers on features), [`faces`] (where faces are), [`score`] (how
//! likable a photo is, and why), [`data`], [`solver`] and [`report`] (what training needs), [`training`], `photos`
//! (collected, labelled, downloaded), `inside` (pages that look into a network), `pipeline` (the whole study), `web` (the
//! server) and the program.

#![forbid(unsafe_code)]

pub mod backend;
pub mod bench;
pub mod classify;
pub mod data;
pub mod error;
pub mod faces;
pub mod features;
pub mod feed;
pub mod image;
#[cfg(feature = "inside")]
pub mod inside;
pub mod layer;
pub mod learn;
pub mod net;
#[cfg(feature = "study")]
pub mod photos;
#[cfg(feature = "study")]
pub mod pipeline;
pub mod report;
pub mod rng;
pub mod score;
pub mod shape;
pub mod solver;
pub mod tensor;
pub mod training;
#[cfg(feature = "web")]
pub mod web;

pub use error::{Error, Result};
