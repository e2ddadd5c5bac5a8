//! A cut and a pause as the daemon sees them, so that whoever asks waits in its fair line.
//!
//! A pause is a debt: a claim of the gate's own is settled with all that is left of the rate and all that will
//! come back while the pause lasts. So the next one is granted when it is over, and those behind it one by
//! one as the rate comes back, not all at once.
use crate::{
    cascade::{Cascade, Change},
    daemon::{Daemon, Failed, Lease},
    quota_headers::{LIMITS, Limit},
    record::Record,
};
use bursar_interface::Fence;
use bursar_wire::{LineBody, Operation, Pool, Quota, UsedBody};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long the claim of a pause may last; it is given back at once.
const TTL: Duration = Duration::from_secs(60);

/// The kind of a pool by its place.
fn kind(pool: usize) -> &'static str {
    match LIMITS[pool] {
        Limit::Requests => "requests",
        _ => "tokens",
    }
}

/// Whoever changes pools, and where it writes down what they were.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    pub(crate) daemon: Arc<Daemon>,
    pub(crate) record: Record,
}

impl Keeper {
    /// Sets a pool to `to`; what the daemon would not have is as it was.
    async fn set(&self, cascade: &Cascade, (pool, to): Change, before: u64) {
        let (Some(name), Some(ceiling)) = (&cascade.pools[pool], cascade.ceiling(pool)) else { return };
        let kind = kind(pool);
        self.record.sets(kind, name, ceiling, [before, to]).await;
        match self.daemon.set_pool(kind, name, to).await {
            Ok(()) => {
                tracing::info!(kind, pool = name, capacity = to, "the provider's pace");
                if to == ceiling {
                    self.record.is_back(kind, name).await;
                }
            }
            Err(failed) => {
                if let Failed::Refused(error) = failed {
                    tracing::warn!(kind, pool = name, %error, "the pool stays as it is");
                }
                cascade.undo(pool, before);
            }
        }
    }

    /// Sees how the pools are, then changes them by `how`.
    async fn change(&self, cascade: &Cascade, how: impl FnOnce() -> Vec<Change>) {
        for (at, pool) in cascade.pools.iter().enumerate() {
            let Some(name) = pool else { continue };
            if let Ok(Some(pool)) = self.daemon.pool(kind(at), name).await {
                let kept = self.record.ceiling(kind(at), name, pool.capacity);
                cascade.look(at, pool.capacity, pool.period_ms, kept);
                if kept.is_none() {
                    self.record.is_back(kind(at), name).await;
                }
            }
        }
        let before: Vec<Option<u64>> = (0..LIMITS.len()).map(|pool| cascade.level(pool)).collect();
        for (pool, to) in how() {
            if let Some(before) = before[pool] {
                self.set(cascade, (pool, to), before).await;
            }
        }
    }

    /// The first refusal of a cascade: cuts the pools, and has everybody wait for `pause`.
    pub(crate) async fn cut(&self, cascade: &Cascade, pause: Duration) {
        let _turn = cascade.turn.lock().await;
        tracing::info!(pause_ms = pause.as_millis() as u64, "the provider refuses: the pace is cut");
        self.change(cascade, || cascade.cut()).await;
        if let Some(at) = cascade.pools.iter().position(Option::is_some) {
            owe(&self.daemon, kind(at), cascade.pools[at].as_deref().unwrap_or_default(), pause).await;
        }
    }

    /// An answer: takes over what it says of limits.
    pub(crate) async fn answered(&self, cascade: &Cascade, limits: [Option<u64>; 4], now: Instant) {
        let _turn = cascade.turn.lock().await;
        self.change(cascade, || cascade.answered(limits, now)).await;
    }

    /// The gate closes: the pools are as the operator had them.
    pub(crate) async fn restore(&self, cascade: &Cascade) {
        let _turn = cascade.turn.lock().await;
        if cascade.is_known() {
            self.change(cascade, || cascade.restored()).await;
        }
    }

    /// The gate opens: what one before it left cut is as the operator had it. Where no daemon answers yet, it is given
    /// back step by step, or at the end.
    pub(crate) async fn take_up(&self, cascade: &Cascade) {
        let named = cascade.pools.iter().enumerate().filter_map(|(at, pool)| Some((at, pool.as_deref()?)));
        if named.into_iter().any(|(at, name)| self.record.has(kind(at), name)) {
            let _turn = cascade.turn.lock().await;
            self.change(cascade, || cascade.restored()).await;
        }
    }
}

/// Spends of a pool what is left and what comes back within `pause`; or of a ledger that has less.
async fn owe(daemon: &Daemon, kind: &str, name: &str, pause: Duration) {
    let line = LineBody {
        resource: kind.into(),
        amount: "1".into(),
        pool: Some(name.into()),
        ..LineBody::default()
    };
    // Where nothing is left, whoever asks waits already.
    let Ok(lease) = daemon.ask("", vec![line], Duration::ZERO, TTL).await else { return };
    if let Ok(Some(pool)) = daemon.pool(kind, name).await {
        let bounds = bounds(daemon, lease, kind).await;
        let amount = amount(&pool, &bounds, pause).to_string();
        let used = vec![UsedBody { resource: kind.into(), pool: Some(name.into()), amount }];
        if let Err(Failed::Refused(error)) = daemon.settle(lease, used).await {
            tracing::warn!(kind, pool = name, %error, "nobody is made to wait");
        }
    }
    let Lease { id, fence } = lease;
    // What is not given back runs out.
    let _ = daemon.batch(&[Operation::Release { id, fence: Fence(fence) }]).await;
}

/// The ledgers that a lease is charged to, as far as the gate may see them.
async fn bounds(daemon: &Daemon, lease: Lease, kind: &str) -> Vec<Quota> {
    let (Ok(scope), Ok(quotas)) = (daemon.scope(lease).await, daemon.quotas().await) else {
        return Vec::new();
    };
    let above = |quota: &Quota| {
        let below = scope.strip_prefix(quota.scope.as_str());
        quota.scope.is_empty() || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    quotas.into_iter().filter(|quota| quota.resource == kind && above(quota)).collect()
}

/// How much a pause is: what is left of the pool and comes back meanwhile. A ledger that has less of the kind would
/// have its scope wait for longer than the provider asked for, and with so much as that has left nobody below it starts
/// either: all who call through this gate are.
fn amount(pool: &Pool, ledgers: &[Quota], pause: Duration) -> u64 {
    let whole = left(pool.free, pool.capacity, pool.period_ms, pause);
    let ledgers = ledgers.iter().filter_map(|ledger| {
        let borrowed = ledger.borrow_limit.map(|most| ledger.guaranteed.saturating_add(most));
        let limit = ledger.limit.into_iter().chain(borrowed).min()?;
        Some(left(limit.saturating_sub(ledger.charged), limit, ledger.period_ms, pause))
    });
    ledgers.fold(whole, u64::min)
}

/// What is free of a rate now, and comes back of it within `pause`.
fn left(free: u64, capacity: u64, period_ms: Option<u64>, pause: Duration) -> u64 {
    let back = period_ms.filter(|&period| period > 0).map_or(0, |period_ms| {
        let back = u128::from(capacity) * pause.as_millis() / u128::from(period_ms);
        u64::try_from(back).unwrap_or(u64::MAX)
    });
    free.saturating_add(back)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_as_long_in_whichever_ledger_has_least() {
        let pool = Pool { capacity: 6000, free: 1000, period_ms: Some(60_000), ..Pool::default() };
        let ledger = |limit, charged, period_ms| Quota { limit, charged, period_ms, ..Quota::default() };
        let second = Duration::from_secs(1);
        assert_eq!(amount(&pool, &[], second), 1100);
        assert_eq!(amount(&pool, &[ledger(None, 7, None)], second), 1100, "no bound");
        assert_eq!(amount(&pool, &[ledger(Some(60), 20, Some(60_000))], second), 41);
        assert_eq!(amount(&pool, &[ledger(Some(60), 90, Some(60_000))], second), 1, "in debt already");
        let borrows = Quota { guaranteed: 30, borrow_limit: Some(10), ..ledger(Some(60), 20, None) };
        assert_eq!(amount(&pool, &[borrows], second), 20);
    }
}
