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
//! The fast body takes as many neighbouring windows as a vector has lanes through the stages, until none is left:
//! their values lie side by side in the tables, and what one window sees its neighbour mostly sees too. Every
//! window sees the plain loop's arithmetic in the plain loop's order.

use super::simd::{Simd, SimdOp};
use super::table::Kernels;
use super::windows::spread;
use std::ops::Range;

/// The most windows that are tested at once: no set has more lanes.
pub const BLOCK: usize = 16;

/// What a node looks at.
///
/// # Safety
/// [`Feature::values`] may be called wherever [`Feature::reach`] values can be read: it reads none beyond.
pub unsafe trait Feature: Copy {
    /// The feature's value for the window whose upper left corner is `window[0]`.
    fn value(&self, window: &[i32], norm: f32) -> f32;

    /// The values for as many windows as there are lanes, of which the first has its corner at `windows`.
    ///
    /// # Safety
    /// As for `Simd`; `windows` must be valid for `reach() + LANES − 1` reads.
    unsafe fn values<S: Simd>(&self, windows: *const i32, norms: S) -> S;

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
    pub next: [u16; 2],
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
        let own = contrast.map_or(0, |c| {
            let last = c.corners.iter().fold(0, |last, &corner| last.max(corner as usize));
            last + c.squares as usize + 1
        });
        let (nodes, trees, reach) = (Vec::new(), Vec::new(), own);
        let mut cascade = Self { nodes, trees, stages: Vec::new(), contrast, reach };
        for stage in stages {
            let first = cascade.trees.len();
            for tree in &stage.trees {
                let from = cascade.nodes.len();
                let forward =
                    |i: usize, to: u16| to == 0 || i < to as usize && (to as usize) < tree.len();
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
            match self.norm(corner).map(|norm| self.sum(corner, norm)) {
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
    /// When the tables end before the last window, and a block's other windows beside it, do.
    pub fn scan_blocks(
        &self,
        kernels: &Kernels,
        tables: &[i32],
        at: usize,
        windows: usize,
        passed: &mut Vec<Passed>,
    ) {
        let tables = &tables[at..];
        let behind = tables.len().checked_sub(self.reach + BLOCK - 1);
        assert!(behind.is_some_and(|most| windows <= most), "{windows} windows");
        kernels.run(Blocks { cascade: self, tables, windows, passed });
    }

    /// `1 / √(area · Σp² − (Σp)²)` of a window, or `None` where its standard deviation is at most 10.
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

    /// A window's sum in the last stage, or the stage that it fails in.
    fn sum(&self, window: &[i32], norm: f32) -> Result<f64, usize> {
        let mut sum = 0.0;
        for (s, (trees, threshold)) in self.stages.iter().enumerate() {
            sum = 0.0;
            for tree in &self.trees[trees.clone()] {
                let tree = &self.nodes[tree.clone()];
                let mut at = 0;
                sum += f64::from(loop {
                    let node = &tree[at];
                    let low = node.feature.value(window, norm) < node.threshold;
                    let side = usize::from(!low);
                    at = usize::from(node.next[side]);
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
}

/// The body of [`Cascade::scan_blocks`], which has checked that `reach + BLOCK − 1` values lie behind every corner.
struct Blocks<'a, F> {
    cascade: &'a Cascade<F>,
    tables: &'a [i32],
    windows: usize,
    passed: &'a mut Vec<Passed>,
}

impl<F: Feature> SimdOp for Blocks<'_, F> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { cascade, tables, windows, passed } = self;
        let mut skip = false;
        for first in (0..windows).step_by(S::LANES) {
            let tables = &tables[first..];
            // SAFETY: as above; the table detected the set.
            let (norms, rough) = unsafe { cascade.norms::<S>(tables.as_ptr()) };
            let mut alive = rough & u32::MAX >> (32 - S::LANES.min(windows - first));
            if alive == 0 {
                skip = false;
                continue;
            }
            let mut last = [0.0; BLOCK];
            // SAFETY: as above; no set has more lanes than `BLOCK`.
            unsafe {
                let sums = cascade.sums(tables.as_ptr(), norms, &mut alive, &mut skip);
                S::write(sums, last.as_mut_ptr());
            }
            let lanes = (0..S::LANES).filter(|lane| alive >> lane & 1 == 1);
            passed.extend(lanes.map(|lane| Passed { window: first + lane, sum: last[lane] }));
        }
    }
}

impl<F: Feature> Cascade<F> {
    /// The norms of neighbouring windows, and a bit for each that is not too flat.
    ///
    /// # Safety
    /// As for [`Simd`]; `windows` must be valid for `reach + LANES − 1` reads.
    #[inline(always)]
    unsafe fn norms<S: Simd>(&self, windows: *const i32) -> (S, u32) {
        // SAFETY: the caller's promise; all corners lie within `reach`.
        unsafe {
            let Some(Contrast { corners, squares, area }) = self.contrast else {
                return (S::splat(1.0), u32::MAX);
            };
            let sums = corners.map(|corner| windows.add(corner as usize));
            S::norms(sums, sums.map(|corner| corner.add(squares as usize)), f64::from(area))
        }
    }

    /// Takes windows through the stages until none is `alive`: the sums in the last stage of those that are.
    ///
    /// # Safety
    /// As [`Cascade::norms`].
    #[inline(always)]
    unsafe fn sums<S: Simd>(
        &self,
        windows: *const i32,
        norms: S,
        alive: &mut u32,
        skip: &mut bool,
    ) -> S::Sums {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = S::nothing();
            for (s, (trees, threshold)) in self.stages.iter().enumerate() {
                sums = self.stage(trees, windows, norms);
                let enough = S::reached(sums, *threshold);
                if s == 0 {
                    *alive &= visited(S::LANES, *alive & !enough, skip);
                }
                *alive &= enough;
                if *alive == 0 {
                    break;
                }
            }
            sums
        }
    }

    /// A stage's sums for neighbouring windows. Every node of a tree is computed; a lane takes the node's side where
    /// its way leads there.
    ///
    /// # Safety
    /// As [`Cascade::norms`].
    #[inline(always)]
    unsafe fn stage<S: Simd>(
        &self,
        trees: &Range<usize>,
        windows: *const i32,
        norms: S,
    ) -> S::Sums {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = S::nothing();
            for tree in &self.trees[trees.clone()] {
                let (root, others) = self.nodes[tree.clone()].split_first().expect("a node");
                let value = root.feature.values(windows, norms);
                let mut leaf = value.side(root.threshold, root.leaf[0], root.leaf[1]);
                let mut at =
                    value.side(root.threshold, f32::from(root.next[0]), f32::from(root.next[1]));
                for (number, node) in (1u16..).zip(others) {
                    let value = node.feature.values(windows, norms);
                    let own = value.side(node.threshold, node.leaf[0], node.leaf[1]);
                    let next = value.side(
                        node.threshold,
                        f32::from(node.next[0]),
                        f32::from(node.next[1]),
                    );
                    leaf = at.choose(f32::from(number), own, leaf);
                    at = at.choose(f32::from(number), next, at);
                }
                sums = leaf.added(sums);
            }
            sums
        }
    }
}

/// The windows that a scan comes to, if each that has failed makes it skip the next; `skip` goes from block to block.
#[inline(always)]
fn visited(lanes: usize, failed: u32, skip: &mut bool) -> u32 {
    (0..lanes).fold(0, |visited, i| {
        let visit = !*skip;
        *skip = visit && failed >> i & 1 == 1;
        visited | u32::from(visit) << i
    })
}

#[cfg(test)]
mod tests {
    use super::super::haar::Haar;
    use super::super::integral::{Layout, integrals};
    use super::super::lbp::Lbp;
    use super::super::table::available;
    use super::*;
    use std::array::from_fn;

    /// Numbers below `n` (Knuth's MMIX generator).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, n: usize) -> usize {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 33) as usize % n
        }

        fn signed(&mut self) -> f32 {
            self.below(2001) as f32 / 1000.0 - 1.0
        }
    }

    const SIDE: usize = 12;
    const WIDTH: usize = 83;
    const HEIGHT: usize = 40;

    fn haar(n: &mut Numbers, layout: &Layout) -> Haar {
        let mut corners = [[0; 4]; 3];
        for corners in &mut corners {
            let (x, y) = (n.below(SIDE - 4), n.below(SIDE - 4));
            let (w, h) = (1 + n.below(4), 1 + n.below(4));
            let places = [[x, y], [x + w, y], [x, y + h], [x + w, y + h]];
            *corners = places.map(|[x, y]| layout.at(y, x) as u32);
        }
        let third = if n.below(2) == 0 { 0.0 } else { n.signed() };
        Haar { corners, weights: [n.signed(), n.signed(), third] }
    }

    fn lbp(n: &mut Numbers, layout: &Layout) -> Lbp {
        let (x, y, w, h) = (n.below(4), n.below(4), 1 + n.below(2), 1 + n.below(2));
        let corners = from_fn(|i| layout.at(y + i / 4 * h, x + i % 4 * w) as u32);
        Lbp { corners, patterns: from_fn(|_| n.below(1 << 31) as u32 | (n.below(2) as u32) << 31) }
    }

    /// Trees of one to four nodes, whose links go anywhere later.
    fn tree<F>(
        n: &mut Numbers,
        threshold: Option<f32>,
        feature: &mut impl FnMut(&mut Numbers) -> F,
    ) -> Vec<Node<F>> {
        let count = 1 + n.below(4);
        let link = |n: &mut Numbers, own: usize| match own + n.below(count - own) {
            next if next == own => 0,
            next => next as u16,
        };
        let node = |own: usize| Node {
            feature: feature(n),
            threshold: threshold.unwrap_or_else(|| 0.2 * n.signed()),
            next: [link(n, own), link(n, own)],
            leaf: [n.signed(), n.signed()],
        };
        (0..count).map(node).collect()
    }

    /// Every set finds what the plain loop finds, to the last bit; returns how many that is.
    fn compare<F: Feature>(cascade: &Cascade<F>, layout: &Layout, tables: &[i32]) -> usize {
        let mut found = 0;
        let most = (WIDTH + 1 - SIDE).div_ceil(layout.step);
        for (y, windows) in [(0, most), (6, most), (22, 1), (10, 17), (HEIGHT - SIDE, most)] {
            let mut want = Vec::new();
            cascade.scan(tables, layout.at(y, 0), windows, &mut want);
            for kernels in available() {
                let mut got = Vec::new();
                cascade.scan_blocks(kernels, tables, layout.at(y, 0), windows, &mut got);
                assert_eq!(got, want, "{}, row {y}", kernels.name());
            }
            found += want.len();
        }
        found
    }

    #[test]
    fn every_set_does_as_the_plain_loop() {
        let mut n = Numbers(5);
        // Left flat enough in places that windows are refused for it.
        let pixels: Vec<u8> = (0..HEIGHT * WIDTH)
            .map(|i| if i % WIDTH < 30 { 99 } else { n.below(256) as u8 })
            .collect();
        let mut found = [0; 2];
        for round in 0..40 {
            let layout = Layout::new(HEIGHT, WIDTH, 1 + round % 2, false);
            let mut tables = vec![0; layout.room()];
            integrals(&layout, WIDTH, &pixels, &mut tables);
            let inner = [[1, 1], [SIDE - 1, 1], [1, SIDE - 1], [SIDE - 1, SIDE - 1]];
            let corners = inner.map(|[x, y]| layout.at(y, x) as u32);
            let area = ((SIDE - 2) * (SIDE - 2)) as u32;
            let contrast = Contrast { corners, squares: layout.plane() as u32, area };
            let mut haar = |n: &mut Numbers| haar(n, &layout);
            let mut lbp = |n: &mut Numbers| lbp(n, &layout);
            let (mut haars, mut lbps) = (Vec::new(), Vec::new());
            for _ in 0..1 + n.below(4) {
                let threshold = n.signed() - 0.3;
                let trees = (0..3).map(|_| tree(&mut n, None, &mut haar)).collect();
                haars.push(Stage { trees, threshold });
                let trees = (0..3).map(|_| tree(&mut n, Some(0.5), &mut lbp)).collect();
                lbps.push(Stage { trees, threshold });
            }
            found[0] += compare(&Cascade::new(&haars, Some(contrast)), &layout, &tables);
            found[1] += compare(&Cascade::new(&lbps, None), &layout, &tables);
        }
        assert!(found.iter().all(|&n| n > 300), "{found:?}");
    }

    #[test]
    fn a_window_that_fails_at_once_takes_its_neighbour_along() {
        let mut skip = false;
        assert_eq!(visited(8, 0b0110_0111, &mut skip), 0b1011_0101);
        assert!(!skip);
        // The last one's neighbour is in the next block.
        assert_eq!(visited(8, 0b1000_0000, &mut skip), 0b1111_1111);
        assert!(skip);
        assert_eq!(visited(8, 0b0000_0011, &mut skip), 0b1111_1010);
    }
}
