//! What an operator gives to a plugin.
use bursar_interface::Fault;
use serde::de::DeserializeOwned;
use std::fmt::Display;

/// How alike two keys must be for one to be meant by the other (Jaro and Winkler's measure, from 0 to 1).
const ALIKE: f64 = 0.75;

/// A plugin's part of the config file, as JSON; null where there is none.
#[derive(Clone, Debug, Default)]
pub struct Config(serde_json::Value);

impl Config {
    /// A config from its JSON text; empty text is no config.
    ///
    /// # Errors
    /// A [`Fault`] that says where the text is wrong.
    pub fn read(text: &str) -> Result<Config, Fault> {
        if text.is_empty() {
            return Ok(Config::default());
        }
        serde_json::from_str(text).map(Config).map_err(|error| Fault::new(format!("config: {error}")))
    }

    /// Some key that is set; `None` where nothing is.
    pub(crate) fn first_key(&self) -> Option<&str> {
        self.0.as_object()?.keys().next().map(String::as_str)
    }

    /// The config as the plugin's own type; its default where there is none. Write the type with
    /// `#[config]`, so that a misspelt key is an error that names it and the one that was meant.
    ///
    /// # Errors
    /// A [`Fault`] that names the key and what is wrong with it.
    pub fn parse<T: DeserializeOwned + Default>(&self) -> Result<T, Fault> {
        match &self.0 {
            serde_json::Value::Null => Ok(T::default()),
            value => serde_path_to_error::deserialize(value).map_err(|error| {
                let at = error.path().to_string();
                Fault::new(format!("config: {}", told(&at, error.inner())))
            }),
        }
    }
}

/// What is wrong, by key. serde names the unknown key and the known ones, each between backticks.
fn told(at: &str, error: &impl Display) -> String {
    let text = error.to_string();
    let Some(rest) = text.strip_prefix("unknown field ") else {
        return if at == "." { text } else { format!("{at}: {text}") };
    };
    let mut names = rest.split('`').skip(1).step_by(2);
    let unknown = names.next().unwrap_or_default();
    let known: Vec<&str> = names.collect();
    let meant = known
        .iter()
        .map(|name| (strsim::jaro_winkler(unknown, name), *name))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let meant = meant.map_or(String::new(), |(_, name)| format!("did you mean {name:?}? "));
    let at = if at == "." { unknown } else { at };
    match known.is_empty() {
        true => format!("unknown key {at:?}; this plugin takes no config"),
        false => format!("unknown key {at:?}; {meant}known are: {}", known.join(", ")),
    }
}

/// The JSON schema of a config.
#[doc(hidden)]
pub fn schema_of<T: schemars::JsonSchema>() -> String {
    schemars::schema_for!(T).as_value().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Range {
        first: u16,
        last: u16,
        inner: Inner,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        weight: u16,
    }

    fn wrong(text: &str) -> String {
        Config::read(text).and_then(|config| config.parse::<Range>()).expect_err("wrong").message
    }

    #[test]
    fn what_is_right_is_read_and_nothing_is_the_default() {
        let range: Range = Config::read(r#"{"last":7,"inner":{"weight":3}}"#).unwrap().parse().unwrap();
        assert_eq!((range.first, range.last, range.inner.weight), (0, 7, 3));
        assert_eq!(Config::read("").unwrap().parse::<Range>().unwrap().last, 0);
    }

    #[test]
    fn an_unknown_key_is_named_with_the_one_that_was_meant() {
        let slip = wrong(r#"{"frist":1}"#);
        assert_eq!(
            slip,
            r#"config: unknown key "frist"; did you mean "first"? known are: first, last, inner"#
        );
        assert!(!wrong(r#"{"zzz":1}"#).contains("did you mean"));
        let deep = wrong(r#"{"inner":{"wieght":1}}"#);
        assert!(deep.contains(r#""inner.wieght"; did you mean "weight"?"#), "{deep}");
    }

    #[test]
    fn a_value_that_is_wrong_is_named_by_its_key() {
        let wrong = wrong(r#"{"last":"many"}"#);
        assert!(wrong.starts_with("config: last: ") && wrong.contains("u16"), "{wrong}");
    }
}
