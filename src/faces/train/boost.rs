//! Boosted trees of depth two over bytes. Flows in: [`Columns`]. Flows out: trees, in order.
//!
//! Each tree sees a random share of the features, and the windows that still weigh something. A tree is grown
//! node by node: the feature and threshold that part the node's weights best. Real AdaBoost gives a leaf half
//! the logarithm of its weights' ratio, Gentle AdaBoost their normalised difference (Friedman, Hastie and
//! Tibshirani, "Additive logistic regression", 2000; Schapire and Singer, 1999).

use super::samples::{FEATURES, Samples, feature, node};
use crate::faces::soft::{Node, Tree, UNIT};
use crate::rng::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// What a leaf says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Boosting {
    /// ½ ln(positive / negative weight).
    Real,
    /// (positive − negative) / (positive + negative weight).
    Gentle,
}

impl Boosting {
    /// A leaf's value from the weight of positive and negative windows in it; `least` keeps it finite.
    pub(super) fn leaf(self, [positive, negative]: [f64; 2], least: f64) -> f64 {
        match self {
            Self::Real => 0.5 * ((positive + least) / (negative + least)).ln(),
            Self::Gentle => (positive - negative) / (positive + negative + least),
        }
    }
}

/// How trees are found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learner {
    /// What a leaf says.
    pub boosting: Boosting,
    /// Part of the features that a tree chooses from.
    pub share: f32,
    /// Part of the weight that windows must make up together: the lightest are left out.
    pub trim: f32,
    /// Largest leaf, before `shrink`.
    pub clamp: f32,
    /// Factor on leaves.
    pub shrink: f32,
}

impl Default for Learner {
    fn default() -> Self {
        Self { boosting: Boosting::Real, share: 0.1, trim: 0.98, clamp: 2.0, shrink: 0.5 }
    }
}

/// All windows, feature by feature; those of the object first.
pub struct Columns {
    windows: usize,
    positives: usize,
    bytes: Vec<u8>,
}

impl Columns {
    /// Lays windows out by features.
    pub fn new(positives: &Samples, negatives: &Samples) -> Self {
        let windows = positives.len() + negatives.len();
        let mut bytes = vec![0; FEATURES * windows];
        bytes.par_chunks_mut(windows.max(1)).enumerate().for_each(|(feature, column)| {
            for (out, window) in column.iter_mut().zip(positives.iter().chain(negatives.iter())) {
                *out = window[feature];
            }
        });
        Self { windows, positives: positives.len(), bytes }
    }

    fn column(&self, feature: usize) -> &[u8] {
        &self.bytes[feature * self.windows..][..self.windows]
    }

    /// Adds a tree's leaf to each window's score.
    fn add(&self, tree: &Tree, splits: &[Split; 3], scores: &mut [f32]) {
        scores.par_iter_mut().enumerate().for_each(|(window, score)| {
            let side = usize::from(self.right(&splits[0], window));
            let leaf = 2 * side + usize::from(self.right(&splits[1 + side], window));
            *score += f32::from(tree.leaves[leaf]) / UNIT;
        });
    }

    fn right(&self, node: &Split, window: usize) -> bool {
        self.bytes[node.feature * self.windows + window] > node.threshold
    }
}

/// A feature, a threshold, and how badly they part the weights.
#[derive(Clone, Copy)]
struct Split {
    feature: usize,
    threshold: u8,
    loss: f64,
}

impl Split {
    fn node(&self) -> Node {
        node(self.feature, self.threshold)
    }
}

/// Adds trees to `first` until there are `count`. Their exits reject nothing yet.
pub fn boost(
    columns: &Columns,
    first: &[Tree],
    count: usize,
    learner: &Learner,
    seed: u64,
    progress: &mut dyn FnMut(usize),
) -> Vec<Tree> {
    let mut rng = Rng::new(seed);
    let mut scores = vec![0f32; columns.windows];
    let mut trees = first[..first.len().min(count)].to_vec();
    for tree in &trees {
        let split =
            |node: &Node| Split { feature: feature(node), threshold: node.threshold, loss: 0.0 };
        columns.add(tree, &tree.nodes.each_ref().map(split), &mut scores);
    }
    while trees.len() < count {
        let weights = weights(columns.positives, &scores);
        let heavy = trim(&weights, learner.trim);
        let features = draw(&mut rng, FEATURES, (FEATURES as f32 * learner.share) as usize);
        let (tree, splits) = grow(columns, &weights, heavy, &features, learner);
        columns.add(&tree, &splits, &mut scores);
        trees.push(tree);
        progress(trees.len());
    }
    trees
}

/// exp(−y · score), each class with half of the weight; negative ones with a minus. Windows of the object come
/// first.
pub(super) fn weights(positives: usize, scores: &[f32]) -> Vec<f32> {
    let (positives, negatives) = scores.split_at(positives);
    let class = |scores: &[f32], sign: f32| -> Vec<f32> {
        let raw: Vec<f32> = scores.par_iter().map(|s| (-sign * s).exp()).collect();
        let total: f64 = raw.iter().map(|&w| f64::from(w)).sum();
        let factor = (0.5 / total) as f32 * sign;
        raw.iter().map(|w| w * factor).collect()
    };
    [class(positives, 1.0), class(negatives, -1.0)].concat()
}

/// The heaviest windows, which make up `part` of the weight together (estimated on every so many).
pub(super) fn trim(weights: &[f32], part: f32) -> Vec<u32> {
    let every = (weights.len() / 20_000).max(1);
    let mut some: Vec<f32> = weights.iter().step_by(every).map(|w| w.abs()).collect();
    some.sort_by(f32::total_cmp);
    let light = some.iter().sum::<f32>() * (1.0 - part);
    let mut sum = 0.0;
    let least = some.iter().find(|&&w| {
        sum += w;
        sum > light
    });
    let least = least.copied().unwrap_or(0.0);
    (0..weights.len() as u32).filter(|&i| weights[i as usize].abs() >= least).collect()
}

/// `count` of the numbers below `all`, or all, in order.
pub(super) fn draw(rng: &mut Rng, all: usize, count: usize) -> Vec<usize> {
    let count = count.clamp(1, all);
    let mut numbers: Vec<usize> = (0..all).collect();
    for i in 0..count {
        numbers.swap(i, i + rng.below(all - i));
    }
    numbers.truncate(count);
    numbers.sort_unstable();
    numbers
}

fn grow(
    columns: &Columns,
    weights: &[f32],
    windows: Vec<u32>,
    features: &[usize],
    learner: &Learner,
) -> (Tree, [Split; 3]) {
    let part = |windows: Vec<u32>| {
        let split = best_split(columns, weights, &windows, features, learner.boosting);
        let (right, left): (Vec<u32>, Vec<u32>) =
            windows.into_iter().partition(|&i| columns.right(&split, i as usize));
        (split, left, right)
    };
    let (root, left, right) = part(windows);
    let (low, a, b) = part(left);
    let (high, c, d) = part(right);
    let leaves = [a, b, c, d].map(|windows| leaf(columns, weights, &windows, learner));
    let splits = [root, low, high];
    (Tree { nodes: splits.map(|s| s.node()), leaves, exit: i32::MIN }, splits)
}

fn best_split(
    columns: &Columns,
    weights: &[f32],
    windows: &[u32],
    features: &[usize],
    boosting: Boosting,
) -> Split {
    let node: Vec<f32> = windows.iter().map(|&i| weights[i as usize]).collect();
    let losses = features.par_iter().map(|&feature| {
        let column = columns.column(feature);
        let mut sums = [[0f32; 2]; 256];
        for (&i, &w) in windows.iter().zip(&node) {
            sums[usize::from(column[i as usize])][usize::from(w < 0.0)] += w.abs();
        }
        let (threshold, loss) = best_threshold(&sums, boosting);
        Split { feature, threshold, loss }
    });
    let none = Split { feature: features[0], threshold: 255, loss: f64::INFINITY };
    let better = |a: Split, b: Split| {
        if (b.loss, b.feature) < (a.loss, a.feature) { b } else { a }
    };
    losses.reduce(|| none, better)
}

/// The threshold that parts a histogram of (positive, negative) weights best, and its loss.
pub(super) fn best_threshold(sums: &[[f32; 2]; 256], boosting: Boosting) -> (u8, f64) {
    let sums = sums.map(|pair| pair.map(f64::from));
    let total = sums.iter().fold([0.0; 2], |t, s| [t[0] + s[0], t[1] + s[1]]);
    let loss = |p: f64, n: f64| match boosting {
        Boosting::Real => 2.0 * (p * n).sqrt(),
        Boosting::Gentle if p + n > 0.0 => 4.0 * p * n / (p + n),
        Boosting::Gentle => 0.0,
    };
    let mut left = [0.0; 2];
    let mut best = (255, loss(total[0], total[1]));
    for (threshold, sum) in sums.iter().enumerate().take(255) {
        left = [left[0] + sum[0], left[1] + sum[1]];
        let right = [0, 1].map(|i| f64::max(total[i] - left[i], 0.0));
        let both = loss(left[0], left[1]) + loss(right[0], right[1]);
        if both < best.1 - 1e-12 {
            best = (threshold as u8, both);
        }
    }
    best
}

fn leaf(columns: &Columns, weights: &[f32], windows: &[u32], learner: &Learner) -> i16 {
    let (mut p, mut n) = (0f64, 0f64);
    for &i in windows {
        let w = f64::from(weights[i as usize]);
        if w > 0.0 { p += w } else { n -= w }
    }
    // Half a window's weight on either side: no leaf is certain.
    let least = 0.5 / columns.windows as f64;
    let value =
        learner.boosting.leaf([p, n], least).clamp(-f64::from(learner.clamp), learner.clamp.into());
    (value as f32 * learner.shrink * UNIT).round() as i16
}
