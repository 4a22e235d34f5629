//! Which users have too few followers, or too many. Flows in: followers. Flows out: two cuts, by the median and the median
//! absolute deviation.

use crate::learn::scale::{mad_normal, median};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// How followers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// By their logarithm: ten times as many is as far as a tenth. Both cuts cut.
    Log,
    /// By their number, as in the study: the lower cut is often below 0.
    Linear,
}

/// What followers are like, and where the cuts are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cuts {
    /// The median of the users' followers.
    pub median: f64,
    /// Fewer are too few.
    pub low: f64,
    /// More are too many.
    pub high: f64,
}

impl Cuts {
    /// The cuts of users with these followers. Without any spread nobody is cut off.
    pub fn of(followers: &[u64], scale: Scale, deviations: f64) -> Self {
        let there = |followers: f64| match scale {
            Scale::Log => followers.ln_1p(),
            Scale::Linear => followers,
        };
        let back = |value: f64| match scale {
            Scale::Log => value.exp_m1(),
            Scale::Linear => value,
        };
        let values: Vec<f64> = followers.iter().map(|&f| there(f as f64)).collect();
        let (middle, spread) = (median(&values), mad_normal(&values));
        if followers.is_empty() || spread <= 0.0 {
            let median = if followers.is_empty() { 0.0 } else { back(middle) };
            return Self { median, low: 0.0, high: f64::MAX };
        }
        let (low, high) = (middle - deviations * spread, middle + deviations * spread);
        Self { median: back(middle), low: back(low).max(0.0), high: back(high) }
    }

    /// Whether so many followers are too few, or too many.
    pub(super) fn verdict(&self, followers: u64) -> Ordering {
        let followers = followers as f64;
        match () {
            () if followers < self.low => Ordering::Less,
            () if followers > self.high => Ordering::Greater,
            () => Ordering::Equal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_by_hand() {
        // Linear: median 30, deviations 20, 10, 0, 10, 970: their median is 10, times 1.4826.
        let cuts = Cuts::of(&[10, 20, 30, 40, 1000], Scale::Linear, 2.0);
        assert!(
            (cuts.high - (30.0 + 2.0 * 14.826)).abs() < 1e-3 && cuts.median == 30.0,
            "{cuts:?}"
        );
        assert!((cuts.low - (30.0 - 2.0 * 14.826)).abs() < 1e-3);
        assert_eq!(Cuts::of(&[10, 20, 30, 40, 1000], Scale::Linear, 9.0).low, 0.0);
        // Log: 9, 99, 999 are ln 10, ln 100, ln 1000; one deviation is 1.4826 · ln 10.
        let cuts = Cuts::of(&[9, 99, 999], Scale::Log, 1.0);
        assert!((cuts.high + 1.0 - 100.0 * 10f64.powf(1.4826)).abs() < 1.0, "{cuts:?}");
        assert_eq!(Cuts::of(&[5, 5, 5], Scale::Log, 1.0).verdict(1_000_000), Ordering::Equal);
        assert_eq!(Cuts::of(&[], Scale::Log, 1.0).median, 0.0);
    }
}
