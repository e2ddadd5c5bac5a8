//! Planted bugs: each is one line behind `canary!("name")`, let loose by name at run time in a build with
//! `--cfg canary`, and no code at all in any other. Whoever checks the house must catch every one of them.

/// Whether the planted bug of this name is let loose; `false`, and no code, without `--cfg canary`.
#[macro_export]
macro_rules! canary {
    ($name:literal) => {
        $crate::canary::loose($name)
    };
}

/// Never, in a build like this one.
#[cfg(not(canary))]
#[inline(always)]
pub const fn loose(_: &str) -> bool {
    false
}

#[cfg(canary)]
mod planted {
    use std::sync::RwLock;

    static LOOSE: RwLock<&'static str> = RwLock::new("");

    /// Whether the planted bug of this name is let loose.
    pub fn loose(name: &str) -> bool {
        LOOSE.read().is_ok_and(|loose| *loose == name)
    }

    /// Lets this bug loose, and no other; none for an empty name.
    pub fn let_loose(name: &'static str) {
        if let Ok(mut loose) = LOOSE.write() {
            *loose = name;
        }
    }
}
#[cfg(canary)]
pub use planted::{let_loose, loose};
