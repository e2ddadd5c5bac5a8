//! A live lease that is to hold more or less: same lease, same fence, all or nothing, answered at once.
//!
//! Amounts are absolute, so that a lost answer does no harm: whoever says it again is told that it is so. A
//! shrink takes effect where it stands among the inputs, an extension after the round: who waits and fits goes
//! first, and what is kept for the head is not touched. Where an edge made the lease true, it makes the change
//! true as well: an extension is held from now on, what is given back is free once the edge has said so.
use crate::{Engine, Plugins, admit::bad, engine::Tape, nest::slice_hint, sticky::Reservation};
use bursar_interface::{
    Amount, Backfill, ClaimId, Command, Discipline, Fence, Input, LineSize, NONE, NodeState, Phase,
    Principal, Reason, Refusal, Row, Shape, Size, Time, What,
    bound::{AMOUNT_MAX, LINES_MAX},
    canary,
};
use bursar_pool::{Digest, Tight};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A change that an edge has to make true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resizing {
    /// What the lines that change are to hold.
    pub to: Vec<LineSize>,
    /// What they held before.
    pub before: Vec<LineSize>,
}

impl Resizing {
    pub(crate) fn digest(&self, digest: &mut Digest) {
        for size in self.to.iter().chain(&self.before) {
            digest.word(u64::from(size.line));
            digest.word(size.amount);
        }
    }
}

impl Engine {
    /// The change of a lease that its edge has not made true yet.
    pub fn resizing(&self, claim: ClaimId) -> Option<&Resizing> {
        self.resizing.get(&claim)
    }

    /// Extensions that came in this step, once all who wait were tried.
    pub(crate) fn extend_all(&mut self, tape: &mut Tape<'_>, plugins: &Plugins) {
        if self.extensions.is_empty() {
            return;
        }
        let discipline = plugins.qos.active.discipline();
        let (mut extensions, inputs) = (std::mem::take(&mut self.extensions), tape.inputs);
        for cause in extensions.drain(..) {
            let Some(Input { by, body: Command::Extend { claim, fence, to } }) = inputs.get(cause as usize)
            else {
                continue;
            };
            if let Err(refusal) = self.extend(cause, tape, by, (*claim, *fence), to, &discipline) {
                self.emit(tape, Some(cause), What::Refused(refusal));
            }
        }
        self.extensions = extensions;
    }

    fn extend(
        &mut self,
        cause: u32,
        tape: &mut Tape<'_>,
        by: &Principal,
        of: (ClaimId, Fence),
        to: &[Size],
        discipline: &Discipline,
    ) -> Result<(), Refusal> {
        let row = self.resizable(by, of)?;
        let lines = self.sizes(row, to, true)?;
        if self.known_size(of.0, &lines)? {
            self.emit(tape, Some(cause), What::Repeated(of.0));
            return Ok(());
        }
        let node = self.books.tables().claims.node[row as usize];
        if node != NONE && NodeState::of(self.books.tables().nodes.state[node as usize]) != NodeState::Open {
            let message = format!("node {} takes nothing new", self.books.node_name(node));
            return Err(Refusal::new(Reason::Cordoned, message).hint("keep what is held, or claim elsewhere"));
        }
        let head = if self.queue.is_empty() { None } else { self.reservation(discipline) };
        let kept = self.kept_from(row, head.as_ref(), discipline);
        let short = self.may_grow(of.0, row, &lines, &kept);
        if short.is_empty() {
            self.change(Some(cause), tape, row, of.0, lines);
            return Ok(());
        }
        Err(self.too_tight(
            row,
            &short,
            head.as_ref().filter(|_| self.books.growth_short(row, &lines, &[]).is_empty()),
        ))
    }

    /// Gives back some of what a lease holds.
    pub(crate) fn shrink(
        &mut self,
        cause: Option<u32>,
        tape: &mut Tape<'_>,
        by: &Principal,
        of: (ClaimId, Fence),
        to: &[Size],
    ) -> Result<(), Refusal> {
        let row = self.resizable(by, of)?;
        if self.books.child_count(of.0) > 0 {
            let message = format!("others draw from claim {}", of.0);
            return Err(Refusal::new(Reason::InUse, message).hint("shrink it once they have ended"));
        }
        let lines = self.sizes(row, to, false)?;
        match self.known_size(of.0, &lines)? {
            true => self.emit(tape, cause, What::Repeated(of.0)),
            false => self.change(cause, tape, row, of.0, lines),
        }
        Ok(())
    }

    /// What an edge reports of a change.
    pub(crate) fn resize_reported(
        &mut self,
        cause: Option<u32>,
        tape: &mut Tape<'_>,
        claim: ClaimId,
        failed: Option<&str>,
    ) -> Result<(), Refusal> {
        let Some(resizing) = self.resizing.get(&claim) else {
            return Err(Refusal::new(Reason::UnknownClaim, format!("claim {claim} is not being resized")));
        };
        let what = match failed {
            None => What::Resized { claim, lines: resizing.to.clone() },
            Some(message) => What::ResizeFailed { claim, message: message.to_owned() },
        };
        self.emit(tape, cause, what);
        Ok(())
    }

    fn resizable(&self, by: &Principal, of: (ClaimId, Fence)) -> Result<Row, Refusal> {
        let row = self.leased(by, of.0, of.1)?;
        match self.books.phase(row) {
            Phase::Held if self.to_be_frozen(of.0) => {
                Err(Refusal::new(Reason::InUse, format!("claim {} is suspended", of.0))
                    .hint("what it gave back is held again when it goes on"))
            }
            Phase::Held => Ok(row),
            _ => Err(Refusal::new(Reason::InUse, format!("claim {} is not held yet", of.0))
                .hint("try again in a moment")),
        }
    }

    /// Whether nothing is to change, or just this change is under way; another one must wait for that.
    fn known_size(&self, claim: ClaimId, lines: &[LineSize]) -> Result<bool, Refusal> {
        match self.resizing.get(&claim) {
            None => Ok(lines.is_empty()),
            Some(resizing) if resizing.to == lines => Ok(true),
            Some(_) => Err(Refusal::new(Reason::InUse, format!("claim {claim} is being resized already"))
                .hint("try again in a moment")),
        }
    }

    /// The lines that change, in order; each must be one that can, and into the direction that was asked for.
    fn sizes(&self, row: Row, to: &[Size], grows: bool) -> Result<Vec<LineSize>, Refusal> {
        if to.is_empty() || to.len() > LINES_MAX {
            return bad("nothing, or too much, is to change", "say what to hold then, as in memory=1G");
        }
        let mut lines: Vec<LineSize> = Vec::new();
        for size in to {
            let line = self.line_of(row, size)?;
            if lines.iter().any(|known| known.line == line) {
                return bad(&format!("{} is named twice", size.resource), "say once what to hold then");
            }
            self.check_size(row, line, size.amount, grows)?;
            lines.push(LineSize { line, amount: size.amount });
        }
        lines.sort_unstable_by_key(|size| size.line);
        lines.retain(|size| size.amount != self.size_before(row, size.line));
        Ok(lines)
    }

    /// What a line holds, or held before the change that is under way.
    fn size_before(&self, row: Row, line: u32) -> Amount {
        let tables = self.books.tables();
        let pending = self.resizing.get(&ClaimId(tables.claims.id[row as usize]));
        let before = pending.and_then(|pending| pending.before.iter().find(|size| size.line == line));
        let now = tables.lines.amount[(tables.claims.first_line[row as usize] + line) as usize];
        before.map_or(now, |size| size.amount)
    }

    /// The one line of a lease that a size is about.
    fn line_of(&self, row: Row, size: &Size) -> Result<u32, Refusal> {
        let Some(kind) = self.books.resource(&size.resource) else {
            let message = format!("there is no resource {:?}", size.resource);
            return Err(Refusal::new(Reason::UnknownResource, message));
        };
        let tables = self.books.tables();
        let named = |pool: Row| size.pool.as_ref().is_none_or(|name| self.books.pool_name(pool) == name);
        let rows = tables.claims.line_rows(row);
        let fits = |line: &Row| {
            tables.lines.resource[*line as usize] == kind && named(tables.lines.pool[*line as usize])
        };
        let mut found = rows.clone().filter(fits);
        match (found.next(), found.next()) {
            (Some(line), None) => Ok(line - rows.start),
            (None, _) if self.books.inner(row).iter().any(|line| line.resource == kind) => bad(
                &format!("the lease draws its {} from another one", size.resource),
                "only what comes from a pool can grow or shrink; claim the rest",
            ),
            (None, _) => bad(
                &format!("the lease holds no {}{}", size.resource, of_pool(size.pool.as_deref())),
                "only what it holds already can grow or shrink; claim the rest",
            ),
            (Some(_), Some(_)) => {
                let lines = rows.filter(|line| tables.lines.resource[*line as usize] == kind);
                let pools: BTreeSet<Row> = lines.map(|line| tables.lines.pool[line as usize]).collect();
                let hint = match size.pool.is_none() && pools.len() > 1 {
                    true => format!("name the pool, as in {}:POOL=AMOUNT", size.resource),
                    false => "only what was claimed in one line can grow or shrink".to_owned(),
                };
                bad(
                    &format!(
                        "the lease holds {}{} on several lines",
                        size.resource,
                        of_pool(size.pool.as_deref())
                    ),
                    &hint,
                )
            }
        }
    }

    fn check_size(&self, row: Row, line: u32, amount: Amount, grows: bool) -> Result<(), Refusal> {
        let tables = self.books.tables();
        let l = (tables.claims.first_line[row as usize] + line) as usize;
        let (spec, pool) = (self.books.spec(tables.lines.resource[l]), tables.lines.pool[l] as usize);
        let (name, unit, before) = (&spec.name, &spec.unit, self.size_before(row, line));
        if spec.shape == Shape::Unit && spec.piece == 0 {
            return bad(&format!("a {name} is held as it is"), "release it, and claim another one");
        }
        if matches!(spec.shape, Shape::Rate | Shape::Budget) && tables.lines.used[l] != Amount::MAX {
            return bad(
                &format!("what was used of {name} is settled, and nothing of it is held"),
                "claim anew",
            );
        }
        let spends = matches!(spec.shape, Shape::Rate | Shape::Budget);
        let spent = if spends { self.books.drawn_from(l as Row) } else { 0 };
        let most = if spec.piece > 0 { spec.piece } else { AMOUNT_MAX };
        // What was claimed of a rate flows back meanwhile: only what is more has to be there at once.
        let held = if spec.shape == Shape::Rate { before } else { 0 };
        if amount < spec.min.max(1) || amount > most || spec.step > 1 && !amount.is_multiple_of(spec.step) {
            return bad(
                &format!("{amount} {unit} of {name} cannot be held"),
                &format!("{} to {most}, in steps of {}", spec.min.max(1), spec.step.max(1)),
            );
        }
        match grows {
            true if amount < before => bad(
                &format!("{amount} {unit} of {name} is less than the {before} that are held"),
                "an extension says what to hold then; to give back, shrink",
            ),
            false if amount > before => bad(
                &format!("{amount} {unit} of {name} is more than the {before} that are held"),
                "a shrink says what to hold then; to have more, extend",
            ),
            // It would come to nobody: what is spent is gone.
            false
                if amount < before
                    && amount < spent
                    && !canary!("a lease shrinks below what was spent within") =>
            {
                bad(
                    &format!(
                        "{spent} {unit} of {name} are spent within the lease, which is more than {amount}"
                    ),
                    &format!("at least {} {unit}", spent.min(before)),
                )
            }
            true if amount.saturating_sub(held) > self.books.ever(pool as Row) => {
                let most = held + self.books.ever(pool as Row);
                let message = format!("{amount} {unit} of {name} is more than its pool ever has");
                Err(Refusal::new(Reason::NeverFits, message).hint(format!("at most {most} {unit}")))
            }
            _ => Ok(()),
        }
    }

    /// What of pools a lease may not grow into: what the head will need, unless the lease ends before that by
    /// its own estimate; where nobody may pass, nothing of those pools.
    pub(crate) fn kept_from(
        &self,
        row: Row,
        head: Option<&Reservation>,
        discipline: &Discipline,
    ) -> Vec<(Row, Amount)> {
        let Some(head) = head else { return Vec::new() };
        let claims = &self.books.tables().claims;
        let (granted_at, expect) = (Time(claims.granted_at[row as usize]), claims.expect[row as usize]);
        match discipline.backfill {
            Backfill::Nothing => head.keep.iter().map(|&(pool, _)| (pool, Amount::MAX)).collect(),
            // Whoever has outlived its estimate says nothing of when it ends.
            _ if expect > 0 && (self.books.at()..=head.start).contains(&granted_at.after(expect)) => {
                Vec::new()
            }
            _ => head.keep.clone(),
        }
    }

    /// Says what an extension is short of; `head` is who it is kept for, if it is there at all.
    fn too_tight(&self, row: Row, short: &[Tight], head: Option<&Reservation>) -> Refusal {
        let (tables, now) = (self.books.tables(), self.books.at());
        let ready = |tight: &Tight| match *tight {
            Tight::Ledger { ledger, asked, .. } => self.books.quota_ready(row, ledger, asked),
            Tight::Pool { pool, by, .. } => self.books.pool_back(pool, by),
        };
        let all = short.iter().map(ready).collect::<Option<Vec<Time>>>();
        let last = all.and_then(|times| times.into_iter().max()).filter(|_| head.is_none());
        let retry_ns = last.map(|at| at.0.saturating_sub(now.0));
        let (kind, (asked, by), reason, of) = match short[0] {
            Tight::Ledger { ledger, asked, by } => {
                let path = self.books.scope_path(tables.quotas.scope[ledger as usize]);
                let kind = tables.quotas.resource[ledger as usize];
                let of = match self.books.keeps_back(ledger) {
                    true => format!("what scope {path:?} has beside what is kept for others in it"),
                    false => format!("the limit of scope {path:?}"),
                };
                (kind, (asked, by), Reason::InsufficientQuota, of)
            }
            Tight::Pool { pool, asked, by } => {
                let kind = tables.pools.resource[pool as usize];
                let of = match head {
                    // Whose it is may not be for the asker to know.
                    Some(_) => "what is not kept for a claim that came before".to_owned(),
                    None => format!("what is free of {}", self.books.pool_name(pool)),
                };
                (kind, (asked, by), Reason::InsufficientCapacity, of)
            }
        };
        let spec = self.books.spec(kind);
        let message = format!("{} is {by} {} short of that: it is above {of}", spec.name, spec.unit);
        let hint = match by <= asked {
            true => format!("ask for {by} {} less, or try again when somebody gave back", spec.unit),
            false => "try again when that much was given back".to_owned(),
        };
        Refusal::new(self.spent(kind).unwrap_or(reason), message).hint(hint).after(retry_ns)
    }

    /// Changes a lease, by way of its edge where one made it true.
    pub(crate) fn change(
        &mut self,
        cause: Option<u32>,
        tape: &mut Tape<'_>,
        row: Row,
        claim: ClaimId,
        lines: Vec<LineSize>,
    ) {
        let tables = self.books.tables();
        let first = tables.claims.first_line[row as usize];
        let concerns_edge = |size: &LineSize| {
            let spec = self.books.spec(tables.lines.resource[(first + size.line) as usize]);
            spec.driven || matches!(spec.shape, Shape::Capacity | Shape::Unit)
        };
        let edge = tables.claims.bodied[row as usize] != 0 && lines.iter().any(concerns_edge);
        let what = if edge { What::Resizing { claim, lines } } else { What::Resized { claim, lines } };
        self.emit(tape, cause, what);
    }

    /// Folds that a change is under way: what is more is held from now on.
    pub(crate) fn fold_resizing(&mut self, claim: ClaimId, to: &[LineSize]) {
        self.look_again = true;
        let Some(row) = self.books.claim(claim) else { return };
        let before: Vec<LineSize> =
            to.iter().map(|size| LineSize { amount: self.size_before(row, size.line), ..*size }).collect();
        for (size, before) in to.iter().zip(&before).filter(|(size, before)| size.amount > before.amount) {
            debug_assert_eq!(size.line, before.line);
            self.books.resize(row, *size);
        }
        self.resizing.insert(claim, Resizing { to: to.to_vec(), before });
        self.restand_holder(row);
    }

    /// Folds that a lease holds other amounts; what it gave back may help others, and what it has more of those
    /// within it.
    pub(crate) fn fold_resized(&mut self, claim: ClaimId, to: &[LineSize]) {
        self.look_again = true;
        self.resizing.remove(&claim);
        let Some(row) = self.books.claim(claim) else { return };
        self.set_sizes(row, to);
    }

    /// Folds that a change could not be made true: the lease holds what it held.
    pub(crate) fn fold_resize_failed(&mut self, claim: ClaimId) {
        let (Some(resizing), Some(row)) = (self.resizing.remove(&claim), self.books.claim(claim)) else {
            return;
        };
        self.set_sizes(row, &resizing.before);
    }

    pub(crate) fn set_sizes(&mut self, row: Row, to: &[LineSize]) {
        let tables = self.books.tables();
        let first = tables.claims.first_line[row as usize];
        let frees = to.iter().any(|size| size.amount < tables.lines.amount[(first + size.line) as usize]);
        to.iter().for_each(|size| self.books.resize(row, *size));
        if frees {
            self.wake_after(row);
        }
        self.queue.wake(slice_hint(row));
        self.restand_holder(row);
    }
}

fn of_pool(pool: Option<&str>) -> String {
    pool.map(|pool| format!(" from {pool:?}")).unwrap_or_default()
}
