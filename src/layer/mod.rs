//! The layer catalogue: every layer as plain data, and the rules for its shapes.
//!
//! Flows in: numbers from a network's description (`net::prototxt` fills them in). Flows out: for
//! given bottom shapes, the top shapes, the parameters' shapes and the multiply-adds. Semantics are
//! Caffe's (BVLC 1.0). How a layer is computed lies in `net::forward` and the backends.

mod dense;
mod loss;
mod norm;
mod pointwise;
mod rearrange;
mod source;
mod spatial;

pub use dense::{Embed, InnerProduct};
pub use loss::{
    Accuracy, ArgMax, ContrastiveLoss, EuclideanLoss, HingeLoss, LossShape,
    MultinomialLogisticLoss, SigmoidCrossEntropyLoss, SoftmaxLoss,
};
pub use norm::{BatchNorm, Lrn, LrnRegion, Mvn};
pub use pointwise::{Broadcast, Dropout, PRelu, Softmax};
pub use rearrange::{Concat, Crop, Flatten, Reduce, Reshape, Slice, Tile};
pub use source::{DataLayer, Database, Filler, FillerKind, Source, SourceKind, VarianceNorm};
pub use spatial::{Conv, Deconv, Pool, PoolMethod};

use crate::shape::Shape;
pub use likenet_kernels::ops::{Eltwise, Unary};

/// Training or testing: some layers behave differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Phase {
    /// Dropout drops, batch normalisation uses the batch's own moments.
    Train,
    /// The trained network as it is used.
    #[default]
    Test,
}

/// A parameter of a layer: its name, shape and how it is filled before training.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// `weight`, `bias`, `mean`, …: the last part of its name in a safetensors file.
    pub name: &'static str,
    /// Its shape.
    pub shape: Shape,
    /// Its first values.
    pub filler: Filler,
}

impl ParamSpec {
    fn new(
        name: &'static str,
        dims: impl Into<Vec<usize>>,
        filler: Filler,
    ) -> Result<Self, String> {
        let shape = Shape::new(dims)?;
        Ok(Self { name, shape, filler })
    }
}

/// What follows from a layer and its bottoms' shapes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inference {
    /// Shape of each top.
    pub tops: Vec<Shape>,
    /// The parameters, in the order in which files store them.
    pub params: Vec<ParamSpec>,
    /// Multiply-adds of one forward pass; 0 for layers without a product over weights.
    pub macs: u64,
}

impl Inference {
    fn tops(tops: Vec<Shape>) -> Self {
        Self { tops, ..Self::default() }
    }
}

/// Why a layer does not fit its bottoms, in words; the caller adds the layer's name.
pub type ShapeResult<T> = Result<T, String>;

/// Every layer that likenet knows.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// Where blobs come from: Input, Data, ImageData, MemoryData, DummyData.
    Source(Source),
    /// Convolution.
    Convolution(Conv),
    /// Transposed convolution.
    Deconvolution(Deconv),
    /// Maximum or average of windows.
    Pooling(Pool),
    /// Local response normalisation.
    Lrn(Lrn),
    /// Fully connected layer.
    InnerProduct(InnerProduct),
    /// Rows looked up in a table.
    Embed(Embed),
    /// A function of each element: ReLU, ELU, Sigmoid, TanH, AbsVal, Power, Exp, Log, BNLL, Clip,
    /// Swish, Threshold.
    Pointwise(Unary),
    /// ReLU with learnt slopes.
    PRelu(PRelu),
    /// Dropout.
    Dropout(Dropout),
    /// Batch normalisation.
    BatchNorm(BatchNorm),
    /// Multiply by a vector along some axes (and add one).
    Scale(Broadcast),
    /// Add a vector along some axes.
    Bias(Broadcast),
    /// Softmax.
    Softmax(Softmax),
    /// Softmax and cross-entropy with integer labels.
    SoftmaxLoss(SoftmaxLoss),
    /// Sigmoid and cross-entropy with targets in [0, 1].
    SigmoidCrossEntropyLoss(SigmoidCrossEntropyLoss),
    /// One-versus-all hinge.
    HingeLoss(HingeLoss),
    /// Half the mean squared distance.
    EuclideanLoss(EuclideanLoss),
    /// Distances of pairs, small for similar ones and large for others.
    ContrastiveLoss(ContrastiveLoss),
    /// Cross-entropy of given probabilities.
    MultinomialLogisticLoss(MultinomialLogisticLoss),
    /// Share of right predictions.
    Accuracy(Accuracy),
    /// The largest elements.
    ArgMax(ArgMax),
    /// Blobs joined along an axis.
    Concat(Concat),
    /// A blob cut along an axis.
    Slice(Slice),
    /// A blob given out several times.
    Split,
    /// Sum, product or maximum of blobs of one shape.
    Eltwise(Eltwise),
    /// Several axes made one.
    Flatten(Flatten),
    /// The same elements under another shape.
    Reshape(Reshape),
    /// A window of the first bottom, as large as the second.
    Crop(Crop),
    /// A blob repeated along an axis.
    Tile(Tile),
    /// Trailing axes reduced to one number.
    Reduction(Reduce),
    /// Mean and variance normalisation.
    Mvn(Mvn),
    /// Takes blobs and gives none.
    Silence,
}

impl Layer {
    /// Shapes and costs of the layer for these bottoms, `tops` being how many tops it has.
    ///
    /// Errors say what does not fit; the layer's name is the caller's to add.
    pub fn infer(&self, bottoms: &[&Shape], tops: usize) -> ShapeResult<Inference> {
        self.check_arity(bottoms.len(), tops)?;
        match self {
            Layer::Source(l) => l.infer(tops),
            Layer::Convolution(l) => l.infer(bottoms),
            Layer::Deconvolution(l) => l.infer(bottoms),
            Layer::Pooling(l) => l.infer(bottoms[0], tops),
            Layer::Lrn(l) => l.infer(bottoms[0]),
            Layer::InnerProduct(l) => l.infer(bottoms[0]),
            Layer::Embed(l) => l.infer(bottoms[0]),
            Layer::Pointwise(_) | Layer::Dropout(_) => same(bottoms[0]),
            Layer::PRelu(l) => l.infer(bottoms[0]),
            Layer::BatchNorm(l) => l.infer(bottoms[0]),
            Layer::Scale(l) => l.infer_scale(bottoms),
            Layer::Bias(l) => l.infer_bias(bottoms),
            Layer::Softmax(l) => l.infer(bottoms[0]),
            Layer::SoftmaxLoss(l) => l.infer(bottoms, tops),
            Layer::SigmoidCrossEntropyLoss(l) => l.infer(bottoms, tops),
            Layer::HingeLoss(l) => l.infer(bottoms),
            Layer::EuclideanLoss(l) => l.infer(bottoms),
            Layer::ContrastiveLoss(l) => l.infer(bottoms),
            Layer::MultinomialLogisticLoss(l) => l.infer(bottoms),
            Layer::Accuracy(l) => l.infer(bottoms, tops),
            Layer::ArgMax(l) => l.infer(bottoms[0]),
            Layer::Concat(l) => l.infer(bottoms),
            Layer::Slice(l) => l.infer(bottoms[0], tops),
            Layer::Split => Ok(Inference::tops(vec![bottoms[0].clone(); tops])),
            Layer::Eltwise(op) => rearrange::infer_eltwise(op, bottoms),
            Layer::Flatten(l) => l.infer(bottoms[0]),
            Layer::Reshape(l) => l.infer(bottoms[0]),
            Layer::Crop(l) => l.infer(bottoms),
            Layer::Tile(l) => l.infer(bottoms[0]),
            Layer::Reduction(l) => l.infer(bottoms[0]),
            Layer::Mvn(l) => l.infer(bottoms[0]),
            Layer::Silence => Ok(Inference::default()),
        }
    }

    /// Whether a loss has a gradient with respect to bottom `i` through this layer: none with respect to
    /// labels or indices, nor through counting.
    pub fn has_gradient(&self, i: usize) -> bool {
        match self {
            Layer::Source(_) | Layer::Silence | Layer::Accuracy(_) | Layer::ArgMax(_) => false,
            Layer::SoftmaxLoss(_) | Layer::SigmoidCrossEntropyLoss(_) => i == 0,
            Layer::HingeLoss(_) | Layer::MultinomialLogisticLoss(_) | Layer::Crop(_) => i == 0,
            Layer::ContrastiveLoss(_) => i < 2,
            Layer::Embed(_) | Layer::Pointwise(Unary::Threshold { .. }) => false,
            _ => true,
        }
    }

    /// How many bottoms and tops the layer may have, as inclusive ranges.
    fn arity(&self) -> ([usize; 2], [usize; 2]) {
        const MANY: usize = usize::MAX;
        match self {
            Layer::Source(_) => ([0, 0], [1, MANY]),
            Layer::Convolution(_) | Layer::Deconvolution(_) => ([1, MANY], [1, MANY]),
            Layer::Pooling(_) => ([1, 1], [1, 2]),
            Layer::Scale(_) | Layer::Bias(_) => ([1, 2], [1, 1]),
            Layer::SoftmaxLoss(_) | Layer::SigmoidCrossEntropyLoss(_) => ([2, 2], [1, 2]),
            Layer::HingeLoss(_) | Layer::EuclideanLoss(_) | Layer::Crop(_) => ([2, 2], [1, 1]),
            Layer::MultinomialLogisticLoss(_) => ([2, 2], [1, 1]),
            Layer::ContrastiveLoss(_) => ([3, 3], [1, 1]),
            Layer::Accuracy(_) => ([2, 2], [1, 2]),
            Layer::Concat(_) => ([1, MANY], [1, 1]),
            Layer::Eltwise(_) => ([2, MANY], [1, 1]),
            Layer::Slice(_) | Layer::Split => ([1, 1], [1, MANY]),
            Layer::Silence => ([1, MANY], [0, 0]),
            _ => ([1, 1], [1, 1]),
        }
    }

    fn check_arity(&self, bottoms: usize, tops: usize) -> ShapeResult<()> {
        let (b, t) = self.arity();
        let fits = |n: usize, [low, high]: [usize; 2]| (low..=high).contains(&n);
        let says = |[low, high]: [usize; 2]| match high {
            usize::MAX => format!("at least {low}"),
            _ if low == high => format!("{low}"),
            _ => format!("{low} to {high}"),
        };
        if !fits(bottoms, b) {
            return Err(format!("takes {} bottom(s), got {bottoms}", says(b)));
        }
        if !fits(tops, t) {
            return Err(format!("gives {} top(s), {tops} are named", says(t)));
        }
        if matches!(self, Layer::Convolution(_) | Layer::Deconvolution(_)) && bottoms != tops {
            return Err(format!("has {bottoms} bottoms but {tops} tops"));
        }
        Ok(())
    }

    /// Weight of each top in the network's loss when the description gives none: 1 for the first
    /// top of a loss layer, else 0.
    pub fn default_loss_weight(&self, top: usize) -> f32 {
        let loss = matches!(
            self,
            Layer::SoftmaxLoss(_)
                | Layer::SigmoidCrossEntropyLoss(_)
                | Layer::HingeLoss(_)
                | Layer::EuclideanLoss(_)
                | Layer::ContrastiveLoss(_)
                | Layer::MultinomialLogisticLoss(_)
        );
        if loss && top == 0 { 1.0 } else { 0.0 }
    }
}

/// One top of the bottom's own shape, no parameters.
fn same(bottom: &Shape) -> ShapeResult<Inference> {
    Ok(Inference::tops(vec![bottom.clone()]))
}
