//! Face detections against labels: every number as the reference's, on a small set of our own and on the
//! developers' photos.

mod common;

use common::{golden, shared};
use likenet::faces::Rect;
use likenet::faces::judge::{Detections, Found, Judgement, Options, Truth, judge};
use likenet::report::faces::{html, text};
use serde_json::{Value, json};
use std::path::Path;

/// What the reference says of detections.
struct Reference {
    framing: Option<[f64; 4]>,
    recall: f64,
    precision: f64,
    false_positives: f64,
    average_precision: f64,
    at: [f64; 5],
    kept: [f64; 3],
    auc: f64,
}

impl Reference {
    #[track_caller]
    fn assert(&self, got: &Judgement) {
        let framing = got.framing.map(|f| [f.w, f.h, f.dx, f.dy]);
        let filter = got.filter.as_ref().expect("photos with and without");
        let close = |what: &str, got: &[f64], want: &[f64]| {
            let close = got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-9);
            assert!(close && got.len() == want.len(), "{what}: {got:?} is not {want:?}");
        };
        assert_eq!(framing.is_some(), self.framing.is_some());
        close("framing", &framing.unwrap_or_default(), &self.framing.unwrap_or_default());
        close("recall", &[got.overall.recall], &[self.recall]);
        close("precision", &[got.overall.precision], &[self.precision]);
        close("false positives", &[got.overall.false_positives], &[self.false_positives]);
        close("average precision", &[got.average_precision], &[self.average_precision]);
        close("recall at", &got.at.map(|p| p.recall), &self.at);
        close("photos kept", &filter.kept, &self.kept);
        close("photo AUC", &[filter.auc], &[self.auc]);
    }
}

/// Ten photos, eight faces that count, 21 detections, all made up.
fn small() -> (Truth, Detections) {
    let truth = Truth::read(&golden("faces/labels.json")).expect("labels");
    let found = Detections::read(&golden("faces/detections.json")).expect("detections");
    (truth, found)
}

fn small_judged(fit: bool) -> Judgement {
    let (truth, found) = small();
    judge(&truth, &found, &Options { fit, ..Options::default() }).expect("a judgement")
}

#[test]
fn a_small_set_as_the_reference() {
    let fitted = Reference {
        framing: Some([
            0.7936305732484076,
            1.0318471337579618,
            -0.0471337579617833,
            -0.13240270727580378,
        ]),
        recall: 0.875,
        precision: 0.3684210526315789,
        false_positives: 1.2,
        average_precision: 0.8116883116883117,
        at: [0.625, 0.625, 0.75, 0.75, 0.875],
        kept: [0.8; 3],
        auc: 0.95,
    };
    fitted.assert(&small_judged(true));
    let as_found = Reference {
        framing: None,
        recall: 0.75,
        precision: 0.3157894736842105,
        false_positives: 1.3,
        average_precision: 0.5824675324675326,
        at: [0.125, 0.125, 0.5, 0.625, 0.75],
        ..fitted
    };
    as_found.assert(&small_judged(false));
}

/// Counted by hand: the first false positive has 0.6, so surer ones, of at least 0.61, count as few.
#[test]
fn groups_by_hand() {
    let (mut truth, found) = small();
    truth.measure_brightness(|image, rect| {
        let gray = if rect.x < 100.0 { 20.0 } else { 200.0 };
        image.starts_with("studio").then_some(gray)
    });
    let judged = judge(&truth, &found, &Options::default()).expect("a judgement");
    let groups = judged.groups.iter().map(|g| (g.by, &*g.name, g.faces, g.found, g.found_at));
    let want = [
        ("size", "36 to 48", 1, 1, 0),
        ("size", "48 to 64", 2, 1, 1),
        ("size", "64 to 96", 4, 4, 3),
        ("size", "96 and more", 1, 1, 1),
        ("roll", "0° to 8°", 3, 3, 3),
        ("roll", "8° to 15°", 3, 3, 2),
        ("roll", "15° to 30°", 1, 1, 0),
        ("roll", "30° and more", 1, 0, 0),
        ("yaw", "frontal", 3, 2, 1),
        ("yaw", "turned", 2, 2, 1),
        ("yaw", "half profile", 3, 3, 3),
        ("brightness", "dark", 2, 1, 1),
        ("brightness", "bright", 2, 2, 0),
        ("source", "street", 4, 4, 4),
        ("source", "studio", 4, 3, 1),
    ];
    assert_eq!(groups.collect::<Vec<_>>(), want);
}

/// Counted by hand: of the 21 detections two lie on the ignored face of photo 3 and two on that of photo 5.
#[test]
fn confidences_that_are_probabilities_have_bins() {
    let (truth, mut found) = small();
    let reliability = small_judged(true).reliability.expect("probabilities");
    assert_eq!(reliability.bins.iter().flatten().map(|bin| bin.samples).sum::<usize>(), 19);
    // Of 0.81 and 0.84 both are right.
    let bin = reliability.bins[8].expect("a bin");
    assert_eq!((bin.samples, bin.observed), (2, 1.0));
    assert!((bin.predicted - 0.825).abs() < 1e-12);
    found.photos[0].1[0].confidence = 17.0;
    let judged = judge(&truth, &found, &Options::default()).expect("a judgement");
    assert_eq!(judged.reliability, None);
}

#[test]
fn both_forms_say_the_same() {
    let (_, found) = small();
    let face = |f: &Found| {
        let Rect { x, y, w, h } = f.rect;
        json!({"x": x, "y": y, "w": w, "h": h, "confidence": f.confidence})
    };
    let photo = |(image, found): &(String, Vec<Found>)| {
        let faces: Vec<Value> = found.iter().map(face).collect();
        json!({"image": image, "faces": faces})
    };
    let list: Vec<Value> = found.photos.iter().map(photo).collect();
    let again = with_file(&json!(list).to_string(), Detections::read).expect("detections");
    assert_eq!(again, found);
}

fn with_file<T>(text: &str, f: impl FnOnce(&Path) -> T) -> T {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("room for it");
    f(file.path())
}

#[test]
fn refusals_say_image_and_field() {
    let labels = |text: &str| with_file(text, Truth::read).expect_err("a refusal").to_string();
    let found = |text: &str| with_file(text, Detections::read).expect_err("a refusal").to_string();
    for (error, want) in [
        (labels("{"), "not JSON"),
        (labels("{}"), "a list of photos"),
        (labels("[]"), "no photos"),
        (labels(r#"[{"faces": []}]"#), "photo 0: 'image' is missing"),
        (labels(r#"[{"image": "a"}]"#), "image 'a': 'faces' is missing"),
        (
            labels(r#"[{"image": "a", "faces": []}, {"image": "a", "faces": []}]"#),
            "'a' occurs twice",
        ),
        (labels(r#"[{"image": "a", "faces": [{"x": 1, "y": 1, "w": 2}]}]"#), "'a', face 0: 'h'"),
        (labels(r#"[{"image": "a", "faces": [{"box": [1, 2, 3]}]}]"#), "'box' is not a list of 4"),
        (labels(r#"[{"image": "a", "faces": [{"box": [1, 2, 0, 3]}]}]"#), "'w' is 0"),
        (labels(r#"[{"image": "a", "faces": [{"box": [1e300, 2, 1, 3]}]}]"#), "'x' is 1"),
        (labels(r#"[{"image": "a", "faces": [{"box": [1, 2, 3, 4], "ignore": 1}]}]"#), "'ignore'"),
        (labels(r#"[{"image": "a", "faces": [{"box": [1, 2, 3, 4], "lm5": []}]}]"#), "'lm5'"),
        (found("1"), "an object with an entry for each"),
        (found(r#"{"a": 1}"#), "image 'a': no list"),
        (found(r#"{"a": [[1, 2, 3, 4]]}"#), "'a', face 0: [x, y, w, h, confidence]"),
        (found(r#"[{"image": "a", "faces": [{"x": 1, "y": 1, "w": 2, "h": 2}]}]"#), "'confidence'"),
    ] {
        assert!(error.contains(want), "{error}: not '{want}'");
    }
    assert!(
        Truth::read(Path::new("absent.json")).expect_err("none").to_string().contains("absent")
    );
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let (truth, found) = small();
    let error = |found: &Detections, iou| {
        let options = Options { iou, ..Options::default() };
        judge(&truth, found, &options).expect_err("a refusal").to_string()
    };
    assert!(error(&found, 0.0).contains("overlap of 0"));
    let mut less = found.clone();
    less.photos.retain(|(image, _)| !image.ends_with("3.jpg"));
    assert!(error(&less, 0.5).contains("1 of 10 labelled images, the first 'studio/3.jpg'"));
    let mut nan = found.clone();
    nan.photos[0].1[0].confidence = f64::NAN;
    assert!(error(&nan, 0.5).contains("confidence of NaN"));
    let mut more = found.clone();
    more.photos.push(("other/0.jpg".into(), vec![]));
    let judged = judge(&truth, &more, &Options::default()).expect("a judgement");
    assert_eq!((judged.unlabelled, judged.average_precision > 0.8), (1, true));
}

#[test]
fn nothing_found_is_worth_nothing() {
    let (truth, mut found) = small();
    found.photos.iter_mut().for_each(|(_, found)| found.clear());
    let judged = judge(&truth, &found, &Options::default()).expect("a judgement");
    assert_eq!((judged.framing, judged.average_precision), (None, 0.0));
    assert_eq!((judged.overall.recall, judged.overall.precision), (0.0, 1.0));
    let filter = judged.filter.expect("photos with and without");
    assert_eq!((filter.auc, filter.kept), (0.5, [0.0; 3]));
}

#[test]
fn tables_stand_side_by_side() {
    let (fitted, mut found) = (small_judged(true), small_judged(false));
    found.reliability = None;
    let text = text(&[("fitted", &fitted), ("as <found>", &found)]);
    let row = |start: &str| {
        let line = text.lines().find(|line| line.starts_with(start)).expect(start);
        line[start.len()..].split("  ").map(str::trim).filter(|c| !c.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(row("average precision"), ["0.8117", "0.5825"]);
    assert_eq!(row("recall at 0.1 false positives an image"), ["0.7500", "0.5000"]);
    assert_eq!(row("photos with a face kept where 5% of others pass"), ["0.8000", "0.8000"]);
    assert_eq!(row("label's width over detection's"), ["0.7936", "–"]);
    assert_eq!(row("size: 64 to 96"), ["0.750 / 1.000 of 4", "0.000 / 0.750 of 4"]);
    assert_eq!(row("0.8 to 0.9"), ["0.825 / 1.000 of 2", "–"]);
    let html = html(&[("as <found>", &found)]);
    assert!(html.contains("<th>as &lt;found&gt;</th>") && !html.contains("to 0.9"), "{html}");
}

/// Detections by arithmetic: near most faces of the developers' labels, and elsewhere.
fn made_up(truth: &Truth) -> Detections {
    let mut count = 0u64;
    let mut random = || {
        count += 1;
        (count * count * 7919 % 10007) as f64 / 10007.0
    };
    let mut photos = vec![];
    for photo in &truth.photos {
        let mut found = vec![];
        for face in &photo.faces {
            for _ in 0..(3.0 * random()) as usize {
                let (r, size) = (face.rect, face.rect.w * (1.0 + 0.5 * random()));
                let [x, y] = r.centre();
                let [x, y] = [x + r.w * (random() - 0.5) / 2.0, y + r.h * (random() - 0.3) / 2.0];
                found.push(detection(x - size / 2.0, y - size / 2.0, size, 0.3 + 0.7 * random()));
            }
        }
        for _ in 0..(2.0 * random()) as usize {
            let (x, y) = (400.0 * random(), 400.0 * random());
            found.push(detection(x, y, 30.0 + 60.0 * random(), 0.6 * random()));
        }
        photos.push((photo.image.clone(), found));
    }
    Detections { photos }
}

fn detection(x: f64, y: f64, size: f64, confidence: f64) -> Found {
    // Few digits, so that some confidences are the same.
    let confidence = (confidence * 200.0).round() / 200.0;
    let rect = Rect { x, y, w: size, h: size };
    Found { rect, confidence }
}

#[test]
fn the_developers_photos_as_the_reference() {
    let Some(labels) = shared("data/faces/dev/gt.json") else { return };
    let truth = Truth::read(&labels).expect("labels");
    let found = made_up(&truth);
    let reference = Reference {
        framing: Some([
            0.7884969365742389,
            1.051533016913674,
            0.0627379725641365,
            -0.04562052099159776,
        ]),
        recall: 0.5821917808219178,
        precision: 0.4009433962264151,
        false_positives: 0.7470588235294118,
        average_precision: 0.3893962788555487,
        at: [
            0.02054794520547945,
            0.0958904109589041,
            0.2671232876712329,
            0.4589041095890411,
            0.5821917808219178,
        ],
        kept: [0.5742574257425742, 0.6039603960396039, 0.6633663366336634],
        auc: 0.9042904290429042,
    };
    let judged = |fit| judge(&truth, &found, &Options { fit, ..Options::default() });
    reference.assert(&judged(true).expect("a judgement"));
    let as_found = Reference {
        framing: None,
        recall: 0.5753424657534246,
        precision: 0.39622641509433965,
        false_positives: 0.7529411764705882,
        average_precision: 0.41846432401562744,
        at: [
            0.1095890410958904,
            0.14383561643835616,
            0.2876712328767123,
            0.4794520547945205,
            0.5753424657534246,
        ],
        ..reference
    };
    as_found.assert(&judged(false).expect("a judgement"));
}
