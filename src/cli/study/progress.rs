//! How far a study is, on the terminal: a line for each stage, and a bar for what is under way.

use indicatif::{ProgressBar, ProgressStyle};
use likenet::photos::watch::Watch;
use likenet::pipeline::{Finished, Progress, Stage};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A line for each stage, and a bar for what is under way.
pub struct Shown {
    bar: Mutex<ProgressBar>,
    pub begun: Instant,
    notes: Mutex<Notes>,
}

/// Notes of a stage: of many, the first ones.
#[derive(Default)]
struct Notes {
    shown: usize,
    hidden: usize,
}

/// Notes of a stage that are shown.
const NOTES: usize = 8;

impl Shown {
    /// Nothing yet.
    pub fn new() -> Self {
        let (bar, notes) = (Mutex::new(ProgressBar::hidden()), Mutex::default());
        Self { bar, begun: Instant::now(), notes }
    }

    /// The bar.
    pub fn bar(&self) -> std::sync::MutexGuard<'_, ProgressBar> {
        self.bar.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn line(&self, stage: Stage, text: &str) {
        self.bar().finish_and_clear();
        let number = 1 + Stage::ALL.iter().position(|s| *s == stage).unwrap_or(0);
        eprintln!("{number}/{} {:<9} {text}", Stage::ALL.len(), stage.name());
    }
}

impl Watch for Shown {
    fn begin(&self, what: &str, total: Option<u64>) {
        self.bar().finish_and_clear();
        let bar = ProgressBar::new(total.unwrap_or(0));
        let template =
            format!("    {{wide_bar}} {{pos}}/{{len}} {what}  {{per_sec}}  {{eta}} left");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        *self.bar() = bar;
    }

    fn at(&self, done: u64) {
        self.bar().set_position(done);
    }

    fn note(&self, text: &str) {
        let mut notes = self.notes.lock().unwrap_or_else(|e| e.into_inner());
        if notes.shown >= NOTES {
            notes.hidden += 1;
            return;
        }
        notes.shown += 1;
        self.bar().suspend(|| eprintln!("    {text}"));
    }
}

impl Progress for Shown {
    fn stage(&self, stage: Stage) {
        *self.notes.lock().unwrap_or_else(|e| e.into_inner()) = Notes::default();
        if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
            self.line(stage, "…");
        }
    }

    fn finished(&self, stage: Stage, how: &Finished) {
        let hidden = self.notes.lock().unwrap_or_else(|e| e.into_inner()).hidden;
        if hidden > 0 {
            self.bar().suspend(|| eprintln!("    … and {hidden} more"));
        }
        match how {
            Finished::Ran { summary, seconds } => {
                self.line(stage, &format!("{summary} ({seconds} s)"))
            }
            Finished::Known { summary } => self.line(stage, &format!("{summary} (as before)")),
        }
    }
}
