//! What callers get. Flows in: scores, explanations, refusals. Flows out: JSON, as `assets/openapi.json` describes it.

use super::engine::{Alike, Explanation, Map};
use super::refusal::{Refusal, respond};
use axum::Json;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

/// A call's answer: a result for each photo, in the order that they were sent in.
pub(super) struct Answer {
    results: Vec<Value>,
    /// The first refusal, where no photo got a score.
    refusal: Option<Refusal>,
    time: Duration,
}

/// One photo's result.
pub(super) struct One {
    pub name: Option<String>,
    pub outcome: Result<Outcome, Refusal>,
}

/// A photo that was scored.
#[derive(Serialize)]
pub(super) struct Outcome {
    pub probability: f64,
    pub score: f64,
    pub width: usize,
    pub height: usize,
    pub faces: Vec<Face>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explained>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
}

/// A face, in pixels of the upright photo.
#[derive(Serialize)]
pub(super) struct Face {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    confidence: f64,
}

/// Why a photo has its score.
#[derive(Serialize)]
pub(super) struct Explained {
    occlusion: Numbers,
    gradient: Option<Numbers>,
    alike: Vec<Like>,
}

#[derive(Serialize)]
struct Numbers {
    width: usize,
    height: usize,
    values: Vec<f64>,
}

#[derive(Serialize)]
struct Like {
    thumbnail: String,
    good: bool,
    similarity: f64,
    caption: String,
}

impl One {
    /// A photo of which nothing was heard.
    pub fn lost(name: Option<String>) -> Self {
        let refusal = Refusal::internal("the photo was lost; please report it with the photo");
        Self { name, outcome: Err(refusal) }
    }
}

impl Answer {
    /// Gives each scored photo its rank: 1 is the one that is most likely liked; of equals, the first that was sent.
    pub fn ranked(ones: Vec<One>, time: Duration) -> Self {
        let probability = |one: &One| one.outcome.as_ref().map_or(-1.0, |o| o.probability);
        let mut order: Vec<usize> = (0..ones.len()).collect();
        order.sort_by(|&a, &b| probability(&ones[b]).total_cmp(&probability(&ones[a])));
        let mut ranks = vec![0; ones.len()];
        for (rank, place) in (1..).zip(order) {
            ranks[place] = rank;
        }
        let scored = ones.iter().any(|one| one.outcome.is_ok());
        let first = ones.iter().find_map(|one| one.outcome.as_ref().err());
        let refusal = if scored { None } else { first.cloned() };
        let result = |(one, rank): (One, usize)| match one.outcome {
            Ok(outcome) => {
                let mut value = json!(outcome);
                value["name"] = json!(one.name);
                value["rank"] = json!(rank);
                value
            }
            Err(refusal) => json!({ "name": one.name, "error": refusal.json() }),
        };
        Self { results: ones.into_iter().zip(ranks).map(result).collect(), refusal, time }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let time_ms = (self.time.as_secs_f64() * 1e5).round() / 100.0;
        match self.refusal {
            None => Json(json!({ "results": self.results, "time_ms": time_ms })).into_response(),
            Some(refusal) if self.results.len() == 1 => refusal.into_response(),
            Some(refusal) => {
                respond(refusal.status, json!({ "error": refusal.json(), "results": self.results }))
            }
        }
    }
}

impl From<&crate::faces::Face> for Face {
    fn from(face: &crate::faces::Face) -> Self {
        let rect = face.rect;
        let confidence = f64::from(face.confidence);
        Self { x: rect.x, y: rect.y, width: rect.w, height: rect.h, confidence }
    }
}

impl From<Explanation> for Explained {
    fn from(explanation: Explanation) -> Self {
        Self {
            occlusion: explanation.occlusion.into(),
            gradient: explanation.gradient.map(Numbers::from),
            alike: explanation.alike.into_iter().map(Like::from).collect(),
        }
    }
}

impl From<Map> for Numbers {
    fn from(map: Map) -> Self {
        let values = map.values.into_iter().map(short).collect();
        Self { width: map.width, height: map.height, values }
    }
}

impl From<Alike> for Like {
    fn from(alike: Alike) -> Self {
        Self {
            thumbnail: data_url(&alike.thumbnail),
            good: alike.good,
            similarity: short(alike.similarity),
            caption: alike.caption,
        }
    }
}

/// A JPEG file that stands in the answer itself.
pub(super) fn data_url(jpeg: &[u8]) -> String {
    format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg))
}

/// A number to four digits: maps have tens of thousands, and nobody reads more. What is no number says nothing.
fn short(value: f32) -> f64 {
    let value = f64::from(value);
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    // Of a power and its inverse, the one that is a whole number keeps the result short.
    match digits {
        0.. => (value * 10f64.powi(digits)).round() / 10f64.powi(digits),
        _ => (value / 10f64.powi(-digits)).round() * 10f64.powi(-digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(probability: f64) -> One {
        let outcome = Outcome {
            probability,
            score: 0.0,
            width: 1,
            height: 1,
            faces: vec![],
            explanation: None,
            preview: None,
        };
        One { name: None, outcome: Ok(outcome) }
    }

    #[test]
    fn ranks_count_from_the_best() {
        let ones = vec![scored(0.2), One::lost(None), scored(0.9), scored(0.2)];
        let answer = Answer::ranked(ones, Duration::ZERO);
        let ranks: Vec<_> =
            answer.results.iter().map(|r| r.get("rank").and_then(Value::as_u64)).collect();
        assert_eq!(ranks, [Some(2), None, Some(1), Some(3)]);
        assert_eq!(answer.refusal, None);
        let answer = Answer::ranked(vec![One::lost(None)], Duration::ZERO);
        assert_eq!(answer.refusal.map(|refusal| refusal.code), Some("internal"));
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.123_456, "0.1235"),
            (-98_765.43, "-98770.0"),
            (1.0, "1.0"),
            (1e-7, "1e-7"),
            (0.0, "0.0"),
            (f32::NAN, "0.0"),
        ] {
            assert_eq!(json!(short(value)).to_string(), text);
        }
    }
}
