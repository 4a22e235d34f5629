//! Which photos have a face. Flows in: files. Flows out: faces, and the filter's verdict on each photo.

use super::config::Filter;
use super::project::Project;
use super::sets::{Set, paths, photos};
use crate::error::{Error, Result};
use crate::faces::bulk::{self, Job, Seen};
use crate::faces::{Detector, Search};
use crate::photos::watch::Watch;
use rusqlite::params;
use std::sync::atomic::{AtomicU64, Ordering};

/// Photos that an interrupted search has done.
pub(super) const JOURNAL: &str = "faces.part";

/// The detector of a study, and how it searches.
pub(super) fn searcher(project: &Project) -> Result<(Detector, Search)> {
    let Filter { cascade, confidence, min_size, .. } = &project.config.filter;
    let detector = match cascade.as_os_str().is_empty() {
        true => Detector::own(),
        false => Detector::read(&project.given(cascade))?,
    };
    Ok((detector, Search { min_size: *min_size, confidence: *confidence, ..Search::new()? }))
}

pub(super) fn search(project: &mut Project, watch: &dyn Watch) -> Result<String> {
    let all = photos(project, Set::Everything)?;
    let files = paths(project, &all);
    let (detector, search) = searcher(project)?;
    watch.begin("photos", Some(all.len() as u64));
    // The stage forgets the journal when its inputs change: what it holds is of this search.
    let journal = project.file(JOURNAL);
    let job = Job {
        photos: &files,
        detector: &detector,
        search,
        journal: Some(&journal),
        settings: "a study",
    };
    let done = AtomicU64::new(0);
    let tell = |_: &Seen, _: bool| watch.at(done.fetch_add(1, Ordering::Relaxed) + 1);
    let answers = bulk::search(&job, &tell)?;
    let (mut with, mut broken) = (0, 0);
    project.store.change(|db| {
        db.execute("DELETE FROM faces", [])?;
        db.execute("DELETE FROM filters WHERE filter = 'faces'", [])?;
        let mut face = db.prepare("INSERT INTO faces VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        let mut verdict = db.prepare("INSERT INTO filters VALUES (?1, 'faces', ?2, ?3)")?;
        for (photo, seen) in all.iter().zip(&answers.seen) {
            let faces = match seen {
                Seen::Faces(faces) => faces,
                Seen::Broken(_) => {
                    broken += 1;
                    continue;
                }
            };
            with += u64::from(!faces.is_empty());
            let surest = faces.first().map(|f| f.confidence);
            verdict.execute(params![photo.id, !faces.is_empty(), surest])?;
            for (place, f) in faces.iter().enumerate() {
                let r = f.rect;
                face.execute(params![photo.id, place, r.x, r.y, r.w, r.h, f.confidence])?;
            }
        }
        Ok(())
    })?;
    std::fs::remove_file(&journal).map_err(Error::io(&journal))?;
    let damaged = if broken > 0 { format!("; {broken} could not be read") } else { String::new() };
    Ok(format!("{with} of {} photos have a face{damaged}", all.len()))
}
