//! Fully connected layers spread over threads.

use super::team::Team;
use likenet_kernels::cpu::inner::Weights;
use likenet_kernels::cpu::table::Kernels;
use likenet_kernels::ops::InnerDims;

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
        let parts = team.map((0..outputs).step_by(share), |own, first| {
            let range = first..outputs.min(first + share);
            let mut part = vec![0.0; rows * range.len()];
            weights.product(own, &x, range.clone(), bias, relu, &mut part);
            (range, part)
        });
        for (range, part) in parts {
            for (part, y) in part.chunks_exact(range.len()).zip(y.chunks_exact_mut(outputs)) {
                y[range.clone()].copy_from_slice(part);
            }
        }
    }
}
