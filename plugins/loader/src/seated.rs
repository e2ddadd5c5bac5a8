//! Who sits where: what was asked for last, by role and name.
use crate::Loader;
use bursar_interface::{Home, Role};

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

    /// Nobody of this name is asked for anything new.
    pub fn forget_seat(&mut self, role: Role, id: &str) {
        self.seated.remove(&(role, id.to_owned()));
    }
}
