//! Each law is broken once by hand, and must be named.
use super::*;
use bursar_interface::{Ask, Decider, Ending, Event, Fence, Home, Input, Principal, Proof, Time, What};

fn batch(inputs: Vec<Command>, whats: Vec<What>) -> Batch {
    let inputs = inputs.into_iter().map(|body| Input { by: Principal::default(), body }).collect();
    let events = whats.into_iter().map(|what| Event { cause: Some(0), what }).collect();
    Batch { inputs, events, at: Time(5), ..Batch::default() }
}

fn granted(claim: u64, fence: u64) -> What {
    let by = Decider { plugin: "x".into(), home: Home::Linked }.into();
    let (claim, fence, lease_until) = (ClaimId(claim), Fence(fence), Time(9));
    What::Granted { claim, fence, pools: Default::default(), lease_until, by }
}

fn queued(claim: u64) -> What {
    What::Queued { claim: ClaimId(claim), scope: Default::default() }
}

fn ask() -> Command {
    Command::Ask(Ask { key: Some("k".into()), ttl_ns: 4, wait_ns: 3, ..Ask::default() })
}

fn law(witness: &mut Witness, inputs: Vec<Command>, whats: Vec<What>) -> Option<Law> {
    witness.hear(&batch(inputs, whats)).err().map(|broken| broken.law)
}

#[test]
fn each_broken_law_is_named() {
    let claim = ClaimId(1);
    let closed = |ending| What::Closed { claim, ending };
    let drained = |ending| What::Draining { claim, ending };
    for (whats, expected) in [
        (vec![queued(1), granted(1, 5)], None),
        (vec![queued(1), granted(1, 5), granted(1, 6)], Some(Law::Life)),
        (vec![granted(1, 5)], Some(Law::Life)),
        (vec![queued(1), granted(1, 0)], Some(Law::Fence)),
        (vec![queued(1), granted(1, 1 << 40)], Some(Law::Fence)),
        (vec![queued(1), queued(2)], Some(Law::Once)),
        (vec![queued(1), granted(1, 5), drained(Ending::Released), granted(1, 6)], Some(Law::Life)),
        (vec![queued(1), closed(Ending::Cancelled), closed(Ending::Cancelled)], Some(Law::Life)),
        (vec![queued(1), closed(Ending::WaitExpired)], Some(Law::Time)),
        (vec![queued(1), granted(1, 5), drained(Ending::LeaseExpired)], Some(Law::Time)),
        (vec![queued(1), granted(1, 5), What::Attached(claim), closed(Ending::Released)], Some(Law::Proof)),
        (vec![What::Repeated(ClaimId(3))], Some(Law::Once)),
    ] {
        assert_eq!(law(&mut Witness::default(), vec![ask()], whats.clone()), expected, "{whats:?}");
    }
    let cancel = vec![Command::Cancel { claim }];
    assert_eq!(law(&mut Witness::default(), cancel, Vec::new()), Some(Law::Answer));
}

#[test]
fn only_the_token_of_a_lease_does_anything_and_giving_back_works() {
    let claim = ClaimId(1);
    let mut witness = Witness::default();
    assert_eq!(law(&mut witness, vec![ask()], vec![queued(1), granted(1, 5)]), None);
    let release = |fence| vec![Command::Release { claim, fence: Fence(fence) }];
    let gone = vec![What::Closed { claim, ending: Ending::Released }];
    let refused =
        vec![What::Refused(bursar_interface::Refusal::new(bursar_interface::Reason::StaleFence, ""))];
    assert_eq!(law(&mut witness.clone(), release(4), gone.clone()), Some(Law::Stale));
    assert_eq!(law(&mut witness.clone(), release(4), refused.clone()), None);
    assert_eq!(law(&mut witness.clone(), release(5), refused), Some(Law::Release));
    assert_eq!(law(&mut witness.clone(), release(5), gone), None);
    let proof = Proof { evidence: String::new() };
    let reclaimed = vec![Command::Reclaimed { claim, proof, over_limit: false }];
    let closed = vec![What::Attached(claim), What::Closed { claim, ending: Ending::Released }];
    assert_eq!(law(&mut witness, reclaimed, closed), None);
}

#[test]
fn a_restart_gives_one_grace_to_whoever_could_not_renew() {
    let claim = ClaimId(1);
    let mut witness = Witness::default();
    assert_eq!(law(&mut witness, vec![ask()], vec![queued(1), granted(1, 5)]), None);
    let start = || vec![Command::Start { epoch: 1, boot: "b".into(), boottime_ns: 5 }];
    let until = |at| What::Renewed { claim, lease_until: Time(at) };
    assert_eq!(
        law(&mut witness.clone(), start(), vec![What::Started, until(14)]),
        Some(Law::Time),
        "too long"
    );
    assert_eq!(law(&mut witness, start(), vec![What::Started, until(13)]), None);
    assert_eq!(law(&mut witness.clone(), start(), vec![What::Started, until(13)]), Some(Law::Time), "again");
    let renew = vec![Command::Renew { claim, fence: Fence(5), ttl_ns: 0 }];
    assert_eq!(law(&mut witness, renew, vec![until(9)]), None);
    assert_eq!(law(&mut witness.clone(), start(), vec![What::Started, until(13)]), None, "it was renewed");
    let over = What::Draining { claim, ending: Ending::LeaseExpired };
    let late = |whats| Batch { at: Time(9), ..batch(start(), whats) };
    let unheard = witness.clone().hear(&late(vec![What::Started, over])).err().map(|broken| broken.law);
    assert_eq!(unheard, Some(Law::Time), "nobody heard it");
}
