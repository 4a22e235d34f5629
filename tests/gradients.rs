//! Gradients of whole networks, of every layer that has one: against differences of forward passes on
//! the reference backend, then the CPU backend's against the reference's.

mod common;

use common::relative_error;
use likenet::layer::Phase;
use likenet::net::{Algorithm, Blob, Keep, Net, NetState, Options};
use likenet::rng::Rng;
use std::collections::BTreeSet;
use std::panic::{RefUnwindSafe, catch_unwind};

/// Half the distance between two evaluations.
const STEP: f32 = 1.0 / 256.0;
/// How far a gradient may be from the difference, in shares of the tensor's largest.
const BOUND: f64 = 1e-3;
/// At most about so many elements of a tensor are moved.
const MOVED: usize = 300;

/// A small network in the training phase.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    /// `name:dims`, with random values, or `name:dims=values`: labels, which have no gradient.
    inputs: &'static str,
    /// Lines `type bottoms > tops | further fields`.
    layers: &'static str,
    /// Between which the random values lie.
    range: (f32, f32),
    /// Where a slope or an order changes: random values stay away from there.
    corners: &'static [f32],
}

/// An input of a case.
struct Input {
    name: &'static str,
    dims: Vec<usize>,
    /// Its values, repeated as often as needed; random if none.
    labels: Option<Vec<f32>>,
}

impl Input {
    fn count(&self) -> usize {
        self.dims.iter().product()
    }
}

const fn case(name: &'static str, inputs: &'static str, layers: &'static str) -> Case {
    Case { name, inputs, layers, range: (-1.5, 1.5), corners: &[0.0] }
}

impl Case {
    const fn within(self, low: f32, high: f32) -> Self {
        Self { range: (low, high), ..self }
    }

    const fn corners(self, corners: &'static [f32]) -> Self {
        Self { corners, ..self }
    }

    fn inputs(&self) -> Vec<Input> {
        let parse = |input: &'static str| {
            let (name, rest) = input.split_once(':').expect("name:dims");
            let (dims, labels) = rest.split_once('=').map_or((rest, None), |(d, l)| (d, Some(l)));
            let dims = dims.split(',').map(|d| d.parse().expect("a dimension")).collect();
            let label = |l: &str| l.parse().expect("a label");
            Input { name, dims, labels: labels.map(|l| l.split(',').map(label).collect()) }
        };
        self.inputs.split_whitespace().map(parse).collect()
    }

    fn prototxt(&self) -> String {
        let mut text = String::new();
        for Input { name, dims, .. } in self.inputs() {
            let dims: String = dims.iter().map(|d| format!("dim: {d} ")).collect();
            text += &format!(
                "layer {{ name: '{name}' type: 'Input' top: '{name}' \
                 input_param {{ shape {{ {dims} }} }} }}\n"
            );
        }
        let lines = self.layers.lines().map(str::trim).filter(|l| !l.is_empty());
        for (i, line) in lines.enumerate() {
            let (ends, fields) = line.split_once('|').unwrap_or((line, ""));
            let (from, to) = ends.split_once('>').expect("bottoms > tops");
            let mut from = from.split_whitespace();
            let kind = from.next().expect("a type");
            let bottoms: String = from.map(|b| format!("bottom: '{b}' ")).collect();
            let tops: String = to.split_whitespace().map(|t| format!("top: '{t}' ")).collect();
            text += &format!("layer {{ name: 'l{i}' type: '{kind}' {bottoms} {tops} {fields} }}\n");
        }
        text
    }

    /// The network with its inputs and parameters set.
    fn net(&self, backend: &str, conv: Option<Algorithm>) -> Net {
        let options = Options {
            backend: backend.into(),
            conv,
            threads: 2,
            keep: Keep::Training,
            input_gradients: true,
            state: NetState { phase: Phase::Train, ..NetState::default() },
            ..Options::default()
        };
        let net = Net::parse(self.name, &self.prototxt(), options);
        let mut net = net.unwrap_or_else(|e| panic!("{}: {e}", self.name));
        net.randomise(7);
        for (name, values) in self.data() {
            net.set_input(name, &values).expect("input");
        }
        net
    }

    /// Values of all inputs. Random ones are evenly spaced, so that no step changes their order, and
    /// shuffled; labels are repeated.
    fn data(&self) -> Vec<(&'static str, Vec<f32>)> {
        let inputs = self.inputs();
        let n: usize = inputs.iter().filter(|i| i.labels.is_none()).map(Input::count).sum();
        let (low, high) = self.range;
        let away = |x: f32| {
            let near = self.corners.iter().find(|c| (x - **c).abs() < 2.0 * STEP);
            near.map_or(x, |c| if x < *c { c - 2.0 * STEP } else { c + 2.0 * STEP })
        };
        let spaced = |i: usize| away(low + (high - low) * (i as f32 + 0.5) / n as f32);
        let (mut values, mut rng): (Vec<f32>, _) = ((0..n).map(spaced).collect(), Rng::new(5));
        (1..n).for_each(|i| values.swap(i, rng.below(i + 1)));
        let mut values = values.into_iter();
        let data = |input: &Input| {
            let data = match &input.labels {
                Some(labels) => labels.iter().copied().cycle().take(input.count()).collect(),
                None => values.by_ref().take(input.count()).collect(),
            };
            (input.name, data)
        };
        inputs.iter().map(data).collect()
    }
}

/// Which numbers a network's gradients are those of: `Σ weight · value` over some blobs.
struct Sum {
    /// Names, and the weight of each element.
    weights: Vec<(String, Vec<f32>)>,
    /// Whether the network's own loss says so, or the weights are given to the backward pass.
    own: bool,
}

impl Sum {
    /// The loss if there is one, else all outputs with random weights.
    fn new(net: &Net) -> Self {
        let blobs = &net.graph().blobs;
        let weighted: Vec<_> = blobs.iter().filter(|b| b.loss_weight != 0.0).collect();
        let own = !weighted.is_empty();
        if own {
            let weights = |b: &&Blob| (b.name.clone(), vec![b.loss_weight; b.shape.count()]);
            return Self { own, weights: weighted.iter().map(weights).collect() };
        }
        let mut rng = Rng::new(3);
        let sources = net.input_names();
        let outputs = net.output_names().into_iter().filter(|n| !sources.contains(n));
        let random = |name: &str| {
            let count = net.blob_shape(name).expect("a blob").count();
            (name.to_string(), (0..count).map(|_| rng.uniform(-1.0, 1.0)).collect())
        };
        Self { own, weights: outputs.map(random).collect() }
    }

    /// The sum after a forward pass; each drops the same elements.
    fn forward(&self, net: &mut Net) -> f64 {
        net.set_passes(1);
        net.forward().expect("forward");
        let mut sum = 0.0;
        for (name, weights) in &self.weights {
            let blob = net.blob(name).expect("a blob");
            sum += blob.data().iter().zip(weights).map(|(v, w)| *v as f64 * *w as f64).sum::<f64>();
        }
        sum
    }

    fn backward(&self, net: &mut Net) {
        self.forward(net);
        match self.own {
            true => net.backward().expect("backward"),
            false => {
                let given: Vec<(&str, &[f32])> =
                    self.weights.iter().map(|(n, w)| (n.as_str(), w.as_slice())).collect();
                net.backward_from(&given).expect("backward");
            }
        }
    }
}

/// What may have a gradient: an input, or a parameter by the layer that owns it.
#[derive(Debug)]
enum Of {
    Input(String),
    Param(String, usize),
}

impl Of {
    /// Everything that a network gets from outside, and whether it must have a gradient.
    fn all(case: &Case, net: &Net) -> Vec<(Self, bool)> {
        let inputs = case.inputs().into_iter();
        let inputs = inputs.map(|i| (Self::Input(i.name.to_string()), i.labels.is_none()));
        let params = net.graph().params.iter().enumerate().map(|(id, p)| {
            let mut uses = net.graph().nodes.iter().flat_map(|n| &n.params).filter(|u| u.id == id);
            let learnt = uses.any(|u| u.rule.lr_mult != 0.0);
            (Self::Param(p.layer.clone(), p.index), learnt)
        });
        inputs.chain(params).collect()
    }

    fn gradient(&self, net: &Net) -> Option<Vec<f32>> {
        let gradient = match self {
            Self::Input(name) => net.input_gradient(name),
            Self::Param(layer, index) => net.param_gradient(layer, *index),
        };
        gradient.expect("it exists").map(|g| g.data().to_vec())
    }

    fn get(&self, case: &Case, net: &Net) -> Vec<f32> {
        match self {
            Self::Input(name) => {
                case.data().into_iter().find(|(n, _)| n == name).expect("an input").1
            }
            Self::Param(layer, index) => {
                net.param(layer, *index).expect("parameter").data().to_vec()
            }
        }
    }

    fn set(&self, net: &mut Net, values: &[f32]) {
        match self {
            Self::Input(name) => net.set_input(name, values).expect("input"),
            Self::Param(layer, index) => net.set_param(layer, *index, values).expect("parameter"),
        }
    }
}

/// All gradients of a network after one backward pass. Those that must be there are, and say something.
fn gradients(case: &Case, net: &mut Net, sum: &Sum) -> Vec<(Of, Vec<f32>)> {
    net.clear_gradients();
    sum.backward(net);
    let mut found = vec![];
    for (of, wanted) in Of::all(case, net) {
        let gradient = of.gradient(net);
        assert_eq!(gradient.is_some(), wanted, "{}: gradient of {of:?}", case.name);
        let Some(gradient) = gradient else { continue };
        let says = gradient.iter().all(|g| g.is_finite()) && gradient.iter().any(|g| *g != 0.0);
        assert!(says, "{}: the gradient of {of:?} is {gradient:?}", case.name);
        found.push((of, gradient));
    }
    assert!(!found.is_empty(), "{}: no gradients", case.name);
    found
}

/// Central differences of a sum of forward passes, element by element; how many were compared.
fn against_differences(case: &Case) -> usize {
    let mut net = case.net("reference", None);
    let sum = Sum::new(&net);
    let mut compared = 0;
    for (of, gradient) in gradients(case, &mut net, &sum) {
        let values = of.get(case, &net);
        assert_eq!(values.len(), gradient.len(), "{}: {of:?}", case.name);
        let largest = gradient.iter().fold(0.0, |top: f64, g| top.max(g.abs() as f64));
        for i in (0..values.len()).step_by(values.len().div_ceil(MOVED)) {
            let mut moved = values.clone();
            let mut difference = |step: f32| {
                let [low, high] = [values[i] - step, values[i] + step];
                let [below, above] = [low, high].map(|x| {
                    moved[i] = x;
                    of.set(&mut net, &moved);
                    sum.forward(&mut net)
                });
                (above - below) / (high as f64 - low as f64)
            };
            let near = |want: f64| (gradient[i] as f64 - want).abs() <= BOUND * largest;
            // Within a network, a step may go beyond a corner.
            let wants = [STEP, STEP / 16.0].map(&mut difference);
            assert!(
                wants.into_iter().any(near),
                "{}: {of:?} element {i}: gradient {}, differences {wants:?}",
                case.name,
                gradient[i]
            );
            compared += 1;
        }
        of.set(&mut net, &values);
    }
    compared
}

/// The CPU backend's gradients: near the reference's, the same in a second pass and in a second network.
fn cpu_against_reference(case: &Case, conv: Option<Algorithm>, tolerance: f32) {
    let mut reference = case.net("reference", None);
    let sum = Sum::new(&reference);
    let mut nets = [case.net("cpu", conv), case.net("cpu", conv)];
    let want = gradients(case, &mut reference, &sum);
    let got = gradients(case, &mut nets[0], &sum);
    for ((of, want), (_, got)) in want.iter().zip(&got) {
        let error = relative_error(got, want);
        assert!(error <= tolerance, "{}: {of:?} on {conv:?}: {error:e}", case.name);
    }
    for net in &mut nets {
        let again = gradients(case, net, &sum);
        for ((of, first), (_, again)) in got.iter().zip(&again) {
            let same = first.iter().zip(again).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{}: {of:?} on {conv:?} differs from run to run", case.name);
        }
    }
    sum.backward(&mut nets[0]);
    for (of, first) in &got {
        let twice = of.gradient(&nets[0]).expect("as before");
        let times = if matches!(of, Of::Input(_)) { 1.0 } else { 2.0 };
        let sums: Vec<f32> = first.iter().map(|g| times * g).collect();
        let error = relative_error(&twice, &sums);
        assert!(error <= tolerance, "{}: {of:?} does not add up: {error:e}", case.name);
    }
}

/// What `check` says of every case. All of them are checked before one that fails is a failure.
fn each<R>(check: impl Fn(&Case) -> R + RefUnwindSafe) -> Vec<R> {
    let check = |case: &Case| catch_unwind(|| check(case)).map_err(|_| case.name);
    let (said, failed): (Vec<_>, Vec<_>) = CASES.iter().map(check).partition(Result::is_ok);
    let failed: Vec<&str> = failed.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{} of {}: {failed:#?}", failed.len(), CASES.len());
    said.into_iter().flatten().collect()
}

/// Layer types without a gradient: sources, and what counts or cuts off.
const NONE: &str = "Input Data ImageData MemoryData DummyData Accuracy ArgMax Silence Threshold";

/// Every layer type, as the error for an unknown one lists them.
fn catalogue() -> BTreeSet<String> {
    let case = case("unknown", "x:1", "Unknown x > y");
    let Err(error) = Net::parse("unknown", &case.prototxt(), Options::default()) else {
        panic!("a layer of no type is known");
    };
    let error = error.to_string();
    let (_, known) = error.split_once("known are: ").expect("the list of known types");
    let none: Vec<&str> = NONE.split(' ').collect();
    known.split_whitespace().filter(|t| !none.contains(t)).map(String::from).collect()
}

#[test]
fn gradients_equal_differences() {
    let compared: usize = each(against_differences).into_iter().sum();
    let nets = CASES.iter().map(|case| case.net("reference", None));
    let types = |net: Net| net.graph().nodes.iter().map(|n| n.kind.clone()).collect::<Vec<_>>();
    let types: BTreeSet<String> = nets.flat_map(types).collect();
    let missing: Vec<String> = catalogue().difference(&types).cloned().collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
    println!(
        "{} networks, {} types of layers: {compared} gradients within {BOUND:e} of differences",
        CASES.len(),
        catalogue().len()
    );
}

#[test]
fn cpu_equals_reference() {
    for (conv, tolerance) in [(None, 2e-5), (Some(Algorithm::Gemm), 1e-5)] {
        each(|case| cpu_against_reference(case, conv, tolerance));
        println!(
            "cpu {}: {} networks within {tolerance:e} of the reference, the same in every run",
            conv.map_or("", Algorithm::name),
            CASES.len()
        );
    }
}

#[test]
fn a_wrong_gradient_is_found() {
    // As in Caffe, a loss passes no gradient through its probabilities; and a threshold has none.
    let ignored = case(
        "ignored",
        "x:4,5 label:4=0,4,2,1",
        "SoftmaxWithLoss x label > loss p
         Power p > y | power_param { power: 2 } loss_weight: 1",
    );
    let silent = case("silent", "x:2,3", "Threshold x > y");
    for case in [ignored, silent] {
        assert!(catch_unwind(|| against_differences(&case)).is_err(), "{}", case.name);
    }
}

#[test]
fn given_gradients_replace_those_of_the_loss() {
    const CUT: &str = "InnerProduct x > a | inner_product_param { num_output: 5 }
         TanH a > t";
    const WHOLE: &str = "InnerProduct x > a | inner_product_param { num_output: 5 }
         TanH a > t
         InnerProduct t > b | inner_product_param { num_output: 3 }
         ReLU b > r
         Reduction r > loss | loss_weight: 1";
    let [mut cut, mut whole] =
        [CUT, WHOLE].map(|layers| case("given", "x:4,6", layers).net("reference", None));
    let given = Sum::new(&cut);
    given.backward(&mut cut);
    Sum::new(&whole).backward(&mut whole);
    whole.clear_gradients();
    Sum { own: false, weights: given.weights }.backward(&mut whole);
    let param = |net: &Net, layer, i| net.param_gradient(layer, i).unwrap().unwrap();
    for i in [0, 1] {
        assert_eq!(param(&whole, "l0", i).data(), param(&cut, "l0", i).data());
        assert!(param(&whole, "l2", i).data().iter().all(|g| *g == 0.0));
    }
    let error = whole.backward_from(&[("b", &[1.0; 12])]).expect_err("ReLU follows at once");
    assert!(matches!(error, likenet::Error::NotKept { .. }), "{error}");
}

/// At least one network for every layer with a gradient, by itself and among others.
#[rustfmt::skip] // one line, one layer
const CASES: &[Case] = &[
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
    case("ReLU", "x:3,4,2,3",
        "ReLU x > y"),
    case("ReLU in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         ReLU y > y
         Sigmoid y > y").within(-1.2, 1.2),
    case("ReLU relu negative_slope: 0.25", "x:3,4,2,3",
        "ReLU x > y | relu_param { negative_slope: 0.25 }"),
    case("ReLU relu negative_slope: 0.25 in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         ReLU y > y | relu_param { negative_slope: 0.25 }
         Sigmoid y > y").within(-1.2, 1.2),
    case("ReLU relu negative_slope: -0.5", "x:3,4,2,3",
        "ReLU x > y | relu_param { negative_slope: -0.5 }"),
    case("ReLU relu negative_slope: -0.5 in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         ReLU y > y | relu_param { negative_slope: -0.5 }
         Sigmoid y > y").within(-1.2, 1.2),
    case("ELU elu alpha: 0.6", "x:3,4,2,3",
        "ELU x > y | elu_param { alpha: 0.6 }"),
    case("ELU elu alpha: 0.6 in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         ELU y > y | elu_param { alpha: 0.6 }
         Sigmoid y > y").within(-1.2, 1.2),
    case("Sigmoid", "x:3,4,2,3",
        "Sigmoid x > y"),
    case("Sigmoid in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Sigmoid y > y
         Sigmoid y > y").within(-1.2, 1.2),
    case("TanH", "x:3,4,2,3",
        "TanH x > y"),
    case("TanH in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         TanH y > y
         Sigmoid y > y").within(-1.2, 1.2),
    case("AbsVal", "x:3,4,2,3",
        "AbsVal x > y"),
    case("AbsVal in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         AbsVal y > y
         Sigmoid y > y").within(-1.2, 1.2),
    case("BNLL", "x:3,4,2,3",
        "BNLL x > y"),
    case("BNLL in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         BNLL y > y
         Sigmoid y > y").within(-1.2, 1.2),
    case("Power power power: 1 scale: 0.7 shift: 2.5", "x:3,4,2,3",
        "Power x > y | power_param { power: 1 scale: 0.7 shift: 2.5 }"),
    case("Power power power: 1 scale: 0.7 shift: 2.5 in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Power y > y | power_param { power: 1 scale: 0.7 shift: 2.5 }
         Sigmoid y > y").within(-1.2, 1.2),
    case("Power power power: 2 scale: 0.7 shift: 2.5", "x:3,4,2,3",
        "Power x > y | power_param { power: 2 scale: 0.7 shift: 2.5 }"),
    case("Power power power: 2 scale: 0.7 shift: 2.5 in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Power y > y | power_param { power: 2 scale: 0.7 shift: 2.5 }
         Sigmoid y > y").within(-1.2, 1.2),
    case("Power power power: 3 scale: 0.7 shift: 2.5", "x:3,4,2,3",
        "Power x > y | power_param { power: 3 scale: 0.7 shift: 2.5 }"),
    case("Power power power: 3 scale: 0.7 shift: 2.5 in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Power y > y | power_param { power: 3 scale: 0.7 shift: 2.5 }
         Sigmoid y > y").within(-1.2, 1.2),
    case("Power power power: -1.5 scale: 0.7 shift: 2.5", "x:3,4,2,3",
        "Power x > y | power_param { power: -1.5 scale: 0.7 shift: 2.5 }"),
    case("Power power power: -1.5 scale: 0.7 shift: 2.5 in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Power y > y | power_param { power: -1.5 scale: 0.7 shift: 2.5 }
         Sigmoid y > y").within(-1.2, 1.2),
    case("Exp", "x:3,4,2,3",
        "Exp x > y"),
    case("Exp in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Exp y > y
         Sigmoid y > y").within(-1.2, 1.2),
    case("Exp exp base: 2 scale: 0.7 shift: 0.5", "x:3,4,2,3",
        "Exp x > y | exp_param { base: 2 scale: 0.7 shift: 0.5 }"),
    case("Exp exp base: 2 scale: 0.7 shift: 0.5 in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Exp y > y | exp_param { base: 2 scale: 0.7 shift: 0.5 }
         Sigmoid y > y").within(-1.2, 1.2),
    case("Log log shift: 3", "x:3,4,2,3",
        "Log x > y | log_param { shift: 3 }"),
    case("Log log shift: 3 in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Log y > y | log_param { shift: 3 }
         Sigmoid y > y").within(-1.2, 1.2),
    case("Log log base: 2 scale: 0.7 shift: 2.5", "x:3,4,2,3",
        "Log x > y | log_param { base: 2 scale: 0.7 shift: 2.5 }"),
    case("Log log base: 2 scale: 0.7 shift: 2.5 in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Log y > y | log_param { base: 2 scale: 0.7 shift: 2.5 }
         Sigmoid y > y").within(-1.2, 1.2),
    case("Clip clip min: -0.5 max: 0.75", "x:3,4,2,3",
        "Clip x > y | clip_param { min: -0.5 max: 0.75 }").corners(&[-0.5, 0.75]),
    case("Clip clip min: -0.5 max: 0.75 in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Clip y > y | clip_param { min: -0.5 max: 0.75 }
         Sigmoid y > y").within(-1.2, 1.2).corners(&[-0.4, 0.6]),
    case("Swish swish beta: 1.5", "x:3,4,2,3",
        "Swish x > y | swish_param { beta: 1.5 }"),
    case("Swish swish beta: 1.5 in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Swish y > y | swish_param { beta: 1.5 }
         Sigmoid y > y").within(-1.2, 1.2),
    case("Dropout dropout dropout_ratio: 0.4", "x:3,4,2,3",
        "Dropout x > y | dropout_param { dropout_ratio: 0.4 }"),
    case("Dropout dropout dropout_ratio: 0.4 in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Dropout y > y | dropout_param { dropout_ratio: 0.4 }
         Sigmoid y > y").within(-1.2, 1.2),
    case("Dropout phase: TEST dropout dropout_ratio: 0.4", "x:3,4,2,3",
        "Dropout x > y | phase: TEST dropout_param { dropout_ratio: 0.4 }"),
    case("Dropout phase: TEST dropout dropout_ratio: 0.4 in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Dropout y > y | phase: TEST dropout_param { dropout_ratio: 0.4 }
         Sigmoid y > y").within(-1.2, 1.2),
    case("PReLU", "x:3,4,2,3",
        "PReLU x > y"),
    case("PReLU in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         PReLU y > y
         Sigmoid y > y").within(-1.2, 1.2),
    case("PReLU prelu channel_shared: true", "x:3,4,2,3",
        "PReLU x > y | prelu_param { channel_shared: true }"),
    case("PReLU prelu channel_shared: true in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         PReLU y > y | prelu_param { channel_shared: true }
         Sigmoid y > y").within(-1.2, 1.2),
    case("BatchNorm", "x:3,4,2,3",
        "BatchNorm x > y"),
    case("BatchNorm in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         BatchNorm y > y
         Sigmoid y > y").within(-1.2, 1.2),
    case("BatchNorm batch_norm use_global_stats: true eps: 0.01", "x:3,4,2,3",
        "BatchNorm x > y | batch_norm_param { use_global_stats: true eps: 0.01 }"),
    case("BatchNorm batch_norm use_global_stats: true eps: 0.01 in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         BatchNorm y > y | batch_norm_param { use_global_stats: true eps: 0.01 }
         Sigmoid y > y").within(-1.2, 1.2),
    case("Scale scale bias_term: true", "x:3,4,2,3",
        "Scale x > y | scale_param { bias_term: true }"),
    case("Scale scale bias_term: true in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Scale y > y | scale_param { bias_term: true }
         Sigmoid y > y").within(-1.2, 1.2),
    case("Scale scale axis: 0 num_axes: 2", "x:3,4,2,3",
        "Scale x > y | scale_param { axis: 0 num_axes: 2 }"),
    case("Scale scale axis: 0 num_axes: 2 in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Scale y > y | scale_param { axis: 0 num_axes: 2 }
         Sigmoid y > y").within(-1.2, 1.2),
    case("Scale scale num_axes: 0", "x:3,4,2,3",
        "Scale x > y | scale_param { num_axes: 0 }"),
    case("Scale scale num_axes: 0 in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Scale y > y | scale_param { num_axes: 0 }
         Sigmoid y > y").within(-1.2, 1.2),
    case("Scale scale axis: 1 num_axes: -1 bias_term: true", "x:3,4,2,3",
        "Scale x > y | scale_param { axis: 1 num_axes: -1 bias_term: true }"),
    case("Scale scale axis: 1 num_axes: -1 bias_term: true in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Scale y > y | scale_param { axis: 1 num_axes: -1 bias_term: true }
         Sigmoid y > y").within(-1.2, 1.2),
    case("Bias", "x:3,4,2,3",
        "Bias x > y"),
    case("Bias in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Bias y > y
         Sigmoid y > y").within(-1.2, 1.2),
    case("Bias bias axis: 2 num_axes: 2", "x:3,4,2,3",
        "Bias x > y | bias_param { axis: 2 num_axes: 2 }"),
    case("Bias bias axis: 2 num_axes: 2 in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         Bias y > y | bias_param { axis: 2 num_axes: 2 }
         Sigmoid y > y").within(-1.2, 1.2),
    case("MVN", "x:3,4,2,3",
        "MVN x > y"),
    case("MVN in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         MVN y > y
         Sigmoid y > y").within(-1.2, 1.2),
    case("MVN mvn normalize_variance: false across_channels: true", "x:3,4,2,3",
        "MVN x > y | mvn_param { normalize_variance: false across_channels: true }"),
    case("MVN mvn normalize_variance: false across_channels: true in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         MVN y > y | mvn_param { normalize_variance: false across_channels: true }
         Sigmoid y > y").within(-1.2, 1.2),
    case("MVN mvn across_channels: true", "x:3,4,2,3",
        "MVN x > y | mvn_param { across_channels: true }"),
    case("MVN mvn across_channels: true in place", "x:3,4,2,3",
        "Power x > y | power_param { scale: 1.25 }
         MVN y > y | mvn_param { across_channels: true }
         Sigmoid y > y").within(-1.2, 1.2),
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
