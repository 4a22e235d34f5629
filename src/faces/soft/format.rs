//! How a cascade lies on disk: JSON, one tree to a line.
//!
//! ```text
//! {"format": "likenet cascade", "version": 1, "object": [0.08, …], "calibration": [-1.2, 0.3],
//!  "trees": [
//!   [channel, x, y, threshold,  channel, x, y, threshold,  channel, x, y, threshold,  leaf, leaf, leaf, leaf,  exit],
//!   …
//! ]}
//! ```
//!
//! A tree's three nodes are its root, the node for values at or below the threshold, and the other one. Channels
//! are those of [`cells`](likenet_kernels::cpu::cells); cells count from the window's upper left corner;
//! leaves and exits are in 1/512 ([`UNIT`](super::UNIT)).

use super::{Cascade, Node, Tree, WINDOW};
use crate::error::{Error, Result};
use likenet_kernels::cpu::{cells::CHANNELS, trees::LARGEST_LEAF};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::path::Path;

const FORMAT: &str = "likenet cascade";
const VERSION: u32 = 1;
/// Numbers of a tree.
const NUMBERS: usize = 17;
/// More trees than any training makes, few enough for any memory.
const MOST_TREES: usize = 100_000;

#[derive(Deserialize, Serialize)]
struct File {
    format: String,
    version: u32,
    object: [f32; 4],
    calibration: [f64; 2],
    trees: Vec<[i32; NUMBERS]>,
}

impl Cascade {
    /// Reads a cascade. Errors name the file and the tree.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        Self::parse(&text).map_err(|reason| Error::Invalid(format!("{}: {reason}", path.display())))
    }

    /// The cascade that a file's text describes.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|e| format!("not a cascade: {e}"))?;
        if file.format != FORMAT || file.version != VERSION {
            let found = format!("format '{}', version {}", file.format, file.version);
            return Err(format!("{found}; this program reads '{FORMAT}', version {VERSION}"));
        }
        let sane = file.object.iter().all(|v| v.abs() <= 10.0)
            && file.object[2..].iter().all(|&v| v >= 0.01);
        if !sane {
            return Err(format!("object {:?} is no part of a window", file.object));
        }
        if !file.calibration.iter().all(|v| v.is_finite()) {
            return Err("the calibration is not two numbers".into());
        }
        if !(1..=MOST_TREES).contains(&file.trees.len()) {
            return Err(format!("{} trees: 1 to {MOST_TREES} make sense", file.trees.len()));
        }
        let trees = file.trees.iter().enumerate().map(|(i, numbers)| {
            tree(numbers).map_err(|reason| format!("tree {}: {reason}", i + 1))
        });
        Ok(Self {
            trees: trees.collect::<std::result::Result<_, _>>()?,
            object: file.object,
            calibration: file.calibration,
        })
    }

    /// The text that [`parse`](Self::parse) reads.
    pub fn to_text(&self) -> String {
        let mut out = String::from("{");
        let (object, calibration) = (self.object, self.calibration);
        // Writing to a string cannot fail.
        let _ = write!(out, "\"format\": \"{FORMAT}\", \"version\": {VERSION}, ");
        let _ = write!(
            out,
            "\"object\": {object:?}, \"calibration\": {calibration:?},\n\"trees\": [\n"
        );
        for (i, tree) in self.trees.iter().enumerate() {
            let end = if i + 1 == self.trees.len() { "" } else { "," };
            let numbers: Vec<String> = numbers(tree).iter().map(i32::to_string).collect();
            let _ = writeln!(out, "[{}]{end}", numbers.join(","));
        }
        out + "]}\n"
    }
}

fn tree(n: &[i32; NUMBERS]) -> std::result::Result<Tree, String> {
    let below = |v: i32, end: usize, what: &str| {
        u8::try_from(v)
            .ok()
            .filter(|&v| usize::from(v) < end)
            .ok_or(format!("{what} {v}: 0 to {}", end - 1))
    };
    let mut nodes = [Node::default(); 3];
    for (node, n) in nodes.iter_mut().zip(n.chunks_exact(4)) {
        *node = Node {
            channel: below(n[0], CHANNELS, "channel")?,
            cell: [below(n[1], WINDOW, "column")?, below(n[2], WINDOW, "row")?],
            threshold: below(n[3], 256, "threshold")?,
        };
    }
    let mut leaves = [0; 4];
    for (leaf, &v) in leaves.iter_mut().zip(&n[12..16]) {
        let largest = i32::from(LARGEST_LEAF);
        if v.unsigned_abs() > largest.unsigned_abs() {
            return Err(format!("leaf {v}: at most {largest} either way"));
        }
        *leaf = v as i16;
    }
    Ok(Tree { nodes, leaves, exit: n[16] })
}

fn numbers(tree: &Tree) -> Vec<i32> {
    let node = |n: &Node| [n.channel, n.cell[0], n.cell[1], n.threshold].map(i32::from);
    let nodes = tree.nodes.iter().flat_map(node);
    nodes.chain(tree.leaves.map(i32::from)).chain([tree.exit]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cascade() -> Cascade {
        let node = |channel, x, y, threshold| Node { channel, cell: [x, y], threshold };
        let tree = Tree {
            nodes: [node(0, 1, 2, 3), node(9, 19, 19, 255), node(4, 0, 0, 0)],
            leaves: [-512, 0, 7, 512],
            exit: -300,
        };
        Cascade { trees: vec![tree, tree], object: [0.1, 0.0, 0.8, 1.1], calibration: [-0.5, 4.0] }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = cascade().to_text();
        assert_eq!(Cascade::parse(&text), Ok(cascade()));
        assert!(text.contains("[0,1,2,3,9,19,19,255,4,0,0,0,-512,0,7,512,-300],\n"));
    }

    #[test]
    fn errors_name_the_tree_and_the_number() {
        let text = cascade().to_text();
        for (good, bad, reason) in [
            ("[0,1,2,3,", "[10,1,2,3,", "tree 1: channel 10: 0 to 9"),
            ("[0,1,2,3,", "[0,20,2,3,", "tree 1: column 20: 0 to 19"),
            ("-512,0,7", "-2147483648,0,7", "tree 1: leaf -2147483648: at most 1023 either way"),
            ("\"version\": 1", "\"version\": 2", "version 2; this program reads"),
            ("[0.1, 0.0, 0.8, 1.1]", "[0.1, 0.0, 0.0, 1.1]", "is no part of a window"),
            ("-300],", "-300,0],", "not a cascade"),
            ("[0,1,2,3,", "[0,1,2,-3,", "threshold -3: 0 to 255"),
        ] {
            let broken = text.replacen(good, bad, 1);
            assert_ne!(broken, text);
            let error = Cascade::parse(&broken).expect_err("a broken cascade");
            assert!(error.contains(reason), "{error}");
        }
        assert!(Cascade::parse(&text[..text.len() / 2]).is_err());
    }
}
