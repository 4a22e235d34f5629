//! Launches `sums.cu`.

use super::arguments::{flat, launch, parts};
use super::device::{Device, Launch, Span};
use crate::ops::{AxisView, Reduction};

/// What is summed, numbered as in the kernels.
#[derive(Clone, Copy)]
enum Term {
    Plain = 0,
    Product = 1,
    Square = 2,
    NegativeProduct = 3,
}

/// See the functions of the same names in [`crate::cpu::elementwise`], [`crate::cpu::norm`] and
/// [`crate::cpu::reduce`].
impl Device {
    /// Sums over all but the axis, divided, written to `out` or added to it.
    fn axis_sums(
        &self,
        (term, v): (Term, AxisView),
        [a, b, centre]: [Option<Span>; 3],
        (divisor, add): (f64, bool),
        out: Span,
    ) {
        let n = v.outer * v.block();
        assert!([a, b].iter().flatten().all(|s| s.len >= n) && out.len >= v.len);
        assert!(centre.is_none_or(|c| c.len >= v.len));
        // Many short sums need no second pass.
        let parts = parts(v.outer * v.inner).min(4096usize.div_ceil(v.len.max(1)));
        // A part is an f64: two words.
        let of_parts = self.scratch(2 * parts * v.len.max(1));
        let (what, parts) = (term as u32, parts as u32);
        if v.inner == 1 {
            let grid = [v.len.div_ceil(32) as u32, parts, 1];
            let block = [32, 8, 1];
            let kernel = "axis_sums_columns";
            let l = Launch { file: "sums", kernel, grid, block, shared: 0 };
            launch!(self, l; what, v, a, b, centre, of_parts);
        } else {
            let mut l = flat("sums", "axis_sums", v.len);
            l.grid[1] = parts;
            launch!(self, l; what, v, a, b, centre, of_parts);
        }
        let l = self.each("sums", "sum_parts", v.len);
        launch!(self, l; v.len, parts, divisor, u32::from(add), of_parts, out);
    }

    /// `Σ a · b`, or `Σ a`, over all but the axis.
    pub fn sum_products(&self, v: AxisView, a: Span, b: Option<Span>, add: bool, out: Span) {
        let term = if b.is_some() { Term::Product } else { Term::Plain };
        self.axis_sums((term, v), [Some(a), b, None], (1.0, add), out);
    }

    /// Gradient of PReLU's slopes.
    pub fn prelu_slope_back(&self, v: AxisView, x: Span, dy: Span, add: bool, out: Span) {
        self.axis_sums((Term::NegativeProduct, v), [Some(x), Some(dy), None], (1.0, add), out);
    }

    /// Mean and variance of each index of the axis.
    pub fn moments(&self, v: AxisView, x: Span, mean: Span, variance: Span) {
        let by = ((v.outer * v.inner) as f64, false);
        self.axis_sums((Term::Plain, v), [Some(x), None, None], by, mean);
        self.axis_sums((Term::Square, v), [Some(x), None, Some(mean)], by, variance);
    }

    /// `y = (y − meanᵢ) / √(varianceᵢ + eps)`.
    pub fn standardise(&self, v: AxisView, [mean, variance]: [Span; 2], eps: f32, y: Span) {
        assert!(mean.len >= v.len && variance.len >= v.len && y.len <= v.outer * v.block());
        let l = self.each("sums", "standardise", y.len);
        launch!(self, l; v, eps, y.len, mean, variance, y);
    }

    /// Gradient of [`Device::standardise`]; `own` if the moments are those of its input.
    pub fn standardise_back(
        &self,
        v: AxisView,
        own: bool,
        variance: Span,
        eps: f32,
        [y, dy, dx]: [Span; 3],
    ) {
        assert!(variance.len >= v.len && [y, dy].iter().all(|s| s.len == dx.len));
        let kept = own.then(|| self.alloc(2 * v.len * size_of::<f32>()));
        let sums = kept.as_ref().map(|kept| kept.span(0, 2 * v.len));
        if let Some(sums) = sums {
            self.sum_products(v, dy, None, false, sums.part(0, v.len));
            self.sum_products(v, dy, Some(y), false, sums.part(v.len, v.len));
        }
        let l = self.each("sums", "standardise_back", dx.len);
        launch!(self, l; v, eps, dx.len, variance, sums, y, dy, dx);
        kept.into_iter().for_each(|kept| self.free(kept));
    }

    /// Rows of `len` elements minus their mean, over their deviation plus a given number.
    pub fn mvn(&self, len: usize, deviation: Option<f32>, y: Span) {
        let rows = y.len / len.max(1);
        let (scaled, eps) = (u32::from(deviation.is_some()), deviation.unwrap_or(0.0));
        launch!(self, self.block_each("sums", "mvn", rows); rows, len, scaled, eps, y);
    }

    /// Gradient of [`Device::mvn`].
    pub fn mvn_back(&self, len: usize, deviation: Option<f32>, [x, y, dy, dx]: [Span; 4]) {
        assert!([x, y, dy].iter().all(|s| s.len == dx.len));
        let rows = dx.len / len.max(1);
        let (scaled, eps) = (u32::from(deviation.is_some()), deviation.unwrap_or(0.0));
        let l = self.block_each("sums", "mvn_back", rows);
        launch!(self, l; rows, len, scaled, eps, x, y, dy, dx);
    }

    /// Rows of `len` elements become one number each.
    pub fn reduce(&self, op: Reduction, len: usize, coeff: f32, x: Span, y: Span) {
        let rows = x.len / len.max(1);
        assert!(y.len >= rows);
        let l = self.block_each("sums", "reduce", rows);
        launch!(self, l; number(op), rows, len, coeff, x, y);
    }

    /// Gradient of [`Device::reduce`].
    pub fn reduce_back(&self, op: Reduction, len: usize, coeff: f32, [x, dy, dx]: [Span; 3]) {
        assert!(x.len == dx.len && dy.len >= dx.len / len.max(1));
        let l = self.each("sums", "reduce_back", dx.len);
        launch!(self, l; number(op), dx.len, len, coeff, x, dy, dx);
    }

    /// `Σ x²`. It waits for the device.
    pub fn sum_of_squares(&self, x: Span) -> f64 {
        if x.len == 0 {
            return 0.0;
        }
        let parts = parts(x.len);
        let scratch = self.scratch(2 * parts + 2);
        let (sum, of_parts) = (scratch.part(0, 2), scratch.part(2, 2 * parts));
        launch!(self, flat("sums", "squares", parts); x.len, x, of_parts);
        launch!(self, flat("sums", "sum_all", 1); parts as u32, of_parts, sum);
        let mut words = [0f32; 2];
        self.read(sum, &mut words);
        let [low, high] = words.map(|w| u64::from(w.to_bits()));
        f64::from_bits(high << 32 | low)
    }
}

fn number(op: Reduction) -> u32 {
    match op {
        Reduction::Sum => 0,
        Reduction::Asum => 1,
        Reduction::SumSq => 2,
        Reduction::Mean => 3,
    }
}
