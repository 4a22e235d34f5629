//! What each path answers.

use super::Shared;
use crate::photos::simulate::shapes;
use crate::photos::simulate::world::{Status, World};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path as PathOf, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

type Parameters = Query<HashMap<String, String>>;

impl Shared {
    fn page(&self, parameters: &Parameters, cursor: &str, most: usize) -> (&[Status], Option<u64>) {
        let number = |name: &str| parameters.0.get(name).and_then(|text| text.parse::<u64>().ok());
        let most = number("limit").map_or(most, |n| (n as usize).clamp(1, most));
        shapes::page(&self.world, number(cursor), most)
    }
}

pub(super) async fn timeline(
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

pub(super) async fn recent(State(shared): State<Arc<Shared>>, parameters: Parameters) -> Response {
    let (statuses, next) = shared.page(&parameters, "max_tag_id", 33);
    let shape = |s: &Status| shapes::instagram_v1(&shared.world, &shared.base, s);
    let pagination = next.map_or(json!({}), |n| json!({ "next_max_tag_id": n.to_string() }));
    let data: Vec<Value> = statuses.iter().map(shape).collect();
    Json(json!({ "meta": { "code": 200 }, "pagination": pagination, "data": data })).into_response()
}

pub(super) async fn profile(
    State(shared): State<Arc<Shared>>,
    PathOf(id): PathOf<String>,
) -> Response {
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

pub(super) async fn account(
    State(shared): State<Arc<Shared>>,
    PathOf(id): PathOf<String>,
) -> Response {
    // Today's interface tells of one account: here it has shown everything.
    let followers = shared.world.users.iter().map(|u| u.followers).max().unwrap_or(0);
    Json(json!({ "id": id, "username": "simulated", "followers_count": followers })).into_response()
}

pub(super) async fn media_of(
    State(shared): State<Arc<Shared>>,
    PathOf(id): PathOf<String>,
    parameters: Parameters,
) -> Response {
    let (statuses, next) = shared.page(&parameters, "after", 100);
    let shape = |s: &Status| shapes::instagram_graph(&shared.base, s);
    let data: Vec<Value> = statuses.iter().map(shape).collect();
    let link = format!("{}/graph/{id}/media?access_token=hidden", shared.base);
    let paging =
        next.map_or(json!({}), |n| json!({ "cursors": { "after": n.to_string() }, "next": link }));
    Json(json!({ "data": data, "paging": paging })).into_response()
}

/// A photo, or the part of it that is asked for.
pub(super) async fn media(
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
            shared.parts.fetch_add(1, Ordering::Relaxed);
            let range = format!("bytes {first}-{}/{}", bytes.len() - 1, bytes.len());
            let ranged = [(header::CONTENT_RANGE, range)];
            (StatusCode::PARTIAL_CONTENT, named, ranged, bytes.slice(first..)).into_response()
        }
        _ => (named, bytes).into_response(),
    }
}

/// A drawing as JPEG; what was copied is compressed harder.
pub(super) fn jpeg(world: &World, status: &Status) -> Bytes {
    let picture = world.draw(status).picture;
    let mut bytes = vec![];
    let quality = if status.copied { 70 } else { 88 };
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
    let (width, height) = (picture.width as u32, picture.height as u32);
    let encoded = encoder.encode(&picture.data, width, height, image::ExtendedColorType::Rgb8);
    encoded.expect("a drawing has its size and memory takes it");
    bytes.into()
}
