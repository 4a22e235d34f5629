//! How fast this machine computes, next to how fast it could.
//!
//! Flows in: random data. Flows out: times of kernels ([`kernels`]) and of a network's layers
//! ([`layers`]), each checked before it is timed, and the roof that they are held against ([`Roof`]);
//! times of face detectors on photos ([`faces`]), and of all that a verdict takes ([`score`]).

pub mod faces;
pub mod kernels;
pub mod layers;
mod roof;
pub mod score;
pub mod training;

pub use roof::Roof;

use std::time::{Duration, Instant};

/// Seconds of one call: the median over at least five calls that together take `least`; the first call
/// warms up and does not count.
pub fn seconds(least: Duration, mut call: impl FnMut()) -> f64 {
    call();
    let (begun, mut times) = (Instant::now(), vec![]);
    while times.len() < 5 || begun.elapsed() < least {
        let begun = Instant::now();
        call();
        times.push(begun.elapsed().as_secs_f64());
    }
    median(times)
}

/// The value in the middle.
///
/// # Panics
/// When there are none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
