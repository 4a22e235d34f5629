//! Many small things. Flows in: how many (0 none, 1 all), randomness. Flows out: shapes on the canvas.
//!
//! The things follow each other in one random order: a larger amount draws the same ones and some more. Most are
//! darker than what lies behind them, some are light.

use super::canvas::{Canvas, Frame, oval};
use super::colour::{Colour, hsv, scale};
use crate::rng::Rng;

/// What a full background holds, for each square of the picture's shorter side.
const MOST: f32 = 95.0;

/// Shapes all over the picture, behind whatever is drawn next.
pub(super) fn behind(canvas: &mut Canvas, amount: f32, rng: &mut Rng) {
    let [wide, high] = canvas.extent();
    scatter(canvas, amount, [0.0, wide, 0.0, high], rng);
}

/// Shapes within [left, right, top, bottom], in shorter sides.
pub(super) fn scatter(
    canvas: &mut Canvas,
    amount: f32,
    [left, right, top, bottom]: [f32; 4],
    rng: &mut Rng,
) {
    let [wide, high] = canvas.extent();
    let shapes = MOST * wide * high * amount;
    for k in 0..shapes.ceil() as usize {
        let at = [rng.uniform(left, right), rng.uniform(top, bottom)];
        let size = rng.uniform(0.016, 0.036);
        let colour = lively(rng);
        // The last one grows with the amount.
        let part = (shapes - k as f32).min(1.0);
        thing(canvas, at, size * part, colour, rng);
    }
}

/// A colour that is seen on most backgrounds.
fn lively(rng: &mut Rng) -> Colour {
    let value = if rng.unit() < 0.78 { rng.uniform(0.06, 0.3) } else { rng.uniform(0.9, 1.0) };
    hsv(rng.uniform(0.0, 1.0), rng.uniform(0.3, 0.8), value)
}

/// A disc, a box, a triangle, a star or a rod, lit from above.
fn thing(canvas: &mut Canvas, at: [f32; 2], size: f32, colour: Colour, rng: &mut Rng) {
    let angle = rng.uniform(0.0, std::f32::consts::TAU);
    let frame = canvas.frame().child(at, size, angle);
    let kind = rng.below(5);
    let stretch = rng.uniform(0.75, 1.25);
    let mut pen = canvas.pen(Frame { angle: if kind == 0 { 0.0 } else { angle }, ..frame });
    let outline: Vec<[f32; 2]> = match kind {
        0 => {
            pen.ellipse_with(oval(0.0, 0.0, 1.0, stretch), 0.0, |[p, q]| {
                (scale(colour, 1.05 - 0.25 * q - 0.1 * p), 1.0)
            });
            return;
        }
        1 => vec![[-0.9, -0.8], [0.9, -0.8], [0.9, 0.8], [-0.9, 0.8]],
        2 => vec![[0.0, -1.2], [1.1, 0.8], [-1.1, 0.8]],
        3 => (0..10)
            .map(|k| {
                let (turn, reach) = (k as f32 * std::f32::consts::PI / 5.0, if k % 2 == 0 { 1.4 } else { 0.7 });
                [reach * turn.sin(), -reach * turn.cos()]
            })
            .collect(),
        _ => vec![[-1.9, -0.35], [1.9, -0.35], [1.9, 0.35], [-1.9, 0.35]],
    };
    pen.polygon_with(&outline, 0.0, |[u, v], _| (scale(colour, 1.0 - 0.12 * (u + v)), 1.0));
}
