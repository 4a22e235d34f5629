//! Convolution spread over threads.

use super::team::Team;
use likenet_kernels::cpu::conv::{self, Pictures};
use likenet_kernels::cpu::elementwise::axpby;
use likenet_kernels::cpu::filters::Filters;
use likenet_kernels::cpu::gemm::Workspace;
use likenet_kernels::cpu::planes::Planes;
use likenet_kernels::ops::{Algorithm, ConvDims};
use std::ops::Range;

/// The operands of a convolution as slices.
pub struct Task<'a> {
    pub d: &'a ConvDims,
    pub x: &'a [f32],
    pub filters: &'a Filters,
    pub bias: Option<&'a [f32]>,
    pub relu: Option<f32>,
    /// From one output picture to the next.
    pub pitch: usize,
}

/// What one thread computes at a time.
struct Part<'a> {
    pictures: Range<usize>,
    group: usize,
    /// Within the group.
    filters: Range<usize>,
    /// From the first plane of the part on.
    y: Planes<'a>,
}

impl Task<'_> {
    /// Computes all pictures of `y`, which begins at the first and ends with the last.
    ///
    /// Each thread takes as many neighbouring pictures as the others, so that it reads the filters once
    /// for all; the threads share the positions or the filters of the pictures that are left over.
    pub fn run(&self, team: &Team, y: &mut [f32]) {
        let (d, threads) = (self.d, team.threads());
        let (batch, plane) = (self.x.len() / d.input_len(), d.positions());
        let filters = d.filters / d.group;
        let each = batch / threads;
        let even = (each * threads * self.pitch).min(y.len());
        let (even, rest) = y.split_at_mut(even);
        if each > 0 {
            team.each(even.chunks_mut(each * self.pitch).enumerate(), |own, (t, y)| {
                for group in 0..d.group {
                    let y = Planes::new(&mut y[group * filters * plane..], plane, self.pitch);
                    let pictures = t * each..(t + 1) * each;
                    self.part(own, Part { pictures, group, filters: 0..filters, y });
                }
            });
        }
        if rest.is_empty() {
            return;
        }
        let left = batch - each * threads;
        let wanted = threads.div_ceil(left * d.group);
        let stretch = self.filters.stretch(d, wanted);
        let share = stretch.map_or_else(|| self.filters.share(wanted), |_| filters);
        let mut parts = vec![];
        for (i, y) in rest.chunks_mut(self.pitch).enumerate() {
            let picture = each * threads + i;
            let groups = y[..d.output_len()].chunks_exact_mut(filters * plane);
            for (group, y) in groups.enumerate() {
                for (s, y) in y.chunks_mut(share * plane).enumerate() {
                    let filters = s * share..s * share + y.len() / plane;
                    let y = Planes::new(y, plane, self.pitch);
                    parts.extend(y.cut(stretch.unwrap_or(plane)).map(|y| {
                        let filters = filters.clone();
                        Part { pictures: picture..picture + 1, group, filters, y }
                    }));
                }
            }
        }
        team.each(parts.into_iter(), |own, part| self.part(own, part));
    }

    fn part(&self, own: &mut Workspace, part: Part) {
        let Part { pictures, group, filters, y } = part;
        let d = self.d;
        let first = group * (d.filters / d.group) + filters.start;
        let io = Pictures {
            count: pictures.len(),
            x: &self.x[pictures.start * d.input_len() + group * (d.input_len() / d.group)..],
            group,
            filters,
            bias: self.bias.map(|b| &b[first..]),
            relu: self.relu,
            y,
        };
        self.filters.convolve(own, d, io);
    }
}

/// Adds the weight gradients of all pictures to `dw`. Each thread sums those of as many neighbouring pictures
/// as the others, and the sums are added in order: so many threads always give the same bits.
pub fn weights_back(
    team: &Team,
    d: &ConvDims,
    how: Algorithm,
    [x, dy]: [&[f32]; 2],
    dw: &mut [f32],
) {
    let share = (x.len() / d.input_len()).div_ceil(team.threads()).max(1);
    let parts = x.chunks(share * d.input_len()).zip(dy.chunks(share * d.output_len()));
    let sums = team.map(parts, |own, (x, dy)| {
        let mut sums = vec![0.0; dw.len()];
        conv::weights_back(own, how, d, [x, dy], &mut sums);
        sums
    });
    sums.iter().for_each(|sums| axpby(1.0, sums, 1.0, dw));
}
