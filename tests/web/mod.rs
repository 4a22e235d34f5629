//! What the server's tests share: an engine that knows its answers, photos, and a client that can misbehave.

#![allow(dead_code)] // Each test binary uses its own part.

use likenet::Result;
use likenet::faces::{Face, Rect};
use likenet::image::{Picture, Size};
use likenet::report::{encode_jpeg, encode_png};
use likenet::web::{
    About, Alike, Engine, Engines, Explanation, Map, Patience, Score, Server, Settings,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// An engine whose answer is the photo's mean red. It refuses photos one pixel wide, and takes its time.
#[derive(Clone, Default)]
pub struct Red {
    /// How long a batch takes.
    pub takes: Duration,
    /// How long an explanation takes.
    pub thinks: Duration,
    /// The sizes of all batches.
    pub batches: Arc<Mutex<Vec<usize>>>,
}

impl Engine for Red {
    fn score(&mut self, photos: &[Picture]) -> Result<Vec<Score>> {
        std::thread::sleep(self.takes);
        self.batches.lock().expect("a list").push(photos.len());
        if photos.iter().any(|photo| photo.width == 1) {
            return Err(likenet::Error::Invalid("too narrow".into()));
        }
        Ok(photos.iter().map(one).collect())
    }

    fn explain(&mut self, photo: &Picture) -> Result<Explanation> {
        std::thread::sleep(self.thinks);
        let occlusion =
            Map { width: 3, height: 2, values: vec![0.5, -0.25, 0.0, 1e-4, -1.0, 0.125] };
        let thumbnail = encode_jpeg(photo, 80)?;
        let alike = Alike { thumbnail, good: true, similarity: 0.75, caption: "itself".into() };
        Ok(Explanation { gradient: Some(occlusion.clone()), occlusion, alike: vec![alike] })
    }

    fn about(&self) -> About {
        About { model: "red".into(), features: "pixels".into(), photos: 7, ..About::default() }
    }
}

fn one(photo: &Picture) -> Score {
    let reds = photo.data.iter().step_by(3).map(|&red| f64::from(red));
    let probability = reds.sum::<f64>() / (255 * photo.width * photo.height) as f64;
    let rect = Rect { x: 1.0, y: 2.0, w: 3.0, h: 4.0 };
    Score {
        probability,
        score: 2.0 * probability - 1.0,
        faces: vec![Face { rect, confidence: 0.5 }],
    }
}

/// Settings for a test: a free port, little patience.
pub fn settings() -> Settings {
    let patience = Patience {
        head: Duration::from_millis(600),
        body: Duration::from_millis(600),
        rate: 16384.0,
        url: Duration::from_secs(3),
        finish: Duration::from_secs(5),
        ..Patience::default()
    };
    Settings { port: 0, threads: 2, patience, ..Settings::default() }
}

pub fn begin(settings: Settings, engine: Red) -> Server {
    let engines =
        Engines { scores: Box::new(engine.clone()), explains: Box::new(engine), inside: None };
    Server::begin(settings, engines).expect("a server")
}

/// A photo of one colour.
pub fn plain(width: usize, height: usize, red: u8) -> Picture {
    let data = [red, 40, 90].repeat(width * height);
    Picture::new(Size::new(height, width), data).expect("a picture")
}

pub fn png(width: usize, height: usize, red: u8) -> Vec<u8> {
    encode_png(&plain(width, height, red)).expect("a file")
}

/// A PNG's header of any size, with nothing behind it.
pub fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = png(8, 8, 0);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc(&bytes[12..29]).to_be_bytes();
    bytes[29..33].copy_from_slice(&sum);
    bytes
}

/// The check sum of a PNG's chunk (ISO 3309).
fn crc(bytes: &[u8]) -> u32 {
    let mut sum = !0u32;
    for &byte in bytes {
        sum ^= u32::from(byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ if sum & 1 == 1 { 0xEDB8_8320 } else { 0 };
        }
    }
    !sum
}

/// The body of a form with these files.
pub fn form(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = vec![];
    for (name, content) in files {
        let head = "--likenet\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"";
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(format!("{name}\"\r\nContent-Type: image/png\r\n\r\n").as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--likenet--\r\n");
    body
}

pub const FORM: &str = "multipart/form-data; boundary=likenet";

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Lines of the head, names in small letters.
    pub head: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {} {text}", self.status))
    }

    /// The code of a refusal.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or("none").to_string()
    }
}

/// Connects, with an end to all waiting.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream =
        TcpStream::connect_timeout(&address, Duration::from_secs(10)).expect("a connection");
    for set in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
        set(&stream, Some(Duration::from_secs(20))).expect("a time");
    }
    stream
}

/// A request's bytes; it ends the connection.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text += "Host: localhost\r\n";
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    let mut bytes = (text + "\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Sends bytes, and reads what comes until the connection ends; None where nothing came.
pub fn send(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut stream = connect(address);
    // A server that has refused may listen no longer.
    let _ = stream.write_all(bytes);
    receive(&mut stream)
}

/// Reads an answer until the connection ends; None where nothing came.
pub fn receive(stream: &mut TcpStream) -> Option<Answer> {
    let mut bytes = vec![];
    let mut buffer = [0; 65536];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(e) => panic!("the server hangs: {e} after {} bytes", bytes.len()),
        }
        if let Some(answer) = parse(&bytes) {
            return Some(answer);
        }
    }
    assert!(bytes.is_empty(), "half an answer: {}", String::from_utf8_lossy(&bytes));
    None
}

/// An answer that is there to its end.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head of text");
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
    let pair = |line: &str| {
        let (name, value) = line.split_once(':').expect("a header");
        (name.to_ascii_lowercase(), value.trim().to_string())
    };
    let head: Vec<(String, String)> = lines.map(pair).collect();
    let length = head.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, length)| length.parse().expect("a length"));
    let body = bytes.get(end + 4..end + 4 + length)?.to_vec();
    if (100..200).contains(&status) {
        return parse(&bytes[end + 4..]);
    }
    Some(Answer { status, head, body })
}

pub fn get(address: SocketAddr, path: &str) -> Answer {
    send(address, &request("GET", path, &[], &[])).expect("an answer")
}

/// Posts a body to the score's path.
pub fn post(address: SocketAddr, query: &str, kind: &str, body: &[u8]) -> Answer {
    let path = format!("/api/v1/score{query}");
    send(address, &request("POST", &path, &[("Content-Type", kind)], body)).expect("an answer")
}

/// Posts photos.
pub fn photos(address: SocketAddr, query: &str, files: &[(&str, &[u8])]) -> Answer {
    post(address, query, FORM, &form(files))
}

/// Posts URLs.
pub fn url(address: SocketAddr, url: &str) -> Answer {
    let body = serde_json::json!({ "url": url }).to_string();
    post(address, "", "application/json", body.as_bytes())
}
