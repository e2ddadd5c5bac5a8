//! The books as they are shown: rows become the contract's documents, and each asker sees its own.
use super::{circle, clock::Clock, follower::Follower};
use bursar_engine::{Closed, Engine, Short};
use bursar_interface::{
    ClaimId, Claimed, Class, Ending, NONE, NodeState, Phase, Principal, Reason, Refusal, Row, Shape, Time,
};
use bursar_pool::Inner;
use bursar_wire as wire;

/// A look at one state, at one time.
pub struct Present<'a> {
    /// The state.
    pub engine: &'a Engine,
    /// Where times come from.
    pub clock: &'a Clock,
    /// What is no part of the state.
    pub follower: &'a Follower,
}

/// Whether a principal may see what belongs to a scope.
pub fn may_see(by: &Principal, scope: &str) -> bool {
    let below = |rest: &str| rest.is_empty() || rest.starts_with('/');
    by.root.is_empty() || scope.strip_prefix(by.root.as_str()).is_some_and(below)
}

/// The word of a phase.
pub fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => wire::PENDING,
        Phase::Reserved => "reserved",
        Phase::Held => "held",
        Phase::Draining => "draining",
        Phase::Closed => "closed",
    }
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Guaranteed => "guaranteed",
        Class::Burstable => "burstable",
        Class::BestEffort => "best-effort",
    }
}

/// A point in wall time as RFC 3339.
pub fn rfc3339(wall_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(wall_ms).map_or_else(|_| "unknown".into(), |time| time.to_string())
}

impl Present<'_> {
    fn time(&self, at: u64) -> Option<String> {
        (at != u64::MAX).then(|| rfc3339(self.clock.wall_ms(Time(at))))
    }

    /// Every claim that a principal may see, living ones first.
    pub fn claims(&self, by: &Principal) -> Vec<wire::Claim> {
        let view = self.engine.view();
        let rows = (0..view.claims.len() as Row).filter(|&row| view.claims.id[row as usize] != 0);
        let mut live: Vec<wire::Claim> =
            rows.filter(|&row| may_see(by, self.scope_of(row))).map(|row| self.live(row)).collect();
        live.sort_by_key(|claim| claim.id);
        let closed = self.engine.all_closed().filter(|closed| may_see(by, &closed.scope));
        live.extend(closed.map(|closed| self.closed(closed)));
        live
    }

    /// One claim, alive or remembered, if the principal may see it.
    pub fn claim(&self, by: &Principal, id: ClaimId) -> Option<wire::Claim> {
        match self.engine.books().claim(id) {
            Some(row) => may_see(by, self.scope_of(row)).then(|| self.live(row)),
            None => self
                .engine
                .closed(id)
                .filter(|closed| may_see(by, &closed.scope))
                .map(|closed| self.closed(closed)),
        }
    }

    /// The scope of whatever claim it is, alive or remembered.
    pub fn scope_of_claim(&self, id: ClaimId) -> Option<String> {
        match self.engine.books().claim(id) {
            Some(row) => Some(self.scope_of(row).to_owned()),
            None => self.engine.closed(id).map(|closed| closed.scope.to_string()),
        }
    }

    fn scope_of(&self, row: Row) -> &str {
        self.engine.books().scope_path(self.engine.view().claims.scope[row as usize])
    }

    fn live(&self, row: Row) -> wire::Claim {
        let (view, books, c) = (self.engine.view(), self.engine.books(), row as usize);
        let (id, phase) = (ClaimId(view.claims.id[c]), books.phase(row));
        let granted = phase > Phase::Pending;
        let waited_until = match granted {
            true => self.follower.granted_at(id),
            false => Some(self.clock.now()),
        };
        let lines = view.claims.line_rows(row).map(|line| self.line(line));
        let lines = lines.chain(books.inner(row).iter().map(|line| self.inner(line)));
        wire::Claim {
            id: id.0,
            fence: granted.then_some(view.claims.fence[c]),
            scope: self.scope_of(row).to_owned(),
            phase: phase_name(phase).into(),
            class: class_name(Class::of(view.claims.class[c])).into(),
            priority: view.claims.priority[c],
            lines: lines.collect(),
            asked_at: self.time(view.claims.asked_at[c]),
            lease_until: if granted { self.time(self.engine.lease_end(row).0) } else { None },
            waited_ms: waited_until.map(|until| until.0.saturating_sub(view.claims.asked_at[c]) / 1_000_000),
            reason: Reason::of(view.claims.reason[c]).map(|reason| reason.name().into()),
            ending: self.engine.ending(id).map(ending_name),
            evidence: None,
            quarantined: books.quarantined(row),
            node: Some(books.node_name(view.claims.node[c]))
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            pids: self.engine.bodies(id).iter().map(|body| body.pid).collect(),
            alternative: books.chosen(row),
            within: books.parent(id).map(|parent| parent.0),
            preempting: self.preempting(id),
        }
    }

    fn inner(&self, line: &Inner) -> wire::Line {
        let books = self.engine.books();
        let pool = if line.pool == NONE { line.want } else { line.pool };
        wire::Line {
            resource: books.spec(line.resource).name.clone(),
            amount: line.amount,
            pool: Some(books.pool_name(pool)).filter(|name| !name.is_empty()).map(str::to_owned),
            used: Some(line.used).filter(|used| *used != u64::MAX),
            within: true,
        }
    }

    /// That a lease is to end for another claim; for whose is not for its holder to know.
    fn preempting(&self, id: ClaimId) -> Option<wire::Preempting> {
        let notice = self.engine.notice(id)?;
        let why = match notice.why {
            Claimed::Lent => "lent",
            Claimed::Band => "band",
        };
        Some(wire::Preempting { until: self.time(notice.until.0), why: why.into() })
    }

    fn line(&self, line: Row) -> wire::Line {
        let (view, books, l) = (self.engine.view(), self.engine.books(), line as usize);
        let pool = if view.lines.pool[l] == NONE { view.lines.want[l] } else { view.lines.pool[l] };
        wire::Line {
            resource: books.spec(view.lines.resource[l]).name.clone(),
            amount: view.lines.amount[l],
            pool: Some(books.pool_name(pool)).filter(|name| !name.is_empty()).map(str::to_owned),
            used: Some(view.lines.used[l]).filter(|used| *used != u64::MAX),
            within: false,
        }
    }

    fn closed(&self, closed: &Closed) -> wire::Claim {
        let books = self.engine.books();
        let granted = closed.fence.0 != 0;
        let circular = (closed.ending == Ending::Deadlock).then_some(Reason::Deadlock);
        let reason = circular.or(closed.reason);
        let granted_at =
            if granted { self.follower.granted_at(closed.claim) } else { Some(closed.closed_at) };
        let lines = closed.lines.iter().map(|line| wire::Line {
            resource: books.spec(line.resource).name.clone(),
            amount: line.amount,
            pool: None,
            used: line.used,
            within: false,
        });
        wire::Claim {
            id: closed.claim.0,
            fence: granted.then_some(closed.fence.0),
            scope: closed.scope.to_string(),
            phase: phase_name(Phase::Closed).into(),
            class: class_name(Class::of(closed.class)).into(),
            priority: closed.priority,
            lines: lines.collect(),
            asked_at: self.time(closed.asked_at.0),
            waited_ms: granted_at.map(|at| at.0.saturating_sub(closed.asked_at.0) / 1_000_000),
            reason: reason.map(|reason| reason.name().into()),
            ending: Some(ending_name(closed.ending)),
            within: closed.within.map(|parent| parent.0),
            evidence: self.follower.evidence(closed.claim),
            alternative: closed.alternative,
            ..wire::Claim::default()
        }
    }

    /// Why a claim waits, if the principal may see it; holders that it may not see are left out.
    pub fn explain(&self, by: &Principal, id: ClaimId) -> Option<wire::Explain> {
        let claim = self.claim(by, id)?;
        let why = self.engine.explain(id);
        let waiting_on = why.as_ref().map_or_else(Vec::new, |why| {
            let quota = |short: &Short| {
                (why.reason == Reason::InsufficientQuota)
                    .then(|| self.quota_scope(id, short.resource))
                    .flatten()
            };
            why.short.iter().map(|short| self.waiting_on(by, short, quota(short))).collect()
        });
        let eta_ms = why.as_ref().and_then(|why| self.follower.eta(self.engine, id, why));
        let reason = why.map(|why| why.reason.name().to_owned());
        Some(wire::Explain {
            claim: id.0,
            phase: claim.phase,
            reason,
            waiting_on,
            eta_ms,
            would_admit: Vec::new(),
            circle: self
                .engine
                .closed(id)
                .map_or_else(Vec::new, |closed| circle::shown(self.engine, by, closed)),
        })
    }

    fn quota_scope(&self, id: ClaimId, resource: Row) -> Option<String> {
        let (books, view) = (self.engine.books(), self.engine.view());
        let row = books.claim(id)?;
        let quota = books.quota_short(row).map(|(quota, _)| quota as usize)?;
        (view.quotas.resource[quota] == resource)
            .then(|| books.scope_path(view.quotas.scope[quota]).to_string())
    }

    fn waiting_on(&self, by: &Principal, short: &Short, quota: Option<String>) -> wire::WaitingOn {
        let (books, view) = (self.engine.books(), self.engine.view());
        let holder = |id: &ClaimId| {
            let row = books.claim(*id).filter(|&row| may_see(by, self.scope_of(row)))?;
            Some(wire::Holder {
                claim: id.0,
                scope: self.scope_of(row).to_owned(),
                amount: books.asked_in_all(row, short.resource),
                until: self.time(view.claims.lease_until[row as usize]),
            })
        };
        wire::WaitingOn {
            resource: books.spec(short.resource).name.clone(),
            short_by: short.by,
            quota,
            holders: short.holders.iter().filter_map(holder).collect(),
        }
    }

    /// Supplies.
    pub fn pools(&self) -> Vec<wire::Pool> {
        let (books, view) = (self.engine.books(), self.engine.view());
        let rows = (0..view.pools.len()).filter(|&p| view.pools.id[p] != 0);
        rows.map(|p| wire::Pool {
            id: books.pool_name(p as Row).into(),
            node: Some(books.node_name(view.pools.node[p]))
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            resource: books.spec(view.pools.resource[p]).name.clone(),
            shape: shape_name(books.spec(view.pools.resource[p]).shape).into(),
            capacity: view.pools.capacity[p],
            offered: view.pools.offered[p],
            free: view.pools.free(p as Row),
            reserved: view.pools.reserved[p],
            held: view.pools.held[p],
            quarantined: view.pools.quarantined[p],
            spent: view.pools.spent[p],
            period_ms: period_ms(view.pools.period[p]),
        })
        .collect()
    }

    /// Machines.
    pub fn nodes(&self) -> Vec<wire::Node> {
        let (books, view) = (self.engine.books(), self.engine.view());
        let rows = (0..view.nodes.len()).filter(|&n| view.nodes.id[n] != 0);
        rows.map(|n| wire::Node {
            id: books.node_name(n as Row).into(),
            state: node_state(NodeState::of(view.nodes.state[n])).into(),
            labels: books.label_terms(view.nodes.labels[n]).into_iter().map(str::to_owned).collect(),
            leases: self.engine.leases_on(n as Row) as u64,
            until: self.engine.drains_until(n as Row).and_then(|end| self.time(end.0)),
        })
        .collect()
    }

    /// The demand tree, as far as the principal may see it.
    pub fn scopes(&self, by: &Principal) -> Vec<wire::Scope> {
        let (books, view) = (self.engine.books(), self.engine.view());
        let mut claims = vec![0; view.scopes.len()];
        (0..view.claims.len())
            .filter(|&c| view.claims.id[c] != 0)
            .for_each(|c| claims[view.claims.scope[c] as usize] += 1);
        let rows = (0..view.scopes.len()).filter(|&s| view.scopes.id[s] != 0);
        let mut scopes: Vec<wire::Scope> = rows
            .map(|s| wire::Scope {
                path: books.scope_path(s as Row).to_string(),
                weight: view.scopes.weight[s],
                claims: claims[s],
            })
            .filter(|scope| may_see(by, &scope.path))
            .collect();
        scopes.sort_by(|a, b| a.path.cmp(&b.path));
        scopes
    }

    /// Bounds, as far as the principal may see them.
    pub fn quotas(&self, by: &Principal) -> Vec<wire::Quota> {
        let (books, view) = (self.engine.books(), self.engine.view());
        let bounded = |limit: u64| Some(limit).filter(|limit| *limit != u64::MAX);
        let rows = (0..view.quotas.len()).filter(|&q| view.quotas.set[q] != 0);
        rows.map(|q| wire::Quota {
            scope: books.scope_path(view.quotas.scope[q]).to_string(),
            resource: books.spec(view.quotas.resource[q]).name.clone(),
            guaranteed: view.quotas.guaranteed[q],
            limit: bounded(view.quotas.limit[q]),
            charged: books.level(q as Row),
            borrow_limit: bounded(view.quotas.borrow_limit[q]),
            lend_limit: bounded(view.quotas.lend_limit[q]),
            period_ms: period_ms(view.quotas.period[q]),
        })
        .filter(|quota| may_see(by, &quota.scope))
        .collect()
    }
}

fn period_ms(period_ns: u64) -> Option<u64> {
    (period_ns > 0).then_some(period_ns / 1_000_000)
}

fn shape_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Capacity => "capacity",
        Shape::Rate => "rate",
        Shape::Budget => "budget",
        Shape::Unit => "unit",
    }
}

fn node_state(state: NodeState) -> &'static str {
    match state {
        NodeState::Open => "open",
        NodeState::Cordoned => "cordoned",
        NodeState::Draining => "draining",
        NodeState::Lost => "lost",
    }
}

/// The word of an ending.
pub fn ending_name(ending: Ending) -> String {
    match ending {
        Ending::Released => "released",
        Ending::Cancelled => "cancelled",
        Ending::LeaseExpired => "lease_expired",
        Ending::WaitExpired => "wait_expired",
        Ending::ProcessGone => "process_gone",
        Ending::OverLimit => "over_limit",
        Ending::EnforceFailed => "enforce_failed",
        Ending::Rebooted => "rebooted",
        Ending::Drained => "drained",
        Ending::ParentGone => "parent_gone",
        Ending::Preempted => "preempted",
        Ending::Deadlock => wire::DEADLOCK,
    }
    .into()
}

/// What a claim that never got anything is told.
pub fn never_granted(closed: &Closed) -> Refusal {
    let (claim, waited_ms) = (closed.claim, closed.closed_at.0.saturating_sub(closed.asked_at.0) / 1_000_000);
    let why = closed.reason.unwrap_or(Reason::InsufficientCapacity);
    let retry_ns = closed.retry_at.0.checked_sub(closed.closed_at.0);
    match closed.ending {
        Ending::WaitExpired if waited_ms == 0 => {
            Refusal::new(why, format!("claim {claim} cannot be granted now: {why}"))
                .hint("wait for it with --wait 30s, or see `bursar get pools`")
                .after(retry_ns)
        }
        Ending::WaitExpired => {
            Refusal::new(Reason::WaitExpired, format!("claim {claim} waited {waited_ms} ms: {why}"))
                .hint("wait longer, ask for less, or see `bursar get claims` for who holds it")
                .after(retry_ns)
        }
        other => {
            Refusal::new(Reason::LeaseExpired, format!("claim {claim} has ended ({})", ending_name(other)))
        }
    }
}
