//! Fully connected layers spread over threads.

use super::super::InnerDims;
use super::with_own;
use likenet_kernels::cpu::elementwise;
use likenet_kernels::cpu::gemm::{self, Left, Matrix, Sizes, Start, Target, Workspace};
use likenet_kernels::cpu::gemv;
use likenet_kernels::cpu::panels::{PackedColumns, PackedRows};
use likenet_kernels::ops::Unary;
use rayon::prelude::*;
use std::sync::Mutex;

/// The operands of a fully connected layer as slices.
pub struct Task<'a> {
    pub d: &'a InnerDims,
    pub x: &'a [f32],
    pub weights: &'a PackedColumns,
    pub bias: Option<&'a [f32]>,
    pub relu: Option<f32>,
}

impl Task<'_> {
    /// Computes all rows, inside a pool of as many threads as there are workspaces. Each thread takes as
    /// many neighbouring outputs as the others, so that every weight is read once.
    pub fn run(&self, work: &[Mutex<Workspace>], y: &mut [f32]) {
        let InnerDims { rows, outputs, .. } = *self.d;
        let share = self.weights.share(work.len());
        match rows {
            0 => {}
            1 => y.par_chunks_mut(share).enumerate().for_each(|(t, y)| {
                with_own(work, |own| self.vector(own, t * share, y));
            }),
            _ => {
                let kernels = with_own(work, |own| own.kernels);
                let x = Matrix::rows(self.x, self.d.inputs);
                let x = &PackedRows::new(kernels, rows, self.d.inputs, x);
                let parts = (0..outputs).step_by(share).collect::<Vec<_>>().into_par_iter();
                let parts: Vec<Vec<f32>> = parts
                    .map(|first| with_own(work, |own| self.matrix(own, x, first, share)))
                    .collect();
                for (t, part) in parts.iter().enumerate() {
                    let width = share.min(outputs - t * share);
                    for (part, y) in part.chunks_exact(width).zip(y.chunks_exact_mut(outputs)) {
                        y[t * share..][..width].copy_from_slice(part);
                    }
                }
            }
        }
    }

    /// Outputs from `first` on, of the only row.
    fn vector(&self, own: &mut Workspace, first: usize, y: &mut [f32]) {
        match self.bias {
            Some(bias) => y.copy_from_slice(&bias[first..][..y.len()]),
            None => y.fill(0.0),
        }
        gemv::fast(own.kernels, self.x, self.weights.from(first), y);
        if let Some(slope) = self.relu {
            elementwise::unary(&Unary::Relu { slope }, y);
        }
    }

    /// At most `share` outputs from `first` on, of all rows.
    fn matrix(&self, own: &mut Workspace, x: &PackedRows, first: usize, share: usize) -> Vec<f32> {
        let n = share.min(self.d.outputs - first);
        let mut y = match self.bias {
            Some(bias) => bias[first..][..n].repeat(self.d.rows),
            None => vec![0.0; n * self.d.rows],
        };
        let s = Sizes { m: self.d.rows, n, k: self.d.inputs };
        let c = Target { data: &mut y, row: n, start: Start::C, relu: self.relu };
        gemm::fast(own, s, Left::Packed(x, 0), &self.weights.from(first), c);
        y
    }
}
