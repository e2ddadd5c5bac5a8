//! Documents: rows under the name of what they are, a page at a time where that is asked for.
use crate::{AuditRow, Bottleneck, Claim, EventRow, Key, Metric, Node, Plugin, Pool, Quota, Scope, Strategy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt::Display, str::FromStr};

/// Rows on one page at most; who asks for more gets these.
pub const PAGE_MAX: usize = 1000;

macro_rules! documents {
    ($($(#[$doc:meta])* $name:ident { $member:ident: $row:ty })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
        pub struct $name {
            /// What was asked for.
            pub $member: $row,
        }
    )*};
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident { $list:ident: $row:ident by |$at:ident| $key:expr => $kind:ty })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
        pub struct $name {
            /// The rows.
            pub $list: Vec<$row>,
            /// There are more: what to say as `after` for the next page. Only where a page was asked for.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub next: Option<String>,
        }

        impl List for $name {
            const WORD: &'static str = stringify!($list);
            type Row = $row;

            fn of($list: Vec<$row>, next: Option<String>) -> $name {
                $name { $list, next }
            }

            fn into_parts(self) -> (Vec<$row>, Option<String>) {
                (self.$list, self.next)
            }
        }

        impl Keyed for $row {
            type Key = $kind;

            fn key(&self) -> $kind {
                let $at = self;
                $key
            }
        }
    )*};
}

/// A row that has a place among its like, which it keeps.
pub trait Keyed {
    /// Rows stand in the order of it.
    type Key: Ord + Display + FromStr;

    /// Its own; no two rows have the same.
    fn key(&self) -> Self::Key;
}

/// A document that is a list.
pub trait List: Sized {
    /// Under which word its rows stand, which is the last of its path as well.
    const WORD: &'static str;
    /// What it is a list of.
    type Row: Keyed;

    /// Of these rows.
    fn of(rows: Vec<Self::Row>, next: Option<String>) -> Self;

    /// Its rows, and what to say for the next page.
    fn into_parts(self) -> (Vec<Self::Row>, Option<String>);

    /// The page of at most `limit` rows that begins behind `after`, in the order of their keys.
    fn page(mut rows: Vec<Self::Row>, after: Option<&<Self::Row as Keyed>::Key>, limit: usize) -> Self {
        rows.retain(|row| after.is_none_or(|after| row.key() > *after));
        rows.sort_by_cached_key(Keyed::key);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| row.key().to_string());
        Self::of(rows, next)
    }
}

documents! {
    /// A claim by itself.
    ClaimAnswer { claim: Claim }
    /// A machine by itself.
    NodeAnswer { node: Node }
    /// `get events`.
    Events { events: Vec<EventRow> }
    /// `get audit`.
    AuditLog { audit: Vec<AuditRow> }
}

lists! {
    /// `get claims`.
    Claims { claims: Claim by |row| row.id => u64 }
    /// `get pools`.
    Pools { pools: Pool by |row| keyed(&[&row.resource, &row.id, row.node.as_deref().unwrap_or_default()]) => String }
    /// `get nodes`.
    Nodes { nodes: Node by |row| row.id.clone() => String }
    /// `get scopes`.
    Scopes { scopes: Scope by |row| row.path.clone() => String }
    /// `get quotas`.
    Quotas { quotas: Quota by |row| keyed(&[&row.scope, &row.resource]) => String }
    /// `get plugins`.
    Plugins { plugins: Plugin by |row| plugin(row) => String }
    /// `strategy show`.
    Strategies { strategies: Strategy by |row| row.role.clone() => String }
    /// `plugin trust list`.
    Keys { keys: Key by |row| row.key.clone() => String }
    /// `get findings`.
    Findings { findings: Bottleneck by |row| keyed(&[&row.kind, &row.subject, &row.analyzer]) => String }
    /// `get metrics`.
    Metrics { metrics: Metric by |row| keyed(&[&row.plugin, &row.role, &row.home, &row.name]) => String }
}

/// Names as one key: a tab stands in none of them.
fn keyed(names: &[&str]) -> String {
    names.join("\t")
}

fn plugin(row: &Plugin) -> String {
    let file = row.path.as_deref().unwrap_or_default();
    keyed(&[
        &row.role,
        &row.id,
        &row.library,
        &row.version,
        &row.home,
        file,
        row.sha256.as_deref().unwrap_or_default(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_go_over_every_row_once_whatever_comes_and_goes_meanwhile() {
        let claim = |id| Claim { id, ..Claim::default() };
        let rows = |ids: &[u64]| ids.iter().map(|id| claim(*id)).collect::<Vec<_>>();
        let ids = |page: &Claims| page.claims.iter().map(|claim| claim.id).collect::<Vec<_>>();
        let first = Claims::page(rows(&[30, 4, 7, 100]), None, 2);
        assert_eq!((ids(&first), first.next.as_deref()), (vec![4, 7], Some("7")));
        // The last one seen is gone, and one came before it.
        let second = Claims::page(rows(&[30, 1, 100]), Some(&7), 2);
        assert_eq!((ids(&second), second.next), (vec![30, 100], None));
        let alone = serde_json::to_string(&Claims::of(Vec::new(), None)).expect("plain data");
        assert_eq!(alone, r#"{"claims":[]}"#, "who asks for no page gets the document of the contract");
    }

    #[test]
    fn rows_that_differ_in_one_name_have_keys_that_differ() {
        let pool = |node: Option<&str>, id: &str| Pool {
            id: id.into(),
            node: node.map(str::to_owned),
            resource: "gpu".into(),
            ..Pool::default()
        };
        let keys = [pool(None, "a"), pool(Some("a"), "a"), pool(Some("a"), ""), pool(Some("b"), "a")];
        let mut keys = keys.map(|row| row.key()).to_vec();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 4);
    }
}
