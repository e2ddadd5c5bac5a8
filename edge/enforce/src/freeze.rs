//! Holding a cell still: its processes get no processor time until they are thawed, and do not notice. By the
//! kernel's freezer where the cell is a group (v2's, else v1's if its processes live there), else by a signal
//! that cannot be caught, to each of them, again and again until none is left that runs.
use crate::{
    Cell,
    groups::Group,
    process::{at_rest, signal_all},
};
use rustix::process::Signal;
use std::io;

/// By what a cell is held still.
enum Freezer<'a> {
    V2(&'a Group),
    V1(&'a Group),
    Signals,
}

impl Cell {
    fn freezer(&self) -> Freezer<'_> {
        if let Some(group) = self.v2.as_ref().filter(|group| group.has("cgroup.freeze")) {
            return Freezer::V2(group);
        }
        let v1 = self.v1.iter().find(|(controller, _)| *controller == "freezer").map(|(_, group)| group);
        match v1.filter(|group| self.v2.is_none() && group.has("freezer.state")) {
            Some(group) => Freezer::V1(group),
            None => Freezer::Signals,
        }
    }

    /// Has the kernel hold its processes still; to be called again until [`Cell::is_frozen`] says that it is so.
    ///
    /// # Errors
    /// Names the file that could not be written.
    pub fn freeze(&self) -> io::Result<()> {
        match self.freezer() {
            Freezer::V2(group) => group.write("cgroup.freeze", 1),
            Freezer::V1(group) => group.write("freezer.state", "FROZEN"),
            Freezer::Signals => {
                let awake = || self.members().into_iter().filter(|&pid| !at_rest(pid)).collect();
                signal_all(Signal::STOP, awake);
                Ok(())
            }
        }
    }

    /// Has its processes stand still, or go on, by the kernel's freezer alone, so that nobody inside notices and no
    /// shell is told of a signal; `false` where there is none for them.
    ///
    /// # Errors
    /// Names the file that could not be written.
    pub fn stand_still(&self, still: bool) -> io::Result<bool> {
        match (self.freezer(), still) {
            (Freezer::Signals, _) => Ok(false),
            (_, true) => self.freeze().map(|()| true),
            (_, false) => self.thaw().map(|()| true),
        }
    }

    /// Whether all of its processes are held still.
    pub fn is_frozen(&self) -> bool {
        match self.freezer() {
            Freezer::V2(group) => group.keyed("cgroup.events", "frozen") == Some(1),
            Freezer::V1(group) => group.word("freezer.state").as_deref() == Some("FROZEN"),
            Freezer::Signals => {
                let members = self.members();
                !members.is_empty() && members.into_iter().all(at_rest)
            }
        }
    }

    /// Lets its processes go on; one that was not held still is left as it is, but for those that signals held.
    ///
    /// # Errors
    /// Names the file that could not be written.
    pub fn thaw(&self) -> io::Result<()> {
        match self.freezer() {
            Freezer::V2(group) => group.write("cgroup.freeze", 0),
            Freezer::V1(group) => group.write("freezer.state", "THAWED"),
            Freezer::Signals => {
                signal_all(Signal::CONT, || self.members());
                Ok(())
            }
        }
    }
}
