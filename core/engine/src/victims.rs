//! Which leases end so that a waiting claim fits: on each node the nearest to what is missing, of the lowest
//! band, the ones with the least lost work; then those that turn out not to be needed are let go again, last
//! chosen first (Nomad's preemption with its superset filter; Kueue's fill back). The node where the least
//! is taken wins. All of it is supposed, not done: the books are as before when it returns.
use crate::{
    Engine,
    right::{Gone, Right},
    sticky::{Seats, pools_for, seats, welcomes},
};
use arrayvec::ArrayVec;
use bursar_interface::{
    Amount, ClaimId, Claimed, NONE, Phase, PoolId, Row, Time,
    bound::{CANDIDATES_MAX, LEASES_SEEN_MAX, LINES_MAX, NODES_SEEN_MAX, VICTIMS_MAX},
    canary,
};
use std::collections::BTreeMap;

/// Fractional bits of a distance.
const DISTANCE_BITS: u32 = 10;

/// Who ends, and what the waiting claim is to have then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) pools: ArrayVec<PoolId, LINES_MAX>,
    pub(crate) victims: Vec<(ClaimId, Claimed)>,
    pub(crate) standing: u32,
}

/// A lease that might end: what it holds, of what comes back.
#[derive(Clone, Debug)]
struct Candidate {
    row: Row,
    claim: ClaimId,
    band: u32,
    priority: u32,
    lost_ns: u64,
    /// Pool, kind, amount.
    lines: Vec<(Row, Row, Amount)>,
}

/// What is supposed to be back.
#[derive(Clone, Debug, Default)]
struct Supposed {
    pools: BTreeMap<Row, Amount>,
    ledgers: Gone,
}

/// What is missing on a node.
enum Missing {
    /// Nothing: it fits from these pools.
    Nothing(Vec<(Row, Amount)>),
    /// Room in a ledger of a kind.
    Room(Row, Row, Amount),
    /// So much of these kinds.
    Kinds(Vec<(Row, Amount)>),
    /// What no lease that ends could give.
    Hopeless,
}
/// What a claim would have, and whom it would be taken from, by their places among the candidates.
type Choice = (Seats, Vec<(usize, Right)>);
/// What is best: those of the lowest bands, fewest parts of guarantees, fewest leases, least lost work.
type Score = (std::cmp::Reverse<u32>, usize, usize, u64);

impl Engine {
    /// Who would have to end so that a claim fits.
    ///
    /// # Errors
    /// When there is nobody: the time at which the first who is left alone for now may be taken, if any.
    pub(crate) fn victims(&mut self, row: Row) -> Result<Found, Option<Time>> {
        let claim = ClaimId(self.books.tables().claims.id[row as usize]);
        let bound = self.bound(claim, row);
        let kept = self.withhold_promised(bound);
        let supposed = self.coming_back(&kept);
        let (candidates, lapse) = self.candidates(row);
        let mut best: Option<(Score, Choice)> = None;
        for node in self.nodes_for(row, &candidates) {
            let Some((seats, chosen)) = self.choose_on(row, node, &candidates, &supposed) else { continue };
            let worst = chosen.iter().map(|&(c, _)| candidates[c].band).min().unwrap_or(u32::MAX);
            let straddling = chosen.iter().filter(|(_, right)| right.straddles).count();
            let lost = chosen.iter().fold(0u64, |sum, &(c, _)| sum.saturating_add(candidates[c].lost_ns));
            let score = (std::cmp::Reverse(worst), straddling, chosen.len(), lost);
            if best.as_ref().is_none_or(|(known, ..)| score < *known) {
                best = Some((score, (seats, chosen)));
            }
        }
        self.restore_promised(&kept);
        match best {
            // Enough comes back already.
            Some((_, (_, chosen))) if chosen.is_empty() => Err(None),
            Some((_, (seats, chosen))) => {
                let victims: Vec<(ClaimId, Right)> =
                    chosen.into_iter().map(|(c, right)| (candidates[c].claim, right)).collect();
                Ok(self.found(row, &seats, &victims))
            }
            None => Err(lapse),
        }
    }

    fn found(&self, row: Row, seats: &[(Row, Amount)], victims: &[(ClaimId, Right)]) -> Found {
        let id = |&(pool, _): &(Row, Amount)| PoolId(self.books.tables().pools.id[pool as usize]);
        let lent = victims.iter().any(|(_, right)| right.why == Claimed::Lent);
        Found {
            pools: seats.iter().map(id).collect(),
            victims: victims.iter().map(|&(claim, right)| (claim, right.why)).collect(),
            standing: if lent { 0 } else { self.band(row) + 1 },
        }
    }

    /// What drains, and what was told to end, is back; but for what is kept of it for others.
    fn coming_back(&mut self, kept: &BTreeMap<Row, Amount>) -> Supposed {
        let mut supposed = Supposed::default();
        for row in self.leaving_rows() {
            let candidate = self.candidate(row);
            self.suppose(&mut supposed, &candidate, true);
        }
        for (pool, back) in &mut supposed.pools {
            let p = *pool as usize;
            let pools = &self.books.tables().pools;
            let used = pools.reserved[p] + pools.held[p] + pools.quarantined[p];
            let free = pools.offered[p].saturating_sub(used);
            let owed = kept.get(pool).copied().unwrap_or(0).saturating_sub(free);
            *back = back.saturating_sub(owed);
        }
        supposed
    }

    /// Leases that drain, or were told to end.
    fn leaving_rows(&self) -> Vec<Row> {
        let claims = &self.books.tables().claims;
        (0..claims.len().min(LEASES_SEEN_MAX) as Row)
            .filter(|&row| claims.id[row as usize] != 0 && self.books.phase(row) > Phase::Pending)
            .filter(|&row| self.leaves(row) && !self.books.quarantined(row))
            .collect()
    }

    fn leaves(&self, row: Row) -> bool {
        let claim = ClaimId(self.books.tables().claims.id[row as usize]);
        self.books.phase(row) == Phase::Draining || self.preemption.notices.contains_key(&claim)
    }

    /// What ledgers will have back once all that drains has, and all that is to hold less holds less.
    pub(crate) fn leaving(&self) -> Gone {
        let (claims, mut gone) = (&self.books.tables().claims, Gone::new());
        self.add_lessening(&mut gone);
        for row in (0..claims.len() as Row).filter(|&row| claims.id[row as usize] != 0) {
            if self.books.phase(row) == Phase::Draining {
                for (_, kind, amount) in self.candidate(row).lines {
                    let ledgers = self.books.quotas_of(claims.scope[row as usize], kind);
                    ledgers.for_each(|q| *gone.entry(q).or_default() += amount);
                }
            }
        }
        gone
    }

    fn candidate(&self, row: Row) -> Candidate {
        let (tables, c) = (self.books.tables(), row as usize);
        let lines = tables.claims.line_rows(row).map(|line| line as usize);
        let lines = lines.filter(|&l| tables.lines.pool[l] != NONE && self.is_held(tables.lines.resource[l]));
        Candidate {
            row,
            claim: ClaimId(tables.claims.id[c]),
            band: self.band(row),
            priority: tables.claims.priority[c],
            lost_ns: self.books.at().0.saturating_sub(tables.claims.granted_at[c]),
            lines: lines
                .map(|l| (tables.lines.pool[l], tables.lines.resource[l], tables.lines.amount[l]))
                .collect(),
        }
    }

    /// Leases that the claim may take from, and when the first that is too young comes of age.
    fn candidates(&self, row: Row) -> (Vec<Candidate>, Option<Time>) {
        let claims = &self.books.tables().claims;
        let wanted: Vec<Row> = self.wanted(row);
        let (now, min_ns) = (self.books.at(), self.preemption.policy.min_runtime_ns);
        let (mut candidates, mut lapse) = (Vec::new(), None::<Time>);
        for victim in 0..claims.len().min(LEASES_SEEN_MAX) as Row {
            let phase =
                if claims.id[victim as usize] == 0 { Phase::Closed } else { self.books.phase(victim) };
            if !matches!(phase, Phase::Reserved | Phase::Held)
                || wanted.iter().all(|&kind| self.books.asked(victim, kind) == 0)
                || self.leaves(victim)
                || self.right(row, victim, &wanted, &Gone::new()).is_none()
            {
                continue;
            }
            let of_age = Time(claims.granted_at[victim as usize]).after(min_ns);
            if of_age > now && !canary!("a young lease is taken from") {
                lapse = Some(lapse.map_or(of_age, |known| known.min(of_age)));
                continue;
            }
            candidates.push(self.candidate(victim));
            if candidates.len() == CANDIDATES_MAX {
                break;
            }
        }
        candidates.sort_by_key(|c| (std::cmp::Reverse(c.band), c.priority, c.lost_ns, c.claim));
        (candidates, lapse)
    }

    pub(crate) fn wanted(&self, row: Row) -> Vec<Row> {
        let tables = self.books.tables();
        let lines = tables.claims.line_rows(row).map(|line| tables.lines.resource[line as usize]);
        let mut kinds: Vec<Row> = lines.filter(|&kind| self.is_held(kind)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// The nodes worth a look: first those on which somebody may be taken from.
    fn nodes_for(&self, row: Row, candidates: &[Candidate]) -> Vec<Row> {
        let view = self.books.view();
        let floating = view.claims.need[row as usize] == 0 && view.claims.apart[row as usize] == NONE;
        let mut nodes: Vec<Row> = floating.then_some(NONE).into_iter().collect();
        let held = candidates.iter().flat_map(|c| &c.lines).map(|&(pool, ..)| view.pools.node[pool as usize]);
        for node in held.chain(0..view.nodes.len() as Row).filter(|&node| node != NONE) {
            if nodes.len() == NODES_SEEN_MAX {
                break;
            }
            if !nodes.contains(&node) && welcomes(&view, row, node) {
                nodes.push(node);
            }
        }
        nodes
    }

    /// Supposes that a lease had given back, or had not.
    fn suppose(&mut self, supposed: &mut Supposed, candidate: &Candidate, back: bool) {
        let scope = self.books.tables().claims.scope[candidate.row as usize];
        for &(pool, kind, amount) in &candidate.lines {
            let change = |cell: &mut Amount| {
                *cell = if back { *cell + amount } else { cell.saturating_sub(amount) };
            };
            change(supposed.pools.entry(pool).or_default());
            let ledgers: Vec<Row> = self.books.quotas_of(scope, kind).collect();
            for quota in ledgers {
                change(supposed.ledgers.entry(quota).or_default());
                self.books.shift_room(quota, if back { -(amount as i64) } else { amount as i64 });
            }
        }
    }

    /// Whom to take from on a node, in order, and what the claim would have then.
    fn choose_on(
        &mut self,
        row: Row,
        node: Row,
        candidates: &[Candidate],
        before: &Supposed,
    ) -> Option<Choice> {
        let mut supposed = before.clone();
        let mut chosen: Vec<(usize, Right)> = Vec::new();
        let mut seats = loop {
            let missing = self.missing(row, node, &supposed);
            if let Missing::Nothing(seats) = missing {
                break Some(seats);
            }
            let next = match chosen.len() {
                VICTIMS_MAX.. => None,
                _ => self.nearest(row, node, &missing, candidates, &chosen, &supposed),
            };
            let Some((next, right)) = next else { break None };
            self.suppose(&mut supposed, &candidates[next], true);
            chosen.push((next, right));
        };
        if seats.is_some() {
            for i in (0..chosen.len()).rev() {
                self.suppose(&mut supposed, &candidates[chosen[i].0], false);
                match self.missing(row, node, &supposed) {
                    Missing::Nothing(less) => {
                        seats = Some(less);
                        chosen.remove(i);
                    }
                    _ => self.suppose(&mut supposed, &candidates[chosen[i].0], true),
                }
            }
        }
        for &(c, _) in &chosen {
            self.suppose(&mut supposed, &candidates[c], false);
        }
        seats.map(|seats| (seats, chosen))
    }

    /// The nearest lease of those that help, by the order in which leases are taken.
    fn nearest(
        &self,
        row: Row,
        node: Row,
        missing: &Missing,
        candidates: &[Candidate],
        chosen: &[(usize, Right)],
        supposed: &Supposed,
    ) -> Option<(usize, Right)> {
        let free = (0..candidates.len()).filter(|c| chosen.iter().all(|(known, _)| known != c));
        let helpful = free.filter_map(|c| {
            let candidate = &candidates[c];
            let (distance, kinds) = self.distance(row, node, missing, candidate)?;
            let right = self.right(row, candidate.row, &kinds, &supposed.ledgers)?;
            let order = (right.straddles, std::cmp::Reverse(candidate.band), candidate.priority, distance);
            Some(((order, candidate.lost_ns, std::cmp::Reverse(candidate.claim)), c, right))
        });
        helpful.min_by_key(|(order, ..)| *order).map(|(_, c, right)| (c, right))
    }

    /// How far what a lease would give back is from what is missing, and the kinds with which it helps;
    /// `None` where it does not.
    fn distance(
        &self,
        row: Row,
        node: Row,
        missing: &Missing,
        candidate: &Candidate,
    ) -> Option<(u64, Vec<Row>)> {
        let far = |missing: Amount, given: Amount| {
            u64::try_from((u128::from(missing.abs_diff(given)) << DISTANCE_BITS) / u128::from(missing.max(1)))
                .unwrap_or(u64::MAX)
        };
        let view = self.books.view();
        let given = |kind: Row, counts: &dyn Fn(Row) -> bool| -> Amount {
            let lines = candidate.lines.iter().filter(|&&(pool, of, _)| of == kind && counts(pool));
            lines.map(|&(_, _, amount)| amount).sum()
        };
        match missing {
            Missing::Room(ledger, kind, by) => {
                let scope = view.quotas.scope[*ledger as usize];
                let under = self.books.chain(view.claims.scope[candidate.row as usize]).any(|up| up == scope);
                let given = given(*kind, &|_| true);
                (under && given > 0).then(|| (far(*by, given), vec![*kind]))
            }
            Missing::Kinds(kinds) => {
                let lines = view.claims.line_rows(row).map(|line| line as usize);
                let pools: Vec<Row> = lines
                    .filter(|&l| kinds.iter().any(|&(kind, _)| kind == view.lines.resource[l]))
                    .flat_map(|l| pools_for(&view, l, node))
                    .collect();
                let parts: Vec<(Row, Amount, Amount)> = kinds
                    .iter()
                    .map(|&(kind, missing)| (kind, missing, given(kind, &|pool| pools.contains(&pool))))
                    .collect();
                let helps: Vec<Row> =
                    parts.iter().filter(|(_, _, given)| *given > 0).map(|&(kind, ..)| kind).collect();
                let distance = parts
                    .iter()
                    .fold(0u64, |sum, &(_, missing, given)| sum.saturating_add(far(missing, given)));
                (!helps.is_empty()).then_some((distance, helps))
            }
            Missing::Nothing(_) | Missing::Hopeless => None,
        }
    }

    /// What a claim is short of on a node.
    fn missing(&self, row: Row, node: Row, supposed: &Supposed) -> Missing {
        let view = self.books.view();
        if let Some((ledger, by)) = self.books.quota_short(row) {
            let kind = view.quotas.resource[ledger as usize];
            return if self.is_held(kind) { Missing::Room(ledger, kind, by) } else { Missing::Hopeless };
        }
        let (lines, mut taken): (Vec<Row>, _) = (view.claims.line_rows(row).collect(), Seats::new());
        if seats(&view, &lines, node, &supposed.pools, &mut taken) {
            return Missing::Nothing(taken);
        }
        let mut short: Vec<(Row, Amount)> = Vec::new();
        let mut whole: Vec<(Row, Amount)> = Vec::new();
        for line in view.claims.line_rows(row).map(|line| line as usize) {
            let (kind, asked) = (view.lines.resource[line], self.books.asked(row, view.lines.resource[line]));
            let mut pools = pools_for(&view, line, node).peekable();
            if pools.peek().is_none() {
                return Missing::Hopeless;
            }
            let back = |pool: Row| supposed.pools.get(&pool).copied().unwrap_or(0);
            let there: Amount = pools.map(|pool| view.pools.free(pool) + back(pool)).sum();
            // What was named is one thing with one holder: it is waited for, not taken.
            if view.lines.want[line] != NONE && view.lines.amount[line] > there
                || !self.is_held(kind) && asked > there
            {
                return Missing::Hopeless;
            }
            if short.iter().chain(&whole).any(|&(known, _)| known == kind) || !self.is_held(kind) {
                continue;
            }
            match asked > there {
                true => short.push((kind, asked - there)),
                false => whole.push((kind, asked)),
            }
        }
        Missing::Kinds(if short.is_empty() { whole } else { short })
    }
}
