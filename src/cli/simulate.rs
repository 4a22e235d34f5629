//! `likenet simulate`

use super::{Outcome, print, write};
use likenet::Result;
use likenet::photos::simulate::{Faults, Options, Server, Settings, World, midnight};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Serves a simulated photo network on this machine: drawn photos, invented users, likes by a stated law. It speaks
/// like Mastodon (/api/v1/timelines/tag/TAG), like Instagram at the time of the study (/v1/…) and like Instagram today
/// (/graph/…). Ctrl-C ends it and prints how often it was asked.
#[derive(clap::Args)]
pub struct Args {
    /// Port; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8089)]
    port: u16,
    /// Statuses, most of them with a photo
    #[arg(long, value_name = "N", default_value_t = 2000)]
    photos: usize,
    /// Users
    #[arg(long, value_name = "N", default_value_t = 400)]
    users: usize,
    /// Pixels along a photo's longer side
    #[arg(long, value_name = "N", default_value_t = 320)]
    side: u32,
    /// Share of the calls that go wrong: errors, slow answers, bodies that break off, HTML instead of what was asked for
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    faults: f64,
    /// Share of the photos whose files are gone
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    gone: f64,
    /// Calls of its interfaces that a token (or everybody without one) may make …
    #[arg(long, value_name = "N", default_value_t = 5000)]
    calls: u64,
    /// … within so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    window: u64,
    /// Seed: the same one draws the same photos
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// When the newest photo was shown, in seconds since 1970 [default: today at midnight]
    #[arg(long, value_name = "SECONDS")]
    now: Option<i64>,
    /// Draw all photos before serving
    #[arg(long)]
    ready: bool,
    /// CSV for the truth: what each photo shows, its looks, its appeal; for [report] truth
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// File for the addresses of all photos, one a line: for other programs that fetch
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<Outcome> {
    let world = Arc::new(World::new(Settings {
        seed: args.seed,
        users: args.users,
        photos: args.photos,
        side: args.side,
        now: args.now.unwrap_or_else(midnight),
        gone: args.gone,
        ..Settings::default()
    })?);
    if let Some(path) = &args.truth {
        write(path, world.truth())?;
    }
    let options = Options {
        port: args.port,
        faults: Faults::evenly(args.faults),
        calls: args.calls,
        window: args.window,
        ready: args.ready,
    };
    let server = Server::begin(world, options)?;
    if let Some(path) = &args.list {
        write(path, server.photos().join("\n") + "\n")?;
    }
    print(&format!("serving at {}; Ctrl-C ends it", server.url()))?;
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    ctrlc::set_handler(move || seen.store(true, Ordering::Relaxed))
        .map_err(|e| likenet::Error::Invalid(format!("cannot catch Ctrl-C: {e}")))?;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let [interfaces, photos] = server.measured();
    for (name, m) in [("interfaces", interfaces), ("photos", photos)] {
        print(&format!(
            "{name}: {} calls, {:.2} a second; the most within a second {}, within ten {:.1} a second",
            m.calls, m.mean, m.most_a_second, m.most_of_ten
        ))?;
    }
    Ok(Outcome::Done)
}
