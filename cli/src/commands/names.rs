//! The names of rows, each as other commands take it.
use crate::args::{ConfigVerb, Verb};
use bursar_wire as wire;

/// Something that is called by a name.
pub trait Named {
    /// The name.
    fn name(&self) -> String;
}

macro_rules! named {
    ($($row:ty: |$at:ident| $name:expr;)*) => {$(
        impl Named for $row {
            fn name(&self) -> String {
                let $at = self;
                $name
            }
        }
    )*};
}

/// What stands for the root, which has no name.
fn path(path: &str) -> String {
    if path.is_empty() { "/".into() } else { path.into() }
}

named! {
    wire::Claim: |row| row.id.to_string();
    wire::Pool: |row| if row.id == row.resource { row.id.clone() } else { format!("{}:{}", row.resource, row.id) };
    wire::Node: |row| row.id.clone();
    wire::Scope: |row| path(&row.path);
    wire::Quota: |row| format!("{} {}", path(&row.scope), row.resource);
    wire::Plugin: |row| format!("{} {}", row.role, row.id);
    wire::Bottleneck: |row| format!("{} {}", row.kind, row.subject);
    wire::Metric: |row| format!("{} {}", row.plugin, row.name);
    wire::EventRow: |row| row.seq.to_string();
    wire::AuditRow: |row| row.seq.to_string();
    wire::Strategy: |row| format!("{} {}", row.role, row.plugin);
    wire::Key: |row| row.key.clone();
    wire::ChangeRow: |row| format!("{} {}", row.what, row.id);
    wire::Finding: |row| row.what.clone();
}

/// Whether a command's answer has names.
pub fn has(verb: &Verb) -> bool {
    use Verb::*;
    match verb {
        Claim(_) | Renew(_) | Settle(_) | Extend(_) | Shrink(_) | Release(_) | Cancel(_) | Attach(_) => true,
        Get(_) | Explain(_) | Apply(_) | Set(_) | Cordon(_) | Uncordon(_) | Drain(_) => true,
        Config(config) => !matches!(config.verb, ConfigVerb::Schema),
        Plugin(_) | Strategy(_) | Doctor(_) => true,
        Serve(_) | Run(_) | Top(_) | Hook(_) | Mcp(_) | Gate(_) | Simulate(_) | Token(_) => false,
        Backup(_) | Restore(_) | Api | Man(_) | Completions { .. } | PluginHost { .. } => false,
    }
}
