//! Portraits: one or two people before a background. Flows in: a canvas, the clutter, randomness. Flows out: the
//! picture and where its faces are.

use super::FaceBox;
use super::canvas::{Canvas, Frame, Pen, oval};
use super::clutter::{self, Theme};
use super::colour::{Colour, hsv, mix, scale};
use super::face::{self, HALF_WIDTH};
use super::hair;
use super::outline::{mirrored, smooth};
use super::person::{LightFrom, Person, light_from};
use crate::rng::Rng;

/// Draws people and says where their faces are.
pub(super) fn draw(
    canvas: &mut Canvas,
    amount: f32,
    rng: &mut Rng,
    stuff: &mut Rng,
) -> Vec<FaceBox> {
    let light = light_from(rng);
    background(canvas, light, rng);
    clutter::scatter(canvas, amount, Theme::Party, stuff);
    let [wide, high] = canvas.extent();
    let two = wide > 1.15 && rng.unit() < 0.45;
    let places: Vec<(f32, f32)> = if two {
        let height = rng.uniform(0.33, 0.40);
        let (left, right) = (rng.uniform(0.27, 0.32), rng.uniform(0.68, 0.73));
        vec![(wide * left, height), (wide * right, height * rng.uniform(0.9, 1.05))]
    } else {
        vec![(wide * rng.uniform(0.4, 0.6), rng.uniform(0.36, 0.5))]
    };
    let mut faces = Vec::new();
    for (x, height) in places {
        let y = high * rng.uniform(0.42, 0.5);
        let upright = Frame { scale: height * canvas.shorter(), ..canvas.frame() };
        let origin = canvas.frame().place([x, y]);
        let frame = Frame { origin, angle: rng.gaussian(0.0, 0.05).clamp(-0.12, 0.12), ..upright };
        person(&mut canvas.pen(frame), &Person::random(rng), light, rng);
        faces.push(face_box(&frame));
    }
    faces
}

/// The box of a face, upright.
fn face_box(frame: &Frame) -> FaceBox {
    let (w, h) = (2.0 * HALF_WIDTH * frame.scale, frame.scale);
    FaceBox { x: frame.origin[0] - 0.5 * w, y: frame.origin[1] - 0.5 * h, w, h }
}

/// A wall that is lighter where the light comes from, with soft large shapes far behind.
fn background(canvas: &mut Canvas, light: LightFrom, rng: &mut Rng) {
    let hue = rng.gaussian(0.44, 0.07);
    let base = hsv(hue, rng.uniform(0.4, 0.55), rng.uniform(0.62, 0.78));
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    canvas.touch_all(|x, y, pixel| {
        let side = light[0] * (x / width - 0.5);
        *pixel = scale(base, 1.08 + 0.5 * side - 0.22 * y / height);
    });
    let [wide, high] = canvas.extent();
    let frame = canvas.frame();
    for _ in 0..rng.below(5) {
        let radius = rng.uniform(0.2, 0.45);
        let spot = oval(rng.uniform(0.0, wide), rng.uniform(0.0, high), radius, radius);
        let other = hsv(hue + rng.uniform(-0.08, 0.08), 0.45, rng.uniform(0.45, 0.9));
        canvas.pen(frame).glow(spot, 0.5, other);
    }
}

fn person(pen: &mut Pen, person: &Person, light: LightFrom, rng: &mut Rng) {
    // A soft shadow parts the person from the wall.
    pen.shade(oval(-0.1 * light[0], 0.1, 0.9, 1.2), [0.78, 0.78, 0.8]);
    let upright = Frame { angle: 0.3 * pen.frame.angle, ..pen.frame };
    body(&mut pen.canvas.pen(upright), person, light);
    hair::behind(pen, person, rng);
    neck(pen, person, light);
    face::draw(pen, person, light);
    hair::front(pen, person, rng);
}

/// Shoulders and clothes, down to the picture's lower edge.
fn body(pen: &mut Pen, person: &Person, light: LightFrom) {
    let half = [
        [0.0, 0.62],
        [0.24, 0.7],
        [0.5, 0.82],
        [0.78, 0.94],
        [0.93, 1.2],
        [1.0, 1.8],
        [1.05, 4.0],
        [0.0, 4.0],
    ];
    let outline = smooth(&mirrored(&half), 4);
    let (clothes, trim, striped) = (person.clothes, person.trim, person.striped);
    let pixels = pen.frame.scale;
    pen.polygon_with(&outline, 0.02, |[u, v], _| {
        let fold = 0.05 * (7.0 * u + 3.0 * v).sin() * (5.0 * v - 2.0 * u).cos();
        let round = 1.0 - 0.28 * (u / 1.0).powi(2) + 0.35 * light[0] * u;
        let top = (1.05 - 0.16 * (v - 0.7)).max(0.6);
        // The distance to a stripe's edge; seven stripes to a unit.
        let inwards = (0.2 - ((v * 7.0).rem_euclid(1.0) - 0.5).abs()) / 7.0;
        let stripe = if striped { 0.85 * (0.5 + inwards * pixels).clamp(0.0, 1.0) } else { 0.0 };
        (scale(mix(clothes, trim, stripe), (round + fold) * top), 1.0)
    });
    collar(pen, person.skin, scale(person.clothes, 0.6));
}

fn collar(pen: &mut Pen, skin: Colour, edge: Colour) {
    pen.ellipse(oval(0.0, 0.68, 0.29, 0.17), 0.02, edge);
    pen.ellipse_with(oval(0.0, 0.67, 0.265, 0.15), 0.02, |[p, q]| {
        (scale(skin, 0.8 - 0.1 * p.abs() + 0.06 * q), 1.0)
    });
}

/// The neck, in the chin's shadow.
fn neck(pen: &mut Pen, person: &Person, light: LightFrom) {
    let half = [[0.0, 0.2], [0.23, 0.25], [0.215, 0.5], [0.23, 0.66], [0.15, 0.76], [0.0, 0.8]];
    let skin = person.skin;
    pen.polygon_with(&smooth(&mirrored(&half), 4), 0.02, |[u, v], _| {
        let shadow = 0.42 + 0.75 * ((v - 0.5) / 0.28).clamp(0.0, 1.0).powi(2) * 0.55;
        let round = 1.0 - 0.35 * (u / 0.23).powi(2) + 0.8 * light[0] * u;
        let lit = (shadow + 0.08) * round;
        ([skin[0] * lit * 1.04, skin[1] * lit, skin[2] * lit * 0.96], 1.0)
    });
}
