//! Batches made ahead of the network that waits for them.
//!
//! Flows in: [`Items`] and how they are prepared. Flows out: [`Batch`]es without end, in an order and
//! with draws that follow from the seed alone, however many threads make them.

use super::items::Items;
use super::order::{Epoch, Order};
use super::prepare::Preparation;
use crate::error::{Error, Result};
use crate::image::DataTransform;
use crate::shape::Shape;
use rayon::prelude::*;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// How many bytes of decoded pictures are kept unless [`Rules`] say otherwise.
pub const CACHE_BYTES: usize = 512 << 20;

/// How batches are made.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Samples of a batch.
    pub batch: usize,
    /// Whether each epoch has an order of its own; otherwise the items follow in theirs.
    pub shuffle: bool,
    /// What everything random follows from.
    pub seed: u64,
    /// Whether the crop is at a random place; otherwise it is the centre.
    pub train: bool,
    /// Whether every other sample, by chance, is mirrored.
    pub mirror: bool,
    /// Fewer than this many samples are left out at the beginning; 0 for none.
    pub rand_skip: usize,
    /// Threads that read and prepare.
    pub threads: usize,
    /// Finished batches that wait; one more is being made.
    pub ahead: usize,
    /// Whether an item that cannot be read is replaced by the next one that can; otherwise it is an
    /// error.
    pub skip_broken: bool,
    /// Decoded pictures are kept if all of them, judged by the first, take at most this many bytes:
    /// height · width · channels each, after resizing. 0 keeps none.
    pub cache_bytes: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            batch: 1,
            shuffle: false,
            seed: 0,
            train: false,
            mirror: false,
            rand_skip: 0,
            threads: std::thread::available_parallelism().map_or(1, |n| n.get()),
            ahead: 2,
            skip_broken: false,
            cache_bytes: CACHE_BYTES,
        }
    }
}

/// Some samples, ready for the network.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Batch {
    /// The samples, (n, c, h, w).
    pub data: Vec<f32>,
    /// Their labels, (n).
    pub labels: Vec<f32>,
    /// Number of the first sample since the beginning.
    pub first: u64,
}

/// Batches without end. Besides the cache, at most `ahead` + 1 batches of it are in memory, and those
/// that it has handed out.
pub struct Stream {
    shared: Arc<Shared>,
    /// Samples handed out so far.
    position: u64,
    /// Started by the first batch that is asked for.
    ahead: Option<Ahead>,
}

/// What the threads need.
struct Shared {
    preparation: Preparation,
    order: Order,
    rules: Rules,
    pool: rayon::ThreadPool,
    /// Batches that were given back.
    spare: Mutex<Vec<Batch>>,
}

impl Stream {
    /// A stream at its beginning. Reads the first item.
    ///
    /// Fails when that is broken, crop or mean do not fit it, or the batch is empty or too large.
    pub fn new(items: Items, transform: DataTransform, rules: Rules) -> Result<Self> {
        let preparation = Preparation::new(items, transform, &rules)?;
        let [c, h, w] = preparation.shape();
        Shape::new([rules.batch, c, h, w]).map_err(|e| Error::Invalid(format!("a batch: {e}")))?;
        let n = preparation.items.len();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(rules.threads.max(1))
            .thread_name(|i| format!("data-{i}"))
            .build()
            .map_err(|e| Error::Invalid(format!("cannot start {} threads: {e}", rules.threads)))?;
        let order = Order::new(n, rules.shuffle, rules.rand_skip, rules.seed);
        let shared = Shared { preparation, order, rules, pool, spare: Mutex::default() };
        Ok(Self { shared: Arc::new(shared), position: 0, ahead: None })
    }

    /// The shape of a batch's data: (n, c, h, w).
    pub fn output_shape(&self) -> [usize; 4] {
        let [c, h, w] = self.shared.preparation.shape();
        [self.shared.rules.batch, c, h, w]
    }

    /// The items that the samples are made of.
    pub fn items(&self) -> &Items {
        &self.shared.preparation.items
    }

    /// Samples handed out so far: with the seed, the stream's whole state.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Goes on as if `position` samples had been handed out. What was made ahead is dropped.
    pub fn seek(&mut self, position: u64) {
        self.ahead = None;
        self.position = position;
    }

    /// The next batch; waits for it if need be.
    ///
    /// Fails when an item is missing or broken and not to be skipped, when it makes another shape than
    /// the first one, or when nothing can be read. Asked again, it tries the same batch again.
    #[allow(
        clippy::should_implement_trait,
        reason = "a stream has no end for an iterator to report"
    )]
    pub fn next(&mut self) -> Result<Batch> {
        let ahead = match self.ahead.take() {
            Some(ahead) => ahead,
            None => Ahead::start(&self.shared, self.position)?,
        };
        // Nothing comes where the thread has ended without a word: it panicked.
        let ended = Error::Invalid("the thread that makes batches has ended".into());
        let batch = ahead.receive().ok_or(ended)??;
        self.position = self.position.wrapping_add(self.shared.rules.batch as u64);
        self.ahead = Some(ahead);
        Ok(batch)
    }

    /// Takes a batch that is no longer needed, to use its memory again.
    pub fn give_back(&mut self, batch: Batch) {
        let mut spare = self.shared.lock_spare();
        if spare.len() <= self.shared.rules.ahead {
            spare.push(batch);
        }
    }

    /// Names of the items that could not be read so far and were replaced, with the reason, in the
    /// items' order. Batches made ahead count already.
    pub fn skipped(&self) -> Vec<(String, String)> {
        let preparation = &self.shared.preparation;
        let broken = preparation.broken().into_iter();
        broken.map(|(item, reason)| (preparation.items.name(item), reason)).collect()
    }
}

impl Shared {
    fn lock_spare(&self) -> std::sync::MutexGuard<'_, Vec<Batch>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the batch that begins with sample `first`. Of several failures the first sample's counts.
    fn batch(&self, first: u64, epoch: &mut Epoch) -> Result<Batch> {
        let (n, len) = (self.rules.batch, self.preparation.len());
        let items = self.order.items(first, n, epoch);
        let Batch { mut data, mut labels, .. } = self.lock_spare().pop().unwrap_or_default();
        data.resize(n * len, 0.0);
        labels.resize(n, 0.0);
        let one = |(i, ((out, label), &item)): (usize, ((&mut [f32], &mut f32), &usize))| {
            let rng = self.order.rng(first.wrapping_add(i as u64));
            *label = self.preparation.write(item, rng, out)?;
            Ok(())
        };
        let results: Vec<Result<()>> = self.pool.install(|| {
            let rows = data.par_chunks_exact_mut(len).zip(&mut labels).zip(&items);
            rows.enumerate().map(one).collect()
        });
        results.into_iter().collect::<Result<()>>()?;
        Ok(Batch { data, labels, first })
    }

    /// Makes batches from sample `first` on until nobody takes them or one fails.
    fn run(&self, mut first: u64, batches: &SyncSender<Result<Batch>>) {
        let mut epoch = Epoch::default();
        loop {
            let batch = self.batch(first, &mut epoch);
            let failed = batch.is_err();
            if batches.send(batch).is_err() || failed {
                return;
            }
            first = first.wrapping_add(self.rules.batch as u64);
        }
    }
}

/// The thread that makes batches ahead.
struct Ahead {
    batches: Option<Receiver<Result<Batch>>>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    fn start(shared: &Arc<Shared>, first: u64) -> Result<Self> {
        let (sender, receiver) = sync_channel(shared.rules.ahead);
        let shared = Arc::clone(shared);
        let thread = std::thread::Builder::new()
            .name("data".into())
            .spawn(move || shared.run(first, &sender))
            .map_err(|e| Error::Invalid(format!("cannot start the thread for batches: {e}")))?;
        Ok(Self { batches: Some(receiver), thread: Some(thread) })
    }

    /// The next batch, or nothing when the thread has ended.
    fn receive(&self) -> Option<Result<Batch>> {
        self.batches.as_ref()?.recv().ok()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // Without a receiver the thread ends at its next batch.
        drop(self.batches.take());
        if let Some(thread) = self.thread.take() {
            // A panic was reported where the batch was missing.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::time::{Duration, Instant};

    /// A list of one picture, many times.
    fn items(folder: &Path, count: usize) -> Items {
        let golden = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/data"));
        let list = folder.join("list.txt");
        std::fs::write(&list, "p0.png 1\n".repeat(count)).unwrap();
        Items::list(&list, "", golden).unwrap()
    }

    #[test]
    fn no_more_batches_are_made_than_stated() {
        let folder = tempfile::tempdir().unwrap();
        let rules = Rules { batch: 4, threads: 3, ahead: 2, ..Rules::default() };
        let items = items(folder.path(), 400);
        let mut stream = Stream::new(items, DataTransform::default(), rules).unwrap();
        let made = |stream: &Stream| stream.shared.preparation.cached();
        assert_eq!(made(&stream), 1); // the first, for its shape
        for handed_out in 1..4 {
            stream.next().unwrap();
            let most = 4 * (handed_out + 2 + 1);
            let begun = Instant::now();
            while made(&stream) < most && begun.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_millis(50));
            assert_eq!(made(&stream), most);
        }
        // Memory that was given back is used again, and no more of it is kept than can be in use.
        (0..9).for_each(|_| stream.give_back(Batch::default()));
        assert_eq!(stream.shared.lock_spare().len(), 3);
    }
}
