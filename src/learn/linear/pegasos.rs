//! The hinge by stochastic gradients (Shalev-Shwartz, Singer, Srebro and Cotter 2011), averaged.
//!
//! ```text
//! w ← (1 − 1/t) w + [y w·x < 1] y x / (λ t),   λ = 1 / (C n),   t = 1, 2, …
//! ```
//!
//! So λ t w is a plain sum of samples: a step is one product and, where the margin is short, one addition.
//! The result is the average of all w, the t-th with weight t (Lacoste-Julien, Schmidt and Bach 2012). It is
//! a sum of samples too, whose weights need only be counted: sample i, added at step s, is in the average of
//! T steps (T − s + 1) · 2 / (λ T (T + 1)) times. These weights, cut off at C, are a dual point, which gives
//! the duality gap.
//!
//! Epochs go through all samples in a new random order. Tens of them give a gap of a hundredth where C is
//! small; [`fit`](super::fit) gets there sooner, and further.

use super::passes::{dot, kernels, linear, scores, sum};
use super::{Fit, Loss, Penalty, Problem, Samples, Solver};
use crate::error::{Error, Result};
use crate::rng::Rng;

struct Pegasos<'a> {
    samples: &'a Samples<'a>,
    problem: &'a Problem,
    /// λ t w and λ t b.
    v: Vec<f32>,
    b: f64,
    /// Steps.
    t: usize,
    /// How often each sample was added, and the sum of the steps before.
    added: Vec<(f64, f64)>,
    /// Room for a row.
    scratch: Vec<f32>,
}

/// Solves a problem of the hinge and the L2 penalty, roughly; its iterations are epochs.
///
/// # Errors
/// When there are no samples, they are of one class, or the problem is another one.
pub fn pegasos(samples: &Samples, problem: &Problem) -> Result<Fit> {
    problem.check()?;
    samples.check()?;
    if (problem.loss, problem.penalty) != (Loss::Hinge, Penalty::L2) {
        return Err(Error::Invalid("Pegasos is for the hinge with the L2 penalty".into()));
    }
    let width = samples.matrix.width();
    let mut run = Pegasos {
        samples,
        problem,
        v: vec![0.0; width],
        b: 0.0,
        t: 0,
        added: vec![(0.0, 0.0); samples.len()],
        scratch: vec![0.0; width],
    };
    let mut rng = Rng::new(problem.seed);
    let mut order: Vec<u32> = (0..samples.len() as u32).collect();
    let mut fit = run.average();
    // The gap takes three passes: it is asked for after 1, 2, 4, … epochs.
    while !fit.converged && fit.iterations < problem.max_iterations {
        let until = (2 * fit.iterations).clamp(1, problem.max_iterations);
        for _ in fit.iterations..until {
            rng.shuffle(&mut order);
            order.iter().for_each(|&i| run.step(i as usize));
        }
        fit = run.average();
    }
    Ok(fit)
}

impl Pegasos<'_> {
    fn step(&mut self, i: usize) {
        let (before, y) = (self.t as f64, self.samples.sign(i));
        let one = before / (self.problem.c * self.samples.len() as f64);
        let row = self.samples.row(i);
        let mut short = false;
        row.dot_and_add(kernels(), &mut self.v, &mut self.scratch, |score| {
            short = before == 0.0 || y * (f64::from(score) + self.b) < one;
            if short { y as f32 } else { 0.0 }
        });
        if short {
            self.added[i].0 += 1.0;
            self.added[i].1 += before;
            self.b += if self.problem.intercept { y } else { 0.0 };
        }
        self.t += 1;
    }

    /// The average so far.
    fn average(&self) -> Fit {
        let Problem { loss, c, .. } = *self.problem;
        let (n, t) = (self.samples.len() as f64, self.t as f64);
        let scale = 2.0 * c * n / (t * (t + 1.0)).max(1.0);
        let mut alphas: Vec<f64> =
            self.added.iter().map(|(a, before)| scale * (t * a - before)).collect();
        let combined = |alphas: &[f64]| {
            let (w, b) = sum(self.samples, |i| alphas[i] * self.samples.sign(i));
            (w, if self.problem.intercept { b } else { 0.0 })
        };
        let (w, b) = combined(&alphas);
        let all = scores(self.samples, &w, b).into_iter().enumerate();
        let costs: f64 = all.map(|(i, score)| loss.cost(self.samples.sign(i) * score)).sum();
        let objective = 0.5 * (dot(&w, &w) + b * b) + c * costs;
        alphas.iter_mut().for_each(|a| *a = a.min(c));
        let (inside, b_inside) = combined(&alphas);
        let dual = alphas.iter().sum::<f64>() - 0.5 * (dot(&inside, &inside) + b_inside.powi(2));
        let gap = objective - dual;
        Fit {
            converged: gap <= self.problem.tolerance * objective,
            linear: linear(self.samples, w, b),
            objective,
            gap,
            iterations: self.t / self.samples.len(),
            solver: Solver::Primal,
            alphas: vec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fit;
    use super::super::tests::Data;
    use super::*;

    #[test]
    fn one_step_by_hand() {
        // λ = 1 / 2: the first step adds a sample, as y x / λ; the second sees a margin of 2 and adds nothing.
        let data = Data::new(&[vec![1.0], vec![-1.0]], &[true, false]);
        let problem = Problem {
            loss: Loss::Hinge,
            intercept: false,
            max_iterations: 1,
            tolerance: 1e-9,
            ..Problem::default()
        };
        let fit = pegasos(&data.samples(), &problem).unwrap();
        // w is 2 after the first step and 1 after the second; their average, the second's twice: 4 / 3.
        assert!((fit.linear.weights[0] - 4.0 / 3.0).abs() < 1e-12, "{}", fit.linear.weights[0]);
        assert!((fit.objective - 8.0 / 9.0).abs() < 1e-12);
        // The weight of the one sample, 4 / 3, is cut off at C = 1, which is worth 1 − 1 / 2.
        assert!((fit.gap - (8.0 / 9.0 - 0.5)).abs() < 1e-12 && !fit.converged);
    }

    #[test]
    fn the_optimum_is_near_and_within_the_gap() {
        let data = Data::random(200, 30);
        let exact = Problem { loss: Loss::Hinge, c: 0.05, tolerance: 1e-8, ..Problem::default() };
        let best = fit(&data.samples(), &exact).unwrap();
        let rough = pegasos(&data.samples(), &Problem { tolerance: 0.02, ..exact }).unwrap();
        assert!(rough.converged, "{}", rough.summary());
        assert!(rough.objective >= best.objective - best.gap);
        assert!(rough.objective - rough.gap <= best.objective);
        assert!(rough.objective <= 1.02 * best.objective);
    }

    #[test]
    fn other_problems_are_refused() {
        let data = Data::random(20, 3);
        let error = pegasos(&data.samples(), &Problem::default()).unwrap_err().to_string();
        assert!(error.contains("hinge with the L2 penalty"), "{error}");
    }
}
