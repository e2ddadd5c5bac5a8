//! Who demands: the scope tree, and the claims that enter it.
use crate::{Books, SetLens, Wanted, names::put};
use bursar_interface::{Amount, Ask, ClaimId, NONE, Phase, Row, ScopeId, ScopeSpec};
use std::sync::Arc;

impl Books {
    /// The scope of a path, with every scope above it, made on first use.
    pub fn ensure_scope(&mut self, path: &str) -> Row {
        if let Some(row) = self.scope(path) {
            return row;
        }
        let parent = match path.rsplit_once('/') {
            Some((above, _)) => self.ensure_scope(above),
            None if path.is_empty() => NONE,
            None => self.ensure_scope(""),
        };
        let row = self.free_scopes.take(|| self.tables.scopes.push());
        self.counters[2] += 1;
        let (scopes, s) = (&mut self.tables.scopes, row as usize);
        scopes.id[s] = self.counters[2];
        scopes.parent[s] = parent;
        scopes.weight[s] = 1;
        scopes.first_quota[s] = NONE;
        scopes.touch(row, self.epoch);
        if parent != NONE {
            scopes.children[parent as usize] += 1;
            scopes.touch(parent, self.epoch);
        }
        let path: Arc<str> = path.into();
        put(&mut self.names.scopes, row, path.clone());
        self.names.scope_rows.insert(path, row);
        row
    }

    /// Makes a scope, or changes its weight. A scope with a weight of its own stays.
    pub fn set_scope(&mut self, spec: &ScopeSpec) -> Row {
        let row = self.ensure_scope(&spec.path);
        self.tables.scopes.weight[row as usize] = spec.weight.max(1);
        self.tables.scopes.touch(row, self.epoch);
        row
    }

    /// Enters a waiting claim that has passed admission; returns its row.
    pub fn open_claim(&mut self, id: ClaimId, path: &str, apart: Option<&str>, ask: &Ask) -> Row {
        let (scope, mut lines, mut sets) = (self.ensure_scope(path), Vec::new(), SetLens::new());
        self.resolve(ask, &mut lines, &mut sets);
        self.open_resolved(id, scope, apart, ask, &lines, &sets)
    }

    /// As [`Books::open_claim`], for an ask whose names were looked up already.
    pub fn open_resolved(
        &mut self,
        id: ClaimId,
        scope: Row,
        apart: Option<&str>,
        ask: &Ask,
        lines: &[Wanted],
        sets: &SetLens,
    ) -> Row {
        let apart = apart.map_or(NONE, |path| self.ensure_scope(path));
        let row = self.free_claims.take(|| self.tables.claims.push());
        let first_line = self.open_lines(row, lines);
        let need = if ask.need.is_empty() { 0 } else { self.names.known_labels(&ask.need) };
        let bar = if ask.bar.is_empty() { 0 } else { self.names.known_labels(&ask.bar) };
        let at = self.at;
        let (claims, c) = (&mut self.tables.claims, row as usize);
        claims.id[c] = id.0;
        claims.fence[c] = 0;
        claims.scope[c] = scope;
        claims.class[c] = ask.class as u32;
        claims.priority[c] = ask.priority;
        claims.phase[c] = Phase::Pending as u32;
        claims.reason[c] = 0;
        claims.node[c] = NONE;
        claims.first_line[c] = first_line;
        claims.lines[c] = lines.len() as u32;
        claims.asked_at[c] = at.0;
        claims.wait_until[c] = at.after(ask.wait_ns).0;
        claims.lease_until[c] = 0;
        claims.ttl[c] = ask.ttl_ns;
        claims.expect[c] = ask.expect_ns;
        claims.need[c] = need;
        claims.bar[c] = bar;
        claims.apart[c] = apart;
        claims.bodied[c] = 0;
        claims.retry_at[c] = 0;
        claims.granted_at[c] = 0;
        claims.touch(row, self.epoch);
        for scope in [scope, apart].into_iter().filter(|&scope| scope != NONE) {
            self.tables.scopes.claims[scope as usize] += 1;
            self.tables.scopes.touch(scope, self.epoch);
        }
        self.claim_rows.insert(id, row);
        self.live += 1;
        if !sets.is_empty() {
            self.part(row, sets);
        }
        row
    }

    /// Writes the lines of a claim; returns the row of the first.
    fn open_lines(&mut self, claim: Row, wanted: &[Wanted]) -> Row {
        let first = self.free_lines.take(wanted.len(), || self.tables.lines.push());
        for (row, asked) in (first..).zip(wanted) {
            let (lines, l) = (&mut self.tables.lines, row as usize);
            lines.claim[l] = claim;
            lines.resource[l] = asked.resource;
            lines.want[l] = asked.want;
            lines.pool[l] = NONE;
            lines.amount[l] = asked.amount;
            lines.models[l] = asked.models;
            lines.used[l] = Amount::MAX;
            lines.touch(row, self.epoch);
            if asked.want != NONE
                && let Some(wanted) = self.wanted.get_mut(&asked.want)
            {
                *wanted += 1;
            }
        }
        first
    }

    /// The identity that the next new scope gets.
    pub fn next_scope(&self) -> ScopeId {
        ScopeId(self.counters[2] + 1)
    }

    /// Takes away a scope that nothing hangs on any more, and those above it likewise.
    pub(crate) fn prune_scope(&mut self, scope: Row) {
        let s = scope as usize;
        let scopes = &self.tables.scopes;
        let idle =
            scopes.claims[s] == 0 && scopes.children[s] == 0 && scopes.weight[s] == 1 && !self.bounded(scope);
        let parent = scopes.parent[s];
        if !idle || parent == NONE {
            return;
        }
        self.drop_ledgers(scope);
        self.names.scope_rows.remove(&self.names.scopes[s]);
        self.names.scopes[s] = "".into();
        self.tables.scopes.clear(scope);
        self.tables.scopes.touch(scope, self.epoch);
        self.tables.scopes.children[parent as usize] -= 1;
        self.tables.scopes.touch(parent, self.epoch);
        self.free_scopes.give(scope);
        self.prune_scope(parent);
    }
}
