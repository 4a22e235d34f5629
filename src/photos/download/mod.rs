//! Photos' files. Flows in: addresses of labelled photos. Flows out: files on the disk, each with its sum, its size
//! and its likeness, or the reason why there is none.
//!
//! ```text
//! store → queue → fetch (partial files, retries, waits) → check (type, size, likeness) → store
//!                                                           then duplicates
//! ```
//!
//! A file gets its name when it is whole and checked; until then it is `NAME.part`, which a later run goes on with.

mod check;
mod duplicates;
mod fetch;

use super::http::{Manners, Web};
use super::store::Store;
use super::watch::Watch;
use crate::error::{Error, Result};
use check::{Checked, check};
use fetch::{Fetched, Fetcher, Places};
use rusqlite::params;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

/// How photos are fetched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Photos that are fetched at once.
    pub workers: usize,
    /// Of these from one host.
    pub per_host: usize,
    /// Photos a second from one host, at most; without bound where it is 0.
    pub rate: f64,
    /// How often a photo is asked for in all.
    pub tries: u32,
    /// Seconds that a host which does not answer is waited for.
    pub patience: u64,
    /// Bytes of a file, at most.
    pub max_bytes: u64,
    /// Pixels along the shorter side, at least.
    pub min_side: usize,
    /// Bits of 256 by which two likenesses of the same picture may differ; none are compared where it is below 0.
    pub alike: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: 16,
            per_host: 4,
            rate: 10.0,
            tries: 5,
            patience: 120,
            max_bytes: 30 << 20,
            min_side: 64,
            alike: 10,
        }
    }
}

impl Settings {
    fn check(&self) -> Result<()> {
        let wrong = |what: &str| Err(Error::Invalid(format!("[download] {what}")));
        match () {
            () if !(1..=1024).contains(&self.workers) => wrong("workers: 1 to 1024"),
            () if !(1..=1024).contains(&self.per_host) => wrong("per_host: 1 to 1024"),
            () if !(self.rate >= 0.0 && self.rate <= 1e6) => {
                wrong("rate: photos a second, from 0 on")
            }
            () if self.max_bytes == 0 => wrong("max_bytes: above 0"),
            () => Ok(()),
        }
    }
}

/// Open files of a fetch: its connection and its file; and those that the program has anyway.
const FILES_OF_A_FETCH: u64 = 3;
const FILES_OF_THE_PROGRAM: u64 = 64;

/// Fetches that this process may have at once: as many as were asked for, and no more than its limit of open files
/// allows.
fn workers(asked: usize) -> usize {
    #[cfg(unix)]
    if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        let most = limit.saturating_sub(FILES_OF_THE_PROGRAM) / FILES_OF_A_FETCH;
        return asked.min(most.max(1) as usize);
    }
    asked
}

/// A photo to fetch.
#[derive(Clone, Debug)]
struct Wanted {
    id: i64,
    url: String,
}

/// What came of it.
struct Done {
    id: i64,
    result: std::result::Result<Checked, String>,
}

/// Why no more photos are fetched.
enum Halt {
    /// A host does not answer.
    Unreachable(String),
    /// The disk does not take files.
    Disk(Error),
}

/// Fetches what is not there yet of all photos with a label. Files go below `folder`, relative paths of local photos
/// count from where the program runs; `contact` is told to servers. Gives a line that sums it up.
///
/// Fails where a host does not answer for longer than the patience lasts, or the disk is full; then what was fetched
/// is kept, and another call goes on.
pub fn download(
    store: &mut Store,
    settings: &Settings,
    contact: &str,
    folder: &Path,
    watch: &dyn Watch,
) -> Result<String> {
    settings.check()?;
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let total = store.number("SELECT count(*) FROM labels WHERE removed IS NULL")?;
    let web = store.number("SELECT count(*) FROM photos WHERE url LIKE 'http%'")?;
    if web > 0 && contact.is_empty() {
        return Err(Error::Invalid(
            "[collect] contact: photos are fetched from servers; give an address where their administrators reach you"
                .into(),
        ));
    }
    watch.begin("photos", Some(total));
    // A photo that a new preparation removed, or that failed for a time, is decided anew.
    store.change(|db| db.execute("DELETE FROM downloads WHERE state = 'failed'", []))?;
    super::runtime()?.block_on(fetch_all(store, settings, contact, folder, watch))?;
    duplicates::mark(store, settings.alike, settings.min_side)?;
    summary(store)
}

fn summary(store: &Store) -> Result<String> {
    let count = |what: &str| {
        let query =
            "SELECT count(*) FROM downloads JOIN labels USING (photo) WHERE removed IS NULL AND";
        store.number(&format!("{query} {what}"))
    };
    Ok(format!(
        "{} photos, {} of them twice; {} failed",
        count("state = 'done'")?,
        count("duplicate_of NOT NULL")?,
        count("state = 'failed'")?
    ))
}

async fn fetch_all(
    store: &mut Store,
    settings: &Settings,
    contact: &str,
    folder: &Path,
    watch: &dyn Watch,
) -> Result<()> {
    let manners = Manners {
        rate: settings.rate,
        contact: contact.to_string(),
        tries: settings.tries.max(1),
        patience: Duration::from_secs(settings.patience),
    };
    let fetcher = Arc::new(Fetcher::new(Web::new(manners)?, settings.max_bytes));
    let all = Arc::new(Semaphore::new(workers(settings.workers)));
    let decoders = std::thread::available_parallelism().map_or(1, |n| n.get());
    let decoding = Arc::new(Semaphore::new(decoders));
    let mut hosts: HashMap<String, Arc<Semaphore>> = HashMap::new();
    let (tell, mut told) = mpsc::channel::<std::result::Result<Done, Halt>>(64);
    let mut writer = Writer::new(store, folder, watch)?;
    let mut queue = Queue::default();
    let mut running = 0;
    loop {
        // As many are begun as can wait without holding memory.
        while running < 2 * settings.workers {
            let Some(wanted) = queue.next(writer.store)? else { break };
            let host = fetch::host(&wanted.url);
            let host =
                hosts.entry(host).or_insert_with(|| Arc::new(Semaphore::new(settings.per_host)));
            let task = Task {
                wanted,
                folder: folder.to_path_buf(),
                fetcher: fetcher.clone(),
                all: all.clone(),
                host: host.clone(),
                decoding: decoding.clone(),
            };
            let tell = tell.clone();
            tokio::spawn(async move { tell.send(task.run().await).await.ok() });
            running += 1;
        }
        if running == 0 {
            return writer.flush();
        }
        match told.recv().await {
            Some(Ok(done)) => writer.add(done)?,
            Some(Err(halt)) => {
                writer.flush()?;
                return Err(match halt {
                    Halt::Unreachable(reason) => {
                        Error::Invalid(format!("{reason}; run again to go on when it is there"))
                    }
                    Halt::Disk(error) => error,
                });
            }
            None => return Err(Error::Invalid("downloads ended before they were done".into())),
        }
        running -= 1;
    }
}

/// Photos that are not fetched yet, a part of them at a time.
#[derive(Default)]
struct Queue {
    ready: VecDeque<Wanted>,
    last: i64,
}

impl Queue {
    fn next(&mut self, store: &Store) -> Result<Option<Wanted>> {
        if self.ready.is_empty() {
            self.ready = store.read(|db| {
                let mut query = db.prepare_cached(
                    "SELECT photos.id, url FROM photos JOIN labels ON labels.photo = photos.id
                     LEFT JOIN downloads ON downloads.photo = photos.id
                     WHERE removed IS NULL AND state IS NULL AND photos.id > ?1
                     ORDER BY photos.id LIMIT 1000",
                )?;
                let wanted = |row: &rusqlite::Row| Ok(Wanted { id: row.get(0)?, url: row.get(1)? });
                query.query_map([self.last], wanted)?.collect()
            })?;
            self.last = self.ready.back().map_or(self.last, |wanted| wanted.id);
        }
        Ok(self.ready.pop_front())
    }
}

/// The way of one photo.
struct Task {
    wanted: Wanted,
    folder: PathBuf,
    fetcher: Arc<Fetcher>,
    all: Arc<Semaphore>,
    host: Arc<Semaphore>,
    decoding: Arc<Semaphore>,
}

impl Task {
    async fn run(self) -> std::result::Result<Done, Halt> {
        let id = self.wanted.id;
        let base = self.folder.join(below(id));
        let places = Places { host: self.host, all: self.all };
        let file = match self.fetcher.fetch(&self.wanted.url, &base, &places).await {
            Ok(Fetched::Whole(file)) => file,
            Ok(Fetched::Not(reason)) => return Ok(Done { id, result: Err(reason) }),
            Err(halt) => return Err(halt),
        };
        let _turn = self.decoding.acquire().await;
        let checked = tokio::task::spawn_blocking(move || check(&file, &base));
        match checked.await {
            Ok(Ok(result)) => Ok(Done { id, result }),
            Ok(Err(error)) => Err(Halt::Disk(error)),
            Err(_) => Ok(Done { id, result: Err("the picture's decoder failed".into()) }),
        }
    }
}

/// Where a photo's file is, below the folder and without its ending: a thousand to a folder.
fn below(id: i64) -> PathBuf {
    PathBuf::from(format!("{:04}", id / 1000)).join(format!("{id:07}"))
}

/// Writes results down, many in one change.
struct Writer<'a> {
    store: &'a mut Store,
    folder: &'a Path,
    watch: &'a dyn Watch,
    waiting: Vec<Done>,
    written: Instant,
    done: u64,
}

impl<'a> Writer<'a> {
    fn new(store: &'a mut Store, folder: &'a Path, watch: &'a dyn Watch) -> Result<Self> {
        let done = "SELECT count(*) FROM downloads JOIN labels USING (photo) WHERE removed IS NULL";
        let done = store.number(done)?;
        watch.at(done);
        Ok(Self { store, folder, watch, waiting: vec![], written: Instant::now(), done })
    }

    fn add(&mut self, done: Done) -> Result<()> {
        if let Err(reason) = &done.result {
            self.watch.note(&format!("photo {}: {reason}", done.id));
        }
        self.waiting.push(done);
        self.done += 1;
        self.watch.at(self.done);
        let due = self.waiting.len() >= 200 || self.written.elapsed() > Duration::from_millis(500);
        if due { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let (waiting, folder) = (std::mem::take(&mut self.waiting), self.folder);
        self.written = Instant::now();
        self.store.change(|db| {
            let mut insert = db.prepare_cached(
                "INSERT OR REPLACE INTO downloads VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL, ?9)",
            )?;
            for Done { id, result } in &waiting {
                match result {
                    Ok(checked) => {
                        let file = checked.file.strip_prefix(folder).unwrap_or(&checked.file);
                        insert.execute(params![
                            id,
                            "done",
                            file.to_string_lossy().replace('\\', "/"),
                            checked.bytes,
                            checked.sha256,
                            checked.width,
                            checked.height,
                            &checked.likeness[..],
                            None::<&str>
                        ])?;
                    }
                    Err(reason) => {
                        let none = None::<&str>;
                        insert.execute(params![id, "failed", none, none, none, none, none, none, reason])?;
                    }
                }
            }
            Ok(())
        })
    }
}
