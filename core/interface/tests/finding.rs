//! Findings from plugins: about something that there is, and no longer than they may be.
use bursar_interface::{
    Finding, Severity, Subject, Tables, Time,
    bound::{EVIDENCE_MAX, FINDING_BYTES_MAX, FINDINGS_MAX},
    findings_lawful,
};

fn about(subject: Subject) -> Finding {
    Finding::new("queueing", subject, Severity::Warning, "offer more of it").with("waiting", 3)
}

#[test]
fn it_is_about_something_that_there_is() {
    let mut tables = Tables::default();
    let (resource, pool) = (tables.resources.push(), tables.pools.push());
    let (scope, claim) = (tables.scopes.push(), tables.claims.push());
    let all = [
        Subject::Host,
        Subject::Resource(resource),
        Subject::Pool(pool),
        Subject::Scope(scope),
        Subject::Claim(claim),
    ];
    // A row without an identity is nobody's.
    let vacant: Vec<bool> =
        all.iter().map(|&subject| about(subject).lawful(&tables.view(Time(1), 1)).is_err()).collect();
    assert_eq!(vacant, [false, false, true, true, true]);
    tables.pools.id[pool as usize] = 1;
    tables.scopes.id[scope as usize] = 1;
    tables.claims.id[claim as usize] = 1;
    let found = all.map(about);
    assert_eq!(findings_lawful(&found, &tables.view(Time(1), 1)), Ok(()));
    for beyond in [Subject::Resource(9), Subject::Pool(9), Subject::Scope(9), Subject::Claim(9)] {
        assert!(about(beyond).lawful(&tables.view(Time(1), 1)).is_err(), "{beyond:?}");
    }
}

#[test]
fn it_is_no_longer_than_it_may_be() {
    let tables = Tables::default();
    let view = tables.view(Time(1), 1);
    let wrong = |finding: Finding| finding.lawful(&view).expect_err("it is too much");
    assert!(wrong(Finding { kind: String::new(), ..about(Subject::Host) }).contains("without a kind"));
    let numbers = (0..=EVIDENCE_MAX).fold(about(Subject::Host), |found, n| found.with(&n.to_string(), 1));
    assert!(wrong(numbers).contains("numbers"));
    let advice = "x".repeat(FINDING_BYTES_MAX);
    assert!(wrong(Finding { advice, ..about(Subject::Host) }).contains("bytes of words"));
    let many = vec![about(Subject::Host); FINDINGS_MAX + 1];
    assert!(findings_lawful(&many, &view).expect_err("too many").contains("at most"));
}
