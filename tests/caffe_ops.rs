//! Every layer of the catalogue against the real Caffe, on every backend.

mod common;

use common::{cuda, golden, npy, relative_error};
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
    /// Whether gradients are compared, too, in a network for training.
    gradients: bool,
}

/// Runs one case; every blob or parameter that differs, in words.
fn differences(dir: &Path, case: &Value, run: &Run) -> Vec<String> {
    let phase = if case["phase"] == "TRAIN" { Phase::Train } else { Phase::Test };
    let options = Options {
        backend: run.backend.into(),
        conv: run.conv,
        threads: 2,
        keep: if run.gradients { Keep::Training } else { Keep::Outputs },
        input_gradients: run.gradients,
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
    if run.gradients {
        differences_back(dir, case, &mut net, &mut compare);
    }
    wrong
}

/// Compares what a name stands for, got and wanted.
type Compare<'a> = dyn FnMut(&str, &[f32], &[f32]) + 'a;

/// Compares every gradient that Caffe computed from the tops' gradients.
fn differences_back(dir: &Path, case: &Value, net: &mut Net, compare: &mut Compare) {
    let existing = |name: String| Some(dir.join(name)).filter(|path| path.exists());
    let tops = names(case, "outputs");
    let tops: Vec<(&str, Vec<f32>)> = tops
        .filter_map(|n| Some((n.as_str(), npy(&existing(format!("topdiff_{n}.npy"))?))))
        .collect();
    let given: Vec<(&str, &[f32])> = tops.iter().map(|(n, d)| (*n, d.as_slice())).collect();
    if given.is_empty() {
        return;
    }
    net.clear_gradients();
    net.backward_from(&given).expect("backward");
    let gradients = net.input_names().into_iter().map(String::from).collect::<Vec<_>>();
    for name in gradients {
        if let Some(want) = existing(format!("bottomdiff_{name}.npy")) {
            let (want, got) = (npy(&want), net.input_gradient(&name).expect("gradient"));
            match got {
                Some(got) => compare(&format!("d{name}"), got.data(), &want),
                None => assert!(want.iter().all(|v| *v == 0.0), "{}: no d{name}", dir.display()),
            }
        }
    }
    for name in names(case, "params") {
        if let Some(want) = existing(format!("paramdiff_{name}.npy")) {
            let (layer, index) = name.rsplit_once('_').expect("LAYER_INDEX");
            let got =
                net.param_gradient(layer, index.parse().expect("an index")).expect("gradient");
            match got {
                Some(got) => compare(&format!("d{name}"), got.data(), &npy(&want)),
                None => {
                    assert!(npy(&want).iter().all(|v| *v == 0.0), "{}: no d{name}", dir.display())
                }
            }
        }
    }
}

fn all_cases(backend: &'static str, conv: Option<Algorithm>, tolerance: f32, gradients: bool) {
    let settings = Run { backend, conv, tolerance, gradients };
    let root = golden("caffe-ops");
    let manifest = std::fs::read_to_string(root.join("manifest.json")).expect("manifest");
    let cases: Vec<Value> = serde_json::from_str(&manifest).expect("JSON");
    let (mut run, mut failures) = (0, Vec::new());
    for case in &cases {
        let name = case["name"].as_str().expect("a name");
        // The catalogue's windows have two axes.
        if name == "conv_3d" {
            continue;
        }
        run += 1;
        for wrong in differences(&root.join(name), case, &settings) {
            failures.push(format!("{name}: {wrong}"));
        }
    }
    assert!(failures.is_empty(), "{} of {run}:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(run, 168);
    let how = conv.map_or("", Algorithm::name);
    let what = if gradients { "with their gradients" } else { "" };
    println!("{backend} {how}: {run} cases {what} of the real Caffe within {tolerance:e}");
}

#[test]
fn reference_equals_caffe() {
    all_cases("reference", None, 1e-5, false);
    all_cases("reference", None, 1e-5, true);
}

#[test]
fn cpu_equals_caffe() {
    all_cases("cpu", None, 5e-5, false);
    all_cases("cpu", Some(Algorithm::Direct), 1e-5, false);
    all_cases("cpu", Some(Algorithm::Gemm), 1e-5, false);
    all_cases("cpu", Some(Algorithm::Winograd), 5e-5, false);
    all_cases("cpu", None, 1e-5, true);
    all_cases("cpu", Some(Algorithm::Gemm), 1e-5, true);
}

#[test]
fn cuda_equals_caffe() {
    let Some(backend) = cuda() else { return };
    all_cases(backend, None, 1e-5, false);
    all_cases(backend, Some(Algorithm::Winograd), 5e-5, false);
    all_cases(backend, None, 1e-5, true);
    all_cases(backend, Some(Algorithm::Plain), 1e-5, true);
}
