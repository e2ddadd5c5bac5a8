//! A circle of claims that wait for each other, link by link, and as a sentence.
use crate::text::MaybeDigits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who waits for what, and who holds it. What is another tenant's is null.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CircleLink {
    /// The claim that waits; the first is the one that was refused.
    #[serde(with = "MaybeDigits", default)]
    pub claim: Option<u64>,
    /// The kind that it waits for.
    pub resource: Option<String>,
    /// The pool, where it is that one alone.
    pub pool: Option<String>,
    /// The lease that holds it; its holder asked for the claim of the next link, and that of the last link for the
    /// first claim.
    #[serde(with = "MaybeDigits", default)]
    pub lease: Option<u64>,
    /// That lease's scope.
    pub scope: Option<String>,
}

/// The links as a sentence.
pub fn circle(links: &[CircleLink]) -> String {
    let mut told = String::new();
    for (at, link) in links.iter().enumerate() {
        let claim = link.claim.map_or("another tenant's claim".into(), |claim| format!("claim {claim}"));
        told += &if at == 0 { claim } else { format!(", whose holder waits with {claim}") };
        told += if at == 0 { " waits" } else { "" };
        if let Some(kind) = &link.resource {
            told += &format!(
                " for {kind}{}",
                link.pool.as_ref().map_or(String::new(), |pool| format!(" {pool}"))
            );
        }
        let scope = link.scope.as_deref().filter(|scope| !scope.is_empty());
        let scope = scope.map_or(String::new(), |scope| format!(" of {scope}"));
        let lease =
            link.lease.map_or("another tenant's lease".into(), |lease| format!("lease {lease}{scope}"));
        told += &format!(", held by {lease}");
    }
    match links.first().and_then(|first| first.claim) {
        Some(claim) => told + &format!(", which is kept until claim {claim} is granted"),
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_reads_as_a_sentence_and_names_nobody_elses() {
        let text = |text: &str| Some(text.to_owned());
        let own =
            CircleLink { claim: Some(4), resource: text("lock"), pool: text("b"), ..CircleLink::default() };
        let back = CircleLink { claim: None, lease: Some(1), scope: text("team"), ..own.clone() };
        assert_eq!(
            circle(&[own, CircleLink { resource: text("cpu"), pool: None, ..back }]),
            "claim 4 waits for lock b, held by another tenant's lease, whose holder waits with another tenant's \
             claim for cpu, held by lease 1 of team, which is kept until claim 4 is granted"
        );
        assert_eq!(circle(&[]), "");
    }
}
