//! The Mersenne twister, and how PyTorch makes uniform numbers of its words.

/// Words of state.
const WORDS: usize = 624;
/// How far ahead the word lies that a new word is made from.
const AHEAD: usize = 397;

/// The Mersenne twister MT19937; Matsumoto and Nishimura (1998), <https://doi.org/10.1145/272991.272995>.
///
/// Seeded as their `init_genrand` of 2002, as PyTorch is (`aten/src/ATen/core/MT19937RNGEngine.h`).
#[derive(Debug, Clone)]
pub(super) struct Mt19937 {
    state: Box<[u32; WORDS]>,
    /// The next word of the state to give out.
    next: usize,
}

impl Mt19937 {
    /// A generator that has given out nothing yet.
    pub(super) fn new(seed: u32) -> Self {
        let mut state = Box::new([seed; WORDS]);
        let mut previous = seed;
        for (index, word) in (1..).zip(&mut state[1..]) {
            previous = (previous ^ (previous >> 30))
                .wrapping_mul(1_812_433_253)
                .wrapping_add(index);
            *word = previous;
        }
        Self { state, next: WORDS }
    }

    /// The next 32 random bits.
    pub(super) fn next_u32(&mut self) -> u32 {
        if self.next == WORDS {
            self.renew();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// A number in `[0, 1)` with 24 random bits.
    pub(super) fn uniform_f32(&mut self) -> f32 {
        const BITS: u32 = f32::MANTISSA_DIGITS;
        const UNIT: f32 = 1.0 / (1 << BITS) as f32;
        (self.next_u32() & ((1 << BITS) - 1)) as f32 * UNIT
    }

    /// A number in `[0, 1)` with 53 random bits, of which the first word drawn gives the high ones.
    pub(super) fn uniform_f64(&mut self) -> f64 {
        const BITS: u32 = f64::MANTISSA_DIGITS;
        const UNIT: f64 = 1.0 / (1_u64 << BITS) as f64;
        let high = u64::from(self.next_u32());
        let low = u64::from(self.next_u32());
        ((high << 32 | low) & ((1 << BITS) - 1)) as f64 * UNIT
    }

    fn renew(&mut self) {
        for index in 0..WORDS {
            let joined =
                (self.state[index] & 0x8000_0000) | (self.state[(index + 1) % WORDS] & 0x7fff_ffff);
            let twisted = (joined >> 1) ^ if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[index] = self.state[(index + AHEAD) % WORDS] ^ twisted;
        }
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C++ \[rand.predef\]: the 10000th word of `std::mt19937`, whose seed is 5489, is 4123659995.
    #[test]
    fn the_ten_thousandth_word_is_that_of_the_standard() {
        let mut engine = Mt19937::new(5489);
        let word = (0..10_000).map(|_| engine.next_u32()).last();
        assert_eq!(word, Some(4_123_659_995));
    }
}
