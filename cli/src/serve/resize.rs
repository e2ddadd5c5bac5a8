//! A lease at the edge that is to hold more or less: the kernel's limits change first, then its drivers hear
//! of it, and only when all of that is true do the books. What fails leaves the old size in force.
use super::{enforcer::Enforcer, held};
use bursar_interface::{ClaimId, Command, Fault};

impl Enforcer {
    /// Makes a change true that was decided.
    pub(super) fn resize(&mut self, claim: ClaimId) {
        let wanted = self.follower.read(|engine| {
            let row = engine.books().claim(claim)?;
            engine.resizing(claim)?;
            Some((held::limits(engine, row), held::driven(engine, row)))
        });
        // It may have ended, or be true, by the time this is heard.
        let Some((limits, driven)) = wanted else { return };
        let Some(lease) = self.leases.get_mut(&claim) else { return self.tell_resized(claim, Ok(())) };
        if lease.leaving {
            return;
        }
        let lowered = if lease.is_bodied() { lease.cell.resize(limits) } else { Ok(()) };
        if let Err(error) = lowered {
            self.tell_resized(claim, Err(error.to_string()));
            return;
        }
        if lease.driven == driven {
            self.tell_resized(claim, Ok(()));
            return;
        }
        lease.before = std::mem::replace(&mut lease.driven, driven);
        lease.resizing = true;
        self.enforce_driven(claim);
    }

    /// A driver has heard of the new size.
    pub(super) fn resize_driven(&mut self, claim: ClaimId, result: Result<(), Fault>) {
        let Some(lease) = self.leases.get_mut(&claim) else { return };
        let done = lease.outstanding == 0;
        match result {
            Ok(()) if !done => {}
            Ok(()) => self.tell_resized(claim, Ok(())),
            Err(fault) => self.undo_resize(claim, fault.to_string()),
        }
    }

    /// The old size is in force again, as far as drivers take it back.
    fn undo_resize(&mut self, claim: ClaimId, why: String) {
        let books = self.follower.read(|engine| {
            let row = engine.books().claim(claim)?;
            Some(held::limits_before(engine, row))
        });
        let Some(lease) = self.leases.get_mut(&claim) else { return };
        lease.driven = std::mem::take(&mut lease.before);
        if let (Some(limits), true) = (books, lease.is_bodied())
            && let Err(error) = lease.cell.resize(limits)
        {
            tracing::warn!(%claim, %error, "a lease has not got its old limits back");
        }
        self.tell_resized(claim, Err(why));
        self.enforce_driven(claim);
    }

    fn tell_resized(&mut self, claim: ClaimId, done: Result<(), String>) {
        if let Some(lease) = self.leases.get_mut(&claim) {
            lease.resizing = false;
        }
        self.mailbox.tell(match done {
            Ok(()) => Command::Resized { claim },
            Err(message) => Command::ResizeFailed { claim, message },
        });
    }
}
