//! The server: its interface as described, its headers, its refusals, its bounds, its end.

#![cfg(feature = "web")]

#[path = "web/schema.rs"]
mod schema;
mod web;

use likenet::web::{Patience, Settings};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use web::{
    Answer, FORM, Red, begin, connect, form, get, photos, png, png_header, post, receive, request,
    send, settings, url,
};

/// Fails where an answer is not as the interface's description says.
fn described(api: &Value, method: &str, path: &str, answer: &Answer) {
    let operation = &api["paths"][path][method];
    let content = &operation["responses"][answer.status.to_string()];
    assert!(content.is_object(), "{method} {path}: status {} is not described", answer.status);
    let kind = answer.header("content-type").expect("a type").split(';').next().expect("a type");
    let schema = &content["content"][kind]["schema"];
    assert!(schema.is_object(), "{method} {path} {}: type {kind} is not described", answer.status);
    if kind == "application/json" {
        let checked = schema::check(api, schema, &answer.json());
        checked.unwrap_or_else(|e| panic!("{method} {path} {}: {e}", answer.status));
    }
    for header in content["headers"].as_object().into_iter().flatten() {
        assert!(answer.header(&header.0.to_lowercase()).is_some(), "{} is missing", header.0);
    }
}

fn api(address: SocketAddr) -> Value {
    get(address, "/api/v1/openapi.json").json()
}

#[test]
fn photos_are_scored_and_ranked_as_described() {
    let server = begin(settings(), Red::default());
    let (address, api) = (server.address(), api(server.address()));
    let (dark, light) = (png(20, 10, 51), png(7, 9, 204));
    let answer = photos(address, "", &[("a.png", &dark), ("b.png", &light)]);
    described(&api, "post", "/api/v1/score", &answer);
    let json = answer.json();
    let results = json["results"].as_array().expect("results");
    let numbers = |name: &str| [&results[0][name], &results[1][name]];
    assert_eq!(numbers("probability"), [&json!(0.2), &json!(0.8)]);
    assert_eq!(numbers("rank"), [2, 1]);
    assert_eq!(numbers("name"), ["a.png", "b.png"]);
    assert_eq!(
        (numbers("width"), numbers("height")),
        ([&json!(20), &json!(7)], [&json!(10), &json!(9)])
    );
    let face = json!({ "x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, "confidence": 0.5 });
    assert_eq!(results[0]["faces"], json!([face]));
    assert!(results[0].get("explanation").is_none() && results[0].get("preview").is_none());

    let answer = photos(address, "?explain=1&preview=1", &[("a.png", &dark)]);
    described(&api, "post", "/api/v1/score", &answer);
    let result = &answer.json()["results"][0];
    assert_eq!(
        result["explanation"]["occlusion"]["values"],
        json!([0.5, -0.25, 0.0, 1e-4, -1.0, 0.125])
    );
    assert_eq!(result["explanation"]["alike"][0]["similarity"], json!(0.75));
    assert!(result["preview"].is_string());

    // One broken photo spoils no other, nor does one that the engine refuses.
    let narrow = png(1, 5, 9);
    let answer = photos(
        address,
        "",
        &[("x", b"no photo"), ("narrow", &narrow), ("a", &dark), ("cut", &light[..60])],
    );
    described(&api, "post", "/api/v1/score", &answer);
    let json = answer.json();
    let codes: Vec<_> = (0..4).map(|i| json["results"][i]["error"]["code"].as_str()).collect();
    assert_eq!(codes, [Some("unknown_format"), Some("internal"), None, Some("broken_photo")]);
    assert_eq!((answer.status, &json["results"][2]["rank"]), (200, &json!(1)));
    // Where all are, the first one's refusal is the answer's.
    let answer = photos(address, "", &[("x", b"no photo"), ("cut", &light[..60])]);
    described(&api, "post", "/api/v1/score", &answer);
    assert_eq!((answer.status, answer.code().as_str()), (415, "unknown_format"));

    for (path, known) in api["paths"].as_object().expect("paths") {
        for method in known.as_object().expect("methods").keys().filter(|m| *m == "get") {
            described(&api, method, path, &get(address, path));
        }
    }
    assert_eq!(api["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(get(address, "/api/v1/about").json()["model"]["model"], "red");
}

#[test]
fn the_exif_orientation_is_honoured() {
    let server = begin(settings(), Red::default());
    let jpeg = likenet::report::encode_jpeg(&web::plain(40, 20, 99), 90).expect("a file");
    let exif =
        b"\xFF\xE1\0\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let turned = [&jpeg[..2], exif, &jpeg[2..]].concat();
    let result = &photos(server.address(), "", &[("turned.jpg", &turned)]).json()["results"][0];
    assert_eq!((&result["width"], &result["height"]), (&json!(20), &json!(40)));
}

#[test]
fn refusals_have_their_status_and_are_described() {
    let bounds = Settings { max_bytes: 100_000, max_pixels: 1_000_000, ..settings() };
    let server = begin(bounds, Red::default());
    let (address, api) = (server.address(), api(server.address()));
    let good = png(8, 8, 8);
    let part = form(&[("a", &good)]);
    let field =
        String::from_utf8_lossy(&form(&[("a", b"x")])).replace("name=\"photo\"", "name=\"foto\"");
    let many: Vec<(&str, &[u8])> = vec![("a", &good); 65];
    let nine: Vec<(&str, &[u8])> = vec![("a", &good); 9];
    let cases: Vec<(Answer, u16, &str)> = vec![
        (post(address, "?explain=yes", FORM, &part), 400, "bad_query"),
        (post(address, "", "multipart/form-data", &part), 400, "bad_form"),
        (post(address, "", FORM, b"nothing"), 400, "bad_form"),
        (post(address, "", FORM, b"--likenet--"), 400, "no_photo"),
        (post(address, "", FORM, field.as_bytes()), 400, "unknown_field"),
        (post(address, "", "application/json", b"{}"), 400, "bad_json"),
        (post(address, "", "application/json", b"{\"urls\": []}"), 400, "no_photo"),
        (url(address, "http://127.0.0.1/a"), 400, "url_refused"),
        (post(address, "", "image/png", &good), 415, "unknown_type"),
        (post(address, "", "text/plain", &good), 415, "unknown_type"),
        (photos(address, "", &[("a", b"")]), 415, "unknown_format"),
        (photos(address, "", &[("a.jpg", b"<svg></svg>")]), 415, "unknown_format"),
        (photos(address, "", &[("a", &good[..40])]), 422, "broken_photo"),
        (photos(address, "", &[("a", &png_header(10_000, 10_000))]), 413, "too_many_pixels"),
        (photos(address, "", &[("a", &[0; 100_001])]), 413, "too_many_bytes"),
        (photos(address, "", &many), 413, "too_many_photos"),
        (photos(address, "?explain=1", &nine), 413, "too_many_photos"),
        (photos(address, "", &[("a", &png(1, 3, 3))]), 500, "internal"),
        (
            send(address, &request("GET", "/api/v1/score", &[], &[])).expect("one"),
            405,
            "wrong_method",
        ),
    ];
    for (answer, status, code) in &cases {
        assert_eq!((answer.status, answer.code().as_str()), (*status, *code));
        described(&api, "post", "/api/v1/score", answer);
    }
    assert_eq!(cases.last().and_then(|case| case.0.header("allow")), Some("POST"));
    for path in [
        "/x",
        "/../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "/api/v1/score/",
        "//",
        "/app.js/",
        "/assets/app.js",
        "/.git/config",
    ] {
        let answer = get(address, path);
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
}

#[test]
fn every_answer_has_the_headers() {
    let server = begin(settings(), Red::default());
    let address = server.address();
    let kinds = [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ];
    for (path, kind) in kinds {
        let answer = get(address, path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{path}");
    }
    for answer in [
        get(address, "/"),
        get(address, "/metrics"),
        get(address, "/none"),
        post(address, "", "x", b"x"),
        photos(address, "", &[("a", &png(4, 4, 4))]),
    ] {
        for (name, value) in [
            (
                "content-security-policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            ),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("permissions-policy", "camera=(self), microphone=(), geolocation=()"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{}", answer.status);
        }
        assert!(answer.header("cache-control").is_some_and(|value| value.starts_with("no-")));
    }
    // What the page loads is there, and nothing on it stands in the way of the policy.
    let page = String::from_utf8(get(address, "/").body).expect("text");
    let script = String::from_utf8(get(address, "/app.js").body).expect("text");
    let names = |text: &str, before: &str| -> Vec<String> {
        let parts = text.split(before).skip(1);
        parts.map(|part| part.split('"').next().unwrap_or("").to_string()).collect()
    };
    let mut loaded = names(&page, "src=\"");
    loaded.extend(names(&page, "rel=\"stylesheet\" href=\""));
    loaded.extend(names(&script, "from \"."));
    assert!(loaded.len() >= 6, "{loaded:?}");
    for path in loaded {
        assert_eq!(get(address, &path).status, 200, "{path}");
    }
    for inline in
        [" style=", " onclick=", "<style", "<script>", "innerHTML", "http://", "javascript:"]
    {
        assert!(!page.contains(inline) && !script.contains(inline), "{inline}");
    }
}

#[test]
fn pages_of_others_and_other_names_are_refused() {
    let server = begin(settings(), Red::default());
    let (address, body) = (server.address(), form(&[("a", &png(4, 4, 4))]));
    let call = |name: &str, value: &str| {
        let headers = [("Content-Type", FORM), (name, value)];
        let answer =
            send(address, &request("POST", "/api/v1/score", &headers, &body)).expect("one");
        (answer.status, if answer.status == 200 { String::new() } else { answer.code() })
    };
    assert_eq!(call("Origin", "http://localhost").0, 200);
    assert_eq!(call("Sec-Fetch-Site", "same-origin").0, 200);
    assert_eq!(call("Origin", "http://evil.example"), (403, "foreign_page".into()));
    assert_eq!(call("Origin", "null"), (403, "foreign_page".into()));
    assert_eq!(call("Sec-Fetch-Site", "cross-site"), (403, "foreign_page".into()));
    assert_eq!(call("Host", "rebound.example"), (421, "wrong_host".into()));
    let absolute = request("GET", "http://rebound.example/", &[], &[]);
    assert_eq!(send(address, &absolute).expect("one").status, 421);
}

/// A web server for tests: its paths lead to photos, elsewhere, or to no end.
fn elsewhere() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            counted.fetch_add(1, Ordering::Relaxed);
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..length]).to_string();
            let path = head.split(' ').nth(1).unwrap_or("").to_string();
            let photo = png(6, 6, 102);
            let answer = |status: &str, more: &str, body: &[u8]| {
                let mut bytes =
                    format!("HTTP/1.1 {status}\r\nConnection: close\r\n{more}\r\n").into_bytes();
                bytes.extend_from_slice(body);
                bytes
            };
            let to = |place: &str| answer("302 Found", &format!("Location: {place}\r\n"), b"");
            let left = path.strip_prefix("/hop/").and_then(|n| n.parse::<usize>().ok());
            let bytes = match path.as_str() {
                _ if left == Some(0) => to("/photo.png"),
                _ if left.is_some() => to(&format!("/hop/{}", left.unwrap_or(1) - 1)),
                "/photo.png" => answer("200 OK", "Content-Type: text/html\r\n", &photo),
                "/large" => answer("200 OK", "Content-Length: 99999999\r\n", &photo),
                "/endless" => answer("200 OK", "", &vec![7; 1_000_000]),
                "/page" => answer("200 OK", "Content-Type: image/png\r\n", b"<html></html>"),
                "/gone" => answer("404 Not Found", "", &photo),
                "/name" => to(&format!("http://localhost:{}/photo.png", address.port())),
                "/inside" => to("http://169.254.169.254/latest/meta-data/"),
                "/port" => to("http://127.0.0.1:22/"),
                "/file" => to("file:///etc/passwd"),
                "/user" => to(&format!("http://a:b@{address}/photo.png")),
                "/nowhere" => answer("302 Found", "", b""),
                "/packed" => answer("200 OK", "Content-Encoding: gzip\r\n", &photo),
                "/slow" => {
                    std::thread::spawn(move || {
                        std::thread::sleep(Duration::from_secs(6));
                        drop(stream);
                    });
                    continue;
                }
                _ => answer("500 No", "", b""),
            };
            let asks_plain = head.to_lowercase().contains("accept-encoding: identity");
            let _ = stream.write_all(if asks_plain { &bytes } else { b"HTTP/1.1 500 No\r\n\r\n" });
        }
    });
    (address, calls)
}

#[test]
fn urls_are_fetched_and_every_redirect_is_checked() {
    let (other, calls) = elsewhere();
    let allowed = Settings {
        url_hosts: vec!["127.0.0.1".into()],
        url_ports: vec![other.port()],
        max_bytes: 200_000,
        ..settings()
    };
    let server = begin(allowed, Red::default());
    let (address, api) = (server.address(), api(server.address()));
    let ask = |path: &str| {
        let answer = url(address, &format!("http://{other}{path}"));
        described(&api, "post", "/api/v1/score", &answer);
        answer
    };
    for path in ["/photo.png", "/hop/0", "/hop/4", "/packed", "/photo.png#x"] {
        let answer = ask(path);
        assert_eq!(answer.json()["results"][0]["probability"], json!(0.4), "{path}");
    }
    for (path, status, code) in [
        ("/hop/5", 502, "url_failed"),
        ("/gone", 502, "url_failed"),
        ("/nowhere", 502, "url_failed"),
        ("/large", 413, "too_many_bytes"),
        ("/endless", 413, "too_many_bytes"),
        ("/page", 415, "unknown_format"),
        ("/name", 400, "url_refused"),
        ("/inside", 400, "url_refused"),
        ("/port", 400, "url_refused"),
        ("/file", 400, "url_refused"),
        ("/user", 400, "url_refused"),
        ("/slow", 504, "url_too_slow"),
    ] {
        let answer = ask(path);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
    }
    let both =
        json!({ "urls": [format!("http://{other}/photo.png"), "http://[::1]/"] }).to_string();
    let answer = post(address, "", "application/json", both.as_bytes());
    assert_eq!(
        (answer.status, &answer.json()["results"][1]["error"]["code"]),
        (200, &json!("url_refused"))
    );

    // A name that leads to this machine is refused by what it leads to, and nobody is asked.
    let before = calls.load(Ordering::Relaxed);
    let strict = begin(Settings { url_ports: vec![other.port()], ..settings() }, Red::default());
    for host in
        ["localhost", "LOCALHOST", "127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"]
    {
        let answer = url(strict.address(), &format!("http://{host}:{}/photo.png", other.port()));
        assert_eq!((answer.status, answer.code().as_str()), (400, "url_refused"), "{host}");
    }
    assert_eq!(calls.load(Ordering::Relaxed), before);
}

#[test]
fn urls_are_off_where_strangers_may_call() {
    let open = |allow_urls| Settings { host: [0, 0, 0, 0].into(), allow_urls, ..settings() };
    let ask = |settings: Settings| {
        let server = begin(settings, Red::default());
        let here = SocketAddr::from(([127, 0, 0, 1], server.address().port()));
        assert_eq!(get(here, "/healthz").status, 200);
        (
            url(here, "http://127.0.0.1/").code(),
            get(here, "/api/v1/about").json()["limits"]["urls"].clone(),
        )
    };
    assert_eq!(ask(open(false)), ("urls_off".into(), json!(false)));
    assert_eq!(ask(open(true)), ("url_refused".into(), json!(true)));
}

#[test]
fn photos_of_many_callers_share_batches() {
    let engine = Red { takes: Duration::from_millis(60), ..Red::default() };
    let server = begin(settings(), engine.clone());
    let (address, photo) = (server.address(), png(6, 6, 6));
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| assert_eq!(photos(address, "", &[("a", &photo)]).status, 200));
        }
    });
    let batches = engine.batches.lock().expect("a list").clone();
    assert_eq!(batches.iter().sum::<usize>(), 24);
    assert!(batches.len() <= 12 && batches.iter().all(|&n| n <= 32), "{batches:?}");
    let many: Vec<(&str, &[u8])> = vec![("a", &photo); 64];
    assert_eq!(photos(address, "", &many).json()["results"].as_array().map(Vec::len), Some(64));
    assert!(engine.batches.lock().expect("a list").iter().all(|&n| n <= 32));
    let metrics = String::from_utf8(get(address, "/metrics").body).expect("text");
    for line in [
        "likenet_photos_scored_total 88",
        "likenet_requests_total{route=\"/api/v1/score\",status=\"200\"} 25",
        "likenet_batch_photos_sum 88",
        "likenet_queue_photos 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn who_brings_too_much_is_told_when_to_come_again() {
    let engine = Red { takes: Duration::from_millis(400), ..Red::default() };
    let server = begin(Settings { queue: 4, ..settings() }, engine);
    let (address, photo) = (server.address(), png(6, 6, 6));
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let call = || photos(address, "", &[("a", &photo)]);
        let callers: Vec<_> = (0..16).map(|_| scope.spawn(call)).collect();
        callers.into_iter().map(|caller| caller.join().expect("an answer")).collect()
    });
    let (good, busy): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(good.len() >= 4 && !busy.is_empty(), "{} and {}", good.len(), busy.len());
    for answer in busy {
        assert_eq!(
            (answer.status, answer.code().as_str(), answer.header("retry-after")),
            (429, "busy", Some("1"))
        );
        described(&api(address), "post", "/api/v1/score", answer);
    }
    assert_eq!(photos(address, "", &[("a", &photo)]).status, 200);
}

#[test]
fn explanations_do_not_hold_up_scores() {
    let engine = Red { thinks: Duration::from_millis(1500), ..Red::default() };
    let server = begin(settings(), engine);
    let (address, photo) = (server.address(), png(6, 6, 6));
    std::thread::scope(|scope| {
        let explained = scope.spawn(|| photos(address, "?explain=1", &[("a", &photo)]).status);
        std::thread::sleep(Duration::from_millis(200));
        let begun = Instant::now();
        assert_eq!(photos(address, "", &[("a", &photo)]).status, 200);
        assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
        assert_eq!(explained.join().expect("an answer"), 200);
    });
}

#[test]
fn who_is_too_slow_is_left() {
    let server = begin(settings(), Red::default());
    let address = server.address();
    let begun = Instant::now();
    let mut head = connect(address);
    head.write_all(b"GET / HTTP/1.1\r\nHost: local").expect("sent");
    let mut body = connect(address);
    let start =
        "POST /api/v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\nContent-Type: ";
    body.write_all(format!("{start}{FORM}\r\n\r\n--like").as_bytes()).expect("sent");
    let mut silent = connect(address);
    let answer = receive(&mut head).expect("an answer");
    assert_eq!((answer.status, answer.code().as_str()), (408, "too_slow"));
    let answer = receive(&mut body).expect("an answer");
    assert_eq!((answer.status, answer.code().as_str()), (408, "too_slow"));
    assert!(receive(&mut silent).is_none());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn there_are_only_so_many_connections() {
    let server = begin(Settings { connections: 2, ..settings() }, Red::default());
    let address = server.address();
    let held = [connect(address), connect(address)];
    std::thread::sleep(Duration::from_millis(200));
    let answer = send(address, &request("GET", "/", &[], &[])).expect("an answer");
    assert_eq!(
        (answer.status, answer.code().as_str(), answer.header("retry-after")),
        (503, "unavailable", Some("1"))
    );
    drop(held);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(get(address, "/").status, 200);
}

#[test]
fn what_was_taken_is_finished_before_the_end() {
    let engine = Red { takes: Duration::from_millis(700), ..Red::default() };
    let patience = Patience { head: Duration::from_secs(30), ..settings().patience };
    let server = begin(Settings { patience, ..settings() }, engine);
    let (address, photo) = (server.address(), png(6, 6, 204));
    let idle = connect(address);
    let caller = std::thread::spawn(move || photos(address, "", &[("a", &photo)]));
    std::thread::sleep(Duration::from_millis(250));
    let begun = Instant::now();
    assert!(server.stop(), "something was cut off");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let answer = caller.join().expect("an answer");
    assert_eq!(answer.json()["results"][0]["probability"], json!(0.8));
    assert!(std::net::TcpStream::connect(address).is_err(), "it still listens");
    drop(idle);
}
