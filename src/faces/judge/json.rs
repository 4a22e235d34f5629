//! Photos and faces in JSON. Flows in: a file. Flows out: its values, or which image and field is wrong.

use crate::error::{Error, Result};
use crate::faces::Rect;
use serde_json::Value;
use std::collections::HashSet;
use std::fmt::Display;
use std::path::Path;

/// Beyond it nothing is a place in a photo: in pixels, either way.
const FARTHEST: f64 = 1e6;

/// What a value holds, or what is wrong with it.
pub(super) type Parsed<T> = std::result::Result<T, String>;

/// The photos that `parse` finds in a file's JSON; `name` says which image each is.
///
/// Fails on files that are not there, on what is no JSON, on no photos and on a photo that comes twice.
pub(super) fn read<T>(
    path: &Path,
    name: fn(&T) -> &str,
    parse: fn(&Value) -> Parsed<Vec<T>>,
) -> Result<Vec<T>> {
    let wrong = |reason: &dyn Display| Error::Invalid(format!("{}: {reason}", path.display()));
    let text = std::fs::read(path).map_err(Error::io(path))?;
    let value = serde_json::from_slice(&text).map_err(|e| wrong(&format!("not JSON: {e}")))?;
    let photos = parse(&value).map_err(|reason| wrong(&reason))?;
    let mut names = HashSet::new();
    if let Some(twice) = photos.iter().map(name).find(|name| !names.insert(*name)) {
        return Err(wrong(&format!("image '{twice}' occurs twice")));
    }
    if photos.is_empty() {
        return Err(wrong(&"there are no photos in it"));
    }
    Ok(photos)
}

/// A photo `{"image": …, "faces": [...]}`, which is the list's number `i`.
pub(super) fn photo<T>(
    i: usize,
    photo: &Value,
    face: fn(&Value) -> Parsed<T>,
) -> Parsed<(String, Vec<T>)> {
    let image = photo.get("image").and_then(Value::as_str);
    let image = image.ok_or_else(|| format!("photo {i}: 'image' is missing or no text"))?;
    let list = photo.get("faces").and_then(Value::as_array);
    let list = list.ok_or_else(|| format!("image '{image}': 'faces' is missing or no list"))?;
    Ok((image.into(), faces(image, list, face)?))
}

/// The faces of an image.
pub(super) fn faces<T>(
    image: &str,
    list: &[Value],
    face: fn(&Value) -> Parsed<T>,
) -> Parsed<Vec<T>> {
    let one = |(i, value)| face(value).map_err(|e| format!("image '{image}', face {i}: {e}"));
    list.iter().enumerate().map(one).collect()
}

/// A field that is a number.
pub(super) fn number(face: &Value, field: &str) -> Parsed<f64> {
    let value = face.get(field).and_then(Value::as_f64);
    value.ok_or_else(|| format!("'{field}' is missing or no number"))
}

/// `N` numbers in a list, which errors call `field`.
pub(super) fn numbers<const N: usize>(list: &Value, field: &str) -> Parsed<[f64; N]> {
    let wrong = || format!("{field} is not a list of {N} numbers");
    let list = list.as_array().filter(|list| list.len() == N).ok_or_else(wrong)?;
    let numbers: Option<Vec<f64>> = list.iter().map(Value::as_f64).collect();
    numbers.and_then(|n| n.try_into().ok()).ok_or_else(wrong)
}

/// The fields `x`, `y`, `w` and `h`.
pub(super) fn corners(face: &Value) -> Parsed<Rect> {
    let field = |field| number(face, field);
    rect([field("x")?, field("y")?, field("w")?, field("h")?])
}

/// A rectangle that has an area and lies where photos are.
pub(super) fn rect([x, y, w, h]: [f64; 4]) -> Parsed<Rect> {
    for (field, value) in [("w", w), ("h", h)] {
        if value <= 0.0 {
            return Err(format!("'{field}' is {value}: a face has an area"));
        }
    }
    match [("x", x), ("y", y), ("w", w), ("h", h)].iter().find(|(_, v)| v.abs() > FARTHEST) {
        Some((field, value)) => Err(format!("'{field}' is {value}: give pixels of the photo")),
        None => Ok(Rect { x, y, w, h }),
    }
}
