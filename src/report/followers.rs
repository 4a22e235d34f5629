//! How many followers users have, and which users stay.
//!
//! Flows in: the number of followers of each user, the two cuts between which users stay, the median. Flows
//! out: a drawing, SVG or PNG: a histogram over log₁₀ of the followers, five bins to a power of ten, so that
//! no bin is empty for want of whole numbers. Users without followers have a bin of their own at the left.

use super::axis::Axis;
use super::canvas::{self, COLOURS, Drawn, FONT, GREY, Page, line, style, titled};
use super::histogram::{Histogram, NONE, NONE_MARK, mark, place, thousands};
use crate::error::{Error, Result};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::ops::Range;
use std::path::Path;

/// Pixels of the axis of users, at the left.
const LEFT: u32 = 74;

/// Pixels of a line of labels above the plot; there are two.
const LINE: i32 = 20;

/// Pixels between the line of a cut and its label.
const ASIDE: i32 = 5;

/// The axis over its part left of the upper cut, at least: the rest is for the cut's label.
const ROOM: f64 = 1.2;

const BAR: RGBColor = COLOURS[0];
const FAINT: RGBColor = RGBColor(188, 198, 210);
const SHADE: RGBColor = RGBColor(236, 243, 251);
const CUT: RGBColor = COLOURS[1];

/// What is drawn of users.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Followers<'a> {
    /// How many followers each user has.
    pub counts: &'a [u64],
    /// The lower and the upper cut in followers, 0 or more, the lower first.
    pub cuts: [f64; 2],
    /// The median of the counts in followers, 0 or more.
    pub median: f64,
}

/// Draws the distribution of followers into `path`, whose ending says what it becomes: `.svg` or `.png`.
///
/// Fails without users, when the cuts are not two numbers from 0 in rising order, when the median is not a
/// number from 0, and on another ending.
pub fn draw_followers(followers: &Followers, title: &str, path: &Path) -> Result<()> {
    canvas::write(&Drawing::new(followers, title)?, path)
}

/// The distribution of followers as the text of an SVG drawing.
///
/// Fails as [`draw_followers`] does.
pub fn followers_svg(followers: &Followers, title: &str) -> Result<String> {
    canvas::svg_text(&Drawing::new(followers, title)?)
}

struct Drawing<'a> {
    histogram: Histogram,
    cuts: [f64; 2],
    median: f64,
    title: &'a str,
}

/// An axis of powers of ten, and one of users.
type Chart<'a, DB> = ChartContext<'a, DB, Cartesian2d<Axis, RangedCoordf64>>;

impl<'a> Drawing<'a> {
    fn new(followers: &Followers, title: &'a str) -> Result<Self> {
        let &Followers { counts, cuts, median } = followers;
        if counts.is_empty() {
            return Err(Error::Invalid("followers: nothing to draw: no users".into()));
        }
        let [lower, upper] = cuts;
        for (name, value) in [("lower cut", lower), ("upper cut", upper), ("median", median)] {
            if !value.is_finite() || value < 0.0 {
                let reason = format!("followers: the {name} is {value}: give a number from 0");
                return Err(Error::Invalid(reason));
            }
        }
        if lower > upper {
            let reason = format!("followers: the lower cut {lower} is above the upper one {upper}");
            return Err(Error::Invalid(reason));
        }
        Ok(Self { histogram: Histogram::new(counts), cuts, median, title })
    }

    /// From the bin of none to the end of the last bar, and of the label of the upper cut.
    fn across(&self) -> Range<f64> {
        let bars = self.histogram.end();
        let start = NONE.start - 0.1;
        let labelled = start + ROOM * (place(self.cuts[1]) - start);
        start..(bars + 0.1).max(labelled).max(place(self.median) + 0.1).max(1.0)
    }

    /// The bars, strong between the cuts and faint beside them, on a shade between the cuts.
    fn bars<DB: DrawingBackend>(&self, chart: &mut Chart<DB>) -> Drawn<DB> {
        let [lower, upper] = self.cuts.map(place);
        let bars: Vec<_> = self.histogram.bars().collect();
        let bar = |from: f64, to: f64, users: usize, colour: RGBColor| {
            Rectangle::new([(from, 0.0), (to, users as f64)], colour.filled())
        };
        // A twentieth of a bin of air on both sides.
        let air = 0.01;
        let whole = bars.iter().map(|(x, users)| bar(x.start + air, x.end - air, *users, FAINT));
        chart.draw_series(whole)?;
        let inside = bars.iter().filter_map(|(x, users)| {
            let (from, to) = ((x.start + air).max(lower), (x.end - air).min(upper));
            (from < to).then(|| bar(from, to, *users, BAR))
        });
        chart.draw_series(inside)?;
        Ok(())
    }

    /// The lines of the cuts and the median with their labels: those of the cuts on the outer sides.
    fn marks<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
        chart: &Chart<DB>,
        top: f64,
        scale: i32,
    ) -> Drawn<DB> {
        let [lower, upper] = self.cuts;
        let text = |name: &str, value: f64| format!("{name} {}", thousands(value));
        for (value, label, anchor, row, colour) in [
            (lower, text("lower cut", lower), HPos::Right, 0, CUT),
            (upper, text("upper cut", upper), HPos::Left, 0, CUT),
            (self.median, text("median", self.median), HPos::Center, 1, GREY),
        ] {
            let (x, bottom) = chart.backend_coord(&(place(value), 0.0));
            let (_, y) = chart.backend_coord(&(place(value), top));
            let end = y - LINE * scale;
            let stroke = colour.stroke_width(2 * scale as u32);
            line(&[(x, end), (x, bottom)], stroke, scale as u32)
                .iter()
                .try_for_each(|line| area.draw(line))?;
            let font = (FONT, 14 * scale).into_font().color(&colour);
            let (width, _) = area.estimate_text_size(&label, &font)?;
            let aside = ASIDE * scale;
            let left = match anchor {
                HPos::Left => x + aside,
                HPos::Right => x - aside - width as i32,
                HPos::Center => x - width as i32 / 2,
            };
            let last = area.dim_in_pixel().0 as i32 - width as i32 - aside;
            let at = (left.clamp(0, last.max(0)), y - (row * LINE + 4) * scale);
            let font = font.pos(Pos::new(HPos::Left, VPos::Bottom));
            area.draw_text(&label, &font, at)?;
        }
        Ok(())
    }
}

impl Page for Drawing<'_> {
    const SIZE: (u32, u32) = (900, 440);

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, scale: u32) -> Drawn<DB> {
        let inner = titled(area, self.title, scale)?;
        let most = self.histogram.bars().map(|(_, users)| users).max().unwrap_or(0);
        let (x, top) = (self.across(), most.max(1) as f64 * 1.05);
        let powers = (0..20).map(f64::from).filter(|&power| power <= x.end);
        let marks = std::iter::once(NONE_MARK).chain(powers).collect();
        let mut chart = ChartBuilder::on(&inner)
            .margin_top((2 * LINE as u32 + 6) * scale)
            .x_label_area_size(42 * scale)
            .y_label_area_size(LEFT * scale)
            .build_cartesian_2d(Axis::new(x, marks), 0.0..top)?;
        let [lower, upper] = self.cuts.map(place);
        let shade = Rectangle::new([(lower, 0.0), (upper, top)], SHADE.filled());
        chart.draw_series([shade])?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh()
            .x_desc("followers of a user")
            .y_desc("users")
            .y_labels(6)
            .x_label_formatter(&|place| mark(*place))
            .y_label_formatter(&|users| thousands(*users));
        style(&mut mesh, scale).draw()?;
        self.bars(&mut chart)?;
        self.marks(area, &chart, top, scale as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: Followers =
        Followers { counts: &[0, 0, 1, 3, 4, 900], cuts: [1.0, 500.0], median: 2.0 };

    /// (x, width) of the filled rectangles of a colour, from the left.
    fn rectangles(svg: &str, RGBColor(r, g, b): RGBColor) -> Vec<(i32, i32)> {
        let colour = format!("#{r:02X}{g:02X}{b:02X}");
        let document = roxmltree::Document::parse(svg).expect("a drawing");
        let own = document.descendants().filter(|node| {
            node.has_tag_name(("http://www.w3.org/2000/svg", "rect"))
                && node.attribute("fill") == Some(&colour)
        });
        let side = |node: roxmltree::Node, name| {
            node.attribute(name).expect("one").parse().expect("a number")
        };
        own.map(|node| (side(node, "x"), side(node, "width"))).collect()
    }

    #[test]
    fn labels_name_the_cuts_and_the_median() {
        let counts: Vec<u64> = (0..200).map(|i| i * i * i).collect();
        let followers = Followers { counts: &counts, cuts: [12.4, 1_234_567.0], median: 985_074.5 };
        let svg = followers_svg(&followers, "who stays").unwrap();
        for label in [
            "who stays",
            "lower cut 12",
            "upper cut 1,234,567",
            "median 985,074",
            "0",
            "1,000",
            "1 million",
        ] {
            assert!(svg.contains(&format!("\n{label}\n")), "no label '{label}'");
        }
    }

    #[test]
    fn bars_are_strong_between_the_cuts_only() {
        let svg = followers_svg(&FEW, "").unwrap();
        // None, 1, 3, 4 and 900; of them 1, 3 and 4 lie between the cuts.
        let (all, inside) = (rectangles(&svg, FAINT), rectangles(&svg, BAR));
        assert_eq!((all.len(), inside.len()), (5, 3), "{all:?} {inside:?}");
        assert_eq!(all[1..4], inside[..]);
        let [(left, width)] = rectangles(&svg, SHADE)[..] else { panic!("one shade") };
        // The bin of 900 begins at 10^2.8, two tenths of a power right of 10^2.6.
        let tenth = f64::from(width) / 500f64.log10() / 10.0;
        assert!((f64::from(all[4].0 - left) - 28.0 * tenth).abs() < 3.0, "{all:?}, {left}");
        assert!(all[0].0 + all[0].1 < left);
    }

    #[test]
    fn a_cut_within_a_bin_parts_its_bar() {
        let svg = followers_svg(&Followers { cuts: [1.0, 800.0], ..FEW }, "").unwrap();
        let (all, inside) = (rectangles(&svg, FAINT), rectangles(&svg, BAR));
        assert_eq!(inside.len(), 4);
        // log₁₀ 800 = 2.903: half of the bin from 2.8 to 3.
        let share = f64::from(inside[3].1) / f64::from(all[4].1);
        assert!((share - 0.51).abs() < 0.06, "{share}");
    }

    #[test]
    fn nobody_followed_and_everybody_alike() {
        for (counts, cuts) in
            [(vec![0, 0], [0.0, 0.0]), (vec![7; 3], [7.0, 7.0]), (vec![u64::MAX], [0.5, 1e30])]
        {
            let median = counts[0] as f64;
            followers_svg(&Followers { counts: &counts, cuts, median }, "").unwrap();
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        for (followers, reason) in [
            (Followers { counts: &[], ..FEW }, "no users"),
            (Followers { cuts: [2.0, 1.0], ..FEW }, "the lower cut 2 is above the upper one 1"),
            (Followers { cuts: [f64::NAN, 1.0], ..FEW }, "the lower cut is NaN"),
            (Followers { median: -1.0, ..FEW }, "the median is -1"),
        ] {
            let error = followers_svg(&followers, "").unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(draw_followers(&FEW, "", Path::new("a.pdf")).is_err());
    }
}
