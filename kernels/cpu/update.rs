//! Weights changed by their gradients: the solvers' update rules.
//!
//! Flows in: a parameter's weights, gradient and histories. Flows out: new weights and histories. Each
//! element is read and written once.
//!
//! Operations are in Caffe's order, each rounded to `f32` by itself (nothing is fused), so that every
//! instruction set gives the same bits.

use super::table::Kernels;
use crate::ops::{Penalty, Update, UpdateRule};

/// [`update`], compiled for the machine's instruction set.
pub fn update_fast(
    kernels: &Kernels,
    u: &Update,
    w: &mut [f32],
    g: &[f32],
    h: &mut [f32],
    h2: &mut [f32],
) {
    kernels.compile(|| update(u, w, g, h, h2));
}

/// Changes weights `w` and histories `h` and `h2` by the gradient `g`.
///
/// All have one length; `h2` is empty where the rule has one history.
#[inline(always)]
pub fn update(u: &Update, w: &mut [f32], g: &[f32], h: &mut [f32], h2: &mut [f32]) {
    let rate = u.rate;
    match u.rule {
        UpdateRule::Sgd { momentum } => one(u, w, g, h, |g, h| {
            *h = rate * g + momentum * *h;
            *h
        }),
        UpdateRule::Nesterov { momentum } => one(u, w, g, h, |g, h| {
            let old = *h;
            *h = rate * g + momentum * old;
            (1.0 + momentum) * *h + -momentum * old
        }),
        UpdateRule::AdaGrad { delta } => one(u, w, g, h, |g, h| {
            *h += g * g;
            rate * (g / (h.sqrt() + delta))
        }),
        UpdateRule::RmsProp { decay, delta } => one(u, w, g, h, |g, h| {
            *h = (1.0 - decay) * (g * g) + decay * *h;
            rate * (g / (h.sqrt() + delta))
        }),
        UpdateRule::AdaDelta { momentum, delta } => two(u, w, g, [h, h2], |g, h, h2| {
            *h = (1.0 - momentum) * (g * g) + momentum * *h;
            let step = g * ((delta + *h2) / (delta + *h)).sqrt();
            *h2 = (1.0 - momentum) * (step * step) + momentum * *h2;
            rate * step
        }),
        UpdateRule::Adam { momentum, momentum2, delta, correction } => {
            let rate = rate * correction;
            two(u, w, g, [h, h2], |g, h, h2| {
                *h = (1.0 - momentum) * g + momentum * *h;
                *h2 = (1.0 - momentum2) * (g * g) + momentum2 * *h2;
                rate * (*h / (h2.sqrt() + delta))
            });
        }
    }
}

/// The gradient that a rule sees, made of the summed gradient and the weight.
#[inline(always)]
fn penalised(u: &Update) -> impl Fn(f32, f32) -> f32 {
    let (clip, average) = (u.clip, u.average);
    let [l1, l2] = match u.penalty {
        Penalty::None => [0.0, 0.0],
        Penalty::L1 => [u.decay, 0.0],
        Penalty::L2 => [0.0, u.decay],
    };
    move |g, w| g * clip * average + l2 * w + l1 * sign(w)
}

#[inline(always)]
fn sign(x: f32) -> f32 {
    (x > 0.0) as u8 as f32 - (x < 0.0) as u8 as f32
}

/// One pass of a rule with one history.
#[inline(always)]
fn one(u: &Update, w: &mut [f32], g: &[f32], h: &mut [f32], step: impl Fn(f32, &mut f32) -> f32) {
    assert!(w.len() == g.len() && w.len() == h.len());
    let gradient = penalised(u);
    for ((w, g), h) in w.iter_mut().zip(g).zip(h) {
        *w -= step(gradient(*g, *w), h);
    }
}

/// One pass of a rule with two histories.
#[inline(always)]
fn two(
    u: &Update,
    w: &mut [f32],
    g: &[f32],
    [h, h2]: [&mut [f32]; 2],
    step: impl Fn(f32, &mut f32, &mut f32) -> f32,
) {
    assert!(w.len() == g.len() && w.len() == h.len() && w.len() == h2.len());
    let gradient = penalised(u);
    for (((w, g), h), h2) in w.iter_mut().zip(g).zip(h).zip(h2) {
        *w -= step(gradient(*g, *w), h, h2);
    }
}

/// [`sum_of_squares`] in sixteen sums side by side: other bits, the same on every instruction set.
pub fn sum_of_squares_fast(kernels: &Kernels, x: &[f32]) -> f64 {
    kernels.compile(|| {
        let (blocks, rest) = x.as_chunks::<16>();
        let mut sums = [0.0; 16];
        for block in blocks {
            for (sum, &x) in sums.iter_mut().zip(block) {
                *sum += x as f64 * x as f64;
            }
        }
        sums.iter().sum::<f64>() + sum_of_squares(rest)
    })
}

/// `Σ x²`: the square of a gradient's length, which clipping compares.
#[inline(always)]
pub fn sum_of_squares(x: &[f32]) -> f64 {
    x.iter().map(|&x| x as f64 * x as f64).sum()
}

#[cfg(test)]
mod tests {
    use super::super::table::available;
    use super::*;

    fn plain(rule: UpdateRule) -> Update {
        Update { rule, rate: 0.5, decay: 0.0, penalty: Penalty::None, clip: 1.0, average: 1.0 }
    }

    /// Weight and histories after gradients 2 and 1; the weight starts at 1. All are exact in `f32`.
    fn two_steps(rule: UpdateRule) -> [f32; 3] {
        let [mut w, mut h, mut h2] = [[1.0], [0.0], [0.0]];
        for gradient in [2.0, 1.0] {
            let second = if rule.histories() == 2 { &mut h2[..] } else { &mut [] };
            update(&plain(rule), &mut w, &[gradient], &mut h, second);
        }
        [w[0], h[0], h2[0]]
    }

    #[test]
    fn two_steps_by_hand() {
        // h: 1, then 0.5 + 0.5.
        assert_eq!(two_steps(UpdateRule::Sgd { momentum: 0.5 }), [-1.0, 1.0, 0.0]);
        // Steps 1.5·1 − 0 and 1.5·1 − 0.5·1.
        assert_eq!(two_steps(UpdateRule::Nesterov { momentum: 0.5 }), [-1.5, 1.0, 0.0]);
        // h: 4, then 5.
        let [w, h, _] = two_steps(UpdateRule::AdaGrad { delta: 2.0 });
        assert_eq!((w, h), (1.0 - 0.25 - 0.5 * (1.0 / (5f32.sqrt() + 2.0)), 5.0));
        // h: 3, then 0.75 + 0.75.
        let [w, h, _] = two_steps(UpdateRule::RmsProp { decay: 0.25, delta: 0.0 });
        assert_eq!(h, 1.5);
        let steps = 1.0 / 3f64.sqrt() + 0.5 / 1.5f64.sqrt();
        assert!((w as f64 - (1.0 - steps)).abs() < 1e-6, "{w}");
        // h: 3, then 1.5. s: 2·√(1/4), then √(1.75/2.5). k: 0.75, then 0.75·0.7 + 0.25·0.75.
        let [w, h, k] = two_steps(UpdateRule::AdaDelta { momentum: 0.25, delta: 1.0 });
        assert_eq!(h, 1.5);
        assert!((k - 0.7125).abs() < 1e-6, "{k}");
        assert!((w as f64 - (0.5 - 0.5 * 0.7f64.sqrt())).abs() < 1e-6, "{w}");
        // h: 1, then 0.5 + 0.5. k: 1, then 0.25 + 0.75. Steps of 0.5·2·1/(1 + 3).
        let adam = UpdateRule::Adam { momentum: 0.5, momentum2: 0.75, delta: 3.0, correction: 2.0 };
        assert_eq!(two_steps(adam), [0.5, 1.0, 1.0]);
    }

    #[test]
    fn clipped_then_averaged_then_penalised() {
        let rule = UpdateRule::Sgd { momentum: 0.0 };
        let u = Update { decay: 0.5, clip: 0.25, average: 0.5, ..plain(rule) };
        let step = |penalty, weight: f32| {
            let [mut w, mut h] = [[weight], [0.0]];
            update(&Update { penalty, ..u }, &mut w, &[8.0], &mut h, &mut []);
            weight - w[0]
        };
        assert_eq!(step(Penalty::None, 4.0), 0.5 * 1.0);
        assert_eq!(step(Penalty::L2, 4.0), 0.5 * (1.0 + 2.0));
        assert_eq!(step(Penalty::L1, 4.0), 0.5 * (1.0 + 0.5));
        assert_eq!(step(Penalty::L1, -4.0), 0.5 * (1.0 - 0.5));
        assert_eq!(step(Penalty::L1, 0.0), 0.5 * 1.0);
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let numbers = |from: usize| -> Vec<f32> {
            (from..from + 1003).map(|i| ((i * 7919 % 2003) as f32 - 1001.0) / 733.0).collect()
        };
        let rules = [
            UpdateRule::Sgd { momentum: 0.9 },
            UpdateRule::Nesterov { momentum: 0.9 },
            UpdateRule::AdaGrad { delta: 1e-8 },
            UpdateRule::RmsProp { decay: 0.98, delta: 1e-8 },
            UpdateRule::AdaDelta { momentum: 0.95, delta: 1e-6 },
            UpdateRule::Adam { momentum: 0.9, momentum2: 0.999, delta: 1e-8, correction: 0.3 },
        ];
        let run = |u: &Update, kernels: Option<&Kernels>| {
            let squared = |x: Vec<f32>| x.iter().map(|x| x * x).collect::<Vec<f32>>();
            let (mut w, g, mut h) = (numbers(0), numbers(50), squared(numbers(100)));
            let mut h2 = if u.rule.histories() == 2 { squared(numbers(150)) } else { vec![] };
            match kernels {
                Some(k) => update_fast(k, u, &mut w, &g, &mut h, &mut h2),
                None => update(u, &mut w, &g, &mut h, &mut h2),
            }
            [w, h, h2].map(|x| x.into_iter().map(f32::to_bits).collect::<Vec<u32>>())
        };
        for rule in rules {
            for penalty in [Penalty::L1, Penalty::L2] {
                let u = Update { decay: 0.01, penalty, clip: 0.7, average: 0.3, ..plain(rule) };
                let wanted = run(&u, None);
                for kernels in available() {
                    assert_eq!(run(&u, Some(kernels)), wanted, "{} {rule:?}", kernels.name());
                }
            }
        }
    }

    #[test]
    fn squares_summed_side_by_side() {
        let x: Vec<f32> = (0..1003).map(|i| i as f32 / 3.0).collect();
        let sums = available().iter().map(|k| sum_of_squares_fast(k, &x).to_bits());
        assert!(sums.clone().all(|sum| Some(sum) == sums.clone().next()));
        let (fast, plain) = (sum_of_squares_fast(&available()[0], &x), sum_of_squares(&x));
        assert!((fast / plain - 1.0).abs() < 1e-14, "{fast} {plain}");
        assert_eq!(sum_of_squares_fast(&available()[0], &[3.0, 4.0]), 25.0);
    }
}
