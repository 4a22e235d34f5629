//! A face, modelled by light and shadow. Flows in: a person, where the light comes from, a frame whose unit is
//! the face's height and whose origin is its middle. Flows out: the head without its hair.

use super::canvas::{Pen, oval};
use super::colour::{Colour, mix, scale};
use super::outline::{mirrored, smooth};
use super::person::{LightFrom, Person};

/// Half of the face's width from cheek to cheek, in parts of its height.
pub(super) const HALF_WIDTH: f32 = 0.385;

/// The eyes' height above the middle, and their distance from it.
const EYE: [f32; 2] = [0.168, -0.075];

/// Draws ears, head and features.
pub(super) fn draw(pen: &mut Pen, person: &Person, light: LightFrom) {
    ears(pen, person);
    head(pen, person, light);
    hollows(pen, person, light);
    if person.beard > 0.0 {
        beard(pen, person);
    }
    // What lies nearer to the viewer moves further when the head turns.
    let shift = 0.05 * person.turn;
    for side in [-1.0, 1.0] {
        let x = side * EYE[0] + shift;
        eye(pen, person, [x, EYE[1]], side);
        brow(pen, person, [x, EYE[1] - 0.1], side);
    }
    nose(pen, person, 1.5 * shift, light);
    mouth(pen, person, 1.1 * shift);
    if person.glasses {
        glasses(pen, shift);
    }
}

/// A shadow of a skin: darker, and redder, as light that went through it.
fn shadow(depth: f32) -> Colour {
    [1.0 - 0.85 * depth, 1.0 - depth, 1.0 - 1.03 * depth]
}

fn ears(pen: &mut Pen, person: &Person) {
    for side in [-1.0, 1.0] {
        let ear = oval(side * 0.395 - 0.04 * person.turn, 0.0, 0.05, 0.105).turned(side * 0.15);
        pen.ellipse(ear, 0.015, scale(person.skin, 0.8));
        pen.shade(oval(ear.centre[0], 0.0, 0.04, 0.08), shadow(0.35));
    }
}

fn head(pen: &mut Pen, person: &Person, light: LightFrom) {
    let jaw = person.jaw;
    let half = [
        [0.0, -0.64],
        [0.2, -0.585],
        [0.325, -0.42],
        [0.375, -0.2],
        [0.38, 0.0],
        [0.36, 0.16],
        [0.315 * jaw, 0.29],
        [0.225 * jaw, 0.41],
        [0.11 * jaw, 0.485],
        [0.0, 0.5],
    ];
    let outline = smooth(&mirrored(&half), 4);
    let turn = 0.12 * person.turn;
    pen.polygon_with(&outline, 0.012, |[u, v], _| {
        // The normal of an egg, somewhat flat in front.
        let (a, b) = ((u / 0.43 - turn).clamp(-1.0, 1.0), ((v + 0.06) / 0.66).clamp(-1.0, 1.0));
        let depth = (1.0 - 0.85 * (a * a + b * b)).max(0.05).sqrt();
        let normal = [0.92 * a, 0.92 * b, depth];
        let facing: f32 = normal.iter().zip(light).map(|(n, l)| n * l).sum();
        let lit = 0.45 + 0.66 * facing.max(0.0);
        // Light that grazes the skin leaves it redder.
        let red = 0.05 * (1.0 - facing).clamp(0.0, 1.0);
        let tint = [1.0 + red, 1.0, 1.0 - red];
        (std::array::from_fn(|i| person.skin[i] * tint[i] * lit), 1.0)
    });
}

/// The broad shadows and lights that every face has.
fn hollows(pen: &mut Pen, person: &Person, light: LightFrom) {
    let shift = 0.05 * person.turn;
    pen.shade(oval(shift, -0.36, 0.3, 0.2), [1.1, 1.1, 1.1]);
    for side in [-1.0, 1.0] {
        let away = (0.5 - side * light[0]).clamp(0.0, 1.0);
        let x = side * EYE[0] + shift;
        // The socket, deepest beside the nose; the temple; below the cheekbone.
        pen.shade(oval(x, EYE[1] - 0.02, 0.17, 0.125), shadow(0.34));
        pen.shade(oval(x - side * 0.075, EYE[1] - 0.01, 0.085, 0.1), shadow(0.22));
        pen.shade(oval(side * 0.36 + shift, -0.18, 0.12, 0.28), shadow(0.22));
        pen.shade(oval(side * 0.31 + shift, 0.24, 0.13, 0.22), shadow(0.16 + 0.1 * away));
        // The cheek catches the light, with some blood under it.
        pen.shade(oval(x + side * 0.035, 0.1, 0.16, 0.13), [1.17, 1.12, 1.1]);
        // From the nose's wing to the mouth's corner.
        let fold = oval(side * 0.145 + shift, 0.22, 0.035, 0.11).turned(-side * 0.45);
        pen.shade(fold, shadow(0.12 + 0.1 * person.smile));
    }
    pen.shade(oval(shift, 0.425, 0.14, 0.05), shadow(0.2));
    pen.shade(oval(shift, 0.455, 0.12, 0.07), [1.1, 1.1, 1.1]);
    pen.shade(oval(0.0, 0.53, 0.3, 0.09), shadow(0.3));
}

fn beard(pen: &mut Pen, person: &Person) {
    let half = [
        [0.0, 0.215],
        [0.1, 0.225],
        [0.19, 0.3],
        [0.29, 0.2],
        [0.36, 0.0],
        [0.375, 0.04],
        [0.33 * person.jaw, 0.28],
        [0.23 * person.jaw, 0.43],
        [0.0, 0.52],
    ];
    let outline = smooth(&mirrored(&half), 4);
    let density = 0.75 * person.beard;
    pen.polygon_with(&outline, 0.06, |[u, v], below| {
        let grain = 0.9 + 0.1 * (u * 150.0 + 20.0 * v).sin() * (v * 130.0).sin();
        let hair = mix(scale(below, 0.35), person.hair_colour, 0.6);
        (hair, density * grain)
    });
}

fn eye(pen: &mut Pen, person: &Person, [x, y]: [f32; 2], side: f32) {
    let frame = pen.frame.child([x, y], person.eye_size, -side * 0.04);
    let mut pen = pen.canvas.pen(frame);
    let almond = smooth(
        &[
            [-0.082, 0.004],
            [-0.04, -0.028],
            [0.0, -0.037],
            [0.045, -0.026],
            [0.082, 0.0],
            [0.04, 0.023],
            [-0.04, 0.023],
        ],
        4,
    );
    let iris = oval(0.0, -0.008, 0.034, 0.034);
    let white = scale([0.82, 0.79, 0.77], 0.75 + 0.25 * person.skin[0]);
    pen.polygon_with(&almond, 0.008, |[u, v], _| {
        let distance = (u * u + (v - iris.centre[1]).powi(2)).sqrt();
        let within = ((iris.radii[0] - distance) / 0.012 + 0.5).clamp(0.0, 1.0);
        let pupil = ((0.015 - distance) / 0.008 + 0.5).clamp(0.0, 1.0);
        // The lid's shadow on the eyeball, and the ball's own roundness.
        let round = (1.0 - (u / 0.13).powi(2)) * (0.72 + 5.0 * (v + 0.03)).clamp(0.35, 1.0);
        let coloured = mix(person.eyes, [0.02; 3], pupil);
        (mix(scale(white, round), coloured, within), 1.0)
    });
    let lash = mix(scale(person.skin, 0.2), [0.05, 0.04, 0.04], 0.75);
    pen.stroke([[-0.088, 0.008], [0.0, -0.078], [0.092, -0.004]], [0.008, 0.03, 0.014], lash);
    let below = scale(person.skin, 0.5);
    pen.stroke([[-0.075, 0.01], [0.0, 0.048], [0.08, 0.003]], [0.004, 0.007, 0.006], below);
    // The lid's crease, and the fold under the eye.
    pen.stroke([[-0.08, -0.02], [0.0, -0.095], [0.095, -0.025]], [0.004, 0.009, 0.005], below);
    pen.shade(oval(0.0, 0.06, 0.1, 0.03), shadow(0.14));
    pen.ellipse(oval(0.011, -0.02, 0.007, 0.007), 0.006, [0.95, 0.95, 0.95]);
}

fn brow(pen: &mut Pen, person: &Person, [x, y]: [f32; 2], side: f32) {
    let hair = mix(person.hair_colour, scale(person.skin, 0.3), 0.35);
    let weight = person.brow_weight;
    let (inner, outer) = (x - side * 0.1, x + side * 0.115);
    pen.shade(oval(x, y + 0.005, 0.15, 0.045), shadow(0.25));
    let curve = [[inner, y + 0.016], [x + side * 0.03, y - 0.036], [outer, y + 0.018]];
    pen.stroke(curve, [0.034 * weight, 0.034 * weight, 0.008], hair);
    pen.glow(oval(x, y, 0.12, 0.03 * weight), 0.5, hair);
}

fn nose(pen: &mut Pen, person: &Person, x: f32, light: LightFrom) {
    let wide = person.nose_width;
    // The ridge is light, the flank away from the light is dark.
    let dark = if light[0] > 0.0 { -1.0 } else { 1.0 };
    let slant = 0.1 * dark;
    let strength = 0.14 + 0.5 * light[0].abs();
    pen.shade(oval(x + dark * 0.055, 0.02, 0.075, 0.2).turned(-slant), shadow(strength));
    pen.shade(oval(x - dark * 0.065, 0.03, 0.06, 0.17).turned(slant), shadow(0.1));
    pen.shade(oval(x - dark * 0.006, -0.02, 0.034, 0.2), [1.17, 1.15, 1.13]);
    pen.shade(oval(x, 0.145, 0.105 * wide, 0.085), [1.12, 1.07, 1.05]);
    pen.shade(oval(x, 0.212, 0.12 * wide, 0.04), shadow(0.38));
    for side in [-1.0, 1.0] {
        let wing = oval(x + side * 0.09 * wide, 0.165, 0.045, 0.065);
        pen.shade(wing, shadow(0.2));
        let nostril = oval(x + side * 0.04 * wide, 0.192, 0.027, 0.012).turned(side * 0.25);
        pen.ellipse(nostril, 0.02, mix(scale(person.skin, 0.22), [0.1, 0.03, 0.02], 0.3));
    }
    pen.glow(oval(x - dark * 0.01, 0.135, 0.03, 0.03), 0.28, [1.0, 0.97, 0.93]);
}

fn mouth(pen: &mut Pen, person: &Person, x: f32) {
    let half = 0.135 * person.mouth_width * (1.0 + 0.14 * person.smile);
    let (y, raised) = (0.305, 0.036 * person.smile);
    let corner = y - raised;
    let lips = person.lips;
    pen.shade(oval(x, 0.25, 0.03, 0.04), shadow(0.14));
    let upper = [
        [x - half, corner],
        [x - 0.05, y - 0.034],
        [x, y - 0.024],
        [x + 0.05, y - 0.034],
        [x + half, corner],
        [x, y + 0.016 + 0.3 * raised],
    ];
    pen.polygon(&smooth(&upper, 4), 0.012, scale(lips, 0.78));
    let lower = [
        [x - 0.9 * half, corner + 0.004],
        [x, y + 0.004 + 0.35 * raised],
        [x + 0.9 * half, corner + 0.004],
        [x + 0.06, y + 0.052],
        [x - 0.06, y + 0.052],
    ];
    pen.polygon(&smooth(&lower, 4), 0.014, scale(lips, 0.98));
    pen.glow(oval(x, y + 0.034, 0.07, 0.018), 0.3, [1.0, 0.88, 0.86]);
    let middle = [[x - half, corner], [x, y + 0.018 + raised], [x + half, corner]];
    let dark = [0.2 * lips[0] + 0.02, 0.15 * lips[1], 0.15 * lips[2]];
    if person.teeth {
        pen.stroke(middle, [0.006, 0.066, 0.006], dark);
        let [start, mid, end] = middle;
        let inner = [[start[0] + 0.03, start[1] + 0.004], mid, [end[0] - 0.03, end[1] + 0.004]];
        pen.stroke(inner, [0.004, 0.046, 0.004], [0.86, 0.83, 0.79]);
    } else {
        pen.stroke(middle, [0.01, 0.02, 0.01], dark);
    }
    for side in [-1.0, 1.0] {
        pen.shade(oval(x + side * (half + 0.01), corner, 0.035, 0.03), shadow(0.3));
    }
    pen.shade(oval(x, y + 0.078, 0.1, 0.03), shadow(0.3));
}

fn glasses(pen: &mut Pen, shift: f32) {
    let rim = [0.08, 0.07, 0.07];
    let at = |x: f32, y: f32| [x + shift, y + EYE[1]];
    for side in [-1.0_f32, 1.0] {
        let (inner, outer, middle) = (side * 0.055, side * 0.285, side * 0.17);
        for bow in [-0.16, 0.19] {
            pen.stroke([at(inner, 0.0), at(middle, bow), at(outer, 0.0)], [0.012; 3], rim);
        }
        pen.stroke(
            [at(outer, -0.02), at(side * 0.33, -0.03), at(side * 0.37, -0.02)],
            [0.012; 3],
            rim,
        );
    }
    pen.stroke([at(-0.055, -0.01), at(0.0, -0.035), at(0.055, -0.01)], [0.012; 3], rim);
}
