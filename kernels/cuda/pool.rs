//! Launches `pool.cu`.

use super::arguments::{as_it_is, launch};
use super::device::{Device, Span};
use crate::ops::PoolDims;

/// `struct Pool` of the kernels.
#[derive(Clone, Copy)]
#[repr(C)]
struct Pool([i32; 10]);

as_it_is!(Pool);

impl Pool {
    fn new(d: &PoolDims) -> Self {
        let ([h, w], [out_h, out_w], window) = (d.input, d.output, &d.window);
        let ([kernel_h, kernel_w], [stride_h, stride_w]) = (window.kernel, window.stride);
        let [pad_h, pad_w] = window.pad;
        let all = [h, w, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w];
        Self(all.map(|n| n as i32))
    }
}

/// See the functions of the same names in [`crate::cpu::pool`].
impl Device {
    fn pool(&self, kernel: &'static str, d: &PoolDims, x: Span, y: Span) {
        check(d, x, y);
        launch!(self, self.each("pool", kernel, y.len); Pool::new(d), y.len, x, y);
    }

    /// Maximum of windows.
    pub fn max_pool(&self, d: &PoolDims, x: Span, y: Span) {
        self.pool("max_pool", d, x, y);
    }

    /// Index of the maximum of windows.
    pub fn max_pool_index(&self, d: &PoolDims, x: Span, y: Span) {
        self.pool("max_pool_index", d, x, y);
    }

    /// Mean of windows.
    pub fn ave_pool(&self, d: &PoolDims, x: Span, y: Span) {
        self.pool("ave_pool", d, x, y);
    }

    /// Gradient of MAX pooling.
    pub fn max_pool_back(&self, d: &PoolDims, x: Span, dy: Span, dx: Span) {
        assert_eq!(x.len, dx.len);
        let places = self.scratch(dy.len);
        self.pool("max_pool_places", d, x, places);
        let l = self.each("pool", "max_pool_back", dx.len);
        launch!(self, l; Pool::new(d), dx.len, places, dy, dx);
    }

    /// Gradient of AVE pooling.
    pub fn ave_pool_back(&self, d: &PoolDims, dy: Span, dx: Span) {
        check(d, dx, dy);
        let l = self.each("pool", "ave_pool_back", dx.len);
        launch!(self, l; Pool::new(d), dx.len, dy, dx);
    }
}

/// Inputs and outputs have as many planes.
fn check(d: &PoolDims, x: Span, y: Span) {
    let ([h, w], [out_h, out_w]) = (d.input, d.output);
    assert!(h * w <= i32::MAX as usize && out_h * out_w <= i32::MAX as usize);
    assert_eq!(x.len * out_h * out_w, y.len * h * w);
}
