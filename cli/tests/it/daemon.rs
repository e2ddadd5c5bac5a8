//! A daemon with a state directory of its own, and ways to talk to it as anybody would.
use bursar_enforce::{Progress, Reclaim};
use bursar_wire::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long anything may take on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// The program.
pub(crate) fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_bursar").into()
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Told {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// How a daemon is started.
#[derive(Default)]
pub(crate) struct Setup {
    /// Its config file.
    pub(crate) config: String,
    /// Its plugin folders.
    pub(crate) plugins: Vec<PathBuf>,
    /// Further arguments.
    pub(crate) args: Vec<String>,
    /// How many files it may have open.
    pub(crate) files: Option<u64>,
    /// Words that stand before the program: something that becomes it, in another world.
    pub(crate) within: Vec<String>,
}

/// A daemon that is up; killed when dropped.
pub(crate) struct Daemon {
    pub(crate) scratch: TempDir,
    setup: Setup,
    child: Child,
}

impl Daemon {
    /// A daemon without plugin folders: all that is linked in.
    pub(crate) fn plain() -> Daemon {
        Daemon::with(Setup::default())
    }

    /// A daemon with this config.
    pub(crate) fn configured(config: &str) -> Daemon {
        Daemon::with(Setup { config: config.into(), ..Setup::default() })
    }

    pub(crate) fn with(setup: Setup) -> Daemon {
        let scratch = TempDir::new().expect("a folder");
        let child = spawn(scratch.path(), &setup);
        let mut daemon = Daemon { scratch, setup, child };
        daemon.wait();
        daemon
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.scratch.path().join("sock")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.scratch.path().join("state")
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.socket()).patience(LONG)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.scratch.path().join("log")).unwrap_or_default()
    }

    /// A command of the program, talking to this daemon.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args).env("BURSAR_SOCKET", self.socket()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn tell(&self, args: &[&str]) -> Told {
        told(self.command(args))
    }

    /// Runs a command that must succeed, and reads its JSON.
    pub(crate) fn ask(&self, args: &[&str]) -> Value {
        let told = self.tell(&[args, &["-o", "json"]].concat());
        assert_eq!(told.code, 0, "{args:?}: {told:?}\n{}", self.log());
        told.json()
    }

    /// Status and document of a request.
    pub(crate) fn http(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        self.keyed(method, path, body, &[])
    }

    /// The same with headers.
    pub(crate) fn keyed(
        &self,
        method: &str,
        path: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> (u16, Value) {
        let sent = Some(body.as_bytes()).filter(|body| !body.is_empty());
        let answer = self.client().request(method, path, sent, headers).expect("an answer");
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
    }

    /// A claim as it is now.
    pub(crate) fn claim(&self, id: &str) -> Value {
        self.http("GET", &format!("/v1/claims/{id}"), "").1["claim"].clone()
    }

    /// Waits until a claim is in a phase.
    pub(crate) fn await_phase(&self, id: &str, phase: &str) -> Value {
        let mut claim = Value::Null;
        self.eventually(&format!("claim {id} {phase}"), || {
            claim = self.claim(id);
            claim["phase"] == phase
        });
        claim
    }

    /// What is reserved, held and quarantined over all pools.
    pub(crate) fn taken(&self) -> u64 {
        let pools = self.ask(&["get", "pools"]);
        let pools = pools["pools"].as_array().expect("pools");
        let number = |pool: &Value, key: &str| {
            pool[key].as_str().and_then(|text| text.parse::<u64>().ok()).expect("digits")
        };
        pools
            .iter()
            .map(|pool| ["reserved", "held", "quarantined"].map(|key| number(pool, key)).iter().sum::<u64>())
            .sum()
    }

    pub(crate) fn eventually(&self, what: &str, mut is: impl FnMut() -> bool) {
        let since = Instant::now();
        while !is() {
            assert!(since.elapsed() < LONG, "{what}\n{}", self.log());
            sleep(Duration::from_millis(10));
        }
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("ended");
    }

    /// Ends it in good order.
    pub(crate) fn stop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("signalled");
        let status = self.child.wait().expect("ended");
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// Starts it again on the same state, in another world.
    pub(crate) fn start_within(&mut self, within: &[&str]) {
        self.setup.within = within.iter().map(|word| (*word).to_owned()).collect();
        self.start();
    }

    /// Starts it again on the same state.
    pub(crate) fn start(&mut self) {
        self.child = spawn(self.scratch.path(), &self.setup);
        self.wait();
    }

    /// Whether the process has ended, and how.
    pub(crate) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().expect("a look")
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn await_end(&mut self) {
        let since = Instant::now();
        while self.ended().is_none() {
            assert!(since.elapsed() < LONG, "the daemon does not end:\n{}", self.log());
            sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait(&mut self) {
        let since = Instant::now();
        while !self.client().alive() {
            if let Some(status) = self.ended() {
                panic!("the daemon ended with {status}:\n{}", self.log());
            }
            assert!(since.elapsed() < LONG, "the daemon does not come up:\n{}", self.log());
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // In good order if it is up, so that nothing is left behind and what it ran is counted.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let since = Instant::now();
        while self.child.try_wait().is_ok_and(|status| status.is_none())
            && since.elapsed() < Duration::from_secs(10)
        {
            sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        sweep(&self.state());
    }
}

/// Takes away the control groups of a daemon that could not do so itself, with whatever lives in them.
fn sweep(state: &Path) {
    let state = state.canonicalize().unwrap_or_else(|_| state.to_owned());
    let instance = bursar_loader::sha256(state.as_os_str().as_encoded_bytes())[..8].to_owned();
    let hierarchy = bursar_enforce::Hierarchy::detect(&instance);
    let cells = hierarchy.cells().into_iter();
    let mut cells: Vec<Reclaim> =
        cells.map(|path| Reclaim::begin(hierarchy.cell_at(&path), Duration::ZERO)).collect();
    let since = Instant::now();
    while !cells.is_empty() && since.elapsed() < Duration::from_secs(5) {
        cells.retain_mut(|cell| cell.advance() == Progress::Pending);
        sleep(Duration::from_millis(2));
    }
    hierarchy.remove();
}

fn spawn(scratch: &Path, setup: &Setup) -> Child {
    let (config, log) = (scratch.join("bursar.toml"), scratch.join("log"));
    fs::write(&config, &setup.config).expect("written");
    let log = File::options().create(true).append(true).open(log).expect("a log");
    let mut command = Command::new(program());
    if let Some(files) = setup.files {
        command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")]).arg(program());
    }
    if let [first, words @ ..] = setup.within.as_slice() {
        command = Command::new(first);
        command.args(words).arg(program());
    }
    command.arg("serve").arg("--config").arg(config);
    command.arg("--state").arg(scratch.join("state")).arg("--socket").arg(scratch.join("sock"));
    setup.plugins.iter().for_each(|folder| {
        command.arg("--plugins").arg(folder);
    });
    // Nothing of this user's own is to be found.
    command.args(&setup.args).env("HOME", scratch).env_remove("XDG_DATA_HOME");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("the program")
}

/// A command that lasts until it is told to end, however long that takes.
pub(crate) struct Lasting(Child);

impl Lasting {
    /// Starts it: its last words are to be those of something that reads to the end, as `cat`.
    pub(crate) fn start(mut command: Command) -> Lasting {
        Lasting(command.stdin(Stdio::piped()).spawn().expect("it starts"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Lets it end, and says whether it did well.
    pub(crate) fn end(mut self) -> bool {
        drop(self.0.stdin.take());
        self.0.wait().expect("ended").success()
    }
}

/// Runs a command to its end.
pub(crate) fn told(mut command: Command) -> Told {
    let output = command.output().expect("the program");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Told { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// Whether a process runs.
pub(crate) fn runs(pid: u32) -> bool {
    bursar_enforce::identify(pid).expect("/proc").is_some()
}

/// A number that a file holds, once it does.
pub(crate) fn number_in(path: &Path) -> u32 {
    let since = Instant::now();
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        if let Ok(number) = text.trim().parse() {
            return number;
        }
        assert!(since.elapsed() < LONG, "{} holds {text:?}", path.display());
        sleep(Duration::from_millis(5));
    }
}
