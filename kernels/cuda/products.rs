//! Convolutions and fully connected layers by the fast kernels in exact `f32`: lengths are checked here, then a
//! [`plan`] is played.

use super::device::Device;
use super::plan::{self, After, Pack, Plan};
use super::play::Operands;
use crate::ops::{Algorithm, ConvDims, InnerDims};

/// An operation with everything that its plan follows from: the same one has the same plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Product {
    /// A convolution of a batch; pictures of the output begin `pitch` apart. By Winograd's algorithm, if that fits.
    Conv {
        /// Its sizes.
        d: ConvDims,
        /// How: [`Algorithm::Winograd`] or [`Algorithm::Gemm`].
        how: Algorithm,
        /// Pictures.
        batch: usize,
        /// Elements from one picture of the output to the next.
        pitch: usize,
    },
    /// Input gradients of a convolution, or what undoes it.
    ConvBack {
        /// The convolution.
        d: ConvDims,
        /// How.
        how: Algorithm,
        /// Pictures.
        batch: usize,
    },
    /// Weight gradients of a convolution.
    ConvWeightsBack {
        /// The convolution.
        d: ConvDims,
        /// Pictures.
        batch: usize,
    },
    /// A fully connected layer.
    Inner(InnerDims),
    /// Its input gradients.
    InnerBack(InnerDims),
    /// Its weight gradients.
    InnerWeightsBack(InnerDims),
}

/// What follows the product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Finish {
    /// Whether a bias is added.
    pub bias: bool,
    /// Bits of the slope for negative results, if there is a ReLU.
    pub relu: Option<u32>,
    /// Whether the result is added to what is there.
    pub add: bool,
}

impl Product {
    /// Its launches.
    pub fn plan(&self, gpu: &plan::Gpu, finish: Finish) -> Plan {
        let relu = finish.relu.map(f32::from_bits);
        let after = After { bias: finish.bias, relu, add: finish.add };
        match *self {
            Self::Conv { d, how: Algorithm::Winograd, batch, pitch } => {
                plan::winograd(gpu, &d, batch, pitch, after)
            }
            Self::Conv { d, batch, pitch, .. } => plan::conv(gpu, &d, batch, pitch, after),
            Self::ConvBack { d, how: Algorithm::Winograd, batch } => {
                let t = d.transposed().expect("an algorithm of a convolution that there is");
                plan::winograd(gpu, &t, batch, t.output_len(), after)
            }
            Self::ConvBack { d, batch, .. } => plan::conv_back(gpu, &d, batch, after),
            Self::ConvWeightsBack { d, batch } => {
                plan::conv_weights_back(gpu, &d, batch, finish.add)
            }
            Self::Inner(d) => plan::inner(gpu, &d, after),
            Self::InnerBack(d) => plan::inner_back(gpu, &d),
            Self::InnerWeightsBack(d) => plan::inner_weights_back(gpu, &d, finish.add),
        }
    }

    /// How its weights are packed first, if they are.
    pub fn packing(&self) -> Option<Pack> {
        match self {
            Self::Conv { d, how: Algorithm::Winograd, .. } => Some(plan::winograd_pack(d, false)),
            Self::Conv { d, .. } => Some(plan::conv_pack(d)),
            Self::ConvBack { d, how: Algorithm::Winograd, .. } => {
                Some(plan::winograd_pack(d, true))
            }
            Self::ConvBack { d, .. } => Some(plan::conv_back_pack(d)),
            _ => None,
        }
    }

    /// Elements of x, dy, weights and y, as far as the operation has them.
    fn lengths(&self) -> [usize; 4] {
        let weights = |d: &ConvDims| d.filters * d.patch_len();
        match self {
            Self::Conv { d, batch, pitch, .. } => {
                let y = batch.saturating_sub(1) * pitch + d.output_len();
                [batch * d.input_len(), 0, weights(d), y]
            }
            Self::ConvBack { d, batch, .. } => {
                [batch * d.output_len(), 0, weights(d), batch * d.input_len()]
            }
            Self::ConvWeightsBack { d, batch } => {
                [batch * d.input_len(), batch * d.output_len(), 0, weights(d)]
            }
            Self::Inner(d) => [d.rows * d.inputs, 0, d.inputs * d.outputs, d.rows * d.outputs],
            Self::InnerBack(d) => [d.rows * d.outputs, 0, d.inputs * d.outputs, d.rows * d.inputs],
            Self::InnerWeightsBack(d) => {
                [d.rows * d.inputs, d.rows * d.outputs, 0, d.inputs * d.outputs]
            }
        }
    }

    /// Values of its bias.
    fn bias_len(&self) -> usize {
        match self {
            Self::Conv { d, .. } => d.filters,
            Self::ConvBack { d, .. } => d.channels,
            Self::Inner(d) => d.outputs,
            _ => 0,
        }
    }
}

/// How a convolution is computed exactly: as `wanted`, if that can be had, else as is estimated to be fastest.
pub fn conv_algorithm(
    gpu: &plan::Gpu,
    d: &ConvDims,
    batch: usize,
    wanted: Option<Algorithm>,
) -> Algorithm {
    match wanted {
        Some(Algorithm::Plain) => Algorithm::Plain,
        Some(Algorithm::Winograd) if plan::winograd_fits(d) => Algorithm::Winograd,
        None if plan::winograd_wins(gpu, d, batch) => Algorithm::Winograd,
        _ => Algorithm::Gemm,
    }
}

impl Device {
    /// Plays the plan of an operation.
    ///
    /// # Panics
    /// When an operand is too short.
    pub fn product(&self, product: &Product, plan: &Plan, operands: &Operands) {
        let lengths = product.lengths();
        let Operands { x, dy, weight, packed, bias, y } = *operands;
        for (span, least) in [x, dy, weight, y].into_iter().zip(lengths) {
            let len = span.map_or(0, |s| s.len);
            assert!(len >= least, "{product:?}: an operand of {len}, {least} are needed");
        }
        if let Some(pack) = product.packing() {
            let len = packed.map_or(0, |s| s.len);
            assert!(len * size_of::<f32>() >= pack.bytes, "packed weights: {len}");
        }
        assert!(bias.is_none_or(|b| b.len >= product.bias_len()), "a bias is too short");
        if lengths[3] > 0 && lengths[0] > 0 {
            self.play(plan, operands);
        }
    }
}
