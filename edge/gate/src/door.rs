//! Where callers come in: a bounded number of connections, each with bounded time; only by names that are the
//! gate's own, and from no web page.
use crate::{
    Config, Error,
    answer::{Refused, Reply},
    call::call,
    daemon::Daemon,
    debt::Keeper,
    limits::{BODIES_BYTES_MAX, CONNECTIONS_MAX, FINISH_TIME, HEADER_BYTES_MAX, HEADER_TIME, HEADERS_MAX},
    record::Record,
    settle::Till,
    terms::Terms,
    upstream::{Upstream, upstream},
};
use hyper::{
    HeaderMap, Request, StatusCode,
    body::Incoming,
    header::{HOST, ORIGIN},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest, Sha256};
use std::{
    convert::Infallible,
    future::Future,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

/// The header that a caller's token is in.
const TOKEN: &str = "x-bursar-token";
/// The header that may name a scope, where the path does not.
const SCOPE: &str = "x-bursar-scope";

/// Everything that a call needs.
pub(crate) struct Gate {
    pub(crate) terms: Arc<Terms>,
    pub(crate) daemon: Arc<Daemon>,
    pub(crate) keeper: Keeper,
    pub(crate) upstream: Upstream,
    pub(crate) till: Till,
    /// Bytes of bodies that may be kept.
    pub(crate) bodies: Arc<Semaphore>,
    hosts: Vec<String>,
}

/// A gate that is open.
pub struct Door {
    /// Where callers connect.
    pub address: SocketAddr,
    listener: TcpListener,
    gate: Arc<Gate>,
    telling: JoinHandle<()>,
}

/// Opens a gate to the daemon on `socket`. `far` allows an address that others than this machine reach, for
/// callers with tokens. In the file `record` it writes down which pools it has cut, and finds there what one before it
/// left cut; without it that does not outlive a gate that is killed.
///
/// # Errors
/// [`Error`] names what is wrong.
pub async fn open(config: &Config, socket: &Path, far: bool, record: Option<&Path>) -> Result<Door, Error> {
    let terms = Arc::new(Terms::read(config)?);
    let listen = |source| Error::Listen { address: config.listen.clone(), source };
    let listener = TcpListener::bind(&config.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let guarded = far && !terms.callers.is_empty();
    if !address.ip().is_loopback() && !guarded {
        return Err(Error::Config(format!(
            "listen: {address} is reached from elsewhere, and keys would pass in the clear; listen on \
             127.0.0.1, or say --far and name [[gate.caller]]s"
        )));
    }
    let daemon = Arc::new(Daemon::new(socket));
    let (till, telling) = Till::open(daemon.clone());
    let telling = tokio::spawn(telling);
    let upstream = upstream(config.ca_file.as_deref())?;
    let bodies = Arc::new(Semaphore::new(BODIES_BYTES_MAX));
    let hosts = config.hosts.clone();
    let keeper = Keeper { daemon: daemon.clone(), record: Record::open(record) };
    for cascade in terms.cascades() {
        keeper.take_up(&cascade).await;
    }
    let gate = Arc::new(Gate { terms, daemon, keeper, upstream, till, bodies, hosts });
    Ok(Door { address, listener, gate, telling })
}

impl Door {
    /// Serves until `stop`; then calls in flight have some time to end, and what they came to is told.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Door { listener, gate, telling, .. } = self;
        let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let (closing, closed) = watch::channel(false);
        tokio::pin!(stop);
        loop {
            let seat = tokio::select! {
                biased;
                () = &mut stop => break,
                seat = seats.clone().acquire_owned() => seat,
            };
            let Ok(seat) = seat else { break };
            let stream = tokio::select! {
                biased;
                () = &mut stop => break,
                accepted = listener.accept() => accepted,
            };
            match stream {
                Ok((stream, _)) => drop(tokio::spawn(connection(gate.clone(), stream, seat, closed.clone()))),
                // Out of files, or the peer has left: the next one may fare better.
                Err(error) => {
                    tracing::warn!(%error, "nobody can be let in");
                    sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        let _ = closing.send(true);
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        let _ = timeout(FINISH_TIME, seats.acquire_many(all)).await;
        for cascade in gate.terms.cascades() {
            gate.keeper.restore(&cascade).await;
        }
        // The last of the slots goes with the gate, and the telling with the last slot.
        drop(gate);
        let _ = timeout(FINISH_TIME, telling).await;
    }
}

async fn connection(
    gate: Arc<Gate>,
    stream: TcpStream,
    seat: OwnedSemaphorePermit,
    mut closing: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |request| {
        let gate = gate.clone();
        async move { Ok::<Reply, Infallible>(answer(gate, request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    let connection = http.serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    let stop = tokio::select! {
        // A caller that breaks off is its own affair.
        _ = &mut connection => false,
        stop = closing.wait_for(|&closing| closing) => stop.is_ok(),
    };
    if stop {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
    drop(seat);
}

async fn answer(gate: Arc<Gate>, request: Request<Incoming>) -> Reply {
    if let Err(refused) = gate.lets_in(request.headers()) {
        return refused.reply(None);
    }
    match request.uri().path() {
        "/healthz" => {
            Refused { kind: "ok".into(), ..Refused::new(StatusCode::OK, "the gate is open") }.reply(None)
        }
        _ => call(gate, request).await,
    }
}

impl Gate {
    /// No web page, and no name that somebody else's name server may have given this machine.
    fn lets_in(&self, headers: &HeaderMap) -> Result<(), Refused> {
        if headers.contains_key(ORIGIN) {
            return Err(Refused::new(StatusCode::FORBIDDEN, "bursar: web pages do not call here"));
        }
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        match is_own(host) || self.hosts.iter().any(|own| own == name_of(host)) {
            true => Ok(()),
            false => Err(Refused::new(
                StatusCode::FORBIDDEN,
                "bursar: the gate has no such name; add it to [gate] hosts",
            )),
        }
    }

    /// The scope of a caller: what its token stands for, and below that what it names.
    pub(crate) fn scope(&self, path: &str, headers: &HeaderMap) -> Result<String, Refused> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let root = match (self.terms.callers.is_empty(), header(TOKEN)) {
            (true, _) => self.terms.scope.as_str(),
            (false, token) => {
                let digest: [u8; 32] = Sha256::digest(token.unwrap_or_default()).into();
                let known = self.terms.callers.get(&digest);
                known.ok_or_else(|| {
                    let why = format!("bursar: no caller has this token; send yours as {TOKEN}");
                    Refused::new(StatusCode::UNAUTHORIZED, why)
                })?
            }
        };
        let named = if path.is_empty() { header(SCOPE).unwrap_or_default() } else { path };
        let parts = [root, named.trim_matches('/')].into_iter().filter(|part| !part.is_empty());
        Ok(parts.collect::<Vec<_>>().join("/"))
    }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether a host is an address, which no name server gives, or this machine's own name.
fn is_own(host: &str) -> bool {
    let name = name_of(host).trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_known_with_and_without_a_port() {
        for own in ["localhost", "localhost:4141", "127.0.0.1:1", "[::1]:4141", "[::1]"] {
            assert!(is_own(own), "{own}");
        }
        for foreign in
            ["", "evil.example", "evil.example:4141", "localhost.evil.example", "127.0.0.1.nip.io:80"]
        {
            assert!(!is_own(foreign), "{foreign}");
        }
        assert_eq!(name_of("gate.internal:80"), "gate.internal");
    }
}
