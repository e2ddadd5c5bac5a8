//! What exists: kinds, nodes and pools, and the links that lead from a node to its pools.
use crate::{Books, lease::Account, names::put};
use bursar_interface::{Amount, NONE, NodeSpec, PoolId, PoolSpec, ResourceSpec, Row, Shape, canary};

impl Books {
    /// Adds a kind, or changes its bounds; its row never changes.
    pub fn set_resource(&mut self, spec: &ResourceSpec) -> Row {
        let row = self.resource(&spec.name).unwrap_or_else(|| {
            let row = self.tables.resources.push();
            self.tables.resources.first_floating[row as usize] = NONE;
            row
        });
        let (table, r) = (&mut self.tables.resources, row as usize);
        table.shape[r] = spec.shape as u32;
        table.min[r] = spec.min;
        table.step[r] = spec.step;
        table.tag[r] = bursar_interface::tag(&spec.name);
        table.touch(row, self.epoch);
        put(&mut self.names.resources, row, spec.clone());
        row
    }

    /// Adds a node, or changes its labels and state.
    pub fn set_node(&mut self, spec: &NodeSpec) -> Row {
        let row = self.node(&spec.name).unwrap_or_else(|| {
            let row = self.tables.nodes.push();
            self.counters[0] += 1;
            self.tables.nodes.id[row as usize] = self.counters[0];
            self.tables.nodes.first_pool[row as usize] = NONE;
            self.tables.nodes.availability[row as usize] = NONE;
            self.names.node_rows.insert(spec.name.clone(), row);
            put(&mut self.names.nodes, row, spec.name.clone());
            row
        });
        let labels =
            spec.labels.iter().filter_map(|term| self.names.label(term)).fold(0, |bits, bit| bits | bit);
        self.tables.nodes.labels[row as usize] = labels;
        self.tables.nodes.state[row as usize] = spec.state as u32;
        self.tables.nodes.touch(row, self.epoch);
        row
    }

    /// Adds a pool, or changes its capacity and labels. Shrinking below what is held takes nothing
    /// from anybody: nothing is free until enough came back. Unknown kinds and nodes are ignored.
    pub fn set_pool(&mut self, spec: &PoolSpec) -> Option<Row> {
        let resource = self.resource(&spec.resource)?;
        let node = match &spec.node {
            Some(name) => self.node(name)?,
            None => NONE,
        };
        let known = self.names.pool_rows.get(&(resource, node, spec.name.clone())).copied();
        let row = known.unwrap_or_else(|| self.new_pool(resource, node, &spec.name));
        let labels =
            spec.labels.iter().filter_map(|term| self.names.label(term)).fold(0, |bits, bit| bits | bit);
        self.tables.pools.labels[row as usize] = labels;
        self.set_pool_refill(row, &spec.refill);
        let offered = match self.shape(resource) {
            Shape::Rate if spec.refill.burst > 0 => {
                spec.refill.burst + Amount::from(canary!("the burst is one larger"))
            }
            _ if canary!("a shrunken pool offers what it had") => {
                spec.capacity.max(self.tables.pools.offered[row as usize])
            }
            _ => spec.capacity,
        };
        let before = self.tables.pools.capacity[row as usize];
        self.change_pool(row, |pools, p| {
            pools.capacity[p] = spec.capacity;
            pools.offered[p] = offered;
        });
        if let Some(offer) = self.offer(row).map(|offer| offer.scaled(before, spec.capacity)) {
            self.offer_by(row, Some(offer));
        }
        if self.spec(resource).springs == 0 {
            let all = &mut self.tables.resources.capacity[resource as usize];
            *all = *all - before + spec.capacity;
        }
        self.measure_largest(resource, node);
        Some(row)
    }

    /// Adds a floating pool that springs from its name, with the capacity that its kind says.
    pub fn spring_pool(&mut self, resource: &str, name: &str) -> Option<PoolId> {
        let capacity = self.spec(self.resource(resource)?).springs;
        let spec = PoolSpec { resource: resource.into(), name: name.into(), capacity, ..PoolSpec::default() };
        let row = self.set_pool(&spec)?;
        self.wanted.insert(row, 0);
        Some(PoolId(self.tables.pools.id[row as usize]))
    }

    /// Whether a pool sprang from its name, and goes with the last who names it.
    pub fn has_sprung(&self, pool: Row) -> bool {
        self.wanted.contains_key(&pool)
    }

    /// The identity that the next new pool gets.
    pub fn next_pool(&self) -> PoolId {
        PoolId(self.counters[1] + 1)
    }

    fn new_pool(&mut self, resource: Row, node: Row, name: &str) -> Row {
        let row = self.free_pools.take(|| self.tables.pools.push());
        self.counters[1] += 1;
        let (pools, p) = (&mut self.tables.pools, row as usize);
        pools.id[p] = self.counters[1];
        pools.node[p] = node;
        pools.parent[p] = NONE;
        pools.resource[p] = resource;
        pools.next[p] = NONE;
        pools.next_kind[p] = NONE;
        pools.pressure[p] = NONE;
        pools.firm[p] = Amount::MAX;
        pools.places[p] = NONE;
        self.pool_rows.insert(PoolId(self.counters[1]), row);
        self.names.pool_rows.insert((resource, node, name.into()), row);
        put(&mut self.names.pools, row, name.into());
        self.link(row);
        row
    }

    /// Appends a pool to the list of its kind on its node, starting the list where there is none.
    fn link(&mut self, row: Row) {
        let (node, resource) =
            (self.tables.pools.node[row as usize], self.tables.pools.resource[row as usize]);
        let head = self.head_of(node, resource);
        if head != NONE {
            let mut last = head;
            while self.tables.pools.next[last as usize] != NONE {
                last = self.tables.pools.next[last as usize];
            }
            self.tables.pools.next[last as usize] = row;
            self.tables.pools.touch(last, self.epoch);
        } else if node == NONE {
            self.tables.resources.first_floating[resource as usize] = row;
            self.tables.resources.touch(resource, self.epoch);
        } else {
            self.start_kind(node, row);
        }
    }

    fn head_of(&self, node: Row, resource: Row) -> Row {
        match node {
            NONE => self.tables.resources.first_floating[resource as usize],
            _ => self.view().first_of_kind(node, resource),
        }
    }

    /// Makes `row` the first pool of a new kind on `node`.
    fn start_kind(&mut self, node: Row, row: Row) {
        let mut last = self.tables.nodes.first_pool[node as usize];
        if last == NONE {
            self.tables.nodes.first_pool[node as usize] = row;
        } else {
            while self.tables.pools.next_kind[last as usize] != NONE {
                last = self.tables.pools.next_kind[last as usize];
            }
            self.tables.pools.next_kind[last as usize] = row;
            self.tables.pools.touch(last, self.epoch);
        }
        self.tables.nodes.touch(node, self.epoch);
    }

    /// Takes away a floating pool that nobody has anything of.
    pub fn remove_pool(&mut self, row: Row) {
        let (resource, capacity) =
            (self.tables.pools.resource[row as usize], self.tables.pools.capacity[row as usize]);
        self.tables.resources.capacity[resource as usize] -= capacity;
        self.metered.retain(|&metered| metered != row);
        self.remove_sprung(row);
    }

    /// Takes away a sprung (so floating) pool that nobody wants any more.
    pub(crate) fn remove_sprung(&mut self, row: Row) {
        let p = row as usize;
        let resource = self.tables.pools.resource[p];
        let after = self.tables.pools.next[p];
        let head = self.tables.resources.first_floating[resource as usize];
        if head == row {
            self.tables.resources.first_floating[resource as usize] = after;
            self.tables.resources.touch(resource, self.epoch);
        } else {
            let before = self.floating_before(head, row);
            self.tables.pools.next[before as usize] = after;
            self.tables.pools.touch(before, self.epoch);
        }
        self.change_pool(row, |pools, p| pools.offered[p] = 0);
        self.pool_rows.remove(&PoolId(self.tables.pools.id[p]));
        let name = std::mem::take(&mut self.names.pools[p]);
        self.names.pool_rows.remove(&(resource, NONE, name));
        self.wanted.remove(&row);
        self.tables.pools.clear(row);
        self.tables.pools.touch(row, self.epoch);
        self.free_pools.give(row);
    }

    fn floating_before(&self, head: Row, row: Row) -> Row {
        let mut before = head;
        while self.tables.pools.next[before as usize] != row {
            before = self.tables.pools.next[before as usize];
        }
        before
    }

    /// Adds to an account of a pool.
    #[inline]
    pub(crate) fn enter(&mut self, row: Row, account: Account, amount: Amount) {
        let (pools, p) = (&mut self.tables.pools, row as usize);
        *account.cell(pools, p) += amount;
        match pools.free[p] {
            free if free >= amount => self.set_free(row, free - amount),
            _ => self.count_free(row),
        }
    }

    /// Takes from an account of a pool.
    #[inline]
    pub(crate) fn leave(&mut self, row: Row, account: Account, amount: Amount) {
        let (pools, p) = (&mut self.tables.pools, row as usize);
        *account.cell(pools, p) -= amount;
        match pools.free[p] {
            // More may be promised than there is, since a capacity shrank.
            0 => self.count_free(row),
            free => self.set_free(row, free + amount),
        }
    }

    /// Keeps some of what is free of a pool from whoever asks until [`Books::restore`]: for a round, never
    /// for longer.
    pub fn withhold(&mut self, pool: Row, amount: Amount) {
        self.set_free(pool, self.tables.pools.free(pool).saturating_sub(amount));
        let (firm, places) =
            (&mut self.tables.pools.firm[pool as usize], &mut self.tables.pools.places[pool as usize]);
        if *firm != Amount::MAX {
            *firm = firm.saturating_sub(amount);
        }
        if *places != NONE {
            *places = places.saturating_sub(1);
        }
    }

    /// Gives back what was withheld of a pool.
    pub fn restore(&mut self, pool: Row) {
        match self.is_shared(pool) {
            true => self.count_shared(pool),
            false => self.count_free(pool),
        }
    }

    /// Changes what a pool has or may promise.
    fn change_pool(&mut self, row: Row, change: impl FnOnce(&mut bursar_interface::PoolTable, usize)) {
        change(&mut self.tables.pools, row as usize);
        self.count_free(row);
    }

    pub(crate) fn count_free(&mut self, row: Row) {
        self.set_free(row, self.free_beside_spent(row, self.tables.pools.spent[row as usize]));
    }

    /// What is free of a pool while so much of it is spent.
    pub(crate) fn free_beside_spent(&self, row: Row, spent: Amount) -> Amount {
        let (pools, p) = (&self.tables.pools, row as usize);
        let used = pools.reserved[p] + pools.held[p] + pools.quarantined[p];
        self.under_rules(row, pools.offered[p].saturating_sub(used.saturating_add(spent)))
    }

    /// Keeps what is free of a pool, and of its kind.
    #[inline]
    fn set_free(&mut self, row: Row, free: Amount) {
        let (pools, p) = (&mut self.tables.pools, row as usize);
        let before = std::mem::replace(&mut pools.free[p], free);
        pools.touch(row, self.epoch);
        let resource = pools.resource[p];
        let of_kind = &mut self.tables.resources.free[resource as usize];
        *of_kind = *of_kind - before + free;
        self.tables.resources.touch(resource, self.epoch);
    }

    /// Keeps the largest sum of capacities of a kind on one node, after a pool on `node` changed.
    fn measure_largest(&mut self, resource: Row, node: Row) {
        if node == NONE {
            return;
        }
        let old = self.tables.resources.largest[resource as usize];
        let here = self.capacity_on(node, resource);
        let largest = if here >= old {
            here
        } else {
            let nodes = 0..self.tables.nodes.len() as Row;
            nodes.map(|node| self.capacity_on(node, resource)).max().unwrap_or(0)
        };
        self.tables.resources.largest[resource as usize] = largest;
        self.tables.resources.touch(resource, self.epoch);
    }

    fn capacity_on(&self, node: Row, resource: Row) -> Amount {
        self.view().pools_of(node, resource).map(|pool| self.tables.pools.capacity[pool as usize]).sum()
    }
}
