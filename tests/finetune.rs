//! `likenet finetune`, from the outside: folders of photos in, a network that tells them apart out.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::{Rgb, RgbImage};
use likenet::net::{Net, Options};
use std::path::Path;
use std::process::{Command, Output};
use weights_tools::Dtype;

const NET: &str = r#"name: "Small"
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 12 dim: 12 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "fc8" type: "InnerProduct" bottom: "pool1" top: "fc8"
  inner_product_param { num_output: 7 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "fc8" top: "prob" }
"#;

fn likenet(folder: &Path, args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_likenet");
    Command::new(program).current_dir(folder).args(args).output().expect("the program")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Reddish and bluish photos of several sizes, and a network that was trained for something else.
fn prepare(folder: &Path) {
    for (class, colour) in [("good", [200, 60, 40]), ("bad", [50, 70, 190])] {
        let photos = folder.join("my photos").join(class);
        std::fs::create_dir_all(&photos).expect("a folder");
        for i in 0..24u32 {
            let photo = RgbImage::from_fn(18 + i % 5, 15 + i % 3, |x, y| {
                Rgb(colour.map(|c: u8| c.wrapping_add(((x * 7 + y * 13 + i * 29) % 40) as u8)))
            });
            photo.save(photos.join(format!("photo {i}.png"))).expect("a photo");
        }
    }
    std::fs::write(folder.join("deploy.prototxt"), NET).expect("a network");
    let net = Net::parse("small", NET, Options::default()).expect("a network");
    weights_tools::write_safetensors(&folder.join("base.safetensors"), &net.weights(), Dtype::F32)
        .expect("weights");
}

const ARGS: [&str; 26] = [
    "finetune",
    "--photos",
    "my photos/good",
    "--photos",
    "my photos/bad",
    "--net",
    "deploy.prototxt",
    "--base",
    "base.safetensors",
    "--side",
    "16",
    "--batch",
    "6",
    "--iterations",
    "60",
    "--rate",
    "0.0005",
    "--step",
    "40",
    "--test-interval",
    "20",
    "--threads",
    "1",
    "--out",
    "run",
    "--snapshot-interval",
];

#[test]
fn two_folders_of_photos_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    prepare(folder.path());
    let args = [&ARGS[..], &["30"]].concat();
    let out = likenet(folder.path(), &args);
    let (said, told) = (text(&out.stdout), text(&out.stderr));
    assert!(out.status.success(), "{told}");
    assert!(said.contains("good: 18 photos to learn from, 6 to test with"), "{said}");
    assert!(said.contains("accuracy 1.0000 (iteration 60)"), "{said}\n{told}");
    assert!(told.contains("not in the weights, so as the fillers say: fc8_likes"), "{told}");
    let run = folder.path().join("run");
    for file in
        ["likes_iter_30.solverstate", "likes_iter_60.caffemodel", "log.jsonl", "classes.txt"]
    {
        assert!(run.join(file).is_file(), "{file}");
    }
    let read = |name: &str| std::fs::read_to_string(run.join(name)).expect("a file");
    let (train, test) = (read("train.txt"), read("test.txt"));
    assert_eq!((train.lines().count(), test.lines().count()), (36, 12));
    assert!(test.lines().all(|photo| !train.contains(photo)), "a photo is in both lists");
    let net = read("train_val.prototxt");
    assert!(
        net.contains("fc8_likes") && net.contains("lr_mult: 10") && net.contains("lr_mult: 20")
    );
    assert!(read("solver.prototxt").contains("lr_policy: \"step\""));

    // The trained network, as the last line says to use it.
    let line = said.lines().find_map(|l| l.strip_prefix("use it: likenet ")).expect("a last line");
    let mut classify: Vec<&str> = line.split(' ').collect();
    classify[1] = "my photos/bad";
    classify.extend(["--top", "1", "--format", "csv"]);
    let out = likenet(folder.path(), &classify);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let best = text(&out.stdout).matches(",1,bad,").count();
    assert!(best >= 24, "{}", text(&out.stdout));

    // Again is refused, and leaves everything as it was; going on has nothing left to do.
    let again = likenet(folder.path(), &args);
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("--resume"), "{}", text(&again.stderr));
    let on = likenet(folder.path(), &[&args[..], &["--resume"]].concat());
    assert!(on.status.success(), "{}", text(&on.stderr));
    assert_eq!(read("train.txt"), train);
}

#[test]
fn without_a_base_the_built_in_network_learns() {
    let folder = tempfile::tempdir().expect("a folder");
    prepare(folder.path());
    let args = ["finetune", "--photos", "my photos", "--iterations", "8", "--batch", "6"];
    let out = likenet(
        folder.path(),
        &[&args[..], &["--test-interval", "8", "--live", "--seed", "2"]].concat(),
    );
    let (said, told) = (text(&out.stdout), text(&out.stderr));
    assert!(out.status.success(), "{told}");
    // Folders in a folder: classes by name.
    assert!(said.contains("bad: 18 photos") && said.contains("--image-dims 32"), "{said}");
    assert!(told.contains("as the fillers say: fc7_likes"), "{told}");
    let net = std::fs::read_to_string(folder.path().join("finetune/train_val.prototxt"));
    let net = net.expect("a network");
    assert!(net.contains("crop_size: 28") && net.contains("scale: 0.016"), "{net}");
    check_live(&folder.path().join("finetune/live.json"));
}

/// What `/train` shows: the filters, and photos that look like those that were learnt from.
fn check_live(path: &Path) {
    let text = std::fs::read_to_string(path).expect("--live writes it");
    let live: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let picture = |png: &serde_json::Value| {
        let file = BASE64_STANDARD.decode(png.as_str().expect("a picture")).expect("base64");
        image::load_from_memory(&file).expect("a PNG file").to_rgb8()
    };
    // 48 filters of 3 × 3, seven in a row, with a line between them.
    assert_eq!(picture(&live["filters"]).dimensions(), (27, 27));
    assert_eq!(live["batch"], 6);
    let wrong = live["wrong"].as_array().expect("a list");
    // A slow machine looks again, when there may be none any more.
    assert!(live["iter"] != 1 || !wrong.is_empty(), "with this seed, the first batch has some");
    assert_eq!(live["errors"].as_u64(), Some(wrong.len() as u64));
    assert!(wrong.is_sorted_by_key(|w| w["probability"].as_f64()), "the worst is first");
    for one in wrong {
        assert_ne!(one["label"], one["guess"]);
        // Folders by name: 0 is bad, bluish; 1 is good, reddish. The mean is back on, red is red.
        let photo = picture(&one["photo"]);
        let sum = |c: usize| photo.pixels().map(|p| u64::from(p[c])).sum::<u64>();
        assert_eq!(sum(0) > sum(2), one["label"] == 1, "{} {}", sum(0), sum(2));
    }
}

#[test]
fn wrong_input_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    prepare(folder.path());
    let fails = |args: &[&str], reason: &str| {
        let out = likenet(folder.path(), args);
        assert_eq!(out.status.code(), Some(2), "{}", text(&out.stdout));
        assert!(text(&out.stderr).contains(reason), "{}", text(&out.stderr));
        assert!(!folder.path().join("run/log.jsonl").exists());
    };
    let base = [&ARGS[..], &["30"]].concat();
    fails(&[&base[..], &["--layers", "fc9"]].concat(), "no layer 'fc9'");
    fails(&[&base[..], &["--side", "8"]].concat(), "the argument '--side <N>' cannot be used");
    let one: Vec<&str> =
        base.iter().enumerate().filter(|(i, _)| !matches!(i, 3 | 4)).map(|(_, a)| *a).collect();
    fails(&one, "classes");
    let other: Vec<&str> = base
        .iter()
        .map(|a| if *a == "base.safetensors" { "missing.safetensors" } else { a })
        .collect();
    fails(&other, "missing.safetensors");
    // Weights of a network with other layers.
    let text = NET.replace("conv1", "other");
    let net = Net::parse("other", &text, Options::default()).expect("a network");
    let file = folder.path().join("other.safetensors");
    weights_tools::write_safetensors(&file, &net.weights(), Dtype::F32).expect("weights");
    let other: Vec<&str> = base
        .iter()
        .map(|a| if *a == "base.safetensors" { "other.safetensors" } else { a })
        .collect();
    fails(&other, "belong to another network");
}
