//! The form of what is written down: the one place that tells which encodings can be read here.
//!
//! Postcard has no names in it: bytes of another form may be read without an error, as something else. So every
//! row and every checkpoint says in which form it is. Only states in [`WRITTEN`] are read, and batches also in those
//! forms before it in which they were the same. Whoever changes what postcard sees of a [`Batch`] or of the engine's
//! state raises the number; the test below goes red when the first is forgotten.
use crate::Error;
use bursar_interface::Batch;
use std::path::Path;

/// The form in which batches and states are written, and the only one of a state that is read.
pub(crate) const WRITTEN: u32 = 5;
/// Batches have been the same since this form.
const BATCHES_SINCE: u32 = 4;

/// Refuses a batch in a form that cannot be read here; `seq` is where it was found.
pub(crate) fn known_batch(path: &Path, seq: u64, found: u32) -> Result<(), Error> {
    known(path, seq, found, (BATCHES_SINCE..=WRITTEN).contains(&found))
}

/// As [`known_batch`], of a state.
pub(crate) fn known_state(path: &Path, seq: u64, found: u32) -> Result<(), Error> {
    known(path, seq, found, found == WRITTEN)
}

fn known(path: &Path, seq: u64, found: u32, read: bool) -> Result<(), Error> {
    match read {
        true => Ok(()),
        false => Err(Error::Form { path: path.into(), seq, found, known: WRITTEN }),
    }
}

/// Writes a batch in the present form over what is in `blob`.
pub(crate) fn encode(batch: &Batch, mut blob: Vec<u8>) -> Vec<u8> {
    blob.clear();
    // Postcard fails on sequences of unknown length, and a batch has none.
    postcard::to_extend(batch, blob).expect("a batch can be encoded")
}

/// Reads a batch in the present form; in words what is wrong with it otherwise.
pub(crate) fn decode(blob: &[u8]) -> Result<Batch, String> {
    match postcard::take_from_bytes(blob) {
        Ok((batch, [])) => Ok(batch),
        Ok((_, rest)) => Err(format!("{} bytes follow the batch", rest.len())),
        Err(error) => Err(format!("the batch cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{BATCHES_SINCE, WRITTEN, encode};
    use bursar_interface::{
        Ask, Batch, Change, Command, Event, FanOutSpec, Fence, Input, LineAsk, NodeChange, NodeSpec,
        PoolChange, PoolSpec, PreemptionPolicy, Principal, Proof, QuotaChange, QuotaSpec, Refusal, ScopeSpec,
        Setting, Time, What,
    };

    /// Each form that there ever was, with the checksum of [`sample`] in it.
    const FORMS: [(u32, u32); 5] =
        [(1, 1_845_188_244), (2, 1_021_516_580), (3, 1_665_186_543), (4, 3_149_921_666), (5, 3_149_921_666)];

    /// A batch with something of everything that has a default, so that a new field shows.
    fn sample() -> Batch {
        let claim = Default::default();
        let ask = Ask { lines: vec![LineAsk::default()], ..Ask::default() };
        let commands = vec![
            Command::Start { epoch: 1, boot: "boot".into(), boottime_ns: 2 },
            Command::SetNode(NodeSpec::default()),
            Command::SetPool(PoolSpec::default()),
            Command::SetScope(ScopeSpec::default()),
            Command::SetQuota(QuotaSpec::default()),
            Command::Ask(ask),
            Command::Release { claim, fence: Fence(3) },
            Command::Reclaimed { claim, proof: Proof::default(), over_limit: false },
            Command::SetFanOut(FanOutSpec::default()),
            Command::Tick,
            Command::Apply(vec![
                Setting::Pool(PoolChange::default()),
                Setting::Scope(ScopeSpec::default()),
                Setting::Quota(QuotaChange::default()),
                Setting::Node(NodeChange::default()),
                Setting::RemoveQuota { scope: "a".into(), resource: "b".into() },
                Setting::RemovePool { resource: "c".into(), node: None, name: "d".into() },
            ]),
            Command::SetPreemption(PreemptionPolicy::default()),
            Command::Measured { claim, usage: Default::default() },
        ];
        let refusal = Refusal::new(bursar_interface::Reason::NeverFits, "why");
        let events = [
            What::Started,
            What::Refused(refusal),
            What::Attached(claim),
            What::Swapped,
            What::Applied(vec![Change::Created, Change::Changed, Change::Unchanged, Change::Removed]),
            What::Leaving { claim, until: Time(6) },
        ];
        Batch {
            first_seq: 4,
            at: Time(5),
            inputs: commands.into_iter().map(|body| Input { by: Principal::default(), body }).collect(),
            events: events.into_iter().map(|what| Event { cause: Some(0), what }).collect(),
        }
    }

    #[test]
    fn whoever_changes_the_form_says_so() {
        let sum = crc32c::crc32c(&encode(&sample(), Vec::new()));
        let (form, known) = FORMS[FORMS.len() - 1];
        assert_eq!(
            (form, known),
            (WRITTEN, sum),
            "what postcard sees of a batch has changed: raise WRITTEN and add a line to FORMS"
        );
        let alike = FORMS.iter().filter(|(form, _)| *form >= BATCHES_SINCE);
        assert!(
            alike.clone().all(|(_, of)| *of == sum),
            "batches have not been the same since BATCHES_SINCE"
        );
    }
}
