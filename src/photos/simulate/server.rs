//! A simulated network on a port. Flows in: calls over HTTP. Flows out: JSON and photos, with faults at set rates.
//!
//! | path | speaks like |
//! | --- | --- |
//! | `/api/v1/timelines/tag/TAG` | Mastodon |
//! | `/v1/tags/TAG/media/recent`, `/v1/users/ID` | Instagram at the study's time |
//! | `/graph/ID`, `/graph/ID/media` | Instagram today |
//! | `/media/NUMBER.jpg` | photos, also in parts |
//! | `/stats` | how often it was asked |

use super::faults::{Dice, Fault, Faults};
use super::meter::{Measured, Meter};
use super::shapes;
use super::world::{Status, World};
use crate::error::{Error, Result};
use axum::body::{Body, Bytes};
use axum::extract::{Path as PathOf, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_core::Stream;
use rayon::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
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
}

/// A rate limit's window.
struct Window {
    begun: Instant,
    calls: u64,
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
        let runtime = super::super::runtime()?;
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
            world,
            options,
        });
        if options.ready {
            let all = shared.world.statuses.par_iter().zip(&shared.drawn);
            all.for_each(|(status, place)| drop(place.set(jpeg(&shared.world, status))));
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
}

fn routes(shared: Arc<Shared>) -> Router {
    let interfaces = Router::new()
        .route("/api/v1/timelines/tag/{tag}", get(timeline))
        .route("/v1/tags/{tag}/media/recent", get(recent))
        .route("/v1/users/{id}", get(profile))
        .route("/graph/{id}", get(account))
        .route("/graph/{id}/media", get(media_of))
        .layer(axum::middleware::from_fn_with_state(shared.clone(), limit));
    let all = Router::new().route("/media/{file}", get(media)).merge(interfaces);
    let all = all.layer(axum::middleware::from_fn_with_state(shared.clone(), spoil));
    all.route("/stats", get(stats)).with_state(shared)
}

async fn stats(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let (interfaces, media) = (shared.interfaces.measured(), shared.media.measured());
    Json(json!({ "interfaces": interfaces, "media": media }))
}

/// Counts calls, and lets some go wrong.
async fn spoil(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let path = request.uri().to_string();
    let meter = if path.starts_with("/media/") { &shared.media } else { &shared.interfaces };
    meter.call(Instant::now());
    match shared.dice.draw(&path) {
        None => next.run(request).await,
        Some(Fault::Slow) => {
            tokio::time::sleep(Duration::from_secs(2)).await;
            next.run(request).await
        }
        Some(Fault::Error(status)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, "out of order").into_response()
        }
        Some(Fault::Html) => {
            let page = "<!DOCTYPE html><html><body>Please wait.</body></html>";
            ([(header::CONTENT_TYPE, "text/html")], page).into_response()
        }
        Some(Fault::Cut) => cut(next.run(request).await).await,
    }
}

/// The first half of an answer's body, announced as the whole.
async fn cut(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    let half = Half { first: Some(bytes.slice(..bytes.len() / 2)), broken: false };
    Response::from_parts(parts, Body::from_stream(half))
}

/// A body that breaks off.
struct Half {
    first: Option<Bytes>,
    broken: bool,
}

impl Stream for Half {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = match self.first.take() {
            Some(first) => Some(Ok(first)),
            None if self.broken => None,
            None => {
                self.broken = true;
                Some(Err(std::io::ErrorKind::ConnectionReset.into()))
            }
        };
        Poll::Ready(next)
    }
}

/// Refuses calls beyond the rate limit, and tells how many are left.
async fn limit(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let Options { calls, window, .. } = shared.options;
    let (left, rest) = {
        let key = token(&request);
        let mut windows = shared.windows.lock().unwrap_or_else(|e| e.into_inner());
        let now = Instant::now();
        let own = windows.entry(key).or_insert(Window { begun: now, calls: 0 });
        if now - own.begun >= Duration::from_secs(window) {
            *own = Window { begun: now, calls: 0 };
        }
        own.calls += 1;
        let rest = Duration::from_secs(window).saturating_sub(now - own.begun);
        (calls.checked_sub(own.calls), rest)
    };
    let mut response = match left {
        Some(_) => next.run(request).await,
        None => {
            let said = json!({ "meta": { "code": 429, "error_type": "OAuthRateLimitException" } });
            (StatusCode::TOO_MANY_REQUESTS, Json(said)).into_response()
        }
    };
    let reset = chrono::DateTime::from_timestamp_millis(shared.now_ms() + rest.as_millis() as i64);
    let reset = reset.map_or_else(String::new, |t| t.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
    let headers = response.headers_mut();
    headers.insert("x-ratelimit-limit", HeaderValue::from(calls));
    headers.insert("x-ratelimit-remaining", HeaderValue::from(left.unwrap_or(0)));
    if let Ok(reset) = HeaderValue::from_str(&reset) {
        headers.insert("x-ratelimit-reset", reset);
    }
    response
}

/// Whose call it is: a token in the address or in a header; nobody's where there is none.
fn token(request: &Request) -> String {
    let parameters = request.uri().query().unwrap_or("").split('&');
    let parameter = parameters.filter_map(|p| p.strip_prefix("access_token=")).next();
    let header = request.headers().get(header::AUTHORIZATION);
    let header = header.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    parameter.or(header).unwrap_or("").to_string()
}

type Parameters = Query<HashMap<String, String>>;

impl Shared {
    fn now_ms(&self) -> i64 {
        use std::time::{SystemTime, UNIX_EPOCH};
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
    }

    fn page(&self, parameters: &Parameters, cursor: &str, most: usize) -> (&[Status], Option<u64>) {
        let number = |name: &str| parameters.0.get(name).and_then(|text| text.parse::<u64>().ok());
        let most = number("limit").map_or(most, |n| (n as usize).clamp(1, most));
        shapes::page(&self.world, number(cursor), most)
    }
}

async fn timeline(
    State(shared): State<Arc<Shared>>,
    PathOf(tag): PathOf<String>,
    parameters: Parameters,
) -> Response {
    let (statuses, next) = shared.page(&parameters, "max_id", 40);
    let shape = |s: &Status| shapes::mastodon(&shared.world, &shared.base, s);
    let mut response = Json(statuses.iter().map(shape).collect::<Vec<_>>()).into_response();
    if let Some(next) = next {
        let address = format!("{}/api/v1/timelines/tag/{tag}?limit=40&max_id={next}", shared.base);
        if let Ok(link) = HeaderValue::from_str(&format!("<{address}>; rel=\"next\"")) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    response
}

/// The closed interfaces want a token.
fn refuse(parameters: &Parameters) -> Option<Response> {
    let said = || json!({ "meta": { "code": 400, "error_type": "OAuthParameterException" } });
    let missing = parameters.0.get("access_token").is_none_or(String::is_empty);
    missing.then(|| (StatusCode::BAD_REQUEST, Json(said())).into_response())
}

async fn recent(State(shared): State<Arc<Shared>>, parameters: Parameters) -> Response {
    if let Some(refusal) = refuse(&parameters) {
        return refusal;
    }
    let (statuses, next) = shared.page(&parameters, "max_tag_id", 33);
    let shape = |s: &Status| shapes::instagram_v1(&shared.world, &shared.base, s);
    let pagination = next.map_or(json!({}), |n| json!({ "next_max_tag_id": n.to_string() }));
    let data: Vec<Value> = statuses.iter().map(shape).collect();
    Json(json!({ "meta": { "code": 200 }, "pagination": pagination, "data": data })).into_response()
}

async fn profile(
    State(shared): State<Arc<Shared>>,
    PathOf(id): PathOf<String>,
    parameters: Parameters,
) -> Response {
    if let Some(refusal) = refuse(&parameters) {
        return refusal;
    }
    let number = id.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    match number.and_then(|n| shared.world.users.get(n)) {
        Some(user) if user.hides => {
            let said = json!({ "meta": { "code": 400, "error_type": "APINotAllowedError" } });
            (StatusCode::BAD_REQUEST, Json(said)).into_response()
        }
        Some(user) => Json(json!({ "meta": { "code": 200 }, "data": {
            "id": id, "username": user.name, "counts": { "followed_by": user.followers } } }))
        .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn account(
    State(shared): State<Arc<Shared>>,
    PathOf(id): PathOf<String>,
    parameters: Parameters,
) -> Response {
    if let Some(refusal) = refuse(&parameters) {
        return refusal;
    }
    // Today's interface tells of one account: here it has shown everything.
    let followers = shared.world.users.iter().map(|u| u.followers).max().unwrap_or(0);
    Json(json!({ "id": id, "username": "simulated", "followers_count": followers })).into_response()
}

async fn media_of(
    State(shared): State<Arc<Shared>>,
    PathOf(id): PathOf<String>,
    parameters: Parameters,
) -> Response {
    if let Some(refusal) = refuse(&parameters) {
        return refusal;
    }
    let (statuses, next) = shared.page(&parameters, "after", 100);
    let shape = |s: &Status| shapes::instagram_graph(&shared.base, s);
    let data: Vec<Value> = statuses.iter().map(shape).collect();
    let link = format!("{}/graph/{id}/media?access_token=hidden", shared.base);
    let paging =
        next.map_or(json!({}), |n| json!({ "cursors": { "after": n.to_string() }, "next": link }));
    Json(json!({ "data": data, "paging": paging })).into_response()
}

/// A photo, or the part of it that is asked for.
async fn media(
    State(shared): State<Arc<Shared>>,
    PathOf(file): PathOf<String>,
    headers: HeaderMap,
) -> Response {
    let native = file.strip_suffix(".jpg").and_then(|number| number.parse().ok());
    let place = native.and_then(|native| shared.world.place(native));
    let place = place.filter(|&place| !shared.world.statuses[place].gone);
    let Some(place) = place else { return (StatusCode::NOT_FOUND, "gone").into_response() };
    let bytes = match shared.drawn[place].get() {
        Some(bytes) => bytes.clone(),
        None => {
            let shared = shared.clone();
            let drawn = move || jpeg(&shared.world, &shared.world.statuses[place]);
            match tokio::task::spawn_blocking(drawn).await {
                Ok(bytes) => bytes,
                Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        }
    };
    let tag = format!("\"{file}-{}\"", bytes.len());
    let same = headers.get(header::IF_RANGE).is_none_or(|value| value.as_bytes() == tag.as_bytes());
    let first = headers.get(header::RANGE).and_then(|range| {
        range.to_str().ok()?.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()
    });
    let named = [(header::CONTENT_TYPE, "image/jpeg".to_string()), (header::ETAG, tag)];
    match first.filter(|_| same) {
        Some(first) if first >= bytes.len() => StatusCode::RANGE_NOT_SATISFIABLE.into_response(),
        Some(first) if first > 0 => {
            let range = format!("bytes {first}-{}/{}", bytes.len() - 1, bytes.len());
            let ranged = [(header::CONTENT_RANGE, range)];
            (StatusCode::PARTIAL_CONTENT, named, ranged, bytes.slice(first..)).into_response()
        }
        _ => (named, bytes).into_response(),
    }
}

/// A drawing as JPEG; what was copied is compressed harder.
fn jpeg(world: &World, status: &Status) -> Bytes {
    let picture = world.draw(status).picture;
    let mut bytes = vec![];
    let quality = if status.copied { 70 } else { 88 };
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
    let (width, height) = (picture.width as u32, picture.height as u32);
    let encoded = encoder.encode(&picture.data, width, height, image::ExtendedColorType::Rgb8);
    encoded.expect("a drawing has its size and memory takes it");
    bytes.into()
}
