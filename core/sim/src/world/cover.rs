//! Which fault met which operation, and how often: what was never tried was never proved.
use super::fault::{Fault, Faults};
use bursar_interface::{ClaimId, Command};
use std::collections::BTreeMap;

macro_rules! verbs {
    ($($name:ident $word:literal,)*) => {
        /// Every operation, in the order of its number.
        pub const VERBS: &[&str] = &[$($word),*];

        #[derive(Clone, Copy, PartialEq, Eq)]
        enum Verb { $($name),* }

        /// The number of a command among [`VERBS`].
        pub(crate) fn verb(command: &Command) -> usize {
            (match command { $(Command::$name { .. } => Verb::$name),* }) as usize
        }
    };
}

// A new command gets a line here, and from then on every fault must meet it.
verbs! {
    Ask "ask",
    Renew "renew",
    Settle "settle",
    Release "release",
    Cancel "cancel",
    Attach "attach",
    Enforced "enforced",
    EnforceFailed "enforce failed",
    Exited "exited",
    Reclaimed "reclaimed",
    ReclaimFailed "reclaim failed",
    SetResource "set resource",
    SetNode "set node",
    SetPool "set pool",
    SetScope "set scope",
    SetQuota "set quota",
    Swap "swap",
    Start "start",
    Tick "tick",
    Apply "apply",
    Extend "extend",
    Shrink "shrink",
    Resized "resized",
    ResizeFailed "resize failed",
    SetFanOut "set fan-out",
    SetPreemption "set preemption",
    Find "find",
    Share "share",
    Measured "measured",
    Frozen "frozen",
    FreezeFailed "freeze failed",
    Faulted "faulted",
    Suspect "suspect",
    Squeezed "squeezed",
    Evict "evict",
    Spare "spare",
    Woke "woke",
}

/// Counts by fault and operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover(Vec<u64>);

impl Default for Cover {
    fn default() -> Cover {
        Cover(vec![0; Fault::ALL.len() * VERBS.len()])
    }
}

impl Cover {
    /// These faults met this operation.
    pub(crate) fn meet(&mut self, faults: Faults, verb: usize) {
        faults.iter().for_each(|fault| self.0[fault as usize * VERBS.len() + verb] += 1);
    }

    /// How often they met.
    pub fn count(&self, fault: Fault, verb: usize) -> u64 {
        self.0[fault as usize * VERBS.len() + verb]
    }

    /// Adds what was seen elsewhere.
    pub fn add(&mut self, other: &Cover) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, more)| *sum += more);
    }

    /// Cells that can be hit.
    pub fn possible() -> impl Iterator<Item = (Fault, usize)> {
        let all = Fault::ALL.iter().flat_map(|&fault| (0..VERBS.len()).map(move |verb| (fault, verb)));
        all.filter(|&(fault, verb)| impossible(fault, verb).is_none())
    }

    /// Why cells cannot be hit, and how many for each reason.
    pub fn excluded() -> BTreeMap<&'static str, usize> {
        let all = Fault::ALL.iter().flat_map(|&fault| (0..VERBS.len()).map(move |verb| (fault, verb)));
        let mut reasons = BTreeMap::new();
        for reason in all.filter_map(|(fault, verb)| impossible(fault, verb)) {
            *reasons.entry(reason).or_default() += 1;
        }
        reasons
    }

    /// Cells that can be hit and were not.
    pub fn missing(&self) -> Vec<(Fault, &'static str)> {
        let missing = Cover::possible().filter(|&(fault, verb)| self.count(fault, verb) == 0);
        missing.map(|(fault, verb)| (fault, VERBS[verb])).collect()
    }
}

/// Why a fault can never meet an operation; `None` where it can.
pub fn impossible(fault: Fault, verb: usize) -> Option<&'static str> {
    let among = |verbs: &[Verb]| verbs.iter().any(|&other| other as usize == verb);
    let of_no_claim = among(&[
        Verb::SetResource,
        Verb::SetNode,
        Verb::SetPool,
        Verb::SetScope,
        Verb::SetQuota,
        Verb::Apply,
        Verb::SetFanOut,
        Verb::SetPreemption,
        Verb::Find,
        Verb::Faulted,
        Verb::Suspect,
        Verb::Share,
        Verb::Swap,
        Verb::Start,
        Verb::Tick,
        Verb::Woke,
    ]);
    match fault {
        Fault::Crash | Fault::Hang | Fault::Hoard | Fault::Double | Fault::Stale if of_no_claim => {
            Some("it is about no claim, and so has no holder")
        }
        Fault::Crash
            if among(&[
                Verb::Renew,
                Verb::Settle,
                Verb::Release,
                Verb::Attach,
                Verb::Extend,
                Verb::Shrink,
            ]) =>
        {
            Some("who crashed says nothing any more")
        }
        Fault::Hoard if among(&[Verb::Release]) => Some("who hoards never gives back"),
        Fault::Stale
            if !among(&[
                Verb::Ask,
                Verb::Renew,
                Verb::Settle,
                Verb::Release,
                Verb::Attach,
                Verb::Extend,
                Verb::Shrink,
            ]) =>
        {
            Some("it carries no token")
        }
        Fault::Still if among(&[Verb::Woke]) => Some("where the clock stands nobody was held up"),
        Fault::Full if among(&[Verb::Start]) => Some("a start that cannot be written is none"),
        Fault::Reboot | Fault::Restart | Fault::Torn | Fault::Full => None,
        _ => None,
    }
}

/// The claim that a command is about.
pub(crate) fn claim_of(command: &Command) -> Option<ClaimId> {
    match command {
        Command::Renew { claim, .. }
        | Command::Settle { claim, .. }
        | Command::Release { claim, .. }
        | Command::Cancel { claim }
        | Command::Attach { claim, .. }
        | Command::Enforced { claim, .. }
        | Command::EnforceFailed { claim, .. }
        | Command::Exited { claim }
        | Command::Reclaimed { claim, .. }
        | Command::ReclaimFailed { claim, .. }
        | Command::Extend { claim, .. }
        | Command::Shrink { claim, .. }
        | Command::Resized { claim }
        | Command::Measured { claim, .. }
        | Command::Frozen { claim }
        | Command::FreezeFailed { claim, .. }
        | Command::Evict { claim, .. }
        | Command::Spare { claim }
        | Command::ResizeFailed { claim, .. } => Some(*claim),
        Command::Squeezed(squeeze) => squeeze.claim,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_possible_or_has_a_reason_and_what_was_seen_adds_up() {
        let cells = Fault::ALL.len() * VERBS.len();
        let excluded = Cover::excluded();
        assert_eq!(Cover::possible().count() + excluded.values().sum::<usize>(), cells);
        assert!(excluded.keys().all(|reason| !reason.is_empty()));
        let (fault, verb) = Cover::possible().next().expect("something is possible");
        let mut met = Faults::default();
        met.add(fault);
        let (mut seen, nothing) = (Cover::default(), Cover::default());
        seen.meet(met, verb);
        seen.add(&seen.clone());
        assert_eq!((seen.count(fault, verb), nothing.count(fault, verb)), (2, 0));
        assert!(!seen.missing().contains(&(fault, VERBS[verb])));
        assert_eq!(nothing.missing().len(), Cover::possible().count());
    }

    #[test]
    fn whoever_is_about_a_claim_is_known_to_be() {
        let (claim, fence) = (ClaimId(7), bursar_interface::Fence(1));
        let message = String::new;
        let about = [
            Command::Renew { claim, fence, ttl_ns: 1 },
            Command::Settle { claim, fence, used: Vec::new() },
            Command::Release { claim, fence },
            Command::Cancel { claim },
            Command::Enforced { claim, processes: 1 },
            Command::EnforceFailed { claim, message: message() },
            Command::Exited { claim },
            Command::Reclaimed { claim, proof: Default::default(), over_limit: false },
            Command::ReclaimFailed { claim, message: message() },
            Command::Extend { claim, fence, to: Vec::new() },
            Command::Shrink { claim, fence, to: Vec::new() },
            Command::Resized { claim },
            Command::Frozen { claim },
            Command::FreezeFailed { claim, message: message() },
            Command::ResizeFailed { claim, message: message() },
            Command::Measured { claim, usage: Default::default() },
            Command::Evict { claim, grace_ns: 1 },
            Command::Spare { claim },
        ];
        let verbs: std::collections::BTreeSet<usize> = about.iter().map(verb).collect();
        assert_eq!(verbs.len(), about.len(), "each has a number of its own");
        assert!(about.iter().all(|command| claim_of(command) == Some(claim)));
        assert_eq!(claim_of(&Command::Tick), None);
        assert_eq!(VERBS[verb(&Command::Tick)], "tick");
    }
}
