//! Users by their number of followers, on an axis of log₁₀.
//!
//! Flows in: the number of followers of each user. Flows out: bars and where they stand, places and labels of
//! the axis. Five bins to a power of ten are so few that no bin is empty for want of whole numbers; users without
//! followers, who have no logarithm, have a bin of their own at the left.

use super::canvas::number;
use std::ops::Range;

/// Bins to a power of ten.
const BINS: usize = 5;

/// The bin of users without followers, on the axis, and its middle.
pub(super) const NONE: Range<f64> = -0.5..-0.3;
pub(super) const NONE_MARK: f64 = -0.4;

/// Users by their number of followers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Histogram {
    /// Those without.
    none: usize,
    /// Bin k holds those of 10^(k / [`BINS`]) up to 10^((k + 1) / [`BINS`]), the last number excluded.
    bins: Vec<usize>,
}

impl Histogram {
    /// From the followers of each user.
    pub(super) fn new(counts: &[u64]) -> Self {
        let mut histogram = Self { none: 0, bins: vec![] };
        for &count in counts {
            if count == 0 {
                histogram.none += 1;
                continue;
            }
            let bin = ((count as f64).log10() * BINS as f64).floor() as usize;
            if histogram.bins.len() <= bin {
                histogram.bins.resize(bin + 1, 0);
            }
            histogram.bins[bin] += 1;
        }
        histogram
    }

    /// Where the last bin ends on the axis.
    pub(super) fn end(&self) -> f64 {
        self.bins.len() as f64 / BINS as f64
    }

    /// The stretch of the axis and the number of users of each bar.
    pub(super) fn bars(&self) -> impl Iterator<Item = (Range<f64>, usize)> {
        let edge = |k: usize| k as f64 / BINS as f64;
        let bins = self.bins.iter().enumerate();
        let bins = bins.map(move |(k, &users)| (edge(k)..edge(k + 1), users));
        std::iter::once((NONE, self.none)).chain(bins).filter(|(_, users)| *users > 0)
    }
}

/// Where a number of followers is on the axis: at its log₁₀; below 1 on the way to the bin of none.
pub(super) fn place(followers: f64) -> f64 {
    if followers >= 1.0 { followers.log10() } else { NONE_MARK * (1.0 - followers) }
}

/// A number of followers as labels have it: whole from 10 on, with commas between thousands.
pub(super) fn thousands(followers: f64) -> String {
    if !(10.0..1e12).contains(&followers) {
        return number(followers);
    }
    let digits = format!("{followers:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The label of a mark of the axis.
pub(super) fn mark(place: f64) -> String {
    match place {
        ..0.0 => "0".into(),
        ..6.0 => thousands(10f64.powf(place)),
        ..9.0 => format!("{} million", thousands(10f64.powf(place - 6.0))),
        _ => format!("10^{place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_hand() {
        // 4, 5 and 6 lie from 10^0.6 = 3.98 to 10^0.8 = 6.31, 7 above.
        let histogram = Histogram::new(&[0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 0, 1]);
        assert_eq!(histogram, Histogram { none: 2, bins: vec![2, 1, 1, 3, 2, 1] });
        assert_eq!(Histogram::new(&[0]), Histogram { none: 1, bins: vec![] });
    }

    #[test]
    fn powers_of_ten_begin_a_bin() {
        for power in 1..=19 {
            let bin = |count| Histogram::new(&[count]).bins.len() - 1;
            assert_eq!(bin(10u64.pow(power)), BINS * power as usize, "10^{power}");
            // Below 10^16 a number and the one before it have different logarithms.
            if power < 15 {
                assert_eq!(bin(10u64.pow(power) - 1), BINS * power as usize - 1, "10^{power} - 1");
            }
        }
        assert_eq!(Histogram::new(&[u64::MAX]).bins.len(), 97);
    }

    #[test]
    fn places_and_labels_by_hand() {
        assert_eq!([0.0, 0.5, 1.0, 100.0].map(place), [-0.4, -0.2, 0.0, 2.0]);
        let numbers = [0.0, 2.5, 10.0, 999.6, 45_300.4, 1_234_567.0, 1e15].map(thousands);
        assert_eq!(numbers, ["0", "2.5", "10", "1,000", "45,300", "1,234,567", "1e15"]);
        let marks = [NONE_MARK, 0.0, 3.0, 5.0, 6.0, 8.0, 9.0].map(mark);
        assert_eq!(marks, ["0", "1", "1,000", "100,000", "1 million", "100 million", "10^9"]);
    }
}
