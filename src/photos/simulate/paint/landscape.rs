//! Landscapes: sky, sun, clouds, hills or mountains, water or meadow, trees. Flows in: a canvas, the clutter,
//! randomness. Flows out: the picture.

use super::canvas::{Canvas, oval};
use super::clutter::{self, Theme};
use super::colour::{Colour, hsv, mix, scale};
use crate::rng::Rng;

/// A line across the picture: sums of waves, in shorter sides.
struct Ridge {
    level: f32,
    waves: Vec<[f32; 3]>,
    /// Whether its tops are sharp.
    sharp: bool,
}

impl Ridge {
    fn random(level: f32, height: f32, sharp: bool, rng: &mut Rng) -> Self {
        let mut wave = |k: usize| {
            let power = 0.55_f32.powi(k as i32);
            let pitch = 1.9_f32.powi(k as i32) * rng.uniform(2.0, 3.4);
            [height * power * rng.uniform(0.6, 1.0), pitch, rng.uniform(0.0, 6.3)]
        };
        Self { level, waves: (0..if sharp { 6 } else { 4 }).map(&mut wave).collect(), sharp }
    }

    /// Its height at x, from the picture's top.
    fn at(&self, x: f32) -> f32 {
        let wave = |&[height, pitch, phase]: &[f32; 3]| {
            let swing = (pitch * x + phase).sin();
            height * if self.sharp { 1.0 - 1.8 * swing.abs() } else { swing }
        };
        self.level - self.waves.iter().map(wave).sum::<f32>()
    }
}

/// Draws a landscape.
pub(super) fn draw(canvas: &mut Canvas, amount: f32, rng: &mut Rng, stuff: &mut Rng) {
    let [_, high] = canvas.extent();
    let horizon = high * rng.uniform(0.42, 0.6);
    let haze = hsv(rng.uniform(0.53, 0.6), rng.uniform(0.12, 0.25), 0.92);
    sky(canvas, horizon, haze, rng);
    let sharp = rng.unit() < 0.45;
    let layers = 2 + rng.below(3);
    let tone = hsv(rng.uniform(0.22, 0.42), rng.uniform(0.35, 0.6), rng.uniform(0.3, 0.45));
    for k in 0..layers {
        let near = (k + 1) as f32 / (layers + 1) as f32;
        let level = horizon + (near - 0.35) * 0.16;
        let height = if sharp { 0.09 } else { 0.045 } * (1.2 - near);
        let ridge = Ridge::random(level, height, sharp && near < 0.6, rng);
        fill_below(canvas, &ridge, mix(haze, tone, 0.25 + 0.75 * near), haze, 0.5 * (1.0 - near));
    }
    let shore = Ridge::random(horizon + 0.13, 0.012, false, rng);
    if rng.unit() < 0.4 {
        water(canvas, &shore, haze, rng);
    } else {
        meadow(canvas, &shore, rng);
    }
    clutter::scatter(canvas, amount, Theme::Outdoors { horizon }, stuff);
    trees(canvas, &shore, rng);
}

fn sky(canvas: &mut Canvas, horizon: f32, haze: Colour, rng: &mut Rng) {
    let top = hsv(rng.uniform(0.56, 0.62), rng.uniform(0.5, 0.65), rng.uniform(0.65, 0.85));
    let unit = canvas.shorter();
    let [wide, _] = canvas.extent();
    canvas.touch_all(|_, y, pixel| {
        *pixel = mix(top, haze, (y / unit / horizon).clamp(0.0, 1.0).powf(1.3));
    });
    let frame = canvas.frame();
    let mut pen = canvas.pen(frame);
    let sun = [rng.uniform(0.12, 0.88) * wide, horizon * rng.uniform(0.18, 0.75)];
    let size = rng.uniform(0.03, 0.055);
    pen.glow(oval(sun[0], sun[1], 10.0 * size, 9.0 * size), 0.45, [1.0, 0.93, 0.75]);
    pen.glow(oval(sun[0], sun[1], 3.0 * size, 3.0 * size), 0.6, [1.0, 0.95, 0.8]);
    pen.ellipse(oval(sun[0], sun[1], size, size), 0.012, [1.0, 0.97, 0.85]);
    for _ in 0..rng.below(6) {
        let (x, y) = (rng.uniform(0.0, wide), rng.uniform(0.08, 0.8) * horizon);
        let span = rng.uniform(0.08, 0.2);
        for _ in 0..7 {
            let (dx, dy) = (rng.uniform(-1.0, 1.0) * span, rng.uniform(-0.12, 0.12) * span);
            let puff =
                oval(x + dx, y + dy, rng.uniform(0.4, 0.8) * span, rng.uniform(0.16, 0.3) * span);
            pen.glow(puff, 0.6, [0.97, 0.97, 0.98]);
        }
    }
}

/// Fills everything below a ridge, lighter and hazier towards its foot.
fn fill_below(canvas: &mut Canvas, ridge: &Ridge, colour: Colour, haze: Colour, fog: f32) {
    below(canvas, ridge, |_, depth, _| mix(colour, haze, fog * (depth * 5.0).min(1.0)));
}

/// Paints below a line: `paint` knows the place across, the depth below the line, and what was there.
fn below(canvas: &mut Canvas, ridge: &Ridge, paint: impl Fn(f32, f32, Colour) -> Colour) {
    let unit = canvas.shorter();
    let tops: Vec<f32> =
        (0..canvas.width).map(|column| unit * ridge.at((column as f32 + 0.5) / unit)).collect();
    canvas.touch_all(|x, y, pixel| {
        let depth = y - tops[x as usize];
        if depth > -0.5 {
            let colour = paint(x / unit, depth / unit, *pixel);
            *pixel = mix(*pixel, colour, (depth + 0.5).min(1.0));
        }
    });
}

fn water(canvas: &mut Canvas, shore: &Ridge, haze: Colour, rng: &mut Rng) {
    let deep = hsv(rng.uniform(0.5, 0.58), rng.uniform(0.5, 0.7), rng.uniform(0.4, 0.55));
    let (pitch, phase) = (rng.uniform(60.0, 90.0), rng.uniform(0.0, 6.0));
    below(canvas, shore, |x, depth, _| {
        // Waves come nearer to each other towards the shore.
        let row = pitch * (depth + 0.02).sqrt();
        let wave = (row + 0.8 * (9.0 * x + phase).sin()).sin() * (17.0 * x + 0.7 * row).sin();
        let far = mix(haze, deep, (0.25 + 3.0 * depth).min(1.0));
        scale(far, 1.0 + 0.1 * wave)
    });
}

fn meadow(canvas: &mut Canvas, shore: &Ridge, rng: &mut Rng) {
    let near = hsv(rng.uniform(0.2, 0.33), rng.uniform(0.45, 0.7), rng.uniform(0.4, 0.6));
    let far = scale(near, 1.25);
    let phase = rng.uniform(0.0, 6.0);
    below(canvas, shore, |x, depth, _| {
        let patch = (6.0 * x + 11.0 * depth + phase).sin() * (9.0 * x - 14.0 * depth).cos();
        let blade = (150.0 * x + 40.0 * (60.0 * depth).sin()).sin();
        scale(mix(far, near, (2.5 * depth).min(1.0)), 1.0 + 0.08 * patch + 0.05 * blade)
    });
}

/// Trees of one kind, the near ones last.
fn trees(canvas: &mut Canvas, shore: &Ridge, rng: &mut Rng) {
    let [wide, _] = canvas.extent();
    let conifers = rng.unit() < 0.5;
    let leaf = hsv(rng.uniform(0.2, 0.4), rng.uniform(0.4, 0.65), rng.uniform(0.2, 0.36));
    let mut places: Vec<[f32; 2]> = (0..2 + rng.below(7))
        .map(|_| [rng.uniform(-0.02, wide + 0.02), rng.uniform(0.01, 0.2)])
        .collect();
    places.sort_by(|a, b| a[1].total_cmp(&b[1]));
    for [x, depth] in places {
        let foot = shore.level + depth;
        let size = (0.1 + 0.9 * depth) * rng.uniform(0.8, 1.25);
        let colour = scale(leaf, rng.uniform(0.85, 1.15));
        let frame = canvas.frame().child([x, foot], size, rng.uniform(-0.03, 0.03));
        let mut pen = canvas.pen(frame);
        pen.shade(oval(0.15, 0.0, 0.6, 0.12), [0.6, 0.62, 0.62]);
        pen.stroke([[0.0, 0.02], [0.01, -0.2], [0.0, -0.5]], [0.1, 0.07, 0.05], [0.25, 0.17, 0.11]);
        if conifers {
            for k in 0..4 {
                let (top, half) = (-1.3 + 0.26 * k as f32, 0.16 + 0.07 * k as f32);
                let skirt = [[0.0, top], [half, top + 0.42], [-half, top + 0.42]];
                pen.polygon_with(&skirt, 0.03, |[u, _], _| (scale(colour, 1.0 - 0.9 * u), 1.0));
            }
        } else {
            for _ in 0..9 {
                let (dx, dy) = (rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.25));
                let puff = oval(dx, -0.8 + dy, rng.uniform(0.18, 0.3), rng.uniform(0.16, 0.26));
                let light = 1.0 - 0.8 * dy - 0.3 * dx;
                pen.ellipse_with(puff, 0.05, |[p, q]| {
                    (scale(colour, light - 0.18 * q - 0.08 * p), 0.95)
                });
            }
        }
    }
}
