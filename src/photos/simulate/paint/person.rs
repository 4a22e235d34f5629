//! Who is drawn: what differs from one person to the next. Flows in: randomness. Flows out: a [`Person`].

use super::colour::{Colour, hsv, pick};
use crate::rng::Rng;

/// How the hair is worn.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Hair {
    /// None but a shade.
    Shaven,
    /// Above the ears.
    Short,
    /// To the chin or the shoulders.
    Long,
    /// A knot above the head.
    Knot,
    /// A cloud of curls.
    Curls,
}

/// A person. Lengths are in heights of the face, from the hairline to the chin.
pub(super) struct Person {
    pub(super) skin: Colour,
    pub(super) lips: Colour,
    pub(super) hair: Hair,
    pub(super) hair_colour: Colour,
    pub(super) hair_length: f32,
    /// Where the hair is parted: −1 left, 1 right.
    pub(super) parting: f32,
    pub(super) eyes: Colour,
    pub(super) eye_size: f32,
    pub(super) brow_weight: f32,
    pub(super) nose_width: f32,
    pub(super) mouth_width: f32,
    /// The mouth's corners: 0 level, 1 raised.
    pub(super) smile: f32,
    /// Whether the teeth are seen.
    pub(super) teeth: bool,
    /// How wide the jaw is, about 1.
    pub(super) jaw: f32,
    /// How dense the beard is: 0 none, 1 full.
    pub(super) beard: f32,
    pub(super) glasses: bool,
    pub(super) clothes: Colour,
    pub(super) trim: Colour,
    pub(super) striped: bool,
    /// How far the head is turned: −1 to its right, 1 to its left; small.
    pub(super) turn: f32,
}

/// Where the light comes from: right, down, towards the viewer; a unit vector.
pub(super) type LightFrom = [f32; 3];

const SKINS: [Colour; 7] = [
    [0.93, 0.76, 0.66],
    [0.90, 0.70, 0.58],
    [0.85, 0.65, 0.50],
    [0.78, 0.57, 0.43],
    [0.68, 0.47, 0.34],
    [0.56, 0.38, 0.28],
    [0.46, 0.31, 0.23],
];
const HAIRS: [Colour; 7] = [
    [0.07, 0.06, 0.06],
    [0.12, 0.09, 0.07],
    [0.22, 0.14, 0.09],
    [0.33, 0.21, 0.12],
    [0.45, 0.24, 0.13],
    [0.62, 0.47, 0.27],
    [0.55, 0.53, 0.51],
];
const EYES: [Colour; 4] =
    [[0.20, 0.12, 0.07], [0.14, 0.09, 0.06], [0.25, 0.33, 0.40], [0.24, 0.30, 0.18]];

impl Person {
    /// Somebody who does not exist.
    pub(super) fn random(rng: &mut Rng) -> Self {
        let tone = rng.below(SKINS.len());
        let skin = pick(rng, &SKINS[tone..=tone]);
        // Fair hair goes with fair skin.
        let hair_colour = pick(rng, &HAIRS[..if tone < 3 { 7 } else { 3 }]);
        let hair = match rng.below(16) {
            0 => Hair::Shaven,
            1..=5 => Hair::Short,
            6..=11 => Hair::Long,
            12 | 13 => Hair::Knot,
            _ => Hair::Curls,
        };
        let bearded = matches!(hair, Hair::Short | Hair::Shaven) && rng.unit() < 0.35;
        let pink = [1.0, 0.62 + 0.1 * skin[1], 0.62 + 0.1 * skin[2]];
        let hue = rng.uniform(0.0, 1.0);
        let (vivid, value) = (rng.uniform(0.3, 0.8), rng.uniform(0.3, 0.8));
        Self {
            skin,
            lips: std::array::from_fn(|i| 0.86 * skin[i] * pink[i]),
            hair,
            hair_colour,
            hair_length: rng.uniform(0.35, 1.0),
            parting: rng.uniform(-0.8, 0.8),
            eyes: pick(rng, &EYES[..if tone < 4 { 4 } else { 2 }]),
            eye_size: rng.uniform(0.92, 1.12),
            brow_weight: rng.uniform(0.75, 1.25),
            nose_width: rng.uniform(0.9, 1.15),
            mouth_width: rng.uniform(0.9, 1.12),
            smile: rng.uniform(0.1, 1.0),
            teeth: rng.unit() < 0.4,
            jaw: rng.uniform(0.94, 1.06),
            beard: if bearded { rng.uniform(0.55, 1.0) } else { 0.0 },
            glasses: rng.unit() < 0.12,
            clothes: hsv(hue, vivid, value),
            trim: hsv(hue + rng.uniform(0.3, 0.7), 0.5 * vivid, 0.9),
            striped: rng.unit() < 0.3,
            turn: rng.uniform(-0.5, 0.5),
        }
    }
}

/// Daylight from above, more or less from one side.
pub(super) fn light_from(rng: &mut Rng) -> LightFrom {
    let (right, down) = (rng.uniform(-0.55, 0.55), rng.uniform(-0.6, -0.3));
    let length = (right * right + down * down + 1.0_f32).sqrt();
    [right / length, down / length, 1.0 / length]
}
