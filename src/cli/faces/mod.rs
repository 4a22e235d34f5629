//! `likenet faces`

mod detect;
mod draw;
mod eval;
mod filter;
mod train;

use super::Outcome;
use super::compute::threads;
use super::photos::progress_bar;
use likenet::faces::bulk::{self, Answers, Job, Seen};
use likenet::faces::{Detector, Measure, Search};
use likenet::image::list_pictures;
use likenet::{Error, Result};
use std::path::{Component, Path, PathBuf};
use std::time::Instant;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Finds the faces on photos: boxes and how sure each is
    Detect(detect::Args),
    /// Copies or moves the photos that have a face
    Filter(filter::Args),
    /// Trains a cascade on crops of an object (faces, cats, logos) and on photos without it
    Train(train::Args),
    /// Judges a cascade by labelled photos
    Eval(eval::EvalArgs),
    /// Judges several cascades by the same labelled photos
    Compare(eval::CompareArgs),
}

pub fn run(command: &Command) -> Result<Outcome> {
    match command {
        Command::Detect(args) => detect::run(args),
        Command::Filter(args) => filter::run(args),
        Command::Train(args) => train::run(args),
        Command::Eval(args) => eval::eval(args),
        Command::Compare(args) => eval::compare(args),
    }
}

/// Which photos are searched, and how.
#[derive(clap::Args)]
struct SearchArgs {
    /// Photos, folders of photos, or text files that list photos
    #[arg(required = true, value_name = "PHOTO")]
    photos: Vec<PathBuf>,
    /// A cascade of ours, OpenCV's (XML) or ccv's (sqlite3) [default: the built-in one]
    #[arg(long, value_name = "FILE")]
    cascade: Option<PathBuf>,
    /// The smallest face, in pixels along its longer side
    #[arg(long, value_name = "PIXELS", default_value_t = 40.0)]
    min_size: f32,
    /// The least confidence. Ours is a probability; OpenCV's counts windows, ccv's passed stages
    /// [default: 0.9 for ours, else none]
    #[arg(long, value_name = "P")]
    confidence: Option<f32>,
    /// Threads; 0 means one for each core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = threads())]
    threads: usize,
}

/// A photo, and where its copies lie below their folder.
struct Photo {
    path: PathBuf,
    below: PathBuf,
}

/// Photos and what was seen in them.
struct Searched {
    photos: Vec<Photo>,
    answers: Answers,
    seconds: f64,
}

impl SearchArgs {
    fn list(&self) -> Result<Vec<Photo>> {
        let mut photos = Vec::new();
        for given in &self.photos {
            let root = self.root(given);
            let photo = |path: PathBuf| Photo { below: below(&path, root), path };
            photos.extend(list_pictures(given)?.into_iter().map(|listed| photo(listed.path)));
        }
        if photos.is_empty() {
            return Err(Error::Invalid(format!("no pictures in {}", self.given())));
        }
        Ok(photos)
    }

    /// What copies' paths leave away: a folder that was given alone; of one among others, or of a file, what is
    /// above it.
    fn root<'a>(&self, given: &'a Path) -> &'a Path {
        match self.photos.len() {
            1 if given.is_dir() => given,
            _ => given.parent().unwrap_or(given),
        }
    }

    fn given(&self) -> String {
        let names: Vec<String> = self.photos.iter().map(|p| p.display().to_string()).collect();
        names.join(", ")
    }

    /// Searches all photos, with a bar; broken ones are told at once.
    fn search(&self, journal: Option<&Path>) -> Result<Searched> {
        if !(self.min_size >= 1.0 && self.min_size.is_finite()) {
            let size = self.min_size;
            return Err(Error::Invalid(format!("--min-size {size}: a face has at least 1 pixel")));
        }
        let begun = Instant::now();
        let detector = match &self.cascade {
            Some(path) => Detector::read(path)?,
            None => Detector::own(),
        };
        let default = match detector.measure() {
            Measure::Probability => 0.9,
            Measure::Windows | Measure::Stages => f32::NEG_INFINITY,
        };
        let confidence = self.confidence.unwrap_or(default);
        let search = Search { min_size: self.min_size, confidence, ..Search::new()? };
        let photos = self.list()?;
        let paths: Vec<PathBuf> = photos.iter().map(|p| p.path.clone()).collect();
        let settings = self.settings(confidence)?;
        let job = Job { photos: &paths, detector: &detector, search, journal, settings: &settings };
        let bar = progress_bar(paths.len());
        let progress = |seen: &Seen, known: bool| {
            if let Seen::Broken(reason) = seen {
                bar.suspend(|| eprintln!("skipped {reason}"));
            }
            bar.inc(1);
            if known {
                bar.reset_eta();
            }
        };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .build()
            .map_err(|e| Error::Invalid(format!("cannot start threads: {e}")))?;
        let answers = pool.install(|| bulk::search(&job, &progress))?;
        bar.finish_and_clear();
        Ok(Searched { photos, answers, seconds: begun.elapsed().as_secs_f64() })
    }

    /// Everything that an answer depends on.
    fn settings(&self, confidence: f32) -> Result<String> {
        let cascade = match &self.cascade {
            None => "built in".to_string(),
            Some(path) => {
                let meta = std::fs::metadata(path).map_err(Error::io(path))?;
                let (bytes, changed) = (meta.len(), meta.modified().ok());
                format!("{} ({bytes} bytes, {changed:?})", path.display())
            }
        };
        let version = env!("CARGO_PKG_VERSION");
        Ok(format!(
            "likenet {version}, cascade {cascade}, faces from {} pixels, confidence {confidence}; {}",
            self.min_size,
            self.given()
        ))
    }
}

/// A path below `root`; all of it where it lies elsewhere. Nothing in it leads up.
fn below(path: &Path, root: &Path) -> PathBuf {
    let rest = path.strip_prefix(root).unwrap_or(path);
    rest.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

impl Searched {
    /// Each photo with its faces; none where it is broken.
    fn faces(&self) -> impl Iterator<Item = (&Photo, &[likenet::faces::Face])> {
        self.photos.iter().zip(&self.answers.seen).map(|(photo, seen)| match seen {
            Seen::Faces(faces) => (photo, &faces[..]),
            Seen::Broken(_) => (photo, &[][..]),
        })
    }

    fn broken(&self) -> usize {
        self.answers.seen.iter().filter(|seen| matches!(seen, Seen::Broken(_))).count()
    }

    /// The run in figures.
    fn summary(&self) -> String {
        let all = self.photos.len();
        let with = self.faces().filter(|(_, faces)| !faces.is_empty()).count();
        let faces: usize = self.faces().map(|(_, faces)| faces.len()).sum();
        let mut text = format!("{all} photos, {with} with a face, {faces} faces");
        for (count, what) in [(self.broken(), "broken"), (self.answers.resumed, "resumed")] {
            if count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        let fresh = all - self.answers.resumed;
        if fresh > 0 {
            let rate = fresh as f64 / self.seconds.max(1e-9);
            text += &format!(
                "; {:.1} s, {rate:.1} photos/s with decoding: 120,000 would take {:.1} min",
                self.seconds,
                120_000.0 / rate / 60.0
            );
        }
        text
    }

    fn outcome(&self) -> Outcome {
        if self.broken() == 0 { Outcome::Done } else { Outcome::No }
    }
}

/// The journal beside an output.
fn journal(out: &Path) -> PathBuf {
    // Beside a folder, not in it, also where its name ends in a slash.
    let mut name = out.components().as_path().as_os_str().to_os_string();
    name.push(".part");
    PathBuf::from(name)
}

/// Removes a journal whose answers are safe.
fn forget(journal: &Path) -> Result<()> {
    match std::fs::remove_file(journal) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(journal)(e)),
        _ => Ok(()),
    }
}
