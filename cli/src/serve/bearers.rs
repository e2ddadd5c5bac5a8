//! Tokens of the config, and where they may be asked for.
use super::Settings;
use anyhow::{Result, anyhow, bail};
use bursar_api::{Bearer, Verb};
use bursar_interface::check_scope;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, time::SystemTime};

/// A token that lets its bearer in over TCP, for less than the daemon's own.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Token {
    /// sha256 (hex) of the secret; `bursar token` makes both.
    pub sha256: String,
    /// The scope that its bearer acts in; empty for the root.
    pub scope: String,
    /// `read`, `claim`, `operate`.
    pub verbs: Vec<String>,
    /// When it runs out, as `2027-01-31T00:00:00Z`.
    pub expires: Option<String>,
}

/// The tokens of the config.
///
/// # Errors
/// Names the token and what is wrong with it.
pub fn bearers(settings: &Settings) -> Result<Vec<Bearer>> {
    let read = |(number, token): (usize, &Token)| {
        bearer(token).map_err(|error| anyhow!("config: token {}: {error}", number + 1))
    };
    settings.token.iter().enumerate().map(read).collect()
}

fn bearer(token: &Token) -> Result<Bearer> {
    let mut digest = [0; 32];
    let text = token.sha256.as_bytes();
    if text.len() != 64 || !text.iter().all(u8::is_ascii_hexdigit) {
        bail!("sha256: write 64 hexadecimal digits, as `bursar token` prints them");
    }
    for (byte, pair) in digest.iter_mut().zip(text.chunks(2)) {
        *byte = u8::from_str_radix(&String::from_utf8_lossy(pair), 16)?;
    }
    let verbs = rights(&token.scope, &token.verbs)?;
    let until = token.expires.as_deref().map(|text| {
        let at: jiff::Timestamp = text
            .parse()
            .map_err(|_| anyhow!("expires: {text:?} is no time; write it as 2027-01-31T00:00:00Z"))?;
        Ok::<_, anyhow::Error>(SystemTime::from(at))
    });
    Ok(Bearer { digest, scope: token.scope.clone(), verbs, until: until.transpose()? })
}

/// What a token is good for that would be good for these verbs in this scope.
///
/// # Errors
/// Says why its bearer would not be let in.
pub fn rights(scope: &str, verbs: &[String]) -> Result<Vec<Verb>> {
    check_scope(scope).map_err(|refusal| anyhow!("scope: {}; {}", refusal.message, refusal.hint))?;
    let verb = |name: &String| {
        Verb::named(name)
            .ok_or_else(|| anyhow!("verbs: there is no {name:?}; there are read, claim, operate"))
    };
    let verbs = verbs.iter().map(verb).collect::<Result<Vec<Verb>>>()?;
    if verbs.contains(&Verb::Operate) && !scope.is_empty() {
        bail!("verbs: operate is for the root; leave it out, or the scope");
    }
    Ok(verbs)
}

/// Whether TCP may be served at an address: beyond this machine only for who says so, because nothing is
/// encrypted.
///
/// # Errors
/// Says what would be right.
pub fn allowed(local: SocketAddr, far: bool) -> Result<()> {
    if !local.ip().is_loopback() && !far {
        bail!(
            "{local} is reached from elsewhere, and tokens would pass in the clear; speak TLS with --tls-cert and \
             --tls-key, listen on 127.0.0.1 behind a proxy that does, or say --far"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(sha256: &str, scope: &str, verbs: &[&str], expires: Option<&str>) -> Token {
        let verbs = verbs.iter().map(|verb| (*verb).to_owned()).collect();
        Token { sha256: sha256.into(), scope: scope.into(), verbs, expires: expires.map(str::to_owned) }
    }

    #[test]
    fn what_is_wrong_with_a_token_is_named() {
        let sound = "ab".repeat(32);
        let read = bearer(&token(&sound, "a", &["read", "claim"], Some("2027-01-31T00:00:00Z")));
        assert_eq!(read.expect("sound").digest, [0xab; 32]);
        for (token, told) in [
            (token("abc", "a", &["read"], None), "64 hexadecimal"),
            (token(&sound, "a", &["rule"], None), "\"rule\""),
            (token(&sound, "a", &["operate"], None), "for the root"),
            (token(&sound, "a//b", &["read"], None), "\"a//b\" is no scope"),
            (token(&sound, "a", &["read"], Some("soon")), "\"soon\""),
        ] {
            let error = bearer(&token).expect_err(told).to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn beyond_this_machine_only_for_who_says_so() {
        let at = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert!(allowed(at("127.0.0.1:1"), false).is_ok() && allowed(at("[::1]:1"), false).is_ok());
        assert!(allowed(at("0.0.0.0:1"), false).is_err() && allowed(at("10.0.0.1:1"), false).is_err());
        assert!(allowed(at("0.0.0.0:1"), true).is_ok());
    }
}
