//! A child at its gate. A fresh child holds a copy of all that its parent has open until its gate opens, so
//! these stand apart from tests that look at what is open.
use bursar_enforce::Gate;
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};
use std::ffi::OsString;

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
}

fn end(pid: u32) -> WaitStatus {
    waitpid(Pid::from_raw(pid as i32), WaitOptions::empty()).expect("a child").expect("ended").1
}

#[test]
fn a_child_becomes_the_command_when_its_gate_opens() {
    let script =
        "test \"$ADDED-$0-$HOME\" = yes-word-elsewhere && test \"$PATH\" && env | grep -c ^HOME= && exit 7";
    let gate = Gate::start(&words(&["sh", "-c", script, "word"])).expect("forked");
    let pid = gate.pid();
    let early = waitpid(Pid::from_raw(pid as i32), WaitOptions::NOHANG).expect("a child");
    assert!(early.is_none(), "it waits");
    let opened = gate.open(&[("ADDED", "yes".into()), ("HOME", "elsewhere".into())]).expect("room");
    assert_eq!(end(pid).exit_status(), Some(7));
    assert!(opened.failed().is_none());
}

#[test]
fn a_child_whose_gate_never_opens_is_nothing() {
    let gate = Gate::start(&words(&["sh", "-c", "exit 7"])).expect("forked");
    let pid = gate.pid();
    drop(gate);
    assert_eq!(end(pid).exit_status(), Some(125));
}

#[test]
fn what_cannot_be_run_is_told() {
    for (program, code) in [("/no/such/program", 127), ("/etc/passwd", 126)] {
        let gate = Gate::start(&words(&[program])).expect("forked");
        let pid = gate.pid();
        let opened = gate.open(&[]).expect("room");
        assert_eq!(end(pid).exit_status(), Some(code));
        assert!(opened.failed().is_some(), "{program}");
    }
    assert!(Gate::start(&words(&["a\0b"])).is_err());
}

#[test]
fn what_does_not_fit_into_an_environment_leaves_the_gate_closed() {
    for more in
        [vec![("ADDED", "x".repeat(5000))], vec![("ADDED", "a\0b".into())], vec![("A", String::new()); 17]]
    {
        let gate = Gate::start(&words(&["sh", "-c", "exit 7"])).expect("forked");
        let pid = gate.pid();
        assert!(gate.open(&more).is_err());
        assert_eq!(end(pid).exit_status(), Some(125));
    }
}
