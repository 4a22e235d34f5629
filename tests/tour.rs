//! The tour (`docs/tour`) holds what it says: its commands run, in order, and print what stands beside them; its links
//! and paths lead somewhere.
//!
//! A fence of `sh` is a command, run in the chapter's own folder, where `docs` is the repository's. A fence of `text` after it
//! is what it prints to standard output. There `…` stands for anything within a line, and a line of nothing else for
//! any lines.
#![cfg(all(unix, feature = "study"))]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tour() -> PathBuf {
    root().join("docs/tour")
}

/// A page of the tour: its file's name and its text.
struct Page {
    name: String,
    text: String,
}

/// The chapters in order: `01-….md` and so on.
fn chapters() -> Vec<Page> {
    let mut pages = pages();
    pages.retain(|page| page.name.starts_with(|c: char| c.is_ascii_digit()));
    assert!(pages.len() >= 10, "only {} chapters", pages.len());
    pages
}

fn pages() -> Vec<Page> {
    let files = fs::read_dir(tour()).expect("docs/tour").map(|e| e.expect("entry").path());
    let mut files: Vec<PathBuf> =
        files.filter(|f| f.extension().is_some_and(|e| e == "md")).collect();
    files.sort();
    let name = |f: &Path| f.file_name().expect("name").to_string_lossy().into_owned();
    let page = |f: PathBuf| Page { name: name(&f), text: fs::read_to_string(&f).expect("page") };
    files.into_iter().map(page).collect()
}

/// A command and what it should print, if the chapter says.
struct Step {
    line: usize,
    command: String,
    output: Option<String>,
}

/// The fences of a chapter.
fn steps(page: &Page) -> Vec<Step> {
    let mut steps: Vec<Step> = vec![];
    let mut lines = page.text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else { continue };
        let body = lines.by_ref().map(|(_, l)| l).take_while(|l| *l != "```");
        let body = body.collect::<Vec<_>>().join("\n");
        match kind {
            "sh" => steps.push(Step { line: at + 1, command: body, output: None }),
            "text" => {
                let place = format!("{}:{}", page.name, at + 1);
                let step = steps.last_mut().unwrap_or_else(|| panic!("{place}: output of what?"));
                assert!(step.output.is_none(), "{place}: a second output of one command");
                step.output = Some(body);
            }
            _ => {}
        }
    }
    steps
}

/// Whether a line is what was expected, `…` being anything.
fn line_matches(wanted: &str, got: &str) -> bool {
    let (wanted, got) = (wanted.trim_end(), got.trim_end());
    let Some((first, rest)) = wanted.split_once('…') else { return wanted == got };
    let Some(mut got) = got.strip_prefix(first) else { return false };
    let parts: Vec<&str> = rest.split('…').collect();
    let (last, middle) = parts.split_last().expect("one part at least");
    for part in middle {
        let Some((_, after)) = got.split_once(part) else { return false };
        got = after;
    }
    got.ends_with(last)
}

/// Whether all lines are, a line of `…` alone being any lines.
fn matches(wanted: &[String], got: &[String]) -> bool {
    match (wanted.split_first(), got.split_first()) {
        (None, None) => true,
        (Some((w, rest)), _) if w == "…" => (0..=got.len()).any(|n| matches(rest, &got[n..])),
        (Some((w, wanted)), Some((g, got))) => line_matches(w, g) && matches(wanted, got),
        _ => false,
    }
}

/// Runs a chapter's commands in a folder of their own; what went wrong, if anything.
fn run(page: &Page) -> Result<usize, String> {
    let dir = tempfile::tempdir().expect("folder");
    std::os::unix::fs::symlink(root().join("docs"), dir.path().join("docs")).expect("link");
    let program = Path::new(env!("CARGO_BIN_EXE_likenet")).parent().expect("folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let steps = steps(page);
    for step in &steps {
        let place = format!("{}:{}", page.name, step.line);
        let begun = Instant::now();
        let shell = Command::new("sh")
            .args(["-e", "-c", &step.command])
            .current_dir(dir.path())
            .env("PATH", &path)
            .output()
            .map_err(|e| format!("{place}: no shell: {e}"))?;
        let out = String::from_utf8_lossy(&shell.stdout);
        if !shell.status.success() {
            let errors = String::from_utf8_lossy(&shell.stderr);
            return Err(format!("{place}: {}\n{}\n{out}\n{errors}", shell.status, step.command));
        }
        println!("{place}: {:.1} s", begun.elapsed().as_secs_f64());
        let Some(wanted) = &step.output else { continue };
        let lines = |text: &str| text.trim_end().lines().map(str::to_owned).collect::<Vec<_>>();
        if !matches(&lines(wanted), &lines(&out)) {
            let command = &step.command;
            return Err(format!("{place}: {command}\nprinted\n{out}\nand not what stands there"));
        }
    }
    Ok(steps.len())
}

#[test]
fn every_command_prints_what_its_chapter_says() {
    let (chapters, next, begun) = (chapters(), AtomicUsize::new(0), Instant::now());
    let work = || {
        let mut done = vec![];
        while let Some(page) = chapters.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push(run(page));
        }
        done
    };
    let results: Vec<Result<usize, String>> = std::thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.into_iter().flat_map(|t| t.join().expect("no panic")).collect()
    });
    let wrong: Vec<&str> =
        results.iter().filter_map(|r| r.as_ref().err()).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let commands: usize = results.iter().flatten().sum();
    println!(
        "tour: {commands} blocks of commands in {} chapters, {:.0} s",
        chapters.len(),
        begun.elapsed().as_secs_f64()
    );
}

/// What stands between `open` and `close`, wherever that is in one line.
fn between<'a>(text: &'a str, open: &'a str, close: char) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |t| t.split_once(close)).map(|(inside, _)| inside)
}

/// A page without its fences.
fn prose(page: &Page) -> String {
    let mut inside = false;
    let mut outside = |line: &&str| {
        let fence = line.starts_with("```");
        inside ^= fence;
        !inside && !fence
    };
    page.text.lines().filter(&mut outside).collect::<Vec<_>>().join("\n")
}

#[test]
fn links_and_paths_lead_somewhere() {
    let mut wrong = vec![];
    for page in pages() {
        let text = prose(&page);
        for link in between(&text, "](", ')').filter(|l| !l.starts_with("https://")) {
            let file = link.split('#').next().unwrap_or(link);
            if !file.is_empty() && !tour().join(file).exists() {
                wrong.push(format!("{}: no {link}", page.name));
            }
        }
        let rooms = ["src/", "kernels/", "weights-tools/", "tests/", "benches/", "docs/"];
        let paths = text.split('`').skip(1).step_by(2);
        for path in paths.filter(|p| rooms.iter().any(|room| p.starts_with(room))) {
            if !root().join(path).exists() {
                wrong.push(format!("{}: no {path}", page.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn chapters_are_listed_short_and_lead_into_the_code() {
    let contents = fs::read_to_string(tour().join("README.md")).expect("contents");
    for page in chapters() {
        let name = &page.name;
        assert!(contents.contains(&format!("({name})")), "README.md does not list {name}");
        let lines = page.text.lines().count();
        assert!((50..=140).contains(&lines), "{name} has {lines} lines");
        assert!(!steps(&page).is_empty(), "{name} has nothing to try");
        assert!(page.text.contains("## The file to open next"), "{name} leads to no file");
    }
}

#[test]
fn every_picture_is_shown_and_all_are_small() {
    let shown: BTreeSet<PathBuf> = pages()
        .iter()
        .flat_map(|page| between(&page.text, "](", ')').map(PathBuf::from).collect::<Vec<_>>())
        .collect();
    let mut bytes = 0;
    for entry in fs::read_dir(tour().join("pictures")).expect("pictures") {
        let entry = entry.expect("entry");
        let name = Path::new("pictures").join(entry.file_name());
        assert!(shown.contains(&name), "no chapter shows {}", name.display());
        bytes += entry.metadata().expect("size").len();
    }
    assert!(bytes <= 600 << 10, "the pictures have {bytes} bytes");
}

#[test]
fn an_ellipsis_stands_for_anything_and_nothing_else_does() {
    assert!(line_matches("loss …, rate 0.1", "loss 0.25, rate 0.1"));
    assert!(!line_matches("loss …, rate 0.1", "loss 0.25, rate 0.2"));
    assert!(!line_matches("a…a", "a"));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(matches(&lines("a\n…\nd"), &lines("a\nb\nc\nd")));
    assert!(matches(&lines("a\n…"), &lines("a")));
    assert!(!matches(&lines("a\n…\nd"), &lines("a\nb")));
    assert!(!matches(&lines("a"), &lines("a\nb")));
}
