//! A running server. Flows in: settings, engines. Flows out: a port that answers, until it is stopped.

use super::batch::{Gate, Lane, explaining, scoring};
use super::body::Budget;
use super::connection::{serve, turn_away};
use super::decode::Decoder;
use super::engine::{About, Engines, Explanation, Score};
use super::fetch::Fetcher;
use super::inside::Inside;
use super::metrics::{Metrics, Now};
use super::routes::routes;
use super::settings::Settings;
use crate::error::{Error, Result};
use axum::Router;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

/// Photos that wait for an explanation, or get one.
const EXPLAINED: usize = 8;

/// Bytes of bodies that are held at once, where one call may not be larger.
const BODIES: u64 = 256 << 20;

/// Connections that are told at once that there is no place for them; others beyond are closed without a word.
const TURNED_AWAY: usize = 64;

/// What all calls share.
pub(super) struct Shared {
    pub settings: Settings,
    pub about: About,
    /// Places of photos that wait for a score, and for an explanation.
    pub gate: Gate,
    pub explained: Gate,
    pub scoring: Lane<Score>,
    pub explaining: Lane<Explanation>,
    pub decoder: Decoder,
    /// Memory for bodies.
    pub bodies: Budget,
    /// Nothing where URLs are not fetched.
    pub fetcher: Option<Fetcher>,
    pub metrics: Arc<Metrics>,
    /// The network that may be looked into.
    pub inside: Option<Inside>,
    /// Turns true when answers without an end are to end.
    pub stop: watch::Receiver<bool>,
    connections: Arc<Semaphore>,
}

/// A running server.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    runtime: Runtime,
}

impl Server {
    /// Begins to serve.
    ///
    /// Fails where the port is taken, and where a bound is 0.
    pub fn begin(settings: Settings, engines: Engines) -> Result<Self> {
        settings.check()?;
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime =
            runtime.map_err(|e| Error::Invalid(format!("no threads for the network: {e}")))?;
        let wanted = SocketAddr::from((settings.host, settings.port));
        let taken = |e: std::io::Error| Error::Invalid(format!("{wanted}: {e}"));
        let listener = runtime.block_on(TcpListener::bind(wanted)).map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared::new(settings, engines, stopped.clone())?);
        runtime.spawn(accept(listener, routes(shared.clone()), shared.clone(), stopped));
        Ok(Self { shared, address, stop, runtime })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a browser of this machine finds it.
    pub fn url(&self) -> String {
        match self.address.ip().is_unspecified() {
            true => format!("http://localhost:{}", self.address.port()),
            false => format!("http://{}", self.address),
        }
    }

    /// Takes no more calls, and finishes those that it has, if that takes no longer than its patience. Whether all ended.
    pub fn stop(self) -> bool {
        let Self { shared, stop, runtime, .. } = self;
        let _ = stop.send(true);
        let all = shared.settings.connections as u32;
        let ended = async { shared.connections.acquire_many(all).await.is_ok() };
        let ended =
            runtime.block_on(async { timeout(shared.settings.patience.finish, ended).await });
        // A decoder that is still at work would be waited for.
        runtime.shutdown_background();
        ended.is_ok()
    }
}

impl Shared {
    fn new(settings: Settings, engines: Engines, stop: watch::Receiver<bool>) -> Result<Self> {
        let Engines { scores, explains, inside } = engines;
        let metrics = Arc::new(Metrics::default());
        let (gate, patience) = (Gate::new(settings.queue), settings.patience.score);
        let bodies = Budget::new(BODIES.max(settings.max_bytes as u64));
        let fetcher = match settings.fetches() {
            true => Some(Fetcher::new(&settings, bodies.clone())?),
            false => None,
        };
        Ok(Self {
            about: scores.about(),
            scoring: scoring(scores, gate.clone(), metrics.clone(), patience)?,
            explaining: explaining(explains, patience)?,
            gate,
            explained: Gate::new(EXPLAINED),
            decoder: Decoder::new(settings.max_bytes, settings.max_pixels, settings.threads),
            bodies,
            fetcher,
            metrics,
            inside: inside.map(Inside::new),
            stop,
            connections: Arc::new(Semaphore::new(settings.connections)),
            settings,
        })
    }

    /// What the metrics cannot count.
    pub fn now(&self) -> Now {
        let connections = self.settings.connections - self.connections.available_permits();
        Now { queue: self.gate.taken(), connections }
    }

    /// Whether both engines' threads live.
    pub fn alive(&self) -> bool {
        self.scoring.alive() && self.explaining.alive()
    }
}

/// Takes connections until `stop` turns true.
async fn accept(
    listener: TcpListener,
    app: Router,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
) {
    let patience = shared.settings.patience;
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
    let mut told = stop.clone();
    let mut told = pin!(told.wait_for(|stop| *stop));
    loop {
        let accepted = poll_fn(|cx| match told.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => listener.poll_accept(cx).map(Some),
        });
        let stream = match accepted.await {
            None => return,
            Some(Ok((stream, _))) => stream,
            Some(Err(_)) => {
                // No more files may be open, or the client has gone already: neither lasts.
                sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        if let Ok(place) = shared.connections.clone().try_acquire_owned() {
            let (app, stop) = (app.clone(), stop.clone());
            tokio::spawn(async move {
                serve(stream, app, patience, stop).await;
                drop(place);
            });
        } else if let Ok(place) = turned_away.clone().try_acquire_owned() {
            tokio::spawn(async move {
                turn_away(stream, patience).await;
                drop(place);
            });
        }
    }
}
