//! A network's layers under every algorithm that can compute them.

use super::median;
use crate::error::{Error, Result};
use crate::net::{Algorithm, Architecture, Keep, Net, Options, Step};
use crate::rng::Rng;
use serde::Serialize;
use std::time::{Duration, Instant};

/// What a layer takes.
#[derive(Clone, Debug, Serialize)]
pub struct LayerTime {
    /// Its name.
    pub layer: String,
    /// Its type in the prototxt.
    pub kind: String,
    /// Multiply-adds of the batch by the plain loop.
    pub macs: u64,
    /// Bytes of its blobs and parameters in `f32`.
    pub bytes: usize,
    /// For each algorithm, milliseconds; one entry without a name for layers that have no choice.
    pub ms: Vec<(Option<&'static str>, f64)>,
    /// What the plan takes, if there is a choice.
    pub pick: Option<&'static str>,
}

impl LayerTime {
    /// Milliseconds as the plan has it.
    pub fn picked(&self) -> f64 {
        let picked = self.ms.iter().find(|(name, _)| *name == self.pick);
        picked.or(self.ms.first()).map_or(f64::NAN, |(_, ms)| *ms)
    }
}

/// A built-in network with random weights and pictures. Its scores can be read as they are before the
/// softmax, which would hide differences.
pub fn random(known: &Architecture, options: Options) -> Result<Net> {
    let scores = vec![known.scores.to_string()];
    let options = Options { keep: Keep::Named(scores), ..options };
    let mut net = Net::parse(known.name, known.prototxt, options)?;
    net.randomise(1);
    let mut rng = Rng::new(2);
    let count = net.input_shape("data")?.count();
    let pictures: Vec<f32> = (0..count).map(|_| rng.gaussian(0.0, 60.0)).collect();
    net.set_input("data", &pictures)?;
    Ok(net)
}

/// Seconds of whole passes and, for each step, within each pass; the first pass warms up and does not
/// count. At least three passes, and as many as take `least`.
pub fn passes(net: &mut Net, least: Duration) -> Result<(Vec<f64>, Vec<Vec<f64>>)> {
    net.forward()?;
    let begun = Instant::now();
    let mut passes = vec![];
    let mut steps = vec![vec![]; net.plan().steps.len()];
    while passes.len() < 3 || begun.elapsed() < least {
        let begun = Instant::now();
        let times = net.forward_timed()?;
        passes.push(begun.elapsed().as_secs_f64());
        steps.iter_mut().zip(times).for_each(|(step, seconds)| step.push(seconds));
    }
    Ok((passes, steps))
}

/// Times a built-in network's layers as the plan has them and under each algorithm.
///
/// # Errors
/// When the network cannot be computed, or an algorithm's output differs from the others'.
pub fn time(known: &Architecture, options: &Options, least: Duration) -> Result<Vec<LayerTime>> {
    let mut net = random(known, options.clone())?;
    let (_, steps) = passes(&mut net, least)?;
    let want = net.blob(known.scores)?;
    let (graph, plan) = (net.graph(), net.plan());
    let size = |b: &usize| graph.blobs[*b].shape.count();
    let row = |(step, seconds): (&Step, &Vec<f64>)| {
        let node = &graph.nodes[step.node];
        let blobs: usize = step.bottoms.iter().chain(&step.tops).map(size).sum();
        let params = node.params.iter().map(|p| graph.params[p.id].spec.shape.count());
        let pick = step.how.first().map(|how| how.name());
        LayerTime {
            layer: node.name.clone(),
            kind: node.kind.clone(),
            macs: node.macs,
            bytes: (blobs + params.sum::<usize>()) * size_of::<f32>(),
            ms: vec![(pick, 1e3 * median(seconds.clone()))],
            pick,
        }
    };
    let mut rows: Vec<LayerTime> = plan.steps.iter().zip(&steps).map(row).collect();
    drop(net);
    use Algorithm::{Direct, Gemm, Short, Tiles, Winograd};
    for how in [Direct, Gemm, Winograd, Tiles, Short] {
        let mut net = random(known, Options { conv: Some(how), ..options.clone() })?;
        let steps = passes(&mut net, least)?.1;
        same(how, want.data(), net.blob(known.scores)?.data())?;
        for ((row, step), seconds) in rows.iter_mut().zip(&net.plan().steps).zip(steps) {
            let name = Some(how.name());
            if step.how.first() == Some(&how) && row.pick != name {
                row.ms.push((name, 1e3 * median(seconds)));
            }
        }
    }
    Ok(rows)
}

/// Whether an algorithm gives what the plan's choice gives.
fn same(how: Algorithm, want: &[f32], got: &[f32]) -> Result<()> {
    let largest = want.iter().fold(0f32, |a, v| a.max(v.abs()));
    let worst = want.iter().zip(got).fold(0f32, |a, (w, g)| a.max((w - g).abs()));
    if worst <= 1e-3 * largest {
        return Ok(());
    }
    let how = how.name();
    Err(Error::Invalid(format!(
        "{how}: the output differs by {worst} from the plan's, {largest} large"
    )))
}
