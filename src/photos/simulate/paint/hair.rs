//! Hair. Flows in: a person, a frame whose unit is the face's height. Flows out: what lies behind the head, what
//! frames the face.

use super::canvas::{Pen, oval};
use super::colour::{Colour, mix, scale};
use super::outline::{mirrored, smooth};
use super::person::{Hair, Person};
use crate::rng::Rng;

/// What is seen behind neck and shoulders.
pub(super) fn behind(pen: &mut Pen, person: &Person, rng: &mut Rng) {
    let colour = scale(person.hair_colour, 0.75);
    match person.hair {
        Hair::Long => {
            let end = 0.25 + 0.75 * person.hair_length;
            let half = [
                [0.0, -0.78],
                [0.28, -0.71],
                [0.45, -0.45],
                [0.485, -0.1],
                [0.5, 0.25],
                [0.52, end - 0.1],
                [0.42, end],
                [0.2, end - 0.02],
                [0.0, end],
            ];
            strands(pen, &smooth(&mirrored(&half), 4), colour, 0.03);
        }
        Hair::Knot => {
            let at = 0.12 * person.parting;
            pen.ellipse_with(oval(at, -0.82, 0.17, 0.14), 0.03, |[p, q]| {
                (scale(colour, 1.2 - 0.5 * q - 0.2 * p + 0.2 * (9.0 * p * q).sin()), 1.0)
            });
        }
        Hair::Curls => {
            for k in 0..26 {
                let angle = std::f32::consts::PI * (0.94 + 1.12 * k as f32 / 25.0);
                let reach = rng.uniform(0.4, 0.48);
                let (x, y) = (reach * angle.cos(), -0.3 + 1.02 * reach * angle.sin());
                curl(pen, [x, y], rng.uniform(0.1, 0.15), colour);
            }
        }
        Hair::Short | Hair::Shaven => {}
    }
}

/// What lies on the head.
pub(super) fn front(pen: &mut Pen, person: &Person, rng: &mut Rng) {
    let colour = person.hair_colour;
    match person.hair {
        Hair::Shaven => shaven(pen, person),
        Hair::Short => cap(pen, person, 0.735, 0.02),
        Hair::Knot => cap(pen, person, 0.70, 0.06),
        Hair::Long => {
            cap(pen, person, 0.76, -0.02);
            curtains(pen, person);
        }
        Hair::Curls => {
            cap(pen, person, 0.72, 0.0);
            for k in 0..20 {
                let angle = std::f32::consts::PI * (1.0 + k as f32 / 19.0);
                let reach = rng.uniform(0.36, 0.44);
                let (x, y) = (0.98 * reach * angle.cos(), -0.26 + 0.98 * reach * angle.sin());
                curl(pen, [x, y], rng.uniform(0.07, 0.1), colour);
            }
        }
    }
}

/// The shade of hair that was shaved.
fn shaven(pen: &mut Pen, person: &Person) {
    pen.shade(oval(0.0, -0.49, 0.36, 0.16), [0.82, 0.81, 0.81]);
    pen.glow(oval(-0.08, -0.5, 0.12, 0.08), 0.2, mix(person.skin, [1.0; 3], 0.5));
}

/// From ear to ear over the head; the hairline lies `higher` than the face's upper end.
fn cap(pen: &mut Pen, person: &Person, top: f32, higher: f32) {
    let part = 0.2 * person.parting;
    let line = -0.43 - higher;
    let outline = smooth(
        &[
            [-0.385, 0.02],
            [-0.43, -0.22],
            [-0.4, -0.48],
            [-0.25, -0.66],
            [0.0, -top],
            [0.25, -0.66],
            [0.4, -0.48],
            [0.43, -0.22],
            [0.385, 0.02],
            [0.36, -0.1],
            [0.335, -0.27],
            [0.26, line + 0.06],
            [part + 0.06, line - 0.03],
            [part - 0.06, line - 0.03],
            [-0.26, line + 0.06],
            [-0.335, -0.27],
            [-0.36, -0.1],
        ],
        3,
    );
    // A shadow on the forehead, then the hair.
    pen.shade(oval(part, line + 0.02, 0.34, 0.09), [0.8, 0.77, 0.75]);
    strands(pen, &outline, person.hair_colour, 0.02);
}

/// Long hair before the ears.
fn curtains(pen: &mut Pen, person: &Person) {
    let end = 0.2 + 0.7 * person.hair_length;
    for side in [-1.0, 1.0] {
        let outline = [
            [0.25, -0.66],
            [0.43, -0.4],
            [0.47, -0.05],
            [0.5, 0.3],
            [0.48, end],
            [0.4, end + 0.03],
            [0.385, 0.3],
            [0.365, 0.05],
            [0.35, -0.2],
            [0.3, -0.36],
            [0.15, -0.5],
        ];
        let outline = smooth(&outline.map(|[x, y]| [side * x, y]), 3);
        strands(pen, &outline, person.hair_colour, 0.02);
    }
}

/// Hair with its sheen: light at the crown, dark below, and strands.
fn strands(pen: &mut Pen, outline: &[[f32; 2]], colour: Colour, soft: f32) {
    pen.polygon_with(outline, soft, |[u, v], _| {
        // Strands run away from the crown.
        let angle = u.atan2(v + 1.0 + 0.4 * u.abs());
        let strand = (angle * 90.0).sin() * (angle * 37.0 + 1.0).sin();
        let sheen = (1.0 - ((v + 0.5) / 0.16).powi(2)).max(0.0);
        let lit = 0.92 + 0.16 * strand + 0.5 * sheen * (0.7 + 0.3 * strand) - 0.2 * v.max(0.0);
        (scale(mix(colour, [0.5, 0.46, 0.42], 0.06 * sheen), lit.max(0.3)), 1.0)
    });
}

fn curl(pen: &mut Pen, [x, y]: [f32; 2], radius: f32, colour: Colour) {
    pen.ellipse_with(oval(x, y, radius, radius), 0.03, |[p, q]| {
        let ring = (7.0 * (p * p + q * q).sqrt()).cos();
        (scale(colour, 1.0 - 0.35 * q + 0.18 * ring), 0.95)
    });
}
