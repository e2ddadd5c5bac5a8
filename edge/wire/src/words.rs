//! Words that stand in the contract for values of the engine's, as schemas: taken from how those are written, so that
//! the two cannot differ.
use bursar_interface::{Change, Class, NodeState, Reason};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use std::borrow::Cow;

/// Words as JSON has them.
fn written(values: &[impl Serialize]) -> Vec<serde_json::Value> {
    values.iter().filter_map(|value| serde_json::to_value(value).ok()).collect()
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident, $title:literal: $values:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $title.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "enum": written(&$values) })
            }
        }
    )*};
}

words! {
    /// How firmly.
    ClassWord, "Class": [Class::Guaranteed, Class::Burstable, Class::BestEffort];
    /// What a node can be set to.
    NodeWord, "NodeState": [NodeState::Open, NodeState::Cordoned, NodeState::Draining];
    /// What came of a setting.
    ChangeWord, "ChangeOutcome": [Change::Created, Change::Changed, Change::Unchanged, Change::Removed];
    /// Why something was refused.
    ReasonWord, "Reason": Reason::ALL.iter().map(|reason| reason.name()).collect::<Vec<_>>();
}
