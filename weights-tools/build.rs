//! `proto/caffe.proto` in; typed structs (`caffe.rs`) and the descriptors for the text format out.
//! The schema compiler is a Rust crate: no `protoc` is needed.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/caffe.proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);

    let descriptors = protox::compile(["proto/caffe.proto"], ["proto"])?;
    std::fs::write(out.join("caffe.bin"), prost::Message::encode_to_vec(&descriptors))?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
