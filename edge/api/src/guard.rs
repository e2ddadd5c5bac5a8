//! Who may come in over TCP: the bearer of a token, from an origin that is not a web page's.
use crate::{
    Peer,
    bearer::{Bearer, Verb, digest},
    denial::Denial,
};
use bursar_interface::Principal;
use hyper::{
    Method, StatusCode,
    header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN},
};
use std::time::SystemTime;

/// As whom somebody was let in.
pub(crate) struct Admitted {
    /// Whom one acts as, if not as the daemon's own user.
    pub(crate) other: Option<(Peer, Principal)>,
    /// The token that was shown: `own`, or how its sha256 begins.
    pub(crate) token: String,
}

/// What a request over TCP must show. A local address alone proves nothing: any web page can reach it.
#[derive(Clone, Debug)]
pub struct Guard {
    /// The secret of `Authorization: Bearer …` with which one is as the daemon's own user; nobody is while it
    /// is empty.
    pub token: String,
    /// Further tokens, each good for less.
    pub bearers: Vec<Bearer>,
    /// Values of the `Host` header that are ours, as `127.0.0.1:8400`.
    pub hosts: Vec<String>,
    /// Whom the bearer of the first one acts as.
    pub peer: Peer,
    /// Whoever comes speaks TLS.
    pub tls: bool,
}

impl Guard {
    /// Lets a request pass, and says whom it is from; or says why not.
    pub(crate) fn admit(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<Admitted, Denial> {
        let host =
            only(headers, HOST)?.ok_or_else(|| Denial::bad("the request has no Host header".into()))?;
        if !self.ours(host) {
            let message = format!("{host:?} is not a name of this daemon");
            return Err(Denial::of(StatusCode::FORBIDDEN, message));
        }
        if let Some(origin) = only(headers, ORIGIN)?
            && !origin.strip_prefix(self.scheme()).is_some_and(|host| self.ours(host))
        {
            let message = format!("requests from {origin:?} are not taken");
            return Err(Denial::of(StatusCode::FORBIDDEN, message));
        }
        let shown = only(headers, AUTHORIZATION)?.and_then(borne).unwrap_or_default();
        if !self.token.is_empty() && same(shown.as_bytes(), self.token.as_bytes()) {
            return Ok(Admitted { other: None, token: "own".into() });
        }
        let (shown, now) = (digest(shown), SystemTime::now());
        let Some(bearer) = self.bearers.iter().find(|bearer| bearer.is(&shown, now)) else {
            let message = "the token is missing, wrong or has run out".to_owned();
            return Err(Denial::of(StatusCode::UNAUTHORIZED, message)
                .hint("send 'Authorization: Bearer TOKEN', or use the unix socket"));
        };
        match bearer.may(Verb::of(method, path)) {
            true => Ok(Admitted { other: Some(bearer.acts_as(&self.peer)), token: bearer.mark() }),
            false => {
                let message = "the token is not good for this".to_owned();
                Err(Denial::of(StatusCode::FORBIDDEN, message)
                    .hint("ask for one with the verb that it needs"))
            }
        }
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https://" } else { "http://" }
    }

    fn ours(&self, host: &str) -> bool {
        self.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host))
    }
}

/// The token of `Bearer TOKEN`. How the scheme is written does not matter (RFC 9110, 11.1).
fn borne(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// The value of a header that may stand there once.
fn only(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Denial> {
    let mut values = headers.get_all(&name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Denial::bad(format!("the header {name} stands twice")));
    }
    first
        .map(|value| value.to_str().map_err(|_| Denial::bad(format!("the header {name} is not plain text"))))
        .transpose()
}

/// Compares in a time that does not tell where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}
