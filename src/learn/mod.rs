//! Classifiers on features: linear SVMs, logistic regression, random forests, and what judges them.
//!
//! ```text
//! files ─ table (rows, labels, groups) ─ folds ─┬ linear (dual, Newton, L1, SGD) ┬ model (a file)
//!                    └ scale                    └ forest                         └ metrics
//! ```
//!
//! A class is liked or not: labels are `bool`. Features are `f32`; sums that decide are `f64`.

pub mod folds;
pub mod forest;
pub mod linear;
pub mod matrix;
pub mod mersenne;
pub mod metrics;
pub mod model;
pub mod prepare;
pub mod scale;
pub mod table;
pub mod validate;

pub use matrix::{Layout, Matrix};
pub use table::{Source, Table};
