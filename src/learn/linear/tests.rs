//! What holds for every solver.

use super::*;
use crate::learn::{Layout, Matrix};
use crate::rng::Rng;
use rayon::ThreadPoolBuilder;

/// Every loss, penalty and solver that there is.
const KINDS: [(Loss, Penalty, Solver); 6] = [
    (Loss::Hinge, Penalty::L2, Solver::Dual),
    (Loss::SquaredHinge, Penalty::L2, Solver::Dual),
    (Loss::SquaredHinge, Penalty::L2, Solver::Primal),
    (Loss::Logistic, Penalty::L2, Solver::Primal),
    (Loss::SquaredHinge, Penalty::L1, Solver::Primal),
    (Loss::Logistic, Penalty::L1, Solver::Primal),
];

pub(super) struct Data {
    matrix: Matrix,
    rows: Vec<u32>,
    labels: Vec<bool>,
}

impl Data {
    pub fn new(rows: &[Vec<f32>], labels: &[bool]) -> Self {
        let mut matrix = Matrix::new(rows[0].len(), Layout::Packed);
        rows.iter().for_each(|row| matrix.push(row).unwrap());
        Self { matrix, rows: (0..rows.len() as u32).collect(), labels: labels.to_vec() }
    }

    /// Eight samples of three features; the last feature is always 1.
    fn eight() -> Self {
        let rows = [[2, 0], [1, 3], [0, 1], [3, 1], [1, 0], [0, 2], [2, 2], [0, 0]];
        let rows = rows.map(|[a, b]| vec![a as f32, b as f32, 1.0]);
        Self::new(&rows, &[true, false, false, true, true, false, false, false])
    }

    /// Random samples, half of whose values are zero, and whose labels are not quite linear.
    pub fn random(n: usize, columns: usize) -> Self {
        let mut rng = Rng::new(5);
        let mut row = || (0..columns).map(|_| rng.gaussian(0.0, 1.0).max(0.0)).collect();
        let rows: Vec<Vec<f32>> = (0..n).map(|_| row()).collect();
        let mut noise = Rng::new(6);
        let label = |row: &Vec<f32>| row[0] + noise.gaussian(0.0, 0.5) > row[1];
        Self::new(&rows, &rows.iter().map(label).collect::<Vec<_>>())
    }

    pub fn samples(&self) -> Samples<'_> {
        Samples { matrix: &self.matrix, rows: &self.rows, labels: &self.labels }
    }
}

fn problem((loss, penalty, solver): (Loss, Penalty, Solver), c: f64) -> Problem {
    Problem { loss, penalty, solver, c, tolerance: 1e-10, ..Problem::default() }
}

fn converged(data: &Data, problem: &Problem) -> Fit {
    next(&mut Path::new(data.samples()).unwrap(), problem)
}

/// The next fit of a path, which must have converged.
fn next(path: &mut Path, problem: &Problem) -> Fit {
    let fit = path.fit(problem).unwrap().clone();
    assert!(fit.converged && fit.gap <= 1e-10 * fit.objective, "{}", fit.summary());
    fit
}

/// Samples at 1 and −1, no bias: what is minimised is R(w) + 2 C loss(w).
#[test]
fn one_weight_by_hand() {
    let data = Data::new(&[vec![1.0], vec![-1.0]], &[true, false]);
    // In the order of `KINDS`: C, w.
    let cases = [
        (0.25, 0.5),
        (1.0, 0.8),
        (1.0, 0.8),
        (1.0 + 0.5 * 1f64.exp() - 0.5, 1.0),
        (1.0, 0.75),
        (2.0, 3f64.ln()),
    ];
    for (kind, (c, w)) in KINDS.into_iter().zip(cases) {
        let fit = converged(&data, &Problem { intercept: false, ..problem(kind, c) });
        let got = fit.linear.weights[0];
        assert!((got - w).abs() < 1e-4, "{kind:?}: {got}, not {w}");
        assert_eq!(fit.linear.bias, 0.0);
    }
    // A pull of 1 or less leaves a weight at 0: of the squared hinge 4 C, of the logistic loss C.
    for (kind, c) in [(KINDS[4], 0.25), (KINDS[5], 1.0)] {
        let fit = converged(&data, &Problem { intercept: false, ..problem(kind, c) });
        assert_eq!((fit.linear.weights[0], fit.gap), (0.0, 0.0), "{kind:?}");
    }
}

/// The numbers are those of scikit-learn 1.9.1, `LinearSVC` and `LogisticRegression(solver="liblinear")`, at
/// C = 0.5.
#[test]
fn eight_samples_as_scikit_learn_has_them() {
    let want = [
        (53.0 / 36.0, [2.0 / 3.0, -2.0 / 3.0]),
        (1.0866425992779785, [0.602888087, -0.718411552]),
        (1.0866425992779785, [0.602888087, -0.718411552]),
        (1.9109309792637477, [0.572028374, -0.699868896]),
        (2.0338983050847457, [0.423728814, -0.661016949]),
        (2.6442915435245395, [0.089856208, -0.382789733]),
    ];
    for (kind, (objective, weights)) in KINDS.into_iter().zip(want) {
        let fit = converged(&Data::eight(), &problem(kind, 0.5));
        assert!((fit.objective - objective).abs() < 1e-8, "{kind:?}: {}", fit.objective);
        for (got, want) in fit.linear.weights.iter().zip(weights) {
            assert!((got - want).abs() < 2e-5, "{kind:?}: {got}, not {want}");
        }
        // The constant column is as good as the bias.
        if kind.1 == Penalty::L2 {
            assert!((fit.linear.weights[2] - fit.linear.bias).abs() < 2e-5, "{kind:?}");
        }
    }
}

#[test]
fn another_problems_fit_is_a_start_and_no_more() {
    let data = Data::random(60, 20);
    for kind in KINDS {
        let cold = converged(&data, &problem(kind, 1.0));
        let mut path = Path::new(data.samples()).unwrap();
        next(&mut path, &problem(kind, 0.1));
        let warm = next(&mut path, &problem(kind, 1.0));
        assert!((warm.objective / cold.objective - 1.0).abs() < 2e-10, "{kind:?}");
        let again = next(&mut path, &problem(kind, 1.0));
        assert!(again.iterations <= 1, "{kind:?}: {} iterations", again.iterations);
        // From each kind of solution to each other.
        for other in KINDS {
            next(&mut path, &problem(other, 1.0));
            let back = next(&mut path, &problem(kind, 1.0));
            assert!((back.objective / cold.objective - 1.0).abs() < 2e-10, "{kind:?} {other:?}");
        }
    }
}

#[test]
fn samples_that_come_twice_count_twice() {
    let data = Data::random(40, 12);
    let twice = Data { rows: [&data.rows[..], &data.rows].concat(), ..Data::random(40, 12) };
    for kind in KINDS {
        let [a, b] = [(&data, 1.0), (&twice, 0.5)].map(|(d, c)| converged(d, &problem(kind, c)));
        assert!((a.objective / b.objective - 1.0).abs() < 2e-10, "{kind:?}");
    }
}

#[test]
fn what_did_not_converge_says_so() {
    let data = Data::random(60, 20);
    for kind in KINDS {
        let few = Problem { max_iterations: 1, ..problem(kind, 1.0) };
        let fit = fit(&data.samples(), &few).unwrap();
        assert!(!fit.converged && fit.gap > 1e-10 * fit.objective, "{kind:?}");
        assert!(fit.summary().contains("NOT converge"), "{}", fit.summary());
        // The gap holds all the same.
        let best = converged(&data, &problem(kind, 1.0)).objective;
        assert!(fit.objective - fit.gap <= best * (1.0 + 1e-9), "{kind:?}");
    }
}

#[test]
fn threads_do_not_show() {
    let data = Data::random(300, 50);
    let pool = |threads| ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    for kind in KINDS {
        let [a, b] = [1, 2].map(|threads| {
            pool(threads).install(|| fit(&data.samples(), &problem(kind, 1.0)).unwrap())
        });
        assert_eq!((a.linear, a.iterations, a.gap), (b.linear, b.iterations, b.gap), "{kind:?}");
    }
}

#[test]
fn one_class_is_refused() {
    let data = Data::new(&[vec![1.0], vec![2.0]], &[true, true]);
    for kind in KINDS {
        let error = fit(&data.samples(), &problem(kind, 1.0)).unwrap_err().to_string();
        assert!(error.contains("all of 2 samples are positive"), "{error}");
    }
    let error = fit(&Data::eight().samples(), &problem(KINDS[0], -1.0)).unwrap_err();
    assert!(error.to_string().contains("C is -1"), "{error}");
}
