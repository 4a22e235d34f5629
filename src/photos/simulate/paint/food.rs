//! Food: a plate on a table, seen from above. Flows in: a canvas, the clutter, randomness. Flows out: the picture.

use super::canvas::{Canvas, Pen, oval};
use super::clutter::{self, Theme};
use super::colour::{Colour, hsv, mix, pick, scale};
use super::outline::smooth;
use crate::rng::Rng;

/// Draws a plate with a meal on it. In the pen's frame the plate's radius is 1.
pub(super) fn draw(canvas: &mut Canvas, amount: f32, rng: &mut Rng, stuff: &mut Rng) {
    let [wide, high] = canvas.extent();
    table(canvas, rng);
    clutter::scatter(canvas, amount, Theme::Table, stuff);
    let radius = rng.uniform(0.33, 0.42);
    let at = [wide * rng.uniform(0.45, 0.55), high * rng.uniform(0.46, 0.54)];
    let frame = canvas.frame().child(at, radius, rng.uniform(-0.4, 0.4));
    let mut pen = canvas.pen(frame);
    if wide > 1.1 || rng.unit() < 0.3 {
        cutlery(&mut pen);
    }
    plate(&mut pen, rng);
    ornament(&mut pen, rng);
    sauce(&mut pen, rng);
    match rng.below(3) {
        0 => noodles(&mut pen, rng),
        1 => leaves(&mut pen, 16, rng),
        _ => grains(&mut pen, rng),
    }
    for _ in 0..3 + rng.below(4) {
        match rng.below(3) {
            0 => slice(&mut pen, rng),
            1 => chunk(&mut pen, rng),
            _ => leaves(&mut pen, 4, rng),
        }
    }
    berries(&mut pen, rng);
}

/// A place on the plate, within `reach` radii of its middle.
fn place(rng: &mut Rng, reach: f32) -> [f32; 2] {
    let (angle, radius) =
        (rng.uniform(0.0, std::f32::consts::TAU), reach * (rng.unit() as f32).sqrt());
    [radius * angle.cos(), radius * angle.sin()]
}

/// Boards, or a cloth with a pattern.
fn table(canvas: &mut Canvas, rng: &mut Rng) {
    const WOODS: [Colour; 3] = [[0.62, 0.50, 0.30], [0.50, 0.42, 0.26], [0.70, 0.60, 0.40]];
    let wood = pick(rng, &WOODS);
    let frame = canvas.frame().child([0.5, 0.5], 1.0, rng.uniform(-0.3, 0.3));
    let local = frame.inverse();
    let (board, phase) = (rng.uniform(3.0, 5.0), rng.uniform(0.0, 6.0));
    let cloth = rng.unit() < 0.5;
    let linen = hsv(rng.uniform(0.28, 0.46), rng.uniform(0.3, 0.5), rng.uniform(0.55, 0.75));
    canvas.touch_all(|x, y, pixel| {
        let [u, v] = local(x, y);
        *pixel = if cloth {
            let weave = (90.0 * u).sin() * (90.0 * v).sin();
            scale(linen, 1.0 + 0.05 * weave)
        } else {
            let number = (v * board).floor();
            let within = (v * board - number - 0.5).abs();
            let grain = (40.0 * v + 2.0 * (3.0 * u + 5.0 * number + phase).sin()).sin();
            let seam = if within > 0.485 { 0.6 } else { 1.0 };
            scale(wood, seam * (1.0 + 0.05 * grain + 0.07 * (7.1 * number + phase).sin()))
        };
    });
}

/// A fork at the left, a knife at the right.
fn cutlery(pen: &mut Pen) {
    let steel = [0.75, 0.76, 0.78];
    for (x, blade) in [(-1.3, 0.0), (1.3, 1.0)] {
        pen.shade(oval(x + 0.04, 0.03, 0.14, 1.0), [0.7; 3]);
        pen.stroke([[x, 0.75], [x, 0.3], [x, -0.1]], [0.09, 0.06, 0.05], steel);
        if blade > 0.0 {
            pen.stroke([[x, -0.05], [x + 0.03, -0.4], [x, -0.75]], [0.09, 0.15, 0.02], steel);
        } else {
            pen.stroke([[x, -0.05], [x, -0.2], [x, -0.38]], [0.06, 0.2, 0.18], steel);
            for tine in [-0.07, 0.0, 0.07] {
                let at = x + tine;
                pen.stroke([[at, -0.3], [at, -0.5], [at, -0.72]], [0.04, 0.04, 0.03], steel);
            }
        }
    }
}

fn plate(pen: &mut Pen, rng: &mut Rng) {
    const GLAZES: [Colour; 4] =
        [[0.92, 0.91, 0.89], [0.88, 0.86, 0.80], [0.80, 0.86, 0.88], [0.62, 0.66, 0.68]];
    let glaze = pick(rng, &GLAZES);
    pen.shade(oval(0.06, 0.09, 1.25, 1.25), [0.35, 0.35, 0.37]);
    pen.ellipse_with(oval(0.0, 0.0, 1.0, 1.0), 0.0, |[p, q]| {
        (scale(glaze, 1.0 - 0.05 * p - 0.07 * q), 1.0)
    });
    // The step between rim and well turns away from the light on one side, towards it on the other.
    pen.ellipse_with(oval(0.0, 0.0, 0.74, 0.74), 0.03, |[p, q]| {
        (scale(glaze, 0.86 + 0.09 * p + 0.12 * q), 1.0)
    });
    pen.ellipse_with(oval(0.0, 0.0, 0.7, 0.7), 0.05, |[p, q]| {
        (scale(glaze, 0.95 - 0.03 * p - 0.03 * q), 1.0)
    });
}

/// A painted ring on the rim, or dots.
fn ornament(pen: &mut Pen, rng: &mut Rng) {
    let colour = hsv(rng.uniform(0.3, 0.7), rng.uniform(0.4, 0.7), rng.uniform(0.3, 0.6));
    let dots = 14 + rng.below(12);
    match rng.below(3) {
        0 => pen.ellipse_with(oval(0.0, 0.0, 0.95, 0.95), 0.0, |[p, q]| {
            let within = (p * p + q * q).sqrt();
            (colour, if within > 0.9 { 0.85 } else { 0.0 })
        }),
        1 => {
            for k in 0..dots {
                let angle = k as f32 * std::f32::consts::TAU / dots as f32;
                let dot = oval(0.87 * angle.cos(), 0.87 * angle.sin(), 0.06, 0.045).turned(angle);
                pen.ellipse(dot, 0.01, colour);
            }
        }
        _ => {}
    }
}

/// A pool with a wavy edge.
fn sauce(pen: &mut Pen, rng: &mut Rng) {
    const SAUCES: [Colour; 4] =
        [[0.72, 0.26, 0.12], [0.80, 0.55, 0.20], [0.42, 0.26, 0.14], [0.55, 0.58, 0.22]];
    let colour = pick(rng, &SAUCES);
    let edge: Vec<[f32; 2]> = (0..11)
        .map(|k| {
            let (angle, reach) = (k as f32 * std::f32::consts::TAU / 11.0, rng.uniform(0.54, 0.68));
            [reach * angle.cos(), reach * angle.sin()]
        })
        .collect();
    pen.polygon_with(&smooth(&edge, 4), 0.03, |[u, v], _| {
        (scale(colour, 1.0 - 0.1 * (u + v) + 0.05 * (11.0 * u).sin() * (9.0 * v).sin()), 0.95)
    });
}

fn noodles(pen: &mut Pen, rng: &mut Rng) {
    let colour = pick(rng, &[[0.90, 0.76, 0.45], [0.86, 0.68, 0.38]]);
    for _ in 0..34 {
        let (start, end, bend) = (place(rng, 0.58), place(rng, 0.58), place(rng, 0.7));
        let light = rng.uniform(0.78, 1.12);
        pen.stroke([start, bend, end], [0.06; 3], scale(colour, 0.6 * light));
        let lifted = [start, bend, end].map(|[x, y]| [x - 0.008, y - 0.01]);
        pen.stroke(lifted, [0.042; 3], scale(colour, light));
    }
}

fn leaves(pen: &mut Pen, count: usize, rng: &mut Rng) {
    for _ in 0..count {
        let hue = rng.uniform(0.22, 0.36);
        let colour = hsv(hue, rng.uniform(0.55, 0.8), rng.uniform(0.35, 0.7));
        let frame =
            pen.frame.child(place(rng, 0.56), rng.uniform(0.16, 0.26), rng.uniform(0.0, 6.3));
        let mut leaf = pen.canvas.pen(frame);
        let outline = [[-1.0, 0.0], [-0.3, -0.5], [0.5, -0.4], [1.0, 0.0], [0.5, 0.4], [-0.3, 0.5]];
        leaf.shade(oval(0.15, 0.15, 1.2, 0.8), [0.6, 0.6, 0.62]);
        leaf.polygon_with(&smooth(&outline, 3), 0.06, |[u, v], _| {
            let vein = if v.abs() < 0.06 { 1.25 } else { 1.0 };
            (scale(colour, vein * (1.0 - 0.25 * v + 0.1 * (14.0 * u + 10.0 * v.abs()).sin())), 1.0)
        });
    }
}

/// Rice, beans or peas.
fn grains(pen: &mut Pen, rng: &mut Rng) {
    const GRAINS: [Colour; 3] = [[0.93, 0.90, 0.82], [0.45, 0.62, 0.24], [0.62, 0.30, 0.20]];
    let colour = pick(rng, &GRAINS);
    for _ in 0..130 {
        let [x, y] = place(rng, 0.62);
        let (angle, light) = (rng.uniform(0.0, 3.2), rng.uniform(0.75, 1.08));
        let grain = oval(x, y, 0.055, 0.034).turned(angle);
        pen.ellipse(
            oval(x + 0.012, y + 0.016, 0.055, 0.036).turned(angle),
            0.02,
            scale(colour, 0.5),
        );
        pen.ellipse(grain, 0.01, scale(colour, light));
    }
}

/// A slice of a tomato, a cucumber or a lemon.
fn slice(pen: &mut Pen, rng: &mut Rng) {
    const SLICES: [[Colour; 2]; 3] = [
        [[0.72, 0.14, 0.10], [0.88, 0.36, 0.24]],
        [[0.20, 0.42, 0.16], [0.76, 0.84, 0.56]],
        [[0.88, 0.72, 0.16], [0.95, 0.88, 0.52]],
    ];
    let [skin, flesh] = SLICES[rng.below(SLICES.len())];
    let [x, y] = place(rng, 0.52);
    let (radius, phase) = (rng.uniform(0.13, 0.2), rng.uniform(0.0, 6.0));
    pen.shade(oval(x + 0.03, y + 0.04, 1.35 * radius, 1.35 * radius), [0.5, 0.5, 0.52]);
    pen.ellipse(oval(x, y, radius, radius), 0.01, skin);
    pen.ellipse_with(oval(x, y, 0.86 * radius, 0.86 * radius), 0.02, |[p, q]| {
        let spoke = (6.0 * q.atan2(p) + phase).cos();
        let ring = p * p + q * q;
        let seeds = (spoke * 2.0).clamp(0.0, 1.0) * (1.0 - (4.0 * ring - 1.8).abs()).max(0.0);
        (mix(flesh, scale(skin, 1.05), 0.5 * seeds), 1.0)
    });
}

/// A piece of meat, tofu or potato.
fn chunk(pen: &mut Pen, rng: &mut Rng) {
    const CHUNKS: [Colour; 4] =
        [[0.45, 0.24, 0.14], [0.85, 0.72, 0.46], [0.66, 0.40, 0.22], [0.90, 0.55, 0.20]];
    let colour = pick(rng, &CHUNKS);
    let frame = pen.frame.child(place(rng, 0.5), rng.uniform(0.13, 0.22), rng.uniform(0.0, 6.3));
    let mut pen = pen.canvas.pen(frame);
    let outline: Vec<[f32; 2]> = (0..7)
        .map(|k| {
            let (angle, reach) = (k as f32 * std::f32::consts::TAU / 7.0, rng.uniform(0.75, 1.1));
            [1.2 * reach * angle.cos(), 0.85 * reach * angle.sin()]
        })
        .collect();
    pen.shade(oval(0.15, 0.2, 1.6, 1.3), [0.45, 0.45, 0.47]);
    pen.polygon_with(&smooth(&outline, 3), 0.06, |[u, v], _| {
        let crust = (u * u + v * v).min(1.0);
        let lit = 1.12 - 0.25 * crust - 0.15 * (u + v) + 0.08 * (9.0 * u).sin() * (8.0 * v).sin();
        (scale(colour, lit), 1.0)
    });
}

fn berries(pen: &mut Pen, rng: &mut Rng) {
    const BERRIES: [Colour; 4] =
        [[0.70, 0.10, 0.12], [0.22, 0.20, 0.42], [0.85, 0.45, 0.10], [0.25, 0.45, 0.15]];
    let colour = pick(rng, &BERRIES);
    for _ in 0..rng.below(9) {
        let [x, y] = place(rng, 0.58);
        let radius = rng.uniform(0.04, 0.065);
        pen.shade(oval(x + 0.02, y + 0.025, 1.7 * radius, 1.7 * radius), [0.5; 3]);
        pen.ellipse_with(oval(x, y, radius, radius), 0.01, |[p, q]| {
            (scale(colour, 1.1 - 0.4 * p * p - 0.3 * q - 0.15 * p), 1.0)
        });
        pen.glow(
            oval(x - 0.3 * radius, y - 0.35 * radius, 0.5 * radius, 0.4 * radius),
            0.7,
            [1.0; 3],
        );
    }
}
