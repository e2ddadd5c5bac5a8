//! Connections to the providers, by TLS where their address says so.
use crate::{Error, limits::CONNECT_TIME};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{path::Path, sync::Arc, time::Duration};

/// How long a connection that is not used is kept.
const IDLE: Duration = Duration::from_secs(60);

/// Speaks to every provider.
pub(crate) type Upstream = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client that trusts the host's certificates and those of `ca_file`.
///
/// # Errors
/// [`Error::Tls`] for a file that has none.
pub(crate) fn upstream(ca_file: Option<&Path>) -> Result<Upstream, Error> {
    let mut roots = RootCertStore::empty();
    let native = hyper_rustls::ConfigBuilderExt::with_native_roots;
    let provider = Arc::new(ring::default_provider());
    let builder = || {
        ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Tls(error.to_string()))
    };
    let config = match ca_file {
        None => match native(builder()?) {
            Ok(config) => config.with_no_client_auth(),
            // A host without certificates still reaches providers that need none.
            Err(error) => {
                tracing::warn!(%error, "this host trusts nobody: set ca-file to reach providers by TLS");
                builder()?.with_root_certificates(roots).with_no_client_auth()
            }
        },
        Some(file) => {
            let bad = |why: String| Error::Tls(format!("{}: {why}", file.display()));
            let read = CertificateDer::pem_file_iter(file).map_err(|error| bad(error.to_string()))?;
            for certificate in read {
                let certificate = certificate.map_err(|error| bad(error.to_string()))?;
                roots.add(certificate).map_err(|error| bad(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(bad("there is no certificate in it".into()));
            }
            builder()?.with_root_certificates(roots).with_no_client_auth()
        }
    };
    let mut http = HttpConnector::new();
    http.set_connect_timeout(Some(CONNECT_TIME));
    http.set_nodelay(true);
    http.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    Ok(Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE)
        .pool_timer(TokioTimer::new())
        .build(connector))
}
