//! The matrix of faults (T-PLUG): what each badly behaved plugin comes to in a child and in this process, cell by
//! cell, for every operation of an allocator and of a driver; and one row of smoke for the other roles. Libraries
//! that must not be loaded at all are in [`crate::zoo`]. `cargo xtask matrix` prints both.
//!
//! Every cell of this process is tried in a process of its own, because some end it.
use crate::{
    badly_behaved,
    place::{books, place},
    settings,
};
use bursar_interface::{
    ClaimId, Driver, Fault, FaultKind, Fence, Home, Lease, LeaseLine, Offer, Rank, Sight, Time,
};
use bursar_loader::{Loader, Settings, sha256};
use std::{
    collections::{BTreeSet, VecDeque},
    fmt, fs,
    path::Path,
    process::Command,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tempfile::TempDir;

/// The cells that a process of its own is to try: a folder of its own, role, name, and operations.
const CELL: &str = "BURSAR_MATRIX_CELL";
/// What such a process says before and after each operation.
const BEGINS: &str = "cell begins";
const CAME: &str = "cell came to ";
/// Memory that such a process may take, in bytes: whoever takes all there is is not to take this machine's.
const MEMORY_MAX: u64 = 3 << 30;
/// How long an allocator and a driver may take here.
const PLACE_MAX: Duration = Duration::from_millis(200);
const CALL_MAX: Duration = Duration::from_millis(700);
/// A machine that is busy may be late with what is well: then a cell is tried again, with so many times as long.
const PATIENCE: [u32; 3] = [1, 5, 20];
/// Cells that are tried at once: most wait for a deadline.
const AT_ONCE: usize = 4;

/// What is expected of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    /// To an answer that the books would take, or to none.
    Well,
    /// To a fault of one of these kinds.
    To(&'static [FaultKind]),
    /// To nothing: it cannot be made.
    Unmade,
    /// To the end of the process that it is in: that is what trust means.
    Ends,
    /// There is no such cell.
    Nothing,
}
use Comes::{Ends, Nothing, To, Unmade, Well};
use FaultKind::{Died, Failed, Nonsense, Overrun, Panicked};

/// A fault of RELIABILITY 3.8, the plugin that has it, and what an allocator and a driver of it come to, each in a
/// child and in this process.
type RowOf = (&'static str, &'static str, [Comes; 2], [Comes; 2]);

const PANICKED: Comes = To(&[Panicked]);
const FAILED: Comes = To(&[Failed]);
const OVERRUN: Comes = To(&[Overrun]);
const DIED: Comes = To(&[Died]);
const NONSENSE: Comes = To(&[Nonsense]);

const TABLE: [RowOf; 25] = [
    ("P1 panics", "chaos-panic", [PANICKED, PANICKED], [PANICKED, PANICKED]),
    ("P1 panics without words", "chaos-mumble", [PANICKED, PANICKED], [PANICKED, PANICKED]),
    ("P1 panics when it is made", "chaos-unborn", [Unmade, Unmade], [Unmade, Unmade]),
    ("P2 panics while panicking", "chaos-double", [DIED, Ends], [DIED, Ends]),
    ("P2 panics when let go", "chaos-cling", [Well, Well], [Well, Well]),
    ("P2 panics on a thread", "chaos-thread", [Well, Well], [Well, Well]),
    ("P3 aborts", "chaos-abort", [DIED, Ends], [DIED, Ends]),
    ("P3 crashes", "chaos-crash", [DIED, Ends], [DIED, Ends]),
    ("P3 overflows its stack", "chaos-overflow", [DIED, Ends], [DIED, Ends]),
    ("P3 exits", "chaos-exit", [DIED, Ends], [DIED, Ends]),
    // A strategy has little time, a driver more. An allocator that stalls inline is ended by the watchdog; a driver has its own thread, which is given up.
    ("P4 stalls", "chaos-stall", [OVERRUN, Ends], [OVERRUN, OVERRUN]),
    ("P4 is late", "chaos-sleep", [OVERRUN, Well], [Well, Well]),
    ("P5 spins", "chaos-hang", [OVERRUN, Ends], [OVERRUN, OVERRUN]),
    ("P6 takes all memory", "chaos-hoard", [DIED, Ends], [DIED, Ends]),
    ("P6 leaks", "chaos-leak", [Well, Well], [Well, Well]),
    ("P7 leaks threads", "chaos-spawn", [Well, Well], [Well, Well]),
    ("P7 leaks files", "chaos-open", [Well, Well], [Well, Well]),
    ("P10 answers too much", "chaos-gush", [Nothing, Nothing], [NONSENSE, NONSENSE]),
    ("P11 says what cannot be", "chaos-boast", [Nothing, Nothing], [NONSENSE, NONSENSE]),
    ("P12 lies", "chaos-lie", [NONSENSE, NONSENSE], [Nothing, Nothing]),
    ("P12 refuses", "chaos-fail", [FAILED, FAILED], [FAILED, FAILED]),
    ("P14 prints without end", "chaos-babble", [Well, Well], [Well, Well]),
    ("P14 logs without end", "chaos-flood", [Well, Well], [Well, Well]),
    ("P15 meddles", "chaos-meddle", [Well, Well], [Well, Well]),
    ("P16 flees", "chaos-flee", [FAILED, FAILED], [FAILED, FAILED]),
];

/// What a driver is asked, in this order.
const OPERATIONS: [&str; 4] = ["discover", "enforce", "release", "reclaim"];

/// Where one operation comes to something else than the others: more than can be taken in is cut off where it is
/// only words, and what cannot be is found out where it is looked at.
fn expected(row: &RowOf, role: &str, operation: &str, home: usize) -> Comes {
    match (row.1, operation) {
        _ if role == "allocator" => row.2[home],
        ("chaos-gush", "enforce") => FAILED,
        ("chaos-gush", "reclaim") => Well,
        ("chaos-boast", "enforce" | "release") => Well,
        _ => row.3[home],
    }
}

/// What it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Came {
    Well,
    Fault(FaultKind),
    Unmade,
    Ended,
}

impl Came {
    fn of<T>(answer: Result<T, Fault>) -> Came {
        answer.map_or_else(|fault| Came::Fault(fault.kind), |_| Came::Well)
    }

    fn is(&self, expected: Comes) -> bool {
        match (expected, self) {
            (Well, Came::Well) | (Unmade, Came::Unmade) | (Ends, Came::Ended) => true,
            (To(kinds), Came::Fault(kind)) => kinds.contains(kind),
            _ => false,
        }
    }
}

impl fmt::Display for Came {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Came::Well => write!(to, "well"),
            Came::Fault(kind) => write!(to, "{kind:?}"),
            Came::Unmade => write!(to, "not made"),
            Came::Ended => write!(to, "ends it"),
        }
    }
}

/// The badly behaved plugins in one home.
fn loader(home: Home, scratch: &Path, patience: u32) -> Loader {
    let folder = bursar_conformance::badly_behaved();
    let sum = || sha256(&fs::read(folder.join("libchaos.so")).expect("built"));
    let trusted: BTreeSet<String> = (home == Home::Inline).then(sum).into_iter().collect();
    let settings = settings(std::slice::from_ref(&folder), trusted, scratch);
    let (call_deadline, strategy_deadline) = (CALL_MAX * patience, PLACE_MAX * patience);
    Loader::new(Settings { call_deadline, strategy_deadline, ..settings }).expect("a stage")
}

fn allocate(loader: &mut Loader, id: &str, home: Home) -> Came {
    let (books, queue) = books();
    let Ok(mut seated) = loader.allocator(id, "") else { return Came::Unmade };
    assert_eq!(seated.decider.home, home);
    match place(&mut *seated.plugin, &books, &queue) {
        // What the books would not take is nonsense to the engine.
        Ok(takes) if takes.iter().any(|take| books.check(&[*take]).is_err()) => Came::Fault(Nonsense),
        answer => Came::of(answer),
    }
}

fn drive(loader: &mut Loader, id: &str, operation: &str, home: Home) -> Came {
    let Ok(mut seated) = loader.driver("chaos-any", &format!(r#"{{"fault":"{id}"}}"#)) else {
        return Came::Unmade;
    };
    assert_eq!(seated.decider.home, home);
    let line = LeaseLine { resource: "chaos".into(), pool: "chaos".into(), amount: 1 };
    let lease = Lease { claim: ClaimId(1), fence: Fence(1), lines: vec![line], owner: None };
    let driver: &mut dyn Driver = &mut *seated.plugin;
    match operation {
        "discover" => Came::of(driver.discover()),
        "enforce" => Came::of(driver.enforce(&lease)),
        "release" => Came::of(driver.release(&lease)),
        _ => Came::of(driver.reclaim("chaos", 1)),
    }
}

fn try_here(loader: &mut Loader, role: &str, id: &str, operation: &str, home: Home) -> Came {
    if role == "allocator" { allocate(loader, id, home) } else { drive(loader, id, operation, home) }
}

/// Tries operations in a process of their own, and goes on behind one that ended it.
fn try_apart(scratch: &Path, patience: u32, role: &str, id: &str, operations: &[&'static str]) -> Vec<Came> {
    let mut came: Vec<Came> = Vec::new();
    while came.len() < operations.len() {
        let mut own = Command::new(std::env::current_exe().expect("this test"));
        own.args(["--exact", "matrix::one_cell", "--ignored", "--nocapture"]);
        own.env(
            CELL,
            format!("{} {patience} {role} {id} {}", scratch.display(), operations[came.len()..].join(" ")),
        );
        let out = own.env("BURSAR_PLUGINS_BUILT", "1").output().expect("run");
        let text = String::from_utf8_lossy(&out.stdout);
        let before = came.len();
        for line in text.lines().filter_map(|line| line.split_once(CAME)).map(|(_, came)| came) {
            came.push(told(line));
        }
        if came.len() < operations.len() {
            assert!(text.matches(BEGINS).count() > came.len() - before, "{role} {id}: {out:?}");
            came.push(Came::Ended);
        }
    }
    came
}

fn told(word: &str) -> Came {
    let kinds = [Failed, Panicked, Overrun, Died, Nonsense].map(Came::Fault);
    let all = [Came::Well, Came::Unmade].into_iter().chain(kinds);
    all.into_iter().find(|came| came.to_string() == word).unwrap_or_else(|| panic!("{word:?}"))
}

#[test]
#[ignore = "cells that may end their process; started by the test below"]
fn one_cell() {
    let Ok(cell) = std::env::var(CELL) else { return };
    let words: Vec<&str> = cell.split(' ').collect();
    let [scratch, patience, role, id, operations @ ..] = &words[..] else { panic!("{cell}") };
    let mut loader = loader(Home::Inline, Path::new(scratch), patience.parse().expect("a number"));
    let limit = rustix::process::Rlimit { current: Some(MEMORY_MAX), maximum: Some(MEMORY_MAX) };
    rustix::process::setrlimit(rustix::process::Resource::As, limit).expect("a limit");
    for operation in operations {
        println!("{BEGINS}");
        println!("{CAME}{}", try_here(&mut loader, role, id, operation, Home::Inline));
    }
    // Some of them cannot be let go: a thread that never comes back.
    std::process::exit(0);
}

/// A row of one role, in both homes: each operation, what was expected and what it came to.
type Tried = (usize, &'static str, Vec<(&'static str, [Comes; 2], [Came; 2])>);

fn try_row(number: usize, role: &'static str) -> Tried {
    let row = &TABLE[number];
    let operations: &[&'static str] = if role == "allocator" { &["place"] } else { &OPERATIONS };
    let scratch = TempDir::new().expect("a folder");
    let mut cells: Vec<_> = operations
        .iter()
        .map(|operation| {
            let expected = [0, 1].map(|home| expected(row, role, operation, home));
            (*operation, expected, [Came::Ended, Came::Ended])
        })
        .collect();
    let mut left: Vec<usize> = (0..operations.len()).collect();
    for patience in PATIENCE {
        let mut strangers = loader(Home::Child, scratch.path(), patience);
        let again: Vec<&'static str> = left.iter().map(|&at| operations[at]).collect();
        let apart = try_apart(scratch.path(), patience, role, row.1, &again);
        for (&at, inline) in left.iter().zip(apart) {
            let child = try_here(&mut strangers, role, row.1, operations[at], Home::Child);
            let (_, expected, came) = &mut cells[at];
            for (home, now) in [child, inline].into_iter().enumerate() {
                if patience == PATIENCE[0] || late(expected[home], &came[home]) {
                    came[home] = now;
                }
            }
        }
        left.retain(|&at| cells[at].1.iter().zip(&cells[at].2).any(|(expected, came)| late(*expected, came)));
        if left.is_empty() {
            break;
        }
    }
    (number, role, cells)
}

/// Whether a cell may only have been too late.
fn late(expected: Comes, came: &Came) -> bool {
    *came == Came::Fault(Overrun) && !came.is(expected)
}

#[test]
fn every_fault_comes_to_what_is_expected_of_it() {
    bursar_conformance::badly_behaved();
    let rows = (0..TABLE.len()).flat_map(|number| [(number, "allocator"), (number, "driver")]);
    let there = |&(number, role): &(usize, &str)| {
        let row = &TABLE[number];
        if role == "allocator" { row.2[0] != Nothing } else { row.3[0] != Nothing }
    };
    let (left, done) = (Mutex::new(rows.filter(there).collect::<VecDeque<_>>()), Mutex::new(Vec::new()));
    let lock = |()| left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((number, role)) = lock(()) {
                    let tried = try_row(number, role);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(tried);
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, role, _)| (*role, *number));
    let (mut cells, mut wrong) = (0, Vec::new());
    println!(
        "{:<10} {:<27} {:<15} {:<9} {:<10} {:<10}",
        "role", "fault", "plugin", "asked", "child", "inline"
    );
    for (number, role, tried) in &done {
        let (fault, id, ..) = TABLE[*number];
        for (operation, expected, came) in tried {
            println!(
                "{role:<10} {fault:<27} {id:<15} {operation:<9} {:<10} {:<10}",
                came[0].to_string(),
                came[1].to_string()
            );
            for (home, (expected, came)) in ["child", "inline"].iter().zip(expected.iter().zip(came)) {
                cells += 1;
                if !came.is(*expected) {
                    wrong.push(format!("{role} {id} {operation} {home}: {came:?}, not {expected:?}"));
                }
            }
        }
    }
    println!("{cells} cells, {} not as expected", wrong.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(cells, 2 * (23 + 4 * 24));
}

/// One row of smoke for the roles that are not tried in full: each panics, and that is a fault or not made.
#[test]
fn the_other_roles_fault_alike() {
    let mut cells = 0;
    for home in [Home::Child, Home::Inline] {
        let (mut loader, _scratch) = badly_behaved(home);
        let (books, queue) = books();
        let mut ranks = vec![Rank::default(); queue.len()];
        let mut qos = loader.qos("chaos-panic", "").expect("there").plugin;
        let mut metric = loader.metric("chaos-panic", "").expect("there").plugin;
        let resource = loader.resource("chaos-panic", "").map(drop);
        let came = [
            ("qos", Came::of(qos.rank(&books.view(), &queue, &mut ranks)), PANICKED),
            ("metric", Came::of(metric.collect(Time(1), &mut Vec::new())), PANICKED),
            ("resource", resource.map_or(Came::Unmade, |()| Came::Well), Unmade),
        ];
        for (role, came, expected) in came {
            println!("{role:<10} P1 panics                   chaos-panic     {home:?}: {came}");
            assert!(came.is(expected), "{role} {home:?}: {came:?}, not {expected:?}");
            cells += 1;
        }
    }
    println!("{cells} cells of smoke");
}

#[test]
fn the_roles_beside_the_round_fault_alike() {
    for home in [Home::Child, Home::Inline] {
        let ends = |id: &str| home == Home::Inline && ["chaos-abort", "chaos-hang"].contains(&id);
        let cells = [
            ("chaos-panic", Panicked),
            ("chaos-abort", Died),
            ("chaos-hang", Overrun),
            ("chaos-fail", Failed),
            ("chaos-lie", Nonsense),
        ];
        for (id, kind) in cells.into_iter().filter(|(id, _)| !ends(id)) {
            let (mut loader, _scratch) = badly_behaved(home);
            let (books, _) = books();
            let view = books.view();
            let mut offers = [Offer::plain(view.pools.capacity[0])];
            let mut sharing = loader.sharing(id, "").expect("there").plugin;
            let came = sharing.offer(&view, &[0], &mut offers).map_err(|fault| fault.kind);
            // What it says is for the books to judge, as a plan is.
            let came = came.and_then(|()| offers[0].lawful(view.pools.capacity[0]).map_err(|_| Nonsense));
            println!("matrix  sharing    {home:?}  {id:<16} {came:?}");
            assert_eq!(came, Err(kind), "{id}");
            let mut analyzer = loader.analyzer(id, r#"{"armed":true}"#).expect("there").plugin;
            let sight = Sight { view, samples: &[], flows: &[], ties: &[] };
            let mut findings = Vec::new();
            let came = analyzer.report(&sight, &mut findings).map_err(|fault| fault.kind);
            println!("matrix  analyzer   {home:?}  {id:<16} {came:?}");
            assert_eq!((came, findings.len()), (Err(kind), 0), "{id}");
        }
    }
}
