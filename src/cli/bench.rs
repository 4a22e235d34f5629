//! `likenet bench`

use super::compute::ComputeArgs;
use super::{Outcome, print, print_json};
use likenet::net::{Net, Options, architecture, architectures};
use likenet::rng::Rng;
use likenet::{Error, Result};
use serde::Serialize;
use std::time::{Duration, Instant};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Times the forward pass of a built-in network with random weights
    Net(NetBench),
}

#[derive(clap::Args)]
pub struct NetBench {
    /// alexnet, caffenet, googlenet, squeezenet10, squeezenet11 or vgg16
    #[arg(long, value_name = "NAME", default_value = "caffenet")]
    model: String,
    /// Pictures in a batch
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    #[command(flatten)]
    compute: ComputeArgs,
    /// Time at least this many seconds, and at least three passes
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    seconds: f64,
    /// Also print the median time of each layer
    #[arg(long)]
    layers: bool,
    /// Print one line of JSON
    #[arg(long, conflicts_with = "layers")]
    json: bool,
}

/// What a bench prints: times are medians over the passes.
#[derive(Serialize)]
struct Timing {
    model: String,
    backend: String,
    batch: usize,
    threads: usize,
    passes: usize,
    img_s: f64,
    ms_per_run: f64,
    /// Of the median pass: 2 · multiply-adds ÷ time, whatever the algorithm saved.
    gflop_s: f64,
    rss_mb: f64,
    peak_mb: f64,
}

pub fn run(command: &Command) -> Result<Outcome> {
    let Command::Net(args) = command;
    let known = architecture(&args.model).ok_or_else(|| {
        let names: Vec<&str> = architectures().iter().map(|a| a.name).collect();
        Error::Invalid(format!(
            "no built-in network '{}'; there are: {}",
            args.model,
            names.join(", ")
        ))
    })?;
    let options = Options { batch: Some(args.batch), ..args.compute.options() };
    let mut net = Net::parse(known.name, known.prototxt, options)?;
    net.randomise(1);
    let mut rng = Rng::new(2);
    let count = net.input_shape("data")?.count();
    let pictures: Vec<f32> = (0..count).map(|_| rng.gaussian(0.0, 60.0)).collect();
    net.set_input("data", &pictures)?;
    let (passes, layers) = time(&mut net, args.seconds)?;
    let median = median(passes.iter().map(Duration::as_secs_f64).collect());
    let timing = Timing {
        model: known.name.into(),
        backend: net.backend(),
        batch: args.batch,
        threads: args.compute.threads,
        passes: passes.len(),
        img_s: args.batch as f64 / median,
        ms_per_run: 1e3 * median,
        gflop_s: 2e-9 * net.summary().total.macs as f64 / median,
        rss_mb: memory("VmRSS:"),
        peak_mb: memory("VmHWM:"),
    };
    if args.json {
        let line = serde_json::to_string(&timing).map_err(|e| Error::Invalid(e.to_string()))?;
        print(&line)?;
        return Ok(Outcome::Done);
    }
    if args.layers {
        print(&layer_table(&net, &layers))?;
    }
    print_json(&timing)?;
    Ok(Outcome::Done)
}

/// Times whole passes and, within each, every step; the first pass warms up and does not count.
fn time(net: &mut Net, seconds: f64) -> Result<(Vec<Duration>, Vec<Vec<f64>>)> {
    net.forward()?;
    let started = Instant::now();
    let mut passes = Vec::new();
    let mut layers = vec![Vec::new(); net.plan().steps.len()];
    while passes.len() < 3 || started.elapsed().as_secs_f64() < seconds {
        let begun = Instant::now();
        let steps = net.forward_timed()?;
        passes.push(begun.elapsed());
        layers.iter_mut().zip(steps).for_each(|(layer, seconds)| layer.push(seconds));
    }
    Ok((passes, layers))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn layer_table(net: &Net, layers: &[Vec<f64>]) -> String {
    let graph = net.graph();
    let medians: Vec<f64> = layers.iter().map(|l| median(l.clone())).collect();
    let total: f64 = medians.iter().sum();
    let mut text = format!("{:<28} {:>9} {:>7} {:>9}\n", "layer", "ms", "share", "GFLOP/s");
    for (step, seconds) in net.plan().steps.iter().zip(&medians) {
        let node = &graph.nodes[step.node];
        let gflops = 2e-9 * node.macs as f64 / seconds;
        let rate = if node.macs > 0 { format!("{gflops:.1}") } else { String::new() };
        let (ms, share) = (1e3 * seconds, 100.0 * seconds / total);
        text += &format!("{:<28} {ms:>9.3} {share:>6.1}% {rate:>9}\n", node.name);
    }
    text.trim_end().to_string()
}

/// A line of this process's memory figures in MB, where the system tells them (Linux); else 0.
fn memory(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(field));
    let kib = line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0 / 1e6
}
