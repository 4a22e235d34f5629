//! Two thousand hostile requests, generated from a seed: each gets its status, none a crash, a hang or a file, and the server
//! still answers.

#![cfg(feature = "web")]

mod web;

use likenet::rng::Rng;
use likenet::web::Settings;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use web::{FORM, Red, begin, connect, form, photos, png, png_header, receive, request, settings};

const REQUESTS: usize = 2000;
const CALLERS: usize = 16;

/// What is sent, and which statuses are right; 0 is a connection that is closed without a word.
struct Attack {
    kind: &'static str,
    bytes: Vec<u8>,
    /// Sent in pieces with pauses, and never to its end.
    slow: bool,
    right: Vec<u16>,
}

fn attack(kind: &'static str, bytes: Vec<u8>, right: &[u16]) -> Attack {
    Attack { kind, bytes, slow: false, right: right.to_vec() }
}

fn upload(content: &[u8]) -> Vec<u8> {
    let body = form(&[("photo", content)]);
    request("POST", "/api/v1/score", &[("Content-Type", FORM)], &body)
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.below(from.len())]
}

fn noise(rng: &mut Rng, length: usize) -> Vec<u8> {
    (0..length).map(|_| rng.bits() as u8).collect()
}

/// Real photos of every format that is read.
fn formats() -> Vec<Vec<u8>> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/data/formats"));
    let files = [
        "rgb.jpg",
        "rgb_progressive.jpg",
        "rgb.png",
        "palette.gif",
        "rgb.bmp",
        "rgb_lzw.tiff",
        "rgb.webp",
        "lossy.webp",
    ];
    files.iter().map(|name| std::fs::read(folder.join(name)).expect("a photo")).collect()
}

/// An attack of kind number `kind`.
fn generate(kind: usize, rng: &mut Rng, formats: &[Vec<u8>]) -> Attack {
    let photo = &formats[rng.below(formats.len())];
    match kind {
        // A photo that ends too early. Some decoders need less than all.
        0 => attack("truncated", upload(&photo[..rng.below(photo.len())]), &[200, 415, 422]),
        // Bytes of it are others. Whatever it is then, it has a status.
        1 => {
            let mut bytes = photo.clone();
            for _ in 0..1 + rng.below(20) {
                let at = rng.below(bytes.len());
                bytes[at] = rng.bits() as u8;
            }
            attack("garbled", upload(&bytes), &[200, 413, 415, 422])
        }
        // Two formats in one: what it begins with is what it is.
        2 => {
            let other = formats[rng.below(formats.len())].as_slice();
            let tail: &[u8] = pick(
                rng,
                &[
                    &b"<script>alert(1)</script>"[..],
                    b"PK\x03\x04",
                    b"%PDF-1.7",
                    b"#!/bin/sh\nrm -rf /",
                    other,
                ],
            );
            let ahead: &[u8] = pick(
                rng,
                &[
                    &b""[..],
                    b"<html>",
                    b"GIF89a/*",
                    b"\x7fELF",
                    b"%!PS",
                    b"<?xml version='1.0'?><svg/>",
                    b"\0",
                ],
            );
            let right: &[u16] = if ahead.is_empty() { &[200] } else { &[413, 415, 422] };
            attack("polyglot", upload(&[ahead, photo, tail].concat()), right)
        }
        // A small file that says it is huge.
        3 => {
            let (width, height) =
                (10_000 + rng.below(50_000) as u32, 10_000 + rng.below(50_000) as u32);
            let bytes = match rng.below(4) {
                0 => png_header(width, height),
                1 => png_header(u32::MAX, 1 + rng.below(9) as u32),
                2 => {
                    let mut jpeg = formats[0].clone();
                    let frame = jpeg.windows(2).position(|w| w == [0xFF, 0xC0]).expect("a frame");
                    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF; 4]);
                    jpeg
                }
                _ => {
                    let mut gif = formats[3].clone();
                    gif[6..10].copy_from_slice(&[0xFF; 4]);
                    gif
                }
            };
            attack("huge by its header", upload(&bytes), &[413, 422])
        }
        // Never to its end: in the head, in the body, or nothing at all.
        4 => {
            let bytes = upload(photo);
            let body = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4;
            let end = if rng.below(2) == 0 {
                rng.below(body - 1)
            } else {
                body + rng.below(bytes.len() - body)
            };
            let right: &[u16] = if end == 0 { &[0] } else { &[408] };
            Attack { kind: "slow", bytes: bytes[..end].to_vec(), slow: true, right: right.to_vec() }
        }
        // The wrong type of body.
        5 => {
            let types = [
                "",
                "image/png",
                "text/plain",
                "application/x-www-form-urlencoded",
                "multipart/mixed; boundary=likenet",
                "application/jsonx",
                "a/b/c",
                "multipart/form-data",
                "multipart/form-data; boundary=",
                "multipart/form-data; boundary=other",
                "application/json",
                "application/json; charset=utf-16",
            ];
            let body = form(&[("a", photo)]);
            let bytes =
                request("POST", "/api/v1/score", &[("Content-Type", pick(rng, &types))], &body);
            attack("wrong type", bytes, &[400, 415])
        }
        // Out of the folder that there is not.
        6 => {
            let starts = [
                "/../",
                "/%2e%2e/",
                "/..%2f",
                "/..\\",
                "//",
                "/./",
                "/api/../../",
                "/%00",
                "/app.js%00",
                "/app.js/../../",
                "/\u{1f}".trim_end_matches('\u{1f}'),
                "/C:/",
                "/;/",
                "/..;/",
            ];
            let ends = [
                "etc/passwd",
                "Cargo.toml",
                "src/web/mod.rs",
                ".git/config",
                "proc/self/environ",
                "x",
                "windows/win.ini",
                "api/v1/score.php",
            ];
            let start = pick(rng, &starts).repeat(1 + rng.below(6));
            attack(
                "path",
                request("GET", &format!("{start}{}", pick(rng, &ends)), &[], &[]),
                &[404, 400],
            )
        }
        // Files with names that lead elsewhere: they are but said back.
        7 => {
            let names = [
                "../../../../tmp/likenet-hostile",
                "/tmp/likenet-hostile",
                "C:\\likenet-hostile",
                "likenet-hostile\0.png",
                "|touch likenet-hostile",
                "$(touch likenet-hostile)",
                "likenet-hostile%00.png",
                "\u{202e}gnp.exe",
                "'; DROP TABLE photos; --",
            ];
            let body = form(&[(pick(rng, &names), photo)]);
            attack(
                "file name",
                request("POST", "/api/v1/score", &[("Content-Type", FORM)], &body),
                &[200],
            )
        }
        // To where the caller cannot go himself.
        8 => {
            let hosts = [
                "127.0.0.1",
                "localhost",
                "0.0.0.0",
                "0",
                "[::]",
                "[::1]",
                "127.1",
                "2130706433",
                "0x7f000001",
                "017700000001",
                "[::ffff:127.0.0.1]",
                "[::ffff:a9fe:a9fe]",
                "[64:ff9b::7f00:1]",
                "[2002:7f00:1::]",
                "[2001:0:7f00:1::]",
                "169.254.169.254",
                "100.100.100.200",
                "192.168.0.1",
                "10.0.0.1",
                "172.16.0.1",
                "[fe80::1]",
                "[fd00:ec2::254]",
                "224.0.0.1",
                "255.255.255.255",
                "198.18.0.1",
                "192.0.2.1",
                "user@127.0.0.1",
                "a:b@example.com",
                "1.1.1.1:22",
                "127.0.0.1:6379",
                "①②⑦.⓪.⓪.①",
                "[::127.0.0.1]",
                "168.63.129.16",
            ];
            let schemes = [
                "http://",
                "https://",
                "HTTP://",
                "http:\\\\",
                "http:",
                "file://",
                "gopher://",
                "ftp://",
                "dict://",
                "data:,",
                "jar:http://",
                "unix:",
            ];
            let path = pick(rng, &["/", "/latest/meta-data/", "/?a=b#c", "/\r\nX: y", ""]);
            let url = format!("{}{}{path}", pick(rng, &schemes), pick(rng, &hosts));
            let body = serde_json::json!({ "url": url }).to_string();
            let headers = [("Content-Type", "application/json")];
            attack("url", request("POST", "/api/v1/score", &headers, body.as_bytes()), &[400])
        }
        // What is no HTTP, or nearly.
        9 => {
            let heads = [
                "GET / HTTP/1.1\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                "GET /\r\n\r\n",
                "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
                "GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "G@T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
                "GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
                "\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n",
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                "POST /api/v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
                "POST /api/v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
                "POST /api/v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
                "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: local\0host\r\n\r\n",
            ];
            let head = pick(rng, &heads);
            // HTTP/2 is not spoken: such a connection is closed.
            let right: &[u16] = if head.starts_with("PRI") { &[0] } else { &[400, 421] };
            attack("no HTTP", head.as_bytes().to_vec(), right)
        }
        // Heads without end.
        10 => {
            let large = "x".repeat(32_768 + rng.below(50_000));
            let many: String = (0..70 + rng.below(200)).map(|i| format!("X-{i}: y\r\n")).collect();
            let text = match rng.below(3) {
                0 => format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {large}\r\n\r\n"),
                1 => format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"),
                _ => format!("GET /{large} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            };
            attack("large head", text.into_bytes(), &[431])
        }
        // Chunks that are none, and two lengths at once: what request smuggling is made of.
        11 => {
            let start = format!(
                "POST /api/v1/score HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {FORM}\r\n"
            );
            let chunks = [
                "zz\r\nabc\r\n0\r\n\r\n",
                "-1\r\nabc\r\n0\r\n\r\n",
                "ffffffffffffffff1\r\nabc\r\n",
                "3\r\nabcdef\r\n0\r\n\r\n",
                "3;\n\r\nabc\r\n0\r\n\r\n",
                "0\r\n\r\n",
                "1\r\na\r\n1\r\nb\r\n0\r\nX: y\r\n\r\n",
                "\r\n\r\n",
            ];
            let lengths = [
                "Transfer-Encoding: chunked\r\n",
                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                "Transfer-Encoding: gzip, chunked\r\n",
                "Transfer-Encoding: chunked, identity\r\n",
                "Transfer-Encoding: xchunked\r\n",
            ];
            let text = format!("{start}{}\r\n{}", pick(rng, &lengths), pick(rng, &chunks));
            attack("chunks", text.into_bytes(), &[400])
        }
        // Forms that are none.
        12 => {
            let whole = form(&[("a", photo)]);
            let body = match rng.below(4) {
                0 => whole[..whole.len() - 4 - rng.below(whole.len() - 8)].to_vec(),
                1 => {
                    let length = 1 + rng.below(4000);
                    noise(rng, length)
                }
                2 => b"--likenet\r\n".repeat(1 + rng.below(2000)),
                _ => [
                    &b"--likenet\r\nContent-Disposition: form-data; name=\""[..],
                    &noise(rng, 6000),
                ]
                .concat(),
            };
            attack(
                "form",
                request("POST", "/api/v1/score", &[("Content-Type", FORM)], &body),
                &[400],
            )
        }
        // JSON that is none.
        13 => {
            let bodies = [
                "{".repeat(5000),
                "[".repeat(100_000),
                "{\"url\":".into(),
                "{\"url\":null}".into(),
                "{\"url\":{\"a\":1}}".into(),
                "{\"urls\":[1,2]}".into(),
                "\u{feff}{}".into(),
                "{\"url\":\"\\ud800\"}".into(),
                "nul".into(),
                "1e999".into(),
                "{\"url\":\"a\",\"url\":\"b\"}".into(),
                "{\"url\": \"\"}".into(),
                "{\"urls\": [\"\"]}".into(),
            ];
            attack(
                "JSON",
                request(
                    "POST",
                    "/api/v1/score",
                    &[("Content-Type", "application/json")],
                    bodies[rng.below(bodies.len())].as_bytes(),
                ),
                &[400],
            )
        }
        // Methods and callers that may not.
        14 => match rng.below(3) {
            0 => {
                let method =
                    pick(rng, &["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "PROPFIND", "BREW"]);
                attack(
                    "method",
                    request(method, pick(rng, &["/", "/api/v1/score", "/metrics"]), &[], &[]),
                    &[405],
                )
            }
            1 => {
                let origin = pick(
                    rng,
                    &[
                        "null",
                        "http://evil.example",
                        "https://localhost.evil.example",
                        "http://localhost:1",
                    ],
                );
                let headers = [("Content-Type", FORM), ("Origin", origin)];
                attack(
                    "origin",
                    request("POST", "/api/v1/score", &headers, &form(&[("a", photo)])),
                    &[403],
                )
            }
            _ => {
                let host = pick(
                    rng,
                    &["evil.example", "localhost.evil.example", "169.254.169.254", "0.0.0.0"],
                );
                attack("host", request("GET", "/", &[("Host", host)], &[]), &[421])
            }
        },
        // More than may be.
        _ => {
            if rng.below(2) == 0 {
                let length = ["99999999999", "18446744073709551615", "2000001"];
                let headers = [("Content-Type", FORM), ("Content-Length", pick(rng, &length))];
                // One that no number holds is found while the head is read.
                let right: &[u16] = if headers[1].1.len() > 19 { &[431] } else { &[413] };
                attack("length", request("POST", "/api/v1/score", &headers, &[]), right)
            } else {
                let length = 500_001 + rng.below(300_000);
                attack("bytes", upload(&noise(rng, length)), &[413])
            }
        }
    }
}

/// Sends an attack, and gives its status.
fn strike(address: SocketAddr, attack: &Attack) -> u16 {
    let mut stream = connect(address);
    if attack.slow {
        for piece in attack.bytes.chunks(attack.bytes.len().div_ceil(4).max(1)) {
            let _ = stream.write_all(piece);
            std::thread::sleep(Duration::from_millis(30));
        }
    } else {
        let _ = stream.write_all(&attack.bytes);
    }
    receive(&mut stream).map_or(0, |answer| answer.status)
}

/// The files of folders that an attack could hope for.
fn files() -> BTreeSet<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folders = [
        here.clone(),
        here.join("src"),
        here.join("src/web"),
        here.join("src/web/assets"),
        here.join("tests"),
    ];
    let list =
        |folder| std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("one").path());
    let mut files: BTreeSet<PathBuf> = folders.into_iter().flat_map(list).collect();
    let temporary = list(std::env::temp_dir())
        .filter(|path| path.to_string_lossy().contains("likenet-hostile"));
    files.extend(temporary);
    files
}

/// Files that this process has open for writing, as Linux lists them.
fn written() -> BTreeSet<PathBuf> {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return BTreeSet::new() };
    let names = open.flatten().filter_map(|entry| {
        let path = std::fs::read_link(entry.path()).ok()?;
        let info = format!("/proc/self/fdinfo/{}", entry.file_name().to_string_lossy());
        let info = std::fs::read_to_string(info).ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?.trim();
        let writes = u32::from_str_radix(flags, 8).ok()? & 3 != 0;
        (path.is_absolute() && writes && !path.starts_with("/dev")).then_some(path)
    });
    names.collect()
}

#[test]
fn two_thousand_hostile_requests() {
    let bounds = Settings { max_bytes: 500_000, connections: 64, queue: 64, ..settings() };
    let server = begin(bounds, Red::default());
    let address = server.address();
    let formats = formats();
    let (before, open) = (files(), written());
    let begun = Instant::now();
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let wrong = Mutex::new(vec![]);
    let seen: Mutex<BTreeMap<(&str, u16), usize>> = Mutex::default();
    let touched: Mutex<BTreeSet<PathBuf>> = Mutex::default();
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                touched.lock().expect("a set").extend(written());
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= REQUESTS {
                            return;
                        }
                        let mut rng = Rng::new(number as u64);
                        let attack = generate(number % 16, &mut rng, &formats);
                        let status = strike(address, &attack);
                        *seen.lock().expect("a map").entry((attack.kind, status)).or_default() += 1;
                        if !attack.right.contains(&status) {
                            let start: String =
                                String::from_utf8_lossy(&attack.bytes).chars().take(160).collect();
                            wrong
                                .lock()
                                .expect("a list")
                                .push(format!("{number} {}: {status}: {start:?}", attack.kind));
                        }
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.join().expect("a caller ends");
        }
        stop.store(true, Ordering::Relaxed);
        watch.join().expect("the watch ends");
    });
    let took = begun.elapsed();
    for ((kind, status), count) in seen.lock().expect("a map").iter() {
        println!("{kind}: {status}: {count}");
    }
    println!("serve: {REQUESTS} hostile requests in {:.1} s", took.as_secs_f64());
    let wrong = wrong.into_inner().expect("a list");
    assert!(
        wrong.is_empty(),
        "{} of {REQUESTS} have another status:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(took < Duration::from_secs(40), "{took:?}");
    assert_eq!(files(), before, "files have come or gone");
    let touched: Vec<_> = touched.into_inner().expect("a set").difference(&open).cloned().collect();
    assert!(touched.is_empty(), "files were written: {touched:?}");
    let answer = photos(address, "", &[("a", &png(6, 6, 51))]);
    assert_eq!(answer.json()["results"][0]["probability"], 0.2, "the server still answers");
    assert!(server.stop(), "something hangs");
}
