//! Plugins steered while everything goes on: rolled back, switched off and on, reloaded, trusted, quarantined,
//! and swapped a thousand times under load.
use crate::daemon::{Daemon, Lasting, Setup};
use bursar_conformance::{badly_behaved, first_party};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Swaps of the long test.
const SWAPS: usize = 1000;

/// A library as it would be of another version: what its manifest says is changed, and nothing else.
fn install(folder: &Path, name: &str, version: &str) -> String {
    let mut bytes = fs::read(first_party().join("liballoc_fit.so")).expect("built");
    let (from, to) = ("\"version\":\"0.1.0\"", format!("\"version\":\"{version}\""));
    let found: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from.as_bytes())).collect();
    assert!(!found.is_empty() && from.len() == to.len());
    found.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to.as_bytes()));
    fs::write(folder.join(name), &bytes).expect("written");
    bursar_loader::sha256(&bytes)
}

/// The state of one plugin of a library, and why.
fn state(daemon: &Daemon, role: &str, id: &str, version: &str) -> (String, String) {
    let listed = daemon.ask(&["plugin", "list"]);
    let mut all = listed["plugins"].as_array().expect("plugins").iter();
    let found = all.find(|plugin| {
        plugin["role"] == role
            && plugin["id"] == id
            && plugin["version"] == version
            && plugin["home"] != "linked"
    });
    let found = found.unwrap_or_else(|| panic!("no {role} {id} {version} in {listed}"));
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("reason"))
}

fn decides(daemon: &Daemon) -> String {
    let shown = daemon.ask(&["strategy", "show"]);
    let of = |key: &str| shown["strategies"][0][key].as_str().unwrap_or_default().to_owned();
    format!("{} {}", of("plugin"), of("home"))
}

fn relaxed(folders: &[&Path]) -> Setup {
    let config = "[plugins]\ndeadline-ms = 500\n".into();
    Setup { plugins: folders.iter().map(|folder| (*folder).into()).collect(), config, ..Setup::default() }
}

#[test]
fn a_swap_is_taken_back_to_the_very_version_and_a_reload_disturbs_no_lease() {
    let folder = TempDir::new().expect("a folder");
    install(folder.path(), "libold.so", "0.1.0");
    let mut daemon = Daemon::with(relaxed(&[folder.path()]));
    let run = Lasting::start(daemon.command(&["run", "--cpu", "0.1", "--", "cat"]));
    daemon.eventually("it runs", || daemon.claim("1")["pids"][0].is_number());
    let before = daemon.claim("1");
    assert_eq!(state(&daemon, "allocator", "best-fit", "0.1.0").0, "active");
    let nothing = daemon.tell(&["strategy", "rollback", "qos"]);
    assert!(nothing.code != 0 && nothing.err.contains("no other qos has decided here before"), "{nothing:?}");

    install(folder.path(), "libnew.so", "0.2.0");
    assert_eq!(daemon.tell(&["plugin", "reload"]).code, 0);
    assert_eq!(state(&daemon, "allocator", "best-fit", "0.2.0").0, "active", "the highest version");
    let (ready, why) = state(&daemon, "allocator", "best-fit", "0.1.0");
    assert!(ready == "ready" && why.contains("has the higher version 0.2.0"), "{why}");

    assert_eq!(daemon.tell(&["strategy", "rollback", "allocator"]).code, 0);
    assert_eq!(state(&daemon, "allocator", "best-fit", "0.1.0").0, "active", "the one before");
    assert_eq!(daemon.tell(&["plugin", "reload"]).code, 0);
    assert_eq!(state(&daemon, "allocator", "best-fit", "0.1.0").0, "active", "nobody is talked out of it");
    daemon.stop();
    daemon.start();
    assert_eq!(state(&daemon, "allocator", "best-fit", "0.1.0").0, "active", "nor by a restart");
    assert_eq!(daemon.tell(&["strategy", "use", "allocator", "best-fit@0.2.0"]).code, 0);
    assert_eq!(state(&daemon, "allocator", "best-fit", "0.2.0").0, "active");
    let none = daemon.tell(&["strategy", "use", "allocator", "best-fit@3.0.0"]);
    assert!(none.code != 0 && none.err.contains("0.2.0, 0.1.0, linked"), "{none:?}");
    assert_eq!(daemon.claim("1")["fence"], before["fence"]);
    assert!(run.end());
}

#[test]
fn one_that_is_disabled_does_not_decide_until_it_is_enabled() {
    let folder = TempDir::new().expect("a folder");
    install(folder.path(), "libfit.so", "0.2.0");
    let mut daemon = Daemon::with(relaxed(&[folder.path()]));
    assert_eq!(daemon.tell(&["strategy", "use", "allocator", "worst-fit"]).code, 0);
    assert_eq!(decides(&daemon), "worst-fit child");
    assert_eq!(daemon.tell(&["plugin", "disable", "allocator", "worst-fit"]).code, 0);
    assert_eq!(decides(&daemon), "worst-fit linked", "what is linked in stands by");
    daemon.stop();
    daemon.start();
    assert_eq!(state(&daemon, "allocator", "worst-fit", "0.2.0").0, "disabled", "it outlives a restart");
    assert_eq!(decides(&daemon), "worst-fit linked");
    assert_eq!(daemon.tell(&["plugin", "enable", "allocator", "worst-fit"]).code, 0);
    assert_eq!(decides(&daemon), "worst-fit child");
    let unknown = daemon.tell(&["plugin", "disable", "allocator", "no-fit"]);
    assert!(unknown.code == 3 && unknown.err.contains("known are: best-fit"), "{unknown:?}");
    let stays = daemon.tell(&["plugin", "disable", "qos", "class"]);
    let told = "qos class is linked in and stays";
    assert!(stays.code == 2 && stays.err.contains(told), "{stays:?}");
    let role = daemon.tell(&["plugin", "disable", "gadget", "no-fit"]);
    assert!(role.code != 0 && role.err.contains("roles are: resource"), "{role:?}");
}

#[test]
fn a_trusted_key_lets_a_library_in_and_a_revoked_one_puts_it_out() {
    let folder = TempDir::new().expect("a folder");
    install(folder.path(), "libfit.so", "0.2.0");
    let keys = minisign::KeyPair::generate_unencrypted_keypair().expect("a key");
    let bytes = fs::read(folder.path().join("libfit.so")).expect("a library");
    let signed = minisign::sign(None, &keys.sk, std::io::Cursor::new(bytes), None, None).expect("signed");
    fs::write(folder.path().join("libfit.so.minisig"), signed.to_string()).expect("written");
    let daemon = Daemon::with(relaxed(&[folder.path()]));
    assert_eq!(decides(&daemon), "best-fit child");
    let file = folder.path().join("key.pub");
    fs::write(&file, keys.pk.to_box().expect("a key").to_string()).expect("written");
    let trusted = daemon.ask(&["plugin", "trust", &file.display().to_string()]);
    let key = trusted["keys"][0]["key"].as_str().expect("a key").to_owned();
    assert_eq!(key, keys.pk.to_base64());
    assert_eq!(decides(&daemon), "best-fit child", "a seat is not changed under whoever sits there");
    assert_eq!(daemon.tell(&["strategy", "use", "allocator", "best-fit"]).code, 0);
    assert_eq!(decides(&daemon), "best-fit inline");
    let listed = daemon.tell(&["plugin", "list", "-o", "json"]).out;
    assert!(listed.contains(&format!("signed by {key}")), "{listed}");
    let revoked = daemon.ask(&["plugin", "trust", "revoke", &key]);
    assert_eq!(revoked["keys"].as_array().map(Vec::len), Some(0));
    assert_eq!(daemon.tell(&["strategy", "use", "allocator", "best-fit"]).code, 0);
    assert_eq!(decides(&daemon), "best-fit child");
    assert!(daemon.tell(&["plugin", "trust", "nonsense"]).err.contains("is no such key"));
}

#[test]
fn one_that_fails_too_often_is_told_of_once_found_by_doctor_and_tried_again() {
    let config = "[plugins]\ndeadline-ms = 500\nquarantine-ms = 1500\n".into();
    let daemon = Daemon::with(Setup { plugins: vec![badly_behaved()], config, ..Setup::default() });
    assert_eq!(daemon.tell(&["strategy", "use", "allocator", "chaos-fail"]).code, 0);
    let faults = || {
        let events = daemon.ask(&["get", "events"]);
        let all = events["events"].as_array().expect("events").clone();
        let faults = all.into_iter().filter(|event| event["kind"] == "plugin_fault");
        faults
            .map(|event| event["detail"]["message"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let since = Instant::now();
    for _ in 0..6 {
        assert_eq!(daemon.tell(&["claim", "--cpu", "0.01"]).code, 0, "the default decides");
    }
    let told = faults();
    // A slow machine may have come to the trial already.
    assert!(told.len() == 3 || since.elapsed() > Duration::from_millis(1500), "{told:?}");
    assert!(told[2].contains("not asked for 1.5s"), "{told:?}");
    if since.elapsed() < Duration::from_millis(1000) {
        let found = daemon.tell(&["doctor", "-o", "json"]);
        let rows = found.json()["findings"].clone();
        let mut rows = rows.as_array().expect("findings").iter();
        let row = rows.find(|row| row["what"] == "plugin allocator chaos-fail").cloned();
        assert!(row.is_some_and(|row| row["detail"].as_str().is_some_and(|why| why.contains("quarantined"))));
        assert_eq!(found.code, 1);
    }
    daemon.eventually("it is tried again, and fails again", || {
        assert_eq!(daemon.tell(&["claim", "--cpu", "0.001"]).code, 0);
        faults().iter().any(|fault| fault.contains("not asked for 3s"))
    });
}

#[test]
fn doctor_tells_how_children_are_locked_in_and_of_names_that_nobody_has() {
    let config = "[plugins.config.bset-fit]\nx = 1\n[plugins.pin]\n\"qos class\" = \"0.1.0\"\n\
                  \"qoss class\" = \"0.1.0\"\n[preemption]\nidle = [\"cpu\", \"gpus\"]\n"
        .into();
    let daemon = Daemon::with(Setup { config, ..Setup::default() });
    let found = daemon.ask(&["doctor"]);
    let mut rows = found["findings"].as_array().expect("findings").iter();
    let row = rows.find(|row| row["what"] == "plugin children").cloned().unwrap_or(Value::Null);
    assert!(["ok", "weak"].map(Value::from).contains(&row["state"]), "{found}");
    let mut rows = found["findings"].as_array().expect("findings").iter();
    let row = rows.find(|row| row["what"] == "plugins.config.bset-fit").expect("it is for nobody");
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    assert!(
        text("detail").contains("no plugin \"bset-fit\"") && text("advice").contains("\"best-fit\""),
        "{row}"
    );
    let told = found.to_string();
    assert!(told.contains("plugins.pin.qoss class") && told.contains("did you mean \\\"qos\\\"?"), "{found}");
    assert!(!told.contains("plugins.pin.qos class"), "that one there is: {found}");
    assert!(told.contains("preemption.idle") && told.contains("no resource \\\"gpus\\\""), "{found}");
    assert!(!told.contains("no resource \\\"cpu\\\""), "{found}");
}

/// How long each of a client's pairs of ask and release took, until it is told to stop.
fn pairs(daemon: &Daemon, stop: &AtomicBool) -> Vec<Duration> {
    let (mut client, mut took) = (daemon.client(), Vec::new());
    let ask = br#"{"lines":[{"resource":"cpu","amount":"10"}]}"#;
    while !stop.load(Ordering::Relaxed) {
        let since = Instant::now();
        let answer = client.request("POST", "/v1/claims", Some(ask), &[]).expect("an answer");
        took.push(since.elapsed());
        let claim: Value = serde_json::from_slice(&answer.body).expect("a document");
        let (id, fence) = (&claim["claim"]["id"], &claim["claim"]["fence"]);
        let id = id.as_str().unwrap_or_else(|| panic!("{claim}"));
        let body = format!(r#"{{"fence":{fence}}}"#);
        let released =
            client.request("POST", &format!("/v1/claims/{id}/release"), Some(body.as_bytes()), &[]);
        assert_eq!(released.expect("an answer").status, 200);
    }
    took
}

/// Whether anything was granted by what is linked in.
fn stood_in(events: &str) -> bool {
    let mut granted = events.lines().filter(|line| line.contains(r#""kind":"granted""#));
    granted.any(|line| line.contains(r#""by":{"home":"linked""#))
}

/// Stops the clients when it goes.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn percentile(mut all: Vec<Duration>, percent: usize) -> Duration {
    all.sort_unstable();
    all[(all.len() - 1) * percent / 100]
}

#[test]
fn a_thousand_swaps_under_load_lose_no_lease() {
    let folder = TempDir::new().expect("a folder");
    let sums = [install(folder.path(), "libold.so", "0.1.0"), install(folder.path(), "libnew.so", "0.2.0")];
    let config = format!("[plugins]\ndeadline-ms = 500\ninline = {sums:?}\n");
    let daemon = Daemon::with(Setup { plugins: vec![folder.path().into()], config, ..Setup::default() });
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1", "--ttl", "1h"]).code, 0);
    let kept = daemon.claim("1");
    let stop = AtomicBool::new(false);
    // Without swaps first, so that the two can be compared on whatever machine this is.
    let quiet = std::thread::scope(|scope| {
        let client = scope.spawn(|| pairs(&daemon, &stop));
        std::thread::sleep(Duration::from_millis(700));
        stop.store(true, Ordering::Relaxed);
        client.join().expect("a client")
    });
    stop.store(false, Ordering::Relaxed);
    let busy = std::thread::scope(|scope| {
        let client = scope.spawn(|| pairs(&daemon, &stop));
        // If a swap fails the client is to end all the same.
        let _stopping = Stopping(&stop);
        let mut operator = daemon.client();
        for number in 0..SWAPS {
            let body = format!(r#"{{"plugin":"best-fit@0.{}.0"}}"#, 1 + number % 2);
            let answer = operator.request("PUT", "/v1/strategies/allocator", Some(body.as_bytes()), &[]);
            let answer = answer.expect("an answer");
            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        }
        stop.store(true, Ordering::Relaxed);
        client.join().expect("a client")
    });
    let (quiet_99, busy_99) = (percentile(quiet, 99), percentile(busy.clone(), 99));
    println!(
        "{SWAPS} swaps, {} pairs beside them: p99 {busy_99:?}, without swaps {quiet_99:?}: {:?} later",
        busy.len(),
        busy_99.saturating_sub(quiet_99)
    );
    let there = daemon.claim("1");
    for key in ["fence", "phase", "lines", "node"] {
        assert_eq!(there[key], kept[key], "the lease that was there is there as it was");
    }
    daemon.eventually("all else came back", || daemon.taken() == 100);
    let events = daemon.tell(&["get", "events", "-o", "jsonl"]).out;
    let swapped = events.lines().filter(|line| line.contains(r#""kind":"swapped""#)).count();
    assert!(swapped >= SWAPS, "{swapped}");
    assert!(!events.contains("plugin_fault"), "nobody failed");
    assert!(!stood_in(&events), "nobody had to stand in");
}

#[test]
fn swaps_to_children_under_load_cost_nobody_a_decision() {
    let folder = TempDir::new().expect("a folder");
    install(folder.path(), "libold.so", "0.1.0");
    install(folder.path(), "libnew.so", "0.2.0");
    let daemon = Daemon::with(relaxed(&[folder.path()]));
    let (stop, swaps) = (AtomicBool::new(false), 12);
    let pairs = std::thread::scope(|scope| {
        let client = scope.spawn(|| pairs(&daemon, &stop));
        let _stopping = Stopping(&stop);
        for number in 0..swaps {
            let to = format!("best-fit@0.{}.0", 1 + number % 2);
            assert_eq!(daemon.tell(&["strategy", "use", "allocator", &to]).code, 0);
        }
        stop.store(true, Ordering::Relaxed);
        client.join().expect("a client")
    });
    assert_eq!(decides(&daemon), "best-fit child");
    let events = daemon.tell(&["get", "events", "-o", "jsonl"]).out;
    let swapped = events.lines().filter(|line| line.contains(r#""kind":"swapped""#)).count();
    assert!(swapped >= swaps && pairs.len() > swaps, "{swapped} swaps, {} pairs", pairs.len());
    assert!(!events.contains("plugin_fault"), "nobody failed: {}", daemon.log());
    assert!(!stood_in(&events), "nobody had to stand in");
}
