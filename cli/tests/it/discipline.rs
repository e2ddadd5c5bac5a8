//! How the line moves while its head waits, as a qos of a library says: what it says holds from the moment it decides.
use crate::daemon::{Daemon, Setup};
use bursar_conformance::badly_behaved;
use serde_json::json;

#[test]
fn nobody_passes_the_oldest_where_the_qos_says_so() {
    let config =
        "[plugins]\ndeadline-ms = 500\n[node.capacity]\ncpu = \"2\"\n[strategy]\nqos = \"chaos-strict\"\n";
    let plugins = vec![badly_behaved()];
    let daemon = Daemon::with(Setup { plugins, config: config.into(), ..Setup::default() });
    assert_eq!(daemon.tell(&["claim", "--cpu", "1"]).code, 0);
    let body = json!({"lines": [{"resource": "cpu", "amount": "2000"}], "wait": "600s", "detach": true});
    assert_eq!(daemon.http("POST", "/v1/claims", &body.to_string()).0, 202, "it waits");
    assert_ne!(daemon.tell(&["claim", "--cpu", "0.5"]).code, 0, "there is room, and somebody was first");
    // With another that keeps for the oldest only after half a minute.
    assert_eq!(daemon.tell(&["strategy", "use", "qos", "class"]).code, 0);
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.5"]).code, 0);
    assert_eq!(daemon.tell(&["strategy", "rollback", "qos"]).code, 0);
    assert_ne!(daemon.tell(&["claim", "--cpu", "0.5"]).code, 0, "as it was");
}
