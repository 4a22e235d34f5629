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
//! | hinge | L2 | `dual`, `face` | coordinate descent in the dual, conjugate gradients among the free samples |
//! | squared hinge, C·‖x‖² small | L2 | `dual` | coordinate descent in the dual |
//! | squared hinge, C·‖x‖² large | L2 | `newton`, `gram`, `cholesky` | Newton's method, conjugate gradients |
//! | logistic | L2 | the same | the same |
//! | squared hinge, logistic | L1 | `lasso` | coordinate descent by features |
//!
//! `sgd` is what MLlib does instead, and `pegasos` what else goes down a gradient.
//!
//! Each of them ends by the duality gap, which no solution can lie: the optimum is between the objective
//! and the objective less the gap.

mod active;
mod cholesky;
mod conjugate;
mod dual;
mod face;
mod gram;
mod lasso;
mod newton;
mod passes;
mod pegasos;
mod problem;
mod samples;
mod sgd;
#[cfg(test)]
mod tests;

pub use passes::{check_kernels, predict};
pub use pegasos::pegasos;
pub use problem::{Fit, Linear, Loss, Penalty, Problem, Solver};
pub use samples::Samples;
pub use sgd::{Sgd, SgdFit, Updater, sgd};

use crate::error::Result;

/// Problems of the same samples, one after the other: each starts from the solution of the last one.
///
/// Made for sweeps along C, smallest first.
pub struct Path<'a> {
    samples: Samples<'a>,
    last: Option<Fit>,
    gram: Option<gram::Gram>,
}

impl<'a> Path<'a> {
    /// Fails when there are no samples, or they are of one class.
    pub fn new(samples: Samples<'a>) -> Result<Self> {
        samples.check()?;
        Ok(Self { samples, last: None, gram: None })
    }

    /// Solves a problem. A fit that did not converge is a fit all the same, and says so.
    ///
    /// Fails when the problem makes no sense.
    pub fn fit(&mut self, problem: &Problem) -> Result<&Fit> {
        problem.check()?;
        let (samples, from) = (&self.samples, self.last.as_ref());
        let fit = match (problem.penalty, problem.solver(samples)) {
            (Penalty::L1, _) => lasso::solve(samples, problem, from)?,
            (Penalty::L2, Solver::Dual) => dual::solve(samples, problem, from),
            (Penalty::L2, _) => newton::solve(samples, problem, from, &mut self.gram),
        };
        Ok(self.last.insert(fit))
    }
}

/// Solves one problem.
///
/// # Errors
/// As [`Path::new`] and [`Path::fit`].
pub fn fit(samples: &Samples, problem: &Problem) -> Result<Fit> {
    let mut path = Path::new(*samples)?;
    path.fit(problem)?;
    path.last.ok_or_else(|| crate::error::Error::Invalid("nothing was solved".into()))
}
