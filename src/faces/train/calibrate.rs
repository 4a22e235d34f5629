//! From scores to probabilities. Flows in: a cascade, held-out pictures. Flows out: an [`Outcome`].
//!
//! The cascade searches as many held-out crops as held-out backgrounds: what "nine in ten" means is said for
//! photos that hold one object each on average, and as many without. Platt's sigmoid is fitted to whether
//! each hit was right.

use super::{Options, Set};
use crate::error::{Error, Result};
use crate::faces::rect::Rect;
use crate::faces::soft::{Cascade, Settings};
use crate::image::{GrayPicture, Limits, Size, decode_gray_file};
use crate::learn::metrics::Platt;
use crate::rng::Rng;
use likenet_kernels::cpu::resample::{self, Plane};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// What a cascade found in held-out pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Crops that were searched.
    pub crops: usize,
    /// Backgrounds that were searched, turned ones counted.
    pub backgrounds: usize,
    /// Score of each hit, and whether it was right; best first.
    pub hits: Vec<(f32, bool)>,
    /// Platt's (a, b).
    pub calibration: [f64; 2],
}

/// Views of each background.
const TURNS: usize = 4;
/// Pixels along the smallest window that a crop is shrunk to.
const SMALLEST: f32 = 44.0;
/// Views of each crop come from its own random numbers.
const CROP_SEED: u64 = 0x0c0f_fee0;

/// Searches held-out crops and backgrounds, the same number of each.
pub fn outcomes(
    cascade: &Cascade,
    [crops, backgrounds]: [&[PathBuf]; 2],
    options: &Options,
    kernels: Set,
) -> Result<Outcome> {
    let views = (backgrounds.len() * TURNS).min(crops.len().max(1));
    let settings = Settings { min_size: 40.0, levels_per_octave: 8, kernels };
    let mut order: Vec<&PathBuf> = crops.iter().collect();
    let mut rng = Rng::new(options.seed ^ CROP_SEED);
    for i in (1..order.len()).rev() {
        order.swap(i, rng.below(i + 1));
    }
    let on_crops =
        order.par_iter().take(views).map(|path| in_crop(cascade, path, options, &settings));
    let on_photos = (0..views).into_par_iter().map(|i| {
        let photo = decode_gray_file(&backgrounds[i / TURNS], &Limits::default())?;
        let photo = super::backgrounds::turned(photo, i % TURNS);
        let hits = cascade.detect(&photo, &settings);
        Ok(hits.iter().map(|hit| (hit.score, false)).collect())
    });
    let found: Vec<Vec<(f32, bool)>> = on_crops.chain(on_photos).collect::<Result<_>>()?;
    let mut hits = found.concat();
    hits.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (scores, right): (Vec<f64>, Vec<bool>) = hits.iter().map(|h| (f64::from(h.0), h.1)).unzip();
    let fit = Platt::fit(&scores, &right).map_err(|e| {
        Error::Invalid(format!("the cascade cannot be calibrated on held-out pictures: {e}"))
    })?;
    let calibration = [fit.slope, fit.offset];
    Ok(Outcome { crops: order.len().min(views), backgrounds: views, hits, calibration })
}

/// What is found in a crop, shrunk at random. A hit is right where it lies on the object by more than half of
/// their union.
fn in_crop(
    cascade: &Cascade,
    path: &Path,
    options: &Options,
    settings: &Settings,
) -> Result<Vec<(f32, bool)>> {
    let crop = decode_gray_file(path, &Limits::default())?;
    let seed = crop.data.iter().fold(0u64, |sum, &v| sum.wrapping_mul(31) + u64::from(v));
    let window = options.framing.side * crop.width as f32;
    let factor = Rng::new(seed).uniform(SMALLEST, window.max(SMALLEST + 1.0)) / window;
    let size = [crop.width, crop.height].map(|n| ((n as f32 * factor) as usize).max(1));
    let whole = Plane::from_pixels(crop.width, &crop.data);
    // Interpolation skips pixels below a half.
    let from = if factor < 0.5 { resample::half(settings.kernels, &whole) } else { whole };
    let small = resample::linear(settings.kernels, &from, size, 0);
    let picture = GrayPicture::new(Size::new(size[1], size[0]), small.pixels().to_vec())?;
    let side = options.framing.side * size[0] as f32;
    let corner = [0, 1].map(|i| options.framing.centre[i] * size[i] as f32 - side / 2.0);
    let [left, top, width, height] = options.object;
    let object = Rect {
        x: corner[0] + left * side,
        y: corner[1] + top * side,
        w: width * side,
        h: height * side,
    };
    let hits = cascade.detect(&picture, settings);
    Ok(hits.iter().map(|hit| (hit.score, hit.rect().iou(&object) > 0.5)).collect())
}
