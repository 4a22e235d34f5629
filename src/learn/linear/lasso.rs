//! Squared hinge and logistic loss with the L1 penalty, by coordinate descent (Yuan, Chang, Hsieh, Lin 2010).
//!
//! ```text
//! minimise  ‖w‖₁ + |b| + C Σ loss(zᵢ),   zᵢ = yᵢ (w·xᵢ + b)
//! dual:     Σ C·conjugate(αᵢ / C),   |Σ αᵢ yᵢ xᵢⱼ| ≤ 1 for each feature j
//! ```
//!
//! One weight after the other goes a Newton step, shortened until the objective falls enough; weights that
//! stay zero are left out for a while. A step looks at one feature of all samples: the samples are transposed
//! first. αᵢ = C·slope(zᵢ), scaled until it obeys, ends the search by the duality gap.

use super::active::Active;
use super::passes::{kernels, linear, scores};
use super::{Fit, Loss, Problem, Samples, Solver};
use crate::error::Result;
use crate::learn::{Layout, Matrix};
use crate::rng::Rng;
use likenet_kernels::cpu::rows::WORD;
use rayon::prelude::*;

/// Halvings of a step, at most.
const HALVINGS: usize = 20;

/// How much of what its slope promises a step must gain.
const SUFFICIENT: f64 = 0.01;

/// How much smaller the violation is that ends the next round.
const ROUND: f64 = 0.1;

struct Lasso<'a> {
    samples: &'a Samples<'a>,
    problem: &'a Problem,
    /// (features, samples): yᵢ xᵢⱼ, and behind them the bias's row of yᵢ where there is one.
    features: Matrix,
    /// C Σ x² of each feature times the loss's largest curvature.
    curvatures: Vec<f64>,
    w: Vec<f64>,
    /// zᵢ, and the loss's slope there; zeros behind them.
    margins: Vec<f64>,
    slopes: Vec<f64>,
    /// Samples where the feature at hand is not zero, and yᵢ xᵢⱼ.
    values: Vec<(usize, f64)>,
    /// Features whose weight may still change.
    active: Active,
    /// How far from optimal the last pass found the worst feature.
    worst: f64,
}

pub(super) fn solve(samples: &Samples, problem: &Problem, from: Option<&Fit>) -> Result<Fit> {
    let mut lasso = Lasso::new(samples, problem)?;
    if let Some(fit) = from {
        lasso.start_from(fit);
    }
    let mut rng = Rng::new(problem.seed);
    let mut iterations = 0;
    let (mut objective, mut gap) = lasso.settle();
    let mut violation = f64::INFINITY;
    while gap > problem.tolerance * objective && iterations < problem.max_iterations {
        lasso.active.restart();
        lasso.worst = f64::INFINITY;
        while iterations < problem.max_iterations {
            let seen = lasso.pass(&mut rng);
            iterations += 1;
            if seen <= violation {
                violation = ROUND * seen.min(violation);
                break;
            }
        }
        (objective, gap) = lasso.settle();
    }
    let (w, b) = lasso.wide();
    Ok(Fit {
        converged: gap <= problem.tolerance * objective,
        linear: linear(samples, w, b),
        objective,
        gap,
        iterations,
        solver: Solver::Primal,
        alphas: vec![],
    })
}

impl<'a> Lasso<'a> {
    fn new(samples: &'a Samples<'a>, problem: &'a Problem) -> Result<Self> {
        let features = transpose(samples, problem.intercept)?;
        let steepest = match problem.loss {
            Loss::Logistic => 0.25,
            _ => 2.0,
        };
        let curvature = |feature| {
            let mut sum = 0.0;
            features.row(feature).each(|_, x| sum += f64::from(x) * f64::from(x));
            problem.c * steepest * sum
        };
        let count = features.rows();
        Ok(Self {
            samples,
            problem,
            curvatures: (0..count).map(curvature).collect(),
            w: vec![0.0; count],
            margins: vec![],
            slopes: vec![],
            values: vec![],
            active: Active::new(count),
            worst: f64::INFINITY,
            features,
        })
    }

    /// Takes another problem's weights.
    fn start_from(&mut self, fit: &Fit) {
        let columns = self.samples.matrix.columns();
        self.w[..columns].copy_from_slice(&fit.linear.weights);
        if let Some(b) = self.w.get_mut(columns) {
            *b = fit.linear.bias;
        }
    }

    /// The weights, as wide as rows are, and the bias.
    fn wide(&self) -> (Vec<f64>, f64) {
        let (w, b) = self.w.split_at(self.samples.matrix.columns());
        let mut w = w.to_vec();
        w.resize(self.samples.matrix.width(), 0.0);
        (w, b.first().copied().unwrap_or(0.0))
    }

    /// One pass through the active features; returns how far from optimal they were, summed up.
    fn pass(&mut self, rng: &mut Rng) -> f64 {
        let (mut total, mut worst) = (0.0, 0f64);
        let mut active = std::mem::take(&mut self.active);
        active.pass(rng, |feature, _| {
            let violation = self.visit(feature);
            total += violation.unwrap_or(0.0);
            worst = worst.max(violation.unwrap_or(0.0));
            violation.is_some()
        });
        self.active = active;
        self.worst = worst;
        total
    }

    /// Improves one weight; returns how far from optimal it was, or nothing where it may be left out.
    fn visit(&mut self, feature: usize) -> Option<f64> {
        let (w, loss, c) = (self.w[feature], self.problem.loss, self.problem.c);
        let row = self.features.row(feature);
        let slope = -c * row.dot_wide(kernels(), &self.slopes);
        // The least slope of slope·d + |w + d| to either side.
        let violation = match w {
            0.0 if slope.abs() < 1.0 - self.worst / self.samples.len() as f64 => return None,
            0.0 => (slope.abs() - 1.0).max(0.0),
            w => (slope + w.signum()).abs(),
        };
        if violation == 0.0 {
            return Some(violation);
        }
        self.values.clear();
        row.each(|i, x| self.values.push((i, x.into())));
        let bend = |&(i, x): &(usize, f64)| curve(loss, self.slopes[i]) * x * x;
        let curvature = (c * self.values.iter().map(bend).sum::<f64>()).max(1e-12);
        let d = if slope + 1.0 < curvature * w {
            -(slope + 1.0) / curvature
        } else if slope - 1.0 > curvature * w {
            -(slope - 1.0) / curvature
        } else {
            -w
        };
        self.search(feature, d, slope);
        Some(violation)
    }

    /// Goes `d`, or as much of it as the objective falls enough on.
    fn search(&mut self, feature: usize, mut d: f64, slope: f64) {
        let (w, loss) = (self.w[feature], self.problem.loss);
        let grown = |d: f64| (w + d).abs() - w.abs();
        let promised = grown(d) + slope * d;
        let mut enough = SUFFICIENT * promised;
        for _ in 0..HALVINGS {
            // The loss is nowhere more curved than this: most steps need no look at it.
            let most = grown(d) + slope * d + 0.5 * self.curvatures[feature] * d * d;
            if most <= enough || grown(d) + self.rise(d, loss) <= enough {
                for &(i, x) in &self.values {
                    self.margins[i] += d * x;
                    self.slopes[i] = loss.slope(self.margins[i]).0;
                }
                self.w[feature] += d;
                return;
            }
            (d, enough) = (0.5 * d, 0.5 * enough);
        }
    }

    /// What the losses rise by when the weight grows by `d`.
    fn rise(&self, d: f64, loss: Loss) -> f64 {
        let rise = |&(i, x): &(usize, f64)| {
            let margin = self.margins[i];
            loss.cost(margin + d * x) - loss.cost(margin)
        };
        self.problem.c * self.values.iter().map(rise).sum::<f64>()
    }

    /// Computes the margins anew; returns the objective and the duality gap.
    fn settle(&mut self) -> (f64, f64) {
        let Problem { loss, c, .. } = *self.problem;
        let (w, b) = self.wide();
        let all = scores(self.samples, &w, b).into_iter().enumerate();
        self.margins = all.map(|(i, score)| self.samples.sign(i) * score).collect();
        let costs: f64 = self.margins.iter().map(|&z| loss.cost(z)).sum();
        let primal = self.w.iter().map(|w| w.abs()).sum::<f64>() + c * costs;
        self.slopes = self.margins.iter().map(|&z| loss.slope(z).0).collect();
        self.slopes.resize(self.features.width(), 0.0);
        let slope = |feature| c * self.features.row(feature).dot_wide(kernels(), &self.slopes);
        let slopes = (0..self.w.len()).into_par_iter().with_min_len(64).map(slope);
        let t = 1.0 / slopes.map(f64::abs).reduce(|| 1.0, f64::max);
        let dual = c * self.slopes.iter().map(|s| conjugate(loss, t * s)).sum::<f64>();
        (primal, (primal - dual).max(0.0))
    }
}

/// The loss's curvature where it has this slope.
fn curve(loss: Loss, slope: f64) -> f64 {
    match loss {
        Loss::Logistic => slope * (1.0 - slope),
        _ if slope > 0.0 => 2.0,
        _ => 0.0,
    }
}

/// The least that loss(z) + a·z can be.
fn conjugate(loss: Loss, a: f64) -> f64 {
    // p ln p, which is 0 at 0.
    let entropy = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
    match loss {
        Loss::Hinge => a,
        Loss::SquaredHinge => a - 0.25 * a * a,
        Loss::Logistic => entropy(a) + entropy(1.0 - a),
    }
}

/// (features, samples) of yᵢ xᵢⱼ, zeros left out, and behind them a row of yᵢ for the bias.
fn transpose(samples: &Samples, intercept: bool) -> Result<Matrix> {
    let (n, columns) = (samples.len(), samples.matrix.columns());
    let mut features = Matrix::new(n, Layout::Packed);
    let mut some = vec![0f32; BLOCK * n];
    for first in (0..columns).step_by(BLOCK) {
        let count = BLOCK.min(columns - first);
        some.fill(0.0);
        for i in 0..n {
            let y = samples.sign(i) as f32;
            let part = samples.row(i).part(first, count);
            part.each(|column, x| some[column * n + i] = y * x);
        }
        some.chunks(n).take(count).try_for_each(|feature| features.push(feature))?;
    }
    if intercept {
        let signs: Vec<f32> = (0..n).map(|i| samples.sign(i) as f32).collect();
        features.push(&signs)?;
    }
    Ok(features)
}

/// Features that are transposed together.
const BLOCK: usize = 4 * WORD;
