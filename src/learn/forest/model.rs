//! A grown forest.
//!
//! Flows in: a row of features. Flows out: the probability that it is liked, averaged over the trees.

use crate::error::{Error, Result};
use crate::learn::Matrix;
use rayon::prelude::*;

/// Rows that are read before the trees are asked: each tree serves all of them while it is in the cache.
pub(super) const BLOCK: usize = 64;

/// Where a tree parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) feature: u32,
    pub(super) threshold: f32,
    /// Where values up to the threshold go, and where larger ones: to that node, or to leaf `!child`.
    pub(super) children: [i32; 2],
}

/// A binary tree. The first node is the root; without nodes the only leaf is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    /// The part of the weight in each leaf that is liked.
    pub(super) leaves: Vec<f64>,
}

impl Tree {
    pub(super) fn probability(&self, row: &[f32]) -> f64 {
        let mut at = if self.nodes.is_empty() { !0 } else { 0 };
        while at >= 0 {
            let node = &self.nodes[at as usize];
            at = node.children[usize::from(row[node.feature as usize] > node.threshold)];
        }
        self.leaves[!at as usize]
    }

    fn depth(&self) -> usize {
        let mut depths = vec![1; self.nodes.len()];
        for (i, node) in self.nodes.iter().enumerate() {
            for child in node.children.into_iter().filter(|child| *child >= 0) {
                depths[child as usize] = depths[i] + 1;
            }
        }
        depths.into_iter().max().unwrap_or(0)
    }

    /// What is wrong with a tree for rows of so many columns.
    ///
    /// n nodes have 2n children. If none is met twice and the n - 1 nodes below the root and the n + 1
    /// leaves are all there can be, each is met once; if children come after their parents, no walk is
    /// endless.
    fn check(&self, columns: usize) -> std::result::Result<(), String> {
        if columns == 0 {
            return Err("rows have no columns".into());
        }
        let (nodes, leaves) = (self.nodes.len(), self.leaves.len());
        if leaves != nodes + 1 {
            return Err(format!("{leaves} leaves for {nodes} nodes"));
        }
        if let Some(p) = self.leaves.iter().find(|p| !(0.0..=1.0).contains(*p)) {
            return Err(format!("{p} is not a probability"));
        }
        let mut met = [vec![false; nodes], vec![false; leaves]];
        for (i, node) in self.nodes.iter().enumerate() {
            if node.feature as usize >= columns {
                return Err(format!("node {i} asks for column {} of {columns}", node.feature));
            }
            if !node.threshold.is_finite() {
                return Err(format!("node {i} has the threshold {}", node.threshold));
            }
            for child in node.children {
                let (kind, at) = if child < 0 { (1, !child as usize) } else { (0, child as usize) };
                let fits = met[kind].get(at).is_some_and(|met| !met) && (kind == 1 || at > i);
                if !fits {
                    return Err(format!("node {i} cannot have the child {child}"));
                }
                met[kind][at] = true;
            }
        }
        Ok(())
    }
}

/// A random forest (Breiman, 2001).
#[derive(Clone, Debug, PartialEq)]
pub struct Forest {
    columns: usize,
    trees: Vec<Tree>,
}

/// A forest as flat arrays, tree after tree: what a file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// Features of a row.
    pub columns: usize,
    /// Nodes of each tree. It has one leaf more.
    pub nodes: Vec<u32>,
    /// (nodes): the column that is looked at.
    pub features: Vec<u32>,
    /// (nodes): values up to it go left, larger ones right.
    pub thresholds: Vec<f32>,
    /// (nodes, 2): the left and the right child: the number of a node of this tree or, if negative, `!child` is
    /// that of a leaf. Children come after their parents.
    pub children: Vec<i32>,
    /// (leaves): the probability that a row is liked.
    pub probabilities: Vec<f64>,
}

impl Forest {
    pub(super) fn new(columns: usize, trees: Vec<Tree>) -> Self {
        Self { columns, trees }
    }

    /// Restores a forest.
    ///
    /// Fails when the parts do not fit together, whatever they hold.
    pub fn from_parts(parts: Parts) -> Result<Self> {
        let total: usize = parts.nodes.iter().map(|&n| n as usize).sum();
        let sizes = [parts.features.len(), parts.thresholds.len(), parts.children.len() / 2];
        let leaves = total + parts.nodes.len();
        let even = parts.children.len().is_multiple_of(2);
        if parts.nodes.is_empty()
            || sizes != [total; 3]
            || !even
            || parts.probabilities.len() != leaves
        {
            return Err(Error::Invalid(format!(
                "a damaged forest: {} trees with {total} nodes and {leaves} leaves have {} features, {} \
                 thresholds, {} children and {} probabilities",
                parts.nodes.len(),
                parts.features.len(),
                parts.thresholds.len(),
                parts.children.len(),
                parts.probabilities.len(),
            )));
        }
        let children = parts.children.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
        let mut nodes = parts
            .features
            .iter()
            .zip(&parts.thresholds)
            .zip(children)
            .map(|((&feature, &threshold), children)| Node { feature, threshold, children });
        let mut probabilities = parts.probabilities.iter().copied();
        let mut trees = Vec::with_capacity(parts.nodes.len());
        for (i, &count) in parts.nodes.iter().enumerate() {
            let tree = Tree {
                nodes: nodes.by_ref().take(count as usize).collect(),
                leaves: probabilities.by_ref().take(count as usize + 1).collect(),
            };
            tree.check(parts.columns).map_err(|reason| {
                Error::Invalid(format!("a damaged forest: tree {i}: {reason}"))
            })?;
            trees.push(tree);
        }
        Ok(Self { columns: parts.columns, trees })
    }

    /// The forest as flat arrays.
    pub fn parts(&self) -> Parts {
        let nodes = || self.trees.iter().flat_map(|tree| &tree.nodes);
        Parts {
            columns: self.columns,
            nodes: self.trees.iter().map(|tree| tree.nodes.len() as u32).collect(),
            features: nodes().map(|node| node.feature).collect(),
            thresholds: nodes().map(|node| node.threshold).collect(),
            children: nodes().flat_map(|node| node.children).collect(),
            probabilities: self.trees.iter().flat_map(|tree| &tree.leaves).copied().collect(),
        }
    }

    /// Features of a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Leaves of each tree.
    pub fn leaves(&self) -> Vec<usize> {
        self.trees.iter().map(|tree| tree.leaves.len()).collect()
    }

    /// Depth of each tree: the splits from the root to its deepest leaf.
    pub fn depths(&self) -> Vec<usize> {
        self.trees.iter().map(Tree::depth).collect()
    }

    /// The probability that a row of [`Forest::columns`] features is liked.
    pub fn probability(&self, row: &[f32]) -> f64 {
        let sum: f64 = self.trees.iter().map(|tree| tree.probability(row)).sum();
        sum / self.trees.len() as f64
    }

    /// The same for rows of a matrix, in parallel.
    pub fn probabilities(&self, matrix: &Matrix, rows: &[u32]) -> Vec<f64> {
        let means = self.means(matrix, rows, |_, _| true);
        means.into_iter().map(|mean| mean.expect("a tree")).collect()
    }

    /// For each entry of `rows` the mean over the trees that `asks(tree, entry)` picks, if it picks any.
    pub(super) fn means(
        &self,
        matrix: &Matrix,
        rows: &[u32],
        asks: impl Fn(usize, usize) -> bool + Sync,
    ) -> Vec<Option<f64>> {
        let blocks = rows.par_chunks(BLOCK).enumerate().flat_map_iter(|(block, rows)| {
            let mut values = vec![0.0; rows.len() * self.columns];
            for (&row, values) in rows.iter().zip(values.chunks_mut(self.columns)) {
                matrix.read_row(row as usize, values);
            }
            let mut sums = vec![(0.0, 0u32); rows.len()];
            for (t, tree) in self.trees.iter().enumerate() {
                let rows = values.chunks(self.columns).zip(&mut sums).enumerate();
                for (_, (row, (sum, asked))) in rows.filter(|(i, _)| asks(t, block * BLOCK + i)) {
                    *sum += tree.probability(row);
                    *asked += 1;
                }
            }
            sums.into_iter().map(|(sum, asked)| (asked > 0).then(|| sum / f64::from(asked)))
        });
        blocks.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree with two nodes, and one that is a leaf.
    fn parts() -> Parts {
        Parts {
            columns: 3,
            nodes: vec![2, 0],
            features: vec![2, 0],
            thresholds: vec![1.5, -1.0],
            children: vec![1, !0, !1, !2],
            probabilities: vec![1.0, 0.25, 0.5, 0.0],
        }
    }

    #[test]
    fn values_up_to_the_threshold_go_left() {
        let forest = Forest::from_parts(parts()).expect("a forest");
        assert_eq!(forest.probability(&[0.0, 0.0, 1.6]), 0.5);
        assert_eq!(forest.probability(&[-1.0, 0.0, 1.5]), 0.125);
        assert_eq!(forest.probability(&[-0.9, 0.0, 1.5]), 0.25);
        assert_eq!((forest.leaves(), forest.depths()), (vec![3, 1], vec![2, 0]));
        assert_eq!(forest.parts(), parts());
    }

    #[test]
    fn damaged_parts_are_refused() {
        type Damage = fn(&mut Parts);
        let damages: [(&str, Damage); 14] = [
            ("0 trees", |p| p.nodes.clear()),
            ("3 children", |p| p.children.truncate(3)),
            ("5 children", |p| p.children.push(0)),
            ("3 probabilities", |p| p.probabilities.truncate(3)),
            ("4294967297 nodes", |p| p.nodes = vec![2, u32::MAX]),
            ("column 2 of 2", |p| p.columns = 2),
            ("no columns", |p| p.columns = 0),
            ("threshold NaN", |p| p.thresholds[1] = f32::NAN),
            ("-0.5 is not a probability", |p| p.probabilities[0] = -0.5),
            ("NaN is not a probability", |p| p.probabilities[3] = f64::NAN),
            ("node 1 cannot have the child 1", |p| p.children[2] = 1),
            ("node 1 cannot have the child 0", |p| p.children[3] = 0),
            ("node 0 cannot have the child 2", |p| p.children[0] = 2),
            ("node 1 cannot have the child -1", |p| p.children[3] = !0),
        ];
        for (reason, damage) in damages {
            let mut parts = parts();
            damage(&mut parts);
            let error = Forest::from_parts(parts).expect_err(reason).to_string();
            assert!(error.contains("damaged forest") && error.contains(reason), "{error}");
        }
        for child in [i32::MIN, i32::MAX, !3, 0] {
            let damaged = Parts { children: vec![child, !0, !1, !2], ..parts() };
            assert!(Forest::from_parts(damaged).is_err(), "child {child}");
        }
        let none =
            Parts { columns: 0, nodes: vec![0], probabilities: vec![0.5], ..Parts::default() };
        assert!(Forest::from_parts(none).is_err(), "rows without columns");
    }
}
