//! How well scores rank: precision, recall and the areas below curves.
//!
//! Flows in: scores and labels. Flows out: average precision, area under the ROC curve, curves; average
//! precision and the curve have scikit-learn's very bits. Samples of equal score count as one step.

use super::{check, check_both};
use crate::error::Result;

/// Precision and recall of "liked is what scores at least the threshold", by rising threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct PrecisionRecall {
    /// The scores that occur, each once.
    pub thresholds: Vec<f64>,
    /// Share of liked samples among those at or above each threshold; at the end 1, where none is left.
    pub precision: Vec<f64>,
    /// Share of the liked samples at or above each threshold, 1 where there are none; at the end 0.
    pub recall: Vec<f64>,
}

/// What lies at or above a score.
pub(crate) struct Step {
    pub score: f64,
    pub true_positive: usize,
    pub false_positive: usize,
}

/// One step for each score that occurs, from the highest.
pub(crate) fn steps(scores: &[f64], labels: &[bool]) -> Vec<Step> {
    let mut order: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let (mut true_positive, mut false_positive) = (0, 0);
    let ties = order.chunk_by(|a, b| a.0 == b.0);
    let step = |tied: &[(f64, bool)]| {
        let liked = tied.iter().filter(|(_, liked)| *liked).count();
        true_positive += liked;
        false_positive += tied.len() - liked;
        Step { score: tied[0].0, true_positive, false_positive }
    };
    ties.map(step).collect()
}

/// The precision-recall curve, scikit-learn's `precision_recall_curve`.
pub fn precision_recall(scores: &[f64], labels: &[bool]) -> Result<PrecisionRecall> {
    check(scores, labels)?;
    let mut steps = steps(scores, labels);
    steps.reverse();
    let ratio = |a: usize, b: usize| a as f64 / b as f64;
    let precision = |s: &Step| ratio(s.true_positive, s.true_positive + s.false_positive);
    let liked = steps[0].true_positive;
    let recall = |s: &Step| if liked == 0 { 1.0 } else { ratio(s.true_positive, liked) };
    Ok(PrecisionRecall {
        thresholds: steps.iter().map(|s| s.score).collect(),
        precision: steps.iter().map(precision).chain([1.0]).collect(),
        recall: steps.iter().map(recall).chain([0.0]).collect(),
    })
}

/// Average precision: Σ (Rᵢ − Rᵢ₋₁) Pᵢ over the steps, scikit-learn's `average_precision_score` from 0.19.
///
/// 0 when no sample is liked.
pub fn average_precision(scores: &[f64], labels: &[bool]) -> Result<f64> {
    let curve = precision_recall(scores, labels)?;
    let heights = &curve.precision[..curve.thresholds.len()];
    let steps = curve.recall.windows(2).zip(heights);
    // Without a liked sample all precisions are 0, and so is the sum.
    Ok(pairwise_sum(&steps.map(|(recall, p)| (recall[0] - recall[1]) * p).collect::<Vec<_>>()))
}

/// Area below straight lines between the points of the curve: what scikit-learn called average precision
/// before 0.19. The lines promise what no threshold gives: it is there to compare with older work.
///
/// 0 when no sample is liked.
pub fn average_precision_trapezoid(scores: &[f64], labels: &[bool]) -> Result<f64> {
    let curve = precision_recall(scores, labels)?;
    if !labels.contains(&true) {
        return Ok(0.0);
    }
    let sides = curve.recall.windows(2).zip(curve.precision.windows(2));
    let area = |(recall, p): (&[f64], &[f64])| (recall[0] - recall[1]) * (p[0] + p[1]) / 2.0;
    Ok(pairwise_sum(&sides.map(area).collect::<Vec<_>>()))
}

/// Area under the ROC curve: the share of pairs, one liked and one not, in which the liked one has the
/// higher score, ties counting half (Mann and Whitney, 1947). Pairs are counted, so it is rounded once.
///
/// Fails when there is one class only.
pub fn roc_auc(scores: &[f64], labels: &[bool]) -> Result<f64> {
    check_both(scores, labels, "the area under the ROC curve")?;
    let (mut above, mut twice) = ((0, 0), 0);
    for step in steps(scores, labels) {
        let (liked, not) = above;
        twice += (step.false_positive - not) * (step.true_positive + liked);
        above = (step.true_positive, step.false_positive);
    }
    let (liked, not) = above;
    Ok(twice as f64 / (2 * liked * not) as f64)
}

/// The sum in numpy's order: halves of at most 128 values, each in eight interleaved parts.
fn pairwise_sum(values: &[f64]) -> f64 {
    if values.len() > 128 {
        let half = values.len() / 2;
        let (first, second) = values.split_at(half - half % 8);
        return pairwise_sum(first) + pairwise_sum(second);
    }
    let (eights, rest) = values.as_chunks::<8>();
    let mut parts = [0.0; 8];
    for eight in eights {
        parts.iter_mut().zip(eight).for_each(|(part, value)| *part += value);
    }
    let [a, b, c, d, e, f, g, h] = parts;
    rest.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [f64; 5] = [0.9, 0.8, 0.8, 0.3, 0.1];
    const LABELS: [bool; 5] = [true, true, false, false, true];

    #[test]
    fn by_hand() {
        let curve = precision_recall(&SCORES, &LABELS).expect("a curve");
        assert_eq!(curve.thresholds, [0.1, 0.3, 0.8, 0.9]);
        assert_eq!(curve.precision, [3.0 / 5.0, 2.0 / 4.0, 2.0 / 3.0, 1.0, 1.0]);
        assert_eq!(curve.recall, [1.0, 2.0 / 3.0, 2.0 / 3.0, 1.0 / 3.0, 0.0]);
        // A third each at precisions 1, 2/3 and 3/5.
        let ap = average_precision(&SCORES, &LABELS).expect("a number");
        assert!((ap - (1.0 + 2.0 / 3.0 + 3.0 / 5.0) / 3.0).abs() < 1e-15);
        let area = average_precision_trapezoid(&SCORES, &LABELS).expect("a number");
        assert!((area - (1.0 + 5.0 / 6.0 + 11.0 / 20.0) / 3.0).abs() < 1e-15);
        // Of six pairs 0.9 wins two, 0.8 one and a half, 0.1 none.
        assert_eq!(roc_auc(&SCORES, &LABELS).expect("a number"), 3.5 / 6.0);
    }

    #[test]
    fn both_zeros_tie() {
        assert_eq!(roc_auc(&[0.0, -0.0], &[true, false]).expect("a number"), 0.5);
        assert_eq!(average_precision(&[-0.0, 0.0], &[true, false]).expect("a number"), 0.5);
    }

    #[test]
    fn one_class() {
        assert_eq!(average_precision(&SCORES, &[false; 5]).expect("a rule"), 0.0);
        assert_eq!(average_precision_trapezoid(&SCORES, &[false; 5]).expect("a rule"), 0.0);
        assert_eq!(average_precision(&SCORES, &[true; 5]).expect("a rule"), 1.0);
        let refusal = roc_auc(&SCORES, &[true; 5]).expect_err("a refusal").to_string();
        assert!(refusal.contains("both classes: all 5 samples are liked"), "{refusal}");
    }

    #[test]
    fn refusals() {
        let refusal = |s: &[f64], l: &[bool]| average_precision(s, l).expect_err("no").to_string();
        assert!(refusal(&[], &[]).contains("no scores"));
        assert!(refusal(&[1.0], &[]).contains("1 scores for 0 labels"));
        assert!(refusal(&[1.0, f64::NAN], &[true, false]).contains("sample 1 is NaN"));
    }
}
