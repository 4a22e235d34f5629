//! The best split of a node at one column.
//!
//! Flows in: the code that each sample of a node has in a column. Flows out: the border between two codes that
//! leaves the children purest, if it beats the best of the columns before.
//!
//! Most samples share one code: after a ReLU, zero's. They are left out. The samples below each border are
//! added up from the lowest code to the common one, those above from the highest down to it; the other
//! side of a border is the rest of the node.

use super::bins::Code;

/// Codes of this many samples or more are counted, of fewer sorted.
const MANY: usize = 9;

/// Up to so many keys are sorted by insertion.
const FEW: usize = 16;

/// Bins that can be counted.
const BINS: usize = 256;

/// How many samples, their weight, and the weight of those that are liked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums(u64);

impl Sums {
    /// Bits of each number: one addition adds all three.
    const BITS: u32 = 21;
    const MASK: u64 = (1 << Self::BITS) - 1;
    /// The most samples, and the largest weight, that can be added up.
    pub(super) const MOST: usize = Self::MASK as usize;

    /// What a sample of that tag (the low half of `key`) adds.
    #[inline(always)]
    pub(super) fn of(key: u32) -> Self {
        let weight = u64::from(key as u16 >> 1);
        let liked = weight & u64::from(key & 1).wrapping_neg();
        Self(1 | weight << Self::BITS | liked << (2 * Self::BITS))
    }

    pub(super) fn count(self) -> usize {
        (self.0 & Self::MASK) as usize
    }

    pub(super) fn weight(self) -> i64 {
        (self.0 >> Self::BITS & Self::MASK) as i64
    }

    pub(super) fn liked(self) -> i64 {
        (self.0 >> (2 * Self::BITS)) as i64
    }

    pub(super) fn is_pure(self) -> bool {
        self.liked() == 0 || self.liked() == self.weight()
    }
}

impl std::ops::AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl std::ops::Sub for Sums {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

/// A sample's weight and label in 16 bits. No bootstrap draws a row 32768 times.
pub(super) fn tag(weight: u32, liked: bool) -> u32 {
    weight.min(u16::MAX as u32 >> 1) << 1 | u32::from(liked)
}

/// The best border so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Best {
    pub(super) column: usize,
    /// The codes on both sides of the border; both occur in the node.
    pub(super) below: u32,
    pub(super) above: u32,
    /// Nothing can be better: both children are pure.
    pub(super) perfect: bool,
    /// The weighted decrease of the Gini impurity is 2 · num / (den · weight of the node).
    num: f64,
    den: f64,
}

/// Looks for the best split of a node, column by column.
pub(super) struct Search {
    contest: Contest,
    /// Code and tag of the samples that do not have the common code.
    keys: Vec<u32>,
    /// What is counted for each code; zeros between two columns.
    histogram: [Sums; BINS],
    /// The codes that occur, in order.
    groups: [(u32, Sums); BINS],
}

/// The contest of a node's borders.
struct Contest {
    /// Of the whole node.
    total: Sums,
    min_leaf: usize,
    best: Option<Best>,
}

impl Search {
    /// For nodes of up to so many samples, of which each child gets at least `min_leaf`.
    pub(super) fn new(samples: usize, min_leaf: usize) -> Self {
        Self {
            contest: Contest { total: Sums::default(), min_leaf, best: None },
            keys: vec![0; samples + 1],
            histogram: [Sums::default(); BINS],
            groups: [(0, Sums::default()); BINS],
        }
    }

    /// Begins with another node.
    pub(super) fn begin(&mut self, total: Sums) {
        self.contest = Contest { total, best: None, ..self.contest };
    }

    pub(super) fn best(&self) -> Option<Best> {
        self.contest.best
    }

    /// The weighted decrease of the Gini impurity that the best border brings.
    pub(super) fn gain(&self, best: &Best) -> f64 {
        2.0 * best.num / (best.den * self.contest.total.weight() as f64)
    }

    /// Looks at a column, given each sample's code and tag. Says whether there are different codes.
    #[inline(always)]
    pub(super) fn look<C: Code>(
        &mut self,
        column: usize,
        common: C,
        samples: impl ExactSizeIterator<Item = (C, u32)>,
    ) -> bool {
        let (count, mut used) = (samples.len(), 0);
        for (code, tag) in samples {
            // Written in any case and overwritten if not wanted: a branch would be mispredicted often.
            self.keys[used] = code.into() << 16 | tag;
            used += usize::from(code != common);
        }
        let rest = (used < count).then_some(common.into());
        match used {
            0 => false,
            MANY.. if C::COUNT <= BINS => self.count(column, used, common.into(), rest),
            _ => self.sort(column, used, common.into(), rest),
        }
    }

    fn sort(&mut self, column: usize, used: usize, common: u32, rest: Option<u32>) -> bool {
        let keys = &mut self.keys[..used];
        sort(keys);
        let (below, above) = keys.split_at(keys.partition_point(|key| key >> 16 < common));
        let group = |key: &u32| (key >> 16, Sums::of(*key));
        self.contest.walk(column, below.iter().map(group), rest, above.iter().rev().map(group))
    }

    fn count(&mut self, column: usize, used: usize, common: u32, rest: Option<u32>) -> bool {
        let mut occupied = [0u64; BINS / 64];
        for &key in &self.keys[..used] {
            let code = (key >> 16) as usize % BINS;
            self.histogram[code] += Sums::of(key);
            occupied[code / 64] |= 1 << (code % 64);
        }
        let (mut count, mut below) = (0, 0);
        for (word, mut bits) in occupied.into_iter().enumerate() {
            while bits != 0 {
                let code = word * 64 + bits.trailing_zeros() as usize;
                let sums = std::mem::take(&mut self.histogram[code % BINS]);
                self.groups[count % BINS] = (code as u32, sums);
                count += 1;
                below += usize::from((code as u32) < common);
                bits &= bits - 1;
            }
        }
        let (below, above) = self.groups[..count].split_at(below);
        self.contest.walk(column, below.iter().copied(), rest, above.iter().rev().copied())
    }
}

impl Contest {
    /// Looks at all borders, from both ends towards the common code, which is `rest` if it occurs.
    #[inline(always)]
    fn walk(
        &mut self,
        column: usize,
        below: impl Iterator<Item = (u32, Sums)>,
        rest: Option<u32>,
        above: impl Iterator<Item = (u32, Sums)>,
    ) -> bool {
        let (low, low_sums, low_varied) = self.side(column, below);
        let (high, high_sums, high_varied) = self.side(column, above);
        match (low, rest, high) {
            (_, Some(rest), _) => {
                low.inspect(|&low| self.consider(column, low_sums, low, rest));
                high.inspect(|&high| self.consider(column, high_sums, rest, high));
            }
            (Some(low), None, Some(high)) => self.consider(column, high_sums, low, high),
            _ => return low_varied || high_varied,
        }
        true
    }

    /// Looks at the borders between codes that come from the outside in. The innermost code, the sums of
    /// all, and whether there are several codes.
    #[inline(always)]
    fn side(
        &mut self,
        column: usize,
        codes: impl Iterator<Item = (u32, Sums)>,
    ) -> (Option<u32>, Sums, bool) {
        let (mut last, mut outside, mut varied) = (None, Sums::default(), false);
        for (code, sums) in codes {
            if let Some(last) = last.filter(|&last: &u32| last != code) {
                self.consider(column, outside, last.min(code), last.max(code));
                varied = true;
            }
            last = Some(code);
            outside += sums;
        }
        (last, outside, varied)
    }

    /// Keeps the border with `side` on one side of it if it is the best.
    ///
    /// With weights W, w and liked weights P, p of the node and of the side, the impurity falls by
    /// 2 (pW − Pw)² / (w (W − w) W).
    #[inline(always)]
    fn consider(&mut self, column: usize, side: Sums, below: u32, above: u32) {
        let (weight, whole) = (side.weight(), self.total.weight());
        let distance = (side.liked() * whole - self.total.liked() * weight) as f64;
        let (num, den) = (distance * distance, (weight * (whole - weight)) as f64);
        let better = self.best.is_none_or(|best| num * best.den > best.num * den);
        if better && side.count().min(self.total.count() - side.count()) >= self.min_leaf {
            let perfect = side.is_pure() && (self.total - side).is_pure();
            self.best = Some(Best { column, below, above, perfect, num, den });
        }
    }
}

fn sort(keys: &mut [u32]) {
    if keys.len() > FEW {
        return keys.sort_unstable();
    }
    for i in 1..keys.len() {
        let key = keys[i];
        let mut hole = i;
        while hole > 0 && keys[hole - 1] > key {
            keys[hole] = keys[hole - 1];
            hole -= 1;
        }
        keys[hole] = key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    type Samples = [(u32, u32, bool)];

    fn total(samples: &Samples) -> Sums {
        let mut total = Sums::default();
        samples.iter().for_each(|&(_, weight, liked)| total += Sums::of(tag(weight, liked)));
        total
    }

    fn look<C: Code>(samples: &Samples, common: u32, min_leaf: usize) -> (bool, Option<Best>, f64) {
        let mut search = Search::new(samples.len(), min_leaf);
        search.begin(total(samples));
        let codes = samples.iter().map(|&(c, w, l)| (C::new(c as usize), tag(w, l)));
        let varied = search.look(7, C::new(common as usize), codes);
        let best = search.best();
        (varied, best, best.map_or(0.0, |best| search.gain(&best)))
    }

    /// W · Gini, from its definition.
    fn impurity(samples: &[&(u32, u32, bool)]) -> f64 {
        let sum = |liked| samples.iter().filter(|s| s.2 == liked).map(|s| s.1 as f64).sum::<f64>();
        let (no, yes): (f64, f64) = (sum(false), sum(true));
        let all = no + yes;
        all * (1.0 - (no / all).powi(2) - (yes / all).powi(2))
    }

    #[test]
    fn a_border_that_can_be_counted() {
        // Codes 0 0 0 | 3 5, the common one being 0: the border after it parts 3 : 0 from 0 : 2.
        let samples = [(0, 1, false), (5, 1, true), (0, 1, false), (3, 1, true), (0, 1, false)];
        let (varied, best, gain) = look::<u8>(&samples, 0, 1);
        let best = best.expect("a border");
        assert!(varied && best.perfect);
        assert_eq!((best.column, best.below, best.above), (7, 0, 3));
        // 5 · 2 · 0.4 · 0.6 before, nothing after.
        assert!((gain - 2.4).abs() < 1e-12, "{gain}");
        // Weight 3 on one liked sample: 3 of 7 are disliked.
        let samples = [(0, 1, false), (5, 3, true), (0, 1, false), (3, 1, true), (0, 1, false)];
        let (_, _, gain) = look::<u8>(&samples, 0, 1);
        assert!((gain - 2.0 * 3.0 * 4.0 / 7.0).abs() < 1e-12, "{gain}");
    }

    #[test]
    fn one_code_is_no_border_whether_common_or_not() {
        for n in [3, 40] {
            let samples: Vec<_> = (0..n).map(|i| (6, 1, i % 2 == 0)).collect();
            for common in [6, 0, 9] {
                let (varied, best, _) = look::<u8>(&samples, common, 1);
                assert!(!varied && best.is_none(), "{n} samples, common {common}");
            }
        }
    }

    #[test]
    fn the_best_of_all_borders_is_found() {
        let mut rng = Rng::new(5);
        for case in 0..3000 {
            let count = 2 + rng.below(if case % 2 == 0 { 12 } else { 90 });
            let kinds = 2 + rng.below(30);
            let (common, min_leaf) = (rng.below(kinds) as u32, 1 + rng.below(3));
            let samples: Vec<_> = (0..count)
                .map(|_| {
                    let code = if rng.below(2) == 0 { common } else { rng.below(kinds) as u32 };
                    (code, 1 + rng.below(3) as u32, rng.below(2) == 0)
                })
                .collect();
            let all: Vec<_> = samples.iter().collect();
            let want = (0..kinds as u32).filter_map(|border| {
                let (left, right): (Vec<_>, Vec<_>) = all.iter().partition(|s| s.0 <= border);
                let allowed = left.len().min(right.len()) >= min_leaf;
                allowed.then(|| impurity(&all) - impurity(&left) - impurity(&right))
            });
            let want = want.reduce(f64::max);
            let (varied, best, gain) = look::<u8>(&samples, common, min_leaf);
            assert_eq!(best.is_some(), want.is_some(), "case {case}");
            assert_eq!(varied, samples.iter().any(|s| s.0 != samples[0].0), "case {case}");
            assert!((gain - want.unwrap_or(0.0)).abs() < 1e-9, "case {case}: {gain}, not {want:?}");
            let Some(best) = best else { continue };
            let (left, right): (Vec<_>, Vec<_>) = all.iter().partition(|s| s.0 <= best.below);
            let parted = impurity(&all) - impurity(&left) - impurity(&right);
            assert!((gain - parted).abs() < 1e-9, "case {case}: {gain}, but it brings {parted}");
            assert!(right.iter().all(|s| s.0 >= best.above), "case {case}");
            let (_, exact, _) = look::<u16>(&samples, common, min_leaf);
            let exact = exact.map(|exact| (exact.below, exact.above));
            assert_eq!(exact, Some((best.below, best.above)), "case {case}: sorted or counted");
        }
    }
}
