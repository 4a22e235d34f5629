//! Splits, metrics and scales against scikit-learn's, bit for bit.

mod common;

use common::{hexes, npy, shared};
use likenet::learn::folds::{Fold, kfold, stratified, train_test, train_test_stratified};
use likenet::learn::mersenne::Mersenne;
use likenet::learn::metrics::{
    average_precision, average_precision_trapezoid, precision_recall, roc_auc,
};
use likenet::learn::scale::{Moments, Norm, Standard, mad, mad_normal, median};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Samples and columns of `gold400_X.npy`.
const ROWS: usize = 400;
const COLUMNS: usize = 64;

/// A file of golden values, or `None` where there are none.
fn golden<T: DeserializeOwned>(name: &str) -> Option<T> {
    let text = std::fs::read_to_string(shared("golden/learn")?.join(name)).expect("golden values");
    Some(serde_json::from_str(&text).expect("golden values"))
}

fn is_one(labels: &[u8]) -> Vec<bool> {
    labels.iter().map(|&label| label == 1).collect()
}

/// `gold400_y.npy`, which is of i8, and so the last 400 bytes of the file.
fn gold_labels() -> Vec<bool> {
    let file = shared("golden/learn/gold400_y.npy").expect("shared");
    let bytes = std::fs::read(file).expect("labels");
    is_one(&bytes[bytes.len() - ROWS..])
}

#[track_caller]
fn assert_bits(got: &[f64], want: &[f64], what: &str) {
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(got), bits(want), "{what}: {got:?} is not {want:?}");
}

#[test]
fn hexadecimal_numbers_by_hand() {
    let texts = ["0x1.8p+1", "-0x1.999999999999ap-4", "0x0.0p+0", "0x1p-3"].map(String::from);
    assert_bits(&hexes(&texts), &[3.0, -0.1, 0.0, 0.125], "hex");
}

#[derive(Deserialize)]
struct Ranking {
    name: String,
    y: Vec<u8>,
    score_hex: Vec<String>,
    ap: f64,
    ap_trapezoid_pre_0_19: f64,
    precision: Vec<f64>,
    recall: Vec<f64>,
    thresholds: Vec<f64>,
    auc: f64,
}

#[derive(Deserialize)]
struct Rankings {
    cases: Vec<Ranking>,
    ap_no_positive: f64,
    ap_all_positive: f64,
}

#[test]
fn rankings_are_scikit_learns() {
    let Some(file) = golden::<Rankings>("metrics.json") else { return };
    for case in &file.cases {
        let (scores, labels) = (hexes(&case.score_hex), is_one(&case.y));
        let curve = precision_recall(&scores, &labels).expect("a curve");
        assert_bits(&curve.precision, &case.precision, &case.name);
        assert_bits(&curve.recall, &case.recall, &case.name);
        // Either zero may stand for a tie of both.
        assert_eq!(curve.thresholds, case.thresholds, "{}", case.name);
        let ap = average_precision(&scores, &labels).expect("a number");
        let area = average_precision_trapezoid(&scores, &labels).expect("a number");
        assert_bits(&[ap, area], &[case.ap, case.ap_trapezoid_pre_0_19], &case.name);
        // scikit-learn adds up rounded areas; pairs are counted here.
        let auc = roc_auc(&scores, &labels).expect("a number");
        assert!((auc - case.auc).abs() <= f64::EPSILON / 2.0, "{}: {auc}", case.name);
    }
    let one_class = |label| average_precision(&[0.2, 0.1], &[label; 2]).expect("a number");
    let want = [file.ap_no_positive, file.ap_all_positive];
    assert_bits(&[one_class(false), one_class(true)], &want, "one class");
    println!("learn metrics: {} cases equal", file.cases.len() + 2);
}

#[derive(Deserialize)]
struct Split {
    train: Vec<usize>,
    test: Vec<usize>,
}

#[derive(Deserialize)]
struct Imbalanced {
    y: Vec<u8>,
    stratkfold5: Vec<Vec<usize>>,
    stratkfold5_rs3: Vec<Vec<usize>>,
    tts_strat: (Vec<usize>, Vec<usize>),
}

#[derive(Deserialize)]
struct Splits {
    stratkfold5: Vec<Vec<usize>>,
    stratkfold5_shuffle_rs0: Vec<Vec<usize>>,
    kfold5_shuffle_rs0: Vec<Vec<usize>>,
    tts_25_rs42: Split,
    tts_25_rs42_strat: Split,
    tts_n10_sizes: std::collections::BTreeMap<String, [usize; 2]>,
    mt19937_rs0_permutation20: Vec<usize>,
    mt19937_rs0_randint: [u32; 1],
    imbalanced53: Imbalanced,
}

#[track_caller]
fn assert_folds(folds: &[Fold], want: &[Vec<usize>]) {
    let tests: Vec<&[usize]> = folds.iter().map(|fold| fold.test.as_slice()).collect();
    assert_eq!(tests, want);
}

#[test]
fn splits_are_scikit_learns() {
    let Some(file) = golden::<Splits>("splits.json") else { return };
    let labels = gold_labels();
    assert_folds(&stratified(&labels, 5, None).expect("folds"), &file.stratkfold5);
    let shuffled = stratified(&labels, 5, Some(0)).expect("folds");
    assert_folds(&shuffled, &file.stratkfold5_shuffle_rs0);
    assert_folds(&kfold(ROWS, 5, Some(0)).expect("folds"), &file.kfold5_shuffle_rs0);

    let cv: Value = golden("cv_ap.json").expect("shared");
    let same = |key: &str, want: &[Vec<usize>]| assert_eq!(cv[key], serde_json::json!(want));
    same("test_indices_noshuffle", &file.stratkfold5);
    same("test_indices_shuffle_seed0", &file.stratkfold5_shuffle_rs0);

    let Split { train, test } = file.tts_25_rs42;
    assert_eq!(train_test(ROWS, 0.25, 42).expect("a split"), Fold { train, test });
    let Split { train, test } = file.tts_25_rs42_strat;
    let split = train_test_stratified(&labels, 0.25, 42).expect("a split");
    assert_eq!(split, Fold { train, test });
    for (key, want) in &file.tts_n10_sizes {
        let (n, fraction) = key.split_once('|').expect("n|fraction");
        let fraction = fraction.parse().expect("a fraction");
        let fold = train_test(n.parse().expect("n"), fraction, 0).expect("a split");
        assert_eq!([fold.train.len(), fold.test.len()], *want, "{key}");
    }

    assert_eq!(Mersenne::new(0).permutation(20), file.mt19937_rs0_permutation20);
    assert_eq!([Mersenne::new(0).below(i32::MAX as u32)], file.mt19937_rs0_randint);
    println!("learn metrics: {} cases equal", 9 + file.tts_n10_sizes.len());
}

#[test]
fn splits_of_unequal_classes_are_scikit_learns() {
    let Some(file) = golden::<Splits>("splits.json") else { return };
    let Imbalanced { y, stratkfold5, stratkfold5_rs3, tts_strat: (train, test) } =
        file.imbalanced53;
    let labels = is_one(&y);
    assert_folds(&stratified(&labels, 5, None).expect("folds"), &stratkfold5);
    assert_folds(&stratified(&labels, 5, Some(3)).expect("folds"), &stratkfold5_rs3);
    // By random_state 1 and test_size 0.2, which the file leaves out.
    let split = train_test_stratified(&labels, 0.2, 1).expect("a split");
    assert_eq!(split, Fold { train, test });
    println!("learn metrics: 3 cases equal");
}

#[derive(Deserialize)]
struct Scales {
    standard_mean_hex: Vec<String>,
    standard_var_hex: Vec<String>,
    standard_scale_hex: Vec<String>,
    row0_hex: Vec<String>,
    f32_row0: Vec<f32>,
    l1_row0_hex: Vec<String>,
    l2_row0_hex: Vec<String>,
    max_row0_hex: Vec<String>,
    const_col_scale: Vec<f64>,
    median_hex: Vec<String>,
    mad_raw_hex: Vec<String>,
    mad_normal_hex: Vec<String>,
}

#[test]
fn scales_are_scikit_learns() {
    let Some(file) = golden::<Scales>("scale_mad.json") else { return };
    let data = npy(&shared("golden/learn/gold400_X.npy").expect("shared"));
    let rows = data.chunks_exact(COLUMNS);
    let moments = Moments::of(COLUMNS, rows.clone()).expect("moments");
    assert_bits(&moments.mean, &hexes(&file.standard_mean_hex), "mean");
    assert_bits(&moments.variance, &hexes(&file.standard_var_hex), "variance");
    let standard = Standard::fit(COLUMNS, rows).expect("a scale");
    assert_bits(&standard.scale, &hexes(&file.standard_scale_hex), "scale");

    let first = &data[..COLUMNS];
    let exact = |c: usize| (f64::from(first[c]) - standard.mean[c]) / standard.scale[c];
    let exact: Vec<f64> = (0..COLUMNS).map(exact).collect();
    assert_bits(&exact, &hexes(&file.row0_hex), "first row");
    let mut row = first.to_vec();
    standard.apply(&mut row);
    assert_eq!(row, file.f32_row0, "first row of f32");

    let constant = Standard::fit(2, [[1f32, 0.1]; 5].iter()).expect("a scale");
    assert_bits(&constant.scale, &file.const_col_scale, "constant columns");

    let norms = [
        (Norm::L1, &file.l1_row0_hex),
        (Norm::L2, &file.l2_row0_hex),
        (Norm::Max, &file.max_row0_hex),
    ];
    for (norm, want) in norms {
        let size = norm.of(first);
        let divided: Vec<f64> = first.iter().map(|&x| f64::from(x) / size).collect();
        assert_bits(&divided, &hexes(want), &format!("{norm:?}"));
    }

    let column = |c: usize| data[c..].iter().step_by(COLUMNS).map(|&x| f64::from(x)).collect();
    let columns: Vec<Vec<f64>> = (0..COLUMNS).map(column).collect();
    let of_columns = |f: fn(&[f64]) -> f64| columns.iter().map(|c| f(c)).collect::<Vec<_>>();
    assert_bits(&of_columns(median), &hexes(&file.median_hex), "median");
    assert_bits(&of_columns(mad), &hexes(&file.mad_raw_hex), "MAD");
    assert_bits(&of_columns(mad_normal), &hexes(&file.mad_normal_hex), "normal MAD");
    println!("learn metrics: {} cases equal", 6 + norms.len() + 3);
}
