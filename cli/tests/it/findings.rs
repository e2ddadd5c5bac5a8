//! What holds work up, found by the shipped analyzers in a real run.
use crate::daemon::{Daemon, LONG, Setup};
use serde_json::Value;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

/// Waits until a list has a row that will do.
pub(crate) fn until(mut look: impl FnMut() -> Vec<Value>, is: impl Fn(&Value) -> bool, what: &str) -> Value {
    let since = Instant::now();
    loop {
        let rows = look();
        if let Some(found) = rows.iter().find(|row| is(row)) {
            return found.clone();
        }
        assert!(since.elapsed() < LONG, "{what}: {rows:?}");
        sleep(Duration::from_millis(100));
    }
}

pub(crate) fn findings(daemon: &Daemon) -> Vec<Value> {
    daemon.ask(&["get", "findings"])["findings"].as_array().expect("a list").clone()
}

fn told(daemon: &Daemon) -> Vec<Value> {
    let events = daemon.ask(&["get", "events"])["events"].clone();
    let found = events.as_array().expect("a list").iter().filter(|event| event["kind"] == "found");
    found.flat_map(|event| event["detail"]["findings"].as_array().expect("findings").clone()).collect()
}

#[test]
fn a_queue_is_found_with_its_numbers_and_is_over_when_it_is_over() {
    let config = "[node.capacity]\ncpu = \"1\"\n[analysis]\nevery = \"200ms\"\n\
                  [plugins]\ndeadline-ms = 500\n[plugins.config.detect-queueing]\nwindow-ms = 4000\n";
    let plugins = vec![bursar_conformance::first_party()];
    let daemon = Daemon::with(Setup { config: config.into(), plugins, ..Setup::default() });
    let listed = daemon.ask(&["get", "plugins"]);
    let mut all = listed["plugins"].as_array().expect("plugins").iter();
    let detector = all.find(|plugin| plugin["id"] == "detect-queueing" && plugin["home"] == "inline");
    assert_eq!(detector.map(|plugin| &plugin["state"]), Some(&"active".into()), "{listed}");
    assert!(findings(&daemon).is_empty());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // One can hold it at a time, and five ask for it all the time.
        for _ in 0..5 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let told = daemon.tell(&["claim", "--cpu", "1", "--wait", "30s", "-o", "json"]);
                    let claim = &told.json()["claim"];
                    sleep(Duration::from_millis(50));
                    let (id, fence) =
                        (claim["id"].as_str().expect("an id"), claim["fence"].as_str().expect("a fence"));
                    assert_eq!(daemon.tell(&["release", id, "--fence", fence]).code, 0);
                }
            });
        }
        let found = until(|| findings(&daemon), |row| row["kind"] == "queueing", "a queue");
        assert_eq!(
            (&found["subject"], &found["analyzer"]),
            (&"resource cpu".into(), &"detect-queueing".into())
        );
        let number =
            |name: &str| found["evidence"][name].as_u64().unwrap_or_else(|| panic!("{name}: {found}"));
        assert!(number("utilisation_percent") >= 80 && number("waiting_claims") >= 1, "{found}");
        assert!(
            number("service_ms") >= 50 && number("arrivals_per_hour") > 0 && number("servers") == 1,
            "{found}"
        );
        let shown = daemon.tell(&["get", "findings"]).out;
        assert!(shown.contains("queueing") && shown.contains("resource cpu"), "{shown}");
        let doctor = daemon.tell(&["doctor"]).out;
        assert!(doctor.contains("queueing"), "{doctor}");
        over.store(true, Ordering::Relaxed);
    });
    until(|| told(&daemon), |row| row["finding"] == "queueing" && !row["severity"].is_null(), "it is told");
    until(|| told(&daemon), |row| row["finding"] == "queueing" && row["severity"].is_null(), "it is over");
    assert!(findings(&daemon).iter().all(|row| row["kind"] != "queueing"));
}
