//! SCD cascades: ccv's detections, and a small cascade whose answers can be counted.

#![cfg(feature = "sqlite")]

mod common;

use common::shared;
use likenet::faces::scd::{Cascade, Hit, Image, Settings, Stage, Weak};
use likenet::image::{GrayPicture, Limits, Picture, Size, decode_file};
use serde_json::Value;
use std::path::Path;

/// Windows of 16 × 16 whose third quarter holds all of a vertical edge: there the six numbers dx, du, dv and
/// their magnitudes are ±1/√6 and all others zero, so that the margin is −2 + 4; elsewhere it is −2.
fn edge() -> Cascade {
    let mut weights = [0.0; 32];
    weights[2 * 8 + 4] = 4.0 * 6f32.sqrt();
    let cells = [0, 4, 8, 12].map(|x| [x, 0, x + 4, 16]);
    let weak = Weak { cells, bias: -2.0, weights };
    let stage = Stage { threshold: 0.5, weak: vec![weak] };
    Cascade { size: Size::square(16), margins: [0; 4], stages: vec![stage; 2] }
}

/// Black up to column 22, white from there on; blurred, the edge covers columns 20 to 23.
fn picture() -> GrayPicture {
    let data = (0..24 * 32).map(|i| if i % 32 < 22 { 0 } else { 255 }).collect();
    GrayPicture::new(Size::new(24, 32), data).unwrap()
}

#[test]
fn an_edge_is_found_where_it_is() {
    let gray = picture();
    let data = gray.data.iter().flat_map(|v| [*v, 0, *v / 2]).collect();
    let colour = Picture::new(gray.size(), data).unwrap();
    let confidence = 1.0 + 1f32.tanh();
    for image in [Image::Gray(&gray), Image::Colour(&colour)] {
        // Its quarter begins 8 columns into the window; of rows 0, 4 and 8 the last is left out.
        let raw = edge().detect(image, &Settings { min_neighbours: 0, ..small() }).unwrap();
        let rects: Vec<_> = raw.iter().map(|hit| hit.rect).collect();
        assert_eq!(rects, [[12, 0, 16, 16], [12, 4, 16, 16]]);
        assert!(raw.iter().all(|hit| (hit.confidence - confidence).abs() < 1e-4), "{raw:?}");
        let faces = edge().detect(image, &small()).unwrap();
        assert_eq!(faces.iter().map(|hit| hit.neighbours).collect::<Vec<_>>(), [2]);
        assert!(
            edge().detect(image, &Settings { min_neighbours: 3, ..small() }).unwrap().is_empty()
        );
    }
}

fn small() -> Settings {
    Settings { min_size: 16, interval: 0, ..Settings::default() }
}

#[test]
fn settings_and_pictures_that_make_no_sense_are_errors() {
    let gray = picture();
    let refused = |settings: Settings, reason: &str| {
        let error = edge().detect(Image::Gray(&gray), &settings).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    };
    refused(Settings { min_size: 0, ..small() }, "begin at 1");
    refused(Settings { step: 0, ..small() }, "begin at 1");
    refused(Settings { interval: 65, ..small() }, "end at 64");
    let wide = GrayPicture { width: 3_000_000, height: 1, data: vec![0; 3_000_000] };
    let settings = Settings { min_size: 1, ..small() };
    let error = edge().detect(Image::Gray(&wide), &settings).unwrap_err().to_string();
    assert!(error.contains("larger faces"), "{error}");
    assert!(edge().detect(Image::Gray(&wide), &small()).unwrap().is_empty());
    let torn = GrayPicture { width: 9, height: 9, data: vec![0; 80] };
    assert!(edge().detect(Image::Gray(&torn), &small()).is_err());
    let mut bordered = edge();
    bordered.margins = [1, 0, 0, 0];
    assert!(bordered.detect(Image::Gray(&gray), &small()).is_err());
    for side in 1..=16 {
        let tiny = GrayPicture { width: side, height: side, data: vec![0; side * side] };
        assert!(edge().detect(Image::Gray(&tiny), &small()).unwrap().is_empty());
        let closer = Settings { min_size: 2, ..Settings::default() };
        edge().detect(Image::Gray(&tiny), &closer).unwrap();
    }
}

#[test]
fn what_is_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("edge.sqlite3");
    let mut cascade = edge();
    cascade.margins = [1, 2, 3, 4];
    let weak = Weak { bias: 0.1, ..cascade.stages[0].weak[0].clone() };
    cascade.stages[1].weak.push(weak);
    cascade.write(&path).unwrap();
    assert_eq!(Cascade::read(&path).unwrap(), cascade);
    cascade.stages[1].weak[1].cells[3][2] = 17;
    let error = cascade.write(&path).unwrap_err().to_string();
    assert!(error.contains("stage 1, feature 1") && error.contains("leaves the window"), "{error}");
    assert_eq!(Cascade::read(&path).unwrap().stages.len(), 2, "the old file stays");
}

/// A cascade's file after some SQL.
fn changed(sql: &str) -> Result<Cascade, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("changed.sqlite3");
    edge().write(&path).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    Cascade::read(&path).map_err(|e| e.to_string())
}

#[test]
fn hostile_files_are_errors_that_say_where() {
    assert_eq!(changed("CREATE TABLE negative_data (x)").unwrap(), edge());
    for (sql, reason) in [
        ("UPDATE feature_params SET w = x'00' WHERE classifier = 1", "stage 1, feature 0"),
        ("UPDATE feature_params SET w = zeroblob(132)", "stage 0, feature 0"),
        ("UPDATE feature_params SET w = 'text'", "stage 0, feature 0"),
        ("UPDATE feature_params SET dx_3 = 17", "leaves the window"),
        ("UPDATE feature_params SET sx_1 = -1", "stage 0, feature 0"),
        ("UPDATE feature_params SET sy_0 = 16", "is empty"),
        ("UPDATE feature_params SET bias = 9e999", "finite"),
        ("UPDATE feature_params SET bias = NULL", "stage 0, feature 0"),
        ("UPDATE feature_params SET classifier = 7 WHERE classifier = 1", "no such stage"),
        ("UPDATE feature_params SET id = 1 WHERE classifier = 1", "stage 1, feature 1"),
        ("DELETE FROM feature_params WHERE classifier = 1", "1 features are announced"),
        ("UPDATE classifier_params SET count = 1000000000", "are announced"),
        ("UPDATE classifier_params SET threshold = -9e999", "stage 0"),
        ("UPDATE cascade_params SET count = 3", "3 stages are announced"),
        ("UPDATE cascade_params SET count = -1", "damaged"),
        ("UPDATE cascade_params SET size_width = 1000000", "window"),
        ("UPDATE cascade_params SET margin_left = 16", "margins"),
        ("DELETE FROM cascade_params", "damaged"),
        ("DELETE FROM classifier_params; UPDATE cascade_params SET count = 0", "no such stage"),
        ("DROP TABLE cascade_params", "needs the tables"),
        (
            "ALTER TABLE feature_params RENAME TO f; CREATE VIEW feature_params AS SELECT * FROM f",
            "needs the tables",
        ),
        (
            "ALTER TABLE feature_params RENAME TO f;
             CREATE TABLE feature_params (classifier, id, w AS (zeroblob(1000000000)));
             INSERT INTO feature_params VALUES (0, 0)",
            "too big",
        ),
    ] {
        let error = changed(sql).expect_err(sql);
        assert!(error.contains(reason), "{sql}: {error}");
    }
}

#[test]
fn damaged_files_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.sqlite3");
    assert!(Cascade::read(&path).is_err());
    edge().write(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(509) {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(Cascade::read(&path).is_err(), "{length} bytes");
    }
    for at in (0..whole.len()).step_by(101) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        std::fs::write(&path, &bytes).unwrap();
        let _ = Cascade::read(&path);
    }
}

/// Gray as libpng makes it, which ccv reads gray photos with.
fn libpng_gray(picture: &Picture) -> GrayPicture {
    let gray = |p: &[u8]| {
        let [r, g, b] = [p[0], p[1], p[2]].map(u32::from);
        ((6968 * r + 23434 * g + 2366 * b) >> 15) as u8
    };
    GrayPicture::new(picture.size(), picture.data.chunks_exact(3).map(gray).collect()).unwrap()
}

#[track_caller]
fn assert_hits(got: &[Hit], want: &Value, what: &str) {
    let want = want.as_array().expect("hits");
    assert_eq!(got.len(), want.len(), "{what}: {got:?}");
    for (got, want) in got.iter().zip(want) {
        let place = |i: usize| want[i].as_i64().expect("a number") as i32;
        assert_eq!(got.rect, [0, 1, 2, 3].map(place), "{what}");
        assert_eq!(got.neighbours as i32, place(5), "{what}");
        let away = f64::from(got.confidence) - want[4].as_f64().expect("a number");
        assert!(away.abs() <= 1e-6, "{what}: {got:?} {want}");
    }
}

#[test]
fn photos_give_ccvs_rectangles_and_confidences() {
    let Some(root) = shared("golden/faces") else { return };
    let text = std::fs::read_to_string(root.join("golden.json")).expect("golden values");
    let golden: Value = serde_json::from_str(&text).expect("golden values");
    let cascade = Cascade::read(&root.join("cascades/scd_face.sqlite3")).expect("ccv's cascade");
    let photos = golden["images"].as_array().expect("photos");
    assert_eq!(photos.len(), 12);
    for photo in photos {
        let name = photo["image"].as_str().expect("a name");
        let colour = decode_file(&root.join(Path::new(name)), &Limits::default()).expect("a photo");
        let gray = libpng_gray(&colour);
        for (key, image, min_size, min_neighbours) in [
            ("raw_min48", Image::Colour(&colour), 48, 0),
            ("grouped_min48", Image::Colour(&colour), 48, 1),
            ("raw_gray_min48", Image::Gray(&gray), 48, 0),
            ("raw_min40", Image::Colour(&colour), 40, 0),
            ("grouped_min40", Image::Colour(&colour), 40, 1),
        ] {
            let settings = Settings { min_size, min_neighbours, ..Settings::default() };
            let got = cascade.detect(image, &settings).expect("faces");
            assert_hits(&got, &photo["ccv"][key], &format!("{name} {key}"));
        }
    }
}
