//! The analyzers' thread: shows each of them the books every few seconds, keeps what they find, and has written
//! down what appeared, changed or is over.
use super::{
    beside::Beside, clock::Clock, follower::Follower, mail::Mailbox, present::may_see, present::rfc3339,
};
use bursar_engine::Engine;
use bursar_interface::{
    Analyzer, ClaimId, Command, Fault, FaultKind, Finding, Flow, How, Measure, Noted, Principal, Row, Sample,
    Severity, Sight, Subject, Tables, Tie, Time, bound::FINDINGS_MAX,
};
use bursar_monitor::Rings;
use bursar_wire as wire;
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Who found what, of what.
type Key = (String, String, String);

/// A finding that stands.
#[derive(Clone, Debug)]
struct Standing {
    severity: Severity,
    since: Time,
    evidence: Vec<Measure>,
    advice: String,
    /// Whose it is; `None` for what everybody may see.
    scope: Option<String>,
}

/// Something that was found, by the name of what it is about.
pub struct Found {
    /// What, in a word.
    pub kind: String,
    /// What it is about, as `claim 7`.
    pub subject: String,
    /// How much it matters.
    pub severity: Severity,
    /// The numbers that it rests on.
    pub evidence: Vec<Measure>,
    /// What would help, in words.
    pub advice: String,
    /// Whose it is; `None` for what everybody may see.
    pub scope: Option<String>,
}

/// What stands now.
#[derive(Debug, Default)]
pub struct Board(Mutex<BTreeMap<Key, Standing>>);

impl Board {
    fn standing(&self) -> MutexGuard<'_, BTreeMap<Key, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands, as far as a principal may see it, what matters most first. The numbers of what is everybody's are
    /// made of all tenants' claims: who sees one part of the tree only is told the finding without them.
    pub fn shown(&self, by: &Principal, clock: &Clock) -> Vec<wire::Bottleneck> {
        let standing = self.standing();
        let seen =
            standing.iter().filter(|(_, one)| one.scope.as_ref().is_none_or(|scope| may_see(by, scope)));
        let row = |((analyzer, kind, subject), one): (&Key, &Standing)| wire::Bottleneck {
            kind: kind.clone(),
            subject: subject.clone(),
            severity: one.severity.name().into(),
            since: rfc3339(clock.wall_ms(one.since)),
            analyzer: analyzer.clone(),
            evidence: { one.evidence.iter() }
                .filter(|_| by.root.is_empty() || one.scope.is_some())
                .map(|Measure { name, value }| (name.clone(), *value))
                .collect(),
            advice: one.advice.clone(),
        };
        let mut rows: Vec<(Severity, wire::Bottleneck)> =
            seen.map(|pair| (pair.1.severity, row(pair))).collect();
        rows.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// Takes over all that one part of the daemon finds now; gives back what has to be written down of it.
    pub fn found(&self, by: &str, at: Time, found: Vec<Found>) -> Vec<Noted> {
        let standing = |found: Found| {
            let Found { kind, subject, severity, evidence, advice, scope } = found;
            let standing = Standing { severity, since: at, evidence, advice, scope };
            ((by.to_owned(), kind, subject), standing)
        };
        self.take_over(by, at, found.into_iter().map(standing).collect())
    }

    /// Takes over what one analyzer finds now; gives back what has to be written down of it.
    fn take_over(&self, analyzer: &str, at: Time, found: BTreeMap<Key, Standing>) -> Vec<Noted> {
        let mut standing = self.standing();
        let note = |(analyzer, kind, subject): &Key, severity, one: &Standing| Noted {
            analyzer: analyzer.clone(),
            kind: kind.clone(),
            subject: subject.clone(),
            severity,
            evidence: one.evidence.clone(),
            advice: one.advice.clone(),
        };
        let gone = standing.iter().filter(|(key, _)| key.0 == analyzer && !found.contains_key(*key));
        let mut noted: Vec<Noted> = gone.map(|(key, one)| note(key, None, one)).collect();
        let before = std::mem::take(&mut *standing);
        let (mine, others) = before.into_iter().partition::<BTreeMap<_, _>, _>(|(key, _)| key.0 == analyzer);
        *standing = others;
        for (key, one) in found {
            let old = mine.get(&key);
            if old.is_none_or(|old| old.severity != one.severity) {
                noted.push(note(&key, Some(one.severity), &one));
            }
            let since = old.map_or(at, |old| old.since);
            standing.insert(key, Standing { since, ..one });
        }
        noted
    }
}

/// What analyzers are shown and where it comes from.
pub struct Analysis<'a> {
    /// The books.
    pub follower: &'a Follower,
    /// Samples.
    pub rings: &'a Mutex<Rings>,
    /// Where findings are told.
    pub mailbox: &'a Mailbox,
    /// What stands.
    pub board: &'a Board,
    /// Analyzers that come meanwhile.
    pub beside: &'a Beside,
    /// Engine time.
    pub clock: &'a Clock,
    /// Who waits for whom at the edge, as pairs of leases.
    pub file_waits: &'a dyn Fn() -> Vec<(ClaimId, ClaimId)>,
}

/// One look, owned: no analyzer holds up a fold.
struct Look {
    at: Time,
    epoch: u64,
    tables: Tables,
    flows: Vec<Flow>,
    samples: Vec<Sample>,
    ties: Vec<Tie>,
}

impl Analysis<'_> {
    /// Looks until the daemon ends.
    pub fn run(
        &self,
        mut analyzers: BTreeMap<String, Box<dyn Analyzer>>,
        every: Duration,
        ending: &AtomicBool,
    ) {
        while !ending.load(Ordering::Acquire) {
            std::thread::park_timeout(every);
            for gone in self.beside.analyzers.take(&mut analyzers) {
                // What it found is nobody's any more.
                self.tell(&gone, self.clock.now(), BTreeMap::new());
            }
            if !ending.load(Ordering::Acquire) && !analyzers.is_empty() {
                let look = self.look();
                analyzers.iter_mut().for_each(|(name, analyzer)| self.ask(name, &mut **analyzer, &look));
            }
        }
    }

    fn look(&self) -> Look {
        let samples = self.rings.lock().unwrap_or_else(PoisonError::into_inner).newest().collect();
        let file_waits = (self.file_waits)();
        let at = self.clock.now();
        self.follower.read(|engine| Look {
            at,
            epoch: engine.view().epoch,
            tables: engine.books().tables().clone(),
            flows: self.follower.flows(),
            samples,
            ties: ties(engine, &file_waits),
        })
    }

    fn ask(&self, name: &str, analyzer: &mut dyn Analyzer, look: &Look) {
        let view = look.tables.view(look.at, look.epoch);
        let sight = Sight { view, samples: &look.samples, flows: &look.flows, ties: &look.ties };
        let mut findings = Vec::new();
        let told = catch_unwind(AssertUnwindSafe(|| analyzer.report(&sight, &mut findings)));
        let told = told.unwrap_or_else(|_| Err(Fault::of(FaultKind::Panicked, "the log says where")));
        let told = told.and_then(|()| {
            let lawful = bursar_interface::findings_lawful(&findings, &view);
            lawful.map_err(|why| Fault::of(FaultKind::Nonsense, why))
        });
        match told {
            Ok(()) => {
                let found = self.named(name, look, findings);
                self.tell(name, look.at, found);
            }
            Err(fault) if fault.kind == FaultKind::Quarantined => {}
            Err(fault) => tracing::warn!(analyzer = name, %fault, "nothing was found out"),
        }
    }

    fn tell(&self, analyzer: &str, at: Time, found: BTreeMap<Key, Standing>) {
        let noted = self.board.take_over(analyzer, at, found);
        if !noted.is_empty() {
            self.mailbox.tell(Command::Find(noted));
        }
    }

    /// Findings by the names of what they are about; what is gone meanwhile is left out.
    fn named(&self, analyzer: &str, look: &Look, findings: Vec<Finding>) -> BTreeMap<Key, Standing> {
        let name = |engine: &Engine, finding: Finding| {
            let (subject, scope) = subject(engine, &look.tables, finding.subject)?;
            let Finding { kind, severity, evidence, advice, .. } = finding;
            let standing = Standing { severity, since: look.at, evidence, advice, scope };
            Some(((analyzer.to_owned(), kind, subject), standing))
        };
        self.follower.read(|engine| {
            findings.into_iter().take(FINDINGS_MAX).filter_map(|finding| name(engine, finding)).collect()
        })
    }
}

/// What a finding is about, by its name, and whose it is.
fn subject(engine: &Engine, then: &Tables, subject: Subject) -> Option<(String, Option<String>)> {
    let (books, now) = (engine.books(), engine.books().tables());
    let same = |row: Row, now: &[u32], then: &[u32]| now.get(row as usize) == then.get(row as usize);
    match subject {
        Subject::Host => Some(("host".into(), None)),
        Subject::Resource(row) => Some((format!("resource {}", books.spec(row).name), None)),
        Subject::Pool(row) => same(row, &now.pools.id, &then.pools.id).then(|| {
            let kind = &books.spec(now.pools.resource[row as usize]).name;
            (format!("pool {kind}:{}", books.pool_name(row)), None)
        }),
        Subject::Scope(row) => same(row, &now.scopes.id, &then.scopes.id).then(|| {
            let path = books.scope_path(row).to_string();
            (format!("scope {path}"), Some(path))
        }),
        Subject::Claim(row) => {
            let id = ClaimId(then.claims.id[row as usize]);
            let scope = then.claims.scope[row as usize];
            let path =
                same(scope, &now.scopes.id, &then.scopes.id).then(|| books.scope_path(scope).to_string());
            Some((format!("claim {id}"), Some(path.unwrap_or_default())))
        }
    }
}

/// Who waits for whom beside the tables: a lease for the claims made from within it, and at the edge.
fn ties(engine: &Engine, file_waits: &[(ClaimId, ClaimId)]) -> Vec<Tie> {
    let (view, books) = (engine.view(), engine.books());
    let live = (0..view.claims.len() as Row).filter(|&row| view.claims.id[row as usize] != 0);
    let within =
        live.filter_map(|row| books.parent_row(row).map(|waiter| Tie { waiter, on: row, how: How::Within }));
    let files = file_waits.iter().filter_map(|&(waiter, on)| {
        Some(Tie { waiter: books.claim(waiter)?, on: books.claim(on)?, how: How::File })
    });
    within.chain(files).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_told_of_the_machine_without_the_numbers_of_others() {
        let board = Board::default();
        let found = |scope: Option<&str>, subject: &str| Found {
            kind: "queueing".into(),
            subject: subject.into(),
            severity: Severity::Warning,
            evidence: vec![Measure { name: "waiting_claims".into(), value: 17 }],
            advice: "run fewer at once".into(),
            scope: scope.map(Into::into),
        };
        let all = [found(None, "resource cpu"), found(Some("a"), "scope a"), found(Some("b"), "scope b")];
        board.found("detect", Time(1), all.into());
        let clock = Clock::new(Time(0), 0, String::new());
        let shown = |root: &str| {
            let by = Principal { root: root.into(), ..Principal::default() };
            let rows = board.shown(&by, &clock).into_iter();
            rows.map(|row| (row.subject, row.evidence.len())).collect::<Vec<_>>()
        };
        let row = |subject: &str, numbers: usize| (subject.to_owned(), numbers);
        assert_eq!(shown(""), [row("resource cpu", 1), row("scope a", 1), row("scope b", 1)]);
        assert_eq!(shown("a"), [row("resource cpu", 0), row("scope a", 1)]);
    }
}
