//! What operators say about plugins: let in, kept out, looked for again, trusted.
use super::{
    Context,
    outcome::{Failed, Outcome},
    show,
};
use crate::args::PluginVerb;
use bursar_wire::{Key, Keys, List, PluginOrder, Plugins};
use std::{fs, path::Path};

/// `bursar plugin enable|disable|reload|trust`.
pub fn plugin(context: &Context, verb: PluginVerb) -> Outcome {
    match verb {
        PluginVerb::Enable { role, name } => order(context, &PluginOrder::Enable { role, id: name }),
        PluginVerb::Disable { role, name } => order(context, &PluginOrder::Disable { role, id: name }),
        PluginVerb::Trust { what } => trust(context, &what),
        _ => order(context, &PluginOrder::Reload {}),
    }
}

fn order(context: &Context, order: &PluginOrder) -> Outcome {
    let answer = context.client().order(order)?;
    show::rows(context, answer.plugins, show::plugins, |plugins| Plugins::of(plugins, None));
    Ok(())
}

fn trust(context: &Context, what: &[String]) -> Outcome {
    let order = match what {
        [word] if word == "list" => None,
        [word] if word == "revoke" => {
            return Err(Failed::usage("which key is to be revoked?").hint("see `bursar plugin trust list`"));
        }
        [key] => Some(PluginOrder::Trust { key: key_of(key)? }),
        [word, key] if word == "revoke" => Some(PluginOrder::Revoke { key: key.clone() }),
        _ => {
            let hint = "say `bursar plugin trust KEY`, `trust list` or `trust revoke KEY`";
            return Err(Failed::usage("that is no order about keys").hint(hint));
        }
    };
    let mut client = context.client();
    if let Some(order) = order {
        client.order(&order)?;
    }
    let answer: Keys = client.list()?;
    let table = |keys: &[Key]| {
        show::table(&["key", "note"], keys.iter().map(|key| vec![key.key.clone(), key.note.clone()]))
    };
    show::rows(context, answer.keys, table, |keys| Keys::of(keys, None));
    Ok(())
}

/// A key as it was given, or what stands in the file of that name.
fn key_of(text: &str) -> Result<String, Failed> {
    match Path::new(text).is_file() {
        true => Ok(fs::read_to_string(text)?),
        false => Ok(text.to_owned()),
    }
}
