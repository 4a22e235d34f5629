//! Bytes from strangers to pictures, off the threads that wait for the network. Flows in: a file's bytes. Flows out: an
//! upright picture, and the memory that it holds.

use super::answer::data_url;
use super::body::{Budget, Held};
use super::refusal::Refusal;
use crate::error::Error;
use crate::image::resize::fast;
use crate::image::{Limits, Picture, Size, decode_bytes};
use crate::report::encode_jpeg;
use axum::body::Bytes;
use image::ImageReader;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What a pixel may take while it is decoded: 16-bit samples with alpha, and their 8-bit copy.
const BYTES_A_PIXEL: u64 = 12;

/// Memory for pictures, where one picture of the largest size does not need more.
const MEMORY: u64 = 1 << 30;

/// The longer side of a preview in pixels, at most.
const PREVIEW: f64 = 720.0;

/// Decodes so many photos at once, within bounds.
pub(super) struct Decoder {
    limits: Limits,
    places: Arc<Semaphore>,
    memory: u64,
    budget: Budget,
}

/// A picture, and the memory that it holds.
pub(super) struct Decoded {
    pub picture: Picture,
    pub held: Held,
}

impl Decoder {
    /// For photos of so many bytes and pixels, so many at once.
    pub fn new(max_bytes: usize, max_pixels: u64, threads: usize) -> Self {
        let memory = MEMORY.max(max_pixels.saturating_mul(BYTES_A_PIXEL));
        let limits = Limits {
            max_pixels,
            max_file_bytes: max_bytes as u64,
            max_decoder_bytes: max_pixels.saturating_mul(BYTES_A_PIXEL).max(1 << 20),
        };
        Self {
            limits,
            places: Arc::new(Semaphore::new(threads)),
            memory,
            budget: Budget::new(memory),
        }
    }

    /// Decodes a file. The first bytes tell its format; its header is checked before its pixels get memory.
    ///
    /// A caller who leaves meanwhile leaves his place.
    pub async fn decode(&self, bytes: Bytes) -> Result<Decoded, Refusal> {
        let limits = self.limits;
        let file = bytes.clone();
        let needed = self.apart(move || Ok(pixels(&file))).await?;
        let needed = needed.min(limits.max_pixels).saturating_mul(BYTES_A_PIXEL);
        let mut held = self.budget.wait(needed, self.memory).await;
        let picture = self.apart(move || Ok(decode_bytes("The photo", &bytes, &limits)?)).await?;
        held.shrink(picture.data.len());
        Ok(Decoded { picture, held })
    }

    /// A small JPEG file of a photo, for those who do not have it.
    pub async fn preview(&self, photo: Decoded) -> Result<String, Refusal> {
        let shrink = move || {
            let Size { width, height } = photo.picture.size();
            let scale = (PREVIEW / width.max(height) as f64).min(1.0);
            let side = |side: usize| ((side as f64 * scale).round() as usize).max(1);
            let small = fast(&photo.picture, Size::new(side(height), side(width)))?;
            Ok(data_url(&encode_jpeg(&small, 85)?))
        };
        self.apart(move || shrink().map_err(|e: Error| Refusal::internal(e.to_string()))).await
    }

    /// Works on a thread for that, when there is a place.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let place = self.places.clone().acquire_owned().await;
        let work = move || {
            // A caller who has left stops waiting, not the work: its place is free when the work is done.
            let _place = place;
            work()
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|_| {
            Refusal::internal("a decoder broke down; please report it with the photo")
        })?
    }
}

/// How many pixels a header states; 0 where it has no sense, which the decoder will say.
fn pixels(bytes: &[u8]) -> u64 {
    let size = || {
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
        reader.into_dimensions().ok()
    };
    // As in `image::decode`: a panic in a decoder of others is a broken file, and nothing outlives the closure.
    let size = catch_unwind(AssertUnwindSafe(size)).ok().flatten();
    size.map_or(0, |(width, height)| u64::from(width) * u64::from(height))
}
