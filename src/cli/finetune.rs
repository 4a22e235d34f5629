//! `likenet finetune`

use super::train::{RunArgs, train};
use super::{Outcome, print};
use likenet::net::{Head, architecture, architectures};
use likenet::solver::Settings;
use likenet::training::{MeanOf, Recipe};
use likenet::{Error, Result};
use std::path::{Path, PathBuf};

/// Teaches a trained network to tell classes of photos apart: its last layer begins anew with ten times the
/// rate of the others. The recipe is written to a folder as Caffe's own files, and run; `likenet train
/// --solver DIR/solver.prototxt` runs it again, changed or not.
#[derive(clap::Args)]
pub struct Args {
    /// A folder of photos for each class, or one that holds a folder for each
    #[arg(long, value_name = "DIR", required = true)]
    photos: Vec<PathBuf>,
    /// Weights of the trained network: .caffemodel or .safetensors
    #[arg(long, value_name = "FILE")]
    base: PathBuf,
    /// Its architecture: alexnet, caffenet, googlenet, squeezenet10, squeezenet11 or vgg16
    #[arg(long, value_name = "NAME", default_value = "caffenet", conflicts_with = "net")]
    model: String,
    /// Its description, if it is none of these (Caffe's deploy.prototxt)
    #[arg(long, value_name = "PROTOTXT")]
    net: Option<PathBuf>,
    /// The layer that begins anew [default: the last one with weights]
    #[arg(long, value_name = "LAYER")]
    layers: Option<String>,
    /// What it is called from then on [default: its name and _likes]
    #[arg(long, value_name = "NAME")]
    head: Option<String>,
    /// Factor of its learning rate
    #[arg(long, value_name = "X", default_value_t = 10.0)]
    head_rate: f32,
    /// Layers before this one keep their weights [default: all learn]
    #[arg(long, value_name = "LAYER")]
    learn_from: Option<String>,
    /// Folder for the recipe, the snapshots, the log and the curves
    #[arg(long, value_name = "DIR", default_value = "finetune")]
    out: PathBuf,
    /// Of so many photos of a class one is kept for tests
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(2..))]
    test_share: u16,
    /// Photos of an iteration
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Photos are resized to squares of this side before the random crop
    #[arg(long, value_name = "N", default_value_t = 256)]
    side: u16,
    /// Mean to subtract: B,G,R values or a .binaryproto
    #[arg(long, value_name = "MEAN", default_value = "104,117,123")]
    mean: String,
    /// The first learning rate
    #[arg(long, value_name = "X", default_value_t = 0.001)]
    rate: f32,
    /// What it is multiplied by …
    #[arg(long, value_name = "X", default_value_t = 0.1)]
    gamma: f32,
    /// … every so many iterations
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    step: u32,
    /// Iterations in all
    #[arg(long, value_name = "N", default_value_t = 35_000)]
    iterations: u32,
    /// Momentum
    #[arg(long, value_name = "X", default_value_t = 0.9)]
    momentum: f32,
    /// Weight decay
    #[arg(long, value_name = "X", default_value_t = 0.0005)]
    decay: f32,
    /// Iterations between two tests
    #[arg(long, value_name = "N", default_value_t = 500)]
    test_interval: u32,
    /// Iterations between two snapshots
    #[arg(long, value_name = "N", default_value_t = 1000)]
    snapshot_interval: u32,
    #[command(flatten)]
    run: RunArgs,
}

pub fn run(args: &Args) -> Result<Outcome> {
    let solver = args.out.join("solver.prototxt");
    args.run.check_free(&args.out.join("likes").display().to_string())?;
    let mut head = None;
    // What is gone on with is as it was written: photos may have come or gone since.
    if !(args.run.resume && solver.is_file()) {
        let written = args.recipe()?.write(&args.out)?;
        for (name, train, test) in &written.classes {
            print(&format!("{name}: {train} photos to learn from, {test} to test with"))?;
        }
        head = Some(written.head);
    }
    let (settings, base) = (Settings::read(&solver)?, args.out.clone());
    let outcome =
        train(settings, base, std::slice::from_ref(&args.base), head.as_deref(), &args.run)?;
    print(&format!(
        "use it: likenet classify --net {} --labels {} --weights {}",
        args.out.join("deploy.prototxt").display(),
        args.out.join("classes.txt").display(),
        args.out.join("likes_iter_*.caffemodel").display(),
    ))?;
    Ok(outcome)
}

impl Args {
    fn recipe(&self) -> Result<Recipe> {
        let net = match &self.net {
            Some(path) => (path.display().to_string(), weights_tools::read_text(path)?),
            None => {
                let known = architecture(&self.model).ok_or_else(|| {
                    let names: Vec<&str> = architectures().iter().map(|a| a.name).collect();
                    let names = names.join(", ");
                    Error::Invalid(format!("no built-in network '{}': {names}", self.model))
                })?;
                (known.name.to_string(), known.prototxt.to_string())
            }
        };
        Ok(Recipe {
            photos: self.photos.clone(),
            net,
            head: Head {
                layer: self.layers.clone(),
                name: self.head.clone(),
                suffix: "_likes".into(),
                classes: 2,
                rate: self.head_rate,
                learn_from: self.learn_from.clone(),
            },
            test_share: self.test_share.into(),
            batch: self.batch.into(),
            side: self.side.into(),
            mean: parse_mean(&self.mean)?,
            base_lr: self.rate,
            gamma: self.gamma,
            step: self.step as usize,
            max_iter: self.iterations as usize,
            momentum: self.momentum,
            weight_decay: self.decay,
            test_interval: self.test_interval as usize,
            snapshot: self.snapshot_interval as usize,
            seed: self.run.seed.unwrap_or(1),
        })
    }
}

fn parse_mean(text: &str) -> Result<MeanOf> {
    let values: Option<Vec<f32>> = text.split(',').map(|v| v.trim().parse().ok()).collect();
    match values {
        Some(values) if matches!(values.len(), 1 | 3) => Ok(MeanOf::Values(values)),
        _ => {
            let path = Path::new(text);
            let whole = path.canonicalize().map_err(Error::io(path))?;
            Ok(MeanOf::File(whole))
        }
    }
}
