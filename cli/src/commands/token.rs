//! `bursar token`: a secret for somebody, and the digest of it for the config. Nothing keeps the secret.
use super::{
    Context,
    outcome::{Failed, Outcome},
    show,
};
use crate::args::{Output, Token};
use serde_json::json;
use std::time::SystemTime;

/// `bursar token`.
pub fn token(context: &Context, token: &Token) -> Outcome {
    if token.verbs.iter().any(|verb| bursar_api::Verb::named(verb).is_none()) {
        return Err(Failed::usage(format!("{:?}: there are read, claim and operate", token.verbs)));
    }
    let ttl = token.ttl.as_deref().map(bursar_wire::duration).transpose().map_err(Failed::usage)?;
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
    println!("[[token]]\nsha256 = \"{sha256}\"\nscope = {:?}\nverbs = {:?}", token.scope, token.verbs);
    if let Some(expires) = expires {
        println!("expires = \"{expires}\"");
    }
    Ok(())
}
