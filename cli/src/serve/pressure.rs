//! The pressure's thread: looks how much memory leases use and the machine has left, says how much may be promised, and
//! does what the ladder says when it runs short. It reads and acts; what is to be done is decided in `monitor`.
use super::{
    analysis::{Board, Found},
    census::{Census, LeaseSeen, MEMORY, PoolSeen},
    clock::Clock,
    edges::Edges,
    errands::Errands,
    follower::Follower,
    gauges::Gauges,
    mail::Mailbox,
    memory::Memory,
    settings::Settings,
    strained::Now,
    supply::node_name,
};
use anyhow::Result;
use bursar_enforce::{Headroom, Hierarchy};
use bursar_interface::{
    ClaimId, Class, Command, Decider, Gauge, Home, Measure, Offer, Phase, Severity, Step, Time,
};
use bursar_monitor::{
    Admission, Deed, Followed, Holder, Ladder, Level, Means, Own, OwnUse, Rings, Share, Strain, Supply,
    worth_telling,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Under which name it speaks.
const SELF: &str = "memory";
/// What a lease uses on average is known when it has been looked at for so long, in nanoseconds (20 s).
const YOUNG_NS: u64 = 20_000_000_000;

/// What it needs of the daemon.
pub struct Parts {
    /// Where leases' cells are.
    pub hierarchy: Arc<Hierarchy>,
    /// What is committed.
    pub follower: Arc<Follower>,
    /// The way to the desk.
    pub mailbox: Mailbox,
    /// What leases use.
    pub gauges: Arc<Gauges>,
    /// Engine time.
    pub clock: Clock,
    /// What stands.
    pub board: Arc<Board>,
    /// The way to the enforcer.
    pub edges: Edges,
    /// Samples, which can be dropped.
    pub rings: Arc<Mutex<Rings>>,
}

/// The thread.
pub struct Pressure {
    pub(super) parts: Parts,
    node: String,
    headroom: Headroom,
    admission: Admission,
    /// The rule of the strategy that the config names for memory here, which then decides what is promised.
    named: Option<Option<Offer>>,
    ladder: Ladder,
    acts: bool,
    own: Own,
    pub(super) errands: Errands,
    pub(super) callback: Option<String>,
    pub(super) collectors: [Option<String>; 3],
    pub(super) grace_ns: u64,
    /// Who has to make room: how, and what it was seen to use last.
    pub(super) leaving: BTreeMap<ClaimId, (Step, u64)>,
    /// How short it is.
    pub(super) strain: (u64, u64),
}

/// Starts the thread, and says what is set about memory and does nothing yet.
pub fn start(
    parts: Parts,
    settings: &Settings,
    every: Duration,
    ending: &Arc<AtomicBool>,
) -> Result<JoinHandle<()>> {
    for (key, why) in settings.memory.idle_keys() {
        tracing::warn!(key, why, "it is set");
    }
    if let Err(error) = bursar_enforce::spare_self() {
        tracing::warn!(%error, "when memory runs out the kernel may end this daemon as soon as others");
    }
    let by_strategy = settings.node.sharing.contains_key(MEMORY);
    let pressure = Pressure::new(parts, &settings.memory, node_name(settings), by_strategy)?;
    let ending = ending.clone();
    super::thread("pressure", move || pressure.run(every, &ending))
}

impl Pressure {
    /// As the config says.
    ///
    /// # Errors
    /// Names the key that is wrong.
    pub fn new(parts: Parts, memory: &Memory, node: String, by_strategy: bool) -> Result<Pressure> {
        let collectors = memory.collectors()?;
        let (thresholds, grace_ns) = (memory.thresholds()?, memory.grace()?.as_nanos() as u64);
        let collects = [0, 1, 2].map(|class: usize| collectors[class].is_some());
        let hierarchy = &parts.hierarchy;
        let missing = [
            (Step::Reclaim, hierarchy.cannot_drop_files()),
            (Step::Slow, hierarchy.cannot_slow()),
            (Step::Collect, (collects == [false; 3]).then_some("no command is set in [memory.gc]")),
        ];
        let missing = missing.into_iter().filter_map(|(step, why)| Some((step, why?.to_owned()))).collect();
        let means = Means { missing, collects, kills_per_minute: memory.kills_per_minute as usize, grace_ns };
        let now = parts.follower.read(|engine| Census::take(engine, &node));
        let named = by_strategy.then(|| now.pool.and_then(|pool| pool.offer));
        Ok(Pressure {
            parts,
            node,
            headroom: Headroom::detect(),
            admission: memory.admission(),
            named,
            ladder: Ladder::new(thresholds, means),
            acts: memory.ladder,
            own: Own::new(thresholds, collects),
            errands: Errands::default(),
            callback: Some(memory.callback.clone()).filter(|command| !command.is_empty()),
            collectors,
            grace_ns,
            leaving: BTreeMap::new(),
            strain: (0, 0),
        })
    }

    /// Looks until the daemon ends.
    pub fn run(mut self, every: Duration, ending: &AtomicBool) {
        while !ending.load(Ordering::Acquire) {
            self.look();
            std::thread::park_timeout(every);
        }
    }

    fn look(&mut self) {
        let now = self.parts.clock.now();
        let census = self.parts.follower.read(|engine| Census::take(engine, &self.node));
        let seen: BTreeMap<ClaimId, (Gauge, Share)> = self.parts.gauges.followed(|live| {
            let leases = census.leases.iter();
            leases
                .filter_map(|lease| Some((lease.claim, measured(lease, live.get(&lease.claim)?)?)))
                .collect()
        });
        let shares: Vec<Share> = census.leases.iter().map(|lease| share(lease, &seen)).collect();
        let of_pool = || census.leases.iter().filter(|lease| lease.limit > 0);
        let known = |lease: &LeaseSeen| seen.get(&lease.claim).map(|(gauge, _)| kept(gauge));
        let used: u64 = of_pool().map(|lease| known(lease).unwrap_or(lease.limit)).sum();
        let machine = self.headroom.look();
        // What was not seen is no reason to take anything from anybody.
        let seen_used: u64 = of_pool().filter_map(known).sum();
        self.strain = machine.map_or((seen_used, u64::MAX), |memory| (memory.used(), memory.total));
        if let Some(pool) = census.pool.as_ref().filter(|pool| pool.promised > pool.capacity) {
            self.strain = shorter(self.strain, (seen_used, pool.capacity));
        }
        let deeds = self.decide(now, &census, &seen);
        self.act(now, &census, &seen, deeds);
        if let Some(pool) = &census.pool {
            let headroom = machine.map(|memory| memory.available);
            let stopped = self.acts && self.ladder.is_stopped();
            let (capacity, promised) = (pool.capacity, pool.promised);
            self.offer(
                pool,
                &Supply { capacity, headroom, used, promised, shares: &shares, stopped },
                census.keeps,
            );
        }
        self.tell(now);
    }

    /// What is to be done, by all of it and by each lease's own limit.
    fn decide(&mut self, now: Time, census: &Census, seen: &BTreeMap<ClaimId, (Gauge, Share)>) -> Vec<Deed> {
        let lives = census.leases.iter().filter(|lease| lease.phase == Phase::Held);
        let lives: Vec<(&LeaseSeen, &Gauge)> =
            lives.filter_map(|lease| Some((lease, &seen.get(&lease.claim)?.0))).collect();
        let awaited = self.awaited(&lives);
        let holders: Vec<Holder> =
            lives.iter().map(|(lease, gauge)| holder(lease, gauge, awaited.contains(&lease.claim))).collect();
        let (used, there) = self.strain;
        let mut deeds = self.ladder.look(&Strain { at: now, used, there, holders: &holders });
        if !self.acts {
            deeds.clear();
        }
        let own: Vec<OwnUse> = lives
            .iter()
            .filter(|(lease, _)| lease.limit > 0)
            .map(|(lease, gauge)| OwnUse {
                claim: lease.claim,
                class: lease.class,
                limit: lease.limit,
                used: kept(gauge),
                stalled_milli: gauge.memory_pressure_milli,
            })
            .collect();
        deeds.extend(self.own.look(now, &own));
        deeds
    }

    /// The leases that hold what others wait for: a lock, a port, a device, a lock on a file. Only looked for while it
    /// is short.
    fn awaited(&self, lives: &[(&LeaseSeen, &Gauge)]) -> BTreeSet<ClaimId> {
        if self.ladder.level() < Level::Short {
            return BTreeSet::new();
        }
        let files = super::between_leases(&self.parts.hierarchy).into_iter().map(|(_, holder)| holder);
        let mut awaited: BTreeSet<ClaimId> = files.collect();
        self.parts.follower.read(|engine| {
            let claims = lives.iter().map(|(lease, _)| lease.claim);
            awaited.extend(claims.filter(|&claim| engine.is_awaited(claim)));
            // Who lives within a lease is held still with it.
            let around: Vec<ClaimId> =
                awaited.iter().flat_map(|&claim| engine.books().around(claim).last()).collect();
            awaited.extend(around);
        });
        awaited
    }

    /// Says how much may be promised, if that has changed by enough to be worth it.
    fn offer(&self, pool: &PoolSeen, supply: &Supply<'_>, keeps: bool) {
        let next = match self.named {
            // Whatever the strategy said; while nobody is let in, no more than is promised.
            Some(rule) if supply.stopped => {
                let rule = rule.unwrap_or(Offer::plain(pool.capacity));
                let offered = rule.offered.min(pool.promised);
                Some(Offer { offered, firm: rule.firm.min(offered), ..rule })
            }
            Some(rule) => rule,
            None => self.parts.gauges.learned(|multiplex| self.admission.offer(supply, multiplex)),
        };
        // What others are giving back for somebody who waits is that one's.
        let owed = supply.stopped && keeps;
        if owed || !worth_telling(pool.capacity, pool.offer.as_ref(), next.as_ref(), supply.stopped) {
            return;
        }
        let by = Decider { plugin: SELF.into(), home: Home::Linked };
        let (resource, node, name) = (MEMORY.into(), Some(self.node.clone()), pool.name.clone());
        self.parts.mailbox.tell(Command::Share { resource, node, pool: name, offer: next, by, fault: None });
    }

    /// Has it shown how short it is.
    fn tell(&self, now: Time) {
        let ((used, there), level) = (self.strain, self.ladder.level());
        let stopped = self.acts && self.ladder.is_stopped();
        self.parts.gauges.strained.set(Now { level: level.name(), used, there, stopped });
        let severity = match level {
            Level::Calm => None,
            Level::Pressed => Some(Severity::Notice),
            Level::Short => Some(Severity::Warning),
            Level::Critical => Some(Severity::Critical),
        };
        let advice = "memory runs short: run fewer at once, ask for less, or end what runs outside of leases";
        let found = severity.map(|severity| Found {
            kind: SELF.into(),
            subject: "host".into(),
            severity,
            evidence: vec![
                Measure { name: "used_bytes".into(), value: used },
                Measure { name: "there_bytes".into(), value: there },
            ],
            advice: advice.into(),
            scope: None,
        });
        let noted = self.parts.board.found(SELF, now, found.into_iter().collect());
        if !noted.is_empty() {
            self.parts.mailbox.tell(Command::Find(noted));
        }
    }
}

/// Whichever of two is nearer to its end.
fn shorter(a: (u64, u64), b: (u64, u64)) -> (u64, u64) {
    let part = |(used, there): (u64, u64)| u128::from(used) * 1000 / u128::from(there.max(1));
    if part(b) > part(a) { b } else { a }
}

/// What a lease uses that cannot simply be dropped.
pub(super) fn kept(gauge: &Gauge) -> u64 {
    gauge.anonymous.or(gauge.memory).unwrap_or(0)
}

/// What was seen of a lease, and what that comes to; `None` before the first look.
fn measured(lease: &LeaseSeen, followed: &Followed) -> Option<(Gauge, Share)> {
    let gauge = followed.newest()?;
    gauge.anonymous.or(gauge.memory)?;
    Some((*gauge, followed.share(lease.limit, YOUNG_NS, false)))
}

/// What a lease counts for: those who insist, who live outside of their cell, or who leave, with all they asked for.
fn share(lease: &LeaseSeen, seen: &BTreeMap<ClaimId, (Gauge, Share)>) -> Share {
    let asked = lease.limit;
    let all = Share { asked, mean: Some(asked), deviation: 0, peak: asked };
    match (lease.class, lease.phase) {
        (Class::Guaranteed, _) | (_, Phase::Draining) => all,
        (_, Phase::Reserved) => Share { asked, ..Share::default() },
        _ if lease.bodies.is_empty() => all,
        _ => seen.get(&lease.claim).map_or(Share { asked, ..Share::default() }, |(_, share)| *share),
    }
}

fn holder(lease: &LeaseSeen, gauge: &Gauge, awaited: bool) -> Holder {
    let used = kept(gauge);
    Holder {
        claim: lease.claim,
        class: lease.class,
        priority: lease.priority,
        granted_at: lease.granted_at,
        soft: lease.soft,
        used,
        files: gauge.memory.unwrap_or(0).saturating_sub(used),
        waited_for: awaited,
    }
}
