//! Detections as a filter that keeps photos of people. Flows in: photos with their detections. Flows out:
//! how many photos with a face are kept when few of those without pass.
//!
//! A photo is as sure as its surest detection. Photos whose faces are all ignored are left out.

use super::matching::Pair;
use crate::error::Result;
use crate::learn::metrics::ranking::{Step, roc_auc, steps};

/// How good a filter it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// Photos with a face that counts.
    pub with_face: usize,
    /// Photos without any face.
    pub without: usize,
    /// For each share of [`PASSED`](super::PASSED) the share of photos with a face that is kept.
    pub kept: [f64; super::PASSED.len()],
    /// From the strictest threshold to the one that lets all pass.
    pub curve: Vec<FilterPoint>,
    /// The area below the curve of `kept` over `passed`.
    pub auc: f64,
}

/// What a threshold lets pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilterPoint {
    /// The confidence; −∞ where photos without a detection pass too.
    pub threshold: f64,
    /// Share of the photos with a face.
    pub kept: f64,
    /// Share of the photos without.
    pub passed: f64,
}

impl Filter {
    /// `None` unless there are photos with a face and photos without. Fails on a confidence that is NaN.
    pub(super) fn new(pairs: &[Pair]) -> Result<Option<Self>> {
        let (mut scores, mut labels) = (vec![], vec![]);
        for (photo, found) in pairs {
            let with_face = photo.faces.iter().any(|face| !face.ignore);
            if with_face || photo.faces.is_empty() {
                let confidences = found.iter().map(|found| found.confidence);
                scores.push(confidences.fold(f64::NEG_INFINITY, f64::max));
                labels.push(with_face);
            }
        }
        let with_face = labels.iter().filter(|&&with_face| with_face).count();
        let without = labels.len() - with_face;
        if with_face == 0 || without == 0 {
            return Ok(None);
        }
        let point = |step: Step| FilterPoint {
            threshold: step.score,
            kept: step.true_positive as f64 / with_face as f64,
            passed: step.false_positive as f64 / without as f64,
        };
        let curve: Vec<_> = steps(&scores, &labels).into_iter().map(point).collect();
        let kept = super::PASSED.map(|share| kept(&curve, share));
        Ok(Some(Self { with_face, without, kept, curve, auc: roc_auc(&scores, &labels)? }))
    }
}

/// What is kept by the lowest threshold at which no more than a share passes.
fn kept(curve: &[FilterPoint], share: f64) -> f64 {
    let within = curve.partition_point(|point| point.passed <= share);
    curve[..within].last().map_or(0.0, |point| point.kept)
}
