//! Every answer in every form that it can be asked for.
use crate::{daemon::Daemon, terminal::Screen};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

#[test]
fn every_list_comes_as_table_wide_json_lines_yaml_and_names() {
    let daemon = Daemon::configured(
        "[[quota]]\nscope = \"team\"\nresource = \"cpu\"\nlimit = \"1\"\n\
         [[pool]]\nresource = \"usd\"\nname = \"acct\"\ncapacity = \"5usd/d\"\n",
    );
    for _ in 0..2 {
        assert_eq!(
            daemon.tell(&["claim", "--cpu", "0.25", "--lock", "tree:shared", "--scope", "team"]).code,
            0
        );
    }
    assert_eq!(daemon.tell(&["cordon", "nowhere"]).code, 3, "refused, and in the audit log");
    for what in ["claims", "pools", "nodes", "scopes", "quotas", "plugins", "events", "audit"] {
        let said = |output: &str| {
            let told = daemon.tell(&["get", what, "-o", output]);
            assert_eq!(told.code, 0, "{what} -o {output}: {told:?}");
            told.out
        };
        let document: Value = serde_json::from_str(&said("json")).expect("JSON");
        let rows = document[what].as_array().expect("rows").clone();
        assert!(!rows.is_empty(), "{what}");
        assert_eq!(said("table").lines().count(), said("wide").lines().count(), "{what}");
        let lines: Vec<Value> = said("jsonl")
            .lines()
            .map(|line| serde_json::from_str(line).expect("one document a line"))
            .collect();
        assert_eq!(lines.len(), rows.len(), "{what}");
        let yaml: Value = serde_yaml_ng::from_str(&said("yaml")).expect("YAML");
        // Figures of a running daemon may move between two looks; what identifies a row does not.
        for key in ["id", "fence", "seq", "path", "resource"] {
            let of = |rows: &[Value]| rows.iter().map(|row| row[key].clone()).collect::<Vec<_>>();
            assert_eq!(of(yaml[what].as_array().expect("rows")), of(&rows), "{what} {key}");
            assert_eq!(of(&lines), of(&rows), "{what} {key}");
        }
        assert_eq!(said("name").lines().count(), rows.len(), "{what}");
        let limited = daemon.tell(&["get", what, "--limit", "1", "-o", "name"]);
        assert_eq!((limited.code, limited.out.lines().count()), (0, 1), "{what}: {limited:?}");
    }
}

#[test]
fn names_are_what_other_commands_take() {
    let daemon = Daemon::plain();
    let claimed = daemon.tell(&["claim", "--cpu", "0.25", "-o", "name"]);
    let listed = daemon.tell(&["get", "claims", "-o", "name"]);
    assert_eq!((claimed.code, &claimed.out), (0, &listed.out));
    let cancelled = daemon.tell(&["cancel", claimed.out.trim(), "-o", "name"]);
    assert_eq!((cancelled.code, &cancelled.out), (0, &claimed.out));
    for name in daemon.tell(&["get", "pools", "-o", "name"]).out.lines() {
        let shown = daemon.ask(&["get", "pools"]);
        let pool = shown["pools"].as_array().expect("pools").iter().find(|pool| {
            let (resource, id) = name.split_once(':').unwrap_or((name, name));
            pool["resource"] == resource && pool["id"] == id
        });
        assert!(pool.is_some(), "{name}");
    }
    let node = daemon.tell(&["get", "nodes", "-o", "name"]).out;
    assert_eq!(daemon.tell(&["cordon", node.trim(), "-o", "name"]).out, node);
    let plugin = daemon.tell(&["plugin", "list", "-o", "name"]).out;
    assert!(plugin.lines().any(|name| name == "allocator best-fit"), "{plugin}");
    for (args, told) in [
        (&["strategy", "show"][..], "allocator best-fit"),
        (&["doctor"][..], "control groups"),
        (&["explain", claimed.out.trim()][..], claimed.out.trim()),
    ] {
        let said = daemon.tell(&[args, &["-o", "name"]].concat());
        assert!(said.code == 0 && said.out.lines().any(|name| name == told), "{args:?}: {said:?}");
        let yaml = daemon.tell(&[args, &["-o", "yaml"]].concat());
        assert!(yaml.code == 0 && serde_yaml_ng::from_str::<Value>(&yaml.out).is_ok(), "{args:?}: {yaml:?}");
    }
    let nameless = daemon.tell(&["token", "-o", "name"]);
    assert!(nameless.code == 2 && nameless.err.contains("no names"), "{nameless:?}");
    let refused = daemon.tell(&["get", "claims", "--limit", "0", "-o", "yaml"]);
    let error: Value = serde_yaml_ng::from_str(&refused.out).expect("YAML");
    assert_eq!((refused.code, &error["error"]["reason"]), (2, &"BadRequest".into()), "{refused:?}");
}

#[test]
fn an_explanation_is_followed_until_the_claim_waits_no_more() {
    let daemon = Daemon::configured("[node.capacity]\ncpu = \"1\"\n");
    let held = daemon.ask(&["claim", "--cpu", "1"])["claim"].clone();
    assert_eq!(daemon.tell(&["claim", "--cpu", "1", "--detach", "--wait", "1h"]).code, 0);
    let mut command = daemon.command(&["explain", "2", "--watch", "-o", "jsonl"]);
    let mut follower = command.stdout(Stdio::piped()).spawn().expect("the program");
    let mut acts = daemon.command(&["get", "audit", "--watch", "-o", "name"]);
    let mut audit = acts.stdout(Stdio::piped()).spawn().expect("the program");
    let mut said = BufReader::new(follower.stdout.take().expect("a pipe"));
    let mut text = String::new();
    // Not before it follows.
    assert!(said.read_line(&mut text).expect("a line") > 0);
    let (id, fence) = (held["id"].as_str().expect("an id"), held["fence"].as_str().expect("a fence"));
    assert_eq!(daemon.tell(&["release", id, "--fence", fence]).code, 0);
    said.read_to_string(&mut text).expect("text");
    assert!(follower.wait().expect("ended").success(), "{text}");
    let phases: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(phases.first().map(|told| &told["phase"]), Some(&"pending".into()), "{text}");
    assert_eq!(phases.last().map(|told| &told["phase"]), Some(&"held".into()), "{text}");
    assert_eq!(daemon.tell(&["cancel", "2"]).code, 0);
    // What else is looked at can be followed as well.
    let mut looks =
        [&["strategy", "show", "-w"][..], &["plugin", "list", "-w"], &["doctor", "-w"]].map(|args| {
            let mut command = daemon.command(&[args, &["-o", "jsonl"]].concat());
            command.stdout(Stdio::piped()).spawn().expect("the program")
        });
    for look in &mut looks {
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(look.stdout.take().expect("a pipe")));
        assert!(lines.next().is_some_and(|line| line.is_ok()));
        look.kill().expect("ended");
        look.wait().expect("ended");
    }
    let mut first = [0; 2];
    std::io::Read::read_exact(&mut audit.stdout.take().expect("a pipe"), &mut first).expect("a row");
    assert_eq!(&first, b"1\n");
    audit.kill().expect("ended");
    audit.wait().expect("ended");
}

#[test]
fn no_colour_is_no_colour() {
    let daemon = Daemon::plain();
    let place = daemon.scratch.path().display().to_string();
    let serve = format!("serve --idle-exit 100ms --state {place}/own --socket {place}/own.sock");
    for said in ["--help", "get --nonsense", &serve] {
        let escapes = |before: &str| {
            let words = format!("{before} $B {said}; echo end$((40+2))");
            let mut screen = Screen::of(&daemon, &["sh", "-c", &words]);
            screen.expect("end42");
            screen.count("\x1b")
        };
        assert!(escapes("") > 0, "{said}: on a terminal there is colour");
        assert_eq!(escapes("NO_COLOR=1"), 0, "{said}");
    }
}

#[test]
fn what_others_wrote_is_shown_and_never_obeyed_by_a_terminal() {
    let daemon = Daemon::plain();
    let body = "{\"weight\":\"\u{1b}]0;owned\u{7}\u{202e}\n\u{9b}2J\"}";
    assert_eq!(daemon.http("PUT", "/v1/scopes/team", body).0, 400);
    for args in [&["get", "audit"][..], &["get", "audit", "-o", "wide"]] {
        let told = daemon.tell(args);
        assert!(told.code == 0 && told.out.contains("\\u{1b}]0;owned"), "{told:?}");
        assert_eq!(told.out.lines().count(), 2, "a header and a row: {told:?}");
        let obeyed = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
        assert!(!told.out.contains(obeyed), "{told:?}");
    }
}

#[test]
fn what_could_not_be_written_is_no_success() {
    let daemon = Daemon::plain();
    for args in
        [&["get", "pools"][..], &["get", "pools", "-o", "json"], &["claim", "--cpu", "0.01", "-o", "json"]]
    {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("a device");
        let ended = daemon.command(args).stdout(full).output().expect("it runs");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.code() == Some(1) && said.contains("could not be written"), "{args:?}: {said}");
    }
}

#[test]
fn whoever_follows_ends_with_the_reader_and_says_when_the_daemon_is_gone() {
    let mut daemon = Daemon::plain();
    for args in [&["get", "events", "-w"][..], &["get", "claims", "-w", "-o", "json"]] {
        let mut follower = daemon.command(args).stdout(Stdio::piped()).spawn().expect("it runs");
        drop(follower.stdout.take());
        daemon.eventually("it ends with its reader", || {
            assert_eq!(daemon.tell(&["claim", "--cpu", "0.01"]).code, 0);
            follower.try_wait().expect("a look").is_some()
        });
    }
    let mut followers = ["events", "claims"].map(|what| {
        let mut command = daemon.command(&["get", what, "-w"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("it runs")
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    daemon.kill();
    for follower in &mut followers {
        assert_eq!(follower.wait().expect("it ends").code(), Some(5));
    }
    daemon.start();
}
