//! The schema, compiled: `proto/caffe.proto` in, typed messages and their descriptors out.

use std::sync::OnceLock;

use prost_reflect::{DescriptorPool, MessageDescriptor};

use crate::Error;

/// Caffe's messages as Rust structs, generated from `proto/caffe.proto`.
///
/// A field's accessor (`pooling_param.stride()`) gives the schema's default where the file is silent.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/caffe.rs"));
}

/// The descriptor of a message in package `caffe`: what the text format needs to know of it.
pub(crate) fn descriptor(message: &str) -> Result<MessageDescriptor, Error> {
    static POOL: OnceLock<Option<DescriptorPool>> = OnceLock::new();
    let pool = POOL.get_or_init(|| {
        DescriptorPool::decode(include_bytes!(concat!(env!("OUT_DIR"), "/caffe.bin")).as_slice())
            .ok()
    });
    pool.as_ref()
        .and_then(|pool| pool.get_message_by_name(&format!("caffe.{message}")))
        .ok_or_else(|| Error::Schema { message: message.to_owned() })
}
