//! `likenet features`

use super::photos::{NetArgs, progress_bar};
use super::{Outcome, print};
use likenet::Result;
use likenet::features::{Job, Report, extract};
use likenet::feed::Views;
use likenet::net::Keep;
use std::path::PathBuf;
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

pub fn run(args: &Args) -> Result<Outcome> {
    let views = if args.flip { Views::CentreAndMirrored } else { Views::Centre };
    let ready = args.net.ready(&args.photos, Keep::Named(args.layer.clone()), views)?;
    let mut net = ready.net;
    let job = Job {
        photos: &ready.photos,
        input: &ready.input,
        layers: &args.layer,
        preparation: &ready.preparation,
        batch: ready.batch,
        threads: args.net.compute.threads,
        out: &args.out,
        settings: ready.settings,
    };
    let bar = progress_bar(ready.photos.len());
    let started = Instant::now();
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
    Ok(if report.skipped.is_empty() { Outcome::Done } else { Outcome::No })
}
