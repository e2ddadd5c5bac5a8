//! `resource_analytics`: how claims have fared: how many, how long they waited, and how they ended.
use crate::{
    Daemon, answer::Answer, arguments::Arguments, bottlenecks, call::Call, denial::Denial,
    limits::LOOKED_AT_MAX, terms,
};
use bursar_wire::{self as wire, Claim, Claims};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Arguments of the tool.
pub(crate) const KNOWN: [&str; 1] = ["scope"];
/// Reasons for refusals that are told, the commonest first.
const REASONS_MAX: usize = 3;

/// Analyzes the claims that the daemon still remembers.
pub(crate) async fn analyze<D: Daemon>(call: &Call<'_, D>, arguments: &Arguments) -> Result<Answer, Denial> {
    let scope = arguments.scope()?;
    let claims = of_scope(call.get::<Claims>("/v1/claims").await?.claims, scope);
    let count = |which: &dyn Fn(&Claim) -> bool| claims.iter().filter(|claim| which(claim)).count();
    let waiting = count(&|claim| claim.phase == wire::PENDING);
    let ended = count(&|claim| claim.phase == "closed" && claim.fence.is_some());
    let refused = count(&|claim| claim.phase == "closed" && claim.fence.is_none());
    let mut waits: Vec<u64> =
        claims.iter().filter(|claim| claim.fence.is_some()).filter_map(|claim| claim.waited_ms).collect();
    waits.sort_unstable();
    let found = bottlenecks::standing(call).await?;
    let answer = Answer::of("OK")
        .with("waiting", waiting)
        .with("held", claims.len() - waiting - ended - refused)
        .with("ended", ended)
        .with("refused", refused)
        .with("wait_ms_p50", quantile(&waits, 50))
        .with("wait_ms_p90", quantile(&waits, 90))
        .with("forecast", terms::UNKNOWN)
        .with("findings", found.len());
    let reasons = reasons(&claims);
    let answer = if reasons.is_empty() { answer } else { answer.with("reasons", reasons) };
    Ok(answer.with_list("bottlenecks", found))
}

/// The claims of a scope and of those below it, at most so many. Claims tell whole paths, a caller those below
/// its own root: so the path is looked for wherever it stands.
pub(crate) fn of_scope(claims: Vec<Claim>, scope: Option<&str>) -> Vec<Claim> {
    let part = scope.map(|scope| format!("/{scope}/"));
    let asked = claims
        .into_iter()
        .filter(|claim| part.as_ref().is_none_or(|part| format!("/{}/", claim.scope).contains(part)));
    asked.take(LOOKED_AT_MAX).collect()
}

/// Why claims waited or were refused, and how many of each.
fn reasons(claims: &[Claim]) -> Map<String, Value> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for reason in claims.iter().filter_map(|claim| claim.reason.as_deref()).filter_map(wire::reason) {
        *counts.entry(bursar_interface::Reason::name(reason)).or_default() += 1;
    }
    let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    counts.truncate(REASONS_MAX);
    counts.into_iter().map(|(reason, count)| (reason.to_owned(), count.into())).collect()
}

/// The value below which `percent` of them lie, by nearest rank; unknown where there is none.
fn quantile(sorted: &[u64], percent: usize) -> String {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or_else(|| terms::UNKNOWN.into(), u64::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_nearest_rank_and_of_nothing_unknown() {
        assert_eq!(quantile(&[], 50), "unknown");
        assert_eq!(
            (quantile(&[7], 90), quantile(&[1, 2, 3, 4], 50), quantile(&[1, 2, 3, 4], 90)),
            ("7".into(), "2".into(), "4".into())
        );
    }

    #[test]
    fn a_scope_is_that_scope_and_what_is_below_it() {
        let of = |scope: &str| Claim { scope: scope.into(), ..Claim::default() };
        let claims = vec![of("a"), of("a/b"), of("uid-7/a/c"), of("ab"), of("")];
        assert_eq!(of_scope(claims.clone(), Some("a")).len(), 3);
        assert_eq!(of_scope(claims.clone(), Some("a/b")).len(), 1);
        assert_eq!(of_scope(claims, None).len(), 5);
    }
}
