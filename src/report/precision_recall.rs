//! How good rankings of photos are.
//!
//! Flows in: for each ranking a name, a score and a label of every photo. Flows out: a drawing, SVG or PNG, of
//! precision over recall, with the average precision of each and a dashed line where guessing would be.
//!
//! A curve is drawn in steps, each as high as the precision at its end: the area below it is the average
//! precision. Long curves are thinned: of each thousandth of recall only the first, the last, the lowest and the
//! highest point are drawn.

use super::canvas::{self, COLOURS, Drawn, GREY, Page, dashes, line, number, style, titled};
use crate::error::{Error, Result};
use crate::learn::metrics::{average_precision, precision_recall};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;

/// Parts of the axis of recall of which the extremes are drawn.
const PARTS: f64 = 1000.0;

/// Shares of liked photos that differ by less are one line.
const SAME: f64 = 5e-4;

/// Photos in an order: what was predicted of them, and what is true.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranking<'a> {
    /// Who ranked.
    pub name: &'a str,
    /// A score for each photo; higher means rather liked.
    pub scores: &'a [f64],
    /// Whether each photo is liked.
    pub labels: &'a [bool],
}

/// Draws rankings into `path`, whose ending says what it becomes: `.svg` or `.png`.
///
/// Fails without rankings, with more than can be told apart, on one without photos or without a liked one, on
/// scores that are NaN or too few, and on another ending.
pub fn draw_precision_recall(rankings: &[Ranking], title: &str, path: &Path) -> Result<()> {
    canvas::write(&Drawing::new(rankings, title)?, path)
}

/// Rankings as the text of an SVG drawing.
///
/// Fails as [`draw_precision_recall`] does.
pub fn precision_recall_svg(rankings: &[Ranking], title: &str) -> Result<String> {
    canvas::svg_text(&Drawing::new(rankings, title)?)
}

/// (recall, precision).
type Point = (f64, f64);

/// The curve in steps, by rising recall.
fn steps(ranking: &Ranking) -> Result<Vec<Point>> {
    let curve = precision_recall(ranking.scores, ranking.labels)?;
    let mut points = vec![];
    let mut before = 0.0;
    // From the highest threshold; the last point of the curve belongs to none.
    let thresholds = curve.thresholds.len();
    let corners = curve.recall.iter().zip(&curve.precision).take(thresholds).rev();
    for (&recall, &precision) in corners {
        points.extend([(before, precision), (recall, precision)]);
        before = recall;
    }
    points.dedup();
    Ok(points)
}

/// Of each part of the axis the first, the lowest, the highest and the last point, in their order.
fn thin(points: &[Point]) -> Vec<Point> {
    let part = |point: &Point| (point.0 * PARTS).floor();
    let parts = points.chunk_by(|a, b| part(a) == part(b));
    let few = |points: &[Point]| {
        let by_precision = |&a: &usize, &b: &usize| points[a].1.total_cmp(&points[b].1);
        let lowest = (0..points.len()).min_by(by_precision).unwrap_or(0);
        let highest = (0..points.len()).max_by(by_precision).unwrap_or(0);
        let mut kept = vec![0, lowest, highest, points.len() - 1];
        kept.sort_unstable();
        kept.dedup();
        kept.into_iter().map(|at| points[at]).collect::<Vec<_>>()
    };
    parts.flat_map(few).collect()
}

struct Curve {
    caption: String,
    points: Vec<Point>,
    /// The share of liked photos: the precision of guessing.
    chance: f64,
}

struct Drawing<'a> {
    curves: Vec<Curve>,
    title: &'a str,
}

impl<'a> Drawing<'a> {
    fn new(rankings: &[Ranking], title: &'a str) -> Result<Self> {
        let most = COLOURS.len();
        let reason = match rankings.len() {
            0 => Some("nothing to draw: no rankings".into()),
            n if n > most => Some(format!("{n} rankings cannot be told apart: at most {most}")),
            _ => None,
        };
        if let Some(reason) = reason {
            return Err(Error::Invalid(format!("precision and recall: {reason}")));
        }
        Ok(Self { curves: rankings.iter().map(curve).collect::<Result<_>>()?, title })
    }

    /// Each share of liked photos once.
    fn chances(&self) -> Vec<f64> {
        let mut chances: Vec<f64> = self.curves.iter().map(|curve| curve.chance).collect();
        chances.sort_by(f64::total_cmp);
        chances.dedup_by(|a, b| *a - *b < SAME);
        chances
    }

    /// The corner that the curves leave free.
    fn free(&self) -> SeriesLabelPosition {
        let right = |curve: &Curve| curve.points.iter().any(|&(recall, p)| recall > 0.6 && p > 0.7);
        match self.curves.iter().any(right) {
            true => SeriesLabelPosition::LowerLeft,
            false => SeriesLabelPosition::UpperRight,
        }
    }
}

fn curve(ranking: &Ranking) -> Result<Curve> {
    let &Ranking { name, scores, labels } = ranking;
    let wrong =
        |reason: String| Error::Invalid(format!("precision and recall: '{name}': {reason}"));
    let area = average_precision(scores, labels).map_err(|e| wrong(e.to_string()))?;
    let liked = labels.iter().filter(|&&liked| liked).count();
    if liked == 0 {
        return Err(wrong("no photo is liked".into()));
    }
    Ok(Curve {
        caption: format!("{name}: AP {area:.3}"),
        points: thin(&steps(ranking)?),
        chance: liked as f64 / labels.len() as f64,
    })
}

impl Page for Drawing<'_> {
    const SIZE: (u32, u32) = (900, 600);

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, scale: u32) -> Drawn<DB> {
        let area = titled(area, self.title, scale)?;
        let mut chart = ChartBuilder::on(&area)
            .margin_top(6 * scale)
            .x_label_area_size(42 * scale)
            .y_label_area_size(66 * scale)
            .build_cartesian_2d(0.0..1.0, 0.0..1.02)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("recall: share of the liked photos found")
            .y_desc("precision: share of liked photos among those")
            .x_labels(10)
            .y_labels(10)
            .x_label_formatter(&|v| number(*v))
            .y_label_formatter(&|v| number(*v));
        style(&mut mesh, scale).draw()?;
        let (length, height) = (18 * scale as i32, scale as i32);
        for (Curve { caption, points, .. }, colour) in self.curves.iter().zip(COLOURS) {
            chart.draw_series(line(points, colour.stroke_width(2 * scale), scale))?;
            // The legend's entry belongs to a series of elements that are drawn alike: none.
            let none = std::iter::empty::<Rectangle<Point>>();
            chart.draw_series(none)?.label(caption).legend(move |(x, y)| {
                Rectangle::new([(x, y - height), (x + length, y + height)], colour.filled())
            });
        }
        let stroke = GREY.stroke_width(scale);
        for chance in self.chances() {
            let caption = format!("chance: {chance:.3}");
            chart
                .draw_series(dashes((0.0, chance), (1.0, chance), 70, stroke))?
                .label(caption)
                .legend(move |(x, y)| {
                    let half = length * 2 / 5;
                    let ends = [(x, y), (x + half, y), (x + length - half, y), (x + length, y)];
                    EmptyElement::at((0, 0))
                        + PathElement::new(&ends[..2], stroke)
                        + PathElement::new(&ends[2..], stroke)
                });
        }
        canvas::legend(&mut chart, self.free(), scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const SCORES: [f64; 5] = [0.9, 0.8, 0.8, 0.3, 0.1];
    const LABELS: [bool; 5] = [true, true, false, false, true];
    const FIVE: Ranking = Ranking { name: "five", scores: &SCORES, labels: &LABELS };

    /// The area below a curve in steps.
    fn area(points: &[Point]) -> f64 {
        points.windows(2).map(|pair| (pair[1].0 - pair[0].0) * pair[1].1).sum()
    }

    /// Photos that are liked the more probably, the higher their score.
    fn many(photos: usize) -> (Vec<f64>, Vec<bool>) {
        let mut rng = Rng::new(7);
        let mut photo = |_| {
            let score = rng.unit();
            (score, rng.unit() < score)
        };
        (0..photos).map(&mut photo).unzip()
    }

    #[test]
    fn steps_by_hand() {
        let third = 1.0 / 3.0;
        let want = [
            (0.0, 1.0),
            (third, 1.0),
            (third, 2.0 * third),
            (2.0 * third, 2.0 * third),
            (2.0 * third, 0.5),
            (2.0 * third, 0.6),
            (1.0, 0.6),
        ];
        assert_eq!(steps(&FIVE).unwrap(), want);
    }

    #[test]
    fn the_area_below_the_steps_is_the_average_precision() {
        let (scores, labels) = many(500);
        for ranking in [FIVE, Ranking { name: "many", scores: &scores, labels: &labels }] {
            let want = average_precision(ranking.scores, ranking.labels).unwrap();
            assert!((area(&steps(&ranking).unwrap()) - want).abs() < 1e-12);
        }
    }

    #[test]
    fn long_curves_are_thinned() {
        let points =
            [(0.0, 0.4), (0.0001, 0.9), (0.0002, 0.5), (0.0003, 0.1), (0.0004, 0.3), (0.5, 0.2)];
        let want = [points[0], points[1], points[3], points[4], points[5]];
        assert_eq!(thin(&points), want);
        let (scores, labels) = many(30_000);
        let all = steps(&Ranking { name: "many", scores: &scores, labels: &labels }).unwrap();
        let few = thin(&all);
        assert!(all.len() > 30_000 && few.len() <= 4004, "{} of {}", few.len(), all.len());
        assert!((area(&few) - area(&all)).abs() < 1e-3);
    }

    #[test]
    fn a_drawing_names_what_it_shows() {
        let svg =
            precision_recall_svg(&[FIVE, Ranking { name: "again", ..FIVE }], "ranked").unwrap();
        for label in ["ranked", "five: AP 0.756", "again: AP 0.756", "chance: 0.600"] {
            assert_eq!(svg.matches(&format!("\n{label}\n")).count(), 1, "label '{label}'");
        }
        let few = Ranking { name: "few", scores: &SCORES[..4], labels: &LABELS[..4] };
        let svg = precision_recall_svg(&[FIVE, few], "").unwrap();
        assert!(svg.contains("\nchance: 0.600\n") && svg.contains("\nchance: 0.500\n"));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        for (rankings, reason) in [
            (vec![], "no rankings"),
            (vec![FIVE; 7], "7 rankings cannot be told apart"),
            (vec![Ranking { labels: &[false; 5], ..FIVE }], "'five': no photo is liked"),
            (vec![Ranking { labels: &[true], ..FIVE }], "'five': 5 scores for 1 labels"),
            (vec![Ranking { scores: &[f64::NAN; 5], ..FIVE }], "NaN"),
        ] {
            let error = precision_recall_svg(&rankings, "").unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(draw_precision_recall(&[FIVE], "", Path::new("a.txt")).is_err());
    }
}
