//! What clients of the world ask for.
use super::{SECOND, World};
use crate::{sizes, spent};
use bursar_interface::{Ask, ClaimId, Class, Gang, LineAsk, Principal, Process, Used, Within};

/// Scopes below a client's root that claims are asked for.
const SCOPES: [&str; 4] = ["", "x", "x/y", "z"];
/// How long the patient wait, in seconds at most.
const PATIENT_S: u64 = 3600;
/// How long they wait who want more than they have, in seconds at most: nothing is kept for these.
const MORE_S: u64 = 25;
/// How long a lease lasts at most, in seconds.
pub(super) const TTL_S: u64 = 30;

impl World {
    /// An ask, which is mostly the one of before where its key was used.
    pub(super) fn ask(&mut self) -> Ask {
        let mut ask = self.fresh();
        let Some(key) = ask.key.clone() else { return ask };
        if let Some(before) = self.keyed.get(&key).filter(|_| self.random.chance(3, 4)) {
            let (wait_ns, ttl_ns) = (ask.wait_ns, ask.ttl_ns);
            ask = Ask { wait_ns, ttl_ns, ..before.clone() };
        }
        self.keyed.insert(key, ask.clone());
        ask
    }

    fn fresh(&mut self) -> Ask {
        let wait_ns = match self.random.below(8) {
            0..4 => 0,
            4..6 => self.random.below(20 * SECOND),
            _ => self.random.below(PATIENT_S * SECOND),
        };
        let gang = self.random.chance(1, 5).then(|| {
            let (name, size) = *self.random.pick(&[("pair", 2), ("crew", 3)]);
            Gang { name: name.into(), size }
        });
        let within = if gang.is_some() { Within::Pools } else { self.within() };
        // Who waits for others has to have some patience.
        let wait_ns = if gang.is_some() { wait_ns + 20 * SECOND } else { wait_ns };
        let alternatives = match within {
            Within::Own if gang.is_none() => sizes::alternatives(&mut self.random),
            _ => Vec::new(),
        };
        let holding = if gang.is_none() { self.holding() } else { Vec::new() };
        Ask {
            key: self.random.chance(1, 5).then(|| format!("key-{}", self.random.below(40))),
            scope: (*self.random.pick(&SCOPES)).into(),
            class: *self.random.pick(&[Class::Guaranteed, Class::Burstable, Class::BestEffort]),
            priority: self.random.below(3) as u32,
            wait_ns,
            ttl_ns: 1 + self.random.below(TTL_S * SECOND),
            expect_ns: self.random.below(2) * self.random.below(30 * SECOND),
            lines: self.lines(),
            need: Vec::new(),
            bar: Vec::new(),
            apart: self.random.chance(1, 10).then(|| "apart".into()),
            alternatives,
            within,
            gang,
            holding,
        }
    }

    /// A lock, for whoever has a lease and keeps it meanwhile.
    pub(super) fn more(&mut self, lease: ClaimId) -> Ask {
        let pool = Some(format!("lock-{}", self.random.below(3)));
        let line = LineAsk { resource: "lock".into(), amount: 1, pool, whole: true, ..LineAsk::default() };
        Ask {
            class: *self.random.pick(&[Class::Guaranteed, Class::Burstable, Class::BestEffort]),
            wait_ns: self.random.below(MORE_S * SECOND),
            ttl_ns: 1 + self.random.below(TTL_S * SECOND),
            lines: vec![line],
            within: Within::Pools,
            holding: vec![lease],
            ..Ask::default()
        }
    }

    /// A part of what a lease may spend.
    pub(super) fn part(&mut self, lease: ClaimId) -> Ask {
        let (resource, amount) = (self.spent_by(lease), 1 + self.random.below(30));
        Ask {
            scope: (*self.random.pick(&SCOPES)).into(),
            wait_ns: self.random.below(2) * self.random.below(20 * SECOND),
            ttl_ns: 1 + self.random.below(TTL_S * SECOND),
            lines: vec![LineAsk { resource, amount, ..LineAsk::default() }],
            within: Within::Lease(lease, None),
            ..Ask::default()
        }
    }

    /// A kind that a lease spends; any, where it spends nothing.
    fn spent_by(&mut self, lease: ClaimId) -> String {
        let kinds = spent::of(&self.engine, lease);
        (*self.random.pick(if kinds.is_empty() { &[spent::RATE, spent::BUDGET] } else { &kinds })).into()
    }

    /// What a lease used of a kind that it spends: more than it said, now and then.
    pub(super) fn used_of(&mut self, lease: ClaimId) -> Used {
        let resource = self.spent_by(lease);
        let amount = self.random.below(2) * self.random.below(50);
        Used { resource, pool: None, amount }
    }

    fn lines(&mut self) -> Vec<LineAsk> {
        let line =
            |resource: &str, amount| LineAsk { resource: resource.into(), amount, ..LineAsk::default() };
        let mut lines = Vec::new();
        for (resource, most) in [("cpu", 5000), ("memory", 20_000), ("gpu", 2500)] {
            if self.random.chance(1, 2) {
                let amount = self.random.below(most);
                let soft =
                    (resource == "memory" && self.random.chance(1, 4)).then(|| self.random.below(most));
                lines.push(LineAsk { soft, ..line(resource, amount) });
            }
        }
        for resource in [spent::RATE, spent::BUDGET] {
            if self.random.chance(1, 6) {
                lines.push(line(resource, 1 + self.random.below(40)));
            }
        }
        if self.random.chance(1, 4) {
            let (pool, whole) = (Some(format!("lock-{}", self.random.below(3))), self.random.chance(1, 2));
            lines.push(LineAsk { pool, whole, ..line("lock", 1) });
        }
        if self.random.chance(1, 6) {
            let pool = Some((8000 + self.random.below(3)).to_string());
            lines.push(LineAsk { pool, ..line("port", 1) });
        }
        lines
    }

    pub(super) fn used(&mut self) -> Used {
        let (resource, most) =
            *self.random.pick(&[("memory", 1 << 34), (spent::RATE, 60), (spent::BUDGET, 60)]);
        Used { resource: resource.into(), pool: None, amount: self.random.below(most) }
    }

    pub(super) fn somebody(&mut self) -> Principal {
        if self.random.chance(1, 4)
            && let Some((within, root)) = self.lease()
        {
            return Principal { uid: 1, admin: false, root, within: Some(within) };
        }
        let root = *self.random.pick(&["", "a", "a", "b", "b/c"]);
        Principal { uid: 1, admin: root.is_empty(), root: root.into(), within: None }
    }

    /// A claim in which somebody could live, and its scope.
    fn lease(&mut self) -> Option<(ClaimId, String)> {
        let to = *self.random.pick(&Some(self.live()).filter(|live| !live.is_empty())?);
        let books = self.engine.books();
        let scope = books.tables().claims.scope[books.claim(to.claim)? as usize];
        Some((to.claim, books.scope_path(scope).to_string()))
    }

    fn within(&mut self) -> Within {
        match self.random.below(12) {
            0 => Within::Pools,
            1 | 2 => self.lease().map_or(Within::Own, |(claim, _)| Within::Lease(claim, None)),
            _ => Within::Own,
        }
    }

    /// Leases that one says to hold while asking.
    fn holding(&mut self) -> Vec<ClaimId> {
        let most = if self.random.chance(1, 6) { 1 + self.random.below(2) } else { 0 };
        (0..most).filter_map(|_| self.lease()).map(|(claim, _)| claim).collect()
    }

    pub(super) fn process(&mut self) -> Process {
        Process {
            pid: self.random.below(1000) as u32 + 2,
            started: self.random.word() >> 40,
            boot: self.boot(),
        }
    }
}
