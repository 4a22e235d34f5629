//! When a stage runs. Flows in: a study. Flows out: each stage done, once.
//!
//! A stage's row in the store has a sum of what it was made from. The same sum: it is done, or goes on where it was cut
//! off. Another one: what was left is forgotten, and it begins anew.

use super::project::Project;
use super::stage::Stage;
use crate::error::{Error, Result};
use crate::photos::collect;
use crate::photos::store::{Store, sha256};
use crate::photos::watch::Watch;
use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Raised when a stage's results change for the same inputs.
const VERSION: u32 = 1;

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

/// What it is made from, as a sum; None where a stage before is not done.
fn inputs(stage: Stage, project: &Project) -> Result<Option<String>> {
    let mut parts = vec![json!(VERSION), json!(stage.name()), stage.settings(project)];
    for before in stage.after() {
        match row(&project.store, *before)? {
            Some(Row { done: true, outputs: Some(outputs), .. }) => parts.push(json!(outputs)),
            _ => return Ok(None),
        }
    }
    Ok(Some(sha256(&Value::Array(parts).to_string())))
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
    let Some(inputs) = inputs(stage, project)? else {
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
        let wanted = inputs(stage, project)?;
        let there = stage.files(project).iter().all(|path| path.exists());
        let state = match &known {
            None => "not begun",
            Some(row) if !row.done => "cut off",
            Some(row) if there && wanted.as_ref() == Some(&row.inputs) => "done",
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
