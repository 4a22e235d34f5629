//! `likenet classify`

use super::photos::{NetArgs, progress_bar};
use super::{Outcome, print, print_json};
use clap::ValueEnum;
use likenet::classify::{Accuracy, Guess, Head, Tally, Truth, best, read_labels, scores};
use likenet::feed::{Views, feed};
use likenet::net::Keep;
use likenet::{Error, Result};
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Photos, folders of photos, or text files that list photos
    #[arg(required = true, value_name = "PHOTO")]
    photos: Vec<PathBuf>,
    #[command(flatten)]
    net: NetArgs,
    /// Names of the classes, one a line (Caffe's synset_words.txt)
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// How many classes to show
    #[arg(long, value_name = "N", default_value_t = 5)]
    top: usize,
    /// Average over ten crops: corners, centre, and the same mirrored
    #[arg(long)]
    oversample: bool,
    /// True classes (file name, class index): also prints how often they were found
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// The blob with one score for each class [default: the network's only output]
    #[arg(long, value_name = "BLOB")]
    output: Option<String>,
    /// Print the blob's own values, even if no softmax made probabilities of them
    #[arg(long)]
    raw: bool,
    /// How results are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

/// One photo's result.
#[derive(Serialize)]
struct Photo {
    file: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    predictions: Vec<Guess>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truth: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Results {
    photos: Vec<Photo>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    accuracy: Option<Accuracy>,
}

pub fn run(args: &Args) -> Result<Outcome> {
    let truth = args.truth.as_deref().map(Truth::read).transpose()?;
    let views = if args.oversample { Views::Ten } else { Views::Centre };
    let keep = Keep::Named(args.output.iter().cloned().collect());
    let mut ready = args.net.ready(&args.photos, keep, views)?;
    let labels = args.labels.as_ref().or(ready.labels.as_ref());
    let labels = labels.map(|p| read_labels(p)).transpose()?;
    let mut head = match &args.output {
        Some(name) => Head::named(&ready.net, name)?,
        None => Head::find(&ready.net)?,
    };
    head.softmax &= !args.raw;
    let truth = truth.map(|t| t.classes(&ready.photos)).transpose()?;
    let bar = progress_bar(ready.photos.len());
    let (mut results, mut tally) = (Vec::with_capacity(ready.photos.len()), Tally::default());
    let (net, paths) = (&mut ready.net, &ready.photos);
    feed(paths, 0, ready.batch, args.net.compute.threads, &ready.preparation, |batch| {
        let scored = match batch.photos.is_empty() {
            true => vec![],
            false => scores(net, &ready.input, &head, &batch.input, views.count())?,
        };
        let mut found: Vec<(usize, Photo)> = Vec::new();
        for (&i, scores) in batch.photos.iter().zip(&scored) {
            let class = truth.as_ref().map(|classes| classes[i]);
            class.iter().for_each(|&c| tally.add(scores, c));
            let predictions = best(scores, args.top, labels.as_deref());
            let file = paths[i].display().to_string();
            found.push((i, Photo { file, predictions, truth: class, error: None }));
        }
        for (i, error) in &batch.failures {
            let file = paths[*i].display().to_string();
            let error = Some(error.to_string());
            found.push((*i, Photo { file, predictions: vec![], truth: None, error }));
        }
        found.sort_by_key(|(i, _)| *i);
        results.extend(found.into_iter().map(|(_, photo)| photo));
        bar.set_position(batch.range.end as u64);
        Ok(())
    })?;
    bar.finish_and_clear();
    let results = Results { photos: results, accuracy: truth.map(|_| tally.accuracy()) };
    match args.format {
        Format::Table => table(&results)?,
        Format::Json => print_json(&results)?,
        Format::Csv => csv(&results)?,
    }
    let failed = results.photos.iter().any(|p| p.error.is_some());
    Ok(if failed { Outcome::No } else { Outcome::Done })
}

fn table(results: &Results) -> Result<()> {
    let mut text = String::new();
    for photo in &results.photos {
        text += &photo.file;
        if let Some(class) = photo.truth {
            text += &format!("  (truth: {class})");
        }
        text.push('\n');
        if let Some(error) = &photo.error {
            text += &format!("  not read: {error}\n");
        }
        for g in &photo.predictions {
            let name = g.label.as_deref().unwrap_or("");
            text += &format!("  {:8.4}  {:>5}  {name}\n", g.probability, g.class);
        }
    }
    if let Some(a) = &results.accuracy {
        text += &format!(
            "top1 {:.2} %  top5 {:.2} %  ({} photos)\n",
            100.0 * a.top1,
            100.0 * a.top5,
            a.photos
        );
    }
    print(text.trim_end())
}

fn csv(results: &Results) -> Result<()> {
    let fail = |e: csv::Error| Error::Invalid(e.to_string());
    let mut table = csv::Writer::from_writer(Vec::new());
    table
        .write_record(["file", "rank", "class", "label", "probability", "truth", "error"])
        .map_err(fail)?;
    for photo in &results.photos {
        let truth = photo.truth.map_or(String::new(), |t| t.to_string());
        for (rank, g) in photo.predictions.iter().enumerate() {
            let label = g.label.as_deref().unwrap_or("");
            let (rank, class) = ((rank + 1).to_string(), g.class.to_string());
            let p = g.probability.to_string();
            let row = [&photo.file, &rank, &class, label, &p, &truth, ""];
            table.write_record(row).map_err(fail)?;
        }
        if let Some(error) = &photo.error {
            table.write_record([&photo.file, "", "", "", "", &truth, error]).map_err(fail)?;
        }
    }
    let bytes = table.into_inner().map_err(|e| Error::Invalid(e.to_string()))?;
    let written = std::io::stdout().lock().write_all(&bytes);
    written.map_err(Error::io("standard output".as_ref()))?;
    if let Some(a) = &results.accuracy {
        eprintln!("top1 {:.2} %  top5 {:.2} %", 100.0 * a.top1, 100.0 * a.top5);
    }
    Ok(())
}
