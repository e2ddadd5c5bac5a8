//! The onlooker: looks whether somebody waits for what seems to be there while the allocator grants nothing. Then it
//! is written down why each of them waits, and the engine gets a second opinion; where that places what the allocator
//! left, the allocator has a strike and stands among the findings. The same goes for one that grants and grants, but
//! never to somebody for whom there is room all the time.
use super::{
    analysis::Found,
    host::Host,
    passed::{PAUSE_NS_MAX, Passed},
};
use bursar_interface::{ClaimId, Command, Decider, Fault, Home, Left, Measure, Reason, Role, Severity, Time};
use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

/// Under which name the findings stand.
const SELF: &str = "onlooker";
/// Between two looks, at least and at most.
const EVERY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
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
    /// Whom it places others past.
    passed: Passed,
    /// Whether a finding stands, and until when that others are granted something does not end it.
    found: bool,
    stands_until: Time,
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
            passed: Passed::new(idle_ns),
            found: false,
            stands_until: Time(0),
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
            self.passed.forget();
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
            if asked && now >= self.stands_until {
                // Of one that is not asked, others' grants say nothing.
                self.over(now);
            }
        } else if asked && now.0.saturating_sub(self.since.0) >= self.idle_ns {
            return self.suspect(now, role);
        }
        match asked {
            true => {
                let passed = self.passed.look(&self.host.follower, now);
                if !passed.is_empty() {
                    self.tell(role, passed, true);
                }
            }
            false => self.passed.forget(),
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
        self.tell(role, left, false);
    }

    /// Writes down who is left, and has a second opinion asked for.
    fn tell(&mut self, role: Role, left: Vec<Left>, passed: bool) {
        self.longest_ns = left.iter().map(|left| left.waited_ns).max().unwrap_or(0);
        for Left { claim, reason, waited_ns } in &left {
            let (reason, waited) = (reason.map_or("unknown", Reason::name), Duration::from_nanos(*waited_ns));
            tracing::info!(%claim, reason, ?waited, passed, "it waits though there seems to be room");
        }
        self.host.mailbox.tell(Command::Suspect { role, left, passed });
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
            advice: "it left what the default then placed: `bursar get events` tells which claims, and \
                     `bursar strategy rollback allocator` lets whoever decided before decide again"
                .into(),
            scope: None,
        };
        self.found = true;
        // One that places others goes on doing that.
        self.stands_until = now.after(self.passed.bound_ns().saturating_mul(2));
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
