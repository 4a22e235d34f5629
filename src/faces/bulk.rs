//! Many photos through one detector. Flows in: photos. Flows out: what was seen in each, in their order.
//!
//! Photos are searched side by side. A journal beside the output keeps every finished photo: a run that was
//! cut off goes on where it was.

use super::{Detector, Face, Rect, Search};
use crate::error::{Error, Result};
use crate::image::{Limits, decode_file, decode_gray_file};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, Write};
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

/// One photo's line in the journal.
#[derive(Serialize, Deserialize)]
struct Line {
    photo: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    broken: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    faces: Vec<[f32; 5]>,
}

impl Line {
    fn new(photo: usize, seen: &Seen) -> Self {
        match seen {
            Seen::Broken(reason) => Self { photo, broken: Some(reason.clone()), faces: vec![] },
            Seen::Faces(faces) => {
                let numbers = |f: &Face| [f.rect.x, f.rect.y, f.rect.w, f.rect.h, f.confidence];
                Self { photo, broken: None, faces: faces.iter().map(numbers).collect() }
            }
        }
    }

    fn seen(self) -> Seen {
        let face =
            |[x, y, w, h, confidence]: [f32; 5]| Face { rect: Rect { x, y, w, h }, confidence };
        match self.broken {
            Some(reason) => Seen::Broken(reason),
            None => Seen::Faces(self.faces.into_iter().map(face).collect()),
        }
    }
}

/// Searches every photo that the journal does not know yet. `progress` hears of each, first of all those that
/// it knows; broken photos stop nothing. The journal is the caller's to remove, once the answers are safe.
///
/// Fails where the journal cannot be written, or is that of another run.
pub fn search(job: &Job, progress: &(dyn Fn(usize, &Seen) + Sync)) -> Result<Vec<Seen>> {
    let mut seen: Vec<Option<Seen>> = vec![None; job.photos.len()];
    let journal = match job.journal {
        Some(path) => Some((path, Mutex::new(open(path, job.settings, &mut seen)?))),
        None => None,
    };
    seen.par_iter_mut().enumerate().try_for_each(|(i, slot)| {
        if slot.is_none() {
            let answer = look(job, &job.photos[i]);
            if let Some((path, file)) = &journal {
                let mut line = serde_json::to_string(&Line::new(i, &answer))
                    .map_err(|e| Error::Invalid(e.to_string()))?;
                line.push('\n');
                let mut file = file.lock().unwrap_or_else(|e| e.into_inner());
                file.write_all(line.as_bytes()).map_err(Error::io(path))?;
            }
            *slot = Some(answer);
        }
        slot.iter().for_each(|seen| progress(i, seen));
        Ok::<_, Error>(())
    })?;
    Ok(seen.into_iter().flatten().collect())
}

fn look(job: &Job, photo: &Path) -> Seen {
    let limits = Limits::default();
    let faces = || {
        if job.detector.needs_colour() {
            job.detector.detect(&decode_file(photo, &limits)?, &job.search)
        } else {
            job.detector.detect_gray(&decode_gray_file(photo, &limits)?, &job.search)
        }
    };
    faces().map_or_else(|e: Error| Seen::Broken(e.to_string()), Seen::Faces)
}

/// Opens a journal, reads what it knows into `seen`, and leaves the file ready for more lines.
fn open(path: &Path, settings: &str, seen: &mut [Option<Seen>]) -> Result<File> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(Error::io(path))?;
    let mut reader = BufReader::new(&file);
    let head = serde_json::to_string(settings).map_err(|e| Error::Invalid(e.to_string()))? + "\n";
    let mut line = String::new();
    let mut whole = reader.read_line(&mut line).map_err(Error::io(path))? as u64;
    if line.ends_with('\n') && line != head {
        let reason = "holds a run with other photos, another cascade or other settings";
        return Err(Error::Invalid(format!(
            "{}: {reason}; remove it to begin anew",
            path.display()
        )));
    }
    if !line.ends_with('\n') {
        file.set_len(0).map_err(Error::io(path))?;
        file.rewind().and_then(|()| file.write_all(head.as_bytes())).map_err(Error::io(path))?;
        return Ok(file);
    }
    loop {
        line.clear();
        // A line that was cut off, or is no line of ours, ends what is known.
        let read = reader.read_line(&mut line).map_err(Error::io(path))? as u64;
        let known = serde_json::from_str::<Line>(&line).ok().filter(|_| line.ends_with('\n'));
        let Some(known) = known.filter(|l| l.photo < seen.len()) else { break };
        whole += read;
        let photo = known.photo;
        seen[photo] = Some(known.seen());
    }
    file.set_len(whole).map_err(Error::io(path))?;
    file.seek(std::io::SeekFrom::Start(whole)).map_err(Error::io(path))?;
    Ok(file)
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
        let first = search(&job(&photos, &detector, &journal), &|_, _| ()).expect("a run");
        assert!(matches!(first[2], Seen::Broken(ref why) if why.contains("2.png")));
        // What the journal says of photo 0 is believed; the last line was cut off in the middle.
        let text = "\"ours\"\n{\"photo\":0,\"faces\":[[1,2,3,4,0.5]]}\n{\"photo\":1,\"fa";
        std::fs::write(&journal, text).expect("room");
        let again = search(&job(&photos, &detector, &journal), &|_, _| ()).expect("a run");
        let face = Face { rect: Rect { x: 1.0, y: 2.0, w: 3.0, h: 4.0 }, confidence: 0.5 };
        assert_eq!(again, [Seen::Faces(vec![face]), first[1].clone(), first[2].clone()]);
        let lines = std::fs::read_to_string(&journal).expect("a journal");
        assert_eq!(lines.lines().count(), 4, "{lines}");
    }

    #[test]
    fn another_runs_journal_is_no_ours() {
        let dir = tempfile::tempdir().expect("a folder");
        let (photos, journal) = (photos(dir.path()), dir.path().join("out.part"));
        std::fs::write(&journal, "\"theirs\"\n").expect("room");
        let error =
            search(&job(&photos, &Detector::own(), &journal), &|_, _| ()).expect_err("theirs");
        assert!(error.to_string().contains("remove it"), "{error}");
    }
}
