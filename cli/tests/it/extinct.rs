//! Whatever a command leaves behind is gone with its lease, and nobody else is harmed.
use crate::daemon::{Daemon, LONG, Setup, number_in, program, runs};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const HURRY: &str = "[enforce]\ngrace-ms = 100\n";
const WEAK: &str = "[enforce]\ncgroups = false\ngrace-ms = 100\n";
/// Times that a pid is tried to be had again.
const TRIES: usize = 500;

/// Trees that do not want to go: a name, and a script that writes the pid of its last process to `$PID_FILE`.
const TREES: [(&str, &str); 8] = [
    ("forked twice", "(sh -c 'sh -c \"echo \\$\\$ > $PID_FILE; exec sleep 600\" &' &)"),
    ("a session of its own", "setsid sh -c 'echo $$ > $PID_FILE; exec sleep 600' &"),
    ("nohup", "nohup sh -c 'echo $$ > $PID_FILE; exec sleep 600' >/dev/null 2>&1 &"),
    ("deaf to TERM", "sh -c 'trap \"\" TERM HUP INT; echo $$ > $PID_FILE; while :; do sleep 0.1; done' &"),
    ("stopped", "sh -c 'echo $$ > $PID_FILE; kill -STOP $$; sleep 600' &"),
    (
        "ever new children",
        "setsid sh -c 'echo $$ > $PID_FILE; trap \"\" TERM; while :; do sleep 0.01 & done' &",
    ),
    (
        "born while it is killed",
        "sh -c 'trap \"setsid sleep 600 &\" TERM; echo $$ > $PID_FILE; while :; do sleep 0.05; done' &",
    ),
    ("a fork bomb", "sh -c 'echo $$ > $PID_FILE; f() { f | f & f; }; f' >/dev/null 2>&1 &"),
];

/// The living processes that descend from a run with this mark.
fn marked(mark: &str) -> Vec<u32> {
    let all = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let carries = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes()) && runs(*pid)
    };
    pids.filter(carries).collect()
}

fn every_tree_goes(config: &str, fork_bombs: bool) {
    let daemon = Daemon::configured(config);
    let mut stranger = Command::new("sleep").arg("600").spawn().expect("sleep");
    for (index, (name, script)) in TREES.into_iter().enumerate() {
        if name == "a fork bomb" && !fork_bombs {
            continue;
        }
        let file = daemon.scratch.path().join(format!("pid{index}"));
        let mark = format!("TREE_OF_TEST={}-{index}", std::process::id());
        let mut command = daemon.command(&["run", "--pids", "64", "--", "sh", "-c"]);
        command.arg(format!("{script}\nwhile [ ! -s $PID_FILE ]; do sleep 0.01; done; sleep 0.1"));
        let (variable, value) = mark.split_once('=').expect("a variable");
        command.env(variable, value).env("PID_FILE", &file).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().expect("run");
        let left = number_in(&file);
        daemon.eventually(name, || !runs(left) && marked(&mark).is_empty());
        daemon.eventually(&format!("{name}: all is back"), || daemon.taken() == 0);
    }
    assert!(stranger.try_wait().expect("a look").is_none(), "a stranger was harmed");
    stranger.kill().expect("killed");
    stranger.wait().expect("ended");
}

#[test]
fn no_tree_outlives_its_lease() {
    every_tree_goes(HURRY, true);
}

#[test]
fn no_tree_outlives_its_lease_where_there_are_no_groups() {
    // Without groups a bomb is counted four times a second only: it is limited, but not to be let loose here.
    every_tree_goes(WEAK, false);
}

#[test]
fn children_of_a_parent_that_lives_on_go_with_the_lease() {
    let daemon = Daemon::configured(HURRY);
    let mut parent = Command::new("sh");
    let script = "sleep 600 & echo $! > $PID_FILE; wait; sleep 600";
    let file = daemon.scratch.path().join("pid");
    let mut parent = parent.args(["-c", script]).env("PID_FILE", &file).spawn().expect("sh");
    let child = number_in(&file);
    let claim = daemon.ask(&["claim", "--memory", "64M"])["claim"].clone();
    let (id, fence) = (claim["id"].as_str().expect("an id"), claim["fence"].as_str().expect("a fence"));
    assert_eq!(daemon.tell(&["attach", id, "--fence", fence, "--pid", &child.to_string()]).code, 0);
    daemon.await_phase(id, "held");
    assert_eq!(daemon.tell(&["release", id, "--fence", fence]).code, 0);
    // Its parent reaps it: `wait` returns.
    daemon.eventually("the child is gone", || !runs(child));
    assert!(parent.try_wait().expect("a look").is_none(), "its parent belongs to no lease");
    parent.kill().expect("killed");
    parent.wait().expect("ended");
}

/// A sleeper with exactly this pid; `None` where the kernel does not let it be chosen, or others are always first.
fn sleeper_with(pid: u32) -> Option<Child> {
    for _ in 0..TRIES {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).ok()?;
        let mut child = Command::new("sleep").arg("600").spawn().expect("sleep");
        if child.id() == pid {
            return Some(child);
        }
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    None
}

#[test]
fn whoever_has_the_pid_of_a_process_that_is_gone_is_not_harmed() {
    for config in [HURRY, WEAK] {
        let daemon = Daemon::configured(config);
        let mut first = Command::new("sleep").arg("600").spawn().expect("sleep");
        let claim = daemon.ask(&["claim", "--memory", "64M"])["claim"].clone();
        let (id, fence) = (claim["id"].as_str().expect("an id"), claim["fence"].as_str().expect("a fence"));
        let pid = first.id();
        // The daemon is stopped while the pid passes on, so that it finds a stranger under it.
        let own = Pid::from_raw(daemon.pid() as i32).expect("a pid");
        assert_eq!(daemon.tell(&["attach", id, "--fence", fence, "--pid", &pid.to_string()]).code, 0);
        daemon.await_phase(id, "held");
        kill_process(own, Signal::STOP).expect("stopped");
        first.kill().expect("killed");
        first.wait().expect("ended");
        let stranger = sleeper_with(pid);
        kill_process(own, Signal::CONT).expect("goes on");
        let Some(mut stranger) = stranger else {
            eprintln!("skipped: this kernel does not let a pid be chosen");
            return;
        };
        daemon.eventually("all is back", || daemon.taken() == 0);
        std::thread::sleep(Duration::from_millis(300));
        assert!(stranger.try_wait().expect("a look").is_none(), "a stranger was ended");
        stranger.kill().expect("killed");
        stranger.wait().expect("ended");
    }
}

/// Drivers and strategies as strangers' libraries, so that they run in children.
fn strangers() -> tempfile::TempDir {
    let folder = tempfile::TempDir::new().expect("a folder");
    for name in ["liballoc_fit.so", "libres_port.so"] {
        fs::copy(bursar_conformance::first_party().join(name), folder.path().join(name)).expect("copied");
    }
    folder
}

/// Kills whoever is next, round by round: the starter, the daemon, or a plugin's child.
fn rounds(count: u64) {
    let plugins = strangers();
    let config = format!("{HURRY}reconcile-ms = 200\n[plugins]\ndeadline-ms = 500\nquarantine-ms = 500\n");
    let setup = Setup { config, plugins: vec![plugins.path().into()], ..Setup::default() };
    let mut daemon = Daemon::with(setup);
    assert!(children(daemon.pid()).len() >= 2, "some plugins run in children\n{}", daemon.log());
    let mut killed = [0_u64; 3];
    let mut stranger = Command::new("sleep").arg("600").spawn().expect("sleep");
    let mark = format!("TREE_OF_TEST={}-rounds", std::process::id());
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..count {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round | 1);
        let script = "setsid sh -c 'trap \"\" TERM; while :; do sleep 0.2; done' & sleep 600";
        let (variable, value) = mark.split_once('=').expect("a variable");
        let mut command = Command::new(program());
        command.args([
            "run", "--pids", "32", "--memory", "64M", "--need", "disk=1M", "--port", "--wait", "30s",
            "--ttl", "2s", "--", "sh", "-c", script,
        ]);
        command.env("BURSAR_SOCKET", daemon.socket()).env(variable, value);
        let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("run");
        std::thread::sleep(Duration::from_millis(random >> 40 & 127));
        match random >> 33 & 3 {
            0 => {
                daemon.kill();
                daemon.start();
                killed[0] += 1;
            }
            1 => children(daemon.pid()).into_iter().for_each(|child| {
                let _ = kill_process(Pid::from_raw(child as i32).expect("a pid"), Signal::KILL);
                killed[1] += 1;
            }),
            _ => {}
        }
        // Whoever supervises the run is killed as well, and cannot give anything back.
        run.kill().expect("killed");
        run.wait().expect("ended");
        killed[2] += 1;
    }
    assert!(killed.iter().all(|count| *count > 0), "{killed:?}");
    // Nobody renews for whoever was killed.
    daemon.eventually("no orphan is left", || marked(&mark).is_empty());
    daemon.eventually("all is back", || daemon.taken() == 0);
    let pools = daemon.ask(&["get", "pools"]);
    let quarantined =
        pools["pools"].as_array().expect("pools").iter().filter(|pool| pool["quarantined"] != "0");
    assert_eq!(quarantined.count(), 0, "{pools}");
    let scratch = fs::read_dir(daemon.state().join("scratch")).expect("a folder").count();
    assert_eq!(scratch, 0, "a scratch folder is left");
    println!("killed: the daemon {}, plugins' children {}, runs {}", killed[0], killed[1], killed[2]);
    assert!(stranger.try_wait().expect("a look").is_none(), "a stranger was harmed");
    stranger.kill().expect("killed");
    stranger.wait().expect("ended");
}

/// The children of all of a process's threads: plugins' are those of one that is kept for that.
fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let texts = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    texts
        .flat_map(|text| text.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<_>>())
        .collect()
}

#[test]
fn whoever_is_killed_nothing_is_left() {
    rounds(12);
}

#[test]
#[ignore = "takes minutes"]
fn whoever_is_killed_two_hundred_times_nothing_is_left() {
    let since = Instant::now();
    rounds(200);
    println!("200 rounds in {:?}, of which none may take {LONG:?}", since.elapsed());
}
