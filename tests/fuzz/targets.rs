//! What the fuzzer does with its bytes, one function a parser. `tests/fuzz_corpus.rs` replays the kept
//! inputs through the same functions.
//!
//! None may panic, hang or take memory beyond a small multiple of its input. Errors are fine.

use likenet::image::{Limits, decode_bytes};
use likenet::net::{Description, Graph, Keep, NetState, Plan};
use std::io::Write;
use std::path::Path;

/// A target's name and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 6] = [
    ("prototxt", prototxt),
    ("caffemodel", caffemodel),
    ("binaryproto", binaryproto),
    ("safetensors", safetensors),
    ("npy", npy),
    ("image", image),
];

/// Descriptions of networks: parsed, upgraded, printed, connected and planned.
pub fn prototxt(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = weights_tools::parse_solver_text("fuzz", text);
    if let Ok(net) = weights_tools::parse_net_text("fuzz", text)
        && let Ok(net) = weights_tools::upgrade(net)
    {
        let printed = weights_tools::print_net_text(&net);
        assert!(weights_tools::parse_net_text("printed", &printed).is_ok(), "{printed}");
    }
    if let Ok(description) = Description::parse("fuzz", text, &NetState::default())
        && let Ok(graph) = Graph::new(&description, &[], None)
    {
        let plan = Plan::new(&graph, &Keep::Outputs);
        assert!(plan.steps.len() <= graph.nodes.len());
    }
}

/// The bytes as a file with this ending, for functions that open files.
fn with_file(ending: &str, data: &[u8], f: impl FnOnce(&Path)) {
    let file = tempfile::Builder::new().suffix(ending).tempfile();
    let mut file = file.expect("a temporary file");
    file.write_all(data).expect("room for it");
    f(file.path());
}

fn weights(ending: &str, data: &[u8]) {
    with_file(ending, data, |path| {
        let _ = weights_tools::inspect(path);
        let Ok(file) = weights_tools::WeightsFile::open(path) else { return };
        for layer in file.layers() {
            for i in 0..layer.tensors.len() {
                let _ = file.read(&layer.name, i);
            }
        }
    });
}

/// Weights as Caffe writes them.
pub fn caffemodel(data: &[u8]) {
    weights(".caffemodel", data);
}

/// Weights as safetensors.
pub fn safetensors(data: &[u8]) {
    weights(".safetensors", data);
}

/// Mean images and solver states.
pub fn binaryproto(data: &[u8]) {
    with_file(".binaryproto", data, |path| {
        let _ = weights_tools::read_binaryproto(path);
        let _ = weights_tools::read_solverstate(path);
    });
}

/// Arrays as NumPy writes them.
pub fn npy(data: &[u8]) {
    let _ = weights_tools::npy::read_f32_from_bytes("fuzz", data);
}

/// Pictures of every format, of at most four megapixels.
pub fn image(data: &[u8]) {
    let limits = Limits { max_pixels: 4 << 20, ..Limits::default() };
    let _ = decode_bytes("fuzz", data, &limits);
}
