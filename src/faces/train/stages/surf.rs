//! Logistic regressions on SURF patches. Flows in: windows. Flows out: weak learners of an SCD cascade.
//!
//! Li and Zhang, "Learning SURF Cascade for Fast and Accurate Object Detection" (CVPR 2013): of all candidates
//! the one is taken that, added to the stage so far, gives the largest area under the ROC curve. The patches
//! are those of ccv's training, its features' four signed and four absolute gradients too.

use super::stage::{Family, Scores, Stage};
use super::windows::{Frame, Windows};
use super::{StageOptions, Staged};
use crate::error::{Error, Result};
use crate::faces::scd::{self, Weak};
use crate::faces::train::boost;
use crate::image::Size;
use crate::rng::Rng;
use likenet_kernels::cpu::surf::{
    CHANNELS, Corners, NUMBERS, Planes, integral_fast, integral_len, patch,
};
use likenet_kernels::cpu::table::{self, Kernels};
use rayon::prelude::*;

/// Pixels along a window.
const SIDE: usize = 40;
/// Least side of a patch, and its steps in place and size.
const LEAST: usize = 8;
const STEP: usize = 4;
/// Candidates whose numbers are in memory together.
const TOGETHER: usize = 32;
/// Part of the weight that windows must make up together: the lightest are left out of a fit.
const HEAVY: f32 = 0.98;

/// The cells of a patch, as a weak learner has them.
type Cells = [[u16; 4]; 4];

/// The family of SURF patches.
pub struct Surf {
    pool: Vec<Cells>,
    candidates: usize,
    kernels: &'static Kernels,
}

impl Surf {
    /// All patches of the window. Fails where the instruction set is not to be had.
    pub fn new(options: &StageOptions) -> Result<Self> {
        let kernels = table::best().map_err(Error::Invalid)?;
        Ok(Self { pool: pool(SIDE), candidates: options.candidates, kernels })
    }

    /// The numbers of each patch in each of some windows: windows, each with all patches.
    fn numbers(&self, windows: &[&[u8]], patches: &[Cells]) -> Vec<[f32; NUMBERS]> {
        let width = Self::FRAME.width();
        let corners: Vec<Corners> = patches
            .iter()
            .map(|cells| Corners::new(cells.map(|c| c.map(usize::from)), width))
            .collect();
        let first = Self::FRAME.margin * (width + 2) * CHANNELS;
        let all = windows.par_iter().map_init(
            || vec![0; integral_len(width, width)],
            |sums, window| {
                let planes = [window.to_vec()];
                let picture = Planes { width, height: width, planes: &planes };
                integral_fast(self.kernels, picture, 0..width, sums);
                corners.iter().map(|corners| patch(sums, first, corners)).collect::<Vec<_>>()
            },
        );
        all.collect::<Vec<_>>().concat()
    }
}

impl Family for Surf {
    type Weak = Weak;
    type Set = Windows;
    /// The gradient of a blurred pixel reads two pixels ahead.
    const FRAME: Frame = Frame { side: SIDE, margin: 2 };

    fn prepare(&self, windows: &Windows) -> Windows {
        windows.clone()
    }

    fn learn(&self, set: &Windows, scores: &Scores, rng: &mut Rng) -> Weak {
        let windows: Vec<&[u8]> = set.iter().collect();
        let weights = scores.weights();
        let heavy = boost::trim(&weights, HEAVY);
        let mut best: Option<(f64, Weak)> = None;
        let drawn = boost::draw(rng, self.pool.len(), self.candidates);
        for drawn in drawn.chunks(TOGETHER) {
            let patches: Vec<Cells> = drawn.iter().map(|&i| self.pool[i]).collect();
            let numbers = self.numbers(&windows, &patches);
            let fit = |c: usize| {
                let of = |i: usize| &numbers[i * patches.len() + c];
                let (bias, slopes) = regression(&heavy, &weights, of);
                let weak = Weak { cells: patches[c], bias, weights: slopes };
                let answers: Vec<f32> = (0..windows.len()).map(|i| answer(&weak, of(i))).collect();
                (scores.area_with(&answers), weak)
            };
            let fitted: Vec<(f64, Weak)> = (0..patches.len()).into_par_iter().map(fit).collect();
            for found in fitted {
                if best.as_ref().is_none_or(|best| found.0 > best.0) {
                    best = Some(found);
                }
            }
        }
        best.expect("a candidate").1
    }

    fn answers(&self, weak: &Weak, set: &Windows) -> Vec<f32> {
        let windows: Vec<&[u8]> = set.iter().collect();
        let numbers = self.numbers(&windows, &[weak.cells]);
        numbers.iter().map(|numbers| answer(weak, numbers)).collect()
    }

    fn cascade(&self, stages: &[Stage<Weak>]) -> Staged {
        let stage = |s: &Stage<Weak>| scd::Stage { threshold: s.threshold, weak: s.weak.clone() };
        let stages = stages.iter().map(stage).collect();
        Staged::Scd(scd::Cascade { size: Size::square(SIDE), margins: [0; 4], stages })
    }
}

/// All patches of a window, of 2 x 2 cells, of four side by side, of four one below another.
fn pool(side: usize) -> Vec<Cells> {
    let sizes = || (LEAST..=side).step_by(STEP);
    let mut pool = Vec::new();
    for w in sizes() {
        let row = |x, y| [0, 1, 2, 3].map(|i| [x + i * w / 4, y, x + (i + 1) * w / 4, y + w / 4]);
        place(side, [w, w / 4], row, &mut pool);
        let column = |x, y| row(y, x).map(|[t, l, b, r]| [l, t, r, b]);
        place(side, [w / 4, w], column, &mut pool);
        for h in sizes() {
            let near =
                [[1, 1], [1, 2], [2, 1], [2, 3], [3, 2]].iter().any(|a| w * a[1] == h * a[0]);
            let (w, h) = (w / 2, h / 2);
            let square = |x, y| {
                [[0, 0], [0, 1], [1, 0], [1, 1]]
                    .map(|[i, j]| [x + i * w, y + j * h, x + (i + 1) * w, y + (j + 1) * h])
            };
            if near {
                place(side, [2 * w, 2 * h], square, &mut pool);
            }
        }
    }
    pool
}

/// Adds a patch at all its places.
fn place(
    side: usize,
    [w, h]: [usize; 2],
    cells: impl Fn(usize, usize) -> [[usize; 4]; 4],
    pool: &mut Vec<Cells>,
) {
    for y in (0..=side - h).step_by(STEP) {
        let row = (0..=side - w).step_by(STEP).map(|x| cells(x, y).map(|c| c.map(|v| v as u16)));
        pool.extend(row);
    }
}

fn answer(weak: &Weak, numbers: &[f32; NUMBERS]) -> f32 {
    let dot: f32 = weak.weights.iter().zip(numbers).map(|(w, n)| w * n).sum();
    ((weak.bias + dot) / 2.0).tanh()
}

/// Numbers of a patch and a 1 for the bias.
const TERMS: usize = NUMBERS + 1;
/// Steps of the regression.
const STEPS: usize = 10;
/// Factor on half the sum of the squared weights, which is added to the loss.
const RIDGE: f64 = 5e-4;

/// Logistic regression of windows with signed weights, by Böhning's and Lindsay's steps (1988): the Hessian
/// never exceeds ¼ Σ |w| x xᵀ, so that this is factored once, and no step goes too far.
fn regression<'a>(
    windows: &[u32],
    signed: &[f32],
    of: impl Fn(usize) -> &'a [f32; NUMBERS],
) -> (f32, [f32; NUMBERS]) {
    let terms = |i: u32| {
        let mut x = [1.0; TERMS];
        x[..NUMBERS].copy_from_slice(of(i as usize));
        x
    };
    let mut bound = [[0f32; TERMS]; TERMS];
    for &i in windows {
        let (x, w) = (terms(i), signed[i as usize].abs() / 4.0);
        for (row, a) in bound.iter_mut().zip(x) {
            row.iter_mut().zip(x).for_each(|(sum, b)| *sum += w * a * b);
        }
    }
    let mut factor = bound.map(|row| row.map(f64::from));
    (0..TERMS).for_each(|i| factor[i][i] += RIDGE);
    cholesky(&mut factor);
    let mut solution = [0f64; TERMS];
    for _ in 0..STEPS {
        let now = solution.map(|v| v as f32);
        let mut gradient = [0f32; TERMS];
        for &i in windows {
            let (x, w) = (terms(i), signed[i as usize]);
            let margin: f32 = x.iter().zip(&now).map(|(a, b)| a * b).sum();
            // |w| · (y − p), y = 1 or 0.
            let pull = w / (1.0 + (w.signum() * margin).exp());
            gradient.iter_mut().zip(x).for_each(|(sum, a)| *sum += pull * a);
        }
        let mut step = gradient.map(f64::from);
        step.iter_mut().zip(&solution).for_each(|(g, v)| *g -= RIDGE * v);
        solve(&factor, &mut step);
        solution.iter_mut().zip(step).for_each(|(v, s)| *v += s);
    }
    let slopes = std::array::from_fn(|i| solution[i] as f32);
    (solution[NUMBERS] as f32, slopes)
}

/// A positive definite matrix to the lower triangle whose product with its transpose it is.
fn cholesky(m: &mut [[f64; TERMS]; TERMS]) {
    for i in 0..TERMS {
        for j in 0..=i {
            let rest = m[i][j] - (0..j).map(|k| m[i][k] * m[j][k]).sum::<f64>();
            m[i][j] = if i == j { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / m[j][j] };
        }
    }
}

/// Solves for a right side, by the lower triangle and then by its transpose.
fn solve(factor: &[[f64; TERMS]; TERMS], b: &mut [f64; TERMS]) {
    for i in 0..TERMS {
        let known: f64 = (0..i).map(|k| factor[i][k] * b[k]).sum();
        b[i] = (b[i] - known) / factor[i][i];
    }
    for i in (0..TERMS).rev() {
        let known: f64 = (i + 1..TERMS).map(|k| factor[k][i] * b[k]).sum();
        b[i] = (b[i] - known) / factor[i][i];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_is_ccvs() {
        // 746 rows, 746 columns and 1,408 squares in ccv's window.
        assert_eq!(pool(48).len(), 2900);
        assert!(pool(SIDE).iter().flatten().all(|&[l, t, r, b]| l < r && t < b && r.max(b) <= 40));
    }

    #[test]
    fn a_regression_finds_its_root() {
        // One number: 1 for an object in 3 of 4, −1 in 1 of 4: p = σ(v) with e^v = 3, but for the ridge.
        let mut numbers = [[0f32; NUMBERS]; 4];
        numbers.iter_mut().zip([1.0, 1.0, 1.0, -1.0]).for_each(|(n, v)| n[5] = v);
        let mut others = numbers;
        others.iter_mut().for_each(|n| n[5] = -n[5]);
        let all = [numbers, others].concat();
        let signed = [[0.125; 4], [-0.125; 4]].concat();
        let windows: Vec<u32> = (0..8).collect();
        let (bias, slopes) = regression(&windows, &signed, |i| &all[i]);
        assert!(bias.abs() < 1e-5);
        assert!((slopes[5] - 3f32.ln()).abs() < 0.02, "{}", slopes[5]);
        assert!(slopes.iter().enumerate().all(|(i, v)| i == 5 || *v == 0.0));
    }
}
