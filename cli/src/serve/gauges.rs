//! The gauges' thread: looks at every lease that has processes, again and again, and says what it uses, whether
//! its memory leaks, and whether it still does anything.
use super::{clock::Clock, follower::Follower, learned::Learned, liveness::Watchman, strained::Strained};
use bursar_enforce::{Dial, Hierarchy};
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
/// Leases that are looked at all over in one round; of the others only what moves fast is read.
const ALL_OVER_MAX: usize = 64;
/// One in so many of the files that this process may open may stay open for looking.
const FILES_PART: u64 = 8;

/// What is seen of the leases that have processes.
#[derive(Debug, Default)]
pub struct Gauges {
    live: Mutex<BTreeMap<ClaimId, Followed>>,
    /// Rounds so far, and the processor time that they took, in nanoseconds.
    rounds: AtomicU64,
    cost_ns: AtomicU64,
    /// What leases that are gone used of what they asked for.
    multiplex: Mutex<Multiplex>,
    /// What was done because memory ran short.
    pub strained: Strained,
}

/// A lease that is looked at.
struct Watched {
    dial: Dial,
    /// How many attached processes are known of it.
    bodies: usize,
    /// The round in which it was there last.
    round: u64,
}

/// All leases that have processes, as they are looked at.
#[derive(Default)]
struct Rounds {
    watched: BTreeMap<ClaimId, Watched>,
    round: u64,
    /// Of how many leases files stay open.
    kept_open: u64,
}

impl Gauges {
    /// Of nobody yet, with what was learned before.
    pub fn knowing(multiplex: Multiplex) -> Gauges {
        Gauges { multiplex: Mutex::new(multiplex), ..Gauges::default() }
    }

    /// Looks until the daemon ends, every so often.
    pub fn run(
        &self,
        hierarchy: &Arc<Hierarchy>,
        follower: &Follower,
        clock: &Clock,
        every: Duration,
        (watchman, learned): (&mut Watchman, &mut Learned),
        ending: &AtomicBool,
    ) {
        let mut rounds = Rounds::default();
        while !ending.load(Ordering::Acquire) {
            let before = thread_time();
            rounds.find(hierarchy, follower);
            self.forget_gone(follower, &rounds);
            self.round(clock, &mut rounds);
            watchman.look(self, clock.now());
            learned.keep(self.learned(Multiplex::sums), false);
            let cost = thread_time().saturating_sub(before);
            self.rounds.fetch_add(1, Ordering::Relaxed);
            self.cost_ns.fetch_add(cost.as_nanos() as u64, Ordering::Relaxed);
            std::thread::park_timeout(every.max(cost * COST));
        }
        learned.keep(self.learned(Multiplex::sums), true);
    }

    /// Forgets the leases that are gone. One that is being taken back is not: what was seen of it is part of what it is
    /// said to have used in the end ([`Gauges::end`]).
    fn forget_gone(&self, follower: &Follower, rounds: &Rounds) {
        let left = |claim: &&ClaimId| !rounds.watched.contains_key(*claim);
        let left: Vec<ClaimId> = self.live().keys().filter(left).copied().collect();
        if !left.is_empty() {
            let there = |claim: &ClaimId| follower.read(|engine| engine.books().claim(*claim).is_some());
            left.into_iter().filter(|claim| !there(claim)).for_each(|claim| {
                self.live().remove(&claim);
            });
        }
    }

    fn round(&self, clock: &Clock, rounds: &mut Rounds) {
        let turns = (rounds.watched.len() / ALL_OVER_MAX) as u64 + 1;
        let turn = rounds.round % turns;
        for (place, (&claim, watched)) in rounds.watched.iter_mut().enumerate() {
            // One that was never looked at has its turn at once.
            let is_new = !self.live().contains_key(&claim);
            let gauge = watched.dial.look(is_new || place as u64 % turns == turn);
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

impl Rounds {
    /// Finds the leases that have processes and are not yet being taken back.
    fn find(&mut self, hierarchy: &Arc<Hierarchy>, follower: &Follower) {
        self.round += 1;
        let (round, known) = (self.round, &mut self.watched);
        let news: Vec<(ClaimId, Vec<ClaimId>, Vec<Process>)> = follower.read(|engine| {
            let (view, books) = (engine.view(), engine.books());
            let rows = (0..view.claims.len() as Row).filter(|&row| view.claims.id[row as usize] != 0);
            let held = rows.filter(|&row| books.phase(row) == Phase::Held);
            held.filter_map(|row| {
                let claim = ClaimId(view.claims.id[row as usize]);
                let bodies = engine.bodies(claim);
                if bodies.is_empty() {
                    return None;
                }
                if let Some(watched) = known.get_mut(&claim) {
                    watched.round = round;
                    if watched.bodies == bodies.len() {
                        return None;
                    }
                }
                let mut path: Vec<ClaimId> = books.around(claim).collect();
                path.reverse();
                Some((claim, path, bodies.to_vec()))
            })
            .collect()
        });
        self.forget();
        for (claim, path, bodies) in news {
            let watched = self.watched.entry(claim).or_insert_with(|| {
                let stays = (self.kept_open + 1) * Dial::FILES as u64 <= files_kept();
                self.kept_open += u64::from(stays);
                Watched { dial: Dial::new(hierarchy.cell_at(&path), stays), bodies: 0, round }
            });
            watched.dial.remember(&bodies);
            watched.bodies = bodies.len();
        }
    }

    /// Lets go of those that are gone.
    fn forget(&mut self) {
        let (round, kept_open) = (self.round, &mut self.kept_open);
        self.watched.retain(|_, watched| {
            let goes = watched.round != round;
            *kept_open -= u64::from(goes && watched.dial.stays());
            !goes
        });
    }
}

/// Files that may stay open for looking: the others are connections first of all.
fn files_kept() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX) / FILES_PART
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
