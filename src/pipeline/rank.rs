//! The test photos, best first. Flows in: the best way of the comparison. Flows out: for each set a model that learned
//! from all photos that may be learnt from, a score for each test photo, and how good the ranking is.

use super::compare::{Way, validation, ways};
use super::model::learn;
use super::project::Project;
use super::sets::{Features, Photo, Set, photos};
use crate::error::{Error, Result};
use crate::learn::metrics::{Judged, average_precision, bootstrap, permutation_test, roc_auc};
use crate::photos::watch::Watch;
use rusqlite::params;

/// The best row of a set in the comparison.
struct Best {
    blob: String,
    copies: bool,
    way: Way,
}

/// What test photos were given.
pub(super) struct Scored<'a> {
    pub photo: &'a Photo,
    pub score: f64,
    pub probability: f64,
}

/// What a model learned from, for the store.
pub(super) struct About<'a> {
    pub name: &'a str,
    pub set: Set,
    pub features: String,
    pub method: String,
    pub learnt: usize,
}

pub(super) fn rank(project: &mut Project, watch: &dyn Watch) -> Result<String> {
    let sets = Set::all(project.config.filter.by);
    watch.begin("models", Some(sets.len() as u64));
    let mut lines = vec![];
    for (done, &set) in sets.iter().enumerate() {
        lines.push(one(project, set)?);
        watch.at(done as u64 + 1);
    }
    Ok(lines.join("; "))
}

fn one(project: &mut Project, set: Set) -> Result<String> {
    let best = best(project, set)?;
    let features = Features::read(project, &best.blob)?;
    let (tests, learnt): (Vec<Photo>, Vec<Photo>) =
        photos(project, set)?.into_iter().partition(|photo| photo.test);
    let (table, _) = features.of(&learnt, best.copies)?;
    let how = validation(&project.config.compare, best.copies);
    let model = learn(&table, &best.way, &how)?;
    let folder = project.file("models");
    std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    model.save(&folder.join(format!("{}.safetensors", set.name())))?;
    let (judged, of) = features.of(&tests, false)?;
    let rows: Vec<u32> = (0..of.len() as u32).collect();
    let scores = model.scores(&judged.matrix, &rows)?;
    let scored: Vec<Scored> = scores
        .iter()
        .zip(&of)
        .map(|(&score, &place)| Scored {
            photo: &tests[place],
            score,
            probability: model.probability(score).unwrap_or(score),
        })
        .collect();
    let copies = if best.copies { " and mirrored" } else { "" };
    let about = About {
        name: set.name(),
        set,
        features: format!("{}{copies}", best.blob),
        method: best.way.name,
        learnt: learnt.len(),
    };
    write(project, &about, &scored)
}

fn best(project: &Project, set: Set) -> Result<Best> {
    let (blob, copies, name): (String, bool, String) = project.store.read(|db| {
        let query = "SELECT features, mirrored, method FROM comparisons WHERE photos = ?1
            ORDER BY ap DESC, features, mirrored, method LIMIT 1";
        db.query_row(query, [set.name()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
    })?;
    let way = ways(&project.config.compare).into_iter().find(|way| way.name == name);
    let way = way.ok_or_else(|| Error::Invalid(format!("no way to learn is called '{name}'")))?;
    Ok(Best { blob, copies, way })
}

/// Writes scores down, and how good they are.
pub(super) fn write(project: &mut Project, about: &About, scored: &[Scored]) -> Result<String> {
    let scores: Vec<f64> = scored.iter().map(|s| s.score).collect();
    let labels: Vec<bool> = scored.iter().map(|s| s.photo.good).collect();
    let right = scored.iter().filter(|s| (s.probability > 0.5) == s.photo.good).count();
    let judged = Judged { scores: &scores, labels: &labels, groups: None };
    let repeats = project.config.report.repeats;
    let ap = bootstrap(average_precision, judged, repeats, 0.95, 0)?;
    let test = permutation_test(average_precision, judged, repeats, 0)?;
    let auc = roc_auc(&scores, &labels)?;
    let n = scored.len() as f64;
    let chance = labels.iter().filter(|&&l| l).count() as f64 / n;
    project.store.change(|db| {
        db.execute("DELETE FROM scores WHERE model = ?1", [about.name])?;
        let mut insert = db.prepare("INSERT INTO scores VALUES (?1, ?2, ?3, ?4)")?;
        for s in scored {
            insert.execute(params![s.photo.id, about.name, s.score, s.probability])?;
        }
        db.execute(
            "INSERT OR REPLACE INTO models VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            params![
                about.name,
                about.set.name(),
                about.features,
                about.method,
                about.learnt,
                scored.len(),
                chance,
                ap.value,
                ap.low,
                ap.high,
                test.p,
                auc,
                right as f64 / n
            ],
        )
    })?;
    Ok(format!(
        "{}: AP {:.3} ({:.3} to {:.3}), chance {chance:.3}, p = {:.4}",
        about.name, ap.value, ap.low, ap.high, test.p
    ))
}
