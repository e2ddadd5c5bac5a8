//! Leases over driven kinds: their drivers make them true, say what is used of them, and take them back; what a driver
//! holds that no lease has is taken back as well.
use super::{
    enforcer::Enforcer,
    holdings::Faults,
    workers::{Answer, Done, Drivers, Job},
};
use bursar_engine::Engine;
use bursar_interface::{
    Amount, ClaimId, Command, Fault, FaultKind, Fence, Holding, Lease, LeaseLine, Proof, Role, Row, Variable,
    bound::AMOUNT_MAX,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    time::{Duration, Instant},
};

/// How long until a driver that could not prove a return is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// The same fault of a driver is written down once in so long.
const SAME_FAULT: Duration = Duration::from_secs(60);

/// Of every so many looks one goes on to ask for what nobody holds.
const RECLAIM_LOOKS: u32 = 5;
/// Pools of one driver that are asked after at once.
const RECLAIM_POOLS: usize = 64;

/// What becomes of a lease that uses more of a driven kind than it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    /// It is a finding.
    Warn,
    /// It is a finding, and the lease ends.
    #[default]
    Stop,
}

/// What is remembered of drivers between two looks.
#[derive(Debug, Default)]
pub struct Seen {
    /// What no lease had at the last look: taken back if no lease has it at the next one either.
    left: BTreeMap<String, BTreeSet<ClaimId>>,
    /// How many looks there were of each driver, and the pool that was asked after last.
    looks: BTreeMap<String, (u32, String)>,
    /// Looks that have not been answered.
    outstanding: BTreeSet<(String, u32)>,
    /// The last fault that was written down, and when.
    told: BTreeMap<String, (String, Instant)>,
}

impl Enforcer {
    /// Drivers that came: those before them keep what they hold.
    pub(super) fn take_on(&mut self, drivers: Drivers) {
        for (name, driver) in drivers {
            if let Err(error) = self.workers.add(name.clone(), driver) {
                tracing::error!(driver = name, %error, "it has no thread; the one before it goes on");
            }
        }
        self.retire();
    }

    /// Lets drivers go that were replaced and hold nothing any more.
    pub(super) fn retire(&mut self) {
        let leases = &self.leases;
        let needed =
            |name: &str, version| leases.values().any(|held| held.versions.get(name) == Some(&version));
        self.workers.retire(needed);
    }

    /// The drivers of a claim's lines, each with the lease as it may see it.
    pub(super) fn driven(&self, claim: ClaimId) -> Vec<(String, Lease)> {
        self.follower.read(|engine| {
            let row = engine.books().claim(claim);
            row.map_or_else(Vec::new, |row| super::held::driven(engine, row))
        })
    }

    pub(super) fn enforce_driven(&mut self, claim: ClaimId) {
        let Some(held) = self.leases.get_mut(&claim) else { return };
        for (driver, lease) in held.driven.clone() {
            held.outstanding += 1;
            let version = held.version(&driver, &self.workers);
            self.workers.give(&driver, version, Job::Enforce(lease));
        }
    }

    /// Once no process is left that could use them, the drivers take their lines back.
    pub(super) fn release_driven(&mut self, claim: ClaimId) {
        let Some(held) = self.leases.get_mut(&claim) else { return };
        held.again = None;
        held.outstanding = held.driven.len();
        for (driver, lease) in held.driven.clone() {
            let version = held.version(&driver, &self.workers);
            self.workers.give(&driver, version, Job::Release(lease));
        }
        match self.leases.get(&claim).is_some_and(|held| held.outstanding == 0) {
            true => self.tell_reclaimed(claim),
            false => self.settle(claim),
        }
    }

    /// A driver has answered.
    pub(super) fn driver_done(&mut self, answer: Answer) {
        let Answer { driver, version, done } = answer;
        self.note_fault(&driver, done.fault());
        match done {
            Done::Enforced(claim, told) => self.driver_enforced(claim, &driver, told),
            Done::Released(claim, told) => self.driver_released(claim, told),
            Done::Looked(told) => {
                self.seen.outstanding.remove(&(driver.clone(), version));
                match told {
                    Ok(holdings) => self.reconcile(&driver, version, &holdings),
                    Err(fault) => tracing::debug!(driver, %fault, "it does not say what it holds"),
                }
            }
            Done::Swept(claim, Ok(proof)) => {
                tracing::warn!(driver, %claim, evidence = proof.evidence, "what no lease had is back");
            }
            Done::Swept(claim, Err(fault)) => {
                tracing::warn!(driver, %claim, %fault, "what no lease has is not back yet");
            }
            Done::Reclaimed(_, Ok(0)) => {}
            Done::Reclaimed(pool, Ok(amount)) => {
                tracing::info!(driver, pool, amount, "nobody held it: it is back")
            }
            Done::Reclaimed(pool, Err(fault)) => {
                tracing::warn!(driver, pool, %fault, "nobody holds it, and it stays")
            }
        }
    }

    fn driver_enforced(&mut self, claim: ClaimId, driver: &str, told: Result<Vec<Variable>, Fault>) {
        let Some(held) = self.leases.get_mut(&claim) else { return };
        held.outstanding = held.outstanding.saturating_sub(1);
        if let Ok(variables) = &told
            && !variables.is_empty()
        {
            let mut kept = self.holdings.kept();
            kept.environment.entry(claim).or_default().insert(driver.to_owned(), variables.clone());
        }
        match told.map(drop) {
            told if held.resizing => self.resize_driven(claim, told),
            Ok(()) => self.tell_enforced(claim),
            // Its holder works on; what cannot be held again is noticed when it is taken back.
            Err(fault) if held.adopted => {
                tracing::warn!(%claim, %fault, "a lease from before the restart is not held by its driver");
                self.tell_enforced(claim);
            }
            Err(fault) => self.mailbox.tell(Command::EnforceFailed { claim, message: fault.to_string() }),
        }
    }

    fn driver_released(&mut self, claim: ClaimId, told: Result<Proof, Fault>) {
        match told {
            Ok(proof) => {
                let Some(held) = self.leases.get_mut(&claim) else { return };
                held.evidence.extend(Some(proof.evidence).filter(|text| !text.is_empty()));
                held.outstanding = held.outstanding.saturating_sub(1);
                if held.outstanding == 0 {
                    self.tell_reclaimed(claim);
                }
            }
            Err(fault) => {
                self.stuck(claim, fault.to_string());
                if let Some(held) = self.leases.get_mut(&claim) {
                    held.outstanding = 0;
                    held.again = Some(Instant::now() + AGAIN);
                }
            }
        }
    }

    /// Asks every driver what it holds; one that has not answered yet is not asked again.
    pub(super) fn look_at_drivers(&mut self) {
        for (driver, version) in self.workers.all() {
            if self.seen.outstanding.insert((driver.to_owned(), version)) {
                self.workers.give(driver, version, Job::Look);
            }
        }
    }

    /// Compares what a driver holds with the leases that there are.
    fn reconcile(&mut self, driver: &str, version: u32, holdings: &[Holding]) {
        for holding in holdings {
            if let Some(used) = holding.used.filter(|_| holding.claim.0 != 0) {
                self.driver_measured(driver, holding, used);
            }
        }
        // What an old version holds is its leases'; all else is the newest one's to see to.
        if self.workers.newest(driver) != Some(version) {
            return;
        }
        let known = |claim: ClaimId| {
            self.leases.contains_key(&claim)
                || self.follower.read(|engine| engine.books().claim(claim).is_some())
        };
        let strange = holdings.iter().filter(|holding| holding.claim.0 != 0 && !known(holding.claim));
        let left: BTreeSet<ClaimId> = strange.map(|holding| holding.claim).collect();
        let before = self.seen.left.insert(driver.to_owned(), left.clone()).unwrap_or_default();
        // A lease that ended between the driver's look and ours is no stranger.
        for &claim in left.intersection(&before) {
            let of_it = holdings.iter().filter(|holding| holding.claim == claim);
            let line = |holding: &Holding| LeaseLine {
                resource: holding.resource.clone(),
                pool: holding.pool.clone(),
                amount: 0,
            };
            let lease = Lease { claim, fence: Fence(0), lines: of_it.map(line).collect(), owner: None };
            self.workers.give(driver, version, Job::Sweep(lease));
        }
        for holding in holdings.iter().filter(|holding| holding.claim.0 == 0) {
            let amount = holding.used.unwrap_or(AMOUNT_MAX);
            self.workers.give(driver, version, Job::Reclaim(holding.pool.clone(), amount));
        }
        self.holdings.kept().left.insert(driver.to_owned(), left);
        self.reclaim_free(driver, version);
    }

    /// Asks a driver, now and then, for what it may hold of what the books say is free: of a daemon that is gone, it
    /// may be. While a lease of its is ending it is not asked, since it may not know that one.
    fn reclaim_free(&mut self, driver: &str, version: u32) {
        let (looks, last) = self.seen.looks.entry(driver.to_owned()).or_default();
        *looks += 1;
        let of_it = |name: &(String, Lease)| name.0 == driver;
        let ending = self.leases.values().any(|held| held.leaving && held.driven.iter().any(of_it));
        if ending || !looks.is_multiple_of(RECLAIM_LOOKS) {
            return;
        }
        let free = self.follower.read(|engine| free(engine, driver));
        // Those behind the last one come next, and after the end it begins anew.
        let after = free.range::<str, _>((Bound::Excluded(last.as_str()), Bound::Unbounded));
        let next: Vec<(String, Amount)> =
            after.take(RECLAIM_POOLS).map(|(pool, amount)| (pool.clone(), *amount)).collect();
        *last = next
            .last()
            .filter(|_| next.len() == RECLAIM_POOLS)
            .map(|(pool, _)| pool.clone())
            .unwrap_or_default();
        for (pool, amount) in next {
            self.workers.give(driver, version, Job::Reclaim(pool, amount));
        }
    }

    /// A lease uses so much of a driven kind; more than it holds is told, and ends it where that is the policy.
    fn driver_measured(&mut self, driver: &str, holding: &Holding, used: Amount) {
        let claim = holding.claim;
        let Some(held) = self.leases.get_mut(&claim).filter(|held| !held.leaving) else { return };
        let mine = held.driven.iter().filter(|(name, _)| name == driver).flat_map(|(_, lease)| &lease.lines);
        let of_it = mine.filter(|line| line.resource == holding.resource && line.pool == holding.pool);
        let most: Amount = of_it.map(|line| line.amount).sum();
        let mut kept = self.holdings.kept();
        kept.used.entry(claim).or_default().insert(holding.resource.clone(), used);
        if used <= most {
            kept.over.remove(&claim);
            return;
        }
        kept.over.insert(claim, (holding.resource.clone(), used, most));
        drop(kept);
        if self.over == Over::Stop && !held.over_limit {
            held.over_limit = true;
            tracing::warn!(%claim, kind = holding.resource, used, held = most, "a lease uses more than it holds: it ends");
            self.mailbox.tell(Command::Cancel { claim });
        }
    }

    /// A driver has failed, or has done better: its own doing is written down.
    fn note_fault(&mut self, driver: &str, fault: Option<&Fault>) {
        let own = fault.filter(|fault| !matches!(fault.kind, FaultKind::Failed | FaultKind::Quarantined));
        let mut kept = self.holdings.kept();
        let Some(fault) = own else {
            // Being quarantined is no better than failing.
            if let (None, Some(faults)) = (fault, kept.faults.get_mut(driver)) {
                faults.cured = true;
            }
            return;
        };
        let faults = kept.faults.entry(driver.to_owned()).or_default();
        *faults = Faults { count: faults.count + 1, last: Some(fault.to_string()), cured: false };
        drop(kept);
        let told = self.seen.told.get(driver);
        let told = told.is_some_and(|(same, at)| *same == fault.message && at.elapsed() < SAME_FAULT);
        if !told {
            self.seen.told.insert(driver.to_owned(), (fault.message.clone(), Instant::now()));
            let fault = fault.clone().by(driver);
            self.mailbox.tell(Command::Faulted { role: Role::Driver, fault });
        }
    }
}

/// What is free of each pool of a driver's kind.
fn free(engine: &Engine, driver: &str) -> BTreeMap<String, Amount> {
    let (books, pools) = (engine.books(), engine.view().pools);
    let Some(kind) = books.resource(driver) else { return BTreeMap::new() };
    let of_kind = |&pool: &usize| pools.id[pool] != 0 && pools.resource[pool] == kind;
    let left = |pool: usize| {
        let taken = pools.reserved[pool] + pools.held[pool] + pools.quarantined[pool];
        let left = pools.capacity[pool].saturating_sub(taken);
        (left > 0).then(|| (books.pool_name(pool as Row).to_owned(), left))
    };
    (0..pools.len()).filter(of_kind).filter_map(left).collect()
}
