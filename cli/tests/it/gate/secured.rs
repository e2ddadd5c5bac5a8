//! A provider that is reached by TLS: only one whose certificate an authority gave that the gate trusts, and nothing is
//! sent to any other.
use super::{
    Gate, await_spent, config, message,
    provider::{Provider, Says},
    used,
};
use crate::daemon::Daemon;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{path::PathBuf, sync::Arc};

/// Made for these tests; they hold for a hundred years, and their authority's key is gone.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/gate/tls").join(name)
}

fn provider() -> Provider {
    let chain = CertificateDer::pem_file_iter(file("provider.pem")).expect("a file");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(file("provider-key.pem")).expect("a key");
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("some are safe");
    let config = builder.with_no_client_auth().with_single_cert(chain, key).expect("they belong together");
    Provider::secured(Arc::new(config), |heard| match heard.json()["stream"].as_bool() {
        Some(true) => {
            let text = "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10}}}\n\n\
                        data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":20}}\n\n\
                        data: {\"type\":\"message_stop\"}\n\n";
            Says::Stream(text.as_bytes().chunks(11).map(<[u8]>::to_vec).collect(), std::time::Duration::ZERO)
        }
        _ => Says::Document(200, Vec::new(), used(40, 7)),
    })
}

/// The config of a gate that trusts an authority, with the provider's address at `host`.
fn at(provider: &Provider, host: &str, authority: &str) -> String {
    let trust = format!("ca-file = {:?}", file(authority));
    let plain = format!("http://{}", provider.address);
    config(provider, &trust).replace(&plain, &format!("https://{host}:{}", provider.address.port()))
}

#[test]
fn a_provider_is_reached_by_tls_and_settled_as_any_other() {
    let provider = provider();
    let daemon = Daemon::configured(&at(&provider, "127.0.0.1", "authority.pem"));
    let gate = Gate::beside(&daemon, &[]);
    let answer = gate.call("/anthropic/v1/messages", &message(10));
    assert_eq!((answer.status, answer.whole), (200, true), "{answer:?}\n{}", gate.log());
    let first = 40 * 3 + 7 * 15;
    await_spent(&daemon, "usd", first);
    let mut streamed = message(10);
    streamed["stream"] = true.into();
    let answer = gate.call("/anthropic/v1/messages", &streamed);
    assert_eq!((answer.status, answer.whole), (200, true), "{answer:?}");
    await_spent(&daemon, "usd", first + 10 * 3 + 20 * 15);
    assert!(provider.heard()[0].head.contains("x-api-key: k"), "the key went to whom it is for");
}

#[test]
fn nothing_is_sent_to_a_provider_that_is_not_who_it_should_be() {
    let provider = provider();
    // Another authority's certificate, and a name that is not in it.
    for (host, authority) in [("127.0.0.1", "another.pem"), ("localhost", "authority.pem")] {
        let daemon = Daemon::configured(&at(&provider, host, authority));
        let gate = Gate::beside(&daemon, &[]);
        let answer = gate.call("/anthropic/v1/messages", &message(10));
        assert_eq!(answer.status, 502, "{host} {authority}: {answer:?}");
        assert_eq!(provider.heard().len(), 0, "{host} {authority}");
        // It cost nothing: nobody was reached.
        await_spent(&daemon, "usd", 0);
    }
}
