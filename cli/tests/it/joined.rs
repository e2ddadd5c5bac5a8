//! A process that comes with its ask: one request and one sync until the lease is true, and all that was said of
//! attaching holds for it.
use crate::daemon::{Daemon, program};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};

fn sleeper() -> Child {
    Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("sleep")
}

fn ask(daemon: &Daemon, more: &str) -> (u16, serde_json::Value) {
    let body = format!("{{\"lines\":[{{\"resource\":\"cpu\",\"amount\":\"100\"}}]{more}}}");
    daemon.http("POST", "/v1/claims", &body)
}

/// Whether a process lives in the cell of a claim.
fn is_inside(pid: u32, claim: &str) -> bool {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("/proc");
    groups.lines().filter(|line| line.contains(&format!("/lease-{claim}"))).count() >= 2
}

#[test]
fn it_is_inside_when_the_ask_is_answered() {
    let mut daemon = Daemon::plain();
    let mut sleeper = sleeper();
    let (status, told) = ask(&daemon, &format!(",\"pid\":{}", sleeper.id()));
    assert_eq!((status, &told["claim"]["phase"]), (201, &"held".into()), "{told}");
    assert_eq!(told["claim"]["pids"][0], sleeper.id());
    if !std::path::Path::new("/sys/fs/cgroup/cpu").exists() {
        eprintln!("skipped: where it lives is looked up in the groups of v1");
    } else {
        assert!(is_inside(sleeper.id(), "1"));
    }
    // What was answered before it was on the disk comes about again.
    daemon.kill();
    daemon.start();
    let claim = daemon.await_phase("1", "held");
    assert_eq!(claim["pids"][0], sleeper.id(), "{claim}");
    sleeper.kill().expect("killed");
    sleeper.wait().expect("ended");
    let claim = daemon.await_phase("1", "closed");
    assert_eq!(claim["ending"], "process_gone");
    daemon.kill();
    daemon.start();
    assert_eq!((daemon.claim("1")["phase"].clone(), daemon.taken()), ("closed".into(), 0));
}

#[test]
fn it_is_inside_when_it_had_to_wait_as_well() {
    let daemon = Daemon::configured("[node.capacity]\ncpu = \"1\"\n");
    let holder = daemon.ask(&["claim", "--cpu", "1"]);
    let mut sleeper = sleeper();
    let pid = sleeper.id();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&daemon, &format!(",\"pid\":{pid},\"wait\":\"30s\"")));
        daemon.await_phase("2", "pending");
        let fence = holder["claim"]["fence"].as_str().expect("a fence");
        assert_eq!(daemon.tell(&["release", "1", "--fence", fence]).code, 0);
        let (status, told) = asked.join().expect("answered");
        assert_eq!((status, &told["claim"]["phase"]), (201, &"held".into()), "{told}");
        assert_eq!(told["claim"]["pids"][0], pid);
    });
    sleeper.kill().expect("killed");
    sleeper.wait().expect("ended");
}

#[test]
fn the_same_ask_attaches_it_once() {
    let daemon = Daemon::plain();
    let mut sleeper = sleeper();
    for _ in 0..2 {
        let (status, told) = ask(&daemon, &format!(",\"pid\":{},\"key\":\"k\"", sleeper.id()));
        assert_eq!((status, &told["claim"]["id"]), (201, &"1".into()), "{told}");
        assert_eq!(told["claim"]["pids"].as_array().map(Vec::len), Some(1));
    }
    sleeper.kill().expect("killed");
    sleeper.wait().expect("ended");
}

#[test]
fn what_cannot_be_attached_is_refused_before_anything_is_granted() {
    let daemon = Daemon::plain();
    let mut gone = sleeper();
    gone.kill().expect("killed");
    gone.wait().expect("ended");
    let (status, told) = ask(&daemon, &format!(",\"pid\":{}", gone.id()));
    assert!(
        status == 400 && told["error"]["message"].as_str().is_some_and(|why| why.contains("no process")),
        "{told}"
    );
    let own = std::process::id();
    assert_eq!(ask(&daemon, &format!(",\"pid\":{own},\"detach\":true")).0, 400);
    let body = format!("{{\"operations\":[{{\"ask\":{{\"lines\":[],\"pid\":{own}}}}}]}}");
    let (_, told) = daemon.http("POST", "/v1/batch", &body);
    assert!(told.to_string().contains("attaches no process"), "{told}");
    assert_eq!((daemon.taken(), &daemon.ask(&["get", "claims"])["claims"][0]), (0, &serde_json::Value::Null));
}

#[test]
fn what_gives_leases_lives_in_none() {
    let mut daemon = Daemon::plain();
    let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("/proc").flatten();
    let threads = threads.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all: Vec<u32> = [daemon.pid()].into_iter().chain(threads).chain([std::process::id()]).collect();
    let fence =
        daemon.ask(&["claim", "--cpu", "0.1"])["claim"]["fence"].as_str().expect("a fence").to_owned();
    for pid in all {
        let (status, told) = ask(&daemon, &format!(",\"pid\":{pid}"));
        let why = told["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 400 && why.contains("no lease") && why.contains("the daemon"), "{pid}: {told}");
        let told = daemon.tell(&["attach", "1", "--fence", &fence, "--pid", &pid.to_string()]);
        assert!(told.code == 2 && told.err.contains("no lease"), "{told:?}");
    }
    assert_eq!(daemon.tell(&["release", "1", "--fence", &fence, "--wait", "10s"]).code, 0);
    assert_eq!((daemon.ended(), daemon.taken()), (None, 0));
}

/// Commands that are run, and what the daemon may sync beside them: at its start, and when it looks up.
const COMMANDS: usize = 20;
const BESIDE: usize = 5;

#[test]
fn a_command_costs_one_sync() {
    let daemon = Daemon::plain();
    let trace = daemon.scratch.path().join("trace");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-e", "trace=fdatasync,fsync", "-o"])
        .arg(&trace)
        .args(["-p", &daemon.pid().to_string()]);
    let Ok(mut strace) = strace.stderr(Stdio::null()).spawn() else {
        eprintln!("skipped: strace is not installed");
        return;
    };
    let synced = || {
        std::fs::read_to_string(&trace)
            .unwrap_or_default()
            .lines()
            .filter(|line| line.contains("sync("))
            .count()
    };
    let counted = |claim: bool| {
        let _ = claim.then(|| daemon.ask(&["claim", "--cpu", "0.001"]));
        synced() > 0
    };
    let since = std::time::Instant::now();
    while !counted(true) && since.elapsed() < std::time::Duration::from_secs(10) {}
    if !counted(false) {
        eprintln!("skipped: strace may not trace here");
    } else {
        let before = synced();
        for _ in 0..COMMANDS {
            assert_eq!(daemon.tell(&["run", "--cpu", "0.1", "--", "true"]).code, 0);
        }
        daemon.eventually("each grant is synced", || synced() >= before + COMMANDS);
        assert!(synced() <= before + COMMANDS + BESIDE, "{} for {COMMANDS}", synced() - before);
    }
    let _ = kill_process(Pid::from_child(&strace), Signal::TERM);
    strace.wait().expect("ended");
}

/// Pairs of ports that a test has tried already.
static TRIED: AtomicU16 = AtomicU16::new(0);

/// A daemon of two ports, of which a stranger has the first since it started; and the second.
fn with_a_stranger() -> (Daemon, TcpListener, u16) {
    let bind = |port| TcpListener::bind(("0.0.0.0", port));
    // Two in a row that nobody has.
    let pair = |first: u16| Some((bind(first).ok()?, bind(first + 1).ok()?));
    // Each pair is tried once, and by one test.
    let tried =
        || 23_100 + (std::process::id() as u16 % 400 + TRIED.fetch_add(1, Ordering::Relaxed)) % 400 * 2;
    let first = (0..400).map(|_| tried()).find(|&first| pair(first).is_some()).expect("two ports");
    let daemon = Daemon::configured(&format!(
        "[plugins]\nconfig.port = {{ first = {first}, last = {} }}\n",
        first + 1
    ));
    (daemon, bind(first).expect("taken"), first + 1)
}

#[test]
fn a_port_that_a_stranger_took_is_not_what_a_command_gets() {
    let (daemon, _stranger, second) = with_a_stranger();
    let told = daemon.tell(&["run", "--port", "--", "sh", "-c", "echo $PORT"]);
    assert_eq!((told.code, told.out.trim()), (0, &*second.to_string()), "{told:?}");
}

#[test]
fn who_asks_anew_for_a_port_can_still_be_told_to_end() {
    let (daemon, _stranger, second) = with_a_stranger();
    assert_eq!(daemon.tell(&["claim", "--port", &second.to_string()]).code, 0);
    let mut command = Command::new(program());
    command.args(["run", "--port", "--wait", "60s", "--", "true"]).env("BURSAR_SOCKET", daemon.socket());
    let mut run = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
    let waits = || daemon.ask(&["get", "claims"])["claims"].to_string().contains("\"pending\"");
    daemon.eventually("it waits for the other one", waits);
    kill_process(Pid::from_child(&run), Signal::INT).expect("sent");
    daemon.eventually("nobody waits", || !waits());
    assert!(!run.wait().expect("an end").success());
}
