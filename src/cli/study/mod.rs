//! The whole study: `likenet demo`, `run`, `init`, `status`, the stages one by one, `export`, `forget`, `filter`.

mod progress;

use super::{Outcome, print, write};
use likenet::photos::store::{export, forget, tables};
use likenet::pipeline::{self, Config, Demo, Project, Sorted, Stage, Status, TEMPLATE};
use likenet::report::Table;
use likenet::{Error, Result};
use progress::Shown;
use std::path::{Path, PathBuf};

/// Which study.
#[derive(clap::Args)]
pub struct StudyArgs {
    /// The study's settings, as `likenet init` writes them
    #[arg(value_name = "CONFIG", default_value = "likenet.toml")]
    config: PathBuf,
}

#[derive(clap::Args)]
pub struct DemoArgs {
    /// Folder for everything; an interrupted demo goes on there
    #[arg(long, value_name = "DIR", default_value = "likenet-demo")]
    out: PathBuf,
    /// Photos that the simulated network has
    #[arg(long, value_name = "N", default_value_t = 3600)]
    photos: usize,
    /// Its users
    #[arg(long, value_name = "N", default_value_t = 800)]
    users: usize,
    /// Share of the calls that go wrong: errors, slow answers, bodies that break off, HTML instead of JSON
    #[arg(long, value_name = "SHARE", default_value_t = 0.02)]
    faults: f64,
    /// Seed: the same one draws the same photos
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Show the report in the browser
    #[arg(long)]
    open: bool,
}

#[derive(clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    study: StudyArgs,
    /// Only these stages
    #[arg(long, value_name = "STAGE,…", value_delimiter = ',', value_parser = stage_named)]
    only: Vec<Stage>,
    /// Run these stages though nothing has changed; collect then begins with the newest photos
    #[arg(long, value_name = "STAGE,…", value_delimiter = ',', value_parser = stage_named)]
    again: Vec<Stage>,
    /// Show the report in the browser
    #[arg(long)]
    open: bool,
}

#[derive(clap::Args)]
pub struct StageArgs {
    /// collect, prepare, download, faces, features, compare, finetune, rank or report
    #[arg(value_name = "STAGE", value_parser = stage_named)]
    stage: Stage,
    #[command(flatten)]
    study: StudyArgs,
}

#[derive(clap::Args)]
pub struct InitArgs {
    /// The file to write
    #[arg(value_name = "CONFIG", default_value = "likenet.toml")]
    config: PathBuf,
}

#[derive(clap::Args)]
pub struct ExportArgs {
    #[command(flatten)]
    study: StudyArgs,
    /// Which table [default: photos]; `--list` lists them
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// File to write: .csv, .jsonl or .parquet
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    out: Option<PathBuf>,
    /// List the tables
    #[arg(long)]
    list: bool,
}

#[derive(clap::Args)]
pub struct PackArgs {
    #[command(flatten)]
    study: StudyArgs,
    /// File to write [default: likability.safetensors in the study's folder]; a copy elsewhere is yours to delete when
    /// a person is to be forgotten
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Photos of the gallery, small: what shows the most alike ones; 0 keeps all pictures out of the file
    #[arg(long, value_name = "N", default_value_t = 500)]
    photos: usize,
}

#[derive(clap::Args)]
pub struct ForgetArgs {
    /// The user's name, or the network's own id
    #[arg(value_name = "USER")]
    user: String,
    #[command(flatten)]
    study: StudyArgs,
}

#[derive(clap::Subcommand)]
pub enum FilterCommand {
    /// Learns which photos to keep from two folders of photos that you sorted
    Train(FilterArgs),
}

#[derive(clap::Args)]
pub struct FilterArgs {
    /// Photos to keep: some tens
    #[arg(long, value_name = "DIR")]
    keep: PathBuf,
    /// Photos to drop: memes, quotes, food, …
    #[arg(long, value_name = "DIR")]
    drop: PathBuf,
    /// File for the classifier
    #[arg(long, value_name = "FILE", default_value = "people.safetensors")]
    out: PathBuf,
    /// The study whose network is used [default: the built-in network]
    #[arg(long, value_name = "CONFIG")]
    config: Option<PathBuf>,
}

fn stage_named(name: &str) -> std::result::Result<Stage, String> {
    let names = || Stage::ALL.map(Stage::name).join(", ");
    Stage::named(name).ok_or_else(|| format!("stages are {}", names()))
}

/// Ctrl-C ends the program at once: what is done is on the disk already.
fn catch_interrupts() -> Result<()> {
    let handler = || {
        eprintln!("\nstopped; the same command goes on from here");
        std::process::exit(130);
    };
    ctrlc::set_handler(handler).map_err(|e| Error::Invalid(format!("cannot catch Ctrl-C: {e}")))
}

pub fn demo(args: &DemoArgs) -> Result<Outcome> {
    catch_interrupts()?;
    let shown = Shown::new();
    eprintln!(
        "a simulated network of {} users and {} drawn photos: nothing here says anything about real people",
        args.users, args.photos
    );
    let demo = Demo {
        folder: args.out.clone(),
        photos: args.photos,
        users: args.users,
        seed: args.seed,
        faults: args.faults,
    };
    let report = pipeline::demo(&demo, &shown)?;
    done(&shown, &report, args.open)
}

fn done(shown: &Shown, report: &Path, browser: bool) -> Result<Outcome> {
    eprintln!("done in {} s; look at:", shown.begun.elapsed().as_secs());
    print(&report.display().to_string())?;
    if browser {
        open(report);
    }
    Ok(Outcome::Done)
}

/// Shows a file in the browser, where there is one.
fn open(path: &Path) {
    let program = match std::env::consts::OS {
        "macos" => "open",
        "windows" => "explorer",
        _ => "xdg-open",
    };
    if let Err(e) = std::process::Command::new(program).arg(path).spawn() {
        eprintln!("no browser: {program}: {e}");
    }
}

pub fn run(args: &RunArgs) -> Result<Outcome> {
    catch_interrupts()?;
    let mut project = Project::open(&args.study.config)?;
    for stage in &args.again {
        pipeline::again(&mut project, *stage)?;
    }
    let shown = Shown::new();
    pipeline::run(&mut project, &args.only, &shown)?;
    if !args.only.is_empty() {
        return Ok(Outcome::Done);
    }
    done(&shown, &project.file("report.html"), args.open)
}

pub fn stage(args: &StageArgs) -> Result<Outcome> {
    catch_interrupts()?;
    let mut project = Project::open(&args.study.config)?;
    pipeline::run(&mut project, &[args.stage], &Shown::new())?;
    Ok(Outcome::Done)
}

pub fn init(args: &InitArgs) -> Result<Outcome> {
    let path = &args.config;
    if path.exists() {
        return Err(Error::Invalid(format!("{}: is there already", path.display())));
    }
    write(path, TEMPLATE)?;
    print(&format!("wrote {}: edit [collect], then `likenet run`", path.display()))?;
    Ok(Outcome::Done)
}

pub fn status(args: &StudyArgs) -> Result<Outcome> {
    let project = Project::look(&args.config)?;
    let line = |Status { stage, state, summary, seconds }| {
        let seconds = seconds.map_or(String::new(), |s: u64| format!("{s} s"));
        format!("{:<9} {state:<16} {seconds:>7}  {summary}", stage.name()).trim_end().to_string()
    };
    let lines: Vec<String> = pipeline::status(&project)?.into_iter().map(line).collect();
    print(&lines.join("\n"))?;
    Ok(Outcome::Done)
}

pub fn export_table(args: &ExportArgs) -> Result<Outcome> {
    let list =
        || tables().iter().map(|t| format!("{:<12} {}", t.name, t.about)).collect::<Vec<_>>();
    let Some(out) = args.out.as_ref().filter(|_| !args.list) else {
        print(&list().join("\n"))?;
        return Ok(Outcome::Done);
    };
    let name = args.table.as_deref().unwrap_or("photos");
    let table = tables().iter().find(|table| table.name == name).ok_or_else(|| {
        let names: Vec<&str> = tables().iter().map(|table| table.name).collect();
        Error::Invalid(format!("there is no table '{name}': {}", names.join(", ")))
    })?;
    let project = Project::look(&args.study.config)?;
    let rows = export(&project.store, table, out)?;
    print(&format!("wrote {rows} rows of {name} to {}", out.display()))?;
    Ok(Outcome::Done)
}

pub fn pack(args: &PackArgs) -> Result<Outcome> {
    let project = Project::look(&args.study.config)?;
    let likability = pipeline::pack(&project, args.photos)?;
    let out = args.out.clone().unwrap_or_else(|| project.file("likability.safetensors"));
    likability.save(&out)?;
    let (about, photos) = (&likability.about, likability.gallery.len());
    print(&format!("wrote {}: {}, {photos} photos in its gallery", out.display(), about.method))?;
    print("`likenet score --model` and `likenet serve --model` judge photos with it")?;
    Ok(Outcome::Done)
}

pub fn forget_user(args: &ForgetArgs) -> Result<Outcome> {
    let mut project = Project::open(&args.study.config)?;
    let photos = project.photos();
    let gone = forget(&mut project.store, &photos, &args.user)?;
    pipeline::forget_results(&mut project)?;
    print(&format!(
        "deleted {} user, {} photos, {} files; features, models and reports that were made with them are deleted too: \
         `likenet run` makes them anew, without {}",
        gone.users, gone.photos, gone.files, args.user
    ))?;
    Ok(Outcome::Done)
}

pub fn filter(command: &FilterCommand) -> Result<Outcome> {
    let FilterCommand::Train(args) = command;
    let folder = tempfile::tempdir().map_err(Error::io(Path::new("a temporary folder")))?;
    let project = match &args.config {
        Some(path) => Project::open(path)?,
        None => Project::new(Config::default(), folder.path().to_path_buf())?,
    };
    let sorted = Sorted { keep: args.keep.clone(), drop: args.drop.clone(), out: args.out.clone() };
    let shown = Shown::new();
    let judged = pipeline::train_filter(&project, &sorted, &shown)?;
    shown.bar().finish_and_clear();
    let mut table =
        Table::new(&["keeps photos with", "precision", "recall", "kept", "wrongly kept"]);
    for one in judged {
        table.rows.push(vec![
            one.name.clone(),
            format!("{:.3}", one.precision()),
            format!("{:.3}", one.recall()),
            format!("{} of {}", one.keep[0], one.keep[0] + one.keep[1]),
            format!("{} of {}", one.drop[0], one.drop[0] + one.drop[1]),
        ]);
    }
    print(&table.text())?;
    print(&format!("wrote {}: name it in [filter] classifier", args.out.display()))?;
    Ok(Outcome::Done)
}
