//! The books as they are shown: rows become the contract's documents, and each asker sees its own.
use super::{census::MEMORY, clock::Clock, follower::Follower, gauges::Gauges, holdings::Holdings};
use bursar_engine::{Closed, Engine, Lacked};
use bursar_interface::{
    ClaimId, Claimed, Class, Ending, NONE, NodeState, Phase, Principal, Reason, Refusal, Row, Rung, Shape,
    Time,
};
use bursar_pool::Inner;
use bursar_wire as wire;
use std::collections::BTreeSet;

/// A look at one state, at one time.
pub struct Present<'a> {
    /// The state.
    pub engine: &'a Engine,
    /// Where times come from.
    pub clock: &'a Clock,
    /// What is no part of the state.
    pub follower: &'a Follower,
    /// What leases use.
    pub gauges: &'a Gauges,
    /// What drivers say of leases.
    pub holdings: &'a Holdings,
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
    pub(super) fn time(&self, at: u64) -> Option<String> {
        (at != u64::MAX).then(|| rfc3339(self.clock.wall_ms(Time(at))))
    }

    /// Every claim that a principal may see, living ones first.
    pub fn claims(&self, by: &Principal) -> Vec<wire::Claim> {
        let view = self.engine.view();
        let rows = (0..view.claims.len() as Row).filter(|&row| view.claims.id[row as usize] != 0);
        let mut live: Vec<wire::Claim> = rows
            .filter(|&row| may_see(by, self.scope_of(row)))
            .map(|row| self.placed(self.live(by, row)))
            .collect();
        live.sort_by_key(|claim| claim.id);
        let closed = self.engine.all_closed().filter(|closed| may_see(by, &closed.scope));
        live.extend(closed.map(|closed| self.closed(by, closed)));
        live
    }

    /// One claim, alive or remembered, if the principal may see it.
    pub fn claim(&self, by: &Principal, id: ClaimId) -> Option<wire::Claim> {
        match self.engine.books().claim(id) {
            Some(row) => may_see(by, self.scope_of(row)).then(|| self.live(by, row)),
            None => self
                .engine
                .closed(id)
                .filter(|closed| may_see(by, &closed.scope))
                .map(|closed| self.closed(by, closed)),
        }
    }

    /// A claim with its place in the line, if it waits. To find all places costs more than to answer an ask, so only
    /// who looks is told.
    pub fn placed(&self, claim: wire::Claim) -> wire::Claim {
        let waits = claim.phase == wire::PENDING;
        let position = waits.then(|| self.follower.position(self.engine, ClaimId(claim.id))).flatten();
        wire::Claim { position, ..claim }
    }

    /// The scope of whatever claim it is, alive or remembered.
    pub fn scope_of_claim(&self, id: ClaimId) -> Option<String> {
        match self.engine.books().claim(id) {
            Some(row) => Some(self.scope_of(row).to_owned()),
            None => self.engine.closed(id).map(|closed| closed.scope.to_string()),
        }
    }

    pub(super) fn scope_of(&self, row: Row) -> &str {
        self.engine.books().scope_path(self.engine.view().claims.scope[row as usize])
    }

    fn live(&self, by: &Principal, row: Row) -> wire::Claim {
        let (view, books, c) = (self.engine.view(), self.engine.books(), row as usize);
        let (id, phase) = (ClaimId(view.claims.id[c]), books.phase(row));
        let granted = phase > Phase::Pending;
        let waited_until = match granted {
            true => Some(Time(view.claims.granted_at[c])).filter(|at| at.0 > 0),
            false => Some(self.clock.now()),
        };
        let lines = view.claims.line_rows(row).map(|line| self.measured(id, self.line(line)));
        let lines = lines.chain(books.inner(row).iter().map(|line| self.inner(line)));
        let lines = self.with_soft(id, lines.collect());
        wire::Claim {
            id: id.0,
            fence: granted.then_some(view.claims.fence[c]),
            scope: self.scope_of(row).to_owned(),
            phase: phase_name(phase).into(),
            class: class_name(Class::of(view.claims.class[c])).into(),
            priority: view.claims.priority[c],
            lines,
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
            usage: self.usage(id),
            lessened: self.lessened(id, row),
            position: None,
            blame: self.blame(by, id),
            environment: self.holdings.environment(id),
            pressure: self.gauges.strained.of(id, self.clock),
        }
    }

    /// The soft limit of a claim, on its first line of memory.
    fn with_soft(&self, id: ClaimId, mut lines: Vec<wire::Line>) -> Vec<wire::Line> {
        let soft = self.engine.books().resource(MEMORY).and_then(|kind| self.engine.soft_limit(id, kind));
        if let (Some(soft), Some(line)) = (soft, lines.iter_mut().find(|line| line.resource == MEMORY)) {
            line.soft = Some(soft);
        }
        lines
    }

    /// What of a driven kind is used is known while it is.
    fn measured(&self, claim: ClaimId, line: wire::Line) -> wire::Line {
        let used = line.used.or_else(|| self.holdings.used(claim, &line.resource));
        wire::Line { used, ..line }
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
            soft: None,
        }
    }

    /// That a lease is to end for another claim; for whose is not for its holder to know.
    pub(super) fn preempting(&self, id: ClaimId) -> Option<wire::Preempting> {
        let notice = self.engine.notice(id)?;
        let why = match notice.why {
            Claimed::Lent => "lent",
            Claimed::Band => "band",
            Claimed::Short => "memory",
        };
        let rung = rung_name(Some(notice.rung)).into();
        Some(wire::Preempting { until: self.time(notice.until.0), why: why.into(), rung })
    }

    /// What rungs took from a lease that goes on.
    fn lessened(&self, id: ClaimId, row: Row) -> Option<wire::Lessened> {
        let lessened = self.engine.lessened(id)?;
        let first = self.engine.view().claims.first_line[row as usize];
        let before = lessened.before.iter().map(|size| {
            let line = self.line(first + size.line);
            wire::Line { amount: size.amount, ..line }
        });
        Some(wire::Lessened {
            state: if lessened.frozen_until.is_some() { "suspended" } else { "shrunk" }.into(),
            until: lessened.frozen_until.and_then(|until| self.time(until.0)),
            before: before.collect(),
        })
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
            soft: None,
        }
    }

    fn closed(&self, by: &Principal, closed: &Closed) -> wire::Claim {
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
            soft: None,
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
            usage: self.follower.used(closed.claim).map(|used| wire::UsageRow::ended(&used)),
            alternative: closed.alternative,
            blame: self.blame(by, closed.claim),
            environment: Default::default(),
            pressure: self.gauges.strained.of(closed.claim, self.clock),
            ..wire::Claim::default()
        }
    }

    /// Supplies. A pool that sprang from a name is told to those who named it: others chose that name.
    pub fn pools(&self, by: &Principal) -> Vec<wire::Pool> {
        let (books, view) = (self.engine.books(), self.engine.view());
        let named = self.named(by);
        let told =
            |p: usize| by.root.is_empty() || !books.has_sprung(p as Row) || named.contains(&(p as Row));
        let rows = (0..view.pools.len()).filter(|&p| view.pools.id[p] != 0 && told(p));
        // What comes back by itself has done so though nobody asked for anything since.
        let now = self.clock.now();
        let rows = rows.map(|p| (p, books.free_and_spent(p as Row, now)));
        rows.map(|(p, (free, spent))| wire::Pool {
            id: books.pool_name(p as Row).into(),
            node: Some(books.node_name(view.pools.node[p]))
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            resource: books.spec(view.pools.resource[p]).name.clone(),
            shape: shape_name(books.spec(view.pools.resource[p]).shape).into(),
            capacity: view.pools.capacity[p],
            offered: view.pools.offered[p],
            free,
            reserved: view.pools.reserved[p],
            held: view.pools.held[p],
            quarantined: view.pools.quarantined[p],
            spent,
            period_ms: period_ms(view.pools.period[p]),
        })
        .collect()
    }

    /// Live claims that a principal may see.
    fn seen(&self, by: &Principal) -> impl Iterator<Item = Row> {
        let ids = self.engine.view().claims.id;
        let rows = (0..ids.len()).filter(|&c| ids[c] != 0).map(|c| c as Row);
        rows.filter(move |&row| may_see(by, self.scope_of(row)))
    }

    /// Pools that these name, of those who do not see all.
    fn named(&self, by: &Principal) -> BTreeSet<Row> {
        if by.root.is_empty() {
            return BTreeSet::new();
        }
        let lines = self.seen(by).flat_map(|row| self.engine.books().all_rows(row));
        lines.map(|line| self.engine.view().lines.want[line as usize]).collect()
    }

    /// Leases on a node, as many as a principal may see.
    fn leases_on(&self, by: &Principal, node: Row) -> u64 {
        if by.root.is_empty() {
            return self.engine.leases_on(node) as u64;
        }
        let granted = |row: &Row| self.engine.books().phase(*row) > Phase::Pending;
        let there = |row: &Row| self.engine.view().claims.node[*row as usize] == node;
        self.seen(by).filter(granted).filter(there).count() as u64
    }

    /// Machines.
    pub fn nodes(&self, by: &Principal) -> Vec<wire::Node> {
        let (books, view) = (self.engine.books(), self.engine.view());
        let rows = (0..view.nodes.len()).filter(|&n| view.nodes.id[n] != 0);
        rows.map(|n| wire::Node {
            id: books.node_name(n as Row).into(),
            state: node_state(NodeState::of(view.nodes.state[n])).into(),
            labels: books.label_terms(view.nodes.labels[n]).into_iter().map(str::to_owned).collect(),
            leases: self.leases_on(by, n as Row),
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
                usage: self.spent(s as Row),
                ..wire::Scope::default()
            })
            .filter(|scope| may_see(by, &scope.path))
            .collect();
        scopes.sort_by(|a, b| a.path.cmp(&b.path));
        self.waits(by, &mut scopes);
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
            charged: books.level_at(q as Row, self.clock.now()),
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
        Ending::Evicted => "evicted",
    }
    .into()
}

/// The word of a rung, of [`wire::TAKING`].
fn rung_name(rung: Option<Rung>) -> &'static str {
    match rung {
        None => wire::TAKING[0],
        Some(Rung::Told) => wire::TAKING[1],
        Some(Rung::Shrunk) => wire::TAKING[2],
        Some(Rung::Suspended) => wire::TAKING[3],
    }
}

/// How far the taking back of a lease has come, as [`wire::Claim::taking`] says it.
pub fn taking(engine: &Engine, id: ClaimId) -> &'static str {
    let lessened = || engine.lessened(id).map(|_| Rung::Shrunk);
    let rung = match engine.is_frozen(id) {
        true => Some(Rung::Suspended),
        false => engine.notice(id).map(|notice| notice.rung).or_else(lessened),
    };
    rung_name(rung)
}

/// What a claim that never got anything is told.
pub fn never_granted(engine: &Engine, closed: &Closed) -> Refusal {
    let (claim, waited_ms) = (closed.claim, closed.closed_at.0.saturating_sub(closed.asked_at.0) / 1_000_000);
    let why = closed.reason.unwrap_or(Reason::InsufficientCapacity);
    let retry_ns = closed.retry_at.0.checked_sub(closed.closed_at.0);
    let lacked = closed.lacked.map(|lacked| for_want(engine, lacked)).unwrap_or_default();
    match closed.ending {
        Ending::WaitExpired if waited_ms == 0 => {
            Refusal::new(why, format!("claim {claim} cannot be granted now: {why}{lacked}"))
                .hint("wait for it with --wait 30s, or see `bursar get pools`")
                .after(retry_ns)
        }
        Ending::WaitExpired => {
            Refusal::new(Reason::WaitExpired, format!("claim {claim} waited {waited_ms} ms: {why}{lacked}"))
                .hint("wait longer, ask for less, or see `bursar get claims` for who holds it")
                .after(retry_ns)
        }
        other => {
            Refusal::new(Reason::LeaseExpired, format!("claim {claim} has ended ({})", ending_name(other)))
        }
    }
}

/// What was short, as the asker called it.
fn for_want(engine: &Engine, lacked: Lacked) -> String {
    let books = engine.books();
    let kind = &books.spec(lacked.resource).name;
    match books.pool(lacked.pool) {
        Some(pool) => format!(", for want of {kind}:{}", books.pool_name(pool)),
        None => format!(", for want of {kind}"),
    }
}
