//! Makes leases true and takes them back: one cell per lease, its drivers, its processes. It hears of what was committed and answers with inputs; it decides nothing.
use super::{
    driven::{Over, Seen},
    edges::Written,
    follower::Follower,
    gauges::Gauges,
    held::{Entering, Held, measured},
    holdings::Holdings,
    mail::Mailbox,
    workers::{Answer, Drivers, Workers},
};
use bursar_enforce::{Exposure, Hierarchy, Limits, Progress, Reclaim, Warmth};
use bursar_interface::{Batch, ClaimId, Class, Command, Fence, Gauge, Process, Proof, What};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

/// How often processes are looked after, and leases measured where the kernel has no groups.
const LOOK: Duration = Duration::from_millis(250);
/// How often a reclaim goes a step on.
const STEP: Duration = Duration::from_millis(20);

/// What the enforcer hears.
pub enum Note {
    /// What is being written down will need these groups.
    Ground(Vec<Ground>, Written),
    /// Something was committed, and the follower has folded it.
    Batch(Arc<Batch>),
    /// A driver has answered.
    Driver(Answer),
    /// Drivers that came while the daemon runs: from here on new leases are theirs.
    Drivers(Drivers),
    /// It is time to compare what is there with what leases have.
    Look,
    /// A cell that no claim has, as the path that leads to it.
    Stray(Vec<ClaimId>),
    /// Memory runs short: a holder is asked to use less.
    Ask(ClaimId),
    /// Memory runs short: a lease's processes are held still, or go on.
    Still(ClaimId, bool),
    /// The daemon ends; what runs goes on.
    End,
}

/// The groups of a lease that is not promised yet.
pub struct Ground {
    /// Whose they are to be; it is within no other.
    pub claim: ClaimId,
    /// What it will be limited to.
    pub limits: Limits,
    /// Who is to live there.
    pub bodies: Vec<Process>,
    /// How firmly it will be promised.
    pub class: Class,
}

impl Note {
    /// Whether what it asks for takes no time worth speaking of. Taking memory away from a lease may.
    pub fn is_quick(&self) -> bool {
        match self {
            Note::Batch(batch) => {
                let slow = |what: &What| matches!(what, What::Resizing { .. } | What::Rung { .. });
                !batch.events.iter().any(|event| slow(&event.what))
            }
            Note::Ground(..) => true,
            _ => false,
        }
    }
}

/// What an enforcer works with.
pub struct Parts {
    /// Where cells are made.
    pub hierarchy: Arc<Hierarchy>,
    /// What leases are there.
    pub follower: Arc<Follower>,
    /// Where it tells what became of them.
    pub mailbox: Mailbox,
    /// Drivers, each by its thread.
    pub workers: Workers,
    /// What leases use, look by look.
    pub gauges: Arc<Gauges>,
    /// What drivers say of leases.
    pub holdings: Arc<Holdings>,
}

/// Everything that is being made true or taken back.
pub struct Enforcer {
    pub(super) hierarchy: Arc<Hierarchy>,
    pub(super) follower: Arc<Follower>,
    pub(super) mailbox: Mailbox,
    pub(super) workers: Workers,
    grace: Duration,
    /// By which attached processes are told that their lease is to end for another claim.
    pub(super) notice: Option<i32>,
    pub(super) leases: BTreeMap<ClaimId, Held>,
    /// Leases that are not promised yet and whose groups are there.
    ground: BTreeMap<ClaimId, Held>,
    /// Leases whose cells are on their way back.
    reclaiming: BTreeSet<ClaimId>,
    /// Cells that belong to no lease.
    pub(super) strays: Vec<Reclaim>,
    looked: Instant,
    /// What leases use, look by look.
    gauges: Arc<Gauges>,
    /// What drivers say of leases.
    pub(super) holdings: Arc<Holdings>,
    /// What was seen of that at the last look.
    pub(super) seen: Seen,
    /// What becomes of a lease that uses more of a driven kind than it holds.
    pub(super) over: Over,
    /// Keeps the next process from waiting for the kernel.
    warmth: Warmth,
}

impl Enforcer {
    /// An enforcer that has adopted what the books say is there, and sweeps away what they do not.
    pub fn new(parts: Parts, grace: Duration, notice: Option<i32>, over: Over) -> Enforcer {
        let Parts { hierarchy, follower, mailbox, workers, gauges, holdings } = parts;
        let (leases, strays, looked) = (BTreeMap::new(), Vec::new(), Instant::now());
        let warmth = Warmth::new(hierarchy.clone());
        let mut enforcer = Enforcer {
            hierarchy,
            follower,
            mailbox,
            workers,
            grace,
            notice,
            leases,
            ground: BTreeMap::new(),
            reclaiming: BTreeSet::new(),
            strays,
            looked,
            gauges,
            holdings,
            seen: Seen::default(),
            over,
            warmth,
        };
        enforcer.adopt();
        enforcer
    }

    /// Does what a note asks for, as far as that goes at once.
    pub fn take(&mut self, note: Note) {
        match note {
            Note::Ground(grounds, written) => self.lay(grounds, &written),
            Note::Batch(batch) => batch.events.iter().for_each(|event| self.hear(&event.what)),
            Note::Driver(done) => self.driver_done(done),
            Note::Drivers(drivers) => self.take_on(drivers),
            Note::Look => self.look_at_drivers(),
            Note::Stray(path) => self.stray(&path),
            Note::Ask(claim) => self.tell_holder(claim),
            Note::Still(claim, still) => self.still(claim, still),
            Note::End => {}
        }
        self.advance();
    }

    /// Goes on with what time brings; returns how long until there is more of that, `None` for never.
    pub fn go_on(&mut self) -> Option<Duration> {
        self.advance();
        self.go_on_freezing();
        self.look();
        self.warmth.stir();
        let freezing = self.leases.values().any(|held| held.freezing.is_some());
        [self.due(), freezing.then_some(STEP)].into_iter().flatten().min()
    }

    /// How long until time brings something because of what was heard at once; `None` for never.
    pub fn due(&self) -> Option<Duration> {
        let reclaiming = !self.strays.is_empty() || !self.reclaiming.is_empty();
        let watching = || self.leases.values().any(|held| !held.watches.is_empty() || held.again.is_some());
        let step = if reclaiming { Some(STEP) } else { watching().then_some(LOOK) };
        [step, self.warmth.due()].into_iter().flatten().min()
    }

    /// Whether the next process that is attached is in at once.
    pub fn is_warm(&self) -> bool {
        self.warmth.is_warm()
    }

    fn hear(&mut self, what: &What) {
        match what {
            What::Granted { claim, .. } => self.granted(*claim),
            What::Attached(claim) => self.attached(*claim),
            What::Resizing { claim, .. } => self.resize(*claim),
            What::Draining { claim, .. } => self.draining(*claim),
            What::Preempting { claim, .. } => self.tell_holder(*claim),
            What::Rung { claim, rung, lines, .. } => self.take_rung(*claim, *rung, lines.is_empty()),
            What::Resumed { claim, .. } => self.resume(*claim),
            What::Closed { claim, .. } => self.closed(*claim),
            _ => {}
        }
    }

    /// The cell of a lease that nobody lived in was only there for those within; they are gone.
    fn closed(&mut self, claim: ClaimId) {
        self.holdings.forget(claim);
        let driven = self.leases.get(&claim).is_some_and(|held| !held.versions.is_empty());
        let empty = self.leases.remove(&claim).filter(|held| !held.is_bodied() && held.cell.is_built());
        self.strays.extend(empty.map(|held| Reclaim::begin(held.cell, Duration::ZERO)));
        if driven {
            self.retire();
        }
    }

    /// Makes the groups of leases that are being written down, while their askers wait for the disk anyway, and puts in
    /// who is to live there once that is in the log: whoever finds them there after this daemon finds the lease as well.
    /// They are not promised yet, so what becomes of nothing is swept away like every cell without a lease. What cannot
    /// be done is tried again, and told of, when it is promised.
    fn lay(&mut self, grounds: Vec<Ground>, written: &Written) {
        // Where there are no groups there is nothing to make, and nothing by which it would be found again.
        if !self.hierarchy.grouped() {
            return;
        }
        for Ground { claim, limits, bodies, class } in grounds {
            let mut cell = self.hierarchy.cell(claim);
            if cell.build(limits).is_ok() {
                let ready = |body: &Process| {
                    let entrance = cell.open(body).ok()?;
                    Some(Entering { entrance, exposure: Exposure::of(body.pid, class) })
                };
                let entering = bodies.iter().filter_map(ready).collect();
                let mut held = Held::new(cell, entering);
                if written.is_so() {
                    let _ = held.take_in(limits, &bodies, class);
                }
                self.ground.insert(claim, held);
            }
        }
    }

    /// The daemon ends: who was put into a lease that was never promised is where its parent is again, and nobody ends it.
    pub fn let_go(&mut self) {
        let never = self.ground.values().flat_map(|held| &held.watches);
        for (body, _) in never {
            if let Err(error) = self.hierarchy.put_back(body.pid) {
                tracing::warn!(pid = body.pid, %error, "it stays in a cell of no lease");
            }
        }
    }

    /// A cell that no lease has, and none had at the look before, is taken away.
    fn stray(&mut self, path: &[ClaimId]) {
        let claim = path.last().copied().unwrap_or_default();
        // Whoever is in one already is in a lease that is in the log, however long the disk takes.
        let promised_next = self.ground.get(&claim).is_some_and(Held::is_bodied);
        let known = self.leases.contains_key(&claim)
            || promised_next
            || self.ground.remove(&claim).is_some()
            || self.follower.read(|engine| engine.books().claim(claim).is_some());
        let under_way = self.strays.iter().any(|stray| stray.claim() == claim);
        if !known && !under_way {
            self.strays.push(Reclaim::begin(self.hierarchy.cell_at(path), Duration::ZERO));
        }
    }

    /// Only leases over driven kinds need anything before a process joins.
    fn granted(&mut self, claim: ClaimId) {
        let driven = self.driven(claim);
        if !driven.is_empty() {
            self.held(claim).driven = driven;
            self.enforce_driven(claim);
        }
    }

    fn attached(&mut self, claim: ClaimId) {
        let entering = self.follower.read(|engine| super::held::entering(engine, claim));
        let Some((limits, bodies, class)) = entering else { return };
        self.held(claim);
        let around = self.build_around(claim);
        let held = self.held(claim);
        // In a cell that somebody lives in, a change of limits is a matter of its own.
        let limits = if held.is_bodied() { held.cell.limits() } else { limits };
        let joined = around.and_then(|()| held.take_in(limits, &bodies, class));
        self.warmth.attached();
        match joined {
            Ok(()) => self.tell_enforced(claim),
            Err(error) => self.mailbox.tell(Command::EnforceFailed { claim, message: error.to_string() }),
        }
    }

    /// Tells that the lease is true, if nothing is outstanding: its asker at once, the desk when it is next at work,
    /// because a daemon that dies meanwhile finds that out anew.
    pub(super) fn tell_enforced(&mut self, claim: ClaimId) {
        if let Some(held) = self.leases.get(&claim).filter(|held| held.outstanding == 0 && !held.leaving) {
            let enforced = Command::Enforced { claim, processes: held.watches.len() as u32 };
            // One that is held by drivers is reserved in the books until then; and where nobody looks after processes,
            // nobody would remember.
            if !held.driven.is_empty() || held.watches.is_empty() {
                return self.mailbox.tell(enforced);
            }
            self.mailbox.mention(enforced);
            self.follower.is_true(claim);
        }
    }

    /// Measures what was used, then takes everything back.
    pub(super) fn draining(&mut self, claim: ClaimId) {
        let left = self.leases.get(&claim).is_some_and(|held| held.leaving);
        if left || self.follower.read(|engine| engine.books().claim(claim).is_none()) {
            return;
        }
        let bodied = self.leases.get(&claim).filter(|held| held.is_bodied());
        let last = bodied.map(|held| held.cell.last_gauge()).unwrap_or_default();
        let used = self.used(claim, last);
        let grace = self.grace;
        let held = self.held(claim);
        held.used = used;
        held.leaving = true;
        held.outstanding = 0;
        held.watches.clear();
        // Groups are about to go, and with them the count.
        held.over_limit |= held.cell.oom_kills().is_some_and(|kills| kills > 0);
        held.reclaim = Some(Reclaim::begin(held.cell.clone(), grace));
        self.reclaiming.insert(claim);
        self.thaw(claim);
    }

    /// Takes a lease back that is being given back, if nothing lives in it; says what is to be told of it, nothing if
    /// it is to go as all others do. What becomes of none of that is found out anew.
    pub fn take_back(&mut self, claim: ClaimId) -> Vec<Command> {
        let is_over = |held: &&mut Held| {
            let still = held.leaving || held.frozen || held.squeezed || !held.driven.is_empty();
            !still && held.all_gone()
        };
        let Some(held) = self.leases.get_mut(&claim).filter(is_over) else { return Vec::new() };
        let last = held.cell.last_gauge();
        // Groups are about to go, and with them the count.
        held.over_limit |= held.cell.oom_kills().is_some_and(|kills| kills > 0);
        let Some(proof) = Reclaim::at_once(&held.cell) else { return Vec::new() };
        let reclaimed = Command::Reclaimed { claim, proof, over_limit: held.over_limit };
        self.used(claim, last).into_iter().chain([reclaimed]).collect()
    }

    /// What a lease that had processes used, as the commands that say so: of what it asked for, and over its life.
    fn used(&self, claim: ClaimId, last: Gauge) -> Vec<Command> {
        let Some(held) = self.leases.get(&claim).filter(|held| held.is_bodied()) else { return Vec::new() };
        let settled = self.follower.read(|engine| {
            let row = engine.books().claim(claim)?;
            let used = measured(engine.books(), row, held, &last);
            let fence = Fence(engine.view().claims.fence[row as usize]);
            (!used.is_empty()).then_some(Command::Settle { claim, fence, used })
        });
        let asked = held.cell.limits().memory_bytes;
        let usage = self.gauges.end(claim, held.lived_ns().unwrap_or(0), last, asked);
        settled.into_iter().chain([Command::Measured { claim, usage }]).collect()
    }

    /// Tells what was used: together with the return, if that is at once, so that one sync does for both.
    pub(super) fn settle(&mut self, claim: ClaimId) {
        if let Some(held) = self.leases.get_mut(&claim) {
            held.used.drain(..).for_each(|used| self.mailbox.tell(used));
        }
    }

    /// Goes on with everything that is being taken back.
    fn advance(&mut self) {
        self.strays.retain_mut(|stray| match stray.advance() {
            Progress::Pending => true,
            Progress::Proved(_) => false,
            Progress::Stuck(why) => {
                tracing::error!(why, "a cell that belongs to no lease cannot be taken away");
                false
            }
        });
        // Those within came after those around them, and go before them.
        let leaving: Vec<ClaimId> = self.reclaiming.iter().rev().copied().collect();
        leaving.into_iter().for_each(|claim| self.advance_one(claim));
    }

    fn advance_one(&mut self, claim: ClaimId) {
        let Some(held) = self.leases.get_mut(&claim) else {
            self.reclaiming.remove(&claim);
            return;
        };
        // Groups are about to go, and with them the count.
        held.over_limit |= held.cell.oom_kills().is_some_and(|kills| kills > 0);
        match held.reclaim.as_mut().map(Reclaim::advance) {
            Some(Progress::Proved(proof)) => {
                held.reclaim = None;
                self.reclaiming.remove(&claim);
                held.evidence.extend(Some(proof.evidence).filter(|_| held.is_bodied()));
                self.release_driven(claim);
            }
            Some(Progress::Stuck(why)) => {
                self.settle(claim);
                self.stuck(claim, why);
            }
            Some(Progress::Pending) => self.settle(claim),
            None => {}
        }
    }

    pub(super) fn tell_reclaimed(&mut self, claim: ClaimId) {
        let Some(held) = self.leases.get_mut(&claim) else { return };
        let proof = Proof { evidence: held.evidence.join("; ") };
        let reclaimed = Command::Reclaimed { claim, proof, over_limit: held.over_limit };
        // At one moment: the asker waits for all of it, and each turn at the desk takes its time.
        let told: Vec<Command> = held.used.drain(..).chain([reclaimed]).collect();
        self.mailbox.tell_all(told);
    }

    pub(super) fn stuck(&mut self, claim: ClaimId, message: String) {
        if let Some(held) = self.leases.get_mut(&claim).filter(|held| !held.told_stuck) {
            held.told_stuck = true;
            self.mailbox.tell(Command::ReclaimFailed { claim, message });
        }
    }

    /// Looks after the processes, a few times a second.
    fn look(&mut self) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        let mut again = Vec::new();
        for (claim, held) in &mut self.leases {
            held.over_limit |= held.cell.sample();
            if !held.leaving && !held.told_gone && held.all_gone() {
                held.told_gone = true;
                self.mailbox.tell(Command::Exited { claim: *claim });
            }
            if held.again.is_some_and(|at| at <= Instant::now()) {
                again.push(*claim);
            }
        }
        again.into_iter().for_each(|claim| self.release_driven(claim));
        self.mailbox.press();
    }

    pub(super) fn held(&mut self, claim: ClaimId) -> &mut Held {
        let (hierarchy, follower) = (&self.hierarchy, &self.follower);
        let (ground, strays) = (&mut self.ground, &mut self.strays);
        self.leases.entry(claim).or_insert_with(|| {
            strays.retain(|stray| stray.claim() != claim);
            if let Some(held) = ground.remove(&claim) {
                return held;
            }
            let mut path: Vec<ClaimId> = follower.read(|engine| engine.books().around(claim).collect());
            path.reverse();
            Held::new(hierarchy.cell_at(&path), Vec::new())
        })
    }

    /// Makes the cells around a claim's, with their limits, though nobody lives in them yet.
    pub(super) fn build_around(&mut self, claim: ClaimId) -> io::Result<()> {
        let mut around: Vec<(ClaimId, Limits)> = self.follower.read(|engine| {
            let books = engine.books();
            let rows = books.around(claim).skip(1).filter_map(|around| Some((around, books.claim(around)?)));
            rows.map(|(around, row)| (around, super::held::limits(engine, row))).collect()
        });
        around.reverse();
        for (i, &(outer, limits)) in around.iter().enumerate() {
            let held = self.held(outer);
            held.cell.enclose();
            around[..i].iter().for_each(|&(_, further)| held.cell.surround(further));
            if !held.cell.is_built() {
                held.cell.build(limits)?;
            }
        }
        if let Some(held) = self.leases.get_mut(&claim) {
            around.iter().for_each(|&(_, limits)| held.cell.surround(limits));
        }
        Ok(())
    }
}
