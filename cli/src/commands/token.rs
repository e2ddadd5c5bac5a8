//! `bursar token`: a secret for somebody, and the digest of it for the config. Nothing keeps the secret.
use super::{
    Context,
    outcome::{Failed, Outcome},
    show,
};
use crate::{
    args::{Output, Token},
    serve::rights,
};
use serde_json::json;
use std::time::{Duration, SystemTime};

/// Times are written to the second.
const SHORTEST: Duration = Duration::from_secs(1);

/// `bursar token`.
pub fn token(context: &Context, token: &Token) -> Outcome {
    rights(&token.scope, &token.verbs).map_err(|error| Failed::usage(error.to_string()))?;
    let ttl = token.ttl.as_deref().map(bursar_wire::duration).transpose();
    let ttl = ttl.map_err(|why| Failed::usage(format!("--ttl: {why}")))?;
    if ttl.is_some_and(|ttl| ttl < SHORTEST) {
        return Err(Failed::usage("--ttl: such a token has run out before it is shown; write 1s or more"));
    }
    let until = ttl.map(|ttl| jiff::Timestamp::try_from(SystemTime::now() + ttl)).transpose();
    let until = until.map_err(|error| Failed::usage(format!("--ttl: {error}")))?;
    let expires = until.map(|until| until.round(jiff::Unit::Second).unwrap_or(until).to_string());
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(std::io::Error::from)?;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let secret = hex(&bytes);
    let sha256 = hex(&bursar_api::digest(&secret));
    if context.output != Output::Table {
        let document = json!({ "token": secret, "sha256": sha256, "scope": token.scope, "verbs": token.verbs,
            "expires": expires });
        show::document(&document, context.output);
        return Ok(());
    }
    println!("# for its bearer, and nobody else: {secret}");
    let (scope, verbs) = (toml::Value::from(token.scope.as_str()), toml::Value::from(token.verbs.clone()));
    println!("[[token]]\nsha256 = \"{sha256}\"\nscope = {scope}\nverbs = {verbs}");
    if let Some(expires) = expires {
        println!("expires = \"{expires}\"");
    }
    Ok(())
}
