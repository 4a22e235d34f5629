//! Local binary patterns of a window. Flows out: all grids; in a window, their patterns.
//!
//! Zhang, Chu, Xiang, Liao and Li (2007), "Face detection based on multi-block LBP representation". A node's
//! patterns are parted by the share of the object's weight in each: among all ways to part categories in two,
//! the best is one of those (Breiman et al., 1984).

use super::trees::{Kind, SIDE, Tables};
use crate::faces::opencv::Stages;
use crate::faces::opencv::lbp::Feature;
use crate::faces::opencv::scan::Place;
use likenet_kernels::cpu::cascade::Stage;

/// Neighbours of the middle cell in a grid of 3 x 3, highest bit first: clockwise from the upper left.
const AROUND: [usize; 8] = [0, 1, 2, 5, 8, 7, 6, 3];

/// All grids of a window.
pub fn pool() -> Vec<Feature> {
    let fits = |cell: &[usize; 4]| Feature::fits(*cell, [SIDE; 2]);
    let places = (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x, y)));
    let sizes = || (1..=SIDE / 3).flat_map(|h| (1..=SIDE / 3).map(move |w| (w, h)));
    let cells = places.flat_map(|(x, y)| sizes().map(move |(w, h)| [x, y, w, h]));
    cells.filter(fits).map(|cell| Feature { cell, patterns: [0; 8] }).collect()
}

impl Kind for Feature {
    fn usable(_: &[u8]) -> bool {
        true
    }

    fn norm(_: &[u8]) -> f32 {
        1.0
    }

    /// The pattern's number.
    fn values(&self, tables: &Tables, windows: &[u32]) -> Vec<f32> {
        let corners = self.place(&tables.layout).corners.map(|corner| tables.column(corner));
        let pattern = |i: usize| {
            let sum = |cell: usize| {
                let [a, b, c, d] = [0, 1, 4, 5].map(|to| corners[cell / 3 * 4 + cell % 3 + to][i]);
                a - b - c + d
            };
            let middle = sum(4);
            AROUND.iter().fold(0u8, |bits, &cell| bits << 1 | u8::from(sum(cell) >= middle))
        };
        windows.iter().map(|&i| f32::from(pattern(i as usize))).collect()
    }

    fn bins(_: &[f32]) -> [f32; 2] {
        [0.0, 1.0]
    }

    /// By the object's share; those never seen are taken for another's.
    fn order(sums: &[[f32; 2]; 256]) -> Vec<u8> {
        let share = |bin: u8| {
            let [object, other] = sums[usize::from(bin)];
            if object > 0.0 { object / (object + other) } else { 0.0 }
        };
        let mut order: Vec<u8> = (0..=255).collect();
        order.sort_by(|&a, &b| share(a).total_cmp(&share(b)));
        order
    }

    fn split(mut self, left: &[u8], _: [f32; 2]) -> (Self, f32) {
        for &pattern in left {
            self.patterns[usize::from(pattern / 32)] |= 1 << (pattern % 32);
        }
        // In a search the value is 0 for these patterns and 1 for the others.
        (self, 0.5)
    }

    fn right(&self, value: f32, _: f32) -> bool {
        let pattern = value as usize;
        self.patterns[pattern / 32] >> (pattern % 32) & 1 == 0
    }

    fn stages(stages: Vec<Stage<Self>>) -> Stages {
        Stages::Lbp(stages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_and_patterns_by_hand() {
        // Places for each size along a side: 22, 19, 16, …, 1.
        assert_eq!(pool().len(), (1 + 4 + 7 + 10 + 13 + 16 + 19 + 22usize).pow(2));
        let mut sums = [[0.0; 2]; 256];
        (sums[7], sums[200], sums[3]) = ([0.3, 0.1], [0.1, 0.1], [0.0, 0.3]);
        let order = Feature::order(&sums);
        assert_eq!(order[254..], [200, 7]);
        let (feature, _) = pool()[0].split(&order[..255], [0.0, 1.0]);
        assert!(feature.right(7.0, 0.5) && !feature.right(200.0, 0.5) && !feature.right(3.0, 0.5));
    }
}
