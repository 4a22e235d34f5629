//! Many photos through one detector. Flows in: photos. Flows out: what was seen in each, in their order.
//!
//! Photos are searched side by side. A journal beside the output keeps every finished photo: a run that was
//! cut off goes on where it was.

use super::{Detector, Face, Rect, Search};
use crate::error::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What was seen in a photo.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// Its faces, surest first.
    Faces(Vec<Face>),
    /// Why it could not be searched.
    Broken(String),
}

/// Photos and how they are searched.
pub struct Job<'a> {
    /// Files.
    pub photos: &'a [PathBuf],
    /// The cascade.
    pub detector: &'a Detector,
    /// How.
    pub search: Search,
    /// Where finished photos are kept until the run is complete.
    pub journal: Option<&'a Path>,
    /// Everything that a result depends on, in words.
    pub settings: &'a str,
}

/// What a run came to.
#[derive(Debug)]
pub struct Answers {
    /// What was seen in each photo, in their order.
    pub seen: Vec<Seen>,
    /// How many of them the journal knew.
    pub resumed: usize,
    /// What else it knew, sorted by path: photos that have gone since, such as those that were moved.
    pub gone: Vec<(PathBuf, Seen)>,
}

/// One photo's line in the journal.
#[derive(Serialize, Deserialize)]
struct Line {
    photo: PathBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    broken: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    faces: Vec<[f64; 5]>,
}

impl Line {
    fn new(photo: &Path, seen: &Seen) -> Self {
        let photo = photo.to_path_buf();
        match seen {
            Seen::Broken(reason) => Self { photo, broken: Some(reason.clone()), faces: vec![] },
            Seen::Faces(faces) => {
                let numbers =
                    |f: &Face| [f.rect.x, f.rect.y, f.rect.w, f.rect.h, f.confidence.into()];
                Self { photo, broken: None, faces: faces.iter().map(numbers).collect() }
            }
        }
    }

    fn seen(self) -> (PathBuf, Seen) {
        let face = |[x, y, w, h, confidence]: [f64; 5]| Face {
            rect: Rect { x, y, w, h },
            confidence: confidence as f32,
        };
        let seen = match self.broken {
            Some(reason) => Seen::Broken(reason),
            None => Seen::Faces(self.faces.into_iter().map(face).collect()),
        };
        (self.photo, seen)
    }
}

/// Searches every photo that the journal does not know yet. `progress` hears of each, and whether it was known;
/// broken photos stop nothing. The journal is the caller's to remove, once the answers are safe.
///
/// Fails where the journal cannot be written, is that of another run, or is being written by one.
pub fn search(job: &Job, progress: &(dyn Fn(&Seen, bool) + Sync)) -> Result<Answers> {
    let (journal, mut gone) = match job.journal {
        Some(path) => open(path, job.settings)?,
        None => (None, HashMap::new()),
    };
    let known: Vec<Option<Seen>> = job.photos.iter().map(|p| gone.get(p).cloned()).collect();
    job.photos.iter().for_each(|photo| drop(gone.remove(photo)));
    known.iter().flatten().for_each(|seen| progress(seen, true));
    let resumed = known.iter().flatten().count();
    let seen = known.into_par_iter().zip(job.photos).map(|(known, photo)| {
        if let Some(seen) = known {
            return Ok(seen);
        }
        let faces = job.detector.detect_file(photo, &job.search);
        let seen = faces.map_or_else(|e| Seen::Broken(e.to_string()), Seen::Faces);
        if let Some(journal) = &journal {
            journal.add(photo, &seen)?;
        }
        progress(&seen, false);
        Ok(seen)
    });
    let seen = seen.collect::<Result<_>>()?;
    let mut gone: Vec<(PathBuf, Seen)> = gone.into_iter().collect();
    gone.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Answers { seen, resumed, gone })
}

/// A journal that takes more lines.
struct Journal<'a> {
    path: &'a Path,
    file: Mutex<File>,
}

impl Journal<'_> {
    fn add(&self, photo: &Path, seen: &Seen) -> Result<()> {
        // JSON has no words for a name that is no Unicode: such a photo is searched again.
        if photo.to_str().is_none() {
            return Ok(());
        }
        let mut line = serde_json::to_vec(&Line::new(photo, seen))
            .map_err(|e| Error::Invalid(e.to_string()))?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(|e| e.into_inner());
        file.write_all(&line).map_err(Error::io(self.path))
    }
}

/// Opens a journal or begins one, and reads what it knows.
fn open<'a>(
    path: &'a Path,
    settings: &str,
) -> Result<(Option<Journal<'a>>, HashMap<PathBuf, Seen>)> {
    let io = || Error::io(path);
    let wrong = |reason: &str| Err(Error::Invalid(format!("{}: {reason}", path.display())));
    let mut options = OpenOptions::new();
    let file = options.read(true).append(true).create(true).open(path).map_err(io())?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return wrong("another run is writing it"),
        Err(TryLockError::Error(e)) => return Err(io()(e)),
    }
    let head = serde_json::to_string(settings).map_err(|e| Error::Invalid(e.to_string()))? + "\n";
    let mut reader = BufReader::new(&file);
    // Bytes, not text: a line may be cut off within a letter.
    let mut line = Vec::new();
    let mut whole = reader.read_until(b'\n', &mut line).map_err(io())? as u64;
    let begun = line.ends_with(b"\n");
    if begun && line != head.as_bytes() {
        return wrong(
            "holds a run with another cascade or other settings; remove it to begin anew",
        );
    }
    let mut known = HashMap::new();
    if begun {
        whole += read_lines(&mut reader, &mut known).map_err(io())?;
    }
    let mut file = file;
    file.set_len(if begun { whole } else { 0 }).map_err(io())?;
    if !begun {
        file.write_all(head.as_bytes()).map_err(io())?;
    }
    Ok((Some(Journal { path, file: Mutex::new(file) }), known))
}

/// Reads lines up to one that was cut off, or is no line of ours. Gives their bytes.
fn read_lines(
    reader: &mut impl BufRead,
    known: &mut HashMap<PathBuf, Seen>,
) -> std::io::Result<u64> {
    let (mut whole, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)? as u64;
        let Some(text) = line.strip_suffix(b"\n") else { break };
        let Ok(one) = serde_json::from_slice::<Line>(text) else { break };
        known.extend([one.seen()]);
        whole += read;
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Picture;

    /// Two photos of noise and one that is none.
    fn photos(dir: &Path) -> Vec<PathBuf> {
        let name = |i: usize| dir.join(format!("{i}.png"));
        for i in 0..2 {
            let data: Vec<u8> = (0..60 * 60 * 3).map(|p| (p * (i + 3) * 7 % 251) as u8).collect();
            let picture = Picture { width: 60, height: 60, data };
            image::save_buffer(name(i), &picture.data, 60, 60, image::ColorType::Rgb8)
                .expect("room");
        }
        std::fs::write(name(2), b"no picture").expect("room");
        (0..3).map(name).collect()
    }

    fn job<'a>(photos: &'a [PathBuf], detector: &'a Detector, journal: &'a Path) -> Job<'a> {
        let search = Search::new().expect("kernels");
        Job { photos, detector, search, journal: Some(journal), settings: "ours" }
    }

    #[test]
    fn a_run_that_was_cut_off_goes_on() {
        let dir = tempfile::tempdir().expect("a folder");
        let (photos, journal) = (photos(dir.path()), dir.path().join("out.part"));
        let detector = Detector::own();
        let run = || search(&job(&photos, &detector, &journal), &|_, _| ()).expect("a run");
        let first = run();
        assert!(matches!(first.seen[2], Seen::Broken(ref why) if why.contains("2.png")));
        assert_eq!((first.resumed, first.gone.len()), (0, 0));
        // What the journal says of photo 0 is believed; the last line was cut off in the middle of a letter.
        let name = serde_json::to_string(&photos[0]).expect("text");
        let mut text =
            format!("\"ours\"\n{{\"photo\":{name},\"faces\":[[1,2,3,4,0.5]]}}\n").into_bytes();
        text.extend(b"{\"photo\":\"moved\"}\n{\"photo\":\"\xc3");
        std::fs::write(&journal, text).expect("room");
        let again = run();
        let face = Face { rect: Rect { x: 1.0, y: 2.0, w: 3.0, h: 4.0 }, confidence: 0.5 };
        assert_eq!(again.seen[0], Seen::Faces(vec![face]));
        assert_eq!(again.seen[1..], first.seen[1..]);
        assert_eq!(again.gone, [(PathBuf::from("moved"), Seen::Faces(vec![]))]);
        let lines = std::fs::read_to_string(&journal).expect("a journal");
        assert_eq!((again.resumed, lines.lines().count()), (1, 5), "{lines}");
        assert_eq!(run().resumed, 3);
    }

    #[test]
    fn another_runs_journal_is_no_ours() {
        let dir = tempfile::tempdir().expect("a folder");
        let (photos, path) = (photos(dir.path()), dir.path().join("out.part"));
        let error = || {
            let detector = Detector::own();
            search(&job(&photos, &detector, &path), &|_, _| ()).expect_err("theirs").to_string()
        };
        std::fs::write(&path, "\"theirs\"\n").expect("room");
        let said = error();
        assert!(said.contains("out.part") && said.contains("remove it"), "{said}");
        std::fs::remove_file(&path).expect("a journal");
        let _writing = open(&path, "ours").expect("a journal");
        assert!(error().contains("another run is writing it"));
    }
}
