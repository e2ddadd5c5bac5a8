//! `bursar run`: claims, waits, starts the command inside the lease, renews, and gives everything back.
//!
//! The command stands in this process's group, so a terminal treats both as one job. What the terminal
//! does to the job is for the command to answer; this process only follows: it stops when the command
//! has stopped, and ends when it has ended.
//!
//! One request does for the ask and for the command's place in the lease: the child that will become the command is
//! there before, at its gate.
use crate::{
    Failed, Run, ask,
    attendant::{Attendant, Stage},
    home_elsewhere, persist,
    resumed::{Begun, begun},
    say::say,
    tenancy::{Tenancy, UNTRUE},
    terminal::Terminal,
};
use bursar_enforce::{Gate, MARK, Opened, mark, stopped};
use bursar_interface::{ClaimId, Reason};
use bursar_wire::{AskBody, Claim, ClaimAnswer, Client, Failure, LineBody, duration};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{
        Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, getpgid, getpgrp,
        kill_process, kill_process_group, pidfd_open, set_child_subreaper, wait, waitid,
    },
};
use std::{
    io::{Error, Result as IoResult},
    os::fd::AsFd,
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

/// How often a command that was not started, because its lease could not be made true, is asked for anew.
const AGAIN_MAX: usize = 3;
/// Exit code of `bursar run` when the command was not started, for whatever reason of ours.
pub const REFUSED: u8 = 125;
/// How long a lease lasts without renewal when nobody says; it is renewed three times in that time.
const TTL: &str = "60s";
/// Processes that a command may have when nothing at all was asked for: it is watched over and taken back like
/// any other, and is no fork bomb.
const PIDS: &str = "256";

/// `bursar run`: the exit status is the command's, or 125 when it was not started. `reach` sees to it that a daemon
/// answers on `socket`, and is called when none does.
pub fn run(socket: &Path, run: &Run, reach: &dyn Fn() -> Result<(), Failed>) -> u8 {
    match try_run(socket, run, reach) {
        Ok(code) => code,
        Err(failed) => {
            say(&failed.error);
            REFUSED
        }
    }
}

fn try_run(socket: &Path, run: &Run, reach: &dyn Fn() -> Result<(), Failed>) -> Result<u8, Failed> {
    if run.command.is_empty() {
        return Err(Failed::usage("there is no command to run")
            .hint("write it behind --, as in: bursar run --cpu 1 -- make"));
    }
    let (mut body, ttl) = asked(run)?;
    let attendant = Attendant::new()?;
    let attended = || {
        let watching = attendant.clone();
        Client::new(socket).meanwhile(move |connection| watching.overlook(connection))
    };
    let mut client = attended();
    // What the command leaves behind comes to us, and not to the init of the machine.
    set_child_subreaper(Some(rustix::process::getpid())).map_err(Error::from)?;
    let (mut gate, mut is_asked, mut key) = match begun() {
        Begun::Later(later) => return later.go_on(client, run, ttl, &attendant),
        Begun::Asked(gate, connection, received, key) => {
            client = client.resume(connection, received);
            (gate, true, key)
        }
        Begun::Nothing => {
            (Gate::start(&run.command)?, false, run.ask.key.clone().unwrap_or_else(ask::fresh_key))
        }
    };
    let mut again = AGAIN_MAX;
    loop {
        body.pid = Some(gate.pid());
        let claim = match granted(reach, &attendant, &mut client, run, &body, &key, is_asked) {
            // This daemon knows nothing of the lease that the environment speaks of.
            Err(failed) if body.lines.is_empty() && failed.error.reason == "BadRequest" => {
                body.lines = pids()?;
                granted(reach, &attendant, &mut client, run, &body, &ask::fresh_key(), false)?
            }
            answered => answered?,
        };
        still_to_do(run, &claim, &gate)?;
        let tenancy = Arc::new(Tenancy::new(&claim, client));
        let ended = live(&tenancy, &claim, run, gate, ttl, &attendant);
        if ended.is_ok()
            || again == 0
            || !may_ask_again(run)
            || !tenancy.is_untrue()
            || !attendant.wait_again()
        {
            return leave(&tenancy, ended, &attendant);
        }
        // Nothing of the command was started, and what it was given is taken back by the daemon.
        again -= 1;
        (client, gate) = (attended(), Gate::start(&run.command)?);
        (is_asked, key) = (false, ask::fresh_key());
    }
}

/// Whether another lease may do what one could not that could not be made true: somebody may have taken the port, and
/// any would do. Whoever has others of a gang waiting, or a key, asked for that one and no other.
fn may_ask_again(run: &Run) -> bool {
    run.ask.port.iter().any(|port| port == ask::ANY_PORT) && run.ask.key.is_none() && run.ask.gang.is_none()
}

/// What is asked for, and how long the lease lasts without renewal.
pub(crate) fn asked(run: &Run) -> Result<(AskBody, Duration), Failed> {
    let mut body = match run.ask.is_bare() {
        // Within a lease it shares what that one has, and is watched over there.
        true if is_within(run) => ask::with_lines(&run.ask, Vec::new())?,
        true => ask::with_lines(&run.ask, pids()?)?,
        false => ask::body(&run.ask)?,
    };
    let ttl = duration(body.ttl.get_or_insert_with(|| TTL.into())).map_err(Failed::usage)?;
    Ok((body, ttl))
}

/// Gives everything back; the exit code is the command's, unless the lease was taken from it.
pub(crate) fn leave(
    tenancy: &Tenancy,
    ended: Result<u8, Failed>,
    attendant: &Attendant,
) -> Result<u8, Failed> {
    attendant.leave(ended.as_ref().map_or(REFUSED, |code| *code));
    let preempted = tenancy.give_back();
    if ended.is_ok() && !preempted {
        attendant.end_as_interrupted();
    }
    ended.map(|code| if preempted { REFUSED } else { code })
}

/// What is asked for when nothing is.
fn pids() -> Result<Vec<LineBody>, Failed> {
    Ok(vec![ask::line("pids", PIDS)?])
}

/// Whether the claim will be within a lease: one that was named, or the one that this process runs in.
fn is_within(run: &Run) -> bool {
    match run.ask.within.as_deref() {
        Some(lease) => lease != "none",
        None => std::env::var_os(MARK).is_some(),
    }
}

/// Waits for the claim, which may have been asked for already. A daemon is looked for only when none answers at once, or
/// one left and does not come back.
fn granted(
    reach: &dyn Fn() -> Result<(), Failed>,
    attendant: &Attendant,
    client: &mut Client,
    run: &Run,
    body: &AskBody,
    key: &str,
    is_asked: bool,
) -> Result<Claim, Failed> {
    let first = match is_asked {
        true => client.awaited::<ClaimAnswer>().map(|answer| answer.claim),
        false => ask::send(client, body, key),
    };
    match first {
        Ok(claim) => return Ok(claim),
        // It was there a moment ago, and no other one would know of the ask.
        Err(Failure::Unreachable { .. }) if is_asked && home_elsewhere(client.path()).is_some() => {}
        Err(Failure::Unreachable { .. }) => reach()?,
        Err(failure) if failure.passes() => {}
        Err(failure) => return Err(failure.into()),
    }
    // Where no daemon answers, nothing else would have it hear that it is to end.
    attendant.hear();
    persist(client, body, key, (!run.ask.no_autostart).then_some(reach))
}

/// Refuses what the same key has led to before and is over by now: it was carried out.
fn still_to_do(run: &Run, claim: &Claim, gate: &Gate) -> Result<(), Failed> {
    let over = ["draining", "closed"].contains(&claim.phase.as_str()) && !claim.pids.contains(&gate.pid());
    let ending = claim.ending.as_deref().unwrap_or("no more");
    match &run.ask.key {
        Some(key) if over && ending != UNTRUE => {
            let message =
                format!("the claim of the key {key:?} has ended already: {ending} (claim {})", claim.id);
            Err(Failed::of(Reason::LeaseExpired, message)
                .hint("use another key to have it carried out again"))
        }
        _ => Ok(()),
    }
}

/// Opens the command's gate once it is inside the lease, and stays with it to its end; says its exit code.
fn live(
    tenancy: &Arc<Tenancy>,
    claim: &Claim,
    run: &Run,
    gate: Gate,
    ttl: Duration,
    attendant: &Attendant,
) -> Result<u8, Failed> {
    let terminal = Terminal::find();
    let command = Pid::from_raw(gate.pid() as i32).ok_or_else(|| anyhow::anyhow!("a child without a pid"))?;
    if !attendant.begin(command) {
        // A signal came at the very moment of the grant: the gate closes unopened.
        return Ok(REFUSED);
    }
    let inside = match tenancy.inside(claim, gate.pid(), || is_there(command)) {
        Ok(inside) => inside,
        Err(failed) => {
            // The gate closes unopened, and the child ends without having been anything.
            drop(gate);
            let status = follow(command, tenancy, terminal.as_ref(), attendant)?;
            // Unless somebody ended it there, which is why it could not be attached. A lease that could not be made
            // true ends it as well, and may be done with that before this process is.
            return if status.signaled() && !tenancy.is_untrue() {
                Ok(exit_code(status))
            } else {
                Err(failed)
            };
        }
    };
    let opened = gate.open(&variables(tenancy, &inside))?;
    stay(tenancy, run, command, opened, ttl, attendant)
}

/// Stays with a command whose gate was opened; says its exit code.
pub(crate) fn stay(
    tenancy: &Arc<Tenancy>,
    run: &Run,
    command: Pid,
    opened: Opened,
    ttl: Duration,
    attendant: &Attendant,
) -> Result<u8, Failed> {
    let terminal = Terminal::find();
    let status = match attendant.soon(pidfd_open(command, PidfdFlags::empty()).map_err(Error::from)?.as_fd())
    {
        true => follow(command, tenancy, terminal.as_ref(), attendant)?,
        false => {
            let (kept, watched) = (tenancy.clone(), attendant.clone());
            let over = move || watched.stage() != Stage::Running(command);
            match thread::Builder::new().name("renewal".into()).spawn(move || kept.keep(ttl, over)) {
                Ok(_) => follow(command, tenancy, terminal.as_ref(), attendant)?,
                // The command runs, and is not to end because there is no room for a thread.
                Err(_) => follow_and_renew(command, tenancy, ttl)?,
            }
        }
    };
    if let Some(terminal) = terminal {
        terminal.take_back(status.exit_status() == Some(0));
    }
    tell_failed(run, opened);
    attendant.saw_end(status);
    Ok(exit_code(status))
}

/// Says why the command could not be started, if so.
pub(crate) fn tell_failed(run: &Run, opened: Opened) {
    if let Some(error) = opened.failed() {
        let program = run.command.first().map(|program| program.to_string_lossy());
        say(format_args!("{}: {error}", program.unwrap_or_default()));
    }
}

/// What the command finds in its environment: what drivers say, and then what we say ourselves.
fn variables<'a>(tenancy: &Tenancy, claim: &'a Claim) -> Vec<(&'a str, String)> {
    let told = claim.environment.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let mut variables: Vec<(&str, String)> = told.collect();
    variables.extend([
        (MARK, mark(ClaimId(tenancy.id), tenancy.fence)),
        ("BURSAR_CLAIM", tenancy.id.to_string()),
        ("BURSAR_FENCE", tenancy.fence.to_string()),
        ("BURSAR_SOCKET", tenancy.socket.display().to_string()),
    ]);
    let ports = claim.lines.iter().filter(|line| line.resource == "port");
    let ports: Vec<&str> = ports.filter_map(|line| line.pool.as_deref()).collect();
    if let Some(first) = ports.first() {
        variables.extend([("PORT", (*first).to_owned()), ("PORTS", ports.join(","))]);
    }
    variables
}

/// Whether the child has not ended yet; its end can still be waited for.
fn is_there(command: Pid) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(command), look).is_ok_and(|ended| ended.is_none())
}

/// Stays with the command until it ends, and stops when it stops. Collects what it leaves behind.
fn follow(
    command: Pid,
    tenancy: &Tenancy,
    terminal: Option<&Terminal>,
    attendant: &Attendant,
) -> IoResult<WaitStatus> {
    loop {
        match wait(WaitOptions::UNTRACED) {
            Ok(Some((pid, status))) if pid == command => {
                if !status.stopped() {
                    return Ok(status);
                }
                if tenancy.is_suspended() {
                    continue;
                }
                stop_too(command, tenancy, terminal, attendant);
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Stays with the command until it ends, and renews its lease meanwhile: all that can be done without a thread. What
/// stops the command stops this process as any other.
fn follow_and_renew(command: Pid, tenancy: &Tenancy, ttl: Duration) -> IoResult<WaitStatus> {
    let ended = pidfd_open(command, PidfdFlags::empty())?;
    loop {
        tenancy.renew();
        let until = Timespec::try_from(Tenancy::every(ttl)).map_err(|_| Errno::INVAL)?;
        // Nothing but time passes when it is interrupted.
        let _ = poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&until));
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == command => return Ok(status),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The command was stopped: so that the shell hears of it, this process stops as well. When it is told
/// to go on, so is the command, with the terminal if it had it.
fn stop_too(command: Pid, tenancy: &Tenancy, terminal: Option<&Terminal>, attendant: &Attendant) {
    let told = attendant.pause();
    let group = getpgid(Some(command)).unwrap_or(getpgrp());
    let had = terminal.and_then(Terminal::foreground);
    tenancy.pause(|| {
        // It may have been told to go on meanwhile.
        if stopped(command.as_raw_pid().unsigned_abs()) && attendant.stop_unless_told(told) {
            attendant.resume(told);
        }
        let known = attendant.told();
        let has_back = |its: &&Terminal| had == Some(group) && its.foreground() == Some(getpgrp());
        if let Some(terminal) = terminal.filter(has_back).filter(|_| group != getpgrp()) {
            terminal.give(group);
        }
        // Its whole group was stopped; one that goes on already is not disturbed.
        let tell = || {
            // In our own group, whoever told us told the others as well.
            let _ = match group == getpgrp() {
                true => kill_process(command, Signal::CONT),
                false => kill_process_group(group, Signal::CONT),
            };
        };
        // Before the lease is renewed: what is heard from here on is not seen to here.
        attendant.give_back(known, || stopped(command.as_raw_pid().unsigned_abs()), tell);
    });
}

pub(crate) fn exit_code(status: WaitStatus) -> u8 {
    let code = status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(bursar_wire::EXIT_FAILED)
}
