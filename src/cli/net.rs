//! `likenet net`

use super::compute::ComputeArgs;
use super::photos::parse_input;
use super::{Outcome, print, print_json};
use likenet::Result;
use likenet::layer::Phase;
use likenet::net::{
    Algorithm, Description, Graph, Keep, NetState, Plan, Summary, architecture, dot,
};
use likenet::shape::Shape;
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Prints a table of layers: shapes, parameters, multiply-adds, bytes, and how each is computed
    Show(Show),
}

#[derive(clap::Args)]
pub struct Show {
    /// Network description, or a built-in one: alexnet, caffenet, googlenet, squeezenet10,
    /// squeezenet11, vgg16
    #[arg(value_name = "PROTOTXT")]
    net: PathBuf,
    /// Print a drawing for Graphviz instead: likenet net show --dot … | dot -Tsvg
    #[arg(long)]
    dot: bool,
    /// Print JSON instead
    #[arg(long, conflicts_with = "dot")]
    json: bool,
    /// Show the network of the training phase
    #[arg(long)]
    train: bool,
    /// Pictures in a batch, instead of what the description says
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Shape of an input that the description leaves open, as in data=1,3,227,227
    #[arg(long, value_name = "NAME=SHAPE", value_parser = parse_input)]
    input: Vec<(String, Shape)>,
    #[command(flatten)]
    compute: ComputeArgs,
}

pub fn run(command: &Command) -> Result<Outcome> {
    let Command::Show(args) = command;
    let phase = if args.train { Phase::Train } else { Phase::Test };
    let state = NetState { phase, ..NetState::default() };
    let description = match args.net.to_str().and_then(architecture) {
        Some(known) => Description::parse(known.name, known.prototxt, &state)?,
        None => Description::read(&args.net, &state)?,
    };
    let graph = Graph::new(&description, &args.input, args.batch)?;
    if args.dot {
        print(dot(&graph).trim_end())?;
        return Ok(Outcome::Done);
    }
    let keep = if args.train { Keep::All } else { Keep::Outputs };
    let backend = args.compute.backend()?;
    let conv = args.compute.conv.map(Algorithm::from);
    let plan = Plan::new(&graph, &keep, backend.as_ref(), conv, graph.batch());
    let summary = Summary::new(&graph, &plan);
    match args.json {
        true => print_json(&summary)?,
        false => print(&summary.to_string())?,
    }
    Ok(Outcome::Done)
}
