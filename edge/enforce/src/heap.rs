//! How the C library keeps this process's memory: what was needed for a moment goes back to the kernel.
//!
//! Left alone, glibc takes whatever large is freed for a sign that more of it will be wanted, and keeps up to twice as much
//! in the heap of each thread from then on (`mallopt(3)`, the dynamic threshold): of a daemon's memory beside 100,000
//! claims that was one sixth.
#![allow(unsafe_code)]

/// Bytes from which on a piece comes from the kernel by itself, and goes back when it is freed.
#[cfg(target_env = "gnu")]
const APART: libc::c_int = 256 << 10;
/// Free bytes at the end of a heap that are kept.
#[cfg(target_env = "gnu")]
const KEPT: libc::c_int = 128 << 10;

/// Has the C library keep little of what is free; for a process that lives long, before its threads start.
pub fn keep_little() {
    #[cfg(target_env = "gnu")]
    for (what, bytes) in [(libc::M_MMAP_THRESHOLD, APART), (libc::M_TRIM_THRESHOLD, KEPT)] {
        // SAFETY: changes what the allocator does from now on, under its own lock.
        unsafe { libc::mallopt(what, bytes) };
    }
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    const LARGE: usize = 24 << 20;

    /// Memory of this process alone, in bytes.
    fn own() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
    }

    /// Uses so much for a moment.
    fn need(bytes: usize) {
        drop(std::hint::black_box(vec![1_u8; bytes]));
    }

    #[test]
    fn what_was_needed_for_a_moment_goes_back() {
        keep_little();
        need(LARGE);
        let before = own();
        // In the heap of another thread, which goes on.
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || {
            need(LARGE / 2);
            tell.send(()).expect("heard");
            let _ = ended.recv();
        });
        told.recv().expect("told");
        let after = own();
        drop(end);
        other.join().expect("ended");
        assert!(after < before + LARGE / 4, "{before} before, {after} after");
    }
}
