//! `likenet finetune`

use super::train::{RunArgs, train};
use super::{Outcome, print};
use likenet::net::{Head, Trained, architecture, architectures, trained};
use likenet::solver::{Settings, snapshot};
use likenet::training::{MeanOf, Photos, Recipe};
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
    /// Weights of the trained network: .caffemodel or .safetensors [default: compact, a small network that is
    /// built in]
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,
    /// Its architecture: alexnet, caffenet, googlenet, squeezenet10, squeezenet11 or vgg16
    /// [default: caffenet]
    #[arg(long, value_name = "NAME", requires = "base", conflicts_with = "net")]
    model: Option<String>,
    /// Its description, if it is none of these (Caffe's deploy.prototxt)
    #[arg(long, value_name = "PROTOTXT", requires = "base")]
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
    /// Photos are resized to squares of this side before the random crop [default: 256, or what the built-in
    /// network wants]
    #[arg(long, value_name = "N")]
    side: Option<u16>,
    /// Mean to subtract: B,G,R values or a .binaryproto [default: 104,117,123, or that of the built-in network]
    #[arg(long, value_name = "MEAN")]
    mean: Option<String>,
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
    let (solver, prefix) = (args.out.join("solver.prototxt"), args.out.join("likes"));
    let prefix = prefix.display().to_string();
    let built_in = trained("compact").filter(|_| args.base.is_none());
    let recipe = args.recipe(built_in.as_ref())?;
    args.run.check_free(&prefix)?;
    let mut head = None;
    // What is gone on with is as it was written: photos may have come or gone since.
    if !(args.run.resume && solver.is_file()) {
        let written = recipe.write(&args.out)?;
        for (name, train, test) in &written.classes {
            print(&format!("{name}: {train} photos to learn from, {test} to test with"))?;
        }
        head = Some(written.head);
    }
    let weights = match (&args.base, &built_in) {
        (None, Some(built_in)) => built_in.unpack(&args.out)?.weights,
        (base, _) => base.clone().unwrap_or_default(),
    };
    let (settings, base) = (Settings::read(&solver)?, args.out.clone());
    let outcome = train(settings, base, &[weights], head.as_deref(), &args.run)?;
    if let Some(state) = snapshot::latest(&prefix) {
        print(&use_of(&recipe, &args.out, &state.with_extension("caffemodel")))?;
    }
    Ok(outcome)
}

/// How the trained network says what is on a photo.
fn use_of(recipe: &Recipe, folder: &Path, weights: &Path) -> String {
    let mean = match &recipe.mean {
        MeanOf::File(path) => path.display().to_string(),
        MeanOf::Values(values) => values.iter().map(f32::to_string).collect::<Vec<_>>().join(","),
    };
    format!(
        "use it: likenet classify PHOTO --net {} --weights {} --labels {} --mean {mean} --input-scale {} \
         --image-dims {}",
        folder.join("deploy.prototxt").display(),
        weights.display(),
        folder.join("classes.txt").display(),
        recipe.scale,
        recipe.side
    )
}

impl Args {
    fn recipe(&self, built_in: Option<&Trained>) -> Result<Recipe> {
        let net = match &self.net {
            Some(path) => (path.display().to_string(), weights_tools::read_text(path)?),
            None => {
                let asked = self.model.as_deref().unwrap_or("caffenet");
                let name = built_in.map_or(asked, |built_in| built_in.name);
                let known = architecture(name).ok_or_else(|| {
                    let names: Vec<&str> = architectures().iter().map(|a| a.name).collect();
                    let names = names.join(", ");
                    Error::Invalid(format!("no built-in network '{name}': {names}"))
                })?;
                (known.name.to_string(), known.prototxt.to_string())
            }
        };
        Ok(Recipe {
            photos: Photos::Folders(self.photos.clone(), self.test_share.into()),
            net,
            head: Head {
                layer: self.layers.clone(),
                name: self.head.clone(),
                suffix: "_likes".into(),
                classes: 2,
                rate: self.head_rate,
                learn_from: self.learn_from.clone(),
            },
            batch: self.batch.into(),
            side: self.side.map_or(built_in.map_or(256, |b| b.side), usize::from),
            mean: match (&self.mean, built_in) {
                (Some(text), _) => parse_mean(text)?,
                (None, Some(built_in)) => MeanOf::Values(built_in.mean.to_vec()),
                (None, None) => MeanOf::Values(vec![104.0, 117.0, 123.0]),
            },
            scale: built_in.map_or(1.0, |built_in| built_in.scale),
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
