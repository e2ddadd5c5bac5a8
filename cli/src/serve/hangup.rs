//! What SIGHUP means to a daemon: the end, where it has a terminal, which was closed then; nothing, where whoever
//! started it arranged that it outlives its terminal; otherwise that it looks again at what lies in its folders.
use super::host::Host;
use bursar_interface::Principal;
use bursar_wire::PluginOrder;
use std::{fs::File, future::pending, sync::Arc};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signal, and what it means.
pub(super) struct Hangup {
    signal: Option<Signal>,
    ends: bool,
}

impl Hangup {
    /// As this process was started.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn new() -> std::io::Result<Hangup> {
        let signal = if is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Hangup { signal, ends: File::open("/dev/tty").is_ok() })
    }

    /// Resolves when the terminal was closed. All that the signal asks for until then is done on the way.
    pub(super) async fn closed(&mut self, host: &Arc<Host>) {
        let Some(signal) = &mut self.signal else { return pending().await };
        while signal.recv().await.is_some() {
            if self.ends {
                return;
            }
            let by = Principal { admin: true, ..Principal::default() };
            match host.steer(&by, PluginOrder::Reload {}).await {
                Ok(()) => tracing::info!("looked again at what lies in the folders, as SIGHUP asks"),
                Err(refusal) => tracing::warn!(%refusal, "SIGHUP asks for what cannot be taken into use"),
            }
        }
        pending().await
    }
}

/// Whether SIGHUP is ignored by this process, as under `nohup`.
fn is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = 1 << (rustix::process::Signal::HUP.as_raw() - 1);
    mask.is_some_and(|mask| mask & bit != 0)
}
