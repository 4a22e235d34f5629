//! Pages that look into networks: their numbers are the network's, and add up.
#![cfg(feature = "inside")]

use base64::Engine as _;
use flate2::read::ZlibDecoder;
use likenet::image::{Classifier, ClassifierOptions, Mean, Picture, Size};
use likenet::inside::{Model, script_hashes};
use likenet::net::{Architecture, Keep, Net, Options, architecture, architectures};
use serde_json::Value;
use std::io::Read as _;

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
    for bad in ["<img src=x", "<script>alert", "<b>\"", "\"><b>", "</svg></title>", "<!--", "\u{0}"] {
        assert!(!html.contains(bad), "{bad}");
    }
    let page = Page::new(html);
    assert_eq!(page.json["nodes"][1]["name"], "<img src=x onerror=alert(1)>");
    assert_eq!(page.json["blobs"][1]["name"], "\"><b>");
}

#[test]
fn the_policy_allows_the_pages_script_and_nothing_else() {
    use sha2::{Digest, Sha256};
    let html = Model::built_in("compact", 1).expect("compact").explain(&picture(30), "p").expect("page");
    let policy = between(&html, "Content-Security-Policy\" content=\"", "\"").expect("policy");
    let script = between(&html, "<script type=\"module\">", "</script>").expect("script");
    let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(script));
    assert_eq!(script_hashes(), [format!("'sha256-{digest}'")]);
    assert!(policy.contains(&format!("script-src 'sha256-{digest}';")), "{policy}");
    assert!(policy.starts_with("default-src 'none'; img-src data:; style-src 'sha256-"), "{policy}");
    assert!(!html.contains("http://") && !html.contains("https://"), "nothing from elsewhere");
    for word in ["innerHTML", "eval(", "document.write", "fetch(", "XMLHttpRequest", "style=\"", "onclick=\""] {
        assert!(!html.contains(word), "{word}");
    }
}

#[test]
fn a_network_that_keeps_less_is_refused() {
    let a = architecture("compact").expect("compact");
    let options = Options { batch: Some(1), ..Options::default() };
    let net = Net::parse(a.name, a.prototxt, options).expect("network");
    let crop = |side| Classifier::new(ClassifierOptions { crop: Size::square(side), ..Default::default() });
    let error = Model::new(net, crop(28).expect("crop"), vec![]).err().expect("an error").to_string();
    assert!(error.contains("Keep::All"), "{error}");
    let options = Options { keep: Keep::All, batch: Some(2), ..Options::default() };
    let net = Net::parse(a.name, a.prototxt, options).expect("network");
    let error = Model::new(net, crop(28).expect("crop"), vec![]).err().expect("an error").to_string();
    assert!(error.contains("one picture of 3 × 28 × 28"), "{error}");
    assert!(Model::built_in("vgg16", 1).is_err());
}
