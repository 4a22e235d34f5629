//! Variations of a crop. Flows in: a crop and a [`Framing`]. Flows out: a rendered window.
//!
//! Aligned crops are all upright, sharp and large. Faces in photos roll, are small, dark, blurred: each crop is
//! seen through several random views.

use crate::error::Result;
use crate::image::{Limits, decode_gray_file};
use crate::rng::Rng;
use likenet_kernels::cpu::resample::{self, Plane};
use likenet_kernels::cpu::table::Kernels;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Where the window lies in a crop: parts of the crop's width and height.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Framing {
    /// The window's middle.
    pub centre: [f32; 2],
    /// The window's side, as a part of the crop's width.
    pub side: f32,
}

impl Default for Framing {
    /// The whole crop.
    fn default() -> Self {
        Self { centre: [0.5, 0.5], side: 1.0 }
    }
}

/// How far views go.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Augment {
    /// Degrees that a crop rolls, either way.
    pub roll: f32,
    /// Octaves that its scale varies, either way.
    pub scale: f32,
    /// Parts of the window's side that it is shifted, either way.
    pub shift: f32,
    /// Parts that its aspect varies, either way.
    pub aspect: f32,
    /// Part of the views that see it as small as 24 pixels, enlarged.
    pub small: f32,
    /// Whether half of the views see it mirrored.
    pub mirror: bool,
    /// Standard deviation of the gamma's logarithm (base 2).
    pub gamma: f32,
    /// The least contrast.
    pub contrast: f32,
    /// Most gray levels of noise.
    pub noise: f32,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            roll: 20.0,
            scale: 0.12,
            shift: 0.04,
            aspect: 0.06,
            small: 0.3,
            mirror: true,
            gamma: 0.35,
            contrast: 0.35,
            noise: 6.0,
        }
    }
}

/// One view of a crop.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Radians.
    roll: f32,
    /// Factors on the window's width (negative: mirrored) and height.
    scale: [f32; 2],
    /// Parts of the side.
    shift: [f32; 2],
    /// Resolution, as a part of the window's.
    resolution: f32,
    gamma: f32,
    contrast: f32,
    brightness: f32,
    noise: f32,
}

impl View {
    /// The crop as it is.
    pub const PLAIN: Self = Self {
        roll: 0.0,
        scale: [1.0; 2],
        shift: [0.0; 2],
        resolution: 1.0,
        gamma: 1.0,
        contrast: 1.0,
        brightness: 0.0,
        noise: 0.0,
    };
}

impl Augment {
    /// A random view. Half of the rolls are spread evenly, half stay near upright.
    pub fn draw(&self, rng: &mut Rng) -> View {
        let even = rng.unit() < 0.5;
        let roll = if even { rng.uniform(-1.0, 1.0) } else { rng.gaussian(0.0, 0.5) };
        let scale = (self.scale * rng.uniform(-1.0, 1.0)).exp2();
        let aspect = 1.0 + self.aspect * rng.uniform(-1.0, 1.0);
        let mirror = if self.mirror && rng.unit() < 0.5 { -1.0 } else { 1.0 };
        let small = rng.unit() < f64::from(self.small);
        let contrast = rng.uniform(self.contrast, 1.1).min(1.0);
        View {
            roll: (roll * self.roll).to_radians(),
            scale: [scale * aspect * mirror, scale],
            shift: [(); 2].map(|()| self.shift * rng.uniform(-1.0, 1.0)),
            resolution: if small { rng.uniform(0.6, 1.0) } else { 1.0 },
            gamma: rng.gaussian(0.0, self.gamma).exp2(),
            contrast,
            brightness: 255.0 * (1.0 - contrast) * rng.uniform(0.0, 1.0),
            noise: if rng.unit() < 0.3 { rng.uniform(0.0, self.noise) } else { 0.0 },
        }
    }
}

/// A crop, and its half.
pub struct Crop {
    whole: Plane,
    half: Plane,
    kernels: &'static Kernels,
}

/// Crop pixels along a pixel of the window from which a crop is halved when it is read.
const COARSEST: f32 = 3.0;

impl Crop {
    /// Reads a picture whose window, as `framing` says, will be drawn `side` pixels wide. Large pictures are halved
    /// until they are no finer than views need.
    pub fn read(
        path: &Path,
        framing: &Framing,
        side: usize,
        kernels: &'static Kernels,
    ) -> Result<Self> {
        let gray = decode_gray_file(path, &Limits::default())?;
        let whole = Plane::from_pixels(gray.width, &gray.data);
        let fine = |p: &Plane| framing.side * p.width as f32 > COARSEST * side as f32;
        let whole = resample::halve_while(kernels, whole, fine);
        // A line of pixels has no half.
        let half = resample::half(kernels, &whole);
        let half = if half.pixels().is_empty() { whole.clone() } else { half };
        Ok(Self { whole, half, kernels })
    }

    /// The level between neighbouring pixels' centres; outside, the crop is mirrored.
    fn at(&self, halved: bool, x: f32, y: f32) -> f32 {
        let plane = if halved { &self.half } else { &self.whole };
        let size = [plane.width, plane.height];
        let scale = if halved { [self.whole.width, self.whole.height] } else { size };
        let place = |v: f32, i: usize| {
            let last = (size[i] - 1) as f32;
            let v = (v * size[i] as f32 / scale[i] as f32 - 0.5).abs();
            let v = if v > last { 2.0 * last - v } else { v }.clamp(0.0, last);
            let low = v as usize;
            (low, (low + 1).min(size[i] - 1), v - v.floor())
        };
        let ((x, x1, fx), (y, y1, fy)) = (place(x, 0), place(y, 1));
        let mix = |row: &[u8]| f32::from(row[x]) * (1.0 - fx) + f32::from(row[x1]) * fx;
        mix(plane.row(y)) * (1.0 - fy) + mix(plane.row(y1)) * fy
    }
}

/// What a view is drawn on: a window, and what is around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Canvas {
    /// Pixels along the canvas.
    pub pixels: usize,
    /// Pixels along the window.
    pub side: usize,
    /// The window's middle, across and down.
    pub middle: f32,
}

/// What a view shows of a crop: the window and the canvas's margin.
pub fn render(
    crop: &Crop,
    framing: &Framing,
    view: &View,
    canvas: &Canvas,
    rng: &mut Rng,
) -> Plane {
    let Canvas { pixels, side: window, middle } = *canvas;
    let n = ((pixels as f32 * view.resolution) as usize).max(1);
    let resolution = n as f32 / pixels as f32;
    let side = framing.side * crop.whole.width as f32;
    // Crop pixels along a pixel of the window.
    let step = view.scale.map(|s| s * side / window as f32 / resolution);
    let centre = [0, 1].map(|i| {
        let size = [crop.whole.width, crop.whole.height][i];
        framing.centre[i] * size as f32 + view.shift[i] * side
    });
    let halved = step[1] > 1.6;
    let (sin, cos) = view.roll.sin_cos();
    let middle = middle * resolution;
    let mut out = Plane::new(n, n);
    for (i, pixel) in out.pixels_mut().iter_mut().enumerate() {
        let dx = ((i % n) as f32 + 0.5 - middle) * step[0];
        let dy = ((i / n) as f32 + 0.5 - middle) * step[1];
        let v = crop.at(halved, centre[0] + cos * dx - sin * dy, centre[1] + sin * dx + cos * dy);
        *pixel = (v + 0.5) as u8;
    }
    if n < pixels {
        out = resample::linear(crop.kernels, &out, [pixels; 2], 0);
    }
    tone(&mut out, view, rng);
    out
}

/// Gamma, contrast, brightness, noise.
fn tone(plane: &mut Plane, view: &View, rng: &mut Rng) {
    let curve: Vec<f32> = (0..256)
        .map(|v| (v as f32 / 255.0).powf(view.gamma) * 255.0 * view.contrast + view.brightness)
        .collect();
    for v in plane.pixels_mut() {
        let noise = if view.noise > 0.0 { view.noise * rng.gaussian(0.0, 1.0) } else { 0.0 };
        *v = (curve[usize::from(*v)] + noise).clamp(0.0, 255.0) as u8;
    }
}
