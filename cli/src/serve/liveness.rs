//! Leases whose processes do nothing any more: told, and ended where the operator says so.
use super::{gauges::Gauges, mail::Mailbox};
use anyhow::{Context, Result};
use bursar_interface::{ClaimId, Command, Time};
use bursar_wire as wire;
use serde::Deserialize;
use std::{collections::BTreeSet, time::Duration};

/// What becomes of a lease that does nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hung {
    /// It is told in the log and by `doctor`.
    #[default]
    Warn,
    /// It is ended.
    Stop,
    /// It is let be.
    Ignore,
}

/// When a lease counts as hung.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Liveness {
    /// How long its processes compute nothing, read nothing and write nothing, as `10m`.
    pub hung_after: String,
    /// What becomes of it then: `warn`, `stop` or `ignore`.
    pub hung: Hung,
}

impl Default for Liveness {
    fn default() -> Self {
        Liveness { hung_after: "10m".into(), hung: Hung::Warn }
    }
}

impl Liveness {
    /// How long is too long.
    ///
    /// # Errors
    /// When it is no time.
    pub fn hung_after(&self) -> Result<Duration> {
        let text = &self.hung_after;
        let after = wire::duration(text).map_err(anyhow::Error::msg);
        after.with_context(|| format!("config: liveness.hung-after {text:?}"))
    }
}

/// Watches for leases that do nothing.
pub struct Watchman {
    policy: Hung,
    after: Duration,
    mailbox: Mailbox,
    /// Those that were told already.
    told: BTreeSet<ClaimId>,
}

impl Watchman {
    /// A watchman for a policy.
    ///
    /// # Errors
    /// When the policy cannot be read.
    pub fn new(liveness: &Liveness, mailbox: Mailbox) -> Result<Watchman> {
        let after = liveness.hung_after()?;
        Ok(Watchman { policy: liveness.hung, after, mailbox, told: BTreeSet::new() })
    }

    /// Looks once, after the gauges have.
    pub fn look(&mut self, gauges: &Gauges, now: Time) {
        let then = now.0.checked_sub(self.after.as_nanos() as u64).map(Time);
        let hung = match (self.policy, then) {
            (Hung::Ignore, _) | (_, None) => Vec::new(),
            (_, Some(then)) => gauges.still_since(then),
        };
        self.told.retain(|claim| hung.iter().any(|(hung, _)| hung == claim));
        for &(claim, since) in &hung {
            if !self.told.insert(claim) {
                continue;
            }
            let seconds = now.0.saturating_sub(since.0) / 1_000_000_000;
            tracing::warn!(%claim, seconds, stop = self.policy == Hung::Stop, "a lease does nothing any more");
            if self.policy == Hung::Stop {
                self.mailbox.tell(Command::Cancel { claim });
            }
        }
        gauges.set_hung(hung);
    }
}
