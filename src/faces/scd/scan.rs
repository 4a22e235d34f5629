//! Windows over a picture of one size, stage by stage.
//!
//! Flows in: the planes of a level. Flows out: the windows that pass all stages, as [`Hit`]s in pixels of
//! the original picture.

use super::pyramid::Octave;
use super::{Cascade, Hit};
use likenet_kernels::cpu::surf::{self, CHANNELS, Corners, Learner, Planes};
use likenet_kernels::cpu::table::Kernels;
use rayon::prelude::*;

/// Rows of windows that share an integral image: more of them build fewer rows twice, fewer take less memory.
const BAND: usize = 64;

/// Hits in one level, from the top, `step` pixels apart; `scale` turns its pixels into the picture's.
///
/// The last position along each axis is left out, as in ccv.
pub(super) fn level(
    kernels: &Kernels,
    cascade: &Cascade,
    planes: &Octave,
    step: u32,
    scale: f64,
) -> Vec<Hit> {
    let step = step as usize;
    let stages = prepare(cascade, planes.width);
    let rows: Vec<usize> = (0..planes.height - cascade.size.height).step_by(step).collect();
    let columns: Vec<usize> = (0..planes.width - cascade.size.width).step_by(step).collect();
    let picture = Planes { width: planes.width, height: planes.height, planes: &planes.planes };
    let band = |rows: &[usize]| {
        let covered = rows[0]..rows[rows.len() - 1] + cascade.size.height;
        let mut sums = vec![0; surf::integral_len(planes.width, covered.len())];
        surf::integral_fast(kernels, picture, covered, &mut sums);
        let mut hits = Vec::new();
        for y in rows {
            let first = (y - rows[0]) * (planes.width + 1);
            for (x, mean) in passing(kernels, &stages, &sums, &columns, first) {
                let confidence = mean + (cascade.stages.len() - 1) as f32;
                hits.push(Hit {
                    rect: rectangle(cascade, x, *y, scale),
                    confidence,
                    neighbours: 1,
                });
            }
        }
        hits
    };
    rows.par_chunks(BAND).map(band).collect::<Vec<_>>().concat()
}

/// A stage, its patches placed in the integral image of one level.
struct Prepared {
    threshold: f32,
    learners: Vec<Learner>,
}

fn prepare(cascade: &Cascade, width: usize) -> Vec<Prepared> {
    let stages = cascade.stages.iter().map(|stage| Prepared {
        threshold: stage.threshold,
        learners: stage
            .weak
            .iter()
            .map(|weak| Learner {
                corners: Corners::new(weak.cells.map(|cell| cell.map(usize::from)), width),
                bias: weak.bias,
                weights: weak.weights,
            })
            .collect(),
    });
    stages.collect()
}

/// Columns of a row of windows that pass all stages, with the mean answer of the last one. The row's first
/// window begins at value `first` of the integral image.
fn passing(
    kernels: &Kernels,
    stages: &[Prepared],
    sums: &[i32],
    columns: &[usize],
    first: usize,
) -> Vec<(usize, f32)> {
    let mut alive: Vec<(usize, f32)> = columns.iter().map(|&x| (x, 0.0)).collect();
    for stage in stages {
        let at: Vec<usize> = alive.iter().map(|(x, _)| (first + x) * CHANNELS).collect();
        let mut totals = vec![0.0; at.len()];
        surf::add_answers_fast(kernels, sums, &at, &stage.learners, &mut totals);
        alive.iter_mut().zip(totals).for_each(|(window, total)| window.1 = total);
        alive.retain(|(_, total)| *total > stage.threshold);
        if alive.is_empty() {
            break;
        }
    }
    let last = stages.last().map_or(1, |stage| stage.learners.len());
    alive.into_iter().map(|(x, total)| (x, total / last as f32)).collect()
}

/// A window's place in the picture, cut to integers.
fn rectangle(cascade: &Cascade, x: usize, y: usize, scale: f64) -> [i32; 4] {
    let place = |v: usize| ((v as f64 + 0.5) * scale - 0.5) as i32;
    let length = |v: usize| (v as f64 * scale) as i32;
    [place(x), place(y), length(cascade.size.width), length(cascade.size.height)]
}
