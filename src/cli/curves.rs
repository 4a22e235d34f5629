//! `likenet curves`

use super::{Outcome, print};
use likenet::{Result, report};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Log of a training run (log.jsonl)
    #[arg(value_name = "LOG")]
    log: PathBuf,
    /// Drawing to write; its ending decides: .svg or .png [default: LOG with the ending .svg]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Title above the curves [default: the log's path]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
}

pub fn run(args: &Args) -> Result<Outcome> {
    let records = report::read(&args.log)?;
    let out = args.out.clone().unwrap_or_else(|| args.log.with_extension("svg"));
    let title = args.title.clone().unwrap_or_else(|| args.log.display().to_string());
    report::draw(&records, &title, &out)?;
    print(&out.display().to_string())?;
    Ok(Outcome::Done)
}
