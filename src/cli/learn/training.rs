//! What `svm train` and `forest train` share.

use super::super::{Outcome, print};
use super::{InputArgs, ScalingArgs, bar};
use clap::Args;
use likenet::learn::linear::Samples;
use likenet::learn::metrics::{Confusion, Judged, Platt, average_precision, bootstrap, roc_auc};
use likenet::learn::model::{Classifier, Model};
use likenet::learn::prepare::prepared;
use likenet::learn::validate::{self, Learner, Learnt, Method, Sampled, Validation, boundary};
use likenet::learn::{Matrix, Table};
use likenet::{Error, Result};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::time::Instant;

#[derive(Args)]
pub struct TrainArgs {
    /// Tensor of the features' file to learn from [default: the only one]
    #[arg(long, value_name = "BLOB")]
    blob: Option<String>,
    /// File for the model
    #[arg(long, value_name = "FILE", default_value = "model.safetensors")]
    out: PathBuf,
    /// Keep this part of the photos back, and say how the model does on them
    #[arg(long, value_name = "PART")]
    holdout: Option<f64>,
    /// Learn from photos alone, not from their mirrored copies
    #[arg(long)]
    no_copies: bool,
    /// Turn scores into probabilities, by Platt's sigmoid on the scores of five folds (forests have them)
    #[arg(long)]
    calibrate: bool,
    /// Seed of what is kept back and of the folds
    #[arg(long, value_name = "N", default_value_t = 0)]
    split_seed: u32,
}

/// Rows to learn from and rows to judge by.
fn split(sampled: &Sampled, args: &TrainArgs) -> Result<(Vec<u32>, Vec<u32>)> {
    let Some(part) = args.holdout else { return Ok((sampled.rows(!args.no_copies), vec![])) };
    let fold = sampled.holdout(part, args.split_seed)?;
    let test = fold.test.iter().map(|&r| r as u32).collect();
    Ok((sampled.learnt(&fold, !args.no_copies), test))
}

pub fn run(input: &InputArgs, method: &Method, args: &TrainArgs) -> Result<Outcome> {
    let InputArgs { data, scaling } = input;
    if args.out.extension().is_none_or(|e| e != "safetensors") {
        let out = args.out.display();
        return Err(Error::Invalid(format!("{out}: models are written as .safetensors")));
    }
    let table = data.read(args.blob.as_deref())?;
    data.on_threads(|| learn(&table, scaling, method, args))?
}

fn learn(
    table: &Table,
    scaling: &ScalingArgs,
    method: &Method,
    args: &TrainArgs,
) -> Result<Outcome> {
    let sampled = Sampled::of(table)?;
    let (train, test) = split(&sampled, args)?;
    let prepared = prepared(&table.matrix, &train, scaling.scaling())?;
    let samples = Samples { matrix: prepared.matrix(), rows: &train, labels: sampled.labels };
    let begun = Instant::now();
    let learnt = with_bar(method, |progress| Learner::new(samples)?.learn(method, progress))?;
    let seconds = begun.elapsed().as_secs_f64();
    let mut lines = vec![format!("{} samples in {seconds:.2} s: {}", train.len(), learnt.summary)];
    let mut trained = Map::new();
    trained.insert("method".into(), json!(format!("{method:?}")));
    trained.insert("features are".into(), json!(scaling.words()));
    trained.insert("samples".into(), json!(train.len()));
    trained.insert("result".into(), json!(learnt.summary));
    judge(
        &sampled,
        table,
        (&learnt, prepared.matrix()),
        [&train, &test],
        (&mut lines, &mut trained),
    )?;
    if let Some(importances) = &learnt.importances {
        trained.insert("importances".into(), json!(importances));
    }
    let platt = match (&learnt.classifier, args.calibrate) {
        (Classifier::Linear(_), true) => Some(calibrate(&sampled, scaling, method, args)?),
        _ => None,
    };
    let warning = learnt.warning.clone();
    let model = Model {
        classifier: learnt.classifier,
        standard: prepared.standard().cloned(),
        norm: scaling.scaling().norm,
        platt,
        classes: table.class_names.clone(),
        features: table.about.clone(),
        trained,
    };
    model.save(&args.out)?;
    lines.push(format!("wrote {}", args.out.display()));
    print(&lines.join("\n"))?;
    Ok(match warning {
        Some(warning) => {
            eprintln!("warning: {warning}");
            Outcome::No
        }
        None => Outcome::Done,
    })
}

/// Runs a training with a progress bar, if it takes steps that can be counted.
fn with_bar<R>(method: &Method, f: impl FnOnce(&(dyn Fn(usize) + Sync)) -> R) -> R {
    let bar = match method {
        Method::Forest(settings) => bar(settings.trees, "trees"),
        Method::Sgd(sgd) => bar(sgd.iterations, "iterations"),
        Method::Linear(_) | Method::Pegasos(_) => return f(&|_| ()),
    };
    let result = f(&|done| bar.set_position(done as u64));
    bar.finish_and_clear();
    result
}

/// Says how the classifier does on what it learnt from, out of the bag and on what was kept back.
fn judge(
    sampled: &Sampled,
    table: &Table,
    (learnt, matrix): (&Learnt, &Matrix),
    [train, test]: [&[u32]; 2],
    (lines, trained): (&mut Vec<String>, &mut Map<String, Value>),
) -> Result<()> {
    let labels =
        |rows: &[u32]| -> Vec<bool> { rows.iter().map(|&r| sampled.labels[r as usize]).collect() };
    let own = average_precision(&learnt.classifier.scores(matrix, train), &labels(train))?;
    lines.push(format!("on the samples themselves: average precision {own:.4}"));
    trained.insert("average precision on the samples".into(), json!(own));
    if let Some(out) = &learnt.out_of_bag {
        let known = || {
            out.iter().zip(train).filter_map(|(p, &r)| Some(((*p)?, sampled.labels[r as usize])))
        };
        let (p, l): (Vec<f64>, Vec<bool>) = known().unzip();
        if !p.is_empty() {
            let ap = average_precision(&p, &l)?;
            let accuracy = Confusion::above(0.5, &p, &l)?.accuracy();
            lines.push(format!("out of bag: average precision {ap:.4}, accuracy {accuracy:.4}"));
            trained.insert("average precision out of bag".into(), json!(ap));
            trained.insert("accuracy out of bag".into(), json!(accuracy));
        }
    }
    if test.is_empty() {
        return Ok(());
    }
    let (scored, truth) = (learnt.classifier.scores(matrix, test), labels(test));
    let groups = sampled.groups.map(|g| test.iter().map(|&r| g[r as usize]).collect::<Vec<u32>>());
    let judged = Judged { scores: &scored, labels: &truth, groups: groups.as_deref() };
    let ap = bootstrap(average_precision, judged, 1000, 0.95, 0)?;
    let confusion = Confusion::above(boundary(&learnt.classifier), &scored, &truth)?;
    lines.push(format!(
        "on {} samples kept back: average precision {:.4} (95 % from {:.4} to {:.4}), ROC AUC {:.4}, accuracy {:.4}\n{}",
        test.len(), ap.value, ap.low, ap.high, roc_auc(&scored, &truth)?, confusion.accuracy(), confusion.table(&table.class_names)
    ));
    trained.insert("average precision kept back".into(), json!([ap.value, ap.low, ap.high]));
    Ok(())
}

/// Platt's sigmoid for the scores that samples get from classifiers which have not seen them.
fn calibrate(
    sampled: &Sampled,
    scaling: &ScalingArgs,
    method: &Method,
    args: &TrainArgs,
) -> Result<Platt> {
    let copies = !args.no_copies && sampled.mirrored.contains(&true);
    let how = Validation { folds: 5, seed: args.split_seed, copies, scaling: scaling.scaling() };
    validate::calibrate(sampled, method, &how)
}
