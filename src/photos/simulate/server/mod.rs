//! A simulated network on a port. Flows in: calls over HTTP. Flows out: JSON and photos, with faults at set rates.
//!
//! | path | speaks like |
//! | --- | --- |
//! | `/api/v1/timelines/tag/TAG` | Mastodon |
//! | `/v1/tags/TAG/media/recent`, `/v1/users/ID` | Instagram at the study's time |
//! | `/graph/ID`, `/graph/ID/media` | Instagram today |
//! | `/media/NUMBER.jpg` | photos, also in parts |
//! | `/stats` | how often it was asked |
//!
//! ```text
//! call → spoil (count, faults) → limit (rate, token) → answers
//! ```

mod answers;
mod limit;
mod spoil;

use super::faults::{Dice, Faults};
use super::meter::{Measured, Meter};
use super::world::World;
use crate::error::{Error, Result};
use axum::body::Bytes;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::{Json, Router};
use limit::Window;
use rayon::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// How a network is served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The port; a free one where it is 0.
    pub port: u16,
    /// What goes wrong.
    pub faults: Faults,
    /// Calls of its interfaces that are allowed within [`Options::window`], for each token and for those without.
    pub calls: u64,
    /// Seconds of a rate limit's window.
    pub window: u64,
    /// Draw all photos before serving, and keep them.
    pub ready: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { port: 0, faults: Faults::default(), calls: 5000, window: 3600, ready: false }
    }
}

/// What all calls share.
struct Shared {
    world: Arc<World>,
    base: String,
    options: Options,
    dice: Dice,
    interfaces: Meter,
    media: Meter,
    windows: Mutex<HashMap<String, Window>>,
    drawn: Vec<OnceLock<Bytes>>,
    /// Photos of which a part was asked for.
    parts: AtomicU64,
}

/// A running network; it stops when this is dropped.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    _runtime: Runtime,
}

impl Server {
    /// Begins to serve on this machine only.
    ///
    /// Fails where the port is taken.
    pub fn begin(world: Arc<World>, options: Options) -> Result<Self> {
        let runtime = crate::photos::runtime()?;
        let wanted = SocketAddr::from(([127, 0, 0, 1], options.port));
        let taken = |e: std::io::Error| Error::Invalid(format!("{wanted}: {e}"));
        let listener = runtime.block_on(TcpListener::bind(wanted)).map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        let shared = Arc::new(Shared {
            base: format!("http://{address}"),
            dice: Dice::new(options.faults, world.settings().seed),
            interfaces: Meter::default(),
            media: Meter::default(),
            windows: Mutex::default(),
            drawn: world.statuses.iter().map(|_| OnceLock::new()).collect(),
            parts: AtomicU64::new(0),
            world,
            options,
        });
        if options.ready {
            let all = shared.world.statuses.par_iter().zip(&shared.drawn);
            all.for_each(|(status, place)| drop(place.set(answers::jpeg(&shared.world, status))));
        }
        let app = routes(shared.clone());
        runtime.spawn(async move { axum::serve(listener, app).await });
        Ok(Self { shared, address, _runtime: runtime })
    }

    /// Where it is, as `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.shared.base
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The addresses of all photos, newest first; also of those that are gone.
    pub fn photos(&self) -> Vec<String> {
        let statuses = &self.shared.world.statuses;
        statuses.iter().map(|s| format!("{}/media/{}.jpg", self.shared.base, s.native)).collect()
    }

    /// How often its interfaces and its photos were asked for.
    pub fn measured(&self) -> [Measured; 2] {
        [self.shared.interfaces.measured(), self.shared.media.measured()]
    }

    /// How often the rest of a photo was given to somebody who had its beginning.
    pub fn parts(&self) -> u64 {
        self.shared.parts.load(Ordering::Relaxed)
    }
}

fn routes(shared: Arc<Shared>) -> Router {
    let closed = Router::new()
        .route("/v1/tags/{tag}/media/recent", get(answers::recent))
        .route("/v1/users/{id}", get(answers::profile))
        .route("/graph/{id}", get(answers::account))
        .route("/graph/{id}/media", get(answers::media_of))
        .layer(axum::middleware::from_fn(limit::want_token));
    let interfaces = Router::new()
        .route("/api/v1/timelines/tag/{tag}", get(answers::timeline))
        .merge(closed)
        .layer(from_fn_with_state(shared.clone(), limit::limit));
    let all = Router::new().route("/media/{file}", get(answers::media)).merge(interfaces);
    let all = all.layer(from_fn_with_state(shared.clone(), spoil::spoil));
    all.route("/stats", get(stats)).with_state(shared)
}

async fn stats(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let (interfaces, media) = (shared.interfaces.measured(), shared.media.measured());
    let parts = shared.parts.load(Ordering::Relaxed);
    Json(json!({ "interfaces": interfaces, "media": media, "parts": parts }))
}
