//! What people read: every list as a table and as one document.
use crate::daemon::{Daemon, program, told};
use std::process::{Command, Stdio};

#[test]
fn every_list_has_a_table_and_a_document() {
    let daemon = Daemon::configured(
        "[[quota]]\nscope = \"team\"\nresource = \"cpu\"\nlimit = \"1\"\n[node]\nlabels = [\"fast\"]\n",
    );
    assert_eq!(
        daemon
            .tell(&[
                "claim",
                "--cpu",
                "0.5",
                "--memory",
                "64M",
                "--lock",
                "tree",
                "--lock",
                "index:shared",
                "--scope",
                "team",
                "--label",
                "fast"
            ])
            .code,
        0
    );
    let over =
        daemon.tell(&["claim", "--cpu", "0.75", "--scope", "team", "--detach", "--wait", "1h", "-o", "json"]);
    assert_eq!(over.json()["claim"]["phase"], "pending");
    for (what, header, row) in [
        ("claims", "PHASE", "cpu=0.5 memory=64M lock:tree lock:index:shared "),
        ("pools", "CAPACITY", "memory"),
        ("nodes", "LABELS", "fast"),
        ("scopes", "WEIGHT", "team"),
        ("quotas", "CHARGED", "team"),
        ("plugins", "HOME", "best-fit"),
        ("events", "EVENT", "granted"),
    ] {
        let table = daemon.tell(&["get", what]);
        assert!(
            table.code == 0 && table.out.contains(header) && table.out.contains(row),
            "{what}: {table:?}"
        );
        assert!(daemon.ask(&["get", what])[what].is_array(), "{what}");
        let lines = daemon.tell(&["get", what, "-o", "jsonl"]);
        assert!(lines.code == 0 && lines.out.lines().count() >= 1);
    }
    assert!(daemon.tell(&["strategy", "show"]).out.contains("best-fit"));
    assert_eq!(daemon.ask(&["strategy", "show"])["strategies"].as_array().map(Vec::len), Some(2));
    assert!(daemon.tell(&["doctor"]).out.contains("memory limit"));
    let why = daemon.tell(&["explain", "2"]);
    assert!(why.out.contains("InsufficientQuota") && why.out.contains("limit of scope \"team\""), "{why:?}");
    assert!(daemon.tell(&["explain", "1"]).out.contains("does not wait"));
    let fence = daemon.claim("1")["fence"].as_str().expect("a fence").to_owned();
    for verb in [
        &["renew", "1", "--fence", &fence, "--ttl", "2h"][..],
        &["settle", "1", "--fence", &fence, "memory=12M"],
    ] {
        let told = daemon.tell(verb);
        assert!(told.code == 0 && told.out.contains("held"), "{told:?}");
    }
    assert!(daemon.tell(&["get", "claims"]).out.contains("memory=12M"));
    assert!(daemon.tell(&["release", "1", "--fence", &fence, "--wait", "5s"]).out.contains("released"));
    assert!(daemon.tell(&["cancel", "2"]).out.contains("cancelled"));
}

#[test]
fn lists_and_events_are_followed() {
    let mut daemon = Daemon::plain();
    let follow = |what: &str, output: &str| {
        let mut command = daemon.command(&["get", what, "-w", "-o", output]);
        command.stdout(Stdio::piped()).spawn().expect("the program")
    };
    let mut followers = [follow("claims", "table"), follow("events", "table"), follow("events", "jsonl")];
    let heard: Vec<_> = followers
        .iter_mut()
        .map(|follower| {
            let (told, heard) = std::sync::mpsc::channel();
            let said = std::io::BufReader::new(follower.stdout.take().expect("a pipe"));
            std::thread::spawn(move || {
                std::io::BufRead::lines(said).map_while(Result::ok).try_for_each(|line| told.send(line))
            });
            heard
        })
        .collect();
    let mut texts = ["", "", ""].map(str::to_owned);
    // Whoever follows from now on may begin to do so later than the first of them.
    daemon.eventually("each is told", || {
        assert_eq!(daemon.tell(&["claim", "--cpu", "0.001", "--scope", "seen"]).code, 0);
        texts.iter_mut().zip(&heard).for_each(|(text, heard)| text.extend(heard.try_iter()));
        texts.iter().zip(["seen", "granted", "\"granted\""]).all(|(text, word)| text.contains(word))
    });
    // They end with the daemon.
    daemon.stop();
    for follower in &mut followers {
        follower.wait().expect("ended");
    }
}

#[test]
fn without_a_daemon_doctor_and_completions_still_answer() {
    let bare = |args: &[&str]| {
        let mut command = Command::new(program());
        command.args(args).env("BURSAR_SOCKET", "/nonexistent/sock").stdin(Stdio::null());
        told(command)
    };
    let doctor = bare(&["doctor"]);
    assert!(
        doctor.code == 0 && doctor.out.contains("control groups") && doctor.out.contains("no daemon answers"),
        "{doctor:?}"
    );
    assert!(bare(&["completions", "bash"]).out.contains("_bursar"));
    let unreachable = bare(&["get", "pools", "-o", "json"]);
    assert!(
        unreachable.code == 5 && unreachable.json()["error"]["reason"] == "Unreachable",
        "{unreachable:?}"
    );
}

#[test]
fn who_looks_at_a_daemon_that_does_not_answer_is_told_so() {
    let scratch = tempfile::TempDir::new().expect("a folder");
    let socket = scratch.path().join("sock");
    let _silent = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
    let patience = std::time::Duration::from_millis(100);
    let failed = bursar_wire::Client::new(&socket).patience(patience).doctor().expect_err("nobody answers");
    assert!(failed.to_string().contains("no answer within 100ms"), "{failed}");
    assert_eq!(failed.exit_code(), 5);
}

#[test]
#[ignore = "slow: a look waits half a minute"]
fn looks_at_a_daemon_that_was_stopped_end() {
    let scratch = tempfile::TempDir::new().expect("a folder");
    let socket = scratch.path().join("sock");
    let _silent = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
    let looks =
        [&["get", "claims"][..], &["get", "events"], &["get", "audit"], &["explain", "1"], &["doctor"]];
    let looks = looks.map(|look| {
        let mut command = Command::new(program());
        command.args(look).env("BURSAR_SOCKET", &socket).stdin(Stdio::null());
        std::thread::spawn(move || told(command))
    });
    for look in looks {
        let told = look.join().expect("no panic");
        assert!(told.code == 5 && told.err.contains("no answer within 30s"), "{told:?}");
    }
}
