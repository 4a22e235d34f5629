//! The networks whose gradients are checked.

use super::{Case, case};

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Case> {
    OTHERS.iter().chain(BY_ELEMENT.iter().flatten())
}

/// A layer alone; and in place, between layers whose gradients need what it overwrites.
macro_rules! twice {
    ($kind:literal, $fields:literal) => {
        [
            case(concat!($kind, " ", $fields), "x:3,4,2,3", concat!($kind, " x > y | ", $fields)),
            case(
                concat!($kind, " ", $fields, " in place"),
                "x:3,4,2,3",
                concat!(
                    "Power x > y | power_param { scale: 1.25 }\n",
                    $kind,
                    " y > y | ",
                    $fields,
                    "\nSigmoid y > y"
                ),
            )
            .within(-1.2, 1.2),
        ]
    };
}

/// Layers that may work in place.
#[rustfmt::skip] // a table: what a case is, then its layers
const BY_ELEMENT: &[[Case; 2]] = &[
    twice!("ReLU", ""),
    twice!("ReLU", "relu_param { negative_slope: 0.25 }"),
    twice!("ReLU", "relu_param { negative_slope: -0.5 }"),
    twice!("ELU", "elu_param { alpha: 0.6 }"),
    twice!("Sigmoid", ""),
    twice!("TanH", ""),
    twice!("AbsVal", ""),
    twice!("BNLL", ""),
    twice!("Power", "power_param { power: 1 scale: 0.7 shift: 2.5 }"),
    twice!("Power", "power_param { power: 2 scale: 0.7 shift: 2.5 }"),
    twice!("Power", "power_param { power: 3 scale: 0.7 shift: 2.5 }"),
    twice!("Power", "power_param { power: -1.5 scale: 0.7 shift: 2.5 }"),
    twice!("Exp", ""),
    twice!("Exp", "exp_param { base: 2 scale: 0.7 shift: 0.5 }"),
    twice!("Log", "log_param { shift: 3 }"),
    twice!("Log", "log_param { base: 2 scale: 0.7 shift: 2.5 }"),
    [
        case("Clip clip min: -0.5 max: 0.75", "x:3,4,2,3",
            "Clip x > y | clip_param { min: -0.5 max: 0.75 }").corners(&[-0.5, 0.75]),
        case("Clip clip min: -0.5 max: 0.75 in place", "x:3,4,2,3",
            "Power x > y | power_param { scale: 1.25 }
             Clip y > y | clip_param { min: -0.5 max: 0.75 }
             Sigmoid y > y").within(-1.2, 1.2).corners(&[-0.4, 0.6]),
    ],
    twice!("Swish", "swish_param { beta: 1.5 }"),
    twice!("Dropout", "dropout_param { dropout_ratio: 0.4 }"),
    twice!("Dropout", "phase: TEST dropout_param { dropout_ratio: 0.4 }"),
    twice!("PReLU", ""),
    twice!("PReLU", "prelu_param { channel_shared: true }"),
    twice!("BatchNorm", ""),
    twice!("BatchNorm", "batch_norm_param { use_global_stats: true eps: 0.01 }"),
    twice!("Scale", "scale_param { bias_term: true }"),
    twice!("Scale", "scale_param { axis: 0 num_axes: 2 }"),
    twice!("Scale", "scale_param { num_axes: 0 }"),
    twice!("Scale", "scale_param { axis: 1 num_axes: -1 bias_term: true }"),
    twice!("Bias", ""),
    twice!("Bias", "bias_param { axis: 2 num_axes: 2 }"),
    twice!("MVN", ""),
    twice!("MVN", "mvn_param { normalize_variance: false across_channels: true }"),
    twice!("MVN", "mvn_param { across_channels: true }"),
];

/// Every other layer, alone and together.
#[rustfmt::skip] // a table: what a case is, then its layers
const OTHERS: &[Case] = &[
    case("conv 3x3", "x:2,3,5,6",
        "Convolution x > y | convolution_param { num_output: 4 kernel_size: 3 pad: 1 }"),
    case("conv 3x3, many channels", "x:2,20,6,7",
        "Convolution x > y | convolution_param { num_output: 18 kernel_size: 3 pad: 1 }"),
    case("conv of two groups", "x:2,4,5,6",
        "Convolution x > y | convolution_param { num_output: 6 kernel_size: 3 pad: 1 group: 2 }"),
    case("conv of wide groups", "x:1,32,5,5",
        "Convolution x > y | convolution_param { num_output: 32 kernel_size: 3 pad: 1 group: 2 }"),
    case("conv by channel", "x:2,4,5,6",
        "Convolution x > y | convolution_param { num_output: 4 kernel_size: 3 pad: 1 group: 4 }"),
    case("conv dilated", "x:2,3,7,8",
        "Convolution x > y | convolution_param { num_output: 2 kernel_size: 3 dilation: 2 pad: 1 }"),
    case("conv dilated, stride 2, groups", "x:2,4,8,9",
        "Convolution x > y | convolution_param { num_output: 4 kernel_size: 3 dilation: 2 stride: 2 pad: 2 group: 2 }"),
    case("conv stride 2 with pixels left", "x:2,3,6,8",
        "Convolution x > y | convolution_param { num_output: 4 kernel_size: 3 stride: 2 }"),
    case("conv stride 4", "x:1,3,15,13",
        "Convolution x > y | convolution_param { num_output: 4 kernel_size: 7 stride: 4 }"),
    case("conv not square", "x:2,3,5,7",
        "Convolution x > y | convolution_param { num_output: 4 kernel_h: 2 kernel_w: 3 stride_h: 2 stride_w: 1 pad_h: 1 pad_w: 2 }"),
    case("conv 1x1", "x:2,5,3,4",
        "Convolution x > y | convolution_param { num_output: 4 kernel_size: 1 }"),
    case("conv 1x1, many channels", "x:2,40,3,4",
        "Convolution x > y | convolution_param { num_output: 36 kernel_size: 1 }"),
    case("conv 1x1 stride 2", "x:2,3,5,6",
        "Convolution x > y | convolution_param { num_output: 4 kernel_size: 1 stride: 2 }"),
    case("conv padded beyond its reach", "x:2,3,3,4",
        "Convolution x > y | convolution_param { num_output: 4 kernel_size: 2 pad: 3 }"),
    case("conv 5x5", "x:2,4,6,5",
        "Convolution x > y | convolution_param { num_output: 4 kernel_size: 5 pad: 2 group: 2 }"),
    case("conv without bias", "x:2,3,5,6",
        "Convolution x > y | convolution_param { num_output: 4 kernel_size: 3 bias_term: false }"),
    case("conv as large as its picture", "x:3,2,4,5",
        "Convolution x > y | convolution_param { num_output: 6 kernel_h: 4 kernel_w: 5 }"),
    case("conv of two bottoms", "x:2,3,5,6 y:2,3,5,6",
        "Convolution x y > a b | convolution_param { num_output: 4 kernel_size: 3 pad: 1 }"),
    case("conv of two sizes", "x:2,3,5,6 y:1,3,4,7",
        "Convolution x y > a b | convolution_param { num_output: 4 kernel_size: 3 }"),
    case("deconv", "x:2,3,3,4",
        "Deconvolution x > y | convolution_param { num_output: 4 kernel_size: 3 stride: 2 pad: 1 }"),
    case("deconv 4x4", "x:2,3,3,4",
        "Deconvolution x > y | convolution_param { num_output: 2 kernel_size: 4 stride: 2 pad: 1 bias_term: false }"),
    case("deconv of groups", "x:2,4,3,4",
        "Deconvolution x > y | convolution_param { num_output: 6 kernel_size: 3 group: 2 }"),
    case("deconv by channel", "x:2,4,3,4",
        "Deconvolution x > y | convolution_param { num_output: 4 kernel_size: 4 stride: 2 group: 4 }"),
    case("deconv dilated", "x:2,3,3,4",
        "Deconvolution x > y | convolution_param { num_output: 2 kernel_size: 3 dilation: 2 }"),
    case("deconv 1x1", "x:2,3,3,4",
        "Deconvolution x > y | convolution_param { num_output: 5 kernel_size: 1 }"),
    case("deconv, many channels", "x:2,20,3,4",
        "Deconvolution x > y | convolution_param { num_output: 18 kernel_size: 3 pad: 1 }"),
    case("deconv of two sizes", "x:2,3,3,4 y:2,3,2,5",
        "Deconvolution x y > a b | convolution_param { num_output: 2 kernel_size: 3 stride: 2 }"),
    case("inner product", "x:3,7",
        "InnerProduct x > y | inner_product_param { num_output: 5 }"),
    case("inner product of pictures", "x:3,2,3,4",
        "InnerProduct x > y | inner_product_param { num_output: 5 }"),
    case("inner product from axis 2", "x:2,3,4,2",
        "InnerProduct x > y | inner_product_param { num_output: 5 axis: 2 }"),
    case("inner product transposed", "x:3,8",
        "InnerProduct x > y | inner_product_param { num_output: 5 transpose: true }"),
    case("inner product without bias", "x:3,8",
        "InnerProduct x > y | inner_product_param { num_output: 5 bias_term: false }"),
    case("inner product, wide", "x:5,70",
        "InnerProduct x > y | inner_product_param { num_output: 66 }"),
    case("inner product, wide and transposed", "x:5,70",
        "InnerProduct x > y | inner_product_param { num_output: 66 transpose: true }"),
    case("MAX pooling 2x2", "x:2,2,4,6",
        "Pooling x > y | pooling_param { pool: MAX kernel_size: 2 stride: 2 }"),
    case("MAX pooling 3x3, overlapping, rounded up", "x:2,2,6,8",
        "Pooling x > y | pooling_param { pool: MAX kernel_size: 3 stride: 2 }"),
    case("MAX pooling 3x3, padded", "x:2,2,4,5",
        "Pooling x > y | pooling_param { pool: MAX kernel_size: 3 stride: 1 pad: 1 }"),
    case("MAX pooling 3x3, padded, rounded down", "x:2,2,6,6",
        "Pooling x > y | pooling_param { pool: MAX kernel_size: 3 stride: 2 pad: 1 round_mode: FLOOR }"),
    case("MAX pooling not square", "x:2,2,5,6",
        "Pooling x > y | pooling_param { pool: MAX kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3 pad_h: 1 pad_w: 0 }"),
    case("MAX pooling of all", "x:2,3,4,5",
        "Pooling x > y | pooling_param { pool: MAX global_pooling: true }"),
    case("AVE pooling 2x2", "x:2,2,4,6",
        "Pooling x > y | pooling_param { pool: AVE kernel_size: 2 stride: 2 }"),
    case("AVE pooling 3x3, overlapping, rounded up", "x:2,2,6,8",
        "Pooling x > y | pooling_param { pool: AVE kernel_size: 3 stride: 2 }"),
    case("AVE pooling 3x3, padded", "x:2,2,4,5",
        "Pooling x > y | pooling_param { pool: AVE kernel_size: 3 stride: 1 pad: 1 }"),
    case("AVE pooling 3x3, padded, rounded down", "x:2,2,6,6",
        "Pooling x > y | pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 round_mode: FLOOR }"),
    case("AVE pooling not square", "x:2,2,5,6",
        "Pooling x > y | pooling_param { pool: AVE kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 3 pad_h: 1 pad_w: 0 }"),
    case("AVE pooling of all", "x:2,3,4,5",
        "Pooling x > y | pooling_param { pool: AVE global_pooling: true }"),
    case("LRN across 3, alpha: 1.5", "x:2,6,3,4",
        "LRN x > y | lrn_param { local_size: 3 alpha: 1.5 }"),
    case("LRN across 5, alpha: 2 beta: 0.5 k: 2", "x:2,6,3,4",
        "LRN x > y | lrn_param { local_size: 5 alpha: 2 beta: 0.5 k: 2 }"),
    case("LRN across 5, alpha: 0.5 beta: 0.8", "x:2,6,3,4",
        "LRN x > y | lrn_param { local_size: 5 alpha: 0.5 beta: 0.8 }"),
    case("LRN within 3", "x:2,2,5,4",
        "LRN x > y | lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 alpha: 1.5 }"),
    case("an input changed in place", "x:2,5",
        "TanH x > x
         Power x > y | power_param { power: 2 shift: 3 }"),
    case("batch normalisation of rows", "x:6,5",
        "BatchNorm x > y"),
    case("Scale by a bottom", "x:2,3,4 s:3,4",
        "Scale x s > y | scale_param { axis: 1 }"),
    case("Scale by a bottom, with bias", "x:2,3,4 s:3",
        "Scale x s > y | scale_param { axis: 1 bias_term: true }"),
    case("Scale by itself", "x:2,3,4",
        "Power x > p | power_param { shift: 0.3 }
         Scale p p > y | scale_param { axis: 0 }"),
    case("Bias by a bottom", "x:2,3,4 b:2,3",
        "Bias x b > y | bias_param { axis: 0 }"),
    case("Bias by itself", "x:2,3",
        "TanH x > p
         Bias p p > y | bias_param { axis: 0 }"),
    case("Softmax", "x:4,5",
        "Softmax x > y"),
    case("Softmax of pictures", "x:2,5,2,3",
        "Softmax x > y"),
    case("Softmax along axis 2", "x:2,3,4",
        "Softmax x > y | softmax_param { axis: 2 }"),
    case("Concat along axis 0", "x:2,3,4 y:1,3,4",
        "Concat x y > z | concat_param { axis: 0 }"),
    case("Concat of three", "x:2,1,4 y:2,3,4 z:2,2,4",
        "Concat x y z > w"),
    case("Concat along the last axis", "x:2,3,1 y:2,3,4",
        "Concat x y > z | concat_param { axis: -1 }"),
    case("Concat with itself", "x:2,3,2",
        "TanH x > t
         Concat t t > z"),
    case("Slice", "x:2,6,3",
        "Slice x > a b c"),
    case("Slice at points", "x:2,6,3",
        "Slice x > a b c | slice_param { slice_point: 1 slice_point: 4 }"),
    case("Slice along axis 0", "x:4,3",
        "Slice x > a b | slice_param { axis: 0 }"),
    case("Slice with an unused top", "x:2,6,3",
        "Slice x > a b c
         TanH b > y | loss_weight: 1.5"),
    case("Slice with a silent top", "x:2,6,3",
        "Slice x > a b c
         Silence a > 
         Eltwise b c > y | eltwise_param { operation: PROD } loss_weight: 1"),
    case("Split", "x:2,3,4",
        "TanH x > t
         Split t > a b c
         Power a > p | power_param { power: 2 }
         Eltwise p b c > y | eltwise_param { operation: PROD }"),
    case("Split with an unused top", "x:2,3,4",
        "TanH x > t
         Split t > a b c
         Power a > p | power_param { power: 2 } loss_weight: 1
         Sigmoid c > s | loss_weight: 2"),
    case("Eltwise SUM", "x:2,3,4 y:2,3,4 z:2,3,4",
        "Eltwise x y z > w"),
    case("Eltwise SUM with coefficients", "x:2,3,4 y:2,3,4",
        "Eltwise x y > w | eltwise_param { coeff: 0.5 coeff: -2 }"),
    case("Eltwise PROD", "x:2,3,2 y:2,3,2 z:2,3,2",
        "Eltwise x y z > w | eltwise_param { operation: PROD }"),
    case("Eltwise PROD with itself", "x:2,3,4",
        "Eltwise x x > w | eltwise_param { operation: PROD }"),
    case("Eltwise MAX", "x:2,3,4 y:2,3,4 z:2,3,4",
        "Eltwise x y z > w | eltwise_param { operation: MAX }"),
    case("Flatten", "x:2,3,4",
        "Flatten x > f
         TanH f > y"),
    case("Reshape", "x:2,3,4",
        "TanH x > t
         Reshape t > r | reshape_param { shape { dim: 0 dim: -1 dim: 2 } }
         Softmax r > y"),
    case("Reshape in a chain of names", "x:2,3,4",
        "Reshape x > r | reshape_param { shape { dim: -1 } }
         TanH r > r
         Flatten r > y | flatten_param { axis: 0 }"),
    case("Crop", "x:2,3,5,6 r:2,3,3,4=0",
        "Crop x r > y | crop_param { axis: 2 offset: 1 offset: 2 }"),
    case("Crop of channels", "x:2,4,3,3 r:1,2,2,3=0",
        "Crop x r > y | crop_param { axis: 0 offset: 1 offset: 1 offset: 0 offset: 0 }"),
    case("Tile along axis 0", "x:2,3,2",
        "Tile x > y | tile_param { axis: 0 tiles: 3 }"),
    case("Tile along axis 1", "x:2,3,2",
        "Tile x > y | tile_param { axis: 1 tiles: 3 }"),
    case("Tile along axis 2", "x:2,3,2",
        "Tile x > y | tile_param { axis: 2 tiles: 3 }"),
    case("Reduction SUM", "x:2,3,4",
        "Reduction x > y | reduction_param { operation: SUM axis: 1 coeff: 1.5 }"),
    case("Reduction ASUM", "x:2,3,4",
        "Reduction x > y | reduction_param { operation: ASUM axis: 1 coeff: 1.5 }"),
    case("Reduction SUMSQ", "x:2,3,4",
        "Reduction x > y | reduction_param { operation: SUMSQ axis: 1 coeff: 1.5 }"),
    case("Reduction MEAN", "x:2,3,4",
        "Reduction x > y | reduction_param { operation: MEAN axis: 1 coeff: 1.5 }"),
    case("Reduction of all", "x:2,3,4",
        "Reduction x > y | reduction_param { operation: SUMSQ } loss_weight: 0.5"),
    case("Embed", "i:2,3=4,0,2,2,1,4",
        "Embed i > y | embed_param { input_dim: 5 num_output: 4 }"),
    case("Embed without bias", "i:4=1,1,0,2",
        "Embed i > e | embed_param { input_dim: 3 num_output: 4 bias_term: false }
         TanH e > y"),
    case("SoftmaxWithLoss", "x:4,5 label:4=0,4,2,1",
        "SoftmaxWithLoss x label > loss"),
    case("SoftmaxWithLoss with probabilities", "x:4,5 label:4=0,4,2,1",
        "SoftmaxWithLoss x label > loss p | loss_weight: 0.3"),
    case("SoftmaxWithLoss along axis 2", "x:2,3,4 label:2,3=0,3,1,2,2,0",
        "SoftmaxWithLoss x label > loss | softmax_param { axis: 2 }"),
    case("SoftmaxWithLoss FULL", "x:2,4,2,3 label:2,2,3=0,3,1,2,3,0,1,1,2,0,3,1",
        "SoftmaxWithLoss x label > loss | loss_param { normalization: FULL ignore_label: 1 }"),
    case("SigmoidCrossEntropyLoss FULL", "x:2,4 t:2,4=0,1,0.25,2,1,0.75,2,0",
        "SigmoidCrossEntropyLoss x t > loss | loss_param { normalization: FULL ignore_label: 2 }"),
    case("SoftmaxWithLoss VALID", "x:2,4,2,3 label:2,2,3=0,3,1,2,3,0,1,1,2,0,3,1",
        "SoftmaxWithLoss x label > loss | loss_param { normalization: VALID ignore_label: 1 }"),
    case("SigmoidCrossEntropyLoss VALID", "x:2,4 t:2,4=0,1,0.25,2,1,0.75,2,0",
        "SigmoidCrossEntropyLoss x t > loss | loss_param { normalization: VALID ignore_label: 2 }"),
    case("SoftmaxWithLoss BATCH_SIZE", "x:2,4,2,3 label:2,2,3=0,3,1,2,3,0,1,1,2,0,3,1",
        "SoftmaxWithLoss x label > loss | loss_param { normalization: BATCH_SIZE ignore_label: 1 }"),
    case("SigmoidCrossEntropyLoss BATCH_SIZE", "x:2,4 t:2,4=0,1,0.25,2,1,0.75,2,0",
        "SigmoidCrossEntropyLoss x t > loss | loss_param { normalization: BATCH_SIZE ignore_label: 2 }"),
    case("SoftmaxWithLoss NONE", "x:2,4,2,3 label:2,2,3=0,3,1,2,3,0,1,1,2,0,3,1",
        "SoftmaxWithLoss x label > loss | loss_param { normalization: NONE ignore_label: 1 }"),
    case("SigmoidCrossEntropyLoss NONE", "x:2,4 t:2,4=0,1,0.25,2,1,0.75,2,0",
        "SigmoidCrossEntropyLoss x t > loss | loss_param { normalization: NONE ignore_label: 2 }"),
    case("SoftmaxWithLoss normalize: false", "x:2,4,2,3 label:2,2,3=0,3,1,2,3,0,1,1,2,0,3,1",
        "SoftmaxWithLoss x label > loss | loss_param { normalize: false ignore_label: 1 }"),
    case("SigmoidCrossEntropyLoss with probabilities", "x:2,3 t:2,3=0,1,0.25,1,1,0.75",
        "SigmoidCrossEntropyLoss x t > loss p"),
    case("HingeLoss L1", "x:4,5 label:4=0,4,2,1",
        "HingeLoss x label > loss | hinge_loss_param { norm: L1 }").corners(&[-1.0, 1.0]),
    case("HingeLoss L2", "x:4,5 label:4=0,4,2,1",
        "HingeLoss x label > loss | hinge_loss_param { norm: L2 }").corners(&[-1.0, 1.0]),
    case("EuclideanLoss", "x:3,4 y:3,4",
        "EuclideanLoss x y > loss"),
    case("EuclideanLoss of other shapes", "x:3,4 y:3,2,2",
        "EuclideanLoss y x > loss | loss_weight: 2"),
    case("ContrastiveLoss, margin 2.9, legacy false", "x:6,3 y:6,3 s:6=0,1,0,1,0,0",
        "ContrastiveLoss x y s > loss | contrastive_loss_param { margin: 2.9 legacy_version: false }"),
    case("ContrastiveLoss, margin 1.2, legacy false", "x:6,3 y:6,3 s:6=0,1,0,1,0,0",
        "ContrastiveLoss x y s > loss | contrastive_loss_param { margin: 1.2 legacy_version: false }"),
    case("ContrastiveLoss, margin 2.9, legacy true", "x:6,3 y:6,3 s:6=0,1,0,1,0,0",
        "ContrastiveLoss x y s > loss | contrastive_loss_param { margin: 2.9 legacy_version: true }"),
    case("ContrastiveLoss, margin 1.2, legacy true", "x:6,3 y:6,3 s:6=0,1,0,1,0,0",
        "ContrastiveLoss x y s > loss | contrastive_loss_param { margin: 1.2 legacy_version: true }"),
    case("MultinomialLogisticLoss", "x:4,5 label:4=0,4,2,1",
        "MultinomialLogisticLoss x label > loss").within(0.2, 1.2),
    case("MultinomialLogisticLoss after Softmax", "x:4,5 label:4=0,4,2,1",
        "Softmax x > p
         MultinomialLogisticLoss p label > loss | loss_weight: 2"),
    case("conv, ReLU 0 in place", "x:2,3,4,4",
        "Convolution x > y | convolution_param { num_output: 4 kernel_size: 3 pad: 1 }
         ReLU y > y | relu_param { negative_slope: 0 }
         InnerProduct y > z | inner_product_param { num_output: 3 }"),
    case("inner product, ReLU 0", "x:4,6",
        "InnerProduct x > y | inner_product_param { num_output: 5 }
         ReLU y > r | relu_param { negative_slope: 0 }
         Sigmoid r > r"),
    case("pooling, ReLU 0 in place", "x:2,3,4,4",
        "Pooling x > y | pooling_param { kernel_size: 2 stride: 2 }
         ReLU y > y | relu_param { negative_slope: 0 }
         TanH y > z"),
    case("ReLU 0, pooling", "x:2,3,4,4",
        "ReLU x > y | relu_param { negative_slope: 0 }
         Pooling y > z | pooling_param { kernel_size: 3 stride: 2 }"),
    case("conv, ReLU 0.1 in place", "x:2,3,4,4",
        "Convolution x > y | convolution_param { num_output: 4 kernel_size: 3 pad: 1 }
         ReLU y > y | relu_param { negative_slope: 0.1 }
         InnerProduct y > z | inner_product_param { num_output: 3 }"),
    case("inner product, ReLU 0.1", "x:4,6",
        "InnerProduct x > y | inner_product_param { num_output: 5 }
         ReLU y > r | relu_param { negative_slope: 0.1 }
         Sigmoid r > r"),
    case("pooling, ReLU 0.1 in place", "x:2,3,4,4",
        "Pooling x > y | pooling_param { kernel_size: 2 stride: 2 }
         ReLU y > y | relu_param { negative_slope: 0.1 }
         TanH y > z"),
    case("ReLU 0.1, pooling", "x:2,3,4,4",
        "ReLU x > y | relu_param { negative_slope: 0.1 }
         Pooling y > z | pooling_param { kernel_size: 3 stride: 2 }"),
    case("conv, ReLU -0.5 in place", "x:2,3,4,4",
        "Convolution x > y | convolution_param { num_output: 4 kernel_size: 3 pad: 1 }
         ReLU y > y | relu_param { negative_slope: -0.5 }
         InnerProduct y > z | inner_product_param { num_output: 3 }"),
    case("inner product, ReLU -0.5", "x:4,6",
        "InnerProduct x > y | inner_product_param { num_output: 5 }
         ReLU y > r | relu_param { negative_slope: -0.5 }
         Sigmoid r > r"),
    case("pooling, ReLU -0.5 in place", "x:2,3,4,4",
        "Pooling x > y | pooling_param { kernel_size: 2 stride: 2 }
         ReLU y > y | relu_param { negative_slope: -0.5 }
         TanH y > z"),
    case("ReLU -0.5, pooling", "x:2,3,4,4",
        "ReLU x > y | relu_param { negative_slope: -0.5 }
         Pooling y > z | pooling_param { kernel_size: 3 stride: 2 }"),
    case("conv, ReLU, pooling, LRN", "x:2,3,6,6",
        "Convolution x > c | convolution_param { num_output: 4 kernel_size: 3 pad: 1 }
         ReLU c > c
         Pooling c > p | pooling_param { kernel_size: 3 stride: 2 }
         LRN p > n | lrn_param { local_size: 3 alpha: 0.5 }
         TanH n > n"),
    case("conv with a loss, ReLU", "x:2,3,4,4",
        "Convolution x > c | convolution_param { num_output: 4 kernel_size: 3 pad: 1 } loss_weight: 0.3
         ReLU c > r | loss_weight: 1"),
    case("conv that two layers read", "x:2,3,4,4",
        "Convolution x > c | convolution_param { num_output: 4 kernel_size: 3 pad: 1 }
         ReLU c > r
         Sigmoid c > s
         Eltwise r s > y | eltwise_param { operation: PROD }"),
    case("conv, normalised, in place", "x:3,3,4,4",
        "Convolution x > y | convolution_param { num_output: 4 kernel_size: 3 pad: 1 bias_term: false }
         BatchNorm y > y
         Scale y > y | scale_param { bias_term: true }
         TanH y > y
         Convolution y > z | convolution_param { num_output: 4 kernel_size: 3 pad: 1 }"),
    case("residual block", "x:2,4,4,4",
        "Convolution x > a | convolution_param { num_output: 4 kernel_size: 3 pad: 1 }
         BatchNorm a > a | batch_norm_param { use_global_stats: true }
         Swish a > a
         Convolution a > b | convolution_param { num_output: 4 kernel_size: 3 pad: 1 }
         Eltwise b x > y
         Sigmoid y > y"),
    case("inception block", "x:2,3,4,4",
        "TanH x > t
         Convolution t > a | convolution_param { num_output: 2 kernel_size: 1 }
         ReLU a > a
         Convolution t > b | convolution_param { num_output: 4 kernel_size: 3 pad: 1 }
         Pooling t > p | pooling_param { kernel_size: 3 stride: 1 pad: 1 }
         Convolution p > d | convolution_param { num_output: 3 kernel_size: 1 }
         Concat a b d t > y
         LRN y > z | lrn_param { local_size: 3 }"),
    case("fire block", "x:2,3,4,4",
        "Convolution x > s | convolution_param { num_output: 2 kernel_size: 1 }
         ReLU s > s
         Convolution s > a | convolution_param { num_output: 3 kernel_size: 1 }
         ReLU a > a
         Convolution s > b | convolution_param { num_output: 4 kernel_size: 3 pad: 1 }
         ReLU b > b
         Concat a b > y
         Dropout y > y
         Convolution y > z | convolution_param { num_output: 2 kernel_size: 1 }
         Pooling z > q | pooling_param { pool: AVE global_pooling: true }"),
    case("losses on the way", "x:3,4 label:3=0,2,1",
        "InnerProduct x > a | inner_product_param { num_output: 5 }
         TanH a > t | loss_weight: 0.5
         InnerProduct t > b | inner_product_param { num_output: 3 } loss_weight: -0.25
         SoftmaxWithLoss b label > first | loss_weight: 0.3
         Sigmoid b > s
         InnerProduct s > d | inner_product_param { num_output: 3 }
         SoftmaxWithLoss d label > last
         Accuracy d label > accuracy"),
    case("a loss that a layer reads", "x:3,4 y:3,4",
        "EuclideanLoss x y > loss
         Power loss > twice | power_param { power: 2 } loss_weight: 0.5"),
    case("a blob that many read", "x:2,4",
        "TanH x > t | loss_weight: 0.5
         Sigmoid t > a
         InnerProduct t > b | inner_product_param { num_output: 4 }
         Exp t > e
         Eltwise a b e t > y | loss_weight: 1
         Eltwise t y > z | eltwise_param { operation: PROD } loss_weight: 2"),
    case("inner products that share", "x:3,4",
        "InnerProduct x > a | inner_product_param { num_output: 4 } param { name: 'w' } param { name: 'b' }
         TanH a > t
         InnerProduct t > y | inner_product_param { num_output: 4 } param { name: 'w' } param { name: 'b' }"),
    case("inner products that share, one transposed", "x:3,5",
        "InnerProduct x > a | inner_product_param { num_output: 4 } param { name: 'w' }
         TanH a > t
         InnerProduct t > y | inner_product_param { num_output: 5 transpose: true bias_term: false } param { name: 'w' }"),
    case("convs of two strides that share", "x:2,3,6,6",
        "Convolution x > a | convolution_param { num_output: 4 kernel_size: 3 pad: 1 } param { name: 'w' } param { name: 'b' }
         Convolution x > c | convolution_param { num_output: 4 kernel_size: 3 stride: 2 } param { name: 'w' } param { name: 'b' }
         TanH a > y
         Sigmoid c > z"),
    case("convs of two pads that share", "x:2,16,4,4",
        "Convolution x > a | convolution_param { num_output: 16 kernel_size: 3 pad: 1 } param { name: 'w' }
         Convolution a > c | convolution_param { num_output: 16 kernel_size: 3 pad: 2 dilation: 2 } param { name: 'w' }
         TanH c > y"),
    case("a deconv with the weights of a conv", "x:2,3,4,4",
        "Convolution x > a | convolution_param { num_output: 4 kernel_size: 3 pad: 1 } param { name: 'w' }
         TanH a > t
         Deconvolution t > y | convolution_param { num_output: 3 kernel_size: 3 pad: 1 } param { name: 'w' }
         EuclideanLoss y x > loss"),
    case("scales that share", "x:2,3,4",
        "Scale x > a | param { name: 's' }
         TanH a > t
         Scale t > y | param { name: 's' }"),
    case("twins", "x:4,3 y:4,3 s:4=0,1,0,1",
        "InnerProduct x > a | inner_product_param { num_output: 4 } param { name: 'w' } param { name: 'b' }
         TanH a > a
         InnerProduct y > b | inner_product_param { num_output: 4 } param { name: 'w' } param { name: 'b' }
         TanH b > b
         ContrastiveLoss a b s > loss | contrastive_loss_param { margin: 3 }"),
    case("words", "i:3,2=0,3,1,1,2,0 label:3=0,2,1",
        "Embed i > e | embed_param { input_dim: 4 num_output: 3 }
         InnerProduct e > y | inner_product_param { num_output: 3 }
         SoftmaxWithLoss y label > loss"),
    case("frozen layers", "x:3,4",
        "InnerProduct x > a | inner_product_param { num_output: 4 } param { lr_mult: 0 } param { lr_mult: 0 }
         TanH a > t
         InnerProduct t > y | inner_product_param { num_output: 4 } param { lr_mult: 0 }"),
    case("dropout twice", "x:4,6",
        "Dropout x > a
         Dropout a > b | dropout_param { dropout_ratio: 0.2 }
         Power b > y | power_param { power: 2 shift: 1 }"),
    case("an upsampled skip", "x:1,2,4,4",
        "Pooling x > p | pooling_param { pool: AVE kernel_size: 2 stride: 2 }
         Deconvolution p > d | convolution_param { num_output: 2 kernel_size: 4 stride: 2 bias_term: false }
         Crop d x > u | crop_param { axis: 2 offset: 1 }
         Eltwise u x > y | eltwise_param { operation: PROD }"),
];
