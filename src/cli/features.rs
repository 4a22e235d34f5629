//! `likenet features`

use super::photos::{NetArgs, progress_bar};
use super::{Outcome, print};
use likenet::Result;
use likenet::features::{Job, Report, extract};
use likenet::feed::Views;
use likenet::net::Keep;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(clap::Args)]
pub struct Args {
    /// Photos, folders of photos, or text files that list photos
    #[arg(required = true, value_name = "PHOTO")]
    photos: Vec<PathBuf>,
    #[command(flatten)]
    net: NetArgs,
    /// Blobs to write, as in fc6,fc7
    #[arg(long, value_name = "BLOB,…", required = true, value_delimiter = ',')]
    layer: Vec<String>,
    /// Also write each photo mirrored, as the row after it
    #[arg(long)]
    flip: bool,
    /// File to write: .safetensors, .npy or .csv. An interrupted run leaves FILE.part, from which
    /// the same command goes on
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Each stage's share of the work, and how long the network waited for photos.
fn stages(report: &Report, seconds: f64) -> String {
    let stages = [
        ("decoding", report.decoding),
        ("resizing and cropping", report.preparing),
        ("network", report.network),
        ("writing", report.writing),
    ];
    let total: f64 = stages.iter().map(|(_, s)| s).sum();
    let share = |(name, s): &(&str, f64)| format!("{name} {:.0} %", 100.0 * s / total.max(1e-9));
    let shares: Vec<String> = stages.iter().map(share).collect();
    let waiting = 100.0 * report.waiting.max(0.0) / seconds.max(1e-9);
    let shares = shares.join(", ");
    format!("\nof the work: {shares}; the network waited for photos {waiting:.0} % of the time")
}

/// What to extract from which photos, and where to.
struct Wanted<'a> {
    photos: &'a [PathBuf],
    net: &'a NetArgs,
    layers: &'a [String],
    flip: bool,
    out: &'a Path,
}

impl Wanted<'_> {
    /// Extracts with a progress bar.
    fn extract(&self) -> Result<Report> {
        let views = if self.flip { Views::CentreAndMirrored } else { Views::Centre };
        let ready = self.net.ready(self.photos, Keep::Named(self.layers.to_vec()), views)?;
        let mut net = ready.net;
        let job = Job {
            photos: &ready.photos,
            input: &ready.input,
            layers: self.layers,
            preparation: &ready.preparation,
            batch: ready.batch,
            threads: self.net.compute.threads,
            out: self.out,
            settings: ready.settings,
        };
        let bar = progress_bar(ready.photos.len());
        let mut begun = false;
        let report = extract(&mut net, &job, |done, skipped| {
            if !begun {
                begun = true;
                bar.set_position(done as u64);
                bar.reset_eta();
            }
            match skipped {
                Some(s) => bar.suspend(|| eprintln!("skipped {}", s.reason)),
                None => bar.set_position(done as u64),
            }
        })?;
        bar.finish_and_clear();
        Ok(report)
    }
}

/// Whether all photos could be read.
fn outcome(report: &Report) -> Outcome {
    if report.skipped.is_empty() { Outcome::Done } else { Outcome::No }
}

/// Writes one blob's activations for some photos into `out`, for commands that go on with them.
pub fn extracted(net: &NetArgs, photos: &[PathBuf], layer: &str, out: &Path) -> Result<Outcome> {
    let layers = [layer.to_string()];
    let report = Wanted { photos, net, layers: &layers, flip: false, out }.extract()?;
    Ok(outcome(&report))
}

pub fn run(args: &Args) -> Result<Outcome> {
    let started = Instant::now();
    let Args { photos, net, layer: layers, flip, out } = args;
    let report = Wanted { photos, net, layers, flip: *flip, out }.extract()?;
    let seconds = started.elapsed().as_secs_f64();
    let fresh = report.photos + report.skipped.len() - report.resumed;
    let mut text = format!(
        "{} photos, {} rows of {} ({:.1} photos/s",
        report.photos,
        report.rows,
        args.layer.join(", "),
        fresh as f64 / seconds.max(1e-9)
    );
    if report.resumed > 0 {
        text += &format!(", {} resumed", report.resumed);
    }
    text += ")";
    text += &stages(&report, seconds);
    for file in &report.files {
        text += &format!("\nwrote {}", file.display());
    }
    if !report.skipped.is_empty() {
        text += &format!("\nskipped {} photos that could not be read", report.skipped.len());
    }
    print(&text)?;
    Ok(outcome(&report))
}
