//! Trained classifiers as files.
//!
//! Flows in: a classifier, and all that its features and its answers need. Flows out: a file; from it the
//! same model to the last bit, and scores of rows that have not been scaled yet.
//!
//! ```text
//! row ─ norm ─ standard ─ classifier ─ score ─ platt ─ probability
//! ```
//!
//! - `archive`: texts and arrays by name, as bytes.
//! - `file`: a model as an archive.
//! - `summary`: a model in words.

mod file;
mod summary;

use super::forest::Forest;
use super::linear::{self, Linear};
use super::metrics::Platt;
use super::scale::{Norm, Standard};
use super::{Layout, Matrix};
use crate::error::{Error, Result};
use rayon::prelude::*;
use serde_json::{Map, Value};

/// Rows that are scaled at a time.
const BLOCK: usize = 256;

/// What scores a row that has been scaled.
#[derive(Clone, Debug, PartialEq)]
pub enum Classifier {
    /// A weight for each feature, and a bias: scores above 0 speak for the positive class.
    Linear(Linear),
    /// A random forest: the score is a probability.
    Forest(Forest),
}

/// A trained classifier, and what to do before and after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What scores rows.
    pub classifier: Classifier,
    /// What the columns are standardised by, after `norm`.
    pub standard: Option<Standard>,
    /// What each row is divided by.
    pub norm: Option<Norm>,
    /// What makes scores probabilities.
    pub platt: Option<Platt>,
    /// Names of the negative and the positive class.
    pub classes: [String; 2],
    /// What the features are: a blob, and how photos became its inputs.
    pub features: String,
    /// How it was trained, and how good it is, for readers. What a forest's features matter may be under
    /// `importances`, a number for each.
    pub trained: Map<String, Value>,
}

impl Classifier {
    /// Features of a row.
    pub fn columns(&self) -> usize {
        match self {
            Self::Linear(linear) => linear.weights.len(),
            Self::Forest(forest) => forest.columns(),
        }
    }

    /// Scores of rows of a matrix that has these columns, in parallel.
    pub fn scores(&self, matrix: &Matrix, rows: &[u32]) -> Vec<f64> {
        match self {
            Self::Linear(linear) => linear::predict(linear, matrix, rows),
            Self::Forest(forest) => forest.probabilities(matrix, rows),
        }
    }
}

impl Model {
    /// Features of a row.
    pub fn columns(&self) -> usize {
        self.classifier.columns()
    }

    /// The score of a row. Fails when it has another width, or a value that is not finite.
    pub fn score(&self, row: &[f32]) -> Result<f64> {
        self.check_width(row.len())?;
        let mut matrix = Matrix::new(row.len(), Layout::Packed);
        matrix.push(row)?;
        Ok(self.scores(&matrix, &[0])?[0])
    }

    /// Scores of some rows of a matrix, in parallel: the same numbers, to the last bit, as [`Model::score`]
    /// gives, on one machine.
    ///
    /// Fails when the matrix has other columns or fewer rows, and where scaling leaves the range of `f32`.
    pub fn scores(&self, matrix: &Matrix, rows: &[u32]) -> Result<Vec<f64>> {
        self.check_width(matrix.columns())?;
        linear::check_kernels()?;
        if let Some(row) = rows.iter().find(|&&row| row as usize >= matrix.rows()) {
            let have = matrix.rows();
            return Err(Error::Invalid(format!("there is no row {row}: there are {have}")));
        }
        // The sum over a dense row is rounded otherwise than over a packed one.
        let ready = match self.classifier {
            Classifier::Linear(_) => matrix.layout() == Layout::Packed,
            Classifier::Forest(_) => true,
        };
        if ready && self.norm.is_none() && self.standard.is_none() {
            return Ok(self.classifier.scores(matrix, rows));
        }
        let block = |rows: &[u32]| {
            let scaled = self.scaled(matrix, rows)?;
            let all: Vec<u32> = (0..rows.len() as u32).collect();
            Ok(self.classifier.scores(&scaled, &all))
        };
        Ok(rows.par_chunks(BLOCK).map(block).collect::<Result<Vec<_>>>()?.concat())
    }

    /// Rows as the classifier wants them.
    fn scaled(&self, matrix: &Matrix, rows: &[u32]) -> Result<Matrix> {
        let mut scaled = Matrix::new(matrix.columns(), Layout::Packed);
        let mut values = vec![0.0; matrix.columns()];
        for &row in rows {
            matrix.read_row(row as usize, &mut values);
            if let Some(norm) = self.norm {
                norm.apply(&mut values);
            }
            if let Some(standard) = &self.standard {
                standard.apply(&mut values);
            }
            scaled.push(&values).map_err(|_| {
                Error::Invalid(format!("row {row} has values too far from those learnt from"))
            })?;
        }
        Ok(scaled)
    }

    fn check_width(&self, got: usize) -> Result<()> {
        match self.columns() {
            columns if columns == got => Ok(()),
            columns => Err(Error::Invalid(format!(
                "rows have {got} features and the model learned from {columns}{}",
                self.blob().map_or(String::new(), |blob| format!(" of {blob}"))
            ))),
        }
    }

    /// The blob that the features are, where that is known: what is written before the settings.
    pub fn blob(&self) -> Option<&str> {
        self.features.split(';').next().filter(|blob| !blob.is_empty())
    }

    /// Fails where features are known to be another blob than the model's.
    pub fn check_blob(&self, features: &str) -> Result<()> {
        let theirs = features.split(';').next().filter(|blob| !blob.is_empty());
        match (self.blob(), theirs) {
            (Some(own), Some(theirs)) if own != theirs => Err(Error::Invalid(format!(
                "the features are {theirs} and the model learned from {own}"
            ))),
            _ => Ok(()),
        }
    }

    /// The probability of the positive class: what `platt` makes of a score; without it, a forest's score is
    /// one and a linear classifier's is none.
    pub fn probability(&self, score: f64) -> Option<f64> {
        match (&self.platt, &self.classifier) {
            (Some(platt), _) => Some(platt.probability(score)),
            (None, Classifier::Forest(_)) => Some(score),
            (None, Classifier::Linear(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::forest::Parts;
    use crate::rng::Rng;

    /// A model of 19 columns, two of which matter.
    pub(super) fn linear() -> Model {
        let mut weights = vec![0.0; 19];
        (weights[3], weights[17]) = (2.0, -0.1);
        Model {
            classifier: Classifier::Linear(Linear { weights, bias: 0.5 }),
            standard: None,
            norm: None,
            platt: None,
            classes: ["not".into(), "liked".into()],
            features: "fc7, centre".into(),
            trained: Map::from_iter([("samples".into(), 40.into())]),
        }
    }

    /// A tree with one split, at column 1 and 0.25, and one without.
    pub(super) fn forest() -> Model {
        let parts = Parts {
            columns: 3,
            nodes: vec![1, 0],
            features: vec![1],
            thresholds: vec![0.25],
            children: vec![!0, !1],
            probabilities: vec![0.0, 1.0, 0.5],
        };
        let forest = Forest::from_parts(parts).expect("a forest");
        let importances = Value::from(vec![0.0, 1.0, 0.0]);
        let trained = Map::from_iter([("importances".into(), importances)]);
        Model { classifier: Classifier::Forest(forest), trained, ..linear() }
    }

    #[test]
    fn scores_by_hand() {
        let mut row = [0.0; 19];
        (row[3], row[17]) = (3.0, 4.0);
        let mut model = linear();
        assert!((model.score(&row).unwrap() - (0.5 + 6.0 - 0.4)).abs() < 1e-12);
        model.norm = Some(Norm::L2);
        assert!((model.score(&row).unwrap() - (0.5 + 1.2 - 0.08)).abs() < 1e-6);
        // The norm comes first: 0.6 and 0.8 are then standardised.
        let mut standard = Standard { mean: vec![0.0; 19], scale: vec![1.0; 19] };
        (standard.mean[3], standard.scale[3]) = (0.1, 0.25);
        model.standard = Some(standard);
        assert!((model.score(&row).unwrap() - (0.5 + 4.0 - 0.08)).abs() < 1e-6);
        assert_eq!(forest().score(&[9.0, 0.25, 9.0]).unwrap(), 0.25);
        assert_eq!(forest().score(&[9.0, 0.26, 9.0]).unwrap(), 0.75);
    }

    #[test]
    fn rows_have_the_same_scores_alone_and_together() {
        let mut rng = Rng::new(7);
        let weights: Vec<f64> = (0..300).map(|_| rng.gaussian(0.0, 1.0).into()).collect();
        let mean: Vec<f64> = (0..300).map(|_| rng.unit()).collect();
        let scaled = Standard { mean, scale: vec![0.3; 300] };
        let mut rows = vec![vec![0f32; 300]; 600];
        rows.iter_mut().flatten().for_each(|v| *v = rng.gaussian(-0.5, 1.0).max(0.0));
        let picked: Vec<u32> = (0..600).rev().chain([5, 5]).collect();
        for layout in [Layout::Dense, Layout::Packed] {
            let mut matrix = Matrix::new(300, layout);
            rows.iter().for_each(|row| matrix.push(row).unwrap());
            for (standard, norm) in [(None, None), (Some(scaled.clone()), Some(Norm::L1))] {
                let classifier = Classifier::Linear(Linear { weights: weights.clone(), bias: 0.1 });
                let model = Model { classifier, standard, norm, ..linear() };
                let scores = model.scores(&matrix, &picked).unwrap();
                assert_eq!(scores.len(), 602);
                for (&row, score) in picked.iter().zip(scores) {
                    let alone = model.score(&rows[row as usize]).unwrap();
                    assert_eq!(alone.to_bits(), score.to_bits(), "row {row}");
                }
            }
        }
    }

    #[test]
    fn features_of_another_blob_are_refused() {
        let model = Model { features: "fc7; centre crop".into(), ..linear() };
        assert_eq!(model.blob(), Some("fc7"));
        assert!(model.check_blob("fc7; ten crops").is_ok() && model.check_blob("").is_ok());
        let error = model.check_blob("fc6; centre crop").unwrap_err().to_string();
        assert!(error.contains("are fc6 and the model learned from fc7"), "{error}");
        assert_eq!(Model { features: String::new(), ..linear() }.blob(), None);
    }

    #[test]
    fn rows_that_do_not_fit_are_refused() {
        let error = linear().score(&[1.0]).unwrap_err().to_string();
        assert!(error.contains("1 features") && error.contains("19 of fc7, centre"), "{error}");
        assert!(forest().score(&[1.0, f32::NAN, 1.0]).is_err());
        let mut matrix = Matrix::new(3, Layout::Dense);
        matrix.push(&[1.0, f32::MAX, 1.0]).unwrap();
        let error = forest().scores(&matrix, &[0, 1]).unwrap_err().to_string();
        assert!(error.contains("no row 1"), "{error}");
        let standard = Standard { mean: vec![0.0; 3], scale: vec![0.5; 3] };
        let far = Model { standard: Some(standard), ..forest() };
        assert!(far.scores(&matrix, &[0]).unwrap_err().to_string().contains("row 0 has values"));
        assert!(forest().scores(&matrix, &[]).unwrap().is_empty());
    }

    #[test]
    fn probabilities_come_from_the_sigmoid_or_the_forest() {
        assert_eq!((linear().probability(0.3), forest().probability(0.3)), (None, Some(0.3)));
        let platt = Some(Platt { slope: -2.0, offset: 0.0 });
        let model = Model { platt, ..linear() };
        assert_eq!((model.probability(0.0), model.probability(1e9)), (Some(0.5), Some(1.0)));
    }
}
