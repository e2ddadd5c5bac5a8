//! What is set, read back as it was told, so that it can be changed in part and compared.
use crate::Books;
use bursar_interface::{Amount, NONE, NodeState, PoolSpec, QuotaSpec, Refill, Row, Shape, Time};

impl Books {
    /// A pool as it is set. What a rate lets through at once is 0 where it is a whole period's.
    pub fn pool_spec(&self, pool: Row) -> PoolSpec {
        let (pools, p) = (&self.tables.pools, pool as usize);
        let spec = self.spec(pools.resource[p]);
        let burst = match spec.shape {
            Shape::Rate if pools.offered[p] != pools.capacity[p] => pools.offered[p],
            _ => 0,
        };
        PoolSpec {
            resource: spec.name.clone(),
            node: Some(pools.node[p]).filter(|&node| node != NONE).map(|node| self.node_name(node).into()),
            name: self.pool_name(pool).into(),
            capacity: pools.capacity[p],
            labels: self.label_terms(pools.labels[p]).into_iter().map(str::to_owned).collect(),
            refill: Refill { period_ns: pools.period[p], burst, due: Time(0) },
        }
    }

    /// A bound as an operator set it; `None` for a ledger that nobody bounded.
    pub fn quota_spec(&self, scope: &str, resource: Row) -> Option<QuotaSpec> {
        let row = self.quota_rows.get(&(self.scope(scope)?, resource)).copied()?;
        let (quotas, q) = (&self.tables.quotas, row as usize);
        let bound = |amount: Amount| Some(amount).filter(|&amount| amount != Amount::MAX);
        let burst = Some(quotas.burst[q]).filter(|&burst| burst != quotas.limit[q]).unwrap_or(0);
        (quotas.set[q] != 0).then(|| QuotaSpec {
            scope: scope.into(),
            resource: self.spec(resource).name.clone(),
            guaranteed: quotas.guaranteed[q],
            limit: bound(quotas.limit[q]),
            borrow_limit: bound(quotas.borrow_limit[q]),
            lend_limit: bound(quotas.lend_limit[q]),
            refill: Refill { period_ns: quotas.period[q], burst, due: Time(0) },
        })
    }

    /// Every bound on a kind that an operator set.
    pub fn quotas_on(&self, resource: Row) -> Vec<QuotaSpec> {
        let of_kind = self.quota_rows.keys().filter(|(_, kind)| *kind == resource);
        of_kind.filter_map(|&(scope, _)| self.quota_spec(self.scope_path(scope), resource)).collect()
    }

    /// The row of the pool of a kind with this name on this node; `None` as node for a floating one.
    pub fn pool_on(&self, resource: Row, node: Option<&str>, name: &str) -> Option<Row> {
        let node = node.map_or(Some(NONE), |node| self.node(node))?;
        self.names.pool_rows.get(&(resource, node, name.to_owned())).copied()
    }

    /// Whether a node takes claims.
    pub fn node_state(&self, node: Row) -> NodeState {
        NodeState::of(self.tables.nodes.state[node as usize])
    }

    /// Opens a node, or closes it to new claims. What is there stays.
    pub fn set_node_state(&mut self, node: Row, state: NodeState) {
        self.tables.nodes.state[node as usize] = state as u32;
        self.tables.nodes.touch(node, self.epoch);
    }

    /// What a scope weighs; 1 where there is no such scope.
    pub fn weight(&self, scope: &str) -> u32 {
        self.scope(scope).map_or(1, |row| self.tables.scopes.weight[row as usize])
    }
}
