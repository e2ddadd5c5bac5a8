//! How a command is looked for, as a shell looks for it: place by place, and what each says of the next. Needs no C
//! library and allocates nothing.
use crate::binary::is_binary;
use rustix::io::Errno;
use std::ffi::CStr;

/// Where commands are looked for when nobody says, and who reads what is no program.
pub(crate) const PATH: &[u8] = b"/bin:/usr/bin";
pub(crate) const SHELL: &CStr = c"/bin/sh";

/// The folders of a `PATH`, each as what stands before a name; an empty one is the present folder.
pub(crate) fn folders(path: &[u8]) -> impl Iterator<Item = [&[u8]; 2]> {
    path.split(|&byte| byte == b':').map(|folder| [folder, if folder.is_empty() { b"" } else { b"/" }])
}

/// A search that goes on.
#[derive(Debug)]
pub(crate) struct Search {
    by_path: bool,
    denied: bool,
}

impl Search {
    /// For a command of this name; one with a slash in it is at one place or nowhere.
    pub(crate) fn new(name: &[u8]) -> Search {
        Search { by_path: !name.contains(&b'/'), denied: false }
    }

    /// Whether `PATH` says where it may be.
    pub(crate) fn is_by_path(&self) -> bool {
        self.by_path
    }

    /// Tries a place. `become_it` returns only when that failed, and why; it is told whether a shell is to read the
    /// file, as it does what is no program. Says why the search is over, if it is.
    pub(crate) fn at(&mut self, place: &CStr, mut become_it: impl FnMut(bool) -> Errno) -> Option<Errno> {
        match become_it(false) {
            Errno::NOEXEC if !is_binary(place) => Some(become_it(true)),
            Errno::ACCESS => {
                self.denied = true;
                None
            }
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP if self.by_path => None,
            Errno::STALE | Errno::NODEV | Errno::TIMEDOUT if self.by_path => None,
            error => Some(error),
        }
    }

    /// Why it was found at none of all places.
    pub(crate) fn over(&self) -> Errno {
        if self.denied { Errno::ACCESS } else { Errno::NOENT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries one place after the other, each of which says this; why it was over, and how many were tried.
    fn searched(name: &str, said: &[Errno]) -> (Errno, usize) {
        let mut search = Search::new(name.as_bytes());
        for (tried, error) in said.iter().enumerate() {
            if let Some(why) = search.at(c"/no/such/place", |_| *error) {
                return (why, tried + 1);
            }
        }
        (search.over(), said.len())
    }

    #[test]
    fn what_is_not_in_one_folder_may_be_in_the_next() {
        let none = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::NAMETOOLONG];
        assert_eq!(searched("true", &none), (Errno::NOENT, 4));
        let denied = [Errno::ACCESS, Errno::NOENT];
        assert_eq!(searched("true", &denied), (Errno::ACCESS, 2), "it is there for others");
        assert_eq!(searched("true", &[Errno::NOENT, Errno::TOOBIG, Errno::NOENT]), (Errno::TOOBIG, 2));
        assert_eq!(searched("./true", &[Errno::LOOP]), (Errno::LOOP, 1), "it is there or nowhere");
        let parts: Vec<[&[u8]; 2]> = folders(b"/bin::x").collect();
        assert_eq!(parts, [[b"/bin" as &[u8], b"/"], [b"", b""], [b"x", b"/"]]);
    }

    #[test]
    fn what_is_no_program_is_read_by_a_shell_unless_it_is_one_for_another_machine() {
        let readers = |place: &CStr| {
            let mut asked = Vec::new();
            let over = Search::new(b"x").at(place, |by_shell| {
                asked.push(by_shell);
                Errno::NOEXEC
            });
            (over, asked)
        };
        assert_eq!(readers(c"/etc/passwd"), (Some(Errno::NOEXEC), vec![false, true]));
        assert_eq!(readers(c"/proc/self/exe"), (Some(Errno::NOEXEC), vec![false]));
    }
}
