//! What many looks at one amount come to: its mean, how far it strays from that, and the most of it.

/// Looks added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    looks: u64,
    sum: u128,
    squares: u128,
    peak: u64,
}

impl Spread {
    /// Takes a look in.
    pub fn look(&mut self, amount: u64) {
        self.looks += 1;
        self.sum += u128::from(amount);
        self.squares = self.squares.saturating_add(u128::from(amount) * u128::from(amount));
        self.peak = self.peak.max(amount);
    }

    /// How many there were.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// The mean; `None` before the first look.
    pub fn mean(&self) -> Option<u64> {
        self.sum.checked_div(u128::from(self.looks)).map(|mean| mean as u64)
    }

    /// The standard deviation.
    pub fn deviation(&self) -> u64 {
        let looks = u128::from(self.looks.max(1));
        let mean = self.sum / looks;
        (self.squares / looks).saturating_sub(mean * mean).isqrt() as u64
    }

    /// The most of it.
    pub fn peak(&self) -> u64 {
        self.peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_looks_come_to_what_they_should() {
        let mut spread = Spread::default();
        assert_eq!((spread.mean(), spread.deviation(), spread.peak()), (None, 0, 0));
        [2, 4, 4, 4, 5, 5, 7, 9].into_iter().for_each(|amount| spread.look(amount));
        assert_eq!((spread.mean(), spread.deviation(), spread.peak(), spread.looks()), (Some(5), 2, 9, 8));
    }
}
