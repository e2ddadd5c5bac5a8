//! The other verbs: what holders, operators and edges may do to a claim and to the installation.
use crate::{Engine, admit::bad, engine::Tape};
use bursar_interface::{
    ClaimId, Command, Ending, Fence, NodeSpec, Phase, PoolSpec, Principal, QuotaSpec, Reason, Refill,
    Refusal, ResourceSpec, Row, Shape, Used, What,
    bound::{
        AMOUNT_MAX, LABELS_MAX, NAME_BYTES_MAX, NODES_MAX, PERIOD_NS_MAX, POOLS_MAX, RESOURCES_MAX,
        TTL_NS_MAX,
    },
    canary, check_scope,
};

/// Processes attached to one lease at most.
const BODIES_MAX: usize = 64;

impl Engine {
    /// Carries out anything but an ask.
    pub(crate) fn verb(
        &mut self,
        cause: u32,
        tape: &mut Tape<'_>,
        by: &Principal,
        body: &Command,
    ) -> Result<(), Refusal> {
        let cause = Some(cause);
        match body {
            Command::Renew { claim, fence, ttl_ns } => self.renew(cause, tape, by, (*claim, *fence), *ttl_ns),
            Command::Settle { claim, fence, used } => self.settle(cause, tape, by, (*claim, *fence), used),
            Command::Release { claim, fence } => {
                self.leased(by, *claim, *fence)?;
                self.end(tape, cause, *claim, Ending::Released);
                Ok(())
            }
            Command::Cancel { claim } => self.cancel(cause, tape, by, *claim),
            Command::Shrink { claim, fence, to } => self.shrink(cause, tape, by, (*claim, *fence), to),
            Command::Attach { claim, fence, .. } => {
                self.leased(by, *claim, *fence)?;
                if self.bodies(*claim).len() >= BODIES_MAX {
                    return Err(Refusal::new(
                        Reason::FanOut,
                        format!("{BODIES_MAX} processes are attached already"),
                    ));
                }
                self.emit(tape, cause, What::Attached(*claim));
                Ok(())
            }
            told => {
                if !by.admin {
                    return Err(Refusal::new(
                        Reason::Forbidden,
                        "only the daemon's own user and root administer",
                    ));
                }
                self.told(cause, tape, told)
            }
        }
    }

    fn renew(
        &mut self,
        cause: Option<u32>,
        tape: &mut Tape<'_>,
        by: &Principal,
        of: (ClaimId, Fence),
        ttl_ns: u64,
    ) -> Result<(), Refusal> {
        let row = self.leased(by, of.0, of.1)?;
        if ttl_ns > TTL_NS_MAX {
            return bad("ttl is too long", &format!("at most {} days", TTL_NS_MAX / 86_400_000_000_000));
        }
        if canary!("a renewal does what no event tells") {
            self.books.set_reason(row, Reason::QueueFull, self.books.at());
        }
        let ttl = if ttl_ns == 0 { self.books.tables().claims.ttl[row as usize] } else { ttl_ns };
        let lease_until = self.no_longer_than_parent(row, self.books.at().after(ttl));
        self.emit(tape, cause, What::Renewed { claim: of.0, lease_until });
        Ok(())
    }

    fn settle(
        &mut self,
        cause: Option<u32>,
        tape: &mut Tape<'_>,
        by: &Principal,
        of: (ClaimId, Fence),
        used: &[Used],
    ) -> Result<(), Refusal> {
        let row = self.fenced(by, of.0, of.1)?;
        for (i, one) in used.iter().enumerate() {
            let name = || match &one.pool {
                Some(pool) => format!("{}:{pool}", one.resource),
                None => one.resource.clone(),
            };
            if one.amount > AMOUNT_MAX {
                let message = format!("{} of {} cannot be counted", one.amount, one.resource);
                return bad(&message, &format!("at most {AMOUNT_MAX}"));
            }
            let Some(kind) = self.books.resource(&one.resource) else {
                let message = format!("there is no resource {:?}", one.resource);
                return Err(Refusal::new(Reason::UnknownResource, message));
            };
            let overlaps = |other: &Used| {
                let pools = [&other.pool, &one.pool];
                other.resource == one.resource && (pools.contains(&&None) || pools[0] == pools[1])
            };
            if used[..i].iter().any(overlaps) {
                return bad(&format!("what was used of {} is told twice", name()), "tell the sum, once");
            }
            if !self.books.holds_some(row, kind, one.pool.as_deref()) {
                // What it reserved would count as spent, and who told what was used would not know.
                let message = format!("claim {} holds no {} of which some was used", of.0, name());
                return bad(&message, "tell of the kinds and pools that `bursar get claims` shows");
            }
        }
        self.emit(tape, cause, What::Settled(of.0));
        self.end_short_within(tape, cause, of.0, used);
        Ok(())
    }

    fn cancel(
        &mut self,
        cause: Option<u32>,
        tape: &mut Tape<'_>,
        by: &Principal,
        claim: ClaimId,
    ) -> Result<(), Refusal> {
        let row = self.seen(by, claim)?;
        if self.books.phase(row) == Phase::Draining {
            return Err(Refusal::new(Reason::LeaseExpired, format!("claim {claim} is ending already")));
        }
        self.end(tape, cause, claim, Ending::Cancelled);
        Ok(())
    }

    /// The row of a claim that this principal may see; the same answer for absent and forbidden.
    pub(crate) fn seen(&self, by: &Principal, claim: ClaimId) -> Result<Row, Refusal> {
        let mine = |path: &str| {
            by.root.is_empty()
                || path
                    .strip_prefix(by.root.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if let Some(row) = self.books.claim(claim) {
            let scope = self.books.tables().claims.scope[row as usize];
            if mine(self.books.scope_path(scope)) {
                return Ok(row);
            }
        } else if let Some(closed) = self.kept.find(claim).filter(|closed| mine(&closed.scope)) {
            return Err(Refusal::new(
                Reason::LeaseExpired,
                format!("claim {claim} has ended ({:?})", closed.ending),
            ));
        }
        Err(Refusal::new(Reason::UnknownClaim, format!("there is no claim {claim}"))
            .hint("see `bursar get claims`"))
    }

    /// The row of a granted claim with this token.
    pub(crate) fn fenced(&self, by: &Principal, claim: ClaimId, fence: Fence) -> Result<Row, Refusal> {
        let row = self.seen(by, claim)?;
        if self.books.phase(row) == Phase::Pending {
            return Err(Refusal::new(Reason::StaleFence, format!("claim {claim} was not granted yet")));
        }
        if self.books.tables().claims.fence[row as usize] != fence.0 && !canary!("any fence will do") {
            return Err(Refusal::new(
                Reason::StaleFence,
                format!("{fence} is not the fence of claim {claim}"),
            )
            .hint("use the fence that the grant gave"));
        }
        Ok(row)
    }

    /// The row of a lease with this token that has not ended.
    pub(crate) fn leased(&self, by: &Principal, claim: ClaimId, fence: Fence) -> Result<Row, Refusal> {
        let row = self.fenced(by, claim, fence)?;
        match self.books.phase(row) {
            Phase::Draining if !canary!("a lease that ended is renewed") => {
                Err(Refusal::new(Reason::LeaseExpired, format!("claim {claim} is ending already")))
            }
            _ => Ok(row),
        }
    }

    /// What the daemon and its operators say.
    fn told(&mut self, cause: Option<u32>, tape: &mut Tape<'_>, body: &Command) -> Result<(), Refusal> {
        match body {
            Command::Start { boot, .. } => {
                self.restart(cause, tape, boot);
            }
            Command::Woke => self.wake(cause, tape),
            Command::SetResource(spec) => self.set_resource(cause, tape, spec)?,
            Command::SetNode(spec) => self.set_node(cause, tape, spec)?,
            Command::SetPool(spec) => self.set_pool(cause, tape, spec)?,
            Command::SetQuota(spec) => self.set_quota(cause, tape, spec)?,
            Command::SetScope(spec) => {
                check_scope(&spec.path)?;
                self.emit(tape, cause, What::ScopeSet);
            }
            Command::Swap { .. } => self.emit(tape, cause, What::Swapped),
            Command::Apply(settings) => self.operate(cause, tape, settings)?,
            Command::SetFanOut(spec) => self.told_fan(cause, tape, spec)?,
            Command::SetPreemption(policy) => self.set_preemption(cause, tape, policy)?,
            Command::Find(_) => self.emit(tape, cause, What::Found),
            Command::Faulted { role, fault } => {
                self.emit(tape, cause, What::PluginFault { role: *role, fault: fault.clone() });
            }
            Command::Suspect { role, left, passed } => self.suspect(cause, tape, *role, left, *passed),
            Command::Squeezed(squeeze) => self.told_squeeze(cause, tape, squeeze)?,
            Command::Evict { claim, grace_ns } => self.evict(cause, tape, *claim, *grace_ns)?,
            Command::Spare { claim } => self.make_no_room(cause, tape, *claim)?,
            Command::Share { .. } => self.set_share(cause, tape, body)?,
            edge => self.reported(cause, tape, edge)?,
        }
        Ok(())
    }

    /// What the edges report of a lease.
    fn reported(&mut self, cause: Option<u32>, tape: &mut Tape<'_>, body: &Command) -> Result<(), Refusal> {
        let (Command::Enforced { claim, .. }
        | Command::EnforceFailed { claim, .. }
        | Command::Exited { claim }
        | Command::Reclaimed { claim, .. }
        | Command::Resized { claim }
        | Command::Measured { claim, .. }
        | Command::Frozen { claim }
        | Command::FreezeFailed { claim, .. }
        | Command::ResizeFailed { claim, .. }
        | Command::ReclaimFailed { claim, .. }) = body
        else {
            return bad("the input means nothing here", "");
        };
        let claim = *claim;
        let phase = self.books.claim(claim).map_or(Phase::Closed, |row| self.books.phase(row));
        let draining = phase == Phase::Draining;
        match body {
            _ if matches!(phase, Phase::Pending | Phase::Closed) => {
                return Err(Refusal::new(Reason::UnknownClaim, format!("claim {claim} has no lease")));
            }
            Command::Enforced { processes, .. } if !draining => {
                if (*processes as usize) < self.bodies(claim).len() {
                    let message = format!("a process was attached to claim {claim} meanwhile");
                    return Err(Refusal::new(Reason::StaleFence, message));
                }
                self.emit(tape, cause, What::Enforced(claim));
            }
            Command::Measured { .. } => {
                if self.measurements.counts(claim) {
                    return bad(&format!("what claim {claim} used is measured already"), "");
                }
                self.emit(tape, cause, What::Measured(claim));
            }
            Command::EnforceFailed { .. } if !draining => {
                self.drain(cause, tape, claim, Ending::EnforceFailed)
            }
            Command::Resized { .. } if !draining => self.resize_reported(cause, tape, claim, None)?,
            Command::ResizeFailed { message, .. } if !draining => {
                self.resize_reported(cause, tape, claim, Some(message))?
            }
            Command::Frozen { .. } if !draining => self.freeze_reported(cause, tape, claim, None)?,
            Command::FreezeFailed { message, .. } if !draining => {
                self.freeze_reported(cause, tape, claim, Some(message))?;
            }
            Command::Exited { .. } if !draining => self.drain(cause, tape, claim, Ending::ProcessGone),
            Command::Reclaimed { over_limit, .. } if draining => {
                let known = self.ending(claim).unwrap_or(Ending::Released);
                let ending = if *over_limit { Ending::OverLimit } else { known };
                self.came_back(tape, cause, claim, ending);
            }
            Command::ReclaimFailed { message, .. } if draining => {
                self.emit(tape, cause, What::Quarantined { claim, message: message.clone() });
            }
            _ => return Err(Refusal::new(Reason::LeaseExpired, format!("claim {claim} is {phase:?}"))),
        }
        Ok(())
    }

    pub(crate) fn drain(&mut self, cause: Option<u32>, tape: &mut Tape<'_>, claim: ClaimId, ending: Ending) {
        self.end_within(tape, cause, claim);
        self.emit(tape, cause, What::Draining { claim, ending });
    }

    fn set_resource(
        &mut self,
        cause: Option<u32>,
        tape: &mut Tape<'_>,
        spec: &ResourceSpec,
    ) -> Result<(), Refusal> {
        check_name("resource", &spec.name)?;
        let known = self.books.resource(&spec.name);
        if known.is_none() && self.books.specs().len() >= RESOURCES_MAX {
            return bad(&format!("{RESOURCES_MAX} resources exist already"), "");
        }
        let changes_kind = known
            .map(|row| self.books.spec(row))
            .is_some_and(|old| old.shape != spec.shape || old.unit != spec.unit);
        if changes_kind {
            return bad(
                &format!("resource {} is counted otherwise already", spec.name),
                "give the new kind another name",
            );
        }
        if spec.min == 0 || spec.springs > AMOUNT_MAX || spec.piece > AMOUNT_MAX {
            return bad(&format!("resource {} has impossible bounds", spec.name), "min is at least 1");
        }
        self.emit(tape, cause, What::ResourceSet);
        Ok(())
    }

    fn set_node(&mut self, cause: Option<u32>, tape: &mut Tape<'_>, spec: &NodeSpec) -> Result<(), Refusal> {
        check_name("node", &spec.name)?;
        self.check_labels(&spec.labels)?;
        if self.books.node(&spec.name).is_none() && self.books.view().nodes.len() >= NODES_MAX {
            return bad(&format!("{NODES_MAX} nodes exist already"), "");
        }
        self.emit(tape, cause, What::NodeSet);
        Ok(())
    }

    fn set_pool(&mut self, cause: Option<u32>, tape: &mut Tape<'_>, spec: &PoolSpec) -> Result<(), Refusal> {
        self.check_pool_spec(spec)?;
        if self.books.tables().pools.len() >= POOLS_MAX {
            return bad(&format!("{POOLS_MAX} pools exist already"), "");
        }
        self.emit(tape, cause, What::PoolSet);
        Ok(())
    }

    /// Whether a pool can be like this.
    pub(crate) fn check_pool_spec(&self, spec: &PoolSpec) -> Result<(), Refusal> {
        check_name("pool", &spec.name)?;
        self.check_labels(&spec.labels)?;
        self.check_kind(&spec.resource)?;
        if let Some(node) = spec.node.as_ref().filter(|node| self.books.node(node).is_none()) {
            return bad(&format!("there is no node {node:?}"), "set the node first");
        }
        self.check_refill(&spec.resource, &spec.refill)?;
        if spec.capacity > AMOUNT_MAX {
            return bad(
                &format!("{} is beyond any capacity", spec.capacity),
                &format!("at most {AMOUNT_MAX}"),
            );
        }
        Ok(())
    }

    fn set_quota(
        &mut self,
        cause: Option<u32>,
        tape: &mut Tape<'_>,
        spec: &QuotaSpec,
    ) -> Result<(), Refusal> {
        self.check_quota_spec(spec)?;
        self.emit(tape, cause, What::QuotaSet);
        self.disown(tape);
        Ok(())
    }

    /// Whether a bound can be like this.
    pub(crate) fn check_quota_spec(&self, spec: &QuotaSpec) -> Result<(), Refusal> {
        check_scope(&spec.scope)?;
        self.check_kind(&spec.resource)?;
        let assured = spec.guaranteed > 0 && self.is_rate(&spec.resource);
        if spec.limit.is_some() || assured || spec.refill.period_ns > 0 {
            self.check_refill(&spec.resource, &spec.refill)?;
        }
        if let Some(limit) = spec.limit.filter(|&limit| limit < spec.guaranteed) {
            let unit = self.books.resource(&spec.resource).map_or("", |row| &self.books.spec(row).unit);
            return bad(
                &format!("the limit of {limit} {unit} is below the guarantee of {}", spec.guaranteed),
                "raise the limit or lower the guarantee",
            );
        }
        Ok(())
    }

    fn is_rate(&self, resource: &str) -> bool {
        self.books.resource(resource).is_some_and(|row| self.books.spec(row).shape == Shape::Rate)
    }

    /// Rates come back in some time, and what is held comes back from its holders.
    fn check_refill(&self, resource: &str, refill: &Refill) -> Result<(), Refusal> {
        let Some(row) = self.books.resource(resource) else { return Ok(()) };
        match (self.books.spec(row).shape, refill.period_ns) {
            (Shape::Rate, 0) => {
                bad(&format!("{resource} flows back, and nothing says in which time"), "write it as 50k/m")
            }
            (Shape::Capacity | Shape::Unit, 1..) => bad(
                &format!("{resource} is held and given back, and comes back by no time"),
                "leave the time out",
            ),
            (_, period) if period > PERIOD_NS_MAX => {
                bad("the time to come back in is too long", "at most a year")
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn check_kind(&self, name: &str) -> Result<(), Refusal> {
        match self.books.resource(name) {
            Some(_) => Ok(()),
            None => {
                let known: Vec<&str> = self.books.specs().iter().map(|spec| spec.name.as_str()).collect();
                Err(Refusal::new(Reason::UnknownResource, format!("there is no resource {name:?}"))
                    .hint(format!("known are: {}", known.join(", "))))
            }
        }
    }

    pub(crate) fn check_labels(&self, labels: &[String]) -> Result<(), Refusal> {
        labels.iter().try_for_each(|label| check_name("label", label))?;
        let new =
            labels.iter().filter(|label| self.books.labels(std::slice::from_ref(label)).is_err()).count();
        match self.books.known_terms() + new > LABELS_MAX {
            true => bad(&format!("more than {LABELS_MAX} label terms"), "use fewer"),
            false => Ok(()),
        }
    }
}

pub(crate) fn check_name(what: &str, name: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return bad(
            &format!("{name:?} is no name for a {what}"),
            &format!("use 1 to {NAME_BYTES_MAX} printable bytes"),
        );
    }
    Ok(())
}
