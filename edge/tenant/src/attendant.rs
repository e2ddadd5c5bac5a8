//! Who hears the signals that `bursar run` gets, and does with each what the command's own parent should:
//! while it waits they end the waiting, while the command runs they are the command's.
//!
//! Signals are taken from a descriptor. No arrangement is made that a child could inherit, so one that
//! is ignored here, as under `nohup`, is ignored by the command too; which were blocked it is told (`enforce/caller.rs`).
use crate::{run::REFUSED, say::say};
use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, SigmaskHow, Signal},
        signalfd::{SfdFlags, SignalFd, siginfo},
    },
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, Signal as Sent, WaitStatus, getpgid, getpgrp, getpid, kill_process},
};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Signals that are heard.
const HEARD: [Signal; 12] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGALRM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];
/// `si_code` of a signal that the kernel sent by itself, as a terminal does.
const FROM_KERNEL: i32 = 0x80;
/// How long a grant that is on its way already is waited for before this command leaves: one that is
/// missed is held for nobody until it runs out.
const ON_ITS_WAY: Duration = Duration::from_millis(50);
/// How long a signal that has made this process go on may take to be heard.
const HEARD_MAX: Duration = Duration::from_secs(1);
/// A signal so soon after the command's end is the one that ended the command; a later one is for us, and
/// we leave before everything is given back: the daemon goes on with that.
const SAME_KEY: Duration = Duration::from_millis(500);

/// Not at all.
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// What takes no longer is waited for without a thread that hears signals.
const SOON: Duration = Duration::from_millis(50);

/// How far `bursar run` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It waits to be granted what it asked for.
    Waiting,
    /// It was told to end before that.
    Withdrawn,
    /// The command is there, at its gate or past it.
    Running(Pid),
    /// The command ended with this code, and everything is being given back since then.
    Leaving(u8, Instant),
}

/// The stage, shared with the thread that hears signals.
#[derive(Clone, Debug)]
pub(crate) struct Attendant(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stage: Mutex<Stage>,
    pause: Pause,
    signals: SignalFd,
    /// Has something to read while this process was told to go on and nobody has heard of it.
    goes_on: SignalFd,
    /// Held while a signal is heard, and while this process stops.
    hearing: Mutex<()>,
    /// The command was told to stop by this process, and not yet to go on.
    passed_stop: AtomicBool,
    /// The thread that hears signals is there.
    heard: AtomicBool,
    /// The terminal interrupted this process.
    interrupted: AtomicBool,
    /// The command died of an interrupt.
    died_of_it: AtomicBool,
}

/// A command that is stopped: who tells it to go on, so that it is told once.
#[derive(Debug, Default)]
struct Pause {
    /// Whoever follows the command sees to it, and not who hears the signal.
    taken: AtomicBool,
    /// How often this process was told to go on.
    told: AtomicU64,
}

impl Attendant {
    /// Signals wait to be heard from now on. To be called before any thread is started.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn new() -> io::Result<Attendant> {
        let mut heard = SigSet::empty();
        HEARD.into_iter().for_each(|signal| heard.add(signal));
        heard.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&heard, flags)?;
        let mut goes_on = SigSet::empty();
        goes_on.add(Signal::SIGCONT);
        Ok(Attendant(Arc::new(Shared {
            stage: Mutex::new(Stage::Waiting),
            pause: Pause::default(),
            signals,
            goes_on: SignalFd::with_flags(&goes_on, flags)?,
            hearing: Mutex::default(),
            passed_stop: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
            died_of_it: AtomicBool::new(false),
        })))
    }

    /// Waits for `awaited` to have something to say, and for no longer than [`SOON`]: most answers, and most
    /// commands, are there by then, and no signal was sent. Otherwise signals are heard from then on, by a
    /// thread of their own, and this returns `false`.
    pub(crate) fn soon(&self, awaited: BorrowedFd<'_>) -> bool {
        if self.0.heard.load(Ordering::Acquire) {
            return false;
        }
        let both = [awaited, self.0.signals.as_fd()];
        let mut both = both.map(|one| PollFd::from_borrowed_fd(one, PollFlags::IN));
        let until = Timespec { tv_sec: 0, tv_nsec: SOON.as_nanos() as i64 };
        let there = poll(&mut both, Some(&until)).is_ok_and(|ready| ready == 1);
        if there && !both[0].revents().is_empty() {
            return true;
        }
        self.hear();
        false
    }

    /// As [`Attendant::soon`], for whoever waits on in any case.
    pub(crate) fn overlook(&self, awaited: BorrowedFd<'_>) {
        self.soon(awaited);
    }

    /// Hears signals from now on.
    pub(crate) fn hear(&self) {
        if self.0.heard.swap(true, Ordering::AcqRel) {
            return;
        }
        let own = self.clone();
        let heard = thread::Builder::new().name("signals".into()).spawn(move || own.attend(&own.0.signals));
        if heard.is_err() {
            // Without somebody who hears them, they do what they do to any program.
            let _ = SigSet::empty().thread_set_mask();
        }
    }

    /// How far it is.
    pub(crate) fn stage(&self) -> Stage {
        *self.lock()
    }

    /// The command is there; `false` when it was told to end before that.
    pub(crate) fn begin(&self, command: Pid) -> bool {
        let mut stage = self.lock();
        let waited = *stage == Stage::Waiting;
        if waited {
            *stage = Stage::Running(command);
        }
        waited
    }

    /// The command at the gate is gone, and another one is to be; `false` when it was told to end meanwhile.
    pub(crate) fn wait_again(&self) -> bool {
        let mut stage = self.lock();
        let begun = matches!(*stage, Stage::Running(_));
        if begun {
            *stage = Stage::Waiting;
        }
        begun
    }

    /// The command is stopped: from here on its follower tells it to go on. Returns how often this process
    /// was told to, so far.
    pub(crate) fn pause(&self) -> u64 {
        self.0.pause.taken.store(true, Ordering::SeqCst);
        self.0.pause.told.load(Ordering::SeqCst)
    }

    /// Stops this process, unless it was told to go on since; says whether it did. A stop throws away what was told and
    /// not heard yet.
    pub(crate) fn stop_unless_told(&self, told: u64) -> bool {
        let _hearing = self.hearing();
        let stops = !self.told_since(told) && !is_readable(self.0.goes_on.as_fd(), Some(AT_ONCE));
        if stops {
            stop();
        }
        stops
    }

    /// How often this process was told to go on, so far.
    pub(crate) fn told(&self) -> u64 {
        self.0.pause.told.load(Ordering::SeqCst)
    }

    /// Whether this process was told to go on since.
    fn told_since(&self, told: u64) -> bool {
        self.0.pause.told.load(Ordering::SeqCst) > told
    }

    /// Waits for the signal that made this process go on to be heard, so that it is not taken for another one
    /// later.
    pub(crate) fn resume(&self, told: u64) {
        let since = Instant::now();
        while !self.told_since(told) && since.elapsed() < HEARD_MAX {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The command goes on: whoever hears a signal passes it on again. It is told to if it `is_stopped`, or this process was
    /// told to more often than is `known`: then it may be about to stop.
    pub(crate) fn give_back(&self, known: u64, is_stopped: impl FnOnce() -> bool, tell: impl FnOnce()) {
        let _hearing = self.hearing();
        if is_stopped() || self.told_since(known) {
            self.0.passed_stop.store(false, Ordering::SeqCst);
            tell();
        }
        self.0.pause.taken.store(false, Ordering::SeqCst);
    }

    /// The command has ended, or will never be.
    pub(crate) fn leave(&self, code: u8) {
        *self.lock() = Stage::Leaving(code, Instant::now());
    }

    /// How the command ended.
    pub(crate) fn saw_end(&self, status: WaitStatus) {
        let interrupted = status.terminating_signal() == Some(Sent::INT.as_raw());
        self.0.died_of_it.store(interrupted, Ordering::SeqCst);
    }

    /// Ends this process by an interrupt if the terminal interrupted it and the command died of that: only so does a
    /// shell leave the loop or the script that both stand in.
    pub(crate) fn end_as_interrupted(&self) {
        if !self.0.died_of_it.load(Ordering::SeqCst) {
            return;
        }
        let _hearing = self.hearing();
        // What nobody has heard yet.
        while let Ok(Some(info)) = self.0.signals.read_signal() {
            self.note(&info);
        }
        if self.0.interrupted.load(Ordering::SeqCst) {
            let mut interrupt = SigSet::empty();
            interrupt.add(Signal::SIGINT);
            // Where it is ignored, this process ends as otherwise.
            let _ = interrupt.thread_unblock();
            let _ = kill_process(getpid(), Sent::INT);
        }
    }

    fn note(&self, info: &siginfo) {
        if info.ssi_signo == Signal::SIGINT as u32 && info.ssi_code == FROM_KERNEL {
            self.0.interrupted.store(true, Ordering::SeqCst);
        }
    }

    fn hearing(&self) -> MutexGuard<'_, ()> {
        self.0.hearing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Stage> {
        self.0.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attend(&self, signals: &SignalFd) {
        loop {
            is_readable(signals.as_fd(), None);
            let _hearing = self.hearing();
            match signals.read_signal() {
                Ok(Some(info)) => {
                    self.note(&info);
                    if let Ok(signal) = Signal::try_from(info.ssi_signo as i32) {
                        self.answer(signal, info.ssi_code == FROM_KERNEL);
                    }
                }
                Ok(None) | Err(Errno::EINTR) => {}
                // Nothing will be heard any more, and nothing else breaks.
                Err(_) => return,
            }
        }
    }

    fn answer(&self, signal: Signal, from_kernel: bool) {
        match self.stage() {
            Stage::Running(_) if signal == Signal::SIGCONT && self.went_on() => {}
            Stage::Running(command) => self.pass_on(signal, from_kernel, command),
            _ if stops(signal) => stop(),
            Stage::Waiting if ends(signal) => match self.withdraw() {
                true => leave_withdrawn(self, signal),
                // It was granted since.
                false => self.answer(signal, from_kernel),
            },
            Stage::Leaving(code, since) if ends(signal) && since.elapsed() > SAME_KEY => {
                std::process::exit(code.into())
            }
            Stage::Waiting | Stage::Leaving(..) | Stage::Withdrawn => {}
        }
    }

    /// Passes a signal on to the command, unless it got it already: a terminal sends to the whole group. A stop that was
    /// passed on may be on its way still, and is undone by what is passed on after it.
    fn pass_on(&self, signal: Signal, from_kernel: bool, command: Pid) {
        let by_terminal =
            [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGWINCH].contains(&signal) || stops(signal);
        let got_it =
            from_kernel && by_terminal && getpgid(Some(command)).is_ok_and(|group| group == getpgrp());
        let goes_on = signal == Signal::SIGCONT;
        let undoes = goes_on && self.0.passed_stop.swap(false, Ordering::SeqCst);
        let needless = goes_on && !undoes && !bursar_enforce::stopped(command.as_raw_pid().unsigned_abs());
        if let Some(sent) = Sent::from_named_raw(signal as i32).filter(|_| !got_it && !needless) {
            self.0.passed_stop.fetch_or(stops(signal), Ordering::SeqCst);
            // It may have ended meanwhile.
            let _ = kill_process(command, sent);
        }
    }

    /// Counts that this process was told to go on; says whether the command's follower sees to the rest.
    fn went_on(&self) -> bool {
        let taken = self.0.pause.taken.load(Ordering::SeqCst);
        self.0.pause.told.fetch_add(1, Ordering::SeqCst);
        taken
    }

    /// Tells to end before the command is there; `false` when it is there.
    fn withdraw(&self) -> bool {
        let mut stage = self.lock();
        let waited = *stage == Stage::Waiting;
        if waited {
            *stage = Stage::Withdrawn;
        }
        waited
    }
}

/// The claim goes with its last asker and the process that was to live in it, so it is enough to leave: also where no
/// daemon answers, for the next one looks for both.
fn leave_withdrawn(attendant: &Attendant, signal: Signal) {
    say(format_args!("{signal} while waiting: the claim goes with it"));
    thread::sleep(ON_ITS_WAY);
    // Else it was granted at this very moment, and is being given back.
    if attendant.stage() == Stage::Withdrawn {
        std::process::exit(REFUSED.into());
    }
}

/// Starts something that is to hear its signals itself: a mask is inherited.
///
/// # Errors
/// Those of what is done, and of the system.
pub fn unmasked<T>(start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let masked = SigSet::empty().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let started = start();
    masked.thread_set_mask()?;
    started
}

/// Waits for something to read, for ever where no time is set; says whether there is.
fn is_readable(descriptor: BorrowedFd<'_>, until: Option<Timespec>) -> bool {
    let one = PollFd::from_borrowed_fd(descriptor, PollFlags::IN);
    poll(&mut [one], until.as_ref()).is_ok_and(|ready| ready > 0)
}

/// Stops this process, as a terminal or a shell wants it: it goes on when it is told to.
fn stop() {
    // It can always be sent to oneself.
    let _ = kill_process(getpid(), Sent::STOP);
}

fn stops(signal: Signal) -> bool {
    [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU].contains(&signal)
}

/// Whether a signal ends a program that has made no arrangements, and is not ignored here.
pub(crate) fn ends(signal: Signal) -> bool {
    let ignored = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
        mask >> (signal as i32 - 1) & 1 == 1
    };
    ![Signal::SIGWINCH, Signal::SIGCONT].contains(&signal) && !ignored()
}
