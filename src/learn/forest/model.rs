//! A forest that has been grown.
use crate::learn::Matrix;
use rayon::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) feature: u32,
    pub(super) threshold: f32,
    pub(super) children: [i32; 2],
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
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
}

/// f
pub struct Forest {
    pub(super) columns: usize,
    pub(super) trees: Vec<Tree>,
}

impl Forest {
    /// p
    pub fn probabilities(&self, matrix: &Matrix, rows: &[u32]) -> Vec<f64> {
        rows.par_chunks(64).flat_map_iter(|rows| {
            let mut values = vec![0.0; rows.len() * self.columns];
            for (row, v) in rows.iter().zip(values.chunks_mut(self.columns)) { matrix.read_row(*row as usize, v); }
            let mut sums = vec![0.0; rows.len()];
            for tree in &self.trees {
                for (sum, row) in sums.iter_mut().zip(values.chunks(self.columns)) { *sum += tree.probability(row); }
            }
            sums.into_iter().map(|s| s / self.trees.len() as f64).collect::<Vec<_>>()
        }).collect()
    }
    /// l
    pub fn leaves(&self) -> usize { self.trees.iter().map(|t| t.leaves.len()).sum() }
    /// d
    pub fn depths(&self) -> Vec<usize> {
        self.trees.iter().map(|t| {
            let mut depth = vec![0; t.nodes.len()];
            let mut max = 0;
            for (i, n) in t.nodes.iter().enumerate() {
                max = max.max(depth[i] + 1);
                for &c in &n.children { if c >= 0 { depth[c as usize] = depth[i] + 1; } }
            }
            max
        }).collect()
    }
}
