//! `bursar run`: the command lives inside its lease, and everything comes back.
use crate::daemon::{Daemon, LONG, Lasting, number_in, program, runs, told};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

#[test]
fn the_exit_status_is_the_commands() {
    let daemon = Daemon::plain();
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)] {
        assert_eq!(daemon.tell(&["run", "--cpu", "0.1", "--", "sh", "-c", script]).code, code, "{script}");
    }
    let missing = daemon.tell(&["run", "--cpu", "0.1", "--", "/no/such/program"]);
    assert!(missing.code == 127 && missing.err.contains("/no/such/program"), "{missing:?}");
    assert_eq!(daemon.tell(&["run", "--cpu", "0.1", "--", "/etc/passwd"]).code, 126);
    assert_eq!(daemon.taken(), 0, "all of it came back");
}

#[test]
fn what_cannot_be_run_ends_as_in_a_shell() {
    let daemon = Daemon::plain();
    let file = |name: &str, mode: u32, bytes: &[u8]| {
        let path = daemon.scratch.path().join(name);
        fs::write(&path, bytes).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        path.display().to_string()
    };
    let mut foreign = fs::read("/bin/true").expect("a program");
    // The machine that it is for: none that there is.
    foreign[18..20].copy_from_slice(&[0xff, 0xfe]);
    let folder = daemon.scratch.path().display().to_string();
    for (program, code) in [
        (file("text", 0o755, b"exit 7\n"), 7),
        (file("empty", 0o755, b""), 0),
        (file("closed", 0o644, b"exit 7\n"), 126),
        (file("foreign", 0o755, &foreign), 126),
        (file("short", 0o755, b"\x7fELF"), 126),
        (file("unread", 0o755, b"#!/no/such/interpreter\n"), 127),
        (folder.clone(), 126),
        (format!("{folder}/none"), 127),
        (String::new(), 127),
    ] {
        // Before there is a C library, and with one.
        for options in [&["--cpu", "0.1"][..], &["--cpu", "0.1", "--lock", "l"]] {
            let told = daemon.tell(&[&["run"], options, &["--", &program]].concat());
            let said = code < 126 || told.err.contains(&program);
            assert!(told.code == code && said, "{program} {options:?}: {told:?}");
        }
        let name = program.rsplit('/').next().filter(|_| program.starts_with(&format!("{folder}/")));
        for options in
            name.map(|_| [&["--cpu", "0.1"][..], &["--cpu", "0.1", "--lock", "l"]]).into_iter().flatten()
        {
            let mut command =
                daemon.command(&[&["run"], options, &["--", name.unwrap_or_default()]].concat());
            command.env("PATH", format!("/no/such:/etc/passwd:{folder}:/bin"));
            let told = told(command);
            assert_eq!(told.code, code, "{program} by its name, {options:?}: {told:?}");
        }
    }
}

#[test]
fn whatever_of_ours_stops_a_run_is_told_with_125_and_nothing_else() {
    let daemon = Daemon::plain();
    let socket = daemon.socket().display().to_string();
    let text = |words: &str| words.replace("SOCKET", &socket);
    for words in [
        "run",
        "run --",
        "run true",
        "run --nonsense -- true",
        "run --nonsense=1 --cpu 1 -- true",
        "run -x -- true",
        "run --cpu",
        "run --cpu -- true",
        "run --cpu -1 -- true",
        "run --cpu much -- true",
        "run --cpu 1 --cpu 2 -- true",
        "run --class some -- true",
        "run --priority x -- true",
        "run --memory-soft 1G -- true",
        "run --within 7 --within-fence x -- true",
        "run --no-autostart=1 -- true",
        "run --socket= -- true",
        "run -o nonsense -- true",
        "run -o name -- true",
        "run --url http://example.org -- true",
        "--url http://example.org run -- true",
        "--token-file /none --url https://example.org run -- true",
        "--socket SOCKET run",
        "--socket SOCKET run --nonsense -- true",
        "--socket=SOCKET run --cpu",
        "--socket SOCKET --nonsense run -- true",
        "--socket= run -- true",
        "-o nonsense run -- true",
        "-ononsense run -- true",
        "-o json run --nonsense -- true",
        "--output=json run --nonsense -- true",
        "--ca-file F --token-file F run --nonsense -- true",
    ] {
        let told = daemon.tell(&text(words).split(' ').collect::<Vec<_>>());
        assert!(told.code == 125 && !told.err.is_empty(), "{words}: {told:?}");
    }
    for (words, code) in [
        ("run --help", 0),
        ("run -h", 0),
        ("run --cpu 1 --help -- true", 0),
        ("help run", 0),
        ("help run run", 2),
        ("--help", 0),
        ("--nonsense", 2),
        ("--socket run", 2),
        ("--socket run get nonsense", 2),
        ("-o run run", 125),
        ("claim --nonsense", 2),
        ("claim -- run", 2),
        ("get run", 2),
        ("runs", 2),
        ("-- run", 2),
    ] {
        let told = daemon.tell(&words.split(' ').collect::<Vec<_>>());
        assert_eq!(told.code, code, "{words}: {told:?}");
    }
    for (name, value) in [("BURSAR_SOCKET", ""), ("BURSAR_URL", "https://example.org")] {
        let mut command = daemon.command(&["run", "--", "true"]);
        command.env(name, value);
        let told = told(command);
        assert_eq!(told.code, 125, "{name}={value}: {told:?}");
    }
    // Without the program that knows all words.
    let alone = daemon.scratch.path().join("alone");
    fs::copy(program(), &alone).expect("copied");
    for (words, code) in [("run --nonsense -- true", 125), ("--socket s run", 125), ("get pools", 1)] {
        let mut command = Command::new(&alone);
        command.args(words.split(' ')).env("BURSAR_SOCKET", &socket);
        let told = told(command);
        assert!(told.code == code && told.err.contains("bursard"), "{words}: {told:?}");
    }
}

#[test]
fn whoever_asks_for_nothing_is_watched_over_all_the_same() {
    let daemon = Daemon::plain();
    let look = format!("{} get claims -o json; exit 7", program().display());
    let told = daemon.tell(&["run", "--", "sh", "-c", &look]);
    assert_eq!(told.code, 7, "{told:?}");
    let lines = &told.json()["claims"][0]["lines"];
    assert_eq!((&lines[0]["resource"], &lines[0]["amount"]), (&"pids".into(), &"256".into()), "{lines}");
    assert_eq!(daemon.taken(), 0, "all of it came back");
}

#[test]
fn input_and_output_are_the_commands() {
    let daemon = Daemon::plain();
    let mut command = daemon.command(&["run", "--memory", "64M", "--", "cat"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), b"through").expect("written");
    let output = child.wait_with_output().expect("ended");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), b"through".as_slice()));
}

#[test]
fn memory_over_the_limit_kills_inside_the_lease_and_is_told() {
    let daemon = Daemon::plain();
    let script = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo not killed";
    let told = daemon.tell(&["run", "--memory", "32M", "--", "sh", "-c", script]);
    assert!(told.code != 0 && !told.out.contains("not killed"), "{told:?}");
    assert!(told.err.contains("its own limit"), "{told:?}");
    let claims = daemon.ask(&["get", "claims"]);
    let claim = &claims["claims"][0];
    assert_eq!((&claim["phase"], &claim["ending"]), (&"closed".into(), &"over_limit".into()));
    let used: u64 = claim["lines"][0]["used"].as_str().and_then(|used| used.parse().ok()).expect("measured");
    assert!((16 << 20..=33 << 20).contains(&used), "{used}");
    assert!(claim["evidence"].as_str().expect("evidence").contains("cell"));
}

#[test]
fn what_the_command_leaves_behind_is_ended() {
    let daemon = Daemon::configured("[enforce]\ngrace-ms = 100\n");
    let file = daemon.scratch.path().join("pid");
    let script = format!(
        "(trap '' TERM HUP; setsid sh -c 'echo $$ > {}; trap \"\" TERM; while :; do sleep 1; done') & sleep 0.3",
        file.display()
    );
    assert_eq!(daemon.tell(&["run", "--cpu", "0.2", "--", "sh", "-c", &script]).code, 0);
    let left = number_in(&file);
    daemon.eventually("it is gone", || !runs(left));
    let claims = daemon.ask(&["get", "claims"]);
    assert!(claims["claims"][0]["evidence"].as_str().expect("evidence").contains("KILL"), "{claims}");
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn it_leaves_when_everything_is_back_though_the_daemon_was_first_to_take_it() {
    let daemon = Daemon::configured("[enforce]\ngrace-ms = 3000\n");
    let (left, go) = (daemon.scratch.path().join("left"), daemon.scratch.path().join("go"));
    let script = format!(
        "(trap '' TERM HUP; echo $$ > {}; while :; do sleep 0.2; done) & while ! [ -e {} ]; do sleep 0.05; done; exit 3",
        left.display(),
        go.display()
    );
    let run =
        daemon.command(&["run", "--cpu", "0.2", "--", "sh", "-c", &script]).stderr(Stdio::piped()).spawn();
    let mut run = run.expect("run");
    number_in(&left);
    // While it hears nothing, its command ends, and the daemon sees that.
    kill_process(Pid::from_child(&run), Signal::STOP).expect("stopped");
    std::fs::write(&go, "").expect("written");
    daemon.eventually("it is taken back", || daemon.claim("1")["phase"] == "draining");
    kill_process(Pid::from_child(&run), Signal::CONT).expect("goes on");
    assert_eq!(run.wait().expect("ended").code(), Some(3));
    assert_eq!(daemon.claim("1")["phase"], "closed");
}

#[test]
fn ports_and_locks_come_with_the_lease() {
    let daemon = Daemon::plain();
    let told = daemon.tell(&["run", "--port", "--port", "--", "sh", "-c", "echo $PORT $PORTS"]);
    let words: Vec<&str> = told.out.split_whitespace().collect();
    assert!(words.len() == 2 && words[1].starts_with(words[0]) && words[1].contains(','), "{told:?}");
    let exact = daemon.tell(&["run", "--port", "38471", "--", "sh", "-c", "echo $PORT"]);
    assert_eq!(exact.out.trim(), "38471");
    // Two that want the same lock follow each other; two that share one go together.
    let stamp = |lock: &str| {
        let start = Instant::now();
        let held: Vec<_> = (0..2)
            .map(|_| {
                daemon
                    .command(&["run", "--lock", lock, "--wait", "30s", "--", "sleep", "0.5"])
                    .spawn()
                    .expect("run")
            })
            .collect();
        held.into_iter().for_each(|mut run| assert!(run.wait().expect("ended").success()));
        start.elapsed()
    };
    assert!(stamp("exclusive") >= Duration::from_millis(1000));
    assert!(
        stamp("both:shared") < Duration::from_millis(1000)
            || stamp("both:shared") < Duration::from_millis(1000)
    );
}

#[test]
fn what_cannot_be_had_is_refused_or_waited_for() {
    let daemon = Daemon::configured("[node.capacity]\ncpu = \"2\"\n");
    let holder = Lasting::start(daemon.command(&["run", "--cpu", "2", "--", "cat"]));
    daemon.eventually("it holds", || daemon.taken() > 0);
    let refused = daemon.tell(&["run", "--cpu", "1", "--", "true"]);
    assert!(refused.code == 125 && refused.err.contains("InsufficientCapacity"), "{refused:?}");
    let expired = daemon.tell(&["run", "--cpu", "1", "--wait", "50ms", "--", "true"]);
    assert!(expired.code == 125 && expired.err.contains("WaitExpired"), "{expired:?}");
    let never = daemon.tell(&["run", "--cpu", "3", "--wait", "1h", "--", "true"]);
    assert!(never.code == 125 && never.err.contains("NeverFits"), "{never:?}");
    let waiter = daemon.command(&["run", "--cpu", "1", "--wait", "30s", "--", "true"]).spawn();
    let waits = || daemon.ask(&["get", "claims"])["claims"].to_string().contains("\"pending\"");
    daemon.eventually("it waits", waits);
    assert!(holder.end());
    assert!(waiter.expect("run").wait().expect("ended").success());
}

#[test]
fn signals_are_passed_on_and_waiting_can_be_given_up() {
    let daemon = Daemon::configured("[node.capacity]\ncpu = \"1\"\n");
    let script = "trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done";
    let mut run = daemon.command(&["run", "--cpu", "1", "--", "sh", "-c", script]);
    let mut run = run.stdout(Stdio::piped()).spawn().expect("run");
    let mut up = [0; 2];
    std::io::Read::read_exact(&mut run.stdout.take().expect("a pipe"), &mut up).expect("up");
    let mut waiter =
        daemon.command(&["run", "--cpu", "1", "--wait", "1h", "--", "true"]).spawn().expect("run");
    daemon.eventually("it waits", || {
        daemon.ask(&["get", "claims"])["claims"].as_array().is_some_and(|claims| claims.len() == 2)
    });
    kill_process(Pid::from_child(&waiter), Signal::INT).expect("signalled");
    assert_eq!(waiter.wait().expect("ended").code(), Some(125));
    daemon.eventually("the claim is withdrawn", || daemon.claim("2")["ending"] == "cancelled");
    kill_process(Pid::from_child(&run), Signal::TERM).expect("signalled");
    assert_eq!(run.wait().expect("ended").code(), Some(9));
}

#[test]
fn a_lease_is_renewed_as_long_as_its_command_runs() {
    let daemon = Daemon::plain();
    let told = daemon.tell(&["run", "--cpu", "0.1", "--ttl", "400ms", "--", "sleep", "1.5"]);
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    let file = daemon.scratch.path().join("pid");
    let script = format!("echo $$ > {}; exec sleep 100", file.display());
    let mut run = daemon
        .command(&["run", "--cpu", "0.1", "--", "sh", "-c", &script])
        .stderr(Stdio::piped())
        .spawn()
        .expect("run");
    number_in(&file);
    assert_eq!(daemon.tell(&["cancel", "2", "--wait", "20s"]).code, 0);
    let status = run.wait().expect("ended");
    assert_eq!(status.code(), Some(143), "the work ends with its lease");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut run.stderr.take().expect("a pipe"), &mut text).expect("text");
    assert!(text.contains("cancelled"), "{text}");
}

#[test]
fn who_cannot_be_told_anything_hears_by_the_exit_code() {
    let daemon = Daemon::configured("[node.capacity]\ncpu = 2\n");
    for (words, code) in [
        (&["claim", "--cpu", "999"][..], 4),
        (&["claim", "--cpu", "x"], 2),
        (&["run", "--cpu", "999", "--", "true"], 125),
        (&["run", "--cpu", "0.1", "--", "/there/is/none"], 127),
        (&["run", "--", "/there/is/none"], 127),
        (&["explain", "99"], 3),
    ] {
        let mut command = daemon.command(words);
        command.stderr(fs::File::options().write(true).open("/dev/full").expect("there"));
        let status = command.stdout(Stdio::null()).status().expect("started");
        assert_eq!(status.code(), Some(code), "{words:?}");
    }
}

#[test]
fn a_daemon_is_started_for_whoever_needs_one_and_leaves() {
    let scratch = TempDir::new().expect("a folder");
    let socket = scratch.path().join("own.sock");
    let command = |args: &[&str]| {
        let mut command = Command::new(program());
        command.args(args).env("BURSAR_SOCKET", &socket).env("HOME", scratch.path()).stdin(Stdio::null());
        command
    };
    let forbidden = told(command(&["run", "--no-autostart", "--cpu", "0.1", "--", "true"]));
    assert!(forbidden.code == 125 && forbidden.err.contains("Unreachable"), "{forbidden:?}");
    assert_eq!(told(command(&["claim", "--no-autostart", "--cpu", "1"])).code, 5);
    assert_eq!(told(command(&["get", "claims"])).code, 5);
    // Starters at once: one daemon.
    let starters: Vec<_> = (0..8)
        .map(|_| command(&["run", "--cpu", "0.1", "--", "true"]).stderr(Stdio::piped()).spawn().expect("run"))
        .collect();
    let outputs: Vec<_> = starters.into_iter().map(|run| run.wait_with_output().expect("ended")).collect();
    assert!(outputs.iter().all(|output| output.status.success()), "{outputs:?}");
    let said =
        outputs.iter().filter(|output| String::from_utf8_lossy(&output.stderr).contains("starting one"));
    assert_eq!(said.count(), 1, "{outputs:?}");
    let daemon = number_in(&socket.with_extension("state").join("lock"));
    let stands_in = fs::read_link(format!("/proc/{daemon}/cwd")).expect("it runs");
    assert_eq!(stands_in, std::path::Path::new("/"), "the caller's folder is not kept busy");
    kill_process(Pid::from_raw(daemon as i32).expect("a pid"), Signal::TERM).expect("signalled");
    let since = Instant::now();
    while socket.exists() {
        assert!(since.elapsed() < LONG);
        sleep(Duration::from_millis(10));
    }
    assert!(fs::read_to_string(socket.with_extension("state").join("log")).expect("a log").contains("ready"));
}

#[test]
fn an_idle_daemon_leaves() {
    let mut daemon = Daemon::with(crate::daemon::Setup {
        args: vec!["--idle-exit".into(), "300ms".into()],
        ..Default::default()
    });
    let since = Instant::now();
    while daemon.ended().is_none() {
        assert!(since.elapsed() < LONG, "it stays");
        sleep(Duration::from_millis(20));
    }
    assert!(daemon.ended().is_some_and(|status| status.success()), "{}", daemon.log());
}

#[test]
fn a_command_finds_its_signals_as_its_caller_left_them() {
    let daemon = Daemon::plain();
    // With so many variables the C library and Rust's start come before the command.
    for variables in [0, 300] {
        let run = |before: &[&str], command: &[&str]| {
            let mut own = Command::new("env");
            own.args(before).arg(program()).args(["run", "--"]).args(command);
            own.env("BURSAR_SOCKET", daemon.socket()).envs((0..variables).map(|i| (format!("V{i}"), "v")));
            told(own)
        };
        let broken = ["sh", "-c", "kill -PIPE $$; echo lives"];
        assert_eq!(run(&["--ignore-signal=PIPE"], &broken).out, "lives\n", "{variables}");
        assert_eq!(run(&["--default-signal=PIPE"], &broken).code, 141, "{variables}");
        let blocked = ["grep", "SigBlk", "/proc/self/status"];
        for (before, set) in [("--block-signal=USR1", "200"), ("--default-signal", "0")] {
            let told = run(&[before], &blocked);
            assert_eq!(told.out, format!("SigBlk:\t{set:0>16}\n"), "{variables} {told:?}");
        }
    }
}

#[test]
fn a_command_finds_those_descriptors_closed_that_its_caller_has_closed() {
    let daemon = Daemon::plain();
    for (script, code) in
        [("/bin/echo x >&-", 1), ("cat <&-", 1), ("ls /proc/self/fd/2 2>&-", 2), ("cat < /dev/null", 0)]
    {
        let run = |words: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("{words}{script}")]);
            shell.env("BURSAR_SOCKET", daemon.socket()).env("B", program());
            told(shell).code
        };
        assert_eq!(run("env "), code, "{script}, without");
        assert_eq!(run("$B run -- "), code, "{script}");
        assert_eq!(run("$B run --lock l -- "), code, "{script}");
    }
    assert_eq!(daemon.taken(), 0);
}
