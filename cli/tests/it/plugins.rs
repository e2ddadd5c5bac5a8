//! Plugins from real libraries in a running daemon: found, swapped, faulty, hanging, stubborn.
use crate::daemon::{Daemon, LONG, Lasting, Setup};
use bursar_conformance::{badly_behaved, first_party};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};
use tempfile::TempDir;

fn plugin(daemon: &Daemon, role: &str, id: &str, home: &str) -> Value {
    let listed = daemon.ask(&["plugin", "list"]);
    let all = listed["plugins"].as_array().expect("plugins").clone();
    let found =
        all.into_iter().find(|plugin| plugin["role"] == role && plugin["id"] == id && plugin["home"] == home);
    found.unwrap_or_else(|| panic!("no {role} {id} {home} in {listed}"))
}

fn granted_by(daemon: &Daemon, claim: u64) -> String {
    let events = daemon.ask(&["get", "events"]);
    let events = events["events"].as_array().expect("events").clone();
    let granted = events
        .into_iter()
        .find(|event| event["kind"] == "granted" && event["claim"].as_str() == Some(&claim.to_string()));
    let by = granted.expect("a grant")["detail"]["by"].clone();
    format!("{} {}", by["plugin"].as_str().unwrap_or("?"), by["home"].as_str().unwrap_or("?"))
}

fn faults(daemon: &Daemon) -> Vec<Value> {
    let events = daemon.ask(&["get", "events"]);
    let events = events["events"].as_array().expect("events").clone();
    events
        .into_iter()
        .filter(|event| event["kind"] == "plugin_fault")
        .map(|event| event["detail"].clone())
        .collect()
}

fn copy_libraries(from: &Path) -> TempDir {
    let to = TempDir::new().expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        if entry.path().extension().is_some_and(|end| end == "so") {
            fs::copy(entry.path(), to.path().join(entry.file_name())).expect("copied");
        }
    }
    to
}

#[test]
fn shipped_libraries_run_inline_and_strangers_in_a_child() {
    let strangers = copy_libraries(&first_party());
    for (folder, home) in [(first_party(), "inline"), (strangers.path().into(), "child")] {
        let slow = "[plugins]\ndeadline-ms = 500\n".into();
        let daemon = Daemon::with(Setup { plugins: vec![folder], config: slow, ..Setup::default() });
        for (role, id, library) in [
            ("allocator", "best-fit", "alloc-fit"),
            ("qos", "class", "qos-class"),
            ("metric", "host", "metric-host"),
            ("resource", "lock", "res-lock"),
            ("resource", "port", "res-port"),
            ("driver", "port", "res-port"),
        ] {
            let listed = plugin(&daemon, role, id, home);
            assert_eq!(
                (&listed["state"], &listed["library"]),
                (&"active".into(), &library.into()),
                "{listed}"
            );
            assert_eq!(listed["sha256"].as_str().map(str::len), Some(64));
            assert_eq!(plugin(&daemon, role, id, "linked")["state"], "ready");
        }
        assert_eq!(daemon.tell(&["run", "--cpu", "0.1", "--port", "--lock", "x", "--", "true"]).code, 0);
        assert_eq!(granted_by(&daemon, 1), format!("best-fit {home}"));
    }
}

#[test]
fn strategies_are_swapped_live_and_stay_swapped() {
    let mut daemon = Daemon::with(Setup { plugins: vec![first_party()], ..Setup::default() });
    let run = Lasting::start(daemon.command(&["run", "--cpu", "0.1", "--", "cat"]));
    daemon.eventually("it runs", || daemon.claim("1")["pids"][0].is_number());
    let shown = daemon.ask(&["strategy", "use", "allocator", "worst-fit"]);
    assert_eq!(shown["strategies"][0]["plugin"], "worst-fit");
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1"]).code, 0);
    assert_eq!(granted_by(&daemon, 2), "worst-fit inline");
    assert_eq!(plugin(&daemon, "allocator", "best-fit", "inline")["state"], "ready");
    daemon.kill();
    daemon.start();
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1"]).code, 0);
    assert_eq!(granted_by(&daemon, 3), "worst-fit inline", "the last choice outlives a restart");
    assert!(run.end());
}

#[test]
fn a_plugin_that_fails_costs_nobody_a_grant() {
    // A machine that is busy with other things would have every plugin late.
    let config = "[plugins]\ndeadline-ms = 200\n".into();
    let daemon = Daemon::with(Setup { plugins: vec![badly_behaved()], config, ..Setup::default() });
    let mut claim = 0;
    for (id, kind) in [
        ("chaos-panic", "panicked"),
        ("chaos-hang", "overrun"),
        ("chaos-abort", "died"),
        ("chaos-fail", "failed"),
        ("chaos-lie", "nonsense"),
    ] {
        let before = faults(&daemon).len();
        assert_eq!(daemon.tell(&["strategy", "use", "allocator", id]).code, 0, "{id}");
        for _ in 0..2 {
            claim += 1;
            let told = daemon.tell(&["claim", "--cpu", "0.01"]);
            assert_eq!(told.code, 0, "{id}: {told:?}\n{}", daemon.log());
            assert_eq!(granted_by(&daemon, claim), "best-fit linked", "{id}");
        }
        let told = faults(&daemon)[before..].to_vec();
        assert!(told.iter().any(|fault| fault["fault"] == kind && fault["plugin"] == id), "{id}: {told:?}");
    }
    let shown = daemon.ask(&["strategy", "show"]);
    assert!(shown["strategies"][0]["faults"].as_u64().is_some_and(|faults| faults >= 10), "{shown}");
    // Three strikes, and it is told of.
    for _ in 0..4 {
        assert_eq!(daemon.tell(&["strategy", "use", "allocator", "chaos-fail"]).code, 0);
        (0..4).for_each(|_| assert_eq!(daemon.tell(&["claim", "--cpu", "0.01"]).code, 0));
    }
    let listed = plugin(&daemon, "allocator", "chaos-fail", "child");
    assert_eq!(listed["state"], "quarantined");
    assert!(listed["reason"].as_str().is_some_and(|why| why.contains("I would rather not")), "{listed}");
    assert_eq!(daemon.tell(&["doctor"]).code, 1);
    assert_eq!(daemon.tell(&["strategy", "use", "allocator", "best-fit"]).code, 0);
    assert_eq!(daemon.tell(&["strategy", "use", "qos", "chaos-panic"]).code, 0);
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.01"]).code, 0);
}

#[test]
fn an_inline_plugin_that_hangs_costs_one_restart() {
    let library = fs::read(badly_behaved().join("libchaos.so")).expect("built");
    let config = format!("[plugins]\ninline = [\"{}\"]\n", bursar_loader::sha256(&library));
    let mut daemon = Daemon::with(Setup { plugins: vec![badly_behaved()], config, ..Setup::default() });
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1"]).code, 0);
    let fence = daemon.claim("1")["fence"].clone();
    assert_eq!(daemon.tell(&["strategy", "use", "allocator", "chaos-hang"]).code, 0);
    assert_eq!(plugin(&daemon, "allocator", "chaos-hang", "inline")["state"], "active");
    let mut asked = daemon.command(&["claim", "--no-autostart", "--cpu", "0.1"]);
    let mut asked = asked.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
    // It ends in the middle of that.
    let since = Instant::now();
    while daemon.ended().is_none() {
        assert!(since.elapsed() < LONG);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(daemon.log().contains("an inline plugin hangs"), "{}", daemon.log());
    daemon.start();
    assert_eq!(daemon.claim("1")["fence"], fence, "the lease is adopted");
    assert_eq!(plugin(&daemon, "allocator", "chaos-hang", "child")["state"], "active");
    assert!(asked.wait().expect("ended").success(), "and the default decides, also for who asked before");
}

#[test]
fn a_driver_that_does_not_let_go_quarantines_until_it_does() {
    let daemon = Daemon::with(Setup { plugins: vec![badly_behaved()], ..Setup::default() });
    assert_eq!(daemon.tell(&["claim", "--need", "sticky=2"]).code, 0);
    let claim = daemon.await_phase("1", "held");
    let fence = claim["fence"].as_str().expect("a fence");
    assert_eq!(daemon.tell(&["release", "1", "--fence", fence]).code, 0);
    daemon.eventually("it is quarantined", || {
        daemon.claim("1")["quarantined"] == true || daemon.claim("1")["phase"] == "closed"
    });
    let events = daemon.ask(&["get", "events"]);
    assert!(
        events["events"].as_array().is_some_and(|all| all.iter().any(|event| event["kind"] == "quarantined")),
        "{events}"
    );
    let closed = daemon.await_phase("1", "closed");
    assert_eq!(closed["evidence"], "it let go at the second try");
    assert_eq!(daemon.taken(), 0);
    for amount in ["3", "4"] {
        let refused =
            daemon.tell(&["run", "--need", &format!("sticky={amount}"), "--wait", "20s", "--", "true"]);
        assert!(refused.code == 125 && refused.err.contains("enforce_failed"), "{refused:?}");
    }
    let events = daemon.tell(&["get", "events"]).out;
    assert!(events.contains("three is a crowd") && events.contains("four is too many"), "{events}");
    daemon.eventually("all of it came back", || daemon.taken() == 0);
}

#[test]
fn an_allocator_from_outside_the_workspace_decides() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let source = fs::read_to_string(root.join("examples/alloc-emptiest/src/lib.rs")).expect("the example");
    assert!(source.lines().count() <= 40, "an allocator is forty lines at most");
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), PathBuf::from)
        .join("examples-outside");
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    cargo
        .args(["build", "--quiet"])
        .current_dir(root.join("examples/alloc-emptiest"))
        .env("CARGO_TARGET_DIR", &target);
    assert!(cargo.status().expect("cargo").success());
    let folder = TempDir::new().expect("a folder");
    fs::copy(target.join("debug/liballoc_emptiest.so"), folder.path().join("liballoc_emptiest.so"))
        .expect("copied");
    let config = "[strategy]\nallocator = \"emptiest\"\n[plugins]\ndeadline-ms = 500\n".into();
    let daemon = Daemon::with(Setup { plugins: vec![folder.path().into()], config, ..Setup::default() });
    assert_eq!(daemon.tell(&["run", "--cpu", "0.1", "--", "true"]).code, 0);
    assert_eq!(granted_by(&daemon, 1), "emptiest child");
}

/// Verifies a library without any daemon.
fn verify(library: &Path, only: &[&str]) -> crate::daemon::Told {
    let mut command = Command::new(crate::daemon::program());
    command.args(["plugin", "verify", "--calls", "300", "-o", "json"]).arg(library);
    command.args(only.iter().flat_map(|only| ["--only", only]));
    crate::daemon::told(command)
}

#[test]
fn libraries_are_verified_plugin_by_plugin() {
    let libraries = [
        "alloc_fit",
        "detect_deadlock",
        "detect_pressure",
        "detect_queueing",
        "metric_host",
        "qos_batch",
        "qos_class",
        "res_disk",
        "res_gpu",
        "res_host",
        "res_io",
        "res_lock",
        "res_port",
        "share_exclusive",
        "share_overcommit",
        "share_timeslice",
    ];
    for library in libraries {
        let told = verify(&first_party().join(format!("lib{library}.so")), &[]);
        assert_eq!(told.code, 0, "{library}: {told:?}");
        assert!(told.json()["plugins"].as_array().is_some_and(|all| !all.is_empty()));
    }
    // Several have the same name in two roles, and their order in the library is the linker's.
    let wrong = [
        ("allocator", "chaos-panic", "too many"),
        ("qos", "chaos-panic", "is first"),
        ("metric", "chaos-panic", "too late"),
        ("resource", "chaos-panic", "what am I?"),
        ("allocator", "chaos-hang", "Overrun"),
        ("allocator", "chaos-abort", "Died"),
        ("allocator", "chaos-lie", "unlawful"),
        ("allocator", "chaos-lax", "schema: it takes keys that it does not know"),
        ("resource", "chaos-odd", "cannot be written as KIND=AMOUNT"),
        ("metric", "chaos-metric", "clue"),
        ("sharing", "chaos-lie", "offered"),
    ];
    let only: Vec<&str> = wrong.iter().map(|(_, id, _)| *id).collect();
    let told = verify(&badly_behaved().join("libchaos.so"), &only);
    assert_eq!(told.code, 1);
    let judged = told.json();
    for (role, id, why) in wrong {
        let mut all = judged["plugins"].as_array().expect("plugins").iter();
        let wrong = all.find(|plugin| plugin["role"] == role && plugin["id"] == id);
        let wrong = wrong.and_then(|plugin| plugin["wrong"].as_str());
        assert!(wrong.is_some_and(|wrong| wrong.contains(why)), "{id}: {wrong:?}");
    }
    let none = verify(Path::new("/bin/sh"), &[]);
    assert!(none.code == 1 && none.err.contains("no plugin"), "{none:?}");
    let none = verify(&first_party().join("liballoc_fit.so"), &["no-fit"]);
    assert!(
        none.code != 0 && none.err.contains("best-fit, first-fit") || none.err.contains("there are"),
        "{none:?}"
    );
}
