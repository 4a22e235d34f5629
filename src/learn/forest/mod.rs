//! Random forests.
mod bins;
mod model;
mod split;
mod tree;
pub use model::Forest;
use crate::learn::Matrix;
use crate::error::{Error, Result};
use crate::rng::Rng;
use bins::{Bins, Code};
use rayon::prelude::*;
use tree::{Grown, Limits, grow};

/// s
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Splits {
    /// b
    Bins,
    /// e
    Exact,
}
/// s
#[derive(Clone, Debug)]
pub struct Settings {
    /// t
    pub trees: usize,
    /// f
    pub features: Option<usize>,
    /// d
    pub max_depth: Option<usize>,
    /// l
    pub min_leaf: usize,
    /// b
    pub bootstrap: bool,
    /// s
    pub splits: Splits,
    /// s
    pub seed: u64,
}
impl Default for Settings {
    fn default() -> Self {
        Self { trees: 500, features: None, max_depth: None, min_leaf: 1, bootstrap: true, splits: Splits::Bins, seed: 0 }
    }
}
/// t
pub struct Trained {
    /// f
    pub forest: Forest,
    /// o
    pub oob: Vec<Option<f64>>,
    /// i
    pub importances: Vec<f64>,
}
/// t
pub fn train(matrix: &Matrix, rows: &[u32], labels: &[bool], settings: &Settings, progress: &(dyn Fn(usize) + Sync)) -> Result<Trained> {
    if rows.is_empty() { return Err(Error::Invalid("none".into())); }
    match settings.splits {
        Splits::Bins => train_with::<u8>(matrix, rows, labels, settings, progress),
        Splits::Exact => train_with::<u16>(matrix, rows, labels, settings, progress),
    }
}
fn weights(settings: &Settings, tree: usize, rows: usize) -> (Vec<u32>, Rng) {
    let mut rng = Rng::new(Rng::new(settings.seed).bits() ^ tree as u64);
    if !settings.bootstrap { return (vec![1; rows], rng); }
    let mut w = vec![0; rows];
    for _ in 0..rows { w[rng.below(rows)] += 1; }
    (w, rng)
}
fn train_with<C: Code>(matrix: &Matrix, rows: &[u32], labels: &[bool], settings: &Settings, progress: &(dyn Fn(usize) + Sync)) -> Result<Trained> {
    let labels: Vec<bool> = rows.iter().map(|&r| labels[r as usize]).collect();
    let t = std::time::Instant::now();
    let bins = Bins::<C>::new(matrix, rows)?;
    eprintln!("bins {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let d = matrix.columns();
    let limits = Limits { features: settings.features.unwrap_or((d as f64).sqrt() as usize).max(1), max_depth: settings.max_depth.unwrap_or(usize::MAX), min_leaf: settings.min_leaf };
    let grown: Vec<Grown> = (0..settings.trees).into_par_iter().map(|t| {
        let (w, rng) = weights(settings, t, rows.len());
        let g = grow(&bins, &w, &labels, limits, rng);
        progress(t);
        g
    }).collect();
    eprintln!("grow {:?}", t.elapsed());
    let mut importances = vec![0.0; d];
    for g in &grown {
        let sum: f64 = g.gains.iter().sum();
        for (n, gain) in g.tree.nodes.iter().zip(&g.gains) { importances[n.feature as usize] += gain / sum; }
    }
    let forest = Forest { columns: d, trees: grown.into_iter().map(|g| g.tree).collect() };
    Ok(Trained { forest, oob: vec![], importances })
}
