//! Who may call, and what browsers may do with answers. Flows in: requests. Flows out: requests of callers that may, answers
//! with headers.
//!
//! A page from elsewhere can make its reader's browser call a server on the reader's machine. It is told apart by what
//! browsers say of it: `Sec-Fetch-Site` and `Origin`. And a name that was made to lead to 127.0.0.1 (DNS rebinding) stands in
//! `Host`: a server for this machine only answers to the names of this machine.

use super::refusal::Refusal;
use super::server::Shared;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// What the page may load and do: its own files, and pictures that it was given.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Headers of every answer that does not set its own.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Under `no-referrer` a form of the page's own would come without its origin.
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(self), microphone=(), geolocation=()"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Counts a request, refuses those that may not be, gives its answer its headers.
pub(super) async fn guard(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let route = super::routes::label(request.uri().path());
    let local = shared.settings.host.is_loopback();
    let mut response = match check(request.method(), request.uri(), request.headers(), local) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    shared.metrics.request(route, response.status().as_u16(), begun.elapsed());
    response
}

/// Whether a request may be.
fn check(method: &Method, uri: &Uri, headers: &HeaderMap, local: bool) -> Result<(), Refusal> {
    let host = host(uri, headers)?;
    if local && !of_this_machine(host.host()) {
        let message = "this server answers to the names of this machine only: localhost, 127.0.0.1";
        return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", message));
    }
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    let foreign_site = site.is_some_and(|site| site != b"same-origin" && site != b"none");
    let foreign_origin = origin.is_some_and(|origin| !same(origin, host.as_str()));
    match foreign_site || foreign_origin {
        true => {
            let message = "the call comes from a page of another site";
            Err(Refusal::new(StatusCode::FORBIDDEN, "foreign_page", message))
        }
        false => Ok(()),
    }
}

/// Whom a request is meant for: RFC 9112 wants one `Host`, and an absolute URL goes before it.
fn host(uri: &Uri, headers: &HeaderMap) -> Result<Authority, Refusal> {
    let wrong =
        || Refusal::bad("bad_host", "the request has no Host, several, or one that is none");
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(wrong()) };
    let host = Authority::try_from(host.as_bytes()).map_err(|_| wrong())?;
    let host = uri.authority().cloned().unwrap_or(host);
    match host.as_str().contains('@') {
        true => Err(wrong()),
        false => Ok(host),
    }
}

/// Whether a name can only be this machine's.
fn of_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.is_ok_and(|address| address.is_loopback()) || host.eq_ignore_ascii_case("localhost")
}

/// Whether an origin has this host and port; a proxy before the server may speak TLS.
fn same(origin: &[u8], host: &str) -> bool {
    let rest = origin.strip_prefix(b"http://").or(origin.strip_prefix(b"https://"));
    rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(method: Method, pairs: &[(&str, &str)], local: bool) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        check(&method, &Uri::from_static("/"), &headers, local).err().map(|refusal| refusal.code)
    }

    #[test]
    fn a_server_of_this_machine_knows_its_names() {
        let get = |host, local| code(Method::GET, &[("host", host)], local);
        for host in
            ["localhost", "LOCALHOST:5000", "127.0.0.1", "127.0.0.1:80", "127.8.8.8", "[::1]:5000"]
        {
            assert_eq!(get(host, true), None, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
        ] {
            assert_eq!(get(host, true), Some("wrong_host"), "{host}");
            assert_eq!(get(host, false), None, "{host}");
        }
        for host in ["", "a b", "user@localhost", "http://localhost"] {
            assert_eq!(get(host, true), Some("bad_host"), "{host}");
        }
        assert_eq!(code(Method::GET, &[], true), Some("bad_host"));
        let two = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(code(Method::GET, &two, true), Some("bad_host"));
    }

    #[test]
    fn pages_from_elsewhere_cannot_post() {
        let post =
            |name, value| code(Method::POST, &[("host", "localhost:5000"), (name, value)], true);
        assert_eq!(post("accept", "*/*"), None);
        assert_eq!(post("origin", "http://localhost:5000"), None);
        assert_eq!(post("origin", "https://LOCALHOST:5000"), None);
        assert_eq!(post("sec-fetch-site", "same-origin"), None);
        assert_eq!(post("sec-fetch-site", "none"), None);
        for origin in [
            "null",
            "",
            "http://localhost",
            "http://localhost:5001",
            "http://evil.example",
            "file://localhost:5000",
        ] {
            assert_eq!(post("origin", origin), Some("foreign_page"), "{origin}");
        }
        for site in ["cross-site", "same-site", ""] {
            assert_eq!(post("sec-fetch-site", site), Some("foreign_page"), "{site}");
        }
        let get = [("host", "localhost"), ("sec-fetch-site", "cross-site")];
        assert_eq!(code(Method::GET, &get, true), None);
    }
}
