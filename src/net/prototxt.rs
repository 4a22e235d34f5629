//! From Caffe's messages to the layer catalogue.
//!
//! Flows in: a prototxt, parsed and upgraded by `weights_tools`. Flows out: a [`Description`]: the
//! layers that belong to the wanted state, in order, each with its place in the file.

use super::state::{self, NetState};
use crate::error::{Error, Place, Result};
use crate::layer::*;
use crate::shape::Shape;
use likenet_kernels::ops::{HingeNorm, LrnParams, Normalization, Reduction, Window};
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use weights_tools::{Block, TextIndex, proto};

/// A network as its file describes it: layers, not yet connected.
#[derive(Clone, Debug)]
pub struct Description {
    /// The file it came from, for errors.
    pub file: String,
    /// The network's name.
    pub name: String,
    /// Layers that belong to the state, in the file's order.
    pub layers: Vec<LayerDescription>,
}

/// One layer of a [`Description`].
#[derive(Clone, Debug)]
pub struct LayerDescription {
    /// Its name.
    pub name: String,
    /// Its type as Caffe writes it: `Convolution`, `ReLU`, …
    pub kind: String,
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub layer: Layer,
    /// Names of the blobs that it reads.
    pub bottoms: Vec<String>,
    /// Names of the blobs that it writes.
    pub tops: Vec<String>,
    /// Weight of each top in the loss.
    pub loss_weights: Vec<f32>,
    /// Name, learning-rate and decay factors of each parameter.
    pub params: Vec<ParamRule>,
}

/// How a parameter is shared and learnt.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamRule {
    /// Parameters of one name share their values; empty means not shared.
    pub name: String,
    /// Factor of the learning rate.
    pub lr_mult: f32,
    /// Factor of the weight decay.
    pub decay_mult: f32,
}

impl Default for ParamRule {
    fn default() -> Self {
        Self { name: String::new(), lr_mult: 1.0, decay_mult: 1.0 }
    }
}

impl Description {
    /// Reads a prototxt (current, V1 or V0) and keeps the layers that belong to `state`.
    pub fn read(path: &Path, state: &NetState) -> Result<Self> {
        let text = weights_tools::read_text(path)?;
        Self::parse(&path.display().to_string(), &text, state)
    }

    /// The same from text; `file` is the name that errors carry.
    pub fn parse(file: &str, text: &str, state: &NetState) -> Result<Self> {
        let net = weights_tools::upgrade(weights_tools::parse_net_text(file, text)?)?;
        let index = TextIndex::new(text);
        // Layers keep their names and their order when they are upgraded, and names may repeat: the
        // k-th layer of a name is the k-th block of that name.
        let mut blocks: HashMap<&str, VecDeque<&Block>> = HashMap::new();
        for block in index.blocks() {
            blocks.entry(&block.name).or_default().push_back(block);
        }
        let mut layers = Vec::new();
        for layer in &net.layer {
            let block = blocks.get_mut(layer.name()).and_then(VecDeque::pop_front);
            let line = block.map(|b| b.line);
            let place = Place { file: file.to_string(), line };
            let fail = |reason: String| Error::Layer {
                place: place.clone(),
                layer: layer.name().to_string(),
                kind: layer.r#type().to_string(),
                reason,
            };
            if !state.includes(layer).map_err(fail)? {
                continue;
            }
            let described = describe(layer, state.phase).map_err(|wrong| {
                let line = block.and_then(|b| b.line_of(wrong.field)).or(line);
                let mut error = fail(wrong.reason);
                if let Error::Layer { place, .. } = &mut error {
                    place.line = line;
                }
                error
            })?;
            layers.push(LayerDescription { place: place.clone(), ..described });
        }
        if layers.is_empty() {
            return Err(Error::Net {
                place: Place { file: file.to_string(), line: None },
                reason: format!("no layer belongs to the {:?} phase", state.phase),
            });
        }
        Ok(Self { file: file.to_string(), name: net.name().to_string(), layers })
    }
}

/// What is wrong with a layer, and the field at fault (as a path from the layer's block).
struct Wrong {
    field: &'static str,
    reason: String,
}

impl From<String> for Wrong {
    fn from(reason: String) -> Self {
        Self { field: "", reason }
    }
}

fn wrong<T>(field: &'static str, reason: impl Into<String>) -> std::result::Result<T, Wrong> {
    Err(Wrong { field, reason: format!("{field}: {}", reason.into()) })
}

type Read<T> = std::result::Result<T, Wrong>;

fn describe(p: &proto::LayerParameter, net_phase: Phase) -> Read<LayerDescription> {
    let phase = match p.phase {
        Some(_) => state::phase(p.phase()),
        None => net_phase,
    };
    let layer = layer(p, phase)?;
    let weight = |i: usize| {
        let given = p.loss_weight.get(i).copied();
        given.unwrap_or_else(|| layer.default_loss_weight(i))
    };
    let rule = |s: &proto::ParamSpec| ParamRule {
        name: s.name().to_string(),
        lr_mult: s.lr_mult(),
        decay_mult: s.decay_mult(),
    };
    Ok(LayerDescription {
        name: p.name().to_string(),
        kind: p.r#type().to_string(),
        place: Place::default(),
        bottoms: p.bottom.clone(),
        tops: p.top.clone(),
        loss_weights: (0..p.top.len()).map(weight).collect(),
        params: p.param.iter().map(rule).collect(),
        layer,
    })
}

/// The types that [`layer`] knows, for the error that lists them.
const KNOWN: &str = "AbsVal Accuracy ArgMax BNLL BatchNorm Bias Clip Concat ContrastiveLoss \
    Convolution Crop Data Deconvolution Dropout DummyData ELU Eltwise Embed EuclideanLoss Exp Flatten \
    HingeLoss ImageData InnerProduct Input LRN Log MVN MemoryData MultinomialLogisticLoss PReLU \
    Pooling Power ReLU Reduction Reshape Scale Sigmoid SigmoidCrossEntropyLoss Silence Slice Softmax SoftmaxWithLoss Split Swish TanH \
    Threshold Tile";

/// Clones a layer's own parameter message, or takes its defaults.
macro_rules! param {
    ($p:ident . $field:ident) => {
        $p.$field.clone().unwrap_or_default()
    };
}

fn layer(p: &proto::LayerParameter, phase: Phase) -> Read<Layer> {
    Ok(match p.r#type() {
        "Input" | "Data" | "ImageData" | "MemoryData" | "DummyData" => {
            Layer::Source(source(p, phase)?)
        }
        "Convolution" => Layer::Convolution(conv(&param!(p.convolution_param))?),
        "Deconvolution" => Layer::Deconvolution(Deconv(conv(&param!(p.convolution_param))?)),
        "Pooling" => Layer::Pooling(pool(&param!(p.pooling_param))?),
        "LRN" => Layer::Lrn(lrn(&param!(p.lrn_param))?),
        "InnerProduct" => Layer::InnerProduct(inner_product(&param!(p.inner_product_param))?),
        "Embed" => Layer::Embed(embed(&param!(p.embed_param))?),
        "PReLU" => {
            let own = param!(p.prelu_param);
            let default = Filler::constant(0.25);
            Layer::PRelu(PRelu {
                shared: own.channel_shared(),
                filler: filler(own.filler.as_ref(), "prelu_param.filler", default)?,
            })
        }
        "Dropout" => {
            let ratio = param!(p.dropout_param).dropout_ratio();
            if !(0.0..1.0).contains(&ratio) {
                return wrong("dropout_param.dropout_ratio", format!("{ratio} is not in [0, 1)"));
            }
            Layer::Dropout(Dropout { ratio, active: phase == Phase::Train })
        }
        "BatchNorm" => {
            let own = param!(p.batch_norm_param);
            Layer::BatchNorm(BatchNorm {
                stored: own.use_global_stats.unwrap_or(phase == Phase::Test),
                fraction: own.moving_average_fraction(),
                eps: own.eps(),
            })
        }
        "Scale" => {
            let own = param!(p.scale_param);
            let bias = filler(own.bias_filler.as_ref(), "scale_param.bias_filler", ZERO)?;
            Layer::Scale(Broadcast {
                axis: own.axis(),
                axes: own.num_axes(),
                filler: filler(own.filler.as_ref(), "scale_param.filler", Filler::constant(1.0))?,
                bias: own.bias_term().then_some(bias),
            })
        }
        "Bias" => {
            let own = param!(p.bias_param);
            Layer::Bias(Broadcast {
                axis: own.axis(),
                axes: own.num_axes(),
                filler: filler(own.filler.as_ref(), "bias_param.filler", ZERO)?,
                bias: None,
            })
        }
        "Softmax" => Layer::Softmax(Softmax { axis: param!(p.softmax_param).axis() }),
        "MVN" => {
            let own = param!(p.mvn_param);
            Layer::Mvn(Mvn {
                variance: own.normalize_variance(),
                across_channels: own.across_channels(),
                eps: own.eps(),
            })
        }
        "Silence" => Layer::Silence,
        "Split" => Layer::Split,
        other => {
            if let Some(layer) = pointwise(p, other) {
                layer
            } else if let Some(layer) = judging(p, other)? {
                layer
            } else if let Some(layer) = rearranging(p, other)? {
                layer
            } else {
                return wrong("type", format!("unknown layer type '{other}'; known are: {KNOWN}"));
            }
        }
    })
}

fn pointwise(p: &proto::LayerParameter, kind: &str) -> Option<Layer> {
    let base = |b: f32| (b != -1.0).then_some(b);
    Some(Layer::Pointwise(match kind {
        "ReLU" => Unary::Relu { slope: param!(p.relu_param).negative_slope() },
        "ELU" => Unary::Elu { alpha: param!(p.elu_param).alpha() },
        "Sigmoid" => Unary::Sigmoid,
        "TanH" => Unary::TanH,
        "AbsVal" => Unary::AbsVal,
        "BNLL" => Unary::Bnll,
        "Power" => {
            let own = param!(p.power_param);
            Unary::Power { power: own.power(), scale: own.scale(), shift: own.shift() }
        }
        "Exp" => {
            let own = param!(p.exp_param);
            Unary::Exp { base: base(own.base()), scale: own.scale(), shift: own.shift() }
        }
        "Log" => {
            let own = param!(p.log_param);
            Unary::Log { base: base(own.base()), scale: own.scale(), shift: own.shift() }
        }
        "Clip" => {
            let own = param!(p.clip_param);
            Unary::Clip {
                low: own.min.unwrap_or(f32::NEG_INFINITY),
                high: own.max.unwrap_or(f32::INFINITY),
            }
        }
        "Swish" => Unary::Swish { beta: param!(p.swish_param).beta() },
        "Threshold" => Unary::Threshold { threshold: param!(p.threshold_param).threshold() },
        _ => return None,
    }))
}

/// Losses, accuracy, the largest elements.
fn judging(p: &proto::LayerParameter, kind: &str) -> Read<Option<Layer>> {
    Ok(Some(match kind {
        "SoftmaxWithLoss" => Layer::SoftmaxLoss(SoftmaxLoss {
            axis: param!(p.softmax_param).axis(),
            loss: loss_shape(p, Normalization::Valid),
        }),
        "SigmoidCrossEntropyLoss" => Layer::SigmoidCrossEntropyLoss(SigmoidCrossEntropyLoss(
            loss_shape(p, Normalization::BatchSize),
        )),
        "HingeLoss" => Layer::HingeLoss(HingeLoss {
            norm: match param!(p.hinge_loss_param).norm() {
                proto::hinge_loss_parameter::Norm::L1 => HingeNorm::L1,
                proto::hinge_loss_parameter::Norm::L2 => HingeNorm::L2,
            },
        }),
        "EuclideanLoss" => Layer::EuclideanLoss(EuclideanLoss),
        "ContrastiveLoss" => {
            let own = param!(p.contrastive_loss_param);
            Layer::ContrastiveLoss(ContrastiveLoss {
                margin: own.margin(),
                legacy: own.legacy_version(),
            })
        }
        "MultinomialLogisticLoss" => Layer::MultinomialLogisticLoss(MultinomialLogisticLoss),
        "Accuracy" => {
            let own = param!(p.accuracy_param);
            if own.top_k() == 0 {
                return wrong("accuracy_param.top_k", "must be at least 1");
            }
            Layer::Accuracy(Accuracy {
                axis: own.axis(),
                top_k: own.top_k() as usize,
                ignore: own.ignore_label,
            })
        }
        "ArgMax" => {
            let own = param!(p.argmax_param);
            Layer::ArgMax(ArgMax {
                axis: own.axis,
                top_k: own.top_k() as usize,
                values: own.out_max_val(),
            })
        }
        _ => return Ok(None),
    }))
}

fn rearranging(p: &proto::LayerParameter, kind: &str) -> Read<Option<Layer>> {
    Ok(Some(match kind {
        "Concat" => {
            let own = param!(p.concat_param);
            Layer::Concat(Concat { axis: own.concat_dim.map_or(own.axis(), |d| d as i32) })
        }
        "Slice" => {
            let own = param!(p.slice_param);
            Layer::Slice(Slice {
                axis: own.slice_dim.map_or(own.axis(), |d| d as i32),
                points: own.slice_point.iter().map(|&x| x as usize).collect(),
            })
        }
        "Eltwise" => {
            use proto::eltwise_parameter::EltwiseOp;
            let own = param!(p.eltwise_param);
            Layer::Eltwise(match own.operation() {
                EltwiseOp::Prod => Eltwise::Prod,
                EltwiseOp::Sum => Eltwise::Sum(own.coeff),
                EltwiseOp::Max => Eltwise::Max,
            })
        }
        "Flatten" => {
            let own = param!(p.flatten_param);
            Layer::Flatten(Flatten { axis: own.axis(), end: own.end_axis() })
        }
        "Reshape" => {
            let own = param!(p.reshape_param);
            Layer::Reshape(Reshape {
                axis: own.axis(),
                axes: own.num_axes(),
                dims: own.shape.unwrap_or_default().dim,
            })
        }
        "Crop" => {
            let own = param!(p.crop_param);
            Layer::Crop(Crop {
                axis: own.axis(),
                offsets: own.offset.iter().map(|&x| x as usize).collect(),
            })
        }
        "Tile" => {
            let own = param!(p.tile_param);
            match usize::try_from(own.tiles()) {
                Ok(tiles) if tiles > 0 => Layer::Tile(Tile { axis: own.axis(), tiles }),
                _ => return wrong("tile_param.tiles", "must be at least 1"),
            }
        }
        "Reduction" => {
            use proto::reduction_parameter::ReductionOp;
            let own = param!(p.reduction_param);
            Layer::Reduction(Reduce {
                op: match own.operation() {
                    ReductionOp::Sum => Reduction::Sum,
                    ReductionOp::Asum => Reduction::Asum,
                    ReductionOp::Sumsq => Reduction::SumSq,
                    ReductionOp::Mean => Reduction::Mean,
                },
                axis: own.axis(),
                coeff: own.coeff(),
            })
        }
        _ => return Ok(None),
    }))
}

fn loss_shape(p: &proto::LayerParameter, default: Normalization) -> LossShape {
    use proto::loss_parameter::NormalizationMode as Mode;
    let own = param!(p.loss_param);
    let normalization = match (own.normalization, own.normalize) {
        (None, Some(false)) => Normalization::BatchSize,
        (None, Some(true)) => Normalization::Valid,
        (None, None) => default,
        (Some(_), _) => match own.normalization() {
            Mode::Full => Normalization::Full,
            Mode::Valid => Normalization::Valid,
            Mode::BatchSize => Normalization::BatchSize,
            Mode::None => Normalization::None,
        },
    };
    LossShape { ignore: own.ignore_label, normalization }
}

const ZERO: Filler = Filler { kind: FillerKind::Constant(0.0), sparse: -1 };

fn filler(
    p: Option<&proto::FillerParameter>,
    field: &'static str,
    default: Filler,
) -> Read<Filler> {
    use proto::filler_parameter::VarianceNorm as Norm;
    let Some(p) = p else { return Ok(default) };
    let norm = match p.variance_norm() {
        Norm::FanIn => VarianceNorm::FanIn,
        Norm::FanOut => VarianceNorm::FanOut,
        Norm::Average => VarianceNorm::Average,
    };
    let kind = match p.r#type() {
        "constant" => FillerKind::Constant(p.value()),
        "uniform" => FillerKind::Uniform { min: p.min(), max: p.max() },
        "gaussian" => FillerKind::Gaussian { mean: p.mean(), std: p.std() },
        "xavier" => FillerKind::Xavier(norm),
        "msra" => FillerKind::Msra(norm),
        "positive_unitball" => FillerKind::PositiveUnitball,
        "bilinear" => FillerKind::Bilinear,
        other => {
            let known = "constant, uniform, gaussian, xavier, msra, positive_unitball, bilinear";
            return wrong(field, format!("unknown filler '{other}'; known are: {known}"));
        }
    };
    Ok(Filler { kind, sparse: p.sparse() })
}

/// A pair (vertical, horizontal) from Caffe's three ways to write it: `_h` and `_w`, one number for
/// both, or one number for each.
fn pair(
    field: &'static str,
    list: &[u32],
    h: Option<u32>,
    w: Option<u32>,
    default: Option<usize>,
    least: usize,
) -> Read<[usize; 2]> {
    let got = match (h, w, list) {
        (None, None, []) => match default {
            Some(d) => [d, d],
            None => return wrong(field, "is missing"),
        },
        (None, None, [both]) => [*both as usize; 2],
        (None, None, [h, w]) => [*h as usize, *w as usize],
        (None, None, _) => {
            return wrong(field, format!("{} values; only two spatial axes are known", list.len()));
        }
        (_, _, []) => {
            let or_default = |v: Option<u32>| v.map(|v| v as usize).or(default);
            match (or_default(h), or_default(w)) {
                (Some(h), Some(w)) => [h, w],
                _ => return wrong(field, "needs both _h and _w"),
            }
        }
        _ => return wrong(field, "is given twice: as a list and as _h, _w"),
    };
    const MOST: usize = 1 << 20;
    if got.iter().any(|&v| v < least || v > MOST) {
        return wrong(field, format!("{got:?} is not between {least} and {MOST}"));
    }
    Ok(got)
}

fn at_least_one(field: &'static str, value: u32) -> Read<usize> {
    match value {
        0 => wrong(field, "must be at least 1"),
        n => Ok(n as usize),
    }
}

fn conv(p: &proto::ConvolutionParameter) -> Read<Conv> {
    let (pad_h, pad_w) = (p.pad_h, p.pad_w);
    let kernel =
        pair("convolution_param.kernel_size", &p.kernel_size, p.kernel_h, p.kernel_w, None, 1)?;
    let stride = pair("convolution_param.stride", &p.stride, p.stride_h, p.stride_w, Some(1), 1)?;
    let pad = pair("convolution_param.pad", &p.pad, pad_h, pad_w, Some(0), 0)?;
    let dilation = pair("convolution_param.dilation", &p.dilation, None, None, Some(1), 1)?;
    if p.axis() != 1 {
        return wrong("convolution_param.axis", "only 1 (channels) is known");
    }
    let bias = filler(p.bias_filler.as_ref(), "convolution_param.bias_filler", ZERO)?;
    Ok(Conv {
        filters: at_least_one("convolution_param.num_output", p.num_output())?,
        group: at_least_one("convolution_param.group", p.group())?,
        window: Window { kernel, stride, pad, dilation },
        weight: filler(p.weight_filler.as_ref(), "convolution_param.weight_filler", ZERO)?,
        bias: p.bias_term().then_some(bias),
    })
}

fn pool(p: &proto::PoolingParameter) -> Read<Pool> {
    use proto::pooling_parameter::{PoolMethod as Method, RoundMode};
    let method = match p.pool() {
        Method::Max => PoolMethod::Max,
        Method::Ave => PoolMethod::Ave,
        Method::Stochastic => {
            return wrong("pooling_param.pool", "STOCHASTIC is not known; use MAX or AVE");
        }
    };
    let one = |v: Option<u32>| -> Vec<u32> { v.into_iter().collect() };
    let window = if p.global_pooling() {
        None
    } else {
        let size = one(p.kernel_size);
        let kernel = pair("pooling_param.kernel_size", &size, p.kernel_h, p.kernel_w, None, 1)?;
        let step = one(p.stride);
        let stride = pair("pooling_param.stride", &step, p.stride_h, p.stride_w, Some(1), 1)?;
        let border = one(p.pad);
        let pad = pair("pooling_param.pad", &border, p.pad_h, p.pad_w, Some(0), 0)?;
        Some(Window { kernel, stride, pad, dilation: [1, 1] })
    };
    Ok(Pool { method, window, floor: p.round_mode() == RoundMode::Floor })
}

fn lrn(p: &proto::LrnParameter) -> Read<Lrn> {
    use proto::lrn_parameter::NormRegion;
    let size = p.local_size() as usize;
    if size.is_multiple_of(2) || size > 1 << 20 {
        return wrong("lrn_param.local_size", format!("{size} is not odd"));
    }
    Ok(Lrn {
        region: match p.norm_region() {
            NormRegion::AcrossChannels => LrnRegion::AcrossChannels,
            NormRegion::WithinChannel => LrnRegion::WithinChannel,
        },
        params: LrnParams { size, alpha: p.alpha(), beta: p.beta(), k: p.k() },
    })
}

fn inner_product(p: &proto::InnerProductParameter) -> Read<InnerProduct> {
    let bias = filler(p.bias_filler.as_ref(), "inner_product_param.bias_filler", ZERO)?;
    Ok(InnerProduct {
        outputs: at_least_one("inner_product_param.num_output", p.num_output())?,
        axis: p.axis(),
        transpose: p.transpose(),
        weight: filler(p.weight_filler.as_ref(), "inner_product_param.weight_filler", ZERO)?,
        bias: p.bias_term().then_some(bias),
    })
}

fn embed(p: &proto::EmbedParameter) -> Read<Embed> {
    let bias = filler(p.bias_filler.as_ref(), "embed_param.bias_filler", ZERO)?;
    Ok(Embed {
        rows: at_least_one("embed_param.input_dim", p.input_dim())?,
        outputs: at_least_one("embed_param.num_output", p.num_output())?,
        weight: filler(p.weight_filler.as_ref(), "embed_param.weight_filler", ZERO)?,
        bias: p.bias_term().then_some(bias),
    })
}

fn shape(field: &'static str, dims: impl IntoIterator<Item = i64>) -> Read<Shape> {
    let dims: Option<Vec<usize>> = dims.into_iter().map(|d| usize::try_from(d).ok()).collect();
    let Some(dims) = dims else {
        return wrong(field, "a dimension is negative");
    };
    Shape::new(dims).or_else(|e| wrong(field, e))
}

/// A data layer: its kind and as much of its tops' shapes as its parameters tell.
fn source(p: &proto::LayerParameter, phase: Phase) -> Read<Source> {
    let (kind, shapes, fillers) = match p.r#type() {
        "Input" => {
            let list = param!(p.input_param).shape;
            let shapes = list.iter().map(|s| shape("input_param.shape", s.dim.iter().copied()));
            let shapes: Vec<Shape> = shapes.collect::<Read<_>>()?;
            let n = shapes.len();
            if n > 1 && n != p.top.len() {
                return wrong("input_param.shape", format!("{n} shapes for {} tops", p.top.len()));
            }
            (SourceKind::Input, shapes.into_iter().map(Some).collect(), vec![])
        }
        "DummyData" => return dummy_data(p),
        "MemoryData" => {
            let own = param!(p.memory_data_param);
            let dims = [own.batch_size(), own.channels(), own.height(), own.width()];
            let data = shape("memory_data_param", dims.map(i64::from))?;
            let label = shape("memory_data_param", [i64::from(own.batch_size())])?;
            (SourceKind::MemoryData, vec![Some(data), Some(label)], vec![])
        }
        kind => {
            let t = param!(p.transform_param);
            let crop = i64::from(t.crop_size());
            let own = param!(p.image_data_param);
            let (kind, field, batch) = match kind {
                "Data" => {
                    (SourceKind::Data, "data_param.batch_size", param!(p.data_param).batch_size())
                }
                _ => (SourceKind::ImageData, "image_data_param.batch_size", own.batch_size()),
            };
            let gray = kind == SourceKind::ImageData && !own.is_color();
            let channels = if gray { 1 } else { 3 };
            let [h, w] = match (crop, own.new_height(), own.new_width()) {
                (0, h, w) => [i64::from(h), i64::from(w)],
                _ => [crop, crop],
            };
            let batch = at_least_one(field, batch)? as i64;
            let data = match h * w {
                0 => None,
                _ => Some(shape(field, [batch, channels, h, w])?),
            };
            (kind, vec![data, Some(shape(field, [batch])?)], vec![])
        }
    };
    let pictures = matches!(kind, SourceKind::Data | SourceKind::ImageData);
    let data = pictures.then(|| data_layer(p, kind, phase == Phase::Train));
    Ok(Source { kind, shapes, fillers, data })
}

/// What a Data or ImageData layer says about its pictures.
fn data_layer(p: &proto::LayerParameter, kind: SourceKind, train: bool) -> DataLayer {
    use proto::data_parameter::Db;
    let (list, base, t) =
        (param!(p.image_data_param), param!(p.data_param), param!(p.transform_param));
    let (source, batch_size, rand_skip) = match kind {
        SourceKind::Data => (base.source(), base.batch_size(), base.rand_skip()),
        _ => (list.source(), list.batch_size(), list.rand_skip()),
    };
    DataLayer {
        source: source.to_string(),
        backend: match base.backend() {
            Db::Leveldb => Database::LevelDb,
            Db::Lmdb => Database::Lmdb,
        },
        batch_size: batch_size as usize,
        shuffle: list.shuffle(),
        rand_skip: rand_skip as usize,
        root_folder: list.root_folder().to_string(),
        new_height: list.new_height() as usize,
        new_width: list.new_width() as usize,
        is_color: list.is_color(),
        crop_size: t.crop_size() as usize,
        mirror: t.mirror(),
        scale: t.scale(),
        mean_file: t.mean_file().to_string(),
        mean_value: t.mean_value.clone(),
        force_color: t.force_color(),
        force_gray: t.force_gray(),
        train,
    }
}

fn dummy_data(p: &proto::LayerParameter) -> Read<Source> {
    let own = param!(p.dummy_data_param);
    let shapes: Vec<Shape> = if own.shape.is_empty() {
        let of =
            |list: &[u32], i: usize| i64::from(list.get(i).or(list.first()).copied().unwrap_or(0));
        (0..own.num.len())
            .map(|i| {
                let dims = [&own.num, &own.channels, &own.height, &own.width];
                shape("dummy_data_param", dims.map(|list| of(list, i)))
            })
            .collect::<Read<_>>()?
    } else {
        let list = own.shape.iter();
        list.map(|s| shape("dummy_data_param.shape", s.dim.iter().copied())).collect::<Read<_>>()?
    };
    let list = own.data_filler.iter();
    let fillers =
        list.map(|f| filler(Some(f), "dummy_data_param.data_filler", ZERO)).collect::<Read<_>>()?;
    Ok(Source {
        kind: SourceKind::DummyData,
        shapes: shapes.into_iter().map(Some).collect(),
        fillers,
        data: None,
    })
}
