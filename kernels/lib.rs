//! The kernels of likenet: arithmetic on plain slices, one file per operation.
//!
//! Flows in: slices of `f32` and a description of the operation ([`ops`]). Flows out: filled slices.
//! Nothing here knows of layers or networks. Kernels run on the thread that calls them: what is computed
//! side by side the backends decide, on [`threads`].
//!
//! Each file of [`cpu`] opens with the plain loop, which is the definition that tests and learners
//! compare the faster bodies with.

pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod memory;
pub mod ops;
pub mod threads;
