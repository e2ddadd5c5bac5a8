//! What the kernel can do for a cell when memory runs short: drop the files that it keeps in memory, and slow down
//! processes that want more. Each has its form on v1 and v2, or cannot be had: `unavailable` says why.
use crate::{Cell, Hierarchy};
use std::io;

/// A cell of which nothing limits memory.
const NO_GROUP: &str = "its memory has no group of the kernel's";

impl Cell {
    /// Has the kernel drop up to so many bytes of what it can; v1 knows no amount and drops all it can. Says how
    /// many bytes less there are, as measured.
    ///
    /// # Errors
    /// `Unsupported` where the kernel has no way to do so; names the file that could not be written.
    pub fn drop_files(&self, bytes: u64) -> io::Result<u64> {
        if let Some(group) = self.v2_group("memory").filter(|group| group.has("memory.reclaim")) {
            let before = group.number("memory.current").unwrap_or(0);
            match group.write("memory.reclaim", bytes) {
                // Less than that much could be dropped.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => written?,
            }
            return Ok(before.saturating_sub(group.number("memory.current").unwrap_or(before)));
        }
        let v1 = self.v1_group("memory").filter(|group| group.has("memory.force_empty"));
        let group = v1.ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, NO_GROUP))?;
        let before = group.number("memory.usage_in_bytes").unwrap_or(0);
        group.write("memory.force_empty", 0)?;
        Ok(before.saturating_sub(group.number("memory.usage_in_bytes").unwrap_or(before)))
    }

    /// Slows its processes down as long as they use more than this; `None` as it was asked for.
    ///
    /// # Errors
    /// `Unsupported` without v2; names the file that could not be written.
    pub fn slow_above(&self, bytes: Option<u64>) -> io::Result<()> {
        let v2 = self.v2_group("memory").filter(|group| group.has("memory.high"));
        let group = v2.ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, NO_GROUP))?;
        match bytes.or(self.limits().memory_soft) {
            Some(bytes) => group.write("memory.high", bytes),
            None => group.write("memory.high", "max"),
        }
    }
}

impl Hierarchy {
    /// Why the kernel cannot be made to drop files of a lease here; `None` where it can.
    pub fn cannot_drop_files(&self) -> Option<&'static str> {
        let v1 = self.v1.iter().any(|(controller, _)| *controller == "memory");
        let v2 = self.v2.as_ref().filter(|_| self.v2_controllers.iter().any(|name| name == "memory"));
        match (v1, v2) {
            (_, Some(group)) if group.has("memory.reclaim") => None,
            (true, None) => None,
            (_, Some(_)) => Some("this kernel's v2 has no memory.reclaim"),
            (false, None) => Some("no control group of memory is here"),
        }
    }

    /// Why processes cannot be slowed down by what they use here; `None` where they can.
    pub fn cannot_slow(&self) -> Option<&'static str> {
        match self.v2_controllers.iter().any(|name| name == "memory") {
            true => None,
            false => Some("only v2 has memory.high; processes are held still instead"),
        }
    }
}
