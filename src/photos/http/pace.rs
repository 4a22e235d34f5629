//! How often one host is asked. Flows in: callers that want to ask. Flows out: each at its time.

use std::sync::Mutex;
use tokio::time::{Duration, Instant, sleep_until};

/// How much further apart turns are than the rate asks for: calls of one second may be nearer to one another where they
/// arrive than where they left, and still are no more than the rate.
const MARGIN: f64 = 1.02;

/// Turns at least so far apart, whoever takes them: no bursts, so that no window of time holds more than its
/// share.
pub struct Pace {
    apart: Duration,
    times: Mutex<Times>,
}

struct Times {
    /// The next turn that is free.
    next: Instant,
    /// Nobody is to ask before.
    quiet: Instant,
}

impl Pace {
    /// At most `rate` turns a second; without bound where it is 0.
    pub fn new(rate: f64) -> Self {
        let apart = if rate > 0.0 { MARGIN / rate } else { 0.0 };
        let apart = Duration::from_secs_f64(apart);
        let now = Instant::now();
        Self { apart, times: Mutex::new(Times { next: now, quiet: now }) }
    }

    /// Waits for the caller's turn.
    pub async fn turn(&self) {
        loop {
            let turn = self.take();
            sleep_until(turn).await;
            // Somebody may have been told to wait meanwhile.
            if turn >= self.times().quiet {
                return;
            }
        }
    }

    /// Nobody is to ask for a while.
    pub fn rest(&self, wait: Duration) {
        let mut times = self.times();
        times.quiet = times.quiet.max(Instant::now() + wait);
    }

    fn take(&self) -> Instant {
        let mut times = self.times();
        let turn = times.next.max(times.quiet).max(Instant::now());
        times.next = turn + self.apart;
        turn
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(|e| e.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// The turns of some callers at once, in milliseconds from the first on.
    fn turns(pace: &Arc<Pace>, callers: usize) -> Vec<u128> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            let begun = Instant::now();
            let caller = || {
                let pace = pace.clone();
                tokio::spawn(async move {
                    pace.turn().await;
                    begun.elapsed().as_millis()
                })
            };
            let callers: Vec<_> = (0..callers).map(|_| caller()).collect();
            let mut turns = vec![];
            for caller in callers {
                turns.push(caller.await.expect("a turn"));
            }
            turns.sort_unstable();
            turns
        })
    }

    #[test]
    fn callers_wait_for_each_other() {
        let turns = turns(&Arc::new(Pace::new(50.0)), 6);
        for (i, turn) in turns.iter().enumerate() {
            assert!(*turn >= 20 * i as u128, "turn {i} came after {turn} ms");
        }
    }

    #[test]
    fn a_rest_moves_all_who_wait() {
        let pace = Arc::new(Pace::new(0.0));
        assert!(turns(&pace, 3)[2] < 1000);
        pace.rest(Duration::from_millis(80));
        pace.rest(Duration::from_millis(10));
        assert!(turns(&pace, 3)[0] >= 79);
    }
}
