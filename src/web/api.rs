//! `POST /api/v1/score`. Flows in: a form with photos, or JSON with URLs. Flows out: a result for each, ranked.

use super::answer::{Answer, Explained, Face, One, Outcome};
use super::batch::Place;
use super::body::{Held, read};
use super::engine::Score;
use super::multipart::{boundary, parts};
use super::refusal::Refusal;
use super::server::Shared;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

/// Most photos of one call.
const MOST_PHOTOS: usize = 64;

/// Most bytes of a body of JSON.
const LARGEST_JSON: usize = 256 << 10;

/// The longest name of a file that is said back, in characters.
const LONGEST_NAME: usize = 200;

/// What a caller wants besides scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wanted {
    explain: bool,
    preview: bool,
}

/// Where a photo comes from.
enum Source {
    File(Bytes),
    Url(String),
}

/// A photo to be scored: its name, and where it comes from.
struct Photo {
    name: Option<String>,
    source: Source,
}

/// A body of JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Urls {
    url: Option<String>,
    urls: Option<Vec<String>>,
}

/// Most photos of one call: no more than ever have a place.
pub(super) fn most_photos(shared: &Shared) -> usize {
    MOST_PHOTOS.min(shared.gate.all())
}

/// Scores photos.
pub(super) async fn score(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer, Refusal> {
    let begun = Instant::now();
    let wanted = Wanted::read(query.as_deref().unwrap_or(""))?;
    let (photos, _held) = photos(&shared, &headers, body).await?;
    if wanted.explain && photos.len() > shared.explained.all() {
        let most = shared.explained.all();
        let message = format!("at most {most} photos of a call are explained; send fewer at once");
        return Err(Refusal::too_large("too_many_photos", message));
    }
    // What is yet to be fetched takes its place when it is there: a slow server elsewhere holds nobody up.
    let files = photos.iter().filter(|photo| matches!(photo.source, Source::File(_))).count();
    let mut places = shared.gate.enter(files)?.into_iter();
    let explained = shared.explained.enter(if wanted.explain { photos.len() } else { 0 })?;
    let mut explained = explained.into_iter();
    // Those of a caller who leaves are dropped with this set.
    let mut tasks = JoinSet::new();
    let names: Vec<_> = photos.iter().map(|photo| photo.name.clone()).collect();
    for (number, photo) in photos.into_iter().enumerate() {
        let place = match photo.source {
            Source::File(_) => places.next(),
            Source::Url(_) => None,
        };
        let (shared, reason) = (shared.clone(), explained.next());
        tasks.spawn(async move {
            (number, one(&shared, photo.source, place, reason, wanted.preview).await)
        });
    }
    let mut ones: Vec<One> = names.into_iter().map(One::lost).collect();
    while let Some(done) = tasks.join_next().await {
        // A task that broke down leaves its photo lost.
        if let Ok((number, outcome)) = done {
            ones[number].outcome = outcome;
        }
    }
    Ok(Answer::ranked(ones, begun.elapsed()))
}

/// One photo's way.
async fn one(
    shared: &Shared,
    source: Source,
    place: Option<Place>,
    reason: Option<Place>,
    preview: bool,
) -> Result<Outcome, Refusal> {
    let (bytes, held) = match source {
        Source::File(bytes) => (bytes, Held::default()),
        Source::Url(url) => match &shared.fetcher {
            Some(fetcher) => fetcher.fetch(&url).await?,
            None => return Err(no_urls()),
        },
    };
    let place = match place {
        Some(place) => vec![place],
        None => shared.gate.enter(1)?,
    };
    let decoded = shared.decoder.decode(bytes).await?;
    drop(held);
    let (decoded, score) = shared.scoring.ask(decoded).await?;
    drop(place);
    shared.metrics.scored();
    let Score { probability, score, faces } = score;
    let (decoded, explanation) = match reason {
        Some(_place) => {
            let (decoded, explanation) = shared.explaining.ask(decoded).await?;
            (decoded, Some(Explained::from(explanation)))
        }
        None => (decoded, None),
    };
    let (width, height) = (decoded.picture.width, decoded.picture.height);
    let preview = match preview {
        true => Some(shared.decoder.preview(decoded).await?),
        false => None,
    };
    let faces = faces.iter().map(Face::from).collect();
    Ok(Outcome { probability, score, width, height, faces, explanation, preview })
}

/// The photos of a body, and the memory that they hold.
async fn photos(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Vec<Photo>, Held), Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let Shared { settings, bodies, .. } = shared;
    let most = most_photos(shared);
    let (photos, held) = if let Some(boundary) = boundary(kind) {
        let boundary = boundary?;
        let (body, held) =
            read(headers, body, settings.max_bytes, bodies, &settings.patience).await?;
        (files(&body, &boundary, most)?, held)
    } else if is_json(kind) {
        if shared.fetcher.is_none() {
            return Err(no_urls());
        }
        let largest = LARGEST_JSON.min(settings.max_bytes);
        let (body, held) = read(headers, body, largest, bodies, &settings.patience).await?;
        (urls(&body)?, held)
    } else {
        let message =
            "send a form (multipart/form-data) with photos, or JSON (application/json) with URLs";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown_type", message));
    };
    match photos.len() {
        0 => Err(Refusal::bad("no_photo", "the call has no photo")),
        n if n > most => {
            let message = format!("the call has {n} photos; send at most {most} at once");
            Err(Refusal::too_large("too_many_photos", message))
        }
        _ => Ok((photos, held)),
    }
}

/// The files of a form, with their names, and the memory that they hold: no URLs.
pub(super) async fn files_of(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Vec<(Option<String>, Bytes)>, Held), Refusal> {
    let (photos, held) = photos(shared, headers, body).await?;
    let file = |photo: Photo| match photo.source {
        Source::File(bytes) => Ok((photo.name, bytes)),
        Source::Url(_) => Err(Refusal::bad("no_file", "send the photo itself, as a form")),
    };
    Ok((photos.into_iter().map(file).collect::<Result<_, _>>()?, held))
}

fn is_json(kind: &str) -> bool {
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn no_urls() -> Refusal {
    let message =
        "this server fetches no URLs; send the photo itself (or start it with --allow-urls)";
    Refusal::new(StatusCode::FORBIDDEN, "urls_off", message)
}

/// The photos of a form.
fn files(body: &Bytes, boundary: &str, most: usize) -> Result<Vec<Photo>, Refusal> {
    let parts = parts(body, boundary, most)?.into_iter();
    let photo = |part: super::multipart::Part| match part.name.as_str() {
        "photo" => {
            let name = part.file.map(|name| name.chars().take(LONGEST_NAME).collect());
            Ok(Photo { name, source: Source::File(part.content) })
        }
        name => {
            let name: String = name.chars().take(LONGEST_NAME).collect();
            let message =
                format!("the form's field '{name}' is not known; photos are called 'photo'");
            Err(Refusal::bad("unknown_field", message))
        }
    };
    parts.map(photo).collect()
}

/// The URLs of a body of JSON.
fn urls(body: &[u8]) -> Result<Vec<Photo>, Refusal> {
    let wrong = |why: String| {
        let message = format!("the body is neither {{\"url\": …}} nor {{\"urls\": […]}}: {why}");
        Refusal::bad("bad_json", message)
    };
    let urls: Urls = serde_json::from_slice(body).map_err(|e| wrong(e.to_string()))?;
    let urls = match (urls.url, urls.urls) {
        (Some(url), None) => vec![url],
        (None, Some(urls)) => urls,
        _ => return Err(wrong("it has both, or neither".into())),
    };
    let photo = |url: String| {
        let name = Some(url.chars().take(LONGEST_NAME).collect());
        Photo { name, source: Source::Url(url) }
    };
    Ok(urls.into_iter().map(photo).collect())
}

impl Wanted {
    fn read(query: &str) -> Result<Self, Refusal> {
        let mut wanted = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, "1"));
            let field = match name {
                "explain" => &mut wanted.explain,
                "preview" => &mut wanted.preview,
                _ => return Err(wrong_query()),
            };
            *field = match value {
                "1" | "true" => true,
                "0" | "false" => false,
                _ => return Err(wrong_query()),
            };
        }
        Ok(wanted)
    }
}

fn wrong_query() -> Refusal {
    Refusal::bad(
        "bad_query",
        "after the ? stand explain=1, preview=1, both joined by &, or nothing",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_say_what_is_wanted() {
        let both = Wanted { explain: true, preview: true };
        assert_eq!(Wanted::read("explain=1&preview=true"), Ok(both));
        assert_eq!(
            Wanted::read("explain&preview=1&explain=0"),
            Ok(Wanted { explain: false, ..both })
        );
        assert_eq!(Wanted::read(""), Ok(Wanted::default()));
        for query in ["explain=2", "explian=1", "=", "explain=1;preview=1", "%00"] {
            assert_eq!(Wanted::read(query).expect_err(query).code, "bad_query");
        }
    }

    #[test]
    fn json_names_one_url_or_several() {
        let count = |text: &str| urls(text.as_bytes()).map(|u| u.len()).map_err(|r| r.code);
        assert_eq!(count(r#"{"url": "a"}"#), Ok(1));
        assert_eq!(count(r#"{"urls": ["a", "b"]}"#), Ok(2));
        assert_eq!(count(r#"{"urls": []}"#), Ok(0));
        for text in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"url": 1}"#,
            r#"{"url": "a", "urls": []}"#,
            r#"{"urls": "a"}"#,
            r#"{"url": "a", "x": 1}"#,
            &"[".repeat(9999),
        ] {
            assert_eq!(count(text), Err("bad_json"), "{text}");
        }
    }
}
