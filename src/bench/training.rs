//! A step of fine-tuning a built-in network: forward, backward, update.

use crate::error::{Error, Result};
use crate::layer::Phase;
use crate::net::{
    Architecture, Description, Head, Keep, LearntParam, Net, NetState, Options, with_head,
};
use crate::rng::Rng;
use crate::shape::Shape;
use likenet_kernels::ops::{Penalty, Update, UpdateRule};
use std::time::{Duration, Instant};

/// Seconds that the parts of steps took.
#[derive(Clone, Debug, Default)]
pub struct StepTimes {
    /// Forward passes.
    pub forward: Vec<f64>,
    /// Backward passes.
    pub backward: Vec<f64>,
    /// Updates.
    pub update: Vec<f64>,
    /// Of each step of the plan, forward and backward, each pass.
    pub layers: Vec<[Vec<f64>; 2]>,
}

/// A network that learns two classes: its last weights replaced, all others random; random pictures.
pub fn random(known: &Architecture, options: Options) -> Result<Net> {
    let batch = options.batch.unwrap_or(1);
    let net = weights_tools::upgrade(weights_tools::parse_net_text(known.name, known.prototxt)?)?;
    let deploy =
        Net::parse(known.name, known.prototxt, Options { batch: Some(1), ..Options::default() })?;
    let shape = deploy.input_shape("data")?.with_axis(0, batch).map_err(Error::Invalid)?;
    drop(deploy);
    let head = Head {
        layer: None,
        name: None,
        suffix: "_new".into(),
        classes: 2,
        rate: 10.0,
        learn_from: None,
    };
    let (net, _) = with_head(net, &head).map_err(Error::Invalid)?;
    let text = format!(
        "layer {{ name: 'data' type: 'Input' top: 'data' top: 'label' }}\n{}",
        weights_tools::print_net_text(&net)
    );
    let state = NetState { phase: Phase::Train, ..NetState::default() };
    let labels = Shape::new([batch]).map_err(Error::Invalid)?;
    let inputs = vec![("data".to_string(), shape.clone()), ("label".to_string(), labels)];
    let options =
        Options { state: state.clone(), keep: Keep::Training, inputs, batch: None, ..options };
    let mut net = Net::new(Description::parse(known.name, &text, &state)?, options)?;
    net.randomise(1);
    let mut rng = Rng::new(2);
    let pictures: Vec<f32> = (0..shape.count()).map(|_| rng.gaussian(0.0, 60.0)).collect();
    net.set_input("data", &pictures)?;
    let labels: Vec<f32> = (0..batch).map(|i| (i % 2) as f32).collect();
    net.set_input("label", &labels)?;
    Ok(net)
}

/// At least three steps, and as many as take `least`, after one that does not count.
pub fn steps(net: &mut Net, least: Duration) -> Result<StepTimes> {
    let learnt = net.learnt();
    let mut times = StepTimes {
        layers: vec![Default::default(); net.plan().steps.len()],
        ..StepTimes::default()
    };
    let mut warm = StepTimes { layers: times.layers.clone(), ..StepTimes::default() };
    step(net, &learnt, &mut warm)?;
    let begun = Instant::now();
    while times.update.len() < 3 || begun.elapsed() < least {
        step(net, &learnt, &mut times)?;
    }
    Ok(times)
}

fn step(net: &mut Net, learnt: &[LearntParam], times: &mut StepTimes) -> Result<()> {
    let begun = Instant::now();
    net.clear_gradients();
    let forward = net.forward_timed()?;
    let loss = net.loss()?;
    times.forward.push(begun.elapsed().as_secs_f64());
    if !loss.is_finite() {
        return Err(Error::Invalid(format!("the loss is {loss}: these times would mean nothing")));
    }
    let begun = Instant::now();
    let backward = net.backward_timed()?;
    times.backward.push(begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    for p in learnt {
        let update = Update {
            rule: UpdateRule::Sgd { momentum: 0.9 },
            // So small that weights which nobody trained do not run away.
            rate: 1e-9 * p.lr_mult,
            decay: 0.0005 * p.decay_mult,
            penalty: Penalty::L2,
            clip: 1.0,
            average: 1.0,
        };
        net.update(p.id, &update)?;
    }
    net.finish()?;
    times.update.push(begun.elapsed().as_secs_f64());
    for (layer, [f, b]) in
        times.layers.iter_mut().zip(forward.iter().zip(&backward).map(|(f, b)| [*f, *b]))
    {
        layer[0].push(f);
        layer[1].push(b);
    }
    Ok(())
}
