//! What callers are told when they get no result. Flows in: what went wrong. Flows out: a status and JSON.

use crate::image::ImageError;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A no, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: StatusCode,
    /// For programs: one word that stays.
    pub code: &'static str,
    /// For people: what is wrong, and what to do.
    pub message: String,
}

impl Refusal {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub fn too_large(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, message)
    }

    /// All places are taken.
    pub fn busy(what: &str) -> Self {
        let message = format!("{what}; try again in a second");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message)
    }

    /// Nobody is there to do the work.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// The server's own fault.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// As it stands in an answer.
    pub fn json(&self) -> Value {
        json!({ "code": self.code, "message": self.message })
    }
}

/// What a decoder says of a photo that somebody sent.
impl From<ImageError> for Refusal {
    fn from(error: ImageError) -> Self {
        let (status, code) = match &error {
            ImageError::UnknownFormat { .. } | ImageError::Unsupported { .. } => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown_format")
            }
            ImageError::TooManyBytes { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_many_bytes"),
            ImageError::TooManyPixels { .. } | ImageError::TooMuchMemory { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "too_many_pixels")
            }
            _ => (StatusCode::UNPROCESSABLE_ENTITY, "broken_photo"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        respond(self.status, json!({ "error": self.json() }))
    }
}

/// An answer of JSON that says no; whoever is sent away for a while is told for how long.
pub(super) fn respond(status: StatusCode, body: Value) -> Response {
    let mut response = (status, Json(body)).into_response();
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
