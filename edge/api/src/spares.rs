//! Files that are held open for nothing but to be closed when files run out, so that there is still room
//! for those who are let in for a moment.
use std::fs::File;

/// How many there are: so many callers are heard at once though no file is left. One alone would be pushed
/// aside by the next before it has said anything.
const SPARES_MAX: usize = 8;

/// The files in hand.
pub(crate) struct Spares {
    files: Vec<File>,
    /// One more, for what takes a file for a moment only.
    lent: Option<File>,
}

impl Spares {
    /// As many as can be had.
    pub(crate) fn new() -> Spares {
        let mut spares = Spares { files: Vec::with_capacity(SPARES_MAX), lent: None };
        spares.lent = spares.spare();
        spares.complete();
        spares
    }

    /// Takes back what was given up, as far as files can be had, and says whether all are in hand: while
    /// one is missing, files are scarce.
    pub(crate) fn complete(&mut self) -> bool {
        while self.files.len() < SPARES_MAX
            && let Some(file) = self.spare()
        {
            self.files.push(file);
        }
        self.files.len() == SPARES_MAX
    }

    /// Closes one, and says whether there was one.
    pub(crate) fn give_up(&mut self) -> bool {
        self.files.pop().is_some()
    }

    /// Does what takes a file for a moment, as finding out where a caller lives: one is kept for that alone,
    /// so that nobody is taken for somebody else only because files ran out.
    pub(crate) fn lend<T>(&mut self, act: impl FnOnce() -> T) -> T {
        if self.lent.take().is_none() {
            self.give_up();
        }
        let done = act();
        self.lent = self.spare();
        done
    }

    /// All of them are one: to have that once more is quicker than to open it.
    fn spare(&self) -> Option<File> {
        match self.files.first() {
            Some(file) => file.try_clone().ok(),
            None => File::open("/dev/null").ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_up_is_taken_back() {
        let mut spares = Spares::new();
        assert!((0..SPARES_MAX).all(|_| spares.give_up()));
        assert!(!spares.give_up(), "none is left");
        assert!(spares.complete());
        assert!(spares.give_up());
    }
}
