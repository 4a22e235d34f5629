//! Which classifier does best. Flows in: features of the photos that are learnt from. Flows out: a row for each set of
//! photos, blob, way to learn: what cross-validation gave.

use super::config::Compare;
use super::project::Project;
use super::sets::{Features, Photo, Set, photos};
use crate::error::Result;
use crate::learn::forest;
use crate::learn::linear::{Problem, Sgd};
use crate::learn::prepare::Scaling;
use crate::learn::validate::{Method, Outcome, Sampled, Validation, validate};
use crate::photos::watch::Watch;
use rusqlite::params;
use std::sync::atomic::{AtomicU64, Ordering};

/// A way of learning, and what the store calls it.
pub(super) struct Way {
    pub name: String,
    pub c: Option<f64>,
    pub method: Method,
}

/// Linear SVMs by rising C, a forest, gradient descent.
pub(super) fn ways(config: &Compare) -> Vec<Way> {
    let seed = u64::from(config.seed);
    let mut c = config.c.clone();
    c.sort_by(f64::total_cmp);
    let linear = c.into_iter().map(|c| Way {
        name: format!("linear SVM, C = {c:e}"),
        c: Some(c),
        method: Method::Linear(Problem { c, seed, ..Problem::default() }),
    });
    let forest = forest::Settings { trees: config.trees, seed, ..forest::Settings::default() };
    let descent = Sgd { iterations: config.iterations, intercept: true, seed, ..Sgd::default() };
    let others = [
        Way { name: "random forest".into(), c: None, method: Method::Forest(forest) },
        Way { name: "SVM by SGD".into(), c: None, method: Method::Sgd(descent) },
    ];
    linear.chain(others).collect()
}

/// How all of them see features.
pub(super) fn scaling(config: &Compare) -> Scaling {
    Scaling { norm: None, standardise: config.standardise }
}

/// How all of them are validated.
pub(super) fn validation(config: &Compare, copies: bool) -> Validation {
    Validation { folds: config.folds, seed: config.seed, copies, scaling: scaling(config) }
}

/// What was learnt from.
struct Learnt<'a> {
    set: Set,
    blob: &'a str,
    copies: bool,
}

pub(super) fn compare(project: &mut Project, watch: &dyn Watch) -> Result<String> {
    let config = project.config.compare.clone();
    let (ways, layers) = (ways(&config), project.config.features.layers.clone());
    let copies: &[bool] = if project.config.features.mirrored { &[false, true] } else { &[false] };
    let sets = Set::all(project.config.filter.by);
    let rounds = sets.len() * layers.len() * copies.len();
    watch.begin("trainings", Some((rounds * ways.len() * config.folds) as u64));
    project.store.change(|db| db.execute("DELETE FROM comparisons", []))?;
    let done = AtomicU64::new(0);
    for blob in &layers {
        let features = Features::read(project, blob)?;
        for &set in sets {
            let learnt: Vec<Photo> =
                photos(project, set)?.into_iter().filter(|p| !p.test).collect();
            for &copies in copies {
                let (table, _) = features.of(&learnt, copies)?;
                let sampled = Sampled::of(&table)?;
                let methods: Vec<Method> = ways.iter().map(|way| way.method.clone()).collect();
                let tell = |_: usize| watch.at(done.fetch_add(1, Ordering::Relaxed) + 1);
                let outcomes = validate(&sampled, &methods, &validation(&config, copies), &tell)?;
                write(project, &Learnt { set, blob, copies }, &ways, &outcomes)?;
                let remarks = outcomes.iter().flat_map(|o| &o.remarks);
                remarks.for_each(|remark| watch.note(&format!("{blob}: {remark}")));
            }
        }
    }
    project.store.read(|db| {
        let query = "SELECT photos, features, mirrored, method, ap, ap_spread FROM comparisons
            ORDER BY photos = 'people' DESC, ap DESC, features, mirrored, method LIMIT 1";
        db.query_row(query, [], |row| {
            let (set, blob, method): (String, String, String) =
                (row.get(0)?, row.get(1)?, row.get(3)?);
            let copies = if row.get::<_, bool>(2)? { " and mirrored" } else { "" };
            let (ap, spread): (f64, f64) = (row.get(4)?, row.get(5)?);
            Ok(format!("best for {set}: {method} on {blob}{copies}, AP {ap:.3} ± {spread:.3}"))
        })
    })
}

fn write(project: &mut Project, of: &Learnt, ways: &[Way], outcomes: &[Outcome]) -> Result<()> {
    project.store.change(|db| {
        let mut insert =
            db.prepare("INSERT INTO comparisons VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
        for (way, outcome) in ways.iter().zip(outcomes) {
            let (ap, spread) = outcome.spread(|s| s.average_precision);
            insert.execute(params![
                of.set.name(),
                of.blob,
                of.copies,
                way.name,
                way.c,
                ap,
                if spread.is_finite() { spread } else { 0.0 },
                outcome.spread(|s| s.roc_auc).0,
                outcome.spread(|s| s.accuracy).0
            ])?;
        }
        Ok(())
    })
}
