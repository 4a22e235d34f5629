//! Convolution spread over threads.

use super::with_own;
use likenet_kernels::cpu::conv::Pictures;
use likenet_kernels::cpu::filters::Filters;
use likenet_kernels::cpu::gemm::Workspace;
use likenet_kernels::ops::ConvDims;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Mutex;

/// The operands of a convolution as slices.
pub struct Task<'a> {
    pub d: &'a ConvDims,
    pub x: &'a [f32],
    pub filters: &'a Filters,
    pub bias: Option<&'a [f32]>,
    pub relu: Option<f32>,
}

/// What one thread computes at a time.
struct Part {
    pictures: Range<usize>,
    group: usize,
    /// Within the group.
    filters: Range<usize>,
}

impl Task<'_> {
    /// Computes all pictures, inside a pool of as many threads as there are workspaces.
    ///
    /// Each thread takes as many neighbouring pictures as the others, so that it reads the filters once
    /// for all; the threads share the filters of the pictures that are left over.
    pub fn run(&self, work: &[Mutex<Workspace>], y: &mut [f32]) {
        let (d, threads) = (self.d, work.len());
        let (batch, group_filters) = (y.len() / d.output_len(), d.filters / d.group);
        let each = batch / threads;
        let (even, rest) = y.split_at_mut(each * threads * d.output_len());
        if each > 0 {
            even.par_chunks_exact_mut(each * d.output_len()).enumerate().for_each(|(t, y)| {
                for group in 0..d.group {
                    let y = &mut y[group * group_filters * d.positions()..];
                    let pictures = t * each..(t + 1) * each;
                    let part = Part { pictures, group, filters: 0..group_filters };
                    with_own(work, |own| self.part(own, part, y));
                }
            });
        }
        let groups = rest.len() / d.output_len() * d.group;
        if groups > 0 {
            let share = self.filters.share(threads.div_ceil(groups));
            let rest = rest.par_chunks_exact_mut(group_filters * d.positions());
            rest.enumerate().for_each(|(i, y)| {
                let picture = each * threads + i / d.group;
                y.par_chunks_mut(share * d.positions()).enumerate().for_each(|(s, y)| {
                    let filters = s * share..s * share + y.len() / d.positions();
                    let pictures = picture..picture + 1;
                    let part = Part { pictures, group: i % d.group, filters };
                    with_own(work, |own| self.part(own, part, y));
                });
            });
        }
    }

    /// `y` begins at the first plane of the part.
    fn part(&self, own: &mut Workspace, part: Part, y: &mut [f32]) {
        let Part { pictures, group, filters } = part;
        let (d, relu) = (self.d, self.relu);
        let planes = d.input_len() / d.group;
        let first = group * (d.filters / d.group) + filters.start;
        let bias = self.bias.map(|b| &b[first..]);
        let x = &self.x[pictures.start * d.input_len() + group * planes..];
        let count = pictures.len();
        let io = Pictures { count, x, group, filters, bias, relu, y };
        self.filters.convolve(own, d, io);
    }
}
