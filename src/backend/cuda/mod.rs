//! The CUDA backend: slots in the memory of an NVIDIA device, every operation there.
//!
//! Operations are only asked for here; the device does them in that order, later. [`Backend::read`] waits for it,
//! and so does [`Backend::finish`].

mod products;
mod slots;

use super::{
    Backend, Chain, Choice, Gradient, InnerDims, Judged, Learnt, Lend, LossBack, LossRule,
    PictureWork, Pictures, Prepare, Settings, Slot, View, Weighted,
};
use likenet_kernels::cpu::argmax::TopK;
use likenet_kernels::cuda::products::{Finish, Product, conv_algorithm};
use likenet_kernels::cuda::{Device, Divisor, Labelled, Operands, Span};
use likenet_kernels::ops::*;
use products::Products;
use slots::Slots;
use std::sync::Arc;

/// Kernels on an NVIDIA device.
pub struct Cuda {
    device: Device,
    slots: Slots,
    products: Products,
}

impl Cuda {
    /// On the first device of NVIDIA's driver.
    ///
    /// # Errors
    /// When there is no driver or no device, and when weights are to be kept shorter than `f32`.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let device = Device::driver().map_err(|e| format!("{e}: use --backend cpu"))?;
        Self::on(device, settings)
    }

    /// The device that there is, for people; or why there is none.
    pub fn device() -> Result<String, String> {
        Device::driver().map(|device| device.name())
    }

    /// On the CPU, by the same kernels: for tests.
    ///
    /// # Errors
    /// When the program was built without the emulator, or no C++ compiler is to be found.
    pub fn emulated(settings: Settings) -> Result<Self, String> {
        Self::on(likenet_kernels::cuda::emulated()?, settings)
    }

    fn on(device: Device, settings: Settings) -> Result<Self, String> {
        if settings.weights != Precision::F32 {
            return Err("the cuda backend keeps weights as they are: use --precision f32".into());
        }
        Ok(Self { device, slots: Slots::default(), products: Products::default() })
    }

    /// Input, weights and bias, and where the result goes.
    fn weighted(&mut self, io: &Weighted) -> ([Span; 2], Option<Span>, Span) {
        let [x, weight] = [io.x, io.weight].map(|v| self.slots.read(v));
        ([x, weight], io.bias.map(|b| self.slots.read(b)), self.slots.write(io.y))
    }

    /// A product with weights, its bias added, if it has one; then ReLU with a slope, if asked.
    fn product(&mut self, product: Product, io: &Weighted, relu: Option<f32>) {
        let packed = self.products.packed(&self.device, &self.slots, &product, io.weight);
        let ([x, weight], bias, y) = self.weighted(io);
        let relu = relu.map(f32::to_bits);
        let finish = Finish { bias: bias.is_some(), relu, add: false };
        let operands =
            Operands { x: Some(x), weight: Some(weight), packed, bias, y: Some(y), dy: None };
        self.products.compute(&self.device, product, finish, &operands);
    }

    /// The gradients of weights, from an input and the gradients of the output.
    fn weights_back(&mut self, product: Product, io: [View; 2], dw: Gradient) {
        let [x, dy] = io.map(|v| Some(self.slots.read(v)));
        let (y, add) = self.slots.gradient(dw);
        let operands = Operands { x, dy, y: Some(y), ..Operands::default() };
        let finish = Finish { add, ..Finish::default() };
        self.products.compute(&self.device, product, finish, &operands);
    }

    /// Input, output, the output's gradient, and where the input's goes.
    fn chain(&mut self, io: &Chain) -> [Span; 4] {
        let [x, y, dy] = [io.x, io.y, io.dy].map(|v| self.slots.read(v));
        [x, y, dy, self.slots.write(io.dx)]
    }

    /// What is only read, and what is changed.
    fn spans<const N: usize>(&mut self, read: [View; N], write: View) -> ([Span; N], Span) {
        (read.map(|v| self.slots.read(v)), self.slots.write(write))
    }

    fn labelled(&mut self, io: &LossBack) -> Labelled {
        let ([x, labels], dx) = self.spans([io.x, io.labels], io.dx);
        Labelled { x, labels, weight: io.weight, dx }
    }
}

/// The definition, where it is wanted; else products.
fn exact(wanted: Option<Algorithm>) -> Algorithm {
    match wanted {
        Some(Algorithm::Plain) => Algorithm::Plain,
        _ => Algorithm::Gemm,
    }
}

fn divisor(rule: &LossRule) -> Divisor {
    Divisor { ignore: rule.ignore, normalization: rule.normalization, batch: rule.batch }
}

impl Backend for Cuda {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn describe(&self) -> String {
        let capability = self.device.capability();
        let [major, minor] = [capability / 10, capability % 10];
        format!("{}, compute capability {major}.{minor}", self.device.name())
    }

    fn alloc(&mut self, len: usize) -> Slot {
        self.slots.alloc(&self.device, len)
    }

    fn lend(&mut self, values: Arc<dyn Lend>) -> Slot {
        self.slots.lend(&self.device, &values)
    }

    fn free(&mut self, slot: Slot) {
        self.products.forget(&self.device, slot);
        self.slots.free(&self.device, slot);
    }

    fn write(&mut self, slot: Slot, at: usize, data: &[f32]) {
        let to = self.slots.write(View { slot, at, len: data.len() });
        self.device.write(to, data);
    }

    fn read(&self, slot: Slot, out: &mut [f32]) {
        self.device.read(self.slots.read(View::whole(slot, out.len())), out);
    }

    fn finish(&self) -> Result<(), String> {
        self.device.finish()
    }

    fn failure(&self) -> Option<String> {
        self.device.failure()
    }

    fn copy_blocks(&mut self, c: &BlockCopy, x: View, y: View) {
        let ([x], y) = self.spans([x], y);
        self.device.copy_blocks(c, x, y);
    }

    fn axpby(&mut self, a: f32, x: View, b: f32, y: View) {
        let ([x], y) = self.spans([x], y);
        self.device.axpby(a, x, b, y);
    }

    fn divide(&mut self, x: View, divisor: View, y: View) {
        let ([x, divisor], y) = self.spans([x, divisor], y);
        self.device.divide(x, divisor, y);
    }

    fn workers(&self) -> usize {
        0
    }

    fn by_pictures(&mut self, _: &Pictures, _: &PictureWork) -> Result<(), String> {
        Err("is computed for whole batches by this backend".into())
    }

    fn prepare(&mut self, weights: &[Prepare]) {
        for weight in weights {
            let (product, view) = match *weight {
                Prepare::Conv(d, how, view) => (Product::Conv { d, how, batch: 1, pitch: 0 }, view),
                Prepare::ConvBack(d, how, view) => (Product::ConvBack { d, how, batch: 1 }, view),
                Prepare::Inner(..) => continue,
            };
            self.products.packed(&self.device, &self.slots, &product, view);
        }
    }

    fn packed_bytes(&self) -> usize {
        self.products.bytes()
    }

    fn conv_algorithm(&self, d: &ConvDims, batch: usize, wanted: Option<Algorithm>) -> Choice {
        let how = conv_algorithm(&self.device.gpu(), d, batch, wanted);
        let product = Product::Conv { d: *d, how, batch, pitch: d.output_len() };
        let bytes = if how == Algorithm::Plain { None } else { product.packing() };
        Choice { how, bytes: bytes.map_or(0, |pack| pack.bytes) }
    }

    fn conv(
        &mut self,
        d: &ConvDims,
        how: Algorithm,
        io: Weighted,
        pitch: usize,
        relu: Option<f32>,
    ) {
        if how == Algorithm::Plain {
            let (operands, bias, y) = self.weighted(&io);
            return self.device.plain_conv(d, operands, bias, relu.unwrap_or(1.0), (y, pitch));
        }
        let batch = io.x.len / d.input_len();
        self.product(Product::Conv { d: *d, how, batch, pitch }, &io, relu);
    }

    fn deconv(&mut self, d: &ConvDims, io: Weighted) {
        let batch = io.x.len / d.output_len();
        self.product(Product::ConvBack { d: *d, how: Algorithm::Gemm, batch }, &io, None);
    }

    fn inner_algorithm(&self, _: usize, wanted: Option<Algorithm>) -> Algorithm {
        exact(wanted)
    }

    fn inner_product(&mut self, d: &InnerDims, how: Algorithm, io: Weighted, relu: Option<f32>) {
        if how == Algorithm::Plain {
            let (operands, bias, y) = self.weighted(&io);
            return self.device.plain_inner(d, operands, bias, relu.unwrap_or(1.0), y);
        }
        self.product(Product::Inner(*d), &io, relu);
    }

    fn embed(&mut self, rows: usize, io: Weighted) {
        let (operands, bias, y) = self.weighted(&io);
        self.device.embed(rows, operands, bias, y);
    }

    fn max_pool(&mut self, d: &PoolDims, x: View, y: View) {
        let ([x], y) = self.spans([x], y);
        self.device.max_pool(d, x, y);
    }

    fn max_pool_index(&mut self, d: &PoolDims, x: View, y: View) {
        let ([x], y) = self.spans([x], y);
        self.device.max_pool_index(d, x, y);
    }

    fn ave_pool(&mut self, d: &PoolDims, x: View, y: View) {
        let ([x], y) = self.spans([x], y);
        self.device.ave_pool(d, x, y);
    }

    fn lrn_across(&mut self, p: &LrnParams, channels: usize, plane: usize, x: View, y: View) {
        let ([x], y) = self.spans([x], y);
        self.device.lrn_across(p, channels, plane, x, y);
    }

    fn lrn_within(&mut self, p: &LrnParams, input: [usize; 2], x: View, y: View) {
        let ([x], y) = self.spans([x], y);
        self.device.lrn_within(p, input, x, y);
    }

    fn unary(&mut self, op: &Unary, y: View) {
        let y = self.slots.write(y);
        self.device.unary(op, y);
    }

    fn prelu(&mut self, v: AxisView, slope: View, y: View) {
        let ([slope], y) = self.spans([slope], y);
        self.device.prelu(v, slope, y);
    }

    fn scale_bias(&mut self, v: AxisView, scale: Option<View>, bias: Option<View>, y: View) {
        let [scale, bias] = [scale, bias].map(|view| view.map(|v| self.slots.read(v)));
        let y = self.slots.write(y);
        self.device.scale_bias(v, scale, bias, y);
    }

    fn dropout(&mut self, ratio: f32, seed: u64, y: View) {
        let y = self.slots.write(y);
        self.device.dropout(ratio, seed, y);
    }

    fn eltwise(&mut self, op: &Eltwise, xs: &[View], y: View) {
        let xs: Vec<Span> = xs.iter().map(|x| self.slots.read(*x)).collect();
        let y = self.slots.write(y);
        self.device.eltwise(op, &xs, y);
    }

    fn moments(&mut self, v: AxisView, x: View, mean: View, variance: View) {
        let ([x], mean) = self.spans([x], mean);
        let variance = self.slots.write(variance);
        self.device.moments(v, x, mean, variance);
    }

    fn standardise(&mut self, v: AxisView, moments: [View; 2], eps: f32, y: View) {
        let (moments, y) = self.spans(moments, y);
        self.device.standardise(v, moments, eps, y);
    }

    fn mvn(&mut self, len: usize, deviation: Option<f32>, y: View) {
        let y = self.slots.write(y);
        self.device.mvn(len, deviation, y);
    }

    fn softmax(&mut self, v: AxisView, x: View, y: View) {
        let ([x], y) = self.spans([x], y);
        self.device.softmax(v, x, y);
    }

    fn reduce(&mut self, op: Reduction, len: usize, coeff: f32, x: View, y: View) {
        let ([x], y) = self.spans([x], y);
        self.device.reduce(op, len, coeff, x, y);
    }

    fn top_k(&mut self, v: AxisView, top: usize, what: TopK, x: View, y: View) {
        let ([x], y) = self.spans([x], y);
        self.device.top_k(v, top, what, x, y);
    }

    fn cross_entropy(&mut self, v: AxisView, rule: &LossRule, prob: View, labels: View, y: View) {
        let ([prob, labels], y) = self.spans([prob, labels], y);
        self.device.cross_entropy(v, &divisor(rule), prob, labels, y);
    }

    fn sigmoid_cross_entropy(&mut self, rule: &LossRule, x: View, targets: View, y: View) {
        let ([x, targets], y) = self.spans([x, targets], y);
        self.device.sigmoid_cross_entropy(&divisor(rule), x, targets, y);
    }

    fn hinge(&mut self, norm: HingeNorm, classes: usize, x: View, labels: View, y: View) {
        let ([x, labels], y) = self.spans([x, labels], y);
        self.device.hinge(norm, classes, x, labels, y);
    }

    fn squared_distance(&mut self, divisor: f32, a: View, b: View, y: View) {
        let ([a, b], y) = self.spans([a, b], y);
        self.device.squared_distance(divisor, a, b, y);
    }

    fn multinomial(&mut self, classes: usize, x: View, labels: View, y: View) {
        let ([x, labels], y) = self.spans([x, labels], y);
        self.device.multinomial(classes, x, labels, y);
    }

    fn contrastive(&mut self, margin: f32, legacy: bool, pair: [View; 2], similar: View, y: View) {
        let [a, b] = pair;
        let ([a, b, similar], y) = self.spans([a, b, similar], y);
        self.device.contrastive(margin, legacy, [a, b], similar, y);
    }

    fn accuracy(&mut self, v: AxisView, top: usize, ignore: Option<i32>, io: Judged) {
        let (operands, y) = self.spans([io.x, io.labels], io.y);
        let per_class = io.per_class.map(|out| self.slots.write(out));
        self.device.accuracy(v, top, ignore, operands, (y, per_class));
    }

    fn fill(&mut self, value: f32, y: View) {
        let y = self.slots.write(y);
        self.device.fill(value, y);
    }

    fn gradient_algorithm(&self, _: usize, wanted: Option<Algorithm>) -> Algorithm {
        exact(wanted)
    }

    fn conv_back(&mut self, d: &ConvDims, how: Algorithm, io: Weighted) {
        if how == Algorithm::Plain {
            let (operands, bias, dx) = self.weighted(&io);
            return self.device.plain_conv_back(d, operands, bias, dx);
        }
        let batch = io.x.len / d.output_len();
        self.product(Product::ConvBack { d: *d, how, batch }, &io, None);
    }

    fn conv_weights_back(&mut self, d: &ConvDims, how: Algorithm, io: [View; 2], dw: Gradient) {
        if how == Algorithm::Plain {
            let io = io.map(|v| self.slots.read(v));
            let (dw, add) = self.slots.gradient(dw);
            return self.device.plain_conv_weights_back(d, io, add, dw);
        }
        let batch = io[0].len / d.input_len();
        self.weights_back(Product::ConvWeightsBack { d: *d, batch }, io, dw);
    }

    fn inner_back(&mut self, d: &InnerDims, how: Algorithm, io: Weighted) {
        if how == Algorithm::Plain {
            let (operands, _, dx) = self.weighted(&io);
            return self.device.plain_inner_back(d, operands, dx);
        }
        self.product(Product::InnerBack(*d), &io, None);
    }

    fn inner_weights_back(&mut self, d: &InnerDims, how: Algorithm, io: [View; 2], dw: Gradient) {
        if how == Algorithm::Plain {
            let io = io.map(|v| self.slots.read(v));
            let (dw, add) = self.slots.gradient(dw);
            return self.device.plain_inner_weights_back(d, io, add, dw);
        }
        self.weights_back(Product::InnerWeightsBack(*d), io, dw);
    }

    fn embed_back(&mut self, outputs: usize, io: [View; 2], dw: Gradient) {
        let io = io.map(|v| self.slots.read(v));
        let (dw, add) = self.slots.gradient(dw);
        self.device.embed_back(outputs, io, add, dw);
    }

    fn sum_products(&mut self, v: AxisView, a: View, b: Option<View>, out: Gradient) {
        let (a, b) = (self.slots.read(a), b.map(|b| self.slots.read(b)));
        let (out, add) = self.slots.gradient(out);
        self.device.sum_products(v, a, b, add, out);
    }

    fn max_pool_back(&mut self, d: &PoolDims, io: Chain) {
        let [x, _, dy, dx] = self.chain(&io);
        self.device.max_pool_back(d, x, dy, dx);
    }

    fn ave_pool_back(&mut self, d: &PoolDims, dy: View, dx: View) {
        let ([dy], dx) = self.spans([dy], dx);
        self.device.ave_pool_back(d, dy, dx);
    }

    fn lrn_across_back(&mut self, p: &LrnParams, channels: usize, plane: usize, io: Chain) {
        let io = self.chain(&io);
        self.device.lrn_across_back(p, channels, plane, io);
    }

    fn lrn_within_back(&mut self, p: &LrnParams, input: [usize; 2], io: Chain) {
        let io = self.chain(&io);
        self.device.lrn_within_back(p, input, io);
    }

    fn relu_back(&mut self, slope: f32, y: View, d: View) {
        let ([y], d) = self.spans([y], d);
        self.device.relu_back(slope, y, d);
    }

    fn unary_back(&mut self, op: &Unary, io: Chain) {
        let [x, y, dy, dx] = self.chain(&io);
        self.device.unary_back(op, [x, y, dy], dx);
    }

    fn prelu_back(&mut self, v: AxisView, slope: View, io: Chain) {
        let slope = self.slots.read(slope);
        let [x, _, dy, dx] = self.chain(&io);
        self.device.prelu_back(v, slope, x, dy, dx);
    }

    fn prelu_slope_back(&mut self, v: AxisView, io: [View; 2], dslope: Gradient) {
        let [x, dy] = io.map(|v| self.slots.read(v));
        let (out, add) = self.slots.gradient(dslope);
        self.device.prelu_slope_back(v, x, dy, add, out);
    }

    fn eltwise_back(&mut self, op: &Eltwise, which: usize, xs: &[View], dy: View, dx: View) {
        let xs: Vec<Span> = xs.iter().map(|x| self.slots.read(*x)).collect();
        let ([dy], dx) = self.spans([dy], dx);
        self.device.eltwise_back(op, which, &xs, dy, dx);
    }

    fn standardise_back(&mut self, v: AxisView, own: bool, variance: View, eps: f32, io: Chain) {
        let variance = self.slots.read(variance);
        let [_, y, dy, dx] = self.chain(&io);
        self.device.standardise_back(v, own, variance, eps, [y, dy, dx]);
    }

    fn mvn_back(&mut self, len: usize, deviation: Option<f32>, io: Chain) {
        let io = self.chain(&io);
        self.device.mvn_back(len, deviation, io);
    }

    fn softmax_back(&mut self, v: AxisView, io: Chain) {
        let [_, y, dy, dx] = self.chain(&io);
        self.device.softmax_back(v, [y, dy, dx]);
    }

    fn reduce_back(&mut self, op: Reduction, len: usize, coeff: f32, io: Chain) {
        let [x, _, dy, dx] = self.chain(&io);
        self.device.reduce_back(op, len, coeff, [x, dy, dx]);
    }

    fn cross_entropy_back(&mut self, v: AxisView, rule: &LossRule, io: LossBack) {
        let io = self.labelled(&io);
        self.device.cross_entropy_back(v, &divisor(rule), io);
    }

    fn sigmoid_cross_entropy_back(&mut self, rule: &LossRule, io: LossBack) {
        let io = self.labelled(&io);
        self.device.sigmoid_cross_entropy_back(&divisor(rule), io);
    }

    fn hinge_back(&mut self, norm: HingeNorm, classes: usize, io: LossBack) {
        let io = self.labelled(&io);
        self.device.hinge_back(norm, classes, io);
    }

    fn multinomial_back(&mut self, classes: usize, io: LossBack) {
        let io = self.labelled(&io);
        self.device.multinomial_back(classes, io);
    }

    fn contrastive_back(&mut self, margin: f32, legacy: bool, other: View, io: LossBack) {
        let other = self.slots.read(other);
        let io = self.labelled(&io);
        self.device.contrastive_back(margin, legacy, other, io);
    }

    fn sum_of_squares(&self, x: View) -> f64 {
        self.device.sum_of_squares(self.slots.read(x))
    }

    fn update(&mut self, u: &Update, p: Learnt) {
        let gradient = self.slots.read(p.gradient);
        let [first, second] = p.histories;
        let [weight, first] = [p.weight, first].map(|v| self.slots.write(v));
        // A rule with one history has no second slot.
        let second = match u.rule.histories() {
            2 => self.slots.write(second),
            _ => first,
        };
        self.device.update(u, [weight, gradient, first], second);
    }
}
