//! What was taken for what.
//!
//! Flows in: decisions and labels. Flows out: four counts and the rates made of them.

use super::check;
use crate::error::{Error, Result};
use std::fmt::Display;

/// Samples by decision and label. Rates without a sample to divide by are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confusion {
    /// Liked, and taken for liked.
    pub true_positive: usize,
    /// Not liked, but taken for liked.
    pub false_positive: usize,
    /// Liked, but not taken for liked.
    pub false_negative: usize,
    /// Not liked, and not taken for liked.
    pub true_negative: usize,
}

impl Confusion {
    /// Counts decisions against labels. Fails when there are none or their numbers differ.
    pub fn of(decisions: &[bool], labels: &[bool]) -> Result<Self> {
        if decisions.len() != labels.len() || labels.is_empty() {
            let (decisions, labels) = (decisions.len(), labels.len());
            return Err(Error::Invalid(format!(
                "{decisions} decisions for {labels} labels: one of each a sample, and at least one"
            )));
        }
        let count = |decision, label| {
            decisions.iter().zip(labels).filter(|&(&d, &l)| d == decision && l == label).count()
        };
        Ok(Self {
            true_positive: count(true, true),
            false_positive: count(true, false),
            false_negative: count(false, true),
            true_negative: count(false, false),
        })
    }

    /// Takes for liked what scores above the threshold.
    pub fn above(threshold: f64, scores: &[f64], labels: &[bool]) -> Result<Self> {
        check(scores, labels)?;
        let decisions: Vec<bool> = scores.iter().map(|&score| score > threshold).collect();
        Self::of(&decisions, labels)
    }

    /// Share of all samples decided rightly.
    pub fn accuracy(&self) -> f64 {
        let right = self.true_positive + self.true_negative;
        ratio(right, right + self.false_positive + self.false_negative)
    }

    /// Share of liked samples among those taken for liked.
    pub fn precision(&self) -> f64 {
        ratio(self.true_positive, self.true_positive + self.false_positive)
    }

    /// Share of the liked samples that were taken for liked.
    pub fn recall(&self) -> f64 {
        ratio(self.true_positive, self.true_positive + self.false_negative)
    }

    /// Harmonic mean of precision and recall.
    pub fn f1(&self) -> f64 {
        let twice = 2 * self.true_positive;
        ratio(twice, twice + self.false_positive + self.false_negative)
    }

    /// A row for each label, a column for each decision; `classes` are the names of the negative and the
    /// positive class.
    pub fn table(&self, [no, yes]: &[String; 2]) -> String {
        let Self { true_positive, false_positive, false_negative, true_negative } = self;
        let first = no.chars().count().max(yes.chars().count()).max("taken for".len());
        let [a, b] = [yes, no].map(|name| name.chars().count().max(7));
        let line = |head: &str, left: &dyn Display, right: &dyn Display| {
            format!("{head:<first$}  {left:>a$}  {right:>b$}")
        };
        [
            line("taken for", yes, no),
            line(yes, true_positive, false_negative),
            line(no, false_positive, true_negative),
        ]
        .join("\n")
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let scores = [0.9, 0.5, 0.2, 0.7, 0.1, 0.6, 0.8];
        let labels = [true, true, true, false, false, true, false];
        // Above 0.5 are 0.9 and 0.6, liked, and 0.7 and 0.8, not liked; 0.5 itself is not above.
        let table = Confusion::above(0.5, &scores, &labels).expect("a table");
        let want =
            Confusion { true_positive: 2, false_positive: 2, false_negative: 2, true_negative: 1 };
        assert_eq!(table, want);
        assert_eq!((table.accuracy(), table.precision()), (3.0 / 7.0, 0.5));
        assert_eq!((table.recall(), table.f1()), (0.5, 0.5));
        let text = table.table(&["ship".into(), "very liked".into()]);
        let want = "taken for   very liked     ship\nvery liked           2        2\n\
                    ship                 2        1";
        assert_eq!(text, want);
    }

    #[test]
    fn nothing_taken_for_liked() {
        let table = Confusion::of(&[false, false], &[false, false]).expect("a table");
        assert_eq!((table.precision(), table.recall(), table.f1()), (0.0, 0.0, 0.0));
        assert_eq!(table.accuracy(), 1.0);
        assert!(Confusion::of(&[], &[]).is_err() && Confusion::of(&[true], &[]).is_err());
    }
}
