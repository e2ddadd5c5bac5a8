//! Circles of waiting: who can never go on, because what each of them waits for is held by another of them.
//!
//! Counted things make a cycle in the graph of waiting necessary, not sufficient (Holt, ACM Computing Surveys 1972).
//! So it is asked who could end: whoever waits for nothing ends and gives back; whoever then has what it waits for
//! ends as well; those who are left never do (Coffman, Elphick and Shoshani, ACM Computing Surveys 1971).
//!
//! The books know claims, not who stands behind them. Ties tell for certain that a lease waits for a claim. Beyond
//! that the claims of one scope below a tenant are taken for one demander's, which is a guess: so what rests on it is
//! told only when nothing has moved for a while, and as what it may be.
use bursar_interface::{Amount, Fault, Finding, NONE, Phase, Row, Severity, Sight, Subject, View};
use std::collections::{BTreeMap, BTreeSet};

/// Waiting claims for which it is looked; with more, the line itself is the finding.
const WAITING_MAX: usize = 4096;
/// Claims of a circle that are named in the evidence.
const NAMED_MAX: usize = 6;

/// When something is worth telling.
#[derive(Clone, Copy, Debug)]
pub struct CircleLimits {
    /// How long nothing must have moved in a circle that rests on scopes, in nanoseconds.
    pub patience_ns: u64,
}

impl Default for CircleLimits {
    fn default() -> Self {
        CircleLimits { patience_ns: 30 * 1_000_000_000 }
    }
}

/// Looks for those who wait for each other.
#[derive(Clone, Debug, Default)]
pub struct Circles {
    limits: CircleLimits,
}

/// Somebody who holds and waits.
#[derive(Clone, Debug, Default)]
struct Demander {
    leases: Vec<Row>,
    waiting: Vec<Row>,
    /// Demanders that must end before.
    after: BTreeSet<usize>,
}

impl Circles {
    /// A detector with limits of its own.
    pub fn new(limits: CircleLimits) -> Circles {
        Circles { limits }
    }

    /// Appends what it finds.
    ///
    /// # Errors
    /// None of its own.
    pub fn report(&mut self, sight: &Sight<'_>, findings: &mut Vec<Finding>) -> Result<(), Fault> {
        let (waiting, leases) = living(&sight.view);
        if waiting.is_empty() || waiting.len() > WAITING_MAX {
            return Ok(());
        }
        let certain = demanders(sight, &waiting, &leases, |_| None);
        let left = stuck(&sight.view, &certain);
        let mut told = BTreeSet::new();
        findings.extend(circle(&sight.view, &certain, &left, "deadlock", Severity::Critical, &mut told));
        let of_scope = |row: Row| agent(&sight.view, row);
        let likely = demanders(sight, &waiting, &leases, of_scope);
        let mut left = stuck(&sight.view, &likely);
        left.retain(|&one| self.rests(&sight.view, &likely[one]));
        findings.extend(circle(&sight.view, &likely, &left, "circle", Severity::Warning, &mut told));
        Ok(())
    }

    /// Whether nothing of a demander has moved for a while.
    fn rests(&self, view: &View<'_>, one: &Demander) -> bool {
        let since = |at: u64| view.at.0.saturating_sub(at) >= self.limits.patience_ns;
        one.waiting.iter().all(|&row| since(view.claims.asked_at[row as usize]))
            && one.leases.iter().all(|&row| since(view.claims.granted_at[row as usize]))
    }
}

/// Rows of claims that wait, and of those that hold.
fn living(view: &View<'_>) -> (Vec<Row>, Vec<Row>) {
    let live = (0..view.claims.len() as Row).filter(|&row| view.claims.id[row as usize] != 0);
    live.partition(|&row| Phase::of(view.claims.phase[row as usize]) == Phase::Pending)
}

/// The scope of a claim, if it is below a tenant: of the root and its tenants many demanders are.
fn agent(view: &View<'_>, claim: Row) -> Option<Row> {
    let scope = view.claims.scope[claim as usize];
    let parent = view.scopes.parent[scope as usize];
    (parent != NONE && view.scopes.parent[parent as usize] != NONE).then_some(scope)
}

/// Claims by who stands behind them: each by itself, but for those of one `group`.
fn demanders(
    sight: &Sight<'_>,
    waiting: &[Row],
    leases: &[Row],
    group: impl Fn(Row) -> Option<Row>,
) -> Vec<Demander> {
    let mut all: Vec<Demander> = Vec::new();
    let (mut of_claim, mut of_group) = (BTreeMap::new(), BTreeMap::new());
    for (&row, waits) in waiting.iter().map(|row| (row, true)).chain(leases.iter().map(|row| (row, false))) {
        let group = group(row);
        let known = group.and_then(|of| of_group.get(&of).copied());
        let number = known.unwrap_or(all.len());
        if known.is_none() {
            all.push(Demander::default());
            group.map(|of| of_group.insert(of, number));
        }
        of_claim.insert(row, number);
        let one = &mut all[number];
        if waits { one.waiting.push(row) } else { one.leases.push(row) }
    }
    for tie in sight.ties {
        if let (Some(&waiter), Some(&on)) = (of_claim.get(&tie.waiter), of_claim.get(&tie.on))
            && waiter != on
        {
            all[waiter].after.insert(on);
        }
    }
    all
}

/// Those who are left when whoever can end has ended, again and again: numbers, in order.
fn stuck(view: &View<'_>, all: &[Demander]) -> BTreeSet<usize> {
    let mut free: Vec<Amount> = view.pools.free.to_vec();
    let mut left: BTreeSet<usize> = (0..all.len()).collect();
    loop {
        let can_end = |&number: &usize| {
            let one = &all[number];
            one.after.iter().all(|before| !left.contains(before))
                && one.waiting.iter().all(|&claim| fits(view, &free, claim))
        };
        let ended: Vec<usize> = left.iter().copied().filter(can_end).collect();
        if ended.is_empty() {
            return left;
        }
        for number in ended {
            left.remove(&number);
            give_back(view, &all[number], &mut free);
        }
    }
}

fn give_back(view: &View<'_>, one: &Demander, free: &mut [Amount]) {
    for &lease in &one.leases {
        for line in view.claims.line_rows(lease).map(|line| line as usize) {
            if let Some(pool) = free.get_mut(view.lines.pool[line] as usize) {
                *pool = pool.saturating_add(view.lines.amount[line]);
            }
        }
    }
}

/// Whether each line of a claim has room in some pool. Lines are looked at one by one: who is said to fit may not,
/// so nobody is said to be stuck who is not.
fn fits(view: &View<'_>, free: &[Amount], claim: Row) -> bool {
    view.claims.line_rows(claim).map(|line| line as usize).all(|line| {
        let (want, amount) = (view.lines.want[line], view.lines.amount[line]);
        let kind = view.lines.resource[line];
        let here = |pool: usize| view.pools.resource[pool] == kind && free[pool] >= amount;
        match want {
            NONE => (0..free.len()).any(|pool| view.pools.id[pool] != 0 && here(pool)),
            want => free.get(want as usize).is_some_and(|&room| room >= amount),
        }
    })
}

/// One finding for all who are stuck and hold something; who only waits for them is held up, not in the circle.
fn circle(
    view: &View<'_>,
    all: &[Demander],
    left: &BTreeSet<usize>,
    kind: &str,
    severity: Severity,
    told: &mut BTreeSet<Row>,
) -> Option<Finding> {
    let id = |row: Row| view.claims.id[row as usize];
    let in_it = left.iter().map(|&number| &all[number]).filter(|one| !one.leases.is_empty());
    let members: Vec<&Demander> = in_it.collect();
    let waits: Vec<Row> = left.iter().flat_map(|&number| all[number].waiting.iter().copied()).collect();
    let oldest = waits.iter().copied().filter(|row| !told.contains(row)).min_by_key(|&row| id(row))?;
    if members.len() < 2 {
        return None;
    }
    told.extend(&waits);
    let waited = waits.iter().map(|&row| view.at.0.saturating_sub(view.claims.asked_at[row as usize])).max();
    let advice = match severity {
        Severity::Critical => {
            "they wait for each other and none of them will go on: cancel the youngest, and ask for all at once"
        }
        _ => {
            "they hold what the others wait for, and nothing has moved for a while: ask for all at once, or in one order"
        }
    };
    let finding = Finding::new(kind, Subject::Claim(oldest), severity, advice)
        .with("waiting_claims", waits.len() as u64)
        .with("holding_leases", members.iter().map(|one| one.leases.len() as u64).sum())
        .with("oldest_wait_ms", waited.unwrap_or(0) / 1_000_000);
    let named = members.iter().flat_map(|one| one.leases.iter().copied()).take(NAMED_MAX);
    Some(
        (1..).zip(named).fold(finding, |finding, (number, lease)| {
            finding.with(&format!("holder_{number}_id"), id(lease))
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_interface::{How, Tables, Tie, Time};

    /// Tables with pools of one piece each, and a way to say who holds and who wants which.
    struct World(Tables);

    impl World {
        fn new(pools: u32) -> World {
            let mut tables = Tables::default();
            tables.resources.push();
            for row in 0..3_usize {
                tables.scopes.push();
                (tables.scopes.id[row], tables.scopes.parent[row]) =
                    (row as u32 + 1, row.checked_sub(1).map_or(NONE, |up| up as u32));
            }
            for row in 0..pools as usize {
                tables.pools.push();
                (tables.pools.id[row], tables.pools.capacity[row], tables.pools.free[row]) =
                    (row as u32 + 1, 1, 1);
            }
            World(tables)
        }

        fn scope(&mut self) -> u32 {
            let row = self.0.scopes.push();
            (self.0.scopes.id[row as usize], self.0.scopes.parent[row as usize]) = (row + 1, 1);
            row
        }

        fn claim(&mut self, scope: u32, pool: u32, holds: bool) -> Row {
            let row = self.0.claims.len() as u32;
            let tables = &mut self.0;
            tables.claims.push();
            let (line, c) = (tables.lines.push(), row as usize);
            let l = line as usize;
            (tables.claims.id[c], tables.claims.scope[c]) = (u64::from(row) + 1, scope);
            (tables.claims.first_line[c], tables.claims.lines[c]) = (line, 1);
            tables.claims.phase[c] = if holds { Phase::Held } else { Phase::Pending } as u32;
            (tables.lines.claim[l], tables.lines.amount[l], tables.lines.want[l]) = (row, 1, pool);
            tables.lines.pool[l] = if holds { pool } else { NONE };
            if holds {
                tables.pools.free[pool as usize] = 0;
            }
            row
        }

        fn found(&self, ties: &[Tie], at_s: u64) -> Vec<(String, u64)> {
            let (mut circles, mut findings) = (Circles::default(), Vec::new());
            let view = self.0.view(Time(at_s * 1_000_000_000), 1);
            circles.report(&Sight { view, samples: &[], flows: &[], ties }, &mut findings).expect("no fault");
            findings.into_iter().map(|found| (found.kind, found.evidence[0].value)).collect()
        }
    }

    #[test]
    fn who_holds_what_the_other_wants_is_found_when_nothing_moves() {
        let mut world = World::new(2);
        let (a, b) = (world.scope(), world.scope());
        world.claim(a, 0, true);
        world.claim(b, 1, true);
        world.claim(a, 1, false);
        assert_eq!(world.found(&[], 60), [], "b goes on, and then a has both");
        world.claim(b, 0, false);
        assert_eq!(world.found(&[], 10), [], "it may move yet");
        assert_eq!(world.found(&[], 60), [("circle".to_owned(), 2)]);
    }

    #[test]
    fn of_the_root_and_of_tenants_nothing_is_guessed() {
        for scope in [0, 1] {
            let mut world = World::new(2);
            let other = world.scope();
            world.claim(scope, 0, true);
            world.claim(other, 1, true);
            world.claim(scope, 1, false);
            world.claim(other, 0, false);
            assert_eq!(world.found(&[], 60), []);
        }
    }

    #[test]
    fn ties_make_it_certain_at_once_and_a_third_one_in_line_is_not_in_it() {
        let mut world = World::new(2);
        let (a, b) = (world.claim(1, 0, true), world.claim(1, 1, true));
        let (of_a, of_b) = (world.claim(1, 1, false), world.claim(1, 0, false));
        world.claim(1, 0, false);
        let within = |waiter, on| Tie { waiter, on, how: How::Within };
        assert_eq!(world.found(&[within(a, of_a)], 1), [], "b still goes on");
        assert_eq!(world.found(&[within(a, of_a), within(b, of_b)], 1), [("deadlock".to_owned(), 3)]);
        // What the books cannot see: a's process waits for a file that b's has locked.
        let file = Tie { waiter: a, on: b, how: How::File };
        assert_eq!(world.found(&[file, within(b, of_b)], 1), [("deadlock".to_owned(), 3)]);
    }

    #[test]
    fn counted_things_make_a_cycle_without_a_deadlock() {
        // Both wait for the pool of which the other has one of two, but a third has none to wait for.
        let mut world = World::new(2);
        let (a, b) = (world.scope(), world.scope());
        world.claim(a, 0, true);
        world.claim(b, 1, true);
        world.claim(a, 1, false);
        world.claim(b, 0, false);
        let third = world.scope();
        world.claim(third, 0, true);
        assert_eq!(world.found(&[], 60), [], "what the third one gives back is enough");
    }
}
