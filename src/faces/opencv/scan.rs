//! A photo's levels, and the cascade over every window of each.
//!
//! Flows in: a gray photo and stages. Flows out: raw hits, in the photo's pixels.
//!
//! A window grows by making the photo smaller: features keep their size.

use super::{Hit, Settings};
use crate::image::GrayPicture;
use likenet_kernels::cpu::cascade::{Cascade, Contrast, Feature, Node, Stage};
use likenet_kernels::cpu::integral::{Layout, integrals};
use likenet_kernels::cpu::table::Kernels;
use rayon::prelude::*;

/// One size of the photo.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    /// How much smaller than the photo.
    factor: f32,
    width: usize,
    height: usize,
    /// Columns and rows from one window to the next.
    step: usize,
    /// Columns and rows at whose pixels windows may begin.
    starts: [usize; 2],
}

/// A feature that can be placed in integral images.
pub(in crate::faces) trait Place: Copy + Sync {
    /// The feature with the corners' places.
    type Placed: Feature + Send + Sync;

    /// The feature in tables of that layout.
    fn place(&self, layout: &Layout) -> Self::Placed;

    /// Whether it needs the table of tilted sums.
    fn is_tilted(&self) -> bool;

    /// Where a window's contrast is measured, if features are divided by it.
    fn contrast(window: [usize; 2], layout: &Layout) -> Option<Contrast>;
}

/// To the nearest whole number, halves to the even one, as OpenCV's `cvRound`.
fn round(x: f64) -> i32 {
    x.round_ties_even() as i32
}

/// OpenCV looks at each level in bands of rows, as many as there are times this many columns in the first, and of
/// as many whole steps each as it takes: where an odd number of rows is left over by that, the last one is not
/// looked at.
const BAND: usize = 32;

/// The levels whose windows have the sizes asked for.
pub(super) fn levels(window: [usize; 2], photo: &GrayPicture, s: &Settings) -> Vec<Level> {
    let photo = [photo.width, photo.height];
    let mut levels = Vec::new();
    let (mut factor, mut bands) = (1f64, None);
    loop {
        let size = window.map(|side| i64::from(round(side as f64 * factor)));
        let most = |axis: usize| s.max_size.map_or(i64::MAX, i64::from).min(photo[axis] as i64);
        if size[0] > most(0) || size[1] > most(1) {
            return levels;
        }
        if size.iter().all(|&side| side >= i64::from(s.min_size)) {
            let factor = factor as f32;
            let [width, height] = photo.map(|side| round(f64::from(side as f32 / factor)) as usize);
            let step = if factor >= 2.0 { 1 } else { 2 };
            let starts = [(width, window[0]), (height, window[1])];
            let [columns, rows] = starts.map(|(side, window)| (side + 1).saturating_sub(window));
            let bands = *bands.get_or_insert(columns.div_ceil(BAND).max(1));
            let rows = rows.min((rows / step).div_ceil(bands).max(1) * bands * step);
            levels.push(Level { factor, width, height, step, starts: [columns, rows] });
        }
        factor *= s.scale_factor;
    }
}

/// The raw hits at all levels. Levels are looked at side by side.
pub(super) fn scan<F: Place>(
    window: [usize; 2],
    stages: &[Stage<F>],
    photo: &GrayPicture,
    levels: &[Level],
    kernels: &Kernels,
) -> Vec<Hit> {
    let tilted =
        stages.iter().flat_map(|s| s.trees.iter().flatten()).any(|n| n.feature.is_tilted());
    // One layout serves all levels with the same step.
    let placed = [1, 2].map(|step| {
        let first = levels.iter().find(|level| level.step == step)?;
        let layout = Layout::new(first.height, first.width, step, tilted);
        Some((layout, place(window, stages, &layout)))
    });
    let longest = placed.iter().flatten().map(|(layout, _)| layout.room()).max().unwrap_or(0);
    let hits = levels.par_iter().map_init(
        || vec![0; longest],
        |tables, level| {
            let placed = placed[level.step - 1].as_ref();
            let (layout, cascade) = placed.expect("a layout for each level's step");
            let pixels = resize(photo, level.width, level.height);
            integrals(layout, level.width, &pixels, tables);
            scan_level(window, level, cascade, layout, tables, kernels)
        },
    );
    hits.collect::<Vec<_>>().concat()
}

/// The stages with their features placed in tables of that layout.
fn place<F: Place>(window: [usize; 2], stages: &[Stage<F>], layout: &Layout) -> Cascade<F::Placed> {
    let node = |n: &Node<F>| Node {
        feature: n.feature.place(layout),
        threshold: n.threshold,
        next: n.next,
        leaf: n.leaf,
    };
    let tree = |tree: &Vec<Node<F>>| tree.iter().map(node).collect();
    let stage =
        |s: &Stage<F>| Stage { trees: s.trees.iter().map(tree).collect(), threshold: s.threshold };
    let stages: Vec<_> = stages.iter().map(stage).collect();
    Cascade::new(&stages, F::contrast(window, layout))
}

/// The raw hits at one level, whose tables are full.
fn scan_level<F: Feature>(
    window: [usize; 2],
    level: &Level,
    cascade: &Cascade<F>,
    layout: &Layout,
    tables: &[i32],
    kernels: &Kernels,
) -> Vec<Hit> {
    let size = window.map(|side| round(f64::from(side as f32 * level.factor)));
    let place = |at: usize| round(f64::from(at as f32 * level.factor));
    let windows = level.starts[0].div_ceil(level.step);
    let (mut passed, mut hits) = (Vec::new(), Vec::new());
    for y in (0..level.starts[1]).step_by(level.step) {
        cascade.scan_blocks(kernels, tables, layout.at(y, 0), windows, &mut passed);
        hits.extend(passed.drain(..).map(|p| Hit {
            rect: [place(p.window * level.step), place(y), size[0], size[1]],
            neighbours: 1,
            weight: p.sum,
        }));
    }
    hits
}

/// A column or row of the smaller picture: the source's two, and the second's weight of 256.
fn taps(from: usize, to: usize) -> Vec<(usize, usize, u32)> {
    let tap = |d: usize| {
        let at = (d as f64 + 0.5) * (from as f64 / to as f64) - 0.5;
        let (first, weight) = (at.floor(), ((at - at.floor()) * 256.0).round_ties_even() as u32);
        match first {
            f if f < 0.0 => (0, 0, 0),
            f if f >= (from - 1) as f64 => (from - 1, from - 1, 0),
            f => (f as usize, f as usize + 1, weight),
        }
    };
    (0..to).map(tap).collect()
}

/// The photo in another size, between its pixels linearly, with weights of 8 bits and one rounding: OpenCV's
/// `INTER_LINEAR_EXACT`.
fn resize(photo: &GrayPicture, width: usize, height: usize) -> Vec<u8> {
    let columns = taps(photo.width, width);
    let mut row = vec![0u16; photo.width];
    let mut out = Vec::with_capacity(width * height);
    for (above, below, weight) in taps(photo.height, height) {
        let [above, below] = [above, below].map(|y| &photo.data[y * photo.width..][..photo.width]);
        let (a, b) = ((256 - weight) as u16, weight as u16);
        for ((mixed, &above), &below) in row.iter_mut().zip(above).zip(below) {
            *mixed = u16::from(above) * a + u16::from(below) * b;
        }
        let mix = |&(left, right, weight): &(usize, usize, u32)| {
            let sum = u32::from(row[left]) * (256 - weight) + u32::from(row[right]) * weight;
            ((sum + (1 << 15)) >> 16) as u8
        };
        out.extend(columns.iter().map(mix));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Size;

    #[test]
    fn levels_by_hand() {
        let photo = GrayPicture::new(Size::new(500, 333), vec![0; 500 * 333]).unwrap();
        let settings = Settings { min_size: 20, max_size: Some(60), ..Settings::default() };
        let levels = levels([36, 18], &photo, &settings);
        // 18 · 1.1 = 19.8 is the first height of 20; 36 · 1.1⁵ = 57.98 the last width below 60.
        assert_eq!(levels.len(), 5);
        let first = Level { factor: 1.1, width: 303, height: 455, step: 2, starts: [268, 438] };
        assert_eq!(levels[0], first);
        // 325 rows in 9 bands of 18 steps: row 324 is forgotten.
        assert_eq!((levels[3].height, levels[3].starts[1]), (342, 324));
    }

    #[test]
    fn a_picture_is_resized_by_hand() {
        let photo = GrayPicture::new(Size::new(1, 4), vec![0, 100, 200, 50]).unwrap();
        // Midway between 0 and 100, and between 200 and 50.
        assert_eq!(resize(&photo, 2, 1), [50, 125]);
        // At −0.25, 0.25 and so on: the edges stay what they are.
        assert_eq!(resize(&photo, 8, 1), [0, 25, 75, 125, 175, 163, 88, 50]);
        assert_eq!(resize(&photo, 4, 1), photo.data);
    }
}
