//! Looking: lists of everything, once or followed, and why a claim waits.
use super::{
    Context,
    lease::number,
    names::Named,
    outcome::{Failed, Outcome},
    show,
};
use crate::args::{Explain, Get, Output, What};
use bursar_wire::{self as wire, List};
use serde::{Serialize, de::DeserializeOwned};
use std::{io::IsTerminal, time::Duration};

/// Rows in one page.
const PAGE: usize = wire::PAGE_MAX;
/// What happens at once is shown at once.
const TOGETHER: Duration = Duration::from_millis(200);
/// How often the audit log is looked at: no event tells of it.
const AUDIT_LOOK: Duration = Duration::from_millis(500);

/// `bursar get`.
pub fn get(context: &Context, get: &Get) -> Outcome {
    let since = get.since.unwrap_or(0);
    match (get.what, get.watch) {
        (What::Events, false) => events(context, since, get.limit),
        (What::Events, true) => follow_events(context, since, get.limit),
        (What::Audit, false) => audit(context, since, get.limit),
        (What::Audit, true) => follow_audit(context, since, get.limit),
        _ if get.since.is_some() => Err(Failed::usage("--since is for what has a sequence")
            .hint("`bursar get events` or `bursar get audit`")),
        (what, watch) => list(context, what, get.limit, watch),
    }
}

/// Shows a list as it is, or its first rows; once, or whenever something happened.
pub fn list(context: &Context, what: What, limit: Option<usize>, watch: bool) -> Outcome {
    shown(context, watch, || once(context, what, limit))
}

/// Shows something once, or whenever something happened.
pub fn shown(context: &Context, watch: bool, mut show: impl FnMut() -> Outcome) -> Outcome {
    match watch {
        true => follow(context, || show().map(|()| true)),
        false => show(),
    }
}

fn once(context: &Context, what: What, limit: Option<usize>) -> Outcome {
    use show::wide;
    match what {
        What::Claims => whole::<wire::Claims>(context, limit, show::claims, wide::claims),
        What::Pools => whole::<wire::Pools>(context, limit, show::pools, wide::pools),
        What::Nodes => whole::<wire::Nodes>(context, limit, show::nodes, wide::nodes),
        What::Scopes => whole::<wire::Scopes>(context, limit, show::scopes, wide::scopes),
        What::Quotas => whole::<wire::Quotas>(context, limit, show::quotas, wide::quotas),
        What::Plugins => whole::<wire::Plugins>(context, limit, show::plugins, wide::plugins),
        What::Findings => whole::<wire::Findings>(context, limit, show::findings, wide::findings),
        What::Metrics => whole::<wire::Metrics>(context, limit, show::metrics, wide::metrics),
        What::Events => events(context, 0, limit),
        What::Audit => audit(context, 0, limit),
    }
}

fn whole<L>(
    context: &Context,
    limit: Option<usize>,
    narrow: fn(&[L::Row]) -> String,
    wide: fn(&[L::Row]) -> String,
) -> Outcome
where
    L: List + Serialize + DeserializeOwned,
    L::Row: Named + Serialize,
{
    let mut client = context.looking();
    let (rows, next) = match limit {
        None => client.list::<L>()?.into_parts(),
        Some(limit) => first::<L>(&mut client, limit)?,
    };
    let table = if context.wide { wide } else { narrow };
    show::rows(context, rows, table, |rows| L::of(rows, next));
    Ok(())
}

/// The first rows of a list, page by page.
fn first<L: List + DeserializeOwned>(
    client: &mut wire::Client,
    limit: usize,
) -> Result<(Vec<L::Row>, Option<String>), wire::Failure> {
    let (mut rows, mut next) = client.page::<L>(None, limit.min(PAGE))?.into_parts();
    while let Some(after) = next.take_if(|_| rows.len() < limit) {
        let (more, then) = client.page::<L>(Some(&after), PAGE.min(limit - rows.len()))?.into_parts();
        rows.extend(more);
        next = then;
    }
    Ok((rows, next))
}

/// Shows something again whenever something happened, for as long as it goes on.
fn follow(context: &Context, mut show: impl FnMut() -> Result<bool, super::outcome::Failed>) -> Outcome {
    let mut client = context.client();
    loop {
        if context.output == Output::Table && std::io::stdout().is_terminal() {
            // Clears the screen and goes to its upper left.
            print!("\x1b[2J\x1b[H");
        }
        if context.output == Output::Yaml {
            show::line("---");
        }
        if !show()? || show::unwritten().is_some() {
            return Ok(());
        }
        let newest = newest(&mut client)?;
        // A stream ends with its daemon, or because it is old: whether there still is one is found out by asking.
        let _ = client.events(newest)?.next();
        std::thread::sleep(TOGETHER);
    }
}

/// The sequence of the newest event.
fn newest(client: &mut wire::Client) -> Result<u64, wire::Failure> {
    let mut since = 0;
    loop {
        match client.events_page(since, PAGE)?.events.last() {
            Some(last) => since = last.seq,
            None => return Ok(since),
        }
    }
}

/// Every event above a sequence, or the first of them.
fn events(context: &Context, since: u64, limit: Option<usize>) -> Outcome {
    let mut client = context.looking();
    let page = |since, most| Ok(client.events_page(since, most)?.events);
    pages(context, since, limit, page, |row| row.seq, show::events, |events| wire::Events { events })
}

/// Every act above a sequence, or the first of them.
fn audit(context: &Context, since: u64, limit: Option<usize>) -> Outcome {
    let mut client = context.looking();
    let page = |since, most| Ok(client.audit_page(since, most)?.audit);
    pages(context, since, limit, page, |row| row.seq, show::audit, |audit| wire::AuditLog { audit })
}

/// Rows of something that grows at its end; those for scripts that read a stream go out as they come.
fn pages<R: Named + Serialize, D: Serialize>(
    context: &Context,
    mut since: u64,
    limit: Option<usize>,
    mut page: impl FnMut(u64, usize) -> Result<Vec<R>, wire::Failure>,
    seq: fn(&R) -> u64,
    table: fn(&[R]) -> String,
    document: fn(Vec<R>) -> D,
) -> Outcome {
    let mut left = limit.unwrap_or(usize::MAX);
    let mut all = Vec::new();
    while left > 0 {
        let mut rows = page(since, PAGE.min(left))?;
        rows.truncate(left);
        let Some(last) = rows.last() else { break };
        since = seq(last);
        left -= rows.len();
        match context.output {
            Output::Jsonl | Output::Name => show::rows(context, rows, table, document),
            _ => all.extend(rows),
        }
    }
    if !matches!(context.output, Output::Jsonl | Output::Name) {
        show::rows(context, all, table, document);
    }
    Ok(())
}

fn follow_events(context: &Context, mut since: u64, limit: Option<usize>) -> Outcome {
    let mut left = limit.unwrap_or(usize::MAX);
    loop {
        follow_stream(context, &mut since, &mut left)?;
        if left == 0 || show::unwritten().is_some() {
            return Ok(());
        }
        // It ended with its daemon, or because it is old: whether there still is one is found out by asking.
        std::thread::sleep(TOGETHER);
    }
}

/// One stream of events, as long as it lasts and somebody reads, and no more of them than are left to show.
fn follow_stream(context: &Context, since: &mut u64, left: &mut usize) -> Outcome {
    for event in context.client().events(*since)?.take(*left) {
        *left -= 1;
        *since = event.seq;
        match context.output {
            Output::Table => {
                let claim = event.claim.map(|id| id.to_string()).unwrap_or_default();
                let detail = if event.detail.is_null() { String::new() } else { event.detail.to_string() };
                show::line(&format!("{:>8} {} {:<12} {claim:>6} {detail}", event.seq, event.at, event.kind));
            }
            Output::Yaml | Output::Name => each(context, &event),
            _ => show::document(&event, Output::Jsonl),
        }
        if show::unwritten().is_some() {
            break;
        }
    }
    Ok(())
}

fn follow_audit(context: &Context, mut since: u64, limit: Option<usize>) -> Outcome {
    let (mut client, mut left) = (context.looking(), limit.unwrap_or(usize::MAX));
    while left > 0 {
        let rows = client.audit_page(since, PAGE.min(left))?.audit;
        left = left.saturating_sub(rows.len());
        since = rows.last().map_or(since, |row| row.seq);
        for row in &rows {
            match context.output {
                Output::Table => show::line(&show::act(row)),
                Output::Yaml | Output::Name => each(context, row),
                _ => show::document(row, Output::Jsonl),
            }
        }
        if show::unwritten().is_some() {
            return Ok(());
        }
        if rows.is_empty() {
            std::thread::sleep(AUDIT_LOOK);
        }
    }
    Ok(())
}

/// One row of a stream.
fn each(context: &Context, row: &(impl Named + Serialize)) {
    if context.output == Output::Name {
        return show::line(&row.name());
    }
    show::line("---");
    show::document(row, context.output);
}

/// `bursar explain`.
pub fn explain(context: &Context, explain: &Explain) -> Outcome {
    let id = number("claim", &explain.id)?;
    let once = || {
        let answer = context.looking().explain(id)?;
        match context.output {
            Output::Table => show::line(&show::explain(&answer)),
            Output::Name => show::line(&answer.claim.to_string()),
            output => show::document(&answer, output),
        }
        Ok(answer.phase == wire::PENDING)
    };
    match explain.watch {
        true => follow(context, once),
        false => once().map(drop),
    }
}
