//! `likenet svm predict`, `likenet forest predict`: scores of features; `likenet predict`: of photos.

use super::super::features::extracted;
use super::super::photos::NetArgs;
use super::super::{Outcome, print};
use super::DataArgs;
use likenet::learn::metrics::{Confusion, average_precision, roc_auc};
use likenet::learn::model::Model;
use likenet::learn::validate::boundary;
use likenet::learn::{Source, Table};
use likenet::{Error, Result};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    /// Model, as `train` wrote it
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// Tensor of the features' file [default: the only one]
    #[arg(long, value_name = "BLOB")]
    blob: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// A model.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// Model, as `train` wrote it
    #[arg(value_name = "MODEL")]
    model: PathBuf,
}

/// What is written.
#[derive(clap::Args)]
struct OutputArgs {
    /// CSV to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Best first
    #[arg(long)]
    ranked: bool,
}

/// Scores photos with a trained model: a network's activations, then the classifier.
#[derive(clap::Args)]
pub struct PhotoArgs {
    /// Model, as `svm train` or `forest train` wrote it
    #[arg(value_name = "MODEL_FILE")]
    classifier: PathBuf,
    /// Photos, folders of photos, or text files that list photos
    #[arg(required = true, value_name = "PHOTO")]
    photos: Vec<PathBuf>,
    #[command(flatten)]
    net: NetArgs,
    /// Blob that is scored [default: the one that the model learned from]
    #[arg(long, value_name = "BLOB")]
    layer: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub fn inspect(args: &ModelArgs) -> Result<Outcome> {
    print(Model::load(&args.model)?.summary().trim_end())?;
    Ok(Outcome::Done)
}

pub fn run(args: &Args) -> Result<Outcome> {
    let model = Model::load(&args.model)?;
    let table = args.data.read(args.blob.as_deref())?;
    let scores = args.data.on_threads(|| scores(&model, &table))??;
    write(&model, &table, &scores, &args.output)?;
    Ok(Outcome::Done)
}

pub fn run_photos(args: &PhotoArgs) -> Result<Outcome> {
    let model = Model::load(&args.classifier)?;
    let layer = args.layer.as_deref().or(model.blob()).ok_or_else(|| {
        Error::Invalid(
            "the model does not know which blob it learned from: name it (--layer)".into(),
        )
    })?;
    let folder = tempfile::tempdir().map_err(Error::io(Path::new("a temporary folder")))?;
    let path = folder.path().join("features.safetensors");
    let outcome = extracted(&args.net, &args.photos, layer, &path)?;
    let source = Source {
        features: &path,
        blob: Some(layer),
        labels: None,
        group: None,
        positive: None,
        layout: None,
    };
    // What the photos' folders are called is nothing to a model.
    let table = Table { labels: None, ..source.read()? };
    write(&model, &table, &scores(&model, &table)?, &args.output)?;
    Ok(outcome)
}

/// The score of each row, if it is of the blob that the model learned from.
fn scores(model: &Model, table: &Table) -> Result<Vec<f64>> {
    model.check_blob(&table.about)?;
    let rows: Vec<u32> = (0..table.matrix.rows() as u32).collect();
    model.scores(&table.matrix, &rows)
}

/// Row, file, score, probability and decision of each row; how good they are goes to standard error.
fn write(model: &Model, table: &Table, scores: &[f64], args: &OutputArgs) -> Result<()> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    if args.ranked {
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    }
    let boundary = boundary(&model.classifier);
    let mut text = csv::Writer::from_writer(vec![]);
    let wrong = |e: csv::Error| Error::Invalid(e.to_string());
    text.write_record(["row", "file", "score", "probability", "class"]).map_err(wrong)?;
    for row in order {
        let score = scores[row];
        let file = table.names.as_ref().map_or("", |names| &names[row]);
        let probability = model.probability(score).map_or(String::new(), |p| format!("{p:.6}"));
        let class = &model.classes[usize::from(score > boundary)];
        let record = [&row.to_string(), file, &format!("{score:.9}"), &probability, class];
        text.write_record(record).map_err(wrong)?;
    }
    let bytes = text.into_inner().map_err(|e| Error::Invalid(e.to_string()))?;
    let text = String::from_utf8_lossy(&bytes);
    match &args.out {
        Some(path) => super::super::write(path, text.as_bytes())?,
        None => print(text.trim_end())?,
    }
    if let Some(labels) = &table.labels {
        let confusion = Confusion::above(boundary, scores, labels)?;
        eprintln!(
            "average precision {:.4}, ROC AUC {:.4}, accuracy {:.4}\n{}",
            average_precision(scores, labels)?,
            roc_auc(scores, labels)?,
            confusion.accuracy(),
            confusion.table(&model.classes)
        );
    }
    Ok(())
}
