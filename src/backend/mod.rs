//! Where operations run. One trait, implemented whole by every backend: no default methods, so a
//! missing operation does not compile, and nothing falls back silently.
//!
//! Flows in: slots (a slot is the index of one buffer of the backend) and plain descriptions of
//! operations. Flows out: changed slots. Who calls which operation for which layer is written once,
//! in `net::forward`.

mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod gradients;
mod memory;
mod reference;
mod small;

pub use cpu::Cpu;
#[cfg(feature = "cuda")]
pub use cuda::Cuda;
pub use likenet_kernels::ops::InnerDims;
pub use reference::Reference;

use likenet_kernels::cpu::argmax::TopK;
use likenet_kernels::ops::{
    Algorithm, AxisView, BlockCopy, ConvDims, Eltwise, HingeNorm, LrnParams, Normalization,
    PoolDims, Precision, Reduction, Unary, Update,
};
use std::ops::Range;
use std::sync::Arc;

/// The index of one buffer of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub usize);

/// Neighbouring elements of a slot: a blob, some pictures of it, or a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The buffer.
    pub slot: Slot,
    /// Its first element that is used.
    pub at: usize,
    /// Elements used.
    pub len: usize,
}

impl View {
    /// The first elements of a slot.
    pub fn whole(slot: Slot, len: usize) -> Self {
        Self { slot, at: 0, len }
    }
}

/// An input, the weights that it meets, and where the result goes.
#[derive(Clone, Copy, Debug)]
pub struct Weighted {
    /// Input.
    pub x: View,
    /// Weights.
    pub weight: View,
    /// One value for each output channel, if any.
    pub bias: Option<View>,
    /// Output.
    pub y: View,
}

/// An operation's input and output, and the gradients of both: `dx` is made from the others.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    /// Input.
    pub x: View,
    /// Output.
    pub y: View,
    /// The output's gradient.
    pub dy: View,
    /// The input's gradient.
    pub dx: View,
}

/// Where the gradient of a parameter goes.
#[derive(Clone, Copy, Debug)]
pub struct Gradient {
    /// There.
    pub to: View,
    /// Whether it is added to what is there, or replaces it.
    pub add: bool,
}

/// A parameter, its gradient, and what a solver remembers of it.
#[derive(Clone, Copy, Debug)]
pub struct Learnt {
    /// Values.
    pub weight: View,
    /// Gradient.
    pub gradient: View,
    /// Histories, as many as the rule has; the others are not used.
    pub histories: [View; 2],
}

/// Some pictures of a batch at a time, through several layers.
pub struct Pictures<'a> {
    /// Pictures of the batch.
    pub batch: usize,
    /// How many at a time.
    pub together: usize,
    /// Elements of each slot that is needed only on the way.
    pub private: &'a [usize],
    /// What is kept: the number of a private slot, its elements for a picture, and the slot of the whole
    /// batch that they go to.
    pub outputs: &'a [(usize, usize, Slot)],
}

/// What [`Backend::by_pictures`] does with some pictures: given a backend, the private slots and which
/// pictures of the batch, it computes the private slots. It may read the slots of the whole batch.
pub type PictureWork<'a> =
    dyn Fn(&mut dyn Backend, &[Slot], Range<usize>) -> Result<(), String> + Sync + 'a;

/// How a loss over labels is summed and divided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossRule {
    /// Labels that do not count.
    pub ignore: Option<i32>,
    /// The divisor.
    pub normalization: Normalization,
    /// Pictures in the batch.
    pub batch: usize,
}

/// A convolution's algorithm, and the bytes that its weights take when they are packed for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// How.
    pub how: Algorithm,
    /// Bytes.
    pub bytes: usize,
}

/// Weights, and how a layer will use them.
#[derive(Clone, Copy, Debug)]
pub enum Prepare {
    /// Of a convolution.
    Conv(ConvDims, Algorithm, View),
    /// Of the convolution that gives a convolution's input gradients: that of [`ConvDims::transposed`], with
    /// flipped filters.
    ConvBack(ConvDims, Algorithm, View),
    /// Of a fully connected layer.
    Inner(InnerDims, Algorithm, View),
}

/// Values that lie elsewhere, in a file perhaps, and are shown when they are needed.
pub trait Lend: Send + Sync {
    /// How many there are.
    fn count(&self) -> usize;
    /// Shows them to `f`.
    ///
    /// # Panics
    /// When they are gone.
    fn with(&self, f: &mut dyn FnMut(&[f32]));
}

/// Everything that a network needs from the machine that it runs on.
///
/// Operations with an `x` and a `y` never get the same slot for both; those with `y` alone work in
/// place.
pub trait Backend: Send {
    /// Its name, as in `--backend`.
    fn name(&self) -> &'static str;
    /// What runs it, for people: threads, instruction set, device.
    fn describe(&self) -> String;

    /// A new slot of `len` zeros.
    fn alloc(&mut self, len: usize) -> Slot;
    /// A new slot that holds lent values until it is written to.
    fn lend(&mut self, values: Arc<dyn Lend>) -> Slot;
    /// Gives a slot's memory back; its index may be handed out again.
    fn free(&mut self, slot: Slot);
    /// Copies `data` from the host into the slot, from element `at` on.
    fn write(&mut self, slot: Slot, at: usize, data: &[f32]);
    /// Copies the slot's first elements to the host.
    fn read(&self, slot: Slot, out: &mut [f32]);
    /// Waits until all that was asked for is done, and says what went wrong, if anything did.
    fn finish(&self) -> Result<(), String>;
    /// What went wrong, as far as is known without waiting: what was computed since then is worth nothing.
    fn failure(&self) -> Option<String>;

    /// Copies equally spaced blocks.
    fn copy_blocks(&mut self, c: &BlockCopy, x: View, y: View);
    /// `y = a · x + b · y`.
    fn axpby(&mut self, a: f32, x: View, b: f32, y: View);
    /// `y = x / divisor₀`, or zeros when the divisor is zero.
    fn divide(&mut self, x: View, divisor: View, y: View);

    /// How many workers share a batch in [`Backend::by_pictures`]; 0 if it computes whole batches only.
    fn workers(&self) -> usize;
    /// Computes a batch some pictures at a time, so that what lies between the layers stays in the cache.
    fn by_pictures(&mut self, p: &Pictures, work: &PictureWork) -> Result<(), String>;
    /// Packs weights for the layers that will use them, as many at a time as there are threads; what is
    /// not prepared is packed when it is first used.
    fn prepare(&mut self, weights: &[Prepare]);
    /// Bytes of packed weights.
    fn packed_bytes(&self) -> usize;

    /// How this backend computes a convolution over a batch: as `wanted`, if that can be had.
    fn conv_algorithm(&self, d: &ConvDims, batch: usize, wanted: Option<Algorithm>) -> Choice;
    /// Convolution of each picture of the batch; then, if asked, ReLU with this slope. In `io.y` pictures
    /// begin `pitch` apart.
    fn conv(&mut self, d: &ConvDims, how: Algorithm, io: Weighted, pitch: usize, relu: Option<f32>);
    /// Transposed convolution of each picture; `d` is the convolution that it undoes.
    fn deconv(&mut self, d: &ConvDims, io: Weighted);
    /// How this backend computes fully connected layers: as `wanted`, if that can be had.
    fn inner_algorithm(&self, rows: usize, wanted: Option<Algorithm>) -> Algorithm;
    /// Fully connected layer; then, if asked, ReLU with this slope.
    fn inner_product(&mut self, d: &InnerDims, how: Algorithm, io: Weighted, relu: Option<f32>);
    /// The row of a table of `rows` for each index in `io.x`, zeros for an index outside it.
    fn embed(&mut self, rows: usize, io: Weighted);

    /// Maximum of windows.
    fn max_pool(&mut self, d: &PoolDims, x: View, y: View);
    /// Index of the maximum of windows.
    fn max_pool_index(&mut self, d: &PoolDims, x: View, y: View);
    /// Mean of windows.
    fn ave_pool(&mut self, d: &PoolDims, x: View, y: View);
    /// Local response normalisation across `channels` planes of `plane` elements.
    fn lrn_across(&mut self, p: &LrnParams, channels: usize, plane: usize, x: View, y: View);
    /// Local response normalisation within planes of the given height and width.
    fn lrn_within(&mut self, p: &LrnParams, input: [usize; 2], x: View, y: View);

    /// A function of each element.
    fn unary(&mut self, op: &Unary, y: View);
    /// ReLU with a slope for each index of the axis.
    fn prelu(&mut self, v: AxisView, slope: View, y: View);
    /// `y = y · scaleᵢ + biasᵢ` along the axis.
    fn scale_bias(&mut self, v: AxisView, scale: Option<View>, bias: Option<View>, y: View);
    /// Dropout whose mask follows from the seed.
    fn dropout(&mut self, ratio: f32, seed: u64, y: View);
    /// Several blobs of one shape become one.
    fn eltwise(&mut self, op: &Eltwise, xs: &[View], y: View);

    /// Mean and variance of each index of the axis.
    fn moments(&mut self, v: AxisView, x: View, mean: View, variance: View);
    /// `y = (y − meanᵢ) / √(varianceᵢ + eps)`.
    fn standardise(&mut self, v: AxisView, moments: [View; 2], eps: f32, y: View);
    /// Rows of `len` elements minus their mean, over their deviation plus a given number.
    fn mvn(&mut self, len: usize, deviation: Option<f32>, y: View);
    /// Softmax along the axis.
    fn softmax(&mut self, v: AxisView, x: View, y: View);
    /// Rows of `len` elements become one number each.
    fn reduce(&mut self, op: Reduction, len: usize, coeff: f32, x: View, y: View);
    /// The largest elements along the axis.
    fn top_k(&mut self, v: AxisView, top: usize, what: TopK, x: View, y: View);

    /// Cross-entropy of probabilities with labels, one number.
    fn cross_entropy(&mut self, v: AxisView, rule: &LossRule, prob: View, labels: View, y: View);
    /// Cross-entropy of sigmoid(x) with targets, one number.
    fn sigmoid_cross_entropy(&mut self, rule: &LossRule, x: View, targets: View, y: View);
    /// Hinge loss divided by the number of rows, one number.
    fn hinge(&mut self, norm: HingeNorm, classes: usize, x: View, labels: View, y: View);
    /// `Σ (a − b)² / divisor`, one number.
    fn squared_distance(&mut self, divisor: f32, a: View, b: View, y: View);
    /// Cross-entropy of probabilities with labels divided by the number of rows, one number.
    fn multinomial(&mut self, classes: usize, x: View, labels: View, y: View);
    /// Contrastive loss of a pair of blobs divided by the number of rows, one number; `similar` has an entry
    /// for each row.
    fn contrastive(&mut self, margin: f32, legacy: bool, pair: [View; 2], similar: View, y: View);
    /// Share of predictions whose `top` best hold the label; and the same for each class.
    fn accuracy(&mut self, v: AxisView, top: usize, ignore: Option<i32>, io: Judged);

    // Backward. Gradients of blobs are overwritten.

    /// Every element becomes `value`.
    fn fill(&mut self, value: f32, y: View);
    /// How this backend computes gradients as products over `terms` numbers at least: as `wanted`, if that can
    /// be had.
    fn gradient_algorithm(&self, terms: usize, wanted: Option<Algorithm>) -> Algorithm;
    /// Input gradients of a convolution, `io.x` being the gradients of its output and `io.y` those of its
    /// input. `how` is that of [`ConvDims::transposed`], if there is such a convolution.
    fn conv_back(&mut self, d: &ConvDims, how: Algorithm, io: Weighted);
    /// Weight gradients of a convolution.
    fn conv_weights_back(&mut self, d: &ConvDims, how: Algorithm, io: [View; 2], dw: Gradient);
    /// Input gradients of a fully connected layer, `io.x` being the gradients of its output and `io.y`
    /// those of its input.
    fn inner_back(&mut self, d: &InnerDims, how: Algorithm, io: Weighted);
    /// Weight gradients of a fully connected layer from its input and the gradients of its output.
    fn inner_weights_back(&mut self, d: &InnerDims, how: Algorithm, io: [View; 2], dw: Gradient);
    /// Gradient of the table of [`Backend::embed`] from the indices and the gradients of the output.
    fn embed_back(&mut self, outputs: usize, io: [View; 2], dw: Gradient);
    /// `Σ a · b`, or `Σ a`, over all but the axis.
    fn sum_products(&mut self, v: AxisView, a: View, b: Option<View>, out: Gradient);

    /// Gradient of MAX pooling.
    fn max_pool_back(&mut self, d: &PoolDims, io: Chain);
    /// Gradient of AVE pooling.
    fn ave_pool_back(&mut self, d: &PoolDims, dy: View, dx: View);
    /// Gradient of [`Backend::lrn_across`].
    fn lrn_across_back(&mut self, p: &LrnParams, channels: usize, plane: usize, io: Chain);
    /// Gradient of [`Backend::lrn_within`].
    fn lrn_within_back(&mut self, p: &LrnParams, input: [usize; 2], io: Chain);
    /// ReLU's gradient in place, from its output.
    fn relu_back(&mut self, slope: f32, y: View, d: View);
    /// Gradient of a function of each element.
    fn unary_back(&mut self, op: &Unary, io: Chain);
    /// Input gradient of PReLU.
    fn prelu_back(&mut self, v: AxisView, slope: View, io: Chain);
    /// Gradient of PReLU's slopes.
    fn prelu_slope_back(&mut self, v: AxisView, io: [View; 2], dslope: Gradient);
    /// Gradient of input number `which` of [`Backend::eltwise`].
    fn eltwise_back(&mut self, op: &Eltwise, which: usize, xs: &[View], dy: View, dx: View);
    /// Gradient of [`Backend::standardise`]; `own` if the moments are those of its input.
    fn standardise_back(&mut self, v: AxisView, own: bool, variance: View, eps: f32, io: Chain);
    /// Gradient of [`Backend::mvn`].
    fn mvn_back(&mut self, len: usize, deviation: Option<f32>, io: Chain);
    /// Gradient of softmax.
    fn softmax_back(&mut self, v: AxisView, io: Chain);
    /// Gradient of [`Backend::reduce`].
    fn reduce_back(&mut self, op: Reduction, len: usize, coeff: f32, io: Chain);
    /// Gradient of softmax and [`Backend::cross_entropy`] together, times `weight`.
    fn cross_entropy_back(&mut self, v: AxisView, rule: &LossRule, io: LossBack);
    /// Gradient of [`Backend::sigmoid_cross_entropy`], times `weight`.
    fn sigmoid_cross_entropy_back(&mut self, rule: &LossRule, io: LossBack);
    /// Gradient of [`Backend::hinge`], times `weight`.
    fn hinge_back(&mut self, norm: HingeNorm, classes: usize, io: LossBack);
    /// Gradient of [`Backend::multinomial`], times `weight`.
    fn multinomial_back(&mut self, classes: usize, io: LossBack);
    /// Gradient of [`Backend::contrastive`] for one blob of the pair, times `weight`; `other` is the other.
    fn contrastive_back(&mut self, margin: f32, legacy: bool, other: View, io: LossBack);

    /// Σ x².
    fn sum_of_squares(&self, x: View) -> f64;
    /// Changes a parameter by its gradient.
    fn update(&mut self, u: &Update, p: Learnt);
}

/// Operands of a loss's gradient.
#[derive(Clone, Copy, Debug)]
pub struct LossBack {
    /// Scores, or what the loss made of them: probabilities; or one blob of a pair.
    pub x: View,
    /// Labels or targets.
    pub labels: View,
    /// The gradient of the loss itself.
    pub weight: f32,
    /// The gradient of the scores.
    pub dx: View,
}

/// Predictions, labels, and where their accuracy goes.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// Scores.
    pub x: View,
    /// One label for each prediction.
    pub labels: View,
    /// One number: the accuracy.
    pub y: View,
    /// The accuracy of each class, if wanted.
    pub per_class: Option<View>,
}

/// How a backend is to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Threads; 0 means one for each core.
    pub threads: usize,
    /// How weights are kept.
    pub weights: Precision,
    /// Weights change from pass to pass: those of fully connected layers are laid out on the way, for each
    /// pass anew, instead of being kept a second time in another form.
    pub changing: bool,
}

/// The backend of that name: `cpu`, `cuda`, `reference`, or `auto`, which is `cuda` where there is a device for it and
/// else `cpu`. Tests have `cuda-emulated`, too.
pub fn by_name(name: &str, settings: Settings) -> Result<Box<dyn Backend>, String> {
    match name {
        "reference" if settings.weights != Precision::F32 => {
            Err("the reference backend keeps weights as they are: use --backend cpu".into())
        }
        "reference" => Ok(Box::new(Reference::new())),
        "cpu" => Ok(Box::new(Cpu::new(settings)?)),
        "auto" => by_name(if device().is_ok() { "cuda" } else { "cpu" }, settings),
        "cuda" => cuda(settings, false),
        "cuda-emulated" => cuda(settings, true),
        _ => Err(format!("unknown backend '{name}': use auto, cpu, cuda or reference")),
    }
}

/// The device of the backend `cuda`, for people; or why there is none.
#[cfg(feature = "cuda")]
pub fn device() -> Result<String, String> {
    Cuda::device()
}

/// The device of the backend `cuda`, for people; or why there is none.
#[cfg(not(feature = "cuda"))]
pub fn device() -> Result<String, String> {
    Err("this program was built without CUDA".into())
}

#[cfg(feature = "cuda")]
fn cuda(settings: Settings, emulated: bool) -> Result<Box<dyn Backend>, String> {
    let new = if emulated { Cuda::emulated } else { Cuda::new };
    Ok(Box::new(new(settings)?))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: Settings, _: bool) -> Result<Box<dyn Backend>, String> {
    Err("this program was built without CUDA: use --backend cpu".into())
}
