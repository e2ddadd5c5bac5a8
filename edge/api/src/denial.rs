//! A request that is not granted, as `application/problem+json` with the contract's `error` member.
use axum::response::{IntoResponse, Response};
use bursar_interface::{Reason, Refusal};
use bursar_wire as wire;
use hyper::{
    StatusCode,
    header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The media type of a denial.
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
/// When to come back to a house that is full or about to close.
const SOON: Duration = Duration::from_secs(1);
/// When to come back to a disk that is full.
const LATER: Duration = Duration::from_secs(5);

/// Why a request is not granted, what would be right, and when to come back.
#[derive(Debug)]
pub(crate) struct Denial {
    status: StatusCode,
    reason: Reason,
    message: String,
    hint: String,
    retry_after: Option<Duration>,
    closing: bool,
    /// What would be granted in its stead.
    offers: Vec<wire::Change>,
}

/// A refusal as RFC 9457 has it, with the contract's own members.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Refusal")]
pub(crate) struct Told<'a> {
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong, naming the input.
    detail: String,
    #[serde(flatten)]
    problem: wire::Problem,
    /// What would be granted in its stead.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    would_admit: &'a [wire::Change],
}

/// What is wrong with requests that never get as far as the engine, with the status that says it: beside those that
/// stand for reasons.
pub(crate) const BEFORE: [(StatusCode, &str); 10] = [
    (StatusCode::UNAUTHORIZED, "no token that is good"),
    (StatusCode::NOT_FOUND, "nothing is at that path"),
    (StatusCode::METHOD_NOT_ALLOWED, "that is not done there"),
    (StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
    (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
    (StatusCode::URI_TOO_LONG, "the path is too long"),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body is no JSON, or packed"),
    (StatusCode::EXPECTATION_FAILED, "the Expect header cannot be met"),
    (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too long or too many"),
    (StatusCode::INTERNAL_SERVER_ERROR, "a bug"),
];

/// Goes with the answer to a refusal, for those who write it down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Why(pub(crate) Reason);

impl Denial {
    /// A malformed request.
    pub(crate) fn bad(message: String) -> Denial {
        Denial::of(StatusCode::BAD_REQUEST, message)
    }

    /// A request that is malformed in the way that `status` says.
    pub(crate) fn of(status: StatusCode, message: String) -> Denial {
        let reason = reason(status);
        Denial {
            status,
            reason,
            message,
            hint: reason.hint().into(),
            retry_after: None,
            closing: false,
            offers: Vec::new(),
        }
    }

    /// A handler broke.
    pub(crate) fn bug() -> Denial {
        let message = "the request met a bug; the daemon lives on".to_owned();
        Denial::of(StatusCode::INTERNAL_SERVER_ERROR, message).hint("see the daemon's log, and report it")
    }

    /// No connection is free.
    pub(crate) fn full_house() -> Denial {
        let message = "too many connections".to_owned();
        Denial { closing: true, ..Denial::busy(message).hint("close some, or try again later") }
    }

    /// The daemon is about to stop.
    pub(crate) fn closing_time() -> Denial {
        let refusal =
            Refusal::new(Reason::Stopping, "the daemon is stopping").hint("ask again when it is back");
        Denial { retry_after: Some(spread(SOON)), ..Denial::from(refusal) }
    }

    /// Nothing is taken at the moment.
    pub(crate) fn busy(message: String) -> Denial {
        Denial::from(Refusal::new(Reason::QueueFull, message))
    }

    /// No claims are taken, whatever the reason: who spreads requests looks at the status.
    pub(crate) fn unready(why: Refusal) -> Denial {
        Denial { status: StatusCode::SERVICE_UNAVAILABLE, ..Denial::from(why) }
    }

    /// No such claim, or none that this caller may see.
    pub(crate) fn no_claim(id: impl std::fmt::Display) -> Denial {
        Denial::from(
            Refusal::new(Reason::UnknownClaim, format!("there is no claim {id}"))
                .hint("see `bursar get claims`"),
        )
    }

    /// Adds what would be right.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Denial {
        self.hint = hint.into();
        self
    }

    /// Adds what would be granted in its stead, the first of it in words.
    pub(crate) fn offering(self, offers: Vec<wire::Change>) -> Denial {
        let hint = match offers.first() {
            Some(first) => {
                format!("this would be granted now: {}; or wait for it with --wait 30s", first.options)
            }
            None => self.hint.clone(),
        };
        Denial { offers, hint, ..self }
    }

    /// The connection is of no use after this.
    pub(crate) fn closing(mut self) -> Denial {
        self.closing = true;
        self
    }

    /// Status and reason, for those who write it down.
    pub(crate) fn verdict(&self) -> (StatusCode, Option<Reason>) {
        (self.status, Some(self.reason))
    }

    /// What of it is ours.
    pub(crate) fn problem(&self) -> wire::Problem {
        wire::Problem {
            error: wire::ErrorBody {
                reason: self.reason.name().into(),
                message: self.message.clone(),
                hint: self.hint.clone(),
                retry_after_ms: self.retry_after.map(in_ms),
            },
        }
    }

    /// What would be granted in its stead.
    pub(crate) fn into_offers(self) -> Vec<wire::Change> {
        self.offers
    }

    /// The JSON of it.
    pub(crate) fn json(&self) -> String {
        let told = Told {
            title: self.status.canonical_reason().unwrap_or("Refused"),
            status: self.status.as_u16(),
            detail: self.message.clone(),
            problem: self.problem(),
            would_admit: &self.offers,
        };
        serde_json::to_string(&told).expect("strings and numbers always become JSON")
    }

    /// The whole answer as bytes, for one who never got as far as HTTP.
    pub(crate) fn raw(&self) -> Vec<u8> {
        let body = self.json();
        let title = self.status.canonical_reason().unwrap_or("Refused");
        let retry =
            self.retry_seconds().map_or(String::new(), |seconds| format!("retry-after: {seconds}\r\n"));
        format!(
            "HTTP/1.1 {} {title}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n{retry}connection: close\r\n\r\n{body}",
            self.status.as_u16(),
            body.len()
        )
        .into_bytes()
    }

    #[cfg(test)]
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether something was asked for that is not there now: less of it, or otherwise, may be.
    pub(crate) fn wants(&self) -> bool {
        use Reason::*;
        matches!(
            self.reason,
            InsufficientQuota
                | InsufficientCapacity
                | Fragmented
                | BudgetExhausted
                | RateLimited
                | HeldByOther
                | WaitExpired
        )
    }

    /// Whole seconds, never too early.
    fn retry_seconds(&self) -> Option<u64> {
        self.retry_after.map(|after| after.as_millis().div_ceil(1000) as u64)
    }
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Denial {
        let Refusal { reason, message, hint, retry_ns } = refusal;
        let retry_after = match reason {
            _ if retry_ns.is_some() => retry_ns.map(Duration::from_nanos),
            // A rate that is told without a time comes back with none.
            Reason::QueueFull => Some(spread(SOON)),
            Reason::StorageFull => Some(spread(LATER)),
            _ => None,
        };
        let status = StatusCode::from_u16(wire::status(reason)).expect("the table holds statuses only");
        Denial { status, reason, message, hint, retry_after, closing: false, offers: Vec::new() }
    }
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.json()).into_response();
        response.extensions_mut().insert(Why(self.reason));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM);
        if let Some(seconds) = self.retry_seconds() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.closing {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// The reason that goes with a status which none stands for.
pub(crate) fn reason(status: StatusCode) -> Reason {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Reason::Forbidden,
        _ => Reason::BadRequest,
    }
}

/// Whole milliseconds, never too early.
fn in_ms(after: Duration) -> u64 {
    after.as_nanos().div_ceil(1_000_000) as u64
}

/// Between one and two times as long, so that those who were sent away together do not come back
/// together.
fn spread(least: Duration) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_micros());
    least + least * (now % 1000) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_to_come_back_is_made_up_only_where_any_moment_may_do() {
        let told = |reason| Denial::from(Refusal::new(reason, "no")).problem().error.retry_after_ms;
        assert_eq!(told(Reason::RateLimited), None);
        assert!(told(Reason::QueueFull).is_some_and(|ms| (1000..=2000).contains(&ms)));
        let exact = Refusal::new(Reason::RateLimited, "no").after(Some(1_500_001));
        assert_eq!(Denial::from(exact).problem().error.retry_after_ms, Some(2));
    }
}
