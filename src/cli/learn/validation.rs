//! What `svm cv` and `forest cv` share.

use super::super::{Outcome, print};
use super::{DataArgs, InputArgs, bar};
use clap::{Args, ValueEnum};
use likenet::learn::Source;
use likenet::learn::metrics::{Judged, average_precision, bootstrap, permutation_test};
use likenet::learn::validate::{self, Method, Sampled, Validation};
use likenet::report;
use likenet::{Error, Result};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Args)]
pub struct CvArgs {
    /// Tensors of the features' file, each validated for itself [default: all]
    #[arg(long, value_name = "BLOB,…", value_delimiter = ',')]
    blob: Vec<String>,
    /// Folds
    #[arg(long, value_name = "N", default_value_t = 5)]
    folds: usize,
    /// Seed of the order in which samples are dealt to the folds
    #[arg(long, value_name = "N", default_value_t = 0)]
    split_seed: u32,
    /// Whether mirrored copies are learnt from. They are never judged by [default: without, and with where
    /// there are some]
    #[arg(long, value_enum)]
    copies: Option<CopiesArg>,
    /// Drawing of the average precision against C: .svg or .png; may be given twice
    #[arg(long, value_name = "FILE")]
    plot: Vec<PathBuf>,
    /// All results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Resamplings for the confidence interval, and shuffles of the labels for the test against chance
    #[arg(long, value_name = "N", default_value_t = 1000)]
    repeats: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CopiesArg {
    /// Learn from photos alone
    Without,
    /// Learn from photos and their mirrored copies
    With,
    /// Both, one after the other
    Both,
}

/// One way of learning.
pub struct Point {
    /// What a table calls it.
    pub name: String,
    /// Where it is in a drawing.
    pub x: Option<f64>,
    /// The way.
    pub method: Method,
}

/// Features of one kind, and what came of them.
struct Curve {
    name: String,
    outcomes: Vec<validate::Outcome>,
    best: usize,
    verdict: String,
    /// Share of positive samples: the average precision of chance.
    chance: f64,
}

/// The tensors to validate; `None` where a file has but one set of features.
pub(super) fn blobs(data: &DataArgs, asked: &[String]) -> Result<Vec<Option<String>>> {
    let tensors = data.features.extension().is_some_and(|e| e == "safetensors");
    if !asked.is_empty() || !tensors {
        let one = if asked.is_empty() { vec![None] } else { vec![] };
        return Ok(one.into_iter().chain(asked.iter().cloned().map(Some)).collect());
    }
    let all = Source::blobs(&data.features)?;
    let name = |text: &String| text.rsplit_once(" [").map_or(text.as_str(), |(n, _)| n).to_string();
    Ok(all.iter().map(|text| Some(name(text))).collect())
}

pub fn run(input: &InputArgs, points: &[Point], args: &CvArgs) -> Result<Outcome> {
    let InputArgs { data, scaling } = input;
    check(points, args)?;
    let mut curves = vec![];
    for blob in blobs(data, &args.blob)? {
        let table = data.read(blob.as_deref())?;
        let sampled = Sampled::of(&table)?;
        let there = sampled.mirrored.contains(&true);
        let copies: &[bool] = match args.copies {
            Some(CopiesArg::Without) => &[false],
            Some(CopiesArg::With) => &[true],
            Some(CopiesArg::Both) => &[false, true],
            None if there => &[false, true],
            None => &[false],
        };
        for &copies in copies {
            let kind = if copies { "flipped + normal" } else { "normal" };
            let name = match (&blob, there) {
                (Some(blob), true) => format!("{blob}, {kind}"),
                (Some(blob), false) => blob.clone(),
                (None, true) => kind.to_string(),
                (None, false) => "features".to_string(),
            };
            let how = Validation {
                folds: args.folds,
                seed: args.split_seed,
                copies,
                scaling: scaling.scaling(),
            };
            let curve = data.on_threads(|| one(&sampled, name, points, &how, args))??;
            print(&text(&curve, points, args.folds))?;
            curves.push(curve);
        }
    }
    finish(&curves, points, args)
}

fn check(points: &[Point], args: &CvArgs) -> Result<()> {
    if points.is_empty() {
        return Err(Error::Invalid("nothing to validate: give a value of C at least".into()));
    }
    if args.plot.is_empty() {
        return Ok(());
    }
    if points.iter().any(|p| p.x.is_none()) {
        return Err(Error::Invalid(
            "--plot draws average precision against C, which there is not".into(),
        ));
    }
    #[cfg(feature = "plots")]
    return args.plot.iter().try_for_each(|path| report::check_ending(path));
    #[cfg(not(feature = "plots"))]
    Err(Error::Invalid("this program was built without drawings (feature plots)".into()))
}

fn one(
    sampled: &Sampled,
    name: String,
    points: &[Point],
    how: &Validation,
    args: &CvArgs,
) -> Result<Curve> {
    let methods: Vec<Method> = points.iter().map(|p| p.method.clone()).collect();
    let bar = bar(methods.len() * how.folds, "trainings");
    bar.set_message(name.clone());
    let outcomes = validate::validate(sampled, &methods, how, &|n| bar.set_position(n as u64));
    bar.finish_and_clear();
    let outcomes = outcomes?;
    let mean = |m: usize| outcomes[m].spread(|s| s.average_precision).0;
    let best = (0..outcomes.len()).fold(0, |best, m| if mean(m) > mean(best) { m } else { best });
    let (scores, labels) = outcomes[best].judged(sampled.labels);
    let rows = || outcomes[best].scores.iter().map(|&(row, _)| row);
    let groups = sampled.groups.map(|g| rows().map(|row| g[row]).collect::<Vec<u32>>());
    // Groups of one sample each are no groups.
    let groups =
        groups.filter(|g| g.iter().collect::<std::collections::HashSet<_>>().len() < g.len());
    let judged = Judged { scores: &scores, labels: &labels, groups: groups.as_deref() };
    let interval = bootstrap(average_precision, judged, args.repeats, 0.95, 0)?;
    let test = permutation_test(average_precision, judged, args.repeats, 0)?;
    let chance = labels.iter().filter(|l| **l).count() as f64 / labels.len() as f64;
    let verdict = format!(
        "best: {}; all folds' scores together: average precision {:.4} (95 % from {:.4} to {:.4}), chance {chance:.4}, p = {:.4}{}",
        points[best].name,
        interval.value,
        interval.low,
        interval.high,
        test.p,
        if points.len() > 1 { " (the best of several: a little too good)" } else { "" }
    );
    Ok(Curve { name, outcomes, best, verdict, chance })
}

/// A table of one curve.
fn text(curve: &Curve, points: &[Point], folds: usize) -> String {
    let mut table = report::Table::new(&["", "AP", "±", "ROC AUC", "accuracy", ""]);
    for (m, (outcome, point)) in curve.outcomes.iter().zip(points).enumerate() {
        let (ap, spread) = outcome.spread(|s| s.average_precision);
        let mark = if m == curve.best { "best" } else { "" };
        let short = match outcome.remarks.len() {
            0 => mark.to_string(),
            n => format!("{n} of {folds} folds did not converge {mark}").trim_end().to_string(),
        };
        table.rows.push(vec![
            point.name.clone(),
            format!("{ap:.4}"),
            format!("{spread:.4}"),
            format!("{:.4}", outcome.spread(|s| s.roc_auc).0),
            format!("{:.4}", outcome.spread(|s| s.accuracy).0),
            short,
        ]);
    }
    format!("\n{}\n{}\n{}", curve.name, table.text(), curve.verdict)
}

fn finish(curves: &[Curve], points: &[Point], args: &CvArgs) -> Result<Outcome> {
    #[cfg(feature = "plots")]
    for path in &args.plot {
        let spread = |outcome: &validate::Outcome| outcome.spread(|s| s.average_precision);
        let drawn: Vec<report::SweepCurve> = curves
            .iter()
            .map(|curve| report::SweepCurve {
                name: curve.name.clone(),
                points: (curve.outcomes.iter().zip(points))
                    .filter_map(|(outcome, point)| {
                        let (mean, deviation) = spread(outcome);
                        Some((point.x?, mean, deviation))
                    })
                    .collect(),
            })
            .collect();
        let chance = curves.iter().map(|c| c.chance).sum::<f64>() / curves.len() as f64;
        let title = format!("Average precision of {} folds", args.folds);
        report::draw_sweep(&drawn, chance, &title, path)?;
        print(&format!("wrote {}", path.display()))?;
    }
    if let Some(path) = &args.json {
        let all: Vec<Value> = curves.iter().map(|curve| value(curve, points)).collect();
        let text = serde_json::to_string_pretty(&all).map_err(|e| Error::Invalid(e.to_string()))?;
        super::super::write(path, &text)?;
        print(&format!("wrote {}", path.display()))?;
    }
    let remarks = curves.iter().flat_map(|c| &c.outcomes).any(|o| !o.remarks.is_empty());
    Ok(if remarks { Outcome::No } else { Outcome::Done })
}

fn value(curve: &Curve, points: &[Point]) -> Value {
    let each = |(outcome, point): (&validate::Outcome, &Point)| {
        json!({
            "name": point.name, "c": point.x, "folds": outcome.folds, "remarks": outcome.remarks,
        })
    };
    let outcomes: Vec<Value> = curve.outcomes.iter().zip(points).map(each).collect();
    json!({ "features": curve.name, "chance": curve.chance, "verdict": curve.verdict, "results": outcomes })
}
