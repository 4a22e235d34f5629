//! A linear SVM by gradient descent, as Spark MLlib's `SVMWithSGD` does it, to the last bit of the weights.
//!
//! Flows in: [`Samples`] and the settings. Flows out: weights, and what the objective was before each step.
//!
//! ```text
//! g = −(1/n) Σ yᵢ xᵢ over samples with yᵢ (w·xᵢ + b) < 1,   a = step / √t,   t = 1, 2, …
//! L2:  w ← (1 − a·λ) w − a g      L1:  w ← shrink(w − a g, a·λ)      none:  w ← w − a g
//! ```
//!
//! The bias is a column of ones whose weight starts at 1, and is regularised (MLlib's rule). Features are not
//! scaled: with fc7's norms a step of 1 is large.
//!
//! Two facts make it fast. A gradient is an earlier one, and the samples that entered or left the sum since.
//! And a sample whose margin was m can do neither before w has gone |1 − m| / ‖x‖ (Cauchy and Schwarz):
//! until then its row is not read. The earlier gradient is the last but one: large steps go to and fro, and
//! then nearly all samples change from step to step, and few from one step to the next but one.
//!
//! Sums of `f32` are exact in `f64` as long as n times a column's largest value is below 2⁵³ times the last
//! bit of its smallest. Then their order is all the same, and the weights are MLlib's. Elsewhere they differ
//! in the last bits, as MLlib's do from one number of partitions to another. The number of threads never
//! shows. Losses have one rounding; MLlib adds them up row by row, which on 400 samples is off by up to 10
//! units in the last place.

use super::passes::{dot, kernels, linear, norms, parts};
use super::{Linear, Samples};
use crate::error::{Error, Result};
use crate::rng::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ops::Range;

/// What large weights cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Updater {
    /// ½ λ ‖w‖², MLlib's `SquaredL2Updater`.
    L2,
    /// λ ‖w‖₁, MLlib's `L1Updater`.
    L1,
    /// Nothing, MLlib's `SimpleUpdater`.
    None,
}

/// The settings, named and preset as MLlib's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sgd {
    /// The first step; step t is this over √t.
    pub step: f64,
    /// Steps, at most.
    pub iterations: usize,
    /// λ: what weights cost, where the hinge losses' *mean* is what errors cost.
    pub regularisation: f64,
    /// How weights are regularised.
    pub updater: Updater,
    /// Each sample's chance to take part in a step. Below 1 the draw is seeded, and not Spark's.
    pub fraction: f64,
    /// Whether there is a bias.
    pub intercept: bool,
    /// Ends when a step is shorter than this part of ‖w‖, or than this where ‖w‖ < 1; 0 never does.
    pub tolerance: f64,
    /// Seed of the samples that take part.
    pub seed: u64,
}

impl Default for Sgd {
    fn default() -> Self {
        Self {
            step: 1.0,
            iterations: 100,
            regularisation: 0.01,
            updater: Updater::L2,
            fraction: 1.0,
            intercept: false,
            tolerance: 0.001,
            seed: 42,
        }
    }
}

impl Sgd {
    /// Fails when a number makes no sense.
    pub fn check(&self) -> Result<()> {
        let positive = f64::MIN_POSITIVE..=f64::MAX;
        let rules = [
            ("step", self.step, positive, "above 0"),
            ("regularisation", self.regularisation, 0.0..=f64::MAX, "0 or more"),
            ("fraction", self.fraction, f64::MIN_POSITIVE..=1.0, "above 0, and at most 1"),
            ("tolerance", self.tolerance, 0.0..=1.0, "from 0 to 1"),
        ];
        match rules.into_iter().find(|(_, value, allowed, _)| !allowed.contains(value)) {
            Some((name, value, _, rule)) => {
                Err(Error::Invalid(format!("{name} is {value}: it must be {rule}")))
            }
            None if self.iterations == 0 => {
                Err(Error::Invalid("0 iterations: there must be one at least".into()))
            }
            None => Ok(()),
        }
    }

    /// Goes step `t` against the gradient −`toward`; returns what the new weights cost.
    fn update(&self, w: &mut [f64], toward: &[f64], t: usize) -> f64 {
        let (a, lambda) = (self.step / (t as f64).sqrt(), self.regularisation);
        if self.updater == Updater::L2 {
            w.iter_mut().for_each(|w| *w *= 1.0 - a * lambda);
        }
        w.iter_mut().zip(toward).for_each(|(w, g)| *w += a * g);
        if self.updater == Updater::L1 {
            w.iter_mut().for_each(|w| *w = w.signum() * (w.abs() - a * lambda).max(0.0));
        }
        self.penalty(w)
    }

    fn penalty(&self, w: &[f64]) -> f64 {
        match self.updater {
            Updater::L2 => 0.5 * self.regularisation * norm(w) * norm(w),
            Updater::L1 => self.regularisation * w.iter().map(|w| w.abs()).sum::<f64>(),
            Updater::None => 0.0,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct SgdFit {
    /// The weights after the last step.
    pub linear: Linear,
    /// The mean hinge loss of the samples that took part, and what the weights cost: before each step, and
    /// (unless it converged) after the last.
    pub losses: Vec<f64>,
    /// Steps.
    pub iterations: usize,
    /// Whether the last step was as short as was asked for.
    pub converged: bool,
}

/// Goes down the gradient; `progress` is called with the number of each step, from 1.
///
/// # Errors
/// When there are no samples, they are of one class, a setting makes no sense, or the weights grow beyond
/// all numbers.
pub fn sgd(samples: &Samples, s: &Sgd, progress: &mut dyn FnMut(usize)) -> Result<SgdFit> {
    s.check()?;
    samples.check()?;
    let mut w = vec![0.0; samples.matrix.width() + 1];
    *w.last_mut().expect("the bias") = f64::from(u8::from(s.intercept));
    let mut cost = s.penalty(&w);
    let norms = norms(samples);
    let mut turns = [(); 2].map(|()| Active::new(*samples, &norms));
    let (mut losses, mut iterations, mut converged) = (vec![], 0, false);
    for t in 1..=s.iterations.saturating_add(1) {
        let drawn = draw(samples, s, t);
        if drawn.is_empty() {
            continue;
        }
        let batch = Samples { rows: &drawn, ..*samples };
        let sums = match s.fraction {
            1.0 => turns[t % 2].sums(&w),
            _ => Active::new(batch, &vec![f64::INFINITY; batch.len()]).sums(&w),
        };
        losses.push(sums.hinge(&w) / batch.len() as f64 + cost);
        if t > s.iterations {
            break;
        }
        let old = w.clone();
        cost = s.update(&mut w, &sums.mean(batch.len(), s.intercept), t);
        let moved = distance(&w, &old);
        if !moved.is_finite() {
            return Err(Error::Invalid(format!(
                "step {t} made the weights infinite: a first step of {} is too large",
                s.step
            )));
        }
        iterations = t;
        progress(t);
        converged = losses.len() > 1 && moved < s.tolerance * norm(&w).max(1.0);
        if converged {
            break;
        }
    }
    let bias = w.pop().unwrap_or(0.0);
    Ok(SgdFit { linear: linear(samples, w, bias), losses, iterations, converged })
}

/// The rows that take part in step `t`.
fn draw<'a>(samples: &Samples<'a>, s: &Sgd, t: usize) -> Cow<'a, [u32]> {
    if s.fraction == 1.0 {
        return samples.rows.into();
    }
    let mut rng = Rng::new(s.seed.wrapping_add(t as u64));
    samples.rows.iter().copied().filter(|_| rng.unit() < s.fraction).collect()
}

/// Part of the margins' size that rounding may move them by.
const ROUNDING: f64 = 1e-12;

/// Which samples have a margin below 1, and their sums.
struct Active<'a> {
    samples: Samples<'a>,
    parts: Vec<Part>,
    /// Where w was when the sums were last asked for, and how far it had gone from 0.
    w: Vec<f64>,
    path: f64,
}

/// Some of the samples: those `first..`.
struct Part {
    first: usize,
    all: Vec<Sample>,
    sums: Sums,
}

struct Sample {
    /// ‖x‖ with the bias's 1.
    norm: f64,
    /// How far w goes, at least, before the sample enters the sum or leaves it.
    due: f64,
    active: bool,
}

/// Sums over the active samples.
#[derive(Clone)]
struct Sums {
    /// Σ y x, and Σ y behind it.
    rows: Vec<f64>,
    count: f64,
}

impl<'a> Active<'a> {
    fn new(samples: Samples<'a>, norms: &[f64]) -> Self {
        let part = |range: Range<usize>| Part {
            first: range.start,
            all: norms[range]
                .iter()
                .map(|&n| Sample { norm: (n + 1.0).sqrt(), due: 0.0, active: false })
                .collect(),
            sums: Sums { rows: vec![0.0; samples.matrix.width() + 1], count: 0.0 },
        };
        let parts = parts(samples.len()).into_iter().map(part).collect();
        Self { samples, parts, w: vec![0.0; samples.matrix.width() + 1], path: 0.0 }
    }

    /// The sums at `w`.
    fn sums(&mut self, w: &[f64]) -> Sums {
        self.path += distance(w, &self.w);
        self.w.copy_from_slice(w);
        let (samples, path) = (&self.samples, self.path);
        self.parts.par_iter_mut().for_each(|part| part.update(samples, w, path));
        let (first, others) = self.parts.split_first().expect("there are parts");
        let mut sums = first.sums.clone();
        for part in others {
            sums.rows.iter_mut().zip(&part.sums.rows).for_each(|(sum, v)| *sum += v);
            sums.count += part.sums.count;
        }
        sums
    }
}

impl Part {
    fn update(&mut self, samples: &Samples, w: &[f64], path: f64) {
        let (w, b) = w.split_at(w.len() - 1);
        for (i, sample) in self.all.iter_mut().enumerate() {
            if sample.due > path {
                continue;
            }
            let (row, y) = (samples.row(self.first + i), samples.sign(self.first + i));
            let margin = y * (row.dot_wide(kernels(), w) + b[0]);
            sample.due = path * (1.0 - ROUNDING) + (1.0 - margin).abs() / sample.norm;
            if (margin < 1.0) != sample.active {
                sample.active = !sample.active;
                let sign = if sample.active { 1.0 } else { -1.0 };
                let (rows, ys) = self.sums.rows.split_at_mut(w.len());
                row.add_to_wide(kernels(), sign * y, rows);
                ys[0] += sign * y;
                self.sums.count += sign;
            }
        }
    }
}

impl Sums {
    /// (1/n) Σ y x, the bias's 0 where there is none.
    fn mean(mut self, n: usize, intercept: bool) -> Vec<f64> {
        self.rows.iter_mut().for_each(|sum| *sum /= n as f64);
        if !intercept {
            self.rows.pop();
            self.rows.push(0.0);
        }
        self.rows
    }

    /// Σ (1 − y (w·x + b)) over the active samples.
    ///
    /// That is their number less w · Σ y x, whose difference may be small: products and sums carry what is
    /// rounded off along (Ogita, Rump and Oishi 2005).
    fn hinge(&self, w: &[f64]) -> f64 {
        let (mut sum, mut rest) = (self.count, 0.0);
        for (w, row) in w.iter().zip(&self.rows) {
            let product = -w * row;
            let next = sum + product;
            let added = next - sum;
            rest += (sum - (next - added)) + (product - added) + (-w).mul_add(*row, -product);
            sum = next;
        }
        sum + rest
    }
}

/// ‖a − b‖₂.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

/// ‖w‖₂.
fn norm(w: &[f64]) -> f64 {
    dot(w, w).sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Data;
    use super::*;
    use rayon::ThreadPoolBuilder;

    fn run(data: &Data, s: Sgd) -> SgdFit {
        sgd(&data.samples(), &s, &mut |_| {}).unwrap()
    }

    #[test]
    fn steps_by_hand() {
        let data = Data::new(&[vec![1.0, 0.0], vec![0.0, 2.0]], &[true, false]);
        let one = Sgd { iterations: 1, regularisation: 0.5, ..Sgd::default() };
        // At 0 both are active, and (1/2) Σ y x = (0.5, −1). Then the margins are 0.5 and 2.
        let fit = run(&data, one);
        assert_eq!(fit.linear, Linear { weights: vec![0.5, -1.0], bias: 0.0 });
        assert_eq!(fit.losses, [1.0, 0.5 / 2.0 + 0.25 * 1.25]);
        // Each weight shrinks by 0.25.
        let fit = run(&data, Sgd { updater: Updater::L1, regularisation: 0.25, ..one });
        assert_eq!(fit.linear.weights, [0.25, -0.75]);
        // The bias starts at 1, with a cost of ½ λ. A margin of 1 is not active, one of −1 is: the bias goes
        // to 1 · (1 − 0.5) − 0.5.
        let fit = run(&data, Sgd { intercept: true, ..one });
        assert_eq!(fit.linear, Linear { weights: vec![0.0, -1.0], bias: 0.0 });
        assert_eq!(fit.losses[0], 2.0 / 2.0 + 0.25);
        // The second step is shorter by √2.
        let fit = run(&data, Sgd { iterations: 2, updater: Updater::None, ..one });
        assert_eq!(fit.linear.weights, [0.5 + 0.5f64.sqrt() * 0.5, -1.0]);
    }

    /// Every row in every step.
    fn plain(samples: &Samples, s: Sgd) -> Vec<f64> {
        let n = samples.len();
        let mut w = vec![0.0; samples.matrix.width()];
        for t in 1..=s.iterations {
            let scores: Vec<f64> = (0..n).map(|i| samples.row(i).dot_wide(kernels(), &w)).collect();
            let mut sum = vec![0.0; w.len()];
            for i in (0..n).filter(|&i| samples.sign(i) * scores[i] < 1.0) {
                samples.row(i).add_to_wide(kernels(), samples.sign(i) / n as f64, &mut sum);
            }
            s.update(&mut w, &sum, t);
        }
        w
    }

    #[test]
    fn rows_that_are_not_read_would_change_nothing() {
        // 256 samples: the division is exact, and so are all sums.
        let data = Data::random(256, 40);
        for step in [0.01, 1.0, 30.0] {
            let s = Sgd { step, iterations: 60, tolerance: 0.0, ..Sgd::default() };
            let want = plain(&data.samples(), s);
            let [one, two] = [1, 2].map(|threads| {
                let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| run(&data, s))
            });
            assert_eq!(one.linear.weights, want[..40], "step {step}");
            assert_eq!((one.linear, one.losses), (two.linear, two.losses), "step {step}");
        }
    }

    #[test]
    fn it_ends_where_steps_are_short() {
        let data = Data::random(100, 10);
        let s = Sgd { step: 0.1, regularisation: 1.0, iterations: 1000, ..Sgd::default() };
        let mut steps = vec![];
        let fit = sgd(&data.samples(), &s, &mut |t| steps.push(t)).unwrap();
        assert!(fit.converged && fit.iterations < 1000);
        // Nothing follows the last step.
        assert_eq!(fit.losses.len(), fit.iterations);
        assert_eq!(steps, (1..=fit.iterations).collect::<Vec<_>>());
        let fit = run(&data, Sgd { tolerance: 0.0, ..s });
        assert!(!fit.converged && fit.iterations == 1000 && fit.losses.len() == 1001);
    }

    #[test]
    fn batches_follow_from_the_seed() {
        let data = Data::random(100, 10);
        let s = Sgd { fraction: 0.3, ..Sgd::default() };
        let (a, b) = (run(&data, s), run(&data, s));
        assert_eq!((a.linear.weights.clone(), a.losses), (b.linear.weights, b.losses));
        let other = run(&data, Sgd { seed: 7, ..s });
        assert_ne!(a.linear.weights, other.linear.weights);
        let drawn = draw(&data.samples(), &s, 1).len();
        assert!((15..45).contains(&drawn), "{drawn} of 100");
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let (data, good) = (Data::random(20, 3), Sgd::default());
        let cases = [
            (Sgd { step: 0.0, ..good }, "step is 0"),
            (Sgd { step: f64::NAN, ..good }, "step is NaN"),
            (Sgd { regularisation: -1.0, ..good }, "regularisation is -1"),
            (Sgd { fraction: 1.5, ..good }, "fraction is 1.5"),
            (Sgd { tolerance: 2.0, ..good }, "tolerance is 2"),
            (Sgd { iterations: 0, ..good }, "0 iterations"),
            (Sgd { step: 1e300, ..good }, "step 1 made the weights infinite"),
        ];
        for (s, want) in cases {
            let error = sgd(&data.samples(), &s, &mut |_| {}).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
        let one = Data::new(&[vec![1.0]], &[true]);
        assert!(sgd(&one.samples(), &good, &mut |_| {}).is_err());
    }
}
