//! What holds work up, found by the shipped analyzers in a real run.
use crate::daemon::{Daemon, LONG, Setup, program};
use serde_json::Value;
use std::{
    path::Path,
    process::{Child, Command},
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
    // A busy machine is pressed, and that is found as well.
    assert!(findings(&daemon).iter().all(|row| row["analyzer"] != "detect-queueing"));
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

/// A daemon whose analyzers are the shipped libraries, all in its own process.
fn analyzed(config: &str) -> Daemon {
    let plugins = vec![bursar_conformance::first_party()];
    let daemon = Daemon::with(Setup { config: config.into(), plugins, ..Setup::default() });
    let listed = daemon.ask(&["get", "plugins"]);
    let of = |id: &str| {
        let mut all = listed["plugins"].as_array().expect("plugins").iter();
        all.find(|plugin| plugin["id"] == id && plugin["home"] == "inline").expect(id)["state"].clone()
    };
    assert!(["detect-pressure", "detect-deadlock"].iter().all(|id| of(id) == "active"), "{listed}");
    daemon
}

/// Processes that are ended when this goes.
struct Ended(Vec<Child>);

impl Drop for Ended {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn pressure_is_found_where_more_want_to_run_than_can() {
    if !Path::new("/proc/pressure/cpu").exists() {
        eprintln!("skipped: pressure is not counted by this kernel");
        return;
    }
    let many = 1 + thread_count();
    // Whoever else wants to run goes before them: they wait for each other.
    let spin = || {
        Command::new("nice").args(["-n", "19", "sh", "-c", "while :; do :; done"]).spawn().expect("a shell")
    };
    let _spinning = Ended((0..many).map(|_| spin()).collect());
    // The kernel reckons anew every two seconds, and the host is looked at when the daemon starts.
    sleep(Duration::from_millis(2500));
    let config =
        "[analysis]\nevery = \"100ms\"\n[plugins.config.detect-pressure]\nwarning-percent = 0.5\nlooks = 1\n";
    let daemon = analyzed(config);
    let found = until(|| findings(&daemon), |row| row["kind"] == "cpu-pressure", "pressure");
    assert_eq!((&found["subject"], &found["analyzer"]), (&"resource cpu".into(), &"detect-pressure".into()));
    let percent = found["evidence"]["pressure_some_avg10_percent"].as_u64();
    assert!(percent.is_some_and(|percent| percent <= 100), "{found}");
    assert_eq!(found["evidence"]["held_percent"], 0, "what presses is in no lease: {found}");
}

/// Threads that can run at once.
fn thread_count() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

#[test]
fn a_circle_of_which_the_books_see_one_half_only_is_found_and_is_over_when_it_is_broken() {
    let daemon = analyzed("[analysis]\nevery = \"100ms\"\n");
    let shell = |script: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).current_dir(daemon.scratch.path());
        shell.env("BURSAR_SOCKET", daemon.socket()).env("B", program()).spawn().expect("a shell")
    };
    // One holds a lock of the daemon's and waits for a file, of which the daemon knows nothing; the other the other way.
    let of_file = "touch in-a; while [ ! -e has-f ]; do sleep 0.02; done; flock f true";
    let of_lock =
        "touch has-f; while [ ! -e in-a ]; do sleep 0.02; done; $B run --wait 600s --lock a -- true";
    let mut both = Ended(vec![
        shell(&format!("$B run --lock a -- sh -c '{of_file}'")),
        shell(&format!("$B run --lock b -- flock f sh -c '{of_lock}'")),
    ]);
    let found = until(|| findings(&daemon), |row| row["kind"] == "deadlock", "a circle");
    assert_eq!((&found["severity"], &found["analyzer"]), (&"critical".into(), &"detect-deadlock".into()));
    let number = |name: &str| found["evidence"][name].as_u64().unwrap_or_else(|| panic!("{name}: {found}"));
    assert_eq!((number("waiting_claims"), number("holding_leases")), (1, 2), "{found}");
    let claim = found["subject"].as_str().and_then(|of| of.strip_prefix("claim ")).expect("a claim");
    assert_eq!(daemon.claim(claim)["phase"], "pending");
    assert_eq!(daemon.tell(&["cancel", claim]).code, 0);
    for child in &mut both.0 {
        child.wait().expect("ended");
    }
    until(|| told(&daemon), |row| row["finding"] == "deadlock" && row["severity"].is_null(), "it is over");
}
