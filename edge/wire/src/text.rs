//! Whole numbers that may pass 2^53 stand in JSON as strings; read back, a number is taken as well. Each type here is
//! named in a field's `with`, and says how it is written, read and described.
use bursar_interface::Fence;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serializer,
    de::{Error, Visitor},
};
use std::{borrow::Cow, fmt};

/// How such a number looks.
const PATTERN: &str = "^[0-9]{1,20}$";

/// A whole number.
pub(crate) struct Digits;

impl Digits {
    /// Writes a number as a string.
    pub(crate) fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    /// Reads a number, as a string or as it is.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        from.deserialize_any(Whole)
    }
}

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
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten().ok_or_else(|| not_whole(text))
    }
}

fn not_whole<E: Error>(text: &str) -> E {
    let told: String = text.chars().take(64).collect();
    E::custom(format_args!("{told:?} is no whole number from 0 to 2^64 - 1"))
}

/// The same where there may be none.
pub(crate) struct MaybeDigits;

#[derive(Deserialize)]
struct Held(#[serde(with = "Digits")] u64);

impl MaybeDigits {
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
pub(crate) struct BoundDigits;

impl BoundDigits {
    /// Writes a number as a string, or null.
    pub(crate) fn serialize<S: Serializer>(value: &Option<Option<u64>>, to: S) -> Result<S::Ok, S::Error> {
        MaybeDigits::serialize(&value.flatten(), to)
    }

    /// Reads a number or null.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<u64>>, D::Error> {
        MaybeDigits::deserialize(from).map(Some)
    }
}

/// A fence.
pub(crate) struct FenceDigits;

impl FenceDigits {
    /// Writes it as a string.
    pub(crate) fn serialize<S: Serializer>(fence: &Fence, to: S) -> Result<S::Ok, S::Error> {
        Digits::serialize(&fence.0, to)
    }

    /// Reads it, as a string or a number.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Fence, D::Error> {
        Digits::deserialize(from).map(Fence)
    }
}

/// An amount that is sent in: its text, quoted or not, which is read with its kind at hand.
pub(crate) struct AmountDigits;

impl AmountDigits {
    /// Writes the text.
    pub(crate) fn serialize<S: Serializer>(text: &str, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    /// Reads digits, quoted or not.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        from.deserialize_any(Quoted)
    }
}

struct Quoted;

impl Visitor<'_> for Quoted {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount as digits, as in \"1000\"")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_u64<E>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_i64<E>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E>(self, number: f64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

/// Digits in a string; where it is read, a number as well. `null` says whether there may be none.
fn described(generator: &SchemaGenerator, null: bool) -> Schema {
    let mut kinds = vec![serde_json::json!({ "type": "string", "pattern": PATTERN })];
    if generator.contract().is_deserialize() {
        kinds.push(serde_json::json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }));
    }
    if null {
        kinds.push(serde_json::json!({ "type": "null" }));
    }
    match kinds.as_slice() {
        [one] => one.clone().try_into().unwrap_or_default(),
        _ => json_schema!({ "anyOf": kinds }),
    }
}

macro_rules! described {
    ($($name:ident: $null:literal),*) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                described(generator, $null)
            }
        }
    )*};
}

described! { Digits: false, MaybeDigits: true, BoundDigits: true, FenceDigits: false }

impl JsonSchema for AmountDigits {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    /// What is wrong with one is told of its own line, where many are sent at once: so its form is no matter of the
    /// document's.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number"], "examples": ["1000"] })
    }
}
