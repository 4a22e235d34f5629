//! Who may ask, and how often.

use super::{Options, Shared};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A rate limit's window.
pub(super) struct Window {
    begun: Instant,
    calls: u64,
}

/// Refuses calls beyond the rate limit, and tells how many are left.
pub(super) async fn limit(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
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
    let reset = chrono::DateTime::from_timestamp_millis(now_ms() + rest.as_millis() as i64);
    let reset = reset.map_or_else(String::new, |t| t.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
    let headers = response.headers_mut();
    headers.insert("x-ratelimit-limit", HeaderValue::from(calls));
    headers.insert("x-ratelimit-remaining", HeaderValue::from(left.unwrap_or(0)));
    if let Ok(reset) = HeaderValue::from_str(&reset) {
        headers.insert("x-ratelimit-reset", reset);
    }
    response
}

/// Refuses calls without a token: the closed interfaces want one.
pub(super) async fn want_token(request: Request, next: Next) -> Response {
    if token(&request).is_empty() {
        let said = json!({ "meta": { "code": 400, "error_type": "OAuthParameterException" } });
        return (StatusCode::BAD_REQUEST, Json(said)).into_response();
    }
    next.run(request).await
}

/// Whose call it is: a token in the address or in a header; nobody's where there is none.
fn token(request: &Request) -> String {
    let parameters = request.uri().query().unwrap_or("").split('&');
    let parameter = parameters.filter_map(|p| p.strip_prefix("access_token=")).next();
    let header = request.headers().get(header::AUTHORIZATION);
    let header = header.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    parameter.or(header).unwrap_or("").to_string()
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}
