//! Continuous reconciliation: has the enforcer compare what is there with what leases have, every few seconds, and
//! tells what is left over, for each kind of thing that could leak, as samples and as findings.
use super::{
    analysis::{Board, Found},
    clock::Clock,
    edges::Edges,
    enforcer::Note,
    follower::Follower,
    holdings::{Holdings, Kept},
    mail::Mailbox,
};
use bursar_enforce::Hierarchy;
use bursar_interface::{ClaimId, Command, Measure, Phase, Row, Sample, Severity};
use bursar_monitor::Rings;
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Under which name the findings stand.
const SELF: &str = "reconciler";

/// Looks after the last lease was seen, and then one in so many: where nobody holds anything little can be left over.
const LOOKS_AFTER: u64 = 8;
const RESTS: u64 = 8;

/// Letters of what is said of a finding at most.
const ADVICE_MAX: usize = 400;

/// Who looks, and where it is told.
pub struct Reconciler {
    /// What drivers said.
    pub holdings: Arc<Holdings>,
    /// Where cells are.
    pub hierarchy: Arc<Hierarchy>,
    /// What leases there are.
    pub follower: Arc<Follower>,
    /// The way to the enforcer.
    pub edges: Edges,
    /// Where samples go.
    pub rings: Arc<Mutex<Rings>>,
    /// Where findings stand.
    pub board: Arc<Board>,
    /// Where they are written down.
    pub mailbox: Mailbox,
    /// Engine time.
    pub clock: Clock,
    /// Between two looks.
    pub every: Duration,
}

/// What the books say that could be left over.
struct Counted {
    /// Leases that end and have not ended.
    ending: u64,
    /// Pools that hold what came back without proof.
    quarantined: u64,
    /// Pools that sprang from a name, and that nobody holds or waits for.
    names: u64,
}

impl Reconciler {
    /// Looks until the daemon ends.
    pub fn run(&self, ending: &AtomicBool) {
        let mut before = BTreeSet::new();
        let mut since = 0u64;
        while !ending.load(Ordering::Acquire) {
            std::thread::park_timeout(self.every);
            since = if self.is_at_rest() { since + 1 } else { 0 };
            let rests = since > LOOKS_AFTER && !since.is_multiple_of(RESTS);
            if !rests && !ending.load(Ordering::Acquire) {
                before = self.cells(&before);
                self.edges.send(Note::Look);
                self.tell();
            }
        }
    }

    /// Whether nobody holds or waits for anything, and nothing is left over.
    fn is_at_rest(&self) -> bool {
        let kept = self.holdings.kept();
        let left = !kept.cells.is_empty() || kept.left.values().any(|claims| !claims.is_empty());
        drop(kept);
        !left && self.follower.read(|engine| engine.view().claims.id.iter().all(|&id| id == 0))
    }

    /// The cells that no claim has; those that none had at the last look either are to be taken away.
    fn cells(&self, before: &BTreeSet<Vec<ClaimId>>) -> BTreeSet<Vec<ClaimId>> {
        let there = self.hierarchy.cells();
        let strange: BTreeSet<Vec<ClaimId>> = self.follower.read(|engine| {
            let known =
                |path: &Vec<ClaimId>| path.last().is_some_and(|claim| engine.books().claim(*claim).is_some());
            there.into_iter().filter(|path| !known(path)).collect()
        });
        for path in strange.intersection(before) {
            self.edges.leave(Note::Stray(path.clone()));
        }
        self.holdings.kept().cells = strange.iter().filter_map(|path| path.last().copied()).collect();
        strange
    }

    fn tell(&self) {
        let (at, kept) = (self.clock.now(), self.holdings.shown());
        let counted = self.follower.read(counted);
        let samples = gauges(&kept, &counted).into_iter().map(|(name, value)| Sample { name, at, value });
        self.rings.lock().unwrap_or_else(PoisonError::into_inner).observe(samples);
        let found = self.findings(&kept);
        let noted = self.board.found(SELF, at, found);
        if !noted.is_empty() {
            self.mailbox.tell(Command::Find(noted));
        }
    }

    fn findings(&self, kept: &Kept) -> Vec<Found> {
        let over = kept.over.iter().map(|(claim, (kind, used, held))| {
            let scope = self.follower.read(|engine| {
                let books = engine.books();
                let row = books.claim(*claim)?;
                Some(books.scope_path(books.tables().claims.scope[row as usize]).to_string())
            });
            Found {
                kind: "over-limit".into(),
                subject: format!("claim {claim}"),
                severity: Severity::Warning,
                evidence: vec![measure("used", *used), measure("held", *held)],
                advice: format!("it uses more {kind} than it holds: ask for more, or use less"),
                scope,
            }
        });
        let failed = kept.faults.iter().filter_map(|(driver, faults)| {
            let last = faults.last.as_ref()?;
            let advice = format!("it failed: {last}; what it holds counts as used until it does better");
            Some(host(
                "driver-fault",
                format!("driver {driver}"),
                vec![measure("faults", faults.count)],
                advice,
            ))
        });
        let left = kept.left.iter().filter(|(_, claims)| !claims.is_empty()).map(|(driver, claims)| {
            let advice =
                "it holds what no lease has; it is being taken back, and the log says what stands in the way";
            let evidence = vec![measure("left", claims.len() as u64)];
            host("left-behind", format!("driver {driver}"), evidence, advice.into())
        });
        over.chain(failed).chain(left).collect()
    }
}

fn measure(name: &str, value: u64) -> Measure {
    Measure { name: name.into(), value }
}

/// A finding that is everybody's.
fn host(kind: &str, subject: String, evidence: Vec<Measure>, advice: String) -> Found {
    let advice = advice.chars().filter(|letter| !letter.is_control()).take(ADVICE_MAX).collect();
    Found { kind: kind.into(), subject, severity: Severity::Warning, evidence, advice, scope: None }
}

/// What is left over, by name; nothing of it grows for good in a daemon that leaks nothing.
fn gauges(kept: &Kept, counted: &Counted) -> Vec<(String, Option<f64>)> {
    let number = |count: u64| Some(count as f64);
    let drivers =
        kept.left.iter().map(|(driver, claims)| (format!("left_{driver}"), number(claims.len() as u64)));
    let faults =
        kept.faults.iter().map(|(driver, faults)| (format!("driver_{driver}_faults"), number(faults.count)));
    let own = [
        ("left_cells", number(kept.cells.len() as u64)),
        ("left_names", number(counted.names)),
        ("leases_ending", number(counted.ending)),
        ("pools_quarantined", number(counted.quarantined)),
        ("daemon_files_open", entries("/proc/self/fd")),
        ("daemon_threads", entries("/proc/self/task")),
    ];
    own.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(drivers).chain(faults).collect()
}

/// How many entries a folder has: connections are files, and a child of a plugin has a few.
fn entries(folder: &str) -> Option<f64> {
    std::fs::read_dir(folder).ok().map(|entries| entries.count() as f64)
}

fn counted(engine: &bursar_engine::Engine) -> Counted {
    let (view, books) = (engine.view(), engine.books());
    let claims = || (0..view.claims.len() as Row).filter(|&row| view.claims.id[row as usize] != 0);
    let ending = claims().filter(|&row| books.phase(row) == Phase::Draining).count() as u64;
    let pools = || (0..view.pools.len()).filter(|&pool| view.pools.id[pool] != 0);
    let quarantined = pools().filter(|&pool| view.pools.quarantined[pool] > 0).count() as u64;
    let idle = |pool: usize| {
        let taken = view.pools.reserved[pool] + view.pools.held[pool] + view.pools.quarantined[pool];
        let spec = books.spec(view.pools.resource[pool]);
        // Ports of the range are found, not sprung: they are on offer.
        spec.springs > 0 && !spec.driven && taken == 0
    };
    let mut names: BTreeSet<Row> = pools().filter(|&pool| idle(pool)).map(|pool| pool as Row).collect();
    if !names.is_empty() {
        let wanted =
            claims().flat_map(|row| view.claims.line_rows(row)).map(|line| view.lines.want[line as usize]);
        for pool in wanted {
            names.remove(&pool);
        }
    }
    let names = names.len() as u64;
    Counted { ending, quarantined, names }
}
