//! Whole networks of the real Caffe, blob by blob: CaffeNet and AlexNet with an eighth of the channels.

mod common;

use common::{cuda, npy, relative_error, shared};
use likenet::image::{Classifier, ClassifierOptions, Limits, Mean, Resize, decode_file};
use likenet::net::{Algorithm, Keep, Net, Options};
use std::path::Path;

/// Backends, ways to convolve, and how far a blob may be from Caffe's, in shares of its maximum.
const RUNS: [(&str, Option<Algorithm>, f32); 5] = [
    ("reference", None, 1e-5),
    ("cpu", Some(Algorithm::Direct), 1e-5),
    ("cpu", Some(Algorithm::Gemm), 1e-5),
    ("cpu", Some(Algorithm::Winograd), 5e-5),
    ("cpu", None, 5e-5),
];

fn load(
    root: &Path,
    net: &str,
    weights: &str,
    (backend, conv): (&str, Option<Algorithm>),
    batch: usize,
) -> Net {
    let options = Options {
        backend: backend.into(),
        conv,
        keep: Keep::All,
        batch: Some(batch),
        ..Options::default()
    };
    Net::load(root.join(net), root.join(weights), options).expect("network")
}

/// Every blob that the folder holds, after the folder's (or the given) data went in.
fn blobs_of(root: &Path, net: &mut Net, folder: &str, data: &[f32], tolerance: f32) -> f32 {
    net.set_input("data", data).expect("data");
    net.forward().expect("forward");
    let (mut compared, mut worst) = (0, 0f32);
    for entry in std::fs::read_dir(root.join(folder)).expect("folder") {
        let path = entry.expect("entry").path();
        let name = path.file_stem().expect("name").to_string_lossy().into_owned();
        let error = relative_error(net.blob(&name).expect("blob").data(), &npy(&path));
        assert!(error <= tolerance, "{folder}/{name}: {error:e}");
        worst = worst.max(error);
        compared += 1;
    }
    assert!(compared >= 5, "{folder}: only {compared} blobs");
    worst
}

#[test]
fn every_blob_equals_caffe_however_it_is_computed() {
    let Some(root) = shared("golden/caffe/caffenet-slim") else { return };
    let cat = npy(&root.join("caffenet_cat/data.npy"));
    let fish = npy(&root.join("caffenet_fish-bike/data.npy"));
    let on_cuda = cuda().map(|backend| (backend, None, 5e-5));
    for (backend, conv, tolerance) in RUNS.into_iter().chain(on_cuda) {
        let run = (backend, conv);
        let mut net = load(&root, "caffenet_deploy.prototxt", "caffenet_slim.caffemodel", run, 1);
        let mut worst = blobs_of(&root, &mut net, "caffenet_cat", &cat, tolerance);
        worst = worst.max(blobs_of(&root, &mut net, "caffenet_fish-bike", &fish, tolerance));
        let mut net = load(&root, "alexnet_deploy.prototxt", "alexnet_slim.caffemodel", run, 1);
        worst = worst.max(blobs_of(&root, &mut net, "alexnet_cat", &cat, tolerance));
        let how = conv.map_or("the plan's choice", Algorithm::name);
        println!("{backend}: CaffeNet and AlexNet (slim), {how}: within {worst:.1e}");
    }
}

#[test]
fn a_plan_with_reused_slots_gives_the_same_bits() {
    let Some(root) = shared("golden/caffe/caffenet-slim") else { return };
    let cat = npy(&root.join("caffenet_cat/data.npy"));
    let run = |keep: Keep| {
        let options = Options { keep, batch: Some(1), ..Options::default() };
        let files = ["caffenet_deploy.prototxt", "caffenet_slim.caffemodel"].map(|f| root.join(f));
        let mut net = Net::load(&files[0], &files[1], options).expect("network");
        net.set_input("data", &cat).expect("data");
        net.forward().expect("forward");
        (net.blob("prob").expect("prob"), net.plan().activation_count())
    };
    let (all, all_count) = run(Keep::All);
    let (few, few_count) = run(Keep::Outputs);
    assert_eq!(all, few);
    assert!(few_count < all_count * 2 / 3, "{few_count} of {all_count}");
}

#[test]
fn old_descriptions_and_old_weights_give_the_same_bits() {
    let Some(root) = shared("golden/caffe/caffenet-slim") else { return };
    let cat = npy(&root.join("caffenet_cat/data.npy"));
    let prob = |net: &str, weights: &str| {
        let mut net = load(&root, net, weights, ("cpu", None), 1);
        net.set_input("data", &cat).expect("data");
        net.forward().expect("forward");
        net.blob("prob").expect("prob")
    };
    let current = prob("caffenet_deploy.prototxt", "caffenet_slim.caffemodel");
    assert_eq!(current, prob("caffenet_deploy_v1.prototxt", "caffenet_slim_v1.caffemodel"));
    let dir = tempfile::tempdir().expect("folder");
    let converted = dir.path().join("slim.safetensors");
    let from = root.join("caffenet_slim.caffemodel");
    weights_tools::convert(&from, &converted, weights_tools::Dtype::F32).expect("conversion");
    let converted = converted.to_str().expect("a path");
    assert_eq!(current, prob("caffenet_deploy.prototxt", converted));
}

#[test]
fn ten_crops_of_a_photo_equal_pycaffes_classifier() {
    let Some(root) = shared("golden/caffe/caffenet-slim") else { return };
    let mean = npy(&root.join("mean_channels_bgr.npy"));
    let classifier = Classifier::new(ClassifierOptions {
        mean: Mean::Channels([mean[0], mean[1], mean[2]]),
        resize: Resize::Pycaffe,
        ..ClassifierOptions::default()
    })
    .expect("settings");
    let cat = decode_file(&root.join("cat_decoded.png"), &Limits::default()).expect("photo");
    let mut crops = vec![0.0; 10 * classifier.crop_len()];
    classifier.prepare_ten(&cat, &mut crops).expect("crops");
    for name in ["caffenet", "alexnet"] {
        let files = [format!("{name}_deploy.prototxt"), format!("{name}_slim.caffemodel")];
        let mut net = load(&root, &files[0], &files[1], ("cpu", None), 10);
        net.set_input("data", &crops).expect("data");
        net.forward().expect("forward");
        let got = net.blob("prob").expect("prob");
        let want = npy(&root.join(format!("{name}_cat_oversample10_prob_each.npy")));
        let error = relative_error(got.data(), &want);
        assert!(error <= 5e-5, "{name}: {error:e}");
    }
}
