//! Activations of named blobs for any number of photos.
//!
//! Flows in: a network and a list of photos. Flows out: a file with one row a photo (two with
//! mirrored copies) and, beside it, which row is which photo.
//!
//! ```text
//! feed → net → journal (rows as they come, on disk) → output (the finished file, atomically)
//! ```
//!
//! Memory does not grow with the photos: rows go to disk batch by batch. A run that was interrupted
//! goes on where its journal ends.

mod journal;
mod output;

pub use journal::{Run, Skipped};
pub use output::Format;

use crate::error::{Error, Result};
use crate::feed::{Batch, Preparation, feed};
use crate::net::Net;
use journal::Journal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What to extract, and where to.
pub struct Job<'a> {
    /// Photos, in the order of their rows.
    pub photos: &'a [PathBuf],
    /// The network's input blob.
    pub input: &'a str,
    /// Names of the wanted blobs.
    pub layers: &'a [String],
    /// How photos become inputs.
    pub preparation: &'a Preparation,
    /// Photos in a batch.
    pub batch: usize,
    /// Threads that decode; 0 means one for each core.
    pub threads: usize,
    /// The file to write; its ending decides the format.
    pub out: &'a Path,
    /// Everything that the rows depend on, in words: a run resumes only under the same.
    pub settings: String,
}

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// Photos whose rows are in the file.
    pub photos: usize,
    /// Rows in the file.
    pub rows: usize,
    /// Photos that an earlier, interrupted run had done.
    pub resumed: usize,
    /// Photos left out, with the reason.
    pub skipped: Vec<Skipped>,
    /// Files written.
    pub files: Vec<PathBuf>,
    /// Seconds of all decoding threads together: reading and decoding files.
    pub decoding: f64,
    /// The same of resizing and cropping.
    pub preparing: f64,
    /// Seconds that the network took.
    pub network: f64,
    /// Seconds that the network waited for photos.
    pub waiting: f64,
    /// Seconds of reading blobs and writing rows.
    pub writing: f64,
}

/// Seconds of the network's side.
#[derive(Default)]
struct Seconds {
    network: f64,
    writing: f64,
}

/// Extracts features; `progress` hears how many photos are done, and of each that is skipped.
pub fn extract(
    net: &mut Net,
    job: &Job,
    mut progress: impl FnMut(usize, Option<&Skipped>),
) -> Result<Report> {
    let format = Format::of(job.out)?;
    output::check_names(format, job)?;
    let widths = widths(net, job)?;
    let mut journal = Journal::open(job.out, &job.settings, job.layers, &widths)?;
    let resumed = journal.run().done;
    progress(resumed, None);
    let mut seconds = Seconds::default();
    let begun = Instant::now();
    feed(job.photos, resumed, job.batch, job.threads, job.preparation, |batch| {
        let skipped = one_batch(net, job, &widths, &mut journal, batch, &mut seconds)?;
        skipped.iter().for_each(|s| progress(journal.run().done, Some(s)));
        progress(journal.run().done, None);
        Ok(())
    })?;
    let fed = begun.elapsed().as_secs_f64();
    let run = journal.run().clone();
    if let (true, Some(first)) = (run.kept.is_empty(), run.skipped.first()) {
        let reason = first.reason.clone();
        journal.remove()?;
        return Err(Error::Invalid(format!(
            "none of {} photos could be read, so nothing is written; the first: {reason}",
            run.done
        )));
    }
    let begun = Instant::now();
    let files = output::write(format, job, &journal, &widths)?;
    journal.remove()?;
    let spent = |of: &AtomicU64| of.load(Ordering::Relaxed) as f64 * 1e-9;
    Ok(Report {
        decoding: spent(&job.preparation.spent.decoding),
        preparing: spent(&job.preparation.spent.preparing),
        network: seconds.network,
        waiting: fed - seconds.network - seconds.writing,
        writing: seconds.writing + begun.elapsed().as_secs_f64(),
        photos: run.kept.len(),
        rows: run.kept.len() * job.preparation.views.count(),
        resumed,
        skipped: run.skipped,
        files,
    })
}

/// Elements of one row of each wanted blob.
fn widths(net: &Net, job: &Job) -> Result<Vec<usize>> {
    let batch = net.input_shape(job.input)?.dims()[0];
    let width = |layer: &String| {
        let shape = net.blob_shape(layer)?;
        match shape.dims().first() {
            Some(&rows) if rows == batch => Ok(shape.count() / rows),
            _ => Err(Error::Invalid(format!(
                "blob '{layer}' has shape {shape}: not one row for each picture of the batch"
            ))),
        }
    };
    job.layers.iter().map(width).collect()
}

fn one_batch(
    net: &mut Net,
    job: &Job,
    widths: &[usize],
    journal: &mut Journal,
    batch: Batch,
    seconds: &mut Seconds,
) -> Result<Vec<Skipped>> {
    let begun = Instant::now();
    let rows = batch.photos.len() * job.preparation.views.count();
    let mut values: Vec<Vec<f32>> = widths.iter().map(|w| vec![0.0; w * rows]).collect();
    if rows > 0 {
        net.set_batch(rows)?;
        net.set_input(job.input, &batch.input)?;
        net.forward()?;
        seconds.network += begun.elapsed().as_secs_f64();
        for (layer, values) in job.layers.iter().zip(&mut values) {
            net.read_blob(layer, values)?;
        }
    }
    let skipped = batch.failures.into_iter().map(|(photo, error)| Skipped {
        photo,
        file: job.photos[photo].display().to_string(),
        reason: error.to_string(),
    });
    let skipped: Vec<Skipped> = skipped.collect();
    let begun = Instant::now();
    journal.append(batch.range.end, &batch.photos, &skipped, &values)?;
    seconds.writing += begun.elapsed().as_secs_f64();
    Ok(skipped)
}
