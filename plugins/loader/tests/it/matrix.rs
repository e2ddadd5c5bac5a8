//! The matrix of faults: what each badly behaved plugin comes to in a child and in this process, cell by cell.
//! `cargo xtask matrix` prints it.
use crate::{
    badly_behaved,
    place::{books, place},
};
use bursar_interface::{ClaimId, FaultKind, Fence, Home, Lease, LeaseLine, Offer, Rank, Sight, Time};
use std::process::Command;

/// The cell that a process of its own is to try.
const CELL: &str = "BURSAR_MATRIX_CELL";

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
}
use Comes::{Ends, To, Unmade, Well};
use FaultKind::{Died, Failed, Nonsense, Overrun, Panicked};

/// Allocators: in a child, and in this process.
const CELLS: [(&str, Comes, Comes); 19] = [
    ("chaos-panic", To(&[Panicked]), To(&[Panicked])),
    ("chaos-mumble", To(&[Panicked]), To(&[Panicked])),
    ("chaos-double", To(&[Died]), Ends),
    ("chaos-hang", To(&[Overrun]), Ends),
    ("chaos-sleep", To(&[Overrun]), Well),
    ("chaos-abort", To(&[Died]), Ends),
    ("chaos-exit", To(&[Died]), Ends),
    ("chaos-overflow", To(&[Died]), Ends),
    ("chaos-fail", To(&[Failed]), To(&[Failed])),
    ("chaos-lie", To(&[Nonsense]), To(&[Nonsense])),
    ("chaos-waver", Well, Well),
    ("chaos-flee", To(&[Failed]), To(&[Failed])),
    ("chaos-hoard", To(&[Died, Overrun]), Ends),
    ("chaos-leak", Well, Well),
    ("chaos-spawn", Well, Well),
    ("chaos-babble", Well, Well),
    ("chaos-flood", Well, Well),
    ("chaos-cling", Well, Well),
    ("chaos-unborn", Unmade, Unmade),
];

/// What it came to.
fn comes(id: &str, home: Home) -> Result<(), Option<FaultKind>> {
    let (mut loader, _scratch) = badly_behaved(home);
    let (books, queue) = books();
    let Ok(mut seated) = loader.allocator(id, "") else { return Err(None) };
    assert_eq!(seated.decider.home, home);
    match place(&mut *seated.plugin, &books, &queue) {
        // What the books would not take is nonsense to the engine.
        Ok(takes) if takes.iter().any(|take| books.check(&[*take]).is_err()) => Err(Some(Nonsense)),
        Ok(_) => Ok(()),
        Err(fault) => Err(Some(fault.kind)),
    }
}

fn is(expected: Comes, came: &Result<(), Option<FaultKind>>) -> bool {
    match (expected, came) {
        (Well, Ok(())) => true,
        (To(kinds), Err(Some(kind))) => kinds.contains(kind),
        (Unmade, Err(None)) => true,
        // A machine that is busy may be too late with what is well.
        (Well, Err(Some(Overrun))) => true,
        _ => false,
    }
}

#[test]
fn every_fault_in_a_child_is_a_fault_and_nothing_more() {
    for (id, expected, _) in CELLS {
        let came = comes(id, Home::Child);
        println!("matrix  allocator  child   {id:<16} {came:?}");
        assert!(is(expected, &came), "{id} in a child: {came:?}, not {expected:?}");
    }
}

#[test]
fn what_can_be_caught_in_this_process_is_a_fault_as_well() {
    for (id, _, expected) in CELLS.into_iter().filter(|(.., expected)| *expected != Ends) {
        let came = comes(id, Home::Inline);
        println!("matrix  allocator  inline  {id:<16} {came:?}");
        assert!(is(expected, &came), "{id} in this process: {came:?}, not {expected:?}");
    }
}

#[test]
fn what_cannot_be_caught_ends_the_process_that_trusted_it() {
    // Without a bound it would take all memory there is, and a hang is the watchdog's (a second).
    for (id, ..) in CELLS.into_iter().filter(|(id, _, expected)| *expected == Ends && *id != "chaos-hoard") {
        let mut own = Command::new(std::env::current_exe().expect("this test"));
        own.args(["--exact", "matrix::one_cell", "--ignored", "--nocapture"]).env(CELL, id);
        let out = own.env("BURSAR_PLUGINS_BUILT", "1").output().expect("run");
        let text = String::from_utf8_lossy(&out.stdout);
        println!("matrix  allocator  inline  {id:<16} {}", out.status);
        assert!(text.contains("it begins") && !text.contains("it goes on"), "{id}: {out:?}");
    }
}

#[test]
#[ignore = "a cell that ends its process; started by the test above"]
fn one_cell() {
    let Ok(id) = std::env::var(CELL) else { return };
    println!("it begins");
    let came = comes(&id, Home::Inline);
    println!("it goes on: {came:?}");
}

#[test]
fn the_other_roles_fault_alike() {
    for home in [Home::Child, Home::Inline] {
        let (mut loader, _scratch) = badly_behaved(home);
        let (books, queue) = books();
        let mut ranks = vec![Rank::default(); queue.len()];
        let mut qos = loader.qos("chaos-panic", "").expect("there").plugin;
        let fault = qos.rank(&books.view(), &queue, &mut ranks).expect_err("a fault");
        println!("matrix  qos        {home:?}  chaos-panic      {:?}", fault.kind);
        assert_eq!(fault.kind, Panicked);
        let mut driver = loader.driver("sticky", "").expect("there").plugin;
        for (amount, kind) in [(3, Panicked), (4, Failed)] {
            let line = LeaseLine { resource: "sticky".into(), pool: "sticky".into(), amount };
            let lease = Lease { claim: ClaimId(amount), fence: Fence(1), lines: vec![line] };
            let fault = driver.enforce(&lease).expect_err("a fault");
            println!("matrix  driver     {home:?}  sticky {amount}         {:?}", fault.kind);
            assert_eq!(fault.kind, kind);
        }
        let mut metric = loader.metric("chaos-nosy", "").expect("there").plugin;
        let fault = metric.collect(Time(1), &mut Vec::new()).expect_err("a fault");
        println!("matrix  metric     {home:?}  chaos-nosy       {:?}", fault.kind);
        assert_eq!(fault.kind, Failed);
    }
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
            let mut analyzer = loader.analyzer(id, "").expect("there").plugin;
            let sight = Sight { view, samples: &[], flows: &[], ties: &[] };
            let mut findings = Vec::new();
            let came = analyzer.report(&sight, &mut findings).map_err(|fault| fault.kind);
            println!("matrix  analyzer   {home:?}  {id:<16} {came:?}");
            assert_eq!((came, findings.len()), (Err(kind), 0), "{id}");
        }
    }
}
