//! What is in the photos, and what was found. Flows in: JSON. Flows out: photos with labelled faces
//! ([`Truth`]), photos with detections ([`Detections`]).
//!
//! ```text
//! labels      [{"image": "a.jpg", "faces": [{"x": 8, "y": 9, "w": 40, "h": 50, "ignore": true}]}]
//! detections  [{"image": "a.jpg", "faces": [{"x": 8, "y": 9, "w": 40, "h": 50, "confidence": 0.9}]}]
//!             {"a.jpg": [[8, 9, 40, 50, 0.9]]}
//! ```
//!
//! A photo of labels may say its `source`; a label may have `"box": [x, y, w, h]` instead of the four
//! fields, and `lm5`: x and y of the eyes, the nose and the corners of the mouth, the image's left first.

use super::json::{self, Parsed};
use crate::error::Result;
use crate::faces::Face;
use crate::faces::Rect;
use serde_json::Value;
use std::path::Path;

/// Labelled photos.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// The photos; no image comes twice.
    pub photos: Vec<Photo>,
}

/// A labelled photo.
#[derive(Clone, Debug, PartialEq)]
pub struct Photo {
    /// Its path.
    pub image: String,
    /// Where it comes from, where that is told.
    pub source: Option<String>,
    /// All its faces.
    pub faces: Vec<Label>,
}

/// A labelled face.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Label {
    /// Where.
    pub rect: Rect,
    /// Too small or too doubtful to count: neither a miss nor a false alarm.
    pub ignore: bool,
    /// (x, y) of the eyes, the nose and the corners of the mouth; the image's left first.
    pub landmarks: Option<[[f64; 2]; 5]>,
    /// Mean gray of the face, 0 to 255, where someone measured it ([`Truth::measure_brightness`]).
    pub brightness: Option<f64>,
}

impl Truth {
    /// Reads labels. Errors say file, image, face and field.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Self { photos: json::read(path, |photo: &Photo| &photo.image, labelled)? })
    }

    /// Fills in the brightness of each face with what `mean_gray` says of an image's rectangle.
    pub fn measure_brightness(&mut self, mut mean_gray: impl FnMut(&str, Rect) -> Option<f64>) {
        for photo in &mut self.photos {
            for face in &mut photo.faces {
                face.brightness = mean_gray(&photo.image, face.rect);
            }
        }
    }
}

fn labelled(value: &Value) -> Parsed<Vec<Photo>> {
    let list = value.as_array().ok_or("labels are a list of photos: [{\"image\", \"faces\"}]")?;
    let photo = |(i, value): (usize, &Value)| {
        let (image, faces) = json::photo(i, value, label)?;
        let source = value.get("source").and_then(Value::as_str).map(String::from);
        Ok(Photo { image, source, faces })
    };
    list.iter().enumerate().map(photo).collect()
}

fn label(face: &Value) -> Parsed<Label> {
    let rect = match face.get("box") {
        Some(list) => json::rect(json::numbers(list, "'box'")?)?,
        None => json::corners(face)?,
    };
    let ignore = match face.get("ignore") {
        None | Some(Value::Null) => false,
        Some(value) => value.as_bool().ok_or("'ignore' is neither true nor false")?,
    };
    let landmarks = match face.get("lm5") {
        None | Some(Value::Null) => None,
        Some(list) => {
            let flat: [f64; 10] = json::numbers(list, "'lm5'")?;
            Some(std::array::from_fn(|i| [flat[2 * i], flat[2 * i + 1]]))
        }
    };
    Ok(Label { rect, ignore, landmarks, brightness: None })
}

/// Photos with what was found in them.
#[derive(Clone, Debug, PartialEq)]
pub struct Detections {
    /// The photos; no image comes twice.
    pub photos: Vec<(String, Vec<Found>)>,
}

/// A detection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Where.
    pub rect: Rect,
    /// How sure, in the detector's own measure.
    pub confidence: f64,
}

impl From<Face> for Found {
    fn from(face: Face) -> Self {
        Self { rect: face.rect, confidence: face.confidence.into() }
    }
}

impl Detections {
    /// Reads detections of either form. Errors say file, image, face and field.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Self { photos: json::read(path, |(image, _)| image, detected)? })
    }

    /// What a detector found in each image.
    pub fn of(photos: impl IntoIterator<Item = (String, Vec<Face>)>) -> Self {
        let found = |faces: Vec<Face>| faces.into_iter().map(Found::from).collect();
        Self { photos: photos.into_iter().map(|(image, faces)| (image, found(faces))).collect() }
    }
}

fn detected(value: &Value) -> Parsed<Vec<(String, Vec<Found>)>> {
    match value {
        Value::Array(list) => {
            list.iter().enumerate().map(|(i, value)| json::photo(i, value, found)).collect()
        }
        Value::Object(photos) => {
            let photo = |(image, list): (&String, &Value)| {
                let list = list.as_array().ok_or_else(|| format!("image '{image}': no list"))?;
                Ok((image.clone(), json::faces(image, list, found_in_list)?))
            };
            photos.iter().map(photo).collect()
        }
        _ => Err("detections are a list of photos or an object with an entry for each".into()),
    }
}

fn found(face: &Value) -> Parsed<Found> {
    Ok(Found { rect: json::corners(face)?, confidence: json::number(face, "confidence")? })
}

fn found_in_list(face: &Value) -> Parsed<Found> {
    let [x, y, w, h, confidence] = json::numbers(face, "[x, y, w, h, confidence]")?;
    Ok(Found { rect: json::rect([x, y, w, h])?, confidence })
}
