//! Commands and their arguments. Only this folder prints, and the progress of `report`.

mod bench;
mod classify;
mod compute;
#[cfg(feature = "plots")]
mod curves;
mod faces;
mod features;
mod finetune;
mod learn;
mod net;
mod photos;
mod train;
mod weights;

use clap::{Parser, Subcommand};
use likenet::Result;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Runs Caffe's networks on photos: one binary, no other software.
#[derive(Parser)]
#[command(name = "likenet", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Says what is on photos
    Classify(classify::Args),
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
        Command::Classify(args) => classify::run(&args),
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
    Ok(weights_tools::write_atomically(path, |out| {
        out.write_all(bytes.as_ref()).map_err(weights_tools::Error::io(path, "write"))
    })?)
}

/// Prints a value as indented JSON.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).map_err(|e| likenet::Error::Invalid(e.to_string()))?;
    print(&text)
}
