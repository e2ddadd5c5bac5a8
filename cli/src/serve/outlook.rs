//! With which change whoever waits, or was refused, would be granted what it asks for now.
use super::{follower::Follower, seats::linked};
use bursar_engine::{Change, Plugins, Relaxed, Trial};
use bursar_interface::{Ask, LineAsk, Principal, Within};
use bursar_wire as wire;

const MS: u64 = 1_000_000;

/// The smallest changes with which an ask that was refused would be granted now.
pub fn instead(follower: &Follower, by: &Principal, ask: &Ask) -> Vec<wire::Change> {
    let own = ask.scope.clone();
    let scope = [by.root.as_str(), ask.scope.as_str()].into_iter().filter(|path| !path.is_empty());
    let mut ask = Ask { scope: scope.collect::<Vec<_>>().join("/"), ..ask.clone() };
    let lives_in = by.within.filter(|_| ask.within == Within::Own).map(|lease| Within::Lease(lease, None));
    if let Some(within) = lives_in.or((ask.within != Within::Own).then_some(ask.within)) {
        // The scope of a claim within another is a path below that one's.
        (ask.within, ask.scope) = (within, own);
    }
    let (trial, plugins) = follower.read(|engine| (engine.trial_of(ask), linked(engine)));
    plugins.map_or_else(Vec::new, |mut plugins| would_admit(trial, &mut plugins))
}

/// As [`would_admit`], by those who decide; nothing where they cannot be asked beside the desk.
pub fn of(follower: &Follower, trial: Trial) -> Vec<wire::Change> {
    follower.read(linked).map_or_else(Vec::new, |mut plugins| would_admit(trial, &mut plugins))
}

/// The smallest changes that would be granted now, as they are shown.
pub fn would_admit(mut trial: Trial, plugins: &mut Plugins) -> Vec<wire::Change> {
    let choice = trial.sets() > 1;
    let change =
        |change: &Change| wire::Change { alternative: choice.then_some(change.set as u32), ..shown(change) };
    trial.changes(plugins).iter().map(change).collect()
}

fn shown(change: &Change) -> wire::Change {
    let name = match change.how {
        Relaxed::Less => "less",
        Relaxed::AnyPool => "any-pool",
        Relaxed::Shared => "shared",
        Relaxed::AnyModel => "any-model",
        Relaxed::Shorter => "shorter",
    };
    let line = |line: &LineAsk| wire::ChangedLine {
        resource: line.resource.clone(),
        amount: line.amount,
        pool: line.pool.clone(),
        whole: line.whole,
    };
    let shorter = change.how == Relaxed::Shorter;
    wire::Change {
        change: name.into(),
        options: options(&change.ask, shorter),
        lines: change.ask.lines.iter().map(line).collect(),
        expect_ms: shorter.then_some(change.ask.expect_ns / MS),
        alternative: None,
    }
}

/// An ask as one would write it behind `bursar claim`.
fn options(ask: &Ask, with_estimate: bool) -> String {
    let option = |line: &LineAsk| {
        // Rounded only where that says the same.
        let shown = wire::show(&line.resource, line.amount);
        let same = wire::quantity(&line.resource, &shown) == Ok(line.amount);
        let amount = if same { shown } else { line.amount.to_string() };
        match (line.resource.as_str(), &line.pool) {
            ("lock", Some(name)) => format!("--lock {}", wire::show_lock(name, line.whole)),
            ("port", Some(number)) => format!("--port {number}"),
            ("port", None) => "--port".into(),
            (kind @ ("cpu" | "memory" | "pids" | "gpu"), None) => format!("--{kind} {amount}"),
            (kind, Some(pool)) => format!("--need {kind}:{pool}={amount}"),
            (kind, None) => format!("--need {kind}={amount}"),
        }
    };
    let mut options: Vec<String> = ask.lines.iter().map(option).collect();
    if with_estimate {
        options.push(format!("--expect {}s", ask.expect_ns / (1000 * MS)));
    }
    options.join(" ")
}
