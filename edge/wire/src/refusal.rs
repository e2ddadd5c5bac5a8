//! One table from reason to HTTP status and exit code, and a refusal as it stands in JSON.
use crate::words::ReasonWord;
use bursar_interface::{Reason, Refusal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Exit code of a failure that has no better one.
pub const EXIT_FAILED: u8 = 1;
/// Exit code when no daemon can be reached.
pub const EXIT_UNREACHABLE: u8 = 5;

/// The table: HTTP status and exit code (1 failed, 2 bad usage, 3 not found, 4 refused).
fn numbers(reason: Reason) -> (u16, u8) {
    match reason {
        Reason::BadRequest => (400, 2),
        Reason::Forbidden => (403, 4),
        Reason::UnknownResource | Reason::UnknownClaim | Reason::NotFound => (404, 3),
        Reason::StaleFence | Reason::HeldByOther | Reason::Cordoned | Reason::Deadlock => (409, 4),
        Reason::InsufficientCapacity | Reason::Fragmented | Reason::WaitingForGang => (409, 4),
        Reason::InUse => (409, 4),
        Reason::InsufficientQuota | Reason::BudgetExhausted | Reason::PreemptionPending => (409, 4),
        Reason::LeaseExpired => (410, 4),
        Reason::NeverFits => (422, 4),
        Reason::RateLimited | Reason::QueueFull | Reason::FanOut => (429, 4),
        Reason::WaitExpired => (408, 4),
        Reason::StorageFull => (507, 4),
        Reason::Stopping => (503, 4),
        Reason::PluginFailed => (502, EXIT_FAILED),
    }
}

/// The HTTP status of a refusal.
pub fn status(reason: Reason) -> u16 {
    numbers(reason).0
}

/// The exit code of a refusal.
pub fn exit_code(reason: Reason) -> u8 {
    numbers(reason).1
}

/// The reason of a name, as it stands in answers.
pub fn reason(name: &str) -> Option<Reason> {
    Reason::ALL.iter().copied().find(|reason| reason.name() == name)
}

/// `{"error": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What was refused and why.
    pub error: ErrorBody,
}

/// What was refused, why, what would be right, and when to come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// Why, in a word.
    #[schemars(with = "ReasonWord")]
    pub reason: String,
    /// Names the input and what is wrong with it.
    pub message: String,
    /// What would be right.
    pub hint: String,
    /// When trying again may help, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl ErrorBody {
    /// The exit code that goes with it; [`EXIT_FAILED`] for a reason that is not known here.
    pub fn exit_code(&self) -> u8 {
        reason(&self.reason).map_or(EXIT_FAILED, exit_code)
    }
}

impl From<Refusal> for ErrorBody {
    fn from(Refusal { reason, message, hint, retry_ns }: Refusal) -> ErrorBody {
        let retry_after_ms = retry_ns.map(|after| after.div_ceil(1_000_000));
        ErrorBody { reason: reason.name().into(), message, hint, retry_after_ms }
    }
}

impl std::fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, " ({})", self.hint) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_refusing_status_and_a_contract_exit_code() {
        for &reason in Reason::ALL {
            assert!((400..=507).contains(&status(reason)), "{reason}");
            assert!((1..=4).contains(&exit_code(reason)), "{reason}");
            assert_eq!(super::reason(reason.name()), Some(reason));
        }
        assert_eq!(super::reason("NoSuchReason"), None);
    }

    #[test]
    fn every_reason_has_a_hint_of_its_own_and_none_can_be_taken_away() {
        let hint = |reason: &Reason| ErrorBody::from(Refusal::new(*reason, "no").hint("").after(None)).hint;
        let mut hints: Vec<String> = Reason::ALL.iter().map(hint).collect();
        assert!(hints.iter().all(|hint| hint.len() > 10), "{hints:?}");
        hints.sort();
        hints.dedup();
        assert_eq!(hints.len(), Reason::ALL.len());
    }

    #[test]
    fn a_refusal_reads_as_a_sentence() {
        let body = ErrorBody::from(Refusal::new(Reason::NeverFits, "99 cpu").hint("ask for less"));
        assert_eq!((body.to_string().as_str(), body.exit_code()), ("NeverFits: 99 cpu (ask for less)", 4));
    }
}
