//! Gradients of whole networks, of every layer that has one: against differences of forward passes on
//! the reference backend, then the other backends' against the reference's.

mod cases;
#[path = "../common/mod.rs"]
mod common;

use common::{cuda, relative_error};
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

/// A backend's gradients: near the reference's, the same in a second pass and in a second network.
fn against_reference(case: &Case, backend: &str, conv: Option<Algorithm>, tolerance: f32) {
    let mut reference = case.net("reference", None);
    let sum = Sum::new(&reference);
    let mut nets = [case.net(backend, conv), case.net(backend, conv)];
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
    let check = |case: &'static Case| catch_unwind(|| check(case)).map_err(|_| case.name);
    let (said, failed): (Vec<_>, Vec<_>) = cases::all().map(check).partition(Result::is_ok);
    let failed: Vec<&str> = failed.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{} of {}: {failed:#?}", failed.len(), cases::all().count());
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
    let nets = cases::all().map(|case| case.net("reference", None));
    let types = |net: Net| net.graph().nodes.iter().map(|n| n.kind.clone()).collect::<Vec<_>>();
    let types: BTreeSet<String> = nets.flat_map(types).collect();
    let missing: Vec<String> = catalogue().difference(&types).cloned().collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
    println!(
        "{} networks, {} types of layers: {compared} gradients within {BOUND:e} of differences",
        cases::all().count(),
        catalogue().len()
    );
}

#[test]
fn cpu_equals_reference() {
    for (conv, tolerance) in [(None, 2e-5), (Some(Algorithm::Gemm), 1e-5)] {
        each(|case| against_reference(case, "cpu", conv, tolerance));
        println!(
            "cpu {}: {} networks within {tolerance:e} of the reference, the same in every run",
            conv.map_or("", Algorithm::name),
            cases::all().count()
        );
    }
}

#[test]
fn cuda_equals_reference() {
    let Some(backend) = cuda() else { return };
    for conv in [None, Some(Algorithm::Winograd)] {
        each(|case| against_reference(case, backend, conv, 2e-5));
    }
    println!(
        "{backend}: {} networks within 2e-5 of the reference, the same in every run",
        cases::all().count()
    );
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
