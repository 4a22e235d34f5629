//! OpenCV's cascades: toys whose answers are counted by hand, and OpenCV's own answers.

mod common;

use common::shared;
use likenet::faces::opencv::{Cascade, Settings};
use likenet::image::{GrayPicture, Size};
use likenet_kernels::cpu::table::available;
use serde_json::Value;
use std::path::Path;

/// A cascade of one stage and one tree; `features` and `nodes` as the file has them.
fn toy(kind: &str, side: usize, nodes: &str, leaves: &str, features: &str) -> String {
    format!(
        r#"<?xml version="1.0"?><opencv_storage><cascade type_id="opencv-cascade-classifier">
        <stageType>BOOST</stageType><featureType>{kind}</featureType>
        <height>{side}</height><width>{side}</width><stages><_><!-- stage 0 -->
        <maxWeakCount>1</maxWeakCount><stageThreshold>0.</stageThreshold><weakClassifiers><_>
        <internalNodes>{nodes}</internalNodes><leafValues>{leaves}</leafValues>
        </_></weakClassifiers></_></stages><features>{features}</features></cascade></opencv_storage>"#
    )
}

/// The right half less the left, the lower half less the upper, and twice two pixels that touch in a corner.
const HAAR: &str = "<_><rects><_>0 0 6 6 -1.</_><_>3 0 3 6 2.</_></rects></_>\
    <_><rects><_>0 0 6 6 -1.</_><_>0 3 6 3 2.</_></rects><tilted>0</tilted></_>\
    <_><rects><_>4 1 1 1 1.</_><_>4 1 1 1 1.</_></rects><tilted>1</tilted></_>";

fn haar(nodes: &str, leaves: &str) -> String {
    toy("HAAR", 6, nodes, leaves, HAAR)
}

/// 6 × 6 pixels, the left half 0 and the right 200. Of the inner 16 half are 200, so that
/// √(16 · 8 · 200² − (8 · 200)²) = 1600.
fn halves() -> GrayPicture {
    let data = (0..36).map(|i| if i % 6 < 3 { 0 } else { 200 }).collect();
    GrayPicture::new(Size::square(6), data).expect("36 pixels")
}

/// Each raw hit's rectangle and weight, the same with every instruction set.
fn raw(xml: &str, photo: &GrayPicture) -> Vec<([i32; 4], f64)> {
    let cascade = Cascade::parse(xml).unwrap_or_else(|e| panic!("{e}"));
    let hits = available().iter().map(|kernels| {
        let settings = Settings {
            scale_factor: 1.5,
            min_neighbours: 0,
            min_size: 0,
            kernels: Some(kernels),
            ..Settings::default()
        };
        let hits = cascade.detect(photo, &settings).expect("settings");
        hits.iter().map(|hit| (hit.rect, hit.weight)).collect::<Vec<_>>()
    });
    let hits: Vec<_> = hits.collect();
    assert!(hits.iter().all(|other| *other == hits[0]));
    hits[0].clone()
}

#[test]
fn a_stump_by_hand() {
    // 18 pixels of 200, over 1600.
    let found = [([0, 0, 6, 6], 1.0)];
    assert_eq!(raw(&haar("0 -1 0 2.2", "-1. 1."), &halves()), found);
    assert_eq!(raw(&haar("0 -1 0 2.3", "-1. 1."), &halves()), []);
    assert_eq!(raw(&haar("0 -1 0 2.3", "1. -1."), &halves()), found);
    // Not below its threshold: the right side.
    assert_eq!(raw(&haar("0 -1 0 2.25", "-1. 1."), &halves()), found);
    // Without contrast nothing is looked at.
    let flat = GrayPicture::new(Size::square(6), vec![90; 36]).unwrap();
    assert_eq!(raw(&haar("0 -1 0 -9", "1. 1."), &flat), []);
}

#[test]
fn a_tree_by_hand() {
    // The root's right side leads to node 1, whose value is 0.
    let weight = |nodes: &str| raw(&haar(nodes, "3. 7. 9."), &halves())[0].1;
    assert_eq!(weight("0 1 0 2.2 -1 -2 1 0.5"), 7.0);
    assert_eq!(weight("0 1 0 2.2 -1 -2 1 -0.5"), 9.0);
    assert_eq!(weight("0 1 0 2.3 -1 -2 1 -0.5"), 3.0);
    // Three nodes: 0 to 2, past 1.
    let leaves = "1. 2. 3. 4.";
    let three = haar("1 2 0 2.2 0 -1 1 0.5 -2 -3 1 0.5", leaves);
    assert_eq!(raw(&three, &halves())[0].1, 3.0);
}

#[test]
fn a_tilted_rectangle_by_hand() {
    // Column 3 of rows 1 and 2, twice: 800 / 1600.
    let found = |threshold| raw(&haar(&format!("0 -1 2 {threshold}"), "-1. 1."), &halves()).len();
    assert_eq!([found("0.49"), found("0.51")], [1, 0]);
}

#[test]
fn a_local_pattern_by_hand() {
    // Clockwise from the upper left: 9, 1, 5, 0, 6, 0, 0, 0 against 5 are the bits 10101000, and
    // 168 = 5 · 32 + 8.
    let photo = GrayPicture::new(Size::square(3), vec![9, 1, 5, 0, 5, 0, 0, 0, 6]).unwrap();
    let lbp = |words: &str| {
        let cell = "<_><rect>0 0 1 1</rect></_>";
        toy("LBP", 3, &format!("0 -1 0 {words}"), "2. -2.", cell)
    };
    assert_eq!(raw(&lbp("0 0 0 0 0 256 0 0"), &photo), [([0, 0, 3, 3], 2.0)]);
    assert_eq!(raw(&lbp("-1 -1 -1 -1 -1 -257 -1 -1"), &photo), []);
}

#[test]
fn windows_grow_and_what_they_see_is_grouped() {
    // Every window passes, so that only the scan decides. 3 rows hold windows of factor 1, in steps of 2; at 1.2
    // they have 4 pixels.
    let settings =
        Settings { scale_factor: 1.2, min_neighbours: 0, min_size: 0, ..Settings::default() };
    let all = Cascade::parse(&toy(
        "LBP",
        3,
        "0 -1 0 0 0 0 0 0 0 0 0",
        "1. 1.",
        "<_><rect>0 0 1 1</rect></_>",
    ));
    let all = all.unwrap();
    let photo = GrayPicture::new(Size::new(3, 8), vec![7; 24]).unwrap();
    let columns = |s| all.detect(&photo, &s).unwrap().iter().map(|h| h.rect[0]).collect::<Vec<_>>();
    assert_eq!(columns(settings), [0, 2, 4]);
    // Rectangles that lie 2 apart and are 3 wide are different faces.
    assert!(columns(Settings { min_neighbours: 1, ..settings }).is_empty());
    let photo = GrayPicture::new(Size::new(12, 12), vec![7; 144]).unwrap();
    // From 11 pixels, factor 1.2⁷, the next step is to 13.
    let hits = all.detect(&photo, &Settings { min_size: 12, ..settings }).unwrap();
    assert!(hits.is_empty(), "{hits:?}");
    // Factors 2 and 4: sixteen windows of 6 pixels, in steps of one at half the size, and one of 12.
    let two = Settings { scale_factor: 2.0, min_size: 6, ..settings };
    let hits = all.detect(&photo, &two).unwrap();
    let want: Vec<[i32; 4]> = (0..16).map(|i| [i % 4 * 2, i / 4 * 2, 6, 6]).collect();
    assert_eq!(
        hits.iter().map(|h| h.rect).collect::<Vec<_>>(),
        [want, vec![[0, 0, 12, 12]]].concat()
    );
    let most = Settings { max_size: Some(6), ..two };
    assert_eq!(all.detect(&photo, &most).unwrap().len(), 16);
}

#[test]
fn the_format_before_says_the_same() {
    let old = r#"<opencv_storage><toy type_id="opencv-haar-classifier"><size>6 6</size><stages><_><trees><_>
        <_><feature><rects><_>0 0 6 6 -1.</_><_>3 0 3 6 2.</_></rects><tilted>0</tilted></feature>
        <threshold>2.2</threshold><left_val>3.</left_val><right_node>1</right_node></_>
        <_><feature><rects><_>0 0 6 6 -1.</_><_>0 3 6 3 2.</_></rects><tilted>0</tilted></feature>
        <threshold>0.5</threshold><left_val>7.</left_val><right_val>9.</right_val></_></_></trees>
        <stage_threshold>0.</stage_threshold><parent>-1</parent><next>-1</next></_></stages></toy></opencv_storage>"#;
    let new = Cascade::parse(&haar("0 1 0 2.2 -1 -2 1 0.5", "3. 7. 9."));
    assert_eq!(Cascade::parse(old).unwrap(), new.unwrap());
    let branch = old.replace("<next>-1", "<next>2");
    assert!(
        Cascade::parse(&branch).unwrap_err().to_string().contains("stage 0: parent -1, next 2")
    );
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let fails = |xml: &str, want: &str| {
        let error = Cascade::parse(xml).unwrap_err().to_string();
        assert!(error.contains(want), "'{error}' does not tell of '{want}'");
    };
    let leaves = "1. 2. 3.";
    fails("<a", "not readable as XML");
    fails("<a/>", "neither featureType nor size");
    fails(&haar("0 -1 0 1.", "1."), "stage 0: tree 0: 4 numbers of nodes and 1 leaves");
    fails(&haar("0 -7 0 1.", "1. 2."), "stage 0: tree 0: node 0: leaf 7 of 2");
    fails(&haar("0 1 0 1. 1 -2 1 1.", leaves), "node 1: a link to node 1");
    fails(&haar("0 2 0 1. 0 -2 1 1.", leaves), "node 0: a link to node 2");
    fails(&haar("0 -1 3 1.", "1. 2."), "node 0: feature 3 of 3");
    fails(&haar("0 -1 0.5 1.", "1. 2."), "0.5 is not a whole number");
    fails(&haar("0 -1 0 NaN", "1. 2."), "'NaN' is no number within reason");
    fails(&haar("0 -1 0 1e30", "1. 2."), "'1e30' is no number within reason");
    let with = |features: &str| toy("HAAR", 6, "0 -1 0 1.", "1. 2.", features);
    let rects = |a: &str, more: &str| {
        with(&format!("<_><rects><_>{a}</_><_>0 0 1 1 1</_></rects>{more}</_>"))
    };
    fails(&rects("1 0 6 6 1", ""), "feature 0: rectangle 0: [1, 0, 6, 6] does not fit");
    fails(
        &rects("1 0 1 2 1", "<tilted>1</tilted>"),
        "feature 0: rectangle 0: [1, 0, 1, 2] does not fit",
    );
    fails(&rects("-1 0 1 1 1", ""), "is no rectangle of a window");
    fails(&rects("0 0 1 1", ""), "want x y w h weight");
    fails(&with("<_><rects><_>0 0 1 1 1</_></rects></_>"), "1 rectangles");
    fails(&toy("HOG", 6, "", "", ""), "only HAAR and LBP");
    fails(&toy("LBP", 6, "", "", "<_><rect>0 0 3 1</rect></_>"), "feature 0: 3 x 3 cells");
    fails(&toy("HAAR", 257, "", "", ""), "a window of 257 x 257");
    let settings = Settings { scale_factor: f64::NAN, ..Settings::default() };
    let toy = Cascade::parse(&haar("0 -1 0 2.2", "-1. 1.")).unwrap();
    assert!(toy.detect(&halves(), &settings).is_err());
    let short = GrayPicture { width: 9, height: 9, data: vec![0; 80] };
    assert!(toy.detect(&short, &Settings::default()).is_err());
}

/// A binary PGM as OpenCV writes it: "P5", width, height, 255, pixels.
fn pgm(path: &Path) -> GrayPicture {
    let bytes = std::fs::read(path).expect("a picture");
    let pixels = |w, h| bytes[bytes.len() - w * h..].to_vec();
    let head = String::from_utf8_lossy(&bytes[..20]);
    let numbers: Vec<usize> =
        head.split_whitespace().skip(1).take(2).flat_map(str::parse).collect();
    let [width, height] = numbers[..] else { panic!("{head}") };
    GrayPicture::new(Size::new(height, width), pixels(width, height)).expect("its pixels")
}

#[test]
fn raw_and_grouped_hits_are_opencvs() {
    let Some(folder) = shared("golden/faces") else { return };
    let text = std::fs::read_to_string(folder.join("golden.json")).expect("golden values");
    let golden: Value = serde_json::from_str(&text).expect("golden values");
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut compared = 0;
    for image in list(&golden["images"]) {
        let photo = pgm(&folder.join(image["gray"].as_str().expect("a name")));
        for (name, want) in image["opencv"].as_object().expect("cascades") {
            let file = folder.join("cascades").join(format!("{name}.xml"));
            let cascade = Cascade::read(&file).unwrap_or_else(|e| panic!("{e}"));
            let detect = |min_neighbours, scale_factor, min_size| {
                let settings =
                    Settings { min_neighbours, scale_factor, min_size, ..Settings::default() };
                cascade.detect(&photo, &settings).expect("settings")
            };
            for (key, neighbours, factor, size) in [
                ("raw", 0, 1.1, 40),
                ("raw_sf1_25_min30", 0, 1.25, 30),
                ("grouped_mn3", 3, 1.1, 40),
                ("grouped_mn1", 1, 1.1, 40),
            ] {
                let hits = detect(neighbours, factor, size);
                let got = hits.iter().map(|hit| match neighbours {
                    0 => serde_json::json!(hit.rect),
                    _ => {
                        serde_json::json!([hit.rect.as_slice(), &[hit.neighbours as i32]].concat())
                    }
                });
                assert_eq!(got.collect::<Vec<_>>(), list(&want[key]), "{name}, {key}");
                compared += hits.len();
            }
            if let Some(sums) = want["raw_last_stage_sum"].as_array() {
                let got = detect(0, 1.1, 40);
                let want: Vec<f64> = sums.iter().filter_map(Value::as_f64).collect();
                assert_eq!(got.iter().map(|hit| hit.weight).collect::<Vec<_>>(), want, "{name}");
            }
        }
    }
    assert!(compared > 500, "only {compared} hits");
}
