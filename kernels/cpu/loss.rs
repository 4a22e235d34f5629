//! Losses and accuracy: predictions and labels in, one number out. Sums are in `f64`.

use super::elementwise::sigmoid;
use crate::ops::{AxisView, HingeNorm, Normalization};

/// A label that counts: a class index below `classes`, not the ignored one.
fn class(label: f32, classes: usize, ignore: Option<i32>) -> Option<usize> {
    let label = label as i32;
    (Some(label) != ignore)
        .then_some(label)
        .and_then(|l| usize::try_from(l).ok())
        .filter(|&l| l < classes)
}

/// What the summed loss is divided by: never less than one.
pub fn normalizer(n: Normalization, batch: usize, predictions: usize, counted: usize) -> f64 {
    let divisor = match n {
        Normalization::Full => predictions,
        Normalization::Valid => counted,
        Normalization::BatchSize => batch,
        Normalization::None => 1,
    };
    divisor.max(1) as f64
}

/// How many labels count.
pub fn counted(v: AxisView, labels: &[f32], ignore: Option<i32>) -> usize {
    labels.iter().filter(|l| class(**l, v.len, ignore).is_some()).count()
}

/// Σ −ln max(p_label, f32::MIN_POSITIVE) over the labels that count, and how many those are.
///
/// `probabilities` is seen along the class axis; `labels` has outer · inner entries.
pub fn cross_entropy(
    v: AxisView,
    probabilities: &[f32],
    labels: &[f32],
    ignore: Option<i32>,
) -> (f64, usize) {
    let (mut sum, mut counted) = (0.0, 0);
    for (at, label) in labels.iter().enumerate() {
        if let Some(c) = class(*label, v.len, ignore) {
            let (o, i) = (at / v.inner, at % v.inner);
            let p = probabilities[o * v.block() + c * v.inner + i];
            // Not `max`: what is no number stays so.
            let p = if p < f32::MIN_POSITIVE { f32::MIN_POSITIVE } else { p };
            sum -= f64::from(p).ln();
            counted += 1;
        }
    }
    (sum, counted)
}

/// The gradient of softmax and [`cross_entropy`] together: `dx = scale · (p − [class = label])`, and zero
/// for every class where the label does not count.
pub fn cross_entropy_back(
    v: AxisView,
    probabilities: &[f32],
    labels: &[f32],
    ignore: Option<i32>,
    scale: f32,
    dx: &mut [f32],
) {
    for (at, label) in labels.iter().enumerate() {
        let first = at / v.inner * v.block() + at % v.inner;
        let label = class(*label, v.len, ignore);
        for c in 0..v.len {
            let at = first + c * v.inner;
            let target = f32::from(Some(c) == label);
            dx[at] = if label.is_some() { scale * (probabilities[at] - target) } else { 0.0 };
        }
    }
}

/// Σ of the cross-entropy of sigmoid(x) with targets in [0, 1], and how many entries count.
pub fn sigmoid_cross_entropy(x: &[f32], targets: &[f32], ignore: Option<i32>) -> (f64, usize) {
    let (mut sum, mut counted) = (0.0, 0);
    for (&x, &t) in x.iter().zip(targets) {
        if Some(t as i32) == ignore {
            continue;
        }
        let (x, t) = (x as f64, t as f64);
        // −(t·ln p + (1−t)·ln(1−p)) = max(x, 0) − t·x + ln(1 + e^−|x|)
        sum += x.max(0.0) - t * x + (-x.abs()).exp().ln_1p();
        counted += 1;
    }
    (sum, counted)
}

/// The gradient of [`sigmoid_cross_entropy`]: `dx = scale · (sigmoid(x) − t)`, zero where t is ignored.
pub fn sigmoid_cross_entropy_back(
    x: &[f32],
    targets: &[f32],
    ignore: Option<i32>,
    scale: f32,
    dx: &mut [f32],
) {
    for ((dx, &x), &t) in dx.iter_mut().zip(x).zip(targets) {
        *dx = if Some(t as i32) == ignore { 0.0 } else { scale * (sigmoid(x) - t) };
    }
}

/// One-versus-all hinge: Σ over rows and classes of max(0, 1 − s·x)ᵖ, s = +1 for the label, else −1.
pub fn hinge(norm: HingeNorm, classes: usize, x: &[f32], labels: &[f32]) -> f64 {
    let mut sum = 0.0;
    for (row, label) in x.chunks_exact(classes).zip(labels) {
        let label = class(*label, classes, None);
        for (c, &x) in row.iter().enumerate() {
            let sign = if Some(c) == label { 1.0 } else { -1.0 };
            let margin = (1.0 - sign * x as f64).max(0.0);
            sum += match norm {
                HingeNorm::L1 => margin,
                HingeNorm::L2 => margin * margin,
            };
        }
    }
    sum
}

/// The gradient of [`hinge`] times `scale`; a margin of exactly zero has none.
pub fn hinge_back(
    norm: HingeNorm,
    classes: usize,
    x: &[f32],
    labels: &[f32],
    scale: f32,
    dx: &mut [f32],
) {
    let rows = dx.chunks_exact_mut(classes).zip(x.chunks_exact(classes));
    for ((dx, x), label) in rows.zip(labels) {
        let label = class(*label, classes, None);
        for (c, (dx, x)) in dx.iter_mut().zip(x).enumerate() {
            let sign = if Some(c) == label { 1.0 } else { -1.0 };
            let margin = (1.0 - sign * x).max(0.0);
            let slope = match norm {
                HingeNorm::L1 => f32::from(margin > 0.0),
                HingeNorm::L2 => 2.0 * margin,
            };
            *dx = -sign * scale * slope;
        }
    }
}

/// Σ −ln max(p_label, 1e−20) over rows of `classes` probabilities: Caffe's MultinomialLogisticLoss.
pub fn multinomial(probabilities: &[f32], classes: usize, labels: &[f32]) -> f64 {
    let rows = probabilities.chunks_exact(classes).zip(labels);
    let own = rows.filter_map(|(row, label)| class(*label, classes, None).map(|c| row[c]));
    own.map(|p| -(p.max(LEAST) as f64).ln()).sum()
}

/// The least probability that [`multinomial`] takes a logarithm of.
const LEAST: f32 = 1e-20;

/// The gradient of [`multinomial`]: `dx = −scale / max(p, 1e−20)` for the label, zero for the others.
pub fn multinomial_back(
    probabilities: &[f32],
    classes: usize,
    labels: &[f32],
    scale: f32,
    dx: &mut [f32],
) {
    dx.fill(0.0);
    let rows = dx.chunks_exact_mut(classes).zip(probabilities.chunks_exact(classes));
    for ((dx, p), label) in rows.zip(labels) {
        if let Some(c) = class(*label, classes, None) {
            dx[c] = -scale / p[c].max(LEAST);
        }
    }
}

/// ½ Σ over pairs of rows at distance d: d² where the pair is `similar` (not 0), else max(0, margin − d)²,
/// which the `legacy` version has as max(0, margin − d²). There is one entry of `similar` for each row.
pub fn contrastive(margin: f32, legacy: bool, a: &[f32], b: &[f32], similar: &[f32]) -> f64 {
    let width = (a.len() / similar.len().max(1)).max(1);
    let mut sum = 0.0;
    for ((a, b), similar) in a.chunks(width).zip(b.chunks(width)).zip(similar) {
        let square = squared_distance(a, b);
        sum += match (*similar as i32 != 0, legacy) {
            (true, _) => square,
            (false, true) => (margin as f64 - square).max(0.0),
            (false, false) => (margin as f64 - square.sqrt()).max(0.0).powi(2),
        };
    }
    sum / 2.0
}

/// The gradient of [`contrastive`] for `a`, times `scale`; that for `b` is its negative.
pub fn contrastive_back(
    margin: f32,
    legacy: bool,
    a: &[f32],
    b: &[f32],
    similar: &[f32],
    scale: f32,
    da: &mut [f32],
) {
    let width = (a.len() / similar.len().max(1)).max(1);
    let rows = da.chunks_mut(width).zip(a.chunks(width).zip(b.chunks(width)));
    for ((da, (a, b)), similar) in rows.zip(similar) {
        let square = squared_distance(a, b) as f32;
        let factor = match (*similar as i32 != 0, legacy) {
            (true, _) => 1.0,
            (false, true) => -f32::from(margin > square),
            // As in Caffe, so much is added that rows may be equal.
            (false, false) => -(margin - square.sqrt()).max(0.0) / (square.sqrt() + 1e-4),
        };
        for ((da, a), b) in da.iter_mut().zip(a).zip(b) {
            *da = scale * factor * (a - b);
        }
    }
}

/// Σ (a − b)².
pub fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let differences = a.iter().zip(b).map(|(a, b)| (*a as f64) - *b as f64);
    differences.map(|d| d * d).sum()
}

/// Accuracy, and for each class its own.
///
/// A prediction is right when fewer than `top` *other* classes score at least as high as the label's:
/// ties count against it. A class that never occurs gets 0; so does the whole when nothing counts.
pub fn accuracy(
    v: AxisView,
    top: usize,
    ignore: Option<i32>,
    x: &[f32],
    labels: &[f32],
    per_class: Option<&mut [f32]>,
) -> f32 {
    let mut seen = vec![0usize; v.len];
    let mut right = vec![0usize; v.len];
    for (at, label) in labels.iter().enumerate() {
        if let Some(c) = class(*label, v.len, ignore) {
            let (o, i) = (at / v.inner, at % v.inner);
            let scores = x[o * v.block() + i..].iter().step_by(v.inner).take(v.len);
            let own = x[o * v.block() + c * v.inner + i];
            let better = scores.filter(|s| **s >= own).count() - usize::from(!own.is_nan());
            seen[c] += 1;
            right[c] += usize::from(better < top);
        }
    }
    let share =
        |right: usize, seen: usize| if seen == 0 { 0.0 } else { right as f32 / seen as f32 };
    if let Some(out) = per_class {
        for (c, out) in out.iter_mut().enumerate() {
            *out = share(right[c], seen[c]);
        }
    }
    share(right.iter().sum(), seen.iter().sum())
}

/// Probabilities of a sigmoid, used by its loss's second output.
pub fn sigmoids(x: &[f32], y: &mut [f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y = sigmoid(*x));
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check, numbers};
    use super::super::softmax::softmax;
    use super::*;

    #[test]
    fn a_tie_counts_against_the_label() {
        let v = AxisView { outer: 1, len: 3, inner: 1 };
        let x = [0.5, 0.5, 0.1];
        assert_eq!(accuracy(v, 1, None, &x, &[0.0], None), 0.0);
        assert_eq!(accuracy(v, 2, None, &x, &[0.0], None), 1.0);
    }

    #[test]
    fn sigmoid_cross_entropy_equals_its_formula() {
        for (x, t) in [(0.3f32, 1.0f32), (-2.0, 0.0), (4.0, 0.25), (-1.0, 0.75)] {
            let p = 1.0 / (1.0 + (-x as f64).exp());
            let want = -(t as f64 * p.ln() + (1.0 - t as f64) * (1.0 - p).ln());
            let (got, n) = sigmoid_cross_entropy(&[x], &[t], None);
            assert!((got - want).abs() < 1e-7 && n == 1, "{got} {want}");
        }
    }

    #[test]
    fn labels_outside_the_classes_do_not_count() {
        assert_eq!(class(3.0, 3, None), None);
        assert_eq!(class(-1.0, 3, None), None);
        assert_eq!(class(255.0, 300, Some(255)), None);
        assert_eq!(class(2.0, 3, Some(255)), Some(2));
    }

    #[test]
    fn a_probability_that_is_no_number_makes_such_a_loss() {
        let v = AxisView { outer: 1, len: 2, inner: 1 };
        assert!(cross_entropy(v, &[f32::NAN, 1.0], &[0.0], None).0.is_nan());
        assert_eq!(cross_entropy(v, &[0.0, 1.0], &[0.0], None).0 as f32, 87.33655);
    }

    /// Checks a gradient whose `scale` is what comes from above.
    #[track_caller]
    fn check_loss(x: &[f32], f: impl Fn(&[f32]) -> f64, back: impl FnOnce(f32, &mut [f32])) {
        check(
            x,
            |x| vec![f(x) as f32],
            |dy| {
                let mut dx = vec![9.0; x.len()];
                back(dy[0], &mut dx);
                dx
            },
        );
    }

    #[test]
    fn cross_entropy_gradients_equal_differences() {
        let v = AxisView { outer: 2, len: 4, inner: 3 };
        let (x, labels) = (numbers(24), [0.0, 3.0, 1.0, 2.0, 255.0, 9.0]);
        let prob = |x: &[f32]| {
            let mut p = vec![0.0; 24];
            softmax(v, x, &mut p);
            p
        };
        let ignore = Some(1);
        assert_eq!(counted(v, &labels, ignore), 3);
        assert_eq!(counted(v, &labels, None), 4);
        check_loss(
            &x,
            |x| cross_entropy(v, &prob(x), &labels, ignore).0,
            |scale, dx| {
                cross_entropy_back(v, &prob(&x), &labels, ignore, scale, dx);
            },
        );
        let targets: Vec<f32> = x.iter().map(|t| t.abs() + 0.2).collect();
        check_loss(
            &x,
            |x| sigmoid_cross_entropy(x, &targets, ignore).0,
            |scale, dx| {
                sigmoid_cross_entropy_back(&x, &targets, ignore, scale, dx);
            },
        );
    }

    #[test]
    fn hinge_gradients_equal_differences() {
        let (labels, classes) = ([0.0, 4.0, 2.0, 7.0], 5);
        let x: Vec<f32> = numbers(20).iter().map(|x| 4.0 * x).collect();
        for norm in [HingeNorm::L1, HingeNorm::L2] {
            check_loss(
                &x,
                |x| hinge(norm, classes, x, &labels),
                |scale, dx| {
                    hinge_back(norm, classes, &x, &labels, scale, dx);
                },
            );
        }
    }

    #[test]
    fn multinomial_gradients_equal_differences() {
        let labels = [0.0, 4.0, 7.0];
        let x: Vec<f32> = numbers(15).iter().map(|x| x.abs() + 0.3).collect();
        check_loss(
            &x,
            |x| multinomial(x, 5, &labels),
            |scale, dx| {
                multinomial_back(&x, 5, &labels, scale, dx);
            },
        );
        assert!((multinomial(&[0.0], 1, &[0.0]) - 20.0 * 10f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn contrastive_gradients_equal_differences() {
        let (a, b, similar) =
            (numbers(6 * 4), numbers(25)[1..].to_vec(), [0.0, 1.0, 0.0, 2.0, 0.0, 0.0]);
        for (legacy, margin) in [(false, 1.7), (true, 1.7), (false, 0.5), (true, 0.5)] {
            check_loss(
                &a,
                |a| contrastive(margin, legacy, a, &b, &similar),
                |scale, da| {
                    contrastive_back(margin, legacy, &a, &b, &similar, scale, da);
                },
            );
        }
        let mut da = [9.0; 2];
        contrastive_back(1.0, false, &[1.0; 2], &[1.0; 2], &[0.0], 1.0, &mut da);
        assert_eq!(da, [0.0; 2]);
    }
}
