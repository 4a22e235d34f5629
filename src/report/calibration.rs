//! How far probabilities can be trusted.
//!
//! Flows in: for each classifier a name and its bins of probability. Flows out: a drawing, SVG or PNG: the share
//! of liked samples over the mean probability, a diagonal where the two are equal, and at the bottom how many
//! samples each point stands for.

use super::axis::Axis;
use super::canvas::{self, COLOURS, Drawn, GREY, Page, dashes, line, number, style, titled};
use crate::error::{Error, Result};
use crate::learn::metrics::Bin;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;

/// Pixels of the axes at the left, and of the panel of counts.
const LEFT: u32 = 74;
const COUNTS: i32 = 130;

/// Pixels of a bar.
const BAR: i32 = 7;

/// One classifier's reliability curve.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibrationCurve {
    /// The classifier.
    pub name: String,
    /// Its bins by rising probability, as [`crate::learn::metrics::reliability`] gives them.
    pub bins: Vec<Bin>,
}

impl CalibrationCurve {
    /// Expected calibration error: Σ (samples / all samples) · |observed − predicted|, 0 to 1.
    ///
    /// Not a number without samples.
    pub fn error(&self) -> f64 {
        let all: f64 = self.bins.iter().map(|bin| bin.samples as f64).sum();
        let one = |bin: &Bin| bin.samples as f64 * (bin.observed - bin.predicted).abs();
        self.bins.iter().map(one).sum::<f64>() / all
    }
}

/// Draws reliability curves into `path`, whose ending says what it becomes: `.svg` or `.png`.
///
/// Fails without curves, with more than can be told apart, on a curve without samples, on probabilities and
/// shares that are not between 0 and 1, and on another ending.
pub fn draw_calibration(curves: &[CalibrationCurve], title: &str, path: &Path) -> Result<()> {
    canvas::write(&Drawing::new(curves, title)?, path)
}

/// Reliability curves as the text of an SVG drawing.
///
/// Fails as [`draw_calibration`] does.
pub fn calibration_svg(curves: &[CalibrationCurve], title: &str) -> Result<String> {
    canvas::svg_text(&Drawing::new(curves, title)?)
}

/// From 0 to 1 with air for points at the ends, marked at each tenth.
fn share_axis() -> Axis {
    Axis::new(-0.02..1.02, (0..=10).map(|tenth| f64::from(tenth) / 10.0).collect())
}

struct Drawing<'a> {
    curves: &'a [CalibrationCurve],
    title: &'a str,
}

impl<'a> Drawing<'a> {
    fn new(curves: &'a [CalibrationCurve], title: &'a str) -> Result<Self> {
        let wrong = |reason: String| Err(Error::Invalid(format!("calibration: {reason}")));
        let most = COLOURS.len();
        match curves.len() {
            0 => return wrong("nothing to draw: no curves".into()),
            n if n > most => {
                return wrong(format!("{n} curves cannot be told apart: at most {most}"));
            }
            _ => (),
        }
        for CalibrationCurve { name, bins } in curves {
            if bins.iter().all(|bin| bin.samples == 0) {
                return wrong(format!("'{name}' has no samples"));
            }
            let mut values = bins.iter().flat_map(|bin| [bin.predicted, bin.observed]);
            if let Some(value) = values.find(|value| !(0.0..=1.0).contains(value)) {
                return wrong(format!("'{name}' has a probability of {value}"));
            }
        }
        Ok(Self { curves, title })
    }

    /// The curves and the diagonal.
    fn over<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, scale: u32) -> Drawn<DB> {
        let mut chart = ChartBuilder::on(area)
            .margin_top(6 * scale)
            .x_label_area_size(24 * scale)
            .y_label_area_size(LEFT * scale)
            .build_cartesian_2d(share_axis(), share_axis())?;
        let mut mesh = chart.configure_mesh();
        mesh.y_desc("share of liked photos")
            .x_label_formatter(&|v| number(*v))
            .y_label_formatter(&|v| number(*v));
        style(&mut mesh, scale).draw()?;
        let stroke = GREY.stroke_width(scale);
        chart.draw_series(dashes((0.0, 0.0), (1.0, 1.0), 70, stroke))?;
        for (curve, colour) in self.curves.iter().zip(COLOURS) {
            let samples = || curve.bins.iter().filter(|bin| bin.samples > 0);
            let points: Vec<_> = samples().map(|bin| (bin.predicted, bin.observed)).collect();
            chart.draw_series(line(&points, colour.stroke_width(2 * scale), scale))?;
            let disc = |&p: &(f64, f64)| Circle::new(p, 4 * scale as i32, colour.filled());
            let (length, height) = (18 * scale as i32, scale as i32);
            let name = format!("{}: calibration error {:.3}", curve.name, curve.error());
            chart.draw_series(points.iter().map(disc))?.label(name).legend(move |(x, y)| {
                Rectangle::new([(x, y - height), (x + length, y + height)], colour.filled())
            });
        }
        canvas::legend(&mut chart, SeriesLabelPosition::UpperLeft, scale)
    }

    /// How many samples each point stands for, on the same axis.
    fn counts<DB: DrawingBackend>(
        &self,
        page: &DrawingArea<DB, Shift>,
        area: &DrawingArea<DB, Shift>,
        scale: u32,
    ) -> Drawn<DB> {
        let bins = || self.curves.iter().flat_map(|curve| &curve.bins);
        let most = bins().map(|bin| bin.samples).max().unwrap_or(1) as f64;
        let mut chart = ChartBuilder::on(area)
            .margin_top(10 * scale)
            .x_label_area_size(42 * scale)
            .y_label_area_size(LEFT * scale)
            .build_cartesian_2d(share_axis(), 0.0..1.1 * most)?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh()
            .x_desc("predicted probability")
            .y_desc("photos")
            .y_labels(3)
            .x_label_formatter(&|v| number(*v))
            .y_label_formatter(&|v| number(*v));
        style(&mut mesh, scale).draw()?;
        let (n, width) = (self.curves.len() as i32, BAR * scale as i32);
        for ((i, curve), colour) in (0..).zip(self.curves).zip(COLOURS) {
            for bin in curve.bins.iter().filter(|bin| bin.samples > 0) {
                // Bars of several curves stand side by side.
                let (x, top) = chart.backend_coord(&(bin.predicted, bin.samples as f64));
                let (_, bottom) = chart.backend_coord(&(bin.predicted, 0.0));
                let left = x + (2 * i - n) * width / 2;
                let corners = [(left, top), (left + width - scale as i32, bottom)];
                page.draw(&Rectangle::new(corners, colour.filled()))?;
            }
        }
        Ok(())
    }
}

impl Page for Drawing<'_> {
    const SIZE: (u32, u32) = (760, 760);

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, scale: u32) -> Drawn<DB> {
        let inner = titled(area, self.title, scale)?;
        let height = inner.dim_in_pixel().1 as i32 - COUNTS * scale as i32;
        let (above, below) = inner.split_vertically(height);
        self.over(&above, scale)?;
        self.counts(area, &below, scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::metrics::reliability;

    fn curve(name: &str) -> CalibrationCurve {
        let probabilities = [0.1, 0.2, 0.2, 0.9, 0.7, 0.8];
        let labels = [false, false, true, true, true, false];
        let bins = reliability(&probabilities, &labels, 2).expect("bins");
        CalibrationCurve { name: name.into(), bins }
    }

    #[test]
    fn the_error_by_hand() {
        // Three samples of 1/6 of which a third is liked, three of 0.8 of which two thirds are.
        let error = curve("a").error();
        assert!((error - (1.0 / 6.0 + 0.8 - 2.0 / 3.0) / 2.0).abs() < 1e-12, "{error}");
        let bins = vec![Bin { samples: 5, predicted: 0.25, observed: 0.25 }];
        assert_eq!(CalibrationCurve { name: "a".into(), bins }.error(), 0.0);
    }

    #[test]
    fn a_drawing_names_what_it_shows() {
        let svg = calibration_svg(&[curve("raw"), curve("Platt")], "trust").unwrap();
        for label in [
            "trust",
            "predicted probability",
            "share of liked photos",
            "photos",
            "raw: calibration error 0.150",
            "Platt: calibration error 0.150",
        ] {
            assert!(svg.contains(&format!("\n{label}\n")), "no label '{label}'");
        }
    }

    #[test]
    fn points_and_bars_lie_where_the_numbers_are() {
        let bin = |samples, predicted, observed| Bin { samples, predicted, observed };
        let bins = vec![bin(10, 0.0, 0.0), bin(0, 0.3, 0.9), bin(40, 0.5, 1.0), bin(20, 1.0, 0.5)];
        let svg = calibration_svg(&[CalibrationCurve { name: "a".into(), bins }], "").unwrap();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let numbers = |tag: &str, names: [&str; 2]| -> Vec<[i32; 2]> {
            let own = document.descendants().filter(|node| {
                node.tag_name().name() == tag && node.attribute("fill") == Some("#1F5FA8")
            });
            own.map(|node| names.map(|n| node.attribute(n).unwrap().parse().unwrap())).collect()
        };
        let [a, b, c] = numbers("circle", ["cx", "cy"])[..] else { panic!("not 3 points") };
        assert!((b[0] - a[0] - (c[0] - b[0])).abs() <= 1 && b[0] - a[0] > 250, "{a:?} {b:?} {c:?}");
        assert!((a[1] - c[1] - (c[1] - b[1])).abs() <= 1 && a[1] - c[1] > 200, "{a:?} {b:?} {c:?}");
        let bars = numbers("rect", ["x", "height"]);
        let heights: Vec<i32> = bars.iter().map(|bar| bar[1]).filter(|&h| h > 2).collect();
        let [ten, forty, twenty] = heights[..] else { panic!("not 3 bars: {bars:?}") };
        assert!((forty - 4 * ten).abs() <= 4 && (twenty - 2 * ten).abs() <= 2, "{heights:?}");
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        let of = |bins| vec![CalibrationCurve { name: "a".into(), bins }];
        for (curves, reason) in [
            (vec![], "no curves"),
            (vec![curve("a"); 7], "7 curves cannot be told apart"),
            (of(vec![]), "'a' has no samples"),
            (of(vec![Bin { samples: 1, predicted: 1.5, observed: 0.0 }]), "a probability of 1.5"),
            (of(vec![Bin { samples: 1, predicted: 0.5, observed: f64::NAN }]), "of NaN"),
        ] {
            let error = calibration_svg(&curves, "").unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(draw_calibration(&[curve("a")], "", Path::new("a.gif")).is_err());
    }
}
