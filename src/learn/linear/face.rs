//! The dual problem for the samples that are at no bound, by conjugate gradients.
//!
//! ```text
//! K d = −g,   Kᵢⱼ = yᵢ yⱼ xᵢ·xⱼ (+ D on the diagonal),   i, j free
//! ```
//!
//! Coordinate descent soon knows which samples end at a bound, and then takes long to balance the others
//! where C is large. On their face of the box the problem is a linear system: a product with K is two passes
//! through the free samples, side by side on all cores, and K is never stored. Gradient projection with
//! conjugate gradients on the face is Moré and Toraldo's method (1991).

use super::Samples;
use super::conjugate::Conjugate;
use super::passes::{dot, kernels, sum, summed};
use rayon::prelude::*;

/// Products with K, at most.
const PRODUCTS: usize = 100;

/// How much of the gradient may be left.
const REST: f64 = 0.01;

/// Halvings of a step that the box cuts off, at most.
pub(super) const HALVINGS: usize = 20;

/// The free samples.
pub(super) struct Face<'a> {
    samples: &'a Samples<'a>,
    rows: Vec<u32>,
    diagonal: f64,
    intercept: bool,
}

impl<'a> Face<'a> {
    /// Of the samples numbered `free`.
    pub fn new(samples: &'a Samples, free: &[u32], diagonal: f64, intercept: bool) -> Self {
        let rows = free.iter().map(|&i| samples.rows[i as usize]).collect();
        Self { samples, rows, diagonal, intercept }
    }

    fn samples(&self) -> Samples<'_> {
        Samples { rows: &self.rows, ..*self.samples }
    }

    /// The direction to the optimum on the face: approximately −K⁻¹ g.
    pub fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        let mut to_go = Conjugate::new(gradient.iter().map(|g| -g).collect(), REST);
        to_go.approach(PRODUCTS, |p| self.product(p), <[f64]>::to_vec);
        to_go.solution
    }

    /// K · p.
    fn product(&self, p: &[f64]) -> Vec<f64> {
        let samples = self.samples();
        let (w, b) = summed(&samples, |i, row, w| {
            let factor = (p[i] * samples.sign(i)) as f32;
            row.add_to(kernels(), factor, w);
            factor
        });
        let b = if self.intercept { b } else { 0.0 };
        let component = |i: usize| {
            let along = samples.row(i).dot(kernels(), &w) + b;
            samples.sign(i) * f64::from(along) + self.diagonal * p[i]
        };
        (0..p.len()).into_par_iter().with_min_len(64).map(component).collect()
    }

    /// What the dual objective gains by some moves: −Σ g·m − ½ (‖Σ m y x‖² + D Σ m²).
    pub fn gain(&self, gradient: &[f64], moves: &[f64]) -> f64 {
        let samples = self.samples();
        let (w, b) = sum(&samples, |i| moves[i] * samples.sign(i));
        let b = if self.intercept { b } else { 0.0 };
        let curve = dot(&w, &w) + b * b + self.diagonal * dot(moves, moves);
        -dot(gradient, moves) - 0.5 * curve
    }
}
