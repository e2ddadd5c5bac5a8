//! A daemon for this user, started by whoever first needs one; it leaves when it is idle.
use super::{Context, make_private, outcome::Failed, state_dir};
use bursar_tenant::{home_elsewhere, home_file, say, unmasked};
use bursar_wire::Client;
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{File, OpenOptions},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a daemon may take to come up.
const START_MAX: Duration = Duration::from_secs(15);
/// How long one that is being restarted by somebody else is waited for.
const RESTART_MAX: Duration = Duration::from_secs(3);
/// Bytes at the end of its log among which its last words are looked for.
const SAID_MAX: usize = 4096;
/// When a daemon that was started this way leaves.
const IDLE: &str = "10m";

/// A client of a daemon that answers; one is started where none does, unless that is forbidden, or the last one there has
/// its state elsewhere.
pub fn reach(context: &Context, forbidden: bool) -> Result<Client, Failed> {
    let mut client = context.client();
    // One elsewhere is not started from here.
    if context.elsewhere.is_some() || client.alive() {
        return Ok(client);
    }
    let path = &context.socket.path;
    let elsewhere = home_elsewhere(path).filter(|_| !forbidden);
    if forbidden || elsewhere.is_some() {
        if comes_back(&mut client, path, elsewhere.is_some()) {
            return Ok(client);
        }
        // Once more, for what the system says.
        let answer = client.request("GET", "/healthz", None, &[]).map_err(Failed::from);
        return match (answer, elsewhere) {
            (Ok(_), _) => Ok(client),
            (Err(failed), Some(state)) => Err(failed.hint(start_again(path, &state))),
            (Err(failed), None) => Err(failed),
        };
    }
    let folder =
        path.parent().ok_or_else(|| Failed::usage(format!("{} is no path of a socket", path.display())))?;
    make_private(folder).map_err(|error| anyhow::anyhow!("{}: {error}", folder.display()))?;
    let lock = File::create(path.with_extension("starting"))
        .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(std::io::Error::from)?;
    // Another starter may have been first.
    if !client.alive() {
        let started = start(path)?;
        wait(&mut client, path, started)?;
    }
    Ok(client)
}

/// What to do where another daemon would give away once more what the last one gave.
fn start_again(path: &Path, state: &Path) -> String {
    format!(
        "the daemon that was there has its state in {}: start it again, as with `bursar serve --socket {} --state {}`; \
         or remove {}, and one that knows nothing of that is started",
        state.display(),
        path.display(),
        state.display(),
        home_file(path).display()
    )
}

/// Where a daemon has its state that is started for whoever asks on this socket: beside a socket of one's own; for the
/// user's own one, however it was called, among the user's.
pub fn usual_state(socket: &Path) -> Result<PathBuf, Failed> {
    if socket == bursar_wire::usual_socket() { state_dir() } else { Ok(socket.with_extension("state")) }
}

/// Whether a daemon answers again soon: one that is being restarted. It left its socket behind, or `will` be back.
fn comes_back(client: &mut Client, path: &Path, will: bool) -> bool {
    let since = Instant::now();
    while (will || path.exists()) && since.elapsed() < RESTART_MAX {
        if client.alive() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// A daemon on its way up.
struct Started {
    child: Child,
    log: PathBuf,
}

fn start(path: &Path) -> Result<Started, Failed> {
    let state = usual_state(path)?;
    make_private(&state).map_err(|error| anyhow::anyhow!("{}: {error}", state.display()))?;
    let log = state.join("log");
    let said = OpenOptions::new().create(true).append(true).open(&log)?;
    say(format_args!(
        "no daemon answers on {}: starting one (state and log in {})",
        path.display(),
        state.display()
    ));
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve").arg("--socket").arg(path).arg("--state").arg(&state).args(["--idle-exit", IDLE]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
    // Whoever starts it from inside a lease leaves no mark of that on it.
    command.env_remove(bursar_enforce::MARK);
    // Nor does it keep the caller's folder busy; a relative path may be all that fits into a socket's name.
    if path.is_absolute() && state.is_absolute() {
        command.current_dir("/");
    }
    // It outlives this command, and a Ctrl-C here is not for it.
    command.process_group(0);
    Ok(Started { child: unmasked(|| command.spawn())?, log })
}

fn wait(client: &mut Client, path: &Path, mut started: Started) -> Result<(), Failed> {
    let since = Instant::now();
    while !client.alive() {
        let ended = started.child.try_wait()?;
        let late = since.elapsed() > START_MAX;
        // Another one may have been there first.
        if (ended.is_some() || late) && !client.alive() {
            let what =
                ended.map_or(format!("did not come up within {START_MAX:?}"), |_| "could not start".into());
            let error =
                anyhow::anyhow!("the daemon on {} {what}: {}", path.display(), last_said(&started.log));
            return Err(Failed::from(error).hint(format!("its log is {}", started.log.display())));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// The last thing that it said.
fn last_said(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(SAID_MAX)..]).into_owned();
    let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    last.map_or_else(|| "it said nothing".into(), |line| line.trim_start_matches("bursar: ").to_owned())
}
