//! A run on disk, batch by batch, so that an interrupted one goes on.
//!
//! Beside `OUT` lies a folder `OUT.part`: raw rows of each blob (`0.f32`, `1.f32`, …, little-endian)
//! and `journal.jsonl`. Its first line holds the settings; each further line is one finished batch.
//! Rows are written before their line, so a line is never ahead of its rows; rows behind the last
//! line are cut off when the run goes on.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// A photo without a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its index in the list.
    pub photo: usize,
    /// Its path.
    pub file: String,
    /// Why it could not be read.
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    settings: String,
    layers: Vec<String>,
    widths: Vec<usize>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    /// Photos tried so far.
    done: usize,
    /// Photos of this batch with rows.
    photos: Vec<usize>,
    /// Photos of this batch without.
    skipped: Vec<Skipped>,
    /// Bytes of each raw file after this batch.
    bytes: Vec<u64>,
}

/// How far a run is.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Photos tried.
    pub done: usize,
    /// Photos with rows, in order.
    pub kept: Vec<usize>,
    /// Photos without.
    pub skipped: Vec<Skipped>,
}

pub(super) struct Journal {
    folder: PathBuf,
    lines: File,
    raw: Vec<File>,
    bytes: Vec<u64>,
    run: Run,
}

const VERSION: u32 = 1;

impl Journal {
    /// Opens the journal beside `out`, or begins one.
    ///
    /// One that other settings wrote is an error: its rows must not be mixed with ours.
    pub fn open(out: &Path, settings: &str, layers: &[String], widths: &[usize]) -> Result<Self> {
        let folder = folder(out);
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let path = folder.join("journal.jsonl");
        let lines = open(&path)?;
        match lines.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let folder = folder.display();
                return Err(Error::Invalid(format!("{folder}: another run is writing it")));
            }
            Err(TryLockError::Error(e)) => return Err(Error::io(&path)(e)),
        }
        let header = Header {
            version: VERSION,
            settings: settings.to_string(),
            layers: layers.to_vec(),
            widths: widths.to_vec(),
        };
        let raw = (0..layers.len()).map(|i| open(&raw_path(&folder, i))).collect::<Result<_>>()?;
        let bytes = vec![0; layers.len()];
        let mut journal = Self { folder, lines, raw, bytes, run: Run::default() };
        journal.replay(&path, &header)?;
        Ok(journal)
    }

    /// Reads what is there and cuts off what no complete line vouches for.
    fn replay(&mut self, path: &Path, header: &Header) -> Result<()> {
        let mut text = Vec::new();
        self.lines.read_to_end(&mut text).map_err(Error::io(path))?;
        let mut good = 0;
        for (i, line) in text.split_inclusive(|&b| b == b'\n').enumerate() {
            if !line.ends_with(b"\n") {
                break;
            }
            if i == 0 {
                self.check_header(line, header)?;
            } else if !self.accept(line)? {
                break;
            }
            good += line.len();
        }
        self.lines.set_len(good as u64).map_err(Error::io(path))?;
        for (i, file) in self.raw.iter().enumerate() {
            file.set_len(self.bytes[i]).map_err(Error::io(&raw_path(&self.folder, i)))?;
        }
        match good {
            0 => self.write_line(header),
            _ => Ok(()),
        }
    }

    fn check_header(&self, line: &[u8], want: &Header) -> Result<()> {
        let same = serde_json::from_slice::<Header>(line).is_ok_and(|h| {
            h.version == want.version
                && h.settings == want.settings
                && h.layers == want.layers
                && h.widths == want.widths
        });
        if same {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "{} holds an unfinished run with other settings: finish it with those, or delete the \
             folder to begin anew",
            self.folder.display()
        )))
    }

    /// Takes a finished batch over, if its rows are really there.
    fn accept(&mut self, line: &[u8]) -> Result<bool> {
        let Ok(line) = serde_json::from_slice::<Line>(line) else { return Ok(false) };
        if line.bytes.len() != self.raw.len() {
            return Ok(false);
        }
        for (i, file) in self.raw.iter().enumerate() {
            let there = file.metadata().map_err(Error::io(&raw_path(&self.folder, i)))?.len();
            if there < line.bytes[i] {
                return Ok(false);
            }
        }
        self.bytes = line.bytes;
        self.run.done = line.done;
        self.run.kept.extend(line.photos);
        self.run.skipped.extend(line.skipped);
        Ok(true)
    }

    /// Adds a batch: photos up to `done` were tried, `photos` have rows, `values` holds them.
    pub fn append(
        &mut self,
        done: usize,
        photos: &[usize],
        skipped: &[Skipped],
        values: &[Vec<f32>],
    ) -> Result<()> {
        for (i, values) in values.iter().enumerate() {
            let bytes = little_endian(values);
            self.raw[i].write_all(&bytes).map_err(Error::io(&raw_path(&self.folder, i)))?;
            self.bytes[i] += bytes.len() as u64;
        }
        let line = Line {
            done,
            photos: photos.to_vec(),
            skipped: skipped.to_vec(),
            bytes: self.bytes.clone(),
        };
        self.write_line(&line)?;
        self.run.done = done;
        self.run.kept.extend(photos);
        self.run.skipped.extend_from_slice(skipped);
        Ok(())
    }

    fn write_line(&mut self, line: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_vec(line).map_err(|e| Error::Invalid(e.to_string()))?;
        text.push(b'\n');
        self.lines.write_all(&text).map_err(Error::io(&self.folder.join("journal.jsonl")))
    }

    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The raw rows of blob `i`.
    pub fn raw(&self, i: usize) -> Result<File> {
        let path = raw_path(&self.folder, i);
        File::open(&path).map_err(Error::io(&path))
    }

    /// Deletes the folder: the run is finished.
    pub fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.folder).map_err(Error::io(&self.folder))
    }
}

fn folder(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

fn raw_path(folder: &Path, i: usize) -> PathBuf {
    folder.join(format!("{i}.f32"))
}

/// Opens for reading and appending; makes the file if there is none.
fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).open(path).map_err(Error::io(path))
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(out: &Path, settings: &str) -> Result<Journal> {
        Journal::open(out, settings, &["a".into()], &[2])
    }

    #[test]
    fn a_torn_line_and_its_rows_are_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("f.npy");
        let mut j = begin(&out, "s").unwrap();
        j.append(2, &[0, 1], &[], &[vec![1.0, 2.0, 3.0, 4.0]]).unwrap();
        j.append(3, &[2], &[], &[vec![5.0, 6.0]]).unwrap();
        drop(j);
        let path = folder(&out).join("journal.jsonl");
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 3]).unwrap();
        let j = begin(&out, "s").unwrap();
        assert_eq!((j.run().done, j.run().kept.clone()), (2, vec![0, 1]));
        assert_eq!(fs::metadata(raw_path(&folder(&out), 0)).unwrap().len(), 16);
    }

    #[test]
    fn a_line_without_its_rows_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("f.npy");
        let mut j = begin(&out, "s").unwrap();
        j.append(1, &[0], &[], &[vec![1.0, 2.0]]).unwrap();
        drop(j);
        let raw = OpenOptions::new().write(true).open(raw_path(&folder(&out), 0)).unwrap();
        raw.set_len(4).unwrap();
        assert_eq!(begin(&out, "s").unwrap().run().done, 0);
    }

    #[test]
    fn other_settings_and_second_writers_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("f.npy");
        let j = begin(&out, "s").unwrap();
        assert!(begin(&out, "s").is_err(), "two writers");
        drop(j);
        assert!(begin(&out, "t").is_err(), "other settings");
        assert!(begin(&out, "s").is_ok());
    }
}
