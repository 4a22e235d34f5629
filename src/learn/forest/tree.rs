//! Growing one tree.
//!
//! Flows in: binned rows, their weights and labels. Flows out: the tree, and what each of its splits brought.
//!
//! Nodes are split depth first: the rows of a small node's descendants stay in the cache until they are leaves.

use super::bins::{Bins, Code};
use super::model::{Node, Tree};
use super::split::{Best, Search, Sums, tag};
use crate::rng::Rng;

/// Columns that are read together.
const BLOCK: usize = 64;

/// Nodes of up to so many samples are read row by row, larger ones column by column.
const SMALL: usize = 1024;

/// Nodes of fewer samples often have a split that cannot be beaten among few columns.
const TINY: usize = 16;

/// When a node is split.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Columns that are drawn for a node.
    pub(super) features: usize,
    /// Splits from the root to a leaf.
    pub(super) max_depth: usize,
    /// Samples of a leaf.
    pub(super) min_leaf: usize,
}

/// A tree and, for each of its nodes, the weighted decrease of the Gini impurity.
pub(super) struct Grown {
    pub(super) tree: Tree,
    pub(super) gains: Vec<f64>,
}

/// A row that the tree is grown on.
#[derive(Clone, Copy, Default)]
struct Sample {
    row: u32,
    /// Weight and label.
    tag: u32,
}

/// A node that waits for being split.
struct Task {
    start: usize,
    end: usize,
    depth: usize,
    total: Sums,
    /// The node and the side of it where this one hangs; none for the root.
    parent: Option<(usize, usize)>,
}

struct Grower<'a, C> {
    bins: &'a Bins<C>,
    limits: Limits,
    rng: Rng,
    /// All columns, those drawn for the node first.
    columns: Vec<u32>,
    /// Those of a node lie next to each other, in the order of the rows.
    samples: Vec<Sample>,
    /// Room for the right child's while samples are parted.
    right: Vec<Sample>,
    /// (samples, columns of a block): what a small node has in the columns being looked at.
    block: Vec<[C; BLOCK]>,
    search: Search,
}

/// Grows a tree on the rows whose weight is not 0. `weights` and `labels` belong to the rows of `bins`.
pub(super) fn grow<C: Code>(
    bins: &Bins<C>,
    weights: &[u32],
    labels: &[bool],
    limits: Limits,
    rng: Rng,
) -> Grown {
    let rows = (0..).zip(weights.iter().zip(labels)).filter(|(_, (weight, _))| **weight > 0);
    let samples: Vec<_> =
        rows.map(|(row, (&weight, &liked))| Sample { row, tag: tag(weight, liked) }).collect();
    let grower = Grower {
        bins,
        limits,
        rng,
        columns: (0..bins.width() as u32).collect(),
        right: vec![Sample::default(); samples.len()],
        block: vec![[C::default(); BLOCK]; samples.len().min(SMALL)],
        search: Search::new(samples.len(), limits.min_leaf),
        samples,
    };
    grower.grow()
}

impl<C: Code> Grower<'_, C> {
    fn grow(mut self) -> Grown {
        let (mut tree, mut gains) = (Tree::default(), vec![]);
        let mut total = Sums::default();
        self.samples.iter().for_each(|sample| total += Sums::of(sample.tag));
        let end = self.samples.len();
        let mut tasks = vec![Task { start: 0, end, depth: 0, total, parent: None }];
        while let Some(task) = tasks.pop() {
            let split = self.split(&task);
            if let Some((parent, side)) = task.parent {
                tree.nodes[parent].children[side] = match split {
                    Some(_) => tree.nodes.len() as i32,
                    None => !(tree.leaves.len() as i32),
                };
            }
            let Some(best) = split else {
                tree.leaves.push(task.total.liked() as f64 / task.total.weight() as f64);
                continue;
            };
            gains.push(self.search.gain(&best));
            let (middle, left) = self.part(&task, &best);
            let (depth, parent) = (task.depth + 1, tree.nodes.len());
            let child = |start, end, total, side| {
                let parent = Some((parent, side));
                Task { start, end, depth, total, parent }
            };
            tasks.push(child(middle, task.end, task.total - left, 1));
            tasks.push(child(task.start, middle, left, 0));
            tree.nodes.push(Node {
                feature: best.column as u32,
                threshold: self.bins.threshold(best.column, best.below, best.above),
                children: [0; 2],
            });
        }
        Grown { tree, gains }
    }

    /// The best split of a node, or none where it becomes a leaf.
    ///
    /// Columns are drawn without replacement, and on beyond those wanted until one has different values.
    fn split(&mut self, task: &Task) -> Option<Best> {
        let (count, wanted) = (task.end - task.start, self.limits.features);
        let fixed = task.total.is_pure() || task.depth >= self.limits.max_depth;
        if fixed || count < 2 * self.limits.min_leaf {
            return None;
        }
        self.search.begin(task.total);
        let block = if count < TINY { TINY } else { BLOCK };
        let (mut first, mut varied) = (0, false);
        while first < wanted || !varied && first < self.columns.len() {
            let end = if first < wanted { wanted } else { self.columns.len() };
            let end = end.min(first + block);
            self.draw(first, end);
            if count <= SMALL {
                self.read_rows(task, first, end);
            }
            for i in first..end {
                varied |= self.look(task, self.columns[i] as usize, i - first);
                let enough = varied && i >= wanted;
                if enough || self.search.best().is_some_and(|best| best.perfect) {
                    return self.search.best();
                }
            }
            first = end;
        }
        self.search.best()
    }

    /// Draws the columns number `first` to `end` of a node (Fisher and Yates).
    fn draw(&mut self, first: usize, end: usize) {
        for i in first..end {
            let other = i + self.rng.below(self.columns.len() - i);
            self.columns.swap(i, other);
        }
    }

    /// Copies what a small node has in the columns drawn from `first` to `end`.
    fn read_rows(&mut self, task: &Task, first: usize, end: usize) {
        let columns = &self.columns[first..end];
        for (sample, block) in self.samples[task.start..task.end].iter().zip(&mut self.block) {
            let row = self.bins.row(sample.row as usize);
            for (code, &column) in block.iter_mut().zip(columns) {
                *code = row[column as usize];
            }
        }
    }

    /// Looks for a split at a column, which is number `slot` of its block.
    fn look(&mut self, task: &Task, column: usize, slot: usize) -> bool {
        let samples = &self.samples[task.start..task.end];
        let common = self.bins.common(column);
        if samples.len() <= SMALL {
            let codes = self.block.iter().map(|block| block[slot % BLOCK]);
            self.search.look(column, common, codes.zip(samples.iter().map(|sample| sample.tag)))
        } else {
            let codes = self.bins.column(column);
            let samples = samples.iter().map(|sample| (codes[sample.row as usize], sample.tag));
            self.search.look(column, common, samples)
        }
    }

    /// Moves the left child's samples to the front. Where the right child's begin, and the left one's sums.
    fn part(&mut self, task: &Task, best: &Best) -> (usize, Sums) {
        let samples = &mut self.samples[task.start..task.end];
        let small = samples.len() <= SMALL;
        let codes = self.bins.column(best.column);
        let (mut left, mut right, mut sums) = (0, 0, Sums::default());
        for i in 0..samples.len() {
            let sample = samples[i];
            let row = sample.row as usize;
            let code = if small { self.bins.row(row)[best.column] } else { codes[row] };
            let goes_left = code.into() <= best.below;
            (samples[left], self.right[right]) = (sample, sample);
            left += usize::from(goes_left);
            right += usize::from(!goes_left);
            if goes_left {
                sums += Sums::of(sample.tag);
            }
        }
        samples[left..].copy_from_slice(&self.right[..right]);
        (task.start + left, sums)
    }
}
