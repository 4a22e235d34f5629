//! The likability that this program carries, so that it judges photos without any other file.

use super::likability::Likability;

/// What `likenet demo` learned with its defaults, packed by `likenet pack --photos 120`: from drawn photos with
/// made-up likes.
const BUILT_IN: &[u8] = include_bytes!("built_in.safetensors");

/// The likability that is built in. It learned from drawn photos, and says so.
pub fn built_in() -> Likability {
    Likability::decode(BUILT_IN).expect("the file that a test reads")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Limits, decode_bytes};
    use crate::score::Judge;

    #[test]
    fn it_judges_and_explains_its_own_gallery() {
        let likability = built_in();
        assert!(likability.about.caveat.contains("simulated likes"));
        let thumbnails: Vec<_> = {
            let (_, _, specimens) = likability.gallery.parts();
            let decode = |file: &[u8]| decode_bytes("thumbnail", file, &Limits::default());
            specimens.iter().map(|s| (decode(&s.thumbnail).expect("a JPEG"), s.good)).collect()
        };
        let mut judge = Judge::new(likability).expect("it fits together");
        let photos: Vec<_> = thumbnails.iter().map(|(photo, _)| photo.clone()).collect();
        let together = judge.judge(&photos).expect("photos");
        let alone = judge.judge(&photos[70..71]).expect("a photo");
        assert_eq!(alone[0].score.to_bits(), together[70].score.to_bits());
        let mean = |good: bool| {
            let of = together.iter().zip(&thumbnails).filter(|(_, (_, g))| *g == good);
            let p: Vec<f64> = of.map(|(verdict, _)| verdict.probability).collect();
            p.iter().sum::<f64>() / p.len() as f64
        };
        // It learned from these; thumbnails are not quite what it learned from.
        assert!(mean(true) > mean(false) + 0.15, "{} {}", mean(true), mean(false));
        // What the classifier sees of a photo is most like the photo itself.
        let explained = judge.explain(&photos[70]).expect("reasons");
        assert!(explained.alike[0].similarity > 0.9, "{}", explained.alike[0].similarity);
        assert!(explained.occlusion.values.iter().any(|&v| v != 0.0));
        // To first order, the gradient's products add up to what the score loses when the photo is gone: near a flat
        // picture of the mean colour the network is not linear, but both agree in sign more often than not.
        let gradient = explained.gradient.expect("an SVM has a slope");
        assert_eq!(gradient.values.len(), explained.occlusion.values.len());
        let pairs = gradient.values.iter().zip(&explained.occlusion.values);
        let product: f32 = pairs.map(|(g, o)| g * o).sum();
        assert!(product > 0.0, "{product}");
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let mut rng = crate::rng::Rng::new(3);
        for _ in 0..200 {
            let mut bytes = BUILT_IN.to_vec();
            bytes.truncate(1 + rng.below(bytes.len()));
            assert!(Likability::decode(&bytes).is_err());
        }
        let mut bytes = BUILT_IN.to_vec();
        for at in 0..2000 {
            let before = bytes[at];
            bytes[at] ^= 1 << rng.below(8);
            let _ = Likability::decode(&bytes);
            bytes[at] = before;
        }
        assert_eq!(Likability::decode(&bytes).expect("whole again"), built_in());
    }
}
