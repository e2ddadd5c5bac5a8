//! What stands in a request's path, query and headers.
use crate::{denial::Denial, house::Known};
use axum::extract::Query;
use bursar_interface::{ClaimId, bound::KEY_BYTES_MAX};
use bursar_wire as wire;
use hyper::{Uri, header::HeaderMap};
use serde::{Deserialize, de::DeserializeOwned};
use std::time::Duration;

/// Rows on a page when nobody says.
pub(crate) const ROWS_DEFAULT: usize = 200;
/// The longest wait that one request may ask for.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// `?wait=30s`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patience {
    wait: Option<String>,
}

/// `?wait=30s&taking=none&pressed=none`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Watch {
    wait: Option<String>,
    taking: Option<String>,
    pressed: Option<String>,
}

/// `?since=SEQ&limit=N`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    since: Option<String>,
    limit: Option<String>,
}

/// `?after=KEY&limit=N`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    after: Option<String>,
    limit: Option<String>,
}

/// From which sequence on and how many rows, if that is said.
pub(crate) fn since(uri: &Uri) -> Result<(Option<u64>, Option<usize>), Denial> {
    let Since { since, limit } = of(uri)?;
    Ok((figure("since", since)?, rows(limit)?))
}

/// The page that is asked for: of all rows, if none is.
pub(crate) fn page<L: wire::List>(uri: &Uri, rows_of: impl FnOnce() -> Vec<L::Row>) -> Result<L, Denial> {
    let Page { after, limit } = of(uri)?;
    let limit = rows(limit)?;
    if after.is_none() && limit.is_none() {
        return Ok(L::of(rows_of(), None));
    }
    let read = |text: &String| {
        text.parse().map_err(|_| {
            Denial::bad(format!("after: {text:?} is none of these rows"))
                .hint("say the `next` of the page before")
        })
    };
    let after = after.as_ref().map(read).transpose()?;
    Ok(L::page(rows_of(), after.as_ref(), limit.unwrap_or(wire::PAGE_MAX)))
}

/// A whole number as it stands in a query.
fn figure(key: &str, text: Option<String>) -> Result<Option<u64>, Denial> {
    let read = |text: String| {
        text.parse().map_err(|_| {
            Denial::bad(format!("{key}: {text:?} is no whole number from 0 to 2^64 - 1"))
                .hint(format!("write digits only, as in {key}=100"))
        })
    };
    text.map(read).transpose()
}

fn rows(limit: Option<String>) -> Result<Option<usize>, Denial> {
    match figure("limit", limit)? {
        Some(0) => {
            Err(Denial::bad("limit: a page has one row at least".into()).hint("leave it out, or say more"))
        }
        limit => Ok(limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX).min(wire::PAGE_MAX))),
    }
}

/// A claim as it stands in a path.
pub(crate) fn claim(id: &str) -> Result<ClaimId, Denial> {
    id.parse().map(ClaimId).map_err(|_| {
        Denial::bad(format!("{id:?} is no claim")).hint("claims are numbers, as in /v1/claims/17")
    })
}

/// How long the caller wants to wait, if it says so; cut to a day.
pub(crate) fn wait(uri: &Uri) -> Result<Option<Duration>, Denial> {
    let Patience { wait } = of(uri)?;
    patience(wait)
}

/// The same for whoever looks at a claim; and what of it is being taken back as far as the caller knows, if it
/// waits for that to be another thing, or for what the lease feels of memory that runs short to be another.
pub(crate) fn watch(uri: &Uri) -> Result<(Option<Duration>, Option<Known>), Denial> {
    let Watch { wait, taking, pressed } = of(uri)?;
    let known = |key: &str, word: Option<&String>, words: &[&str]| match word {
        Some(word) if !words.contains(&word.as_str()) => {
            let hint = format!("one of {}", words.join(", "));
            Err(Denial::bad(format!("{key}: there is no {word:?}")).hint(hint))
        }
        _ => Ok(()),
    };
    known("taking", taking.as_ref(), &wire::TAKING)?;
    known("pressed", pressed.as_ref(), &wire::PRESSED)?;
    let known = (taking.is_some() || pressed.is_some()).then_some(Known { taking, pressed });
    Ok((patience(wait)?, known))
}

fn patience(wait: Option<String>) -> Result<Option<Duration>, Denial> {
    let parse = |text: String| {
        let parsed = bursar_wire::duration(&text);
        parsed.map(|wait| wait.min(WAIT_MAX)).map_err(|why| Denial::bad(format!("wait: {why}")))
    };
    wait.map(parse).transpose()
}

/// The query as `T`, where every key is known.
pub(crate) fn of<T: DeserializeOwned>(uri: &Uri) -> Result<T, Denial> {
    Query::try_from_uri(uri).map(|Query(query)| query).map_err(|error| {
        let text = error.body_text();
        let why = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
        Denial::bad(format!("the query cannot be read: {why}"))
            .hint("/v1/openapi.json says what can be asked there")
    })
}

/// The idempotency key, if there is one.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, Denial> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (value.to_str(), values.next()) {
        (_, Some(_)) => {
            Err(Denial::bad("there are two Idempotency-Key headers".into())
                .hint("send one: an ask has one key"))
        }
        (Ok(key), _) if !key.is_empty() && key.len() <= KEY_BYTES_MAX => Ok(Some(key.to_owned())),
        _ => Err(Denial::bad("the Idempotency-Key header is no key".into())
            .hint(format!("use 1 to {KEY_BYTES_MAX} printable ASCII characters"))),
    }
}
