//! What the kit says of a plugin: every check by name, how it went, and how to mend what is wrong.
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Failures after which the rest is not tried: it would say the same again.
const FAILURES_MAX: usize = 3;

/// How a check went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should; with what was seen, if that is of interest.
    Passed(String),
    /// Not as it should.
    Failed {
        /// What was seen.
        what: String,
        /// What an author can do about it.
        mend: &'static str,
    },
    /// It was not tried, and why.
    Skipped(String),
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// How it went.
    pub outcome: Outcome,
}

/// All checks of one plugin, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The checks.
    pub checks: Vec<Check>,
}

impl Report {
    /// Makes one check, unless so much is wrong already that it would say nothing.
    pub fn check(
        &mut self,
        name: &'static str,
        mend: &'static str,
        run: impl FnOnce() -> Result<String, String>,
    ) {
        if self.failures().count() >= FAILURES_MAX {
            return self.skip(name, "too much is wrong already");
        }
        let run = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("it panicked".into()));
        let outcome = match run {
            Ok(seen) => Outcome::Passed(seen),
            Err(what) => Outcome::Failed { what, mend },
        };
        self.checks.push(Check { name, outcome });
    }

    /// Says that a check was not made.
    pub fn skip(&mut self, name: &'static str, why: impl Into<String>) {
        self.checks.push(Check { name, outcome: Outcome::Skipped(why.into()) });
    }

    /// Everything that is wrong, as `name: what`.
    pub fn failures(&self) -> impl Iterator<Item = String> {
        self.checks.iter().filter_map(|check| match &check.outcome {
            Outcome::Failed { what, .. } => Some(format!("{}: {what}", check.name)),
            _ => None,
        })
    }

    /// The first thing that is wrong.
    ///
    /// # Errors
    /// That, in words for the plugin's author.
    pub fn verdict(&self) -> Result<(), String> {
        self.failures().next().map_or(Ok(()), Err)
    }
}
