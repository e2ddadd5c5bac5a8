//! Who speaks from inside a lease acts within it, and sees no more than that.
use crate::daemon::{Daemon, number_in, runs};
use rustix::process::{Pid, Signal, kill_process};

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

#[test]
fn a_daemon_that_is_started_from_inside_a_lease_does_not_end_with_it() {
    let mut daemon = Daemon::configured("[enforce]\ngrace-ms = 100\n");
    let bursar = crate::daemon::program().display().to_string();
    let (go, own) = (daemon.scratch.path().join("go"), daemon.scratch.path().join("own"));
    let script = format!(
        "echo 1 > {}; while [ -e {} ]; do sleep 0.05; done; BURSAR_SOCKET={}/sock {bursar} run --cpu 0.1 -- true; sleep 300",
        own.display(),
        go.display(),
        own.with_extension("d").display()
    );
    std::fs::write(&go, "").expect("written");
    let home = daemon.scratch.path().to_path_buf();
    let mut run = daemon.command(&["run", "--cpu", "0.5", "--", "sh", "-c", &script]);
    let mut run = run.env("HOME", home).spawn().expect("run");
    number_in(&own);
    std::fs::remove_file(&go).expect("removed");
    // The lock file of the other daemon names it.
    let other = number_in(&own.with_extension("d").join("sock.state/lock"));
    daemon.eventually("it is up", || bursar_wire::Client::new(&own.with_extension("d").join("sock")).alive());
    let groups = std::fs::read_to_string(format!("/proc/{other}/cgroup")).expect("/proc");
    assert!(!groups.contains("lease-"), "{groups}");
    assert_eq!(daemon.tell(&["cancel", "1", "--wait", "20s"]).code, 0);
    run.wait().expect("ended");
    assert!(runs(other), "it lives on");
    kill_process(Pid::from_raw(other as i32).expect("a pid"), Signal::TERM).expect("signalled");
    daemon.eventually("it ends when it is told to", || !runs(other));
    daemon.stop();
}
