//! The front door: opens it, serves until a signal, idleness or the desk's end, and closes it in good order.
use super::{
    agents, bearers,
    host::Host,
    settings::{Http, Settings},
    signals::Signals,
};
use anyhow::{Context, Result, bail};
use bursar_api::{Guard, House, Limits, Peer, Tls};
use bursar_interface::{Command, Principal};
use std::{
    convert::Infallible, future::Future, net::TcpListener, os::unix::net::UnixListener, path::Path,
    sync::Arc, time::Duration,
};
use tokio::sync::oneshot;

/// Threads of the front door. A second one would be woken for every other request, only to find that the
/// first has done it: that costs more than it brings, since the desk is one and works beside it when
/// there is much to do.
const DOOR_THREADS: usize = 1;

/// Looks at what may be long, as all claims or many events, that are taken at once.
const LENGTHY_MAX: usize = 4;

/// Binds the socket, and says beside it where this daemon's state lies, unless that is `usual`.
pub(super) fn bound(socket: &Path, state: &Path, usual: Option<&Path>) -> Result<UnixListener> {
    let listener = bursar_api::bind_unix(socket, None)?;
    let usual = usual.and_then(|usual| usual.canonicalize().ok()).is_some_and(|usual| usual == state);
    if let Err(error) = bursar_tenant::write_home(socket, state, usual) {
        tracing::warn!(%error, "who finds no daemon on this socket may start one that has another state");
    }
    Ok(listener)
}

/// Opens the front door, and serves until a signal, idleness or the desk's end.
pub(super) fn door(
    host: &Arc<Host>,
    listener: UnixListener,
    tcp: Option<Tcp>,
    limits: Limits,
    idle: Option<Duration>,
    desk: oneshot::Receiver<Infallible>,
) -> Result<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime =
        runtime.worker_threads(DOOR_THREADS).max_blocking_threads(LENGTHY_MAX).enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let closing = move || {
            let mut stopped = stopped.clone();
            async move {
                // An error means that nobody is left to say stop.
                let _ = stopped.wait_for(|stop| *stop).await;
            }
        };
        let mailbox = host.mailbox.clone();
        tokio::spawn(async move { mailbox.serve().await });
        let rejoin = limits.rejoin;
        // First: whoever reaches the socket may count on the address.
        let tcp = match tcp {
            Some(tcp) => Some(tokio::spawn(serve_tcp(host.clone(), tcp, limits.clone(), closing())?)),
            None => None,
        };
        let unix = tokio::spawn(bursar_api::serve_unix(
            listener,
            host.clone(),
            limits,
            Some(agents::wing(host.settings.limits.refusals_per_minute)),
            closing(),
        ));
        // Without a service manager there is nobody to notify.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        tracing::info!("ready");
        tokio::spawn(part_with_the_missed(host.clone(), rejoin));
        until_end(host, idle, &mut signals, desk).await;
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        stop.send_replace(true);
        unix.await??;
        if let Some(tcp) = tcp {
            tcp.await??;
        }
        Ok(())
    })
}

/// Cancels what waited as the daemon started and nobody came back for, granted meanwhile or not.
async fn part_with_the_missed(host: Arc<Host>, rejoin: Duration) {
    tokio::time::sleep(rejoin).await;
    for claim in host.unattended.missed_by_all() {
        tracing::info!(%claim, "nobody came back for it since the start: it is cancelled");
        let by = Principal { admin: true, ..Principal::default() };
        // Refused only if the claim has ended by itself.
        let _ = host.submit(by, Command::Cancel { claim }).await;
    }
}

/// Resolves when the daemon is to end.
async fn until_end(
    host: &Arc<Host>,
    idle: Option<Duration>,
    signals: &mut Signals,
    desk: oneshot::Receiver<Infallible>,
) {
    tokio::select! {
        () = signals.end(host) => (),
        _ = desk => tracing::info!("nobody decides any more"),
        () = idleness(host, idle) => tracing::info!("nothing to do any more"),
    }
}

/// Resolves when there was nothing to do for so long; never where that is no reason to end.
async fn idleness(host: &Host, idle: Option<Duration>) {
    let Some(idle) = idle else { return std::future::pending().await };
    while u128::from(host.idle_ns()) <= idle.as_nanos() {
        tokio::time::sleep((idle / 4).clamp(Duration::from_millis(50), Duration::from_secs(1))).await;
    }
}

/// Where TCP is served, and to whom.
pub(super) struct Tcp {
    /// As `host:port`.
    address: String,
    /// Others than this machine may come, though nothing is encrypted.
    far: bool,
    /// Whoever shows one of these.
    bearers: Vec<bursar_api::Bearer>,
    /// What is shown to those who come.
    tls: Option<Tls>,
    /// Names by which it may be called.
    hosts: Vec<String>,
}

impl Tcp {
    /// What the settings say of it; nothing where TCP is not served.
    ///
    /// # Errors
    /// Names the key, the token or the file that is wrong.
    pub(super) fn wanted(settings: &Settings) -> Result<Option<Tcp>> {
        let Http { listen, cert, key, hosts, far, .. } = &settings.http;
        let bearers = bearers::bearers(settings)?;
        let tls = match (cert, key) {
            (Some(cert), Some(key)) => Some(Tls::read(cert, key)?),
            (None, None) => None,
            _ => bail!("config: http: a certificate needs its key: set both cert and key"),
        };
        let (address, far, hosts) = (listen.clone(), *far, hosts.clone());
        Ok((!address.is_empty()).then_some(Tcp { address, far, bearers, tls, hosts }))
    }
}

/// Serves TCP to whoever shows the token that lies in the state directory, or one of the config's.
fn serve_tcp(
    host: Arc<Host>,
    Tcp { address, far, bearers, tls, mut hosts }: Tcp,
    limits: Limits,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<impl Future<Output = Result<(), bursar_api::Error>> + Send + 'static> {
    let listener = TcpListener::bind(&address)
        .with_context(|| format!("cannot listen on {address} (http.listen, --http)"))?;
    let local = listener.local_addr()?;
    bearers::allowed(local, far || tls.is_some())?;
    hosts.extend([local.to_string(), format!("localhost:{}", local.port())]);
    let gid = rustix::process::getegid().as_raw();
    let peer = Peer { uid: host.uid, gid, pid: None, unseen: false };
    let wing = agents::wing(host.settings.limits.refusals_per_minute);
    let guard = Guard { token: token(&host.state)?, bearers, hosts, peer, tls: tls.is_some() };
    tracing::info!(%local, tls = tls.is_some(), token = %host.state.join(TOKEN_FILE).display(), "http");
    Ok(async move { bursar_api::serve_tcp(listener, host, limits, guard, tls, Some(wing), stop).await })
}

/// The secret of those who come over TCP.
const TOKEN_FILE: &str = "http-token";

fn token(state: &Path) -> Result<String> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let path = state.join(TOKEN_FILE);
    if let Ok(token) = std::fs::read_to_string(&path) {
        return Ok(token.trim().to_owned());
    }
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    let token = bursar_loader::sha256(&bytes);
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let written = file.and_then(|mut file| writeln!(file, "{token}"));
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(token)
}
