//! `bursar run` on a terminal: a real one (a pseudo-terminal with a session of its own), a shell with job
//! control, and keys.
use crate::daemon::{Daemon, LONG, number_in, program, runs};
use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Command},
    sync::{Arc, Mutex},
    thread::sleep,
    time::{Duration, Instant},
};

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const CTRL_BACKSLASH: &str = "\x1c";
/// How often Ctrl-C is pressed.
const PRESSED: usize = 5;
const CTRL_Z: &str = "\x1a";

/// A terminal with a program on it.
pub(crate) struct Screen {
    keys: File,
    shown: Arc<Mutex<String>>,
    /// How far it was read.
    read: usize,
    child: Child,
}

impl Screen {
    /// A shell as people have it.
    fn shell(daemon: &Daemon) -> Screen {
        let mut screen = Screen::of(daemon, &["sh", "-i"]);
        screen.type_in("PS1=; unset ENV\n");
        screen.type_in("echo shell$((40+2))\n");
        screen.expect("shell42");
        screen
    }

    pub(crate) fn of(daemon: &Daemon, words: &[&str]) -> Screen {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("granted");
        let name = ptsname(&master, Vec::new()).expect("a name").into_string().expect("plain");
        let side = || File::options().read(true).write(true).open(&name).expect("opened");
        let mut command = Command::new("setsid");
        command.args(["--ctty"]).args(words).env("BURSAR_SOCKET", daemon.socket()).env("B", program());
        let child = command.stdin(side()).stdout(side()).stderr(side()).spawn().expect("setsid");
        let keys = File::from(master);
        let (mut screen, shown) = (keys.try_clone().expect("a copy"), Arc::new(Mutex::new(String::new())));
        let into = shown.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                into.lock().expect("whole").push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Screen { keys, shown, read: 0, child }
    }

    pub(crate) fn type_in(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("typed");
    }

    /// Waits until something is shown that was not read yet.
    pub(crate) fn expect(&mut self, what: &str) {
        let since = Instant::now();
        loop {
            let shown = self.shown.lock().expect("whole").clone();
            if let Some(at) = shown[self.read..].find(what) {
                self.read += at + what.len();
                return;
            }
            assert!(since.elapsed() < LONG, "{what:?} is not shown:\n{}", &shown[self.read..]);
            sleep(Duration::from_millis(10));
        }
    }

    /// The screen as a person sees it, `rows` by `columns`.
    pub(crate) fn seen(&self, rows: u16, columns: u16) -> String {
        let mut emulator = vt100::Parser::new(rows, columns, 0);
        emulator.process(self.shown.lock().expect("whole").as_bytes());
        emulator.screen().contents()
    }

    /// Makes the terminal this large.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.keys, size).expect("a size");
    }

    /// How the program on it ended.
    pub(crate) fn ended(&mut self) -> std::process::ExitStatus {
        self.child.wait().expect("ended")
    }

    /// How often something was shown.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.shown.lock().expect("whole").matches(what).count()
    }

    fn modes(&self) -> LocalModes {
        tcgetattr(&self.keys).expect("modes").local_modes
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It ends with its terminal, at the latest.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn state(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('-')
}

#[test]
fn a_shell_inside_a_lease_has_the_terminal() {
    let daemon = Daemon::plain();
    let mut screen = Screen::shell(&daemon);
    screen.type_in("$B run --cpu 0.2 -- sh -i\n");
    screen.type_in("echo claim-$BURSAR_CLAIM-$((1+1))\n");
    screen.expect("claim-1-2");
    screen.type_in("read x; echo \"$x-$((2+1))\"\nword\n");
    screen.expect("word-3");
    // Its jobs are jobs.
    screen.type_in("sleep 100\n");
    sleep(Duration::from_millis(300));
    screen.type_in(CTRL_C);
    screen.type_in("echo still-$((3+1))-$BURSAR_CLAIM\n");
    screen.expect("still-4-1");
    screen.type_in("exit 9\n");
    screen.type_in("echo back-$?-$((4+1))\n");
    screen.expect("back-9-5");
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn ctrl_c_reaches_the_command_once() {
    let daemon = Daemon::plain();
    let mut screen = Screen::shell(&daemon);
    // `wait` is interrupted at once, so that a second signal is not taken for the first.
    let script = "trap \"echo caught-\\$((1+1))\" INT; sleep 100 & echo up-$((1+1)); while kill -0 $!; do wait $!; done; echo end-$((1+1))";
    screen.type_in(&format!("$B run --cpu 0.2 -- sh -c '{script}'\n"));
    screen.expect("up-2");
    for _ in 0..PRESSED {
        screen.type_in(CTRL_C);
        screen.expect("caught-2");
        sleep(Duration::from_millis(100));
    }
    assert_eq!(screen.count("caught-2"), PRESSED, "{:?}", screen.shown);
    screen.type_in(CTRL_BACKSLASH);
    screen.type_in("echo status-$?\n");
    screen.expect("status-131");
    // Where nothing is caught it ends, and says so as a shell does.
    screen.type_in("$B run --cpu 0.2 -- sh -c 'echo on-$((1+1)); exec sleep 100'\n");
    screen.expect("on-2");
    screen.type_in(CTRL_C);
    screen.type_in("echo status-$?\n");
    screen.expect("status-130");
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn ctrl_c_ends_the_loop_or_the_script_that_a_command_stands_in() {
    let daemon = Daemon::plain();
    let mut screen = Screen::shell(&daemon);
    let run = "$B run --cpu 0.2 -- sh -c 'echo on-$((1+1)); exec sleep 100'";
    let twice = format!("for i in 1 2; do {run}; echo next-$((1+1)); done");
    screen.type_in("unset BASH_ENV\n");
    let script = format!("bash -c \"{}\"", twice.replace('$', "\\$").replace('"', "\\\""));
    for typed in [twice, script] {
        screen.type_in(&format!("{typed}\n"));
        screen.expect("on-2");
        screen.type_in(CTRL_C);
        screen.type_in("echo status-$?\n");
        screen.expect("status-130");
        assert_eq!(screen.count("next-2"), 0, "{:?}", screen.shown);
        assert_eq!(daemon.taken(), 0, "all was given back before");
    }
    // Who catches it has not died of it, and the loop goes on; as does one whose command somebody else interrupts.
    let caught = "trap 'exit 3' INT; echo on-$((2+1)); sleep 100 & wait";
    let killed = "echo on-$((2+1)); kill -INT $$";
    for script in [caught, killed] {
        screen.type_in(&format!(
            "for i in 1; do $B run --cpu 0.2 -- sh -c \"{}\"; echo next-$((2+1)); done\n",
            script.replace('$', "\\$")
        ));
        screen.expect("on-3");
        if script == caught {
            screen.type_in(CTRL_C);
        }
        screen.expect("next-3");
    }
}

#[test]
fn ctrl_z_stops_the_command_and_gives_the_shell_back() {
    let daemon = Daemon::plain();
    let file = daemon.scratch.path().join("pid");
    let mut screen = Screen::shell(&daemon);
    let run = "$B run --cpu 0.2 --ttl 3s -- sh -c";
    screen.type_in(&format!("{run} 'echo $$ > {}; exec sleep 1000'\n", file.display()));
    let command = number_in(&file);
    for (round, longer) in [Duration::from_millis(4500), Duration::ZERO].into_iter().enumerate() {
        screen.type_in(CTRL_Z);
        screen.type_in(&format!("echo prompt-$((1+{round}))\n"));
        screen.expect(&format!("prompt-{}", 1 + round));
        daemon.eventually("the command is stopped", || state(command) == 'T');
        // Longer than the lease lasts without renewal, and nobody renews.
        sleep(longer);
        assert_eq!(daemon.claim("1")["phase"], "held", "round {round}");
        screen.type_in("fg\n");
        daemon.eventually("the command goes on", || "SR".contains(state(command)));
        // It renews again.
        sleep(longer);
        assert_eq!(daemon.claim("1")["phase"], "held", "round {round}");
    }
    screen.type_in(CTRL_C);
    screen.type_in("echo status-$?\n");
    screen.expect("status-130");
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn ctrl_z_stops_it_though_a_renewal_has_no_answer() {
    let daemon = Daemon::plain();
    let file = daemon.scratch.path().join("pid");
    let mut screen = Screen::shell(&daemon);
    screen.type_in(&format!(
        "$B run --cpu 0.2 --ttl 3s -- sh -c 'echo $$ > {}; exec sleep 1000'\n",
        file.display()
    ));
    let command = number_in(&file);
    let served = Pid::from_raw(daemon.pid() as i32).expect("a pid");
    kill_process(served, Signal::STOP).expect("stopped");
    // It renews every second.
    sleep(Duration::from_secs(3));
    screen.type_in(CTRL_Z);
    screen.type_in("echo prompt-$((1+1))\n");
    screen.expect("prompt-2");
    daemon.eventually("the command is stopped", || state(command) == 'T');
    kill_process(served, Signal::CONT).expect("goes on");
    screen.type_in("fg\n");
    daemon.eventually("the command goes on", || "SR".contains(state(command)));
    screen.type_in(CTRL_C);
    screen.type_in("echo status-$?\n");
    screen.expect("status-130");
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn the_size_of_the_window_arrives() {
    let daemon = Daemon::plain();
    let mut screen = Screen::shell(&daemon);
    screen.type_in("$B run --cpu 0.2 -- sh -c 'trap \"stty size\" WINCH; echo up-$((1+1)); while :; do sleep 0.1; done'\n");
    screen.expect("up-2");
    let size = Winsize { ws_row: 33, ws_col: 101, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&screen.keys, size).expect("resized");
    screen.expect("33 101");
    screen.type_in(CTRL_C);
}

#[test]
fn a_terminal_is_left_usable() {
    let daemon = Daemon::plain();
    // A shell without job control puts nothing right by itself.
    let script = "$B run --cpu 0.2 -- sh -c 'stty raw -echo; kill -KILL $$'; echo first-$?; \
        $B run --cpu 0.2 -- sh -c 'stty raw -echo; exit 3'; echo second-$?; \
        $B run --cpu 0.2 -- sh -i; echo third-$?; read word; echo \"$word-4\"; \
        $B run --cpu 0.2 -- stty -echo; echo fifth-$?; sleep 100";
    let mut screen = Screen::of(&daemon, &["sh", "-c", script]);
    screen.expect("first-137");
    screen.expect("second-3");
    let usual = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
    assert!(screen.modes().contains(usual), "{:?}", screen.modes());
    // This one takes the terminal for a group of its own, and dies with it.
    screen.type_in("kill -KILL $$\n");
    screen.expect("third-137");
    screen.type_in("word\n");
    screen.expect("word-4");
    // What a command that ended well has set stays set.
    screen.expect("fifth-0");
    assert!(!screen.modes().contains(LocalModes::ECHO));
}

#[test]
fn a_job_in_the_background_stops_when_it_reads() {
    let daemon = Daemon::plain();
    let mut screen = Screen::shell(&daemon);
    screen.type_in("$B run --cpu 0.2 -- cat & sleep 0.1\n");
    daemon.eventually("it is attached", || daemon.claim("1")["pids"][0].is_number());
    let command = daemon.claim("1")["pids"][0].as_u64().expect("a pid") as u32;
    daemon.eventually("it is stopped", || state(command) == 'T');
    screen.type_in("echo free-$((1+1))\n");
    screen.expect("free-2");
    daemon.eventually("the shell knows", || {
        screen.type_in("jobs\n");
        sleep(Duration::from_millis(200));
        screen.count("Stopped") > 0
    });
    screen.type_in("fg\nhello\n");
    // Once as it is typed, and once as it is copied.
    screen.expect("hello");
    screen.expect("hello");
    screen.type_in(CTRL_D);
    screen.type_in("echo status-$?\n");
    screen.expect("status-0");
    screen.type_in("echo through | $B run --cpu 0.2 -- tr a-z A-Z\n");
    screen.expect("THROUGH");
    // What it wrote may be seen before it has given everything back.
    daemon.eventually("all of it came back", || daemon.taken() == 0);
}

#[test]
fn a_command_ends_with_its_terminal() {
    let daemon = Daemon::plain();
    let file = daemon.scratch.path().join("pid");
    let mut screen = Screen::shell(&daemon);
    screen.type_in(&format!("$B run --cpu 0.2 -- sh -c 'echo $$ > {}; exec sleep 100'\n", file.display()));
    let command = number_in(&file);
    // As when a window is closed: its shell hears of it, and tells its jobs.
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&screen.child),
        rustix::process::Signal::HUP,
    )
    .expect("signalled");
    drop(screen);
    daemon.eventually("the command is gone", || !runs(command));
    daemon.eventually("all of it came back", || daemon.taken() == 0);
}
