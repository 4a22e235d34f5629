//! The whole study on a simulated network. Flows in: a folder. Flows out: everything that a study leaves there.

use super::config::{Config, Report};
use super::project::Project;
use super::run::{Progress, run};
use crate::error::{Error, Result};
use crate::photos::simulate::{Faults, Options, Server, Settings, World, midnight};
use crate::photos::{collect, download};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Demo {
    /// Where everything goes.
    pub folder: PathBuf,
    /// Photos that the network has.
    pub photos: usize,
    /// Users.
    pub users: usize,
    /// Everything follows from it.
    pub seed: u64,
    /// Share of the calls that go wrong.
    pub faults: f64,
}

/// Simulates a network on this machine and runs the study on it, from its HTTP interface to the report. Gives the
/// report's path.
///
/// A demo that was cut off goes on; fails where the folder holds another one.
pub fn demo(demo: &Demo, progress: &dyn Progress) -> Result<PathBuf> {
    let settings = Settings {
        seed: demo.seed,
        photos: demo.photos,
        users: demo.users,
        now: midnight(),
        ..Settings::default()
    };
    let world = Arc::new(World::new(settings)?);
    std::fs::create_dir_all(&demo.folder).map_err(Error::io(&demo.folder))?;
    let port = port(&demo.folder, &world)?;
    let options =
        Options { port, faults: Faults::evenly(demo.faults), calls: 100_000, ..Options::default() };
    let server = Server::begin(world, options)?;
    let config = config(&server, demo);
    let path = demo.folder.join("likenet.toml");
    weights_tools::write_file(&path, format!("{HEAD}{}", config.text()?))?;
    let mut project = Project::open(&path)?;
    run(&mut project, &[], progress)?;
    Ok(project.file(super::report::FILE))
}

const HEAD: &str =
    "# What `likenet demo` ran: a simulated network, which is there only while a demo runs.\n\n";

/// Writes the truth, and gives the port at which an interrupted demo served: its photos have these addresses.
fn port(folder: &Path, world: &World) -> Result<u16> {
    let truth = world.truth();
    let path = folder.join("truth.csv");
    let there = std::fs::read_to_string(&path).ok();
    if there.as_ref().is_some_and(|there| *there != truth) {
        let folder = folder.display();
        return Err(Error::Invalid(format!(
            "{folder} holds another demo: give another folder (--out), or remove it"
        )));
    }
    weights_tools::write_file(&path, truth)?;
    let config = Config::read(&folder.join("likenet.toml")).ok();
    let port = config.and_then(|c| c.collect.url.rsplit_once(':')?.1.parse().ok());
    Ok(port.unwrap_or(0))
}

fn config(server: &Server, demo: &Demo) -> Config {
    Config {
        folder: "data".into(),
        collect: collect::Settings {
            source: collect::Kind::Mastodon,
            url: server.url().into(),
            tag: "me".into(),
            contact: "mailto:demo@localhost".into(),
            rate: 100.0,
            most: demo.photos as u64,
            ..Default::default()
        },
        download: download::Settings { rate: 0.0, per_host: 8, ..Default::default() },
        report: Report {
            title: "Which photos are liked: a simulated network".into(),
            truth: "truth.csv".into(),
            ..Default::default()
        },
        ..Default::default()
    }
}
