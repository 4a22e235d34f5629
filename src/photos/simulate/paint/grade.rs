//! From what is drawn to what a camera keeps. Flows in: a canvas, the looks. Flows out: 8-bit pixels.

use super::Looks;
use super::canvas::Canvas;
use super::colour::{Colour, luma};
use crate::image::Picture;
use crate::rng::Rng;

/// The standard deviation of a pixel's noise in the dark.
const NOISE: f32 = 0.011;

/// Saturation, the light's colour, its amount, the lens's falloff and the sensor's noise.
pub(super) fn grade(canvas: &Canvas, looks: &Looks, rng: &mut Rng) -> Picture {
    let light = Light::new(looks);
    let falloff = rng.uniform(0.06, 0.2);
    let centre = [
        canvas.width as f32 * rng.uniform(0.44, 0.56),
        canvas.height as f32 * rng.uniform(0.42, 0.54),
    ];
    // 1 in a corner.
    let norm = 4.0 / ((canvas.width * canvas.width + canvas.height * canvas.height) as f32);
    let mut data = Vec::with_capacity(canvas.pixels.len() * 3);
    for (row, pixels) in canvas.pixels.chunks_exact(canvas.width).enumerate() {
        let down = (row as f32 - centre[1]).powi(2);
        for (column, &pixel) in pixels.iter().enumerate() {
            let distance = norm * ((column as f32 - centre[0]).powi(2) + down);
            let lit = light.on(pixel, 1.0 - falloff * distance);
            let noise = noise(rng.bits());
            for (value, n) in lit.into_iter().zip(noise) {
                let sigma = NOISE * (0.6 + 0.8 * value);
                data.push((255.0 * (value + sigma * n) + 0.5) as u8);
            }
        }
    }
    Picture { width: canvas.width, height: canvas.height, data }
}

/// How a colour is changed by the light.
struct Light {
    saturation: f32,
    gains: Colour,
    lift: Colour,
}

impl Light {
    fn new(looks: &Looks) -> Self {
        let warm = 2.0 * looks.warmth - 1.0;
        let amount = 0.40 + 0.78 * looks.brightness;
        // A faded print loses its green first and keeps its magenta.
        let fresh = 0.05 * (2.0 * looks.saturation - 1.0);
        let gains = [1.0 + 0.28 * warm - fresh, 1.0 + fresh, 1.0 - 0.36 * warm - fresh];
        let lift = [0.02 * (1.0 + warm), 0.02, 0.02 * (1.0 - warm)];
        Self {
            saturation: 0.05 + 1.28 * looks.saturation,
            gains: gains.map(|gain| gain * amount),
            lift: lift.map(|base| base + 0.06 * looks.brightness),
        }
    }

    fn on(&self, colour: Colour, falloff: f32) -> Colour {
        let gray = luma(colour);
        std::array::from_fn(|i| {
            let vivid = gray + self.saturation * (colour[i] - gray);
            shoulder((vivid * self.gains[i] * falloff + self.lift[i]).max(0.0))
        })
    }
}

/// What is brighter than a film can show comes near to white, and never reaches it.
fn shoulder(value: f32) -> f32 {
    const KNEE: f32 = 0.72;
    let over = (value - KNEE).max(0.0) / (1.0 - KNEE);
    value.min(KNEE) + (1.0 - KNEE) * over / (1.0 + over)
}

/// Three numbers of mean 0 and variance 1, each from four bytes' sum.
fn noise(bits: u64) -> [f32; 3] {
    // A byte's variance is (256² − 1) / 12: four of them deviate by 147.8.
    const SCALE: f32 = 1.0 / 147.8;
    let byte = |i: u32| (bits >> (8 * i) & 0xff) as f32;
    let common = byte(6) + byte(7) - 255.0;
    [0, 2, 4].map(|i| (byte(i) + byte(i + 1) - 255.0 + common) * SCALE)
}
