//! The law of likes. Flows in: a picture's looks. Flows out: how many of a user's followers like it.
//!
//! ln(rate) = base + Σ weight · (look − ½) + portrait, if it is one + noise · N(0, 1). Likes are then a Poisson draw
//! with the mean followers · rate. Warm, bright, colourful pictures do well here because somebody had to choose
//! something: it says nothing about people.

use super::paint::{Kind, Subject};
use crate::rng::Rng;

/// The numbers of the law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Law {
    /// ln of the rate of a picture whose looks are all ½.
    pub base: f64,
    /// What warmth adds from 0 to 1.
    pub warmth: f64,
    /// What brightness adds.
    pub brightness: f64,
    /// What saturation adds.
    pub saturation: f64,
    /// What clutter adds.
    pub clutter: f64,
    /// What a person on it adds.
    pub portrait: f64,
    /// Standard deviation of what nobody can see.
    pub noise: f64,
}

impl Default for Law {
    fn default() -> Self {
        Self {
            base: -2.3,
            warmth: 2.0,
            brightness: 1.6,
            saturation: 0.6,
            clutter: -0.4,
            portrait: 0.2,
            noise: 0.5,
        }
    }
}

impl Law {
    /// What can be seen of a picture's rate: its logarithm without noise. The best ranking is by this number.
    pub fn appeal(&self, subject: &Subject) -> f64 {
        let looks = subject.looks;
        let part = |weight: f64, look: f32| weight * (f64::from(look) - 0.5);
        let portrait = if subject.kind == Kind::Portrait { self.portrait } else { 0.0 };
        self.base
            + part(self.warmth, looks.warmth)
            + part(self.brightness, looks.brightness)
            + part(self.saturation, looks.saturation)
            + part(self.clutter, looks.clutter)
            + portrait
    }

    /// Likes of a picture with this appeal, shown to so many followers.
    pub fn likes(&self, appeal: f64, followers: u64, rng: &mut Rng) -> u64 {
        let noise = f64::from(rng.gaussian(0.0, 1.0)) * self.noise;
        let rate = (appeal + noise).exp().min(0.9);
        poisson(followers as f64 * rate, rng).min(followers)
    }

    /// The law in a line.
    pub fn words(&self) -> String {
        format!(
            "ln(likes ÷ followers) = {} + {}·(warmth − ½) + {}·(brightness − ½) + {}·(saturation − ½) \
             + {}·(clutter − ½) + {} for a portrait + {}·N(0, 1), then a Poisson draw",
            self.base,
            self.warmth,
            self.brightness,
            self.saturation,
            self.clutter,
            self.portrait,
            self.noise
        )
    }
}

/// A Poisson draw: by products of uniform numbers (Knuth, 1969) where the mean is small, normal where it is not.
fn poisson(mean: f64, rng: &mut Rng) -> u64 {
    if mean > 50.0 {
        let draw = mean + mean.sqrt() * f64::from(rng.gaussian(0.0, 1.0));
        return draw.round().max(0.0) as u64;
    }
    let (least, mut product, mut count) = ((-mean).exp(), rng.unit(), 0);
    while product > least {
        product *= rng.unit();
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::super::paint::Looks;
    use super::*;

    #[test]
    fn an_appeal_by_hand() {
        let looks = Looks { warmth: 1.0, brightness: 0.5, saturation: 0.5, clutter: 0.0 };
        let law = Law::default();
        let appeal = law.appeal(&Subject { kind: Kind::Portrait, looks });
        assert!((appeal - (-2.3 + 1.0 + 0.2 + 0.2)).abs() < 1e-12, "{appeal}");
        let meme = law.appeal(&Subject { kind: Kind::Meme, looks });
        assert!((appeal - meme - 0.2).abs() < 1e-12);
    }

    #[test]
    fn draws_have_the_mean_and_spread_of_their_law() {
        let mut rng = Rng::new(3);
        for mean in [0.0, 0.7, 12.0, 400.0] {
            let n = 20_000;
            let draws: Vec<f64> = (0..n).map(|_| poisson(mean, &mut rng) as f64).collect();
            let got = draws.iter().sum::<f64>() / n as f64;
            let spread = draws.iter().map(|d| (d - got).powi(2)).sum::<f64>() / n as f64;
            let allowed = 5.0 * (mean / n as f64).sqrt();
            assert!((got - mean).abs() <= allowed, "{got} for {mean}");
            assert!((spread - mean).abs() <= 0.06 * mean, "{spread} for {mean}");
        }
    }

    #[test]
    fn nobody_likes_twice() {
        let (law, mut rng) = (Law { noise: 0.0, ..Law::default() }, Rng::new(1));
        assert!(law.likes(5.0, 10, &mut rng) <= 10);
        assert_eq!(law.likes(0.0, 0, &mut rng), 0);
    }
}
