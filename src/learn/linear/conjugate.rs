//! Systems of equations by conjugate gradients (Hestenes and Stiefel 1952), preconditioned.
//!
//! Flows in: b, products with a positive definite matrix, and perhaps rough solutions of its systems. Flows
//! out: an approximate solution of A·x = b, which can be taken further later, in another metric.

use super::passes::dot;

/// A solution on its way.
pub(super) struct Conjugate {
    /// x.
    pub solution: Vec<f64>,
    /// b − A·x.
    rest: Vec<f64>,
    /// How short the rest must become.
    end: f64,
}

impl Conjugate {
    /// Begins at 0; done when no more than `part` of the length of `b` is left.
    pub fn new(b: Vec<f64>, part: f64) -> Self {
        let end = part * dot(&b, &b).sqrt();
        Self { solution: vec![0.0; b.len()], rest: b, end }
    }

    /// Goes on for so many products, at most; whether it is done. `metric` is roughly A⁻¹.
    pub fn approach(
        &mut self,
        products: usize,
        product: impl Fn(&[f64]) -> Vec<f64>,
        metric: impl Fn(&[f64]) -> Vec<f64>,
    ) -> bool {
        let mut near = metric(&self.rest);
        let mut p = near.clone();
        let mut norm = dot(&self.rest, &near);
        for _ in 0..products {
            if self.done() {
                break;
            }
            let q = product(&p);
            let curve = dot(&p, &q);
            // Rounding has used up the matrix's definiteness: this is as near as it gets.
            if curve <= 0.0 {
                return true;
            }
            let t = norm / curve;
            self.solution.iter_mut().zip(&p).for_each(|(x, p)| *x += t * p);
            self.rest.iter_mut().zip(&q).for_each(|(r, q)| *r -= t * q);
            near = metric(&self.rest);
            let next = dot(&self.rest, &near);
            p.iter_mut().zip(&near).for_each(|(p, z)| *p = z + next / norm * *p);
            norm = next;
        }
        self.done()
    }

    fn done(&self) -> bool {
        dot(&self.rest, &self.rest).sqrt() <= self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_products_as_there_are_different_eigenvalues() {
        // diag(1, 2, 2, 5): three products, one in the metric of its inverse.
        let product = |v: &[f64]| vec![v[0], 2.0 * v[1], 2.0 * v[2], 5.0 * v[3]];
        let mut plain = Conjugate::new(vec![1.0, 2.0, 4.0, 10.0], 1e-9);
        assert!(!plain.approach(2, product, <[f64]>::to_vec));
        let mut better = Conjugate::new(vec![1.0, 2.0, 4.0, 10.0], 1e-9);
        assert!(better.approach(1, product, |r| vec![r[0], 0.5 * r[1], 0.5 * r[2], 0.2 * r[3]]));
        let mut whole = Conjugate::new(vec![1.0, 2.0, 4.0, 10.0], 1e-9);
        assert!(whole.approach(3, product, <[f64]>::to_vec));
        // From where it is, in another metric.
        assert!(plain.approach(1, product, |r| vec![r[0], 0.5 * r[1], 0.5 * r[2], 0.2 * r[3]]));
        for solution in [plain.solution, better.solution, whole.solution] {
            let far = solution.iter().zip([1.0, 1.0, 2.0, 2.0]).map(|(x, w)| (x - w).abs());
            assert!(far.fold(0.0, f64::max) < 1e-9, "{solution:?}");
        }
    }

    #[test]
    fn zero_is_the_solution_of_nothing() {
        let mut nothing = Conjugate::new(vec![0.0; 3], 0.1);
        assert!(nothing.approach(5, <[f64]>::to_vec, <[f64]>::to_vec));
        assert_eq!(nothing.solution, [0.0; 3]);
    }
}
