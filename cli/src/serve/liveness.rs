//! Leases whose processes do nothing any more, and those whose memory leaks: told, and the former ended where the
//! operator says so.
use super::{
    analysis::{Board, Found},
    follower::Follower,
    gauges::Gauges,
    mail::Mailbox,
};
use anyhow::{Context, Result};
use bursar_interface::{ClaimId, Command, Measure, Severity, Time};
use bursar_wire as wire;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// Under which name the findings stand.
const SELF: &str = "gauges";

/// What becomes of a lease that does nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Hung {
    /// It is a finding.
    #[default]
    Warn,
    /// It is ended.
    Stop,
    /// It is let be.
    Ignore,
}

/// When a lease counts as hung.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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

/// Tells of leases that leak or do nothing any more, as findings, and ends the latter where that is the policy.
pub struct Watchman {
    policy: Hung,
    after: Duration,
    mailbox: Mailbox,
    board: Arc<Board>,
    follower: Arc<Follower>,
    /// Those that were ended already.
    ended: BTreeSet<ClaimId>,
}

impl Watchman {
    /// A watchman for a policy.
    ///
    /// # Errors
    /// When the policy cannot be read.
    pub fn new(
        liveness: &Liveness,
        mailbox: Mailbox,
        board: Arc<Board>,
        follower: Arc<Follower>,
    ) -> Result<Watchman> {
        let (policy, after) = (liveness.hung, liveness.hung_after()?);
        Ok(Watchman { policy, after, mailbox, board, follower, ended: BTreeSet::new() })
    }

    /// Looks once, after the gauges have.
    pub fn look(&mut self, gauges: &Gauges, now: Time) {
        let then = now.0.checked_sub(self.after.as_nanos() as u64).map(Time);
        let hung = match (self.policy, then) {
            (Hung::Ignore, _) | (_, None) => Vec::new(),
            (_, Some(then)) => gauges.still_since(then),
        };
        self.ended.retain(|claim| hung.iter().any(|(hung, _)| hung == claim));
        let leaks = gauges.leaks().into_iter().map(|(claim, slope)| self.leaks(claim, slope));
        let still = hung.iter().map(|&(claim, since)| self.hangs(claim, now.0.saturating_sub(since.0)));
        let found = leaks.chain(still).collect();
        let noted = self.board.found(SELF, now, found);
        if !noted.is_empty() {
            self.mailbox.tell(Command::Find(noted));
        }
        for (claim, _) in hung {
            if self.policy == Hung::Stop && self.ended.insert(claim) {
                tracing::warn!(%claim, "a lease that does nothing any more is ended");
                self.mailbox.tell(Command::Cancel { claim });
            }
        }
    }

    fn leaks(&self, claim: ClaimId, slope: u64) -> Found {
        let evidence = vec![Measure { name: "growth_bytes_per_second".into(), value: slope }];
        let advice = "its memory grows evenly and does not stop: look for what it keeps, or give it an end";
        self.found("leak", claim, evidence, advice)
    }

    fn hangs(&self, claim: ClaimId, still_ns: u64) -> Found {
        let evidence = vec![Measure { name: "still_ms".into(), value: still_ns / 1_000_000 }];
        let advice =
            "its processes compute, read and write nothing: see what they wait for, or end the claim";
        self.found("hung", claim, evidence, advice)
    }

    fn found(&self, kind: &str, claim: ClaimId, evidence: Vec<Measure>, advice: &str) -> Found {
        let scope = self.follower.read(|engine| {
            let books = engine.books();
            let row = books.claim(claim)?;
            Some(books.scope_path(books.tables().claims.scope[row as usize]).to_string())
        });
        let (kind, subject, advice) = (kind.to_owned(), format!("claim {claim}"), advice.to_owned());
        Found { kind, subject, severity: Severity::Warning, evidence, advice, scope }
    }
}
