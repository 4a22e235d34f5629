//! How good a classifier's scores are.
//!
//! Flows in: a score for each sample (`f64`, higher means rather liked) and its label. Flows out: one
//! number, a curve, a table, or how sure one can be of such a number.
//!
//! Every function refuses empty input, scores that are NaN and labels of another number.

pub mod calibration;
pub mod confidence;
pub mod confusion;
pub mod ranking;

pub use calibration::{Bin, Isotonic, Platt, brier, reliability};
pub use confidence::{Interval, Judged, Significance, bootstrap, permutation_test};
pub use confusion::Confusion;
pub use ranking::{
    PrecisionRecall, average_precision, average_precision_trapezoid, precision_recall, roc_auc,
};

use crate::error::{Error, Result};

/// Fails unless there is a label for each of at least one score, and no score is NaN.
fn check(scores: &[f64], labels: &[bool]) -> Result<()> {
    if scores.len() != labels.len() {
        let (scores, labels) = (scores.len(), labels.len());
        return Err(Error::Invalid(format!("{scores} scores for {labels} labels")));
    }
    if scores.is_empty() {
        return Err(Error::Invalid("no scores to judge".into()));
    }
    if let Some(sample) = scores.iter().position(|s| s.is_nan()) {
        return Err(Error::Invalid(format!("the score of sample {sample} is NaN")));
    }
    Ok(())
}

/// [`check`], and that both classes are there, which `what` needs.
fn check_both(scores: &[f64], labels: &[bool], what: &str) -> Result<()> {
    check(scores, labels)?;
    if both(labels) {
        return Ok(());
    }
    let class = if labels[0] { "liked" } else { "not liked" };
    Err(Error::Invalid(format!(
        "{what} needs both classes: all {} samples are {class}",
        labels.len()
    )))
}

/// Whether both classes are there.
fn both(labels: &[bool]) -> bool {
    labels.contains(&true) && labels.contains(&false)
}
