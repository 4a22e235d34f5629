//! Photos read, decoded and prepared ahead of the network that waits for them.
//!
//! Flows in: paths. Flows out: batches in the paths' order, each with its failures. Decoding runs on
//! threads of its own; at most two finished batches wait, so memory does not grow with the photos.

use crate::error::{Error, Result};
use crate::image::{Classifier, ImageError, Limits, Picture, Resize, decode_file, decode_reduced};
use rayon::prelude::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

/// Which crops of a photo go into the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Views {
    /// The centre.
    Centre,
    /// The centre, and the same mirrored.
    CentreAndMirrored,
    /// Corners and centre, and the same mirrored: pycaffe's oversampling.
    Ten,
}

impl Views {
    /// Rows of the network's input that one photo takes.
    pub fn count(self) -> usize {
        match self {
            Self::Centre => 1,
            Self::CentreAndMirrored => 2,
            Self::Ten => 10,
        }
    }
}

/// How photos become inputs.
pub struct Preparation {
    /// Resizing, cropping, mean.
    pub classifier: Classifier,
    /// Which crops.
    pub views: Views,
    /// What a file may cost.
    pub limits: Limits,
    /// What photos have cost so far.
    pub spent: Spent,
}

/// Nanoseconds of all threads together.
#[derive(Debug, Default)]
pub struct Spent {
    /// Reading and decoding files.
    pub decoding: AtomicU64,
    /// Resizing, cropping, subtracting the mean.
    pub preparing: AtomicU64,
}

impl Spent {
    fn add(to: &AtomicU64, since: Instant) {
        to.fetch_add(since.elapsed().as_nanos() as u64, Ordering::Relaxed);
    }
}

impl Preparation {
    /// Elements that one photo takes in the network's input.
    pub fn photo_len(&self) -> usize {
        self.views.count() * self.classifier.crop_len()
    }

    /// Reads one photo into `out`, `(views, c, h, w)`.
    pub fn load(
        &self,
        path: &std::path::Path,
        out: &mut [f32],
    ) -> std::result::Result<(), ImageError> {
        let begun = Instant::now();
        let options = self.classifier.options();
        let picture = match options.resize {
            Resize::Fast => decode_reduced(path, &self.limits, options.image_dims),
            _ => decode_file(path, &self.limits),
        };
        Spent::add(&self.spent.decoding, begun);
        let (begun, picture) = (Instant::now(), picture?);
        let result = self.prepare(&picture, out);
        Spent::add(&self.spent.preparing, begun);
        result
    }

    fn prepare(&self, picture: &Picture, out: &mut [f32]) -> std::result::Result<(), ImageError> {
        match self.views {
            Views::Centre => self.classifier.prepare(picture, false, out),
            Views::CentreAndMirrored => {
                let (plain, mirrored) = out.split_at_mut(self.classifier.crop_len());
                self.classifier.prepare(picture, false, plain)?;
                self.classifier.prepare(picture, true, mirrored)
            }
            Views::Ten => self.classifier.prepare_ten(picture, out),
        }
    }
}

/// Some neighbouring photos, ready for the network.
pub struct Batch {
    /// Index of the first photo that was tried, and one past the last.
    pub range: std::ops::Range<usize>,
    /// Indices of the photos that could be read, in order.
    pub photos: Vec<usize>,
    /// Their crops, `(photos · views, c, h, w)`.
    pub input: Vec<f32>,
    /// Indices of the others, with the reason.
    pub failures: Vec<(usize, ImageError)>,
}

/// Prepares `paths[from..]` in batches of `size` photos on `threads` threads and gives each batch to
/// `consume`, in order. An error from `consume` ends it.
pub fn feed(
    paths: &[PathBuf],
    from: usize,
    size: usize,
    threads: usize,
    preparation: &Preparation,
    mut consume: impl FnMut(Batch) -> Result<()>,
) -> Result<()> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("decode-{i}"))
        .build()
        .map_err(|e| Error::Invalid(format!("cannot start {threads} decoding threads: {e}")))?;
    let (sender, receiver) = mpsc::sync_channel(1);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for start in (from..paths.len()).step_by(size.max(1)) {
                let range = start..(start + size.max(1)).min(paths.len());
                let batch = pool.install(|| prepare(paths, range, preparation));
                if sender.send(batch).is_err() {
                    return; // The consumer failed and has gone.
                }
            }
        });
        receiver.into_iter().try_for_each(&mut consume)
    })
}

fn prepare(paths: &[PathBuf], range: std::ops::Range<usize>, p: &Preparation) -> Batch {
    let len = p.photo_len();
    let mut input = vec![0.0; range.len() * len];
    let results: Vec<_> = input
        .par_chunks_exact_mut(len)
        .zip(&paths[range.clone()])
        .map(|(out, path)| p.load(path, out))
        .collect();
    let mut batch = Batch { range: range.clone(), photos: vec![], input, failures: vec![] };
    for (i, result) in results.into_iter().enumerate() {
        match result {
            Ok(()) => {
                let to = batch.photos.len() * len;
                batch.input.copy_within(i * len..(i + 1) * len, to);
                batch.photos.push(range.start + i);
            }
            Err(e) => batch.failures.push((range.start + i, e)),
        }
    }
    batch.input.truncate(batch.photos.len() * len);
    batch
}
