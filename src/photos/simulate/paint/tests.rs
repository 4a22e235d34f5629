//! What the drawings promise: sizes, truth, looks that a camera sees, faces that a detector finds.

use super::canvas::{Canvas, Frame, oval};
use super::colour::{hsv, luma};
use super::*;
use crate::faces::rect::Rect;
use crate::faces::{Detector, Search};

const MIDDLE: Looks = Looks { warmth: 0.5, brightness: 0.5, saturation: 0.5, clutter: 0.5 };

fn random_looks(rng: &mut Rng) -> Looks {
    let mut unit = || rng.unit() as f32;
    Looks { warmth: unit(), brightness: unit(), saturation: unit(), clutter: unit() }
}

fn picture(kind: Kind, looks: Looks, seed: u64) -> Picture {
    paint(&Subject { kind, looks }, seed, 96).picture
}

/// The mean over all pixels of a number in each.
fn mean(picture: &Picture, measure: impl Fn([f32; 3]) -> f32) -> f32 {
    let pixels = picture.data.chunks_exact(3);
    let number = pixels.len() as f32;
    pixels.map(|p| measure([p[0], p[1], p[2]].map(f32::from))).sum::<f32>() / number
}

/// Measures pictures that differ in one look, from 0 to 1 in five steps.
fn steps(set: impl Fn(&mut Looks, f32), measure: impl Fn(&Picture, Kind, u64) -> f32, least: f32) {
    for kind in Kind::ALL {
        for seed in 0..3 {
            let at = |k: usize| {
                let mut looks = MIDDLE;
                set(&mut looks, 0.25 * k as f32);
                measure(&picture(kind, looks, seed), kind, seed)
            };
            let values: [f32; 5] = std::array::from_fn(at);
            let rises = values.windows(2).all(|pair| pair[1] - pair[0] > least);
            assert!(rises, "{kind:?}, seed {seed}: {values:?}");
        }
    }
}

#[test]
fn the_same_arguments_give_the_same_picture() {
    for kind in Kind::ALL {
        let subject = Subject { kind, looks: MIDDLE };
        assert_eq!(paint(&subject, 7, 64), paint(&subject, 7, 64));
        assert_ne!(paint(&subject, 7, 64), paint(&subject, 8, 64));
    }
}

#[test]
fn the_longer_side_is_the_one_that_was_asked_for() {
    let mut upright = 0;
    for seed in 0..40 {
        let kind = Kind::ALL[seed as usize % 4];
        let side = 41 + seed as u32;
        let Painted { picture, faces } = paint(&Subject { kind, looks: MIDDLE }, seed, side);
        let (width, height) = (picture.width, picture.height);
        assert_eq!(width.max(height), side as usize);
        assert!(3 * width.min(height) + 1 >= 2 * width.max(height));
        assert_eq!(picture.data.len(), 3 * width * height);
        upright += usize::from(height > width);
        assert_eq!(faces.is_empty(), kind != Kind::Portrait);
        for face in faces {
            assert!(face.x >= 0.0 && face.x + face.w <= width as f32, "{face:?}");
            assert!(face.y >= 0.0 && face.y + face.h <= height as f32, "{face:?}");
        }
    }
    assert!((8..28).contains(&upright), "{upright} of 40");
}

#[test]
fn looks_outside_of_their_range_are_the_nearest_ones() {
    let [low, high] = [-3.0, 1.0].map(|saturation| Looks { saturation, ..MIDDLE });
    let zero = Looks { saturation: 0.0, ..MIDDLE };
    assert_eq!(picture(Kind::Food, low, 1), picture(Kind::Food, zero, 1));
    assert_ne!(picture(Kind::Food, high, 1), picture(Kind::Food, zero, 1));
    // Too small a side is the smallest one.
    assert_eq!(
        paint(&Subject { kind: Kind::Meme, looks: MIDDLE }, 1, 0).picture.data.len() % 16,
        0
    );
}

#[test]
fn warm_light_moves_blue_to_red() {
    steps(|l, x| l.warmth = x, |p, _, _| mean(p, |[r, _, b]| r - b), 5.0);
}

#[test]
fn a_bright_day_is_brighter_than_dusk() {
    steps(|l, x| l.brightness = x, |p, _, _| mean(p, luma), 8.0);
}

#[test]
fn saturation_parts_the_channels() {
    // Without a cast's own colour: what the channels deviate from the picture's mean colour.
    let measure = |p: &Picture, _, _| {
        let middle: [f32; 3] = std::array::from_fn(|i| mean(p, |c| c[i]));
        let cast = luma(middle);
        mean(p, |c| {
            let gray = luma(c);
            (0..3).map(|i| (c[i] - gray - (middle[i] - cast)).abs()).sum()
        })
    };
    steps(|l, x| l.saturation = x, measure, 0.5);
}

#[test]
fn clutter_covers_more_and_more() {
    let measure = |p: &Picture, kind, seed| {
        let plain = picture(kind, Looks { clutter: 0.0, ..MIDDLE }, seed);
        let pairs = p.data.iter().zip(&plain.data);
        pairs.filter(|(a, b)| a.abs_diff(**b) > 12).count() as f32 / p.data.len() as f32
    };
    steps(|l, x| l.clutter = x, measure, 0.004);
}

#[test]
fn our_detector_finds_the_portraits() {
    let (detector, search) = (Detector::own(), Search::new().unwrap());
    let (mut faces, mut found) = (0, 0);
    for seed in 0..30 {
        let looks = random_looks(&mut Rng::new(seed));
        let painted = paint(&Subject { kind: Kind::Portrait, looks }, seed, 320);
        let mut boxes = detector.detect(&painted.picture, &search).unwrap();
        boxes.retain(|face| face.confidence >= 0.5);
        for face in painted.faces {
            let [x, y, w, h] = [face.x, face.y, face.w, face.h].map(f64::from);
            faces += 1;
            found += usize::from(boxes.iter().any(|b| b.rect.iou(&Rect { x, y, w, h }) >= 0.3));
        }
    }
    assert!(faces > 30 && 100 * found >= 95 * faces, "{found} of {faces}");
}

#[test]
fn our_detector_finds_no_faces_elsewhere() {
    let (detector, search) = (Detector::own(), Search::new().unwrap());
    let face = |seed: u64| {
        let looks = random_looks(&mut Rng::new(seed));
        let kind = Kind::ALL[1 + seed as usize % 3];
        let painted = paint(&Subject { kind, looks }, seed, 320);
        let boxes = detector.detect(&painted.picture, &search).unwrap();
        boxes.iter().any(|face| face.confidence >= 0.5)
    };
    let wrong = (0..30).filter(|&seed| face(seed)).count();
    assert!(wrong <= 1, "{wrong} of 30");
}

#[test]
fn hues_by_hand() {
    assert_eq!(hsv(0.0, 1.0, 1.0), [1.0, 0.0, 0.0]);
    let green = hsv(1.0 / 3.0, 0.5, 0.8);
    assert!(green.iter().zip([0.4, 0.8, 0.4]).all(|(a, b)| (a - b).abs() < 1e-5), "{green:?}");
    let violet = hsv(0.75, 1.0, 1.0);
    assert!(violet.iter().zip([0.5, 0.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-5), "{violet:?}");
}

#[test]
fn a_pixel_is_covered_by_the_part_that_lies_in_the_shape() {
    let mut canvas = Canvas::new(4, 4);
    let unit = Frame { origin: [0.0, 0.0], scale: 1.0, angle: 0.0 };
    let square = [[0.5, 0.5], [3.0, 0.5], [3.0, 2.75], [0.5, 2.75]];
    canvas.pen(unit).polygon(&square, 0.0, [1.0; 3]);
    let row = |y: usize| -> Vec<f32> { canvas.pixels[4 * y..][..4].iter().map(|p| p[0]).collect() };
    assert_eq!(row(0), [0.25, 0.5, 0.5, 0.0]);
    assert_eq!(row(1), [0.5, 1.0, 1.0, 0.0]);
    assert_eq!(row(2), [0.375, 0.75, 0.75, 0.0]);
    assert_eq!(row(3), [0.0; 4]);
}

#[test]
fn areas_are_those_of_geometry() {
    let frame = Frame { origin: [40.0, 30.0], scale: 10.0, angle: 0.4 };
    let area = |draw: &dyn Fn(&mut canvas::Pen)| -> f32 {
        let mut canvas = Canvas::new(80, 60);
        draw(&mut canvas.pen(frame));
        canvas.pixels.iter().map(|pixel| pixel[1]).sum()
    };
    let near = |a: f32, b: f32| assert!((a - b).abs() < 0.02 * b, "{a}, not {b}");
    let pi = std::f32::consts::PI;
    near(area(&|pen| pen.ellipse(oval(0.1, 0.2, 2.0, 1.0).turned(1.0), 0.2, [1.0; 3])), 200.0 * pi);
    // The mean of (1 − r²)² over a disc is a third.
    near(area(&|pen| pen.glow(oval(0.0, 0.0, 2.0, 1.5), 1.0, [1.0; 3])), 100.0 * pi);
    let line = [[-2.0, 0.0], [0.0, 0.0], [2.0, 0.0]];
    near(area(&|pen| pen.stroke(line, [0.5; 3], [1.0; 3])), 200.0);
    // Blurring moves light and loses none.
    near(area(&|pen| pen.polygon(&[[-2.0, -1.0], [2.0, -1.0], [0.0, 2.0]], 1.0, [1.0; 3])), 600.0);
}
