//! `likenet serve`

use super::score::likability;
use super::{Outcome, print};
use likenet::inside::Model;
use likenet::net::trained;
use likenet::pipeline::{self, Project};
use likenet::score::{Judge, Likability, Purpose};
use likenet::web::{Engines, Server, Settings};
use likenet::{Error, Result};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

/// Photos of a study that are shown as alike.
const GALLERY: usize = 500;

/// Serves the page that scores photos, and its API (/api/v1/openapi.json). Photos are kept nowhere. Ctrl-C ends it, after
/// what it has begun; twice, at once.
#[derive(clap::Args)]
pub struct Args {
    /// Address to listen on: 127.0.0.1 for this machine only, 0.0.0.0 for all who can reach it
    #[arg(long, value_name = "ADDRESS", default_value_t = Ipv4Addr::LOCALHOST.into())]
    host: IpAddr,
    /// Port; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 5000)]
    port: u16,
    /// Fetch photos by their URL also for callers from elsewhere; only from the public internet, ports 80 and 443
    #[arg(long)]
    allow_urls: bool,
    /// Fetch from this host wherever its name leads to, such as your own network; may be given several times
    #[arg(long, value_name = "HOST")]
    allow_url_host: Vec<String>,
    /// Fetch from this port, too; may be given several times
    #[arg(long, value_name = "PORT")]
    allow_url_port: Vec<u16>,
    /// Most bytes of a call
    #[arg(long, value_name = "SIZE", default_value = "20MB", value_parser = number)]
    max_bytes: u64,
    /// Most pixels of a photo
    #[arg(long, value_name = "SIZE", default_value = "50M", value_parser = number)]
    max_pixels: u64,
    /// Photos that are decoded at once [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Photos that may wait for their score; who brings more is told to come again
    #[arg(long, value_name = "N", default_value_t = Settings::default().queue)]
    queue: usize,
    /// What judges photos, as `likenet pack` wrote it [default: the built-in model, which learned from drawn photos]
    #[arg(long, value_name = "FILE", conflicts_with = "study")]
    model: Option<PathBuf>,
    /// The study whose model judges photos
    #[arg(long, value_name = "CONFIG")]
    study: Option<PathBuf>,
    /// The log of a training to follow at /train, as `likenet train --live` writes it [default: that of the study]
    #[arg(long, value_name = "LOG")]
    training: Option<PathBuf>,
    /// Show the page in a browser
    #[arg(long)]
    open: bool,
}

pub fn run(args: &Args) -> Result<Outcome> {
    let likability = args.likability()?;
    let engines = Engines {
        scores: Box::new(Judge::new(likability.clone())?),
        inside: Some(inside(&likability)?),
        explains: Box::new(Judge::new(likability)?),
    };
    let server = Server::begin(args.settings()?, engines)?;
    // Begun before anybody is told that it serves: who sends a signal then is heard.
    let (told, stop) = channel();
    let mut before = false;
    ctrlc::set_handler(move || {
        if before {
            std::process::exit(130);
        }
        before = true;
        let _ = told.send(());
    })
    .map_err(|e| Error::Invalid(format!("cannot catch Ctrl-C: {e}")))?;
    let url = server.url();
    print(&format!("serving at {url}; Ctrl-C ends it"))?;
    if args.open {
        open(&url);
    }
    let _ = stop.recv();
    eprintln!("finishing what was begun");
    if !server.stop() {
        eprintln!("note: some calls took too long and were cut off");
    }
    Ok(Outcome::Done)
}

impl Args {
    /// What judges photos.
    fn likability(&self) -> Result<Likability> {
        match &self.study {
            Some(config) => pipeline::pack(&Project::look(config)?, GALLERY),
            None => likability(self.model.as_deref()),
        }
    }

    /// The log that is followed.
    fn training(&self) -> Result<Option<PathBuf>> {
        match (&self.training, &self.study) {
            (None, Some(config)) => Ok(Some(pipeline::training_log(&Project::look(config)?))),
            (training, _) => Ok(training.clone()),
        }
    }

    fn settings(&self) -> Result<Settings> {
        let defaults = Settings::default();
        let large =
            |_| Error::Invalid(format!("--max-bytes {}: memory has no such size", self.max_bytes));
        Ok(Settings {
            host: self.host,
            port: self.port,
            allow_urls: self.allow_urls,
            url_hosts: self.allow_url_host.clone(),
            url_ports: self.allow_url_port.clone(),
            max_bytes: usize::try_from(self.max_bytes).map_err(large)?,
            max_pixels: self.max_pixels,
            threads: self.threads.unwrap_or(defaults.threads),
            queue: self.queue,
            training: self.training()?,
            ..defaults
        })
    }
}

/// The network of a likability, to be looked into.
fn inside(likability: &Likability) -> Result<Model> {
    let loaded = likability.load_network(vec![], 1, Purpose::Everything)?;
    let names = trained(&likability.network.name).map_or("", |own| own.labels);
    Model::new(loaded.net, loaded.classifier, names.lines().map(String::from).collect())
}

/// Reads 300, 20MB, 50M, 1.5GB, 64KiB.
fn number(text: &str) -> std::result::Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err("give a number, such as 20MB, 50M or 64KiB".into()),
    };
    let value: f64 = digits.trim().parse().map_err(|_| "give a number, such as 20MB or 50M")?;
    let value = value * factor as f64;
    match (1.0..=1e15).contains(&value) {
        true => Ok(value as u64),
        false => Err("give a number from 1 to 10^15".into()),
    }
}

/// Shows a page in the user's browser, where there is one. The address was printed, so that nothing is lost else.
fn open(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(program);
    let quiet = command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if quiet.spawn().is_err() {
        eprintln!("note: no browser was found; open {url} in one");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, value) in [
            ("300", 300),
            ("20MB", 20_000_000),
            ("50M", 50_000_000),
            ("1.5k", 1500),
            ("64KiB", 65536),
            ("2 gib", 2 << 30),
        ] {
            assert_eq!(number(text), Ok(value), "{text}");
        }
        for text in ["", "MB", "-1", "0", "nan", "inf", "1e999", "20 apples", "1e16"] {
            assert!(number(text).is_err(), "{text}");
        }
    }
}
