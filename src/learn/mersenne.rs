//! The random numbers of numpy's `RandomState`, for splits that equal scikit-learn's.
//!
//! Flows in: a 32-bit seed. Flows out: the sequence that `numpy.random.RandomState(seed)` gives.
//!
//! The generator is MT19937 (Matsumoto and Nishimura, 1998), seeded as in the authors' version of 2002.

/// Words of state.
const WORDS: usize = 624;
/// How far ahead the word lies that each word is mixed with.
const AHEAD: usize = 397;

/// MT19937 in the state that numpy gives it.
#[derive(Clone, Debug)]
pub struct Mersenne {
    state: [u32; WORDS],
    /// The word to hand out next; `WORDS` when all are used up.
    next: usize,
}

impl Mersenne {
    /// A generator whose whole sequence follows from `seed`.
    pub fn new(seed: u32) -> Self {
        let mut state = [seed; WORDS];
        for i in 1..WORDS {
            let before = state[i - 1] ^ (state[i - 1] >> 30);
            state[i] = before.wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Self { state, next: WORDS }
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        if self.next == WORDS {
            self.refill();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= word << 7 & 0x9d2c_5680;
        word ^= word << 15 & 0xefc6_0000;
        word ^ word >> 18
    }

    /// The recurrence, one round over all words.
    fn refill(&mut self) {
        for i in 0..WORDS {
            let low = self.state[(i + 1) % WORDS];
            let joined = self.state[i] & 0x8000_0000 | low & 0x7fff_ffff;
            let twist = if low & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + AHEAD) % WORDS] ^ joined >> 1 ^ twist;
        }
        self.next = 0;
    }

    /// A whole number below `n`, as `randint(n)` draws it: as many bits as n − 1 has, again while they
    /// say n or more. 0 where there is no choice (`n` < 2), and then nothing is drawn.
    pub fn below(&mut self, n: u32) -> u32 {
        if n < 2 {
            return 0;
        }
        let mask = u32::MAX >> (n - 1).leading_zeros();
        loop {
            let draw = self.bits() & mask;
            if draw < n {
                return draw;
            }
        }
    }

    /// Puts at most 2³² − 1 values in random order (Fisher and Yates, from the end).
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.below(i as u32 + 1) as usize);
        }
    }

    /// The numbers below `n` in random order.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authors_test_value() {
        // The C++ standard requires it of std::mt19937, whose seed is 5489 unless told otherwise.
        let mut random = Mersenne::new(5489);
        let last = (0..10_000).fold(0, |_, _| random.bits());
        assert_eq!(last, 4_123_659_995);
    }

    #[test]
    fn numpys_permutation_and_bounded_draw() {
        let want = [18, 1, 19, 8, 10, 17, 6, 13, 4, 2, 5, 14, 9, 7, 16, 11, 3, 0, 15, 12];
        assert_eq!(Mersenne::new(0).permutation(20), want);
        assert_eq!(Mersenne::new(0).below(i32::MAX as u32), 209_652_396);
    }

    #[test]
    fn no_choice_draws_nothing() {
        let mut random = Mersenne::new(1);
        assert_eq!((random.below(1), random.below(0)), (0, 0));
        assert_eq!(random.bits(), Mersenne::new(1).bits());
    }
}
