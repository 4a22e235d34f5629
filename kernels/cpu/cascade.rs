//! A boosted cascade of trees over the windows of a picture (Viola and Jones, 2001).
//!
//! Flows in: integral images ([`super::integral`]) and a row of windows. Flows out: the windows that pass every
//! stage, and their sums in the last one.
//!
//! ```text
//! window → stage 0 → stage 1 → … → hit      a stage: Σ over its trees of the leaf reached ≥ threshold
//!             ↓         ↓
//!          nothing   nothing
//! ```
//!
//! The fast body tests [`BLOCK`] neighbouring windows at once, stage by stage; the few that are still left deep
//! in the cascade go on alone. Every window sees the same arithmetic in the same order either way.

use super::table::Kernels;
use std::array::from_fn;
use std::ops::Range;

/// Windows that are tested at once.
pub const BLOCK: usize = 16;

/// Windows of a block that are better tested one by one.
const FEW: u32 = 1;

/// What a node looks at.
///
/// # Safety
/// [`Feature::values`] may be called wherever [`Feature::reach`] values can be read: it reads none beyond.
pub unsafe trait Feature: Copy {
    /// The feature's value for the window whose upper left corner is `window[0]`.
    fn value(&self, window: &[i32], norm: f32) -> f32;

    /// The values for `BLOCK` windows, of which the first has its corner at `windows`.
    ///
    /// # Safety
    /// `windows` must be valid for `reach() + BLOCK − 1` reads.
    unsafe fn values(&self, windows: *const i32, norms: &[f32; BLOCK]) -> [f32; BLOCK];

    /// Values from a window's corner on that may be read.
    fn reach(&self) -> usize;
}

/// A node of a tree. Side 0 is taken where the feature's value is below the threshold, else side 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node<F> {
    /// What it looks at.
    pub feature: F,
    /// What the feature's value is compared with.
    pub threshold: f32,
    /// The tree's node that each side leads to; 0 where it is a leaf.
    pub next: [u32; 2],
    /// The leaf of each side.
    pub leaf: [f32; 2],
}

/// Trees whose leaves are added, and what the sum must reach.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage<F> {
    /// The nodes of each tree; links lead forward.
    pub trees: Vec<Vec<Node<F>>>,
    /// The least sum that passes.
    pub threshold: f32,
}

/// Contrast of a window: features are divided by the standard deviation of its pixels times their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contrast {
    /// Corners of the rectangle in the table of sums: upper left, upper right, lower left, lower right.
    pub corners: [u32; 4],
    /// From there to the table of squares.
    pub squares: u32,
    /// Pixels of the rectangle.
    pub area: u32,
}

/// A cascade, ready for pictures of one layout.
#[derive(Clone, Debug)]
pub struct Cascade<F> {
    nodes: Vec<Node<F>>,
    trees: Vec<Range<usize>>,
    /// Each stage's trees and threshold.
    stages: Vec<(Range<usize>, f64)>,
    contrast: Option<Contrast>,
    /// Values from a window's corner on that may be read.
    reach: usize,
}

/// A window that passed every stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Passed {
    /// Which of the row.
    pub window: usize,
    /// Its sum in the last stage.
    pub sum: f64,
}

impl<F: Feature> Cascade<F> {
    /// A cascade of these stages. Without contrast, features keep their values, and no window is too flat.
    ///
    /// # Panics
    /// When there is no stage, a tree has no node, or a link does not lead to a later node of its tree.
    pub fn new(stages: &[Stage<F>], contrast: Option<Contrast>) -> Self {
        assert!(!stages.is_empty());
        let own = contrast.map_or(0, |c| (c.corners[3] + c.squares) as usize + 1);
        let (nodes, trees, reach) = (Vec::new(), Vec::new(), own);
        let mut cascade = Self { nodes, trees, stages: Vec::new(), contrast, reach };
        for stage in stages {
            let first = cascade.trees.len();
            for tree in &stage.trees {
                let from = cascade.nodes.len();
                let forward = |i: usize, to: u32| to == 0 || i < to as usize && (to as usize) < tree.len();
                let links = tree.iter().enumerate().flat_map(|(i, n)| n.next.map(|to| (i, to)));
                assert!(!tree.is_empty() && links.into_iter().all(|(i, to)| forward(i, to)));
                cascade.nodes.extend(tree);
                cascade.trees.push(from..cascade.nodes.len());
            }
            cascade.stages.push((first..cascade.trees.len(), f64::from(stage.threshold)));
        }
        cascade.reach = cascade.nodes.iter().map(|n| n.feature.reach()).fold(own, usize::max);
        cascade
    }

    /// The plain loop: tests `windows` windows, whose corners are `tables[at..]`. A window that fails in stage 0
    /// takes its right neighbour with it, untested, as in OpenCV.
    ///
    /// # Panics
    /// When the tables end before a window does.
    pub fn scan(&self, tables: &[i32], at: usize, windows: usize, passed: &mut Vec<Passed>) {
        let mut window = 0;
        while window < windows {
            let corner = &tables[at + window..];
            match self.norm(corner).map(|norm| self.stages_from(0, corner, norm)) {
                Some(Ok(sum)) => passed.push(Passed { window, sum }),
                Some(Err(0)) => window += 1,
                _ => {}
            }
            window += 1;
        }
    }

    /// [`Cascade::scan`] by blocks.
    ///
    /// # Panics
    /// When the tables end before the last window and a block's length do.
    pub fn scan_blocks(
        &self,
        kernels: &Kernels,
        tables: &[i32],
        at: usize,
        windows: usize,
        passed: &mut Vec<Passed>,
    ) {
        assert!(at + windows + BLOCK + self.reach <= tables.len());
        kernels.compile(|| self.blocks(&tables[at..], windows, passed));
    }

    /// `1 / √(area · Σp² − (Σp)²)` of a window, or `None` where its standard deviation is at most 10.
    #[inline(always)]
    fn norm(&self, window: &[i32]) -> Option<f32> {
        let Some(Contrast { corners, squares, area }) = self.contrast else { return Some(1.0) };
        let sum = |table: usize| {
            let [a, b, c, d] = corners.map(|corner| window[table + corner as usize]);
            a.wrapping_sub(b).wrapping_sub(c).wrapping_add(d)
        };
        let area = f64::from(area);
        let spread = spread(area, sum(0), sum(squares as usize));
        let norm = (1.0 / spread.sqrt()) as f32;
        (spread > 0.0 && area * f64::from(norm) < 0.1).then_some(norm)
    }

    /// Takes a window through stage `first` and those after it: its sum in the last one, or the stage that
    /// it fails in.
    #[inline(always)]
    fn stages_from(&self, first: usize, window: &[i32], norm: f32) -> Result<f64, usize> {
        let mut sum = 0.0;
        for (s, (trees, threshold)) in self.stages.iter().enumerate().skip(first) {
            sum = 0.0;
            for tree in &self.trees[trees.clone()] {
                let tree = &self.nodes[tree.clone()];
                let mut at = 0;
                sum += f64::from(loop {
                    let node = &tree[at];
                    let low = node.feature.value(window, norm) < node.threshold;
                    let side = usize::from(!low);
                    at = node.next[side] as usize;
                    if at == 0 {
                        break node.leaf[side];
                    }
                });
            }
            if sum < *threshold {
                return Err(s);
            }
        }
        Ok(sum)
    }

    /// The body of [`Cascade::scan_blocks`], which has checked the length of `tables`.
    #[inline(always)]
    fn blocks(&self, tables: &[i32], windows: usize, passed: &mut Vec<Passed>) {
        let mut skip = false;
        for first in (0..windows).step_by(BLOCK) {
            let tables = &tables[first..];
            // SAFETY: behind every window's corner lie `BLOCK + reach` values.
            let (norms, rough) = unsafe { self.norms(tables.as_ptr()) };
            let inside = u32::MAX >> (32 - BLOCK.min(windows - first));
            let mut alive = rough & inside;
            let mut next = 0;
            for (s, stage) in self.stages.iter().enumerate() {
                if alive.count_ones() <= FEW && s > 0 {
                    next = s;
                    break;
                }
                // SAFETY: as above.
                let sums = unsafe { self.sums(&stage.0, tables.as_ptr(), &norms) };
                let enough = mask(sums.map(|sum| sum >= stage.1));
                if s == 0 {
                    alive &= visited(alive & !enough, &mut skip);
                }
                alive &= enough;
                if s + 1 == self.stages.len() {
                    let lanes = (0..BLOCK).filter(|&lane| alive >> lane & 1 == 1);
                    passed.extend(lanes.map(|lane| Passed { window: first + lane, sum: sums[lane] }));
                    alive = 0;
                }
            }
            while alive != 0 {
                let lane = alive.trailing_zeros() as usize;
                alive &= alive - 1;
                if let Ok(sum) = self.stages_from(next, &tables[lane..], norms[lane]) {
                    passed.push(Passed { window: first + lane, sum });
                }
            }
        }
    }

    /// [`Cascade::norm`] of a block, and a bit for each window that is not too flat.
    ///
    /// # Safety
    /// `windows` must be valid for `reach + BLOCK − 1` reads.
    #[inline(always)]
    unsafe fn norms(&self, windows: *const i32) -> ([f32; BLOCK], u32) {
        let Some(Contrast { corners, squares, area }) = self.contrast else {
            return ([1.0; BLOCK], u32::MAX);
        };
        let area = f64::from(area);
        // SAFETY: the caller's promise; all corners lie within `reach`.
        let [sums, squares] = unsafe { [0, squares].map(|table| rectangles(windows.add(table as usize), &corners)) };
        let spread: [f64; BLOCK] = from_fn(|i| spread(area, sums[i], squares[i]));
        let norms: [f32; BLOCK] = spread.map(|spread| (1.0 / spread.sqrt()) as f32);
        (norms, mask(from_fn(|i| spread[i] > 0.0 && area * f64::from(norms[i]) < 0.1)))
    }

    /// A stage's sums for a block. Every node of a tree is computed; a lane takes a node's side where it has come to it.
    ///
    /// # Safety
    /// `windows` must be valid for `reach + BLOCK − 1` reads.
    #[inline(always)]
    unsafe fn sums(&self, trees: &Range<usize>, windows: *const i32, norms: &[f32; BLOCK]) -> [f64; BLOCK] {
        let mut sums = [0f64; BLOCK];
        for tree in &self.trees[trees.clone()] {
            let (root, others) = self.nodes[tree.clone()].split_first().expect("a node");
            // SAFETY: the caller's promise.
            let values = unsafe { root.feature.values(windows, norms) };
            let low: [bool; BLOCK] = from_fn(|i| values[i] < root.threshold);
            let mut leaf: [f32; BLOCK] = from_fn(|i| root.leaf[usize::from(!low[i])]);
            let mut at: [u32; BLOCK] = from_fn(|i| root.next[usize::from(!low[i])]);
            for (number, node) in (1..).zip(others) {
                // SAFETY: the caller's promise.
                let values = unsafe { node.feature.values(windows, norms) };
                for i in 0..BLOCK {
                    let side = usize::from(!(values[i] < node.threshold));
                    let here = at[i] == number;
                    leaf[i] = if here { node.leaf[side] } else { leaf[i] };
                    at[i] = if here { node.next[side] } else { at[i] };
                }
            }
            sums = from_fn(|i| sums[i] + f64::from(leaf[i]));
        }
        sums
    }
}

/// A bit for each lane.
#[inline(always)]
fn mask(lanes: [bool; BLOCK]) -> u32 {
    (0..BLOCK).fold(0, |mask, i| mask | u32::from(lanes[i]) << i)
}

/// The windows that a scan comes to, if each that has failed makes it skip the next; `skip` goes from block to block.
#[inline(always)]
fn visited(failed: u32, skip: &mut bool) -> u32 {
    (0..BLOCK).fold(0, |visited, i| {
        let visit = !*skip;
        *skip = visit && failed >> i & 1 == 1;
        visited | u32::from(visit) << i
    })
}

/// The sums over one rectangle of each window.
///
/// # Safety
/// `windows` must be valid for `BLOCK` reads from each corner on.
#[inline(always)]
pub(super) unsafe fn rectangles(windows: *const i32, corners: &[u32; 4]) -> [i32; BLOCK] {
    // SAFETY: the caller's promise.
    let row = |i: usize| unsafe {
        windows.add(corners[i] as usize).cast::<[i32; BLOCK]>().read_unaligned()
    };
    let [a, b, c, d] = [row(0), row(1), row(2), row(3)];
    from_fn(|i| a[i].wrapping_sub(b[i]).wrapping_sub(c[i]).wrapping_add(d[i]))
}

/// `area · Σp² − (Σp)²`: the variance times the squared area. The sum of squares has 32 bits without a sign.
#[inline(always)]
fn spread(area: f64, sum: i32, squares: i32) -> f64 {
    area * f64::from(squares as u32) - f64::from(sum) * f64::from(sum)
}
