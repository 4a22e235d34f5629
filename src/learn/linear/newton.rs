//! Smooth losses by Newton's method in the weights (Keerthi and DeCoste 2005; Lin, Weng and Keerthi 2008).
//!
//! ```text
//! g = w − C Σ slope(zᵢ) yᵢ xᵢ,   H = 1 + C Σ curvature(zᵢ) xᵢ xᵢᵀ,   H·d = −g,   w ← w + t·d
//! ```
//!
//! The direction comes from conjugate gradients: a product with H is one pass through the samples that
//! curve, in `f32`; gradients, scores and the line search are `f64`. The duality gap needs nothing more: with
//! αᵢ = C·slope(zᵢ), for which each loss and its conjugate add up exactly, it is ½‖g‖².

use super::conjugate::Conjugate;
use super::gram::Gram;
use super::passes::{dot, kernels, linear, scores, sum, summed};
use super::{Fit, Problem, Samples, Solver};

/// Products with H in one step, at most.
const PRODUCTS: usize = 200;

/// Products in one step after which a better metric is made for it and all later ones.
const PATIENCE: usize = 30;

/// Halvings of a step, at most.
const HALVINGS: usize = 40;

struct Newton<'a> {
    samples: &'a Samples<'a>,
    problem: &'a Problem,
    /// Weights, and the bias behind them.
    w: Vec<f64>,
    scores: Vec<f64>,
    gram: &'a mut Option<Gram>,
}

/// Solves a problem; `gram` is kept for later problems of the same samples.
pub(super) fn solve(
    samples: &Samples,
    problem: &Problem,
    from: Option<&Fit>,
    gram: &mut Option<Gram>,
) -> Fit {
    let width = samples.matrix.width();
    let mut w = vec![0.0; width + 1];
    let mut all = vec![0.0; samples.len()];
    if let Some(fit) = from {
        w[..fit.linear.weights.len()].copy_from_slice(&fit.linear.weights);
        w[width] = if problem.intercept { fit.linear.bias } else { 0.0 };
        all = scores(samples, &w[..width], w[width]);
    }
    let mut newton = Newton { samples, problem, w, scores: all, gram };
    let (mut iterations, mut best) = (0, (f64::INFINITY, 0));
    let (objective, gap, alphas) = loop {
        let (objective, alphas) = (newton.objective(), newton.alphas());
        let gradient = newton.gradient(&alphas);
        let gap = 0.5 * dot(&gradient, &gradient);
        if gap < best.0 {
            best = (gap, iterations);
        }
        let idle = iterations - best.1 >= STEPS;
        let done =
            gap <= problem.tolerance * objective || iterations == problem.max_iterations || idle;
        if done || !newton.step(&gradient, objective) {
            break (objective, gap, alphas);
        }
        iterations += 1;
    };
    let b = newton.w.pop().unwrap_or(0.0);
    Fit {
        converged: gap <= problem.tolerance * objective,
        linear: linear(samples, newton.w, b),
        objective,
        gap,
        iterations,
        solver: Solver::Primal,
        alphas,
    }
}

impl Newton<'_> {
    fn objective(&self) -> f64 {
        let cost = |(i, s): (usize, &f64)| self.problem.loss.cost(self.samples.sign(i) * s);
        let costs: f64 = self.scores.iter().enumerate().map(cost).sum();
        0.5 * dot(&self.w, &self.w) + self.problem.c * costs
    }

    /// C · slope of each sample.
    fn alphas(&self) -> Vec<f64> {
        let slope = |(i, s): (usize, &f64)| self.problem.loss.slope(self.samples.sign(i) * s).0;
        self.scores.iter().enumerate().map(|i| self.problem.c * slope(i)).collect()
    }

    fn gradient(&self, alphas: &[f64]) -> Vec<f64> {
        let (mut sum, b) = sum(self.samples, |i| -alphas[i] * self.samples.sign(i));
        sum.push(if self.problem.intercept { b } else { 0.0 });
        sum.iter_mut().zip(&self.w).for_each(|(g, w)| *g += w);
        sum
    }

    /// H · v.
    fn product(&self, curvatures: &[f32], v: &[f64]) -> Vec<f64> {
        let narrow: Vec<f32> = v.iter().map(|&v| v as f32).collect();
        let (narrow, b) = narrow.split_at(v.len() - 1);
        let b = b[0];
        let (mut sums, last) = summed(self.samples, |i, row, sum| {
            if curvatures[i] == 0.0 {
                return 0.0;
            }
            let factor = curvatures[i] * (row.dot(kernels(), narrow) + b);
            row.add_to(kernels(), factor, sum);
            factor
        });
        sums.push(if self.problem.intercept { last } else { 0.0 });
        sums.iter().zip(v).map(|(&s, v)| f64::from(s) + v).collect()
    }

    /// Approximately −H⁻¹ g, as exactly as the step is worth.
    fn direction(&mut self, gradient: &[f64]) -> Vec<f64> {
        let curvature = |(i, s): (usize, &f64)| self.problem.loss.slope(self.samples.sign(i) * s).1;
        let all = self.scores.iter().enumerate();
        let curvatures: Vec<f32> = all.map(|i| (self.problem.c * curvature(i)) as f32).collect();
        let mut to_go = Conjugate::new(gradient.iter().map(|g| -g).collect(), FORCING);
        let first = if self.gram.is_none() { PATIENCE } else { PRODUCTS };
        let product = |newton: &Self, v: &[f64]| newton.product(&curvatures, v);
        if !to_go.approach(first, |v| product(self, v), |r| self.precondition(r)) {
            self.make_gram();
            to_go.approach(PRODUCTS - PATIENCE, |v| product(self, v), |r| self.precondition(r));
        }
        to_go.solution
    }

    /// M⁻¹ · r, or r where there is no M.
    fn precondition(&self, r: &[f64]) -> Vec<f64> {
        self.gram.as_ref().map_or_else(|| r.to_vec(), |gram| gram.solve(r))
    }

    /// Makes M, unless there is one or it is not worth its memory.
    fn make_gram(&mut self) {
        if self.gram.is_none() && Gram::fits(self.samples) {
            *self.gram = Gram::new(self.samples, 0.5 / self.problem.c);
        }
    }

    /// One step down, as long as it must be shortened; `false` where none goes down any more.
    fn step(&mut self, gradient: &[f64], objective: f64) -> bool {
        let d = self.direction(gradient);
        let (along, b) = d.split_at(d.len() - 1);
        let moves = scores(self.samples, along, b[0]);
        let slope = dot(gradient, &d);
        let (start, from) = (self.w.clone(), self.scores.clone());
        let mut t = 1.0;
        for _ in 0..HALVINGS {
            let walk = |from: &[f64], along: &[f64]| -> Vec<f64> {
                from.iter().zip(along).map(|(f, a)| f + t * a).collect()
            };
            (self.w, self.scores) = (walk(&start, &d), walk(&from, &moves));
            if self.objective() <= objective * (1.0 + ROUNDING) + 1e-4 * t * slope {
                return true;
            }
            t *= 0.5;
        }
        (self.w, self.scores) = (start, from);
        false
    }
}

/// What a sum of costs may be off by: near the optimum steps gain less than that, and go all the way.
const ROUNDING: f64 = 1e-14;

/// Steps without a smaller gap after which there is none to be had.
const STEPS: usize = 20;

/// How much of the gradient a step may leave.
const FORCING: f64 = 0.05;
