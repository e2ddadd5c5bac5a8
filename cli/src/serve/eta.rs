//! When the turn of a waiting claim will come: by how long those leases last that hold what it lacks.
//!
//! Of leases that the asker may not see only what they hold together counts, by how long leases of the whole fleet
//! last: neither whose they are, nor what each of them holds, nor what their holders say of them.
use bursar_engine::{Engine, Short, Why};
use bursar_interface::{Amount, ClaimId, NONE, Phase, Row, Shape, Time};
use bursar_monitor::Lasting;
use bursar_pool::Inner;
use bursar_wire as wire;
use std::ops::Range;

/// Nanoseconds in a millisecond.
const MS: u64 = 1_000_000;
/// As likely more as less, and nine times of ten.
const QUANTILES: [f64; 2] = [0.5, 0.9];

/// Where leases are looked at from.
#[derive(Clone, Copy)]
pub struct Outlook<'a> {
    /// The state.
    pub engine: &'a Engine,
    /// How long leases last.
    pub lasting: &'a Lasting,
    /// Whether the asker may see the claim in a row.
    pub sees: &'a dyn Fn(Row) -> bool,
}

/// What a lease gives back, and in how many nanoseconds, by quantile.
type End = ([u64; 2], Amount);

impl Outlook<'_> {
    /// How long a waiting claim will wait from now on, if each of its sets of lines waits for `whys`: until those who
    /// hold what it lacks, and what those lack who came before it, have ended, each as long as such leases last.
    /// What comes back by itself is known exactly. `None` where too little is known.
    pub fn eta(&self, claim: ClaimId, whys: &[Why]) -> Option<wire::Eta> {
        let waiting = self.engine.books().claim(claim)?;
        let sets = whys.iter().enumerate().filter_map(|(set, why)| {
            let lines = self.engine.books().set_rows(waiting, set);
            self.of_set(claim, waiting, lines, why)
        });
        sets.reduce(|a, b| wire::Eta { p50: a.p50.min(b.p50), p90: a.p90.min(b.p90) })
    }

    fn of_set(&self, claim: ClaimId, waiting: Row, lines: Range<Row>, why: &Why) -> Option<wire::Eta> {
        if let Some(at) = why.retry_at.filter(|_| !why.short.is_empty()) {
            let ms = at.0.saturating_sub(self.engine.books().at().0).div_ceil(MS);
            return Some(wire::Eta { p50: ms, p90: ms });
        }
        let back = |short: &Short| {
            let crowd = Crowd::new(*self, waiting, lines.clone(), short);
            match self.engine.books().shape(short.resource) {
                Shape::Capacity | Shape::Unit => crowd.clears(),
                // Within a lease nothing of it comes back by itself, nor with the end of whoever drew it.
                _ if self.engine.books().slice_short(waiting).is_some() => None,
                Shape::Rate | Shape::Budget => self.flows(claim, lines.clone(), &crowd),
            }
        };
        let times = why.short.iter().map(back).collect::<Option<Vec<[u64; 2]>>>()?;
        let latest = |at: usize| times.iter().map(|times| times[at].div_ceil(MS)).max();
        Some(wire::Eta { p50: latest(0)?, p90: latest(1)? })
    }

    /// In how many nanoseconds enough of what is spent will have come back. Whoever holds of a budget gives nothing back
    /// when it ends, as far as anybody can tell: it is spent then, and comes back with the period.
    fn flows(&self, claim: ClaimId, lines: Range<Row>, crowd: &Crowd<'_>) -> Option<[u64; 2]> {
        let (now, resource) = (self.engine.books().at(), crowd.short.resource);
        if let Some(at) = self.engine.flows_back(claim, lines.clone(), resource) {
            return Some([at.0.saturating_sub(now.0); 2]);
        }
        if self.engine.books().shape(resource) == Shape::Rate {
            return None;
        }
        let ends = |in_ns: u64| self.engine.periods_end(claim, lines.clone(), resource, now.after(in_ns));
        let [p50, p90] = crowd.clears()?;
        Some([ends(p50)?.0 - now.0, ends(p90)?.0 - now.0])
    }
}

/// Those who hold a kind that a claim is short of, and those who wait for it before that claim.
struct Crowd<'a> {
    from: Outlook<'a>,
    waiting: Row,
    short: &'a Short,
    /// The pools that the claim names; none where any will do.
    wants: Vec<Row>,
    /// The scope whose ledger binds.
    bound: Option<Row>,
}

impl<'a> Crowd<'a> {
    fn new(from: Outlook<'a>, waiting: Row, lines: Range<Row>, short: &'a Short) -> Crowd<'a> {
        let view = from.engine.view();
        let wants = wants(from.engine, lines.clone(), short.resource);
        let wants = if wants.contains(&NONE) { Vec::new() } else { wants };
        let ledger = from.engine.binding_ledger(waiting, lines).map(|quota| quota as usize);
        let ledger = ledger.filter(|&quota| view.quotas.resource[quota] == short.resource);
        Crowd { from, waiting, short, wants, bound: ledger.map(|quota| view.quotas.scope[quota]) }
    }

    /// In how many nanoseconds enough will have come back, by quantile.
    fn clears(&self) -> Option<[u64; 2]> {
        let (needed, ends) = (self.short.by + self.ahead(), self.ends());
        let all: Amount = ends.iter().map(|&(_, amount)| amount).sum();
        if all == 0 || needed == 0 {
            return None;
        }
        // Those who come before it hold it in their turn, for as long as the ones before them did.
        let turns = (needed - 1) / all;
        let needed = needed - turns * all;
        let clears = |at: usize| {
            let mut ends: Vec<(u64, Amount)> =
                ends.iter().map(|(in_ns, amount)| (in_ns[at], *amount)).collect();
            ends.sort_unstable();
            let (mut back, last) = (0, ends.last()?.0);
            let (in_ns, _) = ends.into_iter().find(|&(_, amount)| {
                back += amount;
                back >= needed
            })?;
            Some(in_ns.saturating_add(last.saturating_mul(turns)))
        };
        Some([clears(0)?, clears(1)?])
    }

    /// What those ask for who came before.
    fn ahead(&self) -> Amount {
        let (view, books) = (self.from.engine.view(), self.from.engine.books());
        let own = view.claims.id[self.waiting as usize];
        let before = |&c: &usize| {
            (1..own).contains(&view.claims.id[c]) && Phase::of(view.claims.phase[c]) == Phase::Pending
        };
        let rows = (0..view.claims.len()).filter(before).map(|c| c as Row);
        rows.filter(|&row| self.rivals(row)).map(|row| books.asked(row, self.short.resource)).sum()
    }

    /// Whether another who waits wants the same: of a kind with named pools, the same one; where a ledger binds, in
    /// that.
    fn rivals(&self, other: Row) -> bool {
        let (view, resource) = (self.from.engine.view(), self.short.resource);
        let mut lines = view.claims.line_rows(other).map(|line| line as usize);
        let same = |want: Row| self.wants.is_empty() || want == NONE || self.wants.contains(&want);
        lines.any(|l| view.lines.resource[l] == resource && same(view.lines.want[l])) && self.is_bound(other)
    }

    fn is_bound(&self, row: Row) -> bool {
        let scope = self.from.engine.view().claims.scope[row as usize];
        self.bound.is_none_or(|bound| self.from.engine.books().chain(scope).any(|up| up == bound))
    }

    /// When each of those who hold it will have given back how much. Of whom nothing is known is left out.
    fn ends(&self) -> Vec<End> {
        let (mut seen, mut hidden, mut amount) = (Vec::new(), Vec::new(), 0);
        for (row, held) in self.held() {
            let sees = (self.from.sees)(row);
            match self.end(row, sees) {
                Some(end) if sees => seen.push((end, held)),
                Some(end) => {
                    hidden.push(end);
                    amount += held;
                }
                None => {}
            }
        }
        // Each of them counts for the same part of what they hold together.
        hidden.sort_unstable();
        let (amount, count) = (u128::from(amount), hidden.len() as u128);
        let part = |at: u128| ((at + 1) * amount / count - at * amount / count) as Amount;
        seen.extend((0..).zip(hidden).map(|(at, end)| (end, part(at))));
        seen
    }

    /// Who holds how much of it where the claim may take it from.
    fn held(&self) -> Vec<(Row, Amount)> {
        let (view, books, resource) =
            (self.from.engine.view(), self.from.engine.books(), self.short.resource);
        if let Some((&Inner { of, .. }, _)) = books.slice_short(self.waiting) {
            let drawn = |row: Row| {
                let draws = |line: &&Inner| line.of == of && line.resource == resource && line.from != NONE;
                (row, books.inner(row).iter().filter(draws).map(|line| line.amount).sum())
            };
            return books.descendants(of).filter_map(|claim| books.claim(claim)).map(drawn).collect();
        }
        let counts = |l: &usize| {
            let pool = view.lines.pool[*l];
            view.lines.claim[*l] != NONE
                && pool != NONE
                && view.lines.resource[*l] == resource
                && (self.wants.is_empty() || self.wants.contains(&pool))
        };
        let held = (0..view.lines.len()).filter(counts).map(|l| (view.lines.claim[l], view.lines.amount[l]));
        held.filter(|&(row, _)| self.is_bound(row)).collect()
    }

    /// In how many nanoseconds a lease ends, by quantile.
    fn end(&self, row: Row, sees: bool) -> Option<[u64; 2]> {
        let (claims, books) = (self.from.engine.view().claims, self.from.engine.books());
        let (now, granted_at, expect) =
            (books.at(), claims.granted_at[row as usize], claims.expect[row as usize]);
        if Phase::of(claims.phase[row as usize]) == Phase::Draining {
            return Some([0; 2]);
        }
        let so_far = now.0.saturating_sub(granted_at);
        let scope = if sees { books.scope_path(claims.scope[row as usize]) } else { "" };
        let lasts = QUANTILES.map(|quantile| self.from.lasting.remaining(scope, now, so_far, quantile));
        let estimate = Time(granted_at).after(expect);
        match lasts {
            [Some(p50), Some(p90)] => Some([p50, p90]),
            _ => (sees && expect > 0 && estimate > now).then(|| [estimate.0 - now.0; 2]),
        }
    }
}

/// The pools that lines name of a kind, [`NONE`] where any will do.
fn wants(engine: &Engine, lines: Range<Row>, resource: Row) -> Vec<Row> {
    let view = engine.view();
    let lines = lines.map(|line| line as usize).filter(|&l| view.lines.resource[l] == resource);
    lines.map(|l| view.lines.want[l]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::present::may_see;
    use bursar_engine::{Plugins, Seat};
    use bursar_interface::{
        Allocator, Ask, Command, Fault, Input, LineAsk, Plan, PoolSpec, Principal, Qos, Rank, Refill,
        ResourceSpec, View, What,
    };

    const SECOND: u64 = 1_000_000_000;

    struct Anywhere;
    impl Allocator for Anywhere {
        fn place(&mut self, _: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
            queue.iter().for_each(|&claim| {
                plan.place(claim, NONE);
            });
            Ok(())
        }
    }
    impl Qos for Anywhere {
        fn rank(&mut self, _: &View<'_>, _: &[Row], _: &mut [Rank]) -> Result<(), Fault> {
            Ok(())
        }
    }

    fn tell(engine: &mut Engine, second: u64, body: Command) -> Option<ClaimId> {
        let mut plugins = Plugins {
            qos: Seat::linked("any", || Box::new(Anywhere) as Box<dyn Qos>),
            allocator: Seat::linked("any", || Box::new(Anywhere) as Box<dyn Allocator>),
        };
        let by = Principal { admin: true, ..Principal::default() };
        let batch = engine.step(Time(second * SECOND), vec![Input { by, body }], &mut plugins);
        batch.events.iter().find_map(|event| match event.what {
            What::Queued { claim, .. } => Some(claim),
            _ => None,
        })
    }

    fn ask(engine: &mut Engine, second: u64, scope: &str, amount: Amount, expect_s: u64) -> Option<ClaimId> {
        let lines = vec![LineAsk { resource: "slot".into(), amount, ..LineAsk::default() }];
        let (scope, wait_ns, ttl_ns, expect_ns) = (scope.into(), 1 << 50, 1 << 50, expect_s * SECOND);
        let ask = Ask { scope, wait_ns, ttl_ns, expect_ns, lines, ..Ask::default() };
        tell(engine, second, Command::Ask(ask))
    }

    /// Eight of a kind, which come back in so many seconds where they are spent.
    fn slots(shape: Shape, period_s: u64) -> Engine {
        let mut engine = Engine::new();
        let (name, unit) = ("slot".to_owned(), "pieces".to_owned());
        let (min, step, piece, springs, driven) = (1, 1, 0, 0, false);
        let kind = ResourceSpec { name, shape, unit, min, step, piece, springs, driven };
        tell(&mut engine, 1, Command::SetResource(kind));
        let (resource, name) = ("slot".to_owned(), "slot".to_owned());
        let refill = Refill { period_ns: period_s * SECOND, ..Refill::default() };
        let pool = PoolSpec { resource, name, capacity: 8, refill, ..PoolSpec::default() };
        tell(&mut engine, 1, Command::SetPool(pool));
        engine
    }

    /// When one of `a` will have its turn, in the eyes of `by`, if others hold so much under such names; they say
    /// that they need an hour.
    fn turn(by: &str, others: [(&str, Amount); 2]) -> Option<wire::Eta> {
        let mut engine = slots(Shape::Unit, 0);
        ask(&mut engine, 1, "a/x", 1, 0);
        ask(&mut engine, 2, others[0].0, others[0].1, 3600);
        ask(&mut engine, 52, others[1].0, others[1].1, 3600);
        let claim = ask(&mut engine, 60, "a/y", 6, 0)?;
        let mut lasting = Lasting::default();
        for _ in 0..10 {
            lasting.observe("a", Time(SECOND), 100 * SECOND);
            // What others are known by is theirs.
            lasting.observe(others[0].0, Time(SECOND), 100 * SECOND);
        }
        let by = Principal { root: by.into(), ..Principal::default() };
        let sees =
            |row: Row| may_see(&by, engine.books().scope_path(engine.view().claims.scope[row as usize]));
        let whys = engine.explain_to(claim, &sees)?;
        Outlook { engine: &engine, lasting: &lasting, sees: &sees }.eta(claim, &whys)
    }

    /// When somebody will have its turn, in milliseconds, for whom another holds all of a budget that begins anew after so
    /// many seconds; that needs 100 s of them.
    fn of_budget(period_s: u64) -> Option<u64> {
        let mut engine = slots(Shape::Budget, period_s);
        ask(&mut engine, 1, "a", 8, 100);
        let claim = ask(&mut engine, 1, "a", 1, 0)?;
        let whys = engine.explain_to(claim, &|_| true)?;
        let lasting = Lasting::default();
        let eta = Outlook { engine: &engine, lasting: &lasting, sees: &|_| true }.eta(claim, &whys)?;
        assert_eq!(eta.p50, eta.p90, "what is said is all that is known");
        Some(eta.p50)
    }

    #[test]
    fn a_budget_that_somebody_holds_comes_back_with_its_period_and_not_with_its_holder() {
        assert_eq!(of_budget(3600), Some(3_600_000));
        // It is held over the end of two of them.
        assert_eq!(of_budget(40), Some(120_000));
        assert_eq!(of_budget(0), None, "never by itself");
    }

    #[test]
    fn the_turn_of_one_does_not_tell_how_others_share_what_they_hold() {
        let [few, many] = [[("b", 1), ("c", 3)], [("other/z", 3), ("b", 1)]];
        assert!(turn("a", few).is_some());
        assert_eq!(turn("a", few), turn("a", many));
        assert_ne!(turn("", few), turn("", many), "whoever sees them is told more exactly");
    }
}
