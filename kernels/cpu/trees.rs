//! A soft cascade of trees of depth two over windows of [`Cells`](super::cells::Cells).
//!
//! Flows in: maps of bytes, trees, a row of windows. Flows out: the windows that no tree rejected, with
//! their scores. A window's score is the sum of one leaf of each tree; it is rejected as soon as the sum
//! so far lies below what the tree asks for (Bourdev and Brandt, CVPR 2005). Scores are whole numbers:
//! each instruction set gives the same.
//!
//! ```text
//!               value 0 > threshold 0 ?
//!            no /                     \ yes
//!     value 1 > threshold 1 ?    value 2 > threshold 2 ?
//!      no /        \ yes          no /        \ yes
//!    leaf 0      leaf 1         leaf 2      leaf 3
//! ```

use super::resample::SLACK;
use super::table::Kernels;

/// A tree of depth two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    /// How far from the window's first byte each node's value lies.
    pub offsets: [u32; 3],
    /// A value above it goes right.
    pub thresholds: [u8; 3],
    /// What the tree adds to the score: at most [`LARGEST_LEAF`] either way.
    pub leaves: [i16; 4],
    /// A window whose score lies below it, this tree's leaf included, is rejected.
    pub exit: i32,
}

/// Bounds a leaf, so that the sum of the first trees fits 16 bits.
pub const LARGEST_LEAF: i16 = 1023;
/// Trees that all windows of a vector pass through together.
const TOGETHER: usize = 24;
/// Windows of a vector.
const LANES: usize = SLACK;
/// The score of a rejected window. No leaves lift it to where a window can stand.
const REJECTED: i16 = i16::MIN;

/// The score of the window whose first byte is `bytes[at]`; none if a tree rejects it.
pub fn score(trees: &[Tree], bytes: &[u8], at: usize) -> Option<i32> {
    go_on(trees, bytes, at, 0)
}

#[inline(always)]
fn go_on(trees: &[Tree], bytes: &[u8], at: usize, mut score: i32) -> Option<i32> {
    let window = &bytes[at..];
    for tree in trees {
        let right = |node: usize| window[tree.offsets[node] as usize] > tree.thresholds[node];
        let side = usize::from(right(0));
        let leaf = 2 * side + usize::from(right(1 + side));
        score += i32::from(tree.leaves[leaf]);
        if score < tree.exit {
            return None;
        }
    }
    Some(score)
}

/// Tells `found` the number and the score of each window that passes, of `count` windows whose first
/// bytes lie side by side from `bytes[at]`.
///
/// # Panics
/// Where a value of the last window lies fewer than [`SLACK`] bytes before the end of `bytes`.
pub fn row(
    kernels: &Kernels,
    trees: &[Tree],
    bytes: &[u8],
    windows: std::ops::Range<usize>,
    mut found: impl FnMut(usize, i32),
) {
    let (first, rest) = trees.split_at(trees.len().min(TOGETHER));
    for at in windows.clone().step_by(LANES) {
        let scores = kernels.compile(
            #[inline(always)]
            || together(first, &bytes[at..]),
        );
        let lanes = LANES.min(windows.end - at);
        for (lane, &score) in scores[..lanes].iter().enumerate() {
            if score > REJECTED
                && let Some(score) = go_on(rest, bytes, at + lane, i32::from(score))
            {
                found(at + lane - windows.start, score);
            }
        }
    }
}

/// Scores of neighbouring windows after a few trees, [`REJECTED`] where one rejects.
#[inline(always)]
fn together(trees: &[Tree], bytes: &[u8]) -> [i16; LANES] {
    let mut scores = [0i16; LANES];
    for (i, tree) in trees.iter().enumerate() {
        let lanes = |node: usize| {
            bytes[tree.offsets[node] as usize..].first_chunk::<LANES>().expect("slack")
        };
        let (root, left, right) = (lanes(0), lanes(1), lanes(2));
        let [t0, t1, t2] = tree.thresholds;
        let [l0, l1, l2, l3] = tree.leaves;
        let exit = tree.exit.clamp(i32::from(REJECTED) + 1, i32::from(i16::MAX)) as i16;
        for lane in 0..LANES {
            let (l, r) = (left[lane] > t1, right[lane] > t2);
            let no = if l { l1 } else { l0 };
            let yes = if r { l3 } else { l2 };
            let leaf = if root[lane] > t0 { yes } else { no };
            let score = scores[lane].saturating_add(leaf);
            scores[lane] = if score < exit { REJECTED } else { score };
        }
        if i % 4 == 3 && scores.iter().all(|&s| s == REJECTED) {
            break;
        }
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::table::available;

    /// Forty trees: more than are evaluated together.
    fn trees() -> Vec<Tree> {
        let tree = |i: i16| Tree {
            offsets: [i as u32, 200 + 3 * i as u32, 90 + i as u32],
            thresholds: [120, 60 + i as u8, 140],
            leaves: [-40 - i, 30 + i, 25, -40],
            exit: -90,
        };
        (0..40).map(tree).collect()
    }

    #[test]
    fn every_set_finds_what_single_windows_find() {
        let bytes: Vec<u8> = (0..1000u32).map(|i| (i * i * 7 % 251) as u8).collect();
        let trees = trees();
        let windows = 7..7 + 150;
        let single: Vec<(usize, i32)> = windows
            .clone()
            .filter_map(|at| score(&trees, &bytes, at).map(|s| (at - windows.start, s)))
            .collect();
        assert!((5..145).contains(&single.len()), "{} of 150 windows pass", single.len());
        for kernels in available() {
            let mut found = Vec::new();
            row(kernels, &trees, &bytes, windows.clone(), |i, s| found.push((i, s)));
            assert_eq!(found, single, "{}", kernels.name());
        }
    }

    #[test]
    fn a_window_walks_to_its_leaf_and_out() {
        let tree =
            Tree { offsets: [0, 1, 2], thresholds: [10, 20, 30], leaves: [1, 2, 3, 4], exit: 2 };
        let mut bytes = vec![0; 3 + SLACK];
        bytes[..3].copy_from_slice(&[10, 21, 31]);
        assert_eq!(score(&[tree], &bytes, 0), Some(2));
        bytes[0] = 11;
        assert_eq!(score(&[tree], &bytes, 0), Some(4));
        (bytes[0], bytes[1]) = (10, 20);
        assert_eq!(score(&[tree], &bytes, 0), None);
    }
}
