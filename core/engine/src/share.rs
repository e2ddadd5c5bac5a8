//! Rules of sharing: whoever decided them, the books judge them before they are kept.
use crate::{Engine, admit::bad, engine::Tape};
use bursar_interface::{Command, Fault, Offer, Refusal, Role, Row, What};

impl Engine {
    /// Takes rules over, if there is such a pool and they are lawful for it.
    pub(crate) fn set_share(
        &mut self,
        cause: Option<u32>,
        tape: &mut Tape<'_>,
        told: &Command,
    ) -> Result<(), Refusal> {
        let Command::Share { resource, node, pool, offer, fault, .. } = told else { return Ok(()) };
        let row = self.pool_told(resource, node.as_deref(), pool)?;
        self.check_offer(row, offer.as_ref())?;
        self.emit(tape, cause, What::Shared);
        if let Some(fault) = fault {
            self.tell_sharing_fault(tape, fault);
        }
        Ok(())
    }

    fn tell_sharing_fault(&mut self, tape: &mut Tape<'_>, fault: &Fault) {
        self.emit(tape, None, What::PluginFault { role: Role::Sharing, fault: fault.clone() });
    }

    fn pool_told(&self, resource: &str, node: Option<&str>, pool: &str) -> Result<Row, Refusal> {
        let known = self.books.resource(resource).and_then(|kind| self.books.pool_on(kind, node, pool));
        match known {
            Some(row) => Ok(row),
            None => bad(&format!("there is no pool {resource}:{pool} to share"), "see `bursar get pools`"),
        }
    }

    fn check_offer(&self, pool: Row, offer: Option<&Offer>) -> Result<(), Refusal> {
        let Some(offer) = offer else { return Ok(()) };
        if !self.books.shareable(pool) {
            return bad(
                "what is spent, or springs from its name, is not shared by rules",
                "bound it by a quota",
            );
        }
        let capacity = self.books.tables().pools.capacity[pool as usize];
        match offer.lawful(capacity) {
            Ok(()) => Ok(()),
            Err(why) => bad(&why, "offer what there is, and more of it only to those who do not insist"),
        }
    }

    /// The fold of rules.
    pub(crate) fn fold_share(&mut self, told: &Command) {
        let Command::Share { resource, node, pool, offer, .. } = told else { return };
        if let Ok(row) = self.pool_told(resource, node.as_deref(), pool) {
            self.books.offer_by(row, *offer);
            self.supply_changed();
        }
    }
}
