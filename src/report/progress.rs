//! How far a training run is, live.
//!
//! Flows in: each iteration's loss and rate. Flows out: a line on the terminal that stays current; if
//! standard error is not a terminal, a plain line every few iterations, in Caffe's words:
//!
//! ```text
//! Iteration 100 (12.3 iter/s, 8.13s/100 iters), loss = 0.7012, lr = 0.001, 812.3 images/s, 14:02 left
//! ```

use indicatif::{ProgressBar, ProgressStyle};
use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Prints where a training run stands.
pub struct Progress {
    max_iter: usize,
    images_per_iter: usize,
    display: usize,
    clock: Clock,
    speed: Speed,
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    Lines(Box<dyn Fn(&str) + Send>),
}

impl Progress {
    /// Begins with iteration `start_iter` of `max_iter`. Where there is no terminal, each iteration
    /// that `display` divides has a line; 0 means none.
    pub fn new(max_iter: usize, start_iter: usize, images_per_iter: usize, display: usize) -> Self {
        let shown = match std::io::stderr().is_terminal() {
            true => Shown::Bar(bar(max_iter, start_iter)),
            // A reader that has gone does not end a training run.
            false => Shown::Lines(Box::new(|line| drop(writeln!(std::io::stderr(), "{line}")))),
        };
        let speed = Speed::new(start_iter);
        Self { max_iter, images_per_iter, display, clock: Clock::new(), speed, shown }
    }

    /// Iteration `iter` (from 0) is done: its loss, the mean of the last losses, its learning rate.
    pub fn step(&mut self, iter: usize, loss: f32, smoothed: f32, lr: f32) {
        self.speed.add(self.clock.seconds(), iter + 1);
        match &self.shown {
            Shown::Bar(bar) => {
                let pace = self.pace(iter);
                bar.set_message(format!("loss {loss:.4}, mean {smoothed:.4}, lr {lr}{pace}"));
                bar.set_position(iter as u64 + 1);
            }
            Shown::Lines(print) if self.display > 0 && iter.is_multiple_of(self.display) => {
                let (every, rate) = (self.display, self.speed.per_second());
                let rate = rate.map_or(String::new(), |r| {
                    format!(" ({r:.3} iter/s, {:.2}s/{every} iters)", every as f64 / r)
                });
                let pace = self.pace(iter);
                print(&format!("Iteration {iter}{rate}, loss = {smoothed:.4}, lr = {lr}{pace}"));
            }
            Shown::Lines(_) => {}
        }
    }

    /// Images a second of the last half minute; None while too little is measured.
    pub fn images_per_second(&self) -> Option<f64> {
        Some(self.speed.per_second()? * self.images_per_iter as f64)
    }

    /// Prints a line above the bar: a test's results, a snapshot.
    pub fn note(&self, text: &str) {
        match &self.shown {
            Shown::Bar(bar) => bar.println(text),
            Shown::Lines(print) => print(text),
        }
    }

    /// Something other than training begins: its time does not count.
    pub fn pause(&mut self) {
        self.clock.pause();
    }

    /// Training goes on.
    pub fn resume(&mut self) {
        self.clock.resume();
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }

    /// In words: images a second and the time left after iteration `iter`, once they are known.
    fn pace(&self, iter: usize) -> String {
        let (Some(images), Some(rate)) = (self.images_per_second(), self.speed.per_second()) else {
            return String::new();
        };
        let left = self.max_iter.saturating_sub(iter + 1) as f64 / rate;
        format!(", {images:.1} images/s, {} left", duration(left))
    }
}

fn bar(max_iter: usize, start_iter: usize) -> ProgressBar {
    let bar = ProgressBar::new(max_iter as u64).with_position(start_iter as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {msg}") {
        bar.set_style(style);
    }
    bar
}

/// `4:05`, `1:02:09` or `3 d 1:02:09`.
fn duration(seconds: f64) -> String {
    let s = seconds.round() as u64;
    let (days, h, m, s) = (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
    match (days, h) {
        (0, 0) => format!("{m}:{s:02}"),
        (0, _) => format!("{h}:{m:02}:{s:02}"),
        _ => format!("{days} d {h}:{m:02}:{s:02}"),
    }
}

/// Seconds spent training.
struct Clock {
    /// Of the stretches before the current one.
    before: f64,
    /// When the current one began; None in a pause.
    since: Option<Instant>,
}

impl Clock {
    fn new() -> Self {
        Self { before: 0.0, since: Some(Instant::now()) }
    }

    fn seconds(&self) -> f64 {
        self.before + self.since.map_or(0.0, |since| since.elapsed().as_secs_f64())
    }

    fn pause(&mut self) {
        self.before = self.seconds();
        self.since = None;
    }

    fn resume(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }
}

/// Iterations a second, lately.
struct Speed {
    /// (seconds, iterations done): the last is now, the others at least [`Speed::GRAIN`] apart.
    marks: VecDeque<(f64, usize)>,
}

impl Speed {
    /// Seconds that count.
    const WINDOW: f64 = 30.0;
    /// Seconds between marks: fast iterations share one. Less is no measurement.
    const GRAIN: f64 = 0.25;

    fn new(start_iter: usize) -> Self {
        Self { marks: [(0.0, start_iter)].into() }
    }

    fn add(&mut self, seconds: f64, done: usize) {
        let n = self.marks.len();
        if n > 2 && self.marks[n - 1].0 - self.marks[n - 2].0 < Self::GRAIN {
            self.marks.pop_back();
        }
        self.marks.push_back((seconds, done));
        // The oldest mark stays until the one after it is old enough: slow iterations count too.
        while self.marks.len() > 2 && seconds - self.marks[1].0 >= Self::WINDOW {
            self.marks.pop_front();
        }
    }

    fn per_second(&self) -> Option<f64> {
        let (first, last) = (self.marks.front()?, self.marks.back()?);
        let (seconds, done) = (last.0 - first.0, last.1.saturating_sub(first.1));
        (seconds >= Self::GRAIN && done > 0).then(|| done as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    /// A progress that notes its lines.
    fn lines(display: usize) -> (Progress, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&lines);
        let print = move |line: &str| into.lock().unwrap().push(line.to_string());
        let shown = Shown::Lines(Box::new(print));
        (Progress { shown, ..Progress::new(1000, 100, 64, display) }, lines)
    }

    #[test]
    fn lines_come_every_display_iterations() {
        let (mut progress, lines) = lines(20);
        progress.speed.marks = [(-10.0, 100)].into();
        for iter in 100..=125 {
            progress.step(iter, 0.5, 0.75, 0.01);
        }
        progress.note("Snapshotting to a.caffemodel");
        progress.finish();
        let lines = lines.lock().unwrap();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with("Iteration 100 (0."), "{}", lines[0]);
        assert!(lines[1].starts_with("Iteration 120 (2.") && lines[1].contains("s/20 iters)"));
        assert!(lines[1].contains("loss = 0.7500, lr = 0.01") && lines[1].ends_with(" left"));
        assert_eq!(lines[2], "Snapshotting to a.caffemodel");
    }

    #[test]
    fn speed_and_time_left_wait_until_they_are_measured() {
        let (mut progress, lines) = lines(1);
        progress.step(100, 0.5, 0.75, 0.01);
        assert_eq!(*lines.lock().unwrap(), ["Iteration 100, loss = 0.7500, lr = 0.01"]);
        assert_eq!(progress.images_per_second(), None);
    }

    #[test]
    fn display_zero_prints_only_notes() {
        let (mut progress, lines) = lines(0);
        progress.step(100, f32::NAN, f32::NAN, 0.0);
        progress.note("note");
        assert_eq!(*lines.lock().unwrap(), ["note"]);
    }

    #[test]
    fn the_bar_shows_position_and_losses() {
        let shown = Shown::Bar(ProgressBar::hidden());
        let mut progress = Progress { shown, ..Progress::new(1000, 0, 64, 1) };
        progress.speed.marks = [(-10.0, 0)].into();
        progress.step(41, 0.5, 0.75, 1e-5);
        let Shown::Bar(bar) = &progress.shown else { panic!("a bar") };
        assert_eq!(bar.position(), 42);
        assert!(bar.message().starts_with("loss 0.5000, mean 0.7500, lr 0.00001, "));
        progress.finish();
        assert!(matches!(&progress.shown, Shown::Bar(bar) if bar.is_finished()));
    }

    #[test]
    fn speed_is_that_of_the_last_half_minute() {
        let mut speed = Speed::new(0);
        assert_eq!(speed.per_second(), None);
        speed.add(1e-6, 1);
        assert_eq!(speed.per_second(), None);
        let mut speed = Speed::new(0);
        // A minute at 2 iterations a second, then a minute at 2000.
        let slow = (1..=120).map(|i| (i as f64 * 0.5, i));
        let fast = (1..=120_000).map(|i| (60.0 + i as f64 / 2000.0, 120 + i));
        for (seconds, done) in slow {
            speed.add(seconds, done);
            assert!((speed.per_second().unwrap() - 2.0).abs() < 1e-9);
        }
        let mut most = 0;
        for (seconds, done) in fast {
            speed.add(seconds, done);
            most = most.max(speed.marks.len());
        }
        assert!((speed.per_second().unwrap() - 2000.0).abs() < 1e-6, "{:?}", speed.per_second());
        assert!(most < 130, "{most} marks");
        // One iteration of a minute: still a speed.
        speed.add(180.0, 120_121);
        speed.add(240.0, 120_122);
        assert!((speed.per_second().unwrap() - 1.0 / 60.0).abs() < 1e-9);
    }

    #[test]
    fn a_pause_does_not_count() {
        let mut clock = Clock::new();
        clock.pause();
        let before = clock.seconds();
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(clock.seconds(), before);
        clock.resume();
        clock.resume();
        std::thread::sleep(Duration::from_millis(5));
        let after = clock.seconds();
        assert!(after >= before + 0.005 && after < before + 30.0, "{before} {after}");
    }

    #[test]
    fn durations_read_as_clocks() {
        assert_eq!(duration(245.2), "4:05");
        assert_eq!(duration(3729.0), "1:02:09");
        assert_eq!(duration(86_400.0 * 3.0 + 3729.0), "3 d 1:02:09");
        assert_eq!(duration(f64::INFINITY).split(' ').nth(1), Some("d"));
    }
}
