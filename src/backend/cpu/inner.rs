//! Fully connected layers spread over threads.

use super::with_own;
use likenet_kernels::cpu::gemm::Workspace;
use likenet_kernels::cpu::inner::Weights;
use likenet_kernels::ops::InnerDims;
use rayon::prelude::*;
use std::sync::Mutex;

/// The operands of a fully connected layer as slices.
pub struct Task<'a> {
    pub d: &'a InnerDims,
    pub x: &'a [f32],
    pub weights: &'a Weights,
    pub bias: Option<&'a [f32]>,
    pub relu: Option<f32>,
}

impl Task<'_> {
    /// Computes all rows, inside a pool of as many threads as there are workspaces. Each thread takes as
    /// many neighbouring outputs as the others, so that every weight is read once.
    pub fn run(&self, work: &[Mutex<Workspace>], y: &mut [f32]) {
        let InnerDims { rows, outputs, .. } = *self.d;
        let kernels = with_own(work, |own| own.kernels);
        let x = self.weights.pack(kernels, self.d, self.x);
        let share = self.weights.share(work.len());
        let part = |first: usize, y: &mut [f32]| {
            let range = first..outputs.min(first + share);
            with_own(work, |own| self.weights.product(own, &x, range, self.bias, self.relu, y));
        };
        if rows == 1 {
            let parts = y.par_chunks_mut(share).enumerate();
            parts.for_each(|(t, y)| part(t * share, y));
            return;
        }
        let firsts: Vec<usize> = (0..outputs).step_by(share).collect();
        let parts = firsts.into_par_iter().map(|first| {
            let mut part_of_rows = vec![0.0; rows * share.min(outputs - first)];
            part(first, &mut part_of_rows);
            (first, part_of_rows)
        });
        for (first, part) in parts.collect::<Vec<_>>() {
            let width = share.min(outputs - first);
            for (part, y) in part.chunks_exact(width).zip(y.chunks_exact_mut(outputs)) {
                y[first..][..width].copy_from_slice(part);
            }
        }
    }
}
