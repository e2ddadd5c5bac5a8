//! The laws by name, and how one that was broken is told.
use std::fmt;

macro_rules! laws {
    ($($(#[$doc:meta])* $name:ident $word:literal,)*) => {
        /// What must be true after every step, whatever the world does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Law { $($(#[$doc])* $name,)* }

        impl Law {
            /// Its name, as a failing run tells it.
            pub fn name(self) -> &'static str {
                match self { $(Law::$name => $word),* }
            }
        }
    };
}

laws! {
    /// Every input has an answer.
    Answer "answer",
    /// A claim only moves down its life.
    Life "life",
    /// No pool has more in use than it offers, unless it shrank.
    Overcommit "overcommit",
    /// A lease is exactly who the grant said: its fence and its deadline.
    Owner "owner",
    /// Fences rise, and are of the epoch that is.
    Fence "fence",
    /// Only the token of a lease that lasts does anything.
    Stale "stale-fence",
    /// What an edge made true is free only with proof.
    Proof "proof",
    /// Every lease comes back, and all of it.
    Return "return",
    /// Every sum is that of its parts.
    Balance "conservation",
    /// What was recorded is there after any crash, and nothing else.
    Durable "durability",
    /// Nobody loses a lease before its time, and nobody keeps one after it.
    Time "time",
    /// What is spent is exact, and never above what there is.
    Budget "budget",
    /// No scope holds more than its limit, unless that was lowered.
    Limit "limit",
    /// What a scope does not lend is there for it.
    Lend "lend",
    /// Every line is taken from a pool that it may be taken from, on a node that takes claims.
    Place "place",
    /// Whoever could be granted is, and nobody waits for ever.
    Wait "bounded-wait",
    /// Nobody delays the head that has waited long.
    Overtake "overtake",
    /// The same ask has the same answer and one effect.
    Once "idempotence",
    /// Folding the events gives the state.
    Fold "determinism",
    /// What can never fit is refused at once.
    Honest "honesty",
    /// Giving back always works.
    Release "release",
    /// A gang is granted together or not at all.
    Gang "gang",
    /// A closed node is given to nobody, and a drained one is left in time.
    Drain "drain",
    /// Who draws from a lease has no more than its slice, and goes before it.
    Slice "slice",
    /// Nobody waits for whoever waits for it, and of a circle one is refused.
    Circle "circle",
    /// Who holds what others wait for stands where they do, and no longer than they do.
    Heir "inheritance",
}

/// A law that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub law: Law,
    /// When, and in what way.
    pub why: String,
}

impl Broken {
    /// The same, with when it was.
    pub(crate) fn at(mut self, when: impl fmt::Display) -> Broken {
        self.why = format!("{when}: {}", self.why);
        self
    }
}

pub(crate) fn broken<T>(law: Law, why: impl Into<String>) -> Result<T, Broken> {
    Err(Broken { law, why: why.into() })
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the law of {} is broken: {}", self.law.name(), self.why)
    }
}
impl std::error::Error for Broken {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_law_says_which_when_and_how() {
        let told = broken::<()>(Law::Fence, "it fell").expect_err("broken").at("step 3");
        assert_eq!(told.to_string(), "the law of fence is broken: step 3: it fell");
        assert_eq!((told.law, Law::Slice.name()), (Law::Fence, "slice"));
    }
}
