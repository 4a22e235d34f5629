//! The program as its users call it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A small network with a class and a feature blob.
const NET: &str = r#"
name: "tiny"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 32 dim: 32 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 8 kernel_size: 5 weight_filler { type: "msra" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
        pooling_param { pool: MAX kernel_size: 4 stride: 4 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
        inner_product_param { num_output: 6 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"#;

struct Workplace {
    dir: tempfile::TempDir,
}

impl Workplace {
    /// A network, weights for it and `photos` small drawn pictures.
    fn new(photos: usize) -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let w = Self { dir };
        fs::write(w.path("net.prototxt"), NET).expect("prototxt");
        w.weights();
        fs::create_dir(w.path("photos")).expect("folder");
        for i in 0..photos {
            let pixel = |x: u32, y: u32| {
                let v = (x * 7 + y * 13 + i as u32 * 29) as u8;
                image::Rgb([v, v.wrapping_mul(3), 255 - v])
            };
            let picture = image::RgbImage::from_fn(40, 36, pixel);
            picture.save(w.path(&format!("photos/p{i:04}.png"))).expect("picture");
        }
        w
    }

    /// Weights as a random network would have them, written by the library.
    fn weights(&self) {
        use likenet::net::{Net, Options};
        let net = Net::parse("net.prototxt", NET, Options::default()).expect("network");
        let blob = |layer: &str, index: usize| {
            let t = net.param(layer, index).expect("parameter");
            weights_tools::Blob { shape: t.shape().dims().to_vec(), data: t.data().to_vec() }
        };
        let layer = |name: &str, kind: &str| weights_tools::LayerWeights {
            name: name.into(),
            kind: kind.into(),
            blobs: vec![blob(name, 0), blob(name, 1)],
        };
        let layers = vec![layer("conv", "Convolution"), layer("fc", "InnerProduct")];
        let weights = weights_tools::MemoryWeights::new(layers);
        let path = self.path("net.caffemodel");
        weights_tools::write_caffemodel(&path, "tiny", &weights).expect("weights");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_likenet"));
        command.args(args).current_dir(self.dir.path());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the program")
    }

    /// Standard output of a command that must succeed.
    fn ok(&self, args: &[&str]) -> String {
        let out = self.run(args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).expect("text")
    }

    /// Standard error of a command that must fail with this status.
    fn fails(&self, status: i32, args: &[&str]) -> String {
        let out = self.run(args);
        assert_eq!(out.status.code(), Some(status), "{args:?}");
        String::from_utf8(out.stderr).expect("text")
    }
}

const NET_ARGS: [&str; 6] =
    ["--net", "net.prototxt", "--weights", "net.caffemodel", "--mean", "104,117,123"];

fn with<'a>(args: &[&'a str]) -> Vec<&'a str> {
    args.iter().chain(&NET_ARGS).copied().collect()
}

#[test]
fn classify_prints_tables_json_and_csv() {
    let w = Workplace::new(3);
    fs::write(w.path("labels.txt"), "n00000001 a\nb\nc\nd\ne\nf\n").expect("labels");
    let json = w.ok(&with(&["classify", "photos", "--format", "json", "--labels", "labels.txt"]));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let photos = json["photos"].as_array().expect("photos");
    assert_eq!(photos.len(), 3);
    let best: Vec<u64> =
        photos.iter().map(|p| p["predictions"][0]["class"].as_u64().expect("class")).collect();
    assert_eq!(photos[0]["predictions"].as_array().expect("predictions").len(), 5);

    let truth: String = (0..3).map(|i| format!("p{i:04}.png\t{}\n", best[i])).collect();
    fs::write(w.path("truth.tsv"), format!("file\tclass\n{truth}")).expect("truth");
    let table = w.ok(&with(&["classify", "photos", "--truth", "truth.tsv", "--top", "2"]));
    assert!(table.contains("top1 100.00 %  top5 100.00 %"), "{table}");
    let csv = w.ok(&with(&["classify", "photos/p0001.png", "--format", "csv", "--top", "6"]));
    assert_eq!(csv.lines().count(), 7);
    let sum: f32 =
        csv.lines().skip(1).map(|l| l.split(',').nth(4).unwrap().parse::<f32>().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5);
    w.ok(&with(&["classify", "photos", "--oversample", "--backend", "reference"]));
}

#[test]
fn a_broken_photo_is_reported_and_the_others_are_done() {
    let w = Workplace::new(2);
    fs::write(w.path("photos/p0000b.jpg"), b"\xff\xd8\xff\xe0 not a photo").expect("file");
    let out = w.run(&with(&["classify", "photos"]));
    assert_eq!(out.status.code(), Some(1));
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains("not read:") && text.matches(".png").count() == 2, "{text}");
    let out = w.run(&with(&["features", "photos", "--layer", "fc", "--out", "f.npy"]));
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("skipped photos/p0000b.jpg"));
    let rows = fs::read_to_string(w.path("f.rows.csv")).expect("rows");
    assert_eq!(rows.lines().count(), 3);
    let broken = "photos/p0000b.jpg";
    let error = w.fails(2, &with(&["features", broken, "--layer", "fc", "--out", "g.npy"]));
    assert!(error.contains("none of 1 photos could be read"), "{error}");
    assert!(!w.path("g.npy").exists() && !w.path("g.npy.part").exists());
}

#[test]
fn features_are_the_same_in_every_format() {
    let w = Workplace::new(5);
    let run = |out: &str| {
        w.ok(&with(&[
            "features", "photos", "--layer", "fc,pool", "--flip", "--batch", "2", "--out", out,
        ]))
    };
    run("f.safetensors");
    run("f.npy");
    run("f.csv");
    let file = weights_tools::npy::read_f32(&w.path("f.fc.npy")).expect("npy");
    assert_eq!(file.shape, [10, 6]);
    let table = fs::read_to_string(w.path("f.csv")).expect("csv");
    let lines: Vec<Vec<&str>> = table.lines().map(|l| l.split(',').collect()).collect();
    assert_eq!(lines.len(), 11);
    assert_eq!(lines[0][..3], ["file", "mirrored", "fc_0"]);
    assert_eq!((lines[2][0], lines[2][1]), ("photos/p0000.png", "1"));
    for (row, line) in lines[1..].iter().enumerate() {
        let values: Vec<f32> = line[2..8].iter().map(|v| v.parse().expect("a number")).collect();
        assert_eq!(values, file.data[row * 6..][..6], "row {row}");
    }
    let bytes = fs::read(w.path("f.safetensors")).expect("safetensors");
    let header = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).expect("JSON");
    assert_eq!(header["fc"]["shape"], serde_json::json!([10, 6]));
    assert_eq!(header["pool"]["dtype"], "F32");
    let first = bytes.len() - 10 * (6 + 8 * 49) * 4;
    let value = f32::from_le_bytes(bytes[first..first + 4].try_into().expect("4 bytes"));
    assert_eq!(value, file.data[0]);
}

#[test]
fn features_go_on_after_kill_nine() {
    let w = Workplace::new(400);
    let args = |out: &'static str| {
        with(&[
            "features",
            "photos",
            "--layer",
            "fc",
            "--batch",
            "2",
            "--threads",
            "1",
            "--out",
            out,
        ])
    };
    w.ok(&args("whole.npy"));
    let lines = || {
        let journal = fs::read_to_string(w.path("cut.npy.part/journal.jsonl"));
        journal.map_or(0, |t| t.lines().count())
    };
    let mut kills = 0;
    for round in 1..=5 {
        let before = lines();
        let mut child = w.command(&args("cut.npy")).stdout(Stdio::null()).spawn().expect("start");
        let deadline = Instant::now() + Duration::from_secs(60);
        while lines() < before + 5 * round && Instant::now() < deadline {
            if child.try_wait().expect("status").is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().expect("kill");
        let status = child.wait().expect("status");
        kills += usize::from(status.code().is_none());
    }
    assert!(kills >= 1, "no run was interrupted");
    let text = w.ok(&args("cut.npy"));
    assert!(text.contains("400 photos, 400 rows"), "{text}");
    let bytes = |name: &str| fs::read(w.path(name)).expect("file");
    assert_eq!(bytes("whole.npy"), bytes("cut.npy"));
    assert_eq!(bytes("whole.rows.csv"), bytes("cut.rows.csv"));
    assert!(!w.path("cut.npy.part").exists());
}

#[test]
fn an_unfinished_run_with_other_settings_is_not_mixed_in() {
    let w = Workplace::new(1);
    fs::create_dir(w.path("f.npy.part")).expect("folder");
    let header = r#"{"version":1,"settings":"others","layers":["fc"],"widths":[6]}"#;
    fs::write(w.path("f.npy.part/journal.jsonl"), format!("{header}\n")).expect("journal");
    let error = w.fails(2, &with(&["features", "photos", "--layer", "fc", "--out", "f.npy"]));
    assert!(error.contains("other settings") && error.contains("delete"), "{error}");
}

#[test]
fn net_show_lists_layers_fusions_and_totals() {
    let w = Workplace::new(0);
    let table = w.ok(&["net", "show", "net.prototxt"]);
    for part in ["1×8×28×28", "fused into conv", "+ ReLU", "memory of the plan", "total"] {
        assert!(table.contains(part), "no '{part}' in\n{table}");
    }
    let dot = w.ok(&["net", "show", "--dot", "net.prototxt"]);
    assert!(dot.starts_with("digraph \"tiny\" {") && dot.matches(" -> ").count() == 5, "{dot}");
    let json = w.ok(&["net", "show", "--json", "--batch", "4", "caffenet"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["total"]["params"], 60_965_224);
}

#[test]
#[cfg(feature = "plots")]
fn curves_are_drawn_from_a_log() {
    let w = Workplace::new(0);
    let line = |i: usize| {
        let test =
            format!("{{\"iter\":{i},\"test\":0,\"outputs\":{{\"accuracy\":0.5,\"loss\":1}}}}\n");
        let loss = if i == 7 { "\"NaN\"".to_string() } else { format!("{}", 2.0 / (i + 1) as f32) };
        let train = format!(
            "{{\"iter\":{i},\"loss\":{loss},\"smoothed\":1.5,\"lr\":0.01,\"images_per_s\":9.5,\"seconds\":{i}}}\n"
        );
        if i.is_multiple_of(10) { test + &train } else { train }
    };
    // A run that is still going on: half a line at the end.
    let log: String = (0..50).map(line).chain(["{\"iter\":50,\"lo".to_string()]).collect();
    fs::write(w.path("log.jsonl"), log).expect("log");
    assert_eq!(w.ok(&["curves", "log.jsonl"]), "log.svg\n");
    let svg = fs::read_to_string(w.path("log.svg")).expect("drawing");
    for label in ["log.jsonl", "iteration", "loss", "accuracy", "learning rate"] {
        assert!(svg.contains(&format!("\n{label}\n")), "no '{label}'");
    }
    w.ok(&["curves", "log.jsonl", "--out", "c.png", "--title", "First run"]);
    let png = image::open(w.path("c.png")).expect("picture").to_rgb8();
    assert_eq!(png.dimensions(), (1000, 900));
    let white = png.pixels().filter(|p| p.0 == [255; 3]).count();
    assert!((600_000..890_000).contains(&white), "{white} white pixels");
    let error = w.fails(2, &["curves", "log.jsonl", "--out", "c.pdf"]);
    assert!(error.contains("c.pdf") && error.contains(".svg or .png"), "{error}");
    fs::write(w.path("log.jsonl"), "").expect("log");
    assert!(w.fails(2, &["curves", "log.jsonl"]).contains("log.jsonl: an empty log"));
    fs::write(w.path("log.jsonl"), line(1) + "{}\n").expect("log");
    let error = w.fails(2, &["curves", "log.jsonl"]);
    assert!(error.contains("log.jsonl:2:") && error.contains("missing field"), "{error}");
}

#[test]
fn weights_are_inspected_converted_and_compared() {
    let w = Workplace::new(0);
    let text = w.ok(&["weights", "inspect", "net.caffemodel"]);
    assert!(text.contains("conv") && text.contains("fc"), "{text}");
    w.ok(&["weights", "convert", "net.caffemodel", "net.safetensors"]);
    w.ok(&["weights", "convert", "net.safetensors", "back.caffemodel"]);
    w.ok(&["weights", "diff", "net.caffemodel", "back.caffemodel"]);
    w.ok(&["weights", "convert", "net.caffemodel", "half.safetensors", "--dtype", "f16"]);
    w.fails(1, &["weights", "diff", "net.caffemodel", "half.safetensors"]);
    w.ok(&["weights", "diff", "net.caffemodel", "half.safetensors", "--tolerance", "0.001"]);
    let list = w.ok(&["weights", "fetch", "--list"]);
    assert!(list.contains("squeezenet1.1") && list.contains("vgg19"), "{list}");
}

/// A web server for the test's own files, on this machine. It cuts the first answer with weights in
/// the middle and honours `Range: bytes=N-` afterwards.
#[cfg(feature = "fetch")]
fn serve(files: Vec<(&'static str, Vec<u8>)>) -> String {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("address"));
    std::thread::spawn(move || {
        let mut cut = false;
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut lines = BufReader::new(stream.try_clone().expect("stream")).lines();
            let request = lines.next().and_then(|l| l.ok()).unwrap_or_default();
            let headers: Vec<String> =
                lines.map_while(|l| l.ok().filter(|l| !l.is_empty())).collect();
            let range = headers.iter().find_map(|h| {
                let (name, value) = h.split_once(": ")?;
                let from =
                    value.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()?;
                name.eq_ignore_ascii_case("range").then_some(from)
            });
            let name = request.split([' ', '/']).filter(|p| !p.is_empty()).nth(1).unwrap_or("");
            let Some((_, body)) = files.iter().find(|(n, _)| *n == name) else {
                let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
                continue;
            };
            let (from, all) = (range.unwrap_or(0), body.len());
            let status = match range {
                Some(from) => {
                    format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{all}", all - 1)
                }
                None => "200 OK".to_string(),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                all - from
            );
            let end = if name.ends_with("caffemodel") && !cut { all / 2 } else { all };
            cut |= end < all;
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(&body[from..end.max(from)]);
        }
    });
    address
}

#[test]
#[cfg(feature = "fetch")]
fn a_known_network_is_fetched_resumed_and_used() {
    let w = Workplace::new(1);
    let file = |name: &str| fs::read(w.path(name)).expect("file");
    let url = serve(vec![
        ("deploy.prototxt", file("net.prototxt")),
        ("squeezenet_v1.0.caffemodel", file("net.caffemodel")),
        ("synset_words.txt", b"n00000000 first\nsecond\nthird\n4\n5\n6\n".to_vec()),
    ]);
    let args = ["--model", "squeezenet1.0", "--base-url", &url];
    let text = w.ok(&[&["classify", "photos"], &args[..]].concat());
    assert!(text.contains("first") && text.contains("second"), "{text}");
    assert_eq!(file("models/squeezenet1.0.caffemodel"), file("net.caffemodel"));
    // What is there is not fetched again: nobody listens at this address.
    let nobody = ["--model", "squeezenet1.0", "--base-url", "http://127.0.0.1:9"];
    w.ok(&[&["classify", "photos"], &nobody[..]].concat());
    // A file that is not the published one is refused.
    let sum = "0123456789012345678901234567890123456789";
    let fetch = ["weights", "fetch", "squeezenet1.0", "--dir", "new", "--sum", sum, "--base-url"];
    let error = w.fails(2, &[&fetch[..], &[&url]].concat());
    assert!(error.contains(sum), "{error}");
    assert!(!w.path("new/squeezenet1.0.caffemodel").exists());
    let nowhere = ["classify", "photos", "--model", "caffenet", "--base-url", "http://127.0.0.1:9"];
    assert!(w.fails(2, &nowhere).contains("--weights net.caffemodel"));
    let error = w.fails(2, &["weights", "fetch", "squeezenet9"]);
    assert!(error.contains("squeezenet1.1"), "{error}");
}

#[test]
fn errors_say_what_where_and_what_to_do() {
    let w = Workplace::new(1);
    let broken = NET.replace("kernel_size: 5", "kernel_size: 0");
    fs::write(w.path("broken.prototxt"), broken).expect("prototxt");
    let error = w.fails(2, &["net", "show", "broken.prototxt"]);
    assert!(error.contains("broken.prototxt:5") && error.contains("'conv'"), "{error}");
    assert!(error.contains("kernel_size"), "{error}");
    fs::write(w.path("broken.prototxt"), NET.replace("type: \"ReLU\"", "type: \"ReLUX\"")).unwrap();
    let error = w.fails(2, &["net", "show", "broken.prototxt"]);
    assert!(error.contains("'ReLUX'") && error.contains("Convolution"), "{error}");
    fs::write(w.path("broken.prototxt"), NET.replace("num_output: 8", "num_outputs: 8")).unwrap();
    let error = w.fails(2, &["net", "show", "broken.prototxt"]);
    assert!(error.contains("broken.prototxt:5") && error.contains("num_outputs"), "{error}");
    let error = w.fails(2, &with(&["features", "photos", "--layer", "fc9", "--out", "f.npy"]));
    assert!(error.contains("'fc9'") && error.contains("conv, pool, fc, prob"), "{error}");
    fs::write(w.path("wide.prototxt"), NET.replace("num_output: 6", "num_output: 7")).unwrap();
    let error = w.fails(2, &["net", "show", "photos/p0000.png"]);
    assert!(error.contains("p0000.png:1") && error.contains("not UTF-8 text"), "{error}");
    let args = ["classify", "photos", "--net", "wide.prototxt", "--weights", "net.caffemodel"];
    let error = w.fails(2, &args);
    assert!(error.contains("'fc'") && error.contains("7×392"), "{error}");
    let error = w.fails(2, &with(&["classify", "nowhere"]));
    assert!(error.contains("nowhere"), "{error}");
    let twice = NET.replace("name: \"pool\"", "name: \"conv\"").replace("stride: 4", "stride: 0");
    fs::write(w.path("twice.prototxt"), twice).expect("prototxt");
    let error = w.fails(2, &["net", "show", "twice.prototxt"]);
    assert!(error.contains("twice.prototxt:8") && error.contains("stride"), "{error}");
    let twice = with(&["features", "photos", "--layer", "fc,fc", "--out", "f.safetensors"]);
    assert!(w.fails(2, &twice).contains("both be written as fc"));
}
