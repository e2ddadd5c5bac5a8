//! An allocator that leaves waiting what would fit, in a real library: it is written down who waits and why, the
//! default decides, and in the end it is not asked any more. One that rightly waits is let be.
use crate::{
    daemon::{Daemon, Setup},
    findings::{findings, until},
};
use bursar_conformance::{badly_behaved, first_party};
use serde_json::Value;
use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
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

/// Small claims, one after the other, until somebody says that it is enough.
fn others(daemon: &Daemon, enough: &AtomicBool) {
    let mut client = daemon.client();
    while !enough.load(Ordering::Acquire) {
        let ask = br#"{"lines":[{"resource":"cpu","amount":"1"}],"ttl":"1s"}"#;
        let answer = client.request("POST", "/v1/claims", Some(ask), &[]).expect("an answer");
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Does something while small claims are placed.
fn beside_others<T>(daemon: &Daemon, act: impl FnOnce() -> T) -> T {
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let going = scope.spawn(|| others(daemon, &enough));
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        enough.store(true, Ordering::Release);
        going.join().expect("a client");
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn one_that_places_others_past_somebody_is_found_out_though_it_never_idles() {
    let config = "[node.capacity]\ncpu = \"64\"\n[plugins]\ndeadline-ms = 500\nidle-ms = 250\nstrikes = 99\n";
    let daemon =
        Daemon::with(Setup { plugins: vec![badly_behaved()], config: config.into(), ..Setup::default() });
    assert_eq!(daemon.tell(&["strategy", "use", "allocator", "chaos-shun"]).code, 0);
    // Where the others came too slowly, as on a busy machine, it is found to idle first.
    let found = (0..9).any(|_| {
        let told = beside_others(&daemon, || daemon.tell(&["claim", "--cpu", "2", "--wait", "60s"]));
        assert_eq!(told.code, 0, "{told:?}\n{}", daemon.log());
        let faults = events(&daemon, "plugin_fault");
        let fault = &faults.last().expect("the default placed it, as it was left")["detail"];
        assert_eq!(
            (&fault["fault"], &fault["plugin"]),
            (&"idle".into(), &"chaos-shun".into()),
            "one that shuns it"
        );
        fault["message"]
            .as_str()
            .is_some_and(|why| why.contains("placed others and left these, and best-fit"))
    });
    assert!(found, "{}", daemon.log());
    let suspected = events(&daemon, "suspected");
    let last = &suspected.last().expect("it was written down before")["detail"];
    assert_eq!(last["passed"], true, "{last}");
    let claim = last["waiting"][0]["claim"].as_str().expect("a claim");
    assert_eq!(granted_by(&daemon, claim), "best-fit linked");
    let row = until(|| findings(&daemon), |row| row["kind"] == "idle-strategy", "a finding");
    assert_eq!(row["subject"], "allocator chaos-shun");
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
        // That others fit and go past them is no reason either.
        beside_others(&daemon, || std::thread::sleep(Duration::from_millis(900)));
    });
    assert_eq!((events(&daemon, "suspected").len(), events(&daemon, "plugin_fault").len()), (0, 0));
    assert!(findings(&daemon).iter().all(|row| row["kind"] != "idle-strategy"));
}
