//! `log.jsonl`: what a training run did, one JSON object a line.
//!
//! Flows in: records, as the solver makes them. Flows out: a file that other programs can read, and
//! the same records again.
//!
//! ```text
//! {"iter":12,"loss":0.6931,"smoothed":0.7,"lr":0.001,"images_per_s":812.3,"seconds":14.2}
//! {"iter":500,"test":0,"outputs":{"accuracy":0.81,"loss":0.55}}
//! ```
//!
//! JSON has no word for a loss that is not a number or not finite: those are the strings `"NaN"`,
//! `"inf"` and `"-inf"`.
//!
//! Each record is written at once and whole, so kill −9 leaves at most half a line at the end.

use crate::error::{Error, Place, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Values of a network's outputs, by name.
pub type Outputs = BTreeMap<String, f32>;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Record {
    /// An iteration of training.
    Iteration(Iteration),
    /// A pass over a test network.
    Test(TestResult),
}

/// An iteration of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Iteration {
    /// Which, from 0.
    pub iter: usize,
    /// Its loss.
    #[serde(with = "number")]
    pub loss: f32,
    /// The mean loss of the last iterations (`average_loss` of the solver).
    #[serde(with = "number")]
    pub smoothed: f32,
    /// Learning rate of its update.
    #[serde(with = "number")]
    pub lr: f32,
    /// Images a second, lately; 0 while too little is measured.
    #[serde(with = "number")]
    pub images_per_s: f32,
    /// Seconds since the run was started or resumed.
    pub seconds: f64,
    /// What the network puts out besides the loss.
    #[serde(with = "numbers", default, skip_serializing_if = "Outputs::is_empty")]
    pub outputs: Outputs,
}

/// A pass over a test network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestResult {
    /// Iterations of training before it.
    pub iter: usize,
    /// Index of the test network.
    pub test: usize,
    /// Means of its outputs.
    #[serde(with = "numbers")]
    pub outputs: Outputs,
}

impl Record {
    /// The iteration that it belongs to.
    pub fn iter(&self) -> usize {
        match self {
            Record::Iteration(i) => i.iter,
            Record::Test(t) => t.iter,
        }
    }

    fn parse(line: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(line).map(Record::Iteration).or_else(|iteration| {
            let of_test = String::from_utf8_lossy(line).contains("\"test\":");
            let test = serde_json::from_slice(line).map(Record::Test);
            test.map_err(|test| if of_test { test } else { iteration })
        })
    }
}

/// Reads a log. A last line that an interrupted run left half-written is left out.
///
/// Errors name the file and the line; a log without any record is one too.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    let text = fs::read(path).map_err(Error::io(path))?;
    let records: Vec<Record> = lines(path, &text)?.into_iter().map(|(_, record)| record).collect();
    if records.is_empty() {
        let empty = "an empty log: no iteration has ended yet";
        return Err(Error::Invalid(format!("{}: {empty}", path.display())));
    }
    Ok(records)
}

/// The complete lines of a log with their records.
fn lines<'a>(path: &Path, text: &'a [u8]) -> Result<Vec<(&'a [u8], Record)>> {
    let mut lines = Vec::new();
    for (i, line) in text.split_inclusive(|&b| b == b'\n').enumerate() {
        match Record::parse(line) {
            Ok(record) => lines.push((line.trim_ascii_end(), record)),
            Err(_) if !line.ends_with(b"\n") => break,
            Err(e) => {
                let place = Place { file: path.display().to_string(), line: Some(i + 1) };
                let reason = format!("not a line of a training log: {e}");
                return Err(Error::Net { place, reason });
            }
        }
    }
    Ok(lines)
}

/// Appends to a log.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
}

impl Writer {
    /// Opens the log of a run that goes on, or begins, with iteration `iter`, and returns the records
    /// that it holds: those of earlier iterations.
    ///
    /// What a run did after the snapshot that it resumes from, it will do again, testing before
    /// iteration `iter` included. Those lines and a half-written last one are dropped, so that in the
    /// end the log is that of a run without interruption. A file that is not a log is an error and
    /// stays as it is.
    pub fn open(path: &Path, iter: usize) -> Result<(Self, Vec<Record>)> {
        // A device may be read without end.
        if fs::metadata(path).is_ok_and(|m| !m.is_file()) {
            let reason = "not a file; a log is read again when its training is resumed";
            return Err(Error::Invalid(format!("{}: {reason}", path.display())));
        }
        let text = match fs::read(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            text => text.map_err(Error::io(path))?,
        };
        let mut kept = lines(path, &text)?;
        kept.retain(|(_, record)| record.iter() < iter);
        let lines: Vec<u8> =
            kept.iter().flat_map(|(line, _)| [*line, b"\n"]).flatten().copied().collect();
        if lines != text {
            weights_tools::write_atomically(path, |file| {
                file.write_all(&lines).map_err(weights_tools::Error::io(path, "write"))
            })?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(Error::io(path))?;
        Ok((Self { path: path.into(), file }, kept.into_iter().map(|(_, r)| r).collect()))
    }

    /// Adds a record; it is in the file when this returns.
    pub fn write(&mut self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_vec(record).map_err(|e| Error::Invalid(e.to_string()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(Error::io(&self.path))
    }
}

/// A number, or the word for one that JSON lacks.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f32),
    Word(String),
}

impl From<f32> for Number {
    fn from(value: f32) -> Self {
        if value.is_finite() { Number::Finite(value) } else { Number::Word(value.to_string()) }
    }
}

impl Number {
    fn value(self) -> std::result::Result<f32, String> {
        match self {
            Number::Finite(value) => Ok(value),
            Number::Word(word) => word.parse().map_err(|_| format!("'{word}' is no number")),
        }
    }
}

/// An `f32` as a [`Number`].
mod number {
    use super::*;
    use serde::de::Error;

    pub fn serialize<S: Serializer>(value: &f32, to: S) -> std::result::Result<S::Ok, S::Error> {
        Number::from(*value).serialize(to)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> std::result::Result<f32, D::Error> {
        Number::deserialize(from)?.value().map_err(D::Error::custom)
    }
}

/// [`Outputs`] as [`Number`]s.
mod numbers {
    use super::*;
    use serde::de::Error;

    pub fn serialize<S: Serializer>(
        values: &Outputs,
        to: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        to.collect_map(values.iter().map(|(name, &value)| (name, Number::from(value))))
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> std::result::Result<Outputs, D::Error> {
        let numbers = BTreeMap::<String, Number>::deserialize(from)?;
        let values = numbers.into_iter().map(|(name, n)| Ok((name, n.value()?)));
        values.collect::<std::result::Result<_, String>>().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iteration(iter: usize, loss: f32) -> Record {
        let (smoothed, lr, images_per_s) = (loss, 0.001, 812.3);
        let outputs = Outputs::new();
        Record::Iteration(Iteration {
            iter,
            loss,
            smoothed,
            lr,
            images_per_s,
            seconds: 0.5,
            outputs,
        })
    }

    fn test(iter: usize) -> Record {
        let outputs = [("accuracy".into(), 0.81), ("loss".into(), f32::INFINITY)].into();
        Record::Test(TestResult { iter, test: 0, outputs })
    }

    /// What Caffe's solver does from iteration `from` to `to`, testing each second iteration.
    fn run(path: &Path, from: usize, to: usize) {
        let (mut writer, _) = Writer::open(path, from).unwrap();
        for i in from..to {
            if i.is_multiple_of(2) {
                writer.write(&test(i)).unwrap();
            }
            writer.write(&iteration(i, 1.0 / (i + 1) as f32)).unwrap();
        }
        if to.is_multiple_of(2) {
            writer.write(&test(to)).unwrap();
        }
    }

    #[test]
    fn lines_are_as_documented() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        let (mut writer, before) = Writer::open(&path, 0).unwrap();
        assert!(before.is_empty());
        writer.write(&iteration(12, 0.6875)).unwrap();
        writer.write(&test(500)).unwrap();
        let wanted = concat!(
            r#"{"iter":12,"loss":0.6875,"smoothed":0.6875,"lr":0.001,"images_per_s":812.3,"#,
            "\"seconds\":0.5}\n",
            r#"{"iter":500,"test":0,"outputs":{"accuracy":0.81,"loss":"inf"}}"#,
            "\n",
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), wanted);
        assert_eq!(read(&path).unwrap(), [iteration(12, 0.6875), test(500)]);
    }

    #[test]
    fn losses_that_are_no_numbers_survive() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        let losses = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1.0e-45, 0.1];
        let (mut writer, _) = Writer::open(&path, 0).unwrap();
        for (i, &loss) in losses.iter().enumerate() {
            let Record::Iteration(mut record) = iteration(i, loss) else { unreachable!() };
            record.outputs.insert("top\"1".into(), loss);
            writer.write(&Record::Iteration(record)).unwrap();
        }
        for (record, loss) in read(&path).unwrap().iter().zip(losses) {
            let Record::Iteration(i) = record else { panic!("{record:?}") };
            assert_eq!(i.loss.is_nan(), loss.is_nan());
            assert!(loss.is_nan() || (i.loss == loss && i.outputs["top\"1"] == loss), "{i:?}");
        }
    }

    #[test]
    fn an_interrupted_log_equals_a_whole_one() {
        let dir = tempfile::tempdir().unwrap();
        let (whole, cut) = (dir.path().join("whole.jsonl"), dir.path().join("cut.jsonl"));
        run(&whole, 0, 10);
        let wanted = fs::read(&whole).unwrap();
        let records = read(&whole).unwrap();
        let before = |iter| records.iter().filter(|r| r.iter() < iter).count();
        // Killed anywhere, then resumed from a snapshot at 0, 3, 4 or the end.
        for bytes in [0, 1, 80, 200, 500, wanted.len() - 1, wanted.len()] {
            for snapshot in [0, 3, 4, 10] {
                // A snapshot is written after the lines of its iterations.
                let there = wanted[..bytes].iter().filter(|&&b| b == b'\n').count();
                if there < before(snapshot) {
                    continue;
                }
                fs::write(&cut, &wanted[..bytes]).unwrap();
                run(&cut, snapshot, 10);
                assert_eq!(fs::read(&cut).unwrap(), wanted, "{bytes} bytes, from {snapshot}");
            }
        }
        let (_, kept) = Writer::open(&cut, 4).unwrap();
        assert_eq!(kept.last(), Some(&iteration(3, 0.25)));
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[test]
    fn half_a_line_is_left_out_and_a_broken_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        run(&path, 0, 3);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 9]).unwrap();
        assert_eq!(read(&path).unwrap().len(), 4);
        // A line that only lacks its end is whole.
        fs::write(&path, text.trim_end()).unwrap();
        assert_eq!(read(&path).unwrap().len(), 5);
        for (line, reason) in [
            ("{\"iter\":1}", "missing field `loss`"),
            ("{\"iter\":1,\"test\":0}", "missing field `outputs`"),
            ("{\"iter\":1,\"test\":0,\"outputs\":{\"a\":\"x\"}}", "'x' is no number"),
            ("nonsense", "expected ident"),
        ] {
            let broken = format!("{}{line}\n{text}", &text[..=text.find('\n').unwrap()]);
            fs::write(&path, &broken).unwrap();
            for error in [read(&path).unwrap_err(), Writer::open(&path, 0).unwrap_err()] {
                let error = error.to_string();
                assert!(error.contains("log.jsonl:2:") && error.contains(reason), "{error}");
            }
            assert_eq!(fs::read_to_string(&path).unwrap(), broken);
        }
    }

    #[test]
    fn an_empty_log_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        for text in ["", "{\"iter\":0,"] {
            fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("log.jsonl") && error.contains("empty"), "{error}");
        }
        let error = read(&dir.path().join("none.jsonl")).unwrap_err().to_string();
        assert!(error.contains("none.jsonl"), "{error}");
    }
}
