//! Many operations in one request: what they cost beyond themselves is paid once.
use crate::{
    AskBody, ClaimAnswer, Problem, RenewBody, SettleBody, SizeBody, UsedBody, sizes,
    text::{Digits, FenceDigits},
};
use bursar_interface::{ClaimId, Command, Fence, Reason, Refusal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Operations in one batch at most.
pub const OPERATIONS_MAX: usize = bursar_interface::bound::BATCH_MAX;

/// `POST /v1/batch`: operations that enter the engine in their order, at one moment where they fit into one of
/// its batches: what they give back is there for what they ask for, wherever in the list it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchBody {
    /// One at least, [`OPERATIONS_MAX`] at most.
    pub operations: Vec<Operation>,
}

/// One operation of a batch: what the request of the same name does. A batch does not wait: an ask that may
/// wait has to detach, and is answered as it stands then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "most are asks: a box for each costs more than the room")]
pub enum Operation {
    /// `POST /v1/claims`.
    Ask(AskBody),
    /// `POST /v1/claims/{id}/renew`.
    Renew {
        /// Which claim.
        #[serde(with = "Digits")]
        id: u64,
        /// The lease's token.
        #[serde(with = "FenceDigits")]
        fence: Fence,
        /// From now on; what was asked for at first if it is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl: Option<String>,
    },
    /// `POST /v1/claims/{id}/settle`.
    Settle {
        /// Which claim.
        #[serde(with = "Digits")]
        id: u64,
        /// The lease's token.
        #[serde(with = "FenceDigits")]
        fence: Fence,
        /// What was used, by kind.
        used: Vec<UsedBody>,
    },
    /// `POST /v1/claims/{id}/extend`. Where an edge has to make it true, the answer does not wait for that.
    Extend {
        /// Which claim.
        #[serde(with = "Digits")]
        id: u64,
        /// The lease's token.
        #[serde(with = "FenceDigits")]
        fence: Fence,
        /// What the lease is to hold then.
        lines: Vec<SizeBody>,
    },
    /// `POST /v1/claims/{id}/shrink`, as for `extend`.
    Shrink {
        /// Which claim.
        #[serde(with = "Digits")]
        id: u64,
        /// The lease's token.
        #[serde(with = "FenceDigits")]
        fence: Fence,
        /// What the lease is to hold then.
        lines: Vec<SizeBody>,
    },
    /// `POST /v1/claims/{id}/release`.
    Release {
        /// Which claim.
        #[serde(with = "Digits")]
        id: u64,
        /// The lease's token.
        #[serde(with = "FenceDigits")]
        fence: Fence,
    },
    /// `POST /v1/claims/{id}/cancel`.
    Cancel {
        /// Which claim.
        #[serde(with = "Digits")]
        id: u64,
    },
}

/// What the operations of a batch came to, in their order.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct BatchAnswer {
    /// As many as there were operations.
    pub answers: Vec<Outcome>,
}

/// What one operation came to.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Outcome {
    /// It was carried out.
    Done(Box<ClaimAnswer>),
    /// It was refused; the others were not, for that.
    Refused(Problem),
}

impl TryFrom<Operation> for Command {
    type Error = Refusal;

    fn try_from(operation: Operation) -> Result<Command, Refusal> {
        Ok(match operation {
            Operation::Ask(body) if body.wait.is_some() && !body.detach => {
                return Err(Refusal::new(Reason::BadRequest, "an ask in a batch does not wait").hint(
                    "add \"detach\": true and look with GET /v1/claims/ID?wait=30s, or ask by itself",
                ));
            }
            Operation::Ask(body) if body.pid.is_some() => {
                return Err(Refusal::new(Reason::BadRequest, "an ask in a batch attaches no process")
                    .hint("attach it with POST /v1/claims/ID/attach, or ask by itself"));
            }
            Operation::Ask(body) => Command::Ask(body.try_into()?),
            Operation::Renew { id, fence, ttl } => {
                let ttl_ns = RenewBody { fence, ttl }.ttl_ns()?;
                Command::Renew { claim: ClaimId(id), fence, ttl_ns }
            }
            Operation::Settle { id, fence, used } => {
                let used = SettleBody { fence, used }.used()?;
                Command::Settle { claim: ClaimId(id), fence, used }
            }
            Operation::Extend { id, fence, lines } => {
                Command::Extend { claim: ClaimId(id), fence, to: sizes(&lines)? }
            }
            Operation::Shrink { id, fence, lines } => {
                Command::Shrink { claim: ClaimId(id), fence, to: sizes(&lines)? }
            }
            Operation::Release { id, fence } => Command::Release { claim: ClaimId(id), fence },
            Operation::Cancel { id } => Command::Cancel { claim: ClaimId(id) },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(json: &str) -> Result<Command, String> {
        let operation: Operation = serde_json::from_str(json).map_err(|error| error.to_string())?;
        operation.try_into().map_err(|refusal: Refusal| refusal.to_string())
    }

    #[test]
    fn an_operation_reads_as_its_request_does() {
        let release = command(r#"{"release":{"id":"7","fence":"9"}}"#);
        assert_eq!(release, Ok(Command::Release { claim: ClaimId(7), fence: Fence(9) }));
        let renew = command(r#"{"renew":{"id":7,"fence":9,"ttl":"2s"}}"#);
        assert_eq!(renew, Ok(Command::Renew { claim: ClaimId(7), fence: Fence(9), ttl_ns: 2_000_000_000 }));
        let shrink = command(r#"{"shrink":{"id":7,"fence":9,"lines":[{"resource":"memory","amount":"5"}]}}"#);
        assert!(matches!(shrink, Ok(Command::Shrink { to, .. }) if to[0].amount == 5));
        let ask = r#"{"ask":{"key":"once","lines":[{"resource":"cpu","amount":"1"}]}}"#;
        assert!(matches!(command(ask), Ok(Command::Ask(ask)) if ask.key.as_deref() == Some("once")));
    }

    #[test]
    fn a_wrong_operation_names_what_is_wrong() {
        for (json, told) in [
            (r#"{"steal":{"id":"7"}}"#, "steal"),
            (r#"{"release":{"id":"7","fence":"9","colour":1}}"#, "colour"),
            (r#"{"release":{"fence":"9"}}"#, "id"),
            (r#"{"cancel":{"id":"seven"}}"#, "seven"),
            (r#"{"extend":{"id":"7","fence":"9"}}"#, "lines"),
            (r#"{"ask":{"lines":[],"wait":"1s"}}"#, "does not wait"),
            (r#"{"renew":{"id":"7","fence":"9","ttl":"soon"}}"#, "ttl"),
        ] {
            let error = command(json).expect_err(json);
            assert!(error.contains(told), "{error}");
        }
    }
}
