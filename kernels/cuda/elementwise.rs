//! Launches `elementwise.cu`.

use super::arguments::{as_it_is, launch};
use super::device::{Device, Launch, Span};
use crate::ops::{AxisView, BlockCopy, Eltwise, Unary};

/// `struct Function` of the kernels.
#[derive(Clone, Copy)]
#[repr(C)]
struct Function {
    which: u32,
    a: f32,
    b: f32,
    c: f32,
}

/// `struct Blocks` of the kernels.
#[derive(Clone, Copy)]
#[repr(C)]
struct Blocks([u64; 6]);

as_it_is!(Function, Blocks);

/// The function's number, and its numbers. A power of one has a number of its own forward; backward, zero has it too.
fn function(op: &Unary, back: bool) -> Function {
    let (which, a, b, c) = match *op {
        Unary::Relu { slope: 0.0 } => (13, 0.0, 0.0, 0.0),
        Unary::Relu { slope } => (0, slope, 0.0, 0.0),
        Unary::Elu { alpha } => (1, alpha, 0.0, 0.0),
        Unary::Sigmoid => (2, 0.0, 0.0, 0.0),
        Unary::TanH => (3, 0.0, 0.0, 0.0),
        Unary::AbsVal => (4, 0.0, 0.0, 0.0),
        Unary::Power { power, scale, shift } => {
            let straight = power == 1.0 || (back && power == 0.0);
            (if straight { 5 } else { 6 }, power, shift, scale)
        }
        Unary::Exp { base, scale, shift } => (7, base.map_or(1.0, f32::ln), shift, scale),
        Unary::Log { base, scale, shift } => (8, base.map_or(1.0, |b| 1.0 / b.ln()), shift, scale),
        Unary::Bnll => (9, 0.0, 0.0, 0.0),
        Unary::Clip { low, high } => (10, low, high, 0.0),
        Unary::Swish { beta } => (11, beta, 0.0, 0.0),
        Unary::Threshold { threshold } => (12, threshold, 0.0, 0.0),
    };
    Function { which, a, b, c }
}

/// See the functions of the same names in [`crate::cpu::elementwise`].
impl Device {
    fn elements(&self, kernel: &'static str, n: usize) -> Launch<'static> {
        self.each("elementwise", kernel, n)
    }

    /// Every element becomes `value`.
    pub fn fill(&self, value: f32, y: Span) {
        launch!(self, self.elements("fill", y.len); value, y.len, y);
    }

    /// `y = a · x + b · y`.
    pub fn axpby(&self, a: f32, x: Span, b: f32, y: Span) {
        assert_eq!(x.len, y.len);
        launch!(self, self.elements("axpby", y.len); a, b, y.len, x, y);
    }

    /// `y = x / divisor₀`, or zeros when the divisor is zero.
    pub fn divide(&self, x: Span, divisor: Span, y: Span) {
        assert!(x.len == y.len && divisor.len >= 1);
        launch!(self, self.elements("divide", y.len); y.len, x, divisor, y);
    }

    /// Copies equally spaced blocks.
    pub fn copy_blocks(&self, c: &BlockCopy, x: Span, y: Span) {
        let last = |[first, step]: [usize; 2]| first + c.count.saturating_sub(1) * step + c.len;
        assert!(c.count == 0 || (last(c.from) <= x.len && last(c.to) <= y.len));
        let all = [c.count, c.len, c.from[0], c.from[1], c.to[0], c.to[1]];
        let blocks = Blocks(all.map(|n| n as u64));
        launch!(self, self.elements("copy_blocks", c.count * c.len); blocks, x, y);
    }

    /// A function of each element.
    pub fn unary(&self, op: &Unary, y: Span) {
        launch!(self, self.elements("unary", y.len); function(op, false), y.len, y);
    }

    /// `dx = dy · op′(x)`.
    pub fn unary_back(&self, op: &Unary, [x, y, dy]: [Span; 3], dx: Span) {
        assert!([x, y, dy].iter().all(|s| s.len == dx.len));
        let f = function(op, true);
        launch!(self, self.elements("unary_back", dx.len); f, dx.len, x, y, dy, dx);
    }

    /// ReLU's gradient in place, from its output.
    pub fn relu_back(&self, slope: f32, y: Span, d: Span) {
        assert_eq!(y.len, d.len);
        launch!(self, self.elements("relu_back", d.len); slope, d.len, y, d);
    }

    /// ReLU with a slope for each index of the axis.
    pub fn prelu(&self, v: AxisView, slope: Span, y: Span) {
        assert!(slope.len >= v.len && y.len <= v.outer * v.block());
        launch!(self, self.elements("prelu", y.len); v, y.len, slope, y);
    }

    /// Input gradient of PReLU.
    pub fn prelu_back(&self, v: AxisView, slope: Span, x: Span, dy: Span, dx: Span) {
        assert!(slope.len >= v.len && [x, dy].iter().all(|s| s.len == dx.len));
        launch!(self, self.elements("prelu_back", dx.len); v, dx.len, slope, x, dy, dx);
    }

    /// `y = y · scaleᵢ + biasᵢ` along the axis.
    pub fn scale_bias(&self, v: AxisView, scale: Option<Span>, bias: Option<Span>, y: Span) {
        assert!([scale, bias].iter().flatten().all(|s| s.len >= v.len));
        launch!(self, self.elements("scale_bias", y.len); v, y.len, scale, bias, y);
    }

    /// Dropout whose mask follows from the seed.
    pub fn dropout(&self, ratio: f32, seed: u64, y: Span) {
        let bound = (ratio as f64 * u64::MAX as f64) as u64;
        let scale = 1.0 / (1.0 - ratio);
        launch!(self, self.elements("dropout", y.len); scale, bound, seed, y.len, y);
    }

    /// Several blobs of one shape become one.
    pub fn eltwise(&self, op: &Eltwise, xs: &[Span], y: Span) {
        assert!(xs.iter().all(|x| x.len == y.len));
        for (k, x) in xs.iter().enumerate() {
            let (how, c) = match op {
                Eltwise::Sum(c) => (0u32, c[k]),
                Eltwise::Prod => (1, 1.0),
                Eltwise::Max => (2, 1.0),
            };
            launch!(self, self.elements("eltwise", y.len); how, k as u32, c, y.len, *x, y);
        }
    }

    /// Gradient of input number `which` of [`Device::eltwise`].
    pub fn eltwise_back(&self, op: &Eltwise, which: usize, xs: &[Span], dy: Span, dx: Span) {
        assert!(xs.iter().chain([&dy]).all(|x| x.len == dx.len));
        let n = dx.len;
        match op {
            Eltwise::Sum(c) => launch!(self, self.elements("scaled", n); c[which], n, dy, dx),
            Eltwise::Prod => {
                launch!(self, self.elements("scaled", n); 1f32, n, dy, dx);
                for (_, x) in xs.iter().enumerate().filter(|(k, _)| *k != which) {
                    launch!(self, self.elements("multiply", n); n, *x, dx);
                }
            }
            Eltwise::Max => {
                let scratch = self.scratch(2 * n);
                let (top, best) = (scratch.part(0, n), scratch.part(n, n));
                for (k, x) in xs.iter().enumerate() {
                    launch!(self, self.elements("eltwise_best", n); k as u32, n, *x, top, best);
                }
                launch!(self, self.elements("eltwise_pick", n); which as u32, n, best, dy, dx);
            }
        }
    }
}
