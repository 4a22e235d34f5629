//! A model in words.

use super::file::{FORMAT, VERSION};
use super::{Classifier, Model};
use crate::learn::metrics::Platt;
use crate::learn::scale::Norm;
use serde_json::Value;

/// Weights or importances that are told of; longer lists are not written out.
const LARGEST: usize = 10;

impl Model {
    /// A page to read: what it is, what it was trained on and how, and what matters most to it.
    pub fn summary(&self) -> String {
        let [negative, positive] = &self.classes;
        let (kind, sizes) = self.kind();
        let mut lines = vec![
            format!("{kind}, {} features", self.columns()),
            entry("file", &format!("{FORMAT}, version {VERSION}")),
            entry("classes", &format!("{negative} (negative), {positive} (positive)")),
            entry("features", &self.features),
            entry("scaling", &self.scaling()),
            entry("size", &sizes),
        ];
        if let Some(Platt { slope, offset }) = self.platt {
            lines.push(entry("probability", &format!("1 / (1 + exp({slope:.6} s {offset:+.6}))")));
        }
        if !self.trained.is_empty() {
            lines.push("\ntraining".into());
        }
        for (name, value) in &self.trained {
            lines.push(entry(name, &words(value)));
        }
        if let Some((title, numbers)) = self.weights() {
            lines.push(format!("\nlargest {title}"));
            let mut order: Vec<usize> = (0..numbers.len()).filter(|&c| numbers[c] != 0.0).collect();
            order.sort_by(|&a, &b| numbers[b].abs().total_cmp(&numbers[a].abs()));
            order.truncate(LARGEST);
            let line = |c: usize| entry(&format!("column {c}"), &format!("{:+.6e}", numbers[c]));
            lines.extend(order.into_iter().map(line));
        }
        lines.join("\n")
    }

    fn kind(&self) -> (&'static str, String) {
        match &self.classifier {
            Classifier::Linear(linear) => {
                let used = linear.weights.iter().filter(|w| **w != 0.0).count();
                ("linear classifier", format!("{used} weights not zero, bias {:.6}", linear.bias))
            }
            Classifier::Forest(forest) => {
                let (leaves, depth) = (forest.leaves(), forest.depths());
                let (trees, leaves) = (leaves.len(), leaves.iter().sum::<usize>());
                let depth = depth.into_iter().max().unwrap_or(0);
                ("random forest", format!("{trees} trees, {leaves} leaves, depth {depth} at most"))
            }
        }
    }

    fn scaling(&self) -> String {
        let norm = match self.norm {
            Some(Norm::L1) => Some("rows divided by the sum of their magnitudes"),
            Some(Norm::L2) => Some("rows divided by their length"),
            Some(Norm::Max) => Some("rows divided by their largest magnitude"),
            None => None,
        };
        let standard = self.standard.as_ref().map(|_| "columns standardised");
        let steps: Vec<_> = norm.into_iter().chain(standard).collect();
        if steps.is_empty() { "none".into() } else { steps.join(", then ") }
    }

    /// A number for each feature, and what it is.
    fn weights(&self) -> Option<(&'static str, Vec<f64>)> {
        if let Classifier::Linear(linear) = &self.classifier {
            return Some(("weights", linear.weights.clone()));
        }
        let numbers = self.trained.get("importances")?.as_array()?;
        let numbers: Option<Vec<f64>> = numbers.iter().map(Value::as_f64).collect();
        Some(("importances", numbers?))
    }
}

fn entry(name: &str, value: &str) -> String {
    format!("  {name:<14} {value}")
}

/// A value on a line; of a long list only how long it is.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) if values.len() > LARGEST => format!("{} values", values.len()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{forest, linear};
    use super::*;

    #[test]
    fn a_summary_says_what_matters() {
        let platt = Some(Platt { slope: -1.5, offset: 0.25 });
        let model = Model { norm: Some(Norm::L2), platt, ..linear() };
        let text = model.summary();
        for line in [
            "linear classifier, 19 features",
            "  file           likenet-model, version 1",
            "  classes        not (negative), liked (positive)",
            "  features       fc7, centre",
            "  scaling        rows divided by their length",
            "  size           2 weights not zero, bias 0.500000",
            "  probability    1 / (1 + exp(-1.500000 s +0.250000))",
            "  samples        40",
            "  column 3       +2.000000e0",
            "  column 17      -1.000000e-1",
        ] {
            assert!(text.lines().any(|l| l == line), "no line '{line}' in:\n{text}");
        }
        assert!(text.find("column 3 ") < text.find("column 17") && !text.contains("column 4"));
    }

    #[test]
    fn a_forest_tells_its_importances_if_it_was_given_them() {
        let mut model = forest();
        let text = model.summary();
        assert!(text.contains("2 trees, 3 leaves, depth 1 at most"), "{text}");
        assert!(text.contains("largest importances\n  column 1 "), "{text}");
        model.trained["importances"] = vec![0.5; 11].into();
        assert!(model.summary().contains("importances    11 values"));
        model.trained["importances"] = "none".into();
        assert!(!model.summary().contains("largest"));
    }
}
