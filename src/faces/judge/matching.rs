//! Which detection is which face. Flows in: photos with their detections. Flows out: for each detection
//! whether it is right, for each face whether it was found.

use super::truth::{Found, Label, Photo};
use crate::faces::Rect;
use crate::learn::scale::median;

/// A detection that overlaps a face so much shows how the detector frames faces.
const ALIKE: f64 = 0.3;

/// A labelled photo and what was found in it.
pub(super) type Pair<'a> = (&'a Photo, &'a [Found]);

/// How a detector frames faces: the labels' boxes over its own. Detectors cut more or less of forehead and
/// cheeks; that is no fault of theirs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Framing {
    /// Width of a face's label over that of its detection.
    pub w: f64,
    /// Height over height.
    pub h: f64,
    /// From the detection's center to the label's, in widths of the detection.
    pub dx: f64,
    /// Down, in heights.
    pub dy: f64,
}

impl Framing {
    /// The medians over faces that count and the detection that overlaps each most; `None` where no
    /// detection overlaps a face.
    pub(super) fn fit(pairs: &[Pair]) -> Option<Self> {
        let [mut w, mut h, mut dx, mut dy] = [const { Vec::new() }; 4];
        for (photo, found) in pairs {
            for face in photo.faces.iter().filter(|face| !face.ignore) {
                let overlaps = found.iter().map(|found| (found.rect.iou(&face.rect), found));
                // Of equals the first.
                let best = overlaps.reduce(|best, next| if next.0 > best.0 { next } else { best });
                let Some((_, found)) = best.filter(|(iou, _)| *iou >= ALIKE) else { continue };
                let (label, found) = (&face.rect, &found.rect);
                let ([x, y], [found_x, found_y]) = (label.centre(), found.centre());
                w.push(label.w / found.w);
                h.push(label.h / found.h);
                dx.push((x - found_x) / found.w);
                dy.push((y - found_y) / found.h);
            }
        }
        let framing = Self { w: median(&w), h: median(&h), dx: median(&dx), dy: median(&dy) };
        (!w.is_empty()).then_some(framing)
    }

    /// The label that a detection stands for.
    pub fn apply(&self, found: Rect) -> Rect {
        let [x, y] = found.centre();
        let (x, y) = (x + self.dx * found.w, y + self.dy * found.h);
        let (w, h) = (found.w * self.w, found.h * self.h);
        Rect { x: x - w / 2.0, y: y - h / 2.0, w, h }
    }
}

/// A face that counts.
pub(super) struct Counted<'a> {
    pub photo: &'a Photo,
    pub label: &'a Label,
    /// The confidence of the detection that found it.
    pub found: Option<f64>,
}

/// What became of detections and faces.
#[derive(Default)]
pub(super) struct Matching<'a> {
    /// Confidences of the detections that count.
    pub confidences: Vec<f64>,
    /// Whether each is a face.
    pub right: Vec<bool>,
    /// Every face that counts.
    pub faces: Vec<Counted<'a>>,
}

impl<'a> Matching<'a> {
    /// The surest detection chooses first, of the faces still free the one that it overlaps most, by at
    /// least `iou` (PASCAL VOC's rule). One that takes no face and lies on an ignored one does not count.
    pub(super) fn new(pairs: &[Pair<'a>], framing: Option<&Framing>, iou: f64) -> Self {
        let mut all = Self::default();
        for (photo, found) in pairs {
            all.add(photo, found, framing, iou);
        }
        all
    }

    fn add(&mut self, photo: &'a Photo, found: &[Found], framing: Option<&Framing>, iou: f64) {
        let mut found = found.to_vec();
        found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        let first = self.faces.len();
        let (ignored, counted): (Vec<_>, Vec<_>) = photo.faces.iter().partition(|f| f.ignore);
        self.faces.extend(counted.iter().map(|&label| Counted { photo, label, found: None }));
        for Found { rect, confidence } in found {
            let rect = framing.map_or(rect, |framing| framing.apply(rect));
            let free = self.faces[first..].iter_mut().filter(|face| face.found.is_none());
            let overlaps = free.map(|face| (face.label.rect.iou(&rect), face));
            let best = overlaps.reduce(|best, next| if next.0 > best.0 { next } else { best });
            let face = best.filter(|(overlap, _)| *overlap >= iou);
            if face.is_none() && ignored.iter().any(|i| lies_on(&rect, &i.rect, iou)) {
                continue;
            }
            self.confidences.push(confidence);
            self.right.push(face.is_some());
            if let Some((_, face)) = face {
                face.found = Some(confidence);
            }
        }
    }
}

/// Whether a detection has half of itself on the label, half of the label on itself, or enough in common.
fn lies_on(found: &Rect, label: &Rect, iou: f64) -> bool {
    let common = found.intersection(label);
    common >= 0.5 * found.area() || common >= 0.5 * label.area() || found.iou(label) >= iou
}
