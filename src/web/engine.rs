//! Who scores. Flows in: decoded photos. Flows out: how likely each is to be liked, and why.
//!
//! The server knows engines only by this trait: the tests bring one of their own.

use crate::error::Result;
use crate::image::Picture;
use crate::inside::Model;
use crate::score::{self, Judge};

pub use crate::score::{Map, Verdict as Score};

/// All that work for a server. Two engines of one model: explanations, which take long, do not hold up scores.
pub struct Engines {
    /// Scores photos.
    pub scores: Box<dyn Engine>,
    /// Says why.
    pub explains: Box<dyn Engine>,
    /// The network that may be looked into, if any.
    pub inside: Option<Model>,
}

/// Scores photos. Each engine lives on one thread of its own, so it need not be shared.
pub trait Engine: Send {
    /// Scores decoded, upright photos; one result for each, in order.
    ///
    /// Where a batch fails, the server asks again for each photo alone: one photo spoils no other's result.
    fn score(&mut self, photos: &[Picture]) -> Result<Vec<Score>>;

    /// Why a photo has its score: maps over it, and the most alike photos that were learnt from.
    fn explain(&mut self, photo: &Picture) -> Result<Explanation>;

    /// What was learnt, and from what.
    fn about(&self) -> About;
}

/// Why a photo has its score.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// How much the score falls where a part is covered (Zeiler and Fergus, 2014).
    pub occlusion: Map,
    /// The score's gradient times the photo (Shrikumar et al., 2016).
    pub gradient: Option<Map>,
    /// The most alike photos that were learnt from, most alike first.
    pub alike: Vec<Alike>,
}

/// A photo that was learnt from.
#[derive(Clone, Debug, PartialEq)]
pub struct Alike {
    /// A small JPEG file of it.
    pub thumbnail: Vec<u8>,
    /// Whether it was liked.
    pub good: bool,
    /// How alike it is: 1 is the same.
    pub similarity: f32,
    /// A line about it.
    pub caption: String,
}

/// What an engine has learnt; what is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct About {
    /// The model's name.
    pub model: String,
    /// What it looks at, such as the layer of a network.
    pub features: String,
    /// Whose photos it learnt from.
    pub trained_on: String,
    /// How many photos it learnt from.
    pub photos: usize,
    /// Whether it learnt from photos of people only: what it says of others means little.
    pub people: bool,
    /// How well it judged photos that it had not seen, in words.
    pub quality: String,
    /// What must be known before all else, such as that it learnt from drawn photos.
    pub caveat: String,
}

/// What a study learned.
impl Engine for Judge {
    fn score(&mut self, photos: &[Picture]) -> Result<Vec<Score>> {
        self.judge(photos)
    }

    fn explain(&mut self, photo: &Picture) -> Result<Explanation> {
        let alike = |alike: score::Alike| Alike {
            thumbnail: alike.specimen.thumbnail.clone(),
            good: alike.specimen.good,
            similarity: alike.similarity,
            caption: String::new(),
        };
        let score::Explanation { occlusion, gradient, alike: photos } =
            Judge::explain(self, photo)?;
        Ok(Explanation { occlusion, gradient, alike: photos.into_iter().map(alike).collect() })
    }

    fn about(&self) -> About {
        let score::About { title, caveat, method, photos, people, quality } =
            Judge::about(self).clone();
        let trained_on = if people { "all with a face".into() } else { String::new() };
        About { model: title, features: method, trained_on, photos, people, quality, caveat }
    }
}
