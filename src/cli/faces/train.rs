//! `likenet faces train`

use super::super::train::writable;
use super::super::{Outcome, print, write};
use super::eval::{curves, write_page};
use super::{draw, forget, journal};
use indicatif::{ProgressBar, ProgressStyle};
use likenet::faces::train::stages::{Features, StageOptions, StageStep, Staged, train_stages};
use likenet::faces::train::{self, Boosting, Framing, Options, Step, Trained};
use likenet::report::{self, Table};
use likenet::{Error, Result};
use std::path::{Path, PathBuf};

/// Trains a cascade on crops of an object (faces, cats, logos) and on photos without it.
///
/// Each crop shows one object, all in the same pose: eyes, ears or corners at the same place. --crop says which
/// square of a crop the detector's window is. An interrupted training goes on after its last whole round.
#[derive(clap::Args)]
pub struct Args {
    /// Folder (or list) of crops, at least 20; some thousands are better
    #[arg(long, value_name = "DIR")]
    faces: PathBuf,
    /// Folder (or list) of photos without the object, at least 10; some hundreds are better
    #[arg(long, value_name = "DIR")]
    backgrounds: PathBuf,
    /// The cascade to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What the cascade looks at. Gradient channels make the fastest and surest one; the others are stages of the
    /// classical kinds, written as OpenCV's XML (haar, tilted, lbp) or ccv's sqlite3 (surf), in one go and without a report
    #[arg(long, value_enum, default_value_t = FeaturesArg::Channels)]
    features: FeaturesArg,
    /// The window in a crop: its middle, and its side as a part of the crop's width. For aligned faces of 112 x
    /// 112 pixels with the eyes at 46 % of the height: 0.5,0.554,0.857
    #[arg(long, value_name = "X,Y,SIDE", default_value = "0.5,0.5,1", value_parser = numbers::<3>)]
    crop: [f32; 3],
    /// Where the object lies in the window, as parts of its side: the box that is reported. For the same faces,
    /// hairline to chin: 0.078,-0.041,0.844,1.116
    /// [default: the whole window] (channels only)
    #[arg(long, value_name = "X,Y,W,H", value_parser = numbers::<4>, allow_hyphen_values = true)]
    object: Option<[f32; 4]>,
    /// Trees of each round; each trains anew on what fooled the round before
    /// [default: 32,128,512,1024,2048] (channels only)
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    rounds: Option<Vec<usize>>,
    /// Random variations of each crop [default: 4; of stages 1]
    #[arg(long, value_name = "N")]
    copies: Option<usize>,
    /// Most windows without the object that are kept, or that a stage learns from [default: 40000; of stages 5000]
    #[arg(long, value_name = "N")]
    negatives: Option<usize>,
    /// Degrees that variations roll, either way [default: 20; of stages 12]
    #[arg(long, value_name = "DEGREES")]
    roll: Option<f32>,
    /// The object's mirror image is no such object
    #[arg(long)]
    no_mirror: bool,
    /// AdaBoost's kind [default: real; of stages gentle]
    #[arg(long, value_enum)]
    boosting: Option<BoostingArg>,
    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Folder for the report: a page, the ROC, the first trees' cells over the mean crop [default: FILE.report] (channels only)
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FeaturesArg {
    /// Gradients in eight directions over cells, one soft cascade
    Channels,
    /// Differences of upright rectangles
    Haar,
    /// The same, and of rectangles turned by 45°
    Tilted,
    /// Local binary patterns
    Lbp,
    /// SURF patches
    #[cfg(feature = "sqlite")]
    Surf,
}

impl FeaturesArg {
    /// Those of stages; none for the soft cascade.
    fn staged(self) -> Option<Features> {
        match self {
            Self::Channels => None,
            Self::Haar => Some(Features::Haar { tilted: false }),
            Self::Tilted => Some(Features::Haar { tilted: true }),
            Self::Lbp => Some(Features::Lbp),
            #[cfg(feature = "sqlite")]
            Self::Surf => Some(Features::Surf),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum BoostingArg {
    /// Leaves are half the logarithm of the weights' ratio
    Real,
    /// Leaves are the weights' normalised difference
    Gentle,
}

fn numbers<const N: usize>(text: &str) -> std::result::Result<[f32; N], String> {
    let numbers: Option<Vec<f32>> = text.split(',').map(|v| v.trim().parse().ok()).collect();
    let finite = numbers.filter(|n| n.iter().all(|v| v.is_finite()));
    finite.and_then(|n| n.try_into().ok()).ok_or(format!("needs {N} numbers with commas between"))
}

impl Args {
    fn framing(&self) -> Framing {
        let [x, y, side] = self.crop;
        Framing { centre: [x, y], side }
    }

    fn options(&self) -> Options {
        let mut options =
            Options { framing: self.framing(), seed: self.seed, ..Options::default() };
        set(&mut options.object, &self.object);
        set(&mut options.rounds, &self.rounds);
        set(&mut options.copies, &self.copies);
        set(&mut options.negatives, &self.negatives);
        set(&mut options.augment.roll, &self.roll);
        set(&mut options.learner.boosting, &self.boosting.map(Boosting::from));
        options.augment.mirror = !self.no_mirror;
        options
    }

    /// Fails on options that stages have no use for.
    fn stage_options(&self, features: Features) -> Result<StageOptions> {
        if self.object.is_some() || self.rounds.is_some() || self.report.is_some() {
            let reason = "--object, --rounds and --report are for --features channels";
            return Err(Error::Invalid(reason.into()));
        }
        let mut options = StageOptions::new(features);
        (options.framing, options.seed) = (self.framing(), self.seed);
        set(&mut options.copies, &self.copies);
        set(&mut options.negatives, &self.negatives);
        set(&mut options.augment.roll, &self.roll);
        set(&mut options.boosting, &self.boosting.map(Boosting::from));
        options.augment.mirror = !self.no_mirror;
        Ok(options)
    }
}

/// Takes what was given.
fn set<T: Clone>(option: &mut T, given: &Option<T>) {
    if let Some(given) = given {
        option.clone_from(given);
    }
}

impl From<BoostingArg> for Boosting {
    fn from(arg: BoostingArg) -> Self {
        match arg {
            BoostingArg::Real => Self::Real,
            BoostingArg::Gentle => Self::Gentle,
        }
    }
}

pub fn run(args: &Args) -> Result<Outcome> {
    writable(&args.out)?;
    if let Some(features) = args.features.staged() {
        return run_stages(args, features);
    }
    let state = journal(&args.out);
    let options = args.options();
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} trees  {eta} left") {
        bar.set_style(style);
    }
    let mut tell = |step: Step| match step {
        Step::Listed(crops, backgrounds) => {
            eprintln!("{crops} crops, {backgrounds} backgrounds; a tenth of each is held out");
        }
        Step::Round(round, positives, negatives) => {
            let (round, all) = (round + 1, options.rounds.len());
            bar.suspend(|| eprintln!("round {round} of {all}: {positives} windows with the object, {negatives} without"));
        }
        Step::Trees(done, all) => {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        }
        Step::Rates(hit, false_positive) => {
            let (hit, wrong) = (100.0 * hit, 100.0 * false_positive);
            bar.suspend(|| {
                eprintln!(
                    "  finds {hit:.2} % of held-out windows, takes {wrong:.2} % of its negatives"
                );
            });
        }
        Step::Calibrating => bar.suspend(|| eprintln!("calibrating on held-out pictures")),
    };
    let trained = train::train(&args.faces, &args.backgrounds, &options, Some(&state), &mut tell)?;
    bar.finish_and_clear();
    let text = trained.cascade.to_text();
    write(&args.out, text.as_bytes())?;
    let folder = args.report.clone().unwrap_or_else(|| {
        let mut name = args.out.as_os_str().to_os_string();
        name.push(".report");
        name.into()
    });
    write_report(&trained, &folder)?;
    forget(&state)?;
    let (bytes, trees) = (text.len(), trained.cascade.trees.len());
    print(&format!(
        "{}: {trees} trees, {bytes} bytes; report: {}",
        args.out.display(),
        folder.join("index.html").display()
    ))?;
    Ok(Outcome::Done)
}

fn write_report(trained: &Trained, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let mut rounds =
        Table::new(&["round", "trees", "with", "without", "hit rate", "false positives"]);
    rounds.rows.extend(trained.rounds.iter().enumerate().map(|(i, r)| {
        let counts = [i + 1, r.trees, r.positives, r.negatives].map(|n| n.to_string());
        let rates = [r.hit_rate, r.false_positive_rate].map(|v| format!("{v:.4}"));
        [&counts[..], &rates].concat()
    }));
    draw::trees(&trained.cascade, &trained.mean, &folder.join("trees.png"))?;
    let judged = [("held-out pictures", &trained.outcomes.judgement)];
    let page = format!(
        "<h1>A cascade's training</h1>\n<p>\"With\" and \"without\": windows that show the object, and that don't. \
         Hit rate: part of held-out windows that are found. False positives: part of the windows without \
         that are taken.</p>\n{}<h2>The first trees</h2>\n<p>The cells that each tree asks about, over the \
         mean crop: its root with a thick frame. Blue to green: directions of edges; orange: energy; red: \
         brightness.</p>\n<figure><img src=\"trees.png\" alt=\"The first trees' cells\"></figure>\n{}{}",
        rounds.html(),
        report::faces::html(&judged),
        curves(&judged, folder)?
    );
    write_page("A cascade's training", &page, folder)
}

/// Trains stages.
fn run_stages(args: &Args, features: Features) -> Result<Outcome> {
    let options = args.stage_options(features)?;
    let mut learnt = (0, 0.0, 0.0);
    let mut tell = |step: StageStep| match step {
        StageStep::Listed(crops, backgrounds) => {
            eprintln!("{crops} crops, {backgrounds} backgrounds; a tenth of the crops is held out");
        }
        StageStep::Stage(stage, objects, others) => {
            let stage = stage + 1;
            eprintln!("stage {stage}: {objects} windows with the object, {others} without");
        }
        StageStep::Weak(count, auc, wrong) => learnt = (count, auc, wrong),
        StageStep::Hits(rate) => {
            let (count, auc, wrong) = learnt;
            let (hit, wrong) = (100.0 * rate, 100.0 * wrong);
            eprintln!(
                "  {count} learners, AUC {auc:.4}, take {wrong:.1} % of the others; the cascade finds \
                 {hit:.2} % of held-out windows"
            );
        }
    };
    match train_stages(&args.faces, &args.backgrounds, &options, &mut tell)? {
        #[cfg(feature = "sqlite")]
        Staged::Scd(cascade) => cascade.write(&args.out)?,
        Staged::OpenCv(cascade) => cascade.write(&args.out)?,
    }
    print(&args.out.display().to_string())?;
    Ok(Outcome::Done)
}
