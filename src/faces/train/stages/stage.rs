//! One stage. Flows in: windows of the object, others, held-out ones. Flows out: weak learners and a threshold.
//!
//! Gentle or Real AdaBoost (Friedman, Hastie and Tibshirani, 2000): each learner sees the windows weighted by
//! exp(−y · score), its answers are added to their scores.

use super::super::boost;
use super::windows::{Frame, Windows};
use super::{StageOptions, StageStep, Staged};
use crate::learn::metrics::roc_auc;
use crate::rng::Rng;

/// A kind of weak learner.
pub trait Family: Sync {
    /// A learner.
    type Weak;
    /// Windows, prepared for its features.
    type Set;
    /// What it needs of a window.
    const FRAME: Frame;

    /// Whether a search looks at such a window at all.
    fn usable(_window: &[u8]) -> bool {
        true
    }

    /// Windows, prepared.
    fn prepare(&self, windows: &Windows) -> Self::Set;

    /// The learner that helps `scores` most.
    fn learn(&self, set: &Self::Set, scores: &Scores, rng: &mut Rng) -> Self::Weak;

    /// Its answer for each window.
    fn answers(&self, weak: &Self::Weak, set: &Self::Set) -> Vec<f32>;

    /// A cascade of stages.
    fn cascade(&self, stages: &[Stage<Self::Weak>]) -> Staged;
}

/// Learners whose answers are added.
pub struct Stage<W> {
    /// The learners.
    pub weak: Vec<W>,
    /// A window passes with a sum of at least this.
    pub threshold: f32,
}

/// How much a threshold stays below a score that is to pass: sums are made in another order in a search.
const SLACK: f32 = 1e-4;

impl<W> Stage<W> {
    /// Whether each window passes.
    pub fn passing<F: Family<Weak = W>>(&self, family: &F, windows: &Windows) -> Vec<bool> {
        let set = family.prepare(windows);
        let mut scores = vec![0.0; windows.len()];
        self.weak.iter().for_each(|weak| add(&mut scores, &family.answers(weak, &set)));
        scores.iter().map(|&score| score >= self.threshold).collect()
    }
}

/// Scores of windows, those of the object first.
pub struct Scores {
    /// One for each window.
    pub values: Vec<f32>,
    /// How many are of the object.
    pub positives: usize,
}

impl Scores {
    /// exp(−y · score), each class with half of the weight; negative for windows without the object.
    pub fn weights(&self) -> Vec<f32> {
        boost::weights(self.positives, &self.values)
    }

    /// The area under the ROC curve of the scores and what is added; 0 where one is not finite: no candidate to
    /// choose.
    pub fn area_with(&self, added: &[f32]) -> f64 {
        let sums = self.values.iter().zip(added).map(|(&a, &b)| f64::from(a + b));
        let labels: Vec<bool> = (0..self.values.len()).map(|i| i < self.positives).collect();
        roc_auc(&sums.collect::<Vec<_>>(), &labels).unwrap_or(0.0)
    }
}

/// Boosts learners until a stage is good enough, no learner helps any more, or there are enough.
pub fn one_stage<F: Family>(
    family: &F,
    [objects, others, held]: [&Windows; 3],
    options: &StageOptions,
    rng: &mut Rng,
    progress: &mut dyn FnMut(StageStep),
) -> Stage<F::Weak> {
    let set = family.prepare(&objects.chain(others));
    let held_set = family.prepare(held);
    let count = objects.len() + others.len();
    let mut scores = Scores { values: vec![0.0; count], positives: objects.len() };
    let mut held_scores = vec![0.0; held.len()];
    let (mut stage, mut area) = (Stage { weak: Vec::new(), threshold: 0.0 }, 0.5);
    while stage.weak.len() < options.weak {
        let weak = family.learn(&set, &scores, rng);
        add(&mut scores.values, &family.answers(&weak, &set));
        add(&mut held_scores, &family.answers(&weak, &held_set));
        stage.weak.push(weak);
        stage.threshold = threshold(&held_scores, options.hit_rate);
        let passing = scores.values[objects.len()..].iter().filter(|&&s| s >= stage.threshold);
        let passing = passing.count() as f32 / others.len().max(1) as f32;
        let before = std::mem::replace(&mut area, scores.area_with(&vec![0.0; count]));
        progress(StageStep::Weak(stage.weak.len(), area, passing));
        if passing <= options.false_positive_rate || area - before < options.gain {
            break;
        }
    }
    stage
}

/// What that part of the scores reaches.
fn threshold(scores: &[f32], part: f32) -> f32 {
    let mut sorted = scores.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let missed = (sorted.len() as f32 * (1.0 - part)) as usize;
    sorted.get(missed).map_or(0.0, |score| score - SLACK)
}

fn add(scores: &mut [f32], answers: &[f32]) {
    scores.iter_mut().zip(answers).for_each(|(score, answer)| *score += answer);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_and_thresholds_by_hand() {
        // Objects 3 and 1, others 2 and 1: 3 beats both, 1 beats none and ties once: 2½ of 4 pairs.
        let scores = Scores { values: vec![2.0, 0.5, 1.0, 0.5], positives: 2 };
        assert_eq!(scores.area_with(&[1.0, 0.5, 1.0, 0.5]), 0.625);
        assert_eq!(scores.area_with(&[9.0, 9.0, 0.0, 0.0]), 1.0);
        // Nine of ten: the lowest may be missed.
        let ten: Vec<f32> = (0..10).rev().map(|v| v as f32).collect();
        assert_eq!(threshold(&ten, 0.85), 1.0 - SLACK);
        assert_eq!(threshold(&ten, 1.0), -SLACK);
    }
}
