//! Plugins that behave badly: the host gets a fault, counts a strike where one is due, and lives.
use crate::{
    badly_behaved, badly_behaved_within,
    place::{books, place},
};
use bursar_interface::{ClaimId, Fault, FaultKind, Fence, Home, Lease, LeaseLine, Rank, Role, Time};
use bursar_loader::{Loader, State};
use std::time::{Duration, Instant};

/// Asks an allocator once and gives back its fault.
fn fault(loader: &mut Loader, id: &str) -> Fault {
    let (books, queue) = books();
    let mut seated = loader.allocator(id, "").expect("there");
    place(&mut *seated.plugin, &books, &queue).expect_err("a fault")
}

fn state(loader: &Loader, id: &str) -> (State, Option<String>) {
    let listed = loader.listings(|_, _| true);
    let listing =
        listed.into_iter().find(|listing| listing.id == id && listing.role == Some(Role::Allocator));
    let listing = listing.expect("listed");
    (listing.state, listing.reason)
}

#[test]
fn a_panic_is_a_fault_with_its_place() {
    for home in [Home::Inline, Home::Child] {
        let (mut loader, _scratch) = badly_behaved(home);
        let fault = fault(&mut loader, "chaos-panic");
        assert_eq!(fault.kind, FaultKind::Panicked, "{home:?}");
        assert!(
            fault.message.contains("4 claims are too many") && fault.message.contains("both.rs"),
            "{fault}"
        );
        let mut ranks = vec![Rank::default(); 4];
        let (books, queue) = books();
        let mut qos = loader.qos("chaos-panic", "").expect("there").plugin;
        assert_eq!(
            qos.rank(&books.view(), &queue, &mut ranks).expect_err("a fault").kind,
            FaultKind::Panicked
        );
    }
}

#[test]
fn what_it_says_itself_is_a_fault_too() {
    for home in [Home::Inline, Home::Child] {
        let (mut loader, _scratch) = badly_behaved(home);
        let fault = fault(&mut loader, "chaos-fail");
        assert_eq!(
            (fault.kind, fault.message.as_str()),
            (FaultKind::Failed, "I would rather not"),
            "{home:?}"
        );
    }
}

#[test]
fn three_strikes_and_it_is_not_asked_again() {
    let (mut loader, _scratch) = badly_behaved(Home::Child);
    let (books, queue) = books();
    let mut plugin = loader.allocator("chaos-fail", "").expect("there").plugin;
    let kinds: Vec<FaultKind> =
        (0..4).map(|_| place(&mut *plugin, &books, &queue).expect_err("a fault").kind).collect();
    assert_eq!(kinds, [FaultKind::Failed, FaultKind::Failed, FaultKind::Failed, FaultKind::Quarantined]);
    assert_eq!(state(&loader, "chaos-fail").0, State::Quarantined);
}

#[test]
fn a_driver_that_faults_is_not_asked_for_a_while_and_one_that_tells_of_the_world_always_is() {
    for home in [Home::Inline, Home::Child] {
        let (mut loader, _scratch) = badly_behaved(home);
        let line = LeaseLine { resource: "chaos".into(), pool: "chaos".into(), amount: 1 };
        let lease = Lease { claim: ClaimId(1), fence: Fence(1), lines: vec![line], owner: None };
        let mut kinds = |id: &str| {
            let mut driver =
                loader.driver("chaos-any", &format!(r#"{{"fault":"{id}"}}"#)).expect("there").plugin;
            let ask = |_| driver.release(&lease).expect_err("a fault").kind;
            (0..5).map(ask).collect::<Vec<_>>()
        };
        assert_eq!(kinds("chaos-fail"), [FaultKind::Failed; 5], "{home:?}");
        let told = kinds("chaos-panic");
        assert_eq!(told[..3], [FaultKind::Panicked; 3], "{home:?}");
        assert_eq!(told[3..], [FaultKind::Quarantined; 2], "{home:?}");
        let listed = loader.listings(|_, _| true);
        let quarantined = listed.iter().filter(|listing| listing.state == State::Quarantined);
        let named: Vec<_> = quarantined.map(|listing| (listing.role, listing.id.as_str())).collect();
        assert_eq!(named, [(Some(Role::Driver), "chaos-any")], "{home:?}");
    }
}

#[test]
fn one_that_hangs_is_killed_and_blamed_by_its_cpu_time() {
    let (mut loader, _scratch) = badly_behaved(Home::Child);
    let since = Instant::now();
    let fault = fault(&mut loader, "chaos-hang");
    assert_eq!(fault.kind, FaultKind::Overrun, "{fault}");
    assert!(since.elapsed() < Duration::from_secs(5), "it holds up nobody for long");
    // A child that is starved of cpu is innocent, and this machine may be busy: told apart by what it says.
    let blamed = state(&loader, "chaos-hang").1.is_some();
    assert!(blamed || fault.message.contains("having used"), "{fault}");
}

#[test]
fn one_that_sleeps_is_late_and_not_to_blame() {
    let (mut loader, _scratch) = badly_behaved(Home::Child);
    assert_eq!(fault(&mut loader, "chaos-sleep").kind, FaultKind::Overrun);
    assert_eq!(state(&loader, "chaos-sleep"), (State::Active, None));
}

#[test]
fn inline_the_clock_tells() {
    let (mut loader, _scratch) = badly_behaved_within(Home::Inline, Duration::from_millis(10));
    let fault = fault(&mut loader, "chaos-sleep");
    assert_eq!(fault.kind, FaultKind::Overrun);
    assert!(state(&loader, "chaos-sleep").1.expect("a strike").contains("Overrun"));
}

#[test]
fn one_that_aborts_dies_alone_and_comes_back() {
    let (mut loader, _scratch) = badly_behaved(Home::Child);
    let (books, queue) = books();
    let mut plugin = loader.allocator("chaos-abort", "").expect("there").plugin;
    let first = place(&mut *plugin, &books, &queue).expect_err("a fault");
    assert_eq!(first.kind, FaultKind::Died);
    assert!(first.message.contains("SIGABRT") || first.message.contains("signal: 6"), "{first}");
    // It is started again beside us; until then its seat is empty, then it dies again.
    let until = Instant::now() + Duration::from_secs(5);
    let again = loop {
        let fault = place(&mut *plugin, &books, &queue).expect_err("a fault");
        if fault.message.contains("signal") || Instant::now() > until {
            break fault;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(again.message.contains("signal"), "{again}");
}

#[test]
fn a_lie_is_nonsense_or_unlawful_and_never_a_grant() {
    let (books, queue) = books();
    for home in [Home::Inline, Home::Child] {
        let (mut loader, _scratch) = badly_behaved(home);
        let mut plugin = loader.allocator("chaos-lie", "").expect("there").plugin;
        match place(&mut *plugin, &books, &queue) {
            Ok(takes) => assert!(takes.iter().all(|take| books.check(&[*take]).is_err()), "{takes:?}"),
            Err(fault) => assert_eq!(fault.kind, FaultKind::Nonsense),
        }
    }
}

#[test]
fn a_flood_of_log_lines_is_no_fault_and_holds_up_nobody() {
    let (mut loader, _scratch) = badly_behaved(Home::Child);
    let (books, queue) = books();
    let mut plugin = loader.allocator("chaos-flood", "").expect("there").plugin;
    // The first call may take the time that it takes to write them all.
    let _ = place(&mut *plugin, &books, &queue);
    drop(plugin);
    assert!(loader.allocator("chaos-fail", "").is_ok());
}

#[test]
fn drivers_and_metrics_fault_alike() {
    for home in [Home::Inline, Home::Child] {
        let (mut loader, _scratch) = badly_behaved(home);
        let lease = |claim, amount| Lease {
            claim: ClaimId(claim),
            fence: Fence(1),
            lines: vec![LeaseLine { resource: "sticky".into(), pool: "sticky".into(), amount }],
            owner: None,
        };
        let mut driver = loader.driver("sticky", "").expect("there").plugin;
        assert_eq!(driver.discover().expect("a look").len(), 1);
        assert_eq!(driver.enforce(&lease(1, 3)).expect_err("a panic").kind, FaultKind::Panicked, "{home:?}");
        assert_eq!(driver.enforce(&lease(1, 4)).expect_err("a fault").kind, FaultKind::Failed, "{home:?}");
        assert!(driver.release(&lease(1, 1)).is_err());
        let mut metric = loader.metric("chaos-metric", "").expect("there").plugin;
        let mut samples = Vec::new();
        metric.collect(Time(1), &mut samples).expect("the first time");
        assert_eq!((samples.len(), samples[0].value), (1, None));
        assert!(metric.collect(Time(2), &mut samples).is_err());
    }
}
