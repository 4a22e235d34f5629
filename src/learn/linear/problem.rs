//! What is to be minimised, and what comes of it.

use super::Samples;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// What a sample costs whose margin is z = y · (w·x + b).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// max(0, 1 − z): the classic support vector machine.
    Hinge,
    /// max(0, 1 − z)².
    SquaredHinge,
    /// ln(1 + e^−z): logistic regression.
    Logistic,
}

impl Loss {
    /// The cost at margin `z`.
    pub fn cost(self, z: f64) -> f64 {
        match self {
            Self::Hinge => (1.0 - z).max(0.0),
            Self::SquaredHinge => (1.0 - z).max(0.0).powi(2),
            Self::Logistic if z > 0.0 => (-z).exp().ln_1p(),
            Self::Logistic => z.exp().ln_1p() - z,
        }
    }

    /// Minus the slope of the cost, which is never negative, and the curvature.
    pub(super) fn slope(self, z: f64) -> (f64, f64) {
        match self {
            Self::Hinge => (f64::from(u8::from(z < 1.0)), 0.0),
            Self::SquaredHinge if z < 1.0 => (2.0 * (1.0 - z), 2.0),
            Self::SquaredHinge => (0.0, 0.0),
            Self::Logistic => {
                let p = 1.0 / (1.0 + z.exp());
                (p, p * (1.0 - p))
            }
        }
    }
}

/// What large weights cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Penalty {
    /// ½(‖w‖² + b²).
    L2,
    /// ‖w‖₁ + |b|: most weights become zero.
    L1,
}

/// How a problem is solved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Solver {
    /// What is expected to be fastest.
    Auto,
    /// Coordinate descent in the dual.
    Dual,
    /// Descent in the weights themselves.
    Primal,
}

/// A problem, all but its samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// What errors cost.
    pub loss: Loss,
    /// What weights cost.
    pub penalty: Penalty,
    /// How many times more the errors count.
    pub c: f64,
    /// Whether there is a bias.
    pub intercept: bool,
    /// How it is solved.
    pub solver: Solver,
    /// Largest duality gap as a part of the objective.
    pub tolerance: f64,
    /// Passes through the samples, at most (of Newton's method: steps).
    pub max_iterations: usize,
    /// Seed of the order in which samples are visited.
    pub seed: u64,
}

impl Default for Problem {
    fn default() -> Self {
        Self {
            loss: Loss::SquaredHinge,
            penalty: Penalty::L2,
            c: 1.0,
            intercept: true,
            solver: Solver::Auto,
            tolerance: 1e-6,
            max_iterations: 1000,
            seed: 0,
        }
    }
}

/// Weights and bias: the score of x is w·x + b, and positive for the class `true`.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// A weight for each feature.
    pub weights: Vec<f64>,
    /// The bias.
    pub bias: f64,
}

/// A solution, and how good it is.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The solution.
    pub linear: Linear,
    /// What was minimised, at the solution.
    pub objective: f64,
    /// How far below it the optimum may be, at most.
    pub gap: f64,
    /// Passes through the samples, or Newton's steps.
    pub iterations: usize,
    /// Whether the gap is as small as was asked for.
    pub converged: bool,
    /// How it was solved.
    pub solver: Solver,
    /// The dual solution: for each sample how much it weighs.
    pub alphas: Vec<f64>,
}

impl Fit {
    /// One line: how it was solved, and how well.
    pub fn summary(&self) -> String {
        let solver = match self.solver {
            Solver::Primal => "primal",
            _ => "dual",
        };
        let relative = self.gap / self.objective.abs().max(f64::MIN_POSITIVE);
        let end = if self.converged { "converged" } else { "did NOT converge" };
        format!(
            "{solver}, {} iterations, objective {:.6e}, gap {relative:.1e} of it: {end}",
            self.iterations, self.objective
        )
    }
}

impl Problem {
    /// Fails when the numbers make no sense, or nothing solves such a problem.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Invalid(what));
        if !(self.c.is_finite() && self.c > 0.0) {
            return wrong(format!("C is {}: it must be a number above 0", self.c));
        }
        if self.tolerance.is_nan() || self.tolerance <= 0.0 {
            return wrong(format!("the tolerance is {}: it must be above 0", self.tolerance));
        }
        match (self.loss, self.penalty, self.solver) {
            (Loss::Hinge, Penalty::L1, _) => {
                wrong("the L1 penalty needs a smooth loss: squared hinge or logistic".into())
            }
            (Loss::Hinge, _, Solver::Primal) => wrong(
                "the hinge has corners: it is solved in the dual; or take the squared hinge".into(),
            ),
            (Loss::Logistic, _, Solver::Dual) | (_, Penalty::L1, Solver::Dual) => wrong(
                "only hinge and squared hinge with the L2 penalty are solved in the dual".into(),
            ),
            _ => Ok(()),
        }
    }

    /// The solver that [`Solver::Auto`] stands for.
    ///
    /// The dual's coordinates hinder one another the more, the larger C·‖x‖² is; Newton's method does not
    /// mind, but each of its steps takes tens of passes. Where they are equal was measured
    /// (docs/performance.md).
    pub(super) fn solver(&self, samples: &Samples) -> Solver {
        match (self.solver, self.loss, self.penalty) {
            (Solver::Auto, Loss::Logistic, _) | (Solver::Auto, _, Penalty::L1) => Solver::Primal,
            (Solver::Auto, Loss::Hinge, _) => Solver::Dual,
            (Solver::Auto, Loss::SquaredHinge, _) => {
                let few = Samples { rows: &samples.rows[..samples.len().min(1000)], ..*samples };
                let norms = super::passes::norms(&few);
                let large = self.c * norms.iter().sum::<f64>() / few.len() as f64 > PRIMAL_ABOVE;
                if large { Solver::Primal } else { Solver::Dual }
            }
            (solver, ..) => solver,
        }
    }
}

/// C·‖x‖² above which the squared hinge is solved in the primal.
const PRIMAL_ABOVE: f64 = 10.0;
