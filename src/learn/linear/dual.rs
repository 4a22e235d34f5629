//! Hinge and squared hinge by coordinate descent in the dual (Hsieh et al. 2008).
//!
//! ```text
//! maximise  Σ αᵢ − ½‖Σ αᵢ yᵢ xᵢ‖² − ½ D Σ αᵢ²,   0 ≤ αᵢ ≤ U
//! hinge: U = C, D = 0;   squared hinge: U = ∞, D = 1 / 2C;   w = Σ αᵢ yᵢ xᵢ
//! ```
//!
//! One α after the other is set to its best value, samples in random order; those that stay at a bound are
//! left out for a while. Where the same samples are at a bound pass after pass, [`face`](super::face) balances
//! the others.
//!
//! Rows are `f32`, and so are their products. What keeps them exact is that they are products with the
//! *change* of w since the scores were last computed in `f64`: the nearer the end, the smaller the change and
//! its error.

use super::active::Active;
use super::face::{Face, HALVINGS};
use super::passes::{dot, kernels, linear, norms, scores, sum};
use super::{Fit, Loss, Problem, Samples, Solver};
use crate::rng::Rng;

/// The row of the next sample but so many is asked for.
const AHEAD: usize = 1;

/// A pass was stable when no more than this part of the free samples came to a bound, left one, or is at one
/// and may still leave it.
const STABLE: f64 = 0.05;

/// Stable passes after which the free samples are balanced together.
const PATIENCE: usize = 100;

/// Passes before scores and gap are computed anew, at most: then rounding cannot hold up the end.
const PASSES: usize = 400;

struct Dual<'a> {
    samples: &'a Samples<'a>,
    problem: &'a Problem,
    /// D of the objective.
    diagonal: f64,
    /// U: the largest α.
    most: f64,
    coordinates: Vec<Coordinate>,
    w: Vec<f64>,
    b: f64,
    /// The change of w and b since the scores were computed.
    change: Vec<f32>,
    change_of_b: f64,
    /// Room for a row.
    scratch: Vec<f32>,
    /// Samples whose α may still change.
    active: Active,
    /// Slopes beyond which a sample at a bound is left out.
    bounds: [f64; 2],
    /// Samples that came to a bound or left one in this pass.
    changes: usize,
}

/// What belongs to one sample, side by side: samples are visited in random order.
#[derive(Clone, Copy)]
struct Coordinate {
    alpha: f64,
    /// The alpha that w, b and the scores are made of.
    settled: f64,
    /// ‖x‖² + D, the curvature of the objective along alpha.
    curvature: f64,
    /// w·x + b.
    score: f64,
    /// The label as ±1.
    y: f64,
}

pub(super) fn solve(samples: &Samples, problem: &Problem, from: Option<&Fit>) -> Fit {
    let mut dual = Dual::new(samples, problem, from);
    let mut rng = Rng::new(problem.seed);
    let mut iterations = 0;
    let (mut objective, mut gap) = dual.settle();
    // The violation of the optimality conditions that ends a round.
    let mut violation = match problem.loss {
        Loss::Hinge => 300.0 * problem.tolerance,
        _ => 0.1,
    };
    while gap > problem.tolerance * objective && iterations < problem.max_iterations {
        dual.restart();
        let mut stable = 0;
        for _ in 0..PASSES.min(problem.max_iterations - iterations) {
            let seen = dual.pass(&mut rng);
            iterations += 1;
            if seen <= violation {
                violation = 0.3 * seen;
                break;
            }
            stable = if dual.stable() { stable + 1 } else { 0 };
            if stable == PATIENCE {
                break;
            }
        }
        (objective, gap) = dual.settle();
        if stable == PATIENCE && gap > problem.tolerance * objective {
            dual.balance();
            (objective, gap) = dual.settle();
        }
    }
    Fit {
        converged: gap <= problem.tolerance * objective,
        linear: linear(samples, dual.w, dual.b),
        objective,
        gap,
        iterations,
        solver: Solver::Dual,
        alphas: dual.coordinates.iter().map(|c| c.alpha).collect(),
    }
}

impl<'a> Dual<'a> {
    fn new(samples: &'a Samples<'a>, problem: &'a Problem, from: Option<&Fit>) -> Self {
        let n = samples.len();
        let (diagonal, most) = match problem.loss {
            Loss::Hinge => (0.0, problem.c),
            _ => (0.5 / problem.c, f64::INFINITY),
        };
        let one = f64::from(u8::from(problem.intercept));
        let width = samples.matrix.width();
        let coordinate = |(i, norm): (usize, f64)| Coordinate {
            alpha: 0.0,
            settled: 0.0,
            curvature: norm + one + diagonal,
            score: 0.0,
            y: samples.sign(i),
        };
        let mut dual = Self {
            samples,
            problem,
            diagonal,
            most,
            coordinates: norms(samples).into_iter().enumerate().map(coordinate).collect(),
            w: vec![0.0; width],
            b: 0.0,
            change: vec![0.0; width],
            change_of_b: 0.0,
            scratch: vec![0.0; width],
            active: Active::new(n),
            bounds: [f64::INFINITY, f64::NEG_INFINITY],
            changes: 0,
        };
        if let Some(fit) = from {
            dual.start_from(fit);
        }
        dual
    }

    /// Takes the multiple of another problem's alphas that is best here.
    ///
    /// Of t·α the dual objective is t Σα − ½ t² (‖w‖² + D Σα²).
    fn start_from(&mut self, fit: &Fit) {
        let total: f64 = fit.alphas.iter().sum();
        let squares: f64 = fit.alphas.iter().map(|a| a * a).sum();
        let norm = dot(&fit.linear.weights, &fit.linear.weights) + fit.linear.bias.powi(2);
        let largest = fit.alphas.iter().fold(0.0, |m: f64, &a| m.max(a));
        let best = total / (norm + self.diagonal * squares).max(f64::MIN_POSITIVE);
        let t = best.min(self.most / largest.max(f64::MIN_POSITIVE));
        if t.is_finite() {
            for (coordinate, a) in self.coordinates.iter_mut().zip(&fit.alphas) {
                coordinate.alpha = (t * a).clamp(0.0, self.most);
            }
        }
    }

    /// Every sample takes part again.
    fn restart(&mut self) {
        self.active.restart();
        self.bounds = [f64::INFINITY, f64::NEG_INFINITY];
    }

    /// One pass through the active samples; returns how far from optimal they were.
    fn pass(&mut self, rng: &mut Rng) -> f64 {
        self.changes = 0;
        let (mut most, mut least) = (f64::NEG_INFINITY, f64::INFINITY);
        let mut active = std::mem::take(&mut self.active);
        active.pass(rng, |i, next| {
            if let Some(&next) = next.get(AHEAD) {
                self.samples.row(next as usize).prefetch(kernels());
            }
            let slope = self.visit(i);
            if let Some(slope) = slope {
                (most, least) = (most.max(slope), least.min(slope));
            }
            slope.is_some()
        });
        self.active = active;
        self.bounds = [
            if most > 0.0 { most } else { f64::INFINITY },
            if least < 0.0 { least } else { f64::NEG_INFINITY },
        ];
        if self.active.numbers().is_empty() { 0.0 } else { most - least }
    }

    /// Sets one α to its best value; returns the slope that it had along the allowed direction, or nothing
    /// where the sample may be left out.
    #[inline]
    fn visit(&mut self, i: usize) -> Option<f64> {
        let Self { diagonal, most, change_of_b, bounds, .. } = *self;
        let coordinate = &mut self.coordinates[i];
        let Coordinate { alpha, curvature, score, y, .. } = *coordinate;
        let (mut projected, mut moved) = (None, 0.0);
        let row = self.samples.row(i);
        row.dot_and_add(kernels(), &mut self.change, &mut self.scratch, |change| {
            let slope = y * (score + f64::from(change) + change_of_b) - 1.0 + diagonal * alpha;
            let allowed = match alpha {
                0.0 if slope > bounds[0] => return 0.0,
                0.0 => slope.min(0.0),
                _ if alpha == most && slope < bounds[1] => return 0.0,
                _ if alpha == most => slope.max(0.0),
                _ => slope,
            };
            projected = Some(allowed);
            if allowed.abs() > 1e-14 {
                coordinate.alpha = (alpha - slope / curvature).clamp(0.0, most);
                moved = (coordinate.alpha - alpha) * y;
            }
            moved as f32
        });
        if self.problem.intercept {
            self.change_of_b += moved;
        }
        let bound = |alpha: f64| alpha == 0.0 || alpha == most;
        self.changes += usize::from(bound(self.coordinates[i].alpha) != bound(alpha));
        projected
    }

    /// Whether the same samples stay at a bound.
    fn stable(&self) -> bool {
        let active = self.active.numbers();
        let free = active.iter().filter(|&&i| self.free(i)).count() as f64;
        let bound = (active.len() as f64 - free) + self.changes as f64;
        bound <= STABLE * free
    }

    /// Whether sample `i` is at no bound.
    fn free(&self, i: u32) -> bool {
        let alpha = self.coordinates[i as usize].alpha;
        alpha > 0.0 && alpha < self.most
    }

    /// Goes to the optimum on the face of the box where the free alphas are, or as far as the box lets it.
    fn balance(&mut self) {
        let free: Vec<u32> = (0..self.coordinates.len() as u32).filter(|&i| self.free(i)).collect();
        let free_ones = || free.iter().map(|&i| self.coordinates[i as usize]);
        let slopes: Vec<f64> =
            free_ones().map(|c| c.y * c.score - 1.0 + self.diagonal * c.alpha).collect();
        let face = Face::new(self.samples, &free, self.diagonal, self.problem.intercept);
        let direction = face.direction(&slopes);
        let mut t = 1.0;
        for _ in 0..HALVINGS {
            let end = |(c, d): (Coordinate, &f64)| (c.alpha + t * d).clamp(0.0, self.most);
            let ends: Vec<f64> = free_ones().zip(&direction).map(end).collect();
            let moves: Vec<f64> = free_ones().zip(&ends).map(|(c, end)| end - c.alpha).collect();
            if face.gain(&slopes, &moves) > 0.0 {
                let each = free.iter().zip(ends);
                each.for_each(|(&i, end)| self.coordinates[i as usize].alpha = end);
                return;
            }
            t *= 0.5;
        }
    }

    /// Computes w, b and the scores in `f64`; returns the objective and the duality gap.
    fn settle(&mut self) -> (f64, f64) {
        let all = &self.coordinates;
        if all.iter().any(|c| c.alpha != c.settled) {
            let step = |i: usize| (all[i].alpha - all[i].settled) * all[i].y;
            let (change, change_of_b) = sum(self.samples, step);
            self.w.iter_mut().zip(change).for_each(|(w, c)| *w += c);
            if self.problem.intercept {
                self.b += change_of_b;
            }
            let scores = scores(self.samples, &self.w, self.b);
            for (coordinate, score) in self.coordinates.iter_mut().zip(scores) {
                (coordinate.score, coordinate.settled) = (score, coordinate.alpha);
            }
            self.change.fill(0.0);
            self.change_of_b = 0.0;
        }
        let half_norm = 0.5 * (dot(&self.w, &self.w) + self.b * self.b);
        let costs = self.coordinates.iter().map(|c| self.problem.loss.cost(c.y * c.score));
        let primal = half_norm + self.problem.c * costs.sum::<f64>();
        let gain = |c: &Coordinate| c.alpha - 0.5 * self.diagonal * c.alpha * c.alpha;
        let dual = self.coordinates.iter().map(gain).sum::<f64>() - half_norm;
        (primal, (primal - dual).max(0.0))
    }
}
