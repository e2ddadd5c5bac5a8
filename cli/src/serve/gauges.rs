//! The gauges' thread: looks at every lease that has processes, again and again, and says what it uses, whether
//! its memory leaks, and whether it still does anything.
use super::{clock::Clock, follower::Follower, liveness::Watchman, strained::Strained};
use bursar_enforce::{Cell, Hierarchy};
use bursar_interface::{ClaimId, Gauge, Phase, Process, Row, Time, Usage};
use bursar_monitor::{Followed, Multiplex};
use bursar_wire as wire;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// Looking may take one part in so many of a core: when there are many leases, it is done less often.
const COST: u32 = 120;

/// What is seen of the leases that have processes.
#[derive(Debug, Default)]
pub struct Gauges {
    live: Mutex<BTreeMap<ClaimId, Followed>>,
    /// Rounds so far, and the processor time that they took, in nanoseconds.
    rounds: AtomicU64,
    cost_ns: AtomicU64,
    /// What leases that are gone used of what they asked for, since the daemon started.
    multiplex: Mutex<Multiplex>,
    /// What was done because memory ran short.
    pub strained: Strained,
}

/// A lease to look at: where it lies, and its attached processes.
type Seen = (Vec<ClaimId>, Vec<Process>);

impl Gauges {
    /// Looks until the daemon ends, every so often.
    pub fn run(
        &self,
        hierarchy: &Arc<Hierarchy>,
        follower: &Follower,
        clock: &Clock,
        every: Duration,
        watchman: &mut Watchman,
        ending: &AtomicBool,
    ) {
        let mut cells: BTreeMap<ClaimId, Cell> = BTreeMap::new();
        while !ending.load(Ordering::Acquire) {
            let before = thread_time();
            self.round(hierarchy, follower, clock, &mut cells);
            watchman.look(self, clock.now());
            let cost = thread_time().saturating_sub(before);
            self.rounds.fetch_add(1, Ordering::Relaxed);
            self.cost_ns.fetch_add(cost.as_nanos() as u64, Ordering::Relaxed);
            std::thread::park_timeout(every.max(cost * COST));
        }
    }

    fn round(
        &self,
        hierarchy: &Arc<Hierarchy>,
        follower: &Follower,
        clock: &Clock,
        cells: &mut BTreeMap<ClaimId, Cell>,
    ) {
        let seen = seen(follower);
        cells.retain(|claim, _| seen.contains_key(claim));
        self.live().retain(|claim, _| seen.contains_key(claim));
        for (claim, (path, bodies)) in seen {
            let cell = cells.entry(claim).or_insert_with(|| hierarchy.cell_at(&path));
            bodies.iter().for_each(|body| cell.remember(body));
            let gauge = cell.gauge();
            self.live().entry(claim).or_default().look(clock.now(), gauge);
        }
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<ClaimId, Followed>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a lease that has processes, and what it used up to now.
    pub fn used(&self, claim: ClaimId, now: Time) -> Option<(Followed, Usage)> {
        let followed = self.live().get(&claim).cloned()?;
        let usage = followed.usage(followed.seen_for(now), None);
        Some((followed, usage))
    }

    /// What all leases that have processes used up to now.
    pub fn all_used(&self, now: Time) -> Vec<(ClaimId, Usage)> {
        let live = self.live();
        live.iter().map(|(&claim, seen)| (claim, seen.usage(seen.seen_for(now), None))).collect()
    }

    /// All of what a lease used that ends now; `last` is a look at its end. Of one that asked for memory it is learned
    /// how much of that such leases use.
    pub fn end(&self, claim: ClaimId, wall_ns: u64, last: Gauge, asked: Option<u64>) -> Usage {
        let followed = self.live().remove(&claim).unwrap_or_default();
        if let Some(asked) = asked {
            self.multiplex().learn(followed.share(asked, 0, true));
        }
        followed.usage(wall_ns, Some(last))
    }

    /// Looks at all that is known of leases that have processes.
    pub fn followed<R>(&self, look: impl FnOnce(&BTreeMap<ClaimId, Followed>) -> R) -> R {
        look(&self.live())
    }

    /// Looks at what was learned of those that are gone.
    pub fn learned<R>(&self, look: impl FnOnce(&Multiplex) -> R) -> R {
        look(&self.multiplex())
    }

    fn multiplex(&self) -> MutexGuard<'_, Multiplex> {
        self.multiplex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The leases that leak, with the bytes a second by which they grow.
    pub fn leaks(&self) -> Vec<(ClaimId, u64)> {
        self.live().iter().filter_map(|(&claim, seen)| Some((claim, seen.leaks()?))).collect()
    }

    /// The leases that have done nothing since then or longer.
    pub fn still_since(&self, then: Time) -> Vec<(ClaimId, Time)> {
        let live = self.live();
        let still = live.iter().filter_map(|(&claim, seen)| Some((claim, seen.still_since()?)));
        still.filter(|(_, since)| *since <= then).collect()
    }

    /// Processor time of one round on average; `None` before the first.
    pub fn cost(&self) -> Option<Duration> {
        let rounds = self.rounds.load(Ordering::Relaxed);
        self.cost_ns.load(Ordering::Relaxed).checked_div(rounds).map(Duration::from_nanos)
    }
}

/// The leases that have processes and are not yet being taken back.
fn seen(follower: &Follower) -> BTreeMap<ClaimId, Seen> {
    follower.read(|engine| {
        let (view, books) = (engine.view(), engine.books());
        let rows = (0..view.claims.len() as Row).filter(|&row| view.claims.id[row as usize] != 0);
        let held = rows.filter(|&row| books.phase(row) == Phase::Held);
        held.filter_map(|row| {
            let claim = ClaimId(view.claims.id[row as usize]);
            let bodies = engine.bodies(claim);
            let mut path: Vec<ClaimId> = books.around(claim).collect();
            path.reverse();
            (!bodies.is_empty()).then(|| (claim, (path, bodies.to_vec())))
        })
        .collect()
    })
}

/// Processor time of this thread so far.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// What looking comes to, for `doctor`.
pub fn gauge_finding(gauges: &Gauges) -> wire::Finding {
    let cost = gauges.cost().map_or("unknown".into(), |cost| format!("{:.1} ms", cost.as_secs_f64() * 1e3));
    let leases = gauges.live().len();
    let detail = format!("{leases} leases are looked at; a round takes {cost} of processor time");
    wire::Finding { what: "gauges".into(), state: "ok".into(), detail, advice: None }
}
