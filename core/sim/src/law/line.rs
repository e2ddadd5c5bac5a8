//! Who waits: nobody who could be granted is forgotten, and nobody delays who has waited longest.
use super::{Broken, Law, broken, fits, supply};
use bursar_engine::Engine;
use bursar_interface::{ClaimId, Phase, Row, Time};

/// The claim that has waited so long that what is freed accrues to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    claim: ClaimId,
    class: u32,
    at: Time,
    /// When it could start, if every lease ends as is to be expected of its holder.
    start: Option<Time>,
    /// It has no choice, and somebody holds on beyond its own estimate, so that no start can be told.
    overdue: bool,
}

impl Head {
    pub(super) fn of(engine: &Engine) -> Option<Head> {
        let claim = engine.head()?;
        // By which of several sets of lines it will start is not foreseen here.
        let row = engine.books().claim(claim).filter(|&row| engine.books().sets(row) == 1)?;
        let view = engine.view();
        let (class, start) = (view.claims.class[row as usize], fits::earliest(engine, row));
        let overdue = (0..view.claims.len())
            .filter(|&c| view.claims.id[c] != 0 && view.claims.granted_at[c] > 0 && view.claims.expect[c] > 0)
            .any(|c| Time(view.claims.granted_at[c]).after(view.claims.expect[c]) < view.at);
        let overdue = overdue && !fits::has_choice(engine, row);
        Some(Head { claim, class, at: view.at, start, overdue })
    }

    /// Whether somebody holds on beyond what was to be expected.
    fn was_wrong(&self, engine: &Engine) -> bool {
        let view = engine.view();
        let claims = &view.claims;
        (0..claims.len())
            .filter(|&c| claims.id[c] != 0 && claims.granted_at[c] > 0 && claims.granted_at[c] <= self.at.0)
            .any(|c| claims.expect[c] > 0 && supply::expected(&view, c as Row, self.at) < view.at)
    }

    /// It is still the head, and all that happened is that others were granted: those who stand behind it delay it
    /// by nothing, for as long as everybody's estimate holds.
    pub(super) fn is_not_delayed(
        &self,
        now: &Head,
        engine: &Engine,
        granted: &[ClaimId],
        by_class: bool,
    ) -> Result<(), Broken> {
        let above = |claim: &ClaimId| may_go_before(self, engine, *claim, by_class);
        let (Some(before), Some(start)) = (self.start, now.start) else { return Ok(()) };
        if self.was_wrong(engine)
            || self.overdue
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

/// Whether a claim may have stood before the head when it was granted: it is of a better class, or older, or of a
/// part of the tree that can have held less, or such that some qos ranks it otherwise within its team.
fn may_go_before(head: &Head, engine: &Engine, granted: ClaimId, by_class: bool) -> bool {
    let (books, claims) = (engine.books(), engine.view().claims);
    let (Some(row), Some(head_row)) = (books.claim(granted), books.claim(head.claim)) else { return true };
    let scope = |row: Row| claims.scope[row as usize];
    let less = || {
        let below = books.chain(scope(row)).collect::<Vec<_>>();
        let beside = books.chain(scope(head_row)).take_while(|up| !below.contains(up)).last();
        // Whoever holds nothing stands before all who came later.
        let now = std::iter::empty;
        let share =
            beside.map_or_else(|| books.own_share(scope(head_row), now()), |up| books.share(up, now()));
        scope(row) != scope(head_row) && share > 0
    };
    let (g, h) = (row as usize, head_row as usize);
    let shorter = claims.expect[g] > 0 && (claims.expect[h] == 0 || claims.expect[g] < claims.expect[h]);
    let ranks = claims.priority[g] > claims.priority[h] || !by_class && shorter;
    claims.class[g] < head.class || granted < head.claim || ranks || less()
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

/// Whoever could be granted is granted: all of them while nothing is kept, and else the one it is kept for.
pub(super) fn nobody_is_forgotten(engine: &Engine) -> Result<(), Broken> {
    let free = |claim: ClaimId| !engine.keeps_room_from(claim);
    let forgotten = match engine.head().and_then(|head| Some((head, engine.books().claim(head)?))) {
        // What others give back is kept for whom it is promised to.
        _ if engine.has_promises() => None,
        Some(head) => Some(head).filter(|&(claim, row)| free(claim) && fits::now(engine, row)),
        None => waiting(engine).into_iter().find(|&(claim, row)| free(claim) && fits::now(engine, row)),
    };
    match forgotten {
        None => Ok(()),
        Some((claim, _)) => broken(
            Law::Wait,
            format!("claim {claim} could be granted, and waits: {:?}", engine.explain(claim)),
        ),
    }
}
