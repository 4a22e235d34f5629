//! How good face detectors are for every threshold.
//!
//! Flows in: a name and a judgement for each detector. Flows out: a drawing, SVG or PNG, with a curve for each.

use super::canvas::{self, COLOURS, Drawn, Page, line, number, style, titled};
use super::faces::Judged;
use crate::error::{Error, Result};
use crate::faces::judge::Judgement;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use std::path::Path;

/// False positives an image where the axis begins; none at all is drawn there.
const FEWEST: f64 = 0.001;

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaceCurve {
    /// Precision over recall.
    PrecisionRecall,
    /// Recall over false positives an image, on a logarithmic axis.
    FalsePositives,
    /// Photos with a face that are kept over photos without that pass.
    PhotoFilter,
}

impl FaceCurve {
    /// What stands beside x and y.
    fn axes(self) -> [&'static str; 2] {
        match self {
            Self::PrecisionRecall => ["recall", "precision"],
            Self::FalsePositives => ["false positives an image", "recall"],
            Self::PhotoFilter => ["photos without a face that pass", "photos with a face kept"],
        }
    }

    /// The points, and the measure that sums them up; no point where there is nothing to draw.
    fn of(self, judgement: &Judgement) -> (Vec<(f64, f64)>, String) {
        let curve = judgement.curve.iter();
        let area = || format!("AP {:.3}", judgement.average_precision);
        match (self, &judgement.filter) {
            (Self::PrecisionRecall, _) => {
                (curve.map(|p| (p.recall, p.precision)).collect(), area())
            }
            (Self::FalsePositives, _) => {
                (curve.map(|p| (p.false_positives.max(FEWEST), p.recall)).collect(), area())
            }
            (Self::PhotoFilter, Some(filter)) => {
                let start = std::iter::once((0.0, 0.0));
                let points = start.chain(filter.curve.iter().map(|p| (p.passed, p.kept)));
                (points.collect(), format!("AUC {:.3}", filter.auc))
            }
            (Self::PhotoFilter, None) => (vec![], String::new()),
        }
    }
}

/// Draws the curves of detectors into `path`, whose ending says what it becomes: `.svg` or `.png`.
///
/// Fails when there is nothing to draw or too many curves to be told apart, and on another ending.
pub fn draw_faces(judged: &[Judged], curve: FaceCurve, title: &str, path: &Path) -> Result<()> {
    let wrong = |reason| Err(Error::Invalid(format!("{}: {reason}", path.display())));
    let lines = judged.iter().map(|(name, judgement)| {
        let (points, measure) = curve.of(judgement);
        Line { name: format!("{name}: {measure}"), points }
    });
    let lines: Vec<_> = lines.filter(|line| !line.points.is_empty()).collect();
    let most = COLOURS.len();
    match lines.len() {
        0 => wrong("nothing to draw: no detections of photos to draw a curve of".to_string()),
        n if n > most => wrong(format!("{n} curves cannot be told apart: at most {most}")),
        _ => canvas::write(&Curves { lines, curve, title }, path),
    }
}

struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

struct Curves<'a> {
    lines: Vec<Line>,
    curve: FaceCurve,
    title: &'a str,
}

impl Page for Curves<'_> {
    const SIZE: (u32, u32) = (900, 600);

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, scale: u32) -> Drawn<DB> {
        let area = titled(area, self.title, scale)?;
        match self.curve {
            FaceCurve::FalsePositives => {
                let x = self.lines.iter().flat_map(|line| &line.points).map(|p| p.0);
                let most = x.fold(1.0, f64::max);
                self.over(&area, (FEWEST..1.1 * most).log_scale(), scale)
            }
            _ => self.over(&area, 0.0..1.0, scale),
        }
    }
}

impl Curves<'_> {
    fn over<DB: DrawingBackend, X: AsRangedCoord<Value = f64>>(
        &self,
        area: &DrawingArea<DB, Shift>,
        x: X,
        scale: u32,
    ) -> Drawn<DB>
    where
        X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let mut chart = ChartBuilder::on(area)
            .margin_top(6 * scale)
            .x_label_area_size(42 * scale)
            .y_label_area_size(66 * scale)
            .build_cartesian_2d(x, 0.0..1.0)?;
        let [across, up] = self.curve.axes();
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(across)
            .y_desc(up)
            .x_labels(10)
            .y_labels(10)
            .x_label_formatter(&|v| number(*v))
            .y_label_formatter(&|v| number(*v));
        style(&mut mesh, scale).draw()?;
        for (Line { name, points }, colour) in self.lines.iter().zip(COLOURS) {
            chart.draw_series(line(points, colour.stroke_width(2 * scale), scale))?;
            let (length, height) = (18 * scale as i32, scale as i32);
            let ends = points.iter().filter(|_| points.len() == 1);
            let end = |&p: &(f64, f64)| Circle::new(p, 3 * scale as i32, colour.filled());
            chart.draw_series(ends.map(end))?.label(name).legend(move |(x, y)| {
                Rectangle::new([(x, y - height), (x + length, y + height)], colour.filled())
            });
        }
        let legend = match self.curve {
            FaceCurve::PrecisionRecall => SeriesLabelPosition::LowerLeft,
            _ => SeriesLabelPosition::LowerRight,
        };
        canvas::legend(&mut chart, legend, scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faces::Rect;
    use crate::faces::judge::{Detections, Found, Label, Options, Photo, Truth, judge};

    /// Two photos with a face and one without; a detection on one of the faces and one on nothing.
    fn judgement() -> Judgement {
        let rect = Rect { x: 10.0, y: 10.0, w: 40.0, h: 50.0 };
        let found = |confidence| vec![Found { rect, confidence }];
        let photo = |image: &str, faces| Photo { image: image.into(), source: None, faces };
        let face = || vec![Label { rect, ..Label::default() }];
        let photos = vec![photo("a", face()), photo("b", face()), photo("c", vec![])];
        let found = [("a", found(0.9)), ("b", vec![]), ("c", found(0.5))];
        let photos_found = found.map(|(image, found)| (image.to_string(), found));
        let detections = Detections { photos: photos_found.into() };
        judge(&Truth { photos }, &detections, &Options::default()).unwrap()
    }

    fn svg_of(judged: &[Judged], curve: FaceCurve) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("faces.svg");
        draw_faces(judged, curve, "detectors", &path).unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn drawings_name_what_they_show() {
        let judgement = judgement();
        let judged = [("ours", &judgement), ("theirs", &judgement)];
        for (curve, labels) in [
            (FaceCurve::PrecisionRecall, ["recall", "precision", "ours: AP 0.500"]),
            (FaceCurve::FalsePositives, ["false positives an image", "recall", "0.01"]),
            (
                FaceCurve::PhotoFilter,
                ["photos with a face kept", "photos without a face that pass", "theirs: AUC 0.500"],
            ),
        ] {
            let svg = svg_of(&judged, curve);
            for label in labels.iter().chain(&["detectors"]) {
                assert!(svg.contains(&format!("\n{label}\n")), "{curve:?}: no label '{label}'");
            }
        }
    }

    #[test]
    fn points_by_hand() {
        let judgement = judgement();
        let points = |curve: FaceCurve| curve.of(&judgement).0;
        assert_eq!(points(FaceCurve::PrecisionRecall), [(0.5, 1.0), (0.5, 0.5)]);
        assert_eq!(points(FaceCurve::FalsePositives), [(FEWEST, 0.5), (1.0 / 3.0, 0.5)]);
        let filter = points(FaceCurve::PhotoFilter);
        assert_eq!(filter, [(0.0, 0.0), (0.0, 0.5), (1.0, 0.5), (1.0, 1.0)]);
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        let mut judgement = judgement();
        judgement.filter = None;
        let dir = tempfile::tempdir().unwrap();
        for (judged, curve, name, reason) in [
            (vec![], FaceCurve::PrecisionRecall, "a.svg", "nothing to draw"),
            (vec![("a", &judgement)], FaceCurve::PhotoFilter, "a.svg", "nothing to draw"),
            (vec![("a", &judgement); 7], FaceCurve::FalsePositives, "a.svg", "7 curves"),
            (vec![("a", &judgement)], FaceCurve::FalsePositives, "a.pdf", ".svg or .png"),
        ] {
            let error = draw_faces(&judged, curve, "", &dir.path().join(name)).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
