//! Our own cascade: what it finds, and that training makes one.

mod common;

use common::shared;
use likenet::faces::judge::{Detections, Options as JudgeOptions, Truth, judge};
use likenet::faces::train::{Options, Step, train};
use likenet::faces::{Detector, Measure, Search, soft};
use likenet::image::{GrayPicture, Limits, Size, decode_gray_file};
use likenet::rng::Rng;
use rayon::prelude::*;
use std::path::Path;

#[test]
fn the_built_in_cascade_is_small_and_speaks_of_probability() {
    let bytes = include_str!("../src/faces/own.cascade").len();
    assert!(bytes < 1 << 20, "{bytes} bytes");
    let own = Detector::own();
    assert_eq!((own.measure(), own.needs_colour()), (Measure::Probability, false));
    let Detector::Soft(cascade) = own else { panic!("ours is a soft cascade") };
    let likely = [0.0, 15.0, 30.0].map(|score| cascade.probability(score));
    assert!(likely.is_sorted() && likely[0] < 0.5 && likely[2] > 0.9, "{likely:?}");
}

#[test]
fn pictures_of_any_size_are_searched() {
    let (own, search) = (Detector::own(), Search::new().expect("kernels"));
    for (height, width) in [(1, 1), (1, 900), (900, 1), (13, 9), (40, 41), (3, 2000)] {
        let gray =
            GrayPicture::new(Size::new(height, width), vec![90; height * width]).expect("a size");
        assert_eq!(own.detect_gray(&gray, &search).expect("a search"), [], "{width} x {height}");
    }
}

/// A bright ring with a dark middle, or nothing, on noise.
fn pixels(rng: &mut Rng, side: usize, ring: Option<[f32; 3]>) -> Vec<u8> {
    let mut value = |i: usize| {
        let noise = rng.uniform(60.0, 140.0);
        let Some([x, y, radius]) = ring else { return noise as u8 };
        let (dx, dy) = ((i % side) as f32 + 0.5 - x, (i / side) as f32 + 0.5 - y);
        let r = (dx * dx + dy * dy).sqrt() / radius;
        if r < 0.45 {
            (0.3 * noise) as u8
        } else if r < 0.85 {
            (noise + 100.0) as u8
        } else {
            noise as u8
        }
    };
    (0..side * side).map(&mut value).collect()
}

fn save(path: &Path, side: usize, pixels: &[u8]) {
    let side = side as u32;
    image::save_buffer(path, pixels, side, side, image::ColorType::L8).expect("room");
}

/// Crops of rings, and backgrounds without.
fn pictures(dir: &Path) -> [std::path::PathBuf; 2] {
    let mut rng = Rng::new(7);
    let folders = ["rings", "backgrounds"].map(|name| dir.join(name));
    folders.iter().for_each(|f| std::fs::create_dir(f).expect("room"));
    for i in 0..60 {
        save(
            &folders[0].join(format!("{i:02}.png")),
            48,
            &pixels(&mut rng, 48, Some([24.0, 24.0, 24.0])),
        );
    }
    for i in 0..20 {
        save(&folders[1].join(format!("{i:02}.png")), 150, &pixels(&mut rng, 150, None));
    }
    folders
}

fn options() -> Options {
    Options {
        rounds: vec![6, 12],
        copies: 3,
        negatives: 500,
        negatives_a_round: 300,
        ..Options::default()
    }
}

#[test]
fn a_trained_cascade_finds_what_it_was_shown() {
    let dir = tempfile::tempdir().expect("a folder");
    let [rings, backgrounds] = pictures(dir.path());
    let trained = train(&rings, &backgrounds, &options(), None, &mut |_| ()).expect("a training");
    assert!(trained.rounds.iter().all(|r| r.hit_rate > 0.9), "{:?}", trained.rounds);
    let detector = Detector::Soft(trained.cascade);
    let mut rng = Rng::new(99);
    let mut photo =
        GrayPicture::new(Size::square(200), pixels(&mut rng, 200, Some([120.0, 70.0, 30.0])))
            .expect("a size");
    let search = Search { confidence: 0.5, ..Search::new().expect("kernels") };
    let found = detector.detect_gray(&photo, &search).expect("a search");
    let first = found.first().expect("the ring is found");
    let middle = [first.rect.x + first.rect.w / 2.0, first.rect.y + first.rect.h / 2.0];
    assert!((middle[0] - 120.0).abs() < 9.0 && (middle[1] - 70.0).abs() < 9.0, "{found:?}");
    assert!((45.0..80.0).contains(&first.rect.w), "{found:?}");
    // Without the ring nothing is as sure.
    photo.data = pixels(&mut rng, 200, None);
    let empty = detector.detect_gray(&photo, &search).expect("a search");
    assert!(empty.iter().all(|f| f.confidence < first.confidence), "{empty:?}");
}

#[test]
fn a_training_that_was_cut_off_ends_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let [rings, backgrounds] = pictures(dir.path());
    let state = dir.path().join("state");
    let whole = train(&rings, &backgrounds, &options(), None, &mut |_| ()).expect("a training");
    // Stopped in the second round: the progress breaks off.
    let cut = std::panic::catch_unwind(|| {
        train(&rings, &backgrounds, &options(), Some(&state), &mut |step| {
            assert!(!matches!(step, Step::Round(1, ..)), "cut off");
        })
    });
    assert!(cut.is_err() && state.exists());
    let mut rounds = vec![];
    let again = train(&rings, &backgrounds, &options(), Some(&state), &mut |step| {
        rounds.extend(matches!(step, Step::Round(..)).then_some(step));
    });
    assert_eq!(again.expect("a training").cascade, whole.cascade);
    assert!(matches!(rounds[..], [Step::Round(1, ..)]), "{rounds:?}");
    let other = Options { seed: 9, ..options() };
    let error =
        train(&rings, &backgrounds, &other, Some(&state), &mut |_| ()).err().expect("another's");
    assert!(error.to_string().contains("other options"), "{error}");
    std::fs::remove_file(rings.join("07.png")).expect("a crop");
    let error =
        train(&rings, &backgrounds, &options(), Some(&state), &mut |_| ()).err().expect("others");
    assert!(error.to_string().contains("other pictures"), "{error}");
}

#[test]
fn options_that_make_no_cascade_are_refused() {
    let path = Path::new("nowhere");
    for (options, reason) in [
        (Options { rounds: vec![], ..options() }, "rounds"),
        (Options { copies: 0, ..options() }, "copies"),
        (Options { object: [0.0, 0.0, 0.0, 1.0], ..options() }, "size"),
    ] {
        let error = train(path, path, &options, None, &mut |_| ()).err().expect("bad options");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

/// What the built-in cascade promises on photos that it was not trained on.
#[test]
fn developers_photos_are_searched_as_well_as_promised() {
    let Some(folder) = shared("data/faces/dev") else { return };
    let truth = Truth::read(&folder.join("gt.json")).expect("labels");
    let (own, search) = (Detector::own(), Search::new().expect("kernels"));
    let found: Vec<_> = truth
        .photos
        .par_iter()
        .map(|photo| {
            let gray =
                decode_gray_file(&folder.join(&photo.image), &Limits::default()).expect("a photo");
            (photo.image.clone(), own.detect_gray(&gray, &search).expect("a search"))
        })
        .collect();
    let judged = judge(&truth, &Detections::of(found), &JudgeOptions::default()).expect("judged");
    let kept = judged.filter.as_ref().expect("photos of both kinds").kept[0];
    assert!(judged.average_precision >= 0.97, "AP {}", judged.average_precision);
    assert!(judged.at[1].recall >= 0.96, "recall at 0.03: {}", judged.at[1].recall);
    assert!(kept >= 0.95, "kept {kept}");
}

#[test]
fn a_cascade_file_is_read_by_its_first_bytes() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("any.name");
    std::fs::write(&path, include_str!("../src/faces/own.cascade")).expect("room");
    assert!(matches!(Detector::read(&path), Ok(Detector::Soft(_))));
    for (bytes, reason) in
        [(&b"GIF89a"[..], "none of"), (b"{\"format\": 3}", "not a cascade"), (b"", "none of")]
    {
        std::fs::write(&path, bytes).expect("room");
        let error = Detector::read(&path).err().expect("no cascade").to_string();
        assert!(error.contains(reason) && error.contains("any.name"), "{error}");
    }
    assert!(soft::Cascade::read(&dir.path().join("absent")).is_err());
}
