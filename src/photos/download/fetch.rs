//! One file from its address to the disk. Flows in: an address. Flows out: a partial file that is whole, or why there
//! is none.
//!
//! Beside `NAME.part` lies `NAME.etag`, by which a server knows whether what is here is the beginning of what it has.

use super::Halt;
use crate::error::Error;
use crate::photos::http::{Failure, Web, content_range, failure, parse_url, plain};
use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE};
use reqwest::{Response, StatusCode, Url};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// Fetches files.
pub(super) struct Fetcher {
    web: Web,
    max_bytes: u64,
    /// When each host last answered.
    heard: Mutex<HashMap<String, Instant>>,
}

/// What a fetch came to.
pub(super) enum Fetched {
    /// The whole file.
    Whole(PathBuf),
    /// Why there is none.
    Not(String),
}

/// How many may fetch at once: from one host, and in all.
pub(super) struct Places {
    pub host: Arc<Semaphore>,
    pub all: Arc<Semaphore>,
}

/// Why a try failed.
enum Fault {
    Failed(Failure),
    Disk(Error),
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The part of an address that names its host; nothing for files of this machine.
pub(super) fn host(url: &str) -> String {
    parse_url(url).ok().and_then(|url| url.host_str().map(String::from)).unwrap_or_default()
}

impl Fetcher {
    pub fn new(web: Web, max_bytes: u64) -> Self {
        Self { web, max_bytes, heard: Mutex::default() }
    }

    /// Fetches an address, or copies a file of this machine, into `base` with the ending `.part`.
    pub async fn fetch(&self, url: &str, base: &Path, places: &Places) -> Result<Fetched, Halt> {
        let part = base.with_extension("part");
        if let Some(folder) = base.parent() {
            fs::create_dir_all(folder).await.map_err(|e| Halt::Disk(Error::io(folder)(e)))?;
        }
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return self.copy(Path::new(url), &part).await;
        }
        let Ok(url) = parse_url(url) else {
            return Ok(Fetched::Not("its address is none of the web".into()));
        };
        let etag = base.with_extension("etag");
        let fetched = self.insist(&url, &part, &etag, places).await;
        if !matches!(fetched, Err(Halt::Unreachable(_))) {
            fs::remove_file(&etag).await.ok();
        }
        if matches!(fetched, Ok(Fetched::Not(_))) {
            fs::remove_file(&part).await.ok();
        }
        fetched
    }

    async fn copy(&self, from: &Path, part: &Path) -> Result<Fetched, Halt> {
        match fs::metadata(from).await {
            Ok(meta) if meta.len() > self.max_bytes => {
                return Ok(Fetched::Not(format!("{} bytes, more than allowed", meta.len())));
            }
            Ok(_) => {}
            Err(e) => return Ok(Fetched::Not(format!("{}: {e}", from.display()))),
        }
        match fs::copy(from, part).await {
            Ok(_) => Ok(Fetched::Whole(part.to_path_buf())),
            Err(e) => Err(Halt::Disk(Error::io(part)(e))),
        }
    }

    /// Tries until there is a file or no hope. Waits that a server asks for, and silence of a host, are no tries.
    async fn insist(
        &self,
        url: &Url,
        part: &Path,
        etag: &Path,
        places: &Places,
    ) -> Result<Fetched, Halt> {
        let (mut tries, begun) = (0, Instant::now());
        loop {
            let tried = {
                // The host's place first: who waits for a host holds no place of the others. Who waits for the next try
                // holds none.
                let _host = places.host.acquire().await;
                let _place = places.all.acquire().await;
                self.attempt(url, part, etag).await
            };
            let failure = match tried {
                Ok(()) => return Ok(Fetched::Whole(part.to_path_buf())),
                Err(Fault::Disk(error)) => return Err(Halt::Disk(error)),
                Err(Fault::Failed(failure)) => failure,
            };
            if !matches!(failure, Failure::Unreachable(_)) {
                self.heard().insert(host(url.as_str()), Instant::now());
            }
            match failure {
                Failure::Refused(_, reason) | Failure::Lasting(reason) => {
                    return Ok(Fetched::Not(reason));
                }
                Failure::Unreachable(reason) => {
                    let heard = self.heard().get(&host(url.as_str())).copied();
                    let since = heard.map_or(begun, |heard| heard.max(begun));
                    if since.elapsed() >= self.web.manners().patience {
                        return Err(Halt::Unreachable(reason));
                    }
                    sleep(self.web.backoff(2)).await;
                }
                Failure::Passing(reason, wait) => {
                    tries += 1;
                    if tries >= self.web.manners().tries {
                        return Ok(Fetched::Not(format!("{reason}; given up after {tries} tries")));
                    }
                    if let Some(wait) = wait {
                        self.web.pace(url).rest(wait);
                    }
                    sleep(self.web.backoff(tries).max(Duration::from_millis(1))).await;
                }
            }
        }
    }

    fn heard(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.heard.lock().unwrap_or_else(|e| e.into_inner())
    }

    async fn attempt(&self, url: &Url, part: &Path, etag: &Path) -> Result<(), Fault> {
        let (have, headers) = resume(part, etag).await;
        let response = match self.web.get(url, None, headers).await {
            // The part here is not of the file there.
            Err(Failure::Refused(416, reason)) if have > 0 => {
                fs::remove_file(part).await.map_err(|e| Fault::Disk(Error::io(part)(e)))?;
                return Err(Failure::Passing(reason, None).into());
            }
            response => response?,
        };
        self.heard().insert(host(url.as_str()), Instant::now());
        self.check_headers(url, &response)?;
        let from = match content_range(response.headers()) {
            Some((first, _)) if response.status() == StatusCode::PARTIAL_CONTENT => {
                if first != have {
                    return Err(Failure::Passing(
                        format!("{}: another range than asked for", plain(url)),
                        None,
                    )
                    .into());
                }
                have
            }
            _ => 0,
        };
        if let Some(tag) = response.headers().get(ETAG).or(response.headers().get(LAST_MODIFIED)) {
            fs::write(etag, tag.as_bytes()).await.map_err(|e| Fault::Disk(Error::io(etag)(e)))?;
        }
        self.receive(url, response, part, from).await
    }

    /// Refuses by the headers what would be refused in the end.
    fn check_headers(&self, url: &Url, response: &Response) -> Result<(), Failure> {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if let Some(kind) =
            kind.filter(|kind| kind.starts_with("text/") || kind.starts_with("video/"))
        {
            // What a proxy or an overloaded server shows for a while.
            return Err(Failure::Passing(
                format!("{}: {kind} instead of a picture", plain(url)),
                None,
            ));
        }
        match response.content_length() {
            Some(bytes) if bytes > self.max_bytes => {
                Err(Failure::Lasting(format!("{}: {bytes} bytes, more than allowed", plain(url))))
            }
            _ => Ok(()),
        }
    }

    /// Writes a body behind the first `from` bytes.
    async fn receive(
        &self,
        url: &Url,
        mut response: Response,
        part: &Path,
        from: u64,
    ) -> Result<(), Fault> {
        let disk = |e| Fault::Disk(Error::io(part)(e));
        let mut file = open(part, from).await.map_err(disk)?;
        let mut bytes = from;
        loop {
            let next = match response.chunk().await {
                Ok(next) => next,
                Err(e) => {
                    // What came is kept: the next try goes on behind it.
                    file.flush().await.map_err(disk)?;
                    return Err(failure(url, e).into());
                }
            };
            let Some(next) = next else { break };
            bytes += next.len() as u64;
            if bytes > self.max_bytes {
                return Err(
                    Failure::Lasting(format!("{}: more bytes than allowed", plain(url))).into()
                );
            }
            file.write_all(&next).await.map_err(disk)?;
        }
        file.flush().await.map_err(disk)
    }
}

async fn open(part: &Path, from: u64) -> std::io::Result<File> {
    if from == 0 {
        return File::create(part).await;
    }
    OpenOptions::new().append(true).open(part).await
}

/// How many bytes are here already, and the headers that ask for the others.
async fn resume(part: &Path, etag: &Path) -> (u64, HeaderMap) {
    let have = fs::metadata(part).await.map_or(0, |meta| meta.len());
    let tag = fs::read(etag).await.ok().and_then(|tag| HeaderValue::from_bytes(&tag).ok());
    match (have, tag, HeaderValue::from_str(&format!("bytes={have}-"))) {
        (1.., Some(tag), Ok(range)) if !tag.is_empty() && !tag.as_bytes().starts_with(b"W/") => {
            (have, HeaderMap::from_iter([(RANGE, range), (IF_RANGE, tag)]))
        }
        _ => (0, HeaderMap::new()),
    }
}
