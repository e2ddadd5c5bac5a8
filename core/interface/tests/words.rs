//! The words that go to scripts and the numbers that go across the border: each comes back as what it was.
use bursar_interface::{
    Backfill, ClaimId, Class, Driver, Fault, FaultKind, Fence, Home, Lease, NodeState, Phase, Proof, Reason,
    Refusal, Role, Severity, Shape, Step, Supply, Time,
};
use std::collections::BTreeSet;

#[test]
fn every_reason_has_its_name_its_number_and_a_way_out() {
    let names: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    for (number, &reason) in (1..).zip(Reason::ALL) {
        assert_eq!(Reason::of(number), Some(reason));
        assert_eq!(reason.to_string(), reason.name());
        assert!(reason.hint().len() > 10, "{reason}: {}", reason.hint());
    }
    assert_eq!((Reason::of(0), Reason::of(Reason::ALL.len() as u32 + 1)), (None, None));
}

#[test]
fn a_refusal_says_what_when_and_how_to_mend_it() {
    let plain = Refusal::new(Reason::NeverFits, "9 of 8 cpu");
    assert_eq!((plain.to_string(), plain.retry_ns), ("NeverFits: 9 of 8 cpu".into(), None));
    assert_eq!(plain.hint, Reason::NeverFits.hint());
    let told = plain.clone().hint("ask for 8").after(Some(5));
    assert_eq!((told.hint.as_str(), told.retry_ns), ("ask for 8", Some(5)));
    assert_eq!(plain.clone().hint("").hint, plain.hint, "nothing better is known");
}

#[test]
fn numbers_that_nobody_wrote_are_the_careful_choice() {
    let kinds = [
        FaultKind::Failed,
        FaultKind::Panicked,
        FaultKind::Overrun,
        FaultKind::Died,
        FaultKind::Nonsense,
        FaultKind::Quarantined,
    ];
    assert!(kinds.iter().all(|&kind| FaultKind::of(kind as u32) == kind));
    assert_eq!((FaultKind::of(0), FaultKind::of(77)), (FaultKind::Nonsense, FaultKind::Nonsense));
    for phase in [Phase::Pending, Phase::Reserved, Phase::Held, Phase::Draining, Phase::Closed] {
        assert_eq!(Phase::of(phase as u32), phase);
    }
    for class in [Class::Guaranteed, Class::Burstable, Class::BestEffort] {
        assert_eq!(Class::of(class as u32), class);
    }
    for shape in [Shape::Capacity, Shape::Rate, Shape::Budget, Shape::Unit] {
        assert_eq!(Shape::of(shape as u32), shape);
    }
    for state in [NodeState::Open, NodeState::Cordoned, NodeState::Draining, NodeState::Lost] {
        assert_eq!(NodeState::of(state as u32), state);
    }
}

#[test]
fn a_fault_names_its_plugin_once_the_host_has_filled_it_in() {
    let fault = Fault::new("no room").by("mine");
    assert_eq!((fault.kind, fault.plugin.as_str()), (FaultKind::Failed, "mine"));
    assert!(fault.to_string().contains("mine") && fault.to_string().contains("no room"), "{fault}");
    assert_eq!(Fault::of(FaultKind::Overrun, "late").kind, FaultKind::Overrun);
}

#[test]
fn roles_homes_and_severities_are_told_apart() {
    let names: BTreeSet<&str> = Role::ALL.iter().map(|role| role.name()).collect();
    assert_eq!(names.len(), 7);
    assert_ne!(Home::Linked, Home::Child);
    let severities = [Severity::Notice, Severity::Warning, Severity::Critical];
    assert!(severities.is_sorted());
    assert_eq!(severities.map(Severity::name), ["notice", "warning", "critical"]);
}

#[test]
fn time_ends_and_does_not_turn_over() {
    assert_eq!(Time(5).after(7), Time(12));
    assert_eq!(Time(5).after(u64::MAX), Time::NEVER);
}

#[test]
fn the_ladder_has_a_word_for_each_step_and_what_may_pass_a_head_a_number() {
    let words: BTreeSet<&str> = Step::ALL.iter().map(|step| step.name()).collect();
    assert_eq!(words.len(), Step::ALL.len());
    assert_eq!((Step::ALL[0].name(), Step::ALL[Step::ALL.len() - 1].name()), ("stop", "kill"));
    for passes in [Backfill::Nothing, Backfill::Harmless, Backfill::Anything] {
        assert_eq!(Backfill::of(passes.number()), Some(passes));
    }
    assert_eq!((Backfill::of(0), Backfill::of(4)), (None, None));
}

/// A driver that has to do with nothing but leases.
struct Bare;
impl Driver for Bare {
    fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
        Ok(Vec::new())
    }
    fn enforce(&mut self, _: &Lease) -> Result<(), Fault> {
        Ok(())
    }
    fn release(&mut self, _: &Lease) -> Result<Proof, Fault> {
        Ok(Proof::default())
    }
}

#[test]
fn a_driver_that_says_no_more_has_nothing_to_give_back_to_show_or_to_tell() {
    let mut driver = Bare;
    let lease = Lease { claim: ClaimId(1), fence: Fence(1), lines: Vec::new(), owner: None };
    assert_eq!(driver.reclaim("cache", 7), Ok(0));
    assert!(driver.holdings().is_ok_and(|holdings| holdings.is_empty()));
    assert!(driver.environment(&lease).is_ok_and(|variables| variables.is_empty()));
}
