//! Whole numbers that may pass 2^53 stand in JSON as strings; read back, a number is taken as well.
use serde::{
    Deserializer, Serializer,
    de::{Error, Visitor},
};
use std::fmt;

struct Whole;

impl Visitor<'_> for Whole {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number from 0 to 2^64 - 1, best as a string")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        text.parse().map_err(|_| not_whole(text))
    }
}

/// Writes a number as a string.
pub(crate) fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

/// Reads a number, as a string or as it is.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    from.deserialize_any(Whole)
}

fn not_whole<E: Error>(text: &str) -> E {
    let told: String = text.chars().take(64).collect();
    E::custom(format_args!("{told:?} is no whole number from 0 to 2^64 - 1"))
}

/// The same where there may be none.
pub(crate) mod option {
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    struct Held(#[serde(with = "super")] u64);

    /// Writes a number as a string, or null.
    pub(crate) fn serialize<S: Serializer>(value: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.collect_str(value),
            None => to.serialize_none(),
        }
    }

    /// Reads a number or null.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        Option::<Held>::deserialize(from).map(|held| held.map(|Held(number)| number))
    }
}

/// A bound that is set, lifted by null, or left as it is.
pub(crate) mod bound {
    use serde::{Deserializer, Serializer};

    /// Writes a number as a string, or null.
    pub(crate) fn serialize<S: Serializer>(value: &Option<Option<u64>>, to: S) -> Result<S::Ok, S::Error> {
        super::option::serialize(&value.flatten(), to)
    }

    /// Reads a number or null.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<u64>>, D::Error> {
        super::option::deserialize(from).map(Some)
    }
}
