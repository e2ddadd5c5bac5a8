//! A daemon for this user, started by whoever first needs one; it leaves when it is idle.
use super::{Context, make_private, outcome::Failed, state_dir};
use bursar_tenant::unmasked;
use bursar_wire::Client;
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{File, OpenOptions},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How long a daemon may take to come up.
const START_MAX: Duration = Duration::from_secs(15);
/// How long one that is being restarted by somebody else is waited for.
const RESTART_MAX: Duration = Duration::from_secs(3);
/// When a daemon that was started this way leaves.
const IDLE: &str = "10m";

/// A client of a daemon that answers; one is started where none does, unless that is forbidden.
pub fn reach(context: &Context, forbidden: bool) -> Result<Client, Failed> {
    let mut client = context.client();
    // One elsewhere is not started from here.
    if context.elsewhere.is_some() || client.alive() {
        return Ok(client);
    }
    let path = &context.socket.path;
    if forbidden {
        if comes_back(&mut client, path) {
            return Ok(client);
        }
        // Once more, for what the system says.
        return client.request("GET", "/healthz", None, &[]).map_err(Failed::from).map(|_| client);
    }
    let folder =
        path.parent().ok_or_else(|| Failed::usage(format!("{} is no path of a socket", path.display())))?;
    make_private(folder).map_err(|error| anyhow::anyhow!("{}: {error}", folder.display()))?;
    let lock = File::create(path.with_extension("starting"))
        .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(std::io::Error::from)?;
    // Another starter may have been first.
    if !client.alive() {
        start(context, path)?;
        wait(&mut client, path)?;
    }
    Ok(client)
}

/// Whether a daemon that left its socket behind answers again soon: one that is being restarted.
fn comes_back(client: &mut Client, path: &Path) -> bool {
    let since = Instant::now();
    while path.exists() && since.elapsed() < RESTART_MAX {
        if client.alive() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn start(context: &Context, path: &Path) -> Result<(), Failed> {
    // A socket of one's own has its state beside it; the user's default one has the user's.
    let state = match context.socket.named {
        true => path.with_extension("state"),
        false => state_dir()?,
    };
    make_private(&state).map_err(|error| anyhow::anyhow!("{}: {error}", state.display()))?;
    let log = OpenOptions::new().create(true).append(true).open(state.join("log"))?;
    eprintln!(
        "bursar: no daemon answers on {}: starting one (state and log in {})",
        path.display(),
        state.display()
    );
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve").arg("--socket").arg(path).arg("--state").arg(&state).args(["--idle-exit", IDLE]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    // Whoever starts it from inside a lease leaves no mark of that on it.
    command.env_remove(bursar_enforce::MARK);
    // It outlives this command, and a Ctrl-C here is not for it.
    command.process_group(0);
    unmasked(|| command.spawn())?;
    Ok(())
}

fn wait(client: &mut Client, path: &Path) -> Result<(), Failed> {
    let since = Instant::now();
    while !client.alive() {
        if since.elapsed() > START_MAX {
            let error = anyhow::anyhow!(
                "the daemon on {} did not come up within {START_MAX:?}; its log says why",
                path.display()
            );
            return Err(error.into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
