//! Queues by what went by: how busy a kind is, how long those who come must wait, and how much more of it would do.
//!
//! Utilisation is arrivals times service time over servers (the utilisation law), waiting is arrivals times wait
//! (Little 1961): both hold for any order and any distribution (Denning and Buzen, ACM Computing Surveys 1978). The
//! wait that is to be expected is that of many servers with random arrivals (Erlang 1917), an estimate.
use bursar_interface::{Fault, Finding, Flow, NONE, Phase, Row, Severity, Shape, Sight, Subject, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Looks that are kept at most, whatever the window.
const LOOKS_MAX: usize = 1024;
/// Servers for which the expected wait is computed one by one.
const SERVERS_MAX: u64 = 10_000;
/// How busy a kind should be at most, in percent: beyond that waits grow fast.
const KNEE_PERCENT: f64 = 80.0;
/// By how many percent a kind must become less busy before that is over.
const BACK_PERCENT: f64 = 10.0;
const SECOND_NS: f64 = 1e9;

/// When something is worth telling.
#[derive(Clone, Copy, Debug)]
pub struct QueueingLimits {
    /// What went by in this time is looked at, in nanoseconds.
    pub window_ns: u64,
    /// How busy a kind is, in percent, when those who wait for it are told of.
    pub warning_percent: u32,
    /// The same where it will not get better by itself.
    pub critical_percent: u32,
    /// Leases that must have ended in the window for it to say anything.
    pub ended_min: u64,
}

impl Default for QueueingLimits {
    fn default() -> Self {
        QueueingLimits {
            window_ns: 60 * 1_000_000_000,
            warning_percent: 80,
            critical_percent: 100,
            ended_min: 5,
        }
    }
}

/// Looks for kinds that are asked for faster than they come back.
#[derive(Clone, Debug, Default)]
pub struct Queueing {
    limits: QueueingLimits,
    looks: VecDeque<(Time, Vec<Flow>)>,
    /// Kinds that were told of at the last look.
    told: BTreeSet<Row>,
}

/// Who waits for one kind now.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    lines: u64,
    oldest_ns: u64,
}

/// What went by of one kind in a stretch of time.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    seconds: f64,
    flow: Flow,
}

impl Stretch {
    /// Arrivals in a second.
    fn arrivals(&self) -> f64 {
        self.flow.asked as f64 / self.seconds
    }

    /// How long a lease lasts, in seconds; `None` where none has ended.
    fn service(&self) -> Option<f64> {
        (self.flow.ended > 0).then(|| self.flow.held_ns as f64 / SECOND_NS / self.flow.ended as f64)
    }

    /// How long one waited who was granted, in seconds.
    fn waited(&self) -> Option<f64> {
        (self.flow.granted > 0).then(|| self.flow.waited_ns as f64 / SECOND_NS / self.flow.granted as f64)
    }

    /// How much one asks for.
    fn amount(&self) -> Option<f64> {
        (self.flow.granted > 0).then(|| self.flow.amount as f64 / self.flow.granted as f64)
    }
}

impl Queueing {
    /// A detector with limits of its own.
    pub fn new(limits: QueueingLimits) -> Queueing {
        Queueing { limits, ..Queueing::default() }
    }

    /// Appends what it finds.
    ///
    /// # Errors
    /// None of its own.
    pub fn report(&mut self, sight: &Sight<'_>, findings: &mut Vec<Finding>) -> Result<(), Fault> {
        let at = sight.view.at;
        let waiting = waiting(sight);
        let mut told = BTreeSet::new();
        for (&kind, waiting) in &waiting {
            let stretch = self.stretch(sight, kind);
            if let Some(finding) = stretch.and_then(|stretch| self.of_kind(sight, kind, *waiting, stretch)) {
                told.insert(kind);
                findings.push(finding);
            }
        }
        self.told = told;
        self.looks.push_back((at, sight.flows.to_vec()));
        let since = at.0.saturating_sub(self.limits.window_ns);
        while self.looks.len() > LOOKS_MAX || self.looks.get(1).is_some_and(|(next, _)| next.0 <= since) {
            self.looks.pop_front();
        }
        Ok(())
    }

    /// What went by of a kind since the oldest look that is kept.
    fn stretch(&self, sight: &Sight<'_>, kind: Row) -> Option<Stretch> {
        let (from, before) = self.looks.front()?;
        let of =
            |flows: &[Flow]| flows.iter().find(|flow| flow.resource == kind).copied().unwrap_or_default();
        let (now, before) = (of(sight.flows), of(before));
        let seconds = sight.view.at.0.checked_sub(from.0).filter(|&ns| ns > 0)? as f64 / SECOND_NS;
        let less = |now: u64, before: u64| now.saturating_sub(before);
        let flow = Flow {
            resource: kind,
            asked: less(now.asked, before.asked),
            granted: less(now.granted, before.granted),
            ended: less(now.ended, before.ended),
            given_up: less(now.given_up, before.given_up),
            amount: less(now.amount, before.amount),
            waited_ns: less(now.waited_ns, before.waited_ns),
            held_ns: less(now.held_ns, before.held_ns),
        };
        Some(Stretch { seconds, flow })
    }

    fn of_kind(&self, sight: &Sight<'_>, kind: Row, waiting: Waiting, stretch: Stretch) -> Option<Finding> {
        let whole = stretch.seconds * SECOND_NS >= self.limits.window_ns as f64 * 0.9;
        let (ended, window_ms) = (stretch.flow.ended, (stretch.seconds * 1e3) as u64);
        if ended == 0 && whole && waiting.oldest_ns >= self.limits.window_ns {
            let advice =
                "nothing of it came back: see `bursar explain` for who holds it, and end what is forgotten";
            let finding = Finding::new("stalled", Subject::Resource(kind), Severity::Warning, advice);
            return Some(
                finding
                    .with("waiting_claims", waiting.lines)
                    .with("oldest_wait_ms", waiting.oldest_ns / 1_000_000)
                    .with("window_ms", window_ms),
            );
        }
        if ended < self.limits.ended_min {
            return None;
        }
        let capacity = offered(sight, kind) as f64;
        let (service, amount) = (stretch.service()?, stretch.amount().filter(|&amount| amount > 0.0)?);
        let servers = capacity / amount;
        let erlangs = stretch.arrivals() * service;
        let busy = 100.0 * erlangs / servers;
        let back = if self.told.contains(&kind) { BACK_PERCENT } else { 0.0 };
        let severity = match busy + back {
            busy if busy >= f64::from(self.limits.critical_percent) => Severity::Critical,
            busy if busy >= f64::from(self.limits.warning_percent) => Severity::Warning,
            _ => return None,
        };
        let needed = (erlangs * 100.0 / KNEE_PERCENT * amount - capacity).max(0.0).ceil();
        let advice = "it is asked for faster than it comes back: offer needed_more more of it, run fewer at once, \
                      or let each ask for less";
        let finding = Finding::new("queueing", Subject::Resource(kind), severity, advice)
            .with("utilisation_percent", busy.round() as u64)
            .with("arrivals_per_hour", (stretch.arrivals() * 3600.0).round() as u64)
            .with("service_ms", (service * 1e3).round() as u64)
            .with("servers", servers.floor() as u64)
            .with("waiting_claims", waiting.lines)
            .with("oldest_wait_ms", waiting.oldest_ns / 1_000_000)
            .with("needed_more_base_units", needed as u64)
            .with("window_ms", window_ms);
        let waited = stretch.waited().map(|waited| {
            let finding = finding.clone().with("waited_ms", (waited * 1e3).round() as u64);
            finding.with("waiting_by_little_claims", (stretch.arrivals() * waited).round() as u64)
        });
        let finding = waited.unwrap_or(finding);
        Some(match expected_wait(servers, erlangs, service) {
            Some(wait) => finding.with("expected_wait_ms", (wait * 1e3).round() as u64),
            None => finding,
        })
    }
}

/// What is offered of a kind by all pools.
fn offered(sight: &Sight<'_>, kind: Row) -> u64 {
    let pools = sight.view.pools;
    (0..pools.len())
        .filter(|&p| pools.id[p] != 0 && pools.resource[p] == kind)
        .map(|p| pools.offered[p])
        .sum()
}

/// Who waits for each kind: claims with a line for which no pool of the kind has room. Kinds that are spent, or
/// spring from their names, have no servers.
fn waiting(sight: &Sight<'_>) -> BTreeMap<Row, Waiting> {
    let view = sight.view;
    let mut room: BTreeMap<Row, u64> = BTreeMap::new();
    for p in (0..view.pools.len()).filter(|&p| view.pools.id[p] != 0) {
        let most = room.entry(view.pools.resource[p]).or_default();
        *most = (*most).max(view.pools.free[p]);
    }
    let counted = |kind: Row| {
        let shape = Shape::of(view.resources.shape[kind as usize]);
        matches!(shape, Shape::Capacity | Shape::Unit) && view.resources.capacity[kind as usize] > 0
    };
    let mut waiting: BTreeMap<Row, Waiting> = BTreeMap::new();
    for l in (0..view.lines.len()).filter(|&l| view.lines.claim[l] != NONE) {
        let (c, kind) = (view.lines.claim[l] as usize, view.lines.resource[l]);
        let pending = view.claims.id[c] != 0 && Phase::of(view.claims.phase[c]) == Phase::Pending;
        let short = room.get(&kind).is_none_or(|&most| most < view.lines.amount[l]);
        if pending && short && counted(kind) {
            let of_kind = waiting.entry(kind).or_default();
            of_kind.lines += 1;
            of_kind.oldest_ns = of_kind.oldest_ns.max(view.at.0.saturating_sub(view.claims.asked_at[c]));
        }
    }
    waiting
}

/// How long one waits on average for the first of several servers, in the unit of `service`: Erlang's second
/// formula, by the recurrence of the first. `None` where the queue only grows.
fn expected_wait(servers: f64, erlangs: f64, service: f64) -> Option<f64> {
    let count = (servers.floor() as u64).clamp(1, SERVERS_MAX);
    let (all, busy) = (count as f64, erlangs / count as f64);
    if busy >= 1.0 {
        return None;
    }
    let blocked = (1..=count).fold(1.0, |blocked, server| {
        let carried = erlangs * blocked;
        carried / (server as f64 + carried)
    });
    let waits = blocked / (1.0 - busy * (1.0 - blocked));
    Some(waits * service / (all * (1.0 - busy)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expected_wait_is_that_of_the_books() {
        let close = |found: Option<f64>, known: f64| (found.expect("steady") - known).abs() < 1e-9;
        // One server, half busy: one service time. Two servers with one erlang: a third of one.
        assert!(close(expected_wait(1.0, 0.5, 2.0), 2.0));
        assert!(close(expected_wait(2.0, 1.0, 1.0), 1.0 / 3.0));
        assert_eq!(expected_wait(2.0, 2.0, 1.0), None);
    }
}
