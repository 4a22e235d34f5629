//! What the fuzzer does with its bytes, one function a parser. `tests/fuzz_corpus.rs` replays the kept
//! inputs through the same functions.
//!
//! None may panic, hang or take memory beyond a small multiple of its input. Errors are fine.

use likenet::backend::Reference;
use likenet::data::{Encoded, Items};
use likenet::faces::judge::{Detections, Found, Options, Photo, Truth, judge};
use likenet::faces::{opencv, soft};
use likenet::image::{GrayPicture, Limits, Size, decode_bytes, decode_bytes_reduced};
use likenet::layer::Phase;
use likenet::learn::model::Model;
use likenet::learn::table::Source;
use likenet::net::{Description, Graph, Keep, NetState, Plan, Summary, dot};
use likenet::report;
use likenet::solver::Settings;
use std::io::Write;
use std::path::Path;
use weights_tools::WeightsSource as _;

/// A target's name and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 16] = [
    ("prototxt", prototxt),
    ("caffemodel", caffemodel),
    ("binaryproto", binaryproto),
    ("safetensors", safetensors),
    ("npy", npy),
    ("image", image),
    ("solver", solver),
    ("lmdb", lmdb),
    ("log", log),
    ("libsvm", libsvm),
    ("features", features),
    ("labels", labels),
    ("model", model),
    ("faces", faces),
    ("cascade", cascade),
    ("study", study),
];

/// Descriptions of networks and solvers: parsed, upgraded, printed, connected and planned.
pub fn prototxt(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = weights_tools::TextIndex::new(text);
    if let Ok(solver) = weights_tools::parse_solver_text("fuzz", text)
        && let Ok(solver) = weights_tools::upgrade_solver(solver)
    {
        let printed = weights_tools::print_solver_text(&solver);
        let again = weights_tools::parse_solver_text("printed", &printed).expect("readable");
        assert_eq!(weights_tools::print_solver_text(&again), printed);
    }
    if let Ok(net) = weights_tools::parse_net_text("fuzz", text)
        && let Ok(net) = weights_tools::upgrade(net)
    {
        let printed = weights_tools::print_net_text(&net);
        let again = weights_tools::parse_net_text("printed", &printed).expect("readable");
        assert_eq!(weights_tools::print_net_text(&again), printed);
        // What is current already stays as it is.
        let again = weights_tools::upgrade(again).expect("current");
        assert_eq!(weights_tools::print_net_text(&again), printed);
    }
    for phase in [Phase::Train, Phase::Test] {
        let state = NetState { phase, ..NetState::default() };
        if let Ok(description) = Description::parse("fuzz", text, &state)
            && let Ok(graph) = Graph::new(&description, &[], None)
        {
            for keep in [Keep::Outputs, Keep::All] {
                let plan = Plan::new(&graph, &keep, &Reference::new(), None, 1);
                assert!(plan.steps.len() <= graph.nodes.len());
                let _ = Summary::new(&graph, &plan);
            }
            let _ = dot(&graph);
        }
    }
}

/// The bytes as a file with this ending, for functions that open files.
fn with_file(ending: &str, data: &[u8], f: impl FnOnce(&Path)) {
    let file = tempfile::Builder::new().suffix(ending).tempfile();
    let mut file = file.expect("a temporary file");
    file.write_all(data).expect("room for it");
    f(file.path());
}

/// An array has as many values as its shape says, and not more than its file had room for.
fn whole(shape: &[usize], values: usize, data: &[u8]) {
    // A zero makes the product zero however large the rest is.
    let empty = shape.contains(&0);
    let wanted = if empty { 0 } else { shape.iter().product() };
    assert_eq!(values, wanted, "{shape:?}");
    assert!(values <= data.len(), "{values} values from {} bytes", data.len());
}

fn weights(ending: &str, data: &[u8]) {
    with_file(ending, data, |path| {
        let _ = weights_tools::inspect(path);
        let Ok(file) = weights_tools::WeightsFile::open(path) else { return };
        for (i, layer) in file.layers().enumerate() {
            for t in 0..layer.tensors.len() {
                // By position: of layers with one name, `read` finds only the last.
                if let Ok(blob) = file.read_at(i, t) {
                    whole(&blob.shape, blob.data.len(), data);
                }
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
        let _ = weights_tools::inspect(path);
        if let Ok(blob) = weights_tools::read_binaryproto(path) {
            whole(&blob.shape, blob.data.len(), data);
        }
    });
    with_file(".solverstate", data, |path| {
        let _ = weights_tools::inspect(path);
        let _ = weights_tools::read_solverstate(path);
    });
}

/// Arrays as NumPy writes them.
pub fn npy(data: &[u8]) {
    if let Ok(blob) = weights_tools::npy::read_f32_from_bytes("fuzz", data) {
        whole(&blob.shape, blob.data.len(), data);
    }
}

/// Pictures of every format, of at most four megapixels.
pub fn image(data: &[u8]) {
    let limits = Limits { max_pixels: 4 << 20, ..Limits::default() };
    if let Ok(picture) = decode_bytes("fuzz", data, &limits) {
        assert_eq!(picture.data.len(), 3 * picture.width * picture.height);
    }
    if let Ok(picture) = decode_bytes_reduced("fuzz", data, &limits, Size::square(16)) {
        assert_eq!(picture.data.len(), 3 * picture.width * picture.height);
    }
}

/// A solver's settings, and the rates and rules that follow from them.
pub fn solver(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(settings) = Settings::parse("fuzz", text) else { return };
    for iter in [0, 1, settings.max_iter / 2, settings.max_iter] {
        let mut step = 0;
        let _ = settings.policy.rate(settings.base_lr, iter, settings.max_iter, &mut step);
        let _ = settings.rule_at(iter);
    }
}

/// Caffe's databases: the first entries, as they are stored and as samples.
pub fn lmdb(data: &[u8]) {
    with_file(".mdb", data, |path| {
        let Ok(lmdb) = weights_tools::Lmdb::open(path) else { return };
        for i in 0..lmdb.len().min(8) {
            let _ = lmdb.key(i);
            if let Ok(datum) = lmdb.datum(i) {
                assert!(datum.data().len() <= data.len());
            }
        }
        assert!(lmdb.datum(lmdb.len()).is_err());
        for encoded in [Encoded::AsStored, Encoded::Color, Encoded::Gray] {
            let Ok(items) = Items::lmdb(path, encoded) else { continue };
            let items = items.with_limits(Limits { max_pixels: 4 << 20, ..Limits::default() });
            for i in 0..items.len().min(8) {
                let _ = items.name(i);
                let _ = items.load(i);
            }
        }
    });
}

/// Logs of trainings, read, drawn and gone on with.
pub fn log(data: &[u8]) {
    with_file(".jsonl", data, |path| {
        let Ok(records) = report::read(path) else { return };
        #[cfg(feature = "plots")]
        with_file(".svg", &[], |svg| drop(report::draw(&records, "fuzz", svg)));
        let middle = records[records.len() / 2].iter();
        let (_, kept) = report::Writer::open(path, middle).expect("what was read");
        assert!(kept.iter().all(|record| record.iter() < middle));
    });
}

/// A table is as long as all that belongs to its rows, and its matrix not much larger than its file.
fn table(features: &Path, labels: Option<&Path>, data: &[u8]) {
    for positive in [None, Some("1")] {
        let source = Source { features, blob: None, labels, group: None, positive, layout: None };
        let Ok(table) = source.read() else { continue };
        let rows = table.matrix.rows();
        assert!(rows > 0 && rows <= data.len().max(3));
        assert_eq!(table.mirrored.len(), rows);
        let mut row = vec![0.0; table.matrix.columns()];
        table.matrix.read_row(rows - 1, &mut row);
        for length in [
            table.labels.as_ref().map(Vec::len),
            table.names.as_ref().map(Vec::len),
            table.groups.as_ref().map(Vec::len),
        ] {
            assert_eq!(length.unwrap_or(rows), rows);
        }
        if let Some(labels) = table.labels {
            assert!(labels.contains(&true) && labels.contains(&false));
        }
    }
}

/// LIBSVM's text.
pub fn libsvm(data: &[u8]) {
    with_file(".libsvm", data, |path| table(path, None, data));
}

/// Features in a CSV.
pub fn features(data: &[u8]) {
    with_file(".csv", data, |path| table(path, None, data));
}

/// Labels in a CSV, for three rows with and without names.
pub fn labels(data: &[u8]) {
    for features in ["x\n1\n2\n3\n", "x,file\n1,a/1.jpg\n2,b/1.jpg\n3,b/2.jpg\n"] {
        with_file(".csv", features.as_bytes(), |features| {
            with_file(".csv", data, |labels| table(features, Some(labels), data));
        });
    }
}

/// Trained classifiers: read, told of, written again, and asked.
pub fn model(data: &[u8]) {
    with_file(".safetensors", data, |path| {
        let Ok(model) = Model::load(path) else { return };
        let _ = model.summary();
        with_file(".safetensors", &[], |again| {
            model.save(again).expect("what was read");
            assert_eq!(Model::load(again).expect("what was written"), model);
        });
        // A forest may tell of columns that no tree looks at.
        if model.columns() < 1 << 16
            && let Ok(score) = model.score(&vec![1.0; model.columns()])
        {
            let _ = model.probability(score);
        }
    });
}

/// Labels and detections of faces, each judged by what it says itself.
pub fn faces(data: &[u8]) {
    with_file(".json", data, |path| {
        if let Ok(truth) = Truth::read(path) {
            let found = |photo: &Photo| {
                let faces = photo.faces.iter();
                faces.map(|face| Found { rect: face.rect, confidence: 0.5 }).collect()
            };
            let photos = truth.photos.iter().map(|photo| (photo.image.clone(), found(photo)));
            judged(&truth, &Detections { photos: photos.collect() });
        }
        if let Ok(found) = Detections::read(path) {
            let photo = |(image, _): &(String, _)| Photo {
                image: image.clone(),
                source: None,
                faces: vec![],
            };
            judged(&Truth { photos: found.photos.iter().map(photo).collect() }, &found);
        }
    });
}

fn judged(truth: &Truth, found: &Detections) {
    // Two paths may differ in their separators only.
    let Ok(judged) = judge(truth, found, &Options::default()) else { return };
    assert_eq!((judged.photos, judged.unlabelled), (truth.photos.len(), 0));
    assert!((0.0..=1.0).contains(&judged.overall.recall));
    assert!((0.0..=1.0 + 1e-9).contains(&judged.average_precision));
    assert!(!report::faces::text(&[("fuzz", &judged)]).is_empty());
}

/// Cascades, ours and OpenCV's: read, and asked about a small picture of which no window is flat.
pub fn cascade(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(cascade) = soft::Cascade::parse(text) {
        assert_eq!(soft::Cascade::parse(&cascade.to_text()).as_ref(), Ok(&cascade));
    }
    let Ok(cascade) = opencv::Cascade::parse(text) else { return };
    let pixels = (0..40 * 30).map(|i| (i * i % 251) as u8).collect();
    let picture = GrayPicture::new(Size::new(30, 40), pixels).expect("1200 pixels");
    let settings = opencv::Settings { min_size: 0, min_neighbours: 1, ..Default::default() };
    for hit in cascade.detect(&picture, &settings).expect("good settings") {
        let [x, y, w, h] = hit.rect;
        assert!(x >= 0 && y >= 0 && w > 0 && h > 0 && x + w <= 40 && y + h <= 30);
    }
}

/// What a study reads: the first byte says as what.
#[cfg(feature = "study")]
pub fn study(data: &[u8]) {
    use likenet::photos::collect::{Kind, Settings, collect};
    use likenet::photos::http::{content_range, next_link, wait};
    use likenet::photos::{store::Store, watch::Silent};
    use likenet::pipeline::Config;
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
    let Some((&kind, data)) = data.split_first() else { return };
    let table = |source: Kind, ending: &str| {
        with_file(ending, data, |path| {
            let settings = Settings { source, path: path.into(), ..Settings::default() };
            let mut store = Store::in_memory().expect("a store");
            if collect(&mut store, &settings, Path::new(""), &Silent).is_ok() {
                let photos = store.number("SELECT count(*) FROM photos").expect("a number");
                assert!(photos <= data.len() as u64, "{photos} photos from {} bytes", data.len());
            }
        });
    };
    match kind {
        b'c' => table(Kind::Csv, ".csv"),
        b'j' => table(Kind::Jsonl, ".jsonl"),
        b'h' => {
            let line = |line: &[u8]| {
                let at = line.iter().position(|&b| b == b':')?;
                let name = HeaderName::from_bytes(&line[..at]).ok()?;
                Some((name, HeaderValue::from_bytes(&line[at + 1..]).ok()?))
            };
            let headers: HeaderMap = data.split(|&b| b == b'\n').filter_map(line).collect();
            let wait = wait(&headers).map_or(0, |wait| wait.as_secs());
            assert!(wait <= 3700, "a wait of {wait} s");
            let _ = (next_link(&headers), content_range(&headers));
        }
        _ => {
            let text = String::from_utf8_lossy(data);
            let _ = Config::parse("likenet.toml", &text);
        }
    }
}

/// Nothing is read without the feature.
#[cfg(not(feature = "study"))]
pub fn study(_: &[u8]) {}
