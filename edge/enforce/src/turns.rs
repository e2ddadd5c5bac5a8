//! Standing still between turns: by the kernel's freezer alone, so that nobody inside notices, and no shell is told
//! of a signal. Without a freezer nobody stands still.
use crate::Cell;
use std::io;

impl Cell {
    /// Has its processes stand still, or go on; `false` where the kernel cannot do that here.
    ///
    /// # Errors
    /// Names the file that could not be written.
    pub fn stand_still(&self, still: bool) -> io::Result<bool> {
        if let Some(group) = self.v2.as_ref().filter(|group| group.has("cgroup.freeze")) {
            return group.write("cgroup.freeze", u32::from(still)).map(|()| true);
        }
        let v1 = self.v1.iter().find(|(controller, _)| *controller == "freezer").map(|(_, group)| group);
        let Some(group) = v1.filter(|group| group.has("freezer.state")) else { return Ok(false) };
        group.write("freezer.state", if still { "FROZEN" } else { "THAWED" }).map(|()| true)
    }
}
