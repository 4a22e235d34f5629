//! A classifier ready for use. Flows in: rows, a way to learn. Flows out: a model that knows how features are scaled and
//! how scores become probabilities.

use crate::error::Result;
use crate::learn::Table;
use crate::learn::linear::Samples;
use crate::learn::model::{Classifier, Model};
use crate::learn::prepare::prepared;
use crate::learn::validate::{Learner, Sampled, Validation, calibrate};
use serde_json::{Map, json};

use super::compare::Way;

/// Learns from all rows, the copies among them where `how` says so. Probabilities are Platt's, by what folds say of rows
/// that they have not seen; a forest has its own.
pub(super) fn learn(table: &Table, way: &Way, how: &Validation) -> Result<Model> {
    let sampled = Sampled::of(table)?;
    let rows = sampled.rows(how.copies);
    let prepared = prepared(&table.matrix, &rows, how.scaling)?;
    let samples = Samples { matrix: prepared.matrix(), rows: &rows, labels: sampled.labels };
    let classifier = Learner::new(samples)?.learn(&way.method, &|_| ())?.classifier;
    let platt = match classifier {
        Classifier::Forest(_) => None,
        Classifier::Linear(_) => Some(calibrate(&sampled, &way.method, how)?),
    };
    let trained = Map::from_iter([
        ("method".to_string(), json!(way.name)),
        ("samples".to_string(), json!(rows.len())),
    ]);
    Ok(Model {
        classifier,
        standard: prepared.standard().cloned(),
        norm: how.scaling.norm,
        platt,
        classes: table.class_names.clone(),
        features: table.about.clone(),
        trained,
    })
}
