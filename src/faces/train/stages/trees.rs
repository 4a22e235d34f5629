//! Boosted trees over features of integral images. Flows in: windows. Flows out: trees of OpenCV's cascades.
//!
//! A node's feature is the best of some drawn at random; its values are told apart to one of 256, so that a
//! histogram of weights gives the best split, as in [`super::super::boost`].

use super::super::boost::{self, Boosting};
use super::stage::{Family, Scores, Stage};
use super::windows::{Frame, Windows};
use super::{StageOptions, Staged};
use crate::faces::opencv;
use crate::faces::opencv::scan::Place;
use crate::faces::opencv::xml::SLACK;
use crate::rng::Rng;
use likenet_kernels::cpu::cascade::{self, Node};
use likenet_kernels::cpu::integral::{Layout, integrals};
use rayon::prelude::*;

/// Pixels along a window.
pub const SIDE: usize = 24;
/// Part of the weight that windows must make up together: the lightest are left out of a tree.
const HEAVY: f32 = 0.98;

/// A kind of feature.
pub trait Kind: Place + Send {
    /// Whether a search looks at such a window at all.
    fn usable(window: &[u8]) -> bool;

    /// What a window's values are multiplied with.
    fn norm(window: &[u8]) -> f32;

    /// The feature's value in each of some windows.
    fn values(&self, tables: &Tables, windows: &[u32]) -> Vec<f32>;

    /// Where the 256 bins of such values begin, and how wide each is.
    fn bins(values: &[f32]) -> [f32; 2];

    /// Bins in the order in which a node may part them, by their positive and negative weights.
    fn order(sums: &[[f32; 2]; 256]) -> Vec<u8>;

    /// The feature and threshold by which these bins go left.
    fn split(self, left: &[u8], bins: [f32; 2]) -> (Self, f32);

    /// Whether a window of that value goes right.
    fn right(&self, value: f32, threshold: f32) -> bool;

    /// Stages of such features.
    fn stages(stages: Vec<cascade::Stage<Self>>) -> opencv::Stages;
}

/// Windows' integral images: for each corner the values of all windows side by side.
pub struct Tables {
    /// Where corners lie in a single window's tables.
    pub layout: Layout,
    /// What values are multiplied with.
    pub norms: Vec<f32>,
    columns: Vec<i32>,
}

impl Tables {
    fn new<K: Kind>(windows: &Windows, tilted: bool) -> Self {
        let layout = Layout::new(SIDE, SIDE, 1, tilted);
        let (count, plane) = (windows.len(), layout.plane());
        let mut columns = vec![0; (1 + usize::from(tilted)) * plane * count];
        let mut tables = vec![0; layout.room()];
        for (i, window) in windows.iter().enumerate() {
            integrals(&layout, SIDE, window, &mut tables);
            // No feature asks for squares.
            let (sums, tilted) = (&tables[..plane], &tables[2 * plane..]);
            for (column, sum) in
                columns.chunks_exact_mut(count.max(1)).zip(sums.iter().chain(tilted))
            {
                column[i] = *sum;
            }
        }
        Self { layout, norms: windows.iter().map(K::norm).collect(), columns }
    }

    /// The values at a corner of the layout, one a window.
    pub fn column(&self, corner: u32) -> &[i32] {
        let (corner, plane) = (corner as usize, self.layout.plane());
        let row = if corner < plane { corner } else { corner - plane };
        &self.columns[row * self.norms.len()..][..self.norms.len()]
    }
}

/// The family of trees over one kind of feature.
pub struct Trees<K> {
    pool: Vec<K>,
    tilted: bool,
    candidates: usize,
    depth: usize,
    boosting: Boosting,
}

/// What a tree is grown from.
struct Soil<'a> {
    tables: &'a Tables,
    /// Negative for windows without the object.
    weights: &'a [f32],
    /// Features to choose from.
    drawn: &'a [usize],
}

impl<K: Kind> Trees<K> {
    /// Trees over these features.
    pub fn new(pool: Vec<K>, options: &StageOptions) -> Self {
        let tilted = pool.iter().any(K::is_tilted);
        let StageOptions { candidates, depth, boosting, .. } = *options;
        Self { pool, tilted, candidates, depth, boosting }
    }

    /// Adds a node for these windows, and those below it.
    fn grow(&self, soil: &Soil, windows: &[u32], depth: usize, nodes: &mut Vec<Node<K>>) {
        let (feature, threshold) = self.best_split(soil, windows);
        let values = feature.values(soil.tables, windows);
        let goes_right = |value| feature.right(value, threshold);
        let side = |right| -> Vec<u32> {
            let all = windows.iter().zip(&values);
            all.filter(|(_, value)| goes_right(**value) == right).map(|(i, _)| *i).collect()
        };
        let sides = [side(false), side(true)];
        let sums = sides.each_ref().map(|windows| sums(soil.weights, windows));
        // Half a window's weight on either side: no leaf is certain.
        let least = 0.5 / soil.weights.len() as f64;
        let leaf = sums.map(|sums| self.boosting.leaf(sums, least) as f32);
        let own = nodes.len();
        nodes.push(Node { feature, threshold, next: [0; 2], leaf });
        for (side, windows) in sides.iter().enumerate() {
            if depth > 1 && sums[side].iter().all(|&sum| sum > 0.0) {
                nodes[own].next[side] = nodes.len() as u16;
                nodes[own].leaf[side] = 0.0;
                self.grow(soil, windows, depth - 1, nodes);
            }
        }
    }

    fn best_split(&self, soil: &Soil, windows: &[u32]) -> (K, f32) {
        let try_one = |&drawn: &usize| {
            let feature = self.pool[drawn];
            let values = feature.values(soil.tables, windows);
            let bins = K::bins(&values);
            let mut sums = [[0f32; 2]; 256];
            for (&i, value) in windows.iter().zip(&values) {
                let weight = soil.weights[i as usize];
                let bin = ((value - bins[0]) / bins[1]) as u8;
                sums[usize::from(bin)][usize::from(weight < 0.0)] += weight.abs();
            }
            let order = K::order(&sums);
            let sorted = std::array::from_fn(|i| sums[usize::from(order[i])]);
            let (last, loss) = boost::best_threshold(&sorted, self.boosting);
            (loss, drawn, feature.split(&order[..=usize::from(last)], bins))
        };
        let better = |a: (f64, usize, (K, f32)), b: (f64, usize, (K, f32))| {
            if (b.0, b.1) < (a.0, a.1) { b } else { a }
        };
        soil.drawn.par_iter().map(try_one).reduce_with(better).expect("a candidate").2
    }
}

/// Weights of the object's windows, and of others.
fn sums(weights: &[f32], windows: &[u32]) -> [f64; 2] {
    let mut sums = [0.0; 2];
    for weight in windows.iter().map(|&i| f64::from(weights[i as usize])) {
        sums[usize::from(weight < 0.0)] += weight.abs();
    }
    sums
}

impl<K: Kind> Family for Trees<K> {
    type Weak = Vec<Node<K>>;
    type Set = Tables;
    const FRAME: Frame = Frame { side: SIDE, margin: 0 };

    fn usable(window: &[u8]) -> bool {
        K::usable(window)
    }

    fn prepare(&self, windows: &Windows) -> Tables {
        Tables::new::<K>(windows, self.tilted)
    }

    fn learn(&self, tables: &Tables, scores: &Scores, rng: &mut Rng) -> Vec<Node<K>> {
        let weights = &scores.weights();
        let drawn = &boost::draw(rng, self.pool.len(), self.candidates);
        let mut nodes = Vec::new();
        let heavy = boost::trim(weights, HEAVY);
        self.grow(&Soil { tables, weights, drawn }, &heavy, self.depth, &mut nodes);
        nodes
    }

    fn answers(&self, tree: &Vec<Node<K>>, tables: &Tables) -> Vec<f32> {
        let all: Vec<u32> = (0..tables.norms.len() as u32).collect();
        let values: Vec<Vec<f32>> = tree.iter().map(|n| n.feature.values(tables, &all)).collect();
        let walk = |window: usize| {
            let mut at = 0;
            loop {
                let node = &tree[at];
                let side = usize::from(node.feature.right(values[at][window], node.threshold));
                at = usize::from(node.next[side]);
                if at == 0 {
                    return node.leaf[side];
                }
            }
        };
        (0..all.len()).map(walk).collect()
    }

    fn cascade(&self, stages: &[Stage<Vec<Node<K>>>]) -> Staged {
        let stage = |s: &Stage<Vec<Node<K>>>| cascade::Stage {
            trees: s.weak.clone(),
            threshold: s.threshold - SLACK,
        };
        let stages = K::stages(stages.iter().map(stage).collect());
        Staged::OpenCv(opencv::Cascade { window: [SIDE; 2], stages })
    }
}
