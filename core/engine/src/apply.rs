//! The fold: how each event moves the state. Total, and it asks nobody.
use crate::{
    Closed, ClosedLine, Engine,
    engine::Resolved,
    kept::fingerprint,
    nest::{scope_of, slice_hints},
    queue::ANYTHING,
};
use bursar_interface::{
    Ask, ClaimId, Command, Decider, Ending, Event, Fence, Input, Phase, PoolId, Reason, Role, Row, Rung,
    Time, What, canary,
};
use std::borrow::Cow;

impl Engine {
    /// Folds one event; `inputs` are those of its batch.
    pub(crate) fn apply(&mut self, inputs: &[Input], event: &Event) {
        self.books.begin_change();
        let input = event.cause.and_then(|cause| inputs.get(cause as usize));
        match &event.what {
            What::Refused(_)
            | What::Repeated(_)
            | What::PluginFault { .. }
            | What::LoopBroken { .. }
            | What::Found
            | What::Suspected
            | What::Squeezed(_)
            | What::Woken => {}
            What::Queued { claim, .. } => self.queued(*claim, input),
            What::Waiting { claim, reason, retry_at } => {
                self.with(*claim, |engine, row| engine.books.set_reason(row, *reason, *retry_at))
            }
            What::Granted { claim, fence, pools, lease_until, .. } => {
                self.granted(*claim, *fence, pools, *lease_until)
            }
            What::Enforced(claim) => self.with(*claim, |engine, row| engine.books.enforce(row)),
            What::Renewed { claim, lease_until } => self.renewed(*claim, *lease_until, input),
            What::Draining { claim, ending } => self.draining(*claim, *ending),
            What::Quarantined { claim, .. } => self.with(*claim, |engine, row| engine.books.quarantine(row)),
            What::Closed { claim, ending } => self.close(*claim, *ending),
            What::Chosen { claim, alternative } => {
                self.with(*claim, |engine, row| engine.books.choose(row, *alternative))
            }
            What::Resizing { claim, lines } => {
                self.fold_resizing(*claim, lines);
                self.forget_lessened(*claim, input, lines);
            }
            What::Resized { claim, lines } => {
                self.fold_resized(*claim, lines);
                self.forget_lessened(*claim, input, lines);
            }
            What::ResizeFailed { claim, .. } => {
                self.fold_resize_failed(*claim);
                self.forget_lessened(*claim, None, &[]);
                self.fold_rung_failed(*claim, Rung::Shrunk);
            }
            What::Returned { claim, ending } => {
                self.books.give_returned(*claim);
                self.endings.insert(*claim, *ending);
            }
            What::PoolSprang { resource, name, .. } => {
                self.books.spring_pool(resource, name);
            }
            What::Leaving { claim, .. } => self.ends_anew(*claim),
            What::Applied(changes) => self.set_all(input, changes),
            What::Started
            | What::ResourceSet
            | What::NodeSet
            | What::PoolSet
            | What::ScopeSet
            | What::QuotaSet
            | What::Attached(_)
            | What::Settled(_)
            | What::FanOutSet
            | What::PreemptionSet
            | What::Shared
            | What::Swapped => self.as_told(input),
            What::Promised(promise) => {
                self.preemption.promises.insert(promise.claim, promise.clone());
            }
            What::Preempting { claim, by, until, why } => {
                self.preemption.told(*claim, *by, *until, *why);
                if by != claim {
                    self.take_turn(*by, *claim);
                }
            }
            What::Spared(claim) => {
                self.look_again = true;
                self.preemption.notices.remove(claim);
            }
            What::Measured(claim) => self.fold_measured(*claim, input),
            What::Unpromised(claim) => {
                *self.preemption.broken.entry(*claim).or_default() += 1;
                self.promise_no_more(*claim);
            }
            What::Deadlocked { claim, circle } => {
                self.kept.circle(*claim, circle.clone());
            }
            What::Rung { claim, rung, until, lines } => self.fold_rung(*claim, *rung, *until, lines),
            What::RungFailed { claim, rung, .. } => self.fold_rung_failed(*claim, *rung),
            What::Suspended { claim, until, lines } => self.fold_suspended(*claim, *until, lines),
            What::Resumed { claim, lines } => self.fold_resumed(*claim, lines),
        }
    }

    /// Events whose content is that of the causing input.
    fn as_told(&mut self, input: Option<&Input>) {
        let Some(Input { body, .. }) = input else { return };
        match body {
            Command::Start { epoch, boot, boottime_ns } => self.started(*epoch, boot, *boottime_ns),
            Command::SetResource(spec) => {
                self.books.set_resource(spec);
            }
            Command::SetNode(spec) => {
                self.node_told(spec);
                self.supply_changed();
            }
            Command::SetPool(spec) => {
                let pool = self.books.set_pool(spec);
                self.set_by_hand(pool, false);
                self.supply_changed();
            }
            Command::SetScope(spec) => {
                let scope = self.books.set_scope(spec);
                self.queue.moves(scope);
            }
            Command::SetQuota(spec) => {
                self.books.set_quota(spec);
                self.supply_changed();
            }
            Command::Attach { claim, process, .. } => {
                self.with(*claim, |engine, row| engine.books.attach(row));
                let bodies = self.bodies.entry(*claim).or_default();
                // Whoever lost the answer attaches again: it is the same process.
                if !bodies.contains(process) {
                    bodies.push(process.clone());
                }
            }
            Command::Settle { claim, used, .. } => self.with(*claim, |engine, row| {
                used.iter().for_each(|used| engine.books.settle(row, used));
                engine.wake_after(row);
            }),
            share @ Command::Share { .. } => self.fold_share(share),
            Command::SetFanOut(spec) => self.set_fan(spec),
            Command::SetPreemption(policy) => {
                self.preemption.policy = policy.clone();
                self.supply_changed();
            }
            Command::Swap { role, to } => {
                self.deciders.insert(*role, Decider::clone(to));
                match role {
                    // Ranks of two strategies say nothing beside each other.
                    Role::Qos => self.rank_anew(),
                    // What the one left waiting may be worth a try to the other.
                    _ => self.queue.wake_all(),
                }
            }
            _ => {}
        }
    }

    fn with(&mut self, claim: ClaimId, act: impl FnOnce(&mut Engine, Row)) {
        if let Some(row) = self.books.claim(claim) {
            act(self, row);
        }
    }

    fn started(&mut self, epoch: u64, boot: &str, boottime_ns: u64) {
        self.anchor = (self.books.at(), boottime_ns);
        if !canary!("the epoch is the last one") {
            self.epoch = epoch.max(self.epoch + 1);
        }
        self.fences = 0;
        self.boot = boot.into();
        self.supply_changed();
    }

    pub(crate) fn supply_changed(&mut self) {
        self.feasible.forget();
        self.look_again = true;
        self.preemption.turns.clear();
        self.queue.wake_all();
    }

    fn queued(&mut self, claim: ClaimId, input: Option<&Input>) {
        let Some(Input { by, body: Command::Ask(ask) }) = input else { return };
        let apart = ask.apart.as_ref().map(|apart| join(&by.root, apart));
        let parent = ask.parent(by).and_then(|parent| Some((parent, self.books.claim(parent)?)));
        let Resolved { scope, lines, sets } = &mut self.resolved;
        let scope = scope.take().unwrap_or_else(|| {
            self.books.resolve(ask, lines, sets);
            self.books.ensure_scope(&scope_of(&self.books, by, ask, parent.map(|(_, row)| row)))
        });
        let inner = parent.map(|(parent, row)| (parent, self.books.split_inner(row, lines)));
        self.books.open_resolved(claim, scope, apart.as_deref(), ask, lines, sets);
        if let Some((parent, inner)) = inner {
            self.books.enter_nest(claim, parent, inner);
        }
        self.hold(claim, parent.map(|(parent, _)| parent), ask);
        self.fold_soft(claim, ask);
        self.fan_in(claim, by, scope);
        self.claims = self.claims.max(claim.0);
        self.remember_key(&by.root, ask, claim);
        if let Some(gang) = &ask.gang {
            self.join_gang(scope, gang, claim);
        }
        self.fresh.push(claim);
        match ask.wait_ns {
            // One try, in this very step.
            0 => self.impatient.push(claim),
            wait => self.deadlines.set(claim, self.books.at().after(wait)),
        }
    }

    fn remember_key(&mut self, root: &str, ask: &Ask, claim: ClaimId) {
        if let Some(key) = &ask.key
            && !canary!("the key is forgotten")
        {
            self.kept.key(root, key, claim, fingerprint(ask));
        }
    }

    fn granted(&mut self, claim: ClaimId, fence: Fence, pools: &[PoolId], lease_until: Time) {
        let Some((row, placement)) = self.books.placement(claim, pools) else { return };
        self.books.grant(row, fence, &placement, lease_until);
        self.fences = self.fences.max(fence.0 & ((1 << 40) - 1));
        let claims = &self.books.tables().claims;
        let (scope, class) = (claims.scope[row as usize], claims.class[row as usize]);
        self.preemption.leased[class.min(2) as usize] += 1;
        if !self.preemption.promises.contains_key(&claim) {
            self.disturb(scope);
        }
        self.leave_queue(claim);
        self.wait_for.leave(claim);
        self.restand_chain(scope);
        self.wake_borrowers(row);
        self.deadlines.set(claim, lease_until);
    }

    /// What an assured scope has spent is kept back for it no more: others may borrow that much.
    fn wake_borrowers(&mut self, row: Row) {
        if self.queue.is_empty() || !self.books.assures_any() {
            return;
        }
        let tables = self.books.tables();
        let scope = tables.claims.scope[row as usize];
        for line in tables.claims.line_rows(row) {
            let ledgers = self.books.quotas_of(scope, tables.lines.resource[line as usize]);
            ledgers
                .filter(|&quota| self.books.assures(quota))
                .for_each(|quota| self.queue.wake_ledger(quota));
        }
    }

    fn renewed(&mut self, claim: ClaimId, lease_until: Time, input: Option<&Input>) {
        // What nobody asked for but a daemon that is back is a grace.
        let back = |input: &Input| matches!(input.body, Command::Start { .. } | Command::Woke);
        let grace = input.is_some_and(back);
        self.with(claim, |engine, row| match grace {
            true => engine.books.give_grace(row, lease_until),
            false => engine.books.renew(row, lease_until),
        });
        self.ends_anew(claim);
    }

    fn draining(&mut self, claim: ClaimId, ending: Ending) {
        self.with(claim, |engine, row| engine.books.drain(row));
        self.endings.insert(claim, ending);
        self.resizing.remove(&claim);
        self.preemption.lessened.remove(&claim);
    }

    fn close(&mut self, claim: ClaimId, ending: Ending) {
        let Some(row) = self.books.claim(claim) else { return };
        self.remember(row, ending);
        let scope = self.books.tables().claims.scope[row as usize];
        if self.books.phase(row) == Phase::Pending {
            self.leave_queue(claim);
        } else {
            self.wake_after(row);
            let class = self.books.tables().claims.class[row as usize];
            // Right after a checkpoint was read they are not counted yet.
            let leased = &mut self.preemption.leased[class.min(2) as usize];
            *leased = leased.saturating_sub(1);
            self.preemption.notices.remove(&claim);
            self.preemption.lessened.remove(&claim);
            if ending != Ending::Preempted {
                self.disturb(scope);
            }
        }
        self.fan_out(claim, scope);
        self.wait_for.leave(claim);
        self.wait_for.give_back(claim);
        self.books.close(row);
        self.restand_chain(scope);
        self.bodies.remove(&claim);
        self.resizing.remove(&claim);
        self.endings.remove(&claim);
        self.measurements.close(claim);
        self.soft.close(claim);
    }

    /// A scope holds more or less than before: it and those above it stand elsewhere in line.
    pub(crate) fn restand_chain(&mut self, scope: Row) {
        let mut at = scope;
        while self.queue.moves(at) {
            at = self.books.tables().scopes.parent[at as usize];
        }
    }

    /// As [`Engine::restand_chain`], for the scope of a lease.
    pub(crate) fn restand_holder(&mut self, row: Row) {
        self.restand_chain(self.books.tables().claims.scope[row as usize]);
    }

    /// What a claim gives back may help those who wait for such kinds, for room in the ledgers above it,
    /// or to be apart from it.
    pub(crate) fn wake_after(&mut self, row: Row) {
        if self.queue.is_empty() {
            return;
        }
        let tables = self.books.tables();
        for line in tables.claims.line_rows(row) {
            let resource = tables.lines.resource[line as usize];
            if !canary!("what came back wakes nobody") {
                self.queue.wake(resource);
            }
            let ledgers = self.books.quotas_of(tables.claims.scope[row as usize], resource);
            if !canary!("room in a ledger wakes nobody") {
                ledgers.for_each(|quota| self.queue.wake_ledger(quota));
            }
        }
        self.queue.wake(ANYTHING);
        let Some(parent) = self.books.parent(ClaimId(tables.claims.id[row as usize])) else { return };
        slice_hints(&self.books, parent).for_each(|hint| self.queue.wake(hint));
        for line in self.books.inner(row) {
            self.queue.wake(line.resource);
            let ledgers = self.books.quotas_of(tables.claims.scope[row as usize], line.resource);
            ledgers.for_each(|quota| self.queue.wake_ledger(quota));
        }
    }

    fn remember(&mut self, row: Row, ending: Ending) {
        let (tables, c) = (self.books.tables(), row as usize);
        let lines = tables.claims.line_rows(row).map(|line| line as usize).map(|l| ClosedLine {
            resource: tables.lines.resource[l],
            amount: tables.lines.amount[l],
            used: Some(tables.lines.used[l]).filter(|&used| used != u64::MAX),
        });
        let inner = self.books.inner(row).iter().map(|line| ClosedLine {
            resource: line.resource,
            amount: line.amount,
            used: Some(line.used).filter(|&used| used != u64::MAX),
        });
        let lines = lines.chain(inner);
        let claim = ClaimId(tables.claims.id[c]);
        let closed = Closed {
            within: self.books.parent(claim),
            claim,
            fence: Fence(tables.claims.fence[c]),
            scope: self.books.scope_path(tables.claims.scope[c]).clone(),
            class: tables.claims.class[c],
            priority: tables.claims.priority[c],
            ending,
            reason: Reason::of(tables.claims.reason[c])
                .or_else(|| self.gangs.has(claim).then_some(Reason::WaitingForGang)),
            retry_at: Time(tables.claims.retry_at[c]),
            asked_at: Time(tables.claims.asked_at[c]),
            closed_at: self.books.at(),
            lines: Vec::new(),
            alternative: self.books.chosen(row),
            circle: Vec::new(),
            lacked: if ending == Ending::WaitExpired { self.lacks(row) } else { None },
        };
        self.kept.close(closed, lines);
    }

    fn leave_queue(&mut self, claim: ClaimId) {
        self.heirs.leave(&self.books, claim);
        let mustered = self.leave_gang(claim);
        if !self.queue.remove(claim) && !mustered {
            self.fresh.leave();
        }
        if self.kept_for.as_ref().is_some_and(|head| head.claim == claim) {
            // What was kept for it is anybody's now.
            self.kept_for = None;
            self.queue.wake_behind();
        }
        if self.rooms.leave(claim) {
            self.queue.wake_behind();
        }
        self.preemption.broken.remove(&claim);
        self.promise_no_more(claim);
    }

    /// What was kept for a claim is anybody's.
    fn promise_no_more(&mut self, claim: ClaimId) {
        if !self.preemption.promises.is_empty() && self.preemption.promises.remove(&claim).is_some() {
            self.queue.wake_behind();
        }
    }
}

/// A path below a root.
pub(crate) fn join<'a>(root: &'a str, path: &'a str) -> Cow<'a, str> {
    match (root.is_empty(), path.is_empty()) {
        (true, _) => path.into(),
        (_, true) => root.into(),
        _ => format!("{root}/{path}").into(),
    }
}
