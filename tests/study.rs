//! The whole study on a simulated network: sources, faults, kills, two runs at once, a person who is forgotten.

#![cfg(feature = "study")]

use likenet::photos::simulate::{Faults, Options, Server, Settings, World};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

fn likenet(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_likenet"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    likenet(arguments).output().expect("the program runs")
}

fn good(arguments: &[&str]) -> String {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

fn server(photos: usize, options: Options) -> Server {
    let settings = Settings { photos, users: photos / 6, side: 240, ..Settings::default() };
    let world = World::new(settings).expect("a world");
    Server::begin(Arc::new(world), options).expect("a server")
}

/// Writes the settings of a small study.
fn study(folder: &Path, collect: &str) -> PathBuf {
    let path = folder.join("likenet.toml");
    let text = format!(
        "folder = 'data'\n[collect]\ncontact = 'mailto:test@localhost'\nrate = 200.0\npatience = 60\n{collect}\n\
         [download]\nrate = 0.0\nper_host = 8\npatience = 60\n[compare]\nc = [1e-5, 1e-4]\ntrees = 10\n\
         iterations = 10\nfolds = 3\n[features]\nlayers = ['pool5']\n[finetune]\niterations = 12\nbatch = 16\n\
         snapshot = 4\n[report]\nrepeats = 50\n"
    );
    std::fs::write(&path, text).expect("room");
    path
}

fn mastodon(server: &Server) -> String {
    format!("source = 'mastodon'\nurl = '{}'\ntag = 'me'", server.url())
}

/// Every table of a study, as text.
fn tables(config: &Path) -> BTreeMap<&'static str, String> {
    let out = config.with_file_name("table.csv");
    let names = ["photos", "users", "faces", "scores", "comparisons", "models", "counts"];
    let read = |name: &'static str| {
        let [config, out_name] = [config, &out].map(|path| path.to_str().expect("text"));
        good(&["export", config, "--table", name, "--out", out_name]);
        (name, std::fs::read_to_string(&out).expect("a table"))
    };
    names.map(read).into()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn a_study_that_is_killed_and_killed_again_ends_as_one_that_was_not() {
    let faults = Faults { errors: 0.02, slow: 0.0, cut: 0.02, html: 0.02 };
    let server = server(260, Options { faults, ..Options::default() });
    let [whole, killed] = [0, 1].map(|_| tempfile::tempdir().expect("a folder"));
    let config = study(whole.path(), &mastodon(&server));
    good(&["run", text(&config)]);
    let wanted = tables(&config);
    assert!(wanted["models"].lines().count() == 4, "{}", wanted["models"]);

    let config = study(killed.path(), &mastodon(&server));
    let mut kills = 0;
    for round in 0..20u64 {
        let mut child =
            likenet(&["run", text(&config)]).stderr(Stdio::null()).spawn().expect("runs");
        // Spread over the whole of a run, never at the same place.
        std::thread::sleep(Duration::from_millis(30 + (round * 7919) % 670));
        if child.try_wait().expect("a child").is_none() {
            child.kill().expect("SIGKILL");
            kills += 1;
        }
        child.wait().expect("an end");
    }
    let reached = String::from_utf8_lossy(&run(&["status", text(&config)]).stdout).into_owned();
    let reached = reached.lines().filter(|line| line.contains(" done ")).count();
    good(&["run", text(&config)]);
    println!(
        "study: {kills} of 20 runs were killed; {reached} of 9 stages were done before the last one"
    );
    assert!(kills >= 3, "the runs were too fast to be killed");
    let got = tables(&config);
    for (name, table) in &wanted {
        assert_eq!(&got[name], table, "table {name}");
    }
    let files = |folder: &Path| {
        let folders = std::fs::read_dir(folder.join("data/photos")).expect("photos");
        let files = folders.flat_map(|f| std::fs::read_dir(f.expect("one").path()).expect("files"));
        let mut files: Vec<_> = files.map(|f| f.expect("one").file_name()).collect();
        files.sort();
        files
    };
    let photos = files(killed.path());
    assert_eq!(photos, files(whole.path()), "a photo twice, or lost, or half of one");
    assert!(photos.iter().all(|name| name.to_string_lossy().ends_with(".jpg")));
    // Nothing is done again.
    let said = good(&["run", text(&config)]);
    assert_eq!(said.matches("(as before)").count(), 9, "{said}");
}

#[test]
fn three_networks_tell_of_the_same_photos() {
    let server = server(220, Options { calls: 15, window: 1, ..Options::default() });
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token.txt");
    std::fs::write(&token, "first-token\nsecond-token\n").expect("room");
    let url = server.url();
    let collects = [
        ("mastodon", mastodon(&server)),
        (
            "v1",
            format!(
                "source = 'instagram-v1'\nurl = '{url}'\ntag = 'me'\ntoken_file = '../token.txt'"
            ),
        ),
        (
            "graph",
            format!(
                "source = 'instagram-graph'\nurl = '{url}/graph'\naccount = '1'\ntoken_file = '../token.txt'"
            ),
        ),
    ];
    let mut told: Vec<BTreeMap<String, String>> = vec![];
    for (name, collect) in &collects {
        let own = folder.path().join(name);
        std::fs::create_dir(&own).expect("room");
        let config = study(&own, collect);
        let said = good(&["stage", "collect", text(&config)]);
        assert!(!said.contains("-token"), "a secret is shown: {said}");
        let table = &tables(&config)["photos"];
        let likes = table.lines().skip(1).map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            (cells[1].to_string(), cells[4].to_string())
        });
        told.push(likes.collect());
        let bytes = std::fs::read(own.join("data/likenet.db")).expect("a database");
        assert!(!bytes.windows(11).any(|part| part == b"first-token"), "a secret is kept");
    }
    let [mastodon, v1, graph] = &told[..] else { panic!("three sources") };
    assert!(mastodon.len() > 150 && v1.len() > mastodon.len() && graph == v1);
    assert!(mastodon.iter().all(|(photo, likes)| v1.get(photo) == Some(likes)));
    // 15 calls a second were allowed to each token, and more were asked for: there were waits.
    let [interfaces, _] = server.measured();
    assert!(interfaces.calls > 45 && interfaces.mean < 45.0, "{interfaces:?}");
}

#[test]
fn the_stated_rate_is_kept() {
    let server = server(400, Options::default());
    let folder = tempfile::tempdir().expect("a folder");
    let config = study(folder.path(), &mastodon(&server));
    let stated =
        std::fs::read_to_string(&config).expect("text").replace("rate = 200.0", "rate = 5.0");
    std::fs::write(&config, stated.replace("rate = 0.0", "rate = 100.0")).expect("room");
    for stage in ["collect", "prepare", "download"] {
        good(&["stage", stage, text(&config)]);
    }
    let [interfaces, photos] = server.measured();
    println!("study: 5 and 100 calls a second stated, {interfaces:?}, {photos:?} measured");
    assert!(interfaces.calls == 10 && interfaces.most_a_second <= 5, "{interfaces:?}");
    assert!(photos.calls > 200 && photos.most_a_second <= 100, "{photos:?}");
}

#[test]
fn a_server_that_goes_and_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = server(200, Options::default());
    let port = first.port();
    let config = study(folder.path(), &mastodon(&first));
    let whole = tempfile::tempdir().expect("a folder");
    let other = study(whole.path(), &mastodon(&first));
    for stage in ["collect", "prepare", "download"] {
        good(&["stage", stage, text(&other)]);
    }
    good(&["stage", "collect", text(&config)]);
    good(&["stage", "prepare", text(&config)]);
    let mut child =
        likenet(&["stage", "download", text(&config)]).stderr(Stdio::null()).spawn().expect("runs");
    std::thread::sleep(Duration::from_millis(60));
    drop(first);
    std::thread::sleep(Duration::from_millis(700));
    let again = server(200, Options { port, ..Options::default() });
    assert!(child.wait().expect("an end").success());
    assert_eq!(tables(&config)["photos"], tables(&other)["photos"]);
    drop(again);
    // Without a server nothing is lost, and the reason is told.
    let patient =
        std::fs::read_to_string(&config).expect("text").replace("patience = 60", "patience = 0");
    std::fs::write(&config, patient).expect("room");
    let output = run(&["run", text(&config), "--again", "collect"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("run again to go on when the server is there"), "{said}");
    assert_eq!(tables(&config)["photos"], tables(&other)["photos"]);
}

#[test]
fn the_second_run_is_refused_and_a_person_is_forgotten() {
    let server = server(160, Options::default());
    let folder = tempfile::tempdir().expect("a folder");
    let config = study(folder.path(), &mastodon(&server));
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("room");
    let lock = std::fs::File::create(data.join("likenet.lock")).expect("room");
    lock.lock().expect("free");
    let output = run(&["run", text(&config)]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another likenet is at work"));
    drop(lock);

    good(&["run", text(&config)]);
    let users = &tables(&config)["photos"];
    let named = users.lines().nth(3).and_then(|line| line.split(',').nth(2)).expect("a user");
    good(&["forget", named, text(&config)]);
    let after = tables(&config);
    assert!(!after["photos"].contains(&format!(",{named},")));
    assert!(!data.join("report.html").exists() && !data.join("features.safetensors").exists());
    good(&["run", text(&config), "--again", "collect"]);
    let again = tables(&config);
    assert!(!again["photos"].contains(&format!(",{named},")) && !again["users"].contains(named));
    assert!(again["counts"].contains("asked to be forgotten"));
    assert!(data.join("report.html").exists());
}

/// Drawn photos from the network, sorted by what they show.
fn sorted(server: &Server, world: &World, folder: &Path) -> [PathBuf; 2] {
    use likenet::photos::simulate::paint::Kind;
    let folders = ["keep", "drop"].map(|name| folder.join(name));
    folders.iter().for_each(|folder| std::fs::create_dir(folder).expect("room"));
    let config = study(folder, &mastodon(server));
    for stage in ["collect", "prepare", "download"] {
        good(&["stage", stage, text(&config)]);
    }
    for line in tables(&config)["photos"].lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let file = folder.join("data/photos").join(cells[13]);
        if cells[12] == "done" {
            let to = &folders[usize::from(world.kind(cells[1]) != Some(Kind::Portrait))];
            std::fs::copy(&file, to.join(file.file_name().expect("a name"))).expect("a copy");
        }
    }
    folders
}

#[test]
fn a_classifier_of_people_is_learnt_from_sorted_photos() {
    let settings = Settings { photos: 120, users: 30, side: 240, ..Settings::default() };
    let world = Arc::new(World::new(settings).expect("a world"));
    let server = Server::begin(world.clone(), Options::default()).expect("a server");
    let folder = tempfile::tempdir().expect("a folder");
    let [keep, drop] = sorted(&server, &world, folder.path());
    let model = folder.path().join("people.safetensors");
    let arguments =
        ["filter", "train", "--keep", text(&keep), "--drop", text(&drop), "--out", text(&model)];
    let said = String::from_utf8_lossy(&run(&arguments).stdout).into_owned();
    let shares = |name: &str| -> Vec<f64> {
        let line = said.lines().find(|line| line.starts_with(name)).expect("a line");
        let cells = line[name.len()..].split_ascii_whitespace();
        cells.take(2).map(|cell| cell.parse().expect("a share")).collect()
    };
    // Drawn portraits differ from the rest more than photos do: both filters are nearly perfect.
    let faces = shares("a face");
    let learnt = shares("the classifier, on photos that it has not seen");
    assert!(faces.iter().chain(&learnt).all(|&share| share > 0.9), "{said}");
    let own = folder.path().join("own");
    std::fs::create_dir(&own).expect("room");
    let config = study(&own, &mastodon(&server));
    let mut toml = std::fs::read_to_string(&config).expect("text");
    toml += &format!("[filter]\nby = 'classifier'\nclassifier = '{}'\n", text(&model));
    std::fs::write(&config, toml).expect("room");
    let said = good(&["run", text(&config)]);
    assert!(said.contains("the classifier keeps"), "{said}");
}

#[test]
fn a_stage_runs_again_when_its_inputs_change_and_only_then() {
    let server = server(160, Options::default());
    let folder = tempfile::tempdir().expect("a folder");
    let network = study(folder.path(), &mastodon(&server));
    for stage in ["collect", "prepare", "download"] {
        good(&["stage", stage, text(&network)]);
    }
    let own = folder.path().join("own");
    std::fs::create_dir(&own).expect("room");
    let table: Vec<String> = tables(&network)["photos"]
        .lines()
        .skip(1)
        .filter_map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            let file = folder.path().join("data/photos").join(cells[13]);
            (cells[12] == "done")
                .then(|| format!("{},{},{},{}\n", file.display(), cells[4], cells[3], cells[2]))
        })
        .collect();
    let write = |rows: &[String]| {
        let text = format!("photo,likes,followers,user\n{}", rows.concat());
        std::fs::write(own.join("likes.csv"), text).expect("room");
    };
    write(&table);
    let config = study(&own, "source = 'csv'\npath = 'likes.csv'");
    good(&["run", text(&config)]);
    let known = |said: &str| said.matches("(as before)").count();
    assert_eq!(known(&good(&["run", text(&config)])), 9);
    // Another title changes the report alone; another number of trees what comes after the features, too.
    let change = |from: &str, to: &str| {
        let toml = std::fs::read_to_string(&config).expect("text");
        std::fs::write(&config, toml.replace(from, to)).expect("room");
    };
    change("repeats = 50", "repeats = 50\ntitle = 'Another one'");
    assert_eq!(known(&good(&["run", text(&config)])), 8);
    change("trees = 10", "trees = 11");
    assert_eq!(known(&good(&["run", text(&config)])), 6);
    // A row that is gone from the table is gone from the study.
    write(&table[1..]);
    assert!(known(&good(&["run", text(&config)])) < 3);
    let photos = tables(&config)["photos"].clone();
    assert_eq!(photos.lines().count(), table.len());
    // A result that somebody deleted is made again.
    std::fs::remove_file(own.join("data/report.html")).expect("a report");
    assert_eq!(known(&good(&["run", text(&config)])), 8);
    assert!(own.join("data/report.html").exists());
}

#[test]
fn commands_say_what_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("likenet.toml");
    let said = |arguments: &[&str]| {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(said(&["run", text(&config)]).contains("likenet init"));
    good(&["init", text(&config)]);
    assert!(said(&["init", text(&config)]).contains("is there already"));
    assert!(said(&["stage", "prepare", text(&config)]).contains("run first: collect"));
    assert!(said(&["forget", "nobody", text(&config)]).contains("no user 'nobody'"));
    assert!(said(&["run", text(&config), "--only", "colect"]).contains("stages are collect"));
    let state = String::from_utf8_lossy(&run(&["status", text(&config)]).stdout).into_owned();
    assert_eq!(state.matches("not begun").count(), 9, "{state}");
}
