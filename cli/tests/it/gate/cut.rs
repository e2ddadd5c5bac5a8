//! Pools that a gate has cut for a provider's sake: a gate that is killed finds them cut at its next start, and gives
//! them back as their operator had them; what an operator set meanwhile stays.
use super::{
    Gate, config, pool,
    provider::{Provider, Says},
    used,
};
use crate::daemon::Daemon;
use serde_json::json;

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
