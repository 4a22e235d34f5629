//! An axis whose marks are chosen by hand.
//!
//! Flows in: the range of an axis and where its marks are. Flows out: an axis that drawings take.

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use std::ops::Range;

/// A linear axis.
pub(super) struct Axis {
    range: Range<f64>,
    marks: Vec<f64>,
}

impl Axis {
    /// An axis over a range with marks, which lie within it.
    pub(super) fn new(range: Range<f64>, marks: Vec<f64>) -> Self {
        Self { range, marks }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        start + (share * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_by_hand() {
        let axis = Axis::new(-1.0..3.0, vec![0.0, 2.0]);
        let places = [-1.0, 0.0, 2.0, 3.0].map(|value| axis.map(&value, (100, 500)));
        assert_eq!(places, [100, 200, 400, 500]);
        // An axis that points up: its end is the smaller pixel.
        assert_eq!(axis.map(&2.0, (500, 100)), 200);
        assert_eq!(axis.key_points(10), [0.0, 2.0]);
    }
}
