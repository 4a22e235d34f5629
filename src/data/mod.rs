//! Where training and test batches come from.
//!
//! Flows in: a list of pictures, folders, Caffe's LMDB or features, and what a data layer says about
//! them. Flows out: [`Batch`]es, made ahead of the network that waits for them.
//!
//! ```text
//! layer::Source → open ─┐
//! list, folders, LMDB,  ├→ Stream: order → load → (cache) → crop, mean, scale, mirror → Batch
//! features → Items ─────┘
//! ```
//!
//! Everything random follows from the seed and a sample's number, so that the whole state of a stream
//! is the number of samples that it has handed out.

mod items;
mod open;
mod order;
mod prepare;
mod stream;

pub(crate) use items::find;
pub use items::{Encoded, Items, Sample};
pub use open::open;
pub use stream::{Batch, CACHE_BYTES, Rules, Stream};
