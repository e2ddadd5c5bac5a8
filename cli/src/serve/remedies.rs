//! What can be done here when memory runs short, for `doctor`: each step, or why it is unavailable; how short it is; how
//! the daemon itself stands; and what is set and does nothing yet.
use super::{gauges::Gauges, memory::Memory, strained::Now};
use bursar_enforce::{Hierarchy, score_of};
use bursar_interface::Step;
use bursar_wire::Finding;

/// All of it.
pub fn remedy_findings(hierarchy: &Hierarchy, gauges: &Gauges, memory: &Memory) -> Vec<Finding> {
    let row = |what: String, state: &str, detail: String| Finding {
        what,
        state: state.into(),
        detail,
        advice: None,
    };
    let collects = memory.gc.values().any(|command| !command.is_empty());
    let mut findings: Vec<Finding> = Step::ALL
        .into_iter()
        .map(|step| {
            let missing = match step {
                Step::Reclaim => hierarchy.cannot_drop_files(),
                Step::Slow => hierarchy.cannot_slow(),
                Step::Collect => (!collects).then_some("no command is set in [memory.gc]"),
                _ => None,
            };
            let what = format!("ladder: {}", step.name());
            match (memory.ladder, missing) {
                (false, _) => row(what, "missing", "memory.ladder is switched off".into()),
                (true, Some(why)) => row(what, "missing", format!("unavailable: {why}")),
                (true, None) => row(what, "ok", how(step, hierarchy, memory)),
            }
        })
        .collect();
    let Now { level, used, there, .. } = gauges.strained.now();
    let known = !level.is_empty();
    let level = if known { level } else { "unknown" };
    let state = if level == "calm" { "ok" } else { "weak" };
    findings.push(row(
        "memory pressure".into(),
        state,
        format!("{level}: {used} of {there} bytes are in use"),
    ));
    let score = score_of("self");
    let detail = score.map_or("unknown".into(), |score| {
        let own =
            format!("the kernel's choice when memory runs out: {score} of -1000 (last) to 1000 (first)");
        if score < 0 { own } else { format!("{own}; processes of leases come before it") }
    });
    let spared = score.is_some_and(|score| score < 0);
    findings.push(row("daemon spared".into(), if spared { "ok" } else { "weak" }, detail));
    findings.extend(memory.idle_keys().into_iter().map(|(key, why)| row(key.into(), "missing", why.into())));
    findings
}

/// How a step is taken here.
fn how(step: Step, hierarchy: &Hierarchy, memory: &Memory) -> String {
    let v2 = hierarchy.cannot_slow().is_none();
    match step {
        Step::Stop => "no more is offered than is promised".into(),
        Step::Ask if memory.callback.is_empty() => "by event and signal; no callback is set".into(),
        Step::Ask => "by event, signal and callback".into(),
        Step::Purge => "samples are forgotten".into(),
        Step::Reclaim if v2 => "by memory.reclaim".into(),
        Step::Reclaim => "by memory.force_empty".into(),
        Step::Collect => "by the commands of [memory.gc]".into(),
        Step::Slow => "by memory.high".into(),
        Step::Freeze if hierarchy.grouped() => "by the kernel's freezer".into(),
        Step::Freeze => "by signal".into(),
        Step::Evict => format!("after {}", memory.grace),
        Step::Kill => format!("at most {} in a minute", memory.kills_per_minute),
    }
}
