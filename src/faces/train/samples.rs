//! Windows as numbers: a byte for each channel and cell. Flows in: crops. Flows out: [`Samples`].

use super::Options;
use super::augment::{Canvas, Crop, View, render};
use crate::error::Result;
use crate::faces::soft::{Maps, Node, WINDOW};
use crate::rng::Rng;
use likenet_kernels::cpu::cells::{CELL, CHANNELS, Cells};
use likenet_kernels::cpu::table::Kernels;
use rayon::prelude::*;
use std::path::PathBuf;

/// Numbers of a window: channels, each with its rows of cells.
pub const FEATURES: usize = CHANNELS * WINDOW * WINDOW;
/// Pixels along a window.
pub const SIDE: usize = CELL * WINDOW;
/// Cells that a rendered window has more on each side: what is around goes into its channels.
const MARGIN: usize = 3;
/// Pixels along a rendered window: its cells, and what [`cells`] needs more.
const RENDERED: usize = CELL * (WINDOW + 2 * MARGIN + 2);
/// A rendered window. The first cell starts at pixel 1.
const CANVAS: Canvas =
    Canvas { pixels: RENDERED, side: SIDE, middle: (1 + CELL * MARGIN + SIDE / 2) as f32 };

/// Windows, one after another.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    bytes: Vec<u8>,
}

impl Samples {
    /// How many.
    pub fn len(&self) -> usize {
        self.bytes.len() / FEATURES
    }

    /// Each window's numbers.
    pub fn iter(&self) -> std::slice::ChunksExact<'_, u8> {
        self.bytes.chunks_exact(FEATURES)
    }

    /// As [`iter`](Self::iter), side by side.
    pub fn par_iter(&self) -> rayon::slice::ChunksExact<'_, u8> {
        self.bytes.par_chunks_exact(FEATURES)
    }

    /// All numbers.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// From all numbers; those of a cut-off window are left away.
    pub fn from_bytes(mut bytes: Vec<u8>) -> Self {
        bytes.truncate(bytes.len() / FEATURES * FEATURES);
        Self { bytes }
    }

    /// Adds a window's numbers.
    pub fn push(&mut self, window: &[u8]) {
        assert_eq!(window.len(), FEATURES);
        self.bytes.extend_from_slice(window);
    }

    /// Leaves the newest `most`.
    pub fn keep_newest(&mut self, most: usize) {
        let drop = self.len().saturating_sub(most);
        self.bytes.drain(..drop * FEATURES);
    }
}

/// Where a node's number stands.
pub fn feature(node: &Node) -> usize {
    let [x, y] = node.cell.map(usize::from);
    (usize::from(node.channel) * WINDOW + y) * WINDOW + x
}

/// The node that asks for a feature.
pub fn node(feature: usize, threshold: u8) -> Node {
    let (channel, cell) = (feature / (WINDOW * WINDOW), feature % (WINDOW * WINDOW));
    let cell = [(cell % WINDOW) as u8, (cell / WINDOW) as u8];
    Node { channel: channel as u8, cell, threshold }
}

/// The numbers of the window that starts at a cell (column, row).
pub fn window(maps: &Cells, cell: [usize; 2]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FEATURES);
    for channel in 0..CHANNELS {
        for y in 0..WINDOW {
            out.extend((0..WINDOW).map(|x| maps.at(channel, cell[0] + x, cell[1] + y)));
        }
    }
    out
}

/// Every crop in all its variations. Which variation a crop gets follows from the seed and its number.
pub fn positives(
    crops: &[PathBuf],
    options: &Options,
    kernels: &'static Kernels,
) -> Result<Samples> {
    let windows: Vec<Vec<u8>> = crops
        .par_iter()
        .enumerate()
        .map(|(i, path)| {
            let crop = Crop::read(path, &options.framing, SIDE, kernels)?;
            let mut maps = Maps::default();
            let mut out = Vec::with_capacity(options.copies * FEATURES);
            for copy in 0..options.copies {
                let mut rng = Rng::new(options.seed ^ ((i * options.copies + copy) as u64) << 16);
                let view = options.augment.draw(&mut rng);
                let plane = render(&crop, &options.framing, &view, &CANVAS, &mut rng);
                out.extend(window(maps.make(&plane, kernels), [MARGIN, MARGIN]));
            }
            Ok(out)
        })
        .collect::<Result<_>>()?;
    Ok(Samples { bytes: windows.concat() })
}

/// The mean of all crops' windows as they are, [`SIDE`] x [`SIDE`] gray levels.
pub fn mean(crops: &[PathBuf], options: &Options, kernels: &'static Kernels) -> Result<Vec<u8>> {
    let first = 1 + CELL * MARGIN;
    let add = |mut sums: Vec<u32>, path: &PathBuf| -> Result<Vec<u32>> {
        let crop = Crop::read(path, &options.framing, SIDE, kernels)?;
        let rng = &mut Rng::new(0);
        let plane = render(&crop, &options.framing, &View::PLAIN, &CANVAS, rng);
        let rows = (0..SIDE).flat_map(|y| &plane.row(first + y)[first..][..SIDE]);
        sums.iter_mut().zip(rows).for_each(|(sum, &v)| *sum += u32::from(v));
        Ok(sums)
    };
    let zero = || Ok(vec![0; SIDE * SIDE]);
    let total = crops
        .par_iter()
        .fold(zero, |sums, path| add(sums?, path))
        .reduce(zero, |a, b| Ok(a?.iter().zip(b?).map(|(a, b)| a + b).collect()))?;
    Ok(total.iter().map(|&v| (v / crops.len().max(1) as u32) as u8).collect())
}
