//! The picture at falling sizes. Flows in: a gray picture. Flows out: [`Level`]s with a border.

use super::{Settings, WINDOW};
use crate::image::GrayPicture;
use likenet_kernels::cpu::cells::CELL;
use likenet_kernels::cpu::resample::{self, Plane};
use likenet_kernels::cpu::table::Kernels;

/// Pixels around each level that repeat its border: faces may be cut off by almost a third.
pub const BORDER: usize = 13;

/// Fewest pixels along a level: below, even the border leaves no room for a window.
const SMALLEST: usize = CELL * WINDOW + 6 - 2 * BORDER;

/// A picture is not enlarged beyond so many pixels, whatever the smallest window.
const MOST_PIXELS: f32 = 64e6;

/// A picture's levels, made when asked for.
pub struct Pyramid {
    kernels: &'static Kernels,
    /// The picture, halved again and again.
    octaves: Vec<Plane>,
    /// Octave and size (width, height) of each level, largest first.
    levels: Vec<(usize, [usize; 2])>,
}

/// A level.
pub struct Level {
    /// Pixels, [`BORDER`] more on each side.
    pub plane: Plane,
    /// Pixels of the picture along a pixel of the level: across and down.
    pub scale: [f32; 2],
}

impl Pyramid {
    /// The levels in which windows of the smallest size and more fit.
    pub fn new(picture: &GrayPicture, settings: &Settings) -> Self {
        let [width, height] = [picture.width, picture.height];
        let bound = ((width * height) as f32 / MOST_PIXELS).sqrt().clamp(1.0 / 16.0, 1.0);
        let first = (settings.min_size / (CELL * WINDOW) as f32).max(bound);
        let mut octaves = vec![Plane::from_pixels(width, &picture.data)];
        let mut levels = Vec::new();
        for i in 0.. {
            let scale = first * (i as f32 / settings.levels_per_octave as f32).exp2();
            let size = [width, height].map(|n| (n as f32 / scale).round() as usize);
            if size[0] < SMALLEST || size[1] < SMALLEST {
                break;
            }
            // Between its own size and the half: interpolation skips no pixel.
            let octave = scale.log2().floor().max(0.0) as usize;
            while octaves.len() <= octave {
                octaves.push(resample::half(settings.kernels, &octaves[octaves.len() - 1]));
            }
            levels.push((octave, size));
        }
        Self { kernels: settings.kernels, octaves, levels }
    }

    /// How many levels there are.
    pub fn len(&self) -> usize {
        self.levels.len()
    }

    /// Whether the picture is too small for any window.
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// Instruction set.
    pub fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    /// Level `i`.
    ///
    /// # Panics
    /// Where there are fewer.
    pub fn level(&self, i: usize) -> Level {
        let (octave, size) = self.levels[i];
        let [w, h] = [self.octaves[0].width, self.octaves[0].height];
        Level {
            plane: resample::linear(self.kernels, &self.octaves[octave], size, BORDER),
            scale: [w as f32 / size[0] as f32, h as f32 / size[1] as f32],
        }
    }
}
