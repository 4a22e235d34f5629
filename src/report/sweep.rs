//! How good classifiers are for each C.
//!
//! Flows in: for each set of features the average precision by C. Flows out: a drawing, SVG or PNG: a curve
//! for each set over log₁₀ C, whiskers of one standard deviation, a ring around the best point of a curve, and
//! a dashed line where guessing would be.

use super::canvas::{self, COLOURS, Drawn, FONT, GREY, Page, line, number, style, titled};
use crate::error::{Error, Result};
use plotters::coord::Shift;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::ops::Range;
use std::path::Path;

/// Pixels between neighbouring curves' whiskers at the same C, which would hide each other; of many curves
/// less, so that those of all are not further apart than [`SPREAD`].
const ASIDE: i32 = 4;
const SPREAD: i32 = 24;

/// Pixels of a dash and the gap behind it.
const DASH: i32 = 12;

/// Where the axis of values is; the legend begins there too.
const LEFT: u32 = 66;

/// Pixels of a mark in the legend, and of a line of it.
const MARK: i32 = 34;
const LINE: u32 = 21;

/// Pixels above and below the legend.
const GAP: i32 = 4;

/// Characters of a name in the legend, at most.
const LONGEST: usize = 64;

/// One curve: what was learned from, and how good that was.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepCurve {
    /// The set of features.
    pub name: String,
    /// (C, mean, standard deviation) of the average precision over folds. A mean that is not finite is left
    /// out, a deviation that is not has no whiskers.
    pub points: Vec<(f64, f64, f64)>,
}

/// Draws curves into `path`, whose ending says what it becomes: `.svg` or `.png`.
///
/// `chance` is the share of positives, which is the average precision of guessing. Fails when there is
/// nothing to draw or too many curves to be told apart, when a C is no number above 0, when a mean or chance
/// is not between 0 and 1, and on another ending.
pub fn draw_sweep(curves: &[SweepCurve], chance: f64, title: &str, path: &Path) -> Result<()> {
    let x = check(curves, chance)
        .map_err(|reason| Error::Invalid(format!("{}: {reason}", path.display())))?;
    let curves = curves.iter().enumerate().map(|(i, curve)| Curve::new(i, curve)).collect();
    canvas::write(&Sweep { curves, x, chance, title }, path)
}

/// The range of log₁₀ C, or why there can be no drawing.
fn check(curves: &[SweepCurve], chance: f64) -> std::result::Result<Range<f64>, String> {
    let most = COLOURS.len() * SHAPES.len();
    if curves.len() > most {
        return Err(format!("{} curves cannot be told apart: at most {most}", curves.len()));
    }
    let points = || curves.iter().flat_map(|curve| &curve.points);
    if let Some((c, ..)) = points().find(|(c, ..)| !c.is_finite() || *c <= 0.0) {
        return Err(format!("C is {c}: it has no logarithm to draw it at"));
    }
    let drawn = || points().filter(|p| p.1.is_finite());
    let mut values = drawn().map(|p| p.1).chain([chance]);
    if let Some(value) = values.find(|value| !(0.0..=1.0).contains(value)) {
        return Err(format!("an average precision of {value}: it is between 0 and 1"));
    }
    range(drawn().map(|p| p.0.log10())).ok_or("nothing to draw: no C has a value".into())
}

/// From the smallest value to the largest; None without any.
fn range(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    values.map(|v| v..v).reduce(|a, b| a.start.min(b.start)..a.end.max(b.end))
}

/// A range with air around it.
fn airy(range: &Range<f64>, least: f64) -> Range<f64> {
    let air = ((range.end - range.start) * 0.05).max(least);
    range.start - air..range.end + air
}

#[derive(Clone, Copy)]
struct Point {
    /// log₁₀ C.
    x: f64,
    mean: f64,
    deviation: Option<f64>,
}

/// The shapes by which curves differ for those who do not see their colours.
#[derive(Clone, Copy)]
enum Shape {
    Disc,
    Square,
    Triangle,
}

const SHAPES: [Shape; 3] = [Shape::Disc, Shape::Square, Shape::Triangle];

struct Curve {
    name: String,
    colour: RGBColor,
    shape: Shape,
    /// By rising C.
    points: Vec<Point>,
}

impl Curve {
    fn new(number: usize, curve: &SweepCurve) -> Self {
        let point = |&(c, mean, deviation): &(f64, f64, f64)| Point {
            x: c.log10(),
            mean,
            deviation: Some(deviation).filter(|d| (0.0..=1.0).contains(d)),
        };
        let finite = curve.points.iter().filter(|p| p.1.is_finite());
        let mut points: Vec<_> = finite.map(point).collect();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        Self {
            name: curve.name.clone(),
            colour: COLOURS[number % COLOURS.len()],
            // Colours that come again come with another shape.
            shape: SHAPES[(number + number / COLOURS.len()) % SHAPES.len()],
            points,
        }
    }

    /// The highest point; of equals the one of the smallest C.
    fn best(&self) -> Option<Point> {
        self.points.iter().copied().reduce(|best, p| if p.mean > best.mean { p } else { best })
    }

    fn caption(&self) -> String {
        let mut name: String = self.name.chars().take(LONGEST).collect();
        if name.len() < self.name.len() {
            name.push('…');
        }
        let Some(Point { x, mean, deviation }) = self.best() else { return name };
        let spread = deviation.map_or(String::new(), |d| format!(" ± {d:.3}"));
        format!("{name}: {mean:.3}{spread} at C = {}", number(10f64.powf(x)))
    }

    /// The mark of a point.
    fn mark<DB: DrawingBackend>(&self, pen: &Pen<DB>, (x, y): (i32, i32)) -> Drawn<DB> {
        let (r, style) = (4 * pen.scale, self.colour.filled());
        match self.shape {
            Shape::Disc => pen.area.draw(&Circle::new((x, y), r, style)),
            Shape::Square => {
                pen.area.draw(&Rectangle::new([(x - r, y - r), (x + r, y + r)], style))
            }
            Shape::Triangle => {
                let r = r + pen.scale;
                let corners = [(x, y - r - pen.scale), (x + r, y + r), (x - r, y + r)];
                pen.area.draw(&Polygon::new(corners, style))
            }
        }
    }

    /// Whiskers, line, marks and ring; `pixel` says where a point is.
    fn draw<DB: DrawingBackend>(
        &self,
        pen: &Pen<DB>,
        pixel: impl Fn(f64, f64) -> (i32, i32),
    ) -> Drawn<DB> {
        let (cap, faint) = (3 * pen.scale, self.colour.mix(0.7));
        for &Point { x, mean, deviation } in &self.points {
            let Some(d) = deviation else { continue };
            let ends = [mean - d, mean + d].map(|y| pixel(x, y));
            pen.line(&ends, faint, 1)?;
            for (x, y) in ends {
                pen.line(&[(x - cap, y), (x + cap, y)], faint, 1)?;
            }
        }
        let pixels: Vec<_> = self.points.iter().map(|p| pixel(p.x, p.mean)).collect();
        pen.line(&pixels, self.colour.into(), 2)?;
        pixels.iter().try_for_each(|&at| self.mark(pen, at))?;
        match self.best() {
            Some(best) => pen.ring(pixel(best.x, best.mean), self.colour),
            None => Ok(()),
        }
    }
}

/// Draws in pixels of the whole page.
struct Pen<'a, DB: DrawingBackend> {
    area: &'a DrawingArea<DB, Shift>,
    scale: i32,
}

impl<DB: DrawingBackend> Pen<'_, DB> {
    fn line(&self, points: &[(i32, i32)], colour: RGBAColor, width: u32) -> Drawn<DB> {
        let style = colour.stroke_width(width * self.scale as u32);
        let lines = line(points, style, self.scale as u32);
        lines.iter().filter(|_| points.len() > 1).try_for_each(|line| self.area.draw(line))
    }

    fn ring(&self, at: (i32, i32), colour: RGBColor) -> Drawn<DB> {
        let style = colour.stroke_width(2 * self.scale as u32);
        self.area.draw(&Circle::new(at, 9 * self.scale, style))
    }

    /// A dashed horizontal line.
    fn dashes(&self, x: Range<i32>, y: i32) -> Drawn<DB> {
        let (step, end) = (DASH * self.scale, x.end);
        for x in x.step_by(step as usize) {
            self.line(&[(x, y), ((x + step * 2 / 3).min(end), y)], GREY.into(), 2)?;
        }
        Ok(())
    }
}

struct Sweep<'a> {
    curves: Vec<Curve>,
    /// The range of log₁₀ C.
    x: Range<f64>,
    chance: f64,
    title: &'a str,
}

impl Page for Sweep<'_> {
    const SIZE: (u32, u32) = (900, 600);

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, scale: u32) -> Drawn<DB> {
        let pen = Pen { area, scale: scale as i32 };
        let inner = titled(area, self.title, scale)?;
        let height = self.legend(&pen, &inner)?;
        let (_, plot) = inner.split_vertically(height as i32);
        let (x, y) = (airy(&self.x, 0.1), airy(&self.values(), 0.005));
        let mut chart = ChartBuilder::on(&plot)
            .margin_top(6 * scale)
            .x_label_area_size(42 * scale)
            .y_label_area_size(LEFT * scale)
            .build_cartesian_2d(x.clone(), y)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("log₁₀ C")
            .y_desc("average precision")
            .x_labels(12)
            .y_labels(8)
            .x_label_formatter(&|v| number(*v))
            .y_label_formatter(&|v| number(*v));
        style(&mut mesh, scale).draw()?;
        let (left, y) = chart.backend_coord(&(x.start, self.chance));
        let (right, _) = chart.backend_coord(&(x.end, self.chance));
        pen.dashes(left..right, y)?;
        let n = self.curves.len() as i32;
        for (i, curve) in (0..).zip(&self.curves) {
            let aside = (2 * i + 1 - n) * (ASIDE * pen.scale).min(SPREAD * pen.scale / n) / 2;
            let pixel = |x, y| {
                let (x, y) = chart.backend_coord(&(x, y));
                (x + aside, y)
            };
            curve.draw(&pen, pixel)?;
        }
        Ok(())
    }
}

impl Sweep<'_> {
    /// All values, whiskers and chance included.
    fn values(&self) -> Range<f64> {
        let ends = |p: &Point| {
            let reach = p.deviation.unwrap_or(0.0);
            [p.mean - reach, p.mean + reach]
        };
        let points = self.curves.iter().flat_map(|curve| &curve.points).flat_map(ends);
        range(points.chain([self.chance])).unwrap_or(0.0..1.0)
    }

    /// Draws what each mark means, in as many columns as there is room for; how high that becomes.
    fn legend<DB: DrawingBackend>(
        &self,
        pen: &Pen<DB>,
        area: &DrawingArea<DB, Shift>,
    ) -> std::result::Result<u32, DrawingAreaErrorKind<DB::ErrorType>> {
        let scale = pen.scale as u32;
        let style =
            TextStyle::from((FONT, 14 * scale).into_font()).pos(Pos::new(HPos::Left, VPos::Center));
        let mut captions: Vec<String> = self.curves.iter().map(Curve::caption).collect();
        captions.push(format!("chance: {:.3}", self.chance));
        captions.push("best C of a curve; whiskers: ± 1 standard deviation".into());
        let mut widest = 0;
        for caption in &captions {
            widest = widest.max(area.estimate_text_size(caption, &style)?.0);
        }
        let room = area.dim_in_pixel().0.saturating_sub(LEFT * scale);
        let cell = widest + (MARK as u32 + 24) * scale;
        let columns = ((room / cell) as usize).clamp(1, captions.len());
        let rows = captions.len().div_ceil(columns);
        let (left, top) = area.get_base_pixel();
        let top = top + GAP * pen.scale;
        for (i, caption) in captions.iter().enumerate() {
            let x = left + (LEFT * scale + (i / rows) as u32 * cell) as i32;
            let y = top + ((2 * (i % rows) as u32 + 1) * LINE * scale / 2) as i32;
            let (end, middle) = (x + (MARK - 8) * pen.scale, x + (MARK - 8) * pen.scale / 2);
            match self.curves.get(i) {
                Some(curve) => {
                    pen.line(&[(x, y), (end, y)], curve.colour.into(), 2)?;
                    curve.mark(pen, (middle, y))?;
                }
                None if i == self.curves.len() => pen.dashes(x..end, y)?,
                None => pen.ring((middle, y), GREY)?,
            }
            pen.area.draw_text(caption, &style, (x + MARK * pen.scale, y))?;
        }
        Ok(rows as u32 * LINE * scale + 2 * GAP as u32 * scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made-up curves: rising to a best C, then falling.
    fn curves(n: usize) -> Vec<SweepCurve> {
        let names = ["fc7", "fc7 + normal", "fc7, flipped", "fc7, flipped + normal"];
        let curve = |i: usize| {
            let point = |c: i32| {
                let away = f64::from(c) + 2.0 + 0.7 * i as f64;
                let mean = 0.24 + (0.31 + 0.02 * i as f64) / (1.0 + 0.12 * away * away);
                (10f64.powi(c), mean, 0.012 + 0.004 * f64::from((c + 9 + i as i32) % 3))
            };
            let name = names.get(i).map_or(format!("set {i}"), |name| (*name).into());
            SweepCurve { name, points: (-7..=3).map(point).collect() }
        };
        (0..n).map(curve).collect()
    }

    fn svg_of(curves: &[SweepCurve], chance: f64) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sweep.svg");
        draw_sweep(curves, chance, "a sweep", &path).unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    /// (x, y) of circles of a radius and a colour.
    fn circles(svg: &str, radius: u32, colour: RGBColor) -> Vec<(i32, i32)> {
        let RGBColor(r, g, b) = colour;
        let (radius, colour) = (format!("r=\"{radius}\""), format!("#{r:02X}{g:02X}{b:02X}"));
        let number = |line: &str, key: &str| {
            let value = line.split(&format!("{key}=\"")).nth(1).unwrap();
            value.split('"').next().unwrap().parse::<i32>().unwrap()
        };
        let circles = svg.lines().filter(|line| line.starts_with("<circle"));
        let own = circles.filter(|line| line.contains(&radius) && line.contains(&colour));
        own.map(|line| (number(line, "cx"), number(line, "cy"))).collect()
    }

    #[test]
    fn a_drawing_names_what_it_shows() {
        let text = svg_of(&curves(4), 0.213);
        for label in [
            "a sweep",
            "log₁₀ C",
            "average precision",
            "fc7: 0.550 ± 0.016 at C = 0.01",
            "fc7, flipped + normal: 0.610 ± 0.020 at C = 0.0001",
            "chance: 0.213",
            "-7",
            "3",
            "0.5",
        ] {
            assert!(text.contains(&format!("\n{label}\n")), "no label '{label}'");
        }
        assert!(text.starts_with(r#"<svg width="900" height="600""#));
    }

    #[test]
    fn the_best_point_has_a_ring_where_it_is() {
        // In any order of C; it rises from left to right.
        let points = vec![(10.0, 0.5, 0.0), (0.1, 0.25, 0.0), (1.0, 1.0, 0.0), (1e-2, 0.5, 0.0)];
        let text = svg_of(&[SweepCurve { name: "a".into(), points }], 0.25);
        let marks = circles(&text, 4, COLOURS[0]);
        let [_legend, a, b, best, d] = marks[..] else { panic!("{marks:?}") };
        assert_eq!(circles(&text, 9, COLOURS[0]), [best]);
        let step = b.0 - a.0;
        assert!((best.0 - b.0 - step).abs() <= 1 && (d.0 - best.0 - step).abs() <= 1 && step > 100);
        // 0.5 is a third of the way from 0.25 to 1.
        assert!(a.1 == d.1 && (3 * (b.1 - a.1) - (b.1 - best.1)).abs() <= 3, "{marks:?}");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let lines = |points: Vec<(f64, f64, f64)>| {
            let text = svg_of(&[SweepCurve { name: "a".into(), points }], 0.5);
            let whiskers = text.lines().filter(|line| line.contains("opacity=\"0.7\"")).count();
            (circles(&text, 4, COLOURS[0]).len() - 1, whiskers)
        };
        // A whisker is three lines.
        assert_eq!(lines(vec![(1.0, 0.5, 0.1), (2.0, 0.6, 0.1), (4.0, 0.6, 0.1)]), (3, 9));
        assert_eq!(lines(vec![(1.0, 0.5, 0.1), (2.0, 0.6, f64::NAN), (4.0, 0.6, 0.1)]), (3, 6));
        assert_eq!(lines(vec![(1.0, 0.5, 0.1), (2.0, f64::NAN, 0.1), (4.0, 0.6, 0.1)]), (2, 6));
        assert_eq!(lines(vec![(1.0, 0.0, 0.0)]), (1, 3));
    }

    #[test]
    fn a_png_has_its_size_and_colours_and_nothing_beside_the_panel() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sweep.png");
        draw_sweep(&curves(4), 0.213, "a sweep", &path).unwrap();
        let picture = image::open(&path).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), Sweep::SIZE);
        for colour in &COLOURS[..4] {
            let own = |p: &&image::Rgb<u8>| p.0 == [colour.0, colour.1, colour.2];
            assert!(picture.pixels().filter(own).count() > 300, "{colour:?}");
        }
        let left = image::imageops::crop_imm(&picture, 0, 0, LEFT, 600).to_image();
        assert!(left.pixels().all(|p| p.0[0].abs_diff(p.0[2]) < 8), "colours left of the axis");
    }

    #[test]
    fn as_many_curves_as_can_be_told_apart_with_any_names() {
        let mut many = curves(18);
        many.iter_mut().for_each(|curve| curve.name = "wide ".repeat(40));
        assert!(svg_of(&many, 0.0).contains("wide…: "));
        let curves = many.iter().enumerate().map(|(i, curve)| Curve::new(i, curve));
        let marks = curves.map(|curve| (curve.colour.0, curve.shape as u8));
        assert_eq!(marks.collect::<std::collections::HashSet<_>>().len(), 18);
        many.truncate(1);
        many[0].points = vec![(5e-324, 0.0, 1.0), (1e308, 1.0, 1.0)];
        assert!(svg_of(&many, 1.0).contains("at C = 1e308"));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let one = |c, mean| vec![SweepCurve { name: "a".into(), points: vec![(c, mean, 0.1)] }];
        for (curves, chance, name, reason) in [
            (vec![], 0.5, "a.svg", "nothing to draw"),
            (one(1.0, f64::NAN), 0.5, "a.svg", "nothing to draw"),
            (one(0.0, 0.5), 0.5, "a.svg", "C is 0"),
            (one(f64::INFINITY, 0.5), 0.5, "a.svg", "C is inf"),
            (one(1.0, 1.5), 0.5, "a.svg", "precision of 1.5"),
            (one(1.0, 0.5), f64::NAN, "a.svg", "precision of NaN"),
            (curves(19), 0.5, "a.svg", "19 curves"),
            (one(1.0, 0.5), 0.5, "a.pdf", ".svg or .png"),
        ] {
            let error = draw_sweep(&curves, chance, "", &dir.path().join(name)).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(name) && error.contains(reason), "{error}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
