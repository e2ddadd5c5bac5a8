//! A second opinion on circles: no set of waiting claims waits for each other forever, and of those who would only
//! the last is refused. Who holds what is added up anew, and only for what can be told without placing anything:
//! pools by name, and sums of what is held by a kind.
use bursar_engine::Engine;
use bursar_interface::{Amount, Batch, ClaimId, Command, Input, Link, NONE, Phase, Row, Shape, What};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

/// What those who wait said to hold meanwhile.
#[derive(Clone, Debug, Default)]
pub(crate) struct Circled(BTreeMap<ClaimId, Vec<ClaimId>>);

impl Circled {
    /// Checks who was refused in a step; says how many.
    pub(crate) fn hear(&mut self, batch: &Batch) -> Result<u64, String> {
        let mut refused = BTreeSet::new();
        for event in &batch.events {
            let input = event.cause.and_then(|cause| batch.inputs.get(cause as usize));
            match (&event.what, input) {
                (What::Queued { claim, .. }, Some(Input { body: Command::Ask(ask), .. }))
                    if !ask.holding.is_empty() =>
                {
                    self.0.insert(*claim, ask.holding.clone());
                }
                (What::Deadlocked { claim, circle }, _) => {
                    let others = |link: &Link| link.claim != *claim && refused.contains(&link.claim);
                    if circle.iter().any(others) || circle.first().is_none_or(|link| link.claim != *claim) {
                        return Err(format!(
                            "claim {claim} is refused for {circle:?}, of which one was already"
                        ));
                    }
                    refused.insert(*claim);
                }
                (What::Closed { claim, .. }, _) => {
                    self.0.remove(claim);
                }
                _ => {}
            }
        }
        Ok(refused.len() as u64)
    }

    /// Whether a claim was asked for while something was held.
    pub(crate) fn is_incremental(&self, engine: &Engine, claim: ClaimId) -> bool {
        engine.books().parent(claim).is_some() || self.0.contains_key(&claim)
    }

    /// Checks that everybody who waits can be had one day.
    pub(crate) fn look(&self, engine: &Engine) -> Result<(), String> {
        let mut open = self.waiting(engine);
        loop {
            let stay: BTreeSet<Row> = open.iter().flat_map(|(_, held)| held.iter().copied()).collect();
            let before = open.len();
            open.retain(|&(row, _)| !could_have(engine, row, &stay));
            if open.is_empty() {
                return Ok(());
            }
            if open.len() == before {
                let claims: Vec<u64> =
                    open.iter().map(|&(row, _)| engine.view().claims.id[row as usize]).collect();
                return Err(format!("claims {claims:?} wait for each other"));
            }
        }
    }

    /// Checks that those who hold what others wait for stand ahead as those do, and not further; says how many stand
    /// ahead of their own.
    pub(crate) fn heirs(&self, engine: &Engine) -> Result<u64, String> {
        let view = engine.view();
        let rows = (0..view.claims.len() as Row).filter(|&row| view.claims.id[row as usize] != 0);
        let in_line = rows.filter_map(|row| {
            let (own, stands) = engine.tiers(ClaimId(view.claims.id[row as usize]))?;
            Some((row, own, stands))
        });
        let in_line: Vec<(Row, u64, u64)> = in_line.collect();
        let Some(first) = in_line.iter().map(|&(_, own, _)| own).min() else { return Ok(0) };
        if let Some(&(row, ..)) = in_line.iter().find(|&&(_, own, stands)| stands > own || stands < first) {
            let claim = view.claims.id[row as usize];
            return Err(format!("claim {claim} stands for somebody who is not there"));
        }
        let tier = |row: Row| in_line.iter().find(|(other, ..)| *other == row).map(|&(.., stands)| stands);
        for (row, held) in self.waiting(engine) {
            let Some(stands) = tier(row) else { continue };
            let behind =
                in_line.iter().filter(|&&(other, ..)| held.iter().any(|&lease| waits(engine, other, lease)));
            if let Some(&(other, ..)) = behind.into_iter().find(|&&(.., ahead)| ahead < stands) {
                let [claim, other] = [row, other].map(|row| view.claims.id[row as usize]);
                return Err(format!(
                    "claim {other} waits for what the asker of claim {claim} holds, and stands before it"
                ));
            }
        }
        Ok(in_line.iter().filter(|&&(_, own, stands)| stands < own).count() as u64)
    }

    /// Rows of the claims that wait while something is held, and of what is held.
    fn waiting(&self, engine: &Engine) -> Vec<(Row, Vec<Row>)> {
        let (view, books) = (engine.view(), engine.books());
        let rows = (0..view.claims.len() as Row).filter(|&row| view.claims.id[row as usize] != 0);
        let waiting = rows.filter(|&row| books.phase(row) == Phase::Pending).filter_map(|row| {
            let claim = ClaimId(view.claims.id[row as usize]);
            let around = books.around(claim).skip(1).filter_map(|lease| books.claim(lease));
            let named = self.0.get(&claim).into_iter().flatten().filter_map(|&lease| books.claim(lease));
            let leaves = |row: &Row| {
                let lease = ClaimId(view.claims.id[*row as usize]);
                books.phase(*row) < Phase::Draining && engine.notice(lease).is_none()
            };
            let held: Vec<Row> = around.chain(named).filter(leaves).collect();
            (!held.is_empty()).then_some((row, held))
        });
        waiting.collect()
    }
}

/// Whether a claim waits for a pool by name that a lease holds.
fn waits(engine: &Engine, row: Row, lease: Row) -> bool {
    let view = engine.view();
    let mut held = view.claims.line_rows(lease).map(|line| view.lines.pool[line as usize]);
    held.any(|pool| {
        let mut wanted = engine.books().all_rows(row).map(|line| line as usize);
        wanted.any(|line| view.lines.want[line] == pool && view.lines.amount[line] > view.pools.free(pool))
    })
}

/// Whether a claim could be had if only these leases never gave anything back.
fn could_have(engine: &Engine, row: Row, stay: &BTreeSet<Row>) -> bool {
    let (books, policy) = (engine.books(), engine.preemption_policy());
    // It may have others end for itself.
    if books.parent_row(row).is_none() && (policy.by_band || policy.reclaim) {
        return true;
    }
    (0..books.sets(row)).any(|set| fits(engine, books.set_rows(row, set), stay))
}

fn fits(engine: &Engine, lines: Range<Row>, stay: &BTreeSet<Row>) -> bool {
    let view = engine.view();
    let taken = |counts: &dyn Fn(usize) -> bool| -> Amount {
        let held = stay.iter().flat_map(|&lease| view.claims.line_rows(lease)).map(|line| line as usize);
        held.filter(|&line| counts(line)).map(|line| view.lines.amount[line]).sum()
    };
    lines.clone().map(|line| line as usize).all(|l| {
        let (kind, want) = (view.lines.resource[l], view.lines.want[l]);
        let shape = view.resources.shape[kind as usize];
        if shape == Shape::Rate as u32 || shape == Shape::Budget as u32 {
            return true;
        }
        let alike = |other: &Row| {
            let other = *other as usize;
            view.lines.resource[other] == kind && view.lines.want[other] == want
        };
        let asked: Amount = lines.clone().filter(alike).map(|line| view.lines.amount[line as usize]).sum();
        let (all, taken) = match want {
            NONE => {
                (view.resources.capacity[kind as usize], taken(&|line| view.lines.resource[line] == kind))
            }
            pool => (view.pools.offered[pool as usize], taken(&|line| view.lines.pool[line] == pool)),
        };
        asked > all || all.saturating_sub(taken) >= asked
    })
}
