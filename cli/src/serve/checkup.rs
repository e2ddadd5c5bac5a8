//! What can be enforced on a host, and what would help where something is amiss.
use bursar_enforce::{Ability, Hierarchy, Moves, Strength};
use bursar_wire as wire;

/// Whether a process is in its groups at once.
const MOVES: &str = "moves into groups";

/// What would help, by what was looked at (or how its name begins) and how it is.
const ADVICE: [(&str, &[&str], &str); 17] = [
    (
        "control groups",
        &["weak", "missing"],
        "start the daemon where it may make control groups: as root, or by `systemd-run --user --scope -p Delegate=yes \
         bursar serve`",
    ),
    (
        MOVES,
        &["weak", "unknown"],
        "mount control groups with `favordynmods` (Linux 6.0); a daemon that is root, outside of containers, has the \
         kernel do so by itself where the config says `[enforce] quick-moves = true`",
    ),
    (
        "cpu limit",
        &["weak", "missing"],
        "without the cpu controller leases share processors as the kernel sees fit: give the daemon a group with it",
    ),
    (
        "memory limit",
        &["weak", "missing"],
        "a lease can pass its memory for a moment before it is killed: give the daemon a group with the memory controller",
    ),
    ("pids limit", &["weak", "missing"], "give the daemon a group with the pids controller"),
    (
        "io limit",
        &["weak", "missing"],
        "control groups v2 with the io controller hold leases to all that they read and write",
    ),
    (
        "network limit",
        &["missing"],
        "nothing here holds a process to it: let those who ask for network keep to it themselves",
    ),
    (
        "gpu_",
        &["missing"],
        "there is no NVML here: with NVIDIA's driver installed devices are measured, and proved back by themselves",
    ),
    (
        "tree kill",
        &["weak", "missing"],
        "processes that shed their mark get away: a kernel from 5.14 on with control groups v2 ends whole trees",
    ),
    (
        "plugin children",
        &["weak"],
        "confine plugins fully with a kernel that has Landlock and seccomp, or load only libraries that you trust",
    ),
    (
        "plugins",
        &["wrong"],
        "see `bursar plugin list` for the reasons; `bursar plugin verify X.so` says what a library does wrong",
    ),
    (
        "plugin ",
        &["wrong"],
        "mend what the reason says, then `bursar plugin reload`; or keep it out with `bursar plugin disable`",
    ),
    (
        "reclaim",
        &["wrong"],
        "see `bursar get claims` for those that are quarantined, and the log for what of them is still there: what \
         proves to be gone comes back by itself",
    ),
    (
        "journal",
        &["wrong"],
        "free space on the disk of the state directory: it is tried again every two seconds, and releases work \
         meanwhile",
    ),
    ("daemon", &["missing"], "start one with `bursar serve`; `bursar run` starts one by itself"),
    (
        "problem",
        &["wrong"],
        "put a backup in place with `bursar restore`, or keep what can be read with `bursar serve --accept-loss`",
    ),
    (
        "host_",
        &["missing"],
        "this kernel does not tell it: what rests on it stays unknown, and nothing is made up in its stead",
    ),
];

/// Adds what would help to each finding that has nothing better to say.
pub fn advise(findings: &mut [wire::Finding]) {
    for finding in findings.iter_mut().filter(|finding| finding.advice.is_none()) {
        let fits = |(what, states, _): &&(&str, &[&str], &str)| {
            let named = finding.what == *what || what.ends_with([' ', '_']) && finding.what.starts_with(what);
            named && states.contains(&finding.state.as_str())
        };
        finding.advice = ADVICE.iter().find(fits).map(|(_, _, advice)| (*advice).to_owned());
    }
}

/// What can be enforced on a host.
pub fn host_findings(hierarchy: &Hierarchy) -> Vec<wire::Finding> {
    let row = |what: &str, state: &str, detail: String| wire::Finding {
        what: what.into(),
        state: state.into(),
        detail,
        advice: None,
    };
    let state = if hierarchy.grouped() { "ok" } else { "weak" };
    let detail = [vec![hierarchy.kind().to_owned()], hierarchy.notes().to_vec()].concat().join("; ");
    let mut findings = vec![row("control groups", state, detail)];
    let moves = match hierarchy.moves() {
        Moves::Unknown => None,
        Moves::Quick => Some(("ok", "a process is in its groups at once".into())),
        Moves::OnDemand => Some(("ok", "a process is in its groups at once while others keep coming".into())),
        Moves::Untold => Some((
            "unknown",
            "this daemon asks nothing of the kernel, and whether another has since the machine's start cannot be seen"
                .into(),
        )),
        Moves::Slow(why) => {
            let late = "the first process in a while, and one of some hundred, waits 6 to 20 ms";
            Some(("weak", format!("{late}: {why}")))
        }
    };
    findings.extend(moves.map(|(state, detail)| row(MOVES, state, detail)));
    findings.extend(Ability::ALL.into_iter().map(|ability| {
        let strength = hierarchy.strength(ability);
        let detail = match strength.name() {
            "ok" => "enforced by the kernel",
            "weak" if ability == Ability::Io => {
                "reads and direct writes by the kernel; what it writes back later is not"
            }
            "weak" => "sampled four times a second, killed above",
            _ => "not enforced here",
        };
        row(ability.name(), strength.name(), detail.into())
    }));
    let advisory = "counted, and held by nobody: advice to those who hold it";
    findings.push(row("network limit", Strength::Missing.name(), advisory.into()));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_host_may_lack_comes_with_what_would_help() {
        let weak = |what: &str| wire::Finding {
            what: what.into(),
            state: "missing".into(),
            ..wire::Finding::default()
        };
        let mut lacking: Vec<wire::Finding> =
            Ability::ALL.into_iter().map(|ability| weak(ability.name())).collect();
        lacking.extend(["control groups", "daemon", "host_memory_pressure"].map(weak));
        lacking.push(wire::Finding { state: "weak".into(), ..weak(MOVES) });
        let sick = |what: &str| wire::Finding { state: "wrong".into(), ..weak(what) };
        lacking.extend(["plugins", "plugin allocator mine", "reclaim", "journal", "problem"].map(sick));
        advise(&mut lacking);
        assert!(lacking.iter().all(|finding| finding.advice.is_some()), "{lacking:?}");
        let mut sound = host_findings(&Hierarchy::weak());
        sound.iter_mut().for_each(|finding| finding.state = "ok".into());
        advise(&mut sound);
        assert!(sound.iter().all(|finding| finding.advice.is_none()), "{sound:?}");
    }
}
