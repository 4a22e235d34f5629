//! Pictures for a simulated photo network, drawn by the program itself.
//!
//! Flows in: what a picture shows, how it looks, a seed. Flows out: the picture, and where its faces are.
//!
//! ```text
//! seed → who, where, which colours ─┐
//! subject ─ kind: portrait, landscape, meme, food → canvas ─ grade (light, lens, sensor) → Picture, FaceBox
//!         └ looks: clutter → shapes behind ┘                  └ looks: warmth, brightness, saturation
//! ```
//!
//! Nobody who is drawn exists, and nothing is copied from a photo.

mod canvas;
mod clutter;
mod colour;
mod face;
mod food;
mod grade;
mod hair;
mod landscape;
mod meme;
mod outline;
mod person;
mod portrait;
#[cfg(test)]
mod tests;

use crate::image::Picture;
use crate::rng::Rng;
use canvas::Canvas;

/// What a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One or two people, head and shoulders.
    Portrait,
    /// Sky, hills, water or meadow, trees.
    Landscape,
    /// A sentence in large letters.
    Meme,
    /// A plate seen from above.
    Food,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Portrait, Self::Landscape, Self::Meme, Self::Food];
}

/// By what pictures of a kind differ visibly; each in [0, 1], where ½ is a picture's usual look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Looks {
    /// The light: 0 blue, 1 golden.
    pub warmth: f32,
    /// 0 dusk, 1 a bright day.
    pub brightness: f32,
    /// 0 gray, 1 colourful.
    pub saturation: f32,
    /// 0 a plain background, 1 one full of small things.
    pub clutter: f32,
}

/// What is to be drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Subject {
    /// What the picture shows.
    pub kind: Kind,
    /// How it looks.
    pub looks: Looks,
}

/// A face's place in pixels: from the hairline to the chin, from cheek to cheek. It may reach outside the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaceBox {
    /// Left.
    pub x: f32,
    /// Top.
    pub y: f32,
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
}

/// A drawn picture and what is true of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Painted {
    /// The picture.
    pub picture: Picture,
    /// Its faces, in no order: none where it is no portrait.
    pub faces: Vec<FaceBox>,
}

/// The shapes of pictures: the shorter side in parts of the longer one.
const FORMATS: [f32; 4] = [1.0, 0.8, 0.75, 2.0 / 3.0];

/// Draws a picture whose longer side is `side` pixels, at least 16; the same arguments give the same picture.
/// (Sines are the machine's own: on another one single pixels may differ by one.)
///
/// The seed decides what has nothing to do with the looks: the picture's format, who is in it, where things are.
/// Looks outside of [0, 1] count as the nearest number within.
pub fn paint(subject: &Subject, seed: u64, side: u32) -> Painted {
    // What the looks change must not change what else is drawn: each has randomness of its own.
    let [mut rng, mut stuff, mut sensor] =
        [0, 1, 2].map(|stream| Rng::new(seed.wrapping_mul(3).wrapping_add(stream)));
    let Looks { warmth, brightness, saturation, clutter } = subject.looks;
    let looks = Looks {
        warmth: warmth.clamp(0.0, 1.0),
        brightness: brightness.clamp(0.0, 1.0),
        saturation: saturation.clamp(0.0, 1.0),
        clutter: clutter.clamp(0.0, 1.0),
    };
    let longer = side.max(16) as usize;
    let shorter = (longer as f32 * FORMATS[rng.below(FORMATS.len())]).round() as usize;
    let upright = rng.unit() < 0.5;
    let (width, height) = if upright { (shorter, longer) } else { (longer, shorter) };
    let mut canvas = Canvas::new(width, height);
    let mut faces = Vec::new();
    match subject.kind {
        Kind::Portrait => {
            faces = portrait::draw(&mut canvas, looks.clutter, &mut rng, &mut stuff);
        }
        Kind::Landscape => landscape::draw(&mut canvas, looks.clutter, &mut rng, &mut stuff),
        Kind::Meme => meme::draw(&mut canvas, looks.clutter, &mut rng, &mut stuff),
        Kind::Food => food::draw(&mut canvas, looks.clutter, &mut rng, &mut stuff),
    }
    Painted { picture: grade::grade(&canvas, &looks, &mut sensor), faces }
}
