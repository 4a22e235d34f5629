//! Colours. Flows in: hues, mixtures. Flows out: RGB in [0, 1].

use crate::rng::Rng;

/// Red, green, blue in [0, 1].
pub(super) type Colour = [f32; 3];

/// From `a` (0) to `b` (1).
pub(super) fn mix(a: Colour, b: Colour, t: f32) -> Colour {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * t)
}

/// All three channels times a factor.
pub(super) fn scale(colour: Colour, factor: f32) -> Colour {
    colour.map(|value| value * factor)
}

/// The brightness that an eye sees (Rec. 601).
pub(super) fn luma(colour: Colour) -> f32 {
    0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
}

/// A colour of the cone of hue (turns; 0 red, ⅓ green, ⅔ blue), saturation and value in [0, 1].
pub(super) fn hsv(hue: f32, saturation: f32, value: f32) -> Colour {
    // Each channel is a trapezium over the hue; they lie a third of a turn apart.
    [0.0, 2.0 / 3.0, 1.0 / 3.0].map(|shift| {
        let distance = ((hue + shift).rem_euclid(1.0) * 6.0 - 3.0).abs();
        value * (1.0 - saturation * (1.0 - (distance - 1.0).clamp(0.0, 1.0)))
    })
}

/// One of several colours, varied a little.
pub(super) fn pick(rng: &mut Rng, colours: &[Colour]) -> Colour {
    let chosen = colours[rng.below(colours.len())];
    let light = rng.uniform(0.9, 1.1);
    chosen.map(|value| (value * light * rng.uniform(0.96, 1.04)).min(1.0))
}
