//! `/inside`: one photo walked through the network. Flows in: a form with a photo. Flows out: the page of
//! [`inside`](crate::inside), which needs nothing beside it.

use super::api::files_of;
use super::refusal::Refusal;
use super::server::Shared;
use crate::inside::{Model, script_hashes, style_hashes};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// The network, and the policy of its pages: their own script and style, by their hashes.
pub(super) struct Inside(Mutex<Model>);

static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let (scripts, styles) = (script_hashes().join(" "), style_hashes().join(" "));
    let policy = format!(
        "default-src 'none'; script-src {scripts}; style-src {styles}; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).ok()
});

impl Inside {
    pub fn new(model: Model) -> Self {
        Self(Mutex::new(model))
    }
}

/// `POST /inside`.
pub(super) async fn walk(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    if shared.inside.is_none() {
        return Err(Refusal::unavailable("this server has no network to look into"));
    }
    let (photos, _held) = files_of(&shared, &headers, body).await?;
    let [(name, bytes)] = <[_; 1]>::try_from(photos)
        .map_err(|_| Refusal::bad("one_photo", "send one photo, in the form's field 'photo'"))?;
    let _place = shared.explained.enter(1)?;
    let decoded = shared.decoder.decode(bytes).await?;
    let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| "a photo".into());
    let work = {
        let shared = shared.clone();
        move || {
            let inside = shared.inside.as_ref()?;
            // A page that failed leaves nothing behind: the next pass begins with its own photo.
            let mut model = inside.0.lock().unwrap_or_else(PoisonError::into_inner);
            Some(model.explain(&decoded.picture, &name))
        }
    };
    let page = tokio::task::spawn_blocking(work).await;
    let page = page.map_err(|_| Refusal::internal("the network broke down"))?;
    let page =
        page.ok_or_else(|| Refusal::unavailable("this server has no network to look into"))?;
    let page = page.map_err(|e| Refusal::internal(e.to_string()))?;
    let mut response = Html(page).into_response();
    let policy = POLICY.clone().ok_or_else(|| Refusal::internal("the page has no policy"))?;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}
