//! Commands and their arguments. Only this folder prints, and the progress of `report`.

mod bench;
mod classify;
mod compute;
#[cfg(feature = "plots")]
mod curves;
#[cfg(feature = "inside")]
mod explain;
mod faces;
mod features;
mod finetune;
mod learn;
mod net;
mod photos;
mod score;
#[cfg(feature = "web")]
mod serve;
#[cfg(feature = "study")]
mod simulate;
#[cfg(feature = "study")]
mod study;
mod train;
mod weights;

use clap::{Parser, Subcommand};
use likenet::Result;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Learns from photos which ones are liked, with a network engine of its own that runs Caffe's networks: one binary,
/// no other software.
#[derive(Parser)]
#[command(name = "likenet", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The whole study on a simulated photo network, offline: from its HTTP interface to a report with a ranked gallery
    #[cfg(feature = "study")]
    Demo(study::DemoArgs),
    /// The whole study on your photos, stage by stage; goes on where it was stopped
    #[cfg(feature = "study")]
    Run(study::RunArgs),
    /// Writes a likenet.toml with every setting and its reason
    #[cfg(feature = "study")]
    Init(study::InitArgs),
    /// Shows how far each stage of a study is
    #[cfg(feature = "study")]
    Status(study::StudyArgs),
    /// One stage of a study, by its name
    #[cfg(feature = "study")]
    Stage(study::StageArgs),
    /// Learns to tell photos of people from memes and others
    #[cfg(feature = "study")]
    #[command(subcommand)]
    Filter(study::FilterCommand),
    /// Writes a table of a study as CSV, JSONL or Parquet
    #[cfg(feature = "study")]
    Export(study::ExportArgs),
    /// Puts what a study learned into one file, which judges photos anywhere
    #[cfg(feature = "study")]
    Pack(study::PackArgs),
    /// Deletes a person from a study: photos, files, everything made from them
    #[cfg(feature = "study")]
    Forget(study::ForgetArgs),
    /// Serves a simulated photo network on this machine
    #[cfg(feature = "study")]
    Simulate(simulate::Args),
    /// Says how likable photos are, best first
    Score(score::Args),
    /// Serves a page that scores photos, and its API
    #[cfg(feature = "web")]
    Serve(serve::Args),
    /// Says what is on photos
    Classify(classify::Args),
    /// Writes a page that shows a photo in every layer of a network, with all its numbers
    #[cfg(feature = "inside")]
    Explain(Box<explain::Args>),
    /// Writes the activations of any blob for many photos
    Features(features::Args),
    /// Teaches a trained network to tell classes of your photos apart
    Finetune(finetune::Args),
    /// Trains a network as a Caffe solver says
    Train(train::Args),
    /// Draws the curves of a training run: loss, accuracy, learning rate
    #[cfg(feature = "plots")]
    Curves(curves::Args),
    /// Learns linear classifiers from features: SVMs, logistic regression
    #[command(subcommand)]
    Svm(Box<learn::svm::Command>),
    /// Learns random forests from features
    #[command(subcommand)]
    Forest(Box<learn::forest::Command>),
    /// Compares classifiers on the same folds of features
    Compare(learn::compare::Args),
    /// Scores photos with a trained classifier
    Predict(learn::predict::PhotoArgs),
    /// Finds faces on photos, keeps photos of people, trains and judges detectors
    #[command(subcommand)]
    Faces(Box<faces::Command>),
    /// Looks at a network's description
    #[command(subcommand)]
    Net(net::Command),
    /// Looks into weights files, converts, compares and fetches them
    #[command(subcommand)]
    Weights(weights::Command),
    /// Times kernels, layers and networks on this machine
    #[command(subcommand)]
    Bench(bench::Command),
}

/// How a command that did not fail ended.
enum Outcome {
    /// It did what was asked.
    Done,
    /// It did, and the answer is no: files differ, photos were left out.
    No,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        #[cfg(feature = "study")]
        Command::Demo(args) => study::demo(&args),
        #[cfg(feature = "study")]
        Command::Run(args) => study::run(&args),
        #[cfg(feature = "study")]
        Command::Init(args) => study::init(&args),
        #[cfg(feature = "study")]
        Command::Status(args) => study::status(&args),
        #[cfg(feature = "study")]
        Command::Stage(args) => study::stage(&args),
        #[cfg(feature = "study")]
        Command::Filter(command) => study::filter(&command),
        #[cfg(feature = "study")]
        Command::Export(args) => study::export_table(&args),
        #[cfg(feature = "study")]
        Command::Pack(args) => study::pack(&args),
        #[cfg(feature = "study")]
        Command::Forget(args) => study::forget_user(&args),
        #[cfg(feature = "study")]
        Command::Simulate(args) => simulate::run(&args),
        Command::Score(args) => score::run(&args),
        #[cfg(feature = "web")]
        Command::Serve(args) => serve::run(&args),
        Command::Classify(args) => classify::run(&args),
        #[cfg(feature = "inside")]
        Command::Explain(args) => explain::run(*args),
        Command::Features(args) => features::run(&args),
        Command::Finetune(args) => finetune::run(&args),
        Command::Train(args) => train::run(&args),
        #[cfg(feature = "plots")]
        Command::Curves(args) => curves::run(&args),
        Command::Svm(command) => learn::svm::run(&command),
        Command::Forest(command) => learn::forest::run(&command),
        Command::Compare(args) => learn::compare::run(&args),
        Command::Predict(args) => learn::predict::run_photos(&args),
        Command::Faces(command) => faces::run(&command),
        Command::Net(command) => net::run(&command),
        Command::Weights(command) => weights::run(&command),
        Command::Bench(command) => bench::run(&command),
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::No) => ExitCode::from(1),
        Err(likenet::Error::Io { source, .. })
            if source.kind() == std::io::ErrorKind::BrokenPipe =>
        {
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("likenet: {e}");
            ExitCode::from(2)
        }
    }
}

/// Prints to standard output; a reader that has gone (`likenet … | head`) ends the program quietly.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n"));
    written.and_then(|()| out.flush()).map_err(likenet::Error::io("standard output".as_ref()))
}

/// Writes a file whole, or not at all.
fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    Ok(weights_tools::write_file(path, bytes)?)
}

/// Prints a value as indented JSON.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).map_err(|e| likenet::Error::Invalid(e.to_string()))?;
    print(&text)
}
