//! Tables with more columns: what waits were for, and who held that.
pub use super::{findings, metrics, nodes, plugins, pools, quotas};

use super::{line_text, millis, or_dash, table};
use bursar_wire as wire;

/// Holders that are named for one thing.
const NAMED_MAX: usize = 3;

/// Claims, one a row, with the parts of their waits.
pub fn claims(claims: &[wire::Claim]) -> String {
    let header = ["id", "phase", "scope", "lines", "place", "waited", "node", "within", "why", "waited for"];
    table(
        &header,
        claims.iter().map(|claim| {
            vec![
                claim.id.to_string(),
                claim.phase.clone(),
                claim.scope.clone(),
                claim.lines.iter().map(line_text).collect::<Vec<_>>().join(" "),
                or_dash(claim.position.map(|place| place.to_string())),
                or_dash(claim.waited_ms.map(millis)),
                or_dash(claim.node.clone()),
                or_dash(claim.within.map(|parent| parent.to_string())),
                or_dash(claim.ending.clone().or_else(|| claim.reason.clone())),
                claim.blame.as_ref().map_or_else(
                    || "unknown".into(),
                    |parts| or_dash(Some(parts.iter().map(part).collect::<Vec<_>>().join("; "))),
                ),
            ]
        }),
    )
}

/// The demand tree, one scope a row, with what it waited for and how long others waited for it.
pub fn scopes(scopes: &[wire::Scope]) -> String {
    table(
        &["scope", "weight", "claims", "waited", "caused", "waited for"],
        scopes.iter().map(|scope| {
            let path = if scope.path.is_empty() { "/".into() } else { scope.path.clone() };
            let all = scope.waits.iter().map(|wait| wait.waited_ns).sum();
            let waits = scope.waits.iter().map(|wait| {
                let what = wait.resource.clone().unwrap_or_else(|| "others' turns".into());
                charged(&what, wait.waited_ns, &wait.holders, wait.others_ns)
            });
            vec![
                path,
                scope.weight.to_string(),
                scope.claims.to_string(),
                time(all),
                time(scope.caused_ns),
                or_dash(Some(waits.collect::<Vec<_>>().join("; "))),
            ]
        }),
    )
}

/// `cpu 2.5s (team/a 1.5s, others 1.0s)`.
fn part(part: &wire::WaitPart) -> String {
    let reason = part.reason.as_deref().unwrap_or("unknown");
    let what = match (&part.resource, &part.quota) {
        (None, _) => reason.to_owned(),
        (Some(resource), None) => resource.clone(),
        (Some(resource), Some(scope)) => format!("{resource} in the quota of {scope:?}"),
    };
    charged(&what, part.waited_ns, &part.holders, part.others_ns)
}

fn charged(what: &str, waited_ns: u64, holders: &[wire::Blamed], others_ns: u64) -> String {
    let mut holders: Vec<&wire::Blamed> = holders.iter().collect();
    holders.sort_by_key(|holder| std::cmp::Reverse(holder.waited_ns));
    let beyond: u64 = holders.iter().skip(NAMED_MAX).map(|holder| holder.waited_ns).sum();
    let scope = |scope: &str| if scope.is_empty() { "/".into() } else { scope.to_owned() };
    let named = holders.iter().take(NAMED_MAX);
    let mut held: Vec<String> =
        named.map(|holder| format!("{} {}", scope(&holder.scope), time(holder.waited_ns))).collect();
    // Less than a millisecond is what was left of rounding.
    if others_ns + beyond >= 1_000_000 && !held.is_empty() {
        held.push(format!("others {}", time(others_ns + beyond)));
    }
    let held = if held.is_empty() { String::new() } else { format!(" ({})", held.join(", ")) };
    format!("{what} {}{held}", time(waited_ns))
}

fn time(ns: u64) -> String {
    millis(ns / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_held_most_is_named_first_and_the_rest_is_added_up() {
        let blamed = |scope: &str, ms: u64| wire::Blamed { scope: scope.into(), waited_ns: ms * 1_000_000 };
        let holders = [blamed("a", 1), blamed("", 900), blamed("b", 300), blamed("c", 20)];
        assert_eq!(
            charged("cpu", 1_500_000_000, &holders, 279_000_000),
            "cpu 1.5s (/ 900ms, b 300ms, c 20ms, others 280ms)"
        );
        assert_eq!(charged("WaitingForGang", 5_000_000, &[], 5_000_000), "WaitingForGang 5ms");
    }
}
