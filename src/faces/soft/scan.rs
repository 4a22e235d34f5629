//! Windows over levels. Flows in: a pyramid. Flows out: every window that no tree rejects.

use super::{BORDER, Cascade, Level, Pyramid, Tree, UNIT, WINDOW};
use likenet_kernels::cpu::cells::{CELL, Cells, Workspace, cells};
use likenet_kernels::cpu::resample::Plane;
use likenet_kernels::cpu::table::Kernels;
use likenet_kernels::cpu::trees;
use rayon::prelude::*;

/// Cells from one window to the next, across and down.
const STEP: usize = 2;

/// A window that passed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Left, top, width, height in pixels of the picture.
    pub rect: [f32; 4],
    /// The trees' sum.
    pub score: f32,
}

/// A level's channels, and the memory that they are made in.
#[derive(Default)]
pub struct Maps {
    workspace: Workspace,
    cells: Cells,
}

impl Maps {
    /// The channels of a gray picture.
    pub fn make(&mut self, gray: &Plane, kernels: &Kernels) -> &Cells {
        cells(kernels, gray, &mut self.workspace, &mut self.cells);
        &self.cells
    }
}

/// All windows that pass, level by level, row by row. Levels are searched side by side.
pub fn scan(cascade: &Cascade, pyramid: &Pyramid) -> Vec<Window> {
    let levels = (0..pyramid.len()).into_par_iter().with_max_len(1);
    let windows = levels.map_init(Maps::default, |maps, i| {
        let level = pyramid.level(i);
        let mut found = Vec::new();
        let cells = maps.make(&level.plane, pyramid.kernels());
        passing(&cascade.trees, cells, pyramid.kernels(), |cell, score| {
            found.push(Window { rect: rect(&level, cell), score });
        });
        found
    });
    windows.flatten_iter().collect()
}

/// Tells `found` the first cell (column, row) and the score of each window that passes.
pub fn passing(
    cascade: &[Tree],
    maps: &Cells,
    kernels: &Kernels,
    mut found: impl FnMut([usize; 2], f32),
) {
    if maps.width < WINDOW || maps.height < WINDOW {
        return;
    }
    let trees: Vec<trees::Tree> = cascade.iter().map(|tree| over(tree, maps)).collect();
    let across = (maps.width - WINDOW) / STEP + 1;
    for y in (0..=maps.height - WINDOW).step_by(STEP) {
        let start = maps.offset(0, 0, y);
        trees::row(kernels, &trees, maps.bytes(), start..start + across, |i, score| {
            found([STEP * i, y], score as f32 / UNIT);
        });
    }
}

/// The tree with its cells' places in these maps.
fn over(tree: &Tree, maps: &Cells) -> trees::Tree {
    let place = |i: usize| {
        let node = &tree.nodes[i];
        maps.offset(node.channel.into(), node.cell[0].into(), node.cell[1].into()) as u32
    };
    trees::Tree {
        offsets: [place(0), place(1), place(2)],
        thresholds: tree.nodes.map(|n| n.threshold),
        leaves: tree.leaves,
        exit: tree.exit,
    }
}

/// The picture's pixels under the window at a cell. The first cell starts one pixel inside the border.
pub fn rect(level: &Level, cell: [usize; 2]) -> [f32; 4] {
    let at = |i: usize| (CELL * cell[i] + 1) as f32 - BORDER as f32;
    let side = (CELL * WINDOW) as f32;
    let [sx, sy] = level.scale;
    [at(0) * sx, at(1) * sy, side * sx, side * sy]
}
