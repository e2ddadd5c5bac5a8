//! A cut and a pause as the daemon sees them, so that whoever asks waits in its fair line.
//!
//! A pause is a debt: a claim of the gate's own is settled with all that is left of the rate and all that will
//! come back while the pause lasts. So the next one is granted when it is over, and those behind it one by
//! one as the rate comes back, not all at once.
use crate::{
    cascade::{Cascade, Change},
    daemon::{Daemon, Failed, Lease},
    quota_headers::{LIMITS, Limit},
};
use bursar_interface::Fence;
use bursar_wire::{LineBody, Operation, UsedBody};
use std::time::Duration;

/// How long the claim of a pause may last; it is given back at once.
const TTL: Duration = Duration::from_secs(60);

/// The kind of a pool by its place.
fn kind(pool: usize) -> &'static str {
    match LIMITS[pool] {
        Limit::Requests => "requests",
        _ => "tokens",
    }
}

/// Sets pools; what the daemon would not have is as it was.
async fn set(daemon: &Daemon, cascade: &Cascade, changes: Vec<(Change, Option<u64>)>) {
    for ((pool, capacity), before) in changes {
        let Some(name) = &cascade.pools[pool] else { continue };
        match daemon.set_pool(kind(pool), name, capacity).await {
            Ok(()) => tracing::info!(kind = kind(pool), pool = name, capacity, "the provider's pace"),
            Err(failed) => {
                if let Failed::Refused(error) = failed {
                    tracing::warn!(kind = kind(pool), pool = name, %error, "the pool stays as it is");
                }
                before.into_iter().for_each(|before| cascade.undo(pool, before));
            }
        }
    }
}

/// Sees how the pools are, then changes them by `how`.
async fn change(daemon: &Daemon, cascade: &Cascade, how: impl FnOnce() -> Vec<Change>) {
    for (at, pool) in cascade.pools.iter().enumerate() {
        let Some(name) = pool else { continue };
        if let Ok(Some(pool)) = daemon.pool(kind(at), name).await {
            cascade.look(at, pool.capacity, pool.period_ms);
        }
    }
    let before: Vec<Option<u64>> = (0..LIMITS.len()).map(|pool| cascade.level(pool)).collect();
    let changes = how().into_iter().map(|(pool, to)| ((pool, to), before[pool])).collect();
    set(daemon, cascade, changes).await;
}

/// The first refusal of a cascade: cuts the pools, and has everybody wait for `pause`.
pub(crate) async fn cut(daemon: &Daemon, cascade: &Cascade, pause: Duration) {
    let _turn = cascade.turn.lock().await;
    tracing::info!(pause_ms = pause.as_millis() as u64, "the provider refuses: the pace is cut");
    change(daemon, cascade, || cascade.cut()).await;
    if let Some(at) = cascade.pools.iter().position(Option::is_some) {
        owe(daemon, kind(at), cascade.pools[at].as_deref().unwrap_or_default(), pause).await;
    }
}

/// An answer: takes over what it says of limits.
pub(crate) async fn answered(
    daemon: &Daemon,
    cascade: &Cascade,
    limits: [Option<u64>; 4],
    now: tokio::time::Instant,
) {
    let _turn = cascade.turn.lock().await;
    change(daemon, cascade, || cascade.answered(limits, now)).await;
}

/// The gate closes: the pools are as the operator had them.
pub(crate) async fn restore(daemon: &Daemon, cascade: &Cascade) {
    let _turn = cascade.turn.lock().await;
    if cascade.is_known() {
        change(daemon, cascade, || cascade.restored()).await;
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
