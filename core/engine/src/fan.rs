//! How far demands may fan out: 188 agents in a minute meet a wall, politely. Every refusal names the bound,
//! where it is set, and when it is worth to ask again.
use crate::{Engine, engine::Tape};
use bursar_interface::{
    ClaimId, FanOut, FanOutSpec, Phase, Principal, Reason, Refusal, Row, Shape, Time, What,
    bound::{AGENT_ASKS_PER_SECOND, AGENT_CHILDREN, AGENT_CLAIMS, AGENT_DEPTH, FAN_SCOPES_MAX, NEST_MAX},
    check_scope,
};
use bursar_pool::{Digest, Flow, Meter};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Nanoseconds in a second.
const SECOND_NS: u64 = 1_000_000_000;
/// Claims that are looked at to say when one of them ends.
const LOOKED_AT_MAX: usize = 256;

/// The bounds, and what they count.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Fan {
    /// What agents get where no scope says otherwise.
    agents: FanOut,
    /// Bounds by scope path.
    scopes: BTreeMap<String, FanOut>,
    /// Claims in flight of scopes whose number is bounded, and of those below them.
    in_flight: BTreeMap<String, BTreeSet<ClaimId>>,
    /// The asks of agents, by the lease that they live in.
    agent_asks: BTreeMap<ClaimId, Meter>,
    /// The asks of everybody else, by the scope that bounds them.
    scope_asks: BTreeMap<String, Meter>,
}

impl Default for Fan {
    fn default() -> Fan {
        let agents = FanOut {
            claims: Some(AGENT_CLAIMS),
            depth: Some(AGENT_DEPTH),
            children: Some(AGENT_CHILDREN),
            asks_per_second: Some(AGENT_ASKS_PER_SECOND),
        };
        let (scopes, in_flight) = (BTreeMap::new(), BTreeMap::new());
        Fan { agents, scopes, in_flight, agent_asks: BTreeMap::new(), scope_asks: BTreeMap::new() }
    }
}

/// A bound, and the scope that sets it; `None` for the agents' own.
type Bound<'a> = (u32, Option<&'a str>);

impl Fan {
    /// The bound that counts for asks in the scope of a path: the nearest scope's, or else the agents' own.
    fn bound<'a>(&'a self, path: &'a str, agent: bool, of: fn(&FanOut) -> Option<u32>) -> Option<Bound<'a>> {
        let mut set = levels(path).filter_map(|level| Some((of(self.scopes.get(level)?)?, Some(level))));
        let own = if agent { of(&self.agents) } else { None };
        set.next().or(own.map(|most| (most, None)))
    }

    pub(crate) fn digest(&self, digest: &mut Digest) {
        let words = |limits: &FanOut| {
            [limits.claims, limits.depth, limits.children, limits.asks_per_second]
                .map(|limit| limit.map_or(u64::MAX, u64::from))
        };
        words(&self.agents).into_iter().for_each(|word| digest.word(word));
        for (path, limits) in &self.scopes {
            digest.text(path);
            words(limits).into_iter().for_each(|word| digest.word(word));
        }
        self.in_flight.values().flatten().for_each(|claim| digest.word(claim.0));
        for meter in self.agent_asks.values().chain(self.scope_asks.values()) {
            [meter.spent, meter.due, meter.rest].into_iter().for_each(|word| digest.word(word));
        }
    }
}

/// A path and those above it, up to the root.
fn levels(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| match path.rsplit_once('/') {
        Some((above, _)) => Some(above),
        None if path.is_empty() => None,
        None => Some(""),
    })
}

/// How asks come back: so many a second, as many at once.
fn flow(per_second: u32) -> Flow {
    Flow { shape: Shape::Rate, capacity: per_second.into(), period: SECOND_NS }
}

fn refusal(what: &str, key: &str, set_by: Option<&str>) -> Refusal {
    let place = match set_by {
        Some(path) => format!("for scope {path:?}"),
        None => "in [limits], or for its scope".into(),
    };
    Refusal::new(Reason::FanOut, what).hint(format!("ask again later, or have {key} raised {place}"))
}

impl Engine {
    /// Refuses what would fan out too far.
    pub(crate) fn check_fan(&self, by: &Principal, parent: Option<Row>, path: &str) -> Result<(), Refusal> {
        let agent = by.within.is_some();
        if parent.is_none() && !agent && self.fan.scopes.is_empty() {
            return Ok(());
        }
        if let Some(row) = parent {
            self.check_nest(ClaimId(self.books.tables().claims.id[row as usize]), agent, path)?;
        }
        self.check_in_flight(by, path)?;
        let Some((most, set_by)) = self.fan.bound(path, agent, |limits| limits.asks_per_second) else {
            return Ok(());
        };
        let meter = self.asks(by, set_by).at(flow(most), self.books.at().0);
        if meter.spent < u64::from(most) {
            return Ok(());
        }
        let ready = meter.ready(flow(most), meter.spent + 1 - u64::from(most));
        let what = format!("{most} asks in a second are taken from here");
        Err(refusal(&what, "asks-per-second", set_by).after(ready.map(|at| at - self.books.at().0)))
    }

    fn check_nest(&self, parent: ClaimId, agent: bool, path: &str) -> Result<(), Refusal> {
        let depth = self.fan.bound(path, agent, |limits| limits.depth);
        let (deepest, set_by) = depth.filter(|(most, _)| *most < NEST_MAX).unwrap_or((NEST_MAX, None));
        let deep = self.books.depth(parent);
        if deep >= deepest {
            let what = format!("claim {parent} is {deep} levels deep, and {deepest} is the most");
            return Err(match deepest < NEST_MAX {
                true => refusal(&what, "max-depth", set_by)
                    .hint(format!("ask from further out, or have max-depth raised to at most {NEST_MAX}")),
                false => Refusal::new(Reason::FanOut, what).hint("ask from further out"),
            });
        }
        let children = self.fan.bound(path, agent, |limits| limits.children);
        let here = self.books.child_count(parent);
        match children.filter(|(most, _)| here >= *most as usize) {
            None => Ok(()),
            Some((most, set_by)) => {
                let what = format!("{most} claims are within claim {parent} already");
                let retry = self.first_end(self.books.children(parent));
                Err(refusal(&what, "max-children", set_by).after(retry))
            }
        }
    }

    fn check_in_flight(&self, by: &Principal, path: &str) -> Result<(), Refusal> {
        for level in levels(path) {
            let most = self.fan.scopes.get(level).and_then(|limits| limits.claims);
            let known = self.fan.in_flight.get(level);
            if let (Some(most), Some(known)) = (most, known)
                && known.len() >= most as usize
            {
                let what = format!("{most} claims of scope {level:?} and below are in flight already");
                let retry = self.first_end(known.iter().copied());
                return Err(refusal(&what, "max-claims", Some(level)).after(retry));
            }
        }
        let (Some(lease), Some((most, None))) =
            (by.within, self.fan.bound(path, true, |limits| limits.claims))
        else {
            return Ok(());
        };
        let outermost = self.books.around(lease).last().unwrap_or(lease);
        if self.books.below(outermost) < most {
            return Ok(());
        }
        let what = format!("{most} claims are in flight below claim {outermost} already");
        Err(refusal(&what, "max-claims", None).after(self.first_end(self.books.children(outermost))))
    }

    /// After which time (ns) the first of these ends by itself; `None` where that cannot be told.
    fn first_end(&self, claims: impl Iterator<Item = ClaimId>) -> Option<u64> {
        let ends = claims.take(LOOKED_AT_MAX).filter_map(|claim| self.deadline(claim));
        ends.min().map(|Time(at)| at.saturating_sub(self.books.at().0))
    }

    /// The asks that count for a principal: those of its own lease, or of the scope that bounds it.
    fn asks(&self, by: &Principal, set_by: Option<&str>) -> Meter {
        let known = match by.within {
            Some(lease) => self.fan.agent_asks.get(&lease),
            None => set_by.and_then(|path| self.fan.scope_asks.get(path)),
        };
        known.copied().unwrap_or_default()
    }

    /// A claim has entered: it is counted wherever it is bounded.
    pub(crate) fn fan_in(&mut self, claim: ClaimId, by: &Principal, scope: Row) {
        if by.within.is_none() && self.fan.scopes.is_empty() {
            return;
        }
        for level in self.books.chain(scope) {
            if let Some(known) = self.fan.in_flight.get_mut(&**self.books.scope_path(level)) {
                known.insert(claim);
            }
        }
        let path = self.books.scope_path(scope).clone();
        let bound = self.fan.bound(&path, by.within.is_some(), |limits| limits.asks_per_second);
        let Some((most, set_by)) = bound else { return };
        let set_by = set_by.map(str::to_owned);
        let meter = self.asks(by, set_by.as_deref()).at(flow(most), self.books.at().0).spend(1);
        match (by.within, set_by) {
            (Some(lease), _) => {
                // One whose lease is gone is gone itself in a moment.
                if self.books.claim(lease).is_some() {
                    self.fan.agent_asks.insert(lease, meter);
                }
            }
            (None, Some(path)) => drop(self.fan.scope_asks.insert(path, meter)),
            (None, None) => {}
        }
    }

    /// A claim goes, and with it what counts it.
    pub(crate) fn fan_out(&mut self, claim: ClaimId, scope: Row) {
        if !self.fan.agent_asks.is_empty() {
            self.fan.agent_asks.remove(&claim);
        }
        if self.fan.in_flight.is_empty() {
            return;
        }
        for level in self.books.chain(scope) {
            if let Some(known) = self.fan.in_flight.get_mut(&**self.books.scope_path(level)) {
                known.remove(&claim);
            }
        }
    }

    /// An operator bounds how far demands fan out.
    pub(crate) fn told_fan(
        &mut self,
        cause: Option<u32>,
        tape: &mut Tape<'_>,
        spec: &FanOutSpec,
    ) -> Result<(), Refusal> {
        if let Some(path) = &spec.scope {
            check_scope(path)?;
            if !self.fan.scopes.contains_key(path) && self.fan.scopes.len() >= FAN_SCOPES_MAX {
                return Err(Refusal::new(
                    Reason::BadRequest,
                    format!("{FAN_SCOPES_MAX} scopes have bounds on fanning out already"),
                )
                .hint("bound a scope above them"));
            }
        }
        self.emit(tape, cause, What::FanOutSet);
        Ok(())
    }

    /// The scopes that have bounds of their own on fanning out.
    pub fn fan_scopes(&self) -> impl Iterator<Item = &str> {
        self.fan.scopes.keys().map(String::as_str)
    }

    /// Bounds as they were told.
    pub(crate) fn set_fan(&mut self, spec: &FanOutSpec) {
        let Some(path) = &spec.scope else {
            self.fan.agents = spec.limits;
            return;
        };
        self.fan.in_flight.remove(path);
        if spec.limits == FanOut::default() {
            self.fan.scopes.remove(path);
            self.fan.scope_asks.remove(path);
            return;
        }
        self.fan.scopes.insert(path.clone(), spec.limits);
        if spec.limits.claims.is_some() {
            let known = self.in_flight_below(path);
            self.fan.in_flight.insert(path.clone(), known);
        }
    }

    fn in_flight_below(&self, path: &str) -> BTreeSet<ClaimId> {
        let claims = &self.books.tables().claims;
        let live = (0..claims.len()).filter(|&c| claims.id[c] != 0);
        let below = |scope: Row| self.books.chain(scope).any(|level| &**self.books.scope_path(level) == path);
        let of_scope = live.filter(|&c| below(claims.scope[c]) && self.books.phase(c as Row) < Phase::Closed);
        of_scope.map(|c| ClaimId(claims.id[c])).collect()
    }
}
