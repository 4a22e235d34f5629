//! How good face detectors are, side by side.
//!
//! Flows in: a name and a judgement for each detector. Flows out: tables, as text or HTML: the measures, the
//! recall of faces that are alike, and how far confidences can be trusted.

use super::table::Table;
use crate::faces::judge::{Filter, GROUPS_AT, Judgement, PASSED, RATES, reliability::BINS};
use std::fmt::Write as _;

/// A detector's name and how good it is.
pub type Judged<'a> = (&'a str, &'a Judgement);

/// The tables as text, each below its title.
pub fn text(judged: &[Judged]) -> String {
    let mut text = String::new();
    for (title, table) in tables(judged) {
        let _ = writeln!(text, "{title}\n\n{}\n", table.text());
    }
    text.truncate(text.trim_end().len());
    text
}

/// The tables as a part of an HTML page, each below a heading.
pub fn html(judged: &[Judged]) -> String {
    let one = |(title, table): (String, Table)| format!("<h2>{title}</h2>\n{}", table.html());
    tables(judged).into_iter().map(one).collect()
}

/// The tables that have a row, with their titles.
fn tables(judged: &[Judged]) -> Vec<(String, Table)> {
    let groups = format!("Recall at {GROUPS_AT} false positives an image / with all detections");
    let reliability = "Mean confidence / share of right detections".to_string();
    let all = [
        ("Face detection".to_string(), measures(judged)),
        (groups, group_table(judged)),
        (reliability, reliability_table(judged)),
    ];
    all.into_iter().filter(|(_, table)| !table.rows.is_empty()).collect()
}

/// A table with a column for each detector.
fn columns(first: &str, judged: &[Judged]) -> Table {
    Table::new(&[&[first], &judged.iter().map(|(name, _)| *name).collect::<Vec<_>>()[..]].concat())
}

fn measures(judged: &[Judged]) -> Table {
    let mut table = columns("", judged);
    let mut row = |name: &str, cell: &dyn Fn(&Judgement) -> Option<String>| {
        let cells = judged.iter().map(|(_, judgement)| cell(judgement).unwrap_or("–".into()));
        table.rows.push([name.into()].into_iter().chain(cells).collect());
    };
    row("photos", &|j| Some(j.photos.to_string()));
    row("faces", &|j| Some(j.faces.to_string()));
    row("average precision", &|j| number(j.average_precision));
    for (i, rate) in RATES.iter().enumerate() {
        let name = format!("recall at {rate} false positives an image");
        row(&name, &|j| number(j.at[i].recall));
    }
    row("recall with all detections", &|j| number(j.overall.recall));
    row("precision of all detections", &|j| number(j.overall.precision));
    row("false positives an image among them", &|j| number(j.overall.false_positives));
    let filter = |j: &Judgement, value: &dyn Fn(&Filter) -> f64| {
        j.filter.as_ref().and_then(|filter| number(value(filter)))
    };
    for (i, share) in PASSED.iter().enumerate() {
        let name = format!("photos with a face kept where {}% of others pass", 100.0 * share);
        row(&name, &|j| filter(j, &|f| f.kept[i]));
    }
    row("area below the photo filter's curve", &|j| filter(j, &|f| f.auc));
    row("expected calibration error", &|j| j.reliability.as_ref().and_then(|r| number(r.error)));
    row("label's width over detection's", &|j| j.framing.and_then(|f| number(f.w)));
    row("label's height over detection's", &|j| j.framing.and_then(|f| number(f.h)));
    row("label's place in widths to the right", &|j| j.framing.and_then(|f| number(f.dx)));
    row("label's place in heights down", &|j| j.framing.and_then(|f| number(f.dy)));
    table
}

/// To four digits.
fn number(value: f64) -> Option<String> {
    Some(format!("{value:.4}"))
}

/// Every group that one of them has, in the first order that tells all.
fn group_table(judged: &[Judged]) -> Table {
    let mut names: Vec<(&str, &str)> = vec![];
    let mut scales: Vec<&str> = vec![];
    for group in judged.iter().flat_map(|(_, judgement)| &judgement.groups) {
        if !names.contains(&(group.by, &group.name)) {
            names.push((group.by, &group.name));
        }
        if !scales.contains(&group.by) {
            scales.push(group.by);
        }
    }
    names.sort_by_key(|(by, _)| scales.iter().position(|scale| scale == by));
    let mut table = columns("faces", judged);
    for (by, name) in names {
        let cell = |(_, judgement): &Judged| {
            let group = judgement.groups.iter().find(|g| g.by == by && g.name == name);
            group.map_or("–".into(), |g| {
                format!("{:.3} / {:.3} of {}", g.recall_at(), g.recall(), g.faces)
            })
        };
        let cells = judged.iter().map(cell);
        table.rows.push([format!("{by}: {name}")].into_iter().chain(cells).collect());
    }
    table
}

/// The bins in which one of them has a detection.
fn reliability_table(judged: &[Judged]) -> Table {
    let mut table = columns("confidence", judged);
    for i in 0..BINS {
        let bin = |(_, judgement): &Judged| judgement.reliability.as_ref().and_then(|r| r.bins[i]);
        let cell = |judged: &Judged| {
            bin(judged).map_or("–".into(), |b| {
                format!("{:.3} / {:.3} of {}", b.predicted, b.observed, b.samples)
            })
        };
        if judged.iter().any(|judged| bin(judged).is_some()) {
            let [low, high] = [i, i + 1].map(|edge| edge as f64 / BINS as f64);
            let cells = judged.iter().map(cell);
            table.rows.push([format!("{low} to {high}")].into_iter().chain(cells).collect());
        }
    }
    table
}
