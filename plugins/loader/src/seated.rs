//! Who sits where: what was asked for last, by role and name.
use crate::{Health, Loader};
use bursar_interface::{Fault, Home, Role};

impl Loader {
    /// Where the plugin of a name was put when it was last asked for; `None` if it never was.
    pub fn seat_of(&self, role: Role, id: &str) -> Option<Home> {
        self.seated.get(&(role, id.to_owned())).map(|(home, _)| *home)
    }

    /// Exactly which plugin of a name was asked for last, as `name@sha256` or `name@linked`.
    pub fn sits(&self, role: Role, id: &str) -> Option<String> {
        let (_, sum) = self.seated.get(&(role, id.to_owned()))?;
        Some(format!("{id}@{}", sum.as_deref().unwrap_or("linked")))
    }

    /// Names of a role's plugins that were asked for at least once.
    pub fn seated_ids(&self, role: Role) -> Vec<String> {
        self.seated.keys().filter(|(of, _)| *of == role).map(|(_, id)| id.clone()).collect()
    }

    /// Counts a fault that only the host could find against whoever sits there; gives it back, with what follows from
    /// it. `None` for what is linked in, of which nobody counts strikes.
    pub fn blame(&self, role: Role, id: &str, fault: Fault) -> Option<Fault> {
        Some(self.seated_health(role, id)?.count(fault))
    }

    /// Whether whoever sits there is not asked for a while.
    pub fn is_quarantined(&self, role: Role, id: &str) -> bool {
        self.seated_health(role, id).is_some_and(|health| health.quarantined().is_some())
    }

    fn seated_health(&self, role: Role, id: &str) -> Option<&Health> {
        let (_, sum) = self.seated.get(&(role, id.to_owned()))?;
        self.health.get(&(sum.clone()?, role, id.to_owned())).map(|health| &**health)
    }

    /// Nobody of this name is asked for anything new.
    pub fn forget_seat(&mut self, role: Role, id: &str) {
        self.seated.remove(&(role, id.to_owned()));
    }
}
