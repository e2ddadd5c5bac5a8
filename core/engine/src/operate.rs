//! What operators set: all of it at one moment, or none of it. Everything is checked before anything is
//! done, and what each setting comes to is told in the event, so that a fold need not find out.
use crate::{Engine, admit::bad, engine::Tape};
use bursar_interface::{
    Change, Command, Input, NodeChange, NodeState, PoolChange, PoolId, PoolSpec, Principal, QuotaChange,
    QuotaSpec, Reason, Refusal, Row, ScopeSpec, Setting, Shape, What,
    bound::{AMOUNT_MAX, POOLS_MAX, SCOPES_MAX, SETTINGS_MAX, TTL_NS_MAX, WEIGHT_MAX},
    check_scope,
};
use std::collections::BTreeSet;

/// Nodes named in one refusal at most.
const NAMED_MAX: usize = 8;

impl Engine {
    /// What settings would come to, of which nothing is carried out.
    ///
    /// # Errors
    /// The refusal that they would meet: then none of them would be carried out.
    pub fn rehearse(&self, by: &Principal, settings: &[Setting]) -> Result<Vec<Change>, Refusal> {
        match by.admin {
            true => self.judge(settings),
            false => Err(Refusal::new(Reason::Forbidden, "only the daemon's own user and root administer")),
        }
    }

    /// Carries settings out, all of them or none.
    pub(crate) fn operate(
        &mut self,
        cause: Option<u32>,
        tape: &mut Tape<'_>,
        settings: &[Setting],
    ) -> Result<(), Refusal> {
        let changes = self.judge(settings)?;
        self.emit(tape, cause, What::Applied(changes.clone()));
        if settings.iter().any(|setting| matches!(setting, Setting::Quota(_) | Setting::RemoveQuota { .. })) {
            self.disown(tape);
        }
        for (setting, change) in settings.iter().zip(changes) {
            if let (Setting::Node(node), false) = (setting, change == Change::Unchanged) {
                self.ask_to_leave(cause, tape, node);
            }
        }
        Ok(())
    }

    /// The fold of settings that were carried out.
    pub(crate) fn set_all(&mut self, input: Option<&Input>, changes: &[Change]) {
        let Some(Input { body: Command::Apply(settings), .. }) = input else { return };
        for (setting, change) in settings.iter().zip(changes) {
            match setting {
                // Also a pool that is as it was found is by hand from now on.
                Setting::Pool(change) => self.set_pool_change(change),
                _ if *change == Change::Unchanged => {}
                Setting::Scope(spec) => {
                    self.books.set_scope(spec);
                }
                Setting::Quota(change) => {
                    if let Some(resource) = self.books.resource(&change.resource) {
                        let spec = change.onto(self.quota_before(change, resource));
                        self.books.set_quota(&spec);
                    }
                }
                Setting::Node(change) => self.set_node_state(change),
                Setting::RemoveQuota { .. } | Setting::RemovePool { .. } => self.take_away(setting),
            }
        }
        self.supply_changed();
        self.restand_all();
    }

    fn set_pool_change(&mut self, change: &PoolChange) {
        if let Some(resource) = self.books.resource(&change.resource) {
            let spec = change.onto(self.pool_before(change, resource).1);
            let pool = self.books.set_pool(&spec);
            self.set_by_hand(pool, spec.node.is_some());
        }
    }

    /// Whether a pool's capacity is what an operator said and not what was found.
    pub fn is_by_hand(&self, pool: Row) -> bool {
        self.by_hand.contains(&PoolId(self.books.tables().pools.id[pool as usize]))
    }

    pub(crate) fn set_by_hand(&mut self, pool: Option<Row>, by_hand: bool) {
        let Some(pool) = pool else { return };
        let id = PoolId(self.books.tables().pools.id[pool as usize]);
        if by_hand {
            self.by_hand.insert(id)
        } else {
            self.by_hand.remove(&id)
        };
    }

    fn judge(&self, settings: &[Setting]) -> Result<Vec<Change>, Refusal> {
        if settings.len() > SETTINGS_MAX {
            return bad(
                &format!("{} things cannot be set at one moment", settings.len()),
                &format!("at most {SETTINGS_MAX}"),
            );
        }
        let (mut names, mut changes) = (BTreeSet::new(), Vec::with_capacity(settings.len()));
        let mut new_scopes = BTreeSet::new();
        for setting in settings {
            let name = name(setting);
            let change = self.judge_one(setting).map_err(|refusal| named(&name, refusal))?;
            if let (
                Setting::Scope(ScopeSpec { path, .. }) | Setting::Quota(QuotaChange { scope: path, .. }),
                Change::Created,
            ) = (setting, change)
            {
                new_scopes.insert(path.as_str());
            }
            if !names.insert(name.clone()) {
                return bad(&format!("{name}: it is set twice"), "say it once");
            }
            changes.push(change);
        }
        if !new_scopes.is_empty() && self.books.scopes() + new_scopes.len() > SCOPES_MAX {
            return Err(Refusal::new(Reason::QueueFull, format!("{SCOPES_MAX} scopes are alive already")));
        }
        self.check_guarantees(settings)?;
        Ok(changes)
    }

    fn judge_one(&self, setting: &Setting) -> Result<Change, Refusal> {
        match setting {
            Setting::Pool(change) => self.judge_pool(change),
            Setting::Scope(spec) => self.judge_scope(spec),
            Setting::Quota(change) => self.judge_quota(change),
            Setting::Node(change) => self.judge_node(change),
            Setting::RemoveQuota { scope, resource } => self.judge_quota_gone(scope, resource),
            Setting::RemovePool { resource, node, name } => {
                self.judge_pool_gone(resource, node.as_deref(), name)
            }
        }
    }

    /// A pool's row, and how it is set before a change.
    pub(crate) fn pool_before(&self, change: &PoolChange, resource: Row) -> (Option<Row>, PoolSpec) {
        let row = self.books.pool_on(resource, change.node.as_deref(), &change.name);
        let PoolChange { resource, node, name, .. } = change.clone();
        let new = || PoolSpec { resource, node, name, ..PoolSpec::default() };
        (row, row.map_or_else(new, |row| self.books.pool_spec(row)))
    }

    /// How a bound is set before a change.
    pub(crate) fn quota_before(&self, change: &QuotaChange, resource: Row) -> QuotaSpec {
        let QuotaChange { scope, resource: kind, .. } = change.clone();
        let new = QuotaSpec { scope, resource: kind, ..QuotaSpec::default() };
        self.books.quota_spec(&change.scope, resource).unwrap_or(new)
    }

    fn judge_pool(&self, change: &PoolChange) -> Result<Change, Refusal> {
        self.check_kind(&change.resource)?;
        let Some(resource) = self.books.resource(&change.resource) else { return Ok(Change::Unchanged) };
        if let Some(node) = &change.node {
            self.check_node_name(node)?;
        }
        let (known, before) = self.pool_before(change, resource);
        let after = change.onto(before.clone());
        self.check_pool_spec(&after)?;
        self.check_burst(resource, after.refill.burst)?;
        let spec = self.books.spec(resource);
        if spec.springs > 0 && (known.is_none() || change.node.is_none()) {
            return bad(
                &format!("pools of {} spring from their names", spec.name),
                "bound what scopes may hold of it by a quota",
            );
        }
        if spec.driven && spec.piece > 0 && after.capacity > spec.piece.max(before.capacity) {
            let what =
                format!("{} {} of {} is more than one {}", after.capacity, spec.unit, spec.name, spec.name);
            return bad(&what, &format!("at most {}: each is a pool of its own", spec.piece));
        }
        if known.is_some() {
            return Ok(if after == before { Change::Unchanged } else { Change::Changed });
        }
        if change.capacity.is_none() {
            return bad("nothing says how much there is", "say its capacity");
        }
        if self.books.tables().pools.len() >= POOLS_MAX {
            return bad(&format!("{POOLS_MAX} pools exist already"), "");
        }
        self.check_place(resource, change.node.as_deref())?;
        if spec.driven || change.node.is_some() {
            return bad("nothing has found it there", "set what `bursar get pools` shows");
        }
        Ok(Change::Created)
    }

    /// Refuses to look for a pool where none of its kind is.
    pub(crate) fn check_place(&self, kind: Row, node: Option<&str>) -> Result<(), Refusal> {
        match node {
            Some(node) => self.check_node_name(node),
            None if self.books.tables().resources.largest[kind as usize] > 0 => bad(
                &format!("{} is a thing of nodes, and no node is named", self.books.spec(kind).name),
                "say which pool of which node, as in `bursar get pools`",
            ),
            None => Ok(()),
        }
    }

    fn judge_scope(&self, spec: &ScopeSpec) -> Result<Change, Refusal> {
        check_scope(&spec.path)?;
        if !(1..=WEIGHT_MAX).contains(&spec.weight) {
            return bad(&format!("{} is no weight", spec.weight), &format!("from 1 to {WEIGHT_MAX}"));
        }
        // A scope that nobody set weighs 1 and comes and goes with its claims.
        Ok(match (self.books.scope(&spec.path), self.books.weight(&spec.path) == spec.weight) {
            (_, true) => Change::Unchanged,
            (None, false) => Change::Created,
            (Some(_), false) => Change::Changed,
        })
    }

    fn judge_quota(&self, change: &QuotaChange) -> Result<Change, Refusal> {
        check_scope(&change.scope)?;
        self.check_kind(&change.resource)?;
        let Some(resource) = self.books.resource(&change.resource) else { return Ok(Change::Unchanged) };
        let before = self.quota_before(change, resource);
        let after = change.onto(before.clone());
        let amounts = [Some(after.guaranteed), after.limit, after.borrow_limit, after.lend_limit];
        if let Some(much) = amounts.into_iter().flatten().find(|&amount| amount > AMOUNT_MAX) {
            return bad(&format!("{much} is beyond any amount"), &format!("at most {AMOUNT_MAX}"));
        }
        self.check_quota_spec(&after)?;
        self.check_burst(resource, after.refill.burst)?;
        check_time(change, &before)?;
        Ok(match self.books.quota_spec(&change.scope, resource) {
            None => Change::Created,
            Some(_) if after == before => Change::Unchanged,
            Some(_) => Change::Changed,
        })
    }

    fn judge_node(&self, change: &NodeChange) -> Result<Change, Refusal> {
        self.check_node_name(&change.name)?;
        if change.state == NodeState::Lost {
            return bad("a node is lost, not set so", "set it open, cordoned or draining");
        }
        if change.grace_ns > TTL_NS_MAX {
            return bad(
                "the grace is longer than any lease",
                &format!("at most {} days", TTL_NS_MAX / 86_400_000_000_000),
            );
        }
        let Some(node) = self.books.node(&change.name) else { return Ok(Change::Unchanged) };
        let same = self.books.node_state(node) == change.state
            && (change.state != NodeState::Draining
                || self.drains_until(node) == Some(self.drain_end(node, change.grace_ns)));
        Ok(if same { Change::Unchanged } else { Change::Changed })
    }

    fn check_node_name(&self, name: &str) -> Result<(), Refusal> {
        if self.books.node(name).is_some() {
            return Ok(());
        }
        let nodes = self.books.view().nodes.len();
        let known: Vec<&str> =
            (0..nodes.min(NAMED_MAX)).map(|node| self.books.node_name(node as Row)).collect();
        let more = if nodes > NAMED_MAX { " and others" } else { "" };
        let message = format!("there is no node {name:?}");
        Err(Refusal::new(Reason::NotFound, message).hint(format!("there are: {}{more}", known.join(", "))))
    }

    fn check_burst(&self, resource: Row, burst: u64) -> Result<(), Refusal> {
        let spec = self.books.spec(resource);
        match burst {
            0 => Ok(()),
            _ if spec.shape != Shape::Rate => {
                bad(&format!("{} has no burst: it is no rate", spec.name), "leave the burst out")
            }
            _ if burst > AMOUNT_MAX => {
                bad(&format!("{burst} is beyond any burst"), &format!("at most {AMOUNT_MAX}"))
            }
            _ => Ok(()),
        }
    }
}

/// A limit and a guarantee come back in one time: who changes it by one of them would change what the other means.
fn check_time(change: &QuotaChange, before: &QuotaSpec) -> Result<(), Refusal> {
    let known = before.refill.period_ns;
    if known == 0 || change.period_ns.is_none_or(|period_ns| period_ns == known) {
        return Ok(());
    }
    let other = match (change.limit, change.guaranteed) {
        (Some(_), None) if before.guaranteed > 0 => ("guarantee", before.guaranteed),
        (None, Some(_)) if before.limit.is_some() => ("limit", before.limit.unwrap_or_default()),
        _ => return Ok(()),
    };
    bad(
        &format!("its {} of {} comes back in another time, {} s", other.0, other.1, known / 1_000_000_000),
        "say both, or use that time",
    )
}

/// What a setting is called in a refusal.
fn name(setting: &Setting) -> String {
    match setting {
        Setting::Pool(PoolChange { resource, node, name, .. })
        | Setting::RemovePool { resource, node, name } => match node {
            Some(node) => format!("pool {resource}:{name} on {node}"),
            None => format!("pool {resource}:{name}"),
        },
        Setting::Scope(ScopeSpec { path, .. }) => format!("scope {path:?}"),
        Setting::Quota(QuotaChange { scope, resource, .. }) | Setting::RemoveQuota { scope, resource } => {
            format!("quota of {scope:?} on {resource}")
        }
        Setting::Node(NodeChange { name, .. }) => format!("node {name}"),
    }
}

fn named(name: &str, refusal: Refusal) -> Refusal {
    Refusal { message: format!("{name}: {}", refusal.message), ..refusal }
}
