//! What operators set, as it stands in JSON: amounts in base units; what is left out stays as it is.
use crate::{
    duration,
    text::{BoundDigits, MaybeDigits},
    words::{ChangeWord, NodeWord},
};
use bursar_interface::{
    Change, NodeChange, NodeState, PoolChange, QuotaChange, Reason, Refusal, ScopeSpec, Setting,
    bound::SETTINGS_MAX,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Things that are set in one request at most.
pub const APPLIED_MAX: usize = SETTINGS_MAX;

/// How long a drained node's leases may stay when nobody says, in nanoseconds (30 s).
const GRACE_NS_DEFAULT: u64 = 30_000_000_000;

/// `POST /v1/apply`: all of it at one moment, or none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyBody {
    /// Supplies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<PoolBody>,
    /// Weights.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<ScopeBody>,
    /// Bounds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quotas: Vec<QuotaBody>,
    /// Only say what would come of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

impl ApplyBody {
    /// The settings, pools first.
    ///
    /// # Errors
    /// `BadRequest` for what is to be removed and has something set.
    pub fn settings(&self) -> Result<Vec<Setting>, Refusal> {
        let pools = self.pools.iter().map(PoolBody::setting);
        let scopes = self.scopes.iter().map(|body| Ok(Setting::Scope(body.into())));
        let quotas = self.quotas.iter().map(QuotaBody::setting);
        pools.chain(scopes).chain(quotas).collect()
    }
}

/// What changes of a supply. In `PUT /v1/pools/KIND/NAME` the path names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolBody {
    /// Name of the kind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The node; a floating pool if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What exists.
    #[serde(with = "MaybeDigits", default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u64>,
    /// In which all of it comes back, in milliseconds; 0 for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_ms: Option<u64>,
    /// Of a rate: how much may be spent at once; 0 for a whole period's.
    #[serde(with = "MaybeDigits", default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// It is to go, once nobody has any of it; nothing else is said of it then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remove: bool,
}

impl PoolBody {
    /// The setting.
    ///
    /// # Errors
    /// `BadRequest` for what is to be removed and has something set.
    pub fn setting(&self) -> Result<Setting, Refusal> {
        let PoolBody { resource, name, node, remove, .. } = self.clone();
        if !remove {
            return Ok(Setting::Pool(self.into()));
        }
        let only = PoolBody { resource, name, node, remove, ..PoolBody::default() };
        goes(*self == only, &format!("pool {}:{}", self.resource, self.name))?;
        let PoolBody { resource, name, node, .. } = only;
        Ok(Setting::RemovePool { resource, node, name })
    }
}

/// Refuses what is to be removed and has something set.
fn goes(only: bool, what: &str) -> Result<(), Refusal> {
    match only {
        true => Ok(()),
        false => Err(Refusal::new(Reason::BadRequest, format!("{what} is to be removed and to be set"))
            .hint("leave out either")),
    }
}

/// A scope's weight. In `PUT /v1/scopes/PATH` the path names the scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScopeBody {
    /// Its path.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Share of its parent relative to its siblings, from 1 to 1000000.
    pub weight: u32,
}

/// What changes of a bound. In `PUT /v1/quotas/KIND/SCOPE` the path names it. Of the three limits null says
/// that there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuotaBody {
    /// Scope path; empty for the root.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// Name of the kind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// What the scope can always have.
    #[serde(with = "MaybeDigits", default, skip_serializing_if = "Option::is_none")]
    pub guaranteed: Option<u64>,
    /// What it and those below it may hold together.
    #[serde(with = "BoundDigits", default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Option<u64>>,
    /// What may be borrowed above the guarantee.
    #[serde(with = "BoundDigits", default, skip_serializing_if = "Option::is_none")]
    pub borrow_limit: Option<Option<u64>>,
    /// What of the guarantee may be lent to siblings.
    #[serde(with = "BoundDigits", default, skip_serializing_if = "Option::is_none")]
    pub lend_limit: Option<Option<u64>>,
    /// In which the limit comes back, in milliseconds; 0 for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_ms: Option<u64>,
    /// Of a rate: how much may be spent at once; 0 for a whole period's.
    #[serde(with = "MaybeDigits", default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// It is to go; nothing else is said of it then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remove: bool,
}

impl QuotaBody {
    /// The setting.
    ///
    /// # Errors
    /// `BadRequest` for what is to be removed and has something set.
    pub fn setting(&self) -> Result<Setting, Refusal> {
        let QuotaBody { scope, resource, remove, .. } = self.clone();
        if !remove {
            return Ok(Setting::Quota(self.into()));
        }
        let only = QuotaBody { scope, resource, remove, ..QuotaBody::default() };
        goes(*self == only, &format!("quota of {:?} on {}", self.scope, self.resource))?;
        let QuotaBody { scope, resource, .. } = only;
        Ok(Setting::RemoveQuota { scope, resource })
    }
}

/// `PUT /v1/nodes/NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeBody {
    /// `open`, `cordoned` or `draining`.
    #[serde(deserialize_with = "settable")]
    #[schemars(with = "NodeWord")]
    pub state: NodeState,
    /// Draining: how long its leases may stay, as `30s`, which is also what is meant if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<String>,
}

/// A state that a node can be set to. That it is lost is found out, and nobody is told to say so.
fn settable<'de, D: Deserializer<'de>>(from: D) -> Result<NodeState, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Settable {
        Open,
        Cordoned,
        Draining,
    }
    Ok(match Settable::deserialize(from)? {
        Settable::Open => NodeState::Open,
        Settable::Cordoned => NodeState::Cordoned,
        Settable::Draining => NodeState::Draining,
    })
}

impl NodeBody {
    /// The setting.
    ///
    /// # Errors
    /// `BadRequest` for what is no duration, and for a grace that nothing is done with.
    pub fn setting(&self, name: String) -> Result<Setting, Refusal> {
        let bad = |why: String| Refusal::new(Reason::BadRequest, why);
        let grace_ns = match (&self.grace, self.state) {
            (Some(text), NodeState::Draining) => {
                let grace = duration(text).map_err(|why| bad(format!("grace: {why}")))?;
                u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX)
            }
            (Some(_), _) => {
                return Err(bad("grace: only a node that drains has one".into())
                    .hint("leave it out, or say \"state\": \"draining\""));
            }
            (None, _) => GRACE_NS_DEFAULT,
        };
        Ok(Setting::Node(NodeChange { name, state: self.state, grace_ns }))
    }
}

fn period_ns(period_ms: Option<u64>) -> Option<u64> {
    period_ms.map(|ms| ms.saturating_mul(1_000_000))
}

impl From<&PoolBody> for PoolChange {
    fn from(body: &PoolBody) -> PoolChange {
        let PoolBody { resource, name, node, capacity, period_ms, burst, .. } = body.clone();
        PoolChange { resource, node, name, capacity, period_ns: period_ns(period_ms), burst }
    }
}

impl From<&ScopeBody> for ScopeSpec {
    fn from(body: &ScopeBody) -> ScopeSpec {
        ScopeSpec { path: body.path.clone(), weight: body.weight }
    }
}

impl From<&QuotaBody> for QuotaChange {
    fn from(body: &QuotaBody) -> QuotaChange {
        let QuotaBody {
            scope, resource, guaranteed, limit, borrow_limit, lend_limit, period_ms, burst, ..
        } = body.clone();
        let period_ns = period_ns(period_ms);
        QuotaChange { scope, resource, guaranteed, limit, borrow_limit, lend_limit, period_ns, burst }
    }
}

/// What came of settings, in their order: pools, scopes, quotas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangesAnswer {
    /// One for each.
    pub changes: Vec<ChangeRow>,
    /// Nothing was carried out: this is what would have come of it.
    pub dry_run: bool,
}

/// What came of one setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeRow {
    /// `pool`, `scope`, `quota` or `node`.
    pub what: String,
    /// Which: `NODE/KIND:NAME`, the path, `SCOPE KIND`, the name.
    pub id: String,
    /// `created`, `changed`, `unchanged` or `removed`.
    #[schemars(with = "ChangeWord")]
    pub outcome: Change,
}

impl ChangeRow {
    /// The row of a setting.
    pub fn of(setting: &Setting, outcome: Change) -> ChangeRow {
        let (what, id) = match setting {
            Setting::Pool(PoolChange { resource, node, name, .. }) => {
                let node = node.as_ref().map(|node| format!("{node}/")).unwrap_or_default();
                ("pool", format!("{node}{resource}:{name}"))
            }
            Setting::Scope(spec) => ("scope", spec.path.clone()),
            Setting::Quota(change) => ("quota", format!("{:?} {}", change.scope, change.resource)),
            Setting::Node(change) => ("node", change.name.clone()),
            Setting::RemovePool { resource, node, name } => {
                let node = node.as_ref().map(|node| format!("{node}/")).unwrap_or_default();
                ("pool", format!("{node}{resource}:{name}"))
            }
            Setting::RemoveQuota { scope, resource } => ("quota", format!("{scope:?} {resource}")),
        };
        ChangeRow { what: what.into(), id, outcome }
    }
}

/// The word of an outcome.
pub fn change_name(change: Change) -> &'static str {
    match change {
        Change::Created => "created",
        Change::Changed => "changed",
        Change::Unchanged => "unchanged",
        Change::Removed => "removed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_stays_and_null_lifts_a_limit() {
        let read = |json: &str| -> QuotaChange {
            (&serde_json::from_str::<QuotaBody>(json).expect("sound JSON")).into()
        };
        assert_eq!(read("{}"), QuotaChange::default());
        let quota = read(r#"{"limit":null,"lend_limit":"7","guaranteed":3,"period_ms":60000}"#);
        assert_eq!((quota.limit, quota.lend_limit, quota.borrow_limit), (Some(None), Some(Some(7)), None));
        assert_eq!((quota.guaranteed, quota.period_ns), (Some(3), Some(60_000_000_000)));
        let body = QuotaBody { limit: Some(None), lend_limit: Some(Some(7)), ..QuotaBody::default() };
        let json = serde_json::to_string(&body).expect("plain data");
        assert_eq!(json, r#"{"limit":null,"lend_limit":"7"}"#);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (json, told) in
            [(r#"{"limit":"lots"}"#, "lots"), (r#"{"limit":-1}"#, "-1"), (r#"{"limti":"1"}"#, "limti")]
        {
            let error = serde_json::from_str::<QuotaBody>(json).expect_err(json).to_string();
            assert!(error.contains(told), "{error}");
        }
        let node = |json: &str| serde_json::from_str::<NodeBody>(json).map_err(|error| error.to_string());
        assert!(node(r#"{"state":"shut"}"#).expect_err("no state").contains("shut"));
        let graced = |json: &str| node(json).expect("sound JSON").setting("n".into()).map_err(|r| r.message);
        assert!(graced(r#"{"state":"open","grace":"1s"}"#).expect_err("no drain").contains("only a node"));
        assert!(graced(r#"{"state":"draining","grace":"x"}"#).expect_err("no duration").contains("\"x\""));
        assert!(matches!(
            graced(r#"{"state":"draining"}"#),
            Ok(Setting::Node(NodeChange { grace_ns: GRACE_NS_DEFAULT, .. }))
        ));
    }
}
