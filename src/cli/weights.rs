//! `likenet weights`

use super::photos::Files;
use super::{Outcome, print, print_json};
use clap::ValueEnum;
use likenet::{Error, Result};
use std::path::{Path, PathBuf};
use weights_tools::Dtype;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Shows what a .caffemodel, .binaryproto, .solverstate or .safetensors holds
    Inspect {
        /// The file
        file: PathBuf,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Converts weights; the ending of TO decides: .safetensors or .caffemodel
    Convert {
        /// Weights to read
        from: PathBuf,
        /// File to write
        to: PathBuf,
        /// Type of the written numbers (a .caffemodel is always f32)
        #[arg(long, value_enum, default_value_t = DtypeArg::F32)]
        dtype: DtypeArg,
    },
    /// Compares two weights files, tensor by tensor; exit status 1 if they differ
    Diff {
        /// One file
        a: PathBuf,
        /// The other
        b: PathBuf,
        /// Differences up to this share of a tensor's largest value do not count
        #[arg(long, value_name = "X", default_value_t = 0.0)]
        tolerance: f64,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Fetches a known network of Caffe's zoo: weights, description, class names
    Fetch(Fetch),
}

#[derive(clap::Args)]
pub struct Fetch {
    /// Its name
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// List the known networks
    #[arg(long)]
    list: bool,
    /// Folder to put it into
    #[arg(long, value_name = "DIR", default_value = "models")]
    dir: PathBuf,
    /// Fetch from a mirror with this address instead of the public ones
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The weights must have this SHA-1 or SHA-256 [default: the published sum]
    #[arg(long, value_name = "HEX")]
    sum: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DtypeArg {
    F32,
    F16,
    Bf16,
}

pub fn run(command: &Command) -> Result<Outcome> {
    match command {
        Command::Inspect { file, json } => {
            let found = weights_tools::inspect(file)?;
            match json {
                true => print_json(&found)?,
                false => print(found.to_string().trim_end())?,
            }
            Ok(Outcome::Done)
        }
        Command::Convert { from, to, dtype } => convert(from, to, *dtype),
        Command::Diff { a, b, tolerance, json } => {
            let diff = weights_tools::diff(a, b)?;
            match json {
                true => print_json(&diff)?,
                false => print(diff.to_string().trim_end())?,
            }
            let same = diff.within(*tolerance);
            Ok(if same { Outcome::Done } else { Outcome::No })
        }
        Command::Fetch(args) => fetch(args),
    }
}

fn convert(from: &Path, to: &Path, dtype: DtypeArg) -> Result<Outcome> {
    let dtype = match dtype {
        DtypeArg::F32 => Dtype::F32,
        DtypeArg::F16 => Dtype::F16,
        DtypeArg::Bf16 => Dtype::Bf16,
    };
    weights_tools::convert(from, to, dtype)?;
    let size = |p: &Path| std::fs::metadata(p).map(|m| m.len()).map_err(Error::io(p));
    print(&format!(
        "{} ({} bytes) -> {} ({} bytes)",
        from.display(),
        size(from)?,
        to.display(),
        size(to)?
    ))?;
    Ok(Outcome::Done)
}

#[cfg(feature = "fetch")]
fn fetch(args: &Fetch) -> Result<Outcome> {
    use weights_tools::fetch::{Sum, known};
    if args.list {
        let line = |m: &weights_tools::fetch::KnownModel| {
            let sum = m.sha1.unwrap_or("no published sum");
            format!("{:14} {}\n{:14} SHA-1 {sum} ({})\n", m.name, m.about, "", m.sha1_from)
        };
        print(known().iter().map(line).collect::<String>().trim_end())?;
        return Ok(Outcome::Done);
    }
    let name = args.name.as_deref().unwrap_or_default();
    let sum = match &args.sum {
        None => None,
        Some(hex) => Some(Sum::parse(hex).ok_or_else(|| {
            Error::Invalid(format!("--sum {hex}: needs the 40 or 64 digits of a SHA-1 or SHA-256"))
        })?),
    };
    let report = download(name, &args.dir, args.base_url.as_deref(), sum)?;
    let weights = &report.weights;
    let verdict = match &weights.verified {
        Some(_) => "checked against its published sum".to_string(),
        None => format!("no sum is published; its SHA-256 is {}", weights.sha256),
    };
    print(&format!("{} ({} bytes), {verdict}", weights.path.display(), weights.bytes))?;
    print(&format!("{}\n{}", report.prototxt.path.display(), report.labels.path.display()))?;
    Ok(Outcome::Done)
}

#[cfg(feature = "fetch")]
fn download(
    name: &str,
    dir: &Path,
    base_url: Option<&str>,
    sum: Option<weights_tools::fetch::Sum>,
) -> Result<weights_tools::fetch::FetchReport> {
    use indicatif::{ProgressBar, ProgressStyle};
    let model = known_model(name)?;
    let bar = ProgressBar::no_length();
    let template = "{msg} {wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let report = weights_tools::fetch::fetch(model, dir, base_url, sum, &mut |p| {
        bar.set_message(p.file.to_string());
        p.total.iter().for_each(|&t| bar.set_length(t));
        bar.set_position(p.done);
        p.note.iter().for_each(|note| bar.suspend(|| eprintln!("{}: {note}", p.file)));
    })?;
    bar.finish_and_clear();
    Ok(report)
}

#[cfg(feature = "fetch")]
fn known_model(name: &str) -> Result<&'static weights_tools::fetch::KnownModel> {
    let known = weights_tools::fetch::known();
    // `squeezenet11`, as the built-in architecture is called, is `squeezenet1.1`.
    let plain = |name: &str| name.replace('.', "");
    known.iter().find(|m| plain(m.name) == plain(name)).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|m| m.name).collect();
        Error::Invalid(format!("no known network '{name}'; known are: {}", names.join(", ")))
    })
}

/// The files of a known model, fetched unless they are there.
#[cfg(feature = "fetch")]
pub fn ensure(name: &str, dir: &Path, base_url: Option<&str>) -> Result<Files> {
    let model = known_model(name)?;
    let report = download(name, dir, base_url, None).map_err(|e| {
        Error::Invalid(format!(
            "{e}\nWithout a network, give files that you have: --net deploy.prototxt --weights \
             net.caffemodel"
        ))
    })?;
    Ok(Files {
        mean: Some(model.mean_bgr),
        labels: Some(report.labels.path),
        ..Files::new(report.prototxt.path, report.weights.path)
    })
}

#[cfg(not(feature = "fetch"))]
const NO_FETCH: &str =
    "this likenet was built without the feature 'fetch': give --net and --weights";

#[cfg(not(feature = "fetch"))]
fn fetch(_: &Fetch) -> Result<Outcome> {
    Err(Error::Invalid(NO_FETCH.into()))
}

/// Without the feature there is nothing to fetch with.
#[cfg(not(feature = "fetch"))]
pub fn ensure(_: &str, _: &Path, _: Option<&str>) -> Result<Files> {
    Err(Error::Invalid(NO_FETCH.into()))
}
