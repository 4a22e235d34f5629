//! The house's floors: a room imports only from floors below its own (docs/architecture.md).

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms of `src`, from the ground up. A room may import from those before its own line.
const FLOORS: [&[&str]; 14] = [
    &["shape", "rng"],
    &["layer", "tensor", "image"],
    &["error"],
    &["backend"],
    &["net"],
    &["classify", "data", "feed", "features", "learn", "solver"],
    &["faces"],
    &["score"],
    &["photos"],
    &["bench", "report"],
    &["training"],
    &["inside"],
    &["pipeline", "web"],
    &["cli", "main", "lib"],
];

/// Pairs of one floor of which the first may import the second.
const NEIGHBOURS: [(&str, &str); 1] = [("features", "feed")];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// Rooms named in the text after `crate::` or `likenet::`, in code, not in comments.
fn imports(text: &str) -> Vec<String> {
    let code = text.lines().filter(|l| !l.trim_start().starts_with("//"));
    let code: String = code.collect::<Vec<_>>().join("\n");
    let mut rooms = Vec::new();
    for prefix in ["crate::", "likenet::"] {
        for (at, _) in code.match_indices(prefix) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let after = &code[at + prefix.len()..];
            let name = |text: &str| -> String {
                text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
            };
            match after.strip_prefix('{') {
                // A group of rooms: what stands first in each of its parts.
                Some(group) => {
                    let group = group.split(';').next().unwrap_or(group);
                    rooms.extend(group.split([',', '{']).map(name).filter(|n| !n.is_empty()));
                }
                None => rooms.push(name(after)),
            }
        }
    }
    rooms
}

#[test]
fn no_import_climbs() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let (mut climbs, mut seen) = (Vec::new(), 0);
    for file in files {
        let inside = file.strip_prefix(&src).expect("below src");
        let first = inside.iter().next().expect("a name").to_string_lossy();
        let room = first.trim_end_matches(".rs").to_string();
        let Some(own) = floor(&room) else {
            climbs.push(format!("{}: room '{room}' has no floor", inside.display()));
            continue;
        };
        for import in imports(&fs::read_to_string(&file).expect("text")) {
            let Some(theirs) = floor(&import) else { continue };
            seen += 1;
            let neighbour = NEIGHBOURS.contains(&(room.as_str(), import.as_str()));
            if import != room && theirs >= own && !neighbour {
                climbs.push(format!("{}: {room} imports {import}", inside.display()));
            }
        }
    }
    assert!(climbs.is_empty(), "{}", climbs.join("\n"));
    assert!(seen > 40, "only {seen} imports were found: the search is broken");
}

#[test]
fn a_climb_is_seen() {
    assert_eq!(imports("// crate::net\nuse crate::net::Net;\nmycrate::x"), ["net"]);
    assert_eq!(imports("use crate::{shape::Shape, cli};"), ["shape", "cli"]);
    assert!(floor("net") > floor("shape"));
}

#[test]
fn unsafe_lives_in_the_kernels() {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let text = fs::read_to_string(lib).expect("text");
    assert!(text.contains("#![forbid(unsafe_code)]"));
}
