//! What tokens cost, in whole numbers.
use crate::{config, usage::Usage};

/// Tokens that a price is for.
const MILLION: u128 = 1_000_000;

/// Micro-dollars for a million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Price {
    input: u64,
    output: u64,
    cache_write: u64,
    cache_read: u64,
}

impl Price {
    /// Reads a table of the config.
    ///
    /// # Errors
    /// Names the key and what is wrong with it.
    pub(crate) fn read(from: &config::Price) -> Result<Price, String> {
        let read = |key: &str, text: &str| {
            bursar_wire::quantity("usd", text).map_err(|why| format!("price.{key}: {why}"))
        };
        let input = read("input", &from.input)?;
        let cached =
            |key: &str, text: &Option<String>| text.as_ref().map_or(Ok(input), |text| read(key, text));
        Ok(Price {
            input,
            output: read("output", &from.output)?,
            cache_write: cached("cache-write", &from.cache_write)?,
            cache_read: cached("cache-read", &from.cache_read)?,
        })
    }

    /// What a usage costs in micro-dollars, rounded up.
    pub(crate) fn cost(&self, usage: &Usage) -> u64 {
        let parts = [
            (usage.input, self.input),
            (usage.output, self.output),
            (usage.cache_write, self.cache_write),
            (usage.cache_read, self.cache_read),
        ];
        let sum: u128 = parts.iter().map(|&(tokens, price)| u128::from(tokens) * u128::from(price)).sum();
        u64::try_from(sum.div_ceil(MILLION)).unwrap_or(u64::MAX)
    }

    /// The most that so many tokens of input and output can cost, in micro-dollars.
    pub(crate) fn worst(&self, input: u64, output: u64) -> u64 {
        let dearest = Price { input: self.input.max(self.cache_write).max(self.cache_read), ..*self };
        dearest.cost(&Usage { input, output, ..Usage::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sonnet() -> Price {
        let price = config::Price {
            input: "3".into(),
            output: "15".into(),
            cache_write: Some("3.75".into()),
            cache_read: Some("0.30".into()),
        };
        Price::read(&price).expect("sound")
    }

    #[test]
    fn each_kind_of_token_has_its_price_and_the_sum_is_rounded_up() {
        let usage = Usage { input: 1000, output: 100, cache_write: 40, cache_read: 1_000_000 };
        assert_eq!(sonnet().cost(&usage), 3000 + 1500 + 150 + 300_000);
        assert_eq!(sonnet().cost(&Usage { cache_read: 1, ..Usage::default() }), 1, "0.3 micro-dollars");
        assert_eq!(sonnet().worst(1000, 100), 3750 + 1500, "all of it may be written into the cache");
        assert_eq!(sonnet().worst(u64::MAX, 1), u64::MAX);
    }

    #[test]
    fn a_wrong_price_is_named() {
        let price =
            config::Price { input: "3".into(), output: "much".into(), cache_write: None, cache_read: None };
        assert!(Price::read(&price).expect_err("no price").contains("price.output"));
    }
}
