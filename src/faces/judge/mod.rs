//! How good a face detector is.
//!
//! Flows in: labelled photos and what was found in them. Flows out: precision and recall, how well photos
//! of people are told from others, which faces are missed, whether confidences are probabilities.
//!
//! ```text
//! labels ─────┬→ images ─┬→ matching ─┬→ measures     recall, precision, false positives an image
//! detections ─┘          │            ├→ groups       recall by size, pose, source, brightness
//!                        │            └→ reliability  confidence against share right
//!                        └→ filter                    photos with a face against those without
//! ```

pub mod filter;
pub mod groups;
mod images;
mod json;
pub mod matching;
pub mod measures;
pub mod reliability;
pub mod truth;

pub use filter::{Filter, FilterPoint};
pub use groups::Group;
pub use matching::Framing;
pub use measures::Point;
pub use reliability::Reliability;
pub use truth::{Detections, Found, Label, Photo, Truth};

use crate::error::{Error, Result};
use matching::{Matching, Pair};

/// False positives an image at which recall is told.
pub const RATES: [f64; 5] = [0.01, 0.03, 0.1, 0.3, 1.0];

/// False positives an image at which [`Group::found_at`] counts.
pub const GROUPS_AT: f64 = 0.03;

/// Shares of photos without a face that may pass a filter.
pub const PASSED: [f64; 3] = [0.01, 0.02, 0.05];

/// How is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The intersection over union from which a detection is a face.
    pub iou: f64,
    /// Whether the detector's framing is fitted to the labels' first ([`Framing`]).
    pub fit: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { iou: 0.5, fit: true }
    }
}

/// How good detections are.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Labelled photos.
    pub photos: usize,
    /// Faces that count.
    pub faces: usize,
    /// Photos with detections but without labels, which were left out.
    pub unlabelled: usize,
    /// What detections were framed by, where that was asked for and one lay on a face.
    pub framing: Option<Framing>,
    /// With all detections.
    pub overall: Point,
    /// Area below the curve of precision over recall, dents filled.
    pub average_precision: f64,
    /// The point at each of [`RATES`].
    pub at: [Point; RATES.len()],
    /// A point for each confidence, the highest first.
    pub curve: Vec<Point>,
    /// As a filter of photos; `None` unless there are photos with a face and photos without.
    pub filter: Option<Filter>,
    /// Recall of faces that are alike; groups without a face are left out.
    pub groups: Vec<Group>,
    /// `None` where confidences are no probabilities.
    pub reliability: Option<Reliability>,
}

/// Judges detections by labels, whose images they name by paths with the same tail.
///
/// Fails when a labelled image has no entry among the detections or could have two, on a confidence that is
/// NaN, and on an `iou` that is not above 0 and at most 1.
pub fn judge(truth: &Truth, detections: &Detections, options: &Options) -> Result<Judgement> {
    let Options { iou, fit } = *options;
    if !(iou > 0.0 && iou <= 1.0) {
        return Err(Error::Invalid(format!("an overlap of {iou}: it is above 0, at most 1")));
    }
    let pairs = pairs(truth, detections)?;
    let framing = if fit { Framing::fit(&pairs) } else { None };
    let Matching { confidences, right, faces } = Matching::new(&pairs, framing.as_ref(), iou);
    let curve = measures::curve(&confidences, &right, faces.len(), pairs.len());
    let at = RATES.map(|rate| measures::at(&curve, rate));
    let threshold = measures::at(&curve, GROUPS_AT).threshold;
    Ok(Judgement {
        photos: pairs.len(),
        faces: faces.len(),
        unlabelled: detections.photos.len() - pairs.len(),
        framing,
        overall: curve.last().copied().unwrap_or(Point::NOTHING),
        average_precision: measures::average_precision(&curve),
        at,
        filter: Filter::new(&pairs)?,
        groups: groups::groups(&faces, threshold),
        reliability: Reliability::new(&confidences, &right),
        curve,
    })
}

/// Each labelled photo with its detections.
fn pairs<'a>(truth: &'a Truth, detections: &'a Detections) -> Result<Vec<Pair<'a>>> {
    let nan = |(_, found): &&(String, Vec<Found>)| found.iter().any(|f| f.confidence.is_nan());
    if let Some((image, _)) = detections.photos.iter().find(nan) {
        return Err(Error::Invalid(format!("detections in '{image}' have a confidence of NaN")));
    }
    let labelled: Vec<&str> = truth.photos.iter().map(|photo| &*photo.image).collect();
    let given: Vec<&str> = detections.photos.iter().map(|(image, _)| &**image).collect();
    let numbers = images::pair(&labelled, &given).map_err(Error::Invalid)?;
    let missing: Vec<&str> = std::iter::zip(&labelled, &numbers)
        .filter_map(|(&image, number)| number.is_none().then_some(image))
        .collect();
    if let [first, ..] = missing[..] {
        let (missing, all) = (missing.len(), labelled.len());
        return Err(Error::Invalid(format!(
            "no entry for {missing} of {all} labelled images, the first '{first}': an image without \
             a face has an empty list"
        )));
    }
    let found = numbers.iter().flatten().map(|&number| &detections.photos[number].1[..]);
    Ok(truth.photos.iter().zip(found).collect())
}
