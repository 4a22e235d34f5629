//! The whole study: from a hashtag to a ranked gallery, stage by stage.
//!
//! Flows in: a `likenet.toml`. Flows out: a folder with photos, a database, models and a report.
//!
//! ```text
//! collect → prepare → download → faces → features → compare ─┬→ rank → report
//!                                    └──→ finetune ──────────┘
//! ```
//!
//! Each stage writes down what it was made from; it runs again only when that changed, and goes on where it was cut
//! off. All of what is between two stages lies in the store or in files that a user can look at.

mod compare;
mod config;
mod demo;
mod faces;
mod features;
mod filter;
mod finetune;
mod gallery;
mod model;
mod network;
mod pack;
mod project;
mod rank;
mod report;
mod run;
mod sets;
mod stage;
mod truth;

pub use config::{Config, TEMPLATE};
pub use demo::{Demo, demo};
pub use filter::{FilterResult, Sorted, train as train_filter};
pub use finetune::training_log;
pub use pack::pack;
pub use project::Project;
pub use run::{Finished, Progress, Status, again, forget_results, run, status};
pub use stage::Stage;
