//! Which item each sample is, and the randomness of each: all from the seed and a sample's number.
//!
//! Flows in: the seed. Flows out: item numbers, and a generator a sample.

use crate::rng::Rng;

/// The endless order of samples.
pub(super) struct Order {
    items: usize,
    shuffle: bool,
    /// Samples left out at the beginning.
    skip: u64,
    /// Seeds of the epochs' orders and of the samples' draws.
    epochs: u64,
    samples: u64,
}

/// The order of the epoch that was asked for last.
#[derive(Default)]
pub(super) struct Epoch(Option<(u64, Vec<usize>)>);

impl Order {
    /// The order of `items` items; fewer than `rand_skip` are left out at the beginning.
    pub(super) fn new(items: usize, shuffle: bool, rand_skip: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let (epochs, samples) = (rng.bits(), rng.bits());
        let skip = if rand_skip > 0 { rng.below(rand_skip) as u64 } else { 0 };
        Self { items, shuffle, skip, epochs, samples }
    }

    /// The items that samples `first`, `first + 1`, … are, `count` of them.
    pub(super) fn items(&self, first: u64, count: usize, epoch: &mut Epoch) -> Vec<usize> {
        let n = self.items as u64;
        let numbers = (0..count as u64).map(|i| first.wrapping_add(self.skip).wrapping_add(i));
        let item = |k: u64| match self.shuffle {
            true => self.epoch(k / n, epoch)[(k % n) as usize],
            false => (k % n) as usize,
        };
        numbers.map(item).collect()
    }

    /// The draws of one sample.
    pub(super) fn rng(&self, sample: u64) -> Rng {
        Rng::new(self.samples.wrapping_add(sample))
    }

    /// The order of epoch `number`.
    fn epoch<'a>(&self, number: u64, epoch: &'a mut Epoch) -> &'a [usize] {
        if epoch.0.as_ref().is_none_or(|e| e.0 != number) {
            let mut rng = Rng::new(self.epochs.wrapping_add(number));
            let mut order: Vec<usize> = (0..self.items).collect();
            rng.shuffle(&mut order);
            epoch.0 = Some((number, order));
        }
        epoch.0.as_ref().map_or(&[], |e| &e.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(order: &Order, first: u64, count: usize) -> Vec<usize> {
        order.items(first, count, &mut Epoch::default())
    }

    #[test]
    fn without_shuffling_the_list_goes_round() {
        let order = Order::new(3, false, 0, 1);
        assert_eq!(items(&order, 2, 5), [2, 0, 1, 2, 0]);
    }

    #[test]
    fn each_epoch_is_a_permutation_of_its_own() {
        let order = Order::new(50, true, 0, 9);
        let epochs = items(&order, 0, 150);
        for epoch in epochs.chunks(50) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        }
        assert_ne!(epochs[..50], epochs[50..100]);
        assert_eq!(items(&order, 37, 70), epochs[37..107]);
        assert_eq!(items(&Order::new(50, true, 0, 9), 0, 150), epochs);
        assert_ne!(items(&Order::new(50, true, 0, 10), 0, 50), epochs[..50]);
    }

    #[test]
    fn skipping_starts_later_and_stays_below_its_bound() {
        let first = |seed| items(&Order::new(100, false, 10, seed), 0, 1)[0];
        let firsts: std::collections::BTreeSet<_> = (0..100).map(first).collect();
        assert!(firsts.len() > 5 && firsts.iter().all(|&f| f < 10), "{firsts:?}");
    }
}
