//! Fully connected layers spread over threads.

use super::team::Team;
use likenet_kernels::cpu::gemm::{self, Matrix, Sizes, Start, Target, Workspace};
use likenet_kernels::cpu::inner::Weights;
use likenet_kernels::cpu::table::Kernels;
use likenet_kernels::ops::{Algorithm, InnerDims};
use std::ops::Range;

/// The operands of a fully connected layer as slices.
pub struct Task<'a> {
    pub d: &'a InnerDims,
    pub x: &'a [f32],
    pub weights: &'a Weights,
    pub bias: Option<&'a [f32]>,
    pub relu: Option<f32>,
}

impl Task<'_> {
    /// Computes all rows. Each thread takes as many neighbouring outputs as the others, so that every weight
    /// is read once.
    pub fn run(&self, team: &Team, kernels: &Kernels, y: &mut [f32]) {
        let InnerDims { rows, outputs, .. } = *self.d;
        let Self { weights, bias, relu, .. } = *self;
        let x = weights.pack(kernels, self.d, self.x);
        let share = weights.share(team.threads());
        if rows == 1 || share >= outputs {
            team.each(y.chunks_mut(share * rows).enumerate(), |own, (t, y)| {
                let range = t * share..outputs.min((t + 1) * share);
                weights.product(own, &x, range, bias, relu, y);
            });
            return;
        }
        columns(team, rows, share, y, |own, range, y| {
            weights.product(own, &x, range, bias, relu, y);
        });
    }
}

/// What is done to the sums of a product.
pub struct Finish<'a> {
    pub bias: Option<&'a [f32]>,
    pub relu: Option<f32>,
}

/// All rows of a layer whose weights are laid out on the way.
pub fn once(
    team: &Team,
    d: &InnerDims,
    how: Algorithm,
    [x, weights]: [&[f32]; 2],
    finish: Finish,
    y: &mut [f32],
) {
    let InnerDims { rows, inputs, outputs, .. } = *d;
    columns(team, rows, outputs.div_ceil(team.threads()), y, |own, j, y| {
        match finish.bias {
            Some(bias) => {
                y.chunks_exact_mut(j.len()).for_each(|y| y.copy_from_slice(&bias[j.clone()]))
            }
            None => y.fill(0.0),
        }
        let weights = match d.transpose {
            false => Matrix::transposed(&weights[j.start * inputs..], inputs),
            true => Matrix::rows(&weights[j.start..], outputs),
        };
        let s = Sizes { m: rows, n: j.len(), k: inputs };
        let c = Target { data: y, row: j.len(), start: Start::C, relu: finish.relu };
        gemm::once(own, how, s, Matrix::rows(x, inputs), weights, c);
    });
}

/// Gradients of the inputs of all rows, from those of the outputs.
pub fn input_back(
    team: &Team,
    d: &InnerDims,
    how: Algorithm,
    [dy, weights]: [&[f32]; 2],
    dx: &mut [f32],
) {
    let InnerDims { rows, inputs, outputs, .. } = *d;
    columns(team, rows, inputs.div_ceil(team.threads()), dx, |own, j, dx| {
        let weights = match d.transpose {
            false => Matrix::rows(&weights[j.start..], inputs),
            true => Matrix::transposed(&weights[j.start * outputs..], outputs),
        };
        let s = Sizes { m: rows, n: j.len(), k: outputs };
        let c = Target { data: dx, row: j.len(), start: Start::Zero, relu: None };
        gemm::once(own, how, s, Matrix::rows(dy, outputs), weights, c);
    });
}

/// Gradients of the weights, which replace what `dw` holds, or are added to it.
pub fn weights_back(
    team: &Team,
    d: &InnerDims,
    how: Algorithm,
    io: [&[f32]; 2],
    add: bool,
    dw: &mut [f32],
) {
    let (s, left, right) = gemm::gradient(d, io);
    let share = s.m.div_ceil(team.threads());
    let start = if add { Start::C } else { Start::Zero };
    team.each(dw.chunks_mut(share * s.n).enumerate(), |own, (i, dw)| {
        let left = Matrix { data: &left.data[i * share * left.row..], ..left };
        let s = Sizes { m: dw.len() / s.n, ..s };
        let c = Target { data: dw, row: s.n, start, relu: None };
        gemm::once(own, how, s, left, right, c);
    });
}

/// Computes a matrix of so many rows, `share` neighbouring columns at a time, each in one piece.
fn columns(
    team: &Team,
    rows: usize,
    share: usize,
    y: &mut [f32],
    f: impl Fn(&mut Workspace, Range<usize>, &mut [f32]) + Sync,
) {
    let width = y.len() / rows;
    if share >= width {
        return team.each(std::iter::once(y), |own, y| f(own, 0..width, y));
    }
    let parts = team.map((0..width).step_by(share), |own, first| {
        let j = first..width.min(first + share);
        let mut part = vec![0.0; rows * j.len()];
        f(own, j.clone(), &mut part);
        (j, part)
    });
    for (j, part) in parts {
        for (part, y) in part.chunks_exact(j.len()).zip(y.chunks_exact_mut(width)) {
            y[j.clone()].copy_from_slice(part);
        }
    }
}
