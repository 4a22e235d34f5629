//! A training run's curves.
//!
//! Flows in: the records of a log. Flows out: a drawing, SVG or PNG, with up to three panels over the
//! iterations: loss, accuracy of the tests, learning rate.
//!
//! Long logs are thinned: of each stretch of iterations only the smallest and the largest value are
//! drawn. Where a value is not finite, a curve has a gap.

use super::canvas::{self, COLOURS, Drawn, Page, line, number, style, titled};
use super::log::Record;
use crate::error::{Error, Result};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// Width and height of a drawing in pixels.
pub const SIZE: (u32, u32) = (1000, 900);

/// Points of a curve that are drawn, at most.
const MOST_POINTS: usize = 1500;

const FAINT: RGBColor = RGBColor(178, 202, 230);

/// (iteration, value); a value that is not finite is a gap.
type Points = Vec<(usize, f64)>;

struct Curve {
    name: String,
    colour: RGBColor,
    /// Its line's width in pixels; 0 for none.
    line: u32,
    /// Radius of its points; 0 for none.
    dots: u32,
    points: Points,
}

struct Panel {
    label: &'static str,
    log_scale: bool,
    legend: SeriesLabelPosition,
    curves: Vec<Curve>,
}

/// Draws the curves of `records` into `path`, whose ending says what it becomes: `.svg` or `.png`.
pub fn draw(records: &[Record], title: &str, path: &Path) -> Result<()> {
    if records.is_empty() {
        let name = path.display();
        return Err(Error::Invalid(format!("{name}: nothing to draw: the log is empty")));
    }
    canvas::write(&Log { records, title }, path)
}

/// All panels below one another.
struct Log<'a> {
    records: &'a [Record],
    title: &'a str,
}

impl Page for Log<'_> {
    const SIZE: (u32, u32) = SIZE;

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, scale: u32) -> Drawn<DB> {
        let area = titled(area, self.title, scale)?;
        let iterations = self.records.iter().map(Record::iter);
        // Whatever number a log holds, one more exists.
        let first = iterations.clone().min().unwrap_or(0).min(usize::MAX - 1);
        let last = iterations.max().unwrap_or(0).max(first + 1);
        let panels = panels(self.records);
        for (area, panel) in area.split_evenly((panels.len(), 1)).iter().zip(&panels) {
            let y = panel.range();
            match panel.log_scale {
                true => panel.draw(area, first..last, y.log_scale(), scale)?,
                false => panel.draw(area, first..last, y, scale)?,
            }
        }
        Ok(())
    }
}

/// What is drawn of the records: loss, accuracy if a test has one, learning rate.
fn panels(records: &[Record]) -> Vec<Panel> {
    let mut iterations: [Points; 3] = Default::default();
    let mut tests: BTreeMap<(&str, usize), Points> = BTreeMap::new();
    for record in records {
        match record {
            Record::Iteration(i) => {
                for (points, value) in iterations.iter_mut().zip([i.loss, i.smoothed, i.lr]) {
                    points.push((i.iter, value.into()));
                }
            }
            Record::Test(t) => {
                for (name, &value) in &t.outputs {
                    tests.entry((name, t.test)).or_default().push((t.iter, value.into()));
                }
            }
        }
    }
    let [loss, smoothed, lr] = iterations;
    let curve = |name: &str, colour, line, points| Curve {
        name: name.into(),
        colour,
        line,
        dots: 0,
        points: thin(points),
    };
    let mut losses = vec![curve("loss of an iteration", FAINT, 1, loss)];
    losses.push(curve("smoothed loss", COLOURS[0], 2, smoothed));
    let mut accuracies = Vec::new();
    let several = tests.keys().any(|(_, test)| *test > 0);
    for ((output, test), points) in tests {
        let name =
            if several { format!("test {test}: {output}") } else { format!("test: {output}") };
        let points = thin(points);
        let output = output.to_lowercase();
        if output.contains("acc") {
            let colour = COLOURS[accuracies.len() % COLOURS.len()];
            accuracies.push(Curve { name, colour, line: 2, dots: 3, points });
        } else if output.contains("loss") {
            let colour = COLOURS[(losses.len() - 1) % COLOURS.len()];
            losses.push(Curve { name, colour, line: 0, dots: 3, points });
        }
    }
    let steep =
        range(lr.iter().map(|p| p.1).filter(|&v| v > 0.0)).is_some_and(|r| r.end > 10.0 * r.start);
    let lr =
        lr.into_iter().map(|(i, v)| (i, if steep && v <= 0.0 { f64::NAN } else { v })).collect();
    let lr = vec![curve("learning rate", COLOURS[2], 2, lr)];
    let panel = |label, log_scale, legend, curves| Panel { label, log_scale, legend, curves };
    let mut panels = vec![panel("loss", false, SeriesLabelPosition::UpperRight, losses)];
    if !accuracies.is_empty() {
        panels.push(panel("accuracy", false, SeriesLabelPosition::LowerRight, accuracies));
    }
    panels.push(panel("learning rate", steep, SeriesLabelPosition::UpperRight, lr));
    panels
}

/// At most [`MOST_POINTS`] points: of each stretch the smallest and the largest finite value, in order.
fn thin(points: Points) -> Points {
    if points.len() <= MOST_POINTS {
        return points;
    }
    let stretch = |points: &[(usize, f64)]| {
        let finite = || points.iter().copied().filter(|p| p.1.is_finite());
        let by_value = |a: &(usize, f64), b: &(usize, f64)| a.1.total_cmp(&b.1);
        match (finite().min_by(by_value), finite().max_by(by_value)) {
            (Some(a), Some(b)) => {
                if a.0 <= b.0 {
                    [a, b]
                } else {
                    [b, a]
                }
            }
            _ => [(points[0].0, f64::NAN); 2],
        }
    };
    points.chunks(points.len().div_ceil(MOST_POINTS / 2)).flat_map(stretch).collect()
}

/// From the smallest finite value to the largest; None without any.
fn range(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    values
        .filter(|v| v.is_finite())
        .map(|v| v..v)
        .reduce(|a, b| a.start.min(b.start)..a.end.max(b.end))
}

impl Curve {
    /// Stretches without a gap.
    fn runs(&self) -> impl Iterator<Item = &[(usize, f64)]> {
        self.points.split(|p| !p.1.is_finite()).filter(|run| !run.is_empty())
    }

    fn lines(&self, scale: u32) -> impl Iterator<Item = PathElement<(usize, f64)>> {
        let style = self.colour.stroke_width(self.line * scale);
        let runs = self.runs().filter(|run| self.line > 0 && run.len() > 1);
        runs.flat_map(move |run| line(run, style, scale))
    }

    /// The points, where there are to be any; a line of one point would not be seen without.
    fn circles(&self, scale: u32) -> impl Iterator<Item = Circle<(usize, f64), i32>> {
        let radius = (self.dots.max(self.line + 1) * scale) as i32;
        let runs = self.runs().filter(|run| self.dots > 0 || run.len() == 1);
        runs.flatten().map(move |&p| Circle::new(p, radius, self.colour.filled()))
    }
}

impl Panel {
    /// The values that the axis spans: whole decades, or all values, with a little air. Of a faint
    /// curve, one spike in a hundred may leave the panel.
    fn range(&self) -> Range<f64> {
        let mut values = Vec::new();
        for curve in &self.curves {
            let mut finite: Vec<f64> =
                curve.points.iter().map(|p| p.1).filter(|v| v.is_finite()).collect();
            finite.sort_by(f64::total_cmp);
            let spikes = if curve.colour == FAINT { finite.len() / 100 } else { 0 };
            values.extend(&finite[spikes..finite.len() - spikes]);
        }
        let Some(Range { start, end }) = range(values.into_iter()) else { return 0.0..1.0 };
        if self.log_scale {
            // An f32 may lie a little beside its power of ten.
            let (bottom, top) = ((start.log10() + 1e-6).floor(), (end.log10() - 1e-6).ceil());
            return 10f64.powf(bottom - 0.1)..10f64.powf(top + 0.1);
        }
        let air = match end - start {
            0.0 => (end.abs() * 0.1).max(1e-9),
            height => height * 0.05,
        };
        let bottom = if start >= 0.0 { (start - air).max(0.0) } else { start - air };
        bottom..end + air
    }

    fn draw<DB: DrawingBackend, Y: AsRangedCoord<Value = f64>>(
        &self,
        area: &DrawingArea<DB, Shift>,
        x: Range<usize>,
        y: Y,
        scale: u32,
    ) -> Drawn<DB>
    where
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let mut chart = ChartBuilder::on(area)
            .margin_top(6 * scale)
            .x_label_area_size(42 * scale)
            .y_label_area_size(78 * scale)
            .build_cartesian_2d(x, y)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("iteration")
            .y_desc(self.label)
            .x_labels(10)
            .y_labels(6)
            .y_label_formatter(&|v| number(*v));
        style(&mut mesh, scale).draw()?;
        for curve in &self.curves {
            chart.draw_series(curve.lines(scale))?;
            let (length, height) = (18 * scale as i32, (curve.line.max(2) * scale) as i32 / 2);
            let width = if curve.line == 0 { 0 } else { length };
            let (filled, radius) = (curve.colour.filled(), (curve.dots * scale) as i32);
            chart.draw_series(curve.circles(scale))?.label(&curve.name).legend(move |(x, y)| {
                EmptyElement::at((x, y))
                    + Circle::new((length / 2, 0), radius, filled)
                    + Rectangle::new([(0, -height), (width, height)], filled)
            });
        }
        canvas::legend(&mut chart, self.legend.clone(), scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Iteration, Outputs, TestResult};

    /// A run of `n` iterations: falling loss, a test each tenth of it, a rate in three steps.
    fn run(n: usize) -> Vec<Record> {
        let mut records = Vec::new();
        for iter in 0..n {
            if iter % (n / 10).max(1) == 0 {
                let part = iter as f32 / n as f32;
                let outputs =
                    [("accuracy".into(), part.sqrt()), ("loss".into(), 2.4 - 2.0 * part)].into();
                records.push(Record::Test(TestResult { iter, test: 0, outputs }));
            }
            let smoothed = 0.3 + 2.0 / (1.0 + 9.0 * iter as f32 / n as f32);
            let noise = (iter * 7919 % 101) as f32 / 101.0 - 0.5;
            records.push(Record::Iteration(Iteration {
                iter,
                loss: smoothed + 0.6 * noise,
                smoothed,
                lr: 0.1f32.powi(2 + (3 * iter / n) as i32),
                images_per_s: 800.0,
                seconds: iter as f64 / 12.0,
                outputs: Outputs::new(),
            }));
        }
        records
    }

    fn svg_of(records: &[Record]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("curves.svg");
        draw(records, "a run", &path).unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_drawing_names_axes_and_curves() {
        let text = svg_of(&run(300));
        for label in [
            "a run",
            "iteration",
            "loss",
            "accuracy",
            "learning rate",
            "smoothed loss",
            "test: accuracy",
            "test: loss",
            // Decades of the rate's logarithmic axis, and ticks of the others.
            "0.01",
            "0.001",
            "0.0001",
            "250",
            "0.5",
        ] {
            assert!(text.contains(&format!("\n{label}\n")), "no label '{label}'");
        }
        assert!(text.starts_with(r#"<svg width="1000" height="900""#));
        let only: Vec<_> =
            run(9).into_iter().filter(|r| matches!(r, Record::Iteration(_))).collect();
        let text = svg_of(&only);
        assert!(!text.contains("accuracy") && text.contains("learning rate"));
    }

    #[test]
    fn a_title_is_text_not_markup() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("curves.svg");
        draw(&run(3), "<b> & \"c\"", &path).unwrap();
        assert!(std::fs::read_to_string(path).unwrap().contains("&lt;b&gt; &amp; &quot;c&quot;"));
    }

    #[test]
    fn a_png_has_its_size_colours_and_letters() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("curves.PNG");
        draw(&run(200), "a run", &path).unwrap();
        let picture = image::open(&path).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), SIZE);
        let count = |colour: RGBColor| {
            picture.pixels().filter(|p| p.0 == [colour.0, colour.1, colour.2]).count()
        };
        assert!(count(WHITE) > 600_000, "{} white pixels", count(WHITE));
        for curve in [COLOURS[0], COLOURS[1], COLOURS[2]] {
            assert!(count(curve) > 100, "{} pixels of {curve:?}", count(curve));
        }
        let title = image::imageops::crop_imm(&picture, 400, 0, 200, 40).to_image();
        assert!(title.pixels().filter(|p| p.0[0] < 100).count() > 50, "no title");
        // No line leaves its panel.
        let above = image::imageops::crop_imm(&picture, 0, 0, SIZE.0, 34).to_image();
        assert!(above.pixels().all(|p| p.0[0] == p.0[2]), "lines in the title");
    }

    #[test]
    fn logs_of_any_length_are_drawn() {
        for n in [1, 2, 3, MOST_POINTS, MOST_POINTS + 1] {
            assert!(svg_of(&run(n)).contains("smoothed loss"), "{n}");
        }
        // Thinned: drawn as fast as a short one.
        assert!(svg_of(&run(350_000)).len() < 200_000);
        let tests: Vec<_> = run(50).into_iter().filter(|r| matches!(r, Record::Test(_))).collect();
        assert!(svg_of(&tests).contains("test: loss"));
    }

    #[test]
    fn values_of_any_size_are_drawn() {
        for loss in [f32::NAN, f32::INFINITY, f32::MAX, f32::MIN, 0.0, 1e-45] {
            for (part, n) in [(1, 7), (2, 7), (1, 4000), (3, 4000)] {
                let mut records = run(n);
                for record in records.iter_mut().step_by(part) {
                    if let Record::Iteration(i) = record {
                        (i.loss, i.smoothed, i.lr) = (loss, loss, loss);
                    }
                }
                assert!(svg_of(&records).contains("smoothed loss"), "{loss} {part} {n}");
            }
        }
    }

    #[test]
    fn thinning_keeps_extremes_and_gaps() {
        let mut points: Points = (0..100_000).map(|i| (i, (i as f64 / 9000.0).sin())).collect();
        points[41_234].1 = 77.0;
        points[41_235].1 = f64::NAN;
        points[60_000..70_000].iter_mut().for_each(|p| p.1 = f64::INFINITY);
        let thinned = thin(points.clone());
        assert!(thinned.len() <= MOST_POINTS && thinned.is_sorted_by_key(|p| p.0));
        assert!(thinned.contains(&(41_234, 77.0)));
        let gap: Vec<_> = thinned.iter().filter(|p| (60_200..69_800).contains(&p.0)).collect();
        assert!(gap.len() > 100 && gap.iter().all(|p| p.1.is_nan()));
        assert!(thinned.iter().all(|p| p.1.is_nan() || points[p.0] == *p));
    }

    #[test]
    fn a_gap_parts_the_line() {
        let lines = |records: &[Record]| svg_of(records).matches("stroke=\"#1F5FA8\"").count();
        let mut records = run(100);
        let whole = lines(&records);
        if let Some(Record::Iteration(i)) = records.iter_mut().rfind(|r| r.iter() == 50) {
            i.smoothed = f32::NAN;
        }
        assert_eq!(lines(&records), whole + 1);
    }

    #[test]
    fn other_endings_and_empty_logs_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["curves.jpg", "curves"] {
            let error = draw(&run(3), "", &path(name)).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(".svg or .png"), "{error}");
        }
        let error = draw(&[], "", &path("a.svg")).unwrap_err().to_string();
        assert!(error.contains("a.svg") && error.contains("empty"), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
