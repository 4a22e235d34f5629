//! Photos of all callers in batches. Flows in: decoded photos, one by one. Flows out: a result for each.
//!
//! ```text
//! photo → gate (bounded) → queue → engine's thread: what is there, up to 32, after at most 2 ms → reply
//!                        → queue → explaining engine's thread, one by one
//! ```
//!
//! The gate is what is bounded: a photo holds a place from its arrival to its score, so the queues behind it need no bound
//! of their own. A batch waits for others only while others are on their way.

use super::decode::Decoded;
use super::engine::{Engine, Explanation, Score};
use super::metrics::Metrics;
use super::refusal::Refusal;
use crate::error::{Error, Result};
use crate::image::Picture;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Most photos of a batch.
pub(super) const LARGEST_BATCH: usize = 32;

/// The longest that a photo waits for others to share its batch.
const LONGEST_WAIT: Duration = Duration::from_millis(2);

/// Places for photos that wait.
#[derive(Clone)]
pub(super) struct Gate {
    places: Arc<Semaphore>,
    all: usize,
}

/// A photo's place.
pub(super) type Place = OwnedSemaphorePermit;

impl Gate {
    pub fn new(all: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(all)), all }
    }

    /// A place for each of some photos, or for none of them.
    pub fn enter(&self, photos: usize) -> std::result::Result<Vec<Place>, Refusal> {
        let full = |_| Refusal::busy("too many photos are waiting");
        (0..photos).map(|_| self.places.clone().try_acquire_owned().map_err(full)).collect()
    }

    /// Photos that have a place.
    pub fn taken(&self) -> usize {
        self.all - self.places.available_permits()
    }

    /// The most photos that ever have a place.
    pub fn all(&self) -> usize {
        self.all
    }
}

/// A photo on its way to an engine, and who waits for its result.
struct Job<T> {
    photo: Decoded,
    reply: oneshot::Sender<(Decoded, Result<T>)>,
}

/// The way to an engine; its thread ends when this is dropped.
pub(super) struct Lane<T> {
    jobs: Sender<Job<T>>,
    patience: Duration,
    thread: JoinHandle<()>,
}

impl<T> Lane<T> {
    /// A photo's result, and the photo again.
    pub async fn ask(&self, photo: Decoded) -> std::result::Result<(Decoded, T), Refusal> {
        let (reply, answer) = oneshot::channel();
        let gone = || Refusal::unavailable("the engine has stopped");
        self.jobs.send(Job { photo, reply }).map_err(|_| gone())?;
        let late = || Refusal::unavailable("the engine takes too long");
        let answer = tokio::time::timeout(self.patience, answer).await.map_err(|_| late())?;
        let (photo, result) = answer.map_err(|_| gone())?;
        let result = result.map_err(|e| Refusal::internal(format!("the engine failed: {e}")))?;
        Ok((photo, result))
    }

    /// Whether the engine's thread lives.
    pub fn alive(&self) -> bool {
        !self.thread.is_finished()
    }

    fn begin(
        name: &str,
        patience: Duration,
        work: impl FnOnce(Receiver<Job<T>>) + Send + 'static,
    ) -> Result<Self>
    where
        T: Send + 'static,
    {
        let (jobs, queue) = channel();
        let thread = std::thread::Builder::new().name(name.to_string());
        let begun = thread.spawn(move || work(queue));
        let thread = begun.map_err(|e| Error::Invalid(format!("no thread for the engine: {e}")))?;
        Ok(Self { jobs, patience, thread })
    }
}

/// The way to scores.
pub(super) fn scoring(
    mut engine: Box<dyn Engine>,
    gate: Gate,
    metrics: Arc<Metrics>,
    patience: Duration,
) -> Result<Lane<Score>> {
    Lane::begin("scoring", patience, move |queue| {
        while let Ok(first) = queue.recv() {
            let batch = gather(first, &queue, &gate);
            if batch.is_empty() {
                continue;
            }
            let (photos, replies): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|job| (job.photo, job.reply)).unzip();
            let (pictures, held): (Vec<Picture>, Vec<_>) =
                photos.into_iter().map(|photo| (photo.picture, photo.held)).unzip();
            metrics.batch(pictures.len());
            let scores = score(engine.as_mut(), &pictures);
            let photos =
                pictures.into_iter().zip(held).map(|(picture, held)| Decoded { picture, held });
            for ((photo, reply), score) in photos.zip(replies).zip(scores) {
                // Who has left wants no reply.
                let _ = reply.send((photo, score));
            }
        }
    })
}

/// The way to explanations.
pub(super) fn explaining(
    mut engine: Box<dyn Engine>,
    patience: Duration,
) -> Result<Lane<Explanation>> {
    Lane::begin("explaining", patience, move |queue| {
        while let Ok(Job { photo, reply }) = queue.recv() {
            if !reply.is_closed() {
                let explanation = engine.explain(&photo.picture);
                let _ = reply.send((photo, explanation));
            }
        }
    })
}

/// The first photo and those that come soon, but for those that nobody waits for any more.
fn gather(first: Job<Score>, queue: &Receiver<Job<Score>>, gate: &Gate) -> Vec<Job<Score>> {
    let mut batch = vec![first];
    let deadline = Instant::now() + LONGEST_WAIT;
    while batch.len() < LARGEST_BATCH {
        let wait = match gate.taken() > batch.len() {
            true => deadline.saturating_duration_since(Instant::now()),
            false => Duration::ZERO,
        };
        match queue.recv_timeout(wait) {
            Ok(job) => batch.push(job),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    batch.retain(|job| !job.reply.is_closed());
    batch
}

/// A result for each picture.
fn score(engine: &mut dyn Engine, pictures: &[Picture]) -> Vec<Result<Score>> {
    match whole(engine, pictures) {
        Ok(scores) => scores.into_iter().map(Ok).collect(),
        Err(e) if pictures.len() == 1 => vec![Err(e)],
        Err(_) => {
            let one = |picture| {
                let mut scores = whole(engine, std::slice::from_ref(picture))?;
                scores.pop().ok_or_else(|| Error::Invalid("no score".into()))
            };
            pictures.iter().map(one).collect()
        }
    }
}

/// An engine's scores, if there are as many as pictures and each is a number.
fn whole(engine: &mut dyn Engine, pictures: &[Picture]) -> Result<Vec<Score>> {
    let scores = engine.score(pictures)?;
    if scores.len() != pictures.len() {
        let (got, wanted) = (scores.len(), pictures.len());
        return Err(Error::Invalid(format!("{got} scores for {wanted} photos")));
    }
    match scores.iter().all(|s| (0.0..=1.0).contains(&s.probability) && s.score.is_finite()) {
        true => Ok(scores),
        false => Err(Error::Invalid("a score is no number, or a probability none".into())),
    }
}
