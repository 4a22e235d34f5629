//! Many small things. Flows in: how many (0 none, 1 all), randomness. Flows out: shapes on the canvas.
//!
//! The things follow each other in one random order: a larger amount draws the same ones and some more. Most are
//! darker than what lies behind them, some are light; they are denser near the picture's edges.

use super::canvas::{Canvas, Pen, oval};
use super::colour::{Colour, hsv, scale};
use crate::rng::Rng;

/// How many things a full background holds, for each square of the picture's shorter side.
const MOST: f32 = 120.0;
/// A thing's half size, in shorter sides.
const SIZES: [f32; 2] = [0.018, 0.042];
/// The part of the things that are dark.
const DARK: f64 = 0.82;

/// What lies around.
#[derive(Clone, Copy)]
pub(super) enum Theme {
    /// Confetti and streamers.
    Party,
    /// Birds and kites above the horizon (in shorter sides); stones, flowers and tents below.
    Outdoors { horizon: f32 },
    /// Crumbs, berries, herbs and sticks.
    Table,
}

#[derive(Clone, Copy)]
enum Shape {
    Disc,
    Pebble,
    Square,
    Triangle,
    Star,
    Rod,
    Kite,
    Bird,
    Leaf,
}

impl Theme {
    fn shapes(self, y: f32) -> &'static [Shape] {
        use Shape::{Bird, Disc, Kite, Leaf, Pebble, Rod, Square, Star, Triangle};
        match self {
            Self::Party => &[Disc, Square, Triangle, Star, Rod],
            Self::Outdoors { horizon } if y < horizon => &[Bird, Kite, Kite],
            Self::Outdoors { .. } => &[Pebble, Star, Triangle, Pebble],
            Self::Table => &[Disc, Leaf, Leaf, Triangle, Rod],
        }
    }

    /// How far things are turned, in radians either way.
    fn turn(self) -> f32 {
        if matches!(self, Self::Outdoors { .. }) { 0.35 } else { std::f32::consts::PI }
    }
}

/// Shapes all over the picture, behind whatever is drawn next.
pub(super) fn scatter(canvas: &mut Canvas, amount: f32, theme: Theme, rng: &mut Rng) {
    let [wide, high] = canvas.extent();
    let number = MOST * wide * high * amount;
    for k in 0..number.ceil() as usize {
        let at = [wide * outwards(rng), high * outwards(rng)];
        let size = rng.uniform(SIZES[0], SIZES[1]);
        // The last one grows with the amount.
        let part = (number - k as f32).min(1.0);
        thing(canvas, at, size * part, theme, rng);
    }
}

/// In [0, 1], more often near the ends.
fn outwards(rng: &mut Rng) -> f32 {
    let across = rng.uniform(-1.0, 1.0);
    0.5 + 0.5 * across.signum() * across.abs().powf(0.6)
}

/// A colour that is seen on most backgrounds.
fn lively(rng: &mut Rng) -> Colour {
    let value = if rng.unit() < DARK { rng.uniform(0.1, 0.32) } else { rng.uniform(0.9, 1.0) };
    hsv(rng.uniform(0.0, 1.0), rng.uniform(0.4, 0.85), value)
}

/// One thing, lit from above.
fn thing(canvas: &mut Canvas, at: [f32; 2], size: f32, theme: Theme, rng: &mut Rng) {
    let colour = lively(rng);
    let angle = theme.turn() * rng.uniform(-1.0, 1.0);
    let stretch = rng.uniform(0.8, 1.2);
    let shapes = theme.shapes(at[1]);
    let shape = shapes[rng.below(shapes.len())];
    let frame = canvas.frame().child(at, size, angle);
    let mut pen = canvas.pen(frame);
    match shape {
        Shape::Disc | Shape::Pebble => {
            let flat = if matches!(shape, Shape::Disc) { stretch } else { 0.6 * stretch };
            pen.ellipse_with(oval(0.0, 0.0, 1.0, flat), 0.0, |[p, q]| {
                (scale(colour, 1.05 - 0.25 * q - 0.1 * p), 1.0)
            });
        }
        Shape::Bird => {
            for side in [-1.4, 1.4] {
                let wing = [[0.0, 0.25], [0.4 * side, -0.9 * stretch], [side, -0.1]];
                pen.stroke(wing, [0.5, 0.55, 0.1], colour);
            }
        }
        Shape::Square => {
            fill(&mut pen, &[[-0.9, -0.8], [0.9, -0.8], [0.9, 0.8], [-0.9, 0.8]], colour)
        }
        Shape::Triangle => fill(&mut pen, &[[0.0, -1.1], [1.1, 0.7], [-1.1, 0.7]], colour),
        Shape::Rod => {
            fill(&mut pen, &[[-1.9, -0.35], [1.9, -0.35], [1.9, 0.35], [-1.9, 0.35]], colour)
        }
        Shape::Kite => {
            fill(&mut pen, &[[0.0, -1.3], [0.9, -0.3], [0.0, 1.4], [-0.9, -0.3]], colour)
        }
        Shape::Leaf => {
            let leaf =
                [[-1.4, 0.0], [-0.7, -0.5], [0.3, -0.6], [1.4, 0.0], [0.3, 0.6], [-0.7, 0.5]];
            fill(&mut pen, &leaf, colour);
        }
        Shape::Star => {
            let point = |k: usize| {
                let turn = k as f32 * std::f32::consts::PI / 5.0;
                let reach = if k.is_multiple_of(2) { 1.35 } else { 0.7 };
                [reach * turn.sin(), -reach * turn.cos()]
            };
            fill(&mut pen, &std::array::from_fn::<_, 10, _>(point), colour);
        }
    }
}

fn fill(pen: &mut Pen, outline: &[[f32; 2]], colour: Colour) {
    pen.polygon_with(outline, 0.0, |[u, v], _| (scale(colour, 1.0 - 0.12 * (u + v)), 1.0));
}
