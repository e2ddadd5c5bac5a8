//! `bursar top` on a real terminal, read back from an emulator's screen.
use crate::{daemon::Daemon, terminal::Screen};
use std::process::Stdio;

const ROWS: u16 = 24;
const COLUMNS: u16 = 120;

#[test]
fn who_uses_what_is_seen_and_ended_by_keys() {
    let daemon = Daemon::configured("[node]\ncapacity = { cpu = \"1\" }\n");
    let run = |scope: &str| {
        let mut command =
            daemon.command(&["run", "--cpu", "1", "--scope", scope, "--wait", "1m", "--", "sleep", "60"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts")
    };
    let mut runs = Vec::new();
    for (index, scope) in ["team/first", "team/second"].into_iter().enumerate() {
        runs.push(run(scope));
        daemon.eventually("it is in the books", || {
            daemon.ask(&["get", "claims"])["claims"].as_array().is_some_and(|claims| claims.len() > index)
        });
    }
    let program = crate::daemon::program().display().to_string();
    let mut screen = Screen::of(&daemon, &[&program, "top", "--every", "100ms"]);
    screen.resize(ROWS, COLUMNS);
    let sees = |screen: &Screen, what: &str, words: &[&str]| {
        daemon.eventually(what, || {
            let seen = screen.seen(ROWS, COLUMNS);
            words.iter().all(|word| seen.contains(word))
        });
    };
    sees(&screen, "both", &["team/first", "held", "team/second", "pending", "waiting 1"]);
    screen.type_in("/second\r");
    sees(&screen, "only the second", &["sort (memory)", "filter (second)"]);
    assert!(!screen.seen(ROWS, COLUMNS).contains("team/first"));
    screen.type_in("e");
    sees(&screen, "why it waits", &["cpu"]);
    screen.type_in("ry");
    sees(&screen, "that it is ended", &["is being ended"]);
    daemon.eventually("it is gone", || !screen.seen(ROWS, COLUMNS).contains("team/second"));
    screen.type_in("\t");
    sees(&screen, "scopes", &["MEM*TIME"]);
    screen.type_in("q");
    assert!(screen.ended().success());
    for mut run in runs {
        let _ = run.kill();
        run.wait().expect("ended");
    }
}

#[test]
fn without_a_terminal_it_says_what_scripts_read() {
    let daemon = Daemon::plain();
    let told = daemon.tell(&["top"]);
    assert!(told.code == 2 && told.err.contains("get claims -o json"), "{told:?}");
}
