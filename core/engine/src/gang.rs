//! Gangs: claims that are granted together or not at all.
//!
//! Members wait outside of the line until there are as many as the gang is to have; then the one that would be
//! served first stands in line for all of them. Check all, then take all (as in Volcano, Kueue and Ray): nothing
//! is held by a gang of which the rest does not fit, so two half-fed gangs cannot hold each other up.
use crate::{
    Engine,
    admit::never,
    engine::Tape,
    lack::Lack,
    line::Place,
    round::{Offer, Workbench},
};
use bursar_interface::{
    Amount, Ask, ClaimId, Decider, Fault, FaultKind, Gang, NONE, Phase, Rank, Reason, Refusal, Row, Take,
    Time,
    bound::{GANG_MAX, LINES_MAX, NAME_BYTES_MAX},
};
use bursar_pool::{Digest, Refused, Wanted};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The scope that a gang is of, and its name.
type Named = (String, String);

/// One gang.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Members {
    size: u32,
    /// Those who wait, and where they stand once they are ranked.
    waiting: BTreeSet<ClaimId>,
    #[serde(skip)]
    places: BTreeMap<ClaimId, Place>,
    /// Who stands in line for all.
    #[serde(skip)]
    leader: Option<ClaimId>,
}

/// All gangs of which somebody waits.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Gangs {
    gangs: BTreeMap<Named, Members>,
    of: BTreeMap<ClaimId, Named>,
    /// Members who have to be told that they wait for others.
    #[serde(skip)]
    untold: Vec<ClaimId>,
}

impl Gangs {
    /// Whether a claim waits with others.
    pub(crate) fn has(&self, claim: ClaimId) -> bool {
        !self.of.is_empty() && self.of.contains_key(&claim)
    }

    /// How many wait outside of the line.
    pub(crate) fn len(&self) -> usize {
        self.of.len()
    }

    /// Those who wait with a claim that stands in line for them, itself first.
    fn with(&self, leader: ClaimId) -> Option<Vec<ClaimId>> {
        if self.of.is_empty() {
            return None;
        }
        let gang = self.gangs.get(self.of.get(&leader)?)?;
        let others = gang.waiting.iter().copied().filter(|&claim| claim != leader);
        Some(std::iter::once(leader).chain(others).collect())
    }

    fn join(&mut self, scope: &str, gang: &Gang, claim: ClaimId) {
        let named = (scope.to_owned(), gang.name.clone());
        let members = self.gangs.entry(named.clone()).or_default();
        members.size = gang.size;
        members.waiting.insert(claim);
        self.of.insert(claim, named);
    }

    /// Somebody waits no more; returns whether it had a rank, and who stood in line for the gang.
    fn leave(&mut self, claim: ClaimId) -> (bool, Option<ClaimId>) {
        let Some(named) = self.of.remove(&claim) else { return (false, None) };
        let Some(members) = self.gangs.get_mut(&named) else { return (false, None) };
        members.waiting.remove(&claim);
        let ranked = members.places.remove(&claim).is_some();
        let leader = members.leader.take();
        self.untold.extend(&members.waiting);
        if members.waiting.is_empty() {
            self.gangs.remove(&named);
        }
        (ranked, leader)
    }

    /// Adds who waits with whom to a digest.
    pub(crate) fn digest(&self, digest: &mut Digest) {
        for ((scope, name), members) in &self.gangs {
            digest.text(scope);
            digest.text(name);
            digest.word(u64::from(members.size));
            members.waiting.iter().for_each(|claim| digest.word(claim.0));
        }
    }

    /// Whoever was to be told was told.
    pub(crate) fn forget_untold(&mut self) {
        self.untold.clear();
    }

    /// Nobody has a rank any more.
    pub(crate) fn forget_ranks(&mut self) {
        self.untold.clear();
        for members in self.gangs.values_mut() {
            (members.places, members.leader) = (BTreeMap::new(), None);
        }
    }
}

impl Engine {
    /// Whether a claim waits to be granted together with others.
    pub fn is_ganged(&self, claim: ClaimId) -> bool {
        self.gangs.has(claim)
    }

    /// The gang that a claim waits with.
    pub(crate) fn gang_of(&self, claim: ClaimId) -> Option<Gang> {
        let named = self.gangs.of.get(&claim)?;
        Some(Gang { name: named.1.clone(), size: self.gangs.gangs.get(named)?.size })
    }

    /// Refuses what can be no member of its gang.
    pub(crate) fn check_gang(&self, scope: &str, ask: &Ask) -> Result<(), Refusal> {
        let Some(gang) = &ask.gang else { return Ok(()) };
        let bad = |message: String, hint: String| Err(Refusal::new(Reason::BadRequest, message).hint(hint));
        if gang.name.is_empty() || gang.name.len() > NAME_BYTES_MAX || gang.name.chars().any(char::is_control)
        {
            let hint = format!("use 1 to {NAME_BYTES_MAX} printable bytes");
            return bad(format!("{:?} is no name for a gang", gang.name), hint);
        }
        if gang.size == 0 || gang.size > GANG_MAX {
            let hint = format!("from 1 to {GANG_MAX} members");
            return bad(format!("a gang of {} cannot be", gang.size), hint);
        }
        match self.gangs.gangs.get(&(scope.to_owned(), gang.name.clone())) {
            Some(known) if known.size != gang.size => bad(
                format!("gang {:?} has {} members and not {}", gang.name, known.size, gang.size),
                format!("write {}:{}, or use another name", gang.name, known.size),
            ),
            Some(known) if known.waiting.len() as u32 >= known.size => bad(
                format!("all {} members of gang {:?} wait already", known.size, gang.name),
                "use another name".into(),
            ),
            _ => Ok(()),
        }
    }

    /// Refuses a member with which those who wait already could never be granted together: there is never so much of
    /// a kind, of what is named, or below their limits.
    pub(crate) fn check_gang_fits(
        &self,
        scope: &str,
        nearest: Option<Row>,
        ask: &Ask,
        lines: &[Wanted],
    ) -> Result<(), Refusal> {
        let Some(gang) = &ask.gang else { return Ok(()) };
        let Some(members) = self.gangs.gangs.get(&(scope.to_owned(), gang.name.clone())) else {
            return Ok(());
        };
        let tables = self.books.tables();
        let rows = members.waiting.iter().filter_map(|&claim| self.books.claim(claim));
        let others = rows.flat_map(|row| tables.claims.line_rows(row)).map(|line| {
            let (resource, want) = (tables.lines.resource[line as usize], tables.lines.want[line as usize]);
            Wanted { resource, want, amount: tables.lines.amount[line as usize], models: 0, springs: false }
        });
        let all: Vec<Wanted> = others.chain(lines.iter().copied()).collect();
        for line in lines.iter().filter(|line| !line.springs) {
            let same = |named: bool| {
                let of =
                    |other: &&Wanted| other.resource == line.resource && (!named || other.want == line.want);
                all.iter().filter(of).map(|other| other.amount).sum::<Amount>()
            };
            let pools = (0..tables.pools.id.len() as Row).filter(|&pool| {
                tables.pools.id[pool as usize] != 0 && tables.pools.resource[pool as usize] == line.resource
            });
            let ever: Amount = pools.map(|pool| self.books.ever(pool)).sum();
            let named = line.want != NONE;
            if named && same(true) > self.books.ever(line.want) {
                return self.never_together(gang, line, same(true), self.books.ever(line.want));
            }
            if self.books.spec(line.resource).springs == 0 && same(false) > ever {
                return self.never_together(gang, &Wanted { want: NONE, ..*line }, same(false), ever);
            }
        }
        self.check_limits(nearest, &all).map_err(|refusal| {
            let message = format!("the members of gang {:?} together: {}", gang.name, refusal.message);
            Refusal { message, ..refusal }
        })
    }

    fn never_together(&self, gang: &Gang, line: &Wanted, asked: Amount, ever: Amount) -> Result<(), Refusal> {
        let spec = self.books.spec(line.resource);
        let which = match line.want {
            NONE => spec.name.clone(),
            pool => format!("{}:{}", spec.name, self.books.pool_name(pool)),
        };
        if spec.springs > 0 {
            let message =
                format!("gang {:?} asks for {which} more than once, and not shared each time", gang.name);
            return never(&message, "one of its members can ask for it, or all of them shared");
        }
        let message = format!(
            "the members of gang {:?} ask for {asked} {} of {which} together, which is more than there ever is at once",
            gang.name, spec.unit
        );
        never(&message, &format!("at most {ever} {} for all of them", spec.unit))
    }

    /// A claim came that waits with others.
    pub(crate) fn join_gang(&mut self, scope: Row, gang: &Gang, claim: ClaimId) {
        let path = self.books.scope_path(scope).clone();
        self.gangs.join(&path, gang, claim);
    }

    /// A claim waits no more, granted or gone: nobody stands in line for its gang. Says whether it had a rank.
    pub(crate) fn leave_gang(&mut self, claim: ClaimId) -> bool {
        if !self.gangs.has(claim) {
            return false;
        }
        let (ranked, leader) = self.gangs.leave(claim);
        leader.into_iter().for_each(|leader| {
            self.queue.remove(leader);
            self.heirs.leave(&self.books, leader);
        });
        ranked
    }

    /// A member has its rank: with the last of them the gang stands in line.
    pub(crate) fn muster(&mut self, rank: Rank, offer: Offer) {
        let Some(named) = self.gangs.of.get(&offer.claim) else { return };
        let Some(members) = self.gangs.gangs.get_mut(named) else { return };
        members.places.insert(offer.claim, Place::new(rank, offer.claim));
        self.gangs.untold.push(offer.claim);
        if members.places.len() as u32 != members.size {
            return;
        }
        let Some(&first) = members.places.values().min() else { return };
        members.leader = Some(first.claim);
        self.gangs.untold.extend(&members.waiting);
        if let Some(row) = self.books.claim(first.claim) {
            self.heirs.enter(&self.books, row, first.claim, first.tier);
            self.stand_in_line(first, row);
        }
    }

    /// Tells those who wait for others, or for room for all of them.
    pub(crate) fn tell_gangs(&mut self, tape: &mut Tape<'_>) {
        for claim in std::mem::take(&mut self.gangs.untold) {
            if let Some(row) = self.books.claim(claim).filter(|&row| self.books.phase(row) == Phase::Pending)
            {
                self.tell_why(tape, &Offer { claim, row });
            }
        }
    }

    /// Whether some of a claim's gang have not come yet.
    pub(crate) fn waits_for_others(&self, claim: ClaimId) -> bool {
        let named = self.gangs.of.get(&claim);
        let members = named.and_then(|named| self.gangs.gangs.get(named));
        members.is_some_and(|members| (members.waiting.len() as u32) < members.size)
    }

    /// The whole gang of whoever stands in line for it, itself first.
    pub(crate) fn gang(&self, leader: ClaimId) -> Option<Vec<Offer>> {
        let members = self.gangs.with(leader)?;
        members.into_iter().map(|claim| Some(Offer { claim, row: self.books.claim(claim)? })).collect()
    }

    /// What a whole gang lacks that can be told without trying: all are of one scope, so their sums count.
    pub(crate) fn gang_lack(&self, gang: &[Offer]) -> (Lack, Option<Time>) {
        let tables = self.books.tables();
        let (sums, named) = self.gang_sums(gang);
        let scope = tables.claims.scope[gang[0].row as usize];
        for (kind, asked) in sums {
            if asked > tables.resources.free[kind as usize] {
                return (Lack::kind(kind, asked), self.kind_due(self.lines_of(gang), kind));
            }
            if let Some((quota, _)) = self.books.ledger_short(scope, kind, asked) {
                return (Lack::ledger(quota, asked), self.books.quota_ready(gang[0].row, quota, asked));
            }
        }
        let short = named.into_iter().find(|&(pool, asked)| asked > tables.pools.free(pool));
        short.map_or((Lack::Nothing, None), |(pool, _)| {
            let kind = tables.pools.resource[pool as usize];
            (Lack::Together, self.kind_due(self.lines_of(gang), kind))
        })
    }

    /// What all of a gang ask for, by kind, and by pool where they name one.
    pub(crate) fn gang_sums(&self, gang: &[Offer]) -> (BTreeMap<Row, Amount>, BTreeMap<Row, Amount>) {
        let lines = &self.books.tables().lines;
        let (mut kinds, mut named) = (BTreeMap::new(), BTreeMap::new());
        for line in self.lines_of(gang).map(|line| line as usize) {
            *kinds.entry(lines.resource[line]).or_default() += lines.amount[line];
            if lines.want[line] != NONE {
                *named.entry(lines.want[line]).or_default() += lines.amount[line];
            }
        }
        (kinds, named)
    }

    /// Grants what is proposed for a gang if all of it is there and lawful, and nothing otherwise.
    pub(crate) fn dispose_gang(
        &mut self,
        tape: &mut Tape<'_>,
        rows: &[Row],
        takes: &[Take],
        by: &Arc<Decider>,
    ) -> Result<(), Fault> {
        let members: Vec<&[Take]> = takes.chunk_by(|a, b| a.claim == b.claim).collect();
        let mut known: Vec<Row> = members.iter().map(|takes| takes[0].claim).collect();
        known.sort_unstable();
        known.dedup();
        let tables = self.books.tables();
        let mut sums: BTreeMap<Row, Amount> = BTreeMap::new();
        takes.iter().for_each(|take| *sums.entry(take.pool).or_default() += take.amount);
        let there = |(pool, sum): (&Row, &Amount)| tables.pools.free.get(*pool as usize) >= Some(sum);
        let mut apart: Vec<(Row, Row)> = members
            .iter()
            .filter_map(|takes| Some((*tables.claims.apart.get(takes[0].claim as usize)?, takes[0].node)))
            .filter(|&(apart, _)| apart != NONE)
            .collect();
        let (placed, _) = (apart.len(), apart.sort_unstable());
        apart.dedup();
        if known.len() != rows.len()
            || members.len() != rows.len()
            || !sums.iter().all(there)
            || apart.len() < placed
        {
            return Ok(());
        }
        let mut placements = Vec::with_capacity(members.len());
        for takes in &members {
            if !rows.contains(&takes[0].claim) {
                let why = format!("row {} was not offered", takes[0].claim);
                return Err(Fault::of(FaultKind::Nonsense, why));
            }
            match self.books.check(takes) {
                Ok(placement) => placements.push((takes[0].claim, placement)),
                Err(Refused::Wait(_)) => return Ok(()),
                Err(Refused::Unlawful(why)) => return Err(Fault::of(FaultKind::Nonsense, why)),
            }
        }
        for (row, placement) in placements {
            self.grant(tape, row, &placement.pools, by);
        }
        Ok(())
    }

    /// Makes the members of a gang the offers of this pass, if it is one that was picked.
    pub(crate) fn offer_gang(&self, bench: &mut Workbench) {
        bench.gang = false;
        if let [only] = bench.picked[..]
            && let Some(gang) = self.gang(only.place.claim)
        {
            bench.gang = true;
            bench.offers.clear();
            bench.offers.extend(gang);
        }
    }
}

const _: () = assert!(GANG_MAX as usize * LINES_MAX <= 1 << 16);
