//! What is on the board: which table, in what order, filtered by what, and what the keys change about it.
use super::look::Snapshot;
use bursar_wire as wire;
use ratatui::{
    crossterm::event::{KeyCode, KeyModifiers},
    widgets::TableState,
};
use std::{cmp::Reverse, collections::VecDeque};

/// Looks that a sparkline goes back.
const KEPT: usize = 120;

/// Which table is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tab {
    #[default]
    Claims,
    Scopes,
    Pools,
}

impl Tab {
    pub const ALL: [(Tab, &str); 3] =
        [(Tab::Claims, "claims"), (Tab::Scopes, "scopes"), (Tab::Pools, "pools")];
}

/// By what claims and scopes are in order, the most first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Memory,
    Cpu,
    Waited,
    Newest,
}

impl Order {
    pub const ALL: [(Order, &str); 4] = [
        (Order::Memory, "memory"),
        (Order::Cpu, "cpu"),
        (Order::Waited, "waited"),
        (Order::Newest, "newest"),
    ];

    pub fn name(self) -> &'static str {
        Order::ALL.iter().find(|(order, _)| *order == self).map_or("", |(_, name)| name)
    }

    fn next(self) -> Order {
        let at = Order::ALL.iter().position(|(order, _)| *order == self).unwrap_or(0);
        Order::ALL[(at + 1) % Order::ALL.len()].0
    }
}

/// What the keys say beside what they change here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Nothing,
    Leave,
    Explain(u64),
    End(u64),
}

/// What keys that are not commands go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Typing {
    #[default]
    Commands,
    /// The filter.
    Filter,
    /// Whether the claim is really to be ended.
    Sure(u64),
}

/// How a number went, look by look.
#[derive(Clone, Debug, Default)]
pub struct Course(VecDeque<u64>);

impl Course {
    fn push(&mut self, value: u64) {
        self.0.push_back(value);
        while self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    /// The newest looks, as many as there is room for.
    pub fn newest(&self, room: usize) -> Vec<u64> {
        self.0.iter().skip(self.0.len().saturating_sub(room)).copied().collect()
    }
}

/// The board.
#[derive(Debug, Default)]
pub struct Board {
    pub seen: Snapshot,
    pub tab: Tab,
    pub order: Order,
    pub filter: String,
    pub typing: Typing,
    pub table: TableState,
    /// What was answered last.
    pub said: Vec<String>,
    /// Claims that wait.
    pub waiting: Course,
    /// Leases.
    pub held: Course,
    /// Memory that leases use, in bytes.
    pub memory: Course,
    /// Processor time that leases use, in thousandths of a core.
    pub cpu: Course,
}

impl Board {
    pub fn new(seen: Snapshot) -> Board {
        let mut board = Board::default();
        board.see(seen);
        board.table.select(Some(0));
        board
    }

    /// Takes a look in.
    pub fn see(&mut self, seen: Snapshot) {
        let count = |phase: &[&str]| {
            seen.claims.iter().filter(|claim| phase.contains(&claim.phase.as_str())).count() as u64
        };
        self.waiting.push(count(&["pending"]));
        self.held.push(count(&["reserved", "held", "draining"]));
        let usage = || seen.claims.iter().filter_map(|claim| claim.usage.as_ref());
        self.memory.push(usage().filter_map(|usage| usage.memory_bytes).sum());
        self.cpu.push(usage().filter_map(|usage| usage.cpu_milli).sum());
        self.seen = seen;
        self.keep_in_sight();
    }

    /// Shows an answer until the next one.
    pub fn say(&mut self, said: Vec<String>) {
        self.said = said;
    }

    /// The claims that are shown: those that are not closed and that the filter lets through, in order.
    pub fn claims(&self) -> Vec<&wire::Claim> {
        let text =
            |claim: &wire::Claim| format!("{} {} {} {}", claim.id, claim.scope, claim.phase, claim.class);
        let open = self.seen.claims.iter().filter(|claim| claim.phase != "closed");
        let mut shown: Vec<&wire::Claim> = open.filter(|claim| text(claim).contains(&self.filter)).collect();
        let used = |claim: &wire::Claim| claim.usage.clone().unwrap_or_default();
        match self.order {
            Order::Memory => shown.sort_by_key(|claim| Reverse((used(claim).memory_bytes, claim.id))),
            Order::Cpu => shown.sort_by_key(|claim| Reverse((used(claim).cpu_milli, claim.id))),
            Order::Waited => shown.sort_by_key(|claim| Reverse((claim.waited_ms, claim.id))),
            Order::Newest => shown.sort_by_key(|claim| Reverse(claim.id)),
        }
        shown
    }

    /// The scopes that are shown, in order.
    pub fn scopes(&self) -> Vec<&wire::Scope> {
        let mut shown: Vec<&wire::Scope> =
            self.seen.scopes.iter().filter(|scope| scope.path.contains(&self.filter)).collect();
        match self.order {
            Order::Memory => shown.sort_by_key(|scope| Reverse(scope.usage.memory_byte_seconds)),
            Order::Cpu => shown.sort_by_key(|scope| Reverse(scope.usage.cpu_ms)),
            Order::Waited | Order::Newest => {}
        }
        shown
    }

    /// The pools that are shown.
    pub fn pools(&self) -> Vec<&wire::Pool> {
        let text = |pool: &wire::Pool| format!("{} {}", pool.resource, pool.id);
        self.seen.pools.iter().filter(|pool| text(pool).contains(&self.filter)).collect()
    }

    fn rows(&self) -> usize {
        match self.tab {
            Tab::Claims => self.claims().len(),
            Tab::Scopes => self.scopes().len(),
            Tab::Pools => self.pools().len(),
        }
    }

    fn keep_in_sight(&mut self) {
        let last = self.rows().saturating_sub(1);
        let at = self.table.selected().unwrap_or(0).min(last);
        self.table.select(Some(at));
    }

    fn chosen(&self) -> Option<u64> {
        let claims = (self.tab == Tab::Claims).then(|| self.claims())?;
        claims.get(self.table.selected()?).map(|claim| claim.id)
    }

    /// What a key does.
    pub fn press(&mut self, key: KeyCode, with: KeyModifiers) -> Act {
        if key == KeyCode::Char('c') && with.contains(KeyModifiers::CONTROL) {
            return Act::Leave;
        }
        match self.typing {
            Typing::Commands => self.command(key),
            Typing::Filter => {
                match key {
                    KeyCode::Esc => (self.filter, self.typing) = (String::new(), Typing::Commands),
                    KeyCode::Enter => self.typing = Typing::Commands,
                    KeyCode::Backspace => drop(self.filter.pop()),
                    KeyCode::Char(letter) => self.filter.push(letter),
                    _ => {}
                }
                self.keep_in_sight();
                Act::Nothing
            }
            Typing::Sure(claim) => {
                self.typing = Typing::Commands;
                self.said.clear();
                if key == KeyCode::Char('y') { Act::End(claim) } else { Act::Nothing }
            }
        }
    }

    fn command(&mut self, key: KeyCode) -> Act {
        match key {
            KeyCode::Char('q') | KeyCode::Esc => return Act::Leave,
            KeyCode::Up | KeyCode::Char('k') => self.table.select_previous(),
            KeyCode::Down | KeyCode::Char('j') => self.table.select_next(),
            KeyCode::Tab => self.turn(),
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Char('/') => self.typing = Typing::Filter,
            KeyCode::Char('e') | KeyCode::Enter => return self.chosen().map_or(Act::Nothing, Act::Explain),
            KeyCode::Char('r') => {
                if let Some(claim) = self.chosen() {
                    self.typing = Typing::Sure(claim);
                    self.say(vec![format!("end claim {claim} and everything that runs in it? y for yes")]);
                }
            }
            _ => {}
        }
        self.keep_in_sight();
        Act::Nothing
    }

    fn turn(&mut self) {
        let at = Tab::ALL.iter().position(|(tab, _)| *tab == self.tab).unwrap_or(0);
        self.tab = Tab::ALL[(at + 1) % Tab::ALL.len()].0;
        self.table.select(Some(0));
    }
}
