//! Bodies, bounded in bytes, time and memory. Flows in: a body as it arrives. Flows out: all of it, or a refusal.
//!
//! A sender has some seconds, and then must have kept a rate: a body of any length is read, one that trickles is not.
//! Every byte that is held counts against one budget for all callers, as it arrives: who announces much holds nothing.

use super::refusal::Refusal;
use super::settings::Patience;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Bytes of one permit of a budget.
const UNIT: usize = 1024;

/// Memory for what all callers sent.
#[derive(Clone)]
pub(super) struct Budget(Arc<Semaphore>);

/// A part of a budget, given back when dropped.
#[derive(Default)]
pub(super) struct Held(Option<OwnedSemaphorePermit>);

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: u64) -> Self {
        let units = bytes / UNIT as u64;
        Self(Arc::new(Semaphore::new((units as usize).clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// Adds to what is held until it is enough for so many bytes.
    pub fn hold(&self, held: &mut Held, bytes: usize) -> Result<(), Refusal> {
        let more = units(bytes).saturating_sub(held.units());
        if more == 0 {
            return Ok(());
        }
        let permits = self.0.clone().try_acquire_many_owned(more);
        held.add(permits.map_err(|_| Refusal::busy("too much is being sent at once"))?);
        Ok(())
    }

    /// Waits until so many bytes are free; more than there are at all count as all.
    pub async fn wait(&self, bytes: u64, all: u64) -> Held {
        let most = Semaphore::MAX_PERMITS.min(u32::MAX as usize) as u64;
        let wanted = (bytes.min(all) / UNIT as u64).clamp(1, most) as u32;
        // The semaphore is never closed.
        Held(self.0.clone().acquire_many_owned(wanted).await.ok())
    }
}

impl Held {
    fn units(&self) -> u32 {
        self.0.as_ref().map_or(0, |permit| permit.num_permits() as u32)
    }

    fn add(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.0 {
            Some(held) => held.merge(permit),
            None => self.0 = Some(permit),
        }
    }

    /// Gives back what is not needed for so many bytes.
    pub fn shrink(&mut self, bytes: usize) {
        let rest = self.units().saturating_sub(units(bytes));
        if let Some(held) = &mut self.0 {
            drop(held.split(rest as usize));
        }
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// What is being read: bytes, and the memory that they hold.
pub(super) struct Collected {
    pub bytes: Vec<u8>,
    pub held: Held,
    most: usize,
}

impl Collected {
    /// Nothing yet, and at most so many bytes.
    pub fn new(most: usize) -> Self {
        Self { bytes: vec![], held: Held::default(), most }
    }

    /// One more piece. Fails where it is too much for one caller or for all.
    pub fn push(&mut self, piece: &[u8], budget: &Budget) -> Result<(), Refusal> {
        let length = self.bytes.len() + piece.len();
        if length > self.most {
            return Err(too_many_bytes(self.most));
        }
        budget.hold(&mut self.held, length)?;
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

pub(super) fn too_many_bytes(most: usize) -> Refusal {
    let message = format!("it has more than {most} bytes; send a smaller photo, or fewer at once");
    Refusal::too_large("too_many_bytes", message)
}

/// Reads a body of at most `most` bytes.
pub(super) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    most: usize,
    budget: &Budget,
    patience: &Patience,
) -> Result<(Bytes, Held), Refusal> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > most as u64) {
        return Err(too_many_bytes(most));
    }
    let mut read = Collected::new(most);
    let begun = Instant::now();
    loop {
        let earned = Duration::from_secs_f64(read.bytes.len() as f64 / patience.rate);
        let deadline = begun + patience.body + earned;
        let frame = timeout_at(deadline, body.frame()).await.map_err(|_| too_slow())?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| {
            Refusal::bad("bad_body", "the body broke off or is badly cut into chunks")
        })?;
        // Trailers are no data.
        if let Ok(piece) = frame.into_data() {
            read.push(&piece, budget)?;
        }
    }
    Ok((read.bytes.into(), read.held))
}

fn too_slow() -> Refusal {
    let message = "the body came too slowly; send it again over a better connection";
    Refusal::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message)
}
