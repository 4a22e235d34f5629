//! What each layer does: one sentence, one formula.
//!
//! Flows in: a layer. Flows out: text, and a line for [`formula`](super::html::formula).

use crate::layer::{Conv, Layer, LrnRegion, Pool, PoolMethod, Unary};
use likenet_kernels::ops::{Eltwise, Reduction, Window};

/// A sentence and a formula; the formula is empty where there is nothing to compute.
pub(super) fn describe(layer: &Layer) -> (String, String) {
    let both = |sentence: &str, formula: &str| (sentence.to_string(), formula.to_string());
    match layer {
        Layer::Source(_) => both(
            "The photo comes in: resized, cropped, its colours in the order that the network was trained with, \
             the mean subtracted.",
            "x = (s − mean) · scale",
        ),
        Layer::Convolution(l) => convolution(l),
        Layer::Deconvolution(l) => (
            format!(
                "Lays each of its {} filters over the output once for every input value, that much stronger, and \
                 adds up where they overlap.",
                l.0.filters
            ),
            "y_{f,i+k} = b_{f} + ∑_{c,i,k} w_{c,f,k} · x_{c,i}".into(),
        ),
        Layer::InnerProduct(l) => (
            format!(
                "Each of its {} outputs looks at all inputs at once: a weighted sum, then a bias.",
                l.outputs
            ),
            "y_{o} = b_{o} + ∑_{i} w_{o,i} · x_{i}".into(),
        ),
        Layer::Embed(_) => both("Looks up the row of a table for each index.", "y = W_{x} + b"),
        Layer::Pooling(l) => pooling(l),
        Layer::Lrn(l) => lrn(l),
        Layer::Pointwise(op) => unary(op),
        Layer::PRelu(_) => both(
            "Keeps what is positive and shrinks what is not by a slope that was learnt for each channel.",
            "y = max(x, 0) + a_{c} · min(x, 0)",
        ),
        Layer::Dropout(l) => (
            format!(
                "In training each value is dropped with probability {}, so that no unit can rely on another one \
                 (Srivastava et al., 2014). In testing, as here, all are kept.",
                l.ratio
            ),
            "y_{test} = x,  y_{train} = m · {x}/{1 − p}".into(),
        ),
        Layer::BatchNorm(_) => both(
            "Shifts and scales each channel to mean 0 and variance 1, as measured in training (Ioffe and Szegedy, \
             2015).",
            "y = {x − μ_{c}}/{√{v_{c} + ε}}",
        ),
        Layer::Scale(_) => {
            both("Multiplies by a factor that was learnt, and adds a number.", "y = a · x + b")
        }
        Layer::Bias(_) => both("Adds a number that was learnt.", "y = x + b"),
        Layer::Softmax(_) => both(
            "Makes probabilities of scores: all positive, together 1; one more in score is e times as probable.",
            "p_{i} = {e^{x_{i}}}/{∑_{j} e^{x_{j}}}",
        ),
        Layer::SoftmaxLoss(_) => both(
            "Says how surprised the network is by the truth: the negative logarithm of its probability.",
            "L = −log p_{t}",
        ),
        Layer::SigmoidCrossEntropyLoss(_) => both(
            "Cross-entropy of independent yes-or-no answers.",
            "L = −∑_{i} (t_{i} · log p_{i} + (1 − t_{i}) · log(1 − p_{i}))",
        ),
        Layer::HingeLoss(_) => both(
            "What is on the wrong side of the margin counts, by how far.",
            "L = ∑_{i} max(0, 1 − t_{i} · x_{i})",
        ),
        Layer::EuclideanLoss(_) => {
            both("Half the mean squared distance.", "L = {1}/{2N} · ∑_{i} (a_{i} − b_{i})^{2}")
        }
        Layer::ContrastiveLoss(_) => both(
            "Pulls pairs together that are alike, pushes others apart up to a margin (Hadsell et al., 2006).",
            "L = s · d^{2} + (1 − s) · max(0, m − d)^{2}",
        ),
        Layer::MultinomialLogisticLoss(_) => {
            both("The negative logarithm of the truth's given probability.", "L = −log p_{t}")
        }
        Layer::Accuracy(_) => {
            both("How often the truth is among the best guesses.", "a = {right}/{all}")
        }
        Layer::ArgMax(_) => both("The places of the largest values.", "y = argmax_{i} x_{i}"),
        Layer::Concat(_) => both(
            "Puts the outputs of its branches one after the other: each branch keeps its own channels.",
            "y = [x_{1}, x_{2}, …]",
        ),
        Layer::Slice(_) => both("Cuts its input into parts.", "[y_{1}, y_{2}, …] = x"),
        Layer::Split => both("Gives the same values to several layers.", "y_{1} = y_{2} = … = x"),
        Layer::Eltwise(op) => match op {
            Eltwise::Sum(_) => both("Adds its inputs, value by value.", "y = ∑_{i} a_{i} · x_{i}"),
            Eltwise::Prod => {
                both("Multiplies its inputs, value by value.", "y = x_{1} · x_{2} · …")
            }
            Eltwise::Max => {
                both("Takes the largest of its inputs, value by value.", "y = max(x_{1}, x_{2}, …)")
            }
        },
        Layer::Flatten(_) => both("The same values in one long row.", "y_{i} = x_{i}"),
        Layer::Reshape(_) => both("The same values under another shape.", "y_{i} = x_{i}"),
        Layer::Crop(_) => both("Cuts a window out of its input.", "y_{i} = x_{i+o}"),
        Layer::Tile(_) => both("Repeats its input.", "y = [x, x, …]"),
        Layer::Reduction(l) => match l.op {
            Reduction::Sum => both("Adds up each row.", "y = a · ∑_{i} x_{i}"),
            Reduction::Asum => both("Adds up the magnitudes of each row.", "y = a · ∑_{i} |x_{i}|"),
            Reduction::SumSq => both("Adds up the squares of each row.", "y = a · ∑_{i} x_{i}^{2}"),
            Reduction::Mean => both("The mean of each row.", "y = {a}/{n} · ∑_{i} x_{i}"),
        },
        Layer::Mvn(_) => both(
            "Shifts each plane to mean 0 and, where it says so, scales it to variance 1.",
            "y = {x − μ}/{σ + ε}",
        ),
        Layer::Silence => both("Takes values that nobody else wants.", ""),
    }
}

/// "3 × 3 window, stride 2, pad 1".
pub(super) fn window(w: &Window) -> String {
    let pair = |[a, b]: [usize; 2]| if a == b { a.to_string() } else { format!("{a} and {b}") };
    let mut words = format!("{} × {} window, stride {}", w.kernel[0], w.kernel[1], pair(w.stride));
    if w.pad != [0, 0] {
        words += &format!(", pad {}", pair(w.pad));
    }
    if w.dilation != [1, 1] {
        words += &format!(", dilation {}", pair(w.dilation));
    }
    words
}

fn convolution(l: &Conv) -> (String, String) {
    let [h, w] = l.window.kernel;
    let sees = match l.window.kernel {
        [1, 1] => "weighs the channels at each place, one place at a time".to_string(),
        _ => format!("slides a window of {h} × {w} over all its input channels"),
    };
    let group = match l.group {
        1 => String::new(),
        g => format!(" Its channels are cut into {g} groups that do not see each other."),
    };
    let sentence = format!(
        "Each of its {} filters {sees}: every input times its weight, all added up, and a bias.{group}",
        l.filters
    );
    let formula = match l.window.kernel {
        [1, 1] => "y_{f,i,j} = b_{f} + ∑_{c} w_{f,c} · x_{c,i,j}".to_string(),
        _ => {
            let along = |axis: usize, i: &str, k: &str| {
                let (s, d, p) =
                    (l.window.stride[axis], l.window.dilation[axis], l.window.pad[axis]);
                let times = |n: usize, what: &str| {
                    if n == 1 { what.to_string() } else { format!("{n} · {what}") }
                };
                let pad = if p > 0 { format!(" − {p}") } else { String::new() };
                format!("{} + {}{pad}", times(s, i), times(d, k))
            };
            let (y, x) = (along(0, "i", "k"), along(1, "j", "l"));
            format!("y_{{f,i,j}} = b_{{f}} + ∑_{{c,k,l}} w_{{f,c,k,l}} · x_{{c,  {y},  {x}}}")
        }
    };
    (sentence, formula)
}

fn pooling(l: &Pool) -> (String, String) {
    let over = match l.window {
        Some(w) => format!("each window of {} × {}", w.kernel[0], w.kernel[1]),
        None => "the whole of each channel".to_string(),
    };
    match l.method {
        PoolMethod::Max => (
            format!(
                "Keeps only the largest value of {over}: where exactly it was no longer counts so much."
            ),
            "y = max_{k,l} x_{k,l}".into(),
        ),
        PoolMethod::Ave => {
            (format!("Takes the mean of {over}."), "y = {1}/{n} · ∑_{k,l} x_{k,l}".into())
        }
    }
}

fn lrn(l: &crate::layer::Lrn) -> (String, String) {
    let p = l.params;
    let near = match l.region {
        LrnRegion::AcrossChannels => format!("the {} channels around it, at its own place", p.size),
        LrnRegion::WithinChannel => {
            format!("the {0} × {0} places around it, in its own channel", p.size)
        }
    };
    let n = match l.region {
        LrnRegion::AcrossChannels => p.size,
        LrnRegion::WithinChannel => p.size * p.size,
    };
    (
        format!(
            "Loud neighbours quieten a value: it is divided by a power of the squares of {near} (Krizhevsky et \
             al., 2012)."
        ),
        format!(
            "y = x · ({} + {{{}}}/{{{n}}} · ∑_{{j}} x_{{j}}^{{2}})^{{−{}}}",
            p.k, p.alpha, p.beta
        ),
    )
}

fn unary(op: &Unary) -> (String, String) {
    let (sentence, formula) = match *op {
        Unary::Relu { slope: 0.0 } => (
            "Keeps what is positive; of what is negative nothing is left.".to_string(),
            "y = max(0, x)".to_string(),
        ),
        Unary::Relu { slope } => (
            format!("Keeps what is positive; of what is negative {slope} times is left."),
            format!("y = max(0, x) + {slope} · min(0, x)"),
        ),
        Unary::Elu { alpha } => (
            "Keeps what is positive; bends what is negative towards a floor.".into(),
            format!("y = x if x > 0, else {alpha} · (e^{{x}} − 1)"),
        ),
        Unary::Sigmoid => {
            ("Bends any number into one between 0 and 1.".into(), "y = {1}/{1 + e^{−x}}".into())
        }
        Unary::TanH => ("Bends any number into one between −1 and 1.".into(), "y = tanh(x)".into()),
        Unary::AbsVal => ("Leaves signs out.".into(), "y = |x|".into()),
        Unary::Power { power, scale, shift } => {
            ("A power of each value.".into(), format!("y = ({shift} + {scale} · x)^{{{power}}}"))
        }
        Unary::Exp { base, scale, shift } => {
            let base = base.map_or("e".into(), |b| b.to_string());
            (
                "An exponential of each value.".into(),
                format!("y = {base}^{{{shift} + {scale} · x}}"),
            )
        }
        Unary::Log { base, scale, shift } => {
            let log = base.map_or("ln".into(), |b| format!("log_{{{b}}}"));
            ("A logarithm of each value.".into(), format!("y = {log}({shift} + {scale} · x)"))
        }
        Unary::Bnll => {
            ("A smooth step: nearly 0 below, nearly x above.".into(), "y = ln(1 + e^{x})".into())
        }
        Unary::Clip { low, high } => (
            "Keeps each value between two bounds.".into(),
            format!("y = min(max(x, {low}), {high})"),
        ),
        Unary::Swish { beta } => (
            "Each value times a step between 0 and 1.".into(),
            format!("y = {{x}}/{{1 + e^{{−{beta} · x}}}}"),
        ),
        Unary::Threshold { threshold } => (
            "1 where a value is above a bound, else 0.".into(),
            format!("y = 1 if x > {threshold}, else 0"),
        ),
    };
    (sentence, formula)
}
