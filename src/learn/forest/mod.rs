//! Random forests (Breiman, 2001), as scikit-learn's `RandomForestClassifier` grows them.
//!
//! Flows in: rows of a matrix and their labels. Flows out: a forest, what it says of each row without the trees that
//! were grown on it, and how much each feature mattered.
//!
//! ```text
//! matrix ─ bins (a byte a value) ─ trees (in parallel: draw rows; split by split) ─ model
//! ```
//!
//! - `bins`: columns as small whole numbers.
//! - `split`: the best split of a node at one column.
//! - `tree`: growing one tree.
//! - `model`: the grown forest.

mod bins;
mod model;
mod split;
mod tree;

pub use model::{Forest, Parts};

use crate::error::{Error, Result};
use crate::learn::Matrix;
use crate::rng::Rng;
use bins::{Bins, Code};
use rayon::prelude::*;
use split::Sums;
use std::sync::atomic::{AtomicUsize, Ordering};
use tree::{Grown, Limits, grow};

/// Which borders between values a split may choose from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Splits {
    /// At most 255 a column; all of them where a column has no more than 256 distinct values.
    #[default]
    Bins,
    /// All, in columns of at most 65,536 distinct values. Slower, and twice the memory; on noisy features
    /// no better.
    Exact,
}

/// How a forest is grown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many trees.
    pub trees: usize,
    /// Features that are drawn for each node; the square root of all, rounded down, if not given.
    pub features: Option<usize>,
    /// The most splits from the root to a leaf; no limit if not given.
    pub max_depth: Option<usize>,
    /// The fewest rows of a leaf. A row drawn twice counts once.
    pub min_leaf: usize,
    /// Whether each tree sees as many rows as there are, drawn with replacement, or all of them.
    pub bootstrap: bool,
    /// Where splits may be.
    pub splits: Splits,
    /// The same seed gives the same forest, on any number of threads.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            trees: 500,
            features: None,
            max_depth: None,
            min_leaf: 1,
            bootstrap: true,
            splits: Splits::default(),
            seed: 0,
        }
    }
}

/// What training gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// The forest.
    pub forest: Forest,
    /// For each entry of the rows the probability that it is liked, over the trees that were not grown on
    /// it; none where all were.
    pub oob: Vec<Option<f64>>,
    /// For each feature its part of the decrease of the Gini impurity, averaged over the trees. Their sum is
    /// 1, or 0 if no tree has a split.
    pub importances: Vec<f64>,
}

/// Grows a forest on `rows` of the matrix, in parallel. `labels` are those of all its rows.
///
/// `progress` is told how many trees are done, from any thread. Fails when the settings make no sense, or
/// when the rows do not have both labels.
pub fn train(
    matrix: &Matrix,
    rows: &[u32],
    labels: &[bool],
    settings: &Settings,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Trained> {
    check(matrix, rows, labels, settings)?;
    let labels: Vec<_> = rows.iter().map(|&row| labels[row as usize]).collect();
    let liked = labels.iter().filter(|liked| **liked).count();
    if liked == 0 || liked == rows.len() {
        return Err(Error::Invalid(format!(
            "{liked} of {} rows are liked: a forest learns from rows of both kinds",
            rows.len()
        )));
    }
    let grown = match settings.splits {
        Splits::Bins => trees::<u8>(matrix, rows, &labels, settings, progress),
        Splits::Exact => trees::<u16>(matrix, rows, &labels, settings, progress),
    }?;
    let importances = importances(&grown, matrix.columns());
    let trees = grown.into_iter().map(|grown| grown.tree).collect();
    let forest = Forest::new(matrix.columns(), trees);
    let oob = out_of_bag(&forest, matrix, rows, settings);
    Ok(Trained { forest, oob, importances })
}

fn check(matrix: &Matrix, rows: &[u32], labels: &[bool], settings: &Settings) -> Result<()> {
    let (height, width) = (matrix.rows(), matrix.columns());
    let refuse = |reason: String| Err(Error::Invalid(format!("random forest: {reason}")));
    if labels.len() != height {
        return refuse(format!("{} labels for {height} rows", labels.len()));
    }
    if let Some(row) = rows.iter().find(|row| **row as usize >= height) {
        return refuse(format!("there is no row {row}, there are {height}"));
    }
    if rows.len() > Sums::MOST {
        return refuse(format!("{} rows are too many: at most {}", rows.len(), Sums::MOST));
    }
    if width == 0 || settings.features.is_some_and(|drawn| !(1..=width).contains(&drawn)) {
        let drawn = settings.features.unwrap_or(1);
        return refuse(format!("cannot draw {drawn} of {width} features for each node"));
    }
    if settings.trees == 0 || settings.min_leaf == 0 {
        return refuse("it takes a tree and a row in each leaf at least".into());
    }
    Ok(())
}

/// How often a tree sees each of so many rows, and the randomness of the rest of its growth.
fn draw(settings: &Settings, tree: usize, rows: usize) -> (Vec<u32>, Rng) {
    let mut rng = Rng::new(Rng::new(settings.seed).bits() ^ tree as u64);
    if !settings.bootstrap {
        return (vec![1; rows], rng);
    }
    let mut weights = vec![0; rows];
    (0..rows).for_each(|_| weights[rng.below(rows)] += 1);
    (weights, rng)
}

fn trees<C: Code>(
    matrix: &Matrix,
    rows: &[u32],
    labels: &[bool],
    settings: &Settings,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Grown>> {
    let bins = Bins::<C>::new(matrix, rows)?;
    let limits = Limits {
        features: settings.features.unwrap_or(matrix.columns().isqrt()),
        max_depth: settings.max_depth.unwrap_or(usize::MAX),
        min_leaf: settings.min_leaf,
    };
    let done = AtomicUsize::new(0);
    let grown = (0..settings.trees).into_par_iter().map(|tree| {
        let (weights, rng) = draw(settings, tree, rows.len());
        let grown = grow(&bins, &weights, labels, limits, rng);
        progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        grown
    });
    Ok(grown.collect())
}

/// Each tree's decreases of the impurity add up to 1, and so do all trees'.
fn importances(grown: &[Grown], columns: usize) -> Vec<f64> {
    let mut sums = vec![0.0; columns];
    for Grown { tree, gains } in grown {
        let whole: f64 = gains.iter().sum();
        let nodes = tree.nodes.iter().zip(gains).filter(|_| whole > 0.0);
        nodes.for_each(|(node, gain)| sums[node.feature as usize] += gain / whole);
    }
    let whole: f64 = sums.iter().sum();
    sums.iter().map(|sum| if whole > 0.0 { sum / whole } else { 0.0 }).collect()
}

fn out_of_bag(
    forest: &Forest,
    matrix: &Matrix,
    rows: &[u32],
    settings: &Settings,
) -> Vec<Option<f64>> {
    if !settings.bootstrap {
        return vec![None; rows.len()];
    }
    let seen = (0..settings.trees).into_par_iter().map(|tree| {
        let (weights, _) = draw(settings, tree, rows.len());
        weights.iter().map(|weight| *weight > 0).collect()
    });
    let seen: Vec<Vec<bool>> = seen.collect();
    forest.means(matrix, rows, |tree, row| !seen[tree][row])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::Layout;

    fn matrix(rows: &[Vec<f32>]) -> Matrix {
        let mut matrix = Matrix::new(rows[0].len(), Layout::Packed);
        rows.iter().for_each(|row| matrix.push(row).expect("a row"));
        matrix
    }

    /// One tree on all rows that looks at all features.
    fn one_tree(columns: usize) -> Settings {
        Settings { trees: 1, features: Some(columns), bootstrap: false, ..Settings::default() }
    }

    fn fit(rows: &[Vec<f32>], labels: &[bool], settings: &Settings) -> Result<Trained> {
        let entries: Vec<u32> = (0..rows.len() as u32).collect();
        train(&matrix(rows), &entries, labels, settings, &|_| ())
    }

    /// ReLU-like rows of which column 3 tells the label, more or less.
    fn sample(count: usize, columns: usize, noise: f32) -> (Vec<Vec<f32>>, Vec<bool>) {
        let mut rng = Rng::new(11);
        let row = |_| (0..columns).map(|_| rng.gaussian(-0.7, 1.0).max(0.0)).collect();
        let rows: Vec<Vec<f32>> = (0..count).map(row).collect();
        let labels = rows.iter().map(|row| row[3] + rng.gaussian(0.0, noise) > 0.2).collect();
        (rows, labels)
    }

    #[test]
    fn a_tree_that_can_be_drawn_by_hand() {
        // Column 1 parts 0 0 | 1 3 (threshold 0.5); of the right ones column 2 parts 2 | 6 (threshold 4).
        let rows = [[9., 0., 2.], [9., 0., 6.], [9., 1., 2.], [9., 3., 6.]].map(Vec::from);
        let trained = fit(&rows, &[false, false, true, false], &one_tree(3)).expect("a forest");
        let parts = trained.forest.parts();
        assert_eq!(parts.nodes, [2]);
        assert_eq!(parts.probabilities, [0.0, 1.0, 0.0]);
        assert!(parts.features == [1, 2] || parts.features == [2, 1], "{:?}", parts.features);
        let column = if parts.features[0] == 1 { [0.5, 4.0] } else { [4.0, 0.5] };
        assert_eq!(parts.thresholds, column);
        // 4 · 2 · 3/4 · 1/4 = 1.5 before, 2 · 2 · 1/2 · 1/2 = 1 after the first split, 0 in the end.
        let mut importances = trained.importances;
        assert_eq!(importances.remove(0), 0.0);
        importances.sort_by(f64::total_cmp);
        assert!((importances[0] - 1.0 / 3.0).abs() < 1e-12, "{importances:?}");
        assert_eq!(trained.oob, [None; 4]);
        assert_eq!(trained.forest.depths(), [2]);
    }

    #[test]
    fn equal_rows_of_both_labels_share_a_leaf() {
        let rows = vec![vec![1.0, 2.0]; 4];
        let trained = fit(&rows, &[true, false, true, true], &one_tree(2)).expect("a forest");
        assert_eq!(trained.forest.leaves(), [1]);
        assert_eq!(trained.forest.probability(&[5.0, 5.0]), 0.75);
        assert_eq!(trained.importances, [0.0, 0.0]);
    }

    #[test]
    fn constant_columns_do_not_end_the_search() {
        let rows: Vec<Vec<f32>> = (0..6)
            .map(|i| (0..300).map(|c| if c == 123 { i as f32 } else { 4.0 }).collect())
            .collect();
        let labels = [false, false, true, true, true, true];
        for seed in 0..20 {
            let settings = Settings { seed, features: Some(1), ..one_tree(300) };
            let parts = fit(&rows, &labels, &settings).expect("a forest").forest.parts();
            assert_eq!((parts.features, parts.thresholds), (vec![123], vec![1.5]));
        }
    }

    #[test]
    fn a_full_tree_knows_its_rows_by_heart() {
        let (rows, labels) = sample(3000, 100, 1.0);
        for splits in [Splits::Bins, Splits::Exact] {
            let settings = Settings { splits, features: Some(10), ..one_tree(100) };
            let forest = fit(&rows, &labels, &settings).expect("a forest").forest;
            for (row, &liked) in rows.iter().zip(&labels) {
                assert_eq!(forest.probability(row), f64::from(u8::from(liked)), "{splits:?}");
            }
        }
    }

    #[test]
    fn bins_are_exact_where_values_are_few() {
        let (mut rows, labels) = sample(2500, 20, 0.5);
        rows.iter_mut().flatten().for_each(|value| *value = (*value * 40.0).round());
        let [bins, exact] = [Splits::Bins, Splits::Exact].map(|splits| {
            let settings = Settings { trees: 8, splits, ..Settings::default() };
            fit(&rows, &labels, &settings).expect("a forest")
        });
        assert!(bins == exact);
    }

    #[test]
    fn limits_are_kept() {
        let (rows, labels) = sample(400, 10, 1.0);
        let settings = Settings { max_depth: Some(3), min_leaf: 20, ..one_tree(10) };
        let forest = fit(&rows, &labels, &settings).expect("a forest").forest;
        assert!(forest.depths()[0] <= 3 && forest.leaves()[0] > 2);
        for leaf in &forest.parts().probabilities {
            let same = rows.iter().filter(|row| forest.probability(row) == *leaf).count();
            assert!(same >= 20, "{same} rows in a leaf");
        }
    }

    #[test]
    fn a_row_out_of_the_bag_is_judged_by_the_trees_that_did_not_see_it() {
        let (rows, labels) = sample(120, 10, 0.3);
        let settings = Settings { trees: 2, seed: 3, ..Settings::default() };
        let trained = fit(&rows, &labels, &settings).expect("a forest");
        let seen: Vec<_> = (0..2).map(|tree| draw(&settings, tree, rows.len()).0).collect();
        let alone = |tree: usize| {
            let parts = fit(&rows, &labels, &Settings { trees: tree + 1, ..settings.clone() });
            parts.expect("a forest").forest
        };
        let (first, both) = (alone(0), alone(1));
        for (i, row) in rows.iter().enumerate() {
            let p = first.probability(row);
            let q = 2.0 * both.probability(row) - p;
            let want = match (seen[0][i], seen[1][i]) {
                (0, 0) => Some((p + q) / 2.0),
                (0, _) => Some(p),
                (_, 0) => Some(q),
                _ => None,
            };
            let got = trained.oob[i];
            assert_eq!(got.is_some(), want.is_some(), "row {i}");
            assert!(got.zip(want).is_none_or(|(g, w)| (g - w).abs() < 1e-12), "row {i}: {got:?}");
        }
        let out = trained.oob.iter().flatten().count() as f64 / rows.len() as f64;
        // 1 - (1 - 1/e)² = 0.600, with a standard deviation below 0.05.
        assert!((out - 0.6).abs() < 0.15, "{out}");
    }

    #[test]
    fn threads_and_rows_left_out_change_nothing() {
        let (rows, labels) = sample(300, 40, 0.5);
        let matrix = matrix(&rows);
        let entries: Vec<u32> = (0..300).step_by(2).collect();
        let settings = Settings { trees: 20, ..Settings::default() };
        let on = |threads, settings: &Settings| {
            let pool =
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let seen = AtomicUsize::new(0);
            let count = |done| {
                seen.fetch_max(done, Ordering::Relaxed);
            };
            let trained = pool.install(|| train(&matrix, &entries, &labels, settings, &count));
            assert_eq!(seen.into_inner(), 20);
            trained.expect("a forest")
        };
        let one = on(1, &settings);
        assert!(one == on(2, &settings));
        assert!(one.forest != on(1, &Settings { seed: 1, ..settings }).forest);
        let (kept, of_kept): (Vec<_>, Vec<_>) =
            entries.iter().map(|&i| (rows[i as usize].clone(), labels[i as usize])).unzip();
        assert!(fit(&kept, &of_kept, &settings).expect("a forest") == one);
        let single: Vec<_> = rows.iter().map(|row| one.forest.probability(row)).collect();
        let all: Vec<u32> = (0..300).collect();
        assert_eq!(one.forest.probabilities(&matrix, &all), single);
    }

    #[test]
    fn what_cannot_be_learnt_is_refused() {
        let (rows, labels) = sample(10, 4, 0.5);
        let error = |labels: &[bool], settings: Settings| {
            fit(&rows, labels, &settings).expect_err("an error").to_string()
        };
        let usual = Settings::default;
        assert!(error(&[true; 10], usual()).contains("10 of 10 rows are liked"));
        assert!(error(&labels[1..], usual()).contains("9 labels for 10 rows"));
        for features in [0, 5] {
            let settings = Settings { features: Some(features), ..usual() };
            assert!(error(&labels, settings).contains(&format!("draw {features} of 4")));
        }
        assert!(error(&labels, Settings { trees: 0, ..usual() }).contains("a tree"));
        assert!(error(&labels, Settings { min_leaf: 0, ..usual() }).contains("a row in each leaf"));
        let outside = train(&matrix(&rows), &[0, 10], &labels, &usual(), &|_| ());
        assert!(outside.expect_err("an error").to_string().contains("no row 10"));
        let none = train(&matrix(&rows), &[], &labels, &usual(), &|_| ());
        assert!(none.expect_err("an error").to_string().contains("0 of 0 rows"));
    }
}
