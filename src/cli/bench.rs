//! `likenet bench`

use super::compute::{ComputeArgs, threads};
use super::score::likability;
use super::{Outcome, print, print_json};
use indicatif::ProgressBar;
use likenet::bench::{self, Roof, faces, kernels, layers, training};
use likenet::faces::{Detector, Search};
use likenet::image::{Limits, ListedPicture, decode_file, list_pictures};
use likenet::net::{Architecture, architecture, architectures};
use likenet::report::Table;
use likenet::score::Judge;
use likenet::{Error, Result};
use likenet_kernels::cpu::table;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Times each kernel on one thread under each instruction set of this machine
    Kernels(KernelBench),
    /// Times each layer of a built-in network under each algorithm; * marks the plan's choice
    Layers(LayerBench),
    /// Times the forward pass of a built-in network with random weights
    Net(NetBench),
    /// Times a step of fine-tuning a built-in network to two classes: forward, backward, update
    Train(NetBench),
    /// Times face detectors on photos, decoding excluded
    Faces(FaceBench),
    /// Times verdicts on photos: decoding, faces, network, classifier, on all cores
    Score(ScoreBench),
}

#[derive(clap::Args)]
pub struct ScoreBench {
    /// Photos: a folder, a list or one file
    #[arg(value_name = "PHOTOS")]
    photos: PathBuf,
    /// What `likenet pack` wrote [default: the built-in model]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Time at least this many seconds
    #[arg(long, value_name = "S", default_value_t = 5.0)]
    seconds: f64,
}

#[derive(clap::Args)]
pub struct FaceBench {
    /// Photos: a folder, a list or one file
    #[arg(value_name = "PHOTOS")]
    photos: PathBuf,
    /// A cascade of ours, OpenCV's (XML) or ccv's (sqlite3); may be given again [default: the built-in one]
    #[arg(long, value_name = "FILE")]
    cascade: Vec<PathBuf>,
    /// The smallest face, in pixels along its longer side
    #[arg(long, value_name = "PIXELS", default_value_t = 40.0)]
    min_size: f32,
    /// Threads that share each photo; several with commas
    #[arg(long, value_name = "N", default_value = "1", value_delimiter = ',', value_parser = threads())]
    threads: Vec<usize>,
    /// How many times as wide and high the photos are made; several with commas
    #[arg(long, value_name = "TIMES", default_value = "1", value_delimiter = ',')]
    enlarge: Vec<f32>,
    /// Time each at least this many seconds
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    seconds: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub struct KernelBench {
    /// Only kernels whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Time each at least this many seconds
    #[arg(long, value_name = "S", default_value_t = 0.1)]
    seconds: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A network and how it is computed.
#[derive(clap::Args)]
struct Model {
    /// alexnet, caffenet, googlenet, squeezenet10, squeezenet11 or vgg16
    #[arg(long, value_name = "NAME", default_value = "caffenet")]
    model: String,
    /// Pictures in a batch
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    #[command(flatten)]
    compute: ComputeArgs,
}

#[derive(clap::Args)]
pub struct LayerBench {
    #[command(flatten)]
    model: Model,
    /// Time each algorithm at least this many seconds
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    seconds: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub struct NetBench {
    #[command(flatten)]
    model: Model,
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

pub fn run(command: &Command) -> Result<Outcome> {
    match command {
        Command::Kernels(args) => run_kernels(args),
        Command::Layers(args) => run_layers(args),
        Command::Net(args) => run_net(args),
        Command::Train(args) => run_train(args),
        Command::Faces(args) => run_faces(args),
        Command::Score(args) => run_score(args),
    }
}

fn run_score(args: &ScoreBench) -> Result<Outcome> {
    let listed = list_pictures(&args.photos)?;
    let read = |photo: &ListedPicture| std::fs::read(&photo.path).map_err(Error::io(&photo.path));
    let files: Vec<Vec<u8>> = listed.iter().map(read).collect::<Result<_>>()?;
    let mut judge = Judge::new(likability(args.model.as_deref())?)?;
    let least = Duration::from_secs_f64(args.seconds);
    let rate = bench::score::photos_a_second(&mut judge, &files, least)?;
    print(&format!("{rate:.0} photos/s, {}", judge.backend()))?;
    Ok(Outcome::Done)
}

impl Model {
    fn known(&self) -> Result<&'static Architecture> {
        architecture(&self.model).ok_or_else(|| {
            let names: Vec<&str> = architectures().iter().map(|a| a.name).collect();
            let names = names.join(", ");
            Error::Invalid(format!("no built-in network '{}'; there are: {names}", self.model))
        })
    }

    fn options(&self) -> likenet::net::Options {
        likenet::net::Options { batch: Some(self.batch), ..self.compute.options() }
    }

    /// How many threads it will run on.
    fn threads(&self) -> usize {
        match (self.compute.backend.as_str(), self.compute.threads) {
            ("reference", _) => 1,
            (_, 0) => std::thread::available_parallelism().map_or(1, |n| n.get()),
            (_, n) => n,
        }
    }

    fn roof(&self) -> Result<Roof> {
        roof(table::best().map_err(Error::Invalid)?, self.threads())
    }
}

fn roof(kernels: &table::Kernels, threads: usize) -> Result<Roof> {
    Roof::measure(kernels, threads)
        .map_err(|e| Error::Invalid(format!("cannot start threads: {e}")))
}

/// A kernel's figures, JSON.
#[derive(Serialize)]
struct KernelTime {
    kernel: String,
    isa: &'static str,
    ms: f64,
    /// Operations of the plain loop, whatever the kernel saves.
    gflop_s: f64,
    /// Of operands and results.
    gb_s: f64,
    /// Of the multiply-adds that the instruction set could do in `f32`.
    share_of_peak: f64,
}

fn run_kernels(args: &KernelBench) -> Result<Outcome> {
    let mut roofs = vec![];
    let mut times: Vec<KernelTime> = vec![];
    let forced = std::env::var("LIKENET_ISA").is_ok_and(|name| !name.is_empty());
    let best = table::best().map_err(Error::Invalid)?;
    let sets = table::available().iter().filter(|k| !forced || *k == best);
    for set in sets {
        let roof = roof(set, 1)?;
        let mut cases = kernels::cases(set).map_err(Error::Invalid)?;
        let names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
        cases.retain(|case| case.name.contains(&args.only));
        if cases.is_empty() {
            let (only, names) = (&args.only, names.join("\n  "));
            return Err(Error::Invalid(format!(
                "no kernel is named '{only}'; there are:\n  {names}"
            )));
        }
        let bar = ProgressBar::new(cases.len() as u64);
        for case in &mut cases {
            let seconds = bench::seconds(Duration::from_secs_f64(args.seconds), &mut case.run);
            times.push(KernelTime {
                kernel: case.name.clone(),
                isa: set.name(),
                ms: 1e3 * seconds,
                gflop_s: 1e-9 * case.flops / seconds,
                gb_s: 1e-9 * case.bytes / seconds,
                share_of_peak: 1e-9 * case.flops / seconds / roof.gflop_s,
            });
            bar.inc(1);
        }
        bar.finish_and_clear();
        roofs.push(roof);
    }
    if args.json {
        print_json(&serde_json::json!({ "roofs": roofs, "kernels": times }))?;
        return Ok(Outcome::Done);
    }
    for roof in &roofs {
        print(&roof.to_string())?;
        let head = ["kernel", "ms", "GFLOP/s", "of peak", "GB/s"].map(String::from);
        let row = |t: &KernelTime| {
            let share = format!("{:.0} %", 100.0 * t.share_of_peak);
            let numbers = [t.ms, t.gflop_s, t.gb_s].map(|v| format!("{v:.3}"));
            let [ms, gflop_s, gb_s] = numbers;
            vec![t.kernel.clone(), ms, gflop_s, share, gb_s]
        };
        let rows = times.iter().filter(|t| t.isa == roof.isa).map(row);
        print(&(Table { head: head.to_vec(), rows: rows.collect() }.text() + "\n"))?;
    }
    Ok(Outcome::Done)
}

fn run_layers(args: &LayerBench) -> Result<Outcome> {
    let known = args.model.known()?;
    let roof = args.model.roof()?;
    let least = Duration::from_secs_f64(args.seconds);
    let rows = layers::time(known, &args.model.options(), least)?;
    if args.json {
        print_json(&serde_json::json!({ "roof": roof, "layers": rows }))?;
        return Ok(Outcome::Done);
    }
    let algorithms = ["direct", "gemm", "winograd", "tiles", "short"];
    let mut head: Vec<String> = vec!["layer".into(), "ms".into()];
    head.extend(algorithms.map(String::from));
    head.extend(["GFLOP/s", "of peak", "GB/s", "of memory"].map(String::from));
    let total: f64 = rows.iter().map(layers::LayerTime::picked).sum();
    let line = |row: &layers::LayerTime| {
        let ms = row.picked();
        let mut cells = vec![row.layer.clone(), format!("{ms:.3}")];
        cells.extend(algorithms.map(|name| {
            let found = row.ms.iter().find(|(of, _)| *of == Some(name));
            let mark = if row.pick == Some(name) { "*" } else { "" };
            found.map_or(String::new(), |(_, ms)| format!("{mark}{ms:.3}"))
        }));
        let (gflop_s, gb_s) = (2e-6 * row.macs as f64 / ms, 1e-6 * row.bytes as f64 / ms);
        cells.push(if row.macs > 0 { format!("{gflop_s:.1}") } else { String::new() });
        let share = 100.0 * gflop_s / roof.gflop_s;
        cells.push(if row.macs > 0 { format!("{share:.0} %") } else { String::new() });
        cells.push(format!("{gb_s:.1}"));
        cells.push(format!("{:.0} %", 100.0 * gb_s / roof.read_gb_s));
        cells
    };
    print(&roof.to_string())?;
    let table = Table { head, rows: rows.iter().map(line).collect() }.text();
    print(&format!("{table}\ntotal {total:.3} ms; * is the plan's choice"))?;
    Ok(Outcome::Done)
}

/// What `bench net` prints: times are medians over the passes.
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
    /// What the threads could do at most, in `f32`.
    peak_gflop_s: f64,
    /// Bytes of packed weights and of blobs, in 10⁶.
    weights_mb: f64,
    blobs_mb: f64,
    rss_mb: f64,
    peak_mb: f64,
}

fn run_net(args: &NetBench) -> Result<Outcome> {
    let known = args.model.known()?;
    let mut net = layers::random(known, args.model.options())?;
    let (passes, steps) = layers::passes(&mut net, Duration::from_secs_f64(args.seconds))?;
    let count = passes.len();
    let median = bench::median(passes);
    let total = net.summary().total;
    // Measured last: the memory that this takes is not the network's.
    let (rss_mb, peak_mb) = (memory("VmRSS:"), memory("VmHWM:"));
    let timing = Timing {
        model: known.name.into(),
        backend: net.backend(),
        batch: args.model.batch,
        threads: args.model.threads(),
        passes: count,
        img_s: args.model.batch as f64 / median,
        ms_per_run: 1e3 * median,
        gflop_s: 2e-9 * total.macs as f64 / median,
        peak_gflop_s: args.model.roof()?.gflop_s,
        weights_mb: 1e-6 * net.packed_bytes() as f64,
        blobs_mb: 1e-6 * total.slot_bytes as f64,
        rss_mb,
        peak_mb,
    };
    if args.json {
        let line = serde_json::to_string(&timing).map_err(|e| Error::Invalid(e.to_string()))?;
        print(&line)?;
        return Ok(Outcome::Done);
    }
    if args.layers {
        let graph = net.graph();
        let medians: Vec<f64> = steps.into_iter().map(bench::median).collect();
        let total: f64 = medians.iter().sum();
        let line = |(step, seconds): (&likenet::net::Step, &f64)| {
            let node = &graph.nodes[step.node];
            let gflop_s = 2e-9 * node.macs as f64 / seconds;
            let rate = if node.macs > 0 { format!("{gflop_s:.1}") } else { String::new() };
            let share = format!("{:.1}%", 100.0 * seconds / total);
            vec![node.name.clone(), format!("{:.3}", 1e3 * seconds), share, rate]
        };
        let head = ["layer", "ms", "share", "GFLOP/s"].map(String::from).to_vec();
        let rows = net.plan().steps.iter().zip(&medians).map(line).collect();
        print(&Table { head, rows }.text())?;
    }
    print_json(&timing)?;
    Ok(Outcome::Done)
}

/// What `bench train` prints: times are medians over the steps.
#[derive(Serialize)]
struct StepTiming {
    model: String,
    backend: String,
    batch: usize,
    threads: usize,
    steps: usize,
    img_s: f64,
    ms_per_run: f64,
    forward_ms: f64,
    backward_ms: f64,
    update_ms: f64,
    rss_mb: f64,
    peak_mb: f64,
}

fn run_train(args: &NetBench) -> Result<Outcome> {
    let known = args.model.known()?;
    let mut net = training::random(known, args.model.options())?;
    let times = training::steps(&mut net, Duration::from_secs_f64(args.seconds))?;
    let parts = times.forward.iter().zip(&times.backward).zip(&times.update);
    let median = bench::median(parts.map(|((f, b), u)| f + b + u).collect());
    if args.layers {
        let graph = net.graph();
        let line = |(step, [forward, backward]): (&likenet::net::Step, &[Vec<f64>; 2])| {
            let ms = |times: &Vec<f64>| 1e3 * bench::median(times.clone());
            let node = &graph.nodes[step.node];
            let rate = |ms: f64| match node.macs {
                0 => String::new(),
                macs => format!("{:.0}", 2e-6 * macs as f64 / ms),
            };
            let (f, b) = (ms(forward), ms(backward));
            vec![node.name.clone(), format!("{f:.2}"), format!("{b:.2}"), rate(f), rate(b / 2.0)]
        };
        let head = ["layer", "forward ms", "backward ms", "GFLOP/s", "GFLOP/s"];
        let rows = net.plan().steps.iter().zip(&times.layers).map(line).collect();
        print(&Table { head: head.map(String::from).to_vec(), rows }.text())?;
    }
    print_json(&StepTiming {
        model: known.name.into(),
        backend: net.backend(),
        batch: args.model.batch,
        threads: args.model.threads(),
        steps: times.update.len(),
        img_s: args.model.batch as f64 / median,
        ms_per_run: 1e3 * median,
        forward_ms: 1e3 * bench::median(times.forward),
        backward_ms: 1e3 * bench::median(times.backward),
        update_ms: 1e3 * bench::median(times.update),
        rss_mb: memory("VmRSS:"),
        peak_mb: memory("VmHWM:"),
    })?;
    Ok(Outcome::Done)
}

/// A line of this process's memory figures in MB, where the system tells them (Linux); else 0.
fn memory(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(field));
    let kib = line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0 / 1e6
}

/// A detector's figures, JSON.
#[derive(Serialize)]
struct FaceTime {
    cascade: String,
    isa: &'static str,
    threads: usize,
    megapixels: f64,
    ms: f64,
    ms_a_megapixel: f64,
    faces: f64,
}

fn run_faces(args: &FaceBench) -> Result<Outcome> {
    let search = Search { min_size: args.min_size, ..Search::new()? };
    let listed = list_pictures(&args.photos)?;
    let decode = |p: &ListedPicture| decode_file(&p.path, &Limits::default());
    let photos = listed.iter().map(decode).collect::<std::result::Result<Vec<_>, _>>()?;
    let mut detectors = vec![];
    for path in &args.cascade {
        detectors.push((path.display().to_string(), Detector::read(path)?));
    }
    if detectors.is_empty() {
        detectors.push(("built in".into(), Detector::own()));
    }
    let least = Duration::from_secs_f64(args.seconds);
    let mut times = vec![];
    for &factor in &args.enlarge {
        let photos = if factor == 1.0 { &photos } else { &faces::enlarge(&photos, factor)? };
        for (cascade, detector) in &detectors {
            for &threads in &args.threads {
                let time = faces::time(detector, photos, &search, threads, least)?;
                times.push(FaceTime {
                    cascade: cascade.clone(),
                    isa: search.kernels.name(),
                    threads,
                    megapixels: time.megapixels,
                    ms: time.ms,
                    ms_a_megapixel: time.ms_a_megapixel(),
                    faces: time.faces,
                });
            }
        }
    }
    if args.json {
        print_json(&times)?;
        return Ok(Outcome::Done);
    }
    let mut table =
        Table::new(&["cascade", "threads", "Mpixel", "ms a photo", "ms a Mpixel", "faces"]);
    table.rows.extend(times.iter().map(|t| {
        let [mp, ms, each] = [t.megapixels, t.ms, t.ms_a_megapixel].map(|v| format!("{v:.2}"));
        vec![t.cascade.clone(), t.threads.to_string(), mp, ms, each, format!("{:.2}", t.faces)]
    }));
    print(&format!("{} photos, {}\n{}\n", photos.len(), search.kernels.name(), table.text()))?;
    Ok(Outcome::Done)
}
