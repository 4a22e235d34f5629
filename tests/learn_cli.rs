//! Learning from features, as users of the program do it.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Features of photos with mirrored copies: 60 photos of 20 people, two blobs of which one tells the label.
struct Workplace {
    dir: tempfile::TempDir,
}

const PHOTOS: usize = 60;
const WIDTH: usize = 24;

impl Workplace {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let w = Self { dir };
        let mut rng = likenet::rng::Rng::new(5);
        let liked = |photo: usize| photo.is_multiple_of(3);
        let (mut good, mut noise) = (vec![], vec![]);
        let (mut rows, mut labels) =
            (String::from("row,file,mirrored\n"), String::from("file,label,person\n"));
        for photo in 0..PHOTOS {
            let _ = writeln!(labels, "p/{photo}.jpg,{},{}", u8::from(liked(photo)), photo / 3);
            for mirrored in 0..2 {
                let _ = writeln!(rows, "{},p/{photo}.jpg,{mirrored}", 2 * photo + mirrored);
                for column in 0..WIDTH {
                    let shift = if column < 4 && liked(photo) { 1.5 } else { -0.7 };
                    good.push(rng.gaussian(shift, 1.0).max(0.0));
                    noise.push(rng.gaussian(-0.7, 1.0).max(0.0));
                }
            }
        }
        let bytes =
            |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let (rows_of_blob, size) = (2 * PHOTOS, 2 * PHOTOS * WIDTH * 4);
        let entry = |at: usize| {
            format!(
                "{{\"dtype\":\"F32\",\"shape\":[{rows_of_blob},{WIDTH}],\"data_offsets\":[{at},{}]}}",
                at + size
            )
        };
        let mut header = format!("{{\"fc6\":{},\"fc7\":{}}}", entry(0), entry(size));
        header += &" ".repeat(header.len().next_multiple_of(8) - header.len());
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend(bytes(&noise));
        file.extend(bytes(&good));
        fs::write(w.path("f.safetensors"), file).expect("features");
        fs::write(w.path("f.rows.csv"), rows).expect("rows");
        fs::write(w.path("labels.csv"), labels).expect("labels");
        w
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `likenet` with these arguments, in the folder.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_likenet"));
        command.current_dir(self.dir.path()).args(line.split(' '));
        command
    }

    /// Runs it, expects the exit status, gives what it said.
    fn said(&self, line: &str, status: i32) -> String {
        let output = self.command(line).output().expect("the program runs");
        let text = [&output.stdout, &output.stderr]
            .map(|b| String::from_utf8_lossy(b).into_owned())
            .concat();
        assert_eq!(output.status.code(), Some(status), "{line}\n{text}");
        text
    }
}

const DATA: &str = "f.safetensors --labels labels.csv";

#[test]
fn a_sweep_finds_the_blob_that_tells_and_draws_it() {
    let w = Workplace::new();
    let text = w.said(&format!("svm cv {DATA} --c 1e-3,1e-1 --plot ap.svg --plot ap.png --json ap.json --repeats 200 --group person"), 0);
    assert!(text.contains("fc7, flipped + normal") && text.contains("fc6, normal"), "{text}");
    assert!(
        text.contains("20 '1'") || text.contains("40 '1', 80 '0', 60 of them mirrored"),
        "{text}"
    );
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(w.path("ap.json")).expect("json")).expect("json");
    let ap = |curve: usize| -> f64 {
        let folds = json[curve]["results"][1]["folds"].as_array().expect("folds");
        assert_eq!(folds.len(), 5);
        folds.iter().map(|f| f["average_precision"].as_f64().expect("a number")).sum::<f64>() / 5.0
    };
    // Curves in order: fc6 normal, fc6 both, fc7 normal, fc7 both.
    assert!(ap(2) > 0.9 && ap(3) > 0.9 && ap(0) < 0.8, "{text}");
    assert!(fs::read_to_string(w.path("ap.svg")).expect("svg").contains("<svg"));
    assert!(image::open(w.path("ap.png")).is_ok());
    assert_eq!(json[2]["chance"].as_f64(), Some(20.0 / 60.0));
}

#[test]
fn models_are_trained_saved_and_used() {
    let w = Workplace::new();
    let text = w.said(
        &format!(
            "svm train {DATA} --blob fc7 --c 0.1 --holdout 0.25 --calibrate --out svm.safetensors"
        ),
        0,
    );
    assert!(
        text.contains("converged")
            && text.contains("kept back")
            && text.contains("wrote svm.safetensors"),
        "{text}"
    );
    let text = w.said(
        &format!("svm predict svm.safetensors {DATA} --blob fc7 --ranked --out scores.csv"),
        0,
    );
    assert!(
        text.contains("average precision 0.9") || text.contains("average precision 1"),
        "{text}"
    );
    let scores = fs::read_to_string(w.path("scores.csv")).expect("scores");
    let best: Vec<&str> = scores.lines().nth(1).expect("a row").split(',').collect();
    assert_eq!(best.last(), Some(&"1"), "{scores}");
    assert!(best[3].parse::<f64>().expect("a probability") > 0.5, "{scores}");
    assert_eq!(scores.lines().count(), 2 * PHOTOS + 1);
    let text =
        w.said(&format!("forest train {DATA} --blob fc7 --trees 40 --out forest.safetensors"), 0);
    assert!(
        text.contains("out of bag: average precision 0.")
            || text.contains("out of bag: average precision 1"),
        "{text}"
    );
    w.said(&format!("forest predict forest.safetensors {DATA} --blob fc7 --out f.csv"), 0);
    let text = w.said("forest inspect forest.safetensors", 0);
    assert!(text.contains("40 trees") && text.contains("importances"), "{text}");
    let text = w.said("svm inspect svm.safetensors", 0);
    assert!(text.contains("largest weights") || text.contains("weights"), "{text}");
    let other = w.said(&format!("svm predict svm.safetensors {DATA} --blob fc6"), 2);
    assert!(other.contains("the features are fc6 and the model learned from fc7"), "{other}");
    let other = w.said(&format!("svm predict svm.safetensors {DATA}"), 2);
    assert!(other.contains("name one of its blobs: fc6"), "{other}");
    let text = w.said(
        &format!("svm train {DATA} --blob fc7 --solver mllib --intercept --regularisation 1e-4"),
        0,
    );
    assert!(text.contains("100 iterations"), "{text}");
}

#[test]
fn classifiers_are_compared() {
    let w = Workplace::new();
    let text = w.said(
        &format!("compare {DATA} --trees 20 --folds 4 --c 1e-2,1e-1 --out c.md --out c.html"),
        0,
    );
    for row in ["fc6, normal", "fc6, flipped + normal", "fc7, normal", "fc7, flipped + normal"] {
        assert!(text.contains(row), "{text}");
    }
    let markdown = fs::read_to_string(w.path("c.md")).expect("report");
    assert!(
        markdown.contains("LinearSVC |") && markdown.matches(" ± ").count() >= 12,
        "{markdown}"
    );
    assert!(fs::read_to_string(w.path("c.html")).expect("report").contains("<table>"));
}

#[test]
fn what_cannot_be_done_is_said() {
    let w = Workplace::new();
    for (line, wants) in [
        ("svm train f.safetensors --blob fc7".to_string(), "no labels"),
        (format!("svm train {DATA} --blob fc8"), "fc8"),
        (format!("svm train {DATA} --blob fc7 --c=-1"), "C is -1"),
        (format!("svm train {DATA} --blob fc7 --loss hinge --penalty l1"), "smooth loss"),
        (format!("svm train {DATA} --blob fc7 --out model.json"), "model.json"),
        (format!("svm cv {DATA} --folds 100"), "100"),
        (format!("svm cv {DATA} --plot ap.gif"), "ap.gif"),
        (format!("forest cv {DATA} --plot ap.svg"), "against C"),
        (format!("forest train {DATA} --blob fc7 --trees 0"), "a tree"),
        (format!("compare {DATA} --out c.txt"), "c.txt"),
        (format!("svm predict labels.csv {DATA} --blob fc7"), "labels.csv"),
    ] {
        let text = w.said(&line, 2);
        assert!(text.contains(wants), "{line}\n{text}");
    }
    let line = format!("svm train {DATA} --blob fc7");
    let forced = w.command(&line).env("LIKENET_ISA", "mmx").output().expect("the program runs");
    let said = String::from_utf8_lossy(&forced.stderr);
    assert!(forced.status.code() == Some(2) && said.contains("'mmx' is not to be had"), "{said}");
    let text =
        w.said(&format!("svm train {DATA} --blob fc6 --loss hinge --c 1e5 --max-iterations 1"), 1);
    assert!(text.contains("did NOT converge"), "{text}");
}
