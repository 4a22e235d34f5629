//! Commands that learn from features: their common arguments.

pub mod compare;
pub mod forest;
pub mod predict;
pub mod svm;
mod training;
mod validation;

use super::compute::threads;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use likenet::learn::prepare::Scaling;
use likenet::learn::scale::Norm;
use likenet::learn::{Layout, Source, Table};
use likenet::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where features and labels come from.
#[derive(Args)]
pub struct DataArgs {
    /// Features: .safetensors, .npy, .csv, .parquet, LIBSVM's text (.libsvm, .svm, .txt), or a folder of
    /// parts as Spark writes them
    #[arg(value_name = "FEATURES")]
    features: PathBuf,
    /// Labels: a CSV with the columns file (or row) and label, or one label a line in the order of the rows
    /// [default: those in the features' file, or else the names of the photos' two folders]
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Column of the labels' CSV: rows of one group, such as one person, are never on both sides of a
    /// split [default: the photo, so that its mirrored copy stays with it]
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// The label that is positive; all others are negative [default: the larger or later one]
    #[arg(long, value_name = "LABEL")]
    positive: Option<String>,
    /// How features lie in memory [default: packed where most of them are zero]
    #[arg(long, value_enum)]
    layout: Option<LayoutArg>,
    /// Leave the features in their file, where there are more of them than memory: --layout mapped
    #[arg(long, conflicts_with = "layout")]
    mapped: bool,
    /// Threads; 0 means one for each core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = threads())]
    threads: usize,
}

/// How features lie in memory.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LayoutArg {
    /// Every value
    Dense,
    /// A bit for every value, and those that are not zero
    Packed,
    /// In the file (f32 in .safetensors or .npy)
    Mapped,
}

/// What is done with features before learning.
#[derive(Args)]
pub struct ScalingArgs {
    /// Divide each row by its size
    #[arg(long, value_enum)]
    normalise: Option<NormArg>,
    /// Bring each column to mean 0 and deviation 1 over the rows that are learnt from
    #[arg(long)]
    standardise: bool,
}

/// What is learnt from.
#[derive(Args)]
pub struct InputArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    scaling: ScalingArgs,
}

/// The size of a row.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NormArg {
    /// Sum of magnitudes
    L1,
    /// Root of the sum of squares
    L2,
    /// Largest magnitude
    Max,
}

impl ScalingArgs {
    fn scaling(&self) -> Scaling {
        let norm = self.normalise.map(|norm| match norm {
            NormArg::L1 => Norm::L1,
            NormArg::L2 => Norm::L2,
            NormArg::Max => Norm::Max,
        });
        Scaling { norm, standardise: self.standardise }
    }

    /// In words, for model files.
    fn words(&self) -> &'static str {
        match (self.normalise, self.standardise) {
            (None, false) => "as they are",
            (None, true) => "standardised",
            (Some(NormArg::L1), false) => "L1-normalised",
            (Some(NormArg::L1), true) => "L1-normalised, standardised",
            (Some(NormArg::L2), false) => "L2-normalised",
            (Some(NormArg::L2), true) => "L2-normalised, standardised",
            (Some(NormArg::Max), false) => "max-normalised",
            (Some(NormArg::Max), true) => "max-normalised, standardised",
        }
    }
}

impl DataArgs {
    /// Where blob `blob` of the features comes from.
    fn source<'a>(&'a self, blob: Option<&'a str>) -> Source<'a> {
        let layout = self.layout.map(|layout| match layout {
            LayoutArg::Dense => Layout::Dense,
            LayoutArg::Packed => Layout::Packed,
            LayoutArg::Mapped => Layout::Mapped,
        });
        Source {
            features: &self.features,
            blob,
            labels: self.labels.as_deref(),
            group: self.group.as_deref(),
            positive: self.positive.as_deref(),
            layout: if self.mapped { Some(Layout::Mapped) } else { layout },
        }
    }

    /// Reads a table, and says on standard error what it is.
    fn read(&self, blob: Option<&str>) -> Result<Table> {
        let table = self.source(blob).read()?;
        eprintln!("{}", about(&table, blob, &self.features));
        Ok(table)
    }

    /// Runs `f` where parallel work takes the threads that were asked for.
    fn on_threads<R: Send>(&self, f: impl FnOnce() -> R + Send) -> Result<R> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads);
        let pool = pool.build().map_err(|e| Error::Invalid(format!("no threads: {e}")))?;
        Ok(pool.install(f))
    }
}

/// One line: rows, columns, layout, labels.
fn about(table: &Table, blob: Option<&str>, path: &Path) -> String {
    let matrix = &table.matrix;
    let layout = match matrix.layout() {
        Layout::Dense => "dense",
        Layout::Packed => "packed",
        Layout::Mapped => "mapped",
    };
    let name =
        blob.map_or_else(|| path.display().to_string(), |b| format!("{}, {b}", path.display()));
    let mut text = format!(
        "{name}: {} rows of {} features ({layout}, {:.1} MB)",
        matrix.rows(),
        matrix.columns(),
        matrix.bytes() as f64 * 1e-6
    );
    if let Some(labels) = &table.labels {
        let positive = labels.iter().filter(|l| **l).count();
        let [no, yes] = &table.class_names;
        text += &format!(", {positive} '{yes}', {} '{no}'", labels.len() - positive);
    }
    let mirrored = table.mirrored.iter().filter(|m| **m).count();
    if mirrored > 0 {
        text += &format!(", {mirrored} of them mirrored copies");
    }
    if table.unused > 0 {
        text += &format!("; {} labels belong to no row", table.unused);
    }
    text
}

/// A bar for so many of something.
fn bar(many: usize, what: &str) -> ProgressBar {
    let template = format!("{{wide_bar}} {{pos}}/{{len}} {what}  {{elapsed}}, {{eta}} left");
    let bar = ProgressBar::new(many as u64);
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
