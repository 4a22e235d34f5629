//! `likenet train` as its users call it: stopped, killed, resumed, and with all that can be wrong.

mod common;

use common::golden;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use weights_tools::{Blob, LayerWeights, MemoryWeights, WeightsFile};

/// All that is random: order, crop, mirroring, dropout, fillers.
const NET: &str = r#"
name: "small"
layer { name: "data" type: "ImageData" top: "data" top: "label" include { phase: TRAIN }
        transform_param { scale: 0.00390625 mean_value: 110 crop_size: 12 mirror: true }
        image_data_param { source: "list.txt" batch_size: 6 shuffle: true } }
layer { name: "data" type: "ImageData" top: "data" top: "label" include { phase: TEST }
        transform_param { scale: 0.00390625 mean_value: 110 crop_size: 12 }
        image_data_param { source: "test.txt" batch_size: 8 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
        pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "drop" type: "Dropout" bottom: "pool" top: "pool"
        dropout_param { dropout_ratio: 0.3 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
        inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy"
        include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"#;

const SOLVER: &str = r#"net: "net.prototxt"
test_iter: 2
test_interval: 10
base_lr: 0.05
momentum: 0.9
weight_decay: 0.005
lr_policy: "step"
gamma: 0.7
stepsize: 15
average_loss: 4
display: 10
max_iter: 40
snapshot: 5
snapshot_prefix: "out/small"
random_seed: 7
"#;

struct Workplace {
    dir: tempfile::TempDir,
}

impl Workplace {
    /// Forty pictures of 16 × 16 in two classes, a network and a solver.
    fn new() -> Self {
        let w = Self { dir: tempfile::tempdir().expect("folder") };
        let list = fs::read_to_string(golden("training/tiny/train16.txt")).expect("list");
        fs::create_dir(w.path("images16")).expect("folder");
        for line in list.lines() {
            let name = line.split(' ').next().expect("a name");
            fs::copy(golden("training/tiny").join(name), w.path(name)).expect("picture");
        }
        w.write("list.txt", &list);
        w.write("test.txt", &list.lines().take(16).map(|l| format!("{l}\n")).collect::<String>());
        w.write("net.prototxt", NET);
        w.write("solver.prototxt", SOLVER);
        w
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// A solver that differs from [`SOLVER`] by a text replaced, with snapshots in another folder.
    fn solver(&self, folder: &str, from: &str, to: &str) -> String {
        assert!(SOLVER.contains(from), "{from}");
        let file = format!("{folder}.prototxt");
        self.write(&file, &SOLVER.replace("out/", &format!("{folder}/")).replace(from, to));
        file
    }

    fn command(&self, solver: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_likenet"));
        let threads: &[&str] = if args.contains(&"--threads") { &[] } else { &["--threads", "1"] };
        command.args(["train", "--solver", solver]).args(args).args(threads);
        command.current_dir(self.dir.path());
        command
    }

    /// What a training that must end with this status printed: standard output and error.
    fn ends(&self, status: i32, solver: &str, args: &[&str]) -> [String; 2] {
        let Output { status: got, stdout, stderr } =
            self.command(solver, args).output().expect("the program");
        let text = [stdout, stderr].map(|bytes| String::from_utf8(bytes).expect("text"));
        assert_eq!(got.code(), Some(status), "{solver} {args:?}: {text:?}");
        text
    }

    fn ok(&self, solver: &str, args: &[&str]) -> String {
        let [stdout, _] = self.ends(0, solver, args);
        stdout
    }

    fn fails(&self, solver: &str, args: &[&str]) -> String {
        let [stdout, stderr] = self.ends(2, solver, args);
        assert_eq!(stdout, "");
        assert!(!stderr.contains("panicked"), "{stderr}");
        stderr
    }

    fn start(&self, solver: &str, args: &[&str]) -> Child {
        let mut command = self.command(solver, args);
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program")
    }

    /// The log's records without what depends on the clock.
    fn log(&self, folder: &str) -> Vec<Value> {
        let text = String::from_utf8(self.read(&format!("{folder}/log.jsonl"))).expect("text");
        let record = |line: &str| {
            let mut record: Value = serde_json::from_str(line).expect("JSON");
            let fields = record.as_object_mut().expect("an object");
            for clock in ["images_per_s", "seconds"] {
                fields.remove(clock);
            }
            record
        };
        text.lines().map(record).collect()
    }

    /// Waits until the log has so many lines.
    fn wait_for_lines(&self, folder: &str, lines: usize) {
        let begun = Instant::now();
        let log = self.path(&format!("{folder}/log.jsonl"));
        while fs::read_to_string(&log).map_or(0, |text| text.lines().count()) < lines {
            assert!(begun.elapsed() < Duration::from_secs(60), "no {lines} lines in a minute");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Both trainings ended with the same weights and state, and did the same on the way.
    fn assert_equal_ends(&self, a: &str, b: &str, iter: usize) {
        let file =
            |folder: &str, end: &str| self.read(&format!("{folder}/small_iter_{iter}.{end}"));
        assert!(file(a, "caffemodel") == file(b, "caffemodel"), "{a} and {b}: weights");
        let state = |folder: &str| {
            let path = self.path(&format!("{folder}/small_iter_{iter}.solverstate"));
            let state = weights_tools::read_solverstate(&path).expect("a state");
            (state.history, state.extra, state.current_step)
        };
        assert!(state(a) == state(b), "{a} and {b}: states");
        assert_eq!(self.log(a), self.log(b), "{a} and {b}: logs");
    }
}

/// The files of a folder with their contents.
fn contents(folder: PathBuf) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("entry").path());
    let mut files: Vec<_> = paths.map(|p| (p.clone(), fs::read(p).expect("a file"))).collect();
    files.sort();
    files
}

#[test]
fn a_training_leaves_log_curves_and_snapshots() {
    let w = Workplace::new();
    let [stdout, stderr] = w.ends(0, "solver.prototxt", &[]);
    let log = w.log("out");
    let steps: Vec<&Value> = log.iter().filter(|r| r.get("test").is_none()).collect();
    assert_eq!(steps.len(), 40);
    for (i, step) in steps.iter().enumerate() {
        assert_eq!(step["iter"], i);
        assert!(step["loss"].as_f64().is_some_and(|loss| loss > 0.0), "{step}");
        let rate = 0.05 * 0.7f64.powi(i as i32 / 15);
        assert!((step["lr"].as_f64().expect("a rate") - rate).abs() < 1e-7, "{step}");
    }
    let tests: Vec<&Value> = log.iter().filter(|r| r.get("test").is_some()).collect();
    assert_eq!(tests.len(), 5);
    for (i, test) in tests.iter().enumerate() {
        assert_eq!(test["iter"], 10 * i);
        let accuracy = test["outputs"]["accuracy"].as_f64().expect("an accuracy");
        assert!((0.0..=1.0).contains(&accuracy) && test["outputs"]["loss"].is_number());
        let line = format!("iteration {}, test 0: accuracy {accuracy:.4}, loss ", 10 * i);
        assert!(stderr.contains(&line), "{stderr}");
    }
    for iter in (5..=40).step_by(5) {
        assert!(w.exists(&format!("out/small_iter_{iter}.caffemodel")));
        assert!(w.exists(&format!("out/small_iter_{iter}.solverstate")));
    }
    assert!(String::from_utf8_lossy(&w.read("out/curves.svg")).starts_with("<svg"));
    assert!(stdout.starts_with("done after 40 iterations"), "{stdout}");
    assert!(stdout.contains("weights: out/small_iter_40.caffemodel\n"), "{stdout}");
    assert!(stdout.contains("accuracy ") && stdout.contains(" (iteration 40)\n"), "{stdout}");
    // Nothing is measured yet: no speed that would mislead.
    let first = stderr.lines().find(|line| line.starts_with("Iteration 0")).expect("a line");
    assert!(first.ends_with("lr = 0.05"), "{first}");

    let unsaved = w.solver("unsaved", "snapshot: 5", "snapshot_after_train: false");
    let stdout = w.ok(&unsaved, &["--curves", "unsaved/c.png"]);
    assert!(stdout.contains("weights: not saved"), "{stdout}");
    assert!(w.read("unsaved/c.png").starts_with(b"\x89PNG"));
}

/// Kills a training again and again, until it is done.
fn kill_and_resume(w: &Workplace, solver: &str, whole: Duration) -> usize {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time");
    let mut random = now.as_nanos() as u64;
    let mut kills = 0;
    loop {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // Somewhat longer each time, so that it gets done.
        let share = 0.1 + 0.4 * (random >> 40) as f64 / (1u64 << 24) as f64 + 0.05 * kills as f64;
        let mut child = w.start(solver, &["--resume"]);
        std::thread::sleep(whole.mul_f64(share));
        child.kill().expect("kill");
        if child.wait().expect("an end").code().is_some() {
            return kills;
        }
        println!("{solver}: killed after {share:.3} of {whole:?}");
        kills += 1;
        assert!(kills < 60, "no progress");
    }
}

#[test]
fn killed_anywhere_and_resumed_it_ends_with_the_same_bits() {
    let w = Workplace::new();
    // Snapshots at each iteration: most of the time, one is being written.
    for (snapshot, iterations) in [("snapshot: 5", 300), ("snapshot: 1", 60)] {
        let [whole, killed] = ["whole", "killed"].map(|f| format!("{f}{iterations}"));
        let iterations = format!("max_iter: {iterations}\n{snapshot}");
        let solvers = [&whole, &killed]
            .map(|folder| w.solver(folder, "max_iter: 40\nsnapshot: 5", &iterations));
        let begun = Instant::now();
        w.ok(&solvers[0], &[]);
        let kills = kill_and_resume(&w, &solvers[1], begun.elapsed());
        assert!(kills > 0, "no training was killed");
        let last = w.log(&whole).last().expect("a record")["iter"].as_u64().expect("a number");
        w.assert_equal_ends(&whole, &killed, last as usize);
    }
}

#[cfg(unix)]
#[test]
fn interrupted_it_saves_where_it_is_and_goes_on_the_same() {
    let w = Workplace::new();
    let long = "max_iter: 400\nsnapshot: 0";
    let [whole, stopped] =
        ["whole", "stopped"].map(|folder| w.solver(folder, "max_iter: 40\nsnapshot: 5", long));
    w.ok(&whole, &[]);
    for (signal, lines) in [("-INT", 20), ("-TERM", 120)] {
        let child = w.start(&stopped, &["--resume"]);
        w.wait_for_lines("stopped", lines);
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
        let out = child.wait_with_output().expect("an end");
        let stdout = String::from_utf8_lossy(&out.stdout);
        assert_eq!(out.status.code(), Some(0), "{stdout}");
        assert!(stdout.starts_with("stopped after ") && stdout.contains("--resume"), "{stdout}");
        let iter: usize = stdout.split(' ').nth(2).and_then(|n| n.parse().ok()).expect("a number");
        assert!(iter < 400, "{stdout}");
        let weights = format!("stopped/small_iter_{iter}.caffemodel");
        assert!(stdout.contains(&format!("weights: {weights}\n")) && w.exists(&weights));
    }
    w.ok(&stopped, &["--resume"]);
    w.assert_equal_ends("whole", "stopped", 400);
}

#[test]
fn an_earlier_training_is_not_lost_by_mistake() {
    let w = Workplace::new();
    w.ok("solver.prototxt", &[]);
    let before = contents(w.path("out"));
    let error = w.fails("solver.prototxt", &["--seed", "8"]);
    assert!(error.contains("out/small_iter_40.solverstate is of an earlier training"), "{error}");
    assert!(error.contains("--resume") && error.contains("--overwrite"), "{error}");
    let other = w.solver("out", "small", "other");
    let error = w.fails(&other, &[]);
    assert!(error.contains("out/log.jsonl is of an earlier training"), "{error}");
    assert!(contents(w.path("out")) == before);
    // What --overwrite began is what --resume goes on with, though the old training was longer.
    let begin = ["--seed", "8", "--overwrite", "--max-iter", "12"];
    w.fails("solver.prototxt", &[&begin[..], &["--curves", "list.txt/c.svg"]].concat());
    assert!(w.exists("out/small_iter_40.solverstate"), "nothing began");
    w.ok("solver.prototxt", &begin);
    let [_, stderr] =
        w.ends(0, "solver.prototxt", &["--seed", "8", "--resume", "--max-iter", "14"]);
    assert!(stderr.contains("going on from out/small_iter_12.solverstate"), "{stderr}");
    assert_eq!(w.log("out").iter().filter(|r| r.get("test").is_none()).count(), 14);
}

#[test]
fn a_snapshot_that_does_not_fit_changes_nothing() {
    let w = Workplace::new();
    w.ok("solver.prototxt", &["--max-iter", "5"]);
    let state = "out/small_iter_5.solverstate";
    w.write("adam.prototxt", &SOLVER.replace("out/", "new/").replace("net:", "type: 'Adam'\nnet:"));
    w.write("net2.prototxt", &NET.replace("num_output: 4", "num_output: 5"));
    w.write("net3.prototxt", &NET.replace("\"conv\"", "\"conv9\""));
    let whole = w.read(state);
    fs::write(w.path("cut.solverstate"), &whole[..whole.len() / 2]).expect("a file");
    fs::create_dir(w.path("lone")).expect("a folder");
    let mut lone = weights_tools::read_solverstate(&w.path(state)).expect("a state");
    lone.learned_net = "gone.caffemodel".into();
    weights_tools::write_solverstate(&w.path("lone/s.solverstate"), &lone).expect("a state");
    let [wide, renamed] = ["net2", "net3"].map(|net| {
        let text = SOLVER.replace("out/", "new/").replace("\"net.", &format!("\"{net}."));
        w.write(&format!("{net}.solver.prototxt"), &text);
        format!("{net}.solver.prototxt")
    });
    let same = w.solver("new", "small", "s");
    for (solver, state, wanted) in [
        ("adam.prototxt", state, ["small_iter_5.solverstate: 4 arrays of history", "has 8"]),
        (&wide, state, ["small_iter_5.caffemodel", "layer 'conv'"]),
        (&renamed, state, ["small_iter_5.caffemodel", "no layer 'conv9'"]),
        (&same, "cut.solverstate", ["cut.solverstate", "damaged"]),
        (&same, "none.solverstate", ["none.solverstate", "No such file"]),
        (&same, "lone/s.solverstate", ["lone/s.solverstate: its weights", "gone.caffemodel"]),
        (&same, "out/small_iter_5.caffemodel", ["small_iter_5.caffemodel", "not a .solverstate"]),
    ] {
        let error = w.fails(solver, &["--snapshot", state]);
        assert!(wanted.iter().all(|part| error.contains(part)), "{solver} {state}: {error}");
        assert!(!w.exists("new"), "{solver} {state}");
    }
    w.ok(&same, &["--snapshot", state, "--max-iter", "6"]);
}

#[test]
fn a_broken_picture_is_named() {
    let w = Workplace::new();
    w.write("images16/03.png", "no picture");
    let error = w.fails("solver.prototxt", &[]);
    assert!(error.contains("images16/03.png"), "{error}");
    let [stdout, stderr] = w.ends(1, "solver.prototxt", &["--skip-broken", "--overwrite"]);
    assert!(stdout.starts_with("done after 40"), "{stdout}");
    assert!(stderr.contains("left out images16/03.png: "), "{stderr}");
    fs::remove_file(w.path("images16/05.png")).expect("removed");
    let [_, stderr] = w.ends(1, "solver.prototxt", &["--skip-broken", "--overwrite"]);
    assert!(stderr.contains("left out images16/05.png: "), "{stderr}");
}

/// Weights of one layer, all of this value.
fn layer(name: &str, shape: &[usize], value: f32) -> LayerWeights {
    let blob = |shape: &[usize]| {
        let data = vec![value; shape.iter().product()];
        Blob { shape: shape.to_vec(), data }
    };
    let kind = if shape.len() == 4 { "Convolution" } else { "InnerProduct" };
    LayerWeights {
        name: name.into(),
        kind: kind.into(),
        blobs: vec![blob(shape), blob(&shape[..1])],
    }
}

#[test]
fn later_weights_win_and_those_that_do_not_fit_are_named() {
    let w = Workplace::new();
    let save = |file: &str, layers: Vec<LayerWeights>| {
        let weights = MemoryWeights::new(layers);
        weights_tools::write_caffemodel(&w.path(file), "n", &weights).expect("weights");
    };
    let (conv, fc) = ([4, 3, 3, 3], [2, 100]);
    save("a.caffemodel", vec![layer("conv", &conv, 1.0), layer("fc", &fc, 1.0)]);
    save("b.caffemodel", vec![layer("fc", &fc, 2.0), layer("unknown", &[7, 3], 2.0)]);
    save("c.caffemodel", vec![layer("fc", &[2, 99], 3.0)]);
    let values = |folder: &str| {
        let file = WeightsFile::open(&w.path(&format!("{folder}/small_iter_0.caffemodel")));
        let file = file.expect("weights");
        ["conv", "fc"].map(|name| file.read(name, 0).expect("an array").data[0])
    };
    let solver = w.solver("ab", "out", "out");
    w.ok(&solver, &["--weights", "a.caffemodel,b.caffemodel", "--max-iter", "0"]);
    assert_eq!(values("ab"), [1.0, 2.0]);
    let solver = w.solver("ba", "out", "out");
    w.ok(&solver, &["--weights", "b.caffemodel,a.caffemodel", "--max-iter", "0"]);
    assert_eq!(values("ba"), [1.0, 1.0]);
    // What no file has begins as its filler says.
    let solver = w.solver("only-b", "net:", "weights: 'b.caffemodel'\nnet:");
    w.ok(&solver, &["--max-iter", "0"]);
    let [conv, fc] = values("only-b");
    assert!(fc == 2.0 && conv != 0.0 && conv != 1.0, "{conv} {fc}");
    let solver = w.solver("new", "out", "out");
    let error = w.fails(&solver, &["--weights", "a.caffemodel,c.caffemodel"]);
    assert!(error.contains("c.caffemodel") && error.contains("'fc'"), "{error}");
    let error = w.fails(&solver, &["--weights", "none.caffemodel"]);
    assert!(error.contains("none.caffemodel"), "{error}");
    assert!(!w.exists("new"));
}

#[test]
fn it_stops_when_tests_become_no_better_resumed_or_not() {
    let w = Workplace::new();
    // Nothing is learnt: no test is better than the first.
    for (folder, first) in [("whole", None), ("resumed", Some("15"))] {
        let solver = w.solver(folder, "base_lr: 0.05", "base_lr: 0");
        if let Some(first) = first {
            w.ok(&solver, &["--early-stop", "2", "--max-iter", first]);
        }
        let stdout = w.ok(&solver, &["--early-stop", "2", "--resume"]);
        assert!(stdout.starts_with("stopped early after 20 iterations"), "{folder}: {stdout}");
        assert!(stdout.contains(": tests became no better\n"), "{stdout}");
        assert!(w.exists(&format!("{folder}/small_iter_20.solverstate")));
    }
}

#[test]
fn seeds_decide_and_threads_do_not() {
    let w = Workplace::new();
    let run = |folder: &str, args: &[&str]| {
        w.ok(&w.solver(folder, "out", "out"), &[&["--max-iter", "20"], args].concat());
        let file = WeightsFile::open(&w.path(&format!("{folder}/small_iter_20.caffemodel")));
        file.expect("weights").read("fc", 0).expect("an array").data
    };
    let first = run("first", &[]);
    assert_eq!(run("again", &[]), first);
    w.assert_equal_ends("first", "again", 20);
    assert_eq!(run("same", &["--seed", "7"]), first);
    assert_ne!(run("other", &["--seed", "8"]), first);
    let two = run("two", &["--threads", "2"]);
    assert_eq!(run("two-again", &["--threads", "2"]), two);
    let error = common::relative_error(&two, &first);
    assert!(error < 1e-4, "{error:e}");
}

#[test]
fn snapshots_for_caffe_hold_nothing_more() {
    let w = Workplace::new();
    let solver = w.solver("compat", "out", "out");
    w.ok("solver.prototxt", &["--max-iter", "5"]);
    w.ok(&solver, &["--max-iter", "5", "--caffe-compat"]);
    let [ours, caffes] = ["out", "compat"].map(|folder| {
        let path = w.path(&format!("{folder}/small_iter_5.solverstate"));
        weights_tools::read_solverstate(&path).expect("a state")
    });
    assert!(ours.extra.is_some() && caffes.extra.is_none());
    assert_eq!(ours.history, caffes.history);
    for args in [&["--resume"][..], &["--resume", "--caffe-compat"]] {
        let [stdout, stderr] = w.ends(0, &solver, args);
        assert!(stderr.contains("going on from compat/small_iter_"), "{stderr}");
        assert!(stdout.starts_with("done after 40"), "{stdout}");
    }
    // Ours resumed as Caffe would.
    w.ok("solver.prototxt", &["--resume", "--caffe-compat"]);
}

#[test]
fn a_loss_that_runs_away_ends_it_and_the_last_snapshot_is_usable() {
    let w = Workplace::new();
    let rising = "lr_policy: \"exp\"\nmax_iter: 400\nsnapshot: 1\ntest_interval: 1000\n";
    let fixed = ["lr_policy: \"step\"", "max_iter: 40", "snapshot: 5", "test_interval: 10"];
    let mut text = fixed.iter().fold(SOLVER.to_string(), |text, line| text.replace(line, ""));
    text = text.replace("gamma: 0.7", "gamma: 10");
    w.write("rising.prototxt", &format!("{text}{rising}"));
    let error = w.fails("rising.prototxt", &[]);
    assert!(error.contains("the loss is NaN") && error.contains("lower base_lr"), "{error}");
    assert!(!w.log("out").is_empty());
    let states = contents(w.path("out")).into_iter().filter_map(|(path, _)| {
        let name = path.file_name()?.to_str()?.to_string();
        name.strip_prefix("small_iter_")?.strip_suffix(".solverstate")?.parse::<usize>().ok()
    });
    let last = states.max().expect("a snapshot");
    let file = WeightsFile::open(&w.path(&format!("out/small_iter_{last}.caffemodel")));
    let file = file.expect("weights");
    for name in ["conv", "fc"] {
        let weights = file.read(name, 0).expect("an array").data;
        assert!(weights.iter().all(|w| w.is_finite()), "iteration {last}, {name}");
    }
}

#[test]
fn errors_of_a_solver_have_their_line() {
    let w = Workplace::new();
    for (from, to, wanted) in [
        ("base_lr: 0.05", "base_lr: -1", ":4: base_lr: -1"),
        ("base_lr: 0.05", "base_lr: x", ":4: in base_lr: "),
        ("momentum: 0.9", "momentum: 1", ":5: momentum: 1"),
        ("lr_policy: \"step\"", "lr_policy: \"stairs\"", ":7: lr_policy: unknown policy 'stairs'"),
        ("gamma: 0.7", "gammma: 0.7", ":8: in gammma: "),
        ("max_iter: 40", "", "max_iter: is missing"),
        ("\"net.prototxt\"", "\"none.prototxt\"", "not found: none.prototxt"),
        ("random_seed: 7", "type: \"Newton\"", ":15: type: unknown solver 'Newton'"),
    ] {
        let error = w.fails(&w.solver("new", from, to), &[]);
        assert!(error.starts_with("likenet: ") && error.contains(wanted), "{error}");
        assert!(!w.exists("new"), "{to}");
    }
    for (args, wanted) in [
        (&["--threads", "5000"][..], "5000"),
        (&["--resume", "--overwrite"], "cannot be used with"),
        (&["--early-stop", "0"], "0 is not in 1.."),
        (&["--curves", "c.pdf"], "c.pdf: curves are drawn as .svg or .png"),
    ] {
        let error = w.fails("solver.prototxt", args);
        assert!(error.contains(wanted), "{args:?}: {error}");
        assert!(!w.exists("out/log.jsonl"), "{args:?}");
    }
}

#[test]
fn where_nothing_can_be_written_it_does_not_begin() {
    let w = Workplace::new();
    let solver = w.solver("list.txt", "out", "out");
    for args in [&[][..], &["--log", "log.jsonl"]] {
        let error = w.fails(&solver, args);
        assert!(error.contains("list.txt/small: nothing can be written to its folder"), "{error}");
        assert!(!w.exists("log.jsonl"));
    }
    fs::create_dir_all(w.path("folder/log.jsonl")).expect("a folder");
    let error = w.fails("solver.prototxt", &["--log", "folder/log.jsonl"]);
    assert!(error.contains("folder/log.jsonl: not a file"), "{error}");
    // A folder that stands where a snapshot belongs: found out only then.
    fs::create_dir_all(w.path("out/small_iter_5.caffemodel")).expect("a folder");
    let error = w.fails("solver.prototxt", &[]);
    assert!(error.contains("small_iter_5.caffemodel"), "{error}");
    assert_eq!(w.log("out").len(), 6);
}

#[cfg(unix)]
#[test]
fn after_a_full_disk_it_goes_on_the_same() {
    let w = Workplace::new();
    let untested = "test_interval: 1000\ntest_initialization: false";
    let [whole, full] = ["whole", "full"].map(|f| w.solver(f, "test_interval: 10", untested));
    w.ok(&whole, &[]);
    // Files of 2 KiB at most: room for a snapshot, but not for the log.
    let limit = "trap '' XFSZ; ulimit -f 4; exec \"$@\"";
    let train = ["train", "--threads", "1", "--solver", &full];
    let mut command = Command::new("sh");
    command.args(["-c", limit, "sh", env!("CARGO_BIN_EXE_likenet")]).args(train);
    let out = command.current_dir(w.dir.path()).output().expect("the program");
    let error = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{error}");
    assert!(error.contains("likenet: full/log.jsonl: File too large"), "{error}");
    w.ok(&full, &["--resume"]);
    w.assert_equal_ends("whole", "full", 40);
}
