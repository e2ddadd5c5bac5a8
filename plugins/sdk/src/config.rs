//! What an operator gives to a plugin.
use bursar_interface::Fault;
use serde::de::DeserializeOwned;

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

    /// The config as the plugin's own type; its default where there is none. Give the type
    /// `#[serde(deny_unknown_fields)]`, so that a misspelt key is an error that names it.
    ///
    /// # Errors
    /// A [`Fault`] that names the key and what is wrong with it.
    pub fn parse<T: DeserializeOwned + Default>(&self) -> Result<T, Fault> {
        match &self.0 {
            serde_json::Value::Null => Ok(T::default()),
            value => T::deserialize(value).map_err(|error| Fault::new(format!("config: {error}"))),
        }
    }
}
