//! What whoever waits can hope for: when its turn will come, and with which change it would come now.
use super::{follower::Follower, seats::linked};
use bursar_engine::{Change, Engine, Plugins, Relaxed, Short, Trial, Why};
use bursar_interface::{Amount, Ask, ClaimId, LineAsk, NONE, Phase, Principal, Row, Time};
use bursar_monitor::Lasting;
use bursar_wire as wire;

const MS: u64 = 1_000_000;

/// How long a waiting claim will wait from now on: until those who hold what it lacks, and what those lack who
/// came before it, have ended, each as long as such leases last. What comes back by itself is known exactly.
pub fn eta(engine: &Engine, lasting: &Lasting, claim: ClaimId, why: &Why) -> Option<wire::Eta> {
    if let Some(at) = why.retry_at.filter(|_| !why.short.is_empty()) {
        let ms = at.0.saturating_sub(engine.books().at().0).div_ceil(MS);
        return Some(wire::Eta { p50: ms, p90: ms });
    }
    let waiting = engine.books().claim(claim)?;
    let quantile = |quantile: f64| {
        let times = why.short.iter().map(|short| Crowd { engine, lasting, waiting, short }.clears(quantile));
        times.collect::<Option<Vec<u64>>>()?.into_iter().max()
    };
    Some(wire::Eta { p50: quantile(0.5)?.div_ceil(MS), p90: quantile(0.9)?.div_ceil(MS) })
}

/// Those who hold a kind that a claim is short of, and those who wait for it before that claim.
struct Crowd<'a> {
    engine: &'a Engine,
    lasting: &'a Lasting,
    waiting: Row,
    short: &'a Short,
}

impl Crowd<'_> {
    /// In how many nanoseconds enough will have come back.
    fn clears(&self, quantile: f64) -> Option<u64> {
        let mut needed = self.short.by + self.ahead();
        let mut ends = self.ends(quantile);
        ends.sort_unstable();
        let all: Amount = ends.iter().map(|&(_, amount)| amount).sum();
        if all == 0 {
            return None;
        }
        // Those who come before it hold it in their turn, for as long as the ones before them did.
        let (turns, last) = ((needed - 1) / all, ends.last()?.0);
        needed -= turns * all;
        let mut back = 0;
        let (in_ns, _) = ends.into_iter().find(|&(_, amount)| {
            back += amount;
            back >= needed
        })?;
        Some(in_ns.saturating_add(last.saturating_mul(turns)))
    }

    /// What those ask for who came before.
    fn ahead(&self) -> Amount {
        let view = self.engine.view();
        let own = view.claims.id[self.waiting as usize];
        let before = |&c: &usize| {
            (1..own).contains(&view.claims.id[c]) && Phase::of(view.claims.phase[c]) == Phase::Pending
        };
        let rows = (0..view.claims.len()).filter(before);
        rows.filter(|&c| self.rivals(c as Row))
            .map(|c| self.engine.books().asked(c as Row, self.short.resource))
            .sum()
    }

    /// Whether two claims want the same: of a kind with named pools, the same one.
    fn rivals(&self, other: Row) -> bool {
        let wants = |row: Row| {
            let view = self.engine.view();
            let lines = view.claims.line_rows(row).map(|line| line as usize);
            lines
                .filter(|&l| view.lines.resource[l] == self.short.resource)
                .map(|l| view.lines.want[l])
                .collect()
        };
        let (own, others): (Vec<Row>, Vec<Row>) = (wants(self.waiting), wants(other));
        own.iter().any(|want| *want == NONE || others.contains(want) || others.contains(&NONE))
    }

    /// When each of those who hold it will have given back how much. Of whom nothing is known is left out.
    fn ends(&self, quantile: f64) -> Vec<(u64, Amount)> {
        let (view, books) = (self.engine.view(), self.engine.books());
        let wanted = |l: &usize| {
            let lines = view.claims.line_rows(self.waiting).map(|line| line as usize);
            let mut own = lines.filter(|&own| view.lines.resource[own] == self.short.resource);
            view.lines.claim[*l] != NONE
                && view.lines.pool[*l] != NONE
                && view.lines.resource[*l] == self.short.resource
                && own.any(|own| [NONE, view.lines.pool[*l]].contains(&view.lines.want[own]))
        };
        let held = (0..view.lines.len()).filter(wanted);
        let end = |l: usize| {
            let c = view.lines.claim[l] as usize;
            let now = books.at();
            let so_far = now.0.saturating_sub(view.claims.granted_at[c]);
            let scope = books.scope_path(view.claims.scope[c]);
            let estimate = Time(view.claims.granted_at[c]).after(view.claims.expect[c]);
            let in_ns = match Phase::of(view.claims.phase[c]) {
                Phase::Draining => Some(0),
                _ => self
                    .lasting
                    .remaining(scope, now, so_far, quantile)
                    .or_else(|| (estimate > now && view.claims.expect[c] > 0).then(|| estimate.0 - now.0)),
            };
            Some((in_ns?, view.lines.amount[l]))
        };
        held.filter_map(end).collect()
    }
}

/// The smallest changes with which an ask that was refused would be granted now.
pub fn instead(follower: &Follower, by: &Principal, ask: &Ask) -> Vec<wire::Change> {
    let scope = [by.root.as_str(), ask.scope.as_str()].into_iter().filter(|path| !path.is_empty());
    let ask = Ask { scope: scope.collect::<Vec<_>>().join("/"), ..ask.clone() };
    let (trial, plugins) = follower.read(|engine| (engine.trial_of(ask), linked(engine)));
    plugins.map_or_else(Vec::new, |mut plugins| would_admit(trial, &mut plugins))
}

/// The smallest changes that would be granted now, as they are shown.
pub fn would_admit(mut trial: Trial, plugins: &mut Plugins) -> Vec<wire::Change> {
    trial.changes(plugins).iter().map(shown).collect()
}

fn shown(change: &Change) -> wire::Change {
    let name = match change.how {
        Relaxed::Less => "less",
        Relaxed::AnyPool => "any-pool",
        Relaxed::Shared => "shared",
        Relaxed::AnyModel => "any-model",
        Relaxed::Shorter => "shorter",
    };
    let line = |line: &LineAsk| wire::ChangedLine {
        resource: line.resource.clone(),
        amount: line.amount,
        pool: line.pool.clone(),
    };
    let shorter = change.how == Relaxed::Shorter;
    wire::Change {
        change: name.into(),
        options: options(&change.ask, shorter),
        lines: change.ask.lines.iter().map(line).collect(),
        expect_ms: shorter.then_some(change.ask.expect_ns / MS),
    }
}

/// An ask as one would write it behind `bursar claim`.
fn options(ask: &Ask, with_estimate: bool) -> String {
    let option = |line: &LineAsk| {
        // Rounded only where that says the same.
        let shown = wire::show(&line.resource, line.amount);
        let same = wire::quantity(&line.resource, &shown) == Ok(line.amount);
        let amount = if same { shown } else { line.amount.to_string() };
        match (line.resource.as_str(), &line.pool) {
            ("lock", Some(name)) if line.whole => format!("--lock {name}"),
            ("lock", Some(name)) => format!("--lock {name}:shared"),
            ("port", Some(number)) => format!("--port {number}"),
            ("port", None) => "--port".into(),
            (kind @ ("cpu" | "memory" | "pids" | "gpu"), None) => format!("--{kind} {amount}"),
            (kind, Some(pool)) => format!("--need {kind}:{pool}={amount}"),
            (kind, None) => format!("--need {kind}={amount}"),
        }
    };
    let mut options: Vec<String> = ask.lines.iter().map(option).collect();
    if with_estimate {
        options.push(format!("--expect {}s", ask.expect_ns / (1000 * MS)));
    }
    options.join(" ")
}
