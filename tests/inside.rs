//! Pages that look into networks: their numbers are the network's, and add up.
#![cfg(feature = "inside")]

use base64::Engine as _;
use flate2::read::ZlibDecoder;
use likenet::image::{Classifier, ClassifierOptions, Mean, Picture, Size};
use likenet::inside::{Model, script_hashes};
use likenet::net::{Architecture, Keep, Net, Options, architecture, architectures};
use serde_json::Value;
use std::io::Read as _;
use std::process::Command;

/// A photo drawn from numbers.
fn picture(side: usize) -> Picture {
    let data = (0..side * side * 3).map(|i| ((i * 7919) ^ (i / 97)) as u8).collect();
    Picture::new(Size::square(side), data).expect("picture")
}

/// A network of random weights that can be looked into; what it gets is the photo's crop.
fn model(file: &str, prototxt: &str) -> Model {
    let options = Options { keep: Keep::All, batch: Some(1), ..Options::default() };
    let mut net = Net::parse(file, prototxt, options).expect("network");
    net.randomise(11);
    let [_, _, h, w] = net.input_shape("data").expect("input").nchw().expect("picture");
    let classifier = Classifier::new(ClassifierOptions {
        image_dims: Size::new(h + 4, w + 4),
        crop: Size::new(h, w),
        mean: Mean::Channels([104.0, 117.0, 123.0]),
        input_scale: 1.0 / 64.0,
        ..ClassifierOptions::default()
    });
    Model::new(net, classifier.expect("classifier"), vec![]).expect("model")
}

/// A page's numbers.
struct Page {
    html: String,
    json: Value,
}

impl Page {
    fn new(html: String) -> Self {
        let json = between(&html, "id=\"network\">", "</script>").expect("JSON");
        let json = serde_json::from_str(json).expect("JSON");
        Self { html, json }
    }

    /// The bytes of an array.
    fn bytes(&self, number: &Value) -> Vec<u8> {
        let number = number.as_u64().expect("an array's number");
        let text = between(&self.html, &format!("id=\"a{number}\">"), "</script>").expect("array");
        let packed = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
        let mut bytes = vec![];
        ZlibDecoder::new(packed.as_slice()).read_to_end(&mut bytes).expect("zlib");
        bytes
    }

    /// An array of four-byte numbers: all first bytes, all second bytes, …
    fn words(&self, number: &Value) -> Vec<u32> {
        let bytes = self.bytes(number);
        let n = bytes.len() / 4;
        (0..n).map(|i| u32::from_le_bytes([0, 1, 2, 3].map(|p| bytes[p * n + i]))).collect()
    }

    fn floats(&self, number: &Value) -> Vec<f32> {
        self.words(number).into_iter().map(f32::from_bits).collect()
    }
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    text.split_once(from)?.1.split_once(to).map(|(inner, _)| inner)
}

/// Lets the page's own script compute values of every layer from the page's numbers, where there is a node to
/// run it.
fn check_stories(html: &str, name: &str) {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("page.html");
    std::fs::write(&file, html).expect("page");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/inside/check.mjs");
    match Command::new("node").arg(script).arg(&file).output() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: the script of {name}'s page needs node to run");
        }
        Err(e) => panic!("node: {e}"),
        Ok(output) => {
            let says = String::from_utf8_lossy(&output.stdout);
            let errors = String::from_utf8_lossy(&output.stderr);
            println!("{name}: {says}");
            assert!(output.status.success(), "{name}: {says}{errors}");
        }
    }
}

#[test]
fn compact_is_whole_and_its_numbers_are_the_networks() {
    let mut model = Model::built_in("compact", 1).expect("compact");
    let page = Page::new(model.explain(&picture(40), "numbers").expect("page"));
    println!("{} bytes", page.html.len());
    assert!(page.html.len() < 6_000_000, "{} bytes", page.html.len());
    let net = model.net();
    for (b, blob) in page.json["blobs"].as_array().expect("blobs").iter().enumerate() {
        let values = net.values(b).expect("values");
        match blob.get("whole") {
            Some(whole) => assert_eq!(page.floats(whole), values, "{}", blob["name"]),
            // What is not written is made by the script, from blobs that are.
            None => assert_eq!(blob["made"], true, "{}", blob["name"]),
        }
    }
    for node in page.json["nodes"].as_array().expect("nodes") {
        let name = node["name"].as_str().expect("name");
        if let Some(whole) = node["op"]["weights"].get("whole") {
            assert_eq!(page.floats(whole), net.param(name, 0).expect("weights").data(), "{name}");
            let bias = page.floats(&node["op"]["bias"]);
            assert_eq!(bias, net.param(name, 1).expect("bias").data(), "{name}");
        }
    }
    assert_eq!(page.json["labels"][9], "truck");
    check_stories(&page.html, "compact");
}

#[test]
fn the_strongest_products_and_the_rest_add_up_to_the_output() {
    let a = architecture("caffenet").expect("caffenet");
    let mut model = model(a.name, a.prototxt);
    let page = Page::new(model.explain(&picture(240), "numbers").expect("page"));
    println!("{} bytes", page.html.len());
    assert!(page.html.len() < 25_000_000, "{} bytes", page.html.len());
    let mut layers = 0;
    for node in page.json["nodes"].as_array().expect("nodes") {
        let weights = &node["op"]["weights"];
        let Some(each) = weights["strongest"].as_u64().map(|n| n as usize) else { continue };
        layers += 1;
        let inputs = page.words(&weights["inputs"]);
        let (values, rest) = (page.floats(&weights["values"]), page.floats(&weights["rest"]));
        let bias = page.floats(&node["op"]["bias"]);
        let blob = |key: &str| node[key][0].as_u64().expect("a blob") as usize;
        let x = model.net().values(blob("bottoms")).expect("inputs");
        let y = model.net().values(blob("tops")).expect("outputs");
        let name = node["name"].as_str().expect("name");
        let all = model.net().param(name, 0).expect("weights");
        for (o, y) in y.iter().enumerate() {
            let picked = o * each..(o + 1) * each;
            let mut sum = f64::from(bias[o]) + f64::from(rest[o]);
            let mut magnitude = f64::from(rest[o].abs());
            for (&i, &w) in inputs[picked.clone()].iter().zip(&values[picked]) {
                assert_eq!(w, all.data()[o * x.len() + i as usize], "{name}");
                sum += f64::from(x[i as usize]) * f64::from(w);
                magnitude += f64::from(x[i as usize] * w).abs();
            }
            let error = (sum - f64::from(*y)).abs();
            assert!(error <= 2e-5 * (1.0 + magnitude), "{name} {o}: {sum} for {y}");
        }
    }
    assert_eq!(layers, 3, "fc6, fc7, fc8");
}

/// What a page that cannot hold everything says about its size, and that the way down is open.
fn small(a: &Architecture) {
    let mut model = model(a.name, a.prototxt);
    let page = Page::new(model.explain(&picture(230), a.name).expect("page"));
    println!("{}: {} bytes", a.name, page.html.len());
    assert!(page.html.len() < 26_000_000, "{}: {} bytes", a.name, page.html.len());
    assert_eq!(page.html.matches("<section ").count(), model.net().graph().nodes.len());
    for (b, blob) in page.json["blobs"].as_array().expect("blobs").iter().enumerate() {
        let Some(some) = blob.get("some") else { continue };
        let (at, of) = (page.words(&some[0]), page.floats(&some[1]));
        let values = model.net().values(b).expect("values");
        assert!(!at.is_empty() && at.len() == of.len(), "{}", blob["name"]);
        assert!(at.iter().zip(&of).all(|(&i, &v)| values[i as usize] == v), "{}", blob["name"]);
    }
    check_stories(&page.html, a.name);
}

#[test]
fn every_architecture_has_a_page() {
    // VGG-16 takes as long as all others together: it has a test of its own.
    architectures().iter().filter(|a| a.name != "vgg16").for_each(small);
}

#[test]
fn vgg16_has_a_page() {
    small(architecture("vgg16").expect("vgg16"));
}

const HOSTILE: &str = r#"
name: "</script><script>alert(1)</script>"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 12 dim: 12 } } }
layer { name: "<img src=x onerror=alert(1)>" type: "Convolution" bottom: "data" top: "\"><b>"
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "</svg></title>&" type: "ReLU" bottom: "\"><b>" top: "<!--" }
layer { name: "fc" type: "InnerProduct" bottom: "<!--" top: "fc" inner_product_param { num_output: 2 } }
"#;

#[test]
fn names_are_only_text() {
    let mut model = model("hostile.prototxt", HOSTILE);
    let caption = "</script><script>alert(2)</script>\"'<!--\u{0}";
    let html = model.explain(&picture(20), caption).expect("page");
    // Of everything that could begin an element, only what the program wrote is there.
    for bad in ["<img src=x", "<script>alert", "<b>\"", "\"><b>", "</svg></title>", "<!--", "\u{0}"]
    {
        assert!(!html.contains(bad), "{bad}");
    }
    let page = Page::new(html);
    assert_eq!(page.json["nodes"][1]["name"], "<img src=x onerror=alert(1)>");
    assert_eq!(page.json["blobs"][1]["name"], "\"><b>");
}

#[test]
fn the_policy_allows_the_pages_script_and_nothing_else() {
    use sha2::{Digest, Sha256};
    let html =
        Model::built_in("compact", 1).expect("compact").explain(&picture(30), "p").expect("page");
    let policy = between(&html, "Content-Security-Policy\" content=\"", "\"").expect("policy");
    let script = between(&html, "<script type=\"module\">", "</script>").expect("script");
    let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(script));
    assert_eq!(script_hashes(), [format!("'sha256-{digest}'")]);
    assert!(policy.contains(&format!("script-src 'sha256-{digest}';")), "{policy}");
    assert!(
        policy.starts_with("default-src 'none'; img-src data:; style-src 'sha256-"),
        "{policy}"
    );
    assert!(!html.contains("http://") && !html.contains("https://"), "nothing from elsewhere");
    for word in [
        "innerHTML",
        "eval(",
        "document.write",
        "fetch(",
        "XMLHttpRequest",
        "style=\"",
        "onclick=\"",
    ] {
        assert!(!html.contains(word), "{word}");
    }
}

/// Layers that the zoo's networks lack.
const OTHERS: &str = r#"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 13 dim: 11 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 6 group: 3 kernel_h: 3 kernel_w: 2 dilation: 2 pad: 2 stride_h: 2 bias_term: false } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "prelu" type: "PReLU" bottom: "conv" top: "prelu" }
layer { name: "leaky" type: "ReLU" bottom: "conv" top: "leaky" relu_param { negative_slope: 0.1 } }
layer { name: "sum" type: "Eltwise" bottom: "prelu" bottom: "leaky" top: "sum" eltwise_param { coeff: 1 coeff: -0.5 } }
layer { name: "most" type: "Eltwise" bottom: "prelu" bottom: "sum" top: "most" eltwise_param { operation: MAX } }
layer { name: "product" type: "Eltwise" bottom: "prelu" bottom: "most" top: "product" eltwise_param { operation: PROD } }
layer { name: "within" type: "LRN" bottom: "product" top: "within" lrn_param { local_size: 3 norm_region: WITHIN_CHANNEL } }
layer { name: "across" type: "LRN" bottom: "within" top: "across" lrn_param { local_size: 3 alpha: 1 k: 2 } }
layer { name: "ave" type: "Pooling" bottom: "across" top: "ave" pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "up" type: "Deconvolution" bottom: "ave" top: "up"
        convolution_param { num_output: 4 group: 2 kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "cut" type: "Slice" bottom: "up" top: "cut0" top: "cut1" slice_param { slice_point: 1 } }
layer { name: "tile" type: "Tile" bottom: "cut0" top: "tile" tile_param { tiles: 3 } }
layer { name: "join" type: "Concat" bottom: "cut1" bottom: "tile" top: "join" }
layer { name: "crop" type: "Crop" bottom: "join" bottom: "ave" top: "crop" crop_param { axis: 2 offset: 1 } }
layer { name: "bias" type: "Bias" bottom: "crop" top: "bias" }
layer { name: "mvn" type: "MVN" bottom: "bias" top: "mvn" }
layer { name: "elu" type: "ELU" bottom: "mvn" top: "elu" }
layer { name: "sigmoid" type: "Sigmoid" bottom: "elu" top: "sigmoid" }
layer { name: "power" type: "Power" bottom: "sigmoid" top: "power" power_param { power: 2 scale: 0.5 shift: 1 } }
layer { name: "log" type: "Log" bottom: "power" top: "log" }
layer { name: "exp" type: "Exp" bottom: "log" top: "exp" exp_param { base: 2 } }
layer { name: "reduce" type: "Reduction" bottom: "exp" top: "reduce" reduction_param { axis: 2 operation: MEAN coeff: 3 } }
layer { name: "flat" type: "Flatten" bottom: "exp" top: "flat" }
layer { name: "fc" type: "InnerProduct" bottom: "flat" top: "fc"
        inner_product_param { num_output: 30 transpose: true } }
layer { name: "relu" type: "ReLU" bottom: "fc" top: "fc" }
layer { name: "drop" type: "Dropout" bottom: "fc" top: "fc" }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
layer { name: "argmax" type: "ArgMax" bottom: "fc" top: "argmax" }
layer { name: "silence" type: "Silence" bottom: "reduce" }
"#;

#[test]
fn layers_that_the_zoo_lacks_are_told_too() {
    let mut model = model("others.prototxt", OTHERS);
    let page = Page::new(model.explain(&picture(20), "numbers").expect("page"));
    assert_eq!(page.html.matches("<section ").count(), model.net().graph().nodes.len());
    check_stories(&page.html, "others");
    // With hardly any room the strongest values are there, and can be followed.
    let page = Page::new(model.page_bytes(6_000).explain(&picture(20), "numbers").expect("page"));
    assert!(page.json["blobs"].as_array().expect("blobs").iter().any(|b| b.get("some").is_some()));
    check_stories(&page.html, "others, cut");
}

#[test]
fn the_command_writes_a_page() {
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name);
    let photo = image::RgbImage::from_fn(50, 40, |x, y| image::Rgb([x as u8 * 5, y as u8 * 6, 90]));
    photo.save(path("photo.png")).expect("photo");
    let run = |photo: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_likenet"));
        command
            .arg("explain")
            .arg(path(photo))
            .arg("--out")
            .arg(path("page.html"))
            .arg("--models")
            .arg(path("models"));
        command.args(more).output().expect("likenet")
    };
    let output = run("photo.png", &[]);
    assert!(output.status.success(), "{output:?}");
    let html = std::fs::read_to_string(path("page.html")).expect("page");
    assert!(html.contains("<h1>Compact</h1>") && html.contains("<b>photo.png</b>"));
    check_stories(&html, "the command's");
    for (photo, more, says) in [
        ("photo.png", &["--weights", "w.safetensors"][..], "needs --net and --weights, or --model"),
        ("none.png", &[], "none.png"),
        (".", &[], ""),
    ] {
        let output = run(photo, more);
        let errors = String::from_utf8_lossy(&output.stderr);
        match says {
            "" => assert!(output.status.success(), "a folder of one photo: {errors}"),
            _ => assert!(output.status.code() == Some(2) && errors.contains(says), "{errors}"),
        }
    }
    photo.save(path("second.png")).expect("photo");
    let output = run(".", &[]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && errors.contains("one photo, not 2"), "{errors}");
}

#[test]
fn a_network_that_keeps_less_is_refused() {
    let a = architecture("compact").expect("compact");
    let options = Options { batch: Some(1), ..Options::default() };
    let net = Net::parse(a.name, a.prototxt, options).expect("network");
    let crop = |side| {
        Classifier::new(ClassifierOptions { crop: Size::square(side), ..Default::default() })
    };
    let error =
        Model::new(net, crop(28).expect("crop"), vec![]).err().expect("an error").to_string();
    assert!(error.contains("Keep::All"), "{error}");
    let options = Options { keep: Keep::All, batch: Some(2), ..Options::default() };
    let net = Net::parse(a.name, a.prototxt, options).expect("network");
    let error =
        Model::new(net, crop(28).expect("crop"), vec![]).err().expect("an error").to_string();
    assert!(error.contains("one picture of 3 × 28 × 28"), "{error}");
    assert!(Model::built_in("vgg16", 1).is_err());
}
