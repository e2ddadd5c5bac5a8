//! Who waits: nobody who could be granted is forgotten, and nobody delays who has waited longest.
use super::{Broken, Law, broken, fits};
use bursar_engine::Engine;
use bursar_interface::{ClaimId, Phase, Row, Time, bound::RESERVE_AFTER_NS};

/// Waiting claims among which the head is looked for, as the engine does.
const HEADS_MAX: usize = 64;

/// The oldest claim that has waited so long that what is freed accrues to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    claim: ClaimId,
    class: u32,
    at: Time,
    /// When it could start, if every lease ends as its holder says.
    start: Option<Time>,
    /// Somebody holds on beyond its own estimate, so that no start can be told.
    overdue: bool,
}

impl Head {
    pub(super) fn of(engine: &Engine) -> Option<Head> {
        // By which of several sets of lines it will start is not foreseen here.
        let (claim, row) = head(engine).filter(|&(_, row)| engine.books().sets(row) == 1)?;
        let view = engine.view();
        let (class, start) = (view.claims.class[row as usize], fits::earliest(&view, row));
        let overdue = (0..view.claims.len())
            .filter(|&c| view.claims.id[c] != 0 && view.claims.granted_at[c] > 0 && view.claims.expect[c] > 0)
            .any(|c| Time(view.claims.granted_at[c]).after(view.claims.expect[c]) < view.at);
        Some(Head { claim, class, at: view.at, start, overdue })
    }

    /// It is still the head, and all that happened is that others were granted: those of its own class and
    /// below delay it by nothing, for as long as everybody's estimate holds.
    pub(super) fn is_not_delayed(
        &self,
        now: &Head,
        engine: &Engine,
        granted: &[ClaimId],
    ) -> Result<(), Broken> {
        let (books, claims) = (engine.books(), engine.view().claims);
        let above =
            |claim: &ClaimId| books.claim(*claim).is_some_and(|row| claims.class[row as usize] < self.class);
        let (Some(before), Some(start)) = (self.start, now.start) else { return Ok(()) };
        if self.overdue
            || now.overdue
            || now.claim != self.claim
            || granted.iter().any(above)
            || start <= before.max(now.at)
        {
            return Ok(());
        }
        broken(
            Law::Overtake,
            format!(
                "claim {} could start at {before}, and now at {start} since {granted:?} went first",
                now.claim
            ),
        )
    }
}

/// Those who wait, who came first first.
fn waiting(engine: &Engine) -> Vec<(ClaimId, Row)> {
    let (view, books) = (engine.view(), engine.books());
    let rows = (0..view.claims.len() as Row)
        .filter(|&row| view.claims.id[row as usize] != 0 && books.phase(row) == Phase::Pending);
    let mut waiting: Vec<_> = rows.map(|row| (ClaimId(view.claims.id[row as usize]), row)).collect();
    waiting.sort_unstable();
    waiting
}

fn head(engine: &Engine) -> Option<(ClaimId, Row)> {
    let (view, books) = (engine.view(), engine.books());
    let aged = |row: Row| Time(view.claims.asked_at[row as usize]).after(RESERVE_AFTER_NS) <= view.at;
    let mut oldest = waiting(engine).into_iter().take(HEADS_MAX).take_while(|&(_, row)| aged(row));
    oldest.find(|&(claim, row)| {
        let mut sets = (0..books.sets(row)).map(|set| books.set_rows(row, set));
        !engine.is_ganged(claim)
            && books.slice_short(row).is_none()
            && sets.any(|lines| books.quota_short_in(row, lines).is_none())
    })
}

/// Whoever could be granted is granted: all of them while nobody is kept for, and the head in any case.
pub(super) fn nobody_is_forgotten(engine: &Engine) -> Result<(), Broken> {
    let forgotten = match head(engine) {
        // What others give back is kept for whom it is promised to.
        _ if engine.has_promises() => None,
        Some(head) => Some(head).filter(|&(_, row)| fits::now(engine, row)),
        None => waiting(engine).into_iter().find(|&(_, row)| fits::now(engine, row)),
    };
    match forgotten {
        None => Ok(()),
        Some((claim, _)) => broken(
            Law::Wait,
            format!("claim {claim} could be granted, and waits: {:?}", engine.explain(claim)),
        ),
    }
}
