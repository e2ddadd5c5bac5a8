//! What goes on while the journal's disk is full: what gives back, and nothing that grows. The room that is kept for
//! that is not for those who ask in vain.
use bursar_interface::{Batch, Command, NodeState, Reason, Refusal, Setting, What};

/// Takes out of a letter what would grow the state, and says of each which place it had.
pub fn take_growth(bodies: &mut Vec<Command>) -> Vec<usize> {
    let grown: Vec<usize> = (0..bodies.len()).filter(|&at| grows(&bodies[at])).collect();
    bodies.retain(|body| !grows(body));
    grown
}

/// Whether nothing was done with a batch: then there is nothing to write down.
pub fn is_idle(batch: &Batch) -> bool {
    batch.events.iter().all(|event| matches!(event.what, What::Refused(_) | What::Repeated(_)))
}

fn grows(body: &Command) -> bool {
    matches!(
        body,
        Command::Ask(_)
            | Command::Attach { .. }
            | Command::Extend { .. }
            | Command::SetNode(_)
            | Command::SetPool(_)
            | Command::SetQuota(_)
            | Command::SetScope(_)
            | Command::SetFanOut(_)
            | Command::SetPreemption(_)
            | Command::SetResource(_)
    ) || matches!(body, Command::Apply(settings) if !settings.iter().all(closes))
}

/// Whether a setting only takes a node out of use: that gives back.
fn closes(setting: &Setting) -> bool {
    matches!(setting, Setting::Node(node) if node.state != NodeState::Open)
}

/// Nothing that grows is taken while the disk is full.
pub fn storage_full() -> Refusal {
    Refusal::new(Reason::StorageFull, "the journal's disk is full; nothing was changed")
        .hint("free space on the disk of the state directory; releases still work")
}

/// Not even what gives back can be written down.
pub fn no_room_left() -> Refusal {
    Refusal::new(
        Reason::StorageFull,
        "the journal's disk is full, and what was kept for releases is used up; nothing was changed",
    )
    .hint("free space on the disk of the state directory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_interface::{Ask, ClaimId, Event, Fence, Time};

    #[test]
    fn of_a_letter_only_what_grows_is_taken_out() {
        let release = |claim| Command::Release { claim: ClaimId(claim), fence: Fence(1) };
        let mut bodies =
            vec![release(1), Command::Ask(Ask::default()), release(2), Command::Ask(Ask::default())];
        assert_eq!(take_growth(&mut bodies), [1, 3]);
        assert_eq!(bodies, [release(1), release(2)]);
        assert!(take_growth(&mut bodies).is_empty());
    }

    #[test]
    fn what_was_refused_is_nothing_that_was_done() {
        let batch = |what: &[What]| Batch {
            first_seq: 1,
            at: Time(1),
            inputs: Vec::new(),
            events: what.iter().map(|what| Event { cause: None, what: what.clone() }).collect(),
        };
        assert!(is_idle(&batch(&[])));
        assert!(is_idle(&batch(&[What::Refused(storage_full()), What::Repeated(ClaimId(1))])));
        assert!(!is_idle(&batch(&[What::Refused(storage_full()), What::Enforced(ClaimId(1))])));
    }
}
