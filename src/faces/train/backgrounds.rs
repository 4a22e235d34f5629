//! Windows without the object. Flows in: photos, the cascade so far. Flows out: windows that fool it.

use super::Options;
use super::samples::{Samples, window};
use crate::error::Result;
use crate::faces::soft::{LEVELS_PER_OCTAVE, Maps, Pyramid, Settings, Tree, WINDOW, passing};
use crate::image::{GrayPicture, Limits, decode_gray_file};
use crate::rng::Rng;
use likenet_kernels::cpu::table::Kernels;
use rayon::prelude::*;
use std::path::PathBuf;

/// Photos to draw from.
pub struct Backgrounds<'a> {
    /// Files, none with the object in it.
    pub photos: Vec<PathBuf>,
    /// The training's options.
    pub options: &'a Options,
    /// Instruction set.
    pub kernels: &'static Kernels,
}

/// Most windows from one view of a photo: many photos teach more than many windows.
const FROM_A_VIEW: usize = 40;
/// Views of each photo in a round, after the first: as it is, mirrored, and turned in two more ways.
const VIEWS: usize = 4;
/// Smallest and largest window of a view, relative to each other: sizes differ from view to view.
const SMALLEST_SIDE: [f32; 2] = [37.0, 44.0];

struct Found {
    score: f32,
    window: Vec<u8>,
}

impl Backgrounds<'_> {
    /// The windows of a round: random ones in the first, then those that the trees take, worst first.
    pub fn windows(&self, round: usize, trees: &[Tree]) -> Result<Samples> {
        let views = if round == 0 { 1 } else { VIEWS };
        let found: Vec<Vec<Found>> = (0..self.photos.len() * views)
            .into_par_iter()
            .map(|i| self.view(i / views, round, i % views, trees))
            .collect::<Result<_>>()?;
        let mut found: Vec<Found> = found.into_iter().flatten().collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(self.options.negatives_a_round);
        let mut out = Samples::default();
        found.iter().for_each(|f| out.push(&f.window));
        Ok(out)
    }

    fn view(&self, photo: usize, round: usize, view: usize, trees: &[Tree]) -> Result<Vec<Found>> {
        let turn = if view < 2 { view } else { view + 2 * round % (TURNS - 2) };
        let number = (photo as u64) << 16 | (8 * round + view) as u64;
        let mut rng = Rng::new(self.options.seed ^ number << 8);
        let picture = decode_gray_file(&self.photos[photo], &Limits::default())?;
        let picture = turned(picture, turn);
        let side = rng.uniform(SMALLEST_SIDE[0], SMALLEST_SIDE[1]);
        let levels_per_octave = if round == 0 { 2 } else { LEVELS_PER_OCTAVE };
        let settings = Settings { min_size: side, levels_per_octave, kernels: self.kernels };
        let pyramid = Pyramid::new(&picture, &settings);
        let (mut found, mut maps) = (Vec::new(), Maps::default());
        for i in 0..pyramid.len() {
            let maps = maps.make(&pyramid.level(i).plane, self.kernels);
            if round == 0 {
                let room = [maps.width - WINDOW + 1, maps.height - WINDOW + 1];
                for _ in 0..(room[0] * room[1] / 150).clamp(1, 30) {
                    let cell = room.map(|n| rng.below(n));
                    found.push(Found { score: rng.uniform(0.0, 1.0), window: window(maps, cell) });
                }
            } else {
                passing(trees, maps, self.kernels, |cell, score| {
                    found.push(Found { score, window: window(maps, cell) });
                });
            }
            // A cascade that takes much must not fill the memory.
            worst(&mut found);
        }
        Ok(found)
    }
}

fn worst(found: &mut Vec<Found>) {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(FROM_A_VIEW);
}

/// Ways to turn a photo.
pub const TURNS: usize = 8;

/// A photo as it is (0), or mirrored (1), upside down (2), on its side (4), and all of their combinations.
pub fn turned(photo: GrayPicture, turn: usize) -> GrayPicture {
    let GrayPicture { width, height, data } = photo;
    let (w, h) = if turn & 4 == 4 { (height, width) } else { (width, height) };
    let from = |i: usize| {
        let (x, y) = (i % w, i / w);
        let x = if turn & 1 == 1 { w - 1 - x } else { x };
        let y = if turn & 2 == 2 { h - 1 - y } else { y };
        if turn & 4 == 4 { data[x * width + y] } else { data[y * width + x] }
    };
    GrayPicture { width: w, height: h, data: (0..w * h).map(from).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_turn_in_eight_ways() {
        let photo = GrayPicture { width: 3, height: 2, data: vec![1, 2, 3, 4, 5, 6] };
        let data = |turn| turned(photo.clone(), turn).data;
        assert_eq!(data(0), [1, 2, 3, 4, 5, 6]);
        assert_eq!(data(1), [3, 2, 1, 6, 5, 4]);
        assert_eq!(data(2), [4, 5, 6, 1, 2, 3]);
        assert_eq!(data(4), [1, 4, 2, 5, 3, 6]);
        assert_eq!(turned(photo.clone(), 5).width, 2);
        let mut all: Vec<_> = (0..TURNS).map(data).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), TURNS);
    }
}
