//! Launches `softmax.cu`.

use super::arguments::launch;
use super::device::{Device, Launch, Span};
use crate::cpu::argmax::TopK;
use crate::ops::AxisView;

/// See the functions of the same names in [`crate::cpu::softmax`] and [`crate::cpu::argmax`].
impl Device {
    /// A block for each row, or a thread where many lie side by side.
    fn rows(&self, v: AxisView, [blocks, threads]: [&'static str; 2]) -> Launch<'static> {
        let rows = v.outer * v.inner;
        match v.inner >= 32 {
            true => self.each("softmax", threads, rows),
            false => self.block_each("softmax", blocks, rows),
        }
    }

    /// Softmax along the axis.
    pub fn softmax(&self, v: AxisView, x: Span, y: Span) {
        assert!(x.len >= v.outer * v.block() && y.len >= v.outer * v.block());
        launch!(self, self.rows(v, ["softmax", "softmax_columns"]); v, x, y);
    }

    /// Gradient of softmax, from its output.
    pub fn softmax_back(&self, v: AxisView, [y, dy, dx]: [Span; 3]) {
        assert!([y, dy, dx].iter().all(|s| s.len >= v.outer * v.block()));
        launch!(self, self.rows(v, ["softmax_back", "softmax_columns_back"]); v, y, dy, dx);
    }

    /// The largest elements along the axis.
    pub fn top_k(&self, v: AxisView, top: usize, what: TopK, x: Span, y: Span) {
        let (what, planes) = match what {
            TopK::Indices => (0u32, 1),
            TopK::Values => (1, 1),
            TopK::Both => (2, 2),
        };
        let rows = v.outer * v.inner;
        assert!(x.len >= v.outer * v.block() && y.len >= rows * planes * top);
        assert!(v.len < u32::MAX as usize);
        let l = self.block_each("softmax", "top_k", rows);
        launch!(self, l; v, top as u32, what, x, y);
    }
}
