//! `bursar config`: what the daemon would be started with, what said so, and which keys there are.
use super::{
    Context,
    outcome::{Failed, Outcome},
    show,
};
use crate::{
    args::{Config, ConfigVerb, Output},
    serve::{Layers, Settings},
};
use serde_json::{Value, json};

/// `bursar config`.
pub fn config(context: &Context, config: &Config) -> Outcome {
    match &config.verb {
        ConfigVerb::Show { serve, origins } => {
            let layers = Layers::of_daemon(serve).map_err(|error| Failed::usage(format!("{error:#}")))?;
            shown(context, &layers, *origins);
        }
        ConfigVerb::Schema => {
            let schema = schemars::schema_for!(Settings);
            show::document(
                &schema,
                if context.output == Output::Table { Output::Json } else { context.output },
            );
        }
    }
    Ok(())
}

fn shown(context: &Context, layers: &Layers, origins: bool) {
    match (context.output, origins) {
        (Output::Table | Output::Wide, true) => {
            let rows = layers
                .keys()
                .into_iter()
                .map(|(key, value, origin)| vec![key, value.to_string(), origin.to_string()]);
            show::line(&show::table(&["key", "value", "origin"], rows));
        }
        (Output::Table | Output::Wide, false) => {
            // What has no value has no place in TOML.
            let value = toml::Value::try_from(&layers.settings).map(|value| value.to_string());
            let pretty = toml::to_string(&layers.settings).or(value);
            show::line(pretty.unwrap_or_else(|error| format!("# {error}")).trim_end());
        }
        (Output::Name, _) => layers.keys().iter().for_each(|(key, ..)| show::line(key)),
        (output, true) => {
            let row = |(key, value, origin): (String, Value, crate::serve::Origin)| json!({ "key": key, "value": value, "origin": origin.to_string() });
            show::document(
                &json!({ "keys": layers.keys().into_iter().map(row).collect::<Vec<_>>() }),
                output,
            );
        }
        (output, false) => show::document(&json!({ "config": layers.settings }), output),
    }
}
