//! Linear classifiers: a weight for each feature, and a bias.
//!
//! Flows in: [`Samples`] and a [`Problem`]. Flows out: a [`Fit`], which says how good it is.
//!
//! ```text
//! minimise  R(w, b) + C · Σ loss(yᵢ (w·xᵢ + b)),   y = ±1,   R = ½(‖w‖² + b²) or ‖w‖₁ + |b|
//! ```
//!
//! That is LIBLINEAR's problem (Fan et al. 2008), bias and all: it is one more feature, which is always 1.
//! How it is solved follows from what it is:
//!
//! | losses | penalty | file | method |
//! | --- | --- | --- | --- |
//! | hinge | L2 | `dual` | coordinate descent in the dual |
//! | squared hinge | L2 | `dual`, or `newton` where C is large | |
//! | logistic | L2 | `newton` | Newton's method, conjugate gradients |
//! | squared hinge, logistic | L1 | `lasso` | coordinate descent by features |
//!
//! Each of them ends by the duality gap, which no solution can lie: the optimum is between the objective
//! and the objective less the gap.

mod dual;
mod face;
mod newton;
mod passes;
mod problem;
mod samples;

pub use passes::predict;
pub use problem::{Fit, Linear, Loss, Penalty, Problem, Solver};
pub use samples::Samples;

use crate::error::{Error, Result};

/// Solves a problem; from an earlier fit's solution of the same samples, where there is one.
///
/// A fit that did not converge is a fit all the same, and says so.
///
/// # Errors
/// When there are no samples, they are of one class, or the problem makes no sense.
pub fn fit(samples: &Samples, problem: &Problem, from: Option<&Fit>) -> Result<Fit> {
    problem.check()?;
    samples.check()?;
    let warm = from.filter(|fit| fit.alphas.len() == samples.len());
    match (problem.penalty, problem.solver(samples)?) {
        (Penalty::L2, Solver::Dual) => dual::solve(samples, problem, warm),
        (Penalty::L2, _) => newton::solve(samples, problem, warm),
        (Penalty::L1, _) => Err(Error::Invalid("L1".into())),
    }
}
