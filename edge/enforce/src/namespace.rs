//! Pids are numbers of a namespace: what a process in a container calls 7 is another one outside.
use std::{
    fs::{read_dir, read_link, read_to_string},
    path::PathBuf,
    sync::OnceLock,
};

/// The number here of the process that `teller` calls `pid`; `None` where that cannot be told for certain. `teller` is
/// a number here.
pub fn told_by(teller: u32, pid: u32) -> Option<u32> {
    static OWN: OnceLock<Option<PathBuf>> = OnceLock::new();
    let own = OWN.get_or_init(|| namespace("self"));
    match (own, namespace(&teller.to_string())) {
        (Some(own), Some(its)) if *own == its => Some(pid),
        (Some(_), Some(its)) => numbered(&its, pid),
        // It may not be looked at so closely: whoever has one number only has it here.
        _ => (numbers(teller)?.len() <= 1).then_some(pid),
    }
}

/// The process that lives in a namespace and has this number there.
fn numbered(namespace_of: &PathBuf, pid: u32) -> Option<u32> {
    let here = read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    here.filter(|here: &u32| namespace(&here.to_string()).as_ref() == Some(namespace_of))
        .find(|&here| numbers(here).is_some_and(|numbers| numbers.last() == Some(&pid)))
}

fn namespace(process: &str) -> Option<PathBuf> {
    read_link(format!("/proc/{process}/ns/pid")).ok()
}

/// The numbers of a process in each namespace from this one to its own; none from a kernel that has only one.
fn numbers(pid: u32) -> Option<Vec<u32>> {
    let status = read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    line.split_whitespace().map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_here_means_what_is_here() {
        assert_eq!(told_by(std::process::id(), 7), Some(7));
        assert_eq!(told_by(u32::MAX, 7), None, "nobody is there to be asked");
        assert_eq!(
            numbers(std::process::id()).and_then(|numbers| numbers.first().copied()),
            Some(std::process::id())
        );
    }
}
