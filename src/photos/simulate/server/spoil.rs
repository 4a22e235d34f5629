//! What goes wrong on the way to an answer, and a count of all calls.

use super::Shared;
use crate::photos::simulate::faults::Fault;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Counts calls, and lets some go wrong.
pub(super) async fn spoil(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
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
