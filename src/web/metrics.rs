//! What the server has done, as Prometheus reads it. Flows in: requests, batches. Flows out: text in Prometheus's exposition
//! format 0.0.4.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of a request's time in seconds.
const SECONDS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Upper bounds of a batch's photos.
const PHOTOS: [f64; 6] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];

/// Counts since the start.
#[derive(Default)]
pub(super) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    seconds: Mutex<BTreeMap<&'static str, Histogram<12>>>,
    batches: Mutex<Histogram<6>>,
    scored: AtomicU64,
}

/// How often a value lay below each bound and above the one before; the last place is for those above all.
struct Histogram<const N: usize> {
    bounds: [f64; N],
    counts: [u64; N],
    above: u64,
    sum: f64,
}

impl Default for Histogram<12> {
    fn default() -> Self {
        Self { bounds: SECONDS, counts: [0; 12], above: 0, sum: 0.0 }
    }
}

impl Default for Histogram<6> {
    fn default() -> Self {
        Self { bounds: PHOTOS, counts: [0; 6], above: 0, sum: 0.0 }
    }
}

impl<const N: usize> Histogram<N> {
    fn add(&mut self, value: f64) {
        match self.bounds.iter().position(|&bound| value <= bound) {
            Some(place) => self.counts[place] += 1,
            None => self.above += 1,
        }
        self.sum += value;
    }

    /// The lines of one histogram; `labels` end in a comma unless there are none.
    fn write(&self, text: &mut String, name: &str, labels: &str) {
        let mut below = 0;
        for (bound, count) in self.bounds.iter().zip(&self.counts) {
            below += count;
            let _ = writeln!(text, "{name}_bucket{{{labels}le=\"{bound}\"}} {below}");
        }
        let all = below + self.above;
        let _ = writeln!(text, "{name}_bucket{{{labels}le=\"+Inf\"}} {all}");
        let labels = match labels.trim_end_matches(',') {
            "" => String::new(),
            labels => format!("{{{labels}}}"),
        };
        let _ = writeln!(text, "{name}_sum{labels} {}\n{name}_count{labels} {all}", self.sum);
    }
}

/// What is known elsewhere.
pub(super) struct Now {
    pub queue: usize,
    pub connections: usize,
}

impl Metrics {
    /// A request was answered.
    pub fn request(&self, route: &'static str, status: u16, took: Duration) {
        *lock(&self.requests).entry((route, status)).or_default() += 1;
        lock(&self.seconds).entry(route).or_default().add(took.as_secs_f64());
    }

    /// A batch goes to the engine.
    pub fn batch(&self, photos: usize) {
        lock(&self.batches).add(photos as f64);
    }

    /// A photo got its score.
    pub fn scored(&self) {
        self.scored.fetch_add(1, Relaxed);
    }

    /// Everything, as text.
    pub fn text(&self, now: &Now) -> String {
        let mut text = String::new();
        head(&mut text, "likenet_requests_total", "counter", "Requests by route and status.");
        for ((route, status), count) in lock(&self.requests).iter() {
            let labels = format!("route=\"{route}\",status=\"{status}\"");
            let _ = writeln!(text, "likenet_requests_total{{{labels}}} {count}");
        }
        let name = "likenet_request_seconds";
        head(&mut text, name, "histogram", "Seconds from a request's head to its answer.");
        for (route, histogram) in lock(&self.seconds).iter() {
            histogram.write(&mut text, name, &format!("route=\"{route}\","));
        }
        let name = "likenet_batch_photos";
        head(&mut text, name, "histogram", "Photos of a batch that went to the engine.");
        lock(&self.batches).write(&mut text, name, "");
        let scored = self.scored.load(Relaxed) as f64;
        let rest = [
            ("likenet_photos_scored_total", "counter", "Photos that got a score.", Some(scored)),
            (
                "likenet_queue_photos",
                "gauge",
                "Photos that wait for a score.",
                Some(now.queue as f64),
            ),
            ("likenet_connections", "gauge", "Open connections.", Some(now.connections as f64)),
            ("process_resident_memory_bytes", "gauge", "Resident memory.", resident()),
        ];
        for (name, kind, help, value) in rest {
            if let Some(value) = value {
                head(&mut text, name, kind, help);
                let _ = writeln!(text, "{name} {value}");
            }
        }
        text
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Resident memory in bytes, where the system tells it as Linux does.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

/// Counts are whole whoever held them.
fn lock<T>(counts: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    counts.lock().unwrap_or_else(|e| e.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let metrics = Metrics::default();
        for photos in [1, 1, 3, 32] {
            metrics.batch(photos);
        }
        metrics.request("/", 200, Duration::from_millis(3));
        metrics.request("/", 200, Duration::from_secs(11));
        metrics.request("other", 404, Duration::ZERO);
        metrics.scored();
        let text = metrics.text(&Now { queue: 5, connections: 7 });
        for line in [
            "likenet_requests_total{route=\"/\",status=\"200\"} 2",
            "likenet_requests_total{route=\"other\",status=\"404\"} 1",
            "likenet_request_seconds_bucket{route=\"/\",le=\"0.0025\"} 0",
            "likenet_request_seconds_bucket{route=\"/\",le=\"0.005\"} 1",
            "likenet_request_seconds_bucket{route=\"/\",le=\"10\"} 1",
            "likenet_request_seconds_bucket{route=\"/\",le=\"+Inf\"} 2",
            "likenet_request_seconds_sum{route=\"/\"} 11.003",
            "likenet_request_seconds_count{route=\"/\"} 2",
            "likenet_batch_photos_bucket{le=\"1\"} 2",
            "likenet_batch_photos_bucket{le=\"2\"} 2",
            "likenet_batch_photos_bucket{le=\"4\"} 3",
            "likenet_batch_photos_bucket{le=\"+Inf\"} 4",
            "likenet_batch_photos_sum 37",
            "likenet_photos_scored_total 1",
            "likenet_queue_photos 5",
            "likenet_connections 7",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert_eq!(text.contains("process_resident_memory_bytes "), cfg!(target_os = "linux"));
    }
}
