//! Every layer of the catalogue against the real Caffe, on every backend.

mod common;

use common::{golden, npy, relative_error};
use likenet::layer::Phase;
use likenet::net::{Algorithm, Keep, Net, NetState, Options};
use serde_json::Value;
use std::path::Path;

fn names<'a>(case: &'a Value, field: &str) -> impl Iterator<Item = &'a String> {
    case[field].as_object().expect("an object").keys()
}

/// How cases are computed, and how far a blob may be from Caffe's, in shares of its maximum.
struct Run {
    backend: &'static str,
    conv: Option<Algorithm>,
    tolerance: f32,
}

/// Runs one case; every blob or parameter that differs, in words.
fn differences(dir: &Path, case: &Value, run: &Run) -> Vec<String> {
    let phase = if case["phase"] == "TRAIN" { Phase::Train } else { Phase::Test };
    let options = Options {
        backend: run.backend.into(),
        conv: run.conv,
        threads: 2,
        keep: Keep::Outputs,
        state: NetState { phase, ..NetState::default() },
        ..Options::default()
    };
    let mut net = match Net::read(dir.join("net.prototxt"), options) {
        Ok(net) => net,
        Err(e) => return vec![e.to_string()],
    };
    let file = |name: String| npy(&dir.join(name));
    for name in names(case, "inputs") {
        net.set_input(name, &file(format!("in_{name}.npy"))).expect("input");
    }
    for name in names(case, "params") {
        let (layer, index) = name.rsplit_once('_').expect("LAYER_INDEX");
        let index = index.parse().expect("an index");
        net.set_param(layer, index, &file(format!("param_{name}.npy"))).expect("parameter");
    }
    net.forward().expect("forward");
    let mut wrong = Vec::new();
    let mut compare = |what: &str, got: &[f32], want: &[f32]| {
        let error = relative_error(got, want);
        if error.is_nan() || error > run.tolerance {
            wrong.push(format!("{what}: relative error {error:e}"));
        }
    };
    for name in names(case, "outputs") {
        let got = net.blob(name).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        let shape: Vec<usize> = serde_json::from_value(case["outputs"][name].clone()).unwrap();
        assert_eq!(got.shape().dims(), shape, "{}: shape of {name}", dir.display());
        compare(name, got.data(), &file(format!("out_{name}.npy")));
    }
    for name in names(case, "params") {
        let after = dir.join(format!("param_after_{name}.npy"));
        if after.exists() {
            let (layer, index) = name.rsplit_once('_').unwrap();
            let got = net.param(layer, index.parse().unwrap()).expect("parameter");
            compare(&format!("{name} after"), got.data(), &npy(&after));
        }
    }
    wrong
}

fn all_cases(backend: &'static str, conv: Option<Algorithm>, tolerance: f32) {
    let settings = Run { backend, conv, tolerance };
    let root = golden("caffe-ops");
    let manifest = std::fs::read_to_string(root.join("manifest.json")).expect("manifest");
    let cases: Vec<Value> = serde_json::from_str(&manifest).expect("JSON");
    // Layers that the catalogue leaves out.
    let left_out = ["conv_3d", "embed", "contrastive", "multinomial"];
    let (mut run, mut failures) = (0, Vec::new());
    for case in &cases {
        let name = case["name"].as_str().expect("a name");
        if left_out.contains(&name) {
            continue;
        }
        run += 1;
        for wrong in differences(&root.join(name), case, &settings) {
            failures.push(format!("{name}: {wrong}"));
        }
    }
    assert!(failures.is_empty(), "{} of {run}:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(run, 165);
    let how = conv.map_or("", Algorithm::name);
    println!("{backend} {how}: {run} cases of the real Caffe within {tolerance:e}");
}

#[test]
fn reference_equals_caffe() {
    all_cases("reference", None, 1e-5);
}

#[test]
fn cpu_equals_caffe() {
    all_cases("cpu", None, 5e-5);
    all_cases("cpu", Some(Algorithm::Direct), 1e-5);
    all_cases("cpu", Some(Algorithm::Gemm), 1e-5);
    all_cases("cpu", Some(Algorithm::Winograd), 5e-5);
}
