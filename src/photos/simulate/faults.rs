//! What goes wrong on the way. Flows in: a path and how often it was asked for. Flows out: a fault, or none.

use crate::rng::Rng;
use std::collections::HashMap;
use std::sync::Mutex;

/// Share of the calls that go wrong in each way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Status 500, 502 or 503.
    pub errors: f64,
    /// An answer that takes two seconds.
    pub slow: f64,
    /// A body that ends in the middle.
    pub cut: f64,
    /// A page of HTML with status 200.
    pub html: f64,
}

impl Faults {
    /// A total share, in equal parts of all ways.
    pub fn evenly(share: f64) -> Self {
        let part = share / 4.0;
        Self { errors: part, slow: part, cut: part, html: part }
    }
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Error(u16),
    Slow,
    Cut,
    Html,
}

/// Draws faults: the same path asked for as often has the same fault, whoever asks when.
pub(super) struct Dice {
    faults: Faults,
    seed: u64,
    asked: Mutex<HashMap<String, u64>>,
}

impl Dice {
    pub fn new(faults: Faults, seed: u64) -> Self {
        Self { faults, seed, asked: Mutex::default() }
    }

    pub fn draw(&self, path: &str) -> Option<Fault> {
        if self.faults == Faults::default() {
            return None;
        }
        let times = {
            let mut asked = self.asked.lock().unwrap_or_else(|e| e.into_inner());
            let times = asked.entry(path.to_string()).or_default();
            *times += 1;
            *times
        };
        let bytes = path.bytes().chain(times.to_le_bytes());
        let hash = bytes.fold(self.seed ^ 0xcbf2_9ce4_8422_2325, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
        });
        let mut rng = Rng::new(hash);
        let Faults { errors, slow, cut, html } = self.faults;
        match rng.unit() {
            c if c < errors => Some(Fault::Error([500, 502, 503][rng.below(3)])),
            c if c < errors + slow => Some(Fault::Slow),
            c if c < errors + slow + cut => Some(Fault::Cut),
            c if c < errors + slow + cut + html => Some(Fault::Html),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_at_their_rates_and_pass() {
        let dice = Dice::new(Faults { errors: 0.1, slow: 0.0, cut: 0.05, html: 0.0 }, 1);
        let drawn: Vec<Option<Fault>> = (0..10_000).map(|i| dice.draw(&i.to_string())).collect();
        let count = |f: fn(&Fault) -> bool| drawn.iter().flatten().filter(|x| f(x)).count();
        let errors = count(|f| matches!(f, Fault::Error(_)));
        let cut = count(|f| *f == Fault::Cut);
        assert!((900..1100).contains(&errors) && (420..580).contains(&cut), "{errors} {cut}");
        let place = drawn.iter().position(Option::is_some).expect("a fault").to_string();
        assert!((0..5).any(|_| dice.draw(&place).is_none()));
        let again = Dice::new(Faults { errors: 0.1, slow: 0.0, cut: 0.05, html: 0.0 }, 1);
        assert_eq!((0..100).map(|i| again.draw(&i.to_string())).collect::<Vec<_>>(), drawn[..100]);
        assert_eq!(Dice::new(Faults::default(), 1).draw("x"), None);
    }
}
