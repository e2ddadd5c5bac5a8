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
use bursar_wire::{LineBody, Operation, UsedBody};
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

/// Spends of a pool what is left and what comes back within `pause`.
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
        let back = pool.period_ms.filter(|&period| period > 0).map_or(0, |period_ms| {
            let back = u128::from(pool.capacity) * pause.as_millis() / u128::from(period_ms);
            u64::try_from(back).unwrap_or(u64::MAX)
        });
        let amount = pool.free.saturating_add(back).to_string();
        let used = vec![UsedBody { resource: kind.into(), pool: Some(name.into()), amount }];
        if let Err(Failed::Refused(error)) = daemon.settle(lease, used).await {
            tracing::warn!(kind, pool = name, %error, "nobody is made to wait");
        }
    }
    let Lease { id, fence } = lease;
    // What is not given back runs out.
    let _ = daemon.batch(&[Operation::Release { id, fence: Fence(fence) }]).await;
}
