//! Downloads from a server of the test's own: whole, cut, resumed, wrong, missing.

#![cfg(feature = "fetch")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use weights_tools::Error;
use weights_tools::fetch::{Fetched, Patience, Progress, Sum, fetch, fetch_file, known};

/// How the server answers.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// As it should.
    Proper,
    /// The first body stops half way.
    CutOnce,
    /// `Range` is ignored.
    NoRange,
    /// A range that was not asked for.
    WrongRange,
    /// Nothing but this status.
    Status(&'static str),
    /// "Busy" once, then properly.
    BusyOnce,
    /// Headers, then silence.
    Stall,
}

struct Server {
    url: String,
    /// The `Range` header of each request; empty where there was none.
    ranges: Arc<Mutex<Vec<String>>>,
}

fn content() -> Vec<u8> {
    (0..100_000u32).map(|i| (i.wrapping_mul(i) >> 3) as u8).collect()
}

fn serve(manner: Manner) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/file.bin", listener.local_addr().unwrap());
    let ranges = Arc::new(Mutex::new(vec![]));
    let seen = Arc::clone(&ranges);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { return };
            let _ = answer(stream, manner, number, &seen);
        }
    });
    Server { url, ranges }
}

fn answer(
    mut stream: TcpStream,
    manner: Manner,
    number: usize,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut range = String::new();
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("range: ") {
            range = value.to_owned();
        }
    }
    seen.lock().unwrap().push(range.clone());
    let body = content();
    let status = match manner {
        Manner::Status(status) => Some(status),
        Manner::BusyOnce if number == 0 => Some("503 Service Unavailable"),
        _ => None,
    };
    if let Some(status) = status {
        return write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    let first = range.strip_prefix("bytes=").and_then(|r| r.strip_suffix('-')?.parse().ok());
    let first: usize = if manner == Manner::NoRange { 0 } else { first.unwrap_or(0) };
    let (total, last) = (body.len(), body.len() - 1);
    if first >= total {
        return write!(
            stream,
            "HTTP/1.1 416 No\r\nContent-Range: bytes */{total}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    if first > 0 {
        let told = if manner == Manner::WrongRange { first + 1 } else { first };
        write!(stream, "HTTP/1.1 206 Partial\r\nContent-Range: bytes {told}-{last}/{total}\r\n")?;
    } else {
        write!(stream, "HTTP/1.1 200 OK\r\n")?;
    }
    write!(stream, "Content-Length: {}\r\nConnection: close\r\n\r\n", total - first)?;
    let end = if manner == Manner::CutOnce && number == 0 { total / 2 } else { total };
    if manner == Manner::Stall {
        std::thread::sleep(Duration::from_millis(600));
        return Ok(());
    }
    stream.write_all(&body[first..end])
}

fn sum() -> Sum {
    use sha1::Digest as _;
    let digest = sha1::Sha1::digest(content());
    Sum::Sha1(digest.iter().map(|b| format!("{b:02x}")).collect())
}

fn get(server: &Server, path: &Path, sum: Option<Sum>) -> Result<Fetched, Error> {
    let patience = Patience {
        connect: Duration::from_secs(5),
        read: Duration::from_millis(300),
        attempts: 3,
        backoff: Duration::from_millis(5),
    };
    fetch_file(&server.url, path, sum.as_ref(), patience, &mut |_| {})
}

fn part(path: &Path) -> std::path::PathBuf {
    path.with_extension("bin.part")
}

#[test]
fn a_whole_file_and_not_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    let server = serve(Manner::Proper);
    let fetched = get(&server, &path, Some(sum())).unwrap();
    assert_eq!((fetched.bytes, fetched.transferred), (100_000, 100_000));
    assert_eq!(fetched.verified, Some(sum()));
    assert_eq!(std::fs::read(&path).unwrap(), content());
    assert!(!part(&path).exists());
    let again = get(&server, &path, Some(sum())).unwrap();
    assert_eq!((again.transferred, again.sha256), (0, fetched.sha256));
    assert_eq!(server.ranges.lock().unwrap().len(), 1);
    // A file of that name with other content is replaced.
    std::fs::write(&path, b"something else").unwrap();
    assert_eq!(get(&server, &path, Some(sum())).unwrap().transferred, 100_000);
}

#[test]
fn a_cut_file_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    let server = serve(Manner::CutOnce);
    let fetched = get(&server, &path, Some(sum())).unwrap();
    assert_eq!(fetched.transferred, 100_000);
    assert_eq!(std::fs::read(&path).unwrap(), content());
    assert_eq!(*server.ranges.lock().unwrap(), ["", "bytes=50000-"]);
}

#[test]
fn a_part_from_earlier_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    for (have, transferred) in [(10, 99_990), (99_999, 1), (100_000, 0)] {
        let path = folder.path().join(format!("{have}.bin"));
        std::fs::write(part(&path), &content()[..have]).unwrap();
        let fetched = get(&serve(Manner::Proper), &path, Some(sum())).unwrap();
        assert_eq!(fetched.transferred, transferred);
        assert_eq!(std::fs::read(&path).unwrap(), content());
    }
    // A part that is longer than the file cannot belong to it.
    let path = folder.path().join("long.bin");
    std::fs::write(part(&path), vec![0; 100_001]).unwrap();
    assert_eq!(get(&serve(Manner::Proper), &path, Some(sum())).unwrap().transferred, 100_000);
}

#[test]
fn servers_that_ignore_or_mistake_the_range() {
    let folder = tempfile::tempdir().unwrap();
    for manner in [Manner::NoRange, Manner::WrongRange] {
        let path = folder.path().join("a.bin");
        std::fs::write(part(&path), vec![0xaa; 5000]).unwrap();
        let fetched = get(&serve(manner), &path, Some(sum())).unwrap();
        assert_eq!(fetched.transferred, 100_000);
        assert_eq!(std::fs::read(&path).unwrap(), content());
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_wrong_sum_is_an_error_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    let wrong = Sum::parse(&"0".repeat(64)).unwrap();
    let error = get(&serve(Manner::Proper), &path, Some(wrong)).unwrap_err().to_string();
    assert!(error.contains("expected SHA-256 0000") && error.contains("got SHA-256 "), "{error}");
    assert!(!path.exists() && !part(&path).exists());
}

#[test]
fn refusals_end_at_once_and_troubles_after_a_few_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    let server = serve(Manner::Status("404 Not Found"));
    let error = get(&server, &path, None).unwrap_err().to_string();
    assert!(error.contains("404"), "{error}");
    assert_eq!(server.ranges.lock().unwrap().len(), 1);

    let server = serve(Manner::Status("500 Oops"));
    assert!(get(&server, &path, None).unwrap_err().to_string().contains("3 attempts"));
    assert_eq!(server.ranges.lock().unwrap().len(), 3);

    assert!(get(&serve(Manner::Stall), &path, None).unwrap_err().to_string().contains("attempts"));
    assert_eq!(get(&serve(Manner::BusyOnce), &path, None).unwrap().verified, None);

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = Server { url: format!("http://{nobody}/x"), ranges: Default::default() };
    assert!(get(&nobody, &folder.path().join("b.bin"), None).is_err());
    let nonsense = Server { url: "no address".into(), ranges: Default::default() };
    assert!(get(&nonsense, &folder.path().join("b.bin"), None).is_err());
}

#[test]
fn a_known_model_from_a_mirror() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(Manner::Proper);
    let base = server.url.strip_suffix("/file.bin").unwrap();
    let model = known().iter().find(|m| m.name == "caffenet").unwrap();
    let mut last = 0;
    let mut progress = |p: Progress<'_>| last = p.done;
    let report = fetch(model, folder.path(), Some(base), Some(sum()), &mut progress).unwrap();
    assert_eq!(last, 100_000);
    assert_eq!(report.weights.path, folder.path().join("caffenet.caffemodel"));
    assert_eq!(report.weights.url, format!("{base}/bvlc_reference_caffenet.caffemodel"));
    assert!(report.prototxt.path.exists() && report.labels.path.exists());
    assert!(known().iter().all(|m| m.sum().is_none_or(|s| Sum::parse(m.sha1.unwrap()) == Some(s))));
}
