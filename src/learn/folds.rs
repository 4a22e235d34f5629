//! Which samples a classifier learns from, and which judge it.
//!
//! Flows in: how many samples there are, their labels, their groups. Flows out: [`Fold`]s of row numbers,
//! the same as scikit-learn's with an integer as `random_state`.

use crate::error::{Error, Result};
use crate::learn::mersenne::Mersenne;
use std::collections::BTreeMap;

/// One split of the samples in two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Rows to learn from.
    pub train: Vec<usize>,
    /// Rows to be judged by.
    pub test: Vec<usize>,
}

impl Fold {
    /// Fails unless both classes are among the rows to learn from. `number` names the fold, from 0.
    pub fn check(&self, labels: &[bool], number: usize) -> Result<()> {
        let rows = self.train.len() + self.test.len();
        if labels.len() != rows {
            return invalid(format!("fold {number} is of {rows} samples, not {}", labels.len()));
        }
        let liked = self.train.iter().filter(|&&row| labels[row]).count();
        if liked == 0 || liked == self.train.len() {
            return invalid(format!(
                "fold {number} would learn from one class only ({liked} of {} samples are liked): \
                 take fewer folds, or another seed",
                self.train.len()
            ));
        }
        Ok(())
    }
}

fn invalid<T>(reason: String) -> Result<T> {
    Err(Error::Invalid(reason))
}

/// Fails unless `k` is at least 2 and at most the number `n` of `what`.
fn check_k(k: usize, n: usize, what: &str) -> Result<()> {
    if n == 0 {
        return invalid(format!("no {what} to make folds of"));
    }
    if k < 2 {
        return invalid(format!(
            "{k} folds: at least 2 are needed, one to learn from, one to judge"
        ));
    }
    if k > n {
        return invalid(format!("{k} folds of {n} {what}: at most {n} are possible"));
    }
    Ok(())
}

/// (not liked, liked).
fn count_classes(labels: &[bool]) -> [usize; 2] {
    let liked = labels.iter().filter(|&&liked| liked).count();
    [labels.len() - liked, liked]
}

/// [`check_k`] for the samples and for each class.
fn check_classes(k: usize, labels: &[bool]) -> Result<()> {
    check_k(k, labels.len(), "samples")?;
    let [not, liked] = count_classes(labels);
    check_k(k, liked, "liked samples")?;
    check_k(k, not, "samples that are not liked")
}

/// The folds, given the fold in whose test part each row is.
fn assemble(test_fold: &[usize], k: usize) -> Vec<Fold> {
    let split = |fold| (0..test_fold.len()).partition(|&row| test_fold[row] != fold);
    (0..k).map(split).map(|(train, test)| Fold { train, test }).collect()
}

/// How many of `n` samples are in each of `k` test parts: the first ones get what is left over.
fn shares(n: usize, k: usize) -> impl Iterator<Item = usize> {
    (0..k).map(move |fold| n / k + usize::from(fold < n % k))
}

/// `k` folds of `n` samples: blocks of neighbours, or, with a seed to shuffle by, of a random order.
///
/// scikit-learn's `KFold`. Rows of a part are in order. Fails when `k` is below 2 or above `n`.
pub fn kfold(n: usize, k: usize, shuffle: Option<u32>) -> Result<Vec<Fold>> {
    check_k(k, n, "samples")?;
    let order = match shuffle {
        Some(seed) => Mersenne::new(seed).permutation(n),
        None => (0..n).collect(),
    };
    let mut test_fold = vec![0; n];
    let blocks = shares(n, k).enumerate().flat_map(|(fold, size)| std::iter::repeat_n(fold, size));
    for (row, fold) in order.into_iter().zip(blocks) {
        test_fold[row] = fold;
    }
    Ok(assemble(&test_fold, k))
}

/// `k` folds with the same share of both classes, as far as whole samples allow.
///
/// scikit-learn's `StratifiedKFold`: the class of the first sample comes first; dealing the samples of
/// the first class, then those of the other, to the folds in turn says how many each fold gets; the
/// samples of a class are then given out in blocks, or shuffled. Fails when `k` is below 2 or above the
/// number of samples of a class.
pub fn stratified(labels: &[bool], k: usize, shuffle: Option<u32>) -> Result<Vec<Fold>> {
    check_classes(k, labels)?;
    let mut random = shuffle.map(Mersenne::new);
    let mut test_fold = vec![0; labels.len()];
    let mut dealt = 0;
    for class in [labels[0], !labels[0]] {
        let rows: Vec<usize> = (0..labels.len()).filter(|&row| labels[row] == class).collect();
        let mut folds: Vec<usize> = (dealt..dealt + rows.len()).map(|turn| turn % k).collect();
        dealt += rows.len();
        folds.sort_unstable();
        if let Some(random) = &mut random {
            random.shuffle(&mut folds);
        }
        for (row, fold) in rows.into_iter().zip(folds) {
            test_fold[row] = fold;
        }
    }
    Ok(assemble(&test_fold, k))
}

/// `k` folds that keep all samples of a group on one side, with about the same share of both classes.
///
/// scikit-learn's `StratifiedGroupKFold`: the groups, those first in which one class outweighs the other
/// most, go one by one where the classes are then spread most evenly over the folds. With a seed, groups
/// that weigh the same come in random order. Fails when `k` is below 2, above the number of groups or of
/// samples of a class, when a fold gets no group, and when one would learn from one class only.
pub fn grouped(
    labels: &[bool],
    groups: &[u32],
    k: usize,
    shuffle: Option<u32>,
) -> Result<Vec<Fold>> {
    if labels.len() != groups.len() {
        let (labels, groups) = (labels.len(), groups.len());
        return invalid(format!("{labels} labels and {groups} groups: one of each a sample"));
    }
    check_classes(k, labels)?;
    let mut members = BTreeMap::<u32, Vec<usize>>::new();
    for (row, &group) in groups.iter().enumerate() {
        members.entry(group).or_default().push(row);
    }
    check_k(k, members.len(), "groups")?;
    let mut members: Vec<Vec<usize>> = members.into_values().collect();
    if let Some(seed) = shuffle {
        Mersenne::new(seed).shuffle(&mut members);
    }
    let classes = |rows: &[usize]| {
        let liked = rows.iter().filter(|&&row| labels[row]).count();
        [(rows.len() - liked) as f64, liked as f64]
    };
    members.sort_by_key(|rows| {
        let [not, liked] = classes(rows);
        std::cmp::Reverse((not - liked).abs() as usize)
    });
    let totals = count_classes(labels).map(|n| n as f64);
    let mut held = vec![[0.0; 2]; k];
    let mut test_fold = vec![0; labels.len()];
    for rows in &members {
        let group = classes(rows);
        let fold = evenest(&mut held, group, totals);
        held[fold] = add(held[fold], group);
        rows.iter().for_each(|&row| test_fold[row] = fold);
    }
    let folds = assemble(&test_fold, k);
    for (number, fold) in folds.iter().enumerate() {
        if fold.test.is_empty() {
            return invalid(format!(
                "fold {number} would have no group to judge: take fewer folds"
            ));
        }
        fold.check(labels, number)?;
    }
    Ok(folds)
}

fn add(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0] + b[0], a[1] + b[1]]
}

/// The fold that should get `group`: where the spread of the classes over the folds, that is the standard
/// deviation of the folds' shares of a class, is then smallest; of about equal ones the emptiest.
///
/// Everything is (not liked, liked): `held` what each fold has, `totals` what there is.
fn evenest(held: &mut [[f64; 2]], group: [f64; 2], totals: [f64; 2]) -> usize {
    let (mut best, mut least, mut fewest) = (0, f64::INFINITY, f64::INFINITY);
    for fold in 0..held.len() {
        let before = held[fold];
        held[fold] = add(before, group);
        let spread = (deviation(held, totals, 0) + deviation(held, totals, 1)) / 2.0;
        held[fold] = before;
        let size = before[0] + before[1];
        // numpy's isclose with its own tolerances.
        let close = (spread - least).abs() <= 1e-8 + 1e-5 * least;
        if spread < least || close && size < fewest {
            (best, least, fewest) = (fold, spread, size);
        }
    }
    best
}

/// The standard deviation over the folds of their shares of a class.
fn deviation(held: &[[f64; 2]], totals: [f64; 2], class: usize) -> f64 {
    let share = |fold: &[f64; 2]| fold[class] / totals[class];
    let mean = held.iter().map(share).sum::<f64>() / held.len() as f64;
    let square = |fold| (share(fold) - mean) * (share(fold) - mean);
    (held.iter().map(square).sum::<f64>() / held.len() as f64).sqrt()
}

/// (samples to learn from, samples to judge): ⌈fraction · n⌉ judge.
fn sizes(n: usize, fraction: f64) -> Result<(usize, usize)> {
    if n == 0 {
        return invalid("no samples to split".into());
    }
    if !(fraction > 0.0 && fraction < 1.0) {
        return invalid(format!(
            "{fraction} of the samples to judge: give a number between 0 and 1"
        ));
    }
    let test = (fraction * n as f64).ceil() as usize;
    if test >= n {
        return invalid(format!(
            "{fraction} of {n} samples to judge leave none to learn from: give a smaller number"
        ));
    }
    Ok((n - test, test))
}

/// A random part, `fraction` of `n` samples rounded up, judges; the others are learnt from.
///
/// scikit-learn's `train_test_split`; rows are in random order. Fails when the fraction is not between 0
/// and 1 or leaves nothing to learn from.
pub fn train_test(n: usize, fraction: f64, seed: u32) -> Result<Fold> {
    let (_, test) = sizes(n, fraction)?;
    let mut order = Mersenne::new(seed).permutation(n);
    let train = order.split_off(test);
    Ok(Fold { train, test: order })
}

/// [`train_test`] with the same share of both classes on both sides, as far as whole samples allow.
///
/// scikit-learn's `train_test_split` with `stratify`. Fails also when a side would lack a class.
pub fn train_test_stratified(labels: &[bool], fraction: f64, seed: u32) -> Result<Fold> {
    let (train, test) = sizes(labels.len(), fraction)?;
    let counts = count_classes(labels);
    let mut random = Mersenne::new(seed);
    let train_counts = apportion(counts, train, &mut random);
    let rest = [counts[0] - train_counts[0], counts[1] - train_counts[1]];
    let test_counts = apportion(rest, test, &mut random);
    if train_counts.contains(&0) || test_counts.contains(&0) {
        let [not, liked] = counts;
        return invalid(format!(
            "{train} samples to learn from and {test} to judge cannot both have both classes \
             ({liked} samples are liked, {not} are not): give another fraction or more samples"
        ));
    }
    let mut fold = Fold { train: vec![], test: vec![] };
    for class in [false, true] {
        let rows: Vec<usize> = (0..labels.len()).filter(|&row| labels[row] == class).collect();
        let mut drawn = random.permutation(rows.len()).into_iter().map(|i| rows[i]);
        fold.train.extend(drawn.by_ref().take(train_counts[usize::from(class)]));
        fold.test.extend(drawn.take(test_counts[usize::from(class)]));
    }
    random.shuffle(&mut fold.train);
    random.shuffle(&mut fold.test);
    Ok(fold)
}

/// How many of `draws` samples are of each class when they are drawn in proportion to `counts`: rounded
/// down, then one more for the larger remainder; a draw decides between equal ones.
fn apportion(counts: [usize; 2], draws: usize, random: &mut Mersenne) -> [usize; 2] {
    let total = (counts[0] + counts[1]) as f64;
    let exact = counts.map(|n| n as f64 / total * draws as f64);
    let mut whole = exact.map(|n| n as usize);
    let left = draws - whole[0] - whole[1];
    if left > 0 {
        let [a, b] = [exact[0].fract(), exact[1].fract()];
        let first = if a == b { random.permutation(2)[0] } else { usize::from(b > a) };
        // Two remainders below 1 leave one sample over, or, where rounding took both down, two.
        whole[first] += 1;
        whole[1 - first] += left - 1;
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tests_of(folds: &[Fold]) -> Vec<Vec<usize>> {
        folds.iter().map(|fold| fold.test.clone()).collect()
    }

    fn reason<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.expect_err("a refusal").to_string()
    }

    #[test]
    fn blocks_by_hand() {
        let folds = kfold(7, 3, None).expect("folds");
        assert_eq!(tests_of(&folds), [vec![0, 1, 2], vec![3, 4], vec![5, 6]]);
        assert_eq!(folds[1].train, [0, 1, 2, 5, 6]);
    }

    #[test]
    fn classes_are_dealt_in_turn() {
        // Three liked come first, to folds 0, 1, 0; the four others go on with 1, 0, 1, 0.
        let labels = [true, false, false, true, false, true, false];
        let folds = stratified(&labels, 2, None).expect("folds");
        assert_eq!(tests_of(&folds), [vec![0, 1, 2, 3], vec![4, 5, 6]]);
    }

    /// 23 samples of 7 groups, and where scikit-learn 1.9.1 puts them.
    #[test]
    fn groups_go_where_scikit_learn_puts_them() {
        let labels: Vec<bool> = (0..23).map(|i| i * i % 7 < 3).collect();
        let groups: Vec<u32> = (0..23).map(|i| i * 5 % 11 % 7).collect();
        let want = [
            vec![2, 4, 5, 7, 13, 15, 16, 18],
            vec![0, 8, 10, 11, 19, 21, 22],
            vec![1, 3, 6, 9, 12, 14, 17, 20],
        ];
        assert_eq!(tests_of(&grouped(&labels, &groups, 3, None).expect("folds")), want);
        let want = [
            vec![2, 4, 5, 7, 13, 15, 16, 18],
            vec![0, 1, 8, 11, 12, 19, 22],
            vec![3, 6, 9, 10, 14, 17, 20, 21],
        ];
        assert_eq!(tests_of(&grouped(&labels, &groups, 3, Some(4)).expect("folds")), want);
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let labels = [true, true, false, true, false];
        assert!(reason(kfold(0, 2, None)).contains("no samples"));
        assert!(reason(kfold(3, 1, None)).contains("at least 2"));
        assert!(reason(kfold(3, 4, None)).contains("at most 3"));
        assert!(reason(stratified(&labels, 3, None)).contains("of 2 samples that are not liked"));
        assert!(reason(stratified(&[true; 4], 2, None)).contains("no samples that are not liked"));
        assert!(reason(grouped(&labels, &[1, 1, 1, 1, 1], 2, None)).contains("of 1 groups"));
        assert!(reason(grouped(&labels, &[1, 1], 2, None)).contains("5 labels and 2 groups"));
        // Both that are not liked are of one group: its fold learns from liked ones only.
        assert!(reason(grouped(&labels, &[1, 1, 2, 3, 2], 2, Some(0))).contains("one class only"));
        let fold = &kfold(5, 5, None).expect("folds")[0];
        assert!(reason(fold.check(&[false, true, true, true, true], 0)).contains("4 of 4"));
        assert!(reason(fold.check(&labels[1..], 0)).contains("of 5 samples, not 4"));
        assert!(fold.check(&labels, 0).is_ok());
        assert!(reason(train_test(10, 1.0, 0)).contains("between 0 and 1"));
        assert!(reason(train_test(10, f64::NAN, 0)).contains("between 0 and 1"));
        assert!(reason(train_test(1, 0.5, 0)).contains("none to learn from"));
        assert!(reason(train_test_stratified(&labels, 0.1, 0)).contains("both classes"));
    }

    #[test]
    fn a_split_keeps_every_sample_once() {
        let labels: Vec<bool> = (0..53).map(|i| i % 5 == 0).collect();
        let fold = train_test_stratified(&labels, 0.3, 9).expect("a split");
        let mut all = [fold.train, fold.test.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..53).collect::<Vec<_>>());
        // 11 of 53 are liked, 16 judge: 16 · 11/53 = 3.3.
        assert_eq!(fold.test.iter().filter(|&&row| labels[row]).count(), 3);
    }
}
