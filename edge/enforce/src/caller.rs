//! What this program was started with and passes on to a command: which signals are blocked, whether a broken pipe is
//! ignored, which of the standard descriptors are closed. Rust's start does away with some of it and who hears signals
//! with the rest, so it is known only where somebody looked before ([`crate::early`]); otherwise a command gets what is
//! usual.
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

const MASK_KNOWN: u8 = 1;
const PIPE_IGNORED: u8 = 2;

static MASK: AtomicU64 = AtomicU64::new(0);
static KNOWN: AtomicU8 = AtomicU8::new(0);
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// Remembers which signals were blocked, as the kernel has a set of them; what is known already stays.
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "nobody looks early there"))]
pub(crate) fn blocked(mask: u64) {
    if KNOWN.load(Ordering::Relaxed) & MASK_KNOWN == 0 {
        MASK.store(mask, Ordering::Relaxed);
        KNOWN.fetch_or(MASK_KNOWN, Ordering::Relaxed);
    }
}

/// Remembers that a broken pipe was ignored.
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "nobody looks early there"))]
pub(crate) fn ignored_pipes() {
    KNOWN.fetch_or(PIPE_IGNORED, Ordering::Relaxed);
}

/// Remembers that a descriptor below 8 was closed.
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "nobody looks early there"))]
pub(crate) fn closed(descriptor: i32) {
    CLOSED.fetch_or(1 << descriptor, Ordering::Relaxed);
}

/// The descriptors that a command is to find closed.
pub(crate) fn all_closed() -> impl Iterator<Item = i32> {
    (0..8).filter(|descriptor| CLOSED.load(Ordering::Relaxed) & 1 << descriptor != 0)
}

/// Which signals a command is to have blocked.
pub(crate) fn mask() -> u64 {
    MASK.load(Ordering::Relaxed)
}

/// Whether a command is to ignore a broken pipe.
pub(crate) fn ignores_pipes() -> bool {
    KNOWN.load(Ordering::Relaxed) & PIPE_IGNORED != 0
}
