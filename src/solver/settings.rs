//! A solver's prototxt, checked. Flows in: text. Flows out: [`Settings`], or an error with its line.

use super::Policy;
use crate::error::{Error, Place, Result};
use crate::layer::Phase;
use crate::net::NetState;
use likenet_kernels::ops::{Penalty, UpdateRule};
use std::path::{Path, PathBuf};
use weights_tools::proto::{self, NetParameter, SolverParameter, solver_parameter::SnapshotFormat};

/// Where a network's description is.
#[derive(Clone, Debug, PartialEq)]
pub enum NetSource {
    /// In a prototxt; the path as it was written.
    File(PathBuf),
    /// In the solver's own file, already upgraded.
    Inline(Box<NetParameter>),
}

/// A network that is tested while another learns.
#[derive(Clone, Debug, PartialEq)]
pub struct TestNet {
    /// Its description.
    pub net: NetSource,
    /// Which of the description's layers belong to it.
    pub state: NetState,
    /// Batches of one test.
    pub iterations: usize,
}

/// All that a solver is told. `solver_mode`, `device_id` and `debug_info` are not looked at: the
/// backend is chosen elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The network that learns.
    pub train: NetSource,
    /// Which of the description's layers belong to it.
    pub train_state: NetState,
    /// Networks that are tested with its weights.
    pub tests: Vec<TestNet>,
    /// Iterations between two tests; 0: none.
    pub test_interval: usize,
    /// Whether a test shows the loss too.
    pub test_compute_loss: bool,
    /// Whether there is a test before the first update.
    pub test_initialization: bool,
    /// Iterations between two lines of progress; 0: none.
    pub display: usize,
    /// Iterations over which the loss shown is averaged.
    pub average_loss: usize,
    /// Updates in all.
    pub max_iter: usize,
    /// Batches whose gradients are summed before an update.
    pub iter_size: usize,
    /// What the policy starts from.
    pub base_lr: f32,
    /// How the rate changes.
    pub policy: Policy,
    /// How gradients change weights, with no correction for Adam: see [`Settings::rule_at`].
    pub rule: UpdateRule,
    /// Strength of the penalty.
    pub weight_decay: f32,
    /// What pulls weights towards zero.
    pub penalty: Penalty,
    /// The largest length of all gradients together.
    pub clip_gradients: Option<f32>,
    /// Iterations between two snapshots; 0: none but the last.
    pub snapshot: usize,
    /// Whether the last iteration leaves a snapshot.
    pub snapshot_after_train: bool,
    /// What the names of snapshots begin with, its folder included. Where the file does not say, or
    /// names a folder (`snapshots/`), the solver's own name, as newer versions of Caffe have it.
    pub snapshot_prefix: String,
    /// Where random numbers start; none: anew in each run.
    pub random_seed: Option<u64>,
    /// Weights to start from, in this order.
    pub weights: Vec<PathBuf>,
    /// What the file asks for and does not get.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Reads a solver's prototxt.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&path.display().to_string(), &weights_tools::read_text(path)?)
    }

    /// The same from text; `file` is the name that errors carry. An error names the field at fault.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let message = weights_tools::parse_solver_text(file, text)?;
        checked(file, message).map_err(|wrong| Error::Solver {
            place: Place {
                file: file.to_string(),
                line: weights_tools::line_of_field(text, wrong.field),
            },
            field: wrong.field,
            reason: wrong.reason,
        })
    }

    /// The update rule of iteration `iter`, from 0: Adam's corrects for how young its averages are.
    pub fn rule_at(&self, iter: usize) -> UpdateRule {
        match self.rule {
            UpdateRule::Adam { momentum, momentum2, delta, .. } => {
                let young = |m: f32| 1.0 - f64::from(m).powf((iter + 1) as f64);
                let correction = (young(momentum2).sqrt() / young(momentum)) as f32;
                UpdateRule::Adam { momentum, momentum2, delta, correction }
            }
            rule => rule,
        }
    }
}

/// What is wrong, and the field at fault.
struct Wrong {
    field: &'static str,
    reason: String,
}

type Read<T> = std::result::Result<T, Wrong>;

fn wrong<T>(field: &'static str, reason: impl Into<String>) -> Read<T> {
    Err(Wrong { field, reason: reason.into() })
}

fn checked(file: &str, message: SolverParameter) -> Read<Settings> {
    let field = if message.solver_type.is_some() { "solver_type" } else { "net_param" };
    let p = &weights_tools::upgrade_solver(message).or_else(|e| wrong(field, e.to_string()))?;
    let tests = test_nets(p)?;
    let test_interval = count("test_interval", p.test_interval(), 0)?;
    if test_interval == 0 && !tests.is_empty() {
        return wrong("test_interval", "is missing; give the iterations between two tests");
    }
    let penalty = match p.regularization_type() {
        "L1" => Penalty::L1,
        "L2" => Penalty::L2,
        other => return wrong("regularization_type", format!("unknown '{other}'; use L1 or L2")),
    };
    Ok(Settings {
        train: train_net(p)?,
        train_state: state(Phase::Train, [inline_state(p), p.train_state.as_ref()]),
        tests,
        test_interval,
        test_compute_loss: p.test_compute_loss(),
        test_initialization: p.test_initialization(),
        display: count("display", p.display(), 0)?,
        average_loss: count("average_loss", p.average_loss(), 1)?,
        max_iter: count("max_iter", given("max_iter", p.max_iter)?, 0)?,
        iter_size: count("iter_size", p.iter_size(), 1)?,
        base_lr: not_negative("base_lr", given("base_lr", p.base_lr)?)?,
        policy: policy(p)?,
        rule: rule(p)?,
        weight_decay: not_negative("weight_decay", p.weight_decay())?,
        penalty,
        clip_gradients: match p.clip_gradients() {
            none if none < 0.0 => None,
            length => Some(positive("clip_gradients", length)?),
        },
        snapshot: count("snapshot", p.snapshot(), 0)?,
        snapshot_after_train: p.snapshot_after_train(),
        snapshot_prefix: snapshot_prefix(file, p.snapshot_prefix()),
        random_seed: u64::try_from(p.random_seed()).ok(),
        weights: weights(&p.weights),
        warnings: warnings(p),
    })
}

fn given<T>(field: &'static str, value: Option<T>) -> Read<T> {
    value.map_or_else(|| wrong(field, "is missing; a solver needs it"), Ok)
}

fn count(field: &'static str, value: i32, least: usize) -> Read<usize> {
    match usize::try_from(value) {
        Ok(n) if n >= least => Ok(n),
        _ => wrong(field, format!("{value} is too small; give at least {least}")),
    }
}

fn number(field: &'static str, value: f32, fits: bool, wanted: &str) -> Read<f32> {
    if fits && value.is_finite() {
        Ok(value)
    } else {
        wrong(field, format!("{value} is not {wanted}"))
    }
}

fn not_negative(field: &'static str, value: f32) -> Read<f32> {
    number(field, value, value >= 0.0, "a number from 0")
}

fn positive(field: &'static str, value: f32) -> Read<f32> {
    number(field, value, value > 0.0, "a number above 0")
}

fn fraction(field: &'static str, value: f32) -> Read<f32> {
    number(field, value, (0.0..1.0).contains(&value), "a number from 0, less than 1")
}

fn policy(p: &SolverParameter) -> Read<Policy> {
    let gamma = || not_negative("gamma", given("gamma", p.gamma)?);
    let power = || number("power", given("power", p.power)?, true, "a finite number");
    let size = || count("stepsize", given("stepsize", p.stepsize)?, 1);
    Ok(match p.lr_policy() {
        "fixed" => Policy::Fixed,
        "step" => Policy::Step { gamma: gamma()?, size: size()? },
        "exp" => Policy::Exp { gamma: gamma()? },
        "inv" => Policy::Inv { gamma: gamma()?, power: power()? },
        "multistep" => {
            let values = p.stepvalue.iter().map(|&v| count("stepvalue", v, 0));
            let values = values.collect::<Read<Vec<usize>>>()?;
            if values.is_empty() || !values.is_sorted() {
                return wrong("stepvalue", "give the iterations of the steps, in rising order");
            }
            Policy::MultiStep { gamma: gamma()?, values }
        }
        "poly" => Policy::Poly { power: power()? },
        "sigmoid" => {
            let gamma = number("gamma", given("gamma", p.gamma)?, true, "a finite number")?;
            Policy::Sigmoid { gamma, middle: size()? }
        }
        other => {
            let known = "fixed, step, exp, inv, multistep, poly, sigmoid";
            return wrong("lr_policy", format!("unknown policy '{other}'; known are: {known}"));
        }
    })
}

fn rule(p: &SolverParameter) -> Read<UpdateRule> {
    let momentum = fraction("momentum", p.momentum())?;
    let delta = || positive("delta", p.delta());
    let rule = match p.r#type() {
        "SGD" => UpdateRule::Sgd { momentum },
        "Nesterov" => UpdateRule::Nesterov { momentum },
        "AdaGrad" => UpdateRule::AdaGrad { delta: delta()? },
        "RMSProp" => {
            UpdateRule::RmsProp { decay: fraction("rms_decay", p.rms_decay())?, delta: delta()? }
        }
        "AdaDelta" => UpdateRule::AdaDelta { momentum, delta: delta()? },
        "Adam" => UpdateRule::Adam {
            momentum,
            momentum2: fraction("momentum2", p.momentum2())?,
            delta: delta()?,
            correction: 1.0,
        },
        other => {
            let known = "SGD, Nesterov, AdaGrad, RMSProp, AdaDelta, Adam";
            return wrong("type", format!("unknown solver '{other}'; known are: {known}"));
        }
    };
    match rule {
        UpdateRule::AdaGrad { .. } | UpdateRule::RmsProp { .. } if momentum != 0.0 => {
            wrong("momentum", format!("{} has none; remove it or set it to 0", p.r#type()))
        }
        rule => Ok(rule),
    }
}

fn file_source(path: &str) -> NetSource {
    NetSource::File(path.into())
}

fn inline_source(net: &NetParameter) -> NetSource {
    NetSource::Inline(Box::new(net.clone()))
}

/// The one description given for training.
fn train_net(p: &SolverParameter) -> Read<NetSource> {
    let files = [&p.train_net, &p.net].into_iter().flatten().map(|f| file_source(f));
    let inline = [&p.train_net_param, &p.net_param].into_iter().flatten().map(inline_source);
    let mut all: Vec<NetSource> = files.chain(inline).collect();
    match (all.pop(), all.is_empty()) {
        (Some(net), true) => Ok(net),
        (None, _) => wrong("net", "is missing; name the network's prototxt"),
        _ => wrong("net", "give one of net, net_param, train_net and train_net_param"),
    }
}

/// The state written inside an inline training network.
fn inline_state(p: &SolverParameter) -> Option<&proto::NetState> {
    p.train_net_param.as_ref().or(p.net_param.as_ref()).and_then(|net| net.state.as_ref())
}

/// Networks of their own first, as Caffe orders them; `net` is tested as often as `test_iter` has
/// values left.
fn test_nets(p: &SolverParameter) -> Read<Vec<TestNet>> {
    let own = p.test_net_param.iter().map(inline_source);
    let mut nets: Vec<NetSource> = own.chain(p.test_net.iter().map(|f| file_source(f))).collect();
    let general = p.net_param.as_ref().map(inline_source).or(p.net.as_deref().map(file_source));
    let wanted = p.test_iter.len();
    if let Some(net) = general.filter(|_| wanted > nets.len()) {
        nets.resize(wanted, net);
    }
    if nets.len() != wanted {
        let reason = format!("{wanted} values for {} test networks; give one each", nets.len());
        return wrong("test_iter", reason);
    }
    let states = &p.test_state;
    if !states.is_empty() && states.len() != wanted {
        let reason = format!("{} states for {wanted} test networks; give one each", states.len());
        return wrong("test_state", reason);
    }
    let test = |(i, net): (usize, NetSource)| {
        let own = match &net {
            NetSource::Inline(net) => net.state.as_ref(),
            NetSource::File(_) => None,
        };
        let state = state(Phase::Test, [own, states.get(i)]);
        Ok(TestNet { state, iterations: count("test_iter", p.test_iter[i], 1)?, net })
    };
    nets.into_iter().enumerate().map(test).collect()
}

/// A phase, and what messages say beyond it: the last phase and level, all stages.
fn state(phase: Phase, messages: [Option<&proto::NetState>; 2]) -> NetState {
    let mut state = NetState { phase, ..NetState::default() };
    for message in messages.into_iter().flatten() {
        state.phase = match message.phase.map(|_| message.phase()) {
            Some(proto::Phase::Train) => Phase::Train,
            Some(proto::Phase::Test) => Phase::Test,
            None => state.phase,
        };
        state.level = message.level.unwrap_or(state.level);
        state.stages.extend(message.stage.iter().cloned());
    }
    state
}

fn snapshot_prefix(file: &str, prefix: &str) -> String {
    let file = Path::new(file);
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    match prefix {
        "" => file.with_file_name(&*stem).display().to_string(),
        folder if folder.ends_with('/') => format!("{folder}{stem}"),
        prefix => prefix.to_string(),
    }
}

/// Each entry may hold several names, separated by commas.
fn weights(entries: &[String]) -> Vec<PathBuf> {
    let names = entries.iter().flat_map(|entry| entry.split(',')).map(str::trim);
    names.filter(|name| !name.is_empty()).map(PathBuf::from).collect()
}

fn warnings(p: &SolverParameter) -> Vec<String> {
    let mut warnings = Vec::new();
    if p.snapshot_format() == SnapshotFormat::Hdf5 {
        let instead = "binary protobuf is written, which Caffe reads too";
        warnings.push(format!("snapshot_format: HDF5 is not written; {instead}"));
    }
    if p.snapshot_diff() {
        warnings.push("snapshot_diff: gradients are not written to snapshots".to_string());
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "base_lr: 0.1\nlr_policy: 'fixed'\nmax_iter: 20\n";

    fn parse(text: &str) -> Settings {
        Settings::parse("s.prototxt", &format!("net: 'n'\n{LEAST}{text}")).expect("valid settings")
    }

    /// The error of a text that stands below four valid lines.
    fn fails(text: &str) -> String {
        let text = format!("net: 'n'\n{LEAST}{text}");
        Settings::parse("s.prototxt", &text).expect_err("settings at fault").to_string()
    }

    #[test]
    fn what_is_not_said_has_caffes_defaults() {
        let s = parse("");
        assert_eq!(s.train, NetSource::File("n".into()));
        assert_eq!(s.train_state, NetState { phase: Phase::Train, ..NetState::default() });
        assert_eq!(s.rule, UpdateRule::Sgd { momentum: 0.0 });
        assert_eq!((s.penalty, s.weight_decay, s.clip_gradients), (Penalty::L2, 0.0, None));
        assert_eq!((s.iter_size, s.average_loss, s.display, s.snapshot), (1, 1, 0, 0));
        assert!(s.test_initialization && s.snapshot_after_train && !s.test_compute_loss);
        assert_eq!((s.snapshot_prefix.as_str(), s.random_seed), ("s", None));
        assert!(s.tests.is_empty() && s.weights.is_empty() && s.warnings.is_empty());
    }

    #[test]
    fn every_rule_with_its_numbers() {
        let rule = |text: &str| parse(text).rule;
        assert_eq!(
            rule("solver_type: NESTEROV momentum: 0.9"),
            UpdateRule::Nesterov { momentum: 0.9 }
        );
        assert_eq!(rule("type: 'AdaGrad'"), UpdateRule::AdaGrad { delta: 1e-8 });
        let rms = UpdateRule::RmsProp { decay: 0.98, delta: 1e-8 };
        assert_eq!(rule("type: 'RMSProp' rms_decay: 0.98"), rms);
        let adadelta = UpdateRule::AdaDelta { momentum: 0.95, delta: 1e-6 };
        assert_eq!(rule("type: 'AdaDelta' momentum: 0.95 delta: 1e-6"), adadelta);
        let adam = parse("type: 'Adam' momentum: 0.5 momentum2: 0.75 delta: 1e-3");
        let corrected = |correction| UpdateRule::Adam {
            momentum: 0.5,
            momentum2: 0.75,
            delta: 1e-3,
            correction,
        };
        assert_eq!(adam.rule, corrected(1.0));
        assert_eq!(adam.rule_at(0), corrected(0.5 / 0.5));
        assert_eq!(adam.rule_at(1), corrected((0.4375f64.sqrt() / 0.75) as f32));
    }

    #[test]
    fn tests_and_their_states() {
        let s = parse(
            "test_net: 'own' test_iter: 3 test_iter: 4 test_interval: 5
             test_state { stage: 'a' level: 2 } test_state {} train_state { stage: 'b' }",
        );
        let stage = |phase, level, stages: &[&str]| NetState {
            phase,
            level,
            stages: stages.iter().map(ToString::to_string).collect(),
        };
        let test =
            |net: &str, iterations, state| TestNet { net: file_source(net), state, iterations };
        let own = test("own", 3, stage(Phase::Test, 2, &["a"]));
        assert_eq!(s.tests, [own, test("n", 4, stage(Phase::Test, 0, &[]))]);
        assert_eq!(s.train_state, stage(Phase::Train, 0, &["b"]));
        let inline = Settings::parse("s", &format!("{LEAST} net_param {{ name: 'x' state {{ level: 3 }} layers {{ name: 'r' type: RELU }} }}")).expect("valid");
        assert_eq!(inline.train_state.level, 3);
        let NetSource::Inline(net) = inline.train else { panic!("a file") };
        assert_eq!(net.layer[0].r#type(), "ReLU");
    }

    #[test]
    fn prefixes_weights_and_warnings() {
        let s = parse("snapshot_prefix: 'out/' weights: 'a, b' weights: 'c' random_seed: 7");
        assert_eq!((s.snapshot_prefix.as_str(), s.random_seed), ("out/s", Some(7)));
        assert_eq!(s.weights, ["a", "b", "c"].map(PathBuf::from));
        let s =
            parse("snapshot_format: HDF5 snapshot_diff: true solver_mode: GPU clip_gradients: 2");
        assert!(s.warnings[0].contains("HDF5") && s.warnings[1].contains("snapshot_diff"));
        assert_eq!(s.clip_gradients, Some(2.0));
    }

    #[test]
    fn an_error_names_file_line_and_field() {
        for (text, wanted) in [
            ("\nmomentum: 1", "s.prototxt:6: momentum: 1 is not a number from 0, less than 1"),
            ("momentum: nan", "s.prototxt:5: momentum: NaN is not"),
            ("type: 'AdaGrad' momentum: 0.9", "s.prototxt:5: momentum: AdaGrad has none"),
            ("type: 'RMSProp' momentum: 0.9", "momentum: RMSProp has none"),
            ("type: 'RMSProp' rms_decay: 1", "rms_decay: 1 is not"),
            ("type: 'Adam' delta: 0", "delta: 0 is not a number above 0"),
            ("type: 'Best'", "type: unknown solver 'Best'; known are: SGD, Nesterov"),
            ("solver_type: SGD type: 'SGD'", "s.prototxt:5: solver_type: "),
            ("iter_size: 0", "iter_size: 0 is too small; give at least 1"),
            ("average_loss: -1", "average_loss: -1 is too small"),
            ("clip_gradients: 0", "clip_gradients: 0 is not a number above 0"),
            ("weight_decay: -1", "weight_decay: -1 is not"),
            ("regularization_type: 'L3'", "unknown 'L3'; use L1 or L2"),
            ("test_iter: 2", "s.prototxt: test_interval: is missing"),
            ("test_iter: 0 test_interval: 1", "test_iter: 0 is too small"),
            ("test_net: 'a' test_net: 'b' test_iter: 1", "1 values for 2 test networks"),
            ("test_iter: 1 test_state {} test_state {}", "2 states for 1 test networks"),
            ("train_net: 'a'", "give one of net, net_param, train_net"),
            ("max_iters: 3", "s.prototxt:5"),
        ] {
            let error = fails(text);
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn policies_need_their_numbers() {
        for (text, wanted) in [
            ("lr_policy: 'slow'", "s:1: lr_policy: unknown policy 'slow'; known are: fixed, step,"),
            ("", "s: lr_policy: unknown policy ''"),
            ("lr_policy: 'step' gamma: 1", "s: stepsize: is missing"),
            ("lr_policy: 'step' gamma: 1 stepsize: 0", "stepsize: 0 is too small"),
            ("lr_policy: 'step' stepsize: 1", "gamma: is missing"),
            ("lr_policy: 'exp' gamma: -1", "gamma: -1 is not"),
            ("lr_policy: 'inv' gamma: 1", "power: is missing"),
            ("lr_policy: 'poly' power: inf", "power: inf is not"),
            ("lr_policy: 'multistep' gamma: 1", "stepvalue: give the iterations"),
            ("lr_policy: 'multistep' gamma: 1 stepvalue: [3, 2]", "in rising order"),
            ("lr_policy: 'sigmoid' gamma: -1", "stepsize: is missing"),
        ] {
            let text = format!("net: 'n' base_lr: 1 max_iter: 9 {text}");
            let error = Settings::parse("s", &text).expect_err(&text).to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
        for (text, wanted) in [
            ("base_lr: 1 max_iter: 1 lr_policy: 'fixed'", "net: is missing"),
            ("net: 'n' max_iter: 1 lr_policy: 'fixed'", "base_lr: is missing"),
            ("net: 'n' base_lr: 1 lr_policy: 'fixed'", "max_iter: is missing"),
        ] {
            let error = Settings::parse("s", text).expect_err(text).to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
