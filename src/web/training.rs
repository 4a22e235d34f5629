//! A training as it goes on. Flows in: the log of a training, and `live.json` beside it, which another program writes. Flows
//! out: server-sent events.
//!
//! | event | data |
//! | --- | --- |
//! | `records` | new lines of the log, `[{"iter":…}, …]` |
//! | `look` | `live.json`: filters, and photos that the network gets wrong |
//! | `restart` | the log was begun anew: what was shown is of another training |

use super::refusal::Refusal;
use super::server::Shared;
use crate::training::live;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_core::Stream;
use serde_json::Value;
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

/// How often the files are looked at.
const OFTEN: Duration = Duration::from_millis(400);

/// Iterations that are sent of a long log's past: more than a curve on a screen shows.
const PAST: usize = 2000;

/// Most bytes that are read at a time, of the log and of `live.json`.
const MOST: u64 = 16 << 20;

/// Events, as they come.
pub(super) struct Events(Receiver<Event>);

impl Stream for Events {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|event| event.map(Ok))
    }
}

/// `GET /api/v1/training`: events until the reader leaves or the server stops.
pub(super) async fn training(
    State(shared): State<Arc<Shared>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refusal> {
    let Some(log) = shared.settings.training.clone() else {
        let message = "no training is followed; start the server with --training LOG";
        return Err(Refusal::new(StatusCode::NOT_FOUND, "no_training", message));
    };
    let (sender, receiver) = channel(4);
    let mut stop = shared.stop.clone();
    tokio::spawn(async move {
        let mut follower = Follower::new(log);
        loop {
            // Files are read off the threads that answer.
            let read = tokio::task::spawn_blocking(move || (follower.news(), follower)).await;
            let Ok((news, back)) = read else { return };
            follower = back;
            for (name, data) in news {
                if sender.send(Event::default().event(name).data(data)).await.is_err() {
                    return;
                }
            }
            let stopped = timeout(OFTEN, stop.wait_for(|stop| *stop)).await.is_ok();
            if stopped || sender.is_closed() {
                return;
            }
        }
    });
    Ok(Sse::new(Events(receiver)).keep_alive(KeepAlive::default()))
}

/// What has been told of a training.
struct Follower {
    log: PathBuf,
    /// Bytes of the log that were told.
    told: u64,
    /// When `live.json` was written that was told last.
    seen: Option<SystemTime>,
}

impl Follower {
    fn new(log: PathBuf) -> Self {
        Self { log, told: 0, seen: None }
    }

    /// What is new: names of events and their data. A file that is not there yet, or not for a moment, is no news.
    fn news(&mut self) -> Vec<(&'static str, String)> {
        let mut news = vec![];
        if std::fs::metadata(&self.log).is_ok_and(|meta| meta.len() < self.told) {
            (self.told, self.seen) = (0, None);
            news.push(("restart", "{}".to_string()));
        }
        match self.records() {
            Ok(records) if !records.is_empty() => {
                news.push(("records", Value::Array(records).to_string()));
            }
            _ => {}
        }
        if let Ok(Some(look)) = self.look() {
            news.push(("look", look));
        }
        news
    }

    /// New lines of the log that are whole, thinned where they are many. Tests are all kept.
    fn records(&mut self) -> io::Result<Vec<Value>> {
        let mut file = File::open(&self.log)?;
        file.seek(SeekFrom::Start(self.told))?;
        let mut bytes = vec![];
        file.take(MOST).read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        self.told += whole as u64;
        let lines = bytes[..whole].split(|&b| b == b'\n');
        let records = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        let records: Vec<Value> = records.filter(|r| r["iter"].is_u64()).collect();
        let step = records.len().div_ceil(PAST).max(1);
        let last = records.len().saturating_sub(1);
        let kept = |(at, r): &(usize, Value)| at % step == 0 || *at == last || !r["test"].is_null();
        Ok(records.into_iter().enumerate().filter(kept).map(|(_, r)| r).collect())
    }

    /// `live.json`, if it is another one than before.
    fn look(&mut self) -> io::Result<Option<String>> {
        let path = live::beside(&self.log);
        let written = std::fs::metadata(&path)?.modified()?;
        if self.seen == Some(written) {
            return Ok(None);
        }
        let look = json(&path)?;
        self.seen = Some(written);
        Ok(Some(look))
    }
}

/// A file of JSON on one line.
fn json(path: &Path) -> io::Result<String> {
    let mut bytes = vec![];
    File::open(path)?.take(MOST).read_to_end(&mut bytes)?;
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
    Ok(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_log_is_followed_line_by_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log.jsonl");
        let mut follower = Follower::new(log.clone());
        assert!(follower.news().is_empty());
        let mut file = File::create(&log).expect("a file");
        write!(file, "{{\"iter\":0,\"loss\":\"NaN\"}}\nno json\n{{\"iter\":1").expect("written");
        let news = follower.news();
        assert_eq!(news, [("records", r#"[{"iter":0,"loss":"NaN"}]"#.to_string())]);
        assert!(follower.news().is_empty(), "half a line is no news");
        writeln!(file, ",\"test\":0}}").expect("written");
        assert_eq!(follower.news(), [("records", r#"[{"iter":1,"test":0}]"#.to_string())]);

        let live = live::beside(&log);
        std::fs::write(&live, "{\"iter\": ").expect("written");
        assert!(follower.news().is_empty(), "half a file is no news");
        std::fs::write(&live, "{\"iter\": 1,\n\"wrong\": []}").expect("written");
        assert_eq!(follower.news(), [("look", r#"{"iter":1,"wrong":[]}"#.to_string())]);
        assert!(follower.news().is_empty());

        std::fs::write(&log, "{\"iter\":0}\n").expect("written");
        let names: Vec<_> = follower.news().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["restart", "records", "look"]);
    }

    #[test]
    fn a_long_past_is_thinned_but_for_its_tests() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log.jsonl");
        let line = |i: usize| match i % 1001 {
            1000 => format!("{{\"iter\":{i},\"test\":0}}\n"),
            _ => format!("{{\"iter\":{i}}}\n"),
        };
        std::fs::write(&log, (0..50_000).map(line).collect::<String>()).expect("written");
        let records = Follower::new(log).records().expect("there");
        assert!(records.len() <= PAST + 60, "{}", records.len());
        assert_eq!(records.iter().filter(|r| !r["test"].is_null()).count(), 49);
        assert_eq!(records.last().expect("some")["iter"], 49_999);
    }
}
