//! An allocator that leaves waiting what would fit, in a real library: it is written down who waits and why, the
//! default decides, and in the end it is not asked any more. One that rightly waits is let be.
use crate::{
    daemon::{Daemon, Setup},
    findings::{findings, until},
};
use bursar_conformance::{badly_behaved, first_party};
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

/// Events of a kind.
fn events(daemon: &Daemon, kind: &str) -> Vec<Value> {
    let all = daemon.ask(&["get", "events"])["events"].as_array().expect("events").clone();
    all.into_iter().filter(|event| event["kind"] == kind).collect()
}

fn granted_by(daemon: &Daemon, claim: &str) -> String {
    let all = events(daemon, "granted");
    let granted = all.iter().find(|event| event["claim"] == claim).expect("a grant");
    let by = &granted["detail"]["by"];
    format!("{} {}", by["plugin"].as_str().unwrap_or("?"), by["home"].as_str().unwrap_or("?"))
}

#[test]
fn one_that_idles_is_found_out_and_has_its_strikes() {
    let config = "[plugins]\ndeadline-ms = 500\nidle-ms = 200\nquarantine-ms = 600000\n".into();
    let daemon = Daemon::with(Setup { plugins: vec![badly_behaved()], config, ..Setup::default() });
    assert_eq!(daemon.tell(&["strategy", "use", "allocator", "chaos-idle"]).code, 0);
    for strike in 1..=3_usize {
        let claim = strike.to_string();
        let told = daemon.tell(&["claim", "--cpu", "0.01", "--wait", "30s"]);
        assert_eq!(told.code, 0, "the default decides: {told:?}\n{}", daemon.log());
        assert_eq!(granted_by(&daemon, &claim), "best-fit linked");
        let suspected = events(&daemon, "suspected");
        let waiting = &suspected.last().expect("it was written down before")["detail"]["waiting"][0];
        assert_eq!((&waiting["claim"], &waiting["reason"]), (&claim.into(), &"Fragmented".into()));
        assert!(waiting["waited_ms"].as_u64().is_some_and(|ms| ms >= 200), "{waiting}");
        let faults = events(&daemon, "plugin_fault");
        let fault = &faults.last().expect("a fault")["detail"];
        assert_eq!(
            (faults.len(), &fault["fault"], &fault["plugin"]),
            (strike, &"idle".into(), &"chaos-idle".into())
        );
        let message = fault["message"].as_str().expect("words");
        assert!(message.contains(&format!("best-fit then placed {strike}")), "{message}");
        let counted = |row: &Value| row["kind"] == "idle-strategy" && row["evidence"]["times"] == strike;
        let found = until(|| findings(&daemon), counted, "a finding");
        assert_eq!(found["subject"], "allocator chaos-idle");
    }
    let listed = daemon.ask(&["plugin", "list"]);
    let mut all = listed["plugins"].as_array().expect("plugins").iter();
    let idle = all.find(|plugin| plugin["id"] == "chaos-idle").expect("listed");
    assert!(idle["state"] == "quarantined", "{idle}");
    assert!(idle["reason"].as_str().is_some_and(|why| why.contains("Idle: it placed nothing")), "{idle}");
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.01"]).code, 0, "the default decides at once");
    assert!(
        findings(&daemon).iter().any(|row| row["kind"] == "idle-strategy"),
        "it stands while it is not asked"
    );
    assert_eq!(daemon.tell(&["strategy", "rollback", "allocator"]).code, 0);
    daemon.eventually("with another it is over", || {
        findings(&daemon).iter().all(|row| row["kind"] != "idle-strategy")
    });
}

#[test]
fn one_that_rightly_waits_is_let_be() {
    let strangers = TempDir::new().expect("a folder");
    fs::copy(first_party().join("liballoc_fit.so"), strangers.path().join("liballoc_fit.so"))
        .expect("copied");
    let config = "[node.capacity]\ncpu = \"2\"\n[plugins]\ndeadline-ms = 500\nidle-ms = 100\n\
                  [[pool]]\nresource = \"gpu\"\nname = \"a\"\ncapacity = \"1\"\n\
                  [[pool]]\nresource = \"gpu\"\nname = \"b\"\ncapacity = \"1\"\n\
                  [[quota]]\nscope = \"small\"\nresource = \"cpu\"\nlimit = \"0.5\"\n";
    let plugins = vec![strangers.path().into()];
    let daemon = Daemon::with(Setup { plugins, config: config.into(), ..Setup::default() });
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.4", "--scope", "small"]).code, 0);
    assert_eq!(granted_by(&daemon, "1"), "best-fit child");
    for _ in 0..2 {
        assert_eq!(daemon.tell(&["claim", "--gpu", "0.6"]).code, 0, "one on each");
    }
    std::thread::scope(|scope| {
        // Too much of it is held, a bound is reached, and what is there is in no one place.
        for ask in [["--cpu", "1.9"], ["--cpu", "0.2"], ["--gpu", "0.7"]] {
            let daemon = &daemon;
            scope.spawn(move || {
                let told = daemon.tell(&[&["claim", "--scope", "small", "--wait", "1s"], &ask[..]].concat());
                assert_ne!(told.code, 0, "{told:?}");
            });
        }
    });
    assert_eq!((events(&daemon, "suspected").len(), events(&daemon, "plugin_fault").len()), (0, 0));
    assert!(findings(&daemon).iter().all(|row| row["kind"] != "idle-strategy"));
}
