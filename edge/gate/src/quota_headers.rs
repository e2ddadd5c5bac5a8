//! What a provider says of its limits in the headers of its answers.
use crate::{
    config::Shape,
    limits::{PAUSE_DEFAULT, PAUSE_MAX},
};
use hyper::{HeaderMap, StatusCode};
use std::time::Duration;

/// Which of a model's pools a limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Limit {
    Requests,
    Tokens,
    InputTokens,
    OutputTokens,
}

/// All of them, in the order in which a model names its pools.
pub(crate) const LIMITS: [Limit; 4] =
    [Limit::Requests, Limit::Tokens, Limit::InputTokens, Limit::OutputTokens];

/// Limits by minute, as far as the headers tell them.
pub(crate) fn limits(shape: Shape, headers: &HeaderMap) -> [Option<u64>; 4] {
    LIMITS.map(|limit| {
        let name = match (shape, limit) {
            (Shape::Anthropic, Limit::Requests) => "anthropic-ratelimit-requests-limit",
            (Shape::Anthropic, Limit::Tokens) => "anthropic-ratelimit-tokens-limit",
            (Shape::Anthropic, Limit::InputTokens) => "anthropic-ratelimit-input-tokens-limit",
            (Shape::Anthropic, Limit::OutputTokens) => "anthropic-ratelimit-output-tokens-limit",
            (Shape::Openai, Limit::Requests) => "x-ratelimit-limit-requests",
            (Shape::Openai, Limit::Tokens) => "x-ratelimit-limit-tokens",
            (Shape::Openai, _) => return None,
        };
        headers.get(name)?.to_str().ok()?.trim().parse().ok().filter(|&limit| limit > 0)
    })
}

/// How long a refusal says that everybody should wait; `None` if it is no refusal for the sake of a limit.
pub(crate) fn refused(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let after = retry_after(headers);
    match status.as_u16() {
        // 529 is what Anthropic says when it is overloaded.
        429 | 529 => Some(after.unwrap_or(PAUSE_DEFAULT)),
        503 => after,
        _ => None,
    }
}

/// Seconds, or thousandths where a provider is that exact. A date is not read: clocks differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| number("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok().map(|after| after.min(PAUSE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect()
    }

    #[test]
    fn limits_of_each_shape_are_read() {
        let told = headers(&[
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-input-tokens-limit", "40000"),
            ("x-ratelimit-limit-tokens", "9"),
        ]);
        assert_eq!(limits(Shape::Anthropic, &told), [Some(50), None, Some(40_000), None]);
        assert_eq!(limits(Shape::Openai, &told), [None, Some(9), None, None]);
    }

    #[test]
    fn a_refusal_says_for_how_long() {
        let status = |code| StatusCode::from_u16(code).expect("a status");
        let seconds = |text| headers(&[("retry-after", text)]);
        assert_eq!(refused(status(429), &seconds("2")), Some(Duration::from_secs(2)));
        assert_eq!(refused(status(529), &headers(&[])), Some(PAUSE_DEFAULT));
        assert_eq!(
            refused(status(429), &headers(&[("retry-after-ms", "250")])),
            Some(Duration::from_millis(250))
        );
        assert_eq!(refused(status(429), &seconds("Fri, 31 Dec 1999 23:59:59 GMT")), Some(PAUSE_DEFAULT));
        assert_eq!(refused(status(429), &seconds("99999999")), Some(PAUSE_MAX));
        assert_eq!(refused(status(429), &seconds("-1")), Some(PAUSE_DEFAULT));
        assert_eq!(refused(status(503), &seconds("1")), Some(Duration::from_secs(1)));
        assert_eq!(refused(status(503), &headers(&[])), None);
        assert_eq!(refused(status(500), &seconds("1")), None);
        assert_eq!(refused(status(200), &seconds("1")), None);
    }
}
