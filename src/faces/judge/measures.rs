//! How good detections are. Flows in: confidences and which are right. Flows out: the curve of recall,
//! precision and false positives over thresholds, and what is read from it.

use crate::learn::metrics::ranking::{Step, steps};

/// What detections of at least a confidence are worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The confidence.
    pub threshold: f64,
    /// Share of the faces that are found.
    pub recall: f64,
    /// Share of the detections that are faces.
    pub precision: f64,
    /// Detections that are none, per image.
    pub false_positives: f64,
}

impl Point {
    /// No detection: nothing found and nothing wrong.
    pub(super) const NOTHING: Self =
        Self { threshold: f64::INFINITY, recall: 0.0, precision: 1.0, false_positives: 0.0 };
}

/// A point for each confidence that occurs, the highest first. A recall without faces is 0.
pub(super) fn curve(
    confidences: &[f64],
    right: &[bool],
    faces: usize,
    images: usize,
) -> Vec<Point> {
    let point = |step: Step| Point {
        threshold: step.score,
        recall: step.true_positive as f64 / faces.max(1) as f64,
        precision: step.true_positive as f64 / (step.true_positive + step.false_positive) as f64,
        false_positives: step.false_positive as f64 / images as f64,
    };
    steps(confidences, right).into_iter().map(point).collect()
}

/// Σ (Rᵢ − Rᵢ₋₁) maxⱼ≥ᵢ Pⱼ: the area below the curve after each dent is filled by what a lower threshold
/// gives (PASCAL VOC, from 2010). `learn`'s average precision fills no dents, which rankings do not need.
pub(super) fn average_precision(curve: &[Point]) -> f64 {
    let before = [0.0].into_iter().chain(curve.iter().map(|p| p.recall));
    let steps: Vec<(f64, &Point)> = before.zip(curve).collect();
    let (mut sum, mut highest) = (0.0, 0f64);
    for (before, point) in steps.into_iter().rev() {
        highest = highest.max(point.precision);
        sum += (point.recall - before) * highest;
    }
    sum
}

/// The lowest threshold with at most so many false positives per image.
pub(super) fn at(curve: &[Point], false_positives: f64) -> Point {
    let within = curve.partition_point(|p| p.false_positives <= false_positives);
    curve[..within].last().copied().unwrap_or(Point::NOTHING)
}
