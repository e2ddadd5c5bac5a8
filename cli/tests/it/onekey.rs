//! The same ask with the same key is carried out once.
use crate::daemon::{Daemon, Lasting, number_in, runs};
use std::process::Stdio;

#[test]
fn the_same_key_twice_at_once_runs_one_command_and_leaves_it_alone() {
    let daemon = Daemon::plain();
    let file = daemon.scratch.path().join("pid");
    let script = format!("echo $$ > {}; cat > /dev/null", file.display());
    let words = ["run", "--key", "same", "--lock", "l", "--", "sh", "-c"];
    let first = Lasting::start(daemon.command(&[&words[..], &[&script]].concat()));
    let command = number_in(&file);
    // With a name of the same length, as all that is asked for is the same.
    let second = daemon.tell(&[&words[..], &["echo ran"]].concat());
    assert!(second.code == 125 && second.err.contains("runs already"), "{second:?}");
    assert_eq!(second.out, "");
    assert!(runs(command), "the first is left alone");
    assert_eq!(daemon.claim("1")["phase"], "held");
    assert!(first.end());
    let third = daemon.tell(&[&words[..], &["echo ran"]].concat());
    assert!(third.code == 125 && third.err.contains("has ended already: released"), "{third:?}");
    assert_eq!((third.out.as_str(), daemon.taken()), ("", 0));
}

#[test]
fn the_same_key_twice_in_line_runs_one_command() {
    let daemon = Daemon::plain();
    let holder = Lasting::start(daemon.command(&["run", "--lock", "l", "--", "cat"]));
    daemon.eventually("it runs", || daemon.claim("1")["pids"][0].is_number());
    let words =
        ["run", "--key", "same", "--lock", "l", "--wait", "60s", "--", "sh", "-c", "echo ran; sleep 0.2"];
    let waiters: Vec<_> = (0..4)
        .map(|_| daemon.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run"))
        .collect();
    daemon.await_phase("2", "pending");
    // Each is on the line.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(holder.end());
    let ended: Vec<_> = waiters.into_iter().map(|run| run.wait_with_output().expect("ended")).collect();
    let ran = ended.iter().filter(|run| run.status.success() && run.stdout == b"ran\n").count();
    let refused = ended.iter().filter(|run| run.status.code() == Some(125) && run.stdout.is_empty()).count();
    assert_eq!((ran, refused), (1, 3), "{ended:?}");
}
