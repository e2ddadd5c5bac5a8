//! Memory that runs short, as it is told: how short, and what was done about it.
use crate::text::{Digits, MaybeDigits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a lease feels of memory that runs short: nothing, it is asked to use less, it is slowed down, its processes are
/// held still.
pub const PRESSED: [&str; 4] = ["none", "asked", "slowed", "held"];

/// How short memory is on this machine, and what was done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StrainRow {
    /// `calm`, `pressed`, `short` or `critical`.
    pub level: String,
    /// Memory that is in use and cannot simply be dropped, in bytes.
    #[serde(with = "Digits")]
    pub used_bytes: u64,
    /// What there is, in bytes.
    #[serde(with = "Digits")]
    pub there_bytes: u64,
    /// Nobody more is let in until there is room.
    pub stopped: bool,
    /// What was done of late about all leases and about this one, newest first.
    pub steps: Vec<SqueezeRow>,
}

/// One step that was taken because memory runs short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SqueezeRow {
    /// When, RFC 3339.
    pub at: String,
    /// `stop`, `ask`, `purge`, `reclaim`, `collect`, `slow`, `freeze`, `evict` or `kill`.
    pub step: String,
    /// `taken`, `freed`, `undone` or `unavailable`.
    pub came: String,
    /// What was freed by it, in bytes, as measured; null where that is not known.
    #[serde(with = "MaybeDigits")]
    pub freed_bytes: Option<u64>,
    /// Asked to use less: how much at most, in bytes; else null.
    #[serde(with = "MaybeDigits", default)]
    pub to_bytes: Option<u64>,
    /// Why it could not be taken; else null.
    #[serde(default)]
    pub message: Option<String>,
}

/// What the newest steps come to for a lease: one of [`PRESSED`], and how much it is to use at most, in bytes, where it
/// is asked to use less.
pub fn pressed(steps: &[SqueezeRow]) -> (&'static str, Option<u64>) {
    let newest = |names: &[&str]| {
        let tried = |step: &&SqueezeRow| step.came != "unavailable";
        steps.iter().filter(tried).find(|step| names.contains(&step.step.as_str()))
    };
    let held = newest(&["freeze", "slow"]).filter(|step| step.came == "taken");
    // Whoever gave something back is not asked any more, nor is anybody when there is enough again.
    let gave = |step: &SqueezeRow| step.came == "undone" || step.freed_bytes.is_some_and(|freed| freed > 0);
    let asked = newest(&["ask"]).is_some_and(|step| !gave(step));
    match held {
        Some(step) if step.step == "slow" => (PRESSED[2], None),
        Some(_) => (PRESSED[3], None),
        None if asked => (PRESSED[1], steps.iter().find_map(|step| step.to_bytes)),
        None => (PRESSED[0], None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_steps_say_what_a_lease_feels() {
        let step = |step: &str, came: &str| SqueezeRow {
            step: step.into(),
            came: came.into(),
            to_bytes: (step == "ask" && came == "taken").then_some(7),
            ..SqueezeRow::default()
        };
        let gave = |bytes| SqueezeRow { to_bytes: None, freed_bytes: Some(bytes), ..step("ask", "freed") };
        let (asked, answered, deaf, over) = (step("ask", "taken"), gave(9), gave(0), step("ask", "undone"));
        let (held, goes_on) = (step("freeze", "taken"), step("freeze", "undone"));
        let cannot = step("slow", "unavailable");
        for (newest_first, feels) in [
            (vec![], ("none", None)),
            (vec![asked.clone()], ("asked", Some(7))),
            (vec![answered.clone(), asked.clone()], ("none", None)),
            (vec![deaf.clone(), asked.clone()], ("asked", Some(7))),
            (vec![over, deaf, asked.clone()], ("none", None)),
            // What came of asking is known while it is held still.
            (vec![answered.clone(), held.clone(), asked.clone()], ("held", None)),
            (vec![cannot, held.clone()], ("held", None)),
            (vec![step("slow", "taken"), asked.clone()], ("slowed", None)),
            (vec![goes_on.clone(), held.clone(), answered], ("none", None)),
            (vec![asked, goes_on, held], ("asked", Some(7))),
        ] {
            assert_eq!(pressed(&newest_first), feels, "{newest_first:?}");
        }
    }
}
