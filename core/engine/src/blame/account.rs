//! What waiting for one thing is charged to whom: time goes by, and whoever holds it then is charged their part.
use super::{
    charge::{Cause, Shares},
    holdings::{Holder, Holdings, Place, tenant},
};
use crate::Engine;
use bursar_interface::{NONE, Reason, Row, Time, canary};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// What is short, where, and for which top-level scope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) resource: Row,
    pub(crate) place: Place,
    pub(crate) tenant: Arc<str>,
}

/// The time that went by at one place, by who held it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Account {
    shares: Arc<Shares>,
    at: Time,
    now: Vec<Holder>,
    /// What is held in all, by those as well who are not named.
    all: u128,
    /// Who waits for it.
    users: u32,
}

impl Account {
    /// Charges the time up to `to`: to each holder its part, rounded down. What is left of that, less than a
    /// nanosecond for each, is nobody's by name: so nobody's part depends on how others share theirs.
    fn advance(&mut self, to: Time) {
        let ns = u128::from(to.0.saturating_sub(self.at.0));
        self.at = self.at.max(to);
        if ns == 0 || self.now.is_empty() {
            return;
        }
        let shares = Arc::make_mut(&mut self.shares);
        for Holder { scope, own, amount } in &self.now {
            let all = if canary!("holders are charged for what nobody is named for") { 1 } else { self.all };
            shares.add(scope, *own, (ns * u128::from(*amount) / all) as u64, to);
        }
    }
}

/// Every account that somebody uses.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Accounts {
    open: BTreeMap<Key, Account>,
    holdings: Holdings,
}

impl Accounts {
    /// Somebody begins to use an account; what it has charged so far.
    pub(crate) fn open(&mut self, engine: &Engine, key: &Key) -> Arc<Shares> {
        if let Some(account) = self.open.get_mut(key) {
            account.users += 1;
            account.advance(engine.books.at());
            return account.shares.clone();
        }
        let (now, all) = self.holdings.at(engine, key.resource, &key.place, &key.tenant);
        let account = Account { at: engine.books.at(), now, all, users: 1, ..Account::default() };
        let shares = account.shares.clone();
        self.open.insert(key.clone(), account);
        shares
    }

    /// What an account has charged by `now`.
    pub(crate) fn charged(&mut self, key: &Key, now: Time) -> Arc<Shares> {
        self.open.get_mut(key).map_or_else(Arc::default, |account| {
            account.advance(now);
            account.shares.clone()
        })
    }

    /// What an account will have charged by `now`, if nothing changes until then.
    pub(crate) fn charged_by(&self, key: &Key, now: Time) -> Arc<Shares> {
        self.open.get(key).cloned().map_or_else(Arc::default, |mut account| {
            account.advance(now);
            account.shares
        })
    }

    /// Somebody uses an account no more.
    pub(crate) fn close(&mut self, key: &Key) {
        if let Some(account) = self.open.get_mut(key) {
            account.users -= 1;
            if account.users == 0 {
                self.open.remove(key);
            }
        }
    }

    /// Looks who holds what is waited for, if it is time for that; says whether it did.
    pub(crate) fn look(&mut self, engine: &Engine) -> bool {
        let now = engine.books.at();
        let due = self.holdings.due(now);
        let unseen =
            |key: &Key| matches!(key.place, Place::Pool(pool) if !self.holdings.has_looked_for(pool));
        if !due && (self.holdings.is_costly() || !self.open.keys().any(unseen)) {
            return false;
        }
        let pools = self.open.keys().filter_map(|key| match key.place {
            Place::Pool(pool) => Some(pool),
            _ => None,
        });
        self.holdings.look(engine, pools.collect());
        for (key, account) in &mut self.open {
            account.advance(now);
            (account.now, account.all) = self.holdings.at(engine, key.resource, &key.place, &key.tenant);
        }
        true
    }
}

impl Engine {
    /// What a waiting claim waits for, and where that would have to come from: of several kinds that it is short
    /// of the one of which it is short of the largest part, of several sets of lines the first.
    pub(crate) fn cause(&self, row: Row) -> (Cause, Option<Key>) {
        let (tables, why) = (self.books.tables(), self.why(row));
        let told = Reason::of(tables.claims.reason[row as usize]);
        let lines = tables.claims.line_rows(row);
        let part = |resource: Row, by: u64| {
            (u128::from(by) << 64) / u128::from(self.books.asked_in_all(row, resource).max(1))
        };
        let shorts = why.short.iter().map(|short| (part(short.resource, short.by), short.resource));
        let most = shorts.reduce(|most, next| if next.0 > most.0 { next } else { most });
        let Some((_, resource)) = most else {
            // Enough is there, and kept for somebody who came before.
            return (Cause { reason: told.or(Some(why.reason)), ..Cause::default() }, None);
        };
        let mut cause = Cause { reason: Some(why.reason), resource: Some(resource), ledger: None };
        let lease = self.books.slice_short(row).map(|(line, _)| line.of);
        let ledger = self.binding_ledger(row, lines.clone()).map(|quota| quota as usize);
        let named = lines.map(|line| line as usize).filter(|&l| tables.lines.resource[l] == resource);
        let named = named.map(|l| tables.lines.want[l]).find(|&want| want != NONE);
        let place = match (lease, ledger, named) {
            (Some(lease), _, _) => Place::Lease(lease),
            (None, Some(ledger), _) => {
                let path = self.books.scope_path(tables.quotas.scope[ledger]).clone();
                cause.ledger = Some(path.clone());
                Place::Ledger(path)
            }
            (None, None, Some(pool)) => Place::Pool(pool),
            (None, None, None) => Place::Kind,
        };
        let tenant = tenant(self, tables.claims.scope[row as usize]);
        (cause, Some(Key { resource, place, tenant }))
    }
}
