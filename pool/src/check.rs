//! The law: whether a claim may be granted in a proposed place. Asked before every grant, whoever
//! proposed it, and written apart from the allocators on purpose.
use crate::Books;
use arrayvec::ArrayVec;
use bursar_interface::{
    Amount, ClaimId, NONE, NodeState, Phase, PoolId, Reason, Row, Take, bound::LINES_MAX, canary,
};
use std::ops::Range;

/// A lawful place for a claim: its node and the pool of each of its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Row of the node, or [`NONE`] if all of it floats.
    pub node: Row,
    /// Row of the pool of each line, in the order of the lines.
    pub pools: ArrayVec<Row, LINES_MAX>,
}

/// Why a proposal is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The claim goes on waiting: a limit that allocators do not see stands in the way.
    Wait(Reason),
    /// The proposal makes no sense; its author is at fault.
    Unlawful(String),
}

impl Books {
    /// Checks the takes proposed for one claim, all of its lines in any order, and says where that is.
    ///
    /// # Errors
    /// [`Refused::Wait`] when a quota is reached, [`Refused::Unlawful`] for anything that a correct
    /// allocator cannot propose.
    pub fn check(&self, takes: &[Take]) -> Result<Placement, Refused> {
        let Some(first) = takes.first() else { return unlawful("an empty proposal") };
        let claim = first.claim;
        if self.tables.claims.id.get(claim as usize).is_none_or(|&id| id == 0)
            || self.phase(claim) != Phase::Pending
        {
            return unlawful(format!("row {claim} is no waiting claim"));
        }
        let lines = self.tables.claims.line_rows(claim);
        let mut placement = Placement { node: first.node, pools: lines.clone().map(|_| NONE).collect() };
        self.check_node(claim, placement.node)?;
        for (i, take) in takes.iter().enumerate() {
            if take.claim != claim || take.node != placement.node || !lines.contains(&take.line) {
                return unlawful(format!("take {i} is not of one claim on one node"));
            }
            let place = &mut placement.pools[(take.line - lines.start) as usize];
            if *place != NONE {
                return unlawful(format!("line {} is taken twice", take.line));
            }
            self.check_take(take)?;
            *place = take.pool;
            let before = takes[..i].iter().filter(|other| other.pool == take.pool);
            let together = before.fold(take.amount, |sum, other| sum + other.amount);
            self.check_shared(claim, take.pool, together)?;
            if together > self.tables.pools.free(take.pool) {
                return unlawful(format!(
                    "{together} is more than is free in pool {}",
                    self.pool_name(take.pool)
                ));
            }
        }
        if placement.pools.contains(&NONE) {
            return unlawful("not all lines of the claim are taken");
        }
        self.check_slice(claim, placement)
    }

    /// As [`Books::check`], for a claim that takes nothing from the pools: all of it is its parent's.
    ///
    /// # Errors
    /// As [`Books::check`].
    pub fn check_bare(&self, claim: Row) -> Result<Placement, Refused> {
        if !self.tables.claims.line_rows(claim).is_empty() || self.phase(claim) != Phase::Pending {
            return unlawful(format!("row {claim} does not wait for its parent's lines alone"));
        }
        self.check_slice(claim, Placement { node: NONE, pools: ArrayVec::new() })
    }

    /// The last of it: what the parent has left, where the parent lives, and the bounds above.
    fn check_slice(&self, claim: Row, placement: Placement) -> Result<Placement, Refused> {
        if self.node_bound(claim).is_some_and(|node| ![NONE, node].contains(&placement.node)) {
            return unlawful("a claim is on another node than the one that it draws from");
        }
        if self.slice_short(claim).is_some() {
            return Err(Refused::Wait(Reason::InsufficientCapacity));
        }
        match self.quota_short(claim) {
            Some(_) => Err(Refused::Wait(Reason::InsufficientQuota)),
            None => Ok(placement),
        }
    }

    fn check_node(&self, claim: Row, node: Row) -> Result<(), Refused> {
        if node == NONE {
            return Ok(());
        }
        let (c, n) = (claim as usize, node as usize);
        let (claims, nodes) = (&self.tables.claims, &self.tables.nodes);
        if nodes.id.get(n).is_none_or(|&id| id == 0) {
            return unlawful(format!("no node in row {node}"));
        }
        if NodeState::of(nodes.state[n]) != NodeState::Open && !canary!("a closed node is given") {
            return unlawful(format!("node {} takes no claims", self.node_name(node)));
        }
        let (need, bar) = (claims.need[c], claims.bar[c]);
        if nodes.labels[n] & need != need || nodes.labels[n] & bar != 0 {
            return unlawful(format!("node {} has the wrong labels", self.node_name(node)));
        }
        let apart = claims.apart[c];
        let here = self.tables.occupants.view();
        if apart != NONE
            && (0..here.len()).any(|o| here.scope[o] == apart && here.node[o] == node && here.claims[o] > 0)
        {
            return unlawful(format!("node {} already has a claim of that scope", self.node_name(node)));
        }
        Ok(())
    }

    fn check_take(&self, take: &Take) -> Result<(), Refused> {
        let (l, p) = (take.line as usize, take.pool as usize);
        let (lines, pools) = (&self.tables.lines, &self.tables.pools);
        if pools.id.get(p).is_none_or(|&id| id == 0) {
            return unlawful(format!("no pool in row {}", take.pool));
        }
        if pools.resource[p] != lines.resource[l] || take.amount != lines.amount[l] {
            return unlawful(format!(
                "pool {} is not what line {} asks for",
                self.pool_name(take.pool),
                take.line
            ));
        }
        if lines.want[l] != NONE
            && lines.want[l] != take.pool
            && !canary!("another pool than was named is given")
        {
            return unlawful(format!(
                "line {} names another pool than {}",
                take.line,
                self.pool_name(take.pool)
            ));
        }
        if lines.models[l] != 0 && pools.labels[p] & lines.models[l] == 0 {
            return unlawful(format!("pool {} is of another model", self.pool_name(take.pool)));
        }
        if pools.node[p] != NONE && pools.node[p] != take.node {
            return unlawful(format!("pool {} is on another node", self.pool_name(take.pool)));
        }
        Ok(())
    }

    /// What a claim asks of a kind over all of its lines.
    pub fn asked(&self, claim: Row, resource: Row) -> Amount {
        self.asked_in(self.tables.claims.line_rows(claim), resource)
    }

    /// What a run of lines asks of a kind.
    pub fn asked_in(&self, lines: Range<Row>, resource: Row) -> Amount {
        lines
            .map(|l| l as usize)
            .filter(|&l| self.tables.lines.resource[l] == resource)
            .map(|l| self.tables.lines.amount[l])
            .sum()
    }

    /// What lines ask for of one pool by its name.
    pub fn wanted_in(&self, lines: Range<Row>, pool: Row) -> Amount {
        let wants = |&l: &usize| self.tables.lines.want[l] == pool;
        lines.map(|l| l as usize).filter(wants).map(|l| self.tables.lines.amount[l]).sum()
    }

    /// The seat of a recorded grant, from the pools' identities.
    pub fn placement(&self, claim: ClaimId, pools: &[PoolId]) -> Option<(Row, Placement)> {
        let row = self.claim(claim)?;
        let pools: ArrayVec<Row, LINES_MAX> = pools.iter().map(|&id| self.pool(id)).collect::<Option<_>>()?;
        let node = pools.iter().map(|&pool| self.tables.pools.node[pool as usize]).find(|&node| node != NONE);
        let node = node.or_else(|| self.node_bound(row));
        Some((row, Placement { node: node.unwrap_or(NONE), pools }))
    }
}

fn unlawful<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::Unlawful(why.into()))
}
