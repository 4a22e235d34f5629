//! How photos are served.

use crate::error::{Error, Result};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

/// How a server is set up. The defaults are those of `likenet serve`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port; a free one where it is 0.
    pub port: u16,
    /// Fetches photos by their URL for callers, also where strangers may call.
    pub allow_urls: bool,
    /// Hosts of URLs that may be fetched wherever their names lead to: for photos of one's own network.
    pub url_hosts: Vec<String>,
    /// Ports of URLs besides 80 and 443.
    pub url_ports: Vec<u16>,
    /// Most bytes of one call, or of one photo behind a URL.
    pub max_bytes: usize,
    /// Most pixels of a photo.
    pub max_pixels: u64,
    /// Photos that are decoded at once.
    pub threads: usize,
    /// Photos that are taken in and have no score yet; who brings more is told to come again.
    pub queue: usize,
    /// Connections at once.
    pub connections: usize,
    /// The log of a training that is followed.
    pub training: Option<PathBuf>,
    /// How long others are waited for.
    pub patience: Patience,
}

/// How long others are waited for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    /// For the whole head of a request, and between two requests.
    pub head: Duration,
    /// For a body, before it must have kept its rate …
    pub body: Duration,
    /// … of so many bytes a second.
    pub rate: f64,
    /// For a client that takes nothing of its answer.
    pub stalled: Duration,
    /// For a photo behind a URL.
    pub url: Duration,
    /// For a score.
    pub score: Duration,
    /// For what is being done when the server is to stop.
    pub finish: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            head: seconds(10),
            body: seconds(10),
            rate: 16.0 * 1024.0,
            stalled: seconds(10),
            url: seconds(15),
            score: seconds(60),
            finish: seconds(10),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST.into(),
            port: 5000,
            allow_urls: false,
            url_hosts: vec![],
            url_ports: vec![],
            max_bytes: 20_000_000,
            max_pixels: 50_000_000,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            queue: 256,
            connections: 1024,
            training: None,
            patience: Patience::default(),
        }
    }
}

impl Settings {
    /// Whether URLs are fetched: where only this machine may call, or where that is allowed.
    pub fn fetches(&self) -> bool {
        self.allow_urls || self.host.is_loopback()
    }

    /// Fails on bounds with which nothing could be served.
    pub(super) fn check(&self) -> Result<()> {
        let Self { max_bytes, max_pixels, threads, queue, connections, patience, .. } = self;
        let least = [
            ("bytes", *max_bytes as u64),
            ("pixels", *max_pixels),
            ("threads", *threads as u64),
            ("photos in the queue", *queue as u64),
            ("connections", *connections as u64),
            ("bytes a second", patience.rate as u64),
        ];
        match least.into_iter().find(|&(_, number)| number == 0) {
            Some((what, _)) => {
                Err(Error::Invalid(format!("no {what} are allowed: give at least 1")))
            }
            None => Ok(()),
        }
    }
}
