//! How many photos a likability judges a second: decoded, searched for faces, through the network. Flows in: photo
//! files in memory. Flows out: photos a second. It is what a server could answer if answering cost nothing.

use super::median;
use crate::error::Result;
use crate::image::{Limits, Picture, decode_bytes};
use crate::score::Judge;
use rayon::prelude::*;
use std::time::{Duration, Instant};

/// Photos of a round.
const ROUND: usize = 64;

/// Judges the files over and over, at least five rounds and `least` long; the median over the rounds.
///
/// Fails where one is no picture.
pub fn photos_a_second(judge: &mut Judge, files: &[Vec<u8>], least: Duration) -> Result<f64> {
    let round: Vec<&Vec<u8>> = files.iter().cycle().take(ROUND).collect();
    let mut once = || -> Result<f64> {
        let begun = Instant::now();
        let decode = |file: &&Vec<u8>| decode_bytes("photo", file, &Limits::default());
        let photos: Vec<Picture> =
            round.par_iter().map(decode).collect::<std::result::Result<_, _>>()?;
        judge.judge(&photos)?;
        Ok(ROUND as f64 / begun.elapsed().as_secs_f64())
    };
    once()?;
    let (begun, mut rates) = (Instant::now(), vec![]);
    while rates.len() < 5 || begun.elapsed() < least {
        rates.push(once()?);
    }
    Ok(median(rates))
}
