//! What leases use is measured, kept after they end and over a restart, and added up by scope; what leaks and what
//! hangs is told.
use crate::daemon::Daemon;
use serde_json::Value;
use std::process::{Child, Stdio};

const QUICK: &str = "[memory]\nanalytics_interval = \"100ms\"\n";

#[track_caller]
fn number(value: &Value) -> u64 {
    match value {
        Value::String(text) => match text.parse() {
            Ok(number) => number,
            Err(_) => panic!("{text} is a number"),
        },
        other => match other.as_u64() {
            Some(number) => number,
            None => panic!("{other} is a number"),
        },
    }
}

fn spawn(daemon: &Daemon, args: &[&str]) -> Child {
    let mut command = daemon.command(args);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts")
}

/// Ends what a test has left running.
fn end(mut run: Child) {
    run.kill().expect("killed");
    run.wait().expect("ended");
}

fn scope<'a>(scopes: &'a Value, path: &str) -> &'a Value {
    let all = scopes["scopes"].as_array().expect("scopes");
    &all.iter().find(|scope| scope["path"] == path).unwrap_or_else(|| panic!("{path} in {scopes}"))["usage"]
}

#[test]
fn what_a_lease_uses_is_seen_while_it_lives_and_after() {
    let scopes =
        ["team", "team/a", "team/b"].map(|path| format!("[[scope]]\npath = \"{path}\"\nweight = 2\n"));
    let mut daemon = Daemon::configured(&format!("{QUICK}{}", scopes.concat()));
    // A quarter of a core's work or so, and forty megabytes, for a while.
    let seen = daemon.scratch.path().join("seen");
    let work = format!(
        "x=$(head -c 40000000 /dev/zero | tr '\\0' x); i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; sleep 1; \
         while [ ! -e {} ]; do sleep 0.05; done",
        seen.display()
    );
    let mut busy = spawn(
        &daemon,
        &["run", "--memory", "256M", "--cpu", "1", "--scope", "team/a", "--", "sh", "-c", &work],
    );
    let mut live = Value::Null;
    daemon.eventually("it is seen", || {
        let claims = daemon.ask(&["get", "claims"]);
        let usage = &claims["claims"][0]["usage"];
        live = usage.clone();
        usage["memory_bytes"].is_string() && number(&usage["memory_bytes"]) > 40_000_000
    });
    assert!(number(&live["processes"]) >= 1);
    std::fs::write(&seen, "").expect("written");
    assert!(busy.wait().expect("ended").success());
    daemon.eventually("it is given back", || daemon.taken() == 0);
    let ended = daemon.ask(&["get", "claims"])["claims"][0]["usage"].clone();
    assert!(number(&ended["memory_peak_bytes"]) > 40_000_000, "{ended}");
    assert!(number(&ended["memory_mean_bytes"]) > 10_000_000, "{ended}");
    assert!(number(&ended["cpu_ms"]) > 20 && number(&ended["wall_ms"]) >= 1000, "{ended}");
    assert!(ended["memory_bytes"].is_null(), "there is no now any more: {ended}");

    daemon.tell(&["run", "--cpu", "0.5", "--scope", "team/b", "--", "true"]);
    daemon.eventually("that one too", || daemon.taken() == 0);
    let before = daemon.ask(&["get", "scopes"]);
    let (team, a) = (scope(&before, "team"), scope(&before, "team/a"));
    assert_eq!((number(&team["leases"]), number(&a["leases"])), (2, 1), "{before}");
    assert!(number(&team["cpu_ms"]) >= number(&a["cpu_ms"]) && number(&a["memory_byte_seconds"]) > 0);
    daemon.stop();
    daemon.start();
    let after = daemon.ask(&["get", "scopes"]);
    assert_eq!(scope(&before, "team"), scope(&after, "team"), "nothing of it is lost");
}

#[test]
fn who_does_nothing_is_told_and_ended_where_the_operator_says_so() {
    let config = format!("{QUICK}[liveness]\nhung-after = \"1s\"\nhung = \"stop\"\n");
    let daemon = Daemon::configured(&config);
    let mut hung = spawn(&daemon, &["run", "--cpu", "0.5", "--", "sleep", "60"]);
    let busy =
        spawn(&daemon, &["run", "--cpu", "0.5", "--", "timeout", "20", "sh", "-c", "while :; do :; done"]);
    assert!(!hung.wait().expect("ended").success(), "it was ended");
    daemon.eventually("one is left", || daemon.taken() == 500);
    let claims = daemon.ask(&["get", "claims"]);
    let of = |ending: &str| {
        let all = claims["claims"].as_array().expect("claims").iter();
        all.filter(|claim| claim["ending"] == ending).count()
    };
    assert_eq!(of("cancelled"), 1, "{claims}");
    end(busy);
}

#[test]
fn who_does_nothing_is_only_told_by_default() {
    let daemon = Daemon::configured(&format!("{QUICK}[liveness]\nhung-after = \"1s\"\n"));
    let hung = spawn(&daemon, &["run", "--cpu", "0.5", "--", "sleep", "60"]);
    daemon.eventually("it is told", || {
        let findings = daemon.ask(&["get", "findings"]);
        let mut findings = findings["findings"].as_array().expect("findings").iter();
        findings.any(|finding| finding["kind"] == "hung" && finding["subject"] == "claim 1")
    });
    assert!(daemon.taken() > 0, "and let be");
    end(hung);
}

/// Takes a minute: a leak is told by how evenly it goes on.
#[test]
#[ignore = "takes a minute"]
fn a_leak_of_a_megabyte_a_second_is_told_within_a_minute() {
    let daemon = Daemon::configured("");
    let script = "import time\nkept = []\nwhile True:\n    kept.append(bytearray(b'x' * 100_000))\n    time.sleep(0.1)\n";
    let leaking = spawn(&daemon, &["run", "--memory", "512M", "--", "python3", "-c", script]);
    let since = std::time::Instant::now();
    let told = || {
        let claims = daemon.ask(&["get", "claims"]);
        let slope = &claims["claims"][0]["usage"]["leak_bytes_per_second"];
        slope.is_string().then(|| number(slope))
    };
    let slope = loop {
        assert!(since.elapsed().as_secs() <= 60, "nothing was told");
        if let Some(slope) = told() {
            break slope;
        }
        std::thread::sleep(std::time::Duration::from_millis(250));
    };
    assert!((500_000..1_500_000).contains(&slope), "{slope} bytes a second after {:?}", since.elapsed());
    end(leaking);
}
