//! Scores made into probabilities, and how far probabilities can be trusted.
//!
//! Flows in: scores and labels that the classifier did not learn from. Flows out: a map from scores to
//! probabilities ([`Platt`], [`Isotonic`]), or how well probabilities fit labels.

use super::{check, check_both};
use crate::error::{Error, Result};

/// A sigmoid: P(liked | score) = 1 / (1 + exp(slope · score + offset)) (Platt, 1999).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Platt {
    /// Negative where higher scores are liked more.
    pub slope: f64,
    /// 0 where a score of 0 says nothing either way.
    pub offset: f64,
}

impl Platt {
    /// The sigmoid of greatest likelihood, by Newton's method with backtracking as in Lin, Lin and Weng,
    /// "A note on Platt's probabilistic outputs for support vector machines" (2007). Labels count as
    /// (N₊ + 1)/(N₊ + 2) and 1/(N₋ + 2), which keeps the slope finite where the classes are far apart.
    ///
    /// Fails on one class only, scores that are not finite, and when the method finds no end.
    pub fn fit(scores: &[f64], labels: &[bool]) -> Result<Self> {
        check_finite(scores, labels)?;
        let liked = labels.iter().filter(|&&liked| liked).count() as f64;
        let not = labels.len() as f64 - liked;
        let target =
            |liked_one| if liked_one { (liked + 1.0) / (liked + 2.0) } else { 1.0 / (not + 2.0) };
        let samples: Vec<(f64, f64)> =
            scores.iter().zip(labels).map(|(&score, &label)| (score, target(label))).collect();
        let mut fit = Self { slope: 0.0, offset: ((not + 1.0) / (liked + 1.0)).ln() };
        let mut loss = fit.loss(&samples);
        for _ in 0..100 {
            let Newton { gradient, step } = fit.newton(&samples);
            if gradient.iter().all(|g| g.abs() < 1e-5) {
                return Ok(fit);
            }
            let descent = gradient[0] * step[0] + gradient[1] * step[1];
            let mut length = 1.0;
            loop {
                let slope = fit.slope + length * step[0];
                let next = Self { slope, offset: fit.offset + length * step[1] };
                let next_loss = next.loss(&samples);
                if next_loss < loss + 1e-4 * length * descent {
                    (fit, loss) = (next, next_loss);
                    break;
                }
                length /= 2.0;
                if length < 1e-10 {
                    return Err(no_end());
                }
            }
        }
        Err(no_end())
    }

    /// The probability that a sample of this score is liked.
    pub fn probability(&self, score: f64) -> f64 {
        let z = self.slope * score + self.offset;
        // Of the two forms the one whose exponential is at most 1.
        if z >= 0.0 { (-z).exp() / (1.0 + (-z).exp()) } else { 1.0 / (1.0 + z.exp()) }
    }

    /// −Σ t ln p + (1 − t) ln(1 − p) over (score, target t).
    fn loss(&self, samples: &[(f64, f64)]) -> f64 {
        let one = |&(score, target): &(f64, f64)| {
            let z = self.slope * score + self.offset;
            let linear = if z >= 0.0 { target * z } else { (target - 1.0) * z };
            linear + (-z.abs()).exp().ln_1p()
        };
        samples.iter().map(one).sum()
    }

    /// The loss's gradient by (slope, offset), and the step that solves H · step = −gradient.
    fn newton(&self, samples: &[(f64, f64)]) -> Newton {
        let mut g = [0.0; 2];
        // A little on the diagonal keeps H invertible, where all scores are the same, too.
        let (mut h11, mut h22, mut h21) = (1e-12, 1e-12, 0.0);
        for &(score, target) in samples {
            let p = self.probability(score);
            let curvature = p * (1.0 - p);
            h11 += score * score * curvature;
            h22 += curvature;
            h21 += score * curvature;
            g[0] += score * (target - p);
            g[1] += target - p;
        }
        let determinant = h11 * h22 - h21 * h21;
        let step =
            [-(h22 * g[0] - h21 * g[1]) / determinant, -(h11 * g[1] - h21 * g[0]) / determinant];
        Newton { gradient: g, step }
    }
}

struct Newton {
    gradient: [f64; 2],
    step: [f64; 2],
}

fn no_end() -> Error {
    Error::Invalid("Platt's sigmoid was not found: bring the scores to a spread of about 1".into())
}

/// Both classes, and finite scores.
fn check_finite(scores: &[f64], labels: &[bool]) -> Result<()> {
    check_both(scores, labels, "calibration")?;
    match scores.iter().position(|s| s.is_infinite()) {
        Some(sample) => Err(Error::Invalid(format!("the score of sample {sample} is infinite"))),
        None => Ok(()),
    }
}

/// A rising curve: straight lines between points, level beyond the first and the last.
#[derive(Clone, Debug, PartialEq)]
pub struct Isotonic {
    /// Scores of the points, rising.
    pub scores: Vec<f64>,
    /// Probability at each point, never falling.
    pub probabilities: Vec<f64>,
}

/// Neighbours in score that share one probability.
struct Block {
    lowest: f64,
    highest: f64,
    samples: f64,
    liked: f64,
}

impl Block {
    fn mean(&self) -> f64 {
        self.liked / self.samples
    }
}

impl Isotonic {
    /// The rising curve nearest to the labels in squares, by pooling adjacent violators (Ayer et al.,
    /// 1955); samples of equal score are pooled first. Between the pools it is interpolated.
    ///
    /// Fails on one class only and on scores that are not finite.
    pub fn fit(scores: &[f64], labels: &[bool]) -> Result<Self> {
        check_finite(scores, labels)?;
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        let mut blocks: Vec<Block> = vec![];
        for ties in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
            let (score, samples) = (scores[ties[0]], ties.len() as f64);
            let liked = ties.iter().filter(|&&i| labels[i]).count() as f64;
            let mut block = Block { lowest: score, highest: score, samples, liked };
            while let Some(below) = blocks.pop_if(|below| below.mean() >= block.mean()) {
                block.lowest = below.lowest;
                block.samples += below.samples;
                block.liked += below.liked;
            }
            blocks.push(block);
        }
        // A pool of one score is one point.
        let mut points: Vec<(f64, f64)> =
            blocks.iter().flat_map(|b| [(b.lowest, b.mean()), (b.highest, b.mean())]).collect();
        points.dedup();
        let (scores, probabilities) = points.into_iter().unzip();
        Ok(Self { scores, probabilities })
    }

    /// The probability that a sample of this score is liked; NaN for NaN.
    pub fn probability(&self, score: f64) -> f64 {
        if score.is_nan() {
            return f64::NAN;
        }
        let (x, y) = (&self.scores, &self.probabilities);
        match x.partition_point(|&point| point <= score) {
            0 => y[0],
            i if i == x.len() => y[i - 1],
            i => y[i - 1] + (y[i] - y[i - 1]) * ((score - x[i - 1]) / (x[i] - x[i - 1])),
        }
    }
}

/// Fails unless these are probabilities for labels.
fn check_probabilities(probabilities: &[f64], labels: &[bool]) -> Result<()> {
    check(probabilities, labels)?;
    match probabilities.iter().position(|p| !(0.0..=1.0).contains(p)) {
        Some(i) => Err(Error::Invalid(format!(
            "{} for sample {i} is no probability: calibrate the scores first",
            probabilities[i]
        ))),
        None => Ok(()),
    }
}

/// Mean squared difference of probabilities and labels (Brier, 1950): 0 is perfect, ¼ says nothing.
pub fn brier(probabilities: &[f64], labels: &[bool]) -> Result<f64> {
    check_probabilities(probabilities, labels)?;
    let square = |(&p, &liked): (&f64, &bool)| (p - f64::from(u8::from(liked))).powi(2);
    Ok(probabilities.iter().zip(labels).map(square).sum::<f64>() / labels.len() as f64)
}

/// Samples of about the same probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// How many.
    pub samples: usize,
    /// Their mean probability.
    pub predicted: f64,
    /// The share of them that is liked.
    pub observed: f64,
}

/// Beyond it bins are finer than any curve can show.
const MOST_BINS: usize = 10_000;

/// A reliability curve: samples in `bins` equally wide bins of probability, empty bins left out.
///
/// scikit-learn's `calibration_curve`: a probability on the edge of two bins is in the lower one. Fails
/// on no bins or more than 10000 and on what are no probabilities.
pub fn reliability(probabilities: &[f64], labels: &[bool], bins: usize) -> Result<Vec<Bin>> {
    check_probabilities(probabilities, labels)?;
    if !(1..=MOST_BINS).contains(&bins) {
        return Err(Error::Invalid(format!("{bins} bins: give 1 to {MOST_BINS}, usually 10")));
    }
    let edges: Vec<f64> = (1..bins).map(|edge| edge as f64 / bins as f64).collect();
    let mut sums = vec![(0, 0.0, 0); bins];
    for (&p, &liked) in probabilities.iter().zip(labels) {
        let (samples, total, observed) = &mut sums[edges.partition_point(|&edge| edge < p)];
        *samples += 1;
        *total += p;
        *observed += usize::from(liked);
    }
    let bin = |(samples, total, liked): (usize, f64, usize)| Bin {
        samples,
        predicted: total / samples as f64,
        observed: liked as f64 / samples as f64,
    };
    Ok(sums.into_iter().filter(|&(samples, ..)| samples > 0).map(bin).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platt_by_hand() {
        // Three of four at 1 are liked, one of four at −1. Targets are 5/6 and 1/6: (3·5/6 + 1/6)/4 = 2/3
        // at 1 and 1/3 at −1, which a sigmoid of slope −ln 2 meets.
        let scores = [1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0];
        let labels = [true, true, true, false, true, false, false, false];
        let fit = Platt::fit(&scores, &labels).expect("a sigmoid");
        assert!((fit.slope + 2f64.ln()).abs() < 1e-6 && fit.offset.abs() < 1e-6, "{fit:?}");
        assert!((fit.probability(1.0) - 2.0 / 3.0).abs() < 1e-6);
        assert_eq!((fit.probability(1e9), fit.probability(-1e9)), (1.0, 0.0));
    }

    #[test]
    fn platt_of_extremes() {
        // Far apart: probabilities are the targets, 3/4 and 1/4.
        let fit =
            Platt::fit(&[5.0, 6.0, -5.0, -6.0], &[true, true, false, false]).expect("a sigmoid");
        assert!(fit.probability(5.5) > 0.7 && fit.probability(5.5) < 0.8, "{fit:?}");
        // No slope to find: the share of liked, its targets 3/4 and 1/3 twice and once.
        let same = Platt::fit(&[2.0; 3], &[true, false, true]).expect("a sigmoid");
        assert!((same.probability(2.0) - (0.75 * 2.0 + 1.0 / 3.0) / 3.0).abs() < 1e-5, "{same:?}");
        assert!(Platt::fit(&[1e200, -1e200], &[true, false]).is_err());
        assert!(Platt::fit(&[1.0, f64::INFINITY], &[true, false]).is_err());
        assert!(Platt::fit(&[1.0, 2.0], &[true, true]).is_err());
    }

    #[test]
    fn isotonic_by_hand() {
        // In order of score: not, liked, {liked, not} tied, liked: the second to the fourth pool to 2/3.
        let scores = [5.0, 1.0, 2.0, 3.0, 3.0];
        let labels = [true, false, true, true, false];
        let curve = Isotonic::fit(&scores, &labels).expect("a curve");
        assert_eq!(curve.scores, [1.0, 2.0, 3.0, 5.0]);
        assert_eq!(curve.probabilities, [0.0, 2.0 / 3.0, 2.0 / 3.0, 1.0]);
        let got = [0.0, 1.5, 2.5, 4.0, 9.0].map(|score| curve.probability(score));
        let want = [0.0, 1.0 / 3.0, 2.0 / 3.0, 5.0 / 6.0, 1.0];
        assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-15), "{got:?}");
        assert!(curve.probability(f64::NAN).is_nan());
    }

    /// 40 samples, and what scikit-learn 1.9.1 makes of them.
    #[test]
    fn as_scikit_learn() {
        let scores: Vec<f64> = (0..40).map(|i| f64::from(i * 17 % 23) / 7.0 - 1.5).collect();
        let label = |(i, &score): (usize, &f64)| i * i % 7 < 3 || score > 0.8;
        let labels: Vec<bool> = scores.iter().enumerate().map(label).collect();
        let fit = Platt::fit(&scores, &labels).expect("a sigmoid");
        assert!((fit.slope + 0.64763600).abs() < 1e-5 && (fit.offset + 1.25624022).abs() < 1e-5);
        let curve = Isotonic::fit(&scores, &labels).expect("a curve");
        let want = [1.0 / 3.0, 1.0 / 3.0, 5.0 / 7.0, 5.0 / 7.0, 0.75, 0.796875, 1.0, 1.0, 1.0];
        for (i, want) in want.into_iter().enumerate() {
            let got = curve.probability(-2.0 + 4.5 / 8.0 * i as f64);
            assert!((got - want).abs() < 1e-12, "{i}: {got}");
        }
        let probabilities: Vec<f64> = (0..40).map(|i| f64::from(i) / 39.0).collect();
        let bins = reliability(&probabilities, &labels, 5).expect("bins");
        let observed: Vec<f64> = bins.iter().map(|bin| bin.observed).collect();
        assert_eq!(observed, [0.75, 0.875, 0.75, 0.75, 0.75]);
    }

    #[test]
    fn brier_and_reliability_by_hand() {
        let probabilities = [0.0, 0.25, 0.5, 0.75];
        let labels = [false, true, false, true];
        let got = brier(&probabilities, &labels).expect("a number");
        assert_eq!(got, (0.5625 + 0.25 + 0.0625) / 4.0);
        let bins = reliability(&probabilities, &labels, 2).expect("bins");
        let low = Bin { samples: 3, predicted: 0.25, observed: 1.0 / 3.0 };
        assert_eq!(bins, [low, Bin { samples: 1, predicted: 0.75, observed: 1.0 }]);
        assert_eq!(reliability(&[1.0, 0.9], &[true, true], 10).expect("bins").len(), 2);
        assert!(brier(&[1.5], &[true]).is_err() && reliability(&[1.0], &[true], 0).is_err());
    }
}
