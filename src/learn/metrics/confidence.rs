//! How sure one can be of a metric.
//!
//! Flows in: a metric, scores, labels and perhaps groups. Flows out: an interval ([`bootstrap`]) or the
//! probability that chance does as well ([`permutation_test`]). Repeats run in parallel; each has a seed
//! of its own, so the numbers are the same on any number of threads.

use super::{both, check_both};
use crate::error::{Error, Result};
use crate::rng::Rng;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Far more than any number needs, and little memory.
const MOST_REPEATS: usize = 10_000_000;

/// What is judged, a value a sample.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// Higher means rather liked.
    pub scores: &'a [f64],
    /// Liked or not.
    pub labels: &'a [bool],
    /// Samples of one group (one photographer's photos) are not independent: where groups are given, whole
    /// groups are drawn or exchanged instead of samples.
    pub groups: Option<&'a [u32]>,
}

/// A metric and where it would lie on other samples of the same kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The metric on the samples given.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A metric and how often chance reaches it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Significance {
    /// The metric on the labels given.
    pub value: f64,
    /// (1 + repeats whose metric is at least as high) / (1 + repeats).
    pub p: f64,
}

impl Judged<'_> {
    /// Rows that stay together: each alone, or group by group.
    fn units(&self) -> Result<Vec<Vec<usize>>> {
        check_both(self.scores, self.labels, "confidence in a metric")?;
        let Some(groups) = self.groups else {
            return Ok((0..self.labels.len()).map(|row| vec![row]).collect());
        };
        if groups.len() != self.labels.len() {
            let (groups, labels) = (groups.len(), self.labels.len());
            return Err(Error::Invalid(format!("{groups} groups for {labels} labels")));
        }
        let mut units = BTreeMap::<u32, Vec<usize>>::new();
        for (row, &group) in groups.iter().enumerate() {
            units.entry(group).or_default().push(row);
        }
        if units.len() == 1 {
            return Err(Error::Invalid(
                "all samples are of one group: there is nothing to draw".into(),
            ));
        }
        Ok(units.into_values().collect())
    }
}

/// `repeats` values, each by a generator of its own.
fn repeat(
    repeats: usize,
    seed: u64,
    one: impl Fn(&mut Rng) -> Result<f64> + Sync,
) -> Result<Vec<f64>> {
    if !(1..=MOST_REPEATS).contains(&repeats) {
        let most = MOST_REPEATS;
        return Err(Error::Invalid(format!("{repeats} repeats: give 1 to {most}, usually 1000")));
    }
    let mut root = Rng::new(seed);
    let seeds: Vec<u64> = (0..repeats).map(|_| root.bits()).collect();
    seeds.into_par_iter().map(|seed| number(one(&mut Rng::new(seed))?)).collect()
}

/// The metric's value, unless it is NaN, which has no place in an order.
fn number(value: f64) -> Result<f64> {
    if value.is_nan() {
        return Err(Error::Invalid(
            "the metric is NaN: there is no confidence to be had in it".into(),
        ));
    }
    Ok(value)
}

/// The percentile bootstrap (Efron, 1979): the interval that holds the middle `level` of the metric's
/// values on `repeats` resamples, drawn with replacement. A resample of one class only is drawn again.
///
/// Fails on one class only or one group only, without repeats, on a level that is not between 0 and 1,
/// and when the metric fails or is NaN.
pub fn bootstrap<M>(
    metric: M,
    judged: Judged<'_>,
    repeats: usize,
    level: f64,
    seed: u64,
) -> Result<Interval>
where
    M: Fn(&[f64], &[bool]) -> Result<f64> + Sync,
{
    if !(level > 0.0 && level < 1.0) {
        return Err(Error::Invalid(format!("a level of {level}: give one like 0.95")));
    }
    let units = judged.units()?;
    let value = number(metric(judged.scores, judged.labels)?)?;
    let mut values = repeat(repeats, seed, |rng| {
        loop {
            let drawn = (0..units.len()).flat_map(|_| &units[rng.below(units.len())]);
            let (scores, labels): (Vec<f64>, Vec<bool>) =
                drawn.map(|&row| (judged.scores[row], judged.labels[row])).unzip();
            if both(&labels) {
                return metric(&scores, &labels);
            }
        }
    })?;
    values.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - level) / 2.0;
    Ok(Interval { value, low: quantile(&values, tail), high: quantile(&values, 1.0 - tail) })
}

/// The value below which a share of rising values lies, interpolated between neighbours.
fn quantile(rising: &[f64], share: f64) -> f64 {
    let place = share * (rising.len() - 1) as f64;
    let (low, high) = (rising[place.floor() as usize], rising[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

/// The permutation test (Fisher, 1935): how often the metric is as high when labels are dealt out anew,
/// `repeats` times. p = (1 + #≥) / (1 + repeats) is never 0 (Phipson and Smyth, 2010).
///
/// With groups, whole groups exchange their labels, in row order, with groups of the same size (Winkler et
/// al., 2015). Fails on one class only or one group only, where no two groups are of the same size,
/// without repeats, and when the metric fails or is NaN.
pub fn permutation_test<M>(
    metric: M,
    judged: Judged<'_>,
    repeats: usize,
    seed: u64,
) -> Result<Significance>
where
    M: Fn(&[f64], &[bool]) -> Result<f64> + Sync,
{
    let units = judged.units()?;
    let mut sizes = BTreeMap::<usize, Vec<&[usize]>>::new();
    for unit in &units {
        sizes.entry(unit.len()).or_default().push(unit);
    }
    if sizes.len() == units.len() {
        return Err(Error::Invalid(
            "no two groups are of the same size: they cannot exchange their labels".into(),
        ));
    }
    let value = number(metric(judged.scores, judged.labels)?)?;
    let values = repeat(repeats, seed, |rng| {
        let mut labels = judged.labels.to_vec();
        for same in sizes.values() {
            let mut order = same.clone();
            rng.shuffle(&mut order);
            for (to, from) in same.iter().zip(order) {
                to.iter().zip(from).for_each(|(&to, &from)| labels[to] = judged.labels[from]);
            }
        }
        metric(judged.scores, &labels)
    })?;
    let reached = values.iter().filter(|&&v| v >= value).count();
    Ok(Significance { value, p: (1 + reached) as f64 / (1 + repeats) as f64 })
}

#[cfg(test)]
mod tests {
    use super::super::{average_precision, roc_auc};
    use super::*;

    /// The share of liked samples, whatever the scores.
    fn liked(_: &[f64], labels: &[bool]) -> Result<f64> {
        Ok(labels.iter().filter(|&&l| l).count() as f64 / labels.len() as f64)
    }

    fn ramp(n: usize) -> (Vec<f64>, Vec<bool>) {
        ((0..n).map(|i| i as f64).collect(), (0..n).map(|i| i % 3 == 0 || i > n / 2).collect())
    }

    #[test]
    fn the_interval_of_a_share_is_the_binomials() {
        // 100 of 400: the share's standard deviation is √(¼·¾/400) = 0.02165, 1.96 of them on each side.
        let labels: Vec<bool> = (0..400).map(|i| i % 4 == 0).collect();
        let judged = Judged { scores: &[0.0; 400], labels: &labels, groups: None };
        let Interval { value, low, high } = bootstrap(liked, judged, 4000, 0.95, 1).expect("one");
        assert_eq!(value, 0.25);
        assert!((low - 0.2076).abs() < 0.004 && (high - 0.2924).abs() < 0.004, "{low} {high}");
        // In groups of four alike there are as few independent samples as groups: twice as wide.
        let labels: Vec<bool> = (0..400).map(|i| i / 4 % 4 == 0).collect();
        let groups: Vec<u32> = (0..400).map(|i| i / 4).collect();
        let judged = Judged { labels: &labels, groups: Some(&groups), ..judged };
        let Interval { low, high, .. } = bootstrap(liked, judged, 4000, 0.95, 1).expect("one");
        assert!((low - 0.1651).abs() < 0.01 && (high - 0.3349).abs() < 0.01, "{low} {high}");
    }

    #[test]
    fn every_arrangement_of_four_labels() {
        // Two of four liked have six arrangements, in one of which both are on top: p is near 1/6.
        let judged = Judged {
            scores: &[4.0, 3.0, 2.0, 1.0],
            labels: &[true, true, false, false],
            groups: None,
        };
        let got = permutation_test(roc_auc, judged, 6000, 3).expect("a test");
        assert_eq!(got.value, 1.0);
        assert!((got.p - 1.0 / 6.0).abs() < 0.015, "{got:?}");
        // Two groups can exchange theirs, or not: p is near 1/2.
        let judged = Judged { groups: Some(&[7, 7, 2, 2]), ..judged };
        let got = permutation_test(roc_auc, judged, 6000, 3).expect("a test");
        assert!((got.p - 0.5).abs() < 0.02, "{got:?}");
    }

    #[test]
    fn threads_do_not_matter() {
        let (scores, labels) = ramp(60);
        let groups: Vec<u32> = (0..60).map(|i| i / 3).collect();
        let judged = Judged { scores: &scores, labels: &labels, groups: Some(&groups) };
        let run = |threads| {
            let pool =
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| {
                let interval = bootstrap(average_precision, judged, 300, 0.9, 5).expect("one");
                (interval, permutation_test(average_precision, judged, 300, 5).expect("a test"))
            })
        };
        assert_eq!(run(1), run(3));
        let other = bootstrap(average_precision, judged, 300, 0.9, 6).expect("one");
        assert_ne!(run(1).0, other);
    }

    #[test]
    fn one_liked_sample_is_drawn_until_it_is_there() {
        let judged =
            Judged { scores: &[1.0, 2.0, 3.0], labels: &[true, false, false], groups: None };
        let interval = bootstrap(roc_auc, judged, 500, 0.95, 0).expect("an interval");
        assert_eq!((interval.low, interval.high), (0.0, 0.0));
    }

    #[test]
    fn quantiles_by_hand() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!((quantile(&[1.0, 2.0], 0.0), quantile(&[1.0, 2.0], 1.0)), (1.0, 2.0));
    }

    #[test]
    fn refusals() {
        let (scores, labels) = ramp(6);
        let judged = Judged { scores: &scores, labels: &labels, groups: None };
        let sizes = Judged { groups: Some(&[1, 2, 2, 3, 3, 3]), ..judged };
        let one = Judged { groups: Some(&[1; 6]), ..judged };
        let few = Judged { groups: Some(&[1]), ..judged };
        let class = Judged { labels: &[true; 6], ..judged };
        let p = |judged| permutation_test(roc_auc, judged, 9, 0).expect_err("no").to_string();
        assert!(p(sizes).contains("same size") && p(one).contains("one group"));
        assert!(p(few).contains("1 groups for 6") && p(class).contains("both classes"));
        for (repeats, level) in [(0, 0.9), (usize::MAX, 0.9), (9, 1.0), (9, f64::NAN)] {
            assert!(bootstrap(roc_auc, judged, repeats, level, 0).is_err(), "{repeats} {level}");
        }
        assert!(bootstrap(|_, _| Ok(f64::NAN), judged, 9, 0.9, 0).is_err());
    }
}
