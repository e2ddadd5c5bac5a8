//! Peers in another pid namespace, as in a container: the numbers by which they name processes are others here.
use crate::daemon::{Daemon, Lasting, Told, program, runs, told};
use std::process::{Command, Stdio};

/// A stranger on this machine.
fn stranger() -> Lasting {
    Lasting::start(Command::new("cat"))
}

/// What a script comes to in a pid namespace of its own, in which the second process after its first command is
/// called `number`; `None` where there may be none.
fn elsewhere(daemon: &Daemon, number: u32, script: &str) -> Option<Told> {
    let script = format!("echo {} > /proc/sys/kernel/ns_last_pid || exit 99\n{script}", number - 2);
    let mut command = Command::new("unshare");
    command.args(["-p", "-f", "--mount-proc", "sh", "-c", &script]);
    command.env("BURSAR_SOCKET", daemon.socket()).stdin(Stdio::null());
    let made =
        Command::new("unshare").args(["-p", "-f", "--mount-proc", "true"]).stderr(Stdio::null()).status();
    let told = made.is_ok_and(|made| made.success()).then(|| told(command)).filter(|told| told.code != 99);
    if told.is_none() {
        eprintln!("skipped: no pid namespace with numbers of one's choice here");
    }
    told
}

#[test]
fn a_command_from_another_pid_namespace_lives_inside_and_no_stranger_of_its_number_does() {
    let daemon = Daemon::plain();
    let stranger = stranger();
    let number = stranger.pid();
    for options in ["--cpu 0.1", "--cpu 0.1 --lock l"] {
        let command = "echo $$; grep -c /lease- /proc/self/cgroup; exit 3";
        let script = format!("{} run {options} -- sh -c '{command}'; exit $?", program().display());
        let Some(told) = elsewhere(&daemon, number, &script) else { return };
        let mut said = told.out.lines();
        assert_eq!((told.code, said.next()), (3, Some(&*number.to_string())), "{told:?}");
        if daemon.ask(&["doctor"])["findings"][0]["state"] == "ok" {
            assert_ne!(said.next(), Some("0"), "{told:?}");
        }
        assert!(runs(number), "a stranger was ended");
    }
    assert_eq!(daemon.taken(), 0);
    assert!(stranger.end());
}

#[test]
fn what_is_named_from_another_pid_namespace_and_is_not_there_is_refused() {
    let daemon = Daemon::plain();
    let stranger = stranger();
    let claim = daemon.ask(&["claim", "--cpu", "0.1"]);
    let fence = claim["claim"]["fence"].as_str().expect("a fence");
    let attach = format!("attach 1 --fence {fence} --pid {}", stranger.pid());
    let script = format!("{} {attach}; exit $?", program().display());
    let Some(told) = elsewhere(&daemon, stranger.pid() + 100, &script) else { return };
    assert!(told.code == 2 && told.err.contains("pid namespace"), "{told:?}");
    assert_eq!(daemon.claim("1")["pids"].as_array().map(Vec::len), Some(0));
    assert!(stranger.end());
}
