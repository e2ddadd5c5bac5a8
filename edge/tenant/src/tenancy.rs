//! The lease that a command of `bursar run` lives in: attached, kept, and given back. While the daemon is
//! away the command goes on, and the lease is taken up again when it is back.
use crate::{
    Failed,
    notice::{Notice, watch},
    say::say,
};
use bursar_interface::Fence;
use bursar_wire::{AttachBody, Claim, ClaimAnswer, Client, Failure, FenceBody, PRESSED, RenewBody};
use rustix::{
    io::{Errno, read, retry_on_intr},
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    thread,
    time::{Duration, Instant},
};

/// How long a daemon that went away is waited for, where its answer is needed to go on.
pub(crate) const AWAY_MAX: Duration = Duration::from_secs(30);
/// Between two tries to reach it.
pub(crate) const RETRY: Duration = Duration::from_millis(200);
/// How long everything that was held may take to come back before this command leaves.
const RETURN_MAX: Duration = Duration::from_secs(15);
/// How often it is looked whether it has, where somebody else takes it back.
const RETURN_LOOK: Duration = Duration::from_millis(10);
/// How long the connection of a lease is kept open without a request: short commands need only one, and
/// long ones take up none.
const QUIET_MAX: Duration = Duration::from_secs(1);
/// Between two renewals at least.
const RENEW_MIN: Duration = Duration::from_millis(100);
/// How long the end of a command may go unseen because a renewal has no answer, where one thread does both.
const RENEW_PATIENCE: Duration = Duration::from_secs(1);
/// The ending of a lease that could not be made true.
pub(crate) const UNTRUE: &str = "enforce_failed";
/// How long a command that was stopped, as by Ctrl-Z, keeps its lease: nobody renews meanwhile.
const STOPPED_TTL: &str = "24h";
/// How long it may take to say so before the command is stopped all the same.
const STOPPED_PATIENCE: Duration = Duration::from_secs(2);

/// A lease, and the connection that it is spoken of on.
pub(crate) struct Tenancy {
    /// Where the daemon is.
    pub(crate) socket: PathBuf,
    /// The claim.
    pub(crate) id: u64,
    /// Its token.
    pub(crate) fence: Fence,
    /// What was said of what is taken from it.
    pub(crate) notice: Notice,
    client: Mutex<Client>,
}

impl Tenancy {
    /// The lease of a claim that was granted over `client`.
    pub(crate) fn new(claim: &Claim, client: Client) -> Tenancy {
        let (socket, fence) = (client.path().to_owned(), Fence(claim.fence.unwrap_or(0)));
        Tenancy { socket, id: claim.id, fence, notice: Notice::default(), client: Mutex::new(client) }
    }

    /// Sees to it that a process is inside, which mostly came of the ask; tries as long as that process is
    /// there until the daemon answers. Returns the claim as it is then.
    ///
    /// # Errors
    /// When the lease cannot be made true.
    pub(crate) fn inside(
        &self,
        claim: &Claim,
        pid: u32,
        is_there: impl Fn() -> bool,
    ) -> Result<Claim, Failed> {
        if claim.pids.contains(&pid) {
            return made_true(claim.clone());
        }
        match self.insist("attach", &AttachBody { fence: self.fence, pid }, is_there) {
            Ok(claim) => made_true(claim),
            // It has ended already, and knows why.
            Err(failure @ Failure::Refused(_)) => made_true(self.look().map_err(|_| failure)?),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Renews the lease once; what cannot be told now is told the next time.
    pub(crate) fn renew(&self) {
        let mut client = self.client();
        *client = Client::new(&self.socket).patience(RENEW_PATIENCE);
        let _ = self.post(&mut client, "renew", &RenewBody { fence: self.fence, ttl: None });
        *client = Client::new(&self.socket);
    }

    /// How often a lease that lasts so long without renewal is renewed.
    pub(crate) fn every(ttl: Duration) -> Duration {
        (ttl / 3).max(RENEW_MIN)
    }

    /// Renews three times in every `ttl`, until the lease is lost or `over`.
    pub(crate) fn keep(self: &Arc<Self>, ttl: Duration, over: impl Fn() -> bool + Clone + Send + 'static) {
        let every = Tenancy::every(ttl);
        let quiet = QUIET_MAX.min(every);
        rest(quiet);
        self.hang_up();
        if over() {
            return;
        }
        let (watched, ended) = (self.clone(), over.clone());
        // Without it, renewals tell.
        let _ = thread::Builder::new().name("notice".into()).spawn(move || watch(&watched, ended));
        let mut wait = every - quiet;
        loop {
            rest(wait);
            let mut client = self.client();
            if over() {
                return;
            }
            wait = match self.post(&mut client, "renew", &RenewBody { fence: self.fence, ttl: None }) {
                Ok(claim) => {
                    self.notice.say(&claim);
                    every
                }
                Err(failure) if failure.passes() => RETRY.min(every),
                Err(failure) => {
                    say(format_args!("the lease is lost: {failure}"));
                    return;
                }
            };
            *client = Client::new(&self.socket);
        }
    }

    /// Whether it is the daemon that holds the command still, where the kernel has no freezer: then nobody else
    /// stops.
    pub(crate) fn is_suspended(&self) -> bool {
        let mut client = Client::new(&self.socket).patience(STOPPED_PATIENCE);
        let looked = client.get::<ClaimAnswer>(&format!("/v1/claims/{}", self.id));
        looked.is_ok_and(|answer| {
            answer.claim.taking() == "suspended" || answer.claim.pressed().0 == PRESSED[3]
        })
    }

    /// Keeps the lease of a command that was stopped, as by Ctrl-Z, while this process stops as well:
    /// `stopped` returns when both go on. What cannot be told now cannot be helped.
    pub(crate) fn pause(&self, stopped: impl FnOnce()) {
        // No renewal that is due in this moment makes it short again; one without an answer says that there is none.
        let Some(mut client) = self.client_within(STOPPED_PATIENCE) else { return stopped() };
        *client = Client::new(&self.socket).patience(STOPPED_PATIENCE);
        let ttl = Some(STOPPED_TTL.into());
        let _ = self.post(&mut client, "renew", &RenewBody { fence: self.fence, ttl });
        *client = Client::new(&self.socket).patience(STOPPED_PATIENCE);
        stopped();
        let _ = self.post(&mut client, "renew", &RenewBody { fence: self.fence, ttl: None });
        *client = Client::new(&self.socket);
    }

    /// Gives everything back and waits until it is, as far as that goes; says whether it was taken before
    /// that for another claim.
    pub(crate) fn give_back(&self) -> bool {
        let verb = format!("release?wait={}s", RETURN_MAX.as_secs());
        match self.insist(&verb, &FenceBody { fence: self.fence }, || true) {
            Ok(claim) => self.say_ending(&claim),
            // It was, or is being, taken back before it was given.
            Err(Failure::Refused(_)) => self.taken_back().is_ok_and(|claim| self.say_ending(&claim)),
            Err(failure) => {
                say(format_args!("{failure}; the lease ends by itself"));
                false
            }
        }
    }

    /// The claim once all of it is back, or when that takes too long: why it ended is known only then.
    fn taken_back(&self) -> Result<Claim, Failure> {
        let since = Instant::now();
        loop {
            let claim = self.look()?;
            if claim.phase == "closed" || since.elapsed() > RETURN_MAX {
                return Ok(claim);
            }
            thread::sleep(RETURN_LOOK);
        }
    }

    fn say_ending(&self, claim: &Claim) -> bool {
        let preempted = claim.ending.as_deref() == Some("preempted");
        let evicted = claim.ending.as_deref() == Some("evicted");
        match claim.ending.as_deref() {
            Some("preempted") => {
                say(format_args!(
                    "preempted: the lease was taken for a claim with a better right (claim {})",
                    self.id
                ));
            }
            Some("evicted") => {
                say(format_args!(
                    "memory ran short on the machine, and the lease had to make room (claim {})",
                    self.id
                ));
            }
            Some("over_limit") => say(format_args!("killed for passing its own limit (claim {})", self.id)),
            Some("lease_expired") => say(format_args!("the lease ran out (claim {})", self.id)),
            Some("drained") => say(format_args!("the node was drained (claim {})", self.id)),
            Some("parent_gone") => say(format_args!("the lease around it ended (claim {})", self.id)),
            Some("cancelled") => say(format_args!("the lease was cancelled (claim {})", self.id)),
            _ => {}
        }
        if claim.quarantined {
            say(format_args!("what claim {} held is not proved free yet", self.id));
        }
        preempted || evicted
    }

    /// Tries until the daemon answers, for as long as one that restarts may take and `go_on` says so.
    fn insist(
        &self,
        verb: &str,
        body: &impl serde::Serialize,
        go_on: impl Fn() -> bool,
    ) -> Result<Claim, Failure> {
        let since = Instant::now();
        loop {
            let answer = self.post(&mut self.client(), verb, body);
            match answer {
                Err(failure) if failure.passes() && go_on() && since.elapsed() <= AWAY_MAX => {
                    thread::sleep(RETRY);
                }
                answered => return answered,
            }
        }
    }

    fn post(&self, client: &mut Client, verb: &str, body: &impl serde::Serialize) -> Result<Claim, Failure> {
        let path = format!("/v1/claims/{}/{verb}", self.id);
        client.send::<ClaimAnswer>("POST", &path, body, None).map(|answer| answer.claim)
    }

    /// Whether the lease ended because it could not be made true.
    pub(crate) fn is_untrue(&self) -> bool {
        self.look().is_ok_and(|claim| claim.ending.as_deref() == Some(UNTRUE))
    }

    pub(crate) fn look(&self) -> Result<Claim, Failure> {
        self.client().get::<ClaimAnswer>(&format!("/v1/claims/{}", self.id)).map(|answer| answer.claim)
    }

    fn client(&self) -> MutexGuard<'_, Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, if nobody waits for an answer on it for so long.
    fn client_within(&self, patience: Duration) -> Option<MutexGuard<'_, Client>> {
        let since = Instant::now();
        loop {
            match self.client.try_lock() {
                Ok(client) => return Some(client),
                Err(TryLockError::Poisoned(client)) => return Some(client.into_inner()),
                Err(TryLockError::WouldBlock) if since.elapsed() > patience => return None,
                Err(TryLockError::WouldBlock) => thread::sleep(RETURN_LOOK),
            }
        }
    }

    fn hang_up(&self) {
        *self.client() = Client::new(&self.socket);
    }
}

/// Whether a lease is what its claim says.
fn made_true(claim: Claim) -> Result<Claim, Failed> {
    match claim.phase.as_str() {
        "held" => Ok(claim),
        phase => {
            let ending = claim.ending.as_ref().map(|ending| format!(": {ending}")).unwrap_or_default();
            let told = anyhow::anyhow!("the lease could not be made true; it is {phase}{ending}");
            Err(Failed::from(told).hint("`bursar get events` says more"))
        }
    }
}

/// Sleeps so long by the clock that leases run by: a suspended machine does not stop it, so after one the
/// renewal that is overdue comes at once.
fn rest(time: Duration) {
    if boot_rest(time).is_err() {
        thread::sleep(time);
    }
}

fn boot_rest(time: Duration) -> rustix::io::Result<()> {
    let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)?;
    let never = Timespec { tv_sec: 0, tv_nsec: 0 };
    // Nothing at all would disarm it.
    let time = Timespec::try_from(time.max(Duration::from_nanos(1))).map_err(|_| Errno::INVAL)?;
    let once = Itimerspec { it_interval: never, it_value: time };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once)?;
    retry_on_intr(|| read(&timer, &mut [0_u8; 8])).map(drop)
}
