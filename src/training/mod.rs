//! Training: batches, passes, updates, tests and snapshots.
//!
//! Flows in: a solver's [`Settings`](crate::solver::Settings), networks, pictures. Flows out: trained weights
//! and, by [`Event`]s, what happened on the way. [`Trainer`] knows one iteration; [`Trainer::run`] knows
//! when to test, to save and to stop.

mod early;
mod feeds;
mod glimpse;
pub mod live;
mod recipe;
mod resume;
mod run;
mod trainer;

pub use early::EarlyStop;
pub use glimpse::{Glimpse, Wrong};
pub use recipe::{Class, MeanOf, Photos, Recipe, Written};
pub use resume::seed_of;
pub use run::{Event, Outcome, Plan};
pub use trainer::{Options, Trainer};
