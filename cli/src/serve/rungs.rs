//! What the rungs of a preemption come to at the edge: a holder is told by signal, a lease's processes are held
//! still until it goes on or ends. A shrink is a change of size like any other, and is made true as one.
use super::{
    enforcer::Enforcer,
    held::{self, Held},
};
use bursar_interface::{ClaimId, Command, Rung};
use nix::libc::SIGCONT;
use std::time::{Duration, Instant};

/// How long the kernel may take to hold the processes of a lease still: one that waits for a disk does not stop.
const FREEZE_MAX: Duration = Duration::from_secs(5);

impl Enforcer {
    /// Tells attached processes that something is being taken back, as far as they can hear it.
    pub(super) fn tell_holder(&self, claim: ClaimId) {
        if let (Some(signal), Some(held)) = (self.notice, self.leases.get(&claim)) {
            held.watches.iter().for_each(|(_, watch)| watch.tell(signal));
        }
    }

    /// A lease takes a rung.
    pub(super) fn take_rung(&mut self, claim: ClaimId, rung: Rung, needless: bool) {
        match rung {
            _ if needless => {}
            Rung::Told | Rung::Shrunk => self.tell_holder(claim),
            Rung::Suspended => self.hold_still(claim),
        }
    }

    /// Has a lease held still, and says so once it is.
    fn hold_still(&mut self, claim: ClaimId) {
        let Some(held) = self.leases.get_mut(&claim).filter(|held| held.is_bodied() && !held.leaving) else {
            let message = "none of its processes is known here".into();
            return self.mailbox.tell(Command::FreezeFailed { claim, message });
        };
        (held.frozen, held.freezing) = (true, Some(Instant::now()));
        self.freeze_on(claim);
    }

    /// Looks how far those are that are to be held still.
    pub(super) fn go_on_freezing(&mut self) {
        let freezing = self.leases.iter().filter(|(_, held)| held.freezing.is_some());
        let freezing: Vec<ClaimId> = freezing.map(|(&claim, _)| claim).collect();
        freezing.into_iter().for_each(|claim| self.freeze_on(claim));
    }

    fn freeze_on(&mut self, claim: ClaimId) {
        let Some(held) = self.leases.get_mut(&claim) else { return };
        let Some(since) = held.freezing else { return };
        let failed = match held.cell.freeze() {
            Ok(()) if held.cell.is_frozen() => {
                held.freezing = None;
                return self.mailbox.tell(Command::Frozen { claim });
            }
            Ok(()) if since.elapsed() < FREEZE_MAX => return,
            Ok(()) => "some of its processes do not stop".to_owned(),
            Err(error) => error.to_string(),
        };
        self.thaw(claim);
        self.mailbox.tell(Command::FreezeFailed { claim, message: failed });
    }

    /// A lease goes on: with its own limits, and its processes hear of it.
    pub(super) fn resume(&mut self, claim: ClaimId) {
        let limits =
            self.follower.read(|engine| engine.books().claim(claim).map(|row| held::limits(engine, row)));
        let (Some(limits), Some(lease)) = (limits, self.leases.get_mut(&claim)) else { return };
        if let Err(error) = lease.cell.resize(limits) {
            tracing::warn!(%claim, %error, "a lease that goes on has not got its old limits back");
        }
        self.thaw(claim);
        if let Some(held) = self.leases.get(&claim) {
            held.watches.iter().for_each(|(_, watch)| watch.tell(SIGCONT));
        }
    }

    /// Lets processes go on that are held still.
    pub(super) fn thaw(&mut self, claim: ClaimId) {
        let is_still = |held: &&mut Held| held.frozen || held.squeezed;
        let Some(held) = self.leases.get_mut(&claim).filter(is_still) else { return };
        (held.frozen, held.squeezed, held.freezing) = (false, false, None);
        if let Err(error) = held.cell.thaw() {
            tracing::error!(%claim, %error, "the processes of a lease cannot be let go on");
        }
    }

    /// After a restart: who was held still stays so, and who is not to be any more goes on.
    pub(super) fn readopt_frozen(&mut self, claim: ClaimId) {
        let (to_be, known) =
            self.follower.read(|engine| (engine.to_be_frozen(claim), engine.is_frozen(claim)));
        let Some(held) = self.leases.get_mut(&claim) else { return };
        held.frozen = to_be || held.cell.is_frozen();
        match (to_be, known) {
            (true, false) => self.hold_still(claim),
            // Frozen in the books: the kernel kept it so, unless there is no freezer but signals.
            (true, true) => drop(held.cell.freeze()),
            (false, _) => self.thaw(claim),
        }
    }
}
