//! The two transports: standard input and output, and requests under a path of the daemon's door.
use crate::{Daemon, Server, limits::REQUEST_BYTES_MAX};
use rmcp::{
    ServiceExt,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService,
        streamable_http_server::session::never::NeverSessionManager,
    },
};
use std::{io, sync::Arc};

/// Serves HTTP requests, each by itself.
pub type Http<D> = StreamableHttpService<Server<D>, NeverSessionManager>;

/// What serves HTTP requests: streamable, without sessions, in every revision of the protocol. Whose `Host`
/// and `Origin` are welcome, and who is who, is for the door to say.
pub fn http<D: Daemon>(server: Server<D>) -> Http<D> {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(REQUEST_BYTES_MAX)
        .disable_allowed_hosts();
    StreamableHttpService::new(move || Ok(server.clone()), Arc::new(NeverSessionManager::default()), config)
}

/// Serves standard input and output until the other end closes them.
///
/// # Errors
/// When the two ends cannot agree on how to begin.
pub async fn stdio<D: Daemon>(server: Server<D>) -> io::Result<()> {
    let serving = server.serve(rmcp::transport::stdio_pipes()).await.map_err(io::Error::other)?;
    serving.waiting().await.map_err(io::Error::other)?;
    Ok(())
}
