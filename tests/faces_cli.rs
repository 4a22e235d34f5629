//! Finding faces, as users of the program do it: on drawn ones, by a cascade trained on drawn ones.

use image::{GrayImage, Luma};
use likenet::rng::Rng;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Rectangles of any gray.
fn scene(w: u32, h: u32, rng: &mut Rng) -> GrayImage {
    let mut picture = GrayImage::from_fn(w, h, |_, _| Luma([90 + rng.below(30) as u8]));
    for _ in 0..8 {
        let [x, y] = [w, h].map(|n| rng.below(n as usize) as u32);
        let [right, bottom] = [x, y].map(|v| v + 6 + rng.below(40) as u32);
        let gray = rng.below(256) as u8;
        for (x, y) in (y..bottom.min(h)).flat_map(|y| (x..right.min(w)).map(move |x| (x, y))) {
            picture.put_pixel(x, y, Luma([gray]));
        }
    }
    picture
}

/// A bright disc with two eyes and a mouth, `side` pixels across.
fn draw_face(picture: &mut GrayImage, [left, top]: [u32; 2], side: u32) {
    for (x, y) in (0..side).flat_map(|y| (0..side).map(move |x| (x, y))) {
        let [u, v] = [x, y].map(|p| (p as f32 + 0.5) / side as f32);
        let near = |cx: f32, cy: f32, r: f32| (u - cx).powi(2) + (v - cy).powi(2) < r * r;
        let mouth = (0.3..0.7).contains(&u) && (0.68..0.78).contains(&v);
        if near(0.3, 0.4, 0.1) || near(0.7, 0.4, 0.1) || mouth {
            picture.put_pixel(left + x, top + y, Luma([30]));
        } else if near(0.5, 0.5, 0.5) {
            picture.put_pixel(left + x, top + y, Luma([215]));
        }
    }
}

/// Where photos have their face: left, top, side.
const FACES: [[u32; 3]; 2] = [[50, 30, 60], [20, 60, 70]];

struct Workplace {
    dir: tempfile::TempDir,
}

impl Workplace {
    /// Crops and backgrounds to train from.
    fn untrained() -> Self {
        let w = Self { dir: tempfile::tempdir().expect("folder") };
        let mut rng = Rng::new(9);
        for folder in ["crops", "backgrounds"] {
            fs::create_dir(w.path(folder)).expect("folder");
        }
        for i in 0..120 {
            let mut crop = scene(56, 56, &mut rng);
            draw_face(&mut crop, [0, 0], 56);
            crop.save(w.path(&format!("crops/{i:03}.png"))).expect("crop");
        }
        for i in 0..40 {
            let mut photo = scene(150, 130, &mut rng);
            if i == 9 {
                // Held out, and always taken: calibration needs something that is wrong.
                draw_face(&mut photo, [30, 40], 60);
            }
            photo.save(w.path(&format!("backgrounds/{i:03}.png"))).expect("photo");
        }
        w
    }

    /// Four photos below two folders: two faces, none, and a broken file; `tiny.cascade` finds the faces.
    fn new() -> Self {
        static CASCADE: OnceLock<String> = OnceLock::new();
        let trained = || {
            let w = Self::untrained();
            w.said(TRAIN, 0);
            fs::read_to_string(w.path("tiny.cascade")).expect("cascade")
        };
        let w = Self { dir: tempfile::tempdir().expect("folder") };
        fs::write(w.path("tiny.cascade"), CASCADE.get_or_init(trained)).expect("cascade");
        let mut rng = Rng::new(10);
        for (i, name) in ["photos/a/1.png", "photos/b/1.png", "photos/b/2.png"].iter().enumerate() {
            let mut photo = scene(170, 150, &mut rng);
            if let Some(&[x, y, side]) = FACES.get(i) {
                draw_face(&mut photo, [x, y], side);
            }
            fs::create_dir_all(w.path(name).parent().expect("folder")).expect("folder");
            photo.save(w.path(name)).expect("photo");
        }
        fs::write(w.path("photos/b/broken.jpg"), b"\xff\xd8\xff\xe0 no photo").expect("file");
        w
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Paths of all files below a folder, sorted.
    fn files(&self, folder: &str) -> Vec<String> {
        let mut folders = vec![self.path(folder)];
        let mut files = vec![];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("entry").path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        let name = |path: &PathBuf| {
            path.strip_prefix(self.path(folder)).expect("below").to_str().expect("text").into()
        };
        let mut names: Vec<String> = files.iter().map(name).collect();
        names.sort();
        names
    }

    fn output(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_likenet"));
        command.current_dir(self.dir.path()).args(line.split(' ')).output().expect("the program")
    }

    /// Runs a command, expects the exit status, gives what it said.
    fn said(&self, line: &str, status: i32) -> String {
        let output = self.output(line);
        let text = [&output.stdout, &output.stderr]
            .map(|b| String::from_utf8_lossy(b).into_owned())
            .concat();
        assert_eq!(output.status.code(), Some(status), "{line}\n{text}");
        text
    }
}

const TRAIN: &str = "faces train --faces crops --backgrounds backgrounds --out tiny.cascade \
                     --rounds 4,8 --copies 2 --negatives 2000 --roll 5";
const DETECT: &str = "faces detect photos --cascade tiny.cascade --confidence 0.1";
const FILTER: &str = "faces filter photos --cascade tiny.cascade --confidence 0.1";

#[test]
fn a_cascade_is_trained_and_its_report_written() {
    let w = Workplace::untrained();
    let text = w.said(&format!("{TRAIN} --report why"), 0);
    assert!(text.contains("120 crops, 40 backgrounds"), "{text}");
    assert!(text.contains("round 2 of 2: 216 windows") && text.contains("8 trees"), "{text}");
    assert_eq!(w.files("").iter().filter(|f| f.starts_with("tiny.cascade")).count(), 1, "{text}");
    let page = w.text("why/index.html");
    assert!(page.contains("<table>") && page.contains("<td>216</td>"), "{page}");
    let mut shown = page.split("src=\"").skip(1).map(|s| s.split('"').next().expect("a name"));
    assert!(shown.all(|name| w.path("why").join(name).is_file()), "{page}");
    let trees = image::open(w.path("why/trees.png")).expect("a picture");
    assert!(trees.width() > 320 && trees.to_rgb8().pixels().any(|p| p.0[0] != p.0[2]));
    assert_eq!(page.contains(".svg"), cfg!(feature = "plots"), "{page}");
    // The same again is the same to the last byte.
    let first = w.text("tiny.cascade");
    w.said(TRAIN, 0);
    assert!(first == w.text("tiny.cascade"), "another cascade");
}

#[test]
fn faces_are_found_and_written_in_every_form() {
    let w = Workplace::new();
    let text = w.said(&format!("{DETECT} --json f.json --csv f.csv --draw drawn/"), 1);
    assert!(text.contains("broken.jpg") && text.contains("1 broken"), "{text}");
    assert!(
        text.contains("4 photos, 2 with a face, 2 faces") && text.contains("120,000"),
        "{text}"
    );
    assert_eq!(w.text("f.json").lines().count(), 4);
    let json: Value = serde_json::from_str(&w.text("f.json")).expect("JSON");
    let photos = json.as_array().expect("photos");
    let names: Vec<&str> = photos.iter().map(|p| p["image"].as_str().expect("text")).collect();
    let all = ["photos/a/1.png", "photos/b/1.png", "photos/b/2.png", "photos/b/broken.jpg"];
    assert_eq!(names, all);
    let mut rows = vec![String::from("image,x,y,w,h,confidence")];
    for (photo, wanted) in photos.iter().zip(FACES.iter().map(Some).chain([None, None])) {
        let faces = photo["faces"].as_array().expect("faces");
        assert_eq!(faces.len(), usize::from(wanted.is_some()), "{photo}");
        let (Some(face), Some(wanted)) = (faces.first(), wanted) else { continue };
        let number = |key: &str| face[key].as_f64().expect("a number");
        let sides = [("x", wanted[0]), ("y", wanted[1]), ("w", wanted[2]), ("h", wanted[2])];
        for (key, side) in sides {
            let off = (number(key) - f64::from(side)).abs();
            assert!(off < 0.2 * f64::from(wanted[2]), "{key} of {photo}");
        }
        assert!((0.1..=1.0).contains(&number("confidence")));
        let cells = ["x", "y", "w", "h", "confidence"].map(|key| face[key].to_string());
        rows.push(format!("{},{}", photo["image"].as_str().expect("text"), cells.join(",")));
    }
    let plain = |text: &str| text.replace(".0,", ",");
    let csv: Vec<String> = w.text("f.csv").lines().map(plain).collect();
    assert_eq!(csv, rows.iter().map(|r| plain(r)).collect::<Vec<_>>());
    let drawn = w.files("drawn");
    assert_eq!(drawn.len(), 2, "{drawn:?}");
    for name in drawn {
        let picture = image::open(w.path("drawn").join(name)).expect("a picture").to_rgb8();
        assert_eq!(picture.dimensions(), (170, 150));
        // Only the box has a colour.
        assert!(picture.pixels().any(|p| p.0[0].abs_diff(p.0[1]) > 60));
    }
    let table = w.output(DETECT);
    let table = String::from_utf8_lossy(&table.stdout);
    assert_eq!(table.matches("photos/").count(), 2, "{table}");
    assert_eq!(
        w.said("faces detect photos/b/2.png --cascade tiny.cascade --json -", 0).lines().next(),
        Some("[{\"image\":\"photos/b/2.png\",\"faces\":[]}]")
    );
}

/// Runs a command that is cut off between its search and its output, since a folder has that name.
fn cut_off(w: &Workplace, line: &str, out: &str) -> PathBuf {
    fs::create_dir(w.path(out)).expect("folder");
    w.said(line, 2);
    fs::remove_dir(w.path(out)).expect("folder");
    w.path(&format!("{out}.part"))
}

#[test]
fn a_run_that_was_cut_off_goes_on() {
    let w = Workplace::new();
    let line = format!("{DETECT} --threads 1 --json f.json");
    w.said(&format!("{DETECT} --json whole.json"), 1);
    let journal = cut_off(&w, &line, "f.json");
    let lines = fs::read_to_string(&journal).expect("journal");
    // Two photos are known, the line of the third is torn; what is known of the first is believed.
    let mut lines: Vec<String> = lines.lines().map(String::from).collect();
    assert_eq!(lines.len(), 5, "{lines:?}");
    let believed = "{\"photo\":\"photos/a/1.png\",\"faces\":[[1.0,2.0,3.0,4.0,0.75]]}";
    lines[1] = believed.into();
    let torn = &lines[3][..lines[3].len() / 2];
    let known = format!("{}\n{torn}", lines[..3].join("\n"));
    fs::write(&journal, &known).expect("journal");
    let text = w.said(&line, 1);
    assert!(text.contains("2 resumed"), "{text}");
    let (whole, again) = (w.text("whole.json"), w.text("f.json"));
    let face = "[{\"image\":\"photos/a/1.png\",\"faces\":[{\"x\":1.0,\"y\":2.0,\"w\":3.0,\"h\":4.0,\"confidence\":0.75}]},";
    assert_eq!(again.lines().next(), Some(face));
    assert!(whole.lines().skip(1).eq(again.lines().skip(1)), "{whole}\n{again}");
    assert!(!journal.exists());
    // What other settings found does not count.
    fs::write(&journal, known).expect("journal");
    let text = w.said(&line.replace("0.1", "0.2"), 2);
    assert!(text.contains("f.json.part") && text.contains("other settings"), "{text}");
}

#[test]
fn nothing_is_drawn_over_a_photo() {
    let w = Workplace::new();
    // Drawn, a/1.png would be a photo's name.
    fs::copy(w.path("photos/a/1.png"), w.path("photos/a/1.jpg")).expect("copy");
    let all = w.files("photos");
    let before: Vec<_> =
        all.iter().map(|f| fs::read(w.path("photos").join(f)).expect("file")).collect();
    w.output(&format!("{DETECT} --draw photos"));
    for (name, before) in all.iter().zip(before) {
        assert!(before == fs::read(w.path("photos").join(name)).expect("file"), "{name}");
    }
    // Photos of one name in two folders are two drawings.
    w.said(
        "faces detect photos/a photos/b --cascade tiny.cascade --confidence 0.1 --draw drawn",
        1,
    );
    assert_eq!(w.files("drawn").len(), 3, "{:?}", w.files("drawn"));
}

#[test]
fn photos_of_faces_are_copied_with_their_folders() {
    let w = Workplace::new();
    let text = w.said(&format!("{FILTER} --keep people --rest others --list people.txt"), 1);
    assert!(text.contains("2 with a face") && text.contains("broken.jpg"), "{text}");
    assert_eq!(w.files("people"), ["a/1.png", "b/1.png"]);
    assert_eq!(w.files("others"), ["b/2.png"]);
    assert_eq!(w.text("people.txt"), "photos/a/1.png\nphotos/b/1.png\n");
    let same = |a: &str, b: &str| fs::read(w.path(a)).ok() == fs::read(w.path(b)).ok();
    assert!(same("people/a/1.png", "photos/a/1.png") && same("others/b/2.png", "photos/b/2.png"));
    assert_eq!(w.files("photos").len(), 4);
    // A list keeps the folders that it names; what is there stays.
    w.said(&format!("{} --keep people", FILTER.replace("photos", "people.txt")), 0);
    assert_eq!(w.files("people").len(), 4, "{:?}", w.files("people"));
    // A different file of that name is left alone, and the others are still copied.
    fs::write(w.path("people/a/1.png"), "mine").expect("file");
    fs::remove_file(w.path("people/b/1.png")).expect("file");
    let text = w.said(&format!("{FILTER} --keep people"), 1);
    assert!(text.contains("people/a/1.png") && text.contains("another file"), "{text}");
    assert_eq!(w.text("people/a/1.png"), "mine");
    assert!(same("people/b/1.png", "photos/b/1.png"));
}

#[test]
fn moved_photos_are_in_one_place_even_after_a_cut() {
    let w = Workplace::new();
    let line = format!("{FILTER} --keep people --rest others --list people.txt --move");
    assert!(cut_off(&w, &line, "people.txt").exists());
    // The first photo was moved before the cut; of the second one the original was not yet removed.
    for folder in ["people/a", "people/b"] {
        fs::create_dir_all(w.path(folder)).expect("folder");
    }
    fs::rename(w.path("photos/a/1.png"), w.path("people/a/1.png")).expect("move");
    fs::copy(w.path("photos/b/1.png"), w.path("people/b/1.png")).expect("copy");
    w.said(&line, 1);
    assert_eq!(w.files("people"), ["a/1.png", "b/1.png"]);
    assert_eq!(w.files("others"), ["b/2.png"]);
    assert_eq!(w.files("photos"), ["b/broken.jpg"]);
    assert_eq!(w.text("people.txt"), "photos/a/1.png\nphotos/b/1.png\n");
}

#[test]
fn what_cannot_be_done_is_said() {
    let w = Workplace::new();
    fs::create_dir(w.path("empty")).expect("folder");
    for (line, wants) in [
        (format!("{DETECT} --min-size 0"), "--min-size"),
        (format!("{DETECT} --min-size nan"), "--min-size"),
        (DETECT.replace("photos", "empty"), "no pictures in empty"),
        (DETECT.replace("tiny.cascade", "photos/a/1.png"), "no cascade"),
        (FILTER.into(), "--keep"),
        (format!("{FILTER} --keep photos/people"), "photos/people"),
        (TRAIN.replace("crops", "photos"), "at least 20"),
        (format!("{TRAIN} --crop 0.5,0.5"), "needs 3 numbers"),
    ] {
        let text = w.said(&line, 2);
        assert!(text.contains(wants), "{line}\n{text}");
    }
}
