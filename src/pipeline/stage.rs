//! The stages in their order. Flows in: a study. Flows out: each stage done, once.

use super::config::Config;
use super::project::Project;
use super::{compare, faces, features, finetune, rank, report};
use crate::error::{Error, Result};
use crate::image::list_pictures;
use crate::photos::store::{Store, sha256};
use crate::photos::watch::Watch;
use crate::photos::{collect, download, prepare};
use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Raised when a stage's results change for the same inputs.
const VERSION: u32 = 1;

/// A stage of the study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Which photos there are.
    Collect,
    /// Which count, and which are good.
    Prepare,
    /// Their files.
    Download,
    /// Their faces.
    Faces,
    /// What a network makes of them.
    Features,
    /// Which classifier does best.
    Compare,
    /// The network itself learns.
    Finetune,
    /// The test photos, best first.
    Rank,
    /// What a person wants to look at.
    Report,
}

/// Hears how a run goes.
pub trait Progress: Watch {
    /// A stage begins.
    fn stage(&self, stage: Stage);
    /// A stage is done.
    fn finished(&self, stage: Stage, how: &Finished);
}

/// How a stage was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finished {
    /// It ran.
    Ran {
        /// What it came to.
        summary: String,
        /// Seconds that it took.
        seconds: u64,
    },
    /// Nothing has changed since it ran.
    Known {
        /// What it came to then.
        summary: String,
    },
}

/// How far a stage is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Which.
    pub stage: Stage,
    /// In words: "done", "cut off", "to be done again", "not begun".
    pub state: &'static str,
    /// What it came to.
    pub summary: String,
    /// Seconds that it took, where it ran in one go.
    pub seconds: Option<u64>,
}

/// A stage's row.
struct Row {
    done: bool,
    inputs: String,
    outputs: Option<String>,
    summary: Option<String>,
    begun: Option<u64>,
    ended: Option<u64>,
}

impl Stage {
    /// All, in their order.
    pub const ALL: [Self; 9] = [
        Self::Collect,
        Self::Prepare,
        Self::Download,
        Self::Faces,
        Self::Features,
        Self::Compare,
        Self::Finetune,
        Self::Rank,
        Self::Report,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Collect => "collect",
            Self::Prepare => "prepare",
            Self::Download => "download",
            Self::Faces => "faces",
            Self::Features => "features",
            Self::Compare => "compare",
            Self::Finetune => "finetune",
            Self::Rank => "rank",
            Self::Report => "report",
        }
    }

    /// The stage of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }

    /// The stages whose results it is made from.
    fn after(self) -> &'static [Self] {
        match self {
            Self::Collect => &[],
            Self::Prepare => &[Self::Collect],
            Self::Download => &[Self::Prepare],
            Self::Faces | Self::Features => &[Self::Download],
            Self::Compare | Self::Finetune => &[Self::Prepare, Self::Faces, Self::Features],
            Self::Rank => &[Self::Prepare, Self::Faces, Self::Features, Self::Compare],
            Self::Report => &[
                Self::Collect,
                Self::Prepare,
                Self::Download,
                Self::Faces,
                Self::Features,
                Self::Compare,
                Self::Finetune,
                Self::Rank,
            ],
        }
    }

    /// The settings that its result depends on, and files that the user gave. How fast networks are asked is none of them.
    fn settings(self, project: &Project) -> Value {
        let config = &project.config;
        let given = |path: &Path| stamp(path, &project.given(path));
        match self {
            Self::Collect => {
                let c = &config.collect;
                let files = if c.is_network() { Value::Null } else { given(&c.path) };
                json!([c.identity(), c.most, files])
            }
            Self::Prepare => json!(config.prepare),
            Self::Download => {
                let d = &config.download;
                json!([d.max_bytes, d.min_side, d.alike])
            }
            Self::Faces => {
                let f = &config.filter;
                json!([given(&f.cascade), f.confidence, f.min_size])
            }
            Self::Features => {
                let f = &config.features;
                json!([f, given(&f.weights), given(&f.net), given(&config.filter.classifier)])
            }
            Self::Compare => json!([config.compare, config.filter.by]),
            Self::Finetune => json!([config.finetune, config.filter.by, config.report.repeats]),
            Self::Rank => json!([config.compare, config.filter.by, config.report.repeats]),
            Self::Report => json!([config.report, given(&config.report.truth), config.filter.by]),
        }
    }

    /// What it leaves when it is cut off, for a later run with the same inputs.
    fn unfinished(self, project: &Project) -> Vec<PathBuf> {
        match self {
            Self::Faces => vec![project.file(faces::JOURNAL)],
            Self::Features => vec![project.file(features::PART)],
            Self::Finetune => vec![project.file(finetune::FOLDER)],
            _ => vec![],
        }
    }

    /// Files without which its result is not there.
    fn files(self, project: &Project) -> Vec<PathBuf> {
        match self {
            Self::Features => vec![project.file(features::FILE)],
            Self::Finetune if project.config.finetune.iterations > 0 => {
                vec![project.file(finetune::WEIGHTS)]
            }
            Self::Report => vec![project.file(report::FILE)],
            _ => vec![],
        }
    }

    /// Queries for everything that later stages read of it.
    fn results(self) -> &'static [&'static str] {
        match self {
            Self::Collect => &[
                "SELECT id, native, name, followers, hidden FROM users ORDER BY id",
                "SELECT id, native, user, url, created, likes FROM photos ORDER BY id",
                "SELECT value FROM facts WHERE name = 'as_of'",
            ],
            Self::Prepare => &["SELECT photo, removed, rate, good, part FROM labels ORDER BY photo"],
            Self::Download => &[
                "SELECT photo, state, file, sha256, duplicate_of FROM downloads JOIN labels USING (photo)
                 WHERE removed IS NULL ORDER BY photo",
            ],
            Self::Faces => &[
                "SELECT photo, place, x, y, w, h, confidence FROM faces ORDER BY photo, place",
                "SELECT photo, keep FROM filters WHERE filter = 'faces' ORDER BY photo",
            ],
            Self::Features => &[
                "SELECT photo, sha256 FROM downloads WHERE state = 'done' AND duplicate_of IS NULL ORDER BY photo",
                "SELECT photo, keep FROM filters WHERE filter = 'classifier' ORDER BY photo",
            ],
            Self::Compare => {
                &["SELECT * FROM comparisons ORDER BY photos, features, mirrored, method"]
            }
            Self::Finetune => &["SELECT * FROM scores WHERE model = 'network' ORDER BY photo"],
            Self::Rank => &[
                "SELECT * FROM models ORDER BY name",
                "SELECT * FROM scores ORDER BY model, photo",
            ],
            Self::Report => &[],
        }
    }

    fn work(self, project: &mut Project, watch: &dyn Watch) -> Result<String> {
        let base = project.base().to_path_buf();
        match self {
            Self::Collect => {
                collect::collect(&mut project.store, &project.config.collect, &base, watch)
            }
            Self::Prepare => prepare::prepare(&mut project.store, &project.config.prepare, watch),
            Self::Download => {
                let photos = project.photos();
                let Config { download, collect, .. } = &project.config;
                download::download(&mut project.store, download, &collect.contact, &photos, watch)
            }
            Self::Faces => faces::search(project, watch),
            Self::Features => features::extract(project, watch),
            Self::Compare => compare::compare(project, watch),
            Self::Finetune => finetune::finetune(project, watch),
            Self::Rank => rank::rank(project, watch),
            Self::Report => report::report(project, watch),
        }
    }

    /// What it is made from, as a sum; None where a stage before is not done.
    fn inputs(self, project: &Project) -> Result<Option<String>> {
        let mut parts = vec![json!(VERSION), json!(self.name()), self.settings(project)];
        for before in self.after() {
            match row(&project.store, *before)? {
                Some(Row { done: true, outputs: Some(outputs), .. }) => parts.push(json!(outputs)),
                _ => return Ok(None),
            }
        }
        Ok(Some(sha256(&Value::Array(parts).to_string())))
    }
}

fn row(store: &Store, stage: Stage) -> Result<Option<Row>> {
    store.read(|db| {
        let query =
            "SELECT state, inputs, outputs, summary, begun, ended FROM stages WHERE name = ?1";
        let row = |row: &rusqlite::Row| {
            let state: String = row.get(0)?;
            Ok(Row {
                done: state == "done",
                inputs: row.get(1)?,
                outputs: row.get(2)?,
                summary: row.get(3)?,
                begun: row.get(4)?,
                ended: row.get(5)?,
            })
        };
        db.query_row(query, [stage.name()], row).optional()
    })
}

/// Size and time of a file that a user gave, or of all files in a folder: another one has others.
fn stamp(given: &Path, path: &Path) -> Value {
    if given.as_os_str().is_empty() {
        return Value::Null;
    }
    let of = |path: &Path| {
        let meta = std::fs::metadata(path).ok()?;
        let time = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some((meta.len(), time.as_nanos() as u64))
    };
    let mut stamps = vec![json!([given, of(path)])];
    if path.is_dir() {
        let listed = list_pictures(path).unwrap_or_default().into_iter().map(|p| p.path);
        for photo in listed {
            let mut beside = photo.clone().into_os_string();
            beside.push(".json");
            stamps.push(json!([
                photo,
                of(&photo),
                of(Path::new(&beside)),
                of(&photo.with_extension("json"))
            ]));
        }
    }
    json!(sha256(&Value::Array(stamps).to_string()))
}

/// Removes a file or a folder, if it is there.
fn remove(path: &Path) -> Result<()> {
    let gone = match path.is_dir() {
        true => std::fs::remove_dir_all(path),
        false => std::fs::remove_file(path),
    };
    match gone {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path)(e)),
        _ => Ok(()),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Runs stages that are not done, in order: those given, or all where none is.
///
/// Fails where a stage fails, and where one is asked for whose stages before it are not done. A run that was cut off
/// loses nothing: another one goes on.
pub fn run(project: &mut Project, only: &[Stage], progress: &dyn Progress) -> Result<()> {
    settle(project)?;
    for stage in Stage::ALL {
        if only.is_empty() || only.contains(&stage) {
            one(project, stage, progress)?;
        }
    }
    Ok(())
}

/// A folder holds one collection, and the moment when it began, by which the age of photos counts.
fn settle(project: &mut Project) -> Result<()> {
    let identity = project.config.collect.identity();
    let there = project.store.settle("collection", &identity)?;
    if there != identity {
        return Err(Error::Invalid(format!(
            "{} holds another collection ({there}); give [collect] a folder of its own",
            project.folder().display()
        )));
    }
    project.store.settle("as_of", &now().to_string()).map(drop)
}

fn one(project: &mut Project, stage: Stage, progress: &dyn Progress) -> Result<()> {
    let Some(inputs) = stage.inputs(project)? else {
        let before: Vec<&str> = stage.after().iter().map(|s| s.name()).collect();
        let before = before.join(", ");
        return Err(Error::Invalid(format!("{}: run first: {before}", stage.name())));
    };
    let known = row(&project.store, stage)?;
    let there = stage.files(project).iter().all(|path| path.exists());
    if let Some(row) = known.as_ref().filter(|row| row.done && row.inputs == inputs && there) {
        let summary = row.summary.clone().unwrap_or_default();
        progress.finished(stage, &Finished::Known { summary });
        return Ok(());
    }
    progress.stage(stage);
    if known.is_none_or(|row| row.inputs != inputs) {
        stage.unfinished(project).iter().try_for_each(|path| remove(path))?;
    }
    let begun = now();
    project.store.change(|db| {
        db.execute(
            "INSERT INTO stages (name, state, inputs, begun) VALUES (?1, 'running', ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET state = 'running', inputs = ?2, begun = ?3, ended = NULL",
            params![stage.name(), inputs, begun],
        )
    })?;
    let summary = stage.work(project, progress)?;
    let mut outputs = project.store.digest(stage.results())?;
    if stage == Stage::Features {
        // The activations themselves are no rows: they follow from what they are made from.
        outputs = sha256(&format!("{outputs} {inputs}"));
    }
    let ended = now();
    project.store.change(|db| {
        db.execute(
            "UPDATE stages SET state = 'done', outputs = ?2, summary = ?3, ended = ?4 WHERE name = ?1",
            params![stage.name(), outputs, summary, ended],
        )
    })?;
    progress.finished(stage, &Finished::Ran { summary, seconds: ended.saturating_sub(begun) });
    Ok(())
}

/// Makes a stage run again. Collecting then begins with the newest photos.
pub fn again(project: &mut Project, stage: Stage) -> Result<()> {
    if stage == Stage::Collect {
        collect::begin_again(&mut project.store)?;
    }
    project.store.change(|db| db.execute("DELETE FROM stages WHERE name = ?1", [stage.name()]))?;
    Ok(())
}

/// How far each stage is.
pub fn status(project: &Project) -> Result<Vec<Status>> {
    let one = |stage: Stage| {
        let known = row(&project.store, stage)?;
        let inputs = stage.inputs(project)?;
        let there = stage.files(project).iter().all(|path| path.exists());
        let state = match &known {
            None => "not begun",
            Some(row) if !row.done => "cut off",
            Some(row) if there && inputs.as_ref() == Some(&row.inputs) => "done",
            Some(_) => "to be done again",
        };
        let seconds = known.as_ref().and_then(|row| row.ended?.checked_sub(row.begun?));
        let summary = known.and_then(|row| row.summary).unwrap_or_default();
        Ok(Status { stage, state, summary, seconds })
    };
    Stage::ALL.into_iter().map(one).collect()
}

/// Deletes everything that was made from photos of somebody who was forgotten: features, models, reports. Stages from
/// preparation on run again.
pub fn forget_results(project: &mut Project) -> Result<()> {
    project.store.change(|db| {
        db.execute_batch(
            "DELETE FROM stages WHERE name <> 'collect'; DELETE FROM comparisons; DELETE FROM models;
             UPDATE stages SET outputs = NULL, state = 'running'",
        )
    })?;
    let entries = std::fs::read_dir(project.folder()).map_err(Error::io(project.folder()))?;
    for entry in entries {
        let path = entry.map_err(Error::io(project.folder()))?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if !name.starts_with("likenet.") && name != "photos" {
            remove(&path)?;
        }
    }
    Ok(())
}
