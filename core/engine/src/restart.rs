//! What a start of the daemon does to the leases that outlived the last one.
use crate::{Engine, engine::Tape};
use bursar_interface::{ClaimId, Ending, Phase, Row, What, canary};

/// What a lease gets at most after a restart, in nanoseconds (30 s).
const GRACE_NS: u64 = 30_000_000_000;

impl Engine {
    /// A new epoch begins. After a reboot no attached process lives, so their leases end; the others
    /// get time to be renewed in.
    pub(crate) fn restart(&mut self, cause: Option<u32>, tape: &mut Tape<'_>, boot: &str) {
        let rebooted = !self.boot.is_empty() && self.boot != boot;
        self.emit(tape, cause, What::Started);
        if rebooted {
            self.lose_processes(cause, tape);
        }
        self.grace(cause, tape);
    }

    /// The daemon goes on after it was held up: to those who could not reach it that is as a restart.
    pub(crate) fn wake(&mut self, cause: Option<u32>, tape: &mut Tape<'_>) {
        self.emit(tape, cause, What::Woken);
        self.grace(cause, tape);
    }

    fn lose_processes(&mut self, cause: Option<u32>, tape: &mut Tape<'_>) {
        // Those within first: what ended them is the reboot, and not what is around them.
        let bodied: Vec<ClaimId> = self.bodies.keys().rev().copied().collect();
        for claim in bodied {
            let live = self.books.claim(claim).is_some_and(|row| self.books.phase(row) < Phase::Draining);
            if live {
                self.drain(cause, tape, claim, Ending::Rebooted);
            }
        }
    }

    /// Leases that ran out while the daemon was away get one bounded grace, so that their holders can renew before
    /// they are taken; so do those with less than half of it left, because whoever renews halfway may have been
    /// turned away and come again too late. None gets a second one before it is renewed.
    fn grace(&mut self, cause: Option<u32>, tape: &mut Tape<'_>) {
        let (claims, now) = (&self.books.tables().claims, self.books.at());
        let leased = |c: &usize| {
            claims.id[*c] != 0 && matches!(Phase::of(claims.phase[*c]), Phase::Reserved | Phase::Held)
        };
        let in_need = |c: &usize| claims.lease_until[*c] < now.after(grace_ns(claims.ttl[*c]) / 2).0;
        let mut short: Vec<ClaimId> = (0..claims.len())
            .filter(|c| leased(c) && in_need(c))
            .filter(|&c| !self.books.in_grace(c as Row) || canary!("every restart gives a grace"))
            .map(|c| ClaimId(claims.id[c]))
            .collect();
        // Whoever is around another one came before it, and nobody outlasts whoever is around.
        short.sort_unstable();
        for claim in short {
            let Some(row) = self.books.claim(claim) else { continue };
            let claims = &self.books.tables().claims;
            let until = now.after(grace_ns(claims.ttl[row as usize]));
            let lease_until = self.no_longer_than_parent(row, until);
            if lease_until.0 > self.books.tables().claims.lease_until[row as usize] {
                self.emit(tape, cause, What::Renewed { claim, lease_until });
            }
        }
    }
}

/// The grace of a lease that a renewal makes so much longer, both in nanoseconds.
fn grace_ns(ttl_ns: u64) -> u64 {
    ttl_ns.min(GRACE_NS)
}
