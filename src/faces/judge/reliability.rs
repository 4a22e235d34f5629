//! Whether confidences are probabilities. Flows in: confidences and which are right. Flows out: ten bins, and
//! how far mean confidence and share of right ones are apart.

use crate::learn::metrics::Bin;

/// Equally wide bins of confidence.
pub const BINS: usize = 10;

/// How far confidences can be trusted.
#[derive(Clone, Debug, PartialEq)]
pub struct Reliability {
    /// By rising confidence; `None` where no detection is.
    pub bins: [Option<Bin>; BINS],
    /// Expected calibration error: mean over detections of their bin's |confidence − share right|
    /// (Naeini, Cooper and Hauskrecht, 2015).
    pub error: f64,
}

impl Reliability {
    /// `None` without detections, and where a confidence is no probability.
    pub(super) fn new(confidences: &[f64], right: &[bool]) -> Option<Self> {
        if confidences.is_empty() || !confidences.iter().all(|c| (0.0..=1.0).contains(c)) {
            return None;
        }
        let bins = std::array::from_fn(|i| {
            let all = confidences.iter().zip(right);
            let here: Vec<(f64, bool)> =
                all.map(|(&c, &r)| (c, r)).filter(|&(c, _)| bin(c) == i).collect();
            let mean = |sum: f64| sum / here.len() as f64;
            (!here.is_empty()).then(|| Bin {
                samples: here.len(),
                predicted: mean(here.iter().map(|(c, _)| c).sum()),
                observed: mean(here.iter().filter(|(_, right)| *right).count() as f64),
            })
        });
        let apart = |bin: &Bin| bin.samples as f64 * (bin.predicted - bin.observed).abs();
        let sum: f64 = bins.iter().flatten().map(apart).sum();
        Some(Self { bins, error: sum / confidences.len() as f64 })
    }
}

/// A confidence on the edge of two bins is in the lower one, as in `learn`'s reliability curves.
fn bin(confidence: f64) -> usize {
    ((confidence * BINS as f64).ceil() as usize).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_by_hand() {
        let got =
            Reliability::new(&[0.0, 0.1, 0.125, 0.875, 0.875], &[false, false, true, true, false]);
        let got = got.expect("probabilities");
        let bin = |samples, predicted, observed| Some(Bin { samples, predicted, observed });
        assert_eq!(got.bins[..2], [bin(2, 0.05, 0.0), bin(1, 0.125, 1.0)]);
        assert_eq!(got.bins[8], bin(2, 0.875, 0.5));
        assert_eq!(got.bins.iter().flatten().count(), 3);
        assert!((got.error - (2.0 * 0.05 + 0.875 + 2.0 * 0.375) / 5.0).abs() < 1e-15);
        assert_eq!(Reliability::new(&[1.5], &[true]), None);
        assert_eq!(Reliability::new(&[], &[]), None);
    }
}
