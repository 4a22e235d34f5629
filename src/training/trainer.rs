//! A network that learns: one iteration, one test.

use super::feeds::Feeds;
use crate::data::{Rules, find};
use crate::error::{Error, Result};
use crate::net::{
    Algorithm, Description, Guest, Keep, LearntParam, Missing, Net, NetState, Options as NetOptions,
};
use crate::report::{Iteration, Outputs, TestResult};
use crate::solver::snapshot::layers_of;
use crate::solver::{NetSource, Settings};
use likenet_kernels::ops::Update;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use weights_tools::proto::NetParameter;

/// How a training is computed.
#[derive(Clone, Debug)]
pub struct Options {
    /// `cpu` or `reference`.
    pub backend: String,
    /// Threads that compute; 0 means one for each core.
    pub threads: usize,
    /// How convolutions and fully connected layers are computed where they can be.
    pub conv: Option<Algorithm>,
    /// Weights to start from, besides those that the solver names; later files win. What no file mentions
    /// keeps its filler's values.
    pub weights: Vec<PathBuf>,
    /// Where relative paths of the solver count from if nothing is there from the current folder.
    pub base: PathBuf,
    /// Threads that prepare pictures.
    pub data_threads: usize,
    /// A picture that cannot be read is replaced by the next one; otherwise it is an error.
    pub skip_broken: bool,
    /// Resumes as Caffe does: data layers begin again, and snapshots hold nothing that Caffe's do not.
    pub caffe_compat: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backend: "cpu".into(),
            threads: 0,
            conv: None,
            weights: vec![],
            base: PathBuf::new(),
            data_threads: 1,
            skip_broken: false,
            caffe_compat: false,
        }
    }
}

/// A network that learns, with those that are tested meanwhile.
pub struct Trainer {
    pub(super) settings: Settings,
    pub(super) options: Options,
    pub(super) net: Net,
    /// The layers of the network that learns, as they are saved.
    pub(super) layers: NetParameter,
    pub(super) learnt: Vec<LearntParam>,
    pub(super) feeds: Feeds,
    pub(super) tests: Vec<Test>,
    /// Updates so far.
    pub(super) iter: usize,
    pub(super) current_step: usize,
    /// The losses of the last iterations, `average_loss` at most.
    pub(super) losses: VecDeque<f32>,
    untrained: Vec<String>,
}

/// A network that is tested.
pub(super) struct Test {
    guest: Guest,
    pub(super) feeds: Feeds,
    iterations: usize,
}

/// A network's description, its layers as they are stored, and the folder that its paths count from.
struct Described {
    description: Description,
    layers: NetParameter,
    base: PathBuf,
}

impl Trainer {
    /// Reads the networks that the settings name, opens their pictures and reads weights.
    pub fn new(settings: Settings, options: Options) -> Result<Self> {
        let seed = settings.random_seed.unwrap_or(1);
        let rules = Rules {
            seed,
            threads: options.data_threads,
            skip_broken: options.skip_broken,
            ..Rules::default()
        };
        let train = describe(&settings.train, &settings.train_state, &options.base)?;
        let feeds = Feeds::open(&train.description, &train.base, &rules)?;
        let net_options = NetOptions {
            backend: options.backend.clone(),
            threads: options.threads,
            conv: options.conv,
            state: settings.train_state.clone(),
            keep: Keep::Training,
            inputs: feeds.shapes()?,
            missing: Missing::Fill,
            seed,
            ..NetOptions::default()
        };
        let mut net = Net::new(train.description, net_options.clone())?;
        let files = settings.weights.iter().chain(&options.weights);
        let bases = std::slice::from_ref(&options.base);
        let files: Vec<PathBuf> = files.map(|f| find(f, bases)).collect::<Result<_>>()?;
        let untrained = if files.is_empty() { vec![] } else { net.load_weights(&files)? };
        let mut tests = vec![];
        for test in &settings.tests {
            let described = describe(&test.net, &test.state, &options.base)?;
            let feeds = Feeds::open(&described.description, &described.base, &rules)?;
            let test_options = NetOptions {
                state: test.state.clone(),
                keep: Keep::Outputs,
                inputs: feeds.shapes()?,
                ..net_options.clone()
            };
            let guest = net.guest(described.description, test_options)?;
            tests.push(Test { guest, feeds, iterations: test.iterations });
        }
        let learnt = net.learnt();
        if learnt.is_empty() {
            return Err(Error::Invalid(format!(
                "{}: nothing to learn: every layer's lr_mult is 0",
                net.graph().file
            )));
        }
        let (layers, losses) = (train.layers, VecDeque::new());
        Ok(Self {
            settings,
            options,
            net,
            layers,
            learnt,
            feeds,
            tests,
            iter: 0,
            current_step: 0,
            losses,
            untrained,
        })
    }

    /// Layers that none of the weights files has: they begin as their fillers say.
    pub fn untrained(&self) -> &[String] {
        &self.untrained
    }

    /// Updates so far.
    pub fn iter(&self) -> usize {
        self.iter
    }

    /// What the solver was told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The network.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// Pictures of an iteration.
    pub fn images(&self) -> usize {
        self.feeds.batch() * self.settings.iter_size
    }

    /// Pictures that could not be read and were replaced.
    pub fn skipped(&self) -> Vec<(String, String)> {
        let tests = self.tests.iter().flat_map(|t| t.feeds.skipped());
        self.feeds.skipped().into_iter().chain(tests).collect()
    }

    /// One iteration: gradients of `iter_size` batches, then an update. Speed and time are left open.
    ///
    /// Fails when the loss is not a finite number; nothing is updated then.
    pub fn step(&mut self) -> Result<Iteration> {
        let iter = self.iter;
        let loss = self.gradients()?;
        self.remember(loss);
        if !loss.is_finite() {
            return Err(Error::Invalid(format!(
                "iteration {iter}: the loss is {loss}: the weights have run away; lower base_lr or set \
                 clip_gradients, and go on from a snapshot or start anew"
            )));
        }
        let outputs = self.outputs()?;
        let lr = self.update()?;
        self.iter += 1;
        let (smoothed, images_per_s, seconds) = (self.smoothed(), 0.0, 0.0);
        Ok(Iteration { iter, loss, smoothed, lr, images_per_s, seconds, outputs })
    }

    /// The loss on the next batches, without learning.
    pub fn look(&mut self) -> Result<f32> {
        self.feeds.next(&mut self.net)?;
        self.net.forward()?;
        self.net.loss()
    }

    /// The summed gradients of `iter_size` batches; their mean loss.
    fn gradients(&mut self) -> Result<f32> {
        self.net.clear_gradients();
        let mut loss = 0.0;
        for _ in 0..self.settings.iter_size {
            loss += self.look()?;
            self.net.backward()?;
        }
        Ok(loss / self.settings.iter_size as f32)
    }

    fn remember(&mut self, loss: f32) {
        self.losses.push_back(loss);
        if self.losses.len() > self.settings.average_loss {
            self.losses.pop_front();
        }
    }

    fn smoothed(&self) -> f32 {
        self.losses.iter().sum::<f32>() / self.losses.len().max(1) as f32
    }

    /// Outputs of one element that are no loss.
    fn outputs(&self) -> Result<Outputs> {
        let graph = self.net.graph();
        let mut outputs = Outputs::new();
        for blob in graph.outputs().into_iter().map(|b| &graph.blobs[b]) {
            if blob.loss_weight == 0.0 && blob.shape.count() == 1 {
                outputs.insert(blob.name.clone(), self.net.blob(&blob.name)?.data()[0]);
            }
        }
        Ok(outputs)
    }

    /// Changes every parameter by its gradient; gives the rate.
    fn update(&mut self) -> Result<f32> {
        let s = &self.settings;
        let rate = s.policy.rate(s.base_lr, self.iter, s.max_iter, &mut self.current_step);
        let mut clip = 1.0;
        if let Some(most) = s.clip_gradients {
            let length = self.net.sum_of_squared_gradients().sqrt() as f32;
            if length > most {
                clip = most / length;
            }
        }
        for p in &self.learnt {
            let update = Update {
                rule: s.rule_at(self.iter),
                rate: rate * p.lr_mult,
                decay: s.weight_decay * p.decay_mult,
                penalty: s.penalty,
                clip,
                average: 1.0 / s.iter_size as f32,
            };
            self.net.update(p.id, &update)?;
        }
        Ok(rate)
    }

    /// Tests network number `index`: the means of its outputs over as many batches as the settings say.
    /// Outputs of several elements are named `name[0]`, `name[1]`, ….
    pub fn test(&mut self, index: usize) -> Result<TestResult> {
        let test = &mut self.tests[index];
        self.net.swap(&mut test.guest);
        let sums = mean_outputs(&mut self.net, &mut test.feeds, test.iterations);
        self.net.swap(&mut test.guest);
        Ok(TestResult { iter: self.iter, test: index, outputs: sums? })
    }
}

fn mean_outputs(net: &mut Net, feeds: &mut Feeds, iterations: usize) -> Result<Outputs> {
    let mut sums = Outputs::new();
    let names: Vec<String> = net.output_names().into_iter().map(String::from).collect();
    for _ in 0..iterations {
        feeds.next(net)?;
        net.forward()?;
        for name in &names {
            let blob = net.blob(name)?;
            let several = blob.data().len() > 1;
            for (i, value) in blob.data().iter().enumerate() {
                let key = if several { format!("{name}[{i}]") } else { name.clone() };
                *sums.entry(key).or_insert(0.0) += value;
            }
        }
    }
    sums.values_mut().for_each(|sum| *sum /= iterations as f32);
    Ok(sums)
}

fn describe(net: &NetSource, state: &NetState, base: &Path) -> Result<Described> {
    let (file, text, base) = match net {
        NetSource::File(path) => {
            let path = find(path, &[base.to_path_buf()])?;
            let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
            (path.display().to_string(), weights_tools::read_text(&path)?, folder)
        }
        NetSource::Inline(net) => {
            ("net_param".to_string(), weights_tools::print_net_text(net), base.to_path_buf())
        }
    };
    let parsed = weights_tools::upgrade(weights_tools::parse_net_text(&file, &text)?)?;
    let layers = layers_of(&file, parsed, state)?;
    Ok(Described { description: Description::parse(&file, &text, state)?, layers, base })
}
