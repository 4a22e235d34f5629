//! `likenet train`

use super::compute::{BACKENDS, ConvArg, threads, told};
use super::{Outcome, print};
use indicatif::HumanDuration;
use likenet::report::{Progress, Record, Writer};
use likenet::solver::{Settings, snapshot};
use likenet::training::{self, EarlyStop, Event, Outcome as Ended, Plan, Trainer, live};
use likenet::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Trains a network as a Caffe solver says: its prototxts, lists, LMDBs, means and weights are used as
/// they are.
#[derive(clap::Args)]
pub struct Args {
    /// The solver (Caffe's solver.prototxt, of any age)
    #[arg(long, value_name = "PROTOTXT")]
    solver: PathBuf,
    /// Weights to start from, .caffemodel or .safetensors; later ones win, and layers that none of them
    /// has begin as their fillers say
    #[arg(long, value_name = "FILE,…", value_delimiter = ',')]
    weights: Vec<PathBuf>,
    #[command(flatten)]
    run: RunArgs,
}

/// How a training runs, whatever is trained.
#[derive(clap::Args)]
pub struct RunArgs {
    /// Go on from this .solverstate, our own or Caffe's
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    snapshot: Option<PathBuf>,
    /// Go on from the newest snapshot, bit for bit; without one, begin
    #[arg(long)]
    pub resume: bool,
    /// Begin anew, and overwrite the log and the snapshots of an earlier training
    #[arg(long, conflicts_with_all = ["resume", "snapshot"])]
    overwrite: bool,
    /// What is resumed begins with the first picture again, and snapshots hold nothing that Caffe's do not
    #[arg(long)]
    caffe_compat: bool,
    /// A line of JSON for each iteration and each test [default: log.jsonl beside the snapshots]
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Curves of loss, accuracy and rate, .svg or .png, drawn at each test and in the end
    /// [default: curves.svg beside the log]
    #[arg(long, value_name = "FILE")]
    curves: Option<PathBuf>,
    /// Every other second, write the filters and the photos that the network gets wrong to live.json beside the log:
    /// `likenet serve --training` shows them
    #[arg(long)]
    live: bool,
    /// Stop when the last N tests were no better than one before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    early_stop: Option<u32>,
    /// Iterations in all, instead of the solver's max_iter
    #[arg(long, value_name = "N")]
    max_iter: Option<usize>,
    /// Seed of everything random, instead of the solver's random_seed
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// A picture that cannot be read is replaced by the next one, instead of being an error
    #[arg(long)]
    skip_broken: bool,
    /// Where the network is computed; auto: on an NVIDIA device if there is one, else on the CPU
    #[arg(long, value_parser = BACKENDS, default_value = "cpu")]
    backend: String,
    /// Threads; 0 means one for each core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = threads())]
    threads: usize,
    /// How convolutions and gradients are computed, where they can be [default: whatever is fastest]
    #[arg(long, value_enum)]
    conv: Option<ConvArg>,
}

pub fn run(args: &Args) -> Result<Outcome> {
    let settings = Settings::read(&args.solver)?;
    let base = args.solver.parent().unwrap_or(Path::new("")).to_path_buf();
    train(settings, base, &args.weights, None, &args.run)
}

/// Trains, and tells of it. If `fresh` names a layer, no other may be missing in the weights.
pub fn train(
    mut settings: Settings,
    base: PathBuf,
    weights: &[PathBuf],
    fresh: Option<&str>,
    args: &RunArgs,
) -> Result<Outcome> {
    settings.max_iter = args.max_iter.unwrap_or(settings.max_iter);
    args.check_free(&settings.snapshot_prefix)?;
    let log = args.log_file(&settings.snapshot_prefix);
    let state = match &args.snapshot {
        Some(state) => Some(state.clone()),
        None if args.resume => snapshot::latest(&settings.snapshot_prefix),
        None => None,
    };
    let resumed_seed = state.as_deref().map(training::seed_of).transpose()?.flatten();
    let chosen = args.seed.or(settings.random_seed).or(resumed_seed);
    let seed = chosen.unwrap_or_else(seed_of_the_moment);
    settings.random_seed = Some(seed);
    for warning in &settings.warnings {
        eprintln!("note: {warning}");
    }
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let options = training::Options {
        backend: told(&args.backend).into(),
        threads: args.threads,
        conv: args.conv.map(Into::into),
        weights: weights.to_vec(),
        base,
        data_threads: if args.threads == 0 { cores } else { args.threads },
        skip_broken: args.skip_broken,
        caffe_compat: args.caffe_compat,
    };
    let mut trainer = Trainer::new(settings, options)?;
    check_untrained(trainer.untrained(), fresh)?;
    match &state {
        Some(state) => {
            trainer.resume(state)?;
            eprintln!("going on from {} (iteration {})", state.display(), trainer.iter());
        }
        None if args.resume => eprintln!("there is no snapshot yet: beginning"),
        None => {}
    }
    describe(&trainer, seed, &log);
    let prefix = &trainer.settings().snapshot_prefix;
    writable(Path::new(prefix))?;
    writable(&log)?;
    let stop = interrupts()?;
    let mut teller = Teller::new(&trainer, args, log)?;
    if args.overwrite {
        snapshot::forget(prefix)?;
    }
    let mut early = args.early_stop.map(|n| EarlyStop::new(n as usize));
    early.iter_mut().for_each(|early| teller.recall(early));
    let look = args.live.then(|| Duration::from_secs(live::OFTEN));
    let plan = Plan { stop: Some(&stop), early, until: None, look };
    let begun = Instant::now();
    let ended = trainer.run(plan, &mut |event| teller.tell(event));
    teller.progress.finish();
    let ended = ended?;
    teller.draw()?;
    finish(&trainer, &teller, ended, begun.elapsed())
}

impl RunArgs {
    fn log_file(&self, prefix: &str) -> PathBuf {
        let beside = || Path::new(prefix).with_file_name("log.jsonl");
        self.log.clone().unwrap_or_else(beside)
    }

    /// A log with records, or snapshots, are not to be lost by mistake.
    pub fn check_free(&self, prefix: &str) -> Result<()> {
        if self.resume || self.overwrite || self.snapshot.is_some() {
            return Ok(());
        }
        let log = self.log_file(prefix);
        let written = || {
            std::fs::metadata(&log).is_ok_and(|m| m.is_file() && m.len() > 0).then(|| log.clone())
        };
        match snapshot::latest(prefix).or_else(written) {
            None => Ok(()),
            Some(old) => Err(Error::Invalid(format!(
                "{} is of an earlier training: --resume goes on with it, --overwrite begins anew",
                old.display()
            ))),
        }
    }
}

/// Says which layers begin untrained; refuses those that should not.
fn check_untrained(untrained: &[String], fresh: Option<&str>) -> Result<()> {
    if untrained.is_empty() {
        return Ok(());
    }
    let names = untrained.join(", ");
    match fresh {
        Some(head) if untrained.iter().any(|name| name != head) => Err(Error::Invalid(format!(
            "the weights lack layers besides {head}: {names}; they belong to another network (--model, \
             --net)"
        ))),
        _ => {
            eprintln!("not in the weights, so as the fillers say: {names}");
            Ok(())
        }
    }
}

/// Makes the folder of `path`, and finds out now, not hours later, that it takes no files.
pub fn writable(path: &Path) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let probe = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
    probe.map(drop).map_err(|e| {
        let path = path.display();
        Error::Invalid(format!("{path}: nothing can be written to its folder: {e}"))
    })
}

fn seed_of_the_moment() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_nanos() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

fn describe(trainer: &Trainer, seed: u64, log: &Path) {
    let (net, s) = (trainer.net(), trainer.settings());
    let learnt: usize = net.learnt().iter().map(|p| p.shape.count()).sum();
    let all: usize = net.graph().params.iter().map(|p| p.spec.shape.count()).sum();
    eprintln!("{} ({})", net.graph().file, net.backend());
    eprintln!(
        "{learnt} of {all} parameters are learnt, {} pictures an iteration, {} iterations, seed {seed}",
        trainer.images(),
        s.max_iter
    );
    eprintln!("log: {}; snapshots: {}_iter_*", log.display(), s.snapshot_prefix);
}

/// Becomes true with Ctrl-C or a plea to end; the second one ends the program at once.
fn interrupts() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    let handler = move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("\nstopping after this iteration (once more: at once)");
    };
    ctrlc::set_handler(handler).map_err(|e| Error::Invalid(format!("cannot catch Ctrl-C: {e}")))?;
    Ok(stop)
}

/// Writes the log, draws curves, shows the progress.
struct Teller {
    progress: Progress,
    writer: Writer,
    records: Vec<Record>,
    log: PathBuf,
    curves: PathBuf,
    #[cfg(feature = "plots")]
    title: String,
    begun: Instant,
    /// The last state that was written.
    saved: Option<PathBuf>,
}

impl Teller {
    fn new(trainer: &Trainer, args: &RunArgs, log: PathBuf) -> Result<Self> {
        let s = trainer.settings();
        let curves = args.curves.clone().unwrap_or_else(|| log.with_file_name("curves.svg"));
        #[cfg(feature = "plots")]
        likenet::report::check_ending(&curves)?;
        writable(&log)?;
        writable(&curves)?;
        let (writer, records) = Writer::open(&log, trainer.iter())?;
        Ok(Self {
            progress: Progress::new(s.max_iter, trainer.iter(), trainer.images(), s.display),
            writer,
            records,
            log,
            curves,
            #[cfg(feature = "plots")]
            title: trainer.net().graph().name.clone(),
            begun: Instant::now(),
            saved: None,
        })
    }

    fn tell(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Testing => self.progress.pause(),
            Event::Tested(test) => {
                let outputs = test.outputs.iter().map(|(name, v)| format!("{name} {v:.4}"));
                let outputs: Vec<String> = outputs.collect();
                self.progress.note(&format!(
                    "iteration {}, test {}: {}",
                    test.iter,
                    test.test,
                    outputs.join(", ")
                ));
                self.record(Record::Test(test))?;
                self.draw()?;
                self.progress.resume();
            }
            Event::Stepped(mut step) => {
                self.progress.step(step.iter, step.loss, step.smoothed, step.lr);
                step.images_per_s = self.progress.images_per_second().unwrap_or_default() as f32;
                step.seconds = self.begun.elapsed().as_secs_f64();
                self.record(Record::Iteration(step))?;
            }
            Event::Seen(glimpse) => glimpse.write(&live::beside(&self.log))?,
            Event::Saved(state) => {
                self.progress.note(&format!("snapshot: {}", state.display()));
                self.saved = Some(state);
            }
        }
        Ok(())
    }

    fn record(&mut self, record: Record) -> Result<()> {
        self.writer.write(&record)?;
        self.records.push(record);
        Ok(())
    }

    /// Shows `early` the tests before a resumed training's first.
    fn recall(&self, early: &mut EarlyStop) {
        for record in &self.records {
            if let Record::Test(test) = record
                && test.test == 0
            {
                early.enough(test);
            }
        }
    }

    /// The curves so far, if the program can draw.
    fn draw(&self) -> Result<()> {
        #[cfg(feature = "plots")]
        if !self.records.is_empty() {
            likenet::report::draw(&self.records, &self.title, &self.curves)?;
        }
        Ok(())
    }
}

fn finish(trainer: &Trainer, teller: &Teller, ended: Ended, took: Duration) -> Result<Outcome> {
    let skipped = trainer.skipped();
    for (picture, reason) in &skipped {
        eprintln!("left out {picture}: {reason}");
    }
    let (how, next) = match ended {
        Ended::Done => ("done", ""),
        Ended::Stopped => ("stopped", "; --resume goes on"),
        Ended::Enough => ("stopped early", ": tests became no better"),
    };
    let iter = trainer.iter();
    print(&format!("{how} after {iter} iterations, {}{next}", HumanDuration(took)))?;
    if let Some(Record::Test(test)) = teller.records.iter().rfind(|r| matches!(r, Record::Test(_)))
    {
        for (name, value) in &test.outputs {
            print(&format!("{name} {value:.4} (iteration {})", test.iter))?;
        }
    }
    match &teller.saved {
        Some(state) => {
            print(&format!("weights: {}", state.with_extension("caffemodel").display()))?
        }
        None => print("weights: not saved, as the solver asks (snapshot_after_train: false)")?,
    }
    print(&format!("log: {}", teller.log.display()))?;
    if cfg!(feature = "plots") {
        print(&format!("curves: {}", teller.curves.display()))?;
    }
    Ok(if skipped.is_empty() { Outcome::Done } else { Outcome::No })
}
