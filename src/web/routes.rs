//! Which path leads where. Flows in: requests that may be. Flows out: the page's files, JSON.

use super::api;
use super::guard::guard;
use super::inside::walk;
use super::refusal::Refusal;
use super::server::Shared;
use super::training::training;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;

/// The page's files: path, type, content.
const FILES: [(&str, &str, &str); 13] = [
    ("/", "text/html; charset=utf-8", include_str!("assets/index.html")),
    ("/style.css", "text/css; charset=utf-8", include_str!("assets/style.css")),
    ("/app.js", "text/javascript; charset=utf-8", include_str!("assets/app.js")),
    ("/camera.js", "text/javascript; charset=utf-8", include_str!("assets/camera.js")),
    ("/detail.js", "text/javascript; charset=utf-8", include_str!("assets/detail.js")),
    ("/overlay.js", "text/javascript; charset=utf-8", include_str!("assets/overlay.js")),
    ("/words.js", "text/javascript; charset=utf-8", include_str!("assets/words.js")),
    ("/train", "text/html; charset=utf-8", include_str!("assets/train.html")),
    ("/train.js", "text/javascript; charset=utf-8", include_str!("assets/train.js")),
    ("/curves.js", "text/javascript; charset=utf-8", include_str!("assets/curves.js")),
    ("/inside.js", "text/javascript; charset=utf-8", include_str!("assets/inside.js")),
    ("/icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
    ("/api/v1/openapi.json", "application/json", include_str!("assets/openapi.json")),
];

/// The page whose form leads into the network.
const INSIDE: &str = include_str!("assets/inside.html");

/// What is not a file.
const CALLS: [&str; 6] =
    ["/api/v1/score", "/api/v1/about", "/api/v1/training", "/inside", "/healthz", "/metrics"];

/// The name of a path among the metrics: there are only so many, whatever is asked for.
pub(super) fn label(path: &str) -> &'static str {
    let files = FILES.iter().map(|file| file.0);
    files.chain(CALLS).find(|&known| known == path).unwrap_or("other")
}

/// All paths.
pub(super) fn routes(shared: Arc<Shared>) -> Router {
    let mut router = Router::new();
    for (path, kind, content) in FILES {
        router = router.route(path, file(kind, content));
    }
    router
        .route("/api/v1/score", post(api::score))
        .route("/inside", file("text/html; charset=utf-8", INSIDE).post(walk))
        .route("/api/v1/about", get(about))
        .route("/api/v1/training", get(training))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(wrong_method)
        .fallback(nothing)
        .layer(from_fn_with_state(shared.clone(), guard))
        .with_state(shared)
}

/// A file that is in the program; browsers ask each time, as the next program may have another.
fn file(kind: &'static str, content: &'static str) -> MethodRouter<Arc<Shared>> {
    get(async move || {
        ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], content)
    })
}

/// What the model is, and what may be sent.
async fn about(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let settings = &shared.settings;
    Json(json!({
        "model": shared.about,
        "limits": {
            "bytes": settings.max_bytes,
            "pixels": settings.max_pixels,
            "photos": api::most_photos(&shared),
            "explained": shared.explained.all(),
            "urls": shared.fetcher.is_some(),
        },
        "training": settings.training.is_some(),
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    match shared.alive() {
        true => Json(json!({ "status": "ok" })).into_response(),
        false => {
            Refusal::unavailable("the engine has stopped; start the server again").into_response()
        }
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.metrics.text(&shared.now()))
}

async fn wrong_method() -> Refusal {
    let message = "this path is not for that method; the header Allow says which it is for";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message)
}

async fn nothing() -> Refusal {
    let message = "there is nothing at this path; /api/v1/openapi.json lists what there is";
    Refusal::new(StatusCode::NOT_FOUND, "not_found", message)
}
