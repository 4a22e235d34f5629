//! Networks: from a prototxt and weights to blobs.
//!
//! ```text
//! prototxt ─ description ─ Graph ─ Plan ─ forward ─ blobs
//!                            weights ┘      └ backend
//! ```
//!
//! [`Graph`] says which blob feeds which layer. [`Plan`] is the ordered list of steps over slots of a
//! backend, with its fusions visible. [`Net`] holds both, the parameters and the backend, and runs.

mod backward;
mod dot;
mod filler;
mod forward;
mod gradients;
mod graph;
mod head;
mod learning;
mod model;
mod parameters;
mod plan;
mod prototxt;
mod run;
mod show;
mod state;
mod stored;
mod zoo;

pub use dot::dot;
pub use graph::{Blob, BlobId, Graph, Node, ParamId, ParamUse};
pub use head::{Head, with_head};
pub use learning::LearntParam;
pub use likenet_kernels::ops::{Algorithm, Precision};
pub use model::{Guest, Net, Options};
pub use parameters::Missing;
pub use plan::{Home, Keep, Plan, Section, Step, Storage};
pub use prototxt::{Description, LayerDescription, ParamRule};
pub use show::Summary;
pub use state::NetState;
pub use stored::Weights;
pub use zoo::{Architecture, Trained, architecture, architectures, trained};
