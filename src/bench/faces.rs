//! How long cascades take to search photos. Flows in: detectors, photos. Flows out: milliseconds a photo.

use super::median;
use crate::error::{Error, Result};
use crate::faces::{Detector, Measure, Search};
use crate::image::{Picture, Size, resize};
use rayon::ThreadPoolBuilder;
use std::time::{Duration, Instant};

/// One cascade's time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchTime {
    /// Threads that share each photo.
    pub threads: usize,
    /// Mean milliseconds a photo, decoding excluded: the median over rounds through all photos.
    pub ms: f64,
    /// Mean million pixels of a photo.
    pub megapixels: f64,
    /// Mean faces a photo.
    pub faces: f64,
}

impl SearchTime {
    /// Milliseconds for a million pixels.
    pub fn ms_a_megapixel(&self) -> f64 {
        self.ms / self.megapixels
    }
}

/// Times one search of every photo, round after round, at least three rounds and `least` long.
///
/// Fails where threads cannot be started or the cascade cannot search a photo.
pub fn time(
    detector: &Detector,
    photos: &[Picture],
    search: &Search,
    threads: usize,
    least: Duration,
) -> Result<SearchTime> {
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| Error::Invalid(format!("cannot start threads: {e}")))?;
    let gray =
        if detector.measure() == Measure::Windows { Picture::to_luma } else { Picture::to_gray };
    let gray: Vec<_> = photos.iter().map(gray).collect();
    let round = || -> Result<usize> {
        let mut faces = 0;
        for (photo, gray) in photos.iter().zip(&gray) {
            faces += match detector.measure() {
                Measure::Stages => detector.detect(photo, search)?.len(),
                _ => detector.detect_gray(gray, search)?.len(),
            };
        }
        Ok(faces)
    };
    pool.install(|| {
        let faces = round()?;
        let (begun, mut times) = (Instant::now(), Vec::new());
        while times.len() < 3 || begun.elapsed() < least {
            let begun = Instant::now();
            round()?;
            times.push(begun.elapsed().as_secs_f64());
        }
        let count = photos.len().max(1) as f64;
        let pixels: usize = gray.iter().map(|g| g.data.len()).sum();
        Ok(SearchTime {
            threads,
            ms: 1e3 * median(times) / count,
            megapixels: 1e-6 * pixels as f64 / count,
            faces: faces as f64 / count,
        })
    })
}

/// Photos `times` as wide and high.
pub fn enlarge(photos: &[Picture], times: f32) -> Result<Vec<Picture>> {
    let side = |n: usize| ((n as f32 * times) as usize).max(1);
    let resize = |p: &Picture| resize::fast(p, Size::new(side(p.height), side(p.width)));
    Ok(photos.iter().map(resize).collect::<std::result::Result<_, _>>()?)
}
