//! What each operation is, as plain numbers that every backend shares.
//!
//! Sizes are in elements; pictures are `(n, c, h, w)`, row-major; pairs are `[vertical, horizontal]`.

/// A sliding window: size, step, border and spread, each `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Distance between neighbouring windows.
    pub stride: [usize; 2],
    /// Rows and columns added on each side of the picture.
    pub pad: [usize; 2],
    /// Distance between neighbouring taps of one window.
    pub dilation: [usize; 2],
}

impl Window {
    /// Height or width that the spread-out window covers.
    pub fn extent(&self, axis: usize) -> usize {
        self.dilation[axis] * (self.kernel[axis] - 1) + 1
    }
}

/// A grouped two-dimensional convolution with all its sizes known.
///
/// Input `(batch, channels, h, w)`, weights `(filters, channels / group, kh, kw)`, output
/// `(batch, filters, out_h, out_w)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvDims {
    /// Input channels, all groups together.
    pub channels: usize,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Output channels, all groups together.
    pub filters: usize,
    /// Height and width of the output.
    pub output: [usize; 2],
    /// Input and output channels are cut into this many independent groups.
    pub group: usize,
    /// The sliding window.
    pub window: Window,
}

impl ConvDims {
    /// Elements of one input picture.
    pub fn input_len(&self) -> usize {
        self.channels * self.input[0] * self.input[1]
    }

    /// Elements of one output picture.
    pub fn output_len(&self) -> usize {
        self.filters * self.output[0] * self.output[1]
    }

    /// Weights that make one output value: channels of a group × window area.
    pub fn patch_len(&self) -> usize {
        self.channels / self.group * self.window.kernel[0] * self.window.kernel[1]
    }

    /// Positions of one output plane.
    pub fn positions(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// The convolution over output gradients that gives input gradients, with [flipped](crate::cpu::conv::flipped)
    /// filters; none where windows do not follow one another, or padding goes beyond their reach.
    pub fn transposed(&self) -> Option<Self> {
        let w = &self.window;
        let pad = |axis: usize| (w.extent(axis) - 1).checked_sub(w.pad[axis]);
        let pad = [pad(0)?, pad(1)?];
        (w.stride == [1, 1]).then_some(Self {
            channels: self.filters,
            input: self.output,
            filters: self.channels,
            output: self.input,
            group: self.group,
            window: Window { pad, ..*w },
        })
    }

    /// Whether the patch matrix is the input itself: 1×1 windows, one after the other, no border.
    pub fn is_pointwise(&self) -> bool {
        let w = &self.window;
        w.kernel == [1, 1] && w.stride == [1, 1] && w.pad == [0, 0]
    }
}

/// How a convolution or a fully connected layer is computed. All give the same sums, rounded differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Nested loops, sums in `f64`: the definition.
    Plain,
    /// Every tap reads the picture itself, which is laid out once.
    Direct,
    /// A matrix product; a convolution's patches are laid out panel by panel.
    Gemm,
    /// Fewer multiplications, over tiles that are transformed before and after.
    Winograd,
    /// Direct, in the processor's matrix unit, each number as the sum of two `bf16`.
    Tiles,
    /// A product with weights of 24 bits, as exact as two `bf16` and shorter: fully connected layers only.
    Short,
}

impl Algorithm {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Direct => "direct",
            Self::Gemm => "gemm",
            Self::Winograd => "winograd",
            Self::Tiles => "tiles",
            Self::Short => "short",
        }
    }
}

/// Sizes of a fully connected layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InnerDims {
    /// Rows of the batch.
    pub rows: usize,
    /// Inputs of a row.
    pub inputs: usize,
    /// Outputs of a row.
    pub outputs: usize,
    /// Weights are `(inputs, outputs)` instead of `(outputs, inputs)`.
    pub transpose: bool,
}

/// How weights are kept. Sums are `f32` all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// As they are.
    #[default]
    F32,
    /// The upper 24 bits of an `f32`, rounded: sixteen bits of mantissa.
    F24,
    /// IEEE half precision: eleven bits.
    F16,
    /// Eight bits, and a factor for each output.
    I8,
}

impl Precision {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F24 => "f24",
            Self::F16 => "f16",
            Self::I8 => "int8",
        }
    }
}

/// Pooling over planes of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolDims {
    /// Height and width of an input plane.
    pub input: [usize; 2],
    /// Height and width of an output plane.
    pub output: [usize; 2],
    /// The sliding window; its dilation is 1.
    pub window: Window,
}

/// A blob seen along one axis: `outer` blocks, each of `len` rows of `inner` contiguous elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxisView {
    /// Product of the dimensions before the axis.
    pub outer: usize,
    /// The axis's own dimension, or the product of several neighbouring ones.
    pub len: usize,
    /// Product of the dimensions after the axis.
    pub inner: usize,
}

impl AxisView {
    /// Elements in one of the outer blocks.
    pub fn block(&self) -> usize {
        self.len * self.inner
    }
}

/// Local response normalisation: `y = x · (k + α/n · Σ x²)^−β`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LrnParams {
    /// Width of the neighbourhood: channels, or the side of a square within a channel.
    pub size: usize,
    /// α.
    pub alpha: f32,
    /// β.
    pub beta: f32,
    /// k.
    pub k: f32,
}

/// A function of one number, applied to each element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    /// `x > 0 ? x : slope · x`.
    Relu {
        /// Slope for x ≤ 0.
        slope: f32,
    },
    /// `x > 0 ? x : α (eˣ − 1)`.
    Elu {
        /// α.
        alpha: f32,
    },
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid,
    /// Hyperbolic tangent.
    TanH,
    /// `|x|`.
    AbsVal,
    /// `(shift + scale · x)^power`.
    Power {
        /// Exponent.
        power: f32,
        /// Factor of x.
        scale: f32,
        /// Added before the power.
        shift: f32,
    },
    /// `base^(shift + scale · x)`; no base means e.
    Exp {
        /// Base, e when absent.
        base: Option<f32>,
        /// Factor of x.
        scale: f32,
        /// Added to the exponent.
        shift: f32,
    },
    /// `log_base(shift + scale · x)`; no base means e.
    Log {
        /// Base, e when absent.
        base: Option<f32>,
        /// Factor of x.
        scale: f32,
        /// Added before the logarithm.
        shift: f32,
    },
    /// `ln(1 + eˣ)`.
    Bnll,
    /// `min(max(x, low), high)`.
    Clip {
        /// Lower bound.
        low: f32,
        /// Upper bound.
        high: f32,
    },
    /// `x · sigmoid(β x)`.
    Swish {
        /// β.
        beta: f32,
    },
    /// `x > threshold ? 1 : 0`.
    Threshold {
        /// The bound.
        threshold: f32,
    },
}

/// How several blobs of one shape become one.
#[derive(Clone, Debug, PartialEq)]
pub enum Eltwise {
    /// `Σ cᵢ · xᵢ`, one coefficient for each input.
    Sum(Vec<f32>),
    /// `Π xᵢ`.
    Prod,
    /// The largest. Between the first two a tie goes to the second; a later input must be larger.
    Max,
}

/// How the elements of a row become one number, which is then multiplied by a coefficient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// `Σ x`.
    Sum,
    /// `Σ |x|`.
    Asum,
    /// `Σ x²`.
    SumSq,
    /// `Σ x / n`.
    Mean,
}

/// What a loss is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalization {
    /// Every prediction, ignored ones too.
    Full,
    /// Predictions whose label is not ignored.
    Valid,
    /// The size of the batch.
    BatchSize,
    /// One.
    None,
}

/// Penalty of the hinge loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HingeNorm {
    /// `Σ max(0, margin)`.
    L1,
    /// `Σ max(0, margin)²`.
    L2,
}

/// Blocks copied between two blobs: `count` times `len` contiguous elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockCopy {
    /// How many blocks.
    pub count: usize,
    /// Elements of a block.
    pub len: usize,
    /// Where the first block starts in the source, and how far apart the blocks are there.
    pub from: [usize; 2],
    /// The same in the destination.
    pub to: [usize; 2],
}

impl BlockCopy {
    /// The copy back.
    pub fn turned(&self) -> Self {
        Self { from: self.to, to: self.from, ..*self }
    }
}

/// How a gradient changes a weight. In the formulas g is the gradient, α the rate, h the first history
/// and k the second, which both start at zero; then `w -= step`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum UpdateRule {
    /// Gradient descent with momentum (Polyak, 1964): `h = α g + μ h`, `step = h`.
    Sgd {
        /// μ.
        momentum: f32,
    },
    /// Nesterov's accelerated gradient (Nesterov, 1983): `h' = α g + μ h`, `step = (1 + μ) h' − μ h`.
    Nesterov {
        /// μ.
        momentum: f32,
    },
    /// AdaGrad (Duchi et al., 2011): `h += g²`, `step = α g / (√h + δ)`.
    AdaGrad {
        /// δ.
        delta: f32,
    },
    /// RMSProp (Tieleman and Hinton, 2012): `h = (1 − ρ) g² + ρ h`, `step = α g / (√h + δ)`.
    RmsProp {
        /// ρ.
        decay: f32,
        /// δ.
        delta: f32,
    },
    /// AdaDelta (Zeiler, 2012): `h = (1 − μ) g² + μ h`, `s = g √((k + δ) / (h + δ))`,
    /// `k = (1 − μ) s² + μ k`, `step = α s`.
    AdaDelta {
        /// μ.
        momentum: f32,
        /// δ.
        delta: f32,
    },
    /// Adam (Kingma and Ba, 2015): `h = (1 − μ) g + μ h`, `k = (1 − ν) g² + ν k`,
    /// `step = α c h / (√k + δ)`.
    Adam {
        /// μ.
        momentum: f32,
        /// ν.
        momentum2: f32,
        /// δ.
        delta: f32,
        /// c in the t-th update, counted from 1: `√(1 − νᵗ) / (1 − μᵗ)`.
        correction: f32,
    },
}

impl UpdateRule {
    /// Numbers remembered for each weight: 1 or 2.
    pub fn histories(&self) -> usize {
        match self {
            Self::Sgd { .. } | Self::Nesterov { .. } => 1,
            Self::AdaGrad { .. } | Self::RmsProp { .. } => 1,
            Self::AdaDelta { .. } | Self::Adam { .. } => 2,
        }
    }
}

/// What pulls weights towards zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Penalty {
    /// Nothing.
    None,
    /// `g += decay · sign(w)`; the sign of zero is zero.
    L1,
    /// `g += decay · w`.
    #[default]
    L2,
}

/// One update of one parameter: `g · clip · average`, then the penalty, then the rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// How the gradient changes the weight.
    pub rule: UpdateRule,
    /// The solver's rate × the parameter's `lr_mult`.
    pub rate: f32,
    /// The solver's `weight_decay` × the parameter's `decay_mult`.
    pub decay: f32,
    /// What `decay` multiplies.
    pub penalty: Penalty,
    /// The factor that shortens all gradients to `clip_gradients`; 1 where they are short enough.
    pub clip: f32,
    /// 1 / the number of batches whose gradients were summed (`iter_size`).
    pub average: f32,
}
