//! Coordinates that take part in a descent, and those that are left out for a while.

use crate::rng::Rng;

/// Numbers of coordinates; those that take part stand in front of the others.
#[derive(Default)]
pub(super) struct Active {
    order: Vec<u32>,
    count: usize,
}

impl Active {
    /// All of `n`.
    pub fn new(n: usize) -> Self {
        Self { order: (0..n as u32).collect(), count: n }
    }

    /// Everyone takes part again.
    pub fn restart(&mut self) {
        self.count = self.order.len();
    }

    /// Those that take part.
    pub fn numbers(&self) -> &[u32] {
        &self.order[..self.count]
    }

    /// Visits all that take part, in random order. `visit` is also given those that come next, and says whether
    /// the coordinate stays.
    pub fn pass(&mut self, rng: &mut Rng, mut visit: impl FnMut(usize, &[u32]) -> bool) {
        for i in 0..self.count {
            let j = i + rng.below(self.count - i);
            self.order.swap(i, j);
        }
        let mut at = 0;
        while at < self.count {
            let (this, next) = (self.order[at] as usize, &self.order[at + 1..self.count]);
            if visit(this, next) {
                at += 1;
            } else {
                self.count -= 1;
                self.order.swap(at, self.count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_visited_once_until_it_is_left_out() {
        let (mut active, mut rng) = (Active::new(9), Rng::new(1));
        let seen = |active: &mut Active, rng: &mut Rng, stays: fn(usize) -> bool| {
            let mut seen = vec![];
            let mut promised = None;
            active.pass(rng, |i, next| {
                assert!(promised.is_none_or(|p| p == i), "the next one comes next");
                promised = next.first().map(|&n| n as usize).filter(|_| stays(i));
                seen.push(i);
                stays(i)
            });
            seen.sort_unstable();
            seen
        };
        assert_eq!(seen(&mut active, &mut rng, |i| i % 3 != 0), (0..9).collect::<Vec<_>>());
        assert_eq!(seen(&mut active, &mut rng, |_| true), [1, 2, 4, 5, 7, 8]);
        assert_eq!(active.numbers().len(), 6);
        active.restart();
        assert_eq!(seen(&mut active, &mut rng, |_| false).len(), 9);
        assert!(active.numbers().is_empty());
    }
}
