//! Random forests beside scikit-learn's: as good out of the bag, as deep, as many leaves.

mod common;

use common::{npy, shared};
use likenet::learn::forest::{Settings, Splits, Trained, train};
use likenet::learn::{Layout, Matrix};
use likenet::rng::Rng;

/// Average precision, Σ ΔR · P; ties are one step.
fn average_precision(scores: &[(f64, bool)]) -> f64 {
    let mut scores = scores.to_vec();
    scores.sort_by(|a, b| b.0.total_cmp(&a.0));
    let positives = scores.iter().filter(|(_, liked)| *liked).count() as f64;
    let (mut seen, mut found, mut sum) = (0.0, 0.0, 0.0);
    for ties in scores.chunk_by(|a, b| a.0 == b.0) {
        let more = ties.iter().filter(|(_, liked)| *liked).count() as f64;
        (seen, found) = (seen + ties.len() as f64, found + more);
        sum += more / positives * found / seen;
    }
    sum
}

fn fit(columns: usize, data: &[f32], labels: &[bool], settings: &Settings) -> Trained {
    let mut matrix = Matrix::new(columns, Layout::Packed);
    data.chunks(columns).for_each(|row| matrix.push(row).expect("a row"));
    let rows: Vec<u32> = (0..labels.len() as u32).collect();
    train(&matrix, &rows, labels, settings, &|_| ()).expect("a forest")
}

fn mean(values: &[usize]) -> f64 {
    values.iter().sum::<usize>() as f64 / values.len() as f64
}

/// Out-of-bag accuracy and average precision, mean depth, mean leaves.
fn figures(trained: &Trained, labels: &[bool]) -> [f64; 4] {
    let oob = trained.oob.iter().zip(labels).filter_map(|(p, liked)| p.map(|p| (p, *liked)));
    let oob: Vec<_> = oob.collect();
    let right = oob.iter().filter(|(p, liked)| (*p > 0.5) == *liked).count();
    let accuracy = right as f64 / oob.len() as f64;
    let forest = &trained.forest;
    [accuracy, average_precision(&oob), mean(&forest.depths()), mean(&forest.leaves())]
}

/// The values of an npy file of bytes.
fn bytes(path: &std::path::Path) -> Vec<u8> {
    let file = std::fs::read(path).expect("a file");
    let header = 10 + u16::from_le_bytes([file[8], file[9]]) as usize;
    file[header..].to_vec()
}

#[test]
fn forests_are_scikit_learns_within_their_spread() {
    let Some(folder) = shared("golden/learn") else { return };
    let data = npy(&folder.join("gold400_X.npy"));
    let labels: Vec<_> = bytes(&folder.join("gold400_y.npy")).iter().map(|&y| y == 1).collect();
    let golden = std::fs::read_to_string(folder.join("rf.json")).expect("a file");
    let golden: serde_json::Value = serde_json::from_str(&golden).expect("JSON");
    for splits in [Splits::Bins, Splits::Exact] {
        let mut means = [0.0; 4];
        for seed in 0..10 {
            let settings = Settings { seed, splits, ..Settings::default() };
            let figures = figures(&fit(64, &data, &labels, &settings), &labels);
            means.iter_mut().zip(figures).for_each(|(mean, figure)| *mean += figure / 10.0);
        }
        for (name, got) in ["oob_acc", "oob_ap", "depth", "leaves"].into_iter().zip(means) {
            let [want, sd] =
                ["mean", "sd"].map(|key| golden[name][key].as_f64().expect("a number"));
            println!("learn forest: {splits:?}, {name} {got:.4}, scikit-learn {want:.4} ± {sd:.4}");
            assert!((got - want).abs() <= 3.0 * sd, "{splits:?}: {name} {got}, not {want} ± {sd}");
        }
    }
}

#[test]
fn a_forest_finds_the_columns_that_matter() {
    let (count, columns) = (600, 25);
    let mut rng = Rng::new(1);
    let data: Vec<f32> = (0..count * columns).map(|_| rng.gaussian(-0.7, 1.0).max(0.0)).collect();
    // Liked where one of two columns is not zero but not both: no single column tells.
    let rule = |row: &[f32]| (row[4] > 0.0) != (row[17] > 0.0);
    let labels: Vec<_> = data.chunks(columns).map(rule).collect();
    let trained = fit(columns, &data, &labels, &Settings { trees: 200, ..Settings::default() });
    let [accuracy, ap, depth, leaves] = figures(&trained, &labels);
    println!(
        "learn forest: one of two, oob {accuracy:.3}, AP {ap:.3}, depth {depth}, leaves {leaves}"
    );
    assert!(accuracy > 0.85 && ap > 0.9, "accuracy {accuracy}, average precision {ap}");
    let mut order: Vec<_> = (0..columns).collect();
    order.sort_by(|&a, &b| trained.importances[b].total_cmp(&trained.importances[a]));
    assert!(order[..2] == [4, 17] || order[..2] == [17, 4], "{order:?}");
    assert!((trained.importances.iter().sum::<f64>() - 1.0).abs() < 1e-12);
}
