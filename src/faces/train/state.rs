//! A training that can go on. Flows in: a state file. Flows out: the same, after each round.
//!
//! The file: a line of JSON (options, which pictures, trees, rounds), then the negatives' numbers.

use super::samples::Samples;
use super::{Options, RoundReport};
use crate::error::{Error, Result};
use crate::faces::soft::{Cascade, Tree};
use serde::{Deserialize, Serialize};
use std::path::Path;
use weights_tools::write_atomically;

/// What a training has come to.
#[derive(Default)]
pub struct Run {
    /// The cascade of the last round.
    pub trees: Vec<Tree>,
    /// Windows without the object.
    pub negatives: Samples,
    /// Rounds so far.
    pub rounds: Vec<RoundReport>,
}

/// Fingerprints of the lists of crops and of backgrounds.
pub type Pictures = [u64; 2];

#[derive(Serialize, Deserialize)]
struct Head {
    options: Options,
    pictures: Pictures,
    rounds: Vec<RoundReport>,
    cascade: String,
}

impl Run {
    /// What `path` holds; a new run where there is no such file.
    pub fn open(path: &Path, options: &Options, pictures: Pictures) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let wrong = |reason: &str| {
            let what = format!("{}: {reason}", path.display());
            Error::Invalid(format!("{what}; remove it to begin anew"))
        };
        let end =
            bytes.iter().position(|&b| b == b'\n').ok_or_else(|| wrong("no training's state"))?;
        let head: Head = serde_json::from_slice(&bytes[..end])
            .map_err(|e| wrong(&format!("no training's state ({e})")))?;
        if head.options != *options {
            return Err(wrong("the state of a training with other options"));
        }
        if head.pictures != pictures {
            return Err(wrong("the state of a training on other pictures"));
        }
        let cascade = Cascade::parse(&head.cascade).map_err(|e| wrong(&e))?;
        let negatives = Samples::from_bytes(bytes[end + 1..].to_vec());
        if head.rounds.last().is_none_or(|r| r.negatives != negatives.len()) {
            return Err(wrong("a state that was cut off"));
        }
        Ok(Self { trees: cascade.trees, negatives, rounds: head.rounds })
    }

    /// Writes the state; the old file stays whole until the new one is.
    pub fn save(&self, path: &Path, options: &Options, pictures: Pictures) -> Result<()> {
        let cascade =
            Cascade { trees: self.trees.clone(), object: options.object, calibration: [-1.0, 0.0] };
        let head = Head {
            options: options.clone(),
            pictures,
            rounds: self.rounds.clone(),
            cascade: cascade.to_text(),
        };
        let head = serde_json::to_vec(&head).map_err(|e| Error::Invalid(e.to_string()))?;
        write_atomically(path, |out| {
            [&head[..], b"\n", self.negatives.bytes()]
                .iter()
                .try_for_each(|part| out.write_all(part))
                .map_err(weights_tools::Error::io(path, "write"))
        })?;
        Ok(())
    }

    /// Adds windows, and forgets the oldest beyond `most`.
    pub fn add(&mut self, windows: Samples, most: usize) {
        windows.iter().for_each(|w| self.negatives.push(w));
        self.negatives.keep_newest(most);
    }
}
