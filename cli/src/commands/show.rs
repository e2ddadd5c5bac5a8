//! What answers look like: tables for people, one document for scripts.
pub mod wide;

use super::{Context, names::Named};
use crate::args::Output;
use bursar_wire as wire;
use comfy_table::{Table, presets};
use serde::Serialize;
use std::{io::Write, sync::OnceLock};

/// Writes a document.
pub fn document(document: &impl Serialize, output: Output) {
    if output == Output::Yaml {
        let text = serde_yaml_ng::to_string(document).expect("plain data always becomes YAML");
        return line(text.trim_end());
    }
    let text = match output {
        Output::Jsonl => serde_json::to_string(document),
        _ => serde_json::to_string_pretty(document),
    };
    line(&text.expect("plain data always becomes JSON"));
}

/// Writes rows: as a table, by name, one document each, or as one document of all.
pub fn rows<R: Named + Serialize, D: Serialize>(
    context: &Context,
    rows: Vec<R>,
    table: impl FnOnce(&[R]) -> String,
    all: impl FnOnce(Vec<R>) -> D,
) {
    match context.output {
        Output::Table | Output::Wide => line(&table(&rows)),
        Output::Name => rows.iter().for_each(|row| line(&row.name())),
        Output::Jsonl => rows.iter().for_each(|row| document(row, Output::Jsonl)),
        output => document(&all(rows), output),
    }
}

/// Writes the one claim that a command was about.
pub fn claim(context: &Context, claim: wire::Claim) {
    match context.output {
        Output::Table | Output::Wide => line(&claims(&[claim])),
        Output::Name => line(&claim.name()),
        output => document(&wire::ClaimAnswer { claim }, output),
    }
}

/// Writes a line. What becomes of it is told by [`unwritten`].
pub fn line(text: &str) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        let _ = UNWRITTEN.set(error);
    }
}

/// Why something could not be written, the first time.
static UNWRITTEN: OnceLock<std::io::Error> = OnceLock::new();

/// Why not all was written, if so: whoever follows something has nobody to follow it for.
pub fn unwritten() -> Option<&'static std::io::Error> {
    UNWRITTEN.get()
}

/// A text of somebody else's, in one line, and with nothing in it that a terminal would obey.
pub fn visible(text: &str) -> String {
    let obeyed = |letter: char| {
        letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match obeyed(letter) {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    shown
}

/// A table with a header and rows.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().map(|title| title.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|cell| visible(cell)));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn or_dash(text: Option<String>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".into())
}

/// Claims, one a row.
pub fn claims(claims: &[wire::Claim]) -> String {
    let header = ["id", "phase", "scope", "class", "lines", "used", "waited", "node", "within", "why"];
    table(
        &header,
        claims.iter().map(|claim| {
            let why = claim.ending.clone().or_else(|| taken(claim)).or_else(|| claim.reason.clone());
            vec![
                claim.id.to_string(),
                claim.phase.clone() + if claim.quarantined { " (quarantined)" } else { "" },
                claim.scope.clone(),
                claim.class.clone(),
                claim.lines.iter().map(line_text).collect::<Vec<_>>().join(" "),
                or_dash(Some(claim.lines.iter().filter_map(used_text).collect::<Vec<_>>().join(" "))),
                or_dash(claim.waited_ms.map(millis)),
                or_dash(claim.node.clone()),
                or_dash(claim.within.map(|parent| parent.to_string())),
                or_dash(why),
            ]
        }),
    )
}

/// What is being taken from a lease, and until when it stays so: `told until …`.
fn taken(claim: &wire::Claim) -> Option<String> {
    let word = Some(claim.taking()).filter(|word| *word != wire::TAKING[0])?;
    let frozen = claim.lessened.as_ref().and_then(|lessened| lessened.until.clone());
    let until = frozen.or_else(|| claim.preempting.as_ref().and_then(|told| told.until.clone()));
    Some(until.map_or_else(|| word.to_owned(), |until| format!("{word} until {until}")))
}

/// A line as people say it: `memory=64M`, `port:20003`, `lock:tree`, `lock:tree:shared`.
pub fn line_text(line: &wire::Line) -> String {
    let amount = wire::show(&line.resource, line.amount);
    match &line.pool {
        // Whoever has it alone has all that it could be shared by.
        Some(pool) if line.resource == "lock" => format!("lock:{}", wire::show_lock(pool, line.amount != 1)),
        None if line.resource == "lock" => "lock".into(),
        Some(pool) if *pool != line.resource && line.amount == 1 => format!("{}:{pool}", line.resource),
        Some(pool) if *pool != line.resource => format!("{}:{pool}={amount}", line.resource),
        _ => format!("{}={amount}", line.resource),
    }
}

fn used_text(line: &wire::Line) -> Option<String> {
    line.used.map(|used| format!("{}={}", line.resource, wire::show(&line.resource, used)))
}

/// Milliseconds as people say them.
pub fn millis(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms}ms"),
        1000..60_000 => format!("{:.1}s", ms as f64 / 1000.0),
        _ => format!("{}m{}s", ms / 60_000, ms / 1000 % 60),
    }
}

/// Supplies, one a row.
pub fn pools(pools: &[wire::Pool]) -> String {
    let header =
        ["resource", "pool", "node", "shape", "capacity", "offered", "reserved", "held", "quarantined"];
    table(
        &header,
        pools.iter().map(|pool| {
            let amount = |amount| wire::show(&pool.resource, amount);
            let amounts =
                [pool.capacity, pool.offered, pool.reserved, pool.held, pool.quarantined].map(amount);
            let names =
                [pool.resource.clone(), pool.id.clone(), or_dash(pool.node.clone()), pool.shape.clone()];
            names.into_iter().chain(amounts).collect()
        }),
    )
}

/// Machines, one a row.
pub fn nodes(nodes: &[wire::Node]) -> String {
    table(
        &["node", "state", "labels", "leases", "until"],
        nodes.iter().map(|node| {
            let labels = or_dash(Some(node.labels.join(" ")));
            let (id, state) = (node.id.clone(), node.state.clone());
            vec![id, state, labels, node.leases.to_string(), or_dash(node.until.clone())]
        }),
    )
}

/// What came of settings, one a row.
pub fn changes(changes: &[wire::ChangeRow]) -> String {
    let word = |row: &wire::ChangeRow| wire::change_name(row.outcome).to_owned();
    table(
        &["what", "which", "outcome"],
        changes.iter().map(|row| vec![row.what.clone(), row.id.clone(), word(row)]),
    )
}

/// The demand tree, one scope a row.
pub fn scopes(scopes: &[wire::Scope]) -> String {
    table(
        &["scope", "weight", "claims"],
        scopes.iter().map(|scope| {
            let path = if scope.path.is_empty() { "/".into() } else { scope.path.clone() };
            vec![path, scope.weight.to_string(), scope.claims.to_string()]
        }),
    )
}

/// Bounds, one a row.
pub fn quotas(quotas: &[wire::Quota]) -> String {
    table(
        &["scope", "resource", "guaranteed", "limit", "borrow", "lend", "charged"],
        quotas.iter().map(|quota| {
            let amount = |amount| wire::show(&quota.resource, amount);
            let timed = |bound| format!("{}{}", amount(bound), per(quota.period_ms));
            let path = if quota.scope.is_empty() { "/".into() } else { quota.scope.clone() };
            vec![
                path,
                quota.resource.clone(),
                timed(quota.guaranteed),
                or_dash(quota.limit.map(timed)),
                or_dash(quota.borrow_limit.map(timed)),
                or_dash(quota.lend_limit.map(amount)),
                amount(quota.charged),
            ]
        }),
    )
}

/// In which time an amount comes back, as people write it behind that; nothing where it never does.
fn per(period_ms: Option<u64>) -> String {
    match period_ms {
        None => String::new(),
        Some(1_000) => "/s".into(),
        Some(60_000) => "/m".into(),
        Some(3_600_000) => "/h".into(),
        Some(86_400_000) => "/d".into(),
        Some(604_800_000) => "/w".into(),
        Some(other) => format!("/{other}ms"),
    }
}

/// Plugins, one a row.
pub fn plugins(plugins: &[wire::Plugin]) -> String {
    table(
        &["role", "id", "home", "state", "library", "version", "trust", "reason"],
        plugins.iter().map(|plugin| {
            vec![
                or_dash(Some(plugin.role.clone())),
                plugin.id.clone(),
                plugin.home.clone(),
                plugin.state.clone(),
                plugin.library.clone(),
                or_dash(Some(plugin.version.clone())),
                or_dash(plugin.trust.as_ref().map(|trust| trust.chars().take(24).collect())),
                or_dash(plugin.reason.clone()),
            ]
        }),
    )
}

/// Who decides, one role a row.
pub fn strategies(strategies: &[wire::Strategy]) -> String {
    table(
        &["role", "plugin", "home", "faults"],
        strategies.iter().map(|strategy| {
            vec![
                strategy.role.clone(),
                strategy.plugin.clone(),
                strategy.home.clone(),
                strategy.faults.to_string(),
            ]
        }),
    )
}

/// Events, one a row.
pub fn events(events: &[wire::EventRow]) -> String {
    table(
        &["seq", "at", "event", "claim", "detail"],
        events.iter().map(|event| {
            let detail = if event.detail.is_null() { "-".into() } else { event.detail.to_string() };
            vec![
                event.seq.to_string(),
                event.at.clone(),
                event.kind.clone(),
                or_dash(event.claim.map(|id| id.to_string())),
                detail,
            ]
        }),
    )
}

/// Administrative acts, one a row.
pub fn audit(acts: &[wire::AuditRow]) -> String {
    let header = ["seq", "at", "door", "uid", "token", "act", "status", "reason", "body"];
    table(
        &header,
        acts.iter().map(|act| {
            vec![
                act.seq.to_string(),
                act.at.clone(),
                act.door.clone(),
                or_dash(act.uid.map(|uid| uid.to_string())),
                or_dash(act.token.clone()),
                act.act.clone(),
                act.status.to_string(),
                or_dash(act.reason.clone()),
                or_dash(act.body.clone()),
            ]
        }),
    )
}

/// An administrative act in a line.
pub fn act(act: &wire::AuditRow) -> String {
    let who = act.uid.map_or("-".into(), |uid| format!("uid {uid}"));
    let reason = act.reason.as_deref().unwrap_or_default();
    let what = visible(&act.act);
    format!("{:>6} {} {:<4} {who:<8} {} {what} {reason}", act.seq, act.at, act.door, act.status)
}

/// An explanation in sentences.
pub fn explain(explain: &wire::Explain) -> String {
    let Some(reason) = &explain.reason else {
        let told = format!("claim {} does not wait: it is {}", explain.claim, explain.phase);
        return match explain.circle.is_empty() {
            true => told,
            false => format!("{told}\n  it would have waited forever: {}", wire::circle(&explain.circle)),
        };
    };
    let place = explain.position.map(|place| format!(", at place {place} in line")).unwrap_or_default();
    let mut told = vec![format!("claim {} waits{place}: {reason}", explain.claim)];
    explain.waiting_on.iter().for_each(|on| told.extend(short(on)));
    for set in &explain.alternatives {
        told.push(format!("  alternative {}: {}", set.alternative, set.reason));
        set.waiting_on.iter().for_each(|on| told.extend(short(on)));
    }
    if let Some(eta) = &explain.eta_ms {
        let time = |ms| humantime::format_duration(std::time::Duration::from_millis(round(ms)));
        told.push(format!(
            "  to be granted in {} as likely as not, in {} nine times of ten",
            time(eta.p50),
            time(eta.p90)
        ));
    }
    for change in &explain.would_admit {
        told.push(format!("  would be granted now: {} ({})", change.options, change.change));
    }
    told.join("\n")
}

/// One thing that is short, and who holds it.
fn short(on: &wire::WaitingOn) -> Vec<String> {
    let amount = |amount| wire::show(&on.resource, amount);
    let bound =
        on.quota.as_ref().map(|scope| format!(" below the limit of scope {scope:?}")).unwrap_or_default();
    let mut told = vec![format!("  short of {} {}{bound}", amount(on.short_by), on.resource)];
    for holder in &on.holders {
        let until =
            holder.until.as_ref().map(|until| format!(" until {until} unless renewed")).unwrap_or_default();
        let held = amount(holder.amount);
        let ending = { holder.preempting.as_ref() }
            .map(|ending| format!(", to end for another ({}, {} so far)", ending.why, ending.rung));
        let ending = ending.unwrap_or_default();
        told.push(format!("    claim {} of {:?} holds {held}{until}{ending}", holder.claim, holder.scope));
    }
    told
}

/// To whole seconds where there are many.
fn round(ms: u64) -> u64 {
    if ms < 10_000 { ms } else { ms / 1000 * 1000 }
}

/// What holds work up, one finding a row.
pub fn findings(findings: &[wire::Bottleneck]) -> String {
    table(
        &["severity", "finding", "of", "since", "evidence", "advice"],
        findings.iter().map(|found| {
            let evidence = found.evidence.iter().map(|(name, value)| format!("{name}={value}"));
            vec![
                found.severity.clone(),
                found.kind.clone(),
                found.subject.clone(),
                found.since.clone(),
                evidence.collect::<Vec<_>>().join(" "),
                found.advice.clone(),
            ]
        }),
    )
}

/// Figures, one a row.
pub fn metrics(metrics: &[wire::Metric]) -> String {
    table(
        &["plugin", "role", "home", "metric", "value", "at"],
        metrics.iter().map(|metric| {
            let value = metric.value.map_or("unknown".into(), |value| value.to_string());
            let at = metric.at.clone().unwrap_or_else(|| "now".into());
            let wire::Metric { plugin, role, home, name, .. } = metric.clone();
            vec![plugin, or_dash(Some(role)), home, name, value, at]
        }),
    )
}

/// What works and what does not, one finding a row.
pub fn checks(findings: &[wire::Finding]) -> String {
    table(
        &["what", "state", "detail"],
        findings
            .iter()
            .map(|finding| vec![finding.what.clone(), finding.state.clone(), finding.detail.clone()]),
    )
}

/// What would help, one line for each thing that is amiss and can be mended.
pub fn advice(findings: &[wire::Finding]) -> String {
    let helps = |finding: &wire::Finding| Some(format!("  {}: {}", finding.what, finding.advice.as_ref()?));
    let lines: Vec<String> = findings.iter().filter_map(helps).collect();
    if lines.is_empty() { lines.concat() } else { format!("\nWhat would help:\n{}", lines.join("\n")) }
}
