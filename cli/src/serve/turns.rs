//! Turns: of those who share a pool by turns all but one stand still, and after a while the next one goes on.
use super::follower::Follower;
use bursar_enforce::Hierarchy;
use bursar_engine::Engine;
use bursar_interface::{ClaimId, Phase, Row};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// The longest time between two looks: whoever comes or goes is seen by then.
const LOOK_MAX: Duration = Duration::from_millis(50);
/// The shortest.
const LOOK_MIN: Duration = Duration::from_millis(5);

/// Who share one pool, and how long a turn is.
type Table = (Row, Duration, Vec<ClaimId>);

/// Whose turn it is, and who stands still.
#[derive(Debug, Default)]
struct Turns {
    /// Of each pool, and since when.
    now: BTreeMap<Row, (ClaimId, Instant)>,
    still: BTreeSet<ClaimId>,
}

/// Whether any pool is shared by turns: rules are told at the start only.
pub fn any(engine: &Engine) -> bool {
    engine.books().turns().next().is_some()
}

/// Lets everybody go on whom an earlier daemon had stand still.
pub fn let_go(hierarchy: &Arc<Hierarchy>) {
    hierarchy.cells().iter().for_each(|path| stand_still(hierarchy, path, false));
}

/// Takes care of turns until the daemon ends; then nobody stands still.
pub fn run(follower: &Follower, hierarchy: &Arc<Hierarchy>, ending: &AtomicBool) {
    let mut turns = Turns::default();
    while !ending.load(Ordering::Acquire) {
        let (tables, suspended) = follower.read(|engine| {
            let suspended = turns.still.iter().copied().filter(|&claim| engine.to_be_frozen(claim)).collect();
            (tables(engine), suspended)
        });
        let (still, wait) = turns.go_on(&tables, Instant::now());
        let go_on = let_on(&turns.still, &still, &suspended);
        go_on.into_iter().for_each(|claim| stand_still(hierarchy, &[claim], false));
        still.difference(&turns.still).for_each(|&claim| stand_still(hierarchy, &[claim], true));
        turns.still = still;
        std::thread::park_timeout(wait);
    }
    turns.still.iter().for_each(|&claim| stand_still(hierarchy, &[claim], false));
}

/// Who goes on: who stood still and does no more, but for those who are suspended for others meanwhile.
fn let_on(
    before: &BTreeSet<ClaimId>,
    still: &BTreeSet<ClaimId>,
    suspended: &BTreeSet<ClaimId>,
) -> Vec<ClaimId> {
    before.difference(still).filter(|claim| !suspended.contains(claim)).copied().collect()
}

fn stand_still(hierarchy: &Arc<Hierarchy>, path: &[ClaimId], still: bool) {
    match hierarchy.cell_at(path).stand_still(still) {
        Ok(_) => {}
        // A cell that is gone has nobody in it.
        Err(error) => tracing::debug!(?path, still, %error, "a turn is not kept"),
    }
}

/// Who take turns: leases that are true, not suspended, and not about to end. One that shares several pools by turns takes its
/// turn at the first of them.
fn tables(engine: &Engine) -> Vec<Table> {
    let books = engine.books();
    let mut seen = BTreeSet::new();
    let runs = |claim: &ClaimId| {
        let row = books.claim(*claim);
        let lives =
            row.is_some_and(|row| books.phase(row) == Phase::Held && !engine.bodies(*claim).is_empty());
        lives && !engine.to_be_frozen(*claim)
    };
    let table = |(pool, quantum_ns, holders): (Row, u64, Vec<ClaimId>)| {
        let mine = holders.into_iter().filter(runs).filter(|claim| seen.insert(*claim)).collect();
        (pool, Duration::from_nanos(quantum_ns), mine)
    };
    books.turns().map(table).collect()
}

impl Turns {
    /// Who stands still from now on, and until when nothing changes by itself.
    fn go_on(&mut self, tables: &[Table], now: Instant) -> (BTreeSet<ClaimId>, Duration) {
        let (mut still, mut wait) = (BTreeSet::new(), LOOK_MAX);
        self.now.retain(|pool, _| tables.iter().any(|(of, ..)| of == pool));
        for (pool, quantum, holders) in tables {
            let Some(&first) = holders.first() else { continue };
            let (mut turn, mut since) = self.now.get(pool).copied().unwrap_or((first, now));
            let over = now.saturating_duration_since(since) >= *quantum;
            if over || !holders.contains(&turn) {
                turn = holders.iter().copied().find(|&holder| holder > turn).unwrap_or(first);
                since = now;
            }
            self.now.insert(*pool, (turn, since));
            still.extend(holders.iter().copied().filter(|&holder| holder != turn));
            if holders.len() > 1 {
                wait = wait.min(quantum.saturating_sub(now.saturating_duration_since(since)));
            }
        }
        (still, wait.max(LOOK_MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_turn_it_is_goes_on_unless_it_is_suspended() {
        let set = |ids: &[u64]| ids.iter().map(|&id| ClaimId(id)).collect::<BTreeSet<_>>();
        assert_eq!(let_on(&set(&[1, 2, 3]), &set(&[2]), &set(&[3])), [ClaimId(1)]);
    }

    #[test]
    fn each_has_its_turn_and_who_is_alone_never_stands_still() {
        let (mut turns, start, quantum) = (Turns::default(), Instant::now(), Duration::from_millis(100));
        let mut still = |holders: &[u64], ms: u64| -> Vec<u64> {
            let holders = holders.iter().map(|&id| ClaimId(id)).collect();
            let (still, _) = turns.go_on(&[(0, quantum, holders)], start + Duration::from_millis(ms));
            still.into_iter().map(|claim| claim.0).collect()
        };
        assert_eq!(still(&[1], 0), [0_u64; 0]);
        assert_eq!(still(&[1, 2, 3], 50), [2, 3]);
        assert_eq!(still(&[1, 2, 3], 100), [1, 3]);
        assert_eq!(still(&[1, 2, 3], 200), [1, 2]);
        assert_eq!(still(&[1, 2, 3], 300), [2, 3]);
        assert_eq!(still(&[2, 3], 320), [3], "who goes away leaves its turn to the next");
        assert_eq!(still(&[3], 330), [0_u64; 0]);
        assert_eq!(still(&[], 340), [0_u64; 0]);
    }
}
