//! `bursar run`: claims, waits, starts the command inside the lease, renews, and gives everything back.
//! While the daemon is away the command goes on, and the lease is taken up again when it is back.
use super::{Context, ask, autostart, inside::REFUSED, outcome::Failed};
use crate::args::Run;
use bursar_enforce::{MARK, mark};
use bursar_interface::{ClaimId, Fence};
use bursar_wire::{AskBody, AttachBody, Claim, ClaimAnswer, Client, Failure, FenceBody, RenewBody, duration};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, set_child_subreaper, wait};
use std::{
    fs::File,
    io::{IsTerminal, Write},
    os::fd::AsRawFd,
    process::{Child, Command, ExitCode},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};

/// How long a lease lasts without renewal when nobody says; it is renewed three times in that time.
const TTL: &str = "60s";
/// How long a daemon that went away is waited for, where its answer is needed to go on.
const AWAY_MAX: Duration = Duration::from_secs(30);
/// Between two tries to reach it.
const RETRY: Duration = Duration::from_millis(200);
/// How long everything that was held may take to come back before this command leaves.
const RETURN_MAX: &str = "15s";

/// What happens while a command runs.
enum News {
    Signal(Signal),
    Granted(Box<Result<Claim, Failure>>),
    Ended(WaitStatus),
}

/// `bursar run`: the exit status is the command's, or 125 when it was not started.
pub fn run(context: &Context, run: &Run) -> ExitCode {
    match try_run(context, run) {
        Ok(code) => ExitCode::from(code),
        Err(failed) => {
            eprintln!("bursar: {}", failed.error);
            ExitCode::from(REFUSED)
        }
    }
}

fn try_run(context: &Context, run: &Run) -> Result<u8, Failed> {
    if run.command.is_empty() {
        return Err(Failed::usage("there is no command to run")
            .hint("write it behind --, as in: bursar run --cpu 1 -- make"));
    }
    let mut body = ask::body(&run.ask)?;
    let ttl = body.ttl.get_or_insert_with(|| TTL.into()).clone();
    let ttl = duration(&ttl).map_err(Failed::usage)?;
    autostart::reach(context, run.ask.no_autostart)?;
    let (tell, news) = channel();
    listen(tell.clone())?;
    let key = run.ask.key.clone().unwrap_or_else(ask::fresh_key);
    let claim = match granted(context, body, key, &tell, &news)? {
        Some(claim) => claim,
        None => return Ok(REFUSED),
    };
    let lease = Lease { context, id: claim.id, fence: Fence(claim.fence.unwrap_or(0)) };
    let status = inside_lease(&lease, &claim, run, ttl, tell, &news);
    lease.give_back();
    status.map(exit_code)
}

/// Waits for the claim; a signal meanwhile ends the waiting and leaves nothing behind.
fn granted(
    context: &Context,
    body: AskBody,
    key: String,
    tell: &Sender<News>,
    news: &Receiver<News>,
) -> Result<Option<Claim>, Failed> {
    let (client, tell) = (context.client(), tell.clone());
    // The claim goes with its last asker: this thread ends with the process.
    thread::spawn(move || tell.send(News::Granted(Box::new(persist(client, &body, &key)))));
    loop {
        match news.recv() {
            Ok(News::Granted(claim)) => return Ok(Some((*claim)?)),
            Ok(News::Signal(signal)) => {
                eprintln!("bursar: {signal:?} while waiting: the claim is withdrawn");
                return Ok(None);
            }
            Ok(News::Ended(_)) | Err(_) => {}
        }
    }
}

/// Asks, and asks again with the same key while the daemon is away.
fn persist(mut client: Client, body: &AskBody, key: &str) -> Result<Claim, Failure> {
    let mut away = None;
    loop {
        match ask::send(&mut client, body, key) {
            Err(Failure::Refused(error)) => return Err(Failure::Refused(error)),
            Err(failure) if away.get_or_insert_with(Instant::now).elapsed() > AWAY_MAX => {
                return Err(failure);
            }
            Err(_) => thread::sleep(RETRY),
            Ok(claim) => return Ok(claim),
        }
    }
}

/// Starts the command inside the lease and stays with it to its end.
fn inside_lease(
    lease: &Lease<'_>,
    claim: &Claim,
    run: &Run,
    ttl: Duration,
    tell: Sender<News>,
    news: &Receiver<News>,
) -> Result<WaitStatus, Failed> {
    // What the command leaves behind comes to us, and not to the init of the machine.
    set_child_subreaper(Some(rustix::process::getpid())).map_err(std::io::Error::from)?;
    let (gate, opener) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(std::io::Error::from)?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), gate.as_raw_fd());
    let child = start(lease, claim, run, &path)?;
    let pid = child.id();
    thread::spawn(move || reap(&child, &tell));
    if let Err(failed) = lease.attach(pid) {
        // The gate closes unopened, and the child ends without having been anything.
        drop(opener);
        return Err(failed);
    }
    // A child that is gone already has nothing to be told.
    let _ = File::from(opener).write_all(b"!");
    accompany(lease, pid, ttl, news)
}

fn start(lease: &Lease<'_>, claim: &Claim, run: &Run, gate: &str) -> Result<Child, Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["inside", "--", gate]).args(&run.command);
    command.env(MARK, mark(ClaimId(lease.id), lease.fence));
    command.env("BURSAR_CLAIM", lease.id.to_string()).env("BURSAR_FENCE", lease.fence.to_string());
    command.env("BURSAR_SOCKET", &lease.context.socket.path);
    let ports: Vec<&str> = claim
        .lines
        .iter()
        .filter(|line| line.resource == "port")
        .filter_map(|line| line.pool.as_deref())
        .collect();
    if let Some(first) = ports.first() {
        command.env("PORT", first).env("PORTS", ports.join(","));
    }
    Ok(command.spawn()?)
}

/// Collects every child that ends, adopted ones too, until the command itself has.
fn reap(child: &Child, tell: &Sender<News>) {
    let own = Pid::from_child(child);
    while let Ok(ended) = wait(WaitOptions::empty()) {
        if let Some((pid, status)) = ended.filter(|(pid, _)| *pid == own) {
            debug_assert_eq!(pid, own);
            // Nobody listens only when this command is ending too.
            let _ = tell.send(News::Ended(status));
            return;
        }
    }
}

/// Passes signals on and renews the lease until the command ends.
fn accompany(
    lease: &Lease<'_>,
    pid: u32,
    ttl: Duration,
    news: &Receiver<News>,
) -> Result<WaitStatus, Failed> {
    let every = (ttl / 3).max(Duration::from_millis(100));
    let mut renew_at = Instant::now() + every;
    let mut lost = false;
    loop {
        match news.recv_timeout(renew_at.saturating_duration_since(Instant::now())) {
            Ok(News::Ended(status)) => return Ok(status),
            Ok(News::Signal(signal)) => pass_on(signal, pid),
            Ok(News::Granted(_)) => {}
            Err(RecvTimeoutError::Timeout) => {
                renew_at = Instant::now() + if lost { every } else { lease.renew(&mut lost, every) };
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(anyhow::anyhow!("the command's end was not heard of").into());
            }
        }
    }
}

/// The terminal sends its own signals to the command as well.
fn pass_on(signal: Signal, pid: u32) {
    let from_terminal = [Signal::INT, Signal::QUIT].contains(&signal) && std::io::stdin().is_terminal();
    if let Some(pid) = Pid::from_raw(pid as i32).filter(|_| !from_terminal) {
        // It may have ended meanwhile.
        let _ = kill_process(pid, signal);
    }
}

/// Hears of signals on a thread of its own.
fn listen(tell: Sender<News>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            let kinds = [
                (SignalKind::terminate(), Signal::TERM),
                (SignalKind::interrupt(), Signal::INT),
                (SignalKind::quit(), Signal::QUIT),
                (SignalKind::hangup(), Signal::HUP),
                (SignalKind::user_defined1(), Signal::USR1),
                (SignalKind::user_defined2(), Signal::USR2),
            ];
            let tasks = kinds.into_iter().filter_map(|(kind, number)| Some((signal(kind).ok()?, number)));
            let tasks: Vec<_> = tasks
                .map(|(mut stream, number)| {
                    let tell = tell.clone();
                    tokio::spawn(async move {
                        while stream.recv().await.is_some() {
                            if tell.send(News::Signal(number)).is_err() {
                                return;
                            }
                        }
                    })
                })
                .collect();
            for task in tasks {
                // A task ends only with the process.
                let _ = task.await;
            }
        });
    });
    Ok(())
}

fn exit_code(status: WaitStatus) -> u8 {
    let code = status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(bursar_wire::EXIT_FAILED)
}

/// The lease that the command runs in.
struct Lease<'a> {
    context: &'a Context,
    id: u64,
    fence: Fence,
}

impl Lease<'_> {
    fn post(&self, verb: &str, body: &impl serde::Serialize) -> Result<Claim, Failure> {
        let path = format!("/v1/claims/{}/{verb}", self.id);
        self.context.client().send::<ClaimAnswer>("POST", &path, body, None).map(|answer| answer.claim)
    }

    /// Tries until the daemon answers, for as long as one that restarts may take.
    fn insist(&self, verb: &str, body: &impl serde::Serialize) -> Result<Claim, Failure> {
        let since = Instant::now();
        loop {
            match self.post(verb, body) {
                Err(failure @ (Failure::Unreachable { .. } | Failure::Broken { .. }))
                    if since.elapsed() > AWAY_MAX =>
                {
                    return Err(failure);
                }
                Err(Failure::Unreachable { .. } | Failure::Broken { .. }) => thread::sleep(RETRY),
                answered => return answered,
            }
        }
    }

    fn attach(&self, pid: u32) -> Result<(), Failed> {
        let claim = match self.insist("attach", &AttachBody { fence: self.fence, pid }) {
            Ok(claim) => claim,
            // It has ended already, and knows why.
            Err(failure @ Failure::Refused(_)) => self.look().map_err(|_| failure)?,
            Err(failure) => return Err(failure.into()),
        };
        match claim.phase.as_str() {
            "held" => Ok(()),
            phase => {
                let ending = claim.ending.map(|ending| format!(": {ending}")).unwrap_or_default();
                let told = anyhow::anyhow!("the lease could not be made true; it is {phase}{ending}");
                Err(Failed::from(told).hint("`bursar get events` says more"))
            }
        }
    }

    fn look(&self) -> Result<Claim, Failure> {
        self.context
            .client()
            .get::<ClaimAnswer>(&format!("/v1/claims/{}", self.id))
            .map(|answer| answer.claim)
    }

    /// Renews; says when to do so again.
    fn renew(&self, lost: &mut bool, every: Duration) -> Duration {
        match self.post("renew", &RenewBody { fence: self.fence, ttl: None }) {
            Ok(_) => every,
            Err(Failure::Refused(error)) => {
                eprintln!("bursar: the lease is lost: {error}");
                *lost = true;
                every
            }
            Err(_) => RETRY.min(every),
        }
    }

    /// Gives everything back and waits until it is, as far as that goes.
    fn give_back(&self) {
        let verb = format!("release?wait={RETURN_MAX}");
        match self.insist(&verb, &FenceBody { fence: self.fence }) {
            Ok(claim) => self.say_ending(&claim),
            // It was taken back before it was given.
            Err(Failure::Refused(_)) => {
                if let Ok(claim) = self.look() {
                    self.say_ending(&claim);
                }
            }
            Err(failure) => eprintln!("bursar: {failure}; the lease ends by itself"),
        }
    }

    fn say_ending(&self, claim: &Claim) {
        match claim.ending.as_deref() {
            Some("over_limit") => eprintln!("bursar: killed for passing its own limit (claim {})", self.id),
            Some("lease_expired") => eprintln!("bursar: the lease ran out (claim {})", self.id),
            Some("cancelled") => eprintln!("bursar: the lease was cancelled (claim {})", self.id),
            _ => {}
        }
        if claim.quarantined {
            eprintln!("bursar: what claim {} held is not proved free yet", self.id);
        }
    }
}
