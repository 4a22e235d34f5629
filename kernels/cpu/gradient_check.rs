//! Analytic gradients against central differences, for the tests.
//!
//! Flows in: a function of one slice, and its gradient. Nothing flows out: what differs, panics.

/// Half the distance between two evaluations: small beside the spacing of [`numbers`] times sixteen.
const STEP: f32 = 1.0 / 256.0;

/// Numbers between −1 and 1 in no order, 2/1009 apart, none of them zero.
pub fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 0.9992).collect()
}

/// Multiples of [`numbers`], so far apart that no step changes their order or their signs.
pub fn distant(count: usize) -> Vec<f32> {
    numbers(count).iter().map(|x| 16.0 * x).collect()
}

/// Compares the gradient of `Σ dyⱼ · f(x)ⱼ`, as `back` computes it from `dy`, with differences.
///
/// # Panics
/// Where a derivative is wrong by more than a thousandth of the largest, or of 1.
#[track_caller]
pub fn check(x: &[f32], f: impl Fn(&[f32]) -> Vec<f32>, back: impl FnOnce(&[f32]) -> Vec<f32>) {
    let dy: Vec<f32> = numbers(f(x).len()).iter().map(|v| v + 1.5).collect();
    let sum =
        |x: &[f32]| -> f64 { f(x).iter().zip(&dy).map(|(y, dy)| *y as f64 * *dy as f64).sum() };
    let got = back(&dy);
    assert_eq!(got.len(), x.len());
    let bound = 1e-3 * got.iter().fold(1f32, |top, d| top.max(d.abs())) as f64;
    for (i, got) in got.iter().enumerate() {
        let mut moved = x.to_vec();
        moved[i] = x[i] + STEP;
        let (above, upper) = (sum(&moved), moved[i]);
        moved[i] = x[i] - STEP;
        let want = (above - sum(&moved)) / (upper - moved[i]) as f64;
        assert!((want - *got as f64).abs() <= bound, "dx[{i}]: differences {want}, gradient {got}");
    }
}

#[test]
fn a_wrong_gradient_is_found() {
    let square = |x: &[f32]| x.iter().map(|x| x * x).collect::<Vec<f32>>();
    let x = numbers(20);
    check(&x, square, |dy| x.iter().zip(dy).map(|(x, dy)| 2.0 * x * dy).collect());
    let wrong = std::panic::catch_unwind(|| {
        check(&x, square, |dy| x.iter().zip(dy).map(|(x, dy)| 2.02 * x * dy).collect());
    });
    assert!(wrong.is_err());
}
