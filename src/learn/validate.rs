//! How good a way of learning is: cross-validation.
//!
//! Flows in: a table's rows, labels and groups, and ways of learning, such as one for each C. Flows out: for
//! each way what it scored on samples that it had not seen, fold by fold and all together.
//!
//! Rows of one group, a photo's mirrored copy among them, are never on both sides. Copies are learnt from if
//! asked for, and never judged by: a photo counts once.

use super::folds::{Fold, grouped, stratified, train_test_stratified};
use super::forest;
use super::linear::{self, Linear, Path, Problem, Samples, Sgd};
use super::metrics::{Platt, average_precision, roc_auc};
use super::model::Classifier;
use super::prepare::{Scaling, prepared};
use super::{Matrix, Table};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A way of learning.
#[derive(Clone, Debug)]
pub enum Method {
    /// A linear classifier at its optimum.
    Linear(Problem),
    /// A linear SVM by averaged stochastic descent: near its optimum after so many passes.
    Pegasos(Problem),
    /// A linear classifier by gradient descent as in Spark's MLlib.
    Sgd(Sgd),
    /// A random forest.
    Forest(forest::Settings),
}

/// What is learnt from and judged by.
#[derive(Clone, Copy)]
pub struct Sampled<'a> {
    /// The features.
    pub matrix: &'a Matrix,
    /// The label of each row.
    pub labels: &'a [bool],
    /// Which rows belong together, if any do.
    pub groups: Option<&'a [u32]>,
    /// Which rows are mirrored copies.
    pub mirrored: &'a [bool],
}

impl<'a> Sampled<'a> {
    /// The rows of a table.
    ///
    /// Fails when it has no labels.
    pub fn of(table: &'a Table) -> Result<Self> {
        let labels = table.labels.as_deref().ok_or_else(|| {
            Error::Invalid("the features have no labels: give a CSV of them (--labels)".into())
        })?;
        let (groups, mirrored) = (table.groups.as_deref(), &table.mirrored[..]);
        Ok(Self { matrix: &table.matrix, labels, groups, mirrored })
    }

    /// Rows to learn from: those that are no copies, or all.
    pub fn rows(&self, copies: bool) -> Vec<u32> {
        let rows = 0..self.labels.len();
        rows.filter(|&r| copies || !self.mirrored[r]).map(|r| r as u32).collect()
    }

    /// Folds of the rows that are no copies, shuffled; stratified, and by groups where there are some.
    pub fn folds(&self, k: usize, seed: u32) -> Result<Vec<Fold>> {
        let (own, labels, groups) = self.judges();
        let folds = match groups {
            Some(groups) => grouped(&labels, &groups, k, Some(seed))?,
            None => stratified(&labels, k, Some(seed))?,
        };
        Ok(folds.into_iter().map(|fold| of_rows(fold, &own)).collect())
    }

    /// One split, of which about a `part` judges: of as many folds of whole groups the first, or, where there
    /// are no groups, a stratified draw.
    pub fn holdout(&self, part: f64, seed: u32) -> Result<Fold> {
        let (own, labels, groups) = self.judges();
        let fold = match groups {
            Some(groups) if part > 0.0 && part < 1.0 => {
                let k = (1.0 / part).round().max(2.0) as usize;
                let mut folds = grouped(&labels, &groups, k, Some(seed))?;
                folds.swap_remove(0)
            }
            _ => train_test_stratified(&labels, part, seed)?,
        };
        Ok(of_rows(fold, &own))
    }

    /// The rows that a fold learns from: with their copies, or without any.
    pub fn learnt(&self, fold: &Fold, copies: bool) -> Vec<u32> {
        let Some(groups) = self.groups.filter(|_| copies) else {
            return fold.train.iter().map(|&r| r as u32).collect();
        };
        let learnt: HashSet<u32> = fold.train.iter().map(|&r| groups[r]).collect();
        self.rows(true).into_iter().filter(|&r| learnt.contains(&groups[r as usize])).collect()
    }

    /// Rows that are no copies, their labels and their groups.
    fn judges(&self) -> (Vec<u32>, Vec<bool>, Option<Vec<u32>>) {
        let own = self.rows(false);
        let labels = own.iter().map(|&r| self.labels[r as usize]).collect();
        let groups = self.groups.map(|groups| own.iter().map(|&r| groups[r as usize]).collect());
        (own, labels, groups)
    }
}

/// A fold whose numbers count these rows.
fn of_rows(fold: Fold, rows: &[u32]) -> Fold {
    let [train, test] =
        [fold.train, fold.test].map(|of| of.into_iter().map(|i| rows[i] as usize).collect());
    Fold { train, test }
}

/// How to validate.
#[derive(Clone, Copy, Debug)]
pub struct Validation {
    /// Folds.
    pub folds: usize,
    /// Seed of the order in which samples are dealt to the folds.
    pub seed: u32,
    /// Whether mirrored copies are learnt from as well.
    pub copies: bool,
    /// What is done with the features first; learnt from the same samples as the classifier.
    pub scaling: Scaling,
}

/// How a classifier did on one fold.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Score {
    /// Average precision.
    pub average_precision: f64,
    /// Area under the receiver operating characteristic.
    pub roc_auc: f64,
    /// Share of right decisions.
    pub accuracy: f64,
}

/// How a way of learning did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Fold by fold.
    pub folds: Vec<Score>,
    /// For each row that was judged: its number and its score.
    pub scores: Vec<(usize, f64)>,
    /// What was remarkable about a fold's training, such as that it did not converge.
    pub remarks: Vec<String>,
}

impl Outcome {
    /// Mean and standard deviation (of a sample) over the folds of one of the scores.
    pub fn spread(&self, of: impl Fn(&Score) -> f64) -> (f64, f64) {
        let values: Vec<f64> = self.folds.iter().map(of).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        (mean, (squares / (n - 1.0)).sqrt())
    }

    /// The scores of the rows that were judged, and their labels.
    pub fn judged(&self, labels: &[bool]) -> (Vec<f64>, Vec<bool>) {
        self.scores.iter().map(|&(row, score)| (score, labels[row])).unzip()
    }
}

/// Platt's sigmoid for the scores that rows get from classifiers which have not seen them.
pub fn calibrate(sampled: &Sampled, method: &Method, how: &Validation) -> Result<Platt> {
    let outcomes = validate(sampled, std::slice::from_ref(method), how, &|_| ())?;
    let (scores, labels) = outcomes[0].judged(sampled.labels);
    Platt::fit(&scores, &labels)
}

/// Validates some ways of learning on the same folds. Linear ones should come in the order of their C: each
/// starts from the last one.
///
/// Folds are learnt side by side. `progress` hears how many of all trainings are done.
pub fn validate(
    sampled: &Sampled,
    methods: &[Method],
    how: &Validation,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Outcome>> {
    let folds = sampled.folds(how.folds, how.seed)?;
    let done = AtomicUsize::new(0);
    let progress = || progress(done.fetch_add(1, Ordering::Relaxed) + 1);
    let run = |fold: &Fold| one_fold(sampled, methods, how, fold, &progress);
    let runs: Vec<Vec<Judgement>> = folds.par_iter().map(run).collect::<Result<_>>()?;
    let outcome = |m: usize| {
        let (mut scores, mut remarks, mut each) = (vec![], vec![], vec![]);
        for (f, (fold, run)) in folds.iter().zip(&runs).enumerate() {
            let judgement = &run[m];
            scores.extend(fold.test.iter().copied().zip(judgement.scores.iter().copied()));
            remarks.extend(judgement.remark.iter().map(|r| format!("fold {}: {r}", f + 1)));
            each.push(judgement.score);
        }
        Outcome { folds: each, scores, remarks }
    };
    Ok((0..methods.len()).map(outcome).collect())
}

/// What one classifier said of one fold's test rows.
struct Judgement {
    scores: Vec<f64>,
    score: Score,
    remark: Option<String>,
}

fn one_fold(
    sampled: &Sampled,
    methods: &[Method],
    how: &Validation,
    fold: &Fold,
    progress: &(dyn Fn() + Sync),
) -> Result<Vec<Judgement>> {
    let train = sampled.learnt(fold, how.copies);
    let prepared = prepared(sampled.matrix, &train, how.scaling)?;
    let samples = Samples { matrix: prepared.matrix(), rows: &train, labels: sampled.labels };
    let test: Vec<u32> = fold.test.iter().map(|&r| r as u32).collect();
    let labels: Vec<bool> = fold.test.iter().map(|&r| sampled.labels[r]).collect();
    let mut learner = Learner::new(samples)?;
    let each = |method: &Method| {
        let learnt = learner.learn(method, &|_| ())?;
        let scores = learnt.classifier.scores(samples.matrix, &test);
        let boundary = boundary(&learnt.classifier);
        let right = scores.iter().zip(&labels).filter(|(s, l)| (**s > boundary) == **l).count();
        let score = Score {
            average_precision: average_precision(&scores, &labels)?,
            roc_auc: roc_auc(&scores, &labels)?,
            accuracy: right as f64 / labels.len() as f64,
        };
        progress();
        Ok(Judgement { scores, score, remark: learnt.warning })
    };
    methods.iter().map(each).collect()
}

/// The score above which a sample is taken for positive.
pub fn boundary(classifier: &Classifier) -> f64 {
    match classifier {
        Classifier::Linear(_) => 0.0,
        Classifier::Forest(_) => 0.5,
    }
}

/// Learns from the same samples in one way after the other.
pub struct Learner<'a> {
    samples: Samples<'a>,
    path: Path<'a>,
}

/// What was learnt.
pub struct Learnt {
    /// The classifier.
    pub classifier: Classifier,
    /// One line: how it went.
    pub summary: String,
    /// What a user must know before trusting it.
    pub warning: Option<String>,
    /// Out-of-bag probabilities of a forest.
    pub out_of_bag: Option<Vec<Option<f64>>>,
    /// Importances of a forest's features.
    pub importances: Option<Vec<f64>>,
}

impl Learnt {
    fn linear(linear: Linear, summary: String, converged: bool) -> Self {
        let warning = (!converged).then(|| summary.clone());
        let classifier = Classifier::Linear(linear);
        Self { classifier, summary, warning, out_of_bag: None, importances: None }
    }
}

impl<'a> Learner<'a> {
    /// Fails when there are no samples, or they are of one class.
    pub fn new(samples: Samples<'a>) -> Result<Self> {
        Ok(Self { samples, path: Path::new(samples)? })
    }

    /// Learns; `progress` hears how many iterations or trees are done.
    pub fn learn(&mut self, method: &Method, progress: &(dyn Fn(usize) + Sync)) -> Result<Learnt> {
        let Samples { matrix, rows, labels } = self.samples;
        match method {
            Method::Linear(problem) => {
                let fit = self.path.fit(problem)?;
                Ok(Learnt::linear(fit.linear.clone(), fit.summary(), fit.converged))
            }
            Method::Pegasos(problem) => {
                let fit = linear::pegasos(&self.samples, problem)?;
                let summary = fit.summary();
                Ok(Learnt::linear(fit.linear, summary, true))
            }
            Method::Sgd(settings) => {
                let fit = linear::sgd(&self.samples, settings, &mut |i| progress(i))?;
                let loss = fit.losses.last().copied().unwrap_or(f64::NAN);
                let end = if fit.converged { "converged" } else { "all iterations done" };
                let summary = format!("{} iterations, loss {loss:.6}: {end}", fit.iterations);
                Ok(Learnt::linear(fit.linear, summary, true))
            }
            Method::Forest(settings) => {
                let trained = forest::train(matrix, rows, labels, settings, progress)?;
                Ok(Learnt {
                    summary: format!("{} trees", settings.trees),
                    classifier: Classifier::Forest(trained.forest),
                    warning: None,
                    out_of_bag: Some(trained.oob),
                    importances: Some(trained.importances),
                })
            }
        }
    }
}
