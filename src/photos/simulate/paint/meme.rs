//! Memes: a sentence in large letters on a plain ground. Flows in: a canvas, the clutter, randomness. Flows out:
//! the picture.

use super::canvas::Canvas;
use super::clutter::{self, Theme};
use super::colour::{Colour, hsv, mix, scale};
use crate::rng::Rng;
use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};

/// What there is to say.
const SENTENCES: [&str; 20] = [
    "Today I folded one sock.",
    "My umbrella predicts sunshine.",
    "The cat approved this meeting.",
    "Small steps. Large sandwiches.",
    "Out of office, into the lake.",
    "I trained hard for this nap.",
    "Rain is confetti for ducks.",
    "My list has a list of its own.",
    "The stairs won again.",
    "Plan A was pancakes.",
    "Every hill has a second side.",
    "The kettle knows my name.",
    "Soup first. Wisdom later.",
    "My plants are taller than my plans.",
    "Lost: one Sunday. Please return.",
    "The moon also works nights.",
    "I brought snacks to the silence.",
    "Bread rises. So can we. After nine.",
    "Trust the process. Taste the dough.",
    "Somewhere a train is on time.",
];

/// A line's height, in parts of the letters' size.
const LEADING: f32 = 1.12;

/// Draws a sentence.
pub(super) fn draw(canvas: &mut Canvas, amount: f32, rng: &mut Rng, stuff: &mut Rng) {
    ground(canvas, rng);
    clutter::scatter(canvas, amount, Theme::Party, stuff);
    let bytes = if rng.unit() < 0.7 { dejavu::sans::bold() } else { dejavu::sans::regular() };
    let font = FontRef::try_from_slice(bytes).expect("a font that the program carries");
    let sentence = SENTENCES[rng.below(SENTENCES.len())];
    let loud = rng.unit() < 0.4;
    let sentence = if loud { sentence.to_uppercase() } else { sentence.to_owned() };
    let [width, height] = [canvas.width as f32, canvas.height as f32];
    let room = [0.86 * width, rng.uniform(0.5, 0.7) * height];
    let (size, lines) = fit(&font, &sentence, room);
    let block = size * LEADING * lines.len() as f32;
    let mut top = (height - block) * rng.uniform(0.3, 0.7);
    let mut cover = vec![0.0; canvas.width * canvas.height];
    for line in &lines {
        let left = 0.5 * (width - length(&font, line, size));
        write(&font, line, size, [left, top], canvas.width, &mut cover);
        top += size * LEADING;
    }
    let ink = if rng.unit() < 0.75 { [0.97, 0.97, 0.95] } else { [0.98, 0.9, 0.45] };
    let outline = (0.045 * size).max(1.0);
    letters(canvas, &cover, ink, outline);
}

/// One colour, or two with a passage between them.
fn ground(canvas: &mut Canvas, rng: &mut Rng) {
    let hue = rng.gaussian(0.40, 0.08);
    let top = hsv(hue, rng.uniform(0.5, 0.7), rng.uniform(0.55, 0.75));
    let bottom = if rng.unit() < 0.7 {
        hsv(hue + rng.uniform(-0.12, 0.12), rng.uniform(0.45, 0.7), rng.uniform(0.5, 0.75))
    } else {
        top
    };
    let slant = rng.uniform(-0.6, 0.6);
    let (width, height) = (canvas.width as f32, canvas.height as f32);
    canvas.touch_all(|x, y, pixel| {
        let t = y / height + slant * (x / width - 0.5);
        *pixel = mix(top, bottom, t.clamp(0.0, 1.0));
    });
}

/// A line's length in pixels.
fn length(font: &FontRef, line: &str, size: f32) -> f32 {
    let scaled = font.as_scaled(PxScale::from(size));
    line.chars().map(|letter| scaled.h_advance(font.glyph_id(letter))).sum()
}

/// The largest letters, in pixels, with which the words fit into [width, height], and the lines.
fn fit(font: &FontRef, sentence: &str, room: [f32; 2]) -> (f32, Vec<String>) {
    let mut size = 0.26 * room[0];
    loop {
        let lines = wrap(font, sentence, size, room[0]);
        let fits = lines.iter().all(|line| length(font, line, size) <= room[0])
            && size * LEADING * lines.len() as f32 <= room[1];
        if fits || size < 8.0 {
            return (size, lines);
        }
        size *= 0.93;
    }
}

/// Words one after the other, a new line where the next one would be too long.
fn wrap(font: &FontRef, sentence: &str, size: f32, width: f32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in sentence.split(' ') {
        match lines.last_mut() {
            Some(line) if length(font, &format!("{line} {word}"), size) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Adds a line's letters to the cover; [left, top] in pixels.
fn write(
    font: &FontRef,
    line: &str,
    size: f32,
    [left, top]: [f32; 2],
    width: usize,
    cover: &mut [f32],
) {
    let scaled = font.as_scaled(PxScale::from(size));
    let (mut x, y) = (left, top + 0.8 * size);
    for letter in line.chars() {
        let id = font.glyph_id(letter);
        if let Some(outline) = font.outline_glyph(id.with_scale_and_position(size, point(x, y))) {
            let corner = outline.px_bounds().min;
            outline.draw(|column, row, value| {
                let (x, y) = (corner.x + column as f32, corner.y + row as f32);
                let inside = x >= 0.0 && y >= 0.0 && (x as usize) < width;
                let at = y as usize * width + x as usize;
                if let Some(cover) = cover.get_mut(at).filter(|_| inside) {
                    *cover = (*cover + value).min(1.0);
                }
            });
        }
        x += scaled.h_advance(id);
    }
}

/// Letters with a dark rim, `outline` pixels wide.
fn letters(canvas: &mut Canvas, cover: &[f32], ink: Colour, outline: f32) {
    let (width, height) = (canvas.width, canvas.height);
    let reach = outline.round().max(1.0) as usize;
    let widened = widen(&widen(cover, width, 1, reach), width, width, reach);
    for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
        if widened[i] > 0.0 {
            let down = (i / width) as f32 / height as f32;
            *pixel = mix(*pixel, [0.07, 0.06, 0.07], 0.9 * widened[i]);
            *pixel = mix(*pixel, scale(ink, 1.0 - 0.08 * down), cover[i]);
        }
    }
}

/// The largest cover within `reach` steps along rows (`step` 1) or columns (`step` = width).
fn widen(cover: &[f32], width: usize, step: usize, reach: usize) -> Vec<f32> {
    let at = |i: usize| {
        let (back, ahead) = if step == 1 {
            ((i % width).min(reach), (width - 1 - i % width).min(reach))
        } else {
            ((i / width).min(reach), ((cover.len() - 1 - i) / width).min(reach))
        };
        (0..=back + ahead).map(|k| cover[i - back * step + k * step]).fold(0.0, f32::max)
    };
    (0..cover.len()).map(at).collect()
}
