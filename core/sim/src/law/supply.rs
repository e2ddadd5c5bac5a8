//! What exists and what is bounded: never more in use than there is, and nothing lent that is kept.
use super::{Broken, Law, broken};
use bursar_engine::Engine;
use bursar_interface::{NONE, Row, Time, View};
use std::collections::{BTreeMap, BTreeSet};

/// What was in use after the last step.
#[derive(Clone, Debug, Default)]
pub(super) struct Before {
    used: BTreeMap<u32, u64>,
    /// How many hold some of each pool.
    holders: BTreeMap<u32, usize>,
    charged: BTreeMap<u32, u64>,
    /// Millicores that are free beyond what scopes keep for themselves.
    slack: i128,
}

impl Before {
    /// Checks what there is now; `settled` says that supplies and bounds are what they were.
    pub(super) fn look(&mut self, engine: &Engine, settled: bool) -> Result<(), Broken> {
        let over = self.overcommit(engine)?;
        self.crowds(engine)?;
        self.limits(engine, settled)?;
        let slack = slack(engine);
        // What comes back to a pool that shrank is not free, and is kept all the same.
        if settled && !over && slack < self.slack.min(0) {
            return broken(
                Law::Lend,
                format!("{} millicores are missing of what scopes do not lend", -slack),
            );
        }
        self.slack = slack;
        Ok(())
    }

    /// What is in use never grows beyond what there is, or what the rules of sharing offer of it; it may be above after a supply shrank. Says whether
    /// it is anywhere.
    fn overcommit(&mut self, engine: &Engine) -> Result<bool, Broken> {
        let view = engine.view();
        let (mut used, mut over) = (BTreeMap::new(), false);
        for p in (0..view.pools.len()).filter(|&p| view.pools.id[p] != 0) {
            let now = view.pools.reserved[p] + view.pools.held[p] + view.pools.quarantined[p];
            let (id, offered) = (view.pools.id[p], promised(engine, p as Row));
            let before = self.used.get(&id).copied().unwrap_or(0);
            if now > offered.max(before) {
                return broken(Law::Overcommit, format!("pool {id} has {now} in use and has {offered}"));
            }
            over |= now.max(before) > offered;
            used.insert(id, now);
        }
        self.used = used;
        Ok(over)
    }

    /// Never more come to hold some of a pool than its rules let hold it at once; there may be more after the rules
    /// became narrower.
    fn crowds(&mut self, engine: &Engine) -> Result<(), Broken> {
        let view = engine.view();
        let mut holders: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        let held = |l: &usize| view.lines.claim[*l] != NONE && view.lines.pool[*l] != NONE;
        for l in (0..view.lines.len()).filter(held) {
            holders.entry(view.lines.pool[l]).or_default().insert(view.lines.claim[l]);
        }
        let mut now = BTreeMap::new();
        for (pool, claims) in holders {
            let (id, count) = (view.pools.id[pool as usize], claims.len());
            let before = self.holders.get(&id).copied().unwrap_or(0);
            let most = engine.books().offer(pool).map_or(0, |offer| offer.holders as usize);
            if most > 0 && count > most.max(before) {
                return broken(Law::Overcommit, format!("pool {id} has {count} holders and may have {most}"));
            }
            now.insert(id, count);
        }
        self.holders = now;
        Ok(())
    }

    /// What a scope holds never grows beyond its limit; it may be above after that was lowered.
    fn limits(&mut self, engine: &Engine, settled: bool) -> Result<(), Broken> {
        let quotas = engine.view().quotas;
        let mut charged = BTreeMap::new();
        for q in (0..quotas.len()).filter(|&q| quotas.id[q] != 0) {
            let (id, now) = (quotas.id[q], quotas.charged[q]);
            // A bound that is new may find more than it allows.
            let before = self.charged.get(&id).copied().unwrap_or(if settled { 0 } else { now });
            let most = quotas.limit[q].min(quotas.guaranteed[q].saturating_add(quotas.borrow_limit[q]));
            if now > most.max(before) {
                return broken(Law::Limit, format!("quota {id} is charged {now} of {most}"));
            }
            charged.insert(id, now);
        }
        self.charged = charged;
        Ok(())
    }
}

/// Free millicores less what scopes keep of their guarantees and do not lend. What is left of a pool that has as many
/// holders as it may have counts as free: nobody has it lent.
fn slack(engine: &Engine) -> i128 {
    let (view, books) = (engine.view(), engine.books());
    let Some(cpu) = books.resource("cpu") else { return 0 };
    let kept = kept_below(&view, cpu, 0);
    let barred = |&p: &usize| {
        view.pools.resource[p] == cpu
            && view.pools.free[p] == 0
            && books.offer(p as Row).is_some_and(|offer| offer.holders > 0)
    };
    let left = |p: usize| {
        let used = view.pools.reserved[p] + view.pools.held[p] + view.pools.quarantined[p];
        view.pools.offered[p].saturating_sub(used)
    };
    let barred: u64 = (0..view.pools.len()).filter(barred).map(left).sum();
    i128::from(view.resources.free[cpu as usize]) + i128::from(barred) - i128::from(kept)
}

/// What the scopes below one keep and do not lend: each its own, or what those below it keep where that is more.
fn kept_below(view: &View<'_>, kind: Row, scope: Row) -> u64 {
    let scopes = 0..view.scopes.parent.len();
    let children = scopes.filter(|&s| view.scopes.id[s] != 0 && view.scopes.parent[s] == scope);
    let of = |s: usize, q: usize| {
        view.quotas.id[q] != 0 && view.quotas.scope[q] as usize == s && view.quotas.resource[q] == kind
    };
    let own = |s: usize| {
        let bounds = (0..view.quotas.len()).filter(|&q| of(s, q) && view.quotas.set[q] != 0);
        let kept = bounds.map(|q| {
            let firm = view.quotas.guaranteed[q].saturating_sub(view.quotas.lend_limit[q]);
            firm.saturating_sub(view.quotas.charged[q])
        });
        kept.sum::<u64>()
    };
    children.map(|s| own(s).max(kept_below(view, kind, s as Row))).sum()
}

/// When each line that is held comes back: as is said, or as is to be `foreseen`: (when, pool, amount).
pub(super) fn ends(view: &View<'_>, foreseen: bool) -> Vec<(Time, Row, u64)> {
    use bursar_interface::Phase;
    let held = (0..view.lines.len()).filter(|&l| view.lines.claim[l] != NONE && view.lines.pool[l] != NONE);
    let end = |l: usize| {
        let c = view.lines.claim[l];
        let (claims, i) = (&view.claims, c as usize);
        let at = match (Phase::of(claims.phase[i]), claims.expect[i]) {
            (Phase::Draining, _) => view.at,
            _ if foreseen => expected(view, c, view.at),
            (_, 0) => Time(claims.lease_until[i]),
            (_, expect) => Time(claims.granted_at[i]).after(expect),
        };
        (at.max(view.at), view.lines.pool[l], view.lines.amount[l])
    };
    let mut ends: Vec<_> = held.map(end).collect();
    ends.sort_unstable();
    ends
}

/// When a lease was to be expected back at some time: by its estimate or its term, doubled while that is found wrong.
pub(super) fn expected(view: &View<'_>, claim: Row, then: Time) -> Time {
    let (claims, c) = (&view.claims, claim as usize);
    let (since, until) = (claims.granted_at[c], claims.lease_until[c]);
    let (mut term, known) = match claims.expect[c] {
        0 if until - since <= claims.ttl[c] => return Time(until),
        0 => (claims.ttl[c], until),
        expect => (expect, then.0),
    };
    while since.saturating_add(term) < known {
        term *= 2;
    }
    Time(since.saturating_add(term))
}

/// What may be in use of a pool: not what the books say that is offered, but what was set.
fn promised(engine: &Engine, pool: Row) -> u64 {
    let capacity = engine.view().pools.capacity[pool as usize];
    engine.books().offer(pool).map_or(capacity, |offer| offer.offered.max(capacity))
}
