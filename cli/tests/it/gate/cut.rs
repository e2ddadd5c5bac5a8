//! Pools that a gate has cut for a provider's sake: a gate that is killed finds them cut at its next start, and gives
//! them back as their operator had them; what an operator set meanwhile stays.
use super::{
    Gate, config, pool,
    provider::{Provider, Says},
    used,
};
use crate::daemon::{Daemon, LONG};
use serde_json::json;
use std::time::{Duration, Instant};

/// A provider that refuses its first call, and a gate that has cut the pool for it.
fn cut() -> (Provider, Daemon, Gate) {
    let provider = Provider::who(|heard| match heard.number {
        0 => Says::Document(429, vec![("retry-after", "1".into())], b"{}".to_vec()),
        _ => Says::Document(200, Vec::new(), used(1, 1)),
    });
    let daemon = Daemon::configured(&config(&provider, "wait = \"30s\""));
    let gate = Gate::beside(&daemon, &[]);
    let answer = gate.call("/anthropic/v1/messages", &json!({ "model": "quick", "max_tokens": 10 }));
    assert_eq!((answer.status, pool(&daemon, "requests").2), (200, 540), "a tenth\n{}", gate.log());
    (provider, daemon, gate)
}

#[test]
fn what_a_killed_gate_cut_is_given_back_at_its_next_start() {
    let (_provider, daemon, gate) = cut();
    drop(gate);
    assert_eq!(pool(&daemon, "requests").2, 540, "nobody was there to give it back");
    let mut gate = Gate::beside(&daemon, &[]);
    assert_eq!(pool(&daemon, "requests").2, 600, "as the operator had it\n{}", gate.log());
    gate.stop();
    assert_eq!(pool(&daemon, "requests").2, 600);
}

#[test]
fn what_an_operator_set_since_a_gate_was_killed_stays() {
    let (_provider, daemon, gate) = cut();
    drop(gate);
    assert_eq!(daemon.tell(&["set", "pool", "requests:acct/model", "300/m"]).code, 0);
    let mut gate = Gate::beside(&daemon, &[]);
    assert_eq!(pool(&daemon, "requests").2, 300, "{}", gate.log());
    gate.stop();
    assert_eq!(pool(&daemon, "requests").2, 300);
}

#[test]
fn a_pause_lasts_as_long_as_the_provider_said_though_a_scope_has_less_than_the_pool() {
    let provider = Provider::who(|heard| match heard.number {
        0 => Says::Document(429, vec![("retry-after", "1".into())], b"{}".to_vec()),
        _ => Says::Document(200, Vec::new(), used(1, 1)),
    });
    // A thousand at once of the pool, and one a second of the ledger: what the pool has left would take that a
    // quarter of an hour.
    let bound = "[[quota]]\nscope = \"\"\nresource = \"requests\"\nlimit = \"60/m\"\n";
    let text = config(&provider, "wait = \"60s\"").replace("burst = \"20\"", "burst = \"1000\"");
    let daemon = Daemon::configured(&format!("{bound}{text}"));
    let gate = Gate::beside(&daemon, &[]);
    let since = Instant::now();
    let body = json!({ "model": "quick", "max_tokens": 10 });
    assert_eq!(gate.call("/anthropic/v1/messages", &body).status, 200, "{}", gate.log());
    assert!(since.elapsed() > Duration::from_secs(1), "it was waited for");
    assert!(since.elapsed() < LONG, "{:?}\n{}", since.elapsed(), gate.log());
}
