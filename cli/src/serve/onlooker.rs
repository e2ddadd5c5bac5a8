//! The onlooker: looks whether somebody waits for what seems to be there while the allocator grants nothing. Then it
//! is written down why each of them waits, and the engine gets a second opinion; where that places what the allocator
//! left, the allocator has a strike and stands among the findings.
use super::{analysis::Found, host::Host};
use bursar_interface::{ClaimId, Command, Decider, Fault, Home, Left, Measure, Reason, Role, Severity, Time};
use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

/// Under which name the findings stand.
const SELF: &str = "onlooker";
/// Between two looks, at least and at most.
const EVERY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// The longest pause between two suspicions of the same that come to nothing, in nanoseconds (5 minutes); it doubles.
const PAUSE_NS_MAX: u64 = 300 * 1_000_000_000;

/// Who looks on, and what it saw last.
pub struct Onlooker {
    host: Arc<Host>,
    /// How long it may be that nothing is granted, in nanoseconds.
    idle_ns: u64,
    decider: Option<Decider>,
    grants: u64,
    /// Since when nothing was granted.
    since: Time,
    /// Faults of this kind that were counted.
    counted: u64,
    /// Who was left when it was suspected last.
    left: Vec<ClaimId>,
    longest_ns: u64,
    /// When it is suspected of the same again at the earliest, and the pause after that.
    again: Time,
    pause_ns: u64,
    /// Whether a finding stands.
    found: bool,
}

impl Onlooker {
    /// An onlooker that becomes suspicious after so long.
    pub fn new(host: Arc<Host>, idle: Duration) -> Onlooker {
        let (idle_ns, since) = (idle.as_nanos() as u64, host.clock.now());
        Onlooker {
            host,
            idle_ns,
            decider: None,
            grants: 0,
            since,
            counted: 0,
            left: Vec::new(),
            longest_ns: 0,
            again: Time(0),
            pause_ns: idle_ns,
            found: false,
        }
    }

    /// Looks until the daemon ends; not at all where no time was set.
    pub fn run(mut self) {
        let every = Duration::from_nanos(self.idle_ns / 4).clamp(EVERY.0, EVERY.1);
        while self.idle_ns > 0 && !self.host.ending.load(Ordering::Acquire) {
            self.look(self.host.clock.now());
            std::thread::park_timeout(every);
        }
    }

    fn look(&mut self, now: Time) {
        let role = Role::Allocator;
        let (decider, grants) =
            self.host.follower.read(|engine| (engine.decider(role).cloned(), engine.grants()));
        let moved = std::mem::replace(&mut self.grants, grants) != grants;
        if self.decider != decider {
            self.decider = decider;
            self.forget(now);
            return self.over(now);
        }
        let Some(decider) = decider else { return };
        if let Some((count, fault)) = self.host.follower.idled(role)
            && count > self.counted
        {
            self.counted = count;
            self.forget(now);
            return self.blame(now, &decider, fault, count);
        }
        let asked = decider.home != Home::Linked && !self.is_quarantined(&decider);
        if moved {
            self.forget(now);
            if asked {
                // Of one that is not asked, others' grants say nothing.
                self.over(now);
            }
        } else if asked && now.0.saturating_sub(self.since.0) >= self.idle_ns {
            self.suspect(now, role);
        }
    }

    /// From here on it is looked anew.
    fn forget(&mut self, now: Time) {
        (self.since, self.again, self.pause_ns) = (now, now, self.idle_ns);
        self.left.clear();
    }

    /// Tells the engine who is left, if anybody is.
    fn suspect(&mut self, now: Time, role: Role) {
        let left = self.host.follower.read(|engine| engine.left_waiting(now, self.idle_ns));
        if left.is_empty() {
            return;
        }
        let claims: Vec<ClaimId> = left.iter().map(|left| left.claim).collect();
        if claims != self.left {
            (self.left, self.again, self.pause_ns) = (claims, now, self.idle_ns);
        }
        if now < self.again {
            return;
        }
        self.again = now.after(self.pause_ns);
        self.pause_ns = self.pause_ns.saturating_mul(2).min(PAUSE_NS_MAX);
        self.longest_ns = left.iter().map(|left| left.waited_ns).max().unwrap_or(0);
        for Left { claim, reason, waited_ns } in &left {
            let (reason, waited) = (reason.map_or("unknown", Reason::name), Duration::from_nanos(*waited_ns));
            tracing::info!(%claim, reason, ?waited, "it waits though there seems to be room");
        }
        self.host.mailbox.tell(Command::Suspect { role, left });
    }

    /// It left waiting what fitted.
    fn blame(&mut self, now: Time, decider: &Decider, fault: Fault, times: u64) {
        let loader = self.host.loader.lock().unwrap_or_else(PoisonError::into_inner);
        // Of what is linked in nobody counts strikes.
        let fault = loader.blame(Role::Allocator, &decider.plugin, fault.clone()).unwrap_or(fault);
        drop(loader);
        tracing::warn!(plugin = decider.plugin, %fault, "a strategy left waiting what fits");
        let number = |name: &str, value| Measure { name: name.into(), value };
        let found = Found {
            kind: "idle-strategy".into(),
            subject: format!("allocator {}", decider.plugin),
            severity: Severity::Warning,
            evidence: vec![number("times", times), number("longest_wait_ms", self.longest_ns / 1_000_000)],
            advice: "it placed nothing where the default did: `bursar get events` tells which claims, and \
                     `bursar strategy rollback allocator` lets whoever decided before decide again"
                .into(),
            scope: None,
        };
        self.found = true;
        self.note(now, vec![found]);
    }

    /// Nothing is to be said of it any more.
    fn over(&mut self, now: Time) {
        if std::mem::replace(&mut self.found, false) {
            self.note(now, Vec::new());
        }
    }

    fn note(&self, now: Time, found: Vec<Found>) {
        let noted = self.host.board.found(SELF, now, found);
        if !noted.is_empty() {
            self.host.mailbox.tell(Command::Find(noted));
        }
    }

    fn is_quarantined(&self, decider: &Decider) -> bool {
        let loader = self.host.loader.lock().unwrap_or_else(PoisonError::into_inner);
        loader.is_quarantined(Role::Allocator, &decider.plugin)
    }
}
