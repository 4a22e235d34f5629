//! `likenet forest`

use super::super::Outcome;
use super::training::{self, TrainArgs};
use super::validation::{self, CvArgs, Point};
use super::{InputArgs, predict};
use clap::{Args, Subcommand, ValueEnum};
use likenet::Result;
use likenet::learn::forest::{Settings, Splits};
use likenet::learn::validate::Method;

#[derive(Subcommand)]
pub enum Command {
    /// Grows a random forest on features and labels
    Train(Train),
    /// Cross-validates a random forest
    Cv(Cv),
    /// Scores features with a trained model
    Predict(predict::Args),
    /// Says what a model is, how it was trained and what it looks at most
    Inspect(predict::ModelArgs),
}

/// How a forest is grown.
#[derive(Args)]
struct ForestArgs {
    /// Trees
    #[arg(long, value_name = "N", default_value_t = 500)]
    trees: usize,
    /// Features that are drawn for each node [default: the square root of all]
    #[arg(long, value_name = "N")]
    features_of_node: Option<usize>,
    /// Splits from the root to a leaf, at most [default: no limit]
    #[arg(long, value_name = "N")]
    max_depth: Option<usize>,
    /// Rows of a leaf, at least
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_leaf: usize,
    /// Grow each tree on all rows and not on as many drawn with replacement
    #[arg(long)]
    no_bootstrap: bool,
    /// Borders between values that a split may choose from
    #[arg(long, value_enum, default_value_t = SplitsArg::Bins)]
    splits: SplitsArg,
    /// Seed: the same one grows the same forest
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SplitsArg {
    /// 255 of each column, all where it has no more
    Bins,
    /// All
    Exact,
}

impl ForestArgs {
    fn method(&self) -> Method {
        Method::Forest(Settings {
            trees: self.trees,
            features: self.features_of_node,
            max_depth: self.max_depth,
            min_leaf: self.min_leaf,
            bootstrap: !self.no_bootstrap,
            splits: match self.splits {
                SplitsArg::Bins => Splits::Bins,
                SplitsArg::Exact => Splits::Exact,
            },
            seed: self.seed,
        })
    }
}

#[derive(Args)]
pub struct Train {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    forest: ForestArgs,
    #[command(flatten)]
    train: TrainArgs,
}

#[derive(Args)]
pub struct Cv {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    forest: ForestArgs,
    #[command(flatten)]
    cv: CvArgs,
}

pub fn run(command: &Command) -> Result<Outcome> {
    match command {
        Command::Train(args) => training::run(&args.input, &args.forest.method(), &args.train),
        Command::Cv(args) => {
            let name = format!("{} trees", args.forest.trees);
            let point = Point { name, x: None, method: args.forest.method() };
            validation::run(&args.input, &[point], &args.cv)
        }
        Command::Predict(args) => predict::run(args),
        Command::Inspect(args) => predict::inspect(args),
    }
}
