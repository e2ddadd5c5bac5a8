//! What a provider says of its limits in the headers of its answers.
use crate::{
    config::Shape,
    limits::{PAUSE_DEFAULT, PAUSE_MAX},
};
use hyper::{HeaderMap, StatusCode};
use std::time::{Duration, SystemTime};

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

/// Seconds, thousandths where a provider is that exact, or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name: &str| text(name)?.parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| number("retry-after"));
    let after = match seconds {
        Some(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        None => until(text("retry-after")?, text("date")),
    };
    after.map(|after| after.min(PAUSE_MAX))
}

/// From when an answer says that it was made, for clocks differ, until a date; `None` if that is over.
fn until(date: &str, made: Option<&str>) -> Option<Duration> {
    let made = made.and_then(|made| httpdate::parse_http_date(made).ok()).unwrap_or_else(SystemTime::now);
    httpdate::parse_http_date(date).ok()?.duration_since(made).ok().filter(|after| !after.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
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
        let seconds = |text: &str| headers(&[("retry-after", text)]);
        assert_eq!(refused(status(429), &seconds("2")), Some(Duration::from_secs(2)));
        assert_eq!(refused(status(529), &headers(&[])), Some(PAUSE_DEFAULT));
        assert_eq!(
            refused(status(429), &headers(&[("retry-after-ms", "250")])),
            Some(Duration::from_millis(250))
        );
        assert_eq!(refused(status(429), &seconds("Fri, 31 Dec 1999 23:59:59 GMT")), Some(PAUSE_DEFAULT));
        let dated = |until: &str, made: &str| headers(&[("retry-after", until), ("date", made)]);
        let made = "Fri, 31 Dec 1999 23:59:29 GMT";
        for (until, after) in [
            ("Fri, 31 Dec 1999 23:59:59 GMT", Duration::from_secs(30)),
            ("Friday, 31-Dec-99 23:59:39 GMT", Duration::from_secs(10)),
            (made, PAUSE_DEFAULT),
            ("Mon, 31 Dec 2001 00:00:00 GMT", PAUSE_MAX),
            ("tomorrow", PAUSE_DEFAULT),
        ] {
            assert_eq!(
                refused(status(429), &dated(until, made)),
                Some(after),
                "{until}, whatever our clock says"
            );
        }
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(600));
        let after = refused(status(503), &dated(&soon, "no date")).expect("a pause");
        assert!(after > Duration::from_secs(500) && after <= Duration::from_secs(600), "{after:?}");
        assert_eq!(refused(status(429), &seconds("99999999")), Some(PAUSE_MAX));
        assert_eq!(refused(status(429), &seconds("-1")), Some(PAUSE_DEFAULT));
        assert_eq!(refused(status(503), &seconds("1")), Some(Duration::from_secs(1)));
        assert_eq!(refused(status(503), &headers(&[])), None);
        assert_eq!(refused(status(500), &seconds("1")), None);
        assert_eq!(refused(status(200), &seconds("1")), None);
    }
}
