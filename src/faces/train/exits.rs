//! Where trees may reject. Flows in: boosted trees, held-out windows of the object. Flows out: trees with exits.
//!
//! A good window's score is followed from tree to tree; the lowest trace of all that end well is what a window
//! must keep up with (Bourdev and Brandt's rejection trace). The windows must be held out: those that the trees
//! were fitted to never dip as low as a new face does.

use super::samples::{Samples, feature};
use crate::faces::soft::{Tree, UNIT};
use rayon::prelude::*;

/// Sets exits so that of the held-out windows all but the worst `miss` (by their final score) pass, with
/// `slack` to spare.
pub fn set(trees: &[Tree], held: &Samples, miss: f32, slack: f32) -> Vec<Tree> {
    let traces: Vec<Vec<i32>> = held.par_iter().map(|window| trace(trees, window)).collect();
    let mut last: Vec<i32> = traces.iter().filter_map(|t| t.last().copied()).collect();
    last.sort_unstable();
    let least = last.get((last.len() as f32 * miss) as usize).copied().unwrap_or(i32::MIN);
    let good: Vec<&Vec<i32>> = traces.iter().filter(|t| t.last() >= Some(&least)).collect();
    let slack = (slack * UNIT) as i32;
    let exit = |i: usize| good.iter().map(|t| t[i] - slack).min().unwrap_or(i32::MIN);
    trees.iter().enumerate().map(|(i, tree)| Tree { exit: exit(i), ..*tree }).collect()
}

/// The score after each tree.
fn trace(trees: &[Tree], window: &[u8]) -> Vec<i32> {
    let mut score = 0;
    let step = |tree: &Tree| {
        score += leaf(tree, window);
        score
    };
    trees.iter().map(step).collect()
}

/// The leaf that a window comes to.
fn leaf(tree: &Tree, window: &[u8]) -> i32 {
    let right = |i: usize| {
        let node = &tree.nodes[i];
        window[feature(node)] > node.threshold
    };
    let side = usize::from(right(0));
    tree.leaves[2 * side + usize::from(right(1 + side))].into()
}

/// The part of the windows that no tree rejects.
pub fn passing(trees: &[Tree], windows: &Samples) -> f32 {
    let passes = |window: &&[u8]| {
        let mut score = 0;
        trees.iter().all(|tree| {
            score += leaf(tree, window);
            score >= tree.exit
        })
    };
    windows.par_iter().filter(passes).count() as f32 / windows.len().max(1) as f32
}
