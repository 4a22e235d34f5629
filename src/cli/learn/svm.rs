//! `likenet svm`

use super::super::Outcome;
use super::training::{self, TrainArgs};
use super::validation::{self, CvArgs, Point};
use super::{InputArgs, predict};
use clap::{Args, Subcommand, ValueEnum};
use likenet::learn::linear::{Loss, Penalty, Problem, Sgd, Solver, Updater};
use likenet::learn::validate::Method;
use likenet::{Error, Result};

#[derive(Subcommand)]
pub enum Command {
    /// Learns weights from features and labels
    Train(Train),
    /// Cross-validates one classifier for each C (or step and regularisation)
    Cv(Cv),
    /// Scores features with a trained model
    Predict(predict::Args),
    /// Says what a model is, how it was trained and what it looks at most
    Inspect(predict::ModelArgs),
}

/// What is minimised, and how.
#[derive(Args)]
struct LinearArgs {
    /// What errors cost
    #[arg(long, value_enum, default_value_t = LossArg::SquaredHinge, default_value_if("solver", "pegasos", "hinge"))]
    loss: LossArg,
    /// What weights cost
    #[arg(long, value_enum, default_value_t = PenaltyArg::L2)]
    penalty: PenaltyArg,
    /// How it is minimised
    #[arg(long, value_enum, default_value_t = SolverArg::Auto)]
    solver: SolverArg,
    /// Without a bias; `mllib` has none unless --intercept
    #[arg(long)]
    no_intercept: bool,
    /// Largest duality gap, as a part of the objective
    #[arg(long, value_name = "PART", default_value_t = 1e-6)]
    tolerance: f64,
    /// Passes through the samples, at most; iterations of `mllib` [default: 1000; pegasos: 20; mllib: 100]
    #[arg(long, value_name = "N")]
    max_iterations: Option<usize>,
    /// Seed of the order in which samples are visited
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// mllib: with a bias, which starts at 1
    #[arg(long)]
    intercept: bool,
    /// mllib: part of the samples in each iteration
    #[arg(long, value_name = "PART", default_value_t = 1.0)]
    fraction: f64,
    /// mllib: change of the weights, as a part of them, that ends the descent
    #[arg(long, value_name = "PART", default_value_t = 0.001)]
    convergence: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LossArg {
    /// max(0, 1 − z)
    Hinge,
    /// max(0, 1 − z)²
    SquaredHinge,
    /// Logistic regression
    Logistic,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PenaltyArg {
    /// Half the sum of squares
    L2,
    /// Sum of magnitudes: most weights become zero
    L1,
    /// None (mllib only)
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SolverArg {
    /// Whatever is expected to be fastest
    Auto,
    /// Coordinate descent in the dual
    Dual,
    /// Newton's method in the weights; with L1, coordinate descent by features
    Primal,
    /// Averaged stochastic descent (hinge, L2), for more samples than passes
    Pegasos,
    /// Gradient descent as Spark's SVMWithSGD does it
    Mllib,
}

impl LinearArgs {
    fn problem(&self, c: f64) -> Result<Problem> {
        let problem = Problem {
            loss: match self.loss {
                LossArg::Hinge => Loss::Hinge,
                LossArg::SquaredHinge => Loss::SquaredHinge,
                LossArg::Logistic => Loss::Logistic,
            },
            penalty: match self.penalty {
                PenaltyArg::L2 => Penalty::L2,
                PenaltyArg::L1 => Penalty::L1,
                PenaltyArg::None => {
                    return Err(Error::Invalid("--penalty none is for --solver mllib".into()));
                }
            },
            c,
            intercept: !self.no_intercept,
            solver: match self.solver {
                SolverArg::Dual => Solver::Dual,
                SolverArg::Primal => Solver::Primal,
                _ => Solver::Auto,
            },
            tolerance: self.tolerance,
            max_iterations: self.max_iterations.unwrap_or(match self.solver {
                SolverArg::Pegasos => 20,
                _ => 1000,
            }),
            seed: self.seed,
        };
        problem.check()?;
        Ok(problem)
    }

    fn method(&self, c: f64) -> Result<Method> {
        Ok(match self.solver {
            SolverArg::Pegasos => Method::Pegasos(self.problem(c)?),
            _ => Method::Linear(self.problem(c)?),
        })
    }

    fn sgd(&self, step: f64, regularisation: f64) -> Sgd {
        Sgd {
            step,
            iterations: self.max_iterations.unwrap_or(100),
            regularisation,
            updater: match self.penalty {
                PenaltyArg::L2 => Updater::L2,
                PenaltyArg::L1 => Updater::L1,
                PenaltyArg::None => Updater::None,
            },
            fraction: self.fraction,
            intercept: self.intercept,
            tolerance: self.convergence,
            seed: self.seed,
        }
    }
}

#[derive(Args)]
pub struct Train {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    linear: LinearArgs,
    /// How many times more errors count than weights
    #[arg(long = "c", value_name = "C", default_value_t = 1e-4)]
    c: f64,
    /// mllib: length of the first step
    #[arg(long, value_name = "LENGTH", default_value_t = 1.0)]
    step: f64,
    /// mllib: what weights cost
    #[arg(long, value_name = "FACTOR", default_value_t = 0.01)]
    regularisation: f64,
    #[command(flatten)]
    train: TrainArgs,
}

#[derive(Args)]
pub struct Cv {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    linear: LinearArgs,
    /// Values of C
    #[arg(
        long = "c",
        value_name = "C,…",
        value_delimiter = ',',
        default_value = "1e-6,1e-5,1e-4,1e-3,1e-2,1e-1,1,1e1,1e2,1e3,1e4,1e5"
    )]
    c: Vec<f64>,
    /// mllib: lengths of the first step
    #[arg(long, value_name = "LENGTH,…", value_delimiter = ',', default_value = "0.01,0.1,1,10")]
    step: Vec<f64>,
    /// mllib: what weights cost
    #[arg(
        long,
        value_name = "FACTOR,…",
        value_delimiter = ',',
        default_value = "1e-6,1e-4,1e-2,1"
    )]
    regularisation: Vec<f64>,
    #[command(flatten)]
    cv: CvArgs,
}

pub fn run(command: &Command) -> Result<Outcome> {
    match command {
        Command::Train(args) => {
            let linear = &args.linear;
            let method = match linear.solver {
                SolverArg::Mllib => Method::Sgd(linear.sgd(args.step, args.regularisation)),
                _ => linear.method(args.c)?,
            };
            training::run(&args.input, &method, &args.train)
        }
        Command::Cv(args) => validation::run(&args.input, &points(args)?, &args.cv),
        Command::Predict(args) => predict::run(args),
        Command::Inspect(args) => predict::inspect(args),
    }
}

/// What is validated: smallest C first, so that each fit starts from the last one.
fn points(args: &Cv) -> Result<Vec<Point>> {
    let linear = &args.linear;
    if linear.solver != SolverArg::Mllib {
        let mut all = args.c.clone();
        all.sort_by(f64::total_cmp);
        all.dedup();
        let point = |c: f64| {
            Ok(Point { name: format!("C = {c:e}"), x: Some(c), method: linear.method(c)? })
        };
        return all.into_iter().map(point).collect();
    }
    let mut points = vec![];
    for &step in &args.step {
        for &factor in &args.regularisation {
            let name = format!("step {step}, regularisation {factor:e}");
            points.push(Point { name, x: None, method: Method::Sgd(linear.sgd(step, factor)) });
        }
    }
    Ok(points)
}
