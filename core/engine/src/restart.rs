//! What a start of the daemon does to the leases that outlived the last one.
use crate::{Engine, engine::Tape};
use bursar_interface::{ClaimId, Ending, Phase, Time, What};

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

    /// Leases that ran out while the daemon was away get one bounded grace, so that their holders
    /// can renew before they are taken.
    fn grace(&mut self, cause: Option<u32>, tape: &mut Tape<'_>) {
        let view = self.books.view();
        let leased = |c: usize| {
            view.claims.id[c] != 0 && matches!(Phase::of(view.claims.phase[c]), Phase::Reserved | Phase::Held)
        };
        let short: Vec<(ClaimId, Time)> = (0..view.claims.len())
            .filter(|&c| leased(c))
            .map(|c| (c, view.at.after(view.claims.ttl[c].min(GRACE_NS))))
            .filter(|&(c, until)| view.claims.lease_until[c] < until.0)
            .map(|(c, until)| (ClaimId(view.claims.id[c]), until))
            .collect();
        for (claim, lease_until) in short {
            self.emit(tape, cause, What::Renewed { claim, lease_until });
        }
    }
}
