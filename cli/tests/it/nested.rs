//! Who speaks from inside a lease acts within it, and sees no more than that.
use crate::daemon::Daemon;

#[test]
fn a_lease_is_the_root_of_those_inside() {
    let daemon = Daemon::plain();
    let bursar = crate::daemon::program().display().to_string();
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1", "--scope", "other"]).code, 0);
    let outer = daemon.claim("1")["fence"].as_str().expect("a fence").to_owned();
    let inside = |script: &str| {
        daemon.tell(&["run", "--cpu", "0.2", "--scope", "team/agent", "--", "sh", "-c", script])
    };
    let seen = inside(&format!("{bursar} get claims -o json"));
    assert_eq!(seen.code, 0, "{seen:?}");
    let claims = seen.json()["claims"].as_array().expect("claims").clone();
    assert!(claims.len() == 1 && claims[0]["scope"] == "team/agent", "{claims:?}");
    let taken = inside(&format!("{bursar} release 1 --fence {outer}"));
    assert!(taken.code == 3 && taken.err.contains("no claim 1"), "{taken:?}");
    let ruled = inside(&format!("{bursar} strategy use allocator worst-fit"));
    assert!(ruled.code == 4 && ruled.err.contains("Forbidden"), "{ruled:?}");
    let nested = inside(&format!("{bursar} run --cpu 0.1 --scope task -- {bursar} get claims -o json"));
    let claims = nested.json()["claims"].as_array().expect("claims").clone();
    assert!(claims.iter().any(|claim| claim["scope"] == "team/agent/task"), "{claims:?}");
    let events = inside(&format!("{bursar} get events -o json"));
    let events = events.json()["events"].as_array().expect("events").clone();
    assert!(!events.is_empty() && events.iter().all(|event| event["claim"] != "1"), "{events:?}");
    let scopes = inside(&format!("{bursar} get scopes -o json")).json();
    assert!(
        scopes["scopes"].as_array().is_some_and(|all| all.iter().all(|scope| scope["path"] != "other")),
        "{scopes}"
    );
}
