//! Launches `lrn.cu`.

use super::arguments::{as_it_is, launch};
use super::device::{Device, Span};
use crate::ops::LrnParams;

/// `struct Lrn` of the kernels.
#[derive(Clone, Copy)]
#[repr(C)]
struct Lrn {
    size: i32,
    alpha: f32,
    beta: f32,
    k: f32,
}

as_it_is!(Lrn);

impl Lrn {
    fn new(p: &LrnParams) -> Self {
        Self { size: p.size as i32, alpha: p.alpha, beta: p.beta, k: p.k }
    }
}

/// See the functions of the same names in [`crate::cpu::lrn`].
impl Device {
    /// Local response normalisation across `channels` planes of `plane` elements.
    pub fn lrn_across(&self, p: &LrnParams, channels: usize, plane: usize, x: Span, y: Span) {
        assert!(x.len == y.len && x.len.is_multiple_of(channels * plane));
        let l = self.each("lrn", "lrn_across", y.len);
        launch!(self, l; Lrn::new(p), channels as i32, plane, y.len, x, y);
    }

    /// Gradient of [`Device::lrn_across`].
    pub fn lrn_across_back(
        &self,
        p: &LrnParams,
        channels: usize,
        plane: usize,
        [x, y, dy, dx]: [Span; 4],
    ) {
        let n = dx.len;
        assert!([x, y, dy].iter().all(|s| s.len == n) && n.is_multiple_of(channels * plane));
        let (ratio, c) = (self.scratch(n), channels as i32);
        let l = self.each("lrn", "lrn_ratios", n);
        launch!(self, l; Lrn::new(p), c, plane, n, x, y, dy, ratio);
        let l = self.each("lrn", "lrn_across_back", n);
        launch!(self, l; Lrn::new(p), c, plane, n, x, ratio, dy, dx);
    }

    /// Local response normalisation within planes of the given height and width.
    pub fn lrn_within(&self, p: &LrnParams, input: [usize; 2], x: Span, y: Span) {
        assert!(x.len == y.len && x.len.is_multiple_of(input[0] * input[1]));
        let [h, w] = input.map(|n| n as i32);
        let l = self.each("lrn", "lrn_within", y.len);
        launch!(self, l; Lrn::new(p), h, w, y.len, x, y);
    }

    /// Gradient of [`Device::lrn_within`].
    pub fn lrn_within_back(&self, p: &LrnParams, input: [usize; 2], [x, y, dy, dx]: [Span; 4]) {
        let n = dx.len;
        assert!([x, y, dy].iter().all(|s| s.len == n) && n.is_multiple_of(input[0] * input[1]));
        let [h, w] = input.map(|n| n as i32);
        let scratch = self.scratch(2 * n);
        let (ratio, scales) = (scratch.part(0, n), scratch.part(n, n));
        let l = self.each("lrn", "lrn_within_ratios", n);
        launch!(self, l; Lrn::new(p), h, w, n, x, y, dy, ratio, scales);
        let l = self.each("lrn", "lrn_within_back", n);
        launch!(self, l; Lrn::new(p), h, w, n, x, ratio, scales, dy, dx);
    }
}
