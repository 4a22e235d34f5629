//! Which faces are found. Flows in: faces and whether each was found. Flows out: recall by size, by how a
//! head is turned, by source and by brightness.

use super::matching::Counted;
use super::truth::Label;
use std::collections::BTreeMap;

/// Faces that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// In what: "size", "roll", "yaw", "brightness" or "source".
    pub by: &'static str,
    /// And how, such as "48 to 64".
    pub name: String,
    /// How many.
    pub faces: usize,
    /// Of them found with all detections.
    pub found: usize,
    /// Found with at most [`GROUPS_AT`](super::GROUPS_AT) false positives an image.
    pub found_at: usize,
}

impl Group {
    /// Share found with all detections.
    pub fn recall(&self) -> f64 {
        self.found as f64 / self.faces as f64
    }

    /// Share found with few false positives.
    pub fn recall_at(&self) -> f64 {
        self.found_at as f64 / self.faces as f64
    }
}

/// How faces are told apart by a number.
struct Scale {
    by: &'static str,
    /// `None` where a label does not tell.
    value: fn(&Label) -> Option<f64>,
    /// Where each group but the first begins.
    edges: &'static [f64],
    names: &'static [&'static str],
}

const SCALES: [Scale; 4] = [
    Scale {
        by: "size",
        value: |label| Some(label.rect.area().sqrt()),
        edges: &[36.0, 48.0, 64.0, 96.0],
        names: &["below 36", "36 to 48", "48 to 64", "64 to 96", "96 and more"],
    },
    Scale {
        by: "roll",
        value: |label| pose(label).map(|pose| pose.roll),
        edges: &[8.0, 15.0, 30.0],
        names: &["0° to 8°", "8° to 15°", "15° to 30°", "30° and more"],
    },
    // A nose is about 0.6 distances of the eyes before them: these are tan 14° and tan 30° of it.
    Scale {
        by: "yaw",
        value: |label| pose(label).map(|pose| pose.nose),
        edges: &[0.15, 0.35],
        names: &["frontal", "turned", "half profile"],
    },
    Scale {
        by: "brightness",
        value: |label| label.brightness,
        edges: &[60.0, 180.0],
        names: &["dark", "middle", "bright"],
    },
];

/// How a head is held.
struct Pose {
    /// Degrees between the line through the eyes and the horizontal, either way.
    roll: f64,
    /// From the middle of the eyes to the nose along that line, either way, in distances of the eyes.
    nose: f64,
}

fn pose(label: &Label) -> Option<Pose> {
    let [left, right, nose, ..] = label.landmarks?;
    let [x, y] = [right[0] - left[0], right[1] - left[1]];
    let [nose_x, nose_y] = [0, 1].map(|i| nose[i] - (left[i] + right[i]) / 2.0);
    let square = x * x + y * y;
    let pose = Pose {
        roll: y.atan2(x).to_degrees().abs(),
        nose: (nose_x * x + nose_y * y).abs() / square,
    };
    (square > 0.0).then_some(pose)
}

/// All groups that have a face. `threshold` is the confidence from which [`Group::found_at`] counts.
pub(super) fn groups(faces: &[Counted], threshold: f64) -> Vec<Group> {
    let mut groups = vec![];
    for scale in &SCALES {
        let mut members = vec![vec![]; scale.names.len()];
        for face in faces {
            if let Some(value) = (scale.value)(face.label) {
                members[scale.edges.partition_point(|&edge| edge <= value)].push(face);
            }
        }
        let named = scale.names.iter().zip(members).filter(|(_, members)| !members.is_empty());
        groups.extend(named.map(|(name, members)| group(scale.by, name, &members, threshold)));
    }
    let mut sources: BTreeMap<&str, Vec<&Counted>> = BTreeMap::new();
    for face in faces {
        if let Some(source) = &face.photo.source {
            sources.entry(source).or_default().push(face);
        }
    }
    let source =
        |(name, members): (&str, Vec<&Counted>)| group("source", name, &members, threshold);
    groups.extend(sources.into_iter().map(source));
    groups
}

fn group(by: &'static str, name: &str, faces: &[&Counted], threshold: f64) -> Group {
    let found_from = |least| faces.iter().filter(|f| f.found.is_some_and(|c| c >= least)).count();
    Group {
        by,
        name: name.into(),
        faces: faces.len(),
        found: found_from(f64::NEG_INFINITY),
        found_at: found_from(threshold),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poses_by_hand() {
        let at = |left, right, nose| {
            let landmarks = Some([left, right, nose, [0.0; 2], [0.0; 2]]);
            pose(&Label { landmarks, ..Label::default() }).map(|pose| (pose.roll, pose.nose))
        };
        assert_eq!(at([10.0, 10.0], [30.0, 10.0], [22.0, 20.0]), Some((0.0, 0.1)));
        // Turned by 45 degrees, the nose straight below the middle of the eyes in the face's own sense.
        let (roll, nose) = at([0.0, 20.0], [20.0, 0.0], [20.0, 20.0]).expect("a pose");
        assert!((roll - 45.0).abs() < 1e-12 && nose == 0.0);
        assert_eq!(at([1.0, 1.0], [1.0, 1.0], [2.0, 2.0]), None);
    }
}
